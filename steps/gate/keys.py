"""``tokenmill keys``: make the keys that labels and verdicts are signed with, and say which are accepted."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from steps.core.errors import UsageError
from steps.core.settings_file import read_settings, write_settings
from steps.core.signing import PUBLIC_KEYS, SIGNING_KEY, new_keys, signer, trusted_keys

ROOTLESS = ("new", "show")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the command."""
    parser.add_argument("action", choices=("new", "show"))
    parser.add_argument(
        "file",
        nargs="?",
        type=Path,
        help="a file of NAME=value lines, such as the stack's .env or the demo's .tokenmill/signing.env "
        "(show: without it, the environment)",
    )


def execute(arguments: argparse.Namespace, root: str) -> None:
    """Put a new key into the file, beside those that stay accepted, or list the accepted ones. Shows no private key."""
    file: Path | None = arguments.file
    if arguments.action == "new":
        if file is None:
            raise UsageError("keys new needs the file that the keys are for, such as .env")
        if not file.parent.is_dir():
            raise UsageError(f"{file.parent}: no such folder")
        write_settings(file, new_keys(read_settings(file)))
        print(f"{file}: a new key; start the services again, then the gates whose verdicts shall carry it")
    elif file is not None and not file.is_file():
        raise UsageError(f"{file}: no such file")
    settings = read_settings(file) if file else os.environ
    accepted = trusted_keys(settings)
    own = signer(settings) if settings.get(SIGNING_KEY) else None
    for key in accepted.values():
        signs = "signs    " if own and own.public.id == key.id else "accepted "
        print(f"{signs} {key.id}  {key.text}")
    if not accepted:
        print(f"{PUBLIC_KEYS} is not set: nothing is signed, and unsigned verdicts are accepted")
