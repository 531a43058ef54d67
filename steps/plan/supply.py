"""What the steps of a run ask of their inputs and these do not have, said before the run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from steps.core.artifact import Artifact
from steps.core.config import StepConfig, Supply
from steps.core.pipeline import resolve_inputs, stages
from steps.core.store import Store


def shortfalls(
    dag: str,
    configs: Mapping[str, StepConfig],
    inputs: Mapping[str, Any],
    made: Mapping[str, str],
    store: Store,
) -> list[str]:
    """One sentence per shortfall, as far as inputs are known: from outside the run, and made by an earlier one."""
    found = []
    for stage in stages(dag):
        config = configs[stage.section]
        if type(config).shortfalls is StepConfig.shortfalls:
            continue  # asks nothing in particular
        supply: dict[str, dict[str, Supply]] = {}
        for name, ref in resolve_inputs(stage, inputs, made).items():
            mine = supply.setdefault(name.partition(".")[0], {})
            for group, counts in Artifact.open(ref, store).manifest.identity.counts.groups.items():
                source = group.rpartition("|")[0]
                before = mine.get(source, Supply(0, 0))
                kept = counts.kept
                mine[source] = Supply(before.documents + kept.documents, before.bytes + kept.bytes)
        found += [f"{stage.section}.{line}" for line in config.shortfalls(supply)]
    return found
