"""A rank that waits before an optimizer step: ``held_rank.py SPEC.json``.

HELD_RANK_GATE names a file with the number of the steps that shall be done before; the rank says that it waits with a
file beside it, and goes on when the first one is gone.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import Any

from steps.train.gang import die_with_parent

die_with_parent()

from steps.train import rank  # noqa: E402

GATE = Path(os.environ["HELD_RANK_GATE"])
train_step = rank.train_step


def held(trainer: Any, spec: Any, windows: Any, record: Any) -> None:
    if GATE.exists() and record.step == int(GATE.read_text()):
        GATE.with_name(f"{GATE.name}.{os.environ['RANK']}").touch()
        while GATE.exists():
            time.sleep(0.02)
    train_step(trainer, spec, windows, record)


rank.train_step = held
rank.main(Path(sys.argv[1]))
