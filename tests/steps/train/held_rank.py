"""A rank that waits before an optimizer step: ``python -m …held_rank SPEC.json``.

HELD_RANK_GATE names a file with the number of the steps that shall be done before; the rank says that it waits with a
file beside it, and goes on when the first one is gone.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

from steps.train.gang import die_with_parent

die_with_parent()

from steps.train import rank  # noqa: E402

GATE = Path(os.environ["HELD_RANK_GATE"])


class HeldRank(rank.Rank):
    def step(self) -> bool:
        if GATE.exists() and self.record.step == int(GATE.read_text()):
            self.saver.wait()
            GATE.with_name(f"{GATE.name}.{os.environ['RANK']}").touch()
            while GATE.exists():
                time.sleep(0.02)
        return super().step()


rank.Rank = HeldRank  # type: ignore[misc]
rank.main(Path(sys.argv[1]))
