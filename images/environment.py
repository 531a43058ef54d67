"""The settings of docker-compose.yml in .env: passwords and keys made at random once, image tags, the socket's group.

    python -m images.environment          makes what is missing; never changes a password that is there

.env is readable by its owner only and ignored by git. `make images` calls this.
"""

from __future__ import annotations

import base64
import secrets
import stat
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from images.context import ROOT
from steps.core.settings_file import read_settings, write_settings
from steps.core.signing import SIGNING_KEY, new_keys

ENV = ROOT / ".env"
COMPOSE_IMAGES = {
    "airflow": "AIRFLOW_IMAGE",
    "services": "SERVICES_IMAGE",
    "postgres": "POSTGRES_IMAGE",
}
SOCKET = Path("/var/run/docker.sock")


def password() -> str:
    """A random password of 192 bits that needs no quoting in URLs, shells or JSON."""
    return secrets.token_hex(24)


GENERATED: dict[str, Callable[[], str]] = {
    "POSTGRES_PASSWORD": password,
    "MLFLOW_DB_PASSWORD": password,
    "S3_ACCESS_KEY": lambda: secrets.token_hex(10),
    "S3_SECRET_KEY": password,
    "MLFLOW_S3_ACCESS_KEY": lambda: secrets.token_hex(10),
    "MLFLOW_S3_SECRET_KEY": password,
    "AIRFLOW_FERNET_KEY": lambda: base64.urlsafe_b64encode(secrets.token_bytes(32)).decode(),
    "AIRFLOW_JWT_SECRET": password,
    "AIRFLOW_API_SECRET": password,
    "AIRFLOW_ADMIN_PASSWORD": lambda: secrets.token_urlsafe(15),
}


def update(values: Mapping[str, str], path: Path = ENV) -> dict[str, str]:
    """Sets ``values``, adds the passwords and keys that are missing, keeps every other line. Returns all settings."""
    present = read_settings(path)
    missing = {name: make() for name, make in GENERATED.items() if not present.get(name)}
    if not present.get(SIGNING_KEY):
        missing |= new_keys(present)
    defaults = {"COMPOSE_PROJECT_NAME": "tokenmill", "DOCKER_GID": socket_group()}
    missing |= {name: value for name, value in defaults.items() if not present.get(name)}
    wanted = {**missing, **values}
    write_settings(path, wanted)
    return {**present, **wanted}


def socket_group() -> str:
    """The group that may use the Docker socket, which the scheduler joins."""
    try:
        found = SOCKET.stat()
    except OSError:
        return "0"
    return str(found.st_gid) if stat.S_ISSOCK(found.st_mode) else "0"


def main() -> int:
    """Makes .env, or completes it."""
    before = read_settings(ENV)
    made = sorted(set(update({})) - set(before))
    print(f"{ENV}: " + (f"made {', '.join(made)}" if made else "complete, nothing changed"))
    return 0


if __name__ == "__main__":
    sys.exit(main())
