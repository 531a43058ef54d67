"""The review page's server without a server."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from plugins.review import app
from steps.core.store import FileStore


def test_first_requests_at_the_same_time_leave_no_key_in_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
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
    app._open_store.cache_clear()
    stores: list[object] = []
    threads = [threading.Thread(target=lambda: stores.append(app._store())) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    app._open_store.cache_clear()
    assert inside == ["a key"] and stores[0] is stores[1]
    assert "AWS_SECRET_ACCESS_KEY" not in os.environ
