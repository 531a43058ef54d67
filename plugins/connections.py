"""Credentials out of Airflow's connections, resolved only while a task or trigger runs.

`tokenmill_s3`: login = access key, password = secret key, extra = {"endpoint_url": …, "region_name": …}.
Nothing of it is ever an operator argument, so that none of it reaches the Airflow database or a log.
"""

from __future__ import annotations

import contextlib
import os
from typing import Any

from airflow.sdk import Connection
from airflow.sdk.exceptions import AirflowFailException, AirflowNotFoundException
from airflow.sdk.log import mask_secret

from steps.core.store import keys_in_environment

S3_CONNECTION = "tokenmill_s3"
ENDPOINT_CONNECTION, ENDPOINT_STEP = "tokenmill_endpoint", "synthesize"


def s3_environment() -> dict[str, str]:
    """AWS_* variables for a step, from the connection; empty where the store is a local directory.

    Raises AirflowFailException where the root is on S3 and the connection is missing.
    """
    try:
        connection = Connection.get(S3_CONNECTION)
    except AirflowNotFoundException:
        if os.environ.get("TOKENMILL_ROOT", "").startswith("file://"):
            return {}
        raise AirflowFailException(
            f"Airflow connection {S3_CONNECTION} is missing: add it with the S3 access key as login, the "
            'secret key as password and {"endpoint_url": …, "region_name": …} as extra'
        ) from None
    return environment_of(connection)


def environment_of(connection: Any) -> dict[str, str]:
    """The AWS_* variables that say what ``connection`` says; its password is masked in logs from here on."""
    if connection.password:
        mask_secret(connection.password)
    extra = connection.extra_dejson
    values = {
        "AWS_ACCESS_KEY_ID": connection.login,
        "AWS_SECRET_ACCESS_KEY": connection.password,
        "AWS_ENDPOINT_URL": extra.get("endpoint_url"),
        "AWS_DEFAULT_REGION": extra.get("region_name") or "us-east-1",
    }
    return {name: value for name, value in values.items() if value}


def endpoint_environment(step: str) -> dict[str, str]:
    """Address and key of the language-model endpoint, for the one step that asks it.

    From the connection ``tokenmill_endpoint`` (host: the address, such as https://host/v1; password: the key), else
    from the variables of this process. The key is masked in logs from here on.
    """
    if step != ENDPOINT_STEP:
        return {}
    try:
        connection = Connection.get(ENDPOINT_CONNECTION)
    except AirflowNotFoundException:
        values = {name: os.environ.get(name, "") for name in ("OPENAI_BASE_URL", "OPENAI_API_KEY")}
    else:
        values = {"OPENAI_BASE_URL": connection.host or "", "OPENAI_API_KEY": connection.password or ""}
    if values["OPENAI_API_KEY"]:
        mask_secret(values["OPENAI_API_KEY"])
    return {name: value for name, value in values.items() if value}


def s3_in_environment() -> contextlib.AbstractContextManager[None]:
    """Let `steps.core.store` in this task process see the connection's keys, only inside the block."""
    return keys_in_environment(s3_environment())
