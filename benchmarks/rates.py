"""Measures what each stage of recipes costs, for `tokenmill plan --dry-run` (writes steps/plan/rates.yaml).

    python benchmarks/rates.py ROOT RECIPE[:DUMP]...

runs the recipes one after the other below ROOT (an empty folder), each stage as a process of its own, and takes
its wall time, the memory of its largest process and the bytes that it wrote. Run it on a quiet machine.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import yaml

from steps.core.artifact import Artifact
from steps.core.pipeline import resolve_inputs, stages
from steps.core.recipe import find_recipe
from steps.plan.command import plan_run
from steps.plan.forecast import RATES

MODEL_BOUND = (
    "initialize",
    "train",
    "export",
)  # cost follows the model and its tokens, not the bytes of the data
START_SECONDS = 3.0  # interpreter, imports and worker processes, before the first byte is read


def main(root: str, *recipes: str) -> None:
    """Measure ``recipes`` in order and merge their rates into rates.yaml."""
    rates: dict[str, Any] = yaml.safe_load(RATES.read_text()) if RATES.exists() else {}
    rates = rates or {}
    for name, _, dump in (item.partition(":") for item in recipes):
        plan = plan_run(find_recipe(name), root, "rates", dump=dump or None)
        raw = sum(item["bytes"] for item in plan.source.artifact.config["objects"])
        made: dict[str, str] = {}
        for stage in stages(plan.run["dag"]):
            given = resolve_inputs(stage, {}, made)
            made[stage.section], cost = measure(root, plan.reference, stage.step, stage.section, given)
            size = input_bytes(given) or raw
            print(
                f"{stage.section}: {cost['seconds']:.1f} s, {cost['memory'] / 1e6:.0f} MB, {size / 1e6:.1f} MB in"
            )
            rates[stage.step] = {
                "input_share": round(size / raw, 3),
                "seconds": START_SECONDS,
                "seconds_per_mb": round(
                    max(cost["seconds"] - START_SECONDS, 0.05) * (os.cpu_count() or 1) / (size / 1e6), 3
                ),
                "memory_mb": round(cost["memory"] / 1e6 * (os.cpu_count() or 1)),
                "disk_per_byte": round(cost["written"] / size, 3),
            }
    head = "# Cost of each stage, measured by benchmarks/rates.py; input_share: its input per byte of raw data.\n"
    RATES.write_text(head + yaml.safe_dump(rates, sort_keys=True))


def measure(
    root: str, run: str, step: str, section: str, given: dict[str, str]
) -> tuple[str, dict[str, float]]:
    """Run one stage; its reference, and wall seconds, largest process in bytes, bytes written."""
    result = Path(root.removeprefix("file://")) / "rates-result.json"
    command = [
        sys.executable,
        "-m",
        "steps.core.cli",
        "step",
        step,
        "--root",
        root,
        "--section",
        section,
        "--run",
        run,
    ]
    command += [word for name, ref in given.items() for word in ("--input", f"{name}={ref}")]
    began = time.monotonic()
    process = subprocess.Popen(
        command, env={**os.environ, "STEP_MANIFEST": str(result)}, stderr=subprocess.DEVNULL
    )
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"{section} ended with {os.waitstatus_to_exitcode(status)}")
    ref = yaml.safe_load(result.read_text())["ref"]
    written = sum(entry.bytes for entry in Artifact.open(ref).files())
    return ref, {"seconds": time.monotonic() - began, "memory": usage.ru_maxrss * 1024, "written": written}


def input_bytes(given: dict[str, str]) -> int:
    """Bytes of text that the corpora among the inputs hold, or of the inputs' files where there is no text."""
    artifacts = [Artifact.open(ref) for ref in given.values()]
    text = max((a.manifest.identity.counts.total.written.bytes for a in artifacts), default=0)
    return text or sum(entry.bytes for artifact in artifacts for entry in artifact.files())


if __name__ == "__main__":
    main(*sys.argv[1:])
