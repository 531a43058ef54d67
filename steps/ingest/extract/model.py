"""The two boosted trees that score blocks, as readable data, and the kernel that evaluates them."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from steps.ingest.extract.features import CONTEXT, FEATURES
from steps.text.jit import njit

MODEL = Path(__file__).with_name("model.json")


class Trees(NamedTuple):
    """A sum of trees: node arrays, and the roots' positions in them. A leaf's feature is -1."""

    feature: np.ndarray  # int32[nodes]
    threshold: np.ndarray  # float64[nodes]: go left where the value is not larger
    left: np.ndarray  # int32[nodes]
    right: np.ndarray  # int32[nodes]
    value: np.ndarray  # float64[nodes]
    roots: np.ndarray  # int32[trees]
    base: float


class Model(NamedTuple):
    """Both looks, and the score from which on a block is main text."""

    first: Trees
    second: Trees
    threshold: float


def trees_of(data: dict[str, Any], columns: tuple[str, ...]) -> Trees:
    """Trees from their JSON: ``{"base": number, "trees": [[[feature, threshold, left, right] or value, ...]]}``.

    Raises ValueError for a feature that is not among ``columns``: the model is older than the code.
    """
    number = {name: index for index, name in enumerate(columns)}
    rows: list[tuple[int, float, int, int, float]] = []
    roots = []
    for tree in data["trees"]:
        base = len(rows)
        roots.append(base)
        for node in tree:
            if isinstance(node, list):
                if node[0] not in number:
                    raise ValueError(f"{MODEL.name} asks for feature {node[0]}: train it again")
                rows.append((number[node[0]], node[1], base + node[2], base + node[3], 0.0))
            else:
                rows.append((-1, 0.0, 0, 0, node))
    feature, threshold, left, right, value = zip(*rows, strict=True)
    indices = [np.array(column, dtype=np.int32) for column in (feature, left, right, roots)]
    numbers = [np.array(column, dtype=np.float64) for column in (threshold, value)]
    return Trees(indices[0], numbers[0], indices[1], indices[2], numbers[1], indices[3], float(data["base"]))


@cache
def load_model() -> Model:
    """The committed model."""
    data = json.loads(MODEL.read_text(encoding="utf-8"))
    first = trees_of(data["first"], FEATURES)
    return Model(first, trees_of(data["second"], FEATURES + CONTEXT), data["threshold"])


@njit
def evaluate(feature, threshold, left, right, value, roots, base, rows, out):
    """Scores of float64[blocks, features]: the sum of the leaves, brought to (0, 1) by x / (1 + |x|).

    Not the logistic function, whose last bit differs between machines; the order is the same.
    """
    for index in range(len(rows)):
        total = base
        row = rows[index]
        for root in roots:
            node = root
            while feature[node] >= 0:
                node = left[node] if row[feature[node]] <= threshold[node] else right[node]
            total += value[node]
        out[index] = 0.5 + 0.5 * total / (1.0 + abs(total))
