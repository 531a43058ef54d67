"""From losses to a stage's order. Arrays in, arrays out."""

from __future__ import annotations

import numpy as np


def ascending(loss: np.ndarray, passes: np.ndarray, ordered: np.ndarray, size: np.ndarray) -> np.ndarray:
    """The permutation of a plan in which its ``ordered`` documents come by ascending loss, pass after pass.

    All arrays have one entry per planned document, in the order of the plan: ``loss`` float64 (of ordered documents;
    the others' are not looked at), ``passes`` int, ``ordered`` bool, ``size`` int64 bytes. Equal losses keep the plan's
    order, and so do all other documents. The two are merged so that any beginning of the stage holds the same share of
    the bytes of both.
    """
    easy = np.flatnonzero(ordered)
    easy = easy[np.lexsort((loss[easy], passes[easy]))]
    others = np.flatnonzero(~ordered)
    joined = np.concatenate([easy, others])
    turn = np.concatenate([middles(size[easy]), middles(size[others])])
    return joined[np.argsort(turn, kind="stable")]


def middles(size: np.ndarray) -> np.ndarray:
    """Where in a sequence of documents each has its middle, as a share of all their bytes: float64[n]."""
    whole = max(int(size.sum()), 1)
    return (np.cumsum(size) - size / 2) / whole
