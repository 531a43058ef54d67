"""The registry's champion of the model's name, and whether this model is better."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from typing import Any

from steps.benchmark.config import Config
from steps.benchmark.scores import difference, item_scores
from steps.core.artifact import Artifact
from steps.core.errors import StepError
from steps.core.mlflow_rest import Away, MlflowRest, ModelVersion, Refused, tracking_uri
from steps.core.model_registry import DIGEST
from steps.core.store import Store

ALIAS = "champion"
SCORES = "scores"  # tag of a version: its scores by benchmark, as JSON
VERSIONS_SHOWN = 20
WAIT_SECONDS = 30.0  # CONTRACT §8: a step waits at most this long for MLflow


def registered(name: str) -> tuple[ModelVersion | None, list[ModelVersion], str]:
    """(champion, every version, why the registry could not be asked or "") of a registered model."""
    uri = tracking_uri()
    if uri is None:
        return None, [], "MLFLOW_TRACKING_URI names no server"
    try:
        mlflow = MlflowRest(uri, time.monotonic() + WAIT_SECONDS)
        return mlflow.aliased(name, ALIAS), mlflow.model_versions(name), ""
    except (Away, Refused) as error:
        return None, [], str(error)


def compare(
    config: Config, store: Store, name: str, digest: str, items: Mapping[str, Sequence[Mapping[str, Any]]]
) -> dict[str, Any]:
    """How this model (``digest`` of its export, ``items`` by benchmark) stands to the champion, and who goes on.

    The answer is recorded with the artifact: the registry changes, what was compared does not.
    """
    champion, versions, silent = registered(name)
    others = [
        {"version": version.number, "scores": _scores(version), "champion": champion == version}
        for version in versions
        if version.tags.get(DIGEST) != digest and version.tags.get(SCORES)
    ]
    answer: dict[str, Any] = {"others": others[-VERSIONS_SHOWN:], "rows": [], "champion": 0, "silent": silent}
    if silent:
        return answer | {"promoted": False}
    wins = config.champion.promote == "better"
    if champion is None:
        return answer | {"promoted": wins}
    answer["champion"] = champion.number
    if champion.tags.get(DIGEST) == digest:
        return answer | {"promoted": False, "itself": True}
    counted = config.champion.benchmarks or tuple(config.benchmarks)
    rows = [_row(config, benchmark, items[benchmark], champion, store) for benchmark in counted]
    better = any(row["says"] == "better" for row in rows)
    safe = all(row["says"] in ("better", "no difference") for row in rows)
    return answer | {"rows": rows, "promoted": wins and better and safe}


def _row(
    config: Config, name: str, items: Sequence[Mapping[str, Any]], champion: ModelVersion, store: Store
) -> dict[str, Any]:
    """One benchmark: difference, interval and verdict."""
    benchmark = config.benchmarks[name]
    row: dict[str, Any] = {"benchmark": name}
    try:
        theirs = Artifact.open(champion.tags["benchmark"], store)
        if theirs.config["benchmarks"].get(name) != benchmark.model_dump() or any(
            theirs.config.get(setting) != ours for setting, ours in beside(config).items()
        ):
            return row | {
                "says": "not comparable",
                "why": "the champion was not measured with these settings",
            }
        last = theirs.facts["scores"][-1]["model"]
        found = read_items(theirs, last, name)
    except KeyError:
        return row | {"says": "not comparable", "why": "the champion was never measured"}
    except StepError as error:
        return row | {"says": "not comparable", "why": str(error)}
    gap = difference(item_scores(benchmark, items), item_scores(benchmark, found), config.confidence)
    if gap is None:
        return row | {"says": "not comparable", "why": "no item is in both"}
    says = "better" if gap.low > 0 else "worse" if gap.high < 0 else "no difference"
    return row | gap._asdict() | {"says": says}


def beside(config: Config) -> dict[str, Any]:
    """What the scores of every benchmark depend on: the draw of worked examples, and what a program may use."""
    return {"seed": config.seed, "code": config.code.model_dump(mode="json")}


def read_items(artifact: Artifact, model: str, benchmark: str) -> list[dict[str, Any]]:
    """The items of one model and benchmark in a benchmark artifact. Raises DataError where it has none."""
    table = artifact.read_table(artifact.file(items_key(model, benchmark)))
    return [row | {"scores": json.loads(row["scores"])} for row in table.to_pylist()]


def items_key(model: str, benchmark: str) -> str:
    return f"items/{model}/{benchmark}.parquet"


def _scores(version: ModelVersion) -> dict[str, float]:
    try:
        found = json.loads(version.tags[SCORES])
        return {str(name): float(value) for name, value in found.items()}
    except (ValueError, AttributeError, TypeError):  # somebody else's tag of the same name
        return {}
