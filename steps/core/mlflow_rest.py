"""A small MLflow client over REST with one deadline for everything.

Steps need a few calls; the `mlflow` package would cost each step seconds of import, and its own retries
(seven, doubling) cannot be bounded from outside. Only http(s) tracking servers are supported.
"""

from __future__ import annotations

import base64
import http.client
import json
import os
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlsplit

# Limits of MLflow 3.17, mlflow/utils/validation.py
MAX_PARAMS_OR_TAGS, MAX_METRICS, MAX_PARAM_LENGTH, MAX_TAG_LENGTH, MAX_KEY_LENGTH = 100, 1000, 6000, 8000, 250
MAX_DIGEST_LENGTH, MAX_INPUT_TAG_LENGTH = 36, 500
_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 5.0


class Away(Exception):
    """The server did not answer (or answered 5xx/429) before the deadline."""


class Refused(Exception):
    """The server answered 4xx: sending the same again cannot help."""

    def __init__(self, message: str, code: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True)
class ModelVersion:
    """A version of a registered model."""

    number: int
    tags: Mapping[str, str]


def tracking_uri() -> str | None:
    """MLFLOW_TRACKING_URI where it is set and an http(s) address, else None."""
    uri = os.environ.get("MLFLOW_TRACKING_URI", "")
    return uri.rstrip("/") if urlsplit(uri).scheme in ("http", "https") else None


class MlflowRest:
    """Calls to one tracking server. Every call ends by ``deadline`` (a `time.monotonic` value)."""

    def __init__(self, uri: str, deadline: float, clock: Callable[[], float] = time.monotonic) -> None:
        self.uri, self.deadline, self.clock = uri, deadline, clock

    def experiment(self, name: str) -> str:
        """Id of the experiment of that name; made where there is none."""
        try:
            return self._get("experiments/get-by-name", experiment_name=name)["experiment"]["experiment_id"]
        except Refused as error:
            if error.code != "RESOURCE_DOES_NOT_EXIST":
                raise
        try:
            return self._post("experiments/create", name=name)["experiment_id"]
        except Refused as error:
            if error.code != "RESOURCE_ALREADY_EXISTS":  # somebody else made it between the two calls
                raise
        return self._get("experiments/get-by-name", experiment_name=name)["experiment"]["experiment_id"]

    def create_run(self, experiment: str, name: str, started_ms: int, tags: Mapping[str, str]) -> str:
        """Id of a new run. Datasets, params and metrics are added afterwards."""
        run = self._post(
            "runs/create", experiment_id=experiment, run_name=name, start_time=started_ms, tags=_pairs(tags)
        )
        return run["run"]["info"]["run_id"]

    def find_run(self, experiment: str, tag: str, value: str) -> str | None:
        """Id of the oldest active run with that tag, or None. ``value`` must hold no quote."""
        found = self._post(
            "runs/search",
            experiment_ids=[experiment],
            filter=f"tags.`{tag}` = '{value}'",
            order_by=["attributes.start_time ASC"],
            max_results=1,
        )
        runs = found.get("runs", [])
        return runs[0]["info"]["run_id"] if runs else None

    def children(self, experiment: str, parent: str) -> list[dict[str, Any]]:
        """All active runs below a run: id, params and tags by name, names of the metrics."""
        found: list[dict[str, Any]] = []
        token = ""
        while True:
            page = self._post(
                "runs/search",
                experiment_ids=[experiment],
                filter=f"tags.`mlflow.parentRunId` = '{parent}'",
                order_by=["attributes.start_time ASC"],
                max_results=200,
                **({"page_token": token} if token else {}),
            )
            found += [_flat_run(run) for run in page.get("runs", [])]
            token = page.get("next_page_token", "")
            if not token:
                return found

    def history(self, run_id: str, metric: str) -> list[tuple[int, float]]:
        """(step, value) of every point of a metric, by step."""
        points: dict[int, float] = {}
        token = ""
        while True:
            more = {"page_token": token} if token else {}
            page = self._get("metrics/get-history", run_id=run_id, metric_key=metric, **more)
            points |= {int(point.get("step", 0)): float(point["value"]) for point in page.get("metrics", [])}
            token = page.get("next_page_token", "")
            if not token:
                return sorted(points.items())

    def run_exists(self, run_id: str) -> bool:
        """Whether the run is there and not deleted."""
        try:
            info = self._get("runs/get", run_id=run_id)["run"]["info"]
        except Refused as error:
            if error.code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
                return False
            raise
        return info.get("lifecycle_stage", "active") == "active"

    def delete_run(self, run_id: str) -> None:
        """Move the run to MLflow's bin."""
        self._post("runs/delete", run_id=run_id)

    def log(
        self,
        run_id: str,
        params: Mapping[str, str],
        metrics: Sequence[Mapping[str, Any]],
        tags: Mapping[str, str],
    ) -> None:
        """Log in batches within the server's limits. Metrics: {key, value, timestamp (ms), step}."""
        for chunk in _chunks(_pairs(params, MAX_PARAM_LENGTH), MAX_PARAMS_OR_TAGS):
            self._post("runs/log-batch", run_id=run_id, params=chunk)
        for chunk in _chunks(_pairs(tags, MAX_TAG_LENGTH), MAX_PARAMS_OR_TAGS):
            self._post("runs/log-batch", run_id=run_id, tags=chunk)
        for chunk in _chunks(list(metrics), MAX_METRICS):
            self._post("runs/log-batch", run_id=run_id, metrics=chunk)

    def log_inputs(self, run_id: str, datasets: Sequence[Mapping[str, Any]]) -> None:
        """Log data sets, each {"dataset": {...}, "tags": [...]} as MLflow's DatasetInput."""
        if datasets:
            self._post("runs/log-inputs", run_id=run_id, datasets=list(datasets))

    def finish_run(self, run_id: str, status: str, ended_ms: int) -> None:
        """Set the run's status (RUNNING, FINISHED, FAILED) and end time."""
        self._post("runs/update", run_id=run_id, status=status, end_time=ended_ms)

    def last_steps(self, run_id: str) -> dict[str, int]:
        """The last step of every metric that the run has."""
        metrics = self._get("runs/get", run_id=run_id)["run"].get("data", {}).get("metrics", [])
        return {metric["key"]: int(metric.get("step", 0)) for metric in metrics}

    def put_artifact(self, run_id: str, path: str, data: bytes) -> bool:
        """Upload ``data`` through the server's artifact proxy; False where the server does not proxy."""
        uri = self._get("runs/get", run_id=run_id)["run"]["info"]["artifact_uri"]
        if not uri.startswith("mlflow-artifacts:"):
            return False
        where = f"{urlsplit(uri).path.strip('/')}/{path}"
        self._send(
            "PUT", f"/api/2.0/mlflow-artifacts/artifacts/{quote(where)}", data, "application/octet-stream"
        )
        return True

    def ensure_model(self, name: str) -> None:
        """Make the registered model of that name where there is none."""
        try:
            self._post("registered-models/create", name=name)
        except Refused as error:
            if error.code != "RESOURCE_ALREADY_EXISTS":
                raise

    def model_versions(self, name: str) -> list[ModelVersion]:
        """Every version of a registered model, oldest first; none where there is no such model."""
        found, token = [], ""
        while True:
            page = self._get("model-versions/search", filter=f"name='{name}'", page_token=token)
            found += [_version(item) for item in page.get("model_versions", [])]
            token = page.get("next_page_token", "")
            if not token:
                return sorted(found, key=lambda version: version.number)

    def create_version(self, name: str, source: str, run_id: str, tags: Mapping[str, str]) -> ModelVersion:
        """A new version of a registered model, from a run."""
        made = self._post("model-versions/create", name=name, source=source, run_id=run_id, tags=_pairs(tags))
        return _version(made["model_version"])

    def delete_version(self, name: str, number: int) -> None:
        """Take a version out of the registry."""
        self._send(
            "DELETE",
            "/api/2.0/mlflow/model-versions/delete",
            json.dumps({"name": name, "version": str(number)}).encode(),
            "application/json",
        )

    def tag_version(self, name: str, number: int, tags: Mapping[str, str]) -> None:
        """Set tags of a version."""
        for tag in _pairs(tags):
            self._post("model-versions/set-tag", name=name, version=str(number), **tag)

    def aliased(self, name: str, alias: str) -> ModelVersion | None:
        """The version that an alias points to, if any."""
        try:
            return _version(self._get("registered-models/alias", name=name, alias=alias)["model_version"])
        except Refused as error:
            if error.code not in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
                raise
            return None

    def set_alias(self, name: str, alias: str, number: int) -> None:
        """Point an alias to a version."""
        self._post("registered-models/alias", name=name, alias=alias, version=str(number))

    def _get(self, call: str, **query: str) -> dict[str, Any]:
        text = "&".join(f"{key}={quote(value, safe='')}" for key, value in query.items())
        return self._send("GET", f"/api/2.0/mlflow/{call}?{text}", None, "application/json")

    def _post(self, call: str, **body: Any) -> dict[str, Any]:
        data = json.dumps(body, allow_nan=False).encode()
        return self._send("POST", f"/api/2.0/mlflow/{call}", data, "application/json")

    def _send(self, method: str, path: str, data: bytes | None, kind: str) -> dict[str, Any]:
        pause = _FIRST_PAUSE
        while True:
            left = self.deadline - self.clock()
            if left <= 0:
                raise Away(f"MLflow at {self.uri} did not answer in time")
            try:
                return self._once(method, path, data, kind, left)
            except Away:
                if self.deadline - self.clock() <= pause:
                    raise
            time.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)

    def _once(self, method: str, path: str, data: bytes | None, kind: str, timeout: float) -> dict[str, Any]:
        request = urllib.request.Request(
            self.uri + path, data=data, method=method, headers={"Content-Type": kind}
        )
        if authorization := _authorization():
            request.add_unredirected_header("Authorization", authorization)  # not for where a redirect leads
        try:
            with urllib.request.urlopen(request, timeout=timeout) as answer:
                body = answer.read()
        except urllib.error.HTTPError as error:
            text = error.read(4096).decode("utf-8", "replace")
            if error.code >= 500 or error.code == 429:
                raise Away(f"MLflow at {self.uri} answered {error.code}") from None
            raise Refused(
                f"MLflow refused {path.split('?')[0]}: {error.code} {text[:300]}", _code(text)
            ) from None
        except (
            OSError,
            ValueError,
            http.client.HTTPException,
        ) as error:  # refused, reset, timed out, cut short
            raise Away(f"MLflow at {self.uri} does not answer ({type(error).__name__})") from None
        try:
            found = json.loads(body) if body.strip() else {}
        except ValueError:
            found = None
        if not isinstance(found, dict):
            raise Away(f"MLflow at {self.uri} answered with something other than a JSON object")
        return found


def _authorization() -> str | None:
    if token := os.environ.get("MLFLOW_TRACKING_TOKEN"):
        return f"Bearer {token}"
    user, password = os.environ.get("MLFLOW_TRACKING_USERNAME"), os.environ.get("MLFLOW_TRACKING_PASSWORD")
    if user and password:
        return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()
    return None


def _code(text: str) -> str:
    try:
        return str(json.loads(text).get("error_code", ""))
    except (ValueError, AttributeError):
        return ""


def _pairs(values: Mapping[str, str], limit: int = MAX_TAG_LENGTH) -> list[dict[str, str]]:
    return [{"key": key, "value": value[:limit]} for key, value in values.items()]


def _flat_run(run: Mapping[str, Any]) -> dict[str, Any]:
    data = run.get("data", {})
    return {
        "id": run["info"]["run_id"],
        **{kind: {item["key"]: item["value"] for item in data.get(kind, [])} for kind in ("params", "tags")},
        "metrics": sorted(item["key"] for item in data.get("metrics", [])),
    }


def _version(found: Mapping[str, Any]) -> ModelVersion:
    return ModelVersion(int(found["version"]), {tag["key"]: tag["value"] for tag in found.get("tags", [])})


def _chunks(items: list[Any], size: int) -> Iterator[list[Any]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]
