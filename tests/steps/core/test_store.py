"""Both stores keep the conditional writes, and say clearly what is wrong."""

from __future__ import annotations

import errno
import http.server
import os
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from botocore.stub import Stubber

from steps.core.catalog import Catalog
from steps.core.errors import CredentialError, DataError, ServiceError, StorageFullError, UsageError
from steps.core.source import SourceObject, fetch_object
from steps.core.step import run_step
from steps.core.store import ObjectMissing, S3Store, Store, open_store
from tests.steps.core.toy import MAKE


@pytest.fixture(params=["file", "s3"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    root = f"file://{tmp_path}/root" if request.param == "file" else request.getfixturevalue("s3_root")
    return open_store(root)


def test_create_writes_once(store: Store) -> None:
    assert store.create("a/b", b"one")
    assert not store.create("a/b", b"two")
    assert store.get("a/b") == b"one"


def test_replace_needs_the_current_tag(store: Store) -> None:
    assert store.replace("x", b"1", None)
    _, tag = store.get_with_etag("x")
    assert store.replace("x", b"2", tag)
    assert not store.replace("x", b"3", tag)
    assert not store.replace("x", b"3", None)
    assert store.get("x") == b"2"


ODD = [
    "a b",
    "a%20b",
    "a+b",
    "数据",
    "a&b=c?d",
    "#x",
    "x#y",
    "'\"",
    "[x]*",
    "%2F",
    "e\u0301",
    "é",
    "😀",
    "a:b;c,d",
    " x ",
]


def test_roots_and_keys_may_have_any_characters(store: Store, tmp_path: Path) -> None:
    for name in ODD:
        beside = open_store(f"{store.uri}/in {name}/deep")
        beside.put(f"{name}/{name}.jsonl", name.encode())
        assert open_store(beside.uri).get(f"{name}/{name}.jsonl") == name.encode()
        beside.download(f"{name}/{name}.jsonl", tmp_path / "copy")
        assert (tmp_path / "copy").read_bytes() == name.encode()
    assert [info.key for info in store.list()] == sorted(f"in {n}/deep/{n}/{n}.jsonl" for n in ODD)


def test_an_object_with_a_long_name_is_fetched(tmp_path: Path) -> None:
    key = f"{'数' * 83}.jsonl"
    (tmp_path / key).write_bytes(b"{}")
    item, work = SourceObject(source="s", key=key, bytes=2), tmp_path / "work"
    work.mkdir()
    assert fetch_object(item, {"s": f"file://{tmp_path}"}, work).read_bytes() == b"{}"


def test_what_consoles_make_for_a_folder_is_no_object(s3_root: str) -> None:
    store = open_store(s3_root)
    assert isinstance(store, S3Store)
    for key in ("", "sub/"):
        store.client.put_object(Bucket=store.bucket, Key=f"{store.prefix}/{key}", Body=b"")
    store.put("sub/a.jsonl", b"{}")
    assert [info.key for info in store.list()] == ["sub/a.jsonl"]


def test_a_link_that_leads_nowhere_and_a_folder_without_permission_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = open_store(f"file://{tmp_path}/root")
    store.put("good.jsonl", b"{}")
    (tmp_path / "root/lost.jsonl").symlink_to(tmp_path / "nowhere")
    with pytest.raises(ObjectMissing, match=r"lost\.jsonl is a link that leads nowhere"):
        list(store.list())

    def denied(path: str) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", path)

    monkeypatch.setattr("os.scandir", denied)  # tests run as root, whom no folder is closed to
    with pytest.raises(CredentialError, match="permission denied"):
        list(store.list())


def test_objects_are_listed_by_prefix_in_order_and_read_by_range(store: Store, tmp_path: Path) -> None:
    for key in ("p/b", "p/a/c", "q/a"):
        store.put(key, key.encode() * 10)
    assert [info.key for info in store.list("p/")] == ["p/a/c", "p/b"]
    assert store.get_range("p/b", 3, 4) == b"p/bp"
    assert store.get_range("p/b", 28, 100) == b"/b"
    store.download("p/b", tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == b"p/b" * 10
    info = store.head("q/a")
    assert info is not None and info.size == 30
    store.delete("q/a")
    assert store.head("q/a") is None
    with pytest.raises(ObjectMissing, match="q/a"):
        store.get("q/a")


def test_what_was_downloaded_and_the_store_do_not_change_each_other(store: Store, tmp_path: Path) -> None:
    path = tmp_path / "copy"
    for key in ("a", "b"):
        store.put(key, key.encode())
    store.download("a", path)
    store.put("a", b"new")
    assert path.read_bytes() == b"a"
    store.download("b", path)
    assert (path.read_bytes(), store.get("a"), store.get("b")) == (b"b", b"new", b"b")
    path.unlink()
    assert store.get("b") == b"b"


@pytest.mark.parametrize("other_disk", [False, True])
def test_a_file_that_was_moved_into_the_store_is_gone_from_its_place(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, other_disk: bool
) -> None:
    path = tmp_path / "run"
    path.write_bytes(b"one")
    if other_disk:

        def refuse(self: Path, target: Path, rename: Callable[[Path, Path], Path] = Path.replace) -> Path:
            if self == path:
                raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))
            return rename(self, target)

        monkeypatch.setattr(Path, "replace", refuse)
    store.move_file("a/b", path)
    assert store.get("a/b") == b"one"
    assert not path.exists()
    path.write_bytes(b"two")
    assert store.get("a/b") == b"one"
    assert [info.key for info in store.list("")] == ["a/b"]


def test_the_probe_accepts_a_store_that_keeps_its_conditions(store: Store) -> None:
    store.probe()
    assert not list(store.list("probe/"))


def test_a_key_cannot_leave_the_root(store: Store) -> None:
    for key in ("../x", "/etc/passwd", "a//b", "a/../../b", ""):
        with pytest.raises(DataError, match="not a plain relative path"):
            store.put(key, b"")


def test_catalog_changes_survive_a_race_and_keep_their_history(store: Store) -> None:
    catalog = Catalog(store)
    threads = [
        threading.Thread(target=lambda n=n: catalog.update("corpora", lambda v: {**v, str(n): n}))
        for n in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert catalog.get("corpora") == {str(n): n for n in range(8)}
    history = catalog.history("corpora")
    assert [len(value) for value in history] == list(range(1, 9))
    catalog.update("corpora", lambda v: v)
    assert len(catalog.history("corpora")) == 8


def test_the_same_bytes_lie_on_s3_and_on_disk(s3_root: str, tmp_path: Path) -> None:
    config = {"max_quarantine_share": 1.0}
    here = run_step(MAKE, config=config, inputs={}, root=f"file://{tmp_path}")
    there = run_step(MAKE, config=config, inputs={}, root=s3_root)
    assert here.digest == there.digest


def test_a_wrong_credential_ends_with_one_clear_message(
    s3_root: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong-secret-value")
    with pytest.raises(CredentialError, match="refused the credentials") as error:
        open_store(s3_root).create("a", b"")
    assert "wrong-secret-value" not in str(error.value)


def test_a_missing_bucket_is_named(s3_root: str) -> None:
    with pytest.raises((UsageError, CredentialError), match="no-such-bucket"):
        open_store("s3://no-such-bucket/x").get("a")


def test_an_endpoint_that_is_away_is_retryable(s3_root: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    with pytest.raises(ServiceError, match="does not answer"):
        open_store(s3_root).get("a")


class _Full(http.server.BaseHTTPRequestHandler):
    def do_PUT(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        body = b"<Error><Code>QuotaExceeded</Code><Message>full</Message></Error>"
        self.send_response(507)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Keep the test's output quiet."""


@pytest.fixture
def full_endpoint() -> Iterator[str]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Full)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


def test_a_full_bucket_is_named_and_retryable(
    s3_root: str, full_endpoint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", full_endpoint)
    with pytest.raises(StorageFullError, match="bucket is full") as error:
        open_store(s3_root).create("a", b"x")
    assert error.value.exit_code == 74


def test_an_internal_error_on_a_write_says_that_the_disk_may_be_full(s3_root: str) -> None:
    """SeaweedFS answers no more than this where it has no free volume left."""
    full = open_store(s3_root)
    assert isinstance(full, S3Store)
    with Stubber(full.client) as answers:
        answers.add_client_error("put_object", "InternalError", http_status_code=500)
        answers.add_client_error("get_object", "InternalError", http_status_code=500)
        with pytest.raises(ServiceError, match=r"x/a: .*InternalError to a write.*disk is full: make room"):
            full.create("x/a", b"1")
        with pytest.raises(ServiceError, match=r"the store answered InternalError$"):
            full.get("x/a")


def test_a_full_disk_is_named_and_leaves_no_artifact(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24k", "tmpfs", disk], capture_output=True)
    if mount.returncode or not shutil.which("umount"):
        pytest.skip("mounting a small tmpfs needs root")
    try:
        with pytest.raises(StorageFullError, match="make room"):
            run_step(MAKE, config={"max_quarantine_share": 1.0}, inputs={}, root=f"file://{disk}")
        assert not list(disk.glob("make/*/manifest.json"))
    finally:
        subprocess.run(["umount", disk], check=True)
