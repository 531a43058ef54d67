"""The review page's server without a server."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import quote

import pytest
from airflow.api_fastapi.core_api.security import get_user
from fastapi.testclient import TestClient

from plugins.review import app
from steps.core.store import FileStore


@pytest.fixture
def fresh() -> Iterator[None]:
    """Nothing has been asked of the server yet."""
    for cache in (app._store, app._open_desk):
        cache.cache_clear()
    yield
    for cache in (app._store, app._open_desk):
        cache.cache_clear()


def test_first_requests_at_the_same_time_share_a_desk_and_leave_no_key_in_the_environment(
    fresh: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each sets the keys and puts back what was there before: between the two of another, that is its keys."""
    monkeypatch.setenv("TOKENMILL_ROOT", f"file://{tmp_path}")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY", raising=False)
    monkeypatch.setattr("plugins.connections.s3_environment", lambda: {"AWS_SECRET_ACCESS_KEY": "a key"})
    inside, both = [], threading.Event()

    def probe(self: FileStore) -> None:
        inside.append(os.environ.get("AWS_SECRET_ACCESS_KEY"))
        if len(inside) > 1:
            both.set()
        both.wait(0.5)

    monkeypatch.setattr(FileStore, "probe", probe)
    monkeypatch.setattr(app, "open_sample", lambda ref, store: ref)
    monkeypatch.setattr(app, "Desk", lambda sample: [sample])
    desks: list[object] = []
    threads = [threading.Thread(target=lambda: desks.append(app.desk("a sample"))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert inside == ["a key"]
    assert desks[0] is desks[1], "what one of them is answered the other would not know"
    assert "AWS_SECRET_ACCESS_KEY" not in os.environ


def test_what_waits_in_a_page_is_not_taken_from_whoever_logs_in_next(monkeypatch: pytest.MonkeyPatch) -> None:
    name = "安娜"
    user = SimpleNamespace(get_name=lambda: name)
    monkeypatch.setattr(app, "desk", lambda ref: SimpleNamespace(mine=lambda reader: []))
    monkeypatch.setitem(app.app.dependency_overrides, app.may_review, lambda: None)
    monkeypatch.setitem(app.app.dependency_overrides, get_user, lambda: user)
    client = TestClient(app.app)

    def asked(opened_by: str) -> tuple[int, str]:
        answer = client.get("/api/mine?sample=s", headers={"X-Reader": quote(opened_by)})
        return answer.status_code, answer.text

    assert [asked(who)[0] for who in ("", "安娜")] == [200, 200]
    name = "ben"
    status, said = asked("安娜")
    assert status == 409 and "安娜 opened this page, and ben is logged in" in said
