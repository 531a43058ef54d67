"""One stage of a planned run as a task: config and inputs out of run.json, the step, its lineage."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Literal

from steps.core import lineage
from steps.core.artifact import Artifact
from steps.core.digest import json_digest
from steps.core.errors import StepError
from steps.core.live import shown
from steps.core.manifest import StepResult
from steps.core.pipeline import Stage, resolve_inputs, stage, stages
from steps.core.runs import section_config
from steps.core.step import Outcome, run_step
from steps.core.store import open_store

_FACT_LIMIT = 2_000  # characters of JSON: an XCom is a pointer, not data
_ENVIRONMENT_TAGS = {
    "TOKENMILL_AIRFLOW_DAG": "airflow.dag_id",
    "TOKENMILL_AIRFLOW_RUN": "airflow.run_id",
    "TOKENMILL_AIRFLOW_TASK": "airflow.task_id",
    "TOKENMILL_AIRFLOW_TRY": "airflow.try_number",
    "TOKENMILL_AIRFLOW_URL": "airflow.url",
    "TOKENMILL_IMAGE": "image.id",
    "TOKENMILL_IMAGE_CONTEXT": "image.context_sha256",
    "TOKENMILL_GIT": "git.sha",
}


def run_section(run: dict[str, Any], section: str, given: Mapping[str, str], root: str) -> StepResult:
    """Run one stage of ``run`` with the references ``given`` for inputs that earlier stages made."""
    place = stage(run["dag"], section)
    from_run = Stage(section, {name: key for name, key in place.inputs.items() if key.startswith("run:")})
    inputs = {**resolve_inputs(from_run, run["inputs"], {}), **given}
    config = section_config(run, section)
    try:
        with shown(open_store(root), head_entry(run, section, place.step)):
            outcome = run_step(
                place.step, config=config, inputs=inputs, root=root, locations=run["locations"], run=run
            )
    except StepError as error:
        lineage.record_failure(open_store(root), run["dag"], run["run_id"], section, error)
        raise
    store, entry = open_store(root), lineage_entry(run, section, config, outcome)
    lineage.record(store, entry)
    return result_of(outcome, section).model_copy(update={"mlflow_run": lineage.run_path(store, entry)})


def head_entry(run: Mapping[str, Any], section: str, step: str) -> lineage.LineageEntry:
    """What MLflow must know of a task to have a run for it before it has made anything."""
    names = {"dag": run["dag"], "run_id": run["run_id"], "dump": run["dump"], "section": section}
    now = datetime.now(UTC)
    return lineage.LineageEntry(**names, step=step, ref="", digest="", fingerprint="", started=now, ended=now)


def result_of(outcome: Outcome, section: str) -> StepResult:
    """What a step hands back; large facts stay in the manifest."""
    artifact = outcome.artifact
    small = {key: value for key, value in outcome.facts.items() if len(json.dumps(value)) <= _FACT_LIMIT}
    return StepResult(
        step=artifact.step,
        section=section,
        ref=artifact.ref,
        uri=artifact.reference.uri,
        digest=artifact.digest,
        fingerprint=artifact.reference.fingerprint,
        cached=outcome.cached,
        documents=artifact.manifest.identity.documents,
        counts=outcome.counts.model_dump(exclude={"groups"}),
        facts=small,
    )


def lineage_entry(
    run: Mapping[str, Any], section: str, config: Mapping[str, Any], outcome: Outcome
) -> lineage.LineageEntry:
    """What MLflow shows of this task: params, counts as metrics, artifacts as data sets, image and git tags."""
    artifact = outcome.artifact
    provenance = artifact.manifest.provenance
    inputs = [
        lineage.Dataset(name=f"{section}.{name}", uri=made.reference.uri, digest=made.digest, context="input")
        for name in artifact.input_names()
        for made in [artifact.input(name)]
    ]
    output = lineage.Dataset(
        name=section, uri=artifact.reference.uri, digest=artifact.digest, context="output"
    )
    views = [view for view in artifact.manifest.views if view.key.endswith("report.html")]
    environment = {tag: os.environ[name] for name, tag in _ENVIRONMENT_TAGS.items() if os.environ.get(name)}
    pins = run.get("images", {})
    return lineage.LineageEntry(
        dag=run["dag"],
        run_id=run["run_id"],
        section=section,
        step=artifact.step,
        dump=run["dump"],
        ref=artifact.ref,
        digest=artifact.digest,
        fingerprint=artifact.reference.fingerprint,
        cached=outcome.cached,
        params=lineage.flatten(config),
        metrics={**count_metrics(outcome), **fact_metrics(section, outcome.facts), **outcome.metrics},
        series=[lineage.Point(name=p["key"], value=p["value"], step=p["step"]) for p in outcome.series],
        inputs=inputs,
        outputs=[output],
        tags={
            "config.sha256": json_digest(dict(config)),
            "made.image": str(provenance.get("image", "")),
            "made.git": str(provenance.get("git", "")),
            **({"images.lock.sha256": json_digest(pins)} if pins else {}),
            **environment,
        },
        run_params={"recipe": run["recipe"]["name"], **lineage.flatten(run["recipe"]["steps"])},
        started=datetime.fromtimestamp(outcome.began, UTC),
        ended=datetime.fromtimestamp(outcome.ended, UTC),
        model=_registered(artifact),
        report=f"{artifact.folder}/{views[0].object_name}" if views else None,
        final=_final(run["dag"], section, outcome.facts),
    )


def _registered(artifact: Artifact) -> lineage.RegisteredModel | None:
    """What the fact ``registry`` asks for: a version of this artifact, or of its input named ``of``."""
    wanted = artifact.facts.get("registry")
    if wanted is None:
        return None
    of = artifact.input(wanted["of"]) if wanted.get("of") else artifact
    said = {name: wanted[name] for name in ("alias", "replaces") if name in wanted}
    tags = wanted["tags"] | ({artifact.step: artifact.ref} if of is not artifact else {})
    return lineage.RegisteredModel(name=wanted["name"], ref=of.ref, digest=of.digest, tags=tags, **said)


def _final(dag: str, section: str, facts: Mapping[str, Any]) -> Literal["", "FINISHED", "FAILED"]:
    """How the parent run ends, on the task that ends it: the last stage, or a gate that does not pass."""
    if section == "gate" and facts.get("status") != "pass":
        return "FAILED"
    return "FINISHED" if section == stages(dag)[-1].section else ""


def count_metrics(outcome: Outcome) -> dict[str, float]:
    """Documents and bytes of a corpus step under the chart prefix ``corpus/``; nothing for other steps."""
    total = outcome.counts.total
    if not total.input.documents:
        return {}
    metrics = {}
    for column in ("input", "kept", "removed", "quarantined"):
        tally = getattr(total, column)
        metrics[f"corpus/{column}_documents"] = float(tally.documents)
        metrics[f"corpus/{column}_bytes"] = float(tally.bytes)
    for reason, tally in outcome.counts.removed_by.items():
        metrics[f"corpus/removed_by/{reason}"] = float(tally.documents)
    return metrics


def fact_metrics(section: str, facts: Mapping[str, Any]) -> dict[str, float]:
    """Numbers among the facts, under the chart prefix that belongs to the stage."""
    prefix = {
        "evaluate": "gate",
        "review": "gate",
        "gate": "gate",
        "train": "train",
        "cell": "train",
        "search_mixture": "eval",
        "export": "eval",
        "benchmark": "eval",
    }.get(section.rstrip("_0123456789"), "corpus")
    return {
        f"{prefix}/{name}": float(value)
        for name, value in facts.items()
        if isinstance(value, (int, float)) and not isinstance(value, bool)
    }
