"""The `docker` runner, and `step_task`, the one place that chooses a runner (TOKENMILL_RUNNER)."""

from __future__ import annotations

import io
import json
import os
import tarfile
import time
from collections import deque
from collections.abc import Iterator
from typing import Any

import requests
from airflow.providers.docker.operators.docker import DockerOperator
from airflow.sdk import BaseOperator, ResumableJobMixin
from airflow.sdk.exceptions import AirflowException, AirflowFailException
from docker.errors import APIError, DockerException, ImageNotFound, NotFound

from plugins.connections import endpoint_environment, s3_environment
from plugins.image_lock import CONTEXT_LABEL, LockedImage, image_pins, locked_image
from plugins.process_operator import ProcessStepOperator
from plugins.publishing import emit_outlets
from plugins.report_link import ReportLink
from plugins.step_command import (
    MAX_LINE,
    MAX_RESULT_BYTES,
    StageSpec,
    command_of,
    failure,
    parse_result,
    run_facts,
    step_environment,
)
from steps.core.pipeline import Stage

RESULT_PATH = "/tmp/step-result.json"
TRAIN = "train"
_LOGGED_UNTIL = "logged_until"
_LABELS = ("dag", "run", "task", "map_index")


class StepOperator(ResumableJobMixin, DockerOperator):
    """Runs a stage in its pinned container, which outlives this worker.

    A retry finds the container that a dead worker left and follows it to its end; a container that ended
    badly, or belongs to an older try, is removed first. Images are never pulled unless images.lock pins a
    registry digest.

    :param spec: the stage (fields of StageSpec)
    :param image: name of the image in images.lock
    :param grace: seconds between SIGTERM and SIGKILL
    :param cell: number and label of the search's cell that the task is mapped to
    """

    external_id_key = "container_id"
    template_fields = ()
    ui_color = "#e6f4ea"
    operator_extra_links = (ReportLink(),)
    mlflow_run: str | None = None

    def __init__(
        self,
        *,
        spec: dict[str, Any],
        image: str,
        grace: int = 60,
        cell: dict[str, Any] | None = None,
        **options: Any,
    ) -> None:
        super().__init__(image=image, mount_tmp_dir=False, auto_remove="never", **options)
        self.spec, self.grace, self.cell = spec, grace, cell
        self._stage = StageSpec(**spec)
        self._result: dict[str, Any] | None = None
        self._last_lines: deque[str] = deque(maxlen=1)

    def execute(self, context: Any) -> Any:
        """Run the step, or follow the one that runs already; its StepResult is the XCom."""
        result = self.execute_resumable(context)
        emit_outlets(self, context, result)
        self.mlflow_run = result.get("mlflow_run")
        return result

    def on_kill(self) -> None:
        """SIGTERM to the step, SIGKILL after the grace period; the container is removed."""
        container = (self.container or {}).get("Id")
        if container is None:
            return
        self.log.info("stopping the step's container, %d s grace", self.grace)
        try:
            # the API's own answer takes as long as the grace period
            self.cli.stop(container, timeout=self.grace)
            self._remove(container)
        except NotFound:
            pass

    # What ResumableJobMixin asks for

    def submit_job(self, context: Any) -> str:
        image = self._image()
        labels = self._labels(context)
        self._remove_leftovers(labels)
        command = command_of(self._stage, context, self.cell)
        self.log.info("%s", " ".join(command))
        pin = locked_image(self.image).context
        facts = {**run_facts(context), "TOKENMILL_IMAGE": image["Id"], "TOKENMILL_IMAGE_CONTEXT": pin}
        facts["TOKENMILL_IMAGES"] = json.dumps(image_pins())
        step = self._stage.step
        environment = {
            **step_environment(step, RESULT_PATH, facts),
            **s3_environment(),
            **endpoint_environment(step),
        }
        self.container = self.cli.create_container(
            image=image["Id"],
            command=command,
            labels={**labels, "tokenmill.try": str(context["ti"].try_number)},
            environment=environment,
            host_config=self.cli.create_host_config(**host_limits(self._stage.step)),
        )
        self.cli.start(self.container["Id"])
        self.log.info("container %s, image %s", self.container["Id"][:12], image["Id"])
        return self.container["Id"]

    def get_job_status(self, external_id: Any, context: Any) -> str:
        try:
            state = self.cli.inspect_container(external_id)["State"]
        except NotFound:
            return "gone"
        return f"exited {state['ExitCode']}" if state["Status"] in ("exited", "dead") else state["Status"]

    def is_job_active(self, status: str) -> bool:
        return status in ("created", "running", "paused", "restarting")

    def is_job_succeeded(self, status: str) -> bool:
        return status == "exited 0"

    def poll_until_complete(self, external_id: Any, context: Any) -> Any:
        """Follow the log to the container's end. After a reattach the mixin returns what this returns."""
        self.container = {"Id": external_id}
        while True:  # also the log of one that has ended already: that may be why
            for line in self._follow(external_id, context.get("task_state_store")):
                self.log.info("%s", line)
                self._last_lines.append(line)
            if not self.is_job_active(self.get_job_status(external_id, context)):
                return self.get_job_result(external_id, context)
            time.sleep(0.2)

    def get_job_result(self, external_id: Any, context: Any) -> dict[str, Any]:
        if self._result is not None:  # the mixin asks a second time after a fresh run; the container is gone
            return self._result
        try:
            state = self.cli.inspect_container(external_id)["State"]
        except NotFound:
            raise AirflowException(f"{self._stage.section}: the container was removed while it ran") from None
        try:
            if state["ExitCode"] == 0:
                self._result = parse_result(self._stage.section, self._read_result(external_id))
                return self._result
        finally:
            self._remove(external_id)
        memory = None
        if state.get("OOMKilled"):
            step = self._stage.step
            memory = f"its container's limit is {_memory(step)} (TOKENMILL_STEP_MEMORY_{step.upper()})"
        last_line = self._last_lines[0] if self._last_lines else ""
        raise failure(self._stage.section, state["ExitCode"], last_line, memory)

    # Parts of the above

    def _image(self) -> dict[str, Any]:
        locked = locked_image(self.image)
        try:
            found = self.cli.inspect_image(locked.reference)
        except ImageNotFound:
            if not locked.in_registry:
                raise _no_image(locked, "is not on this engine") from None
            self.log.info("pulling %s", locked.reference)
            try:
                self.cli.pull(locked.reference)
                found = self.cli.inspect_image(locked.reference)
            except APIError as error:
                raise AirflowException(
                    f"image {locked.reference} cannot be pulled: {error.explanation}"
                ) from None
        stamped = ((found.get("Config") or {}).get("Labels") or {}).get(CONTEXT_LABEL)
        if stamped != locked.context:
            raise _no_image(locked, f"was built from another context ({(stamped or 'no label')[:12]})")
        return found

    def _labels(self, context: Any) -> dict[str, str]:
        instance = context["ti"]
        values = (instance.dag_id, instance.run_id, instance.task_id, str(instance.map_index))
        return {f"tokenmill.{name}": value for name, value in zip(_LABELS, values, strict=True)}

    def _remove_leftovers(self, labels: dict[str, str]) -> None:
        wanted = [f"{name}={value}" for name, value in labels.items()]
        for left in self.cli.containers(all=True, filters={"label": wanted}):
            self.log.warning("removing the leftover container %s (%s)", left["Id"][:12], left["Status"])
            try:
                self.cli.stop(left["Id"], timeout=self.grace)
                self._remove(left["Id"])
            except NotFound:
                continue

    def _remove(self, container: str) -> None:
        """Remove a container; whoever kills the task and whoever sees it end may do so at the same time."""
        try:
            self.cli.remove_container(container, force=True)
        except APIError as error:
            if error.status_code not in (404, 409):  # gone; being removed
                raise

    def _follow(self, container: str, state: Any) -> Iterator[str]:
        """Log lines not logged yet. Docker's time stamps say where a reattach goes on."""
        done = (state.get(_LOGGED_UNTIL) if state is not None else None) or ""
        if not done.startswith(container[:12]):
            done = ""
        last = done.partition(" ")[2]
        saved = time.monotonic()
        try:
            for stamp, line in self._stamped_lines(container, last):
                if stamp <= last:
                    continue
                last = stamp
                if line:
                    yield line
                if time.monotonic() - saved > 5:
                    saved = time.monotonic()
                    if state is not None:
                        state.set(_LOGGED_UNTIL, f"{container[:12]} {last}")
        except (requests.exceptions.RequestException, DockerException) as error:
            self.log.warning("the log stream broke (%s); following it again", type(error).__name__)
        if state is not None and last:
            state.set(_LOGGED_UNTIL, f"{container[:12]} {last}")

    def _stamped_lines(self, container: str, after: str) -> Iterator[tuple[str, str]]:
        # docker takes whole seconds reliably; the caller drops what it has seen
        since = _epoch_seconds(after) if after else None
        rest = b""
        for chunk in self.cli.logs(container, stream=True, follow=True, timestamps=True, since=since):
            *lines, rest = (rest + chunk).split(b"\n")
            for raw in lines:
                stamp, _, text = raw[: MAX_LINE + 40].decode("utf-8", "replace").partition(" ")
                yield stamp, text.replace("\r", "\n").rstrip().rpartition("\n")[2]
            rest = rest[: MAX_LINE + 40]  # no more of it is logged, however long it becomes

    def _read_result(self, container: str) -> bytes:
        try:
            stream, information = self.cli.get_archive(container, RESULT_PATH)
        except NotFound:
            raise AirflowFailException(
                f"{self._stage.section} ended well but wrote no {RESULT_PATH}: is its image older?"
            ) from None
        if information["size"] > MAX_RESULT_BYTES:
            return b" " * (MAX_RESULT_BYTES + 1)  # parse_result says it
        with tarfile.open(fileobj=io.BytesIO(b"".join(stream))) as archive:
            file = archive.extractfile(archive.getmembers()[0])
            return file.read() if file is not None else b""


def host_limits(step: str) -> dict[str, Any]:
    """Limits of a step's container, from TOKENMILL_STEP_* (one step: TOKENMILL_STEP_MEMORY_TRAIN).

    Arguments for docker's `create_host_config`. Memory without swap, no capabilities, no new privileges.
    """
    memory = _memory(step)
    limits: dict[str, Any] = {
        "mem_limit": memory,
        "memswap_limit": memory,
        "nano_cpus": int(float(_setting("CPUS", str(os.cpu_count() or 1), step)) * 1e9),
        "pids_limit": int(_setting("PIDS", "4096", step)),
        "shm_size": _setting("SHM", "1g", step),
        "network_mode": _setting("NETWORK", "bridge", step),
        "cap_drop": ["ALL"],
        "security_opt": ["no-new-privileges"],
        "init": True,
        "log_config": {"type": "json-file", "config": {"max-size": "50m", "max-file": "2"}},
    }
    if gpus := _setting("GPUS", "", step):
        from docker.types import DeviceRequest

        limits["device_requests"] = [DeviceRequest(device_ids=gpus.split(","), capabilities=[["gpu"]])]
    return limits


def step_task(dag: str, stage: Stage, runner: str | None = None, **options: Any) -> BaseOperator:
    """The Airflow task of a stage. ``runner``: docker or process (default: TOKENMILL_RUNNER, else docker).

    Raises ValueError for another runner. ``options`` go to the operator (outlets, trigger_rule …).
    """
    operator, arguments = _operator(dag, stage, runner)
    task: BaseOperator = operator(**arguments, **options)
    return task


def cell_tasks(dag: str, stage: Stage, cells: Any, **options: Any) -> Any:
    """One mapped task per item of ``cells`` ({"cell": number, "label": text}), named by its label.

    It trains, among other things: its container has the limits and GPUs of the step train.
    """
    operator, arguments = _operator(dag, stage, None)
    arguments["spec"]["step"] = TRAIN
    template = "{{ task.cell['label'] }}"
    return operator.partial(**arguments, map_index_template=template, **options).expand(cell=cells)


def _operator(dag: str, stage: Stage, runner: str | None) -> tuple[Any, dict[str, Any]]:
    """The operator of the runner, and what it is told about the stage."""
    runner = runner or os.environ.get("TOKENMILL_RUNNER", "docker")
    tasks = {name: origin for name, origin in stage.inputs.items() if not origin.startswith("run:")}
    fields = {"dag": dag, "section": stage.section, "step": stage.step, "inputs": tasks}
    arguments = {"task_id": stage.section, "pool": stage.pool, "spec": fields}
    if runner == "process":
        return ProcessStepOperator, arguments
    if runner == "docker":
        return StepOperator, {**arguments, "image": stage.image}
    raise ValueError(f"TOKENMILL_RUNNER is {runner!r}; it must be docker or process")


def _no_image(locked: LockedImage, what: str) -> AirflowFailException:
    return AirflowFailException(
        f"image {locked.name} ({locked.reference}) {what}; images.lock wants context {locked.context[:12]}: "
        "run `make images` on the machine of the Docker engine"
    )


def _memory(step: str) -> str:
    return _setting("MEMORY", "4g", step)


def _setting(name: str, default: str, step: str) -> str:
    own = os.environ.get(f"TOKENMILL_STEP_{name}_{step.upper()}")
    return own or os.environ.get(f"TOKENMILL_STEP_{name}") or default


def _epoch_seconds(stamp: str) -> int:
    from datetime import datetime

    return int(datetime.fromisoformat(stamp[:19] + "+00:00").timestamp())
