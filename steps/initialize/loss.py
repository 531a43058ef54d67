"""The loss that training begins with: held-out text under the extended model, and under the base in its own tokens."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from steps.core.counts import Tally
from steps.initialize.vocabulary import Encode

WINDOW = 512  # tokens of context at most, own choice: loss per byte hardly changes beyond


@torch.no_grad()
def total_loss(
    model: Any, ids: list[int], vocabulary: int, first: int | None, window: int
) -> tuple[float, int]:
    """(nats, predictions) over one text; logits beyond ``vocabulary`` rows are as if they did not exist.

    ``first`` (<s>) stands before each window where the tokenizer has one, so that every token is predicted.
    """
    nats, count = 0.0, 0
    start = [] if first is None else [first]
    for at in range(0, len(ids), window):
        piece = torch.tensor([[*start, *ids[at : at + window]]], device=model.device)
        if piece.shape[1] < 2:
            continue
        logits_TV: Tensor = model(input_ids=piece).logits[0, :-1, :vocabulary].float()
        nats += float(F.cross_entropy(logits_TV, piece[0, 1:], reduction="sum"))
        count += piece.shape[1] - 1
    return nats, count


def measure(
    model: Any,
    texts: dict[str, list[str]],
    encoders: dict[str, tuple[Encode, int]],
    first: int | None,
    positions: int,
    advance: Callable[[Tally], None] = lambda _: None,
) -> dict[str, dict[str, float]]:
    """Nats per token and per UTF-8 byte, by ``<language>_<tokenizer>``.

    ``texts`` is by language; ``encoders`` has each tokenizer with the rows that its ids may take. Losses per token of
    two tokenizers do not compare, those per byte do. ``advance`` is told each document, once per tokenizer.
    """
    window = min(WINDOW, positions - 1)
    found = {}
    for language, documents in sorted(texts.items()):
        size = sum(len(text.encode()) for text in documents)
        for name, (encode, rows) in encoders.items():
            nats, count = 0.0, 0
            for text, ids in zip(documents, encode(documents), strict=True):
                more = total_loss(model, ids, rows, first, window)
                nats, count = nats + more[0], count + more[1]
                advance(Tally(documents=1, bytes=len(text.encode())))
            found[f"{language}_{name}"] = {"per_token": nats / max(count, 1), "per_byte": nats / max(size, 1)}
    return found
