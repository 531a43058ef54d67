"""Starts a service of the stack inside its container, or says whether it is well: `python -m images.start`

    s3                  SeaweedFS's S3 server, its identities from the environment
    init                Airflow's database and pools, and the buckets; ends before anything else starts
    airflow COMPONENT   one of Airflow's components
    answers URL STATUS  whether a GET is answered with this HTTP status
    healthy COMPONENT   whether Airflow's api-server knows a fresh heartbeat of this component

Credentials come from the environment, never from a command line; what a program wants as a file is written
readable by its owner only.
"""

from __future__ import annotations

import inspect
import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

EXIT_USAGE, EXIT_UNAVAILABLE, EXIT_CONFIG = 64, 69, 78
PASSWORDS = Path(os.environ.get("AIRFLOW_HOME", "/opt/airflow")) / "passwords.json"
HEALTH = "http://airflow-api:8080/api/v2/monitor/health"
S3_SETTINGS = Path("/tmp/s3.json")
PROBE = "probe/init"  # written into each bucket and removed again
POOLS = Path(__file__).resolve().parent.parent / "configs" / "pools.json"


def needed(name: str) -> str:
    """A variable that must be set. Exits 78 naming it."""
    value = os.environ.get(name, "")
    if not value:
        print(f"{name} is not set: run `make images`, which completes .env", file=sys.stderr)
        raise SystemExit(EXIT_CONFIG)
    return value


def write_private(path: Path, data: Any) -> None:
    """JSON that only this user can read."""
    path.unlink(missing_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        json.dump(data, file)


def s3() -> None:
    """Becomes `weed server`: the steps may do everything, MLflow only what its own bucket needs."""
    bucket = needed("MLFLOW_BUCKET")
    identities = [
        identity("tokenmill", "S3", ["Admin", "Read", "Write", "List", "Tagging"]),
        identity(
            "mlflow", "MLFLOW_S3", [f"{action}:{bucket}" for action in ("Read", "Write", "List", "Tagging")]
        ),
    ]
    write_private(S3_SETTINGS, {"identities": identities})
    command = ["weed", "server", "-dir=/data", "-ip=s3", "-ip.bind=0.0.0.0", "-filer", "-s3"]
    command += [f"-s3.config={S3_SETTINGS}", "-s3.port=8333", "-s3.port.iceberg=0", "-s3.port.lance=0"]
    # a bucket's first object reserves seven volumes (SeaweedFS's master.toml, copy_1): 5.4 GB for the three buckets
    command += ["-master.telemetry=false", "-master.volumeSizeLimitMB=256", "-volume.max=0"]
    os.execvp("weed", command)


def identity(name: str, prefix: str, actions: list[str]) -> dict[str, Any]:
    """One identity of SeaweedFS's S3 configuration, its keys from <prefix>_ACCESS_KEY and <prefix>_SECRET_KEY."""
    keys = {"accessKey": needed(f"{prefix}_ACCESS_KEY"), "secretKey": needed(f"{prefix}_SECRET_KEY")}
    return {"name": name, "credentials": [keys], "actions": actions}


def init() -> None:
    """The database's schema, the pools and the buckets. What is there already stays as it is."""
    run(["airflow", "db", "migrate"])
    present = {pool["pool"] for pool in json.loads(run(["airflow", "pools", "list", "--output", "json"]))}
    for name, pool in json.loads(POOLS.read_text(encoding="utf-8")).items():
        if name not in present:  # slots that somebody changed in the UI are kept
            run(["airflow", "pools", "set", name, str(pool["slots"]), pool["description"]])
    buckets(needed("TOKENMILL_BUCKETS").split())


def buckets(names: list[str], seconds: float = 60) -> None:
    """Makes the buckets that are not there, and writes to each: S3 may answer and have no room.

    Exits 69, with the reason, where S3 still refuses after so many seconds.
    """
    import boto3
    from botocore.exceptions import BotoCoreError, ClientError

    client, errors = boto3.client("s3"), (BotoCoreError, ClientError)
    listing = retried(lambda: client.list_buckets()["Buckets"], errors, seconds, "S3 does not answer")
    for name in sorted(set(names) - {bucket["Name"] for bucket in listing}):
        client.create_bucket(Bucket=name)
        print(f"init: bucket {name}", flush=True)
    for name in sorted(set(names)):
        put = partial(client.put_object, Bucket=name, Key=PROBE, Body=PROBE.encode())
        no_room = f"S3 takes no object into bucket {name}; the stack's own needs 6 GB free on Docker's disk to begin"
        retried(put, errors, seconds, no_room)
        client.delete_object(Bucket=name, Key=PROBE)


def retried(
    call: Callable[[], Any], errors: tuple[type[Exception], ...], seconds: float, problem: str
) -> Any:
    """The call's answer; errors are taken for a service that is still starting, until the time is over."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            return call()
        except errors as error:
            if time.monotonic() > deadline:
                print(f"init: {problem} ({error})", file=sys.stderr)
                raise SystemExit(EXIT_UNAVAILABLE) from None
            time.sleep(1)


def run(command: list[str]) -> str:
    """Runs a command to its end; its output is returned, and shown where it fails."""
    print(f"init: {' '.join(command[:4])}", flush=True)
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True)
    if done.returncode:
        print(done.stdout[-4000:], file=sys.stderr)
        raise SystemExit(done.returncode)
    return done.stdout


def airflow(component: str) -> None:
    """Becomes a component of Airflow; the api-server gets the administrator's password."""
    if component == "api-server":
        write_private(PASSWORDS, {"admin": needed("AIRFLOW_ADMIN_PASSWORD")})
    os.environ.pop("AIRFLOW_ADMIN_PASSWORD", None)
    os.execvp("airflow", ["airflow", component])


def answers(url: str, status: str) -> int:
    """0 where a GET is answered with ``status``, else 1 with the reason."""
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            found = answer.status
    except urllib.error.HTTPError as error:
        found = error.code
    except OSError as error:
        print(f"{url}: {error}", file=sys.stderr)
        return 1
    print(f"{url}: {found}")
    return 0 if str(found) == status else 1


def healthy(component: str) -> int:
    """0 where the api-server calls the component healthy, else 1 with what it says."""
    try:
        with urllib.request.urlopen(HEALTH, timeout=5) as answer:
            report = json.load(answer)
    except OSError as error:
        print(f"{HEALTH}: {error}", file=sys.stderr)
        return 1
    print(report.get(component))
    return 0 if (report.get(component) or {}).get("status") == "healthy" else 1


COMMANDS: dict[str, Callable[..., int | None]] = {
    "s3": s3,
    "init": init,
    "airflow": airflow,
    "answers": answers,
    "healthy": healthy,
}


def main(arguments: list[str]) -> int:
    """The command line."""
    command = COMMANDS.get(arguments[0]) if arguments else None
    if command is None or len(arguments) - 1 != len(inspect.signature(command).parameters):
        print(__doc__, file=sys.stderr)
        return EXIT_USAGE
    return command(*arguments[1:]) or 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
