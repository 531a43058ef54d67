"""What a run would do: which stages are cached, what the others will need, and what will not fit."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from steps.core.artifact import Artifact, load_manifest
from steps.core.config import Runtime, StepConfig
from steps.core.corpus import corpus_layers
from steps.core.dedup_index import members
from steps.core.manifest import Reference
from steps.core.needs import Need, Outlook, Size
from steps.core.pipeline import Stage, resolve_inputs, stages
from steps.core.progress import human_bytes
from steps.core.recipe import Recipe
from steps.core.source import SourceObject
from steps.core.step import fingerprint_payload, load_step
from steps.core.store import Store, open_store
from steps.plan.config import Config
from steps.plan.limits import Limits
from steps.plan.objects import split_sources

RATES = Path(__file__).with_name("rates.yaml")
MARGIN = 1.3  # predictions are so much above what was measured (own choice)
DOCUMENT_BYTES = 1_000  # of text; web pages have two to three times as many, and more documents need more
PARTITION, LEAST_PARTITION = "partition_documents", 10_000  # the setting that bounds a step's memory
BYTES_PER_TOKEN = 4  # of UTF-8 text, and more than Ziya2's Table 2 has of any set (3.6)
NO_CELL = "no cell of the search trains this stage"
SHARD_BYTES = 32_000_000  # 10,000 documents of three times that (ingest.documents_per_shard)
TASK_BYTES = 8 << 20  # of raw objects that make a shard at least (ingest.task_bytes)
# text per byte of a raw object by the end of its name (wiki_zh and wiki_en as .jsonl.gz: 2.1 and 2.7; the demo's
# WARCs: 1.2)
EXPANSION = {".warc.gz": 1.3, ".gz": 3.0, ".zst": 3.0, ".lz4": 2.5, ".bz2": 3.5, ".xz": 3.5, ".parquet": 2.5}


@dataclass(frozen=True)
class Forecast:
    """One stage of a run: its artifact where it is made already, else what it will need (None: not known).

    ``size`` is the text that goes in; a stage whose cost follows the model's size has an ``outlook`` instead.
    """

    stage: Stage
    config: StepConfig
    made: str | None
    size: Size | None
    need: Need | None
    outlook: str = ""


def forecast(
    recipe: Recipe,
    configs: Mapping[str, StepConfig],
    dump: str | None,
    objects: Sequence[SourceObject],
    inputs: Mapping[str, Any],
    root: str,
) -> list[Forecast]:
    """Every stage of the recipe's DAG in running order.

    The sizes are those of inputs that are made already; before that, of the raw objects as text.
    """
    store, rates, workers = open_store(root), load_rates(), Runtime.from_environment().workers
    listed = [[item for item in objects if item.source == source.name] for source in recipe.sources]
    corpora, benchmarks = split_sources(recipe, listed)
    raw = sum(expanded(item.key, item.bytes) for item in corpora["objects"])
    planned = {"source": _committed(store, "plan", Config(dump=dump or "", **corpora), {})}
    if benchmarks["objects"]:
        planned["benchmarks"] = _committed(store, "plan", Config(dump="benchmarks", **benchmarks), {})
    run_inputs = {**inputs, **planned}
    made: dict[str, str] = {}
    found = []
    for stage in stages(recipe.dag):
        refs = resolve_inputs(stage, run_inputs, made)
        expected = {
            name
            for name, origin in stage.inputs.items()
            if not origin.startswith("run:") or origin.removeprefix("run:") in planned
        }
        ready = expected <= set(refs)
        config = configs[stage.section]
        cached = _committed(store, stage.step, config, refs) if ready else None
        if cached:
            made[stage.section] = cached
            found.append(Forecast(stage, config, cached, None, None))
            continue
        if load_step(stage.step).forecast:
            found.append(Forecast(stage, config, None, None, *stage_forecast(stage, configs)))
            continue
        share = rates.get(stage.step, {}).get("input_share", 1.0)
        size = size_of({name: Artifact.open(ref, store) for name, ref in refs.items()}, raw * share)
        if stage.per_cell:
            found.append(packed_forecast(stage, configs, size, workers, rates))
            continue
        found.append(Forecast(stage, config, None, size, need_of(stage.step, config, size, workers, rates)))
    return found


def packed_forecast(
    stage: Stage,
    configs: Mapping[str, StepConfig],
    size: Size,
    workers: int,
    rates: Mapping[str, Mapping[str, float]],
) -> Forecast:
    """`pack` of every mixture of a search: cells that differ in their learning rate alone share one.

    Stage 1 packs no more text than its tokens have; the others all that there is of their sets.
    """
    search: Any = configs["search_mixture"]
    config = configs[stage.section]
    if stage.section not in search.cell_sections(configs):
        return Forecast(stage, config, None, None, None, NO_CELL)
    if stage.section == "pack_1":
        size = size._replace(bytes=min(size.bytes, int(BYTES_PER_TOKEN * search.tokens)))
    mixtures = len({(cell.ratio, cell.replay, cell.stage_order) for cell in search.cells()})
    need = need_of(stage.step, config, size, workers, rates)
    return Forecast(stage, config, None, size, need and need.times(mixtures), f"{mixtures} mixtures")


def print_forecast(recipe: Recipe, objects: Sequence[SourceObject], found: Sequence[Forecast]) -> None:
    """One line per stage: cached, or predicted memory, disk and time."""
    raw, workers = sum(item.bytes for item in objects), Runtime.from_environment().workers
    print(f"{recipe.name}: {len(objects)} objects, {human_bytes(raw)}; {workers} workers")
    print(f"{'stage':<20} {'state':<8} {'text':>10} {'memory':>10} {'scratch':>10} {'disk':>10} {'time':>9}")
    for item in found:
        if item.made:
            print(f"{item.stage.section:<20} cached")
        elif item.need is None:
            print(f"{item.stage.section:<20} {'to do':<8} {item.outlook}")
        else:
            need, text = item.need, human_bytes(item.size.bytes) if item.size else ""
            columns = " ".join(
                f"{human_bytes(size):>10}" for size in (need.memory, need.scratch, need.stored)
            )
            time = f"{need.seconds / workers:>7.0f} s" if item.size else f"{'':>9}"
            line = f"{item.stage.section:<20} {'to do':<8} {text:>10} {columns} {time}  {item.outlook}"
            print(line.rstrip())


def stage_forecast(stage: Stage, configs: Mapping[str, StepConfig]) -> Outlook:
    """What a stage whose cost follows the model's size says itself. Raises ConfigError where it cannot run."""
    own = load_step(stage.step).forecast
    if own is None:
        return Outlook(None, "not predicted")
    if not stage.per_cell:
        return own(configs[stage.section], configs)
    search: Any = configs["search_mixture"]
    trained = search.cell_sections(configs)
    if stage.section not in trained:
        return Outlook(None, NO_CELL)
    need, said = own(trained[stage.section], trained)
    cells = len(search.cells())
    return Outlook(need and need.times(cells), f"{cells} cells, each: {said}")


def unfit(found: Sequence[Forecast], limits: Limits) -> Iterator[str]:
    """One line for each thing that will not fit, with what would."""
    stored = 0.0
    for item in found:
        if item.need is None:
            continue
        stored += item.need.stored
        room, where = limits.memory(item.stage.step)
        if item.need.memory > room:
            what = item.outlook
            if item.size:
                what = f"{human_bytes(item.size.bytes)} of text with {limits.workers} workers"
            yield (
                f"{item.stage.section}: needs about {human_bytes(item.need.memory)} of memory for {what}, and {where} "
                f"{human_bytes(room)}; {_remedy(item, room, limits.workers)}"
            )
        if item.need.scratch > limits.scratch:
            yield (
                f"{item.stage.section}: needs about {human_bytes(item.need.scratch)} of scratch space, and "
                f"{limits.scratch_place} has {human_bytes(limits.scratch)} free; make room, or name another place "
                "with TOKENMILL_SCRATCH"
            )
    if stored > limits.store:
        yield (
            f"the run writes about {human_bytes(stored)} below {limits.root}, where {human_bytes(limits.store)} are "
            "free; make room, use another root, or give it fewer objects"
        )


def _remedy(item: Forecast, room: float, workers: int) -> str:
    """What would make a stage fit: fewer workers, else another setting, else more memory."""
    step, config = item.stage.step, item.config
    more = f"give it more (TOKENMILL_STEP_MEMORY_{step.upper()}, or a larger machine)"
    if item.size is None:
        return more
    for fewer in range(workers - 1, 0, -1):
        if _memory(step, config, item.size, fewer) <= room:
            return f"TOKENMILL_WORKERS={fewer} would fit"
    for documents in _other_partitions(getattr(config, PARTITION, 0), item.size):
        other = config.model_copy(update={PARTITION: documents})
        if _memory(step, other, item.size, 1) <= room:
            return f"TOKENMILL_WORKERS=1 and {item.stage.section}.{PARTITION}: {documents} would fit"
    return more


def _other_partitions(documents: int, size: Size) -> Iterator[int]:
    """Half the setting, a quarter and so on; then twice it and more, for many partitions take memory of their own."""
    smaller = larger = documents
    while smaller > LEAST_PARTITION:
        smaller //= 2
        yield smaller
    while 0 < larger < size.documents + size.published:
        larger *= 2
        yield larger


def _memory(step: str, config: StepConfig, size: Size, workers: int) -> float:
    need = need_of(step, config, size, workers, load_rates())
    return need.memory if need else 0.0


def need_of(
    step: str, config: StepConfig, size: Size, workers: int, rates: Mapping[str, Mapping[str, float]]
) -> Need | None:
    """What a step needs for an input of ``size``, with `MARGIN`: by its rates, else by its own prediction.

    A step with rates is not loaded: `plan` starts as fast as before.
    """
    rate = rates.get(step)
    if rate is not None:
        workers = min(workers, max(1, math.ceil(size.bytes / TASK_BYTES)))  # no more than there are shards
        memory = rate["memory_mb"] + (workers - 1) * rate["worker_mb"]
        need = Need(
            memory * 1e6 + size.models + workers * size.shard * rate["memory_per_shard_byte"],
            workers * size.shard,
            size.bytes * rate["disk_per_byte"],
            rate["seconds"] + size.bytes / 1e6 * rate["seconds_per_mb"],
        )
    else:
        own = load_step(step).needs
        if own is None:
            return None
        need = own(config, size, workers)
    return Need(*(MARGIN * value for value in need))


def size_of(inputs: Mapping[str, Artifact], raw: float) -> Size:
    """The size of a stage's inputs: of its corpus where that is made already, else of so many bytes of text."""
    indexes = [made for name, made in inputs.items() if name.startswith("index.")]
    published = sum(
        member.manifest.identity.counts.total.kept.documents
        for index in indexes
        for member in members(index).values()
    )
    models = sum(
        entry.bytes
        for name, made in inputs.items()
        if name.startswith("language_models.")
        for entry in made.files("kenlm")
    )
    corpus = inputs.get("corpus")
    if corpus is None or not corpus.facts.get("makes"):
        return Size(int(raw / DOCUMENT_BYTES), int(raw), int(min(raw, SHARD_BYTES)), published, models)
    written = corpus.manifest.identity.counts.total.written
    rows = [entry.rows or 0 for entry in corpus_layers(corpus)[0][1] if entry.kind == "shard"]
    largest = written.bytes * max(rows, default=0) / max(sum(rows), 1)
    return Size(written.documents, written.bytes, int(largest), published, models)


def expanded(key: str, size: int) -> float:
    """Bytes of text that a raw object may hold."""
    ending = next((end for end in EXPANSION if key.lower().endswith(end)), "")
    return size * EXPANSION.get(ending, 1.0)


def load_rates() -> dict[str, dict[str, float]]:
    """By step: ``seconds`` at the start and per MB of text on one core; ``memory_mb`` of the first process, language
    models apart, ``worker_mb`` of each further one, ``memory_per_shard_byte`` of every one; ``disk_per_byte`` of text;
    and ``input_share``, the step's text per byte of raw text."""
    rates: dict[str, dict[str, float]] = yaml.safe_load(RATES.read_text())
    return rates


def _committed(store: Store, step: str, config: StepConfig, refs: Mapping[str, str]) -> str | None:
    digests = {name: Reference.parse(ref).digest for name, ref in refs.items()}
    fingerprint = fingerprint_payload(load_step(step), config, digests).fingerprint
    manifest = load_manifest(store, f"{step}/{fingerprint}")
    return f"{store.uri}/{step}/{fingerprint}@{manifest.digest}" if manifest else None
