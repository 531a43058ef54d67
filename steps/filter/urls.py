"""Signals of a document's URL: lists of domains and URLs (such as UT1's), and words in it.

    python -m steps.filter.urls --root s3://… FILE...

puts list files into the artifact store, where `filter.url_lists` finds them by their sha256 on every machine.
"""

from __future__ import annotations

import argparse
import functools
import gzip
import hashlib
import io
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import xxhash

from steps.core.errors import DataError, UsageError
from steps.core.parts import cached_store
from steps.core.store import ObjectMissing, Store, open_store
from steps.filter import matcher

FOLDER = "lists"
MAX_LIST_BYTES = 1 << 30  # of one list, decompressed; UT1's largest, 4.6 million domains, has 0.1 GB
MAX_URL = 4096  # bytes of a URL that are looked at
MAX_PREFIXES = 8  # labels of a host, folders of a path
PATH_WEIGHT = 0.5  # of a word in the path: it names the page's topic, the host names the business
_SCHEME = re.compile(r"^[a-z][a-z0-9+.-]*://")


def split_url(url: str) -> tuple[str, str]:
    """(host, path) in lower case, without scheme, user, port, ``www.`` and query; both may be empty."""
    rest = _SCHEME.sub("", url.strip().lower()[:MAX_URL])
    rest = re.split(r"[?#]", rest, maxsplit=1)[0]
    host, _, path = rest.partition("/")
    host = host.rpartition("@")[2].partition(":")[0].strip(".").removeprefix("www.")
    if not host.isascii():
        try:
            host = host.encode("idna").decode()
        except UnicodeError:  # no host that a list could hold
            return "", path
    return host, path


def keys(url: str) -> list[str]:
    """What a list may hold of a URL: its host and every parent domain, and the host with each folder of its path."""
    host, path = split_url(url)
    if not host:
        return []
    labels = host.split(".")
    hosts = [".".join(labels[i:]) for i in range(max(0, len(labels) - MAX_PREFIXES), len(labels))]
    folders = path.split("/")[:MAX_PREFIXES]
    paths = ["/".join(folders[: i + 1]) for i in range(len(folders)) if folders[i]]
    return [*hosts, *(f"{host}/{p}" for p in paths)]


def entry_key(line: str) -> str:
    """The key of a line of a list: a domain, or a URL with or without scheme."""
    host, path = split_url(line)
    path = path.rstrip("/")
    return f"{host}/{path}" if host and path else host


def read_list(data: bytes, where: str) -> np.ndarray:
    """Sorted xxh3 hashes, uint64[], of the entries of a list: one domain or URL per line, # starts a comment.

    Raises DataError for what is no UTF-8 text or decompresses to more than 1 GiB.
    """
    if data[:2] == b"\x1f\x8b":
        with gzip.open(io.BytesIO(data)) as stream:
            data = stream.read(MAX_LIST_BYTES + 1)
    if len(data) > MAX_LIST_BYTES:
        raise DataError(f"{where}: a URL list of more than {MAX_LIST_BYTES >> 30} GiB")
    try:
        lines = (line for line in data.decode("utf-8").split("\n") if line.strip() and line[0] != "#")
        hashes = {xxhash.xxh3_64_intdigest(key.encode()) for line in lines if (key := entry_key(line))}
    except UnicodeDecodeError as error:
        raise DataError(f"{where}: a URL list is UTF-8 text, byte {error.start} is not") from None
    return np.array(sorted(hashes), np.uint64)


@functools.lru_cache(maxsize=2)
def load_lists(store_uri: str, digests: tuple[str, ...]) -> np.ndarray:
    """The entries of all lists, sorted hashes; once per process. Raises DataError for one that is missing or wrong."""
    store, parts = cached_store(store_uri), [np.zeros(0, np.uint64)]
    for digest in digests:
        where = f"{store.uri}/{FOLDER}/{digest}"
        try:
            data = store.get(f"{FOLDER}/{digest}")
        except ObjectMissing:
            raise DataError(
                f"filter.url_lists: there is no {where}; put the list there with `python -m steps.filter.urls`"
            ) from None
        if hashlib.sha256(data).hexdigest() != digest:
            raise DataError(f"filter.url_lists: {where} is not what its name says")
        parts.append(read_list(data, where))
    return np.unique(np.concatenate(parts))


def listed(urls: Sequence[str], entries: np.ndarray) -> np.ndarray:
    """float64[urls]: 1 where the URL, a folder of it, its host or a parent domain is among the entries' hashes."""
    out = np.zeros(len(urls))
    if not len(entries):
        return out
    mine = [keys(url) for url in urls]
    owner = np.repeat(np.arange(len(urls)), [len(k) for k in mine])
    hashes = np.array([xxhash.xxh3_64_intdigest(k.encode()) for ks in mine for k in ks], np.uint64)
    place = np.minimum(np.searchsorted(entries, hashes), len(entries) - 1)
    out[owner[entries[place] == hashes]] = 1
    return out


@functools.lru_cache(maxsize=2)
def _automaton(words: tuple[str, ...]) -> matcher.Automaton:
    return matcher.build([word.lstrip("*") for word in words])


def word_score(urls: Sequence[str], words: Mapping[str, float]) -> np.ndarray:
    """float64[urls]: weights of the words in the host, and half of those in the path, each word once.

    A word stands between signs; one written ``*word`` may stand anywhere.
    """
    out = np.zeros(len(urls))
    if not words or not urls:
        return out
    names, weights = tuple(words), np.array(list(words.values()))
    anywhere = np.array([name.startswith("*") for name in names])
    spans = [part.encode() + b" " for url in urls for part in split_url(url)]
    ends = np.cumsum([len(span) for span in spans], dtype=np.int64)
    starts = np.append(np.int64(0), ends[:-1])
    data = np.frombuffer(b"".join(spans), np.uint8)
    hits = matcher.scan(_automaton(names), data, starts, ends)
    counts = hits.whole | anywhere[hits.word]
    for span, word in set(zip(hits.span[counts].tolist(), hits.word[counts].tolist(), strict=True)):
        out[span // 2] += weights[word] * (PATH_WEIGHT if span % 2 else 1.0)
    return np.round(out, 6)


def put_lists(store: Store, paths: Sequence[Path]) -> list[str]:
    """Puts list files into the store under their sha256, and returns it."""
    digests = []
    for path in paths:
        data = path.read_bytes()
        read_list(data, str(path))
        digests.append(hashlib.sha256(data).hexdigest())
        store.put(f"{FOLDER}/{digests[-1]}", data)
    return digests


def main() -> None:
    """Put the files that are named on the command line and print their sha256, for the recipe."""
    parser = argparse.ArgumentParser(description="Put URL lists into the artifact store.")
    parser.add_argument(
        "--root", default=os.environ.get("TOKENMILL_ROOT"), help="artifact root (TOKENMILL_ROOT)"
    )
    parser.add_argument("files", nargs="+", type=Path)
    arguments = parser.parse_args()
    if not arguments.root:
        raise UsageError("no artifact root: give --root or set TOKENMILL_ROOT")
    for path, digest in zip(
        arguments.files, put_lists(open_store(arguments.root), arguments.files), strict=True
    ):
        print(f"{digest}  {path}")


if __name__ == "__main__":
    main()
