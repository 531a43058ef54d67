"""A program: de-duplicates once in peace, then killed with SIGKILL once inside each phase, and prints what it saw.

    python -m tests.steps.deduplicate.killed SEED FOLDER CORPUS [INDEX…]

Each attempt is a fork that goes on where the one before was killed: anywhere between two things that it does with the
file system, a half-written file among them, by draw of lots. The last attempt is not killed.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

from steps.core.config import Runtime
from steps.core.step import StepContext, run_step
from steps.deduplicate.step import STEP

TOUCHES = {"open", "os.link", "os.mkdir", "os.remove", "os.rename", "shutil.copyfile"}
COMMIT = "commit"
SETTINGS = {"partition_documents": 100, "verify_documents": 30}


class Watch:
    """Counts what each phase does with the file system; kills this process at the wanted moment of one phase."""

    def __init__(self) -> None:
        self.phase, self.strike = "", ("", 0)
        self.touched: Counter[str] = Counter()

    def hear(self, event: str, _: object) -> None:
        if self.phase and event in TOUCHES:
            self.touched[self.phase] += 1
            if self.strike == (self.phase, self.touched[self.phase]):
                os.kill(os.getpid(), signal.SIGKILL)

    def over(self, map_phase: Any) -> Any:
        """`StepContext.map` that says which phase it is in."""

        def watched(ctx: StepContext, phase: str, *arguments: Any, **options: Any) -> Any:
            self.phase = phase
            done = map_phase(ctx, phase, *arguments, **options)
            self.phase = ""
            return done

        return watched

    def run(self, ctx: StepContext) -> None:
        STEP.run(ctx)
        self.phase = COMMIT


def main(seed: str, folder: str, *inputs: str) -> None:
    watch = Watch()
    sys.addaudithook(watch.hear)
    StepContext.map = watch.over(StepContext.map)  # type: ignore[method-assign]
    given = {"corpus": inputs[0]} | {f"index.{n}": ref for n, ref in enumerate(inputs[1:])}

    def attempt(root: str) -> str:
        watch.touched.clear()
        step = replace(STEP, run=watch.run)
        runtime = Runtime(workers=1, scratch=Path(folder, "scratch"))
        return run_step(
            step, config=SETTINGS, inputs=given, root=f"file://{folder}/{root}", runtime=runtime
        ).digest

    attempt(
        "first"
    )  # loads modules and artifacts once and for all, so that every later attempt does the same
    watch.phase = ""
    whole = attempt("whole")
    watch.phase = ""
    touched, killed = dict(watch.touched), {}
    for phase, touches in touched.items():
        watch.strike = (phase, Random(f"{seed}/{phase}").randrange(touches) + 1)
        child = os.fork()
        if child == 0:
            attempt("killed")
            os._exit(0)
        killed[phase] = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    watch.strike = ("", 0)
    print(json.dumps({"whole": whole, "again": attempt("killed"), "touched": touched, "killed": killed}))


if __name__ == "__main__":
    main(*sys.argv[1:])
