"""What makes a process of tokenmill's own start and end half a second sooner: work of libraries that it leaves out."""

from __future__ import annotations

import atexit
import gc
import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder

import numpy as np
import pyarrow as pa


class _Hidden(MetaPathFinder):
    """Says of one module that it is not installed."""

    def __init__(self, module: str) -> None:
        self.module = module

    def find_spec(self, name: str, path: Sequence[str] | None, target: object = None) -> None:
        if name == self.module:
            raise ModuleNotFoundError(f"{name} is hidden", name=name)


def lean() -> None:
    """Call it once, first. Nothing that the process does otherwise changes.

    pyarrow looks for pandas when it makes its first array of a NumPy one, to know pandas' types from then on; loading
    it takes a quarter of a second. Who asks pyarrow for a data frame still gets one. An interpreter that ends collects
    garbage among all that is loaded, which takes as long.
    """
    atexit.register(gc.freeze)
    if "pandas" not in sys.modules:
        hidden = _Hidden("pandas")
        sys.meta_path.insert(0, hidden)
        try:
            pa.array(np.empty(0))
        finally:
            sys.meta_path.remove(hidden)
