"""Reads documents with the model that training starts from: their mean loss per token."""

from __future__ import annotations

import math
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from steps.text.causal_model import load_model


class Scorer:
    """The model in a Hugging Face folder, once on each GPU, else on the CPU."""

    def __init__(self, folder: Path, first: int | None) -> None:
        devices = [f"cuda:{n}" for n in range(torch.cuda.device_count())] or ["cpu"]
        self._models = [load_model(folder, device) for device in devices]
        self._first = [] if first is None else [first]  # <s>, before every document

    def losses(self, documents: Sequence[np.ndarray], batch_tokens: int) -> np.ndarray:
        """Nats per token of each document, float64[n]; infinite where nothing can be predicted.

        Documents of about one length are read together, whichever device does it.
        """
        found = np.full(len(documents), math.inf)
        order = sorted(range(len(documents)), key=lambda i: (len(documents[i]), i))
        batches = list(_batches(order, [len(document) + 1 for document in documents], batch_tokens))
        count = len(self._models)
        with ThreadPoolExecutor(count) as pool:
            shares = [batches[device::count] for device in range(count)]
            done = pool.map(
                lambda device: self._read(self._models[device], documents, shares[device]), range(count)
            )
            for share, losses in zip(shares, done, strict=True):
                for batch, values in zip(share, losses, strict=True):
                    found[batch] = values
        return found

    @torch.inference_mode()
    def _read(
        self, model: Any, documents: Sequence[np.ndarray], batches: list[list[int]]
    ) -> list[np.ndarray]:
        return [self._batch(model, [documents[i] for i in batch]) for batch in batches]

    def _batch(self, model: Any, documents: Sequence[np.ndarray]) -> np.ndarray:
        """Attention is causal, so what fills a row behind its document changes nothing before it."""
        rows = [np.concatenate([self._first, document]).astype(np.int64) for document in documents]
        width = max(map(len, rows))
        if width < 2:
            return np.full(len(rows), math.inf)
        ids = np.zeros((len(rows), width), np.int64)
        for row, tokens in enumerate(rows):
            ids[row, : len(tokens)] = tokens
        ids_BT = torch.from_numpy(ids).to(model.device)
        lengths = torch.tensor([len(tokens) - 1 for tokens in rows], device=model.device)
        logits_BTV = model(input_ids=ids_BT, use_cache=False).logits
        nats = [
            F.cross_entropy(logits_TV[:-1].float(), row_T[1:], reduction="none")
            for logits_TV, row_T in zip(logits_BTV, ids_BT, strict=True)
        ]
        real = torch.arange(width - 1, device=model.device)[None] < lengths[:, None]
        total = (torch.stack(nats).double() * real).sum(1) / lengths
        return np.asarray(torch.where(lengths > 0, total, math.inf).cpu().numpy())


def _batches(order: list[int], sizes: list[int], most: int) -> Any:
    """Consecutive documents of ``order``, as many as fill ``most`` tokens when all are as long as the longest."""
    batch: list[int] = []
    for index in order:  # ascending, so that the new one is the longest
        if batch and (len(batch) + 1) * sizes[index] > most:
            yield batch
            batch = []
        batch.append(index)
    if batch:
        yield batch
