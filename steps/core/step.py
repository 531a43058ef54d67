"""The driver: runs one step from config and inputs to a committed artifact.

The CLI, the Airflow tasks, the recipes and the tests all go through `run_step`.
"""

from __future__ import annotations

import importlib.metadata
import logging
import os
import platform
import re
import shutil
import signal
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

from steps.core.artifact import MANIFEST, Artifact, Files, load_manifest
from steps.core.config import Runtime, StepConfig, parse_config
from steps.core.corpus import BASE_INPUT, Corpus, corpus_layers
from steps.core.counts import Counts
from steps.core.digest import bytes_digest
from steps.core.document_set import corpus_documents
from steps.core.engine import Engine
from steps.core.errors import ConfigError, DataError, Overtaken, StepError, StorageFullError, UsageError
from steps.core.manifest import FileEntry, Identity, Manifest, Payload
from steps.core.needs import Need, Outlook, Size
from steps.core.parts import (
    PartFunction,
    PartMarker,
    PartResult,
    PartWork,
    PartWriter,
    cached_store,
    do_part,
    read_marker,
    select_inputs,
)
from steps.core.progress import Progress
from steps.core.ray_engine import RayEngine
from steps.core.store import DISK_FULL, Store

ALWAYS_RELEVANT = ("pyarrow",)  # every Parquet byte depends on it
# of inputs from which workers are started before it is known that they are needed: one core reads as much in the
# half second that a start takes (own measurement)
EARLY_BYTES = 4_000_000
# attempts of a step that others overtake again and again, before it gives up until a retry (own choice)
ROUNDS = 5

StepInputs = dict[str, Artifact]


@dataclass(frozen=True)
class Input:
    """An input of a step. ``many``: given as ``name.<key>``, any number."""

    name: str
    optional: bool = False
    many: bool = False


@dataclass(frozen=True)
class Step:
    """The declaration of a step."""

    name: str
    version: int
    config: type[StepConfig]
    run: Callable[[StepContext], None]
    inputs: tuple[Input, ...] = ()
    libraries: tuple[str, ...] = ()
    makes: Literal["corpus", "overlay"] | None = None
    determinism: Literal["exact", "per-layout", "recorded"] = "exact"
    report: Callable[[StepContext, Counts], bytes] | None = None
    """Makes ``report.html`` for people; not part of the identity."""
    forecast: Callable[[Any, Mapping[str, Any]], Outlook] | None = None
    """Says from configs alone (its own, all stages' by section) what it will need, where that follows the model's size;
    raises ConfigError where it cannot run."""
    needs: Callable[[Any, Size, int], Need] | None = None
    """Predicts from config, size and workers what the step needs, where rates (steps/plan/rates.yaml) do not do."""
    settle: Callable[[StepInputs, Mapping[str, Any], Store, Runtime], StepInputs] | None = None
    """Called before every attempt with the inputs, the run (run.json), the store and the runtime: gives the inputs as
    the catalog wants them now, which may have moved since the run was planned."""
    after_commit: Callable[[Artifact, Mapping[str, Any]], None] | None = None
    """Called after every commit, cached ones too, with the artifact and the run; must be idempotent. Where it raises
    Overtaken, the step is settled and done again."""


@dataclass
class Outcome:
    """A committed artifact and how it came about."""

    artifact: Artifact
    cached: bool
    metrics: dict[str, float] = field(default_factory=dict)
    series: list[dict[str, Any]] = field(default_factory=list)
    began: float = 0.0
    ended: float = 0.0

    @property
    def ref(self) -> str:
        return self.artifact.ref

    @property
    def digest(self) -> str:
        return self.artifact.digest

    @property
    def counts(self) -> Counts:
        return self.artifact.manifest.identity.counts

    @property
    def facts(self) -> dict[str, Any]:
        return self.artifact.facts


class StepContext:
    """What a step's run() works with."""

    def __init__(
        self,
        step: Step,
        config: StepConfig,
        inputs: dict[str, Artifact],
        store: Store,
        folder: str,
        runtime: Runtime,
        engine: Engine | RayEngine,
        scratch: Path,
        locations: Mapping[str, str],
    ) -> None:
        self.step, self.inputs, self.store, self.folder = step, inputs, store, folder
        self.config: Any = config
        self.runtime, self.scratch, self.locations = runtime, scratch, dict(locations)
        self.log = logging.getLogger(f"tokenmill.{step.name}")
        self.engine = engine
        self.progress = Progress(step.name, self.log, runtime.progress_seconds)
        self.parts: list[PartMarker] = []
        self.facts: dict[str, Any] = {}
        self.provenance: dict[str, Any] = {}
        self.metrics: dict[str, float] = {}
        self.series: list[dict[str, Any]] = []

    def input_list(self, name: str) -> dict[str, Artifact]:
        """The inputs ``name.<key>`` of an input that takes many, by key, sorted."""
        return select_inputs(self.inputs, name)

    def corpus(self, name: str = BASE_INPUT) -> Corpus:
        """The corpus behind the input ``name``."""
        return Corpus.open(self.inputs[name])

    def map(
        self,
        phase: str,
        function: PartFunction,
        tasks: Sequence[dict[str, Any]],
        *,
        unit: str = "shards",
        first: int = 0,
    ) -> list[PartResult]:
        """Do one part per task, on all workers; parts finished by an earlier attempt are taken as they are.

        ``function(task, part)`` is a module-level function; it returns a small JSON value (``PartResult.result``)
        and must depend on nothing but its task, the config and the inputs. Results come in task order; parts are
        numbered from ``first``.
        """
        works = [self._work(phase, number, function, task) for number, task in enumerate(tasks, first)]
        found = [read_marker(self.store, self.folder, phase, work.number, work.task) for work in works]
        todo = [work for work, marker in zip(works, found, strict=True) if marker is None]
        self.progress.start(phase, len(works), len(works) - len(todo), unit)
        for index, marker in self.engine.map(do_part, todo):
            found[todo[index].number - first] = marker
            self.progress.advance(marker.counts.total.input)
        results = [marker for marker in found if marker is not None]
        # temporary files are for the caller alone: with what is said of their contents they may be many
        self.parts.extend(part.model_copy(update={"temporary": []}) for part in results)
        return results

    def part(
        self, phase: str, function: PartFunction, task: dict[str, Any] | None = None, *, number: int = 0
    ) -> PartResult:
        """One part in this process: a reduce step, with the same resume as `map`."""
        return self.map(phase, function, [task or {}], unit="part", first=number)[0]

    def _work(self, phase: str, number: int, function: PartFunction, task: dict[str, Any]) -> PartWork:
        refs = {name: artifact.ref for name, artifact in self.inputs.items()}
        return PartWork(
            self.store.uri,
            self.folder,
            self.step.name,
            self.config,
            refs,
            None if self.engine.remote else self.scratch,
            phase,
            number,
            function,
            task,
            self.locations,
        )

    def set(self, key: str, value: Any) -> None:
        """Record a fact found on the way (a threshold, a size); it is part of the artifact's identity."""
        self.facts[key] = value

    def metric(self, name: str, value: float, step: int | None = None) -> None:
        """Record a metric for MLflow: the latest value, or a point of a series where ``step`` is given."""
        if step is None:
            self.metrics[name] = float(value)
        else:
            self.series.append({"key": name, "value": float(value), "step": int(step)})

    def files(self) -> Files:
        """Checked access to files that earlier phases of this step wrote."""
        return Files(self.store, self.folder)


class Terminated(SystemExit):
    """SIGTERM or SIGINT arrived: running parts are dropped, finished ones stay."""


def run_step(
    step: Step | str,
    *,
    config: Mapping[str, Any] | StepConfig,
    inputs: Mapping[str, str],
    root: str,
    runtime: Runtime | None = None,
    locations: Mapping[str, str] | None = None,
    run: Mapping[str, Any] | None = None,
) -> Outcome:
    """Run ``step`` on input references and commit its artifact under ``root``; a committed one is returned as it is.

    ``locations`` says where raw objects lie (identity does not), ``run`` is the run.json content for hooks.
    Raises StepError.
    """
    runtime, run = runtime or Runtime.from_environment(), run or {}
    rounds = ROUNDS
    while True:
        step, outcome = _settled_outcome(step, config, inputs, root, runtime, locations or {}, run)
        try:
            if step.after_commit:
                step.after_commit(outcome.artifact, run)
            return outcome
        except Overtaken:
            rounds -= 1
            if not rounds:
                raise


def _settled_outcome(
    step: Step | str,
    config: Mapping[str, Any] | StepConfig,
    inputs: Mapping[str, str],
    root: str,
    runtime: Runtime,
    locations: Mapping[str, str],
    run: Mapping[str, Any],
) -> tuple[Step, Outcome]:
    """The step, loaded, and its artifact for the inputs as they are wanted now."""
    store = cached_store(root)
    artifacts = {name: Artifact.open(ref, store) for name, ref in sorted(inputs.items())}
    uris = [store.uri, *inputs.values(), *locations.values()]
    with _engine(runtime, uris) as engine:
        if isinstance(step, str):
            if sum(entry.bytes for made in artifacts.values() for entry in made.files()) >= EARLY_BYTES:
                engine.prepare(f"steps.{step}.step")  # the workers load it while this process does
            step = load_step(step)
        if step.settle:
            artifacts = step.settle(artifacts, run, store, runtime)
        return step, _outcome(step, config, artifacts, store, runtime, engine, locations)


def _outcome(
    step: Step,
    config: Mapping[str, Any] | StepConfig,
    artifacts: dict[str, Artifact],
    store: Store,
    runtime: Runtime,
    engine: Engine | RayEngine,
    locations: Mapping[str, str],
) -> Outcome:
    """The committed artifact, found or made."""
    parsed = config if isinstance(config, StepConfig) else parse_config(step.config, dict(config), step.name)
    check_inputs(step, artifacts)
    payload = fingerprint_payload(step, parsed, {name: a.digest for name, a in artifacts.items()})
    folder = f"{step.name}/{payload.fingerprint}"
    began = time.time()
    committed = load_manifest(store, folder)
    if committed is not None:
        return Outcome(Artifact.of(store, folder, committed), cached=True, began=began, ended=time.time())
    with _scratch(runtime.scratch, step.name) as scratch:
        context = StepContext(step, parsed, artifacts, store, folder, runtime, engine, scratch, locations)
        try:
            with _stop_signals():
                manifest = _run_and_commit(context, payload, began)
        except BaseException:
            engine.close(kill=True)  # before its scratch is removed
            raise
    return Outcome(
        Artifact.of(store, folder, manifest), False, context.metrics, context.series, began, time.time()
    )


@contextmanager
def _engine(runtime: Runtime, uris: Sequence[str]) -> Iterator[Engine | RayEngine]:
    """Workers for the time of one step: this machine's, or the Ray cluster's that RAY_ADDRESS names."""
    address = os.environ.get("RAY_ADDRESS")
    engine = RayEngine(address, uris) if address else Engine(runtime.workers)
    try:
        yield engine
    except BaseException:
        engine.close(kill=True)
        raise
    engine.close()


def load_step(name: str) -> Step:
    """The step of that name. Raises UsageError for an unknown one."""
    if not re.fullmatch(r"[a-z][a-z_]*", name):
        raise UsageError(f"{name!r} is not a step name")
    try:
        module = importlib.import_module(f"steps.{name}.step")
    except ModuleNotFoundError as error:
        if error.name not in (f"steps.{name}", f"steps.{name}.step"):
            raise
        raise UsageError(f"there is no step {name!r}") from None
    found: Step = module.STEP
    return found


def check_inputs(step: Step, given: Mapping[str, Any]) -> None:
    """Raise UsageError for every input that is missing or that the step does not know."""
    known = {i.name: i for i in step.inputs}
    problems = [
        f"step {step.name} needs the input {i.name}" + (".<key>" if i.many else "")
        for i in step.inputs
        if not i.optional and not any(n == i.name or (i.many and n.startswith(f"{i.name}.")) for n in given)
    ]
    for name in given:
        stem, dot, _ = name.partition(".")
        if stem not in known or bool(dot) != known[stem].many:
            problems.append(f"step {step.name} has no input {name}")
    if problems:
        raise UsageError("\n".join(problems))


def fingerprint_payload(step: Step, config: StepConfig, inputs: Mapping[str, str]) -> Payload:
    """What the step's fingerprint is made of; ``inputs`` are content digests by name."""
    return Payload(
        step=step.name,
        version=step.version,
        libraries={name: library_version(name) for name in sorted({*step.libraries, *ALWAYS_RELEVANT})},
        config=config.model_dump(mode="json"),
        inputs=dict(inputs),
    )


def library_version(name: str) -> str:
    """The installed version of a distribution, else the one that the lock files pin."""
    try:
        return importlib.metadata.version(name).partition("+")[0]
    except importlib.metadata.PackageNotFoundError:
        pins = Path(__file__).parents[2] / "requirements"
        pattern = re.compile(rf"^{re.escape(name).replace('_', '[-_]')}==([^\s;\\]+)", re.I | re.M)
        for lock in sorted(pins.glob("*.txt")):
            if match := pattern.search(lock.read_text()):
                return match[1]
        raise ConfigError(f"library {name} is neither installed nor pinned in requirements/") from None


def _run_and_commit(context: StepContext, payload: Payload, began: float) -> Manifest:
    step = context.step
    step.run(context)
    documents = _documents(context) if step.makes else None
    if step.makes:
        context.facts["makes"] = step.makes
    counts = Counts.sum(part.counts for part in context.parts)
    counts.check(step.name)
    _check_quarantine(context, counts)
    files = sorted((f for part in context.parts for f in part.files), key=lambda f: f.key)
    doubled = {a.key for a, b in pairwise(files) if a.key == b.key}
    if doubled:
        raise DataError(f"step {step.name} wrote {', '.join(sorted(doubled))} twice: an error in the step")
    identity = Identity(payload=payload, files=files, counts=counts, documents=documents, facts=context.facts)
    provenance = {
        **context.provenance,
        "inputs": {name: _location(context.store, artifact) for name, artifact in context.inputs.items()},
        "locations": context.locations,
        "host": platform.node(),
        "image": os.environ.get("TOKENMILL_IMAGE", ""),
        "git": os.environ.get("TOKENMILL_GIT", ""),
        "began": round(began, 3),
        "ended": round(time.time(), 3),
        "workers": context.runtime.workers,
    }
    views = [view for part in context.parts for view in part.views]
    if step.report:
        views += _report(context, step.report, counts)
    manifest = Manifest.of(identity, provenance, views)
    key = f"{context.folder}/{MANIFEST}"
    if not context.store.create(key, manifest.encode()):
        existing = load_manifest(context.store, context.folder)
        if existing is None or existing.digest != manifest.digest:
            raise DataError(
                f"{context.store.uri}/{key} exists with another content: {step.name} is not deterministic"
            )
        return existing
    return manifest


def _report(
    context: StepContext, draw: Callable[[StepContext, Counts], bytes], counts: Counts
) -> list[FileEntry]:
    """The page for people. An error in drawing it is logged and costs the page, never the work it is about."""
    try:
        page = draw(context, counts)
    except (StepError, MemoryError):
        raise  # a damaged file or a full disk concerns the artifact, too
    except Exception:
        context.log.exception("%s: report.html could not be drawn; the artifact has none", context.step.name)
        return []
    entry = FileEntry(key="report.html", kind="view", bytes=len(page), sha256=bytes_digest(page))
    context.store.put(f"{context.folder}/{entry.object_name}", page)
    return [entry]


def _check_quarantine(context: StepContext, counts: Counts) -> None:
    limit = getattr(context.config, "max_quarantine_share", None)
    share = counts.total.quarantined.documents / max(counts.total.input.documents, 1)
    if limit is not None and share > limit:
        worst = sorted(counts.quarantined_by.items(), key=lambda item: -item[1].documents)[:3]
        reasons = ", ".join(f"{reason}: {tally.documents}" for reason, tally in worst)
        raise DataError(
            f"step {context.step.name}: {counts.total.quarantined.documents} of {counts.total.input.documents} "
            f"documents ({share:.1%}) were quarantined, more than max_quarantine_share {limit:.1%} ({reasons})"
        )


def _documents(context: StepContext) -> str:
    """The document-set digest of what this step kept."""
    here: tuple[Files, list[FileEntry]] = (context.files(), [f for part in context.parts for f in part.files])
    layers = [here] if context.step.makes == "corpus" else [*corpus_layers(context.inputs[BASE_INPUT]), here]
    return corpus_documents(Corpus(layers, None, context.folder), context.scratch)


def _location(store: Store, artifact: Artifact) -> str:
    """Where an input lies: relative inside the same root, so that a moved root still resolves."""
    return artifact.folder if artifact.store.uri == store.uri else artifact.reference.uri


@contextmanager
def _scratch(place: Path, step: str) -> Iterator[Path]:
    """A private folder below ``place``, removed afterwards. Raises StorageFullError where its disk is full."""
    try:
        place.mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(prefix=f"tokenmill-{step}-", dir=place))
        try:
            yield scratch
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
    except OSError as error:
        if error.errno not in DISK_FULL:
            raise
        raise StorageFullError(
            f"step {step}: {error.strerror} in the scratch folder {place}; make room and retry "
            "(TOKENMILL_SCRATCH names another place)"
        ) from None


@contextmanager
def _stop_signals() -> Iterator[None]:
    """Turn SIGTERM and SIGINT into an exception, so that workers and scratch are cleaned up before the process ends."""

    def stop(number: int, _frame: Any) -> None:
        raise Terminated(128 + number)

    try:
        before = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGINT)}
    except ValueError:  # not the main thread: the owner of the process answers signals
        yield
        return
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


__all__ = ["Input", "Outcome", "PartWriter", "Step", "StepContext", "run_step"]
