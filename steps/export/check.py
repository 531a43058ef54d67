"""Whether the exported folder is the model that was trained."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import torch
from safetensors import safe_open

from steps.core.errors import DataError


@torch.no_grad()
def compare_logits(folder: Path, probe: Path) -> tuple[float, int]:
    """(largest difference, positions compared) between the trainer's logits and transformers', in FP32.

    The difference is in standard deviations of the logits, so that one tolerance serves small and large models.
    The trainer saw documents packed into windows; transformers sees each alone. So this also proves that documents
    in a window did not see each other. Raises DataError where there is nothing to compare, or no number.
    """
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(
        folder, dtype=torch.float32, attn_implementation="eager", local_files_only=True, use_safetensors=True
    ).eval()
    worst, positions = 0.0, 0
    squares, sums, values = 0.0, 0.0, 0
    with safe_open(probe, framework="pt") as file:
        numbers = sorted({name.partition(".")[0] for name in file.keys()}, key=int)  # noqa: SIM118
        for number in numbers:
            ids, ends, logits = (file.get_tensor(f"{number}.{part}") for part in ("ids", "ends", "logits"))
            squares += float(logits.double().square().sum())
            sums, values = sums + float(logits.double().sum()), values + logits.numel()
            start = 0
            for end in ends.tolist():
                found = model(input_ids=ids[None, start:end].long()).logits[0].float()
                gap = float((found - logits[start:end]).abs().max())
                if not math.isfinite(gap):  # `max` of a number and NaN may be the number
                    raise DataError(
                        f"window {number} of the probe, tokens {start} to {end}: a logit of the trainer or of the "
                        "exported model is not finite; nothing was proven of the folder: see the held-out losses"
                    )
                worst = max(worst, gap)
                positions += end - start
                start = end
    if not positions:
        raise DataError("the trained artifact has no logits to compare with: train it again")
    deviation = math.sqrt(max(squares / values - (sums / values) ** 2, 1e-30))
    return worst / deviation, positions


class OwnTokenizer:
    """The tokenizer that encoded the training text: SentencePiece's file where there is one, else tokenizer.json."""

    encode: Callable[[str], list[int]]
    decode: Callable[[list[int]], str]
    size: int

    def __init__(self, folder: Path) -> None:
        self.name = "tokenizer.model"
        if (folder / self.name).exists():
            import sentencepiece

            pieces = sentencepiece.SentencePieceProcessor(model_file=str(folder / self.name))
            self.encode, self.decode, self.size = pieces.encode, pieces.decode, pieces.get_piece_size()
            return
        from tokenizers import Tokenizer

        self.name = "tokenizer.json"
        fast = Tokenizer.from_file(str(folder / self.name))
        fast.encode_special_tokens = True
        self.encode = lambda text: fast.encode(text, add_special_tokens=False).ids
        self.decode, self.size = fast.decode, fast.get_vocab_size()


def check_tokenizer(folder: Path, texts: list[str]) -> None:
    """Raise DataError unless transformers encodes ``texts`` as the tokenizer does that encoded the training text.

    ``</s>`` written in a text is text to both, as it was to `pack`: pages hold such tags.
    """
    from transformers import AutoTokenizer

    own, loaded = OwnTokenizer(folder), AutoTokenizer.from_pretrained(folder, local_files_only=True)
    for text in texts:
        found = loaded(text, add_special_tokens=False, split_special_tokens=True).input_ids
        if found != own.encode(text):
            raise DataError(f"transformers and {own.name} disagree on {text[:40]!r}: initialize again")


def probe_texts(folder: Path, probe: Path) -> list[str]:
    """The probe's documents as text."""
    own, texts = OwnTokenizer(folder), []
    with safe_open(probe, framework="pt") as file:
        for name in sorted(file.keys()):
            if name.endswith(".ids"):
                # rows beyond the tokenizer are padding of the vocabulary and stand for no text
                ids = [i for i in file.get_tensor(name).tolist() if i < own.size]
                texts.append(own.decode(ids))
    return texts
