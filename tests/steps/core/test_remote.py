from __future__ import annotations

import hashlib
from collections.abc import Iterator
from email.utils import formatdate
from pathlib import Path
from random import Random
from time import time

import pytest

from steps.core import remote
from steps.core.errors import ConfigError, CredentialError, DataError, ServiceError
from steps.core.remote import ATTEMPTS, RemoteInfo, download, join, look
from tests.steps.ingest.web import Handler, Site, serve

BODY = Random(7).randbytes(3_000_000)


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The waits that were asked for; nobody waits."""
    seconds: list[float] = []
    monkeypatch.setattr(remote, "pause", seconds.append)
    return seconds


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch, waits: list[float]) -> Iterator[Site]:
    with serve() as running:
        monkeypatch.setenv("TOKENMILL_PRIVATE_HOSTS", running.host)
        running.objects["/a"] = BODY
        yield running


def fetched(site: Site, path: Path, **known: object) -> bytes:
    download(f"{site.url}/a", path, **known)  # type: ignore[arg-type]
    return path.read_bytes()


def test_an_object_is_looked_at_without_being_read(site: Site) -> None:
    tag = hashlib.sha256(BODY).hexdigest()[:16]
    assert look(f"{site.url}/a") == RemoteInfo(len(BODY), f'etag:"{tag}"')
    assert site.requests["/a"] == ["bytes=0-0"]
    site.trouble["/a"] = lambda handler, _, body: handler.give(body) or True  # knows no ranges
    assert look(f"{site.url}/a").size == len(BODY)
    site.objects["/empty"] = b""
    assert look(f"{site.url}/empty").size == 0


def test_a_version_is_a_strong_tag_or_a_date(site: Site) -> None:
    date = "Mon, 05 Jan 2026 00:00:00 GMT"
    site.versions["/a"] = {"ETag": 'W/"weak"', "Last-Modified": date}
    assert look(f"{site.url}/a").version == f"modified:{date}"
    site.versions["/a"] = {}
    assert look(f"{site.url}/a").version == ""


@pytest.mark.parametrize("status", [403, 429, 500, 503])
def test_a_refusal_for_now_is_waited_out(site: Site, waits: list[float], tmp_path: Path, status: int) -> None:
    site.trouble["/a"] = lambda handler, number, _: number < 5 and (handler.refuse(status) or True)
    assert fetched(site, tmp_path / "a") == BODY
    assert waits == [1.0, 2.0, 4.0, 8.0]


def test_what_the_server_asks_to_wait_is_waited_up_to_a_bound(
    site: Site, waits: list[float], tmp_path: Path
) -> None:
    asked = ["7", "100000", formatdate(time() + 40, usegmt=True), "soon", "-3"]

    def refuse(handler: Handler, number: int, _: bytes) -> bool:
        if number > len(asked):
            return False
        handler.refuse(429, {"Retry-After": asked[number - 1]})
        return True

    site.trouble["/a"] = refuse
    assert fetched(site, tmp_path / "a") == BODY
    assert waits[:2] == [7.0, 300.0] and 30 < waits[2] <= 40 and waits[3:] == [8.0, 16.0]


def test_a_server_that_refuses_for_ever_ends_as_a_service_error(
    site: Site, waits: list[float], tmp_path: Path
) -> None:
    site.trouble["/a"] = lambda handler, *_: handler.refuse(403) or True
    with pytest.raises(ServiceError, match="answers 403 Forbidden, 8 times"):
        fetched(site, tmp_path / "a")
    assert len(waits) == ATTEMPTS - 1 and sum(waits) == 127


def test_a_cut_connection_is_resumed_where_it_was_cut(site: Site, waits: list[float], tmp_path: Path) -> None:
    def cut(handler: Handler, number: int, body: bytes) -> bool:
        handler.give(body, site.requests["/a"][-1], cut=600_000)
        return True

    site.trouble["/a"] = cut
    size = len(BODY)
    assert fetched(site, tmp_path / "a", size=size, version=look(f"{site.url}/a").version) == BODY
    assert site.requests["/a"][1:] == ["", *(f"bytes={n}-{size - 1}" for n in range(600_000, size, 600_000))]


def test_progress_starts_the_count_of_failures_anew(site: Site, tmp_path: Path) -> None:
    """More cuts than attempts, each after more than a mebibyte."""
    site.objects["/a"] = body = BODY * 5
    site.trouble["/a"] = lambda handler, _, body: (
        handler.give(body, site.requests["/a"][-1], cut=1_100_000) or True
    )
    assert len(body) / 1_100_000 > ATTEMPTS
    assert fetched(site, tmp_path / "a", size=len(body)) == body


@pytest.mark.parametrize("said", [len(BODY) + 500, 10 * len(BODY)])
def test_an_answer_shorter_than_it_says_is_not_taken(site: Site, tmp_path: Path, said: int) -> None:
    site.trouble["/a"] = lambda handler, number, body: (
        number == 1 and (handler.give(body, length=said) or True)
    )
    assert fetched(site, tmp_path / "a") == BODY
    site.trouble["/a"] = lambda handler, _, body: handler.give(body, length=said) or True
    with pytest.raises(ServiceError, match="bytes early"):
        fetched(site, tmp_path / "a")


def test_an_answer_of_another_size_than_planned_is_never_taken_for_whole(site: Site, tmp_path: Path) -> None:
    with pytest.raises(ServiceError, match=rf"ends after {len(BODY)} of {len(BODY) + 1} bytes"):
        site.trouble["/a"] = lambda handler, _, body: handler.give(body) or True
        fetched(site, tmp_path / "a", size=len(BODY) + 1)


def test_a_server_without_ranges_sends_everything_again(site: Site, tmp_path: Path) -> None:
    site.trouble["/a"] = lambda handler, number, body: (
        handler.give(body, cut=900_000 if number == 1 else None) or True
    )
    assert fetched(site, tmp_path / "a", size=len(BODY)) == BODY
    version = look(f"{site.url}/a").version
    assert fetched(site, tmp_path / "b", size=len(BODY), version=version, start=100, end=250) == BODY[100:250]


def test_a_wrong_range_is_not_put_into_the_file(site: Site, tmp_path: Path) -> None:
    def shifted(handler: Handler, number: int, body: bytes) -> bool:
        if number == 1:
            handler.give(body, cut=500_000)
        elif number == 2:
            handler.give(body, "bytes=400000-")  # asked for from 500000 on
        else:
            return False
        return True

    site.trouble["/a"] = shifted
    assert fetched(site, tmp_path / "a", size=len(BODY)) == BODY


@pytest.mark.parametrize("when", [1, 2])
def test_an_object_that_changed_is_refused_even_in_the_middle(site: Site, tmp_path: Path, when: int) -> None:
    version = look(f"{site.url}/a").version
    site.requests.clear()

    def change(handler: Handler, number: int, body: bytes) -> bool:
        if number == when:
            site.objects["/a"] = body = body[::-1]
        handler.give(body, site.requests["/a"][-1], cut=500_000)
        return True

    site.trouble["/a"] = change
    with pytest.raises(DataError, match="has changed since it was planned"):
        fetched(site, tmp_path / "a", size=len(BODY), version=version)


def test_redirects_are_followed_to_a_bound_and_not_to_other_schemes(site: Site, tmp_path: Path) -> None:
    def to(target: str):  # type: ignore[no-untyped-def]
        return lambda handler, *_: handler.refuse(302, {"Location": target}) or True

    site.trouble["/1"], site.trouble["/2"] = to("/2"), to(f"{site.url}/a")
    download(f"{site.url}/1", tmp_path / "a")
    assert (tmp_path / "a").read_bytes() == BODY
    site.trouble["/loop"] = to("/loop")
    with pytest.raises(DataError, match="more than 5 redirects"):
        download(f"{site.url}/loop", tmp_path / "a")
    for target in ("file:///etc/passwd", "ftp://e.org/x"):
        site.trouble["/out"] = to(target)
        with pytest.raises(DataError, match="not an http or https address"):
            download(f"{site.url}/out", tmp_path / "a")
    site.trouble["/in"] = to("http://127.0.0.2:9/x")  # the name that is allowed leads to one that is not
    with pytest.raises(ConfigError, match=r"127\.0\.0\.2 is not on the public internet"):
        download(f"{site.url}/in", tmp_path / "a")


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "localhost", "10.1.2.3", "192.168.0.1", "169.254.169.254", "[::1]", "[fe80::1]", "0.0.0.0",
     "[::ffff:127.0.0.1]", "[64:ff9b::7f00:1]", "[2002:7f00:1::]", "100.64.0.1", "224.0.0.1"],
)  # fmt: skip
def test_only_public_addresses_are_connected_to(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOKENMILL_PRIVATE_HOSTS", "mirror.example")
    with pytest.raises(ConfigError, match="is not on the public internet"):
        look(f"http://{host}:9/x")


def test_errors_say_what_to_do(site: Site) -> None:
    with pytest.raises(DataError, match=r"/none is not there \(404\)"):
        look(f"{site.url}/none")
    site.trouble["/a"] = lambda handler, *_: handler.refuse(401) or True
    with pytest.raises(CredentialError, match="wants a login"):
        look(f"{site.url}/a")
    with pytest.raises(ConfigError, match="login in it") as refused:
        look("https://user:secret@e.org/a")
    assert "secret" not in str(refused.value)
    with pytest.raises(ServiceError, match=r"does not answer|is not known"):
        look("http://no-such-host.invalid/a")


def test_an_answer_without_end_stops_at_the_limit(site: Site, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="more than 1000000 bytes"):
        fetched(site, tmp_path / "a", limit=1_000_000)


def test_addresses_are_joined_and_quoted() -> None:
    assert join("https://e.org/x", "a b.gz") == "https://e.org/x/a%20b.gz"
    assert join("https://", "e.org/a%20b?q=1&r=ü") == "https://e.org/a%20b?q=1&r=%C3%BC"
