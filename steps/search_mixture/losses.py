"""What the cells of a search measured: held-out losses over tokens, who is dominated, who is on the Pareto front."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from steps.core.artifact import Artifact
from steps.search_mixture.config import Cell

COLUMNS = ("cell", *Cell.model_fields, "stopped", "set", "tokens", "loss")


@dataclass(frozen=True)
class Measured:
    """One cell's run. ``losses``: (tokens, nats per token) by validation set, the first at 0 tokens.

    Tokens are positions of the windows trained on: at one place of the data order they are the same in every cell.
    """

    number: int
    cell: Cell
    digest: str
    losses: Mapping[str, Sequence[tuple[int, float]]]
    stopped: Mapping[str, Any] | None = None

    def last(self, name: str) -> float:
        return self.losses[name][-1][1]

    def rise(self, name: str) -> float:
        """How far the loss ended above its start, in nats per token; below 0 where it fell."""
        return self.last(name) - self.losses[name][0][1]


def read_cell(number: int, cell: Cell, train: Artifact) -> Measured:
    """The losses of a cell from the artifact of its last stage, those of earlier stages before them."""
    chain = [train]
    while chain[0].has_input("previous"):
        chain.insert(0, chain[0].input("previous"))
    losses: dict[str, list[tuple[int, float]]] = {}
    before = 0
    for stage in chain:
        record = json.loads(stage.read_bytes(stage.file("record.json")))
        per_step = stage.config["batch_windows"] * stage.input("tokens").facts["sequence_length"]
        for entry in record["heldout"]:
            points = losses.setdefault(entry["set"], [])
            at = before + entry["step"] * per_step
            # a stage starts with the loss that the one before ended with
            if not points or at > points[-1][0]:
                points.append((at, entry["loss"]))
        before += record["step"] * per_step
    return Measured(number, cell, train.digest, losses, train.facts.get("stopped_early"))


def write_csv(measured: Sequence[Measured]) -> bytes:
    """One line per cell, set and measurement, as `tokenmill scaling-law` reads it."""
    text = io.StringIO(newline="")
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(COLUMNS)
    for found in measured:
        place = [found.number, *found.cell.point.values(), int(bool(found.stopped))]
        for name, points in sorted(found.losses.items()):
            rows.writerows([*place, name, tokens, loss] for tokens, loss in points)
    return text.getvalue().encode()


def dominates(one: Mapping[str, float], other: Mapping[str, float]) -> bool:
    """Whether ``one`` is at most as bad on every set and better on one."""
    return all(one[name] <= loss for name, loss in other.items()) and any(
        one[name] < loss for name, loss in other.items()
    )


def pareto_front(measured: Sequence[Measured]) -> list[int]:
    """Numbers of the cells that ran to the end and that no other of them beats on every validation set."""
    ended = {
        found.number: {name: found.last(name) for name in found.losses}
        for found in measured
        if not found.stopped
    }
    return [
        number
        for number, losses in ended.items()
        if not any(dominates(other, losses) for n, other in ended.items() if n != number)
    ]
