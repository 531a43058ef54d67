"""The services of the embedded default: S3 (SeaweedFS), MLflow and Airflow on loopback, on free ports.

State (data, logs, ports, generated credentials) lives under `.tokenmill/`. Every service runs in a session of
its own, and every step that Airflow starts carries TOKENMILL_STEPS_OF: that is how they are found again and
how nothing is left behind.
"""

from __future__ import annotations

import base64
import contextlib
import http.client
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from plugins.processes import Trace, end_processes, load_trace
from steps.core.settings_file import read_settings, write_settings
from steps.core.signing import PUBLIC_KEYS, SIGNING_KEY, new_keys

ROOT = Path(__file__).resolve().parent.parent
STEPS_MARK, SERVICE_MARK = "TOKENMILL_STEPS_OF", "TOKENMILL_DEMO_SERVICE"
BUCKETS = ("tokenmill", "inbox")
_NO_ANSWER = (OSError, ValueError, http.client.HTTPException)  # none, another program's, or one cut off
_PORTS = (
    "s3", "s3_grpc", "master", "master_grpc", "volume", "volume_grpc", "filer", "filer_grpc",
    "mlflow", "airflow", "worker_log", "trigger_log",
)  # fmt: skip
_AIRFLOW, _STORES = ("scheduler", "triggerer", "dag_processor", "api"), ("mlflow", "s3")


@contextlib.contextmanager
def _undivided() -> Iterator[None]:
    """An interrupt counts only after the block: a process just begun could not be found and stopped yet."""
    arrived: list[int] = []
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.signal(number, lambda n, _: arrived.append(n)) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        if arrived:
            signal.raise_signal(arrived[0])


class ServiceFailed(Exception):
    """A service did not come up; the message ends with where its log is."""


@dataclass(frozen=True)
class Service:
    """A process to run: its command, its extra environment, and a question whether it answers."""

    name: str
    command: list[str]
    environment: dict[str, str]
    healthy: Callable[[], bool]
    seconds: float


class Services:
    """The services of one state directory."""

    def __init__(self, state: Path, runner: str = "process") -> None:
        self.state, self.runner = state.resolve(), runner
        self.started: list[str] = []
        self._settings: dict[str, Any] = {}

    # Addresses and credentials

    @property
    def settings(self) -> dict[str, Any]:
        """Ports and generated credentials, from `services.json` (readable by its owner only)."""
        path = self.state / "services.json"
        if not self._settings and path.exists():
            self._settings = json.loads(path.read_text())
        return self._settings

    @property
    def signing(self) -> dict[str, str]:
        """The keys that labels and verdicts are signed with and checked by, from `signing.env`."""
        return read_settings(self.state / "signing.env")

    @property
    def mlflow_url(self) -> str:
        return f"http://127.0.0.1:{self.settings['ports']['mlflow']}"

    @property
    def airflow_url(self) -> str:
        return f"http://127.0.0.1:{self.settings['ports']['airflow']}"

    @property
    def s3_environment(self) -> dict[str, str]:
        """AWS_* variables of the S3 server."""
        return {
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{self.settings['ports']['s3']}",
            "AWS_ACCESS_KEY_ID": self.settings["s3_key"],
            "AWS_SECRET_ACCESS_KEY": self.settings["s3_secret"],
            "AWS_DEFAULT_REGION": "us-east-1",
        }

    # Starting and stopping

    def start(self, say: Callable[[str], None]) -> None:
        """Bring up what is not running. Raises ServiceFailed; ``started`` says what was started till then."""
        self.state.mkdir(parents=True, exist_ok=True)
        self._prepare()
        for service in (self._s3(), self._mlflow()):
            self._launch(service, say)
        self._await("s3", self._s3().healthy, 60)
        self._make_buckets()
        self._migrate(say)
        airflow = self._airflow()
        for service in airflow:
            self._launch(service, say)
        for service in (self._mlflow(), *airflow):
            self._await(service.name, service.healthy, service.seconds)

    def stop(self, names: list[str] | None = None, grace: float = 20.0) -> list[str]:
        """Stop the named services (None: all, and every running step). Returns those that ran."""
        chosen = [name for name in (*_AIRFLOW, *_STORES) if names is None or name in names]
        counts: dict[str, int] = {}
        for group in (_AIRFLOW, _STORES):  # steps need S3 and MLflow while they are being stopped
            members = [name for name in group if name in chosen]
            with ThreadPoolExecutor(len(group)) as pool:
                ended = pool.map(lambda name: end_processes(self._trace(name), grace), members)
                counts |= dict(zip(members, ended, strict=True))
            if "scheduler" in members:
                end_processes(Trace(STEPS_MARK, str(self.state)), grace)
        return [name for name, count in counts.items() if count]

    def running(self) -> list[str]:
        """Names of the services that have processes."""
        return [name for name in (*_AIRFLOW, *_STORES) if self._trace(name).processes()]

    # Parts of the above

    def _trace(self, name: str) -> Trace:
        stored = self.state / "pids" / f"{name}.json"
        found = load_trace(json.loads(stored.read_text())) if stored.exists() else None
        return found or Trace(SERVICE_MARK, f"{self.state}:{name}")

    def _prepare(self) -> None:
        if SIGNING_KEY not in self.signing:
            write_settings(self.state / "signing.env", new_keys(self.signing))
        running = self.running()
        if self.settings and (running or all(_free(port) for port in self.settings["ports"].values())):
            return
        ports = dict(zip(_PORTS, free_ports(len(_PORTS)), strict=True))
        self._settings = {
            "s3_key": secrets.token_hex(10),
            "s3_secret": secrets.token_urlsafe(30),
            "airflow_password": secrets.token_urlsafe(12),
            "jwt_secret": secrets.token_urlsafe(32),
            "api_secret": secrets.token_urlsafe(32),
            "fernet_key": base64.urlsafe_b64encode(secrets.token_bytes(32)).decode(),
            **self.settings,
            "ports": ports,
        }
        write_private(self.state / "services.json", json.dumps(self._settings, indent=1))

    def _launch(self, service: Service, say: Callable[[str], None]) -> None:
        if self._trace(service.name).processes():
            return
        say(f"starting {service.name}")
        log = self.state / "logs" / f"{service.name}.log"
        log.parent.mkdir(exist_ok=True)
        pids = self.state / "pids"
        pids.mkdir(exist_ok=True)
        trace = Trace(SERVICE_MARK, f"{self.state}:{service.name}")
        environment = {
            **_clean_environment(),
            **service.environment,
            SERVICE_MARK: trace.mark,
        }
        with log.open("ab") as out, _undivided():
            process = subprocess.Popen(
                service.command,
                env=environment,
                cwd=self.state,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C on the terminal is answered by us, in order
            )
            write_private(pids / f"{service.name}.json", json.dumps(asdict(trace.of(process))))
            self.started.append(service.name)

    def _await(self, name: str, healthy: Callable[[], bool], seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while not healthy():
            if not self._trace(name).processes():
                raise ServiceFailed(f"{name} ended at its start; see {self.state}/logs/{name}.log")
            if time.monotonic() > deadline:
                raise ServiceFailed(
                    f"{name} does not answer after {seconds:.0f} s; see {self.state}/logs/{name}.log. If it was there "
                    "before, `make stop` ends it, and `make demo` starts it anew"
                )
            time.sleep(0.5)

    def _s3(self) -> Service:
        ports, data = self.settings["ports"], self.state / "s3"
        data.mkdir(exist_ok=True)
        identity = {
            "name": "tokenmill",
            "credentials": [{"accessKey": self.settings["s3_key"], "secretKey": self.settings["s3_secret"]}],
            "actions": ["Admin", "Read", "Write", "List", "Tagging"],
        }
        write_private(self.state / "s3.json", json.dumps({"identities": [identity]}))
        command = [program("weed"), "server", f"-dir={data}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1"]
        command += ["-filer", "-s3", f"-s3.config={self.state / 's3.json'}", "-master.telemetry=false"]
        command += ["-master.volumeSizeLimitMB=256", "-volume.max=0", "-volume.minFreeSpace=1"]
        command += [
            f"-filer.localSocket={self.state / 'filer.sock'}",
            "-s3.port.iceberg=0",
            "-s3.port.lance=0",
        ]
        for part in ("master", "volume", "filer", "s3"):
            command += [f"-{part}.port={ports[part]}", f"-{part}.port.grpc={ports[f'{part}_grpc']}"]
        # anonymous requests are refused once the gateway has read its identities
        return Service("s3", command, {}, lambda: status(f"http://127.0.0.1:{ports['s3']}/") == 403, 60)

    def _mlflow(self) -> Service:
        port, data = self.settings["ports"]["mlflow"], self.state / "mlflow"
        data.mkdir(exist_ok=True)
        command = [program("mlflow"), "server", "--host=127.0.0.1", f"--port={port}", "--workers=1"]
        command += [
            f"--backend-store-uri=sqlite:///{data}/mlflow.db",
            f"--artifacts-destination={data}/artifacts",
        ]
        command += [f"--allowed-hosts=127.0.0.1:{port},localhost:{port}", "--x-frame-options=NONE"]
        environment = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
        return Service(
            "mlflow", command, environment, lambda: status(f"{self.mlflow_url}/health") == 200, 120
        )

    def airflow_environment(self) -> dict[str, str]:
        """Everything an `airflow` command needs to work on this installation."""
        ports, home = self.settings["ports"], self.state / "airflow"
        connection = {
            "conn_type": "aws",
            "login": self.settings["s3_key"],
            "password": self.settings["s3_secret"],
            "extra": {"endpoint_url": self.s3_environment["AWS_ENDPOINT_URL"], "region_name": "us-east-1"},
        }
        options = {
            "CORE__DAGS_FOLDER": ROOT / "dags",
            "CORE__LOAD_EXAMPLES": False,
            "CORE__EXECUTOR": "LocalExecutor",
            "CORE__PARALLELISM": 4,
            "CORE__FERNET_KEY": self.settings["fernet_key"],
            "CORE__EXECUTION_API_SERVER_URL": f"{self.airflow_url}/execution/",
            "CORE__SIMPLE_AUTH_MANAGER_USERS": "admin:admin",
            "CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": home / "passwords.json",
            "CORE__KILLED_TASK_CLEANUP_TIME": 120,  # a step has 60 s of grace
            "DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home}/airflow.db",
            "API__HOST": "127.0.0.1",
            "API__PORT": ports["airflow"],
            "API__BASE_URL": self.airflow_url,
            "API__WORKERS": 1,
            "API__SECRET_KEY": self.settings["api_secret"],
            "API_AUTH__JWT_SECRET": self.settings["jwt_secret"],
            "LOGGING__BASE_LOG_FOLDER": home / "logs",
            "LOGGING__WORKER_LOG_SERVER_PORT": ports["worker_log"],
            "LOGGING__TRIGGER_LOG_SERVER_PORT": ports["trigger_log"],
            "LOGGING__WORKER_LOG_SERVER_HOST": "127.0.0.1",
            "DAG_PROCESSOR__REFRESH_INTERVAL": 20,
            "DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": 60,
            "SCHEDULER__ENABLE_HEALTH_CHECK": False,
            "USAGE_DATA_COLLECTION__ENABLED": False,
        }
        # containers reach services on loopback only through the host's network
        network = {"TOKENMILL_STEP_NETWORK": "host"} if self.runner == "docker" else {}
        return {
            **{f"AIRFLOW__{name}": str(value) for name, value in options.items()},
            **network,
            "AIRFLOW_HOME": str(home),
            "AIRFLOW_CONN_TOKENMILL_S3": json.dumps(connection),
            "PYTHONPATH": str(ROOT),
            STEPS_MARK: str(self.state),  # steps inherit it, as they do every TOKENMILL_ variable
            "TOKENMILL_ROOT": f"s3://{BUCKETS[0]}",
            "TOKENMILL_INBOX": f"s3://{BUCKETS[1]}",
            "TOKENMILL_RUNNER": self.runner,
            PUBLIC_KEYS: self.signing[PUBLIC_KEYS],
            "TOKENMILL_GIT": git_commit(),
            "TOKENMILL_MLFLOW_URL": self.mlflow_url,
            "MLFLOW_TRACKING_URI": self.mlflow_url,
        }

    def _airflow(self) -> list[Service]:
        environment, airflow = self.airflow_environment(), program("airflow")
        # the review page is in the api-server; the scheduler's tasks hand the key to the gate alone
        signing = {**environment, SIGNING_KEY: self.signing[SIGNING_KEY]}
        commands = {
            "api": [airflow, "api-server"],
            "dag_processor": [airflow, "dag-processor"],
            "scheduler": [airflow, "scheduler"],
            "triggerer": [airflow, "triggerer"],
        }
        # the api-server alone answers; the others show as heartbeats in its health report
        questions = {
            "api": lambda: status(f"{self.airflow_url}/api/v2/monitor/health") == 200,
            **{part: self._heartbeat(part) for part in ("dag_processor", "scheduler", "triggerer")},
        }
        chosen = {"api": signing, "scheduler": signing}
        return [
            Service(name, commands[name], chosen.get(name, environment), questions[name], 180)
            for name in commands
        ]

    def _heartbeat(self, part: str) -> Callable[[], bool]:
        def healthy() -> bool:
            report = fetch(f"{self.airflow_url}/api/v2/monitor/health")
            return bool(report) and (report.get(part) or {}).get("status") == "healthy"

        return healthy

    def _migrate(self, say: Callable[[str], None]) -> None:
        home = self.state / "airflow"
        home.mkdir(exist_ok=True)
        write_private(home / "passwords.json", json.dumps({"admin": self.settings["airflow_password"]}))
        from importlib.metadata import version

        stamp, wanted = home / "migrated", version("apache-airflow-core")
        if stamp.exists() and stamp.read_text() == wanted:
            return
        say("preparing Airflow's database")
        environment = {**_clean_environment(), **self.airflow_environment()}
        done = subprocess.run(
            [program("airflow"), "db", "migrate"],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            raise ServiceFailed(f"`airflow db migrate` failed: {done.stderr[-2000:]}")
        stamp.write_text(wanted)

    def _make_buckets(self) -> None:
        from plugins.inbox import s3_client

        client = s3_client(self.s3_environment)
        deadline = time.monotonic() + 60
        while True:
            try:
                existing = {bucket["Name"] for bucket in client.list_buckets()["Buckets"]}
                for name in set(BUCKETS) - existing:
                    client.create_bucket(Bucket=name)
                return
            except Exception as error:  # the gateway answers before its filer does
                if time.monotonic() > deadline:
                    raise ServiceFailed(
                        f"s3 makes no bucket ({type(error).__name__}); see {self.state}/logs/s3.log"
                    ) from None
                time.sleep(0.5)


def git_commit() -> str:
    """The checkout's commit, `-dirty` where files differ from it, empty where this is no checkout."""
    command = ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    with contextlib.suppress(OSError, subprocess.TimeoutExpired):
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=30, check=False)
        return done.stdout.strip() if done.returncode == 0 else ""
    return ""


def free_ports(count: int) -> list[int]:
    """``count`` different free TCP ports of loopback, below the range from which clients get theirs."""
    found: list[int] = []
    with contextlib.ExitStack() as stack:
        for port in _candidates():
            listener = stack.enter_context(socket.socket())
            with contextlib.suppress(OSError):
                listener.bind(("127.0.0.1", port))
                found.append(port)
            if len(found) == count:
                return found
    raise ServiceFailed("no free ports between 20000 and 32000")


def _candidates() -> Iterator[int]:
    start = secrets.randbelow(10000)
    return (20000 + (start + step) % 12000 for step in range(12000))


def _free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def status(url: str) -> int:
    """HTTP status of a GET, 0 where nothing answers that speaks HTTP."""
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code
    except _NO_ANSWER:
        return 0


def fetch(url: str) -> dict[str, Any]:
    """JSON of a GET, empty where nothing answers."""
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return json.load(answer)
    except _NO_ANSWER:
        return {}


def program(name: str) -> str:
    """Path of a command of this virtual environment. Raises ServiceFailed where it is missing."""
    beside = Path(sys.executable).with_name(name)
    found = str(beside) if beside.exists() else shutil.which(name)
    if found is None:
        raise ServiceFailed(f"{name} is not installed; run `make setup`")
    return found


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner can read, whole or not at all."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
    temporary.replace(path)


def _clean_environment() -> dict[str, str]:
    """The caller's environment without settings of other Airflow, MLflow, AWS or tokenmill installations."""
    foreign = ("AIRFLOW", "MLFLOW_", "AWS_", "TOKENMILL_")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
    kept |= {
        name: os.environ[name] for name in ("TOKENMILL_LMPLZ", "TOKENMILL_WORKERS") if name in os.environ
    }
    kept["PATH"] = f"{Path(sys.executable).parent}:{kept.get('PATH', os.defpath)}"
    return kept
