"""What a run would do: which stages are cached, and what memory, disk and time the others will need."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from steps.core.artifact import load_manifest
from steps.core.config import StepConfig
from steps.core.manifest import Reference
from steps.core.pipeline import resolve_inputs, stages
from steps.core.progress import human_bytes
from steps.core.recipe import Recipe
from steps.core.step import fingerprint_payload, load_step
from steps.core.store import Store, open_store
from steps.plan.config import Config
from steps.plan.objects import list_objects

RATES = Path(__file__).with_name("rates.yaml")


def print_forecast(
    recipe: Recipe, configs: Mapping[str, StepConfig], dump: str | None, inputs: dict[str, Any], root: str
) -> None:
    """Print one line per stage: cached, or predicted memory, disk and time from the sizes that go in.

    The rates were measured by ``benchmarks/rates.py``; a stage whose input is not made yet is predicted from
    the input sizes times the usual share that survives up to there.
    """
    store, rates = open_store(root), yaml.safe_load(RATES.read_text())
    listed = [list_objects(source, dump) for source in recipe.sources]
    objects = [item for _, items in listed for item in items]
    raw = sum(item.bytes for item in objects)
    print(f"{recipe.name}: {len(objects)} objects, {human_bytes(raw)}; {os.cpu_count()} cores")
    made: dict[str, str] = {}
    plan = Config(dump=dump or "", sources=[source.settings() for source in recipe.sources], objects=objects)
    source = _committed(store, "plan", plan, {})
    run_inputs = {**inputs, "source": source} if source else inputs
    print(f"{'stage':<20} {'state':<8} {'input':>10} {'memory':>10} {'disk':>10} {'time':>9}")
    for stage in stages(recipe.dag):
        refs = resolve_inputs(stage, run_inputs, made)
        expected = {name for name, origin in stage.inputs.items() if not origin.startswith("run:")}
        ready = source is not None and expected <= set(refs)
        found = _committed(store, stage.step, configs[stage.section], refs) if ready else None
        if found:
            made[stage.section] = found
            print(f"{stage.section:<20} cached")
            continue
        if stage.step not in rates:
            print(f"{stage.section:<20} {'to do':<8} follows the model's size, which is not predicted yet")
            continue
        rate = rates[stage.step]
        size = raw * rate["input_share"]
        seconds = rate["seconds"] + size / 1e6 * rate["seconds_per_mb"] / (os.cpu_count() or 1)
        print(
            f"{stage.section:<20} {'to do':<8} {human_bytes(size):>10} {human_bytes(rate['memory_mb'] * 1e6):>10} "
            f"{human_bytes(size * rate['disk_per_byte']):>10} {seconds:>7.0f} s"
        )


def _committed(store: Store, step: str, config: StepConfig, refs: Mapping[str, str]) -> str | None:
    digests = {name: Reference.parse(ref).digest for name, ref in refs.items()}
    fingerprint = fingerprint_payload(load_step(step), config, digests).fingerprint
    manifest = load_manifest(store, f"{step}/{fingerprint}")
    return f"{store.uri}/{step}/{fingerprint}@{manifest.digest}" if manifest else None
