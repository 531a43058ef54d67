"""`make demo`: a crawl dump to a trained, exported model, on this machine, through real services.

    python -m demo.run                    the sample that comes with tokenmill
    python -m demo.run --dump PLACE       own files: a file, a folder or an s3:// address
    python -m demo.run --stop             stop everything

The services go on running afterwards, for looking around; an interrupt stops what this call started.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import os
import signal
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

from demo import inbox, summary
from demo.airflow_api import AirflowApi, ApiError
from demo.runs import RunFailed, Runs, Wanted
from demo.sample import planted_and_found, sample_files
from demo.screen import Screen
from demo.services import BUCKETS, ROOT, ServiceFailed, Services
from steps.core.pipeline import PIPELINES

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
STATE = Path(os.environ.get("TOKENMILL_STATE", ROOT / ".tokenmill"))
_PARSE_SECONDS = 120
_NEW_LOOK = (
    "\nThe steps or their settings have changed since this dump was judged, so this is a second look at it, and\n"
    "looks at one dump share the error probability. `make clean` forgets the first one and starts afresh."
)
_BUSY = (
    "error: another `make demo` or `make stop` is at work in {state}, perhaps still stopping services: wait until\n"
    "it has ended, or end it with Ctrl-C there or `make stop` here; then run `make demo` again"
)
EXIT_FAILED, EXIT_USAGE, EXIT_UNAVAILABLE = 1, 64, 69


class Stopped(BaseException):
    """SIGINT or SIGTERM arrived; not an Exception, so that nothing on the way swallows it."""

    def __init__(self, number: int) -> None:
        self.exit_code = 128 + number


def main(arguments: list[str] | None = None) -> int:
    """Run the demo, or stop its services; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m demo.run", description=__doc__.splitlines()[0])
    parser.add_argument("--dump", help="own data: a file, a folder or an s3:// address")
    parser.add_argument("--stop", action="store_true", help="stop everything that the demo started")
    options = parser.parse_args(arguments)
    screen, services = Screen(), Services(STATE, os.environ.get("TOKENMILL_RUNNER", "process"))
    with alone(STATE) as first:
        if options.stop:  # another demo too: it ends when its services do
            stopped = services.stop()
            screen.plain(f"stopped {', '.join(stopped)}" if stopped else "nothing was running")
            return 0
        if not first:
            screen.plain(_BUSY.format(state=STATE))
            return EXIT_UNAVAILABLE
        return _run(Demo(services, screen), options.dump)


@contextlib.contextmanager
def alone(state: Path) -> Iterator[bool]:
    """Whether no other process is at work on ``state``; none can begin to be within the block.

    The kernel frees the lock with the process, however that ends; services do not inherit it.
    """
    state.mkdir(parents=True, exist_ok=True)
    with (state / "demo.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True


def _run(demo: Demo, place: str | None) -> int:
    for number in _SIGNALS:
        signal.signal(number, _stop)
    try:
        return demo.run(place)
    except Stopped as stop:
        demo.undo("interrupted")
        return stop.exit_code
    except (ServiceFailed, ApiError) as error:
        demo.undo(str(error))
        return EXIT_UNAVAILABLE
    except inbox.NoData as error:
        demo.screen.say(f"error: {error}")
        return EXIT_USAGE


def _stop(number: int, frame: FrameType | None) -> NoReturn:
    _ignore_signals()
    raise Stopped(number)


def _ignore_signals() -> None:
    """From here on what was started is being stopped: a second interrupt would leave services behind."""
    for number in (*_SIGNALS, signal.SIGHUP):
        signal.signal(number, lambda *_: None)  # SIG_IGN would complain of one that has arrived already


class Demo:
    """One call of the demo."""

    def __init__(self, services: Services, screen: Screen) -> None:
        self.services, self.screen = services, screen
        self.runs: Runs | None = None

    def run(self, place: str | None) -> int:
        """Everything, in order; returns the exit code."""
        if place is not None and not place.startswith("s3://"):
            with inbox.own_files(place):  # refused before anything is started
                pass
        self.services.start(self.screen.say)
        self.screen.say(f"Airflow {self.services.airflow_url}   MLflow {self.services.mlflow_url}")
        api = AirflowApi(self.services.airflow_url, "admin", self.services.settings["airflow_password"])
        self._prepare(api)
        self.runs = Runs(api, STATE, self.screen)
        dump, recipe, reference = self._deliver(place)
        began = datetime.now(UTC).isoformat()
        outcomes: list[summary.Outcome] = []
        try:
            self._ensure(api, Wanted("language_models", "demo_language_models", reference), outcomes)
            factory = Wanted("data_factory", recipe, dump)
            new = self._ensure(api, factory, outcomes)
            training = Wanted("continual_pretraining", "demo_training", dump, follows=True)
            self._ensure(api, training, outcomes, since=began if new else None)
        except RunFailed as error:
            self.screen.plain(f"\n{error}")
            if "was used for another sample" in str(error):
                self.screen.plain(_NEW_LOOK)
            self._summary(outcomes, place)
            return EXIT_FAILED
        self._summary(outcomes, place)
        return 0

    def undo(self, why: str) -> None:
        """Stop what this call started: the run that is under way, and the services that were not there before."""
        _ignore_signals()
        self.screen.say(f"{why}; stopping what was started")
        if self.runs is not None:
            self.runs.stop_active()
        self.services.stop(self.services.started)
        self.screen.say("stopped")

    def _prepare(self, api: AirflowApi) -> None:
        deadline = time.monotonic() + _PARSE_SECONDS
        while missing := [dag for dag in PIPELINES if not api.has_dag(dag)]:
            self.screen.status(f"Airflow reads the DAGs ({', '.join(missing)})")
            errors = api.import_errors()
            if errors or time.monotonic() > deadline:
                raise ServiceFailed(
                    "DAGs are missing in Airflow: " + ("; ".join(errors) or ", ".join(missing))
                )
            time.sleep(1)
        api.import_pools(ROOT / "configs" / "pools.json")
        for dag in (*PIPELINES, "sync_lineage"):
            if api.has_dag(dag):
                api.unpause(dag)

    def _deliver(self, place: str | None) -> tuple[str, str, str]:
        """Put the dump and the reference texts where the recipes look. Returns dump, recipe, reference dump."""
        box = inbox.Inbox(self.services.s3_environment, BUCKETS[1])
        sample = sample_files(STATE, self.screen.say)
        reference = f"demo-reference-{inbox.content_digest(sample.reference)[:8]}"
        for folder, files in (("reference", sample.reference), ("supervised", sample.supervised)):
            box.upload(folder, files)  # beside the dumps: these have no marker, so they are none
        if place is None:
            return box.deliver("demo", sample.dump, self.screen.say), "demo_factory", reference
        with inbox.own_files(place) as (name, files):
            return box.deliver(name, files, self.screen.say), "demo_own_data", reference

    def _ensure(
        self, api: AirflowApi, wanted: Wanted, outcomes: list[summary.Outcome], since: str | None = None
    ) -> bool:
        assert self.runs is not None
        try:
            run_id, new = self.runs.ensure(wanted, since)
        except RunFailed:
            latest = api.runs(wanted.dag, 1)
            if latest:
                outcomes.append(self._outcome(api, wanted.dag, latest[0]["dag_run_id"]))
            raise
        if not new:
            self.screen.say(f"{wanted.dag}: done before for dump {wanted.dump} (run {run_id})")
        outcomes.append(self._outcome(api, wanted.dag, run_id))
        return new

    def _outcome(self, api: AirflowApi, dag: str, run_id: str) -> summary.Outcome:
        found: dict[str, Any] = {
            stage.section: api.result(dag, run_id, stage.section) for stage in PIPELINES[dag]
        }
        return summary.Outcome(dag, run_id, {name: result for name, result in found.items() if result})

    def _summary(self, outcomes: list[summary.Outcome], place: str | None) -> None:
        factory = next((outcome for outcome in outcomes if outcome.dag == "data_factory"), None)
        planted = None
        if factory and place is None:
            planted = planted_and_found(STATE, factory.results, self.services.s3_environment)
        for line in summary.lines(outcomes, planted):
            self.screen.plain(line)
        services = self.services
        for outcome in outcomes:
            if export := outcome.results.get("export"):
                folder = summary.download_model(services.s3_environment, export, STATE / "models")
                self.screen.plain(f"  the model as a folder: {folder}")
        self.screen.plain()
        self.screen.plain(
            f"Airflow   {services.airflow_url}   login admin / {services.settings['airflow_password']}"
        )
        self.screen.plain(f"MLflow    {services.mlflow_url}/#/experiments?workflowType=machine_learning")
        self.screen.plain(
            f"S3        {services.s3_environment['AWS_ENDPOINT_URL']}   keys in {STATE}/services.json"
        )
        self.screen.plain("`make stop` stops them; `make demo` again takes seconds.")


if __name__ == "__main__":
    sys.exit(main())
