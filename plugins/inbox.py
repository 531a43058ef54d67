"""The inbox: one folder per dump below TOKENMILL_INBOX; a dump counts once its `_SUCCESS` object exists."""

from __future__ import annotations

from collections.abc import Set
from pathlib import Path
from typing import Any

MARKER = "_SUCCESS"


def new_dumps(inbox: str, environment: dict[str, str], known: Set[str]) -> list[str]:
    """Names of the complete dumps in ``inbox`` but those ``known``, sorted.

    ``inbox``: ``s3://bucket/prefix`` or ``file:///directory``. Lists folders and asks for the marker of each unknown
    one: never for the objects of a dump, of which there may be 90,000, and nothing twice about one that is known.
    """
    scheme, _, place = inbox.partition("://")  # no urlsplit: "#" and "?" are parts of paths and keys
    if scheme == "file":
        return sorted({path.parent.name for path in Path(place).glob(f"*/{MARKER}")} - known)
    if scheme != "s3":
        raise ValueError(f"TOKENMILL_INBOX {inbox!r} is neither s3://bucket/prefix nor file:///directory")
    client = s3_client(environment)
    bucket, _, folder = place.partition("/")
    prefix = f"{folder.strip('/')}/".lstrip("/")
    pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix, Delimiter="/")
    folders = [item["Prefix"] for page in pages for item in page.get("CommonPrefixes", [])]
    names = {folder: folder[len(prefix) :].rstrip("/") for folder in folders}
    return sorted(
        name
        for folder, name in names.items()
        if name not in known and _exists(client, bucket, f"{folder}{MARKER}")
    )


def s3_client(environment: dict[str, str]) -> Any:
    """A boto3 client with the AWS_* values of ``environment``, the process environment left alone."""
    import boto3
    from botocore.config import Config

    return boto3.client(
        "s3",
        endpoint_url=environment.get("AWS_ENDPOINT_URL"),
        aws_access_key_id=environment.get("AWS_ACCESS_KEY_ID"),
        aws_secret_access_key=environment.get("AWS_SECRET_ACCESS_KEY"),
        region_name=environment.get("AWS_DEFAULT_REGION", "us-east-1"),
        config=Config(
            s3={"addressing_style": "path"} if environment.get("AWS_ENDPOINT_URL") else {},
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
            connect_timeout=10,
            read_timeout=60,
        ),
    )


def _exists(client: Any, bucket: str, key: str) -> bool:
    # a listing, not a HEAD: HEAD errors carry no body, so a refused credential would look like absence
    found = client.list_objects_v2(Bucket=bucket, Prefix=key, MaxKeys=1)
    return any(item["Key"] == key for item in found.get("Contents", []))
