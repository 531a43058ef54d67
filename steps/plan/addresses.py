"""Lists the objects of a source on the web: one address, a file that lists addresses, or a Common Crawl dump."""

from __future__ import annotations

import os
import tempfile
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import parse_qsl, urljoin, urlsplit

from steps.core.digest import file_digest
from steps.core.errors import ConfigError
from steps.core.remote import download, join, look
from steps.core.source import REMOTE, SourceObject

COMMON_CRAWL = "commoncrawl://"
COMMON_CRAWL_BASE = "TOKENMILL_COMMONCRAWL"  # a mirror's base address, in place of Common Crawl's own
DEFAULT_BASE = "https://data.commoncrawl.org"
KINDS = ("wet", "warc")
LIST_ENDINGS = (".paths", ".paths.gz", ".txt", ".txt.gz", ".urls", ".urls.gz", ".lst", ".lst.gz")
MAX_LIST_BYTES = 256 << 20  # decompressed; the paths of a Common Crawl dump have 13 MB
# query fields of signed addresses (S3, Google, Azure, CloudFront)
CREDENTIALS = frozenset(
    {"x-amz-signature", "x-amz-security-token", "x-goog-signature", "signature", "sig", "token"}
)
_THREADS = 4  # Common Crawl answers 403 to those who ask for too much at once


def is_address(uri: str) -> bool:
    """Whether a source's URI is listed by this module."""
    return uri.startswith((COMMON_CRAWL, *REMOTE))


def list_addresses(name: str, uri: str) -> tuple[str, list[SourceObject]]:
    """The base address and the objects below it, sorted by key, each fixed by size and version.

    Raises ConfigError that names the source ``name``.
    """
    base, keys = _common_crawl(name, uri) if uri.startswith(COMMON_CRAWL) else _addressed(name, uri)
    if not keys:
        raise ConfigError(f"sources.{name}: {uri} lists no objects")
    with ThreadPoolExecutor(_THREADS) as pool:
        return base, list(pool.map(lambda key: _fixed(name, base, key), sorted(set(keys))))


def evenly(items: list[str], count: int) -> list[str]:
    """``count`` of the items, spread evenly: item ⌊i · n / count⌋ for i from 0; all where there are no more."""
    return [items[number * len(items) // count] for number in range(count)] if count < len(items) else items


def _common_crawl(name: str, uri: str) -> tuple[str, list[str]]:
    """``commoncrawl://DUMP?kind=wet&files=40``: its base address and the chosen paths."""
    parts = urlsplit(uri)
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    kind, files = options.pop("kind", "wet"), options.pop("files", "")
    dump = parts.netloc
    problems = [f"unknown option {option!r} (known: kind, files)" for option in options]
    if not dump.replace("-", "").replace("_", "").isalnum() or parts.path.strip("/"):
        problems.append(f"{dump + parts.path!r} is not the name of a dump such as CC-MAIN-2026-43")
    if kind not in KINDS:
        problems.append(f"kind {kind!r} is not one of {', '.join(KINDS)}")
    if files and not (files.isdigit() and int(files) > 0):
        problems.append(f"files {files!r} is not a positive number")
    if problems:
        raise ConfigError("\n".join(f"sources.{name}.uri: {problem}" for problem in problems))
    base = (os.environ.get(COMMON_CRAWL_BASE) or DEFAULT_BASE).rstrip("/")
    if not base.startswith(REMOTE):
        raise ConfigError(f"{COMMON_CRAWL_BASE}={base!r} is not an http or https address")
    paths = _lines(join(base, f"crawl-data/{dump}/{kind}.paths.gz"))
    foreign = [path for path in paths if "://" in path or ".." in path.split("/")]
    if foreign:
        raise ConfigError(f"sources.{name}: the list of {dump} names {foreign[0][:200]!r}, which is no path")
    paths = [path.lstrip("/") for path in paths]
    return base, evenly(paths, int(files)) if files else paths


def _addressed(name: str, uri: str) -> tuple[str, list[str]]:
    """One object, or those that a list names: addresses, or paths relative to it (with /: to the host's root)."""
    path = urlsplit(uri).path
    if not path.strip("/") or path.endswith("/") or "*" in path:
        raise ConfigError(
            f"sources.{name}.uri: {uri} is a place, not an object; web servers do not list their "
            f"objects: name one, or a file that lists them ({', '.join(LIST_ENDINGS)})"
        )
    addresses = [urljoin(uri, line) for line in _lines(uri)] if path.endswith(LIST_ENDINGS) else [uri]
    wrong = [
        address for address in addresses if not address.startswith(REMOTE) or not urlsplit(address).netloc
    ]
    if wrong:
        raise ConfigError(
            f"sources.{name}: {uri} lists {wrong[0][:200]!r}, which is not an http or https address"
        )
    if any(
        name.lower() in CREDENTIALS for address in addresses for name, _ in parse_qsl(urlsplit(address).query)
    ):
        raise ConfigError(
            f"sources.{name}.uri: an address carries a credential, which logs would show; copy the object "
            "into the store and name it there"
        )
    common = os.path.commonprefix(addresses) if addresses else uri  # noqa: RUF071 (cut at a slash below)
    base = common.rpartition("/")[0]
    if base.count("/") < 2 or base.endswith(":/"):  # several hosts
        schemes = {urlsplit(address).scheme for address in addresses}
        if len(schemes) > 1:
            raise ConfigError(
                f"sources.{name}: {uri} lists http and https addresses; make two sources of them"
            )
        base = f"{schemes.pop()}://"
    return base, [address[len(base) :].lstrip("/") for address in addresses]


def _lines(url: str) -> list[str]:
    """The non-empty lines of a list, plain or gzip."""
    with tempfile.TemporaryDirectory(prefix="tokenmill-plan-") as folder:
        path = Path(folder) / "list"
        download(url, path, limit=MAX_LIST_BYTES)
        data = path.read_bytes()
    if data.startswith(b"\x1f\x8b"):
        try:
            decoder = zlib.decompressobj(31)
            data = decoder.decompress(data, MAX_LIST_BYTES)
        except zlib.error as error:
            raise ConfigError(f"{url} is not a readable gzip file: {error}") from None
        if not decoder.eof:
            raise ConfigError(f"{url} is cut off, or has more than {MAX_LIST_BYTES} bytes")
    try:
        lines = data.decode("utf-8").split("\n")
    except UnicodeDecodeError as error:
        raise ConfigError(f"{url} is not a list of addresses: byte {error.start} is not UTF-8") from None
    return [line.strip() for line in lines if line.strip() and not line.startswith("#")]


def _fixed(source: str, base: str, key: str) -> SourceObject:
    url = join(base, key)
    found = look(url)
    if found.version and found.size is not None:
        return SourceObject(source=source, key=key, bytes=found.size, version=found.version)
    # nothing that a later fetch could compare: its content is read now
    with tempfile.TemporaryDirectory(prefix="tokenmill-plan-") as folder:
        path = Path(folder) / "object"
        download(url, path, size=found.size)
        return SourceObject(source=source, key=key, bytes=path.stat().st_size, sha256=file_digest(path))
