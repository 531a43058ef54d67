"""What came from what, in MLflow: one parent run per DAG run, one child per task (CONTRACT §8).

A step that has committed writes a `LineageEntry` to the store (create-only, beside its artifact), and then
sends it. MLflow being away loses nothing: what was not delivered stays listed under `lineage/pending/` and
the next step, or the `sync_lineage` DAG, delivers it. Delivery is idempotent, from any number of senders:
the store's create-only write decides which MLflow run stands for a DAG run or a task.
"""

from __future__ import annotations

import hashlib
import json
import logging
import math
import re
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field

from steps.core.errors import StepError
from steps.core.mlflow_rest import (
    MAX_DIGEST_LENGTH,
    MAX_INPUT_TAG_LENGTH,
    MAX_KEY_LENGTH,
    Away,
    MlflowRest,
    Refused,
    tracking_uri,
)
from steps.core.model_registry import RegisteredModel, register
from steps.core.store import ObjectMissing, Store

log = logging.getLogger(__name__)

PENDING = "lineage/pending/"
WAIT_SECONDS = 30.0  # CONTRACT §8: a step waits at most this long for MLflow
_OLDER_ENTRIES = 20  # how many of other steps' undelivered entries one step sends on its way
_MAX_REPORT_BYTES = 8 << 20
_LONGEST_PARAM = 500  # characters; own choice: longer ones cannot be compared by eye
_NOT_IN_KEY = re.compile(r"[^\w\-./: ]", re.ASCII)


class Dataset(BaseModel):
    """An artifact or raw source that a task read or made."""

    model_config = ConfigDict(extra="forbid", frozen=True, ser_json_inf_nan="constants")
    name: str
    uri: str
    digest: str = Field(description="content digest, hex")
    context: str = Field("input", description="role: input, output, training …")
    tags: dict[str, str] = {}


class Point(BaseModel):
    """One value of a metric over steps (optimizer steps, shards …)."""

    model_config = ConfigDict(extra="forbid", frozen=True, ser_json_inf_nan="constants")
    name: str
    value: float
    step: int = 0
    time_ms: int | None = None


class LineageEntry(BaseModel):
    """Everything MLflow shows about one task of one DAG run. Never holds a secret."""

    model_config = ConfigDict(extra="forbid", frozen=True, ser_json_inf_nan="constants")
    schema_version: int = 1
    dag: str
    run_id: str = Field(description="Airflow run id, or any id of this execution")
    section: str = Field(description="task id: step name, with suffix where a step is repeated")
    step: str
    dump: str = ""
    ref: str = Field(description="<uri>@<content digest> of the artifact")
    digest: str
    fingerprint: str
    cached: bool = Field(False, description="the artifact was committed by an earlier run")
    origin: str | None = Field(
        None, description="lineage key of the task that made a cached artifact; found by record"
    )
    params: dict[str, Any] = Field({}, description="flat config of the section")
    metrics: dict[str, float] = Field({}, description="summary values with chart prefix: corpus/kept")
    series: list[Point] = []
    inputs: list[Dataset] = []
    outputs: list[Dataset] = []
    tags: dict[str, str] = Field({}, description="image, git, config digests, airflow ids …")
    run_params: dict[str, Any] = Field({}, description="params of the whole run, logged on the parent")
    started: datetime
    ended: datetime
    report: str | None = Field(None, description="key of report.html in the store")
    model: RegisteredModel | None = Field(None, description="what the model registry shall know")
    final: Literal["", "FINISHED", "FAILED"] = Field("", description="on the last task: closes the parent")

    @property
    def key(self) -> str:
        """Names the entry: the same for every attempt of one task of one run."""
        return _digest(self.dag, self.run_id, self.section)

    @property
    def path(self) -> str:
        """Key of the outbox object, beside the artifact."""
        return f"{self.step}/{self.fingerprint}/lineage/{self.key}.json"


@dataclass(frozen=True)
class Delivery:
    """Result of `deliver`: numbers of entries sent, left for later (MLflow away), and refused by MLflow."""

    sent: int
    left: int
    refused: int


def flatten(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested config as flat ``a.b.c`` keys, so that a person can compare two runs.

    A list of things with an id (filter rules) becomes one key per id with its numbers; other lists become JSON
    text, and what is longer than 500 characters its digest: the whole of it is in run.json.
    """
    flat: dict[str, Any] = {}
    for name, value in values.items():
        key = f"{prefix}.{name}" if prefix else str(name)
        if isinstance(value, Mapping) and value:
            flat.update(flatten(value, key))
        elif isinstance(value, list) and value and all(isinstance(v, Mapping) and "id" in v for v in value):
            flat.update({f"{key}.{item['id']}": _numbers(item) for item in value})
        elif len(text := json.dumps(value)) > _LONGEST_PARAM:
            flat[key] = f"sha256 {hashlib.sha256(text.encode()).hexdigest()[:16]}"
        else:
            flat[key] = value
    return flat


def _numbers(item: Mapping[str, Any]) -> dict[str, float]:
    return {k: v for k, v in item.items() if isinstance(v, (int, float)) and not isinstance(v, bool)}


def record(store: Store, entry: LineageEntry, wait: float = WAIT_SECONDS) -> None:
    """Write ``entry`` to the outbox and send it, waiting at most ``wait`` seconds for MLflow.

    Called after the artifact's commit, by every attempt. It never fails the step: an entry that could not
    be written or sent is logged as a warning; what was written is delivered later.
    """
    pointer = f"{PENDING}{entry.key}.json"
    try:
        entry = _with_origin(store, entry)
        # the pointer first: an entry without pointer would never be delivered, a pointer whose entry is
        # missing is only skipped until the retry writes it
        fresh = store.head(entry.path) is None
        if fresh:
            store.create(pointer, json.dumps({"entry": entry.path}).encode())
            store.create(entry.path, entry.model_dump_json().encode())
        if not fresh and store.head(pointer) is None:
            return  # an earlier attempt delivered it
    except StepError as error:
        log.warning("lineage of %s not recorded: %s", entry.section, error)
        return
    if tracking_uri() is None:
        log.info("lineage kept in the store; MLFLOW_TRACKING_URI is not set")
        return
    deadline = time.monotonic() + wait
    result = deliver(store, deadline, first=pointer, limit=_OLDER_ENTRIES)
    if result.left:
        log.warning(
            "MLflow is away: lineage is kept in the store and delivered by the next step or sync_lineage"
        )


def record_failure(
    store: Store, dag: str, run_id: str, section: str, error: StepError, wait: float = WAIT_SECONDS
) -> None:
    """End the run of a DAG as failed in MLflow, with the message, where a stage has recorded anything yet.

    Never raises. A retry that reaches the last stage ends the run anew; MLflow being away costs this mark only.
    """
    if (uri := tracking_uri()) is None:
        return
    try:
        run = json.loads(store.get(f"lineage/runs/{_digest(dag, run_id)}.json"))["run_id"]
        mlflow = MlflowRest(uri, time.monotonic() + wait)
        mlflow.log(run, {}, [], {f"failed.{section}": str(error)})
        mlflow.finish_run(run, "FAILED", _milliseconds(datetime.now(UTC)))
    except ObjectMissing:
        return
    except (Away, Refused, StepError, ValueError, KeyError) as problem:
        log.warning("MLflow does not know yet that %s failed: %s", section, problem)


def _with_origin(store: Store, entry: LineageEntry) -> LineageEntry:
    """Say which task made the artifact. An attempt that was killed after its commit made it itself."""
    path = f"{entry.step}/{entry.fingerprint}/lineage/origin.json"
    store.create(path, json.dumps({"lineage": entry.key}).encode())
    origin = json.loads(store.get(path))["lineage"]
    return entry.model_copy(update={"cached": origin != entry.key, "origin": origin})


def deliver(store: Store, deadline: float, first: str | None = None, limit: int | None = None) -> Delivery:
    """Send undelivered entries until ``deadline`` (`time.monotonic`), the pointer ``first`` before others.

    Returns what was sent, left and refused. Safe to run from several places at once. Raises nothing: a
    store error counts the entry as left.
    """
    uri = tracking_uri()
    sent = left = refused = 0
    try:
        pointers = list(_pointers(store, first, limit))
    except StepError as error:
        log.warning("lineage: %s", error)
        return Delivery(0, 1, 0)
    if uri is None:
        return Delivery(0, len(pointers), 0)
    for number, pointer in enumerate(pointers):
        try:
            if _deliver_one(store, MlflowRest(uri, deadline), pointer):
                sent += 1
        except Away as error:
            log.info("%s", error)
            left = len(pointers) - number
            break
        except Refused as error:
            log.warning("%s (entry %s stays in the store)", error, pointer)
            refused += 1
        except (StepError, ValueError, KeyError) as error:
            log.warning("lineage entry %s not delivered: %s", pointer, error)
            left += 1
    return Delivery(sent, left, refused)


def _pointers(store: Store, first: str | None, limit: int | None) -> Iterable[str]:
    if first is not None:
        yield first
    for count, item in enumerate(store.list(PENDING)):
        if limit is not None and count >= limit:
            return
        if item.key != first:
            yield item.key


def _deliver_one(store: Store, mlflow: MlflowRest, pointer: str) -> bool:
    try:
        entry = LineageEntry.model_validate_json(store.get(json.loads(store.get(pointer))["entry"]))
    except ObjectMissing:
        return False  # delivered by somebody else a moment ago, or its step was killed before writing it
    parent, child = open_runs(store, mlflow, entry)
    metrics = _metrics(entry, mlflow.last_steps(child) if entry.series else {})
    datasets = [_dataset(item, entry) for item in (*entry.inputs, *entry.outputs)]
    mlflow.log(child, _texts(entry.params), metrics, {**_texts(entry.tags), **_child_tags(store, entry)})
    mlflow.log_inputs(child, datasets)
    _report(store, mlflow, child, entry)
    if entry.model is not None:
        register(mlflow, entry.model, child, moves_alias=not entry.cached)
    mlflow.finish_run(child, "FINISHED", _milliseconds(entry.ended))
    _log_parent(mlflow, parent, entry, datasets)
    store.delete(pointer)
    return True


def open_runs(store: Store, mlflow: MlflowRest, entry: LineageEntry) -> tuple[str, str]:
    """Ids of the MLflow runs of the whole DAG run and of the entry's task, found or made."""
    experiment = mlflow.experiment(entry.dag)
    parent = _run(store, mlflow, experiment, _digest(entry.dag, entry.run_id), entry.dump or entry.run_id, {
        "stage": "pipeline", "mlflow.note.content": _note(entry, pipeline=True), **_identity_tags(entry),
    }, entry)  # fmt: skip
    child = _run(store, mlflow, experiment, entry.key, entry.section, {
        "stage": entry.section, "mlflow.parentRunId": parent, **_identity_tags(entry),
    }, entry)  # fmt: skip
    return parent, child


def _run(
    store: Store,
    mlflow: MlflowRest,
    experiment: str,
    key: str,
    name: str,
    tags: dict[str, str],
    entry: LineageEntry,
) -> str:
    """The MLflow run that stands for ``key``: found, or made once even if several senders try."""
    path = f"lineage/runs/{key}.json"
    etag = None
    try:
        data, etag = store.get_with_etag(path)
        run_id = json.loads(data)["run_id"]
        if mlflow.run_exists(run_id):
            return run_id
    except ObjectMissing:
        pass
    run_id = mlflow.find_run(experiment, "tokenmill.lineage", key)
    made = run_id is None
    if run_id is None:
        tags = {"tokenmill.lineage": key, **tags}
        run_id = mlflow.create_run(experiment, name, _milliseconds(entry.started), tags)
    if store.replace(path, json.dumps({"run_id": run_id, "experiment": experiment}).encode(), etag):
        return run_id
    winner = json.loads(store.get(path))["run_id"]
    if made and winner != run_id:
        mlflow.delete_run(run_id)
    return winner


def run_path(store: Store, entry: LineageEntry) -> str | None:
    """experiments/<id>/runs/<id> of the MLflow run that stands for an entry, and to its report where it has one.

    None before it was delivered.
    """
    path = _path(store, entry.key)
    return f"{path}/artifacts/report.html" if path and entry.report else path


def parent_path(store: Store, dag: str, run_id: str) -> str | None:
    """experiments/<id>/runs/<id> of a whole run of a DAG; None before one of its tasks was delivered."""
    return _path(store, _digest(dag, run_id))


def _path(store: Store, key: str) -> str | None:
    try:
        found = json.loads(store.get(f"lineage/runs/{key}.json"))
    except ObjectMissing:
        return None
    # runs that an earlier version made have no experiment on record
    return f"experiments/{found['experiment']}/runs/{found['run_id']}" if "experiment" in found else None


def _log_parent(mlflow: MlflowRest, parent: str, entry: LineageEntry, datasets: list[dict[str, Any]]) -> None:
    """The summary on the parent: params per section, final metrics, the data sets the stage made."""
    params = {f"{entry.section}.{key}": value for key, value in entry.params.items()}
    summary = [
        {"key": _key(name), "value": value, "timestamp": _milliseconds(entry.ended), "step": 0}
        for name, value in _summary(entry).items()
        if math.isfinite(value)
    ]
    mlflow.log(parent, _texts({**entry.run_params, **params}), summary, _texts({
        f"artifact.{entry.section}": entry.ref, **({"dump": entry.dump} if entry.dump else {}),
    }))  # fmt: skip
    mlflow.log_inputs(parent, [item for item in datasets if _context(item) != "input"])
    if entry.final:
        mlflow.finish_run(parent, entry.final, _milliseconds(entry.ended))


def _summary(entry: LineageEntry) -> dict[str, float]:
    """On the parent a metric of a repeated or generic name carries its section: corpus/filter/bytes_kept."""
    named = {}
    for name, value in entry.metrics.items():
        chart, _, rest = name.partition("/")
        named[f"{chart}/{entry.section}/{rest}" if rest else f"{entry.section}/{name}"] = value
    return named


def _metrics(entry: LineageEntry, sent: Mapping[str, int]) -> list[dict[str, Any]]:
    """The entry's metrics; of a series only what lies behind the last step that was ``sent`` while the task ran."""
    ended = _milliseconds(entry.ended)
    rows = [Point(name=name, value=value, time_ms=ended) for name, value in entry.metrics.items()]
    rows += [
        point if point.time_ms else point.model_copy(update={"time_ms": ended})
        for point in entry.series
        if point.step > sent.get(_key(point.name), -1)
    ]
    return point_rows(rows)


def point_rows(points: Iterable[Point]) -> list[dict[str, Any]]:
    """Points as MLflow's REST calls want them."""
    return [
        {"key": _key(point.name), "value": point.value, "timestamp": point.time_ms, "step": point.step}
        for point in points
        if math.isfinite(point.value)  # JSON has no NaN
    ]


def _identity_tags(entry: LineageEntry) -> dict[str, str]:
    tags = {"airflow.dag_id": entry.dag, "airflow.run_id": entry.run_id}
    if entry.dump:
        tags |= {"airflow.partition_key": entry.dump, "dump": entry.dump}
    if git := entry.tags.get("git.sha"):
        tags["git.sha"] = git
    return tags


def _child_tags(store: Store, entry: LineageEntry) -> dict[str, str]:
    tags = {
        "artifact": entry.ref,
        "fingerprint": entry.fingerprint,
        "cached": str(entry.cached).lower(),
        "mlflow.note.content": _note(entry, pipeline=False),
    }
    if entry.cached and entry.origin:
        try:
            tags["cached.run_id"] = json.loads(store.get(f"lineage/runs/{entry.origin}.json"))["run_id"]
        except ObjectMissing:
            tags["cached.lineage"] = entry.origin  # the original has not been delivered yet
    return tags


def _note(entry: LineageEntry, pipeline: bool) -> str:
    if pipeline:
        return f"`{entry.dag}` run `{entry.run_id}`" + (f", dump `{entry.dump}`" if entry.dump else "")
    made = "re-used, committed by an earlier run" if entry.cached else "made by this task"
    return f"artifact `{entry.ref}` ({made})"


def _dataset(item: Dataset, entry: LineageEntry) -> dict[str, Any]:
    """MLflow's DatasetInput, as `MetaDataset(resolve_dataset_source(uri), name, digest)` would log it."""
    kind = {"s3": "s3", "file": "local", "https": "http", "http": "http"}.get(
        urlsplit(item.uri).scheme, "code"
    )
    source = {"url": item.uri} if kind == "http" else {"uri": item.uri}
    tags = {
        "mlflow.data.context": item.context,
        "content_digest": item.digest,
        "section": entry.section,
        **item.tags,
    }
    return {
        "dataset": {
            "name": item.name[:500],
            "digest": item.digest[:MAX_DIGEST_LENGTH],
            "source_type": kind,
            "source": json.dumps(source),
        },
        "tags": [{"key": key[:255], "value": value[:MAX_INPUT_TAG_LENGTH]} for key, value in tags.items()],
    }


def _context(item: dict[str, Any]) -> str:
    return next(tag["value"] for tag in item["tags"] if tag["key"] == "mlflow.data.context")


def _report(store: Store, mlflow: MlflowRest, run_id: str, entry: LineageEntry) -> None:
    if entry.report is None:
        return
    info = store.head(entry.report)
    if info is not None and info.size <= _MAX_REPORT_BYTES:
        mlflow.put_artifact(run_id, "report.html", store.get(entry.report))


def _texts(values: Mapping[str, Any]) -> dict[str, str]:
    return {
        _key(name): value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        for name, value in values.items()
    }


def _key(name: str) -> str:
    return _NOT_IN_KEY.sub("_", name)[:MAX_KEY_LENGTH]


def _milliseconds(moment: datetime) -> int:
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return int(aware.timestamp() * 1000)


def _digest(*names: str) -> str:
    return hashlib.sha256("\0".join(names).encode()).hexdigest()[:32]
