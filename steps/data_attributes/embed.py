"""Embedders by name: functions from texts to unit vectors, each of which works without a network."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import xxhash

from steps.core.errors import ConfigError

# float32[n, d], each row of length one or zero, of n texts
Embed = Callable[[Sequence[str]], np.ndarray]
LENGTHS, WIDTH = (
    (2, 3, 4),
    1 << 16,
)  # of n-grams, and places that they are hashed to (own measurement, see below)


def unit(vectors: np.ndarray) -> np.ndarray:
    """The rows with length one; zero rows stay."""
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(np.divide(vectors, length, out=np.zeros_like(vectors), where=length > 0), np.float32)


def hashing() -> Embed:
    """Square roots of the counts of character 2- to 4-grams, hashed: a text's vocabulary in any language.

    Lengths, width and root: own measurement (`python -m benchmarks.quality.embedders`).
    """

    def embed(texts: Sequence[str]) -> np.ndarray:
        found = np.zeros((len(texts), WIDTH), np.float32)
        for row, text in enumerate(texts):
            folded = " ".join(unicodedata.normalize("NFKC", text).lower().split())
            grams = [folded[at : at + n] for n in LENGTHS for at in range(len(folded) - n + 1)]
            places = [xxhash.xxh3_64_intdigest(gram.encode(errors="replace")) % WIDTH for gram in grams]
            found[row] = np.sqrt(np.bincount(places, minlength=WIDTH)) if places else 0
        return unit(found)

    return embed


def wordllama() -> Embed:
    """Means of 256 numbers per token, distilled from LLaMA's embedding and others (wordllama, l2_supercat)."""
    import wordllama as package

    # the wheel has the tokenizer in a folder that its loader takes for the cache's
    model = package.WordLlama.load(cache_dir=Path(package.__file__).parent, disable_download=True)

    def embed(texts: Sequence[str]) -> np.ndarray:
        return unit(np.asarray(model.embed(list(texts), norm=False), np.float32))

    return embed


EMBEDDERS: dict[str, Callable[[], Embed]] = {"hashing": hashing, "wordllama": wordllama}


def open_embedder(name: str) -> Embed:
    """The embedder of that name. Raises ConfigError for an unknown one."""
    if name not in EMBEDDERS:
        raise ConfigError(f"data_attributes.embedder: there is no {name!r}; known: {', '.join(EMBEDDERS)}")
    return EMBEDDERS[name]()


def mean_vector(embed: Embed, texts: Sequence[str], batch: int = 256) -> np.ndarray:
    """The mean of the texts' unit vectors, float64[d]; of no texts, zeros of length one."""
    total, count = np.zeros(1), 0
    for at in range(0, len(texts), batch):
        vectors = embed(texts[at : at + batch]).astype(np.float64)
        total, count = total + vectors.sum(0), count + len(vectors)
    return total / max(count, 1)


def similarity(one: np.ndarray, other: np.ndarray) -> float:
    """The mean cosine over all pairs of two sets of texts, from their `mean_vector`s; from 0 to 1 (Ziya2 §7)."""
    return float(np.clip(one @ other, 0.0, 1.0))
