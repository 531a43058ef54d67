"""Byte-level fuzzing for readers and kernels: seeded mutations of real inputs, the same in every run.

``make fuzz`` runs every test with the marker ``fuzz`` on 100,000 inputs; the ordinary suite takes a few hundred.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterator, Sequence

FUZZ_INPUTS = int(os.environ.get("TOKENMILL_FUZZ_INPUTS", "300"))
# bytes that parsers stumble over: ends, quotes, brackets, escapes, BOMs, surrogates in UTF-8, overlong forms
TOKENS = (
    b"\x00", b"\xff", b"\xff\xfe", b"\xef\xbb\xbf", b"\xed\xa0\x80", b"\xc0\xaf", b"\xf4\x90\x80\x80", b"\xe2\x80\xa8",
    b"\r\n\r\n", b"\n", b"\x1f\x8b", b"\x28\xb5\x2f\xfd", b"\x04\x22\x4d\x18", b"WARC/1.0\r\n", b"Content-Length: ",
    b"-1", b"4294967296", b"99999999999999999999", b"<", b">", b"</", b"<!--", b"&#", b"&#x110000;", b"{", b"[", b'"',
    b"\\u", b"\\ud800", b"%00", b"PAR1", "　".encode(), "锟斤拷".encode(), "😀".encode(),
)  # fmt: skip


def mutations(seeds: Sequence[bytes], count: int = FUZZ_INPUTS, seed: int = 0) -> Iterator[bytes]:
    """``count`` inputs, each a seed with one to eight changes: flipped, cut, doubled, spliced, with tokens put in."""
    for number in range(count):
        generator = random.Random(f"{seed}:{number}")
        data = bytearray(generator.choice(seeds))
        for _ in range(generator.choice((1, 1, 2, 3, 5, 8))):
            generator.choice(_CHANGES)(data, generator, seeds)
        yield bytes(data)


def _place(data: bytearray, generator: random.Random) -> tuple[int, int]:
    """A range of at most 64 bytes, or now and then any."""
    start = generator.randrange(len(data) + 1)
    longest = len(data) - start if generator.random() < 0.1 else min(64, len(data) - start)
    return start, start + generator.randint(0, longest)


def _flip(data: bytearray, generator: random.Random, seeds: Sequence[bytes]) -> None:
    for _ in range(generator.randint(1, 4) if data else 0):
        data[generator.randrange(len(data))] = generator.randrange(256)


def _cut(data: bytearray, generator: random.Random, seeds: Sequence[bytes]) -> None:
    start, end = _place(data, generator)
    del data[start:end]


def _truncate(data: bytearray, generator: random.Random, seeds: Sequence[bytes]) -> None:
    del data[generator.randrange(len(data) + 1) :]


def _double(data: bytearray, generator: random.Random, seeds: Sequence[bytes]) -> None:
    start, end = _place(data, generator)
    data[start:start] = data[start:end] * generator.choice((1, 2, 10, 100))


def _splice(data: bytearray, generator: random.Random, seeds: Sequence[bytes]) -> None:
    other = bytearray(generator.choice(seeds))
    start, end = _place(other, generator)
    at = generator.randrange(len(data) + 1)
    data[at:at] = other[start:end]


def _token(data: bytearray, generator: random.Random, seeds: Sequence[bytes]) -> None:
    at = generator.randrange(len(data) + 1)
    data[at : at + generator.choice((0, 0, 1, 4))] = generator.choice(TOKENS) * generator.choice(
        (1, 1, 1, 50)
    )


_CHANGES: tuple[Callable[[bytearray, random.Random, Sequence[bytes]], None], ...] = (
    _flip, _flip, _cut, _truncate, _double, _splice, _token, _token,
)  # fmt: skip
