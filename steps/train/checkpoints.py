"""Checkpoints in the store: one part per rank's share, complete when every rank's is there.

The process that started the ranks uploads, not the ranks: it alone holds the store's credentials, it can go on after
a rank has died, and shares leave this machine while the ranks already train on. A checkpoint is opened only through
the markers in this step's own folder, whose name is the digest of recipe and inputs, and every byte is checked
against them.
"""

from __future__ import annotations

import json
import shutil
from collections import defaultdict
from functools import partial
from pathlib import Path
from typing import Any

from steps.core.artifact import Files
from steps.core.errors import ConfigError
from steps.core.parts import PartMarker, PartWriter, marker_key, read_marker
from steps.core.step import StepContext, fingerprint_payload
from steps.train.config import Config
from steps.train.gang import done_file

PHASE = "checkpoint_"


def phase_of(step: int) -> str:
    return f"{PHASE}{step:08d}"


def task_of(step: int, rank: int) -> dict[str, int]:
    return {"step": step, "rank": rank}


class Checkpoints:
    """Takes what the ranks of one run leave in ``out``."""

    def __init__(self, ctx: StepContext, out: Path) -> None:
        self.ctx, self.out = ctx, out
        self.config: Config = ctx.config
        self._taken: dict[int, set[int]] = defaultdict(set)

    def commit(self) -> None:
        """Upload every share that is complete, oldest checkpoint first; then let go of older checkpoints."""
        for done in sorted(self.out.glob("checkpoint-*/DONE-*")):
            step, rank = int(done.parent.name.rpartition("-")[2]), int(done.name.rpartition("-")[2])
            if rank in self._taken[step]:
                continue
            self.ctx.part(phase_of(step), partial(upload, done.parent), task_of(step, rank), number=rank)
            self._taken[step].add(rank)
            if len(self._taken[step]) == self.config.layout.ranks:
                self._let_go(step)

    def _let_go(self, newest: int) -> None:
        """Keep the newest checkpoint on disk, where ranks may roll back to it, and the last few in the store."""
        for folder in self.out.glob("checkpoint-*"):
            if int(folder.name.rpartition("-")[2]) < newest:
                shutil.rmtree(folder)
        ctx, world = self.ctx, self.config.layout.ranks
        steps = [step for step in complete(ctx, ctx.folder, world) if step <= newest]
        kept = {
            entry.object_name
            for step in steps[-self.config.keep_checkpoints :]
            for marker in markers(ctx, ctx.folder, step, world)
            for entry in marker.temporary
        }
        for step in steps[: -self.config.keep_checkpoints]:
            gone = markers(ctx, ctx.folder, step, world)
            for rank in range(world):  # markers first: what has no marker is no checkpoint
                ctx.store.delete(marker_key(ctx.folder, phase_of(step), rank))
            for name in {entry.object_name for marker in gone for entry in marker.temporary} - kept:
                ctx.store.delete(f"{ctx.folder}/{name}")


def upload(folder: Path, task: dict[str, Any], part: PartWriter) -> None:
    """One rank's share of a checkpoint; the first rank's holds the record too."""
    names = [f"state-{task['rank']:04d}.safetensors", *(["record.json"] if task["rank"] == 0 else [])]
    assert done_file(folder, task["rank"]).exists()
    for name in names:
        part.put_file(f"{folder.name}/{name}", folder / name, "checkpoint", temporary=True)


def complete(ctx: StepContext, folder: str, world: int) -> list[int]:
    """Steps of the checkpoints in ``folder`` of which every rank's share is there, ascending."""
    prefix = f"{folder}/parts/{PHASE}"
    shares: dict[int, int] = defaultdict(int)
    for info in ctx.store.list(prefix):
        shares[int(info.key.removeprefix(prefix).partition("-")[0])] += 1
    return sorted(step for step, count in shares.items() if count == world)


def markers(ctx: StepContext, folder: str, step: int, world: int) -> list[PartMarker]:
    found = [
        read_marker(ctx.store, folder, phase_of(step), rank, task_of(step, rank)) for rank in range(world)
    ]
    return [marker for marker in found if marker is not None]


def fetch_newest(ctx: StepContext, target: Path) -> tuple[Path, dict[str, Any] | None] | None:
    """The newest checkpoint to go on from, every byte checked, and the earlier layout that it was made in (None: this).

    Of this very run; where it has none, of the run that `earlier_layouts` names. None: the stage starts afresh.
    Raises ConfigError where that run left nothing, DataError for a file that is not what its marker says.
    """
    config: Config = ctx.config
    folder, world, layout = ctx.folder, config.layout.ranks, None
    steps = complete(ctx, folder, world)
    if not steps and (earlier := config.earlier()) is not None:
        digests = {name: artifact.digest for name, artifact in ctx.inputs.items()}
        folder = f"{ctx.step.name}/{fingerprint_payload(ctx.step, earlier, digests).fingerprint}"
        layout, world = earlier.layout.model_dump(), earlier.layout.ranks
        steps = complete(ctx, folder, world)
        if not steps:
            raise ConfigError(
                f"train_{config.stage}.earlier_layouts: no checkpoint of this stage in the layout {json.dumps(layout)} "
                f"is in {ctx.store.uri}/{folder}; all other settings and inputs must be those of that run"
            )
    if not steps:
        return None
    files = Files(ctx.store, folder)
    for marker in markers(ctx, folder, steps[-1], world):
        for entry in marker.temporary:
            files.fetch(entry, target).rename(target / Path(entry.key).name)
    ctx.log.info("train: going on from the checkpoint of step %d", steps[-1])
    return target, layout
