"""How well embedders tell which two texts belong together: halves of one Wikipedia article.

python -m benchmarks.quality.embedders prints one table: per language, of how many first halves the nearest second half
(by cosine) is that of the same article, beside scikit-learn's hashing of character n-grams; and the mean cosine of
matching and of other pairs, of which Ziya2's similarity is made.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from benchmarks.quality.chain import read_jsonl, shared
from steps.data_attributes.embed import EMBEDDERS

ARTICLES = 300
LEAST, HALF = 300, 1500  # characters of a half


def halves(name: str) -> tuple[list[str], list[str]]:
    """First and second halves of the beginnings of some articles."""
    first, second = [], []
    for row in read_jsonl(shared(f"{name}/train.jsonl.gz")):
        text = row["text"][: 2 * HALF]
        if len(text) >= 2 * LEAST:
            first.append(text[: len(text) // 2])
            second.append(text[len(text) // 2 :])
        if len(first) == ARTICLES:
            break
    return first, second


def hashed(texts: list[str]) -> np.ndarray:
    """scikit-learn's HashingVectorizer over character 1- to 3-grams, as a peer."""
    from sklearn.feature_extraction.text import HashingVectorizer

    vectorizer = HashingVectorizer(
        analyzer="char", ngram_range=(2, 4), n_features=1 << 16, alternate_sign=False
    )
    return np.asarray(vectorizer.transform(texts).todense(), np.float32)


def main() -> None:
    """Print the table."""
    print(
        "| embedder | texts | nearest half is its own | cosine of halves | of other pairs |\n|---|---|---:|---:|---:|"
    )
    peers: dict[str, Callable[[list[str]], np.ndarray]] = {
        **{name: make() for name, make in EMBEDDERS.items()},
        "scikit-learn, hashed n-grams": hashed,
    }
    for language in ("zh", "en"):
        first, second = halves(f"wiki_{language}")
        for name, embed in peers.items():
            one, two = embed(first), embed(second)
            cosine = one @ two.T
            own = float((cosine.argmax(1) == np.arange(len(first))).mean())
            same = float(np.diag(cosine).mean())
            other = float((cosine.sum() - np.trace(cosine)) / (cosine.size - len(first)))
            print(f"| {name} | wiki {language} | {own:.1%} | {same:.3f} | {other:.3f} |")


if __name__ == "__main__":
    main()
