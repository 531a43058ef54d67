"""Objects behind http:// and https:// addresses: looked at when a run is planned, fetched by ingest.

An object is fixed at planning by its size and its version (entity tag, else modification date); a fetch that finds
another one is refused. Servers are hostile or overloaded: only public addresses are connected to, redirects and
sizes are bounded, and what is cut off, refused for now (403, 429, 5xx) or sent from the wrong place is asked for
again, from where it stopped, after a wait that doubles.
"""

from __future__ import annotations

import contextlib
import email.utils
import http.client
import ipaddress
import os
import socket
import ssl
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO
from urllib.parse import SplitResult, quote, urljoin, urlsplit

from steps.core.errors import ConfigError, CredentialError, DataError, ServiceError

# hosts (or host:port), comma separated, that may be in a private network
PRIVATE_HOSTS = "TOKENMILL_PRIVATE_HOSTS"
SCHEMES = ("http", "https")
MAX_REDIRECTS = 5
MAX_OBJECT_BYTES = 256 << 30  # own choice: a Common Crawl WARC has 1 GB
ATTEMPTS = 8  # in a row without PROGRESS_BYTES: 1 + 2 + … + 64 s, two minutes
PROGRESS_BYTES = 1 << 20
LONGEST_WAIT = 64.0  # seconds between two attempts
LONGEST_RETRY_AFTER = 300.0  # seconds that a server may ask for
TIMEOUT = 60.0  # seconds without a byte
SLOWEST = 1_000  # bytes per second over one TIMEOUT; a slower answer is given up and asked for again
_BLOCK = 1 << 18
_AGAIN = frozenset({403, 408, 425, 429, 500, 502, 503, 504})
_MOVED = frozenset({301, 302, 303, 307, 308})
pause = time.sleep


@dataclass(frozen=True)
class RemoteInfo:
    """An object's size in bytes and its version: ``etag:…``, ``modified:…``, or "" where a server says neither."""

    size: int | None
    version: str


class _Retry(Exception):
    """This attempt gave nothing or not all; the next may. ``after``: the wait in seconds that the server asks for."""

    def __init__(self, why: str, after: float | None = None) -> None:
        super().__init__(why)
        self.after = after


def join(base: str, key: str) -> str:
    """The address of the object ``key`` below ``base``; ``https://`` alone is the base of keys that name a host."""
    scheme, _, rest = base.partition("://")
    place = f"{rest.rstrip('/')}/{key}".lstrip("/")
    return f"{scheme}://{quote(place, safe='/:?&=%+,;~@!$()*[]')}"


def look(url: str) -> RemoteInfo:
    """Size and version of the object, asked for with a range of one byte (which works where HEAD does not).

    Raises DataError where it is missing or too large, ServiceError where the server does not answer.
    """
    for attempt in _attempts(url):
        with attempt, _open(url, {"Range": "bytes=0-0"}) as answer:
            if answer.status == 416:  # an empty object has no first byte
                size = _total(answer)
                if size != 0:
                    raise _Retry(f"answers 416 to its first byte (Content-Range {size})")
            else:
                size = _total(answer) if answer.status == 206 else answer.length
            if size is not None and size > MAX_OBJECT_BYTES:
                raise DataError(f"{url} has {size} bytes, more than {MAX_OBJECT_BYTES}")
            return RemoteInfo(size, _version(answer))
    raise AssertionError("unreachable: the last attempt raises")


def download(
    url: str, path: Path, *, size: int | None = None, version: str = "", start: int = 0, end: int | None = None,
    limit: int = MAX_OBJECT_BYTES,
) -> None:  # fmt: skip
    """Fetch bytes ``start`` to ``end`` of the object into ``path``, resuming where a connection was cut.

    ``size`` and ``version`` are what the object had when it was planned: another version is a DataError. Raises
    ServiceError where the server never sends it whole.
    """
    end = size if end is None else end
    with path.open("wb") as file:
        for attempt in _attempts(url, file):
            with attempt:
                have = file.tell()
                if end is not None and start + have >= end:
                    return
                if _fetch(url, file, start, end, size, version, limit):
                    return


def _fetch(
    url: str, file: BinaryIO, start: int, end: int | None, size: int | None, version: str, limit: int
) -> bool:
    """One attempt to get what is missing in ``file``; whether that was all of it."""
    place = start + file.tell()
    headers = {}
    if place or end != size:
        headers["Range"] = f"bytes={place}-{'' if end is None else end - 1}"
    with _open(url, headers) as answer:
        if version and _version(answer) != version:
            found = _version(answer) or "no version"
            raise DataError(
                f"{url} has changed since it was planned ({found}, was {version}); plan a new run"
            )
        if answer.status == 206:
            if _first(answer) != place or (size is not None and _total(answer) not in (size, None)):
                _drop(file, start, place)
                raise _Retry(f"sends another range than asked for ({answer.getheader('Content-Range')})")
            skip = 0
        elif answer.status == 200:  # it knows no ranges: everything, from the start
            if not version and place > start:
                _drop(file, start, place)  # nothing says that this is still the same object
                place = start
            skip = place
        elif (
            end is None and _total(answer) == place
        ):  # the answer before was whole, and said that it was longer
            return True
        else:
            _drop(file, start, place)
            raise _Retry("answers 416 to a range that it must have")
        _copy(answer, file, skip, None if end is None else end - start, limit)
        if end is not None:
            if start + file.tell() < end:
                raise _Retry(f"ends after {start + file.tell()} of {end} bytes")
        elif answer.length:
            raise _Retry(f"ends {answer.length} bytes early")
    return True


def _drop(file: BinaryIO, start: int, place: int) -> None:
    if place > start:
        file.seek(0)
        file.truncate()


def _copy(
    answer: http.client.HTTPResponse, file: BinaryIO, skip: int, wanted: int | None, limit: int
) -> None:
    """The answer's body behind its first ``skip`` bytes into the file, until it has ``wanted`` bytes."""
    began, received = time.monotonic(), 0
    while wanted is None or file.tell() < wanted:
        try:
            block = answer.read1(_BLOCK)
        except (OSError, http.client.HTTPException) as error:
            raise _Retry(f"breaks off: {str(error) or type(error).__name__}") from None
        if not block:
            return
        received += len(block)
        block, skip = block[skip:], max(skip - len(block), 0)
        file.write(block if wanted is None else block[: wanted - file.tell()])
        if file.tell() > limit:
            raise DataError(f"the answer has more than {limit} bytes")
        seconds = time.monotonic() - began
        if seconds > TIMEOUT and received < SLOWEST * seconds:
            raise _Retry(f"sends {received} bytes in {seconds:.0f} s")


def _attempts(url: str, file: BinaryIO | None = None) -> Iterator[contextlib.AbstractContextManager[None]]:
    """Contexts to try in, with waits between them; the last one's failure is a ServiceError."""
    failures, before = 0, 0

    @contextlib.contextmanager
    def attempt() -> Iterator[None]:
        nonlocal failures, before
        try:
            yield
        except _Retry as problem:
            if file is not None and file.tell() - before >= PROGRESS_BYTES:
                failures = 0
            before = file.tell() if file is not None else 0
            failures += 1
            if failures == ATTEMPTS:
                raise ServiceError(f"{url} {problem}, {ATTEMPTS} times; try again later") from None
            doubled = min(2.0 ** (failures - 1), LONGEST_WAIT)
            pause(doubled if problem.after is None else min(max(problem.after, doubled), LONGEST_RETRY_AFTER))

    while True:
        yield attempt()


@contextlib.contextmanager
def _open(url: str, headers: dict[str, str]) -> Iterator[http.client.HTTPResponse]:
    """The answer to a GET after redirects, with status 200, 206 or 416.

    Raises _Retry where a later attempt may succeed.
    """
    asked = url
    for _ in range(MAX_REDIRECTS + 1):
        connection = _connection(urlsplit(url))
        try:
            answer = _ask(connection, asked, url, headers)
            moved = answer.getheader("Location") if answer.status in _MOVED else None
            if not moved:
                yield _checked(asked, answer)
                return
            url = _redirected(asked, url, moved)
        finally:
            connection.close()
    raise DataError(f"{asked} leads through more than {MAX_REDIRECTS} redirects")


def _ask(
    connection: http.client.HTTPConnection, asked: str, url: str, headers: dict[str, str]
) -> http.client.HTTPResponse:
    parts = urlsplit(url)
    target = f"{parts.path or '/'}{'?' + parts.query if parts.query else ''}"
    sent = {"User-Agent": "tokenmill", "Accept-Encoding": "identity", **headers}
    try:
        connection.request("GET", target, headers=sent)
        return connection.getresponse()
    except ssl.SSLCertVerificationError as error:
        raise DataError(f"{asked}: its certificate is not valid ({error.verify_message})") from None
    except (OSError, http.client.HTTPException, UnicodeError) as error:
        raise _Retry(f"does not answer: {str(error) or type(error).__name__}") from None


def _redirected(asked: str, url: str, moved: str) -> str:
    target = urljoin(url, moved)
    if urlsplit(target).scheme not in SCHEMES:
        raise DataError(f"{asked} leads to {target[:200]!r}, which is not an http or https address")
    if urlsplit(url).scheme == "https" and urlsplit(target).scheme == "http":
        raise DataError(f"{asked} leads from https to {target[:200]!r}; name the address that is meant")
    return target


def _checked(url: str, answer: http.client.HTTPResponse) -> http.client.HTTPResponse:
    status = answer.status
    if status in (200, 206, 416):
        return answer
    if status in _AGAIN:
        raise _Retry(f"answers {status} {answer.reason}", _retry_after(answer.getheader("Retry-After")))
    if status in (401, 407):
        raise CredentialError(
            f"{url} wants a login ({status}); copy the object into the store and name it there"
        )
    if status in (404, 410):
        raise DataError(f"{url} is not there ({status})")
    raise DataError(f"{url} answers {status} {answer.reason}")


def _retry_after(value: str | None) -> float | None:
    """Seconds that the server asks to wait: a number or a date."""
    if value is None:
        return None
    if value.strip().isdigit():
        return float(value)
    with contextlib.suppress(ValueError, TypeError):
        return max(email.utils.parsedate_to_datetime(value).timestamp() - time.time(), 0.0)
    return None


def _version(answer: http.client.HTTPResponse) -> str:
    """What the server says the object's version is; a weak entity tag promises too little."""
    tag = answer.getheader("ETag") or ""
    if tag and not tag.startswith("W/"):
        return f"etag:{tag.strip()}"
    modified = answer.getheader("Last-Modified")
    return f"modified:{modified.strip()}" if modified else ""


def _total(answer: http.client.HTTPResponse) -> int | None:
    total = (answer.getheader("Content-Range") or "").rpartition("/")[2].strip()
    return int(total) if total.isdigit() else None


def _first(answer: http.client.HTTPResponse) -> int | None:
    first = (answer.getheader("Content-Range") or "").removeprefix("bytes ").partition("-")[0].strip()
    return int(first) if first.isdigit() else None


def _connection(parts: SplitResult) -> http.client.HTTPConnection:
    """A connection to an address that was checked; the name is not looked up a second time."""
    secure = parts.scheme == "https"
    try:
        host, port = parts.hostname, parts.port or (443 if secure else 80)
    except ValueError:
        host, port = None, 0
    if not host or parts.username is not None:
        raise ConfigError(f"an address at {host!r} cannot be fetched: it has no host, or a login in it")
    kind = _Secure if secure else _Plain
    return kind(host, port, timeout=TIMEOUT)


def public_address(host: str, port: int) -> str:
    """The IP address to connect to. Raises ConfigError for a host that is not public, unless it is named in
    TOKENMILL_PRIVATE_HOSTS, and _Retry where its name cannot be resolved now.
    """
    try:
        found = [str(entry[4][0]) for entry in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]
    except (OSError, UnicodeError) as error:
        raise _Retry(f"has a host that is not known ({getattr(error, 'strerror', None) or error})") from None
    allowed = {name.strip() for name in os.environ.get(PRIVATE_HOSTS, "").split(",")}
    if not {host, f"{host}:{port}"} & allowed:
        for address in found:
            if not _is_public(ipaddress.ip_address(address.partition("%")[0])):
                raise ConfigError(
                    f"host {host} is not on the public internet ({address}); a mirror that is meant to be read is "
                    f"named in {PRIVATE_HOSTS}"
                )
    return found[0]


def _is_public(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    if isinstance(address, ipaddress.IPv6Address):  # addresses that stand for an IPv4 one
        if address in ipaddress.ip_network("64:ff9b::/96"):
            return _is_public(ipaddress.IPv4Address(int(address) & 0xFFFFFFFF))
        inner = address.ipv4_mapped or address.sixtofour
        if inner is not None:
            return _is_public(inner)
    return address.is_global and not address.is_multicast


class _Plain(http.client.HTTPConnection):
    def connect(self) -> None:
        self.sock = socket.create_connection((public_address(self.host, self.port), self.port), self.timeout)


class _Secure(http.client.HTTPSConnection):
    def connect(self) -> None:
        plain = socket.create_connection((public_address(self.host, self.port), self.port), self.timeout)
        self.sock = ssl.create_default_context().wrap_socket(plain, server_hostname=self.host)
