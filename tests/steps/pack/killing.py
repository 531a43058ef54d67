"""Runs pack on a mix and a model, and ends itself with SIGKILL at a chosen write to the store.

python -m tests.steps.pack.killing ROOT MIX MODEL WRITE      WRITE 0: never
"""

from __future__ import annotations

import os
import signal
import sys
from typing import Any

import steps.pack.step
from steps.core.config import Runtime
from steps.core.parts import cached_store
from steps.core.step import run_step
from tests.steps.training import PACK


def main(root: str, mix: str, model: str, fatal: int) -> None:
    """Prints the digest and the number of writes, if it lives."""
    steps.pack.step.verify_training = lambda artifact: None  # type: ignore[assignment,return-value]
    store: Any = cached_store(root)
    count = 0

    def counted(write: Any) -> Any:
        def wrapped(*arguments: Any) -> Any:
            nonlocal count
            count += 1
            if count == fatal:
                os.kill(os.getpid(), signal.SIGKILL)
            return write(*arguments)

        return wrapped

    for name in ("put", "put_file", "create"):
        setattr(store, name, counted(getattr(store, name)))
    inputs = {"mix": mix, "model": model}
    made = run_step("pack", config=PACK, inputs=inputs, root=root, runtime=Runtime(workers=1))
    print(made.digest, count)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]))
