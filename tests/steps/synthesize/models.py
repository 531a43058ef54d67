"""Small LLaMAs for a real server: one that knows nothing, and one that has learned what to say to a list of prompts."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

MOST_STEPS, LEARNED = 400, 0.01  # cross-entropy in nats per token of the answers
END = "<end>"
TEMPLATE = (
    "{% for message in messages %}<user>{{ message.content }}{% endfor %}"
    "{% if add_generation_prompt %}<assistant>{% endif %}"
)


def tokenizer(texts: Sequence[str]) -> Any:
    """A byte-level tokenizer with a chat template that spells everything, and ``texts`` with few tokens."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    inner = Tokenizer(models.BPE())
    inner.pre_tokenizer, inner.decoder = (
        pre_tokenizers.ByteLevel(add_prefix_space=False),
        decoders.ByteLevel(),
    )
    special = ["<pad>", END, "<user>", "<assistant>"]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    inner.train_from_iterator(
        texts, trainers.BpeTrainer(vocab_size=400, special_tokens=special, initial_alphabet=alphabet)
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=inner, pad_token="<pad>", eos_token=END, chat_template=TEMPLATE
    )


def write_models(ignorant: Path, taught: Path, lessons: Sequence[tuple[str, str]]) -> Any:
    """Both models as Hugging Face folders, and their tokenizer. ``lessons``: prompts, and the answers to them with
    END where they end; `taught` gives them when it decodes greedily."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(1)
    spelling = tokenizer([text for lesson in lessons for text in lesson])
    shape: dict[str, Any] = {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2}
    ids = {"bos_token_id": None, "eos_token_id": spelling.eos_token_id, "pad_token_id": spelling.pad_token_id}
    shape |= {"num_attention_heads": 2, "max_position_embeddings": 1024, **ids}
    model: Any = LlamaForCausalLM(LlamaConfig(vocab_size=len(spelling), **shape))
    model.save_pretrained(ignorant)
    teach(model, spelling, lessons)
    model.save_pretrained(taught)
    for folder in (ignorant, taught):
        spelling.save_pretrained(folder)
    return spelling


def teach(model: Any, spelling: Any, lessons: Sequence[tuple[str, str]]) -> None:
    """Train until every answer is known by heart; fails where that does not come about."""
    import torch

    asked = [f"<user>{prompt}<assistant>" for prompt, _ in lessons]
    lengths = torch.tensor([len(spelling(prompt).input_ids) for prompt in asked])
    whole = [prompt + answer for prompt, (_, answer) in zip(asked, lessons, strict=True)]
    batch = spelling(whole, padding=True, return_tensors="pt", return_token_type_ids=False)
    said = torch.arange(batch.input_ids.shape[1]) >= lengths[:, None]
    labels = batch.input_ids.where(said & batch.attention_mask.bool(), torch.tensor(-100))
    optimizer: Any = torch.optim.AdamW(model.parameters(), lr=5e-3)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # several wait for each other longer than they compute
    try:
        for _ in range(MOST_STEPS):
            loss = model(**batch, labels=labels).loss
            if loss.item() < LEARNED:
                return
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    finally:
        torch.set_num_threads(threads)
    raise AssertionError(f"the model has not learned its answers: loss {loss.item():.3f}")
