"""Dumps of an inbox: complete ones, each asked about until it is known."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from plugins import inbox
from plugins.dump_trigger import DumpTrigger
from steps.core.store import open_store
from tests.conftest import KEY, SECRET


def test_a_known_dump_costs_no_request(s3_root: str, s3_server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    store = open_store(s3_root)
    for key in ("a/_SUCCESS", "a/part/1.warc", "b/_SUCCESS", "c/1.warc", "_SUCCESS"):
        store.create(key, b"x")
    environment = {
        "AWS_ENDPOINT_URL": s3_server, "AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": SECRET
    }  # fmt: skip
    asked: list[str] = []
    exists = inbox._exists

    def counted(client: Any, bucket: str, key: str) -> bool:
        asked.append(key.rsplit("/", 2)[-2])
        return exists(client, bucket, key)

    monkeypatch.setattr(inbox, "_exists", counted)
    assert inbox.new_dumps(s3_root, environment, set()) == ["a", "b"]
    assert sorted(asked) == ["a", "b", "c"]
    asked.clear()
    store.create("c/_SUCCESS", b"")
    assert inbox.new_dumps(s3_root, environment, {"a", "b"}) == ["c"]
    assert asked == ["c"]


def test_an_inbox_may_have_any_characters_in_its_name(tmp_path: Path) -> None:
    folder = tmp_path / "inbox #1?" / "a"
    folder.mkdir(parents=True)
    (folder / "_SUCCESS").touch()
    assert inbox.new_dumps(f"file://{folder.parent}", {}, set()) == ["a"]


def test_the_trigger_names_each_dump_once(tmp_path: Path) -> None:
    def deliver(name: str) -> None:
        (tmp_path / name).mkdir()
        (tmp_path / name / "_SUCCESS").touch()

    async def watch() -> list[list[str]]:
        events = DumpTrigger(f"file://{tmp_path}", seconds=0.01).run()
        deliver("b")
        deliver("a")
        first = await anext(events)
        deliver("c")
        second = await anext(events)
        await events.aclose()  # type: ignore[attr-defined]
        return [event.payload["dumps"] for event in (first, second)]

    assert asyncio.run(watch()) == [["a", "b"], ["c"]]
