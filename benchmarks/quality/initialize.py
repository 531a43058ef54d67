"""What new rows a model begins with: initial loss by how embedding and head were extended.

    python -m benchmarks.quality.initialize [--shared FOLDER] [--steps 300] [--chinese 0 0.02]

Trains a small LLaMA (3,000 pieces with byte fallback, no Chinese character) on shared wiki_en, once on English alone
and once with a share of wiki_zh, which it reads as bytes: about a minute and a half of one core each. LLaMA 2 saw
0.13 % Chinese (arXiv 2307.09288, Table 10), but of 2 trillion tokens; a model that sees 600,000 tokens needs a larger
share to have seen any. Then the characters of wiki_zh that save most tokens are added (7,400, if it has as many),
and held-out text is scored under every initialization, in nats per UTF-8 byte, so that both tokenizers compare.
"""

from __future__ import annotations

import argparse
import gzip
import json
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple, get_args

import numpy as np
import pyarrow as pa
import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.quality.chain import markdown
from steps.initialize import tokenizer, weights
from steps.initialize.characters import count_characters
from steps.initialize.config import FromScratch, Weights
from steps.initialize.loss import measure
from steps.initialize.rows import extend_rows
from steps.initialize.vocabulary import SENTENCEPIECE, Base, choose, encoder

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data"
SHAPE = FromScratch(hidden=128, layers=2, heads=4, ffn=352, vocabulary=3000, max_positions=128)
BATCH, LEARNING_RATE, WARM_UP = 16, 3e-3, 20
MEASURED_BYTES, TEXT_CHARACTERS = 15_000, 1500
RANDOM, OF_ALL = "random, deviation 0.02", "mean of all rows"
WAYS = [(RANDOM, RANDOM), (OF_ALL, OF_ALL), *((name, name) for name in get_args(Weights))]
WAYS += [("mean", "first"), ("mean", "last"), ("first", "mean"), ("last", "mean")]


class Study(NamedTuple):
    """A trained base, and the characters that it gets."""

    model: Any
    base: Base
    characters: list[str]


def read(shared: Path, language: str, start: int, stop: int) -> list[str]:
    """Wikipedia articles ``start`` to ``stop`` of a language."""
    with gzip.open(shared / f"wiki_{language}" / "train.jsonl.gz", "rt", encoding="utf-8") as file:
        return [json.loads(line)["text"] for line in islice(file, start, stop)]


def held_out(shared: Path, language: str) -> list[str]:
    """Beginnings of articles that `train` does not read."""
    found: list[str] = []
    for text in read(shared, language, *{"en": (1200, 1325), "zh": (8000, 8700)}[language]):
        if sum(len(text.encode()) for text in found) < MEASURED_BYTES:
            found.append(text[:TEXT_CHARACTERS])
    return found


def windows(model: bytes, texts: list[str], length: int) -> np.ndarray:
    """(n, length + 1) windows over the tokens of all texts, <s> before each text."""
    processor = tokenizer.processor(model)
    stream = np.concatenate([np.array(processor.encode(text, add_bos=True)) for text in texts])
    return stream[: len(stream) // (length + 1) * (length + 1)].reshape(-1, length + 1)


def train(model: Any, english: np.ndarray, chinese: np.ndarray, share: float, steps: int) -> None:
    """Train on batches whose windows are Chinese with probability ``share``."""
    rng = np.random.default_rng(1)
    optimizer = torch.optim.AdamW(model.parameters(), LEARNING_RATE, (0.9, 0.95), weight_decay=0.1)
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = LEARNING_RATE * min((step + 1) / WARM_UP, 1.05 - step / steps)
        pools = [chinese if rng.random() < share else english for _ in range(BATCH)]
        batch = torch.from_numpy(np.stack([pool[rng.integers(len(pool))] for pool in pools])).long()
        logits_BTV = model(input_ids=batch[:, :-1]).logits.float()
        loss = F.cross_entropy(logits_BTV.flatten(0, 1), batch[:, 1:].flatten())
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()


def make_study(shared: Path, share: float, steps: int) -> Study:
    """A base that was trained with this share of Chinese."""
    from transformers import LlamaConfig, LlamaForCausalLM

    english, chinese = read(shared, "en", 0, 1200), read(shared, "zh", 0, 2000)
    lines = (line for text in english[:200] for line in text.split("\n") if line)
    base = Base.of(SENTENCEPIECE, tokenizer.train_tokenizer(lines, SHAPE.vocabulary))
    points, counts = count_characters(pa.chunked_array([chinese]))
    counted = [(chr(point), int(count)) for point, count in zip(points, counts, strict=True)]
    torch.manual_seed(1)
    settings = weights.scratch_config(SHAPE, base.size) | {"dtype": "float32"}
    model: Any = LlamaForCausalLM(LlamaConfig(**settings))
    pools = [windows(base.data, texts, SHAPE.max_positions - 1) for texts in (english[:400], chinese[:200])]
    train(model.train(), pools[0], pools[1], share, steps)
    return Study(model.eval(), base, choose(base, "", counted, 7400))


def rows_by_way(rows_VD: Tensor, former: list[list[int]], total: int) -> dict[str, Tensor]:
    """Extended rows: random ones, the mean of all rows, and every weighted average."""
    new = total - len(rows_VD)
    noise = torch.randn(new, rows_VD.shape[1], generator=torch.Generator().manual_seed(1))
    found = {RANDOM: noise * weights.DEVIATION, OF_ALL: rows_VD.mean(dim=0).expand(new, -1)}
    extended = {name: torch.cat([rows_VD, rows]) for name, rows in found.items()}
    return extended | {name: extend_rows(rows_VD, former, name, total) for name in get_args(Weights)}


def compare(study: Study, texts: dict[str, list[str]]) -> dict[str, dict[str, float]]:
    """Nats per byte of each language, by way; "base" is the model as it was."""

    def losses(model: bytes, size: int) -> dict[str, float]:
        found = measure(
            study.model, texts, {"": (encoder(SENTENCEPIECE, model), size)}, 1, SHAPE.max_positions
        )
        return {name.rstrip("_"): units["per_byte"] for name, units in found.items()}

    base, former = study.base, study.base.former_pieces(study.characters)
    total, extended = base.size + len(former), tokenizer.extend(base.data, study.characters)
    found = {"base, in its own tokens": losses(base.data, base.size)}
    modules = (study.model.get_input_embeddings(), study.model.lm_head)
    ways = [rows_by_way(module.weight.data.clone(), former, total) for module in modules]
    for names in WAYS:
        for module, rows, name in zip(modules, ways, names, strict=True):
            module.weight.data = rows[name]
        found[names[0] if names[0] == names[1] else " / ".join(names)] = losses(extended, total)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--shared", type=Path, default=SHARED)
    parser.add_argument("--steps", type=int, default=300, help="training steps of each base")
    parser.add_argument("--chinese", type=float, nargs="+", default=[0.0, 0.02], help="shares in training")
    arguments = parser.parse_args()
    torch.set_num_threads(1)  # the same sums on every machine
    texts = {language: held_out(arguments.shared, language) for language in ("zh", "en")}
    found = {}
    for share in arguments.chinese:
        study = make_study(arguments.shared, share, arguments.steps)
        found[share] = compare(study, texts)
    header = [f"{language}, base saw {share:.0%} zh" for share in found for language in texts]
    rows = [
        [way, *(f"{losses[way][language]:.3f}" for losses in found.values() for language in texts)]
        for way in next(iter(found.values()))
    ]
    print(markdown(["embedding / head", *header], rows))


if __name__ == "__main__":
    main()
