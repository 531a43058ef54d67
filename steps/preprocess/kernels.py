"""What happens to a batch of documents: texts and settings in, texts and numbers out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from steps.core.document import joined
from steps.preprocess.config import Config
from steps.text import normalise
from steps.text import scan_tables as bits
from steps.text.language import Guess, identify_batch
from steps.text.mojibake import MAX_TIMES, count_mojibake, repair_line
from steps.text.normalise import Batch, Settings, lookup, normalise_batch, replace_documents
from steps.text.personal_data import KINDS, MASKABLE, mask_lines
from steps.text.scan import Scan, join_lines, scan
from steps.text.scan_tables import Tables, tables
from steps.text.segment import text_buffers

PLACEHOLDER_COLUMNS = tuple(f"masked_{kind}" for kind in KINDS)
COUNT_COLUMNS = (
    "mojibake_repaired",
    "mojibake_left",
    "invisible_removed",
    "markup_removed",
    "symbols_removed",
    "punctuation_removed",
    "traditional_converted",
    *PLACEHOLDER_COLUMNS,
    "personal_data_spans",
)
OPINION_COLUMNS = ("language_score", "language_fasttext", "language_cld2", "language_share")


class Prepared(NamedTuple):
    """A batch of documents: their guesses; whether each is in a wanted language (bool); of those that are, in order,
    the new texts (an Arrow string array) and counts, int64[kept, COUNT_COLUMNS]; of pairs, the new fields by name.
    """

    guesses: list[Guess]
    wanted: np.ndarray
    texts: pa.Array
    counts: np.ndarray
    fields: Mapping[str, pa.Array] = {}


def prepare_pairs(
    texts: pa.Array,
    fields: Mapping[str, pa.Array],
    declared: Sequence[str],
    prose: np.ndarray,
    config: Config,
) -> Prepared:
    """`prepare` of supervised documents: each of their ``fields`` by itself, in the language of the whole text.

    The new text is the new fields, a line end between them, so that nothing stands in a field that the text, which
    is judged, does not have.
    """
    whole = prepare(texts, declared, prose, config)
    kept = np.flatnonzero(whole.wanted)
    guesses = [whole.guesses[number] for number in kept.tolist()]
    done = {
        name: prepare(column.take(pa.array(kept)), [], prose[kept], config, guesses)
        for name, column in fields.items()
    }
    made = {name: one.texts for name, one in done.items()}
    counts = np.sum([one.counts for one in done.values()], axis=0)
    return whole._replace(texts=joined(*made.values()), counts=counts, fields=made)


def prepare(
    texts: pa.Array,
    declared: Sequence[str],
    prose: np.ndarray,
    config: Config,
    known: Sequence[Guess] | None = None,
) -> Prepared:
    """Classify a batch, and clean and mask the documents in a wanted language.

    Mojibake is undone first, since it looks like any language but its own. Documents that are not ``prose``
    (bool[documents]: code and mathematics) keep their typography. ``known`` are guesses made on more of their text:
    all of these documents are wanted.
    """
    data, offsets = text_buffers(texts)
    batch = Batch(data, offsets, np.zeros(len(prose), bool), prose)
    settings = Settings(config.simplify, config.emoji, config.emoticons)
    batch, lines, repaired = repair(batch, lookup(settings))
    if known is None:
        guesses = identify(batch, lines, declared, config)
        wanted = np.array(
            [g.language in config.languages and g.score >= config.min_language_score for g in guesses], bool
        )
    else:
        guesses, wanted = list(known), np.ones(len(known), bool)
    kept = np.flatnonzero(wanted)
    left = _count_left(batch, lines, kept)
    batch = replace(batch, chinese=np.array([g.language == "zh" for g in guesses], bool))
    if len(kept) < len(wanted):
        batch = batch.some(kept)
        lines = scan(batch.data, batch.offsets, batch.prose, lookup(settings))
    batch, done, flags = normalise_batch(batch, settings, lines)
    masked = np.zeros((len(batch), len(KINDS)), np.int64)
    if config.mask_personal_data:
        batch, masked = mask(batch, settings, flags, done)
    columns = (
        repaired[kept] + done[:, normalise.REPAIRED],
        left,
        *(done[:, column] for column in (
            normalise.INVISIBLE, normalise.MARKUP, normalise.SYMBOLS, normalise.PUNCTUATION, normalise.CONVERTED
        )),
        *masked.T,
        masked.sum(axis=1),
    )  # fmt: skip
    return Prepared(guesses, wanted, string_array(batch), np.stack(columns, axis=1))


def identify(batch: Batch, lines: Scan, declared: Sequence[str], config: Config) -> list[Guess]:
    """The language of each document: guessed, or what its source says where that is trusted."""
    guesses = identify_batch(batch.data, batch.offsets, lines)
    if not config.trust_declared_language:
        return guesses
    return [
        guess._replace(language=said, score=1.0) if said not in ("", "und") else guess
        for said, guess in zip(declared, guesses, strict=True)
    ]


def repair(batch: Batch, table: Tables) -> tuple[Batch, Scan, np.ndarray]:
    """The documents with reversible mojibake undone, their scan, and int64[documents] of lines or runs repaired."""
    counts = np.zeros(len(batch), np.int64)
    lines = scan(batch.data, batch.offsets, batch.prose, table)
    for _ in range(MAX_TIMES):
        document = lines.documents()
        text, changed = batch.data.data, {}
        for line in np.flatnonzero(lines.flags & (bits.LATIN_1 | bits.GBK)).tolist():
            fixed, times = repair_line(str(text[lines.start[line] : lines.end[line]], "utf-8"))
            if times:
                changed[line] = fixed.encode("utf-8", "replace")
                counts[document[line]] += times
        if not changed:
            break
        batch = with_lines(batch, lines, changed)
        lines = scan(batch.data, batch.offsets, batch.prose, table)
    return batch, lines, counts


def mask(batch: Batch, settings: Settings, flags: np.ndarray, done: np.ndarray) -> tuple[Batch, np.ndarray]:
    """The documents with personal data masked, and int64[documents, KINDS] of how often; ``flags`` are their own.

    What is masked is normalised again, since a placeholder may stand where a word kept something apart; that is added
    to the counts ``done``.
    """
    counts = np.zeros((len(batch), len(KINDS)), np.int64)
    numbers = np.flatnonzero(flags & MASKABLE)
    for _ in range(normalise.MAX_ROUNDS):
        some = batch.some(numbers)
        lines = scan(some.data, some.offsets, some.prose, tables())
        changed, more = mask_lines(some.data, lines)
        counts[numbers] += more
        if not changed:
            break
        hit = np.flatnonzero(more.sum(axis=1))
        some, again, _ = normalise_batch(with_lines(some, lines, changed).some(hit), settings)
        numbers = numbers[hit]
        done[numbers] += again
        batch = replace_documents(batch, numbers, some)
    return batch, counts


def with_lines(batch: Batch, lines: Scan, changed: dict[int, bytes]) -> Batch:
    """The batch with the lines of these numbers replaced."""
    start, end = lines.start.copy(), lines.end.copy()
    size = len(batch.data)
    for line, content in changed.items():
        start[line], end[line] = size, size + len(content)
        size += len(content)
    extra = np.frombuffer(b"".join(changed.values()), np.uint8)
    data, offsets = join_lines(
        np.concatenate([batch.data, extra]),
        lines._replace(start=start, end=end),
        np.zeros(len(batch), bool),
    )
    return replace(batch, data=data, offsets=offsets)


def string_array(batch: Batch) -> pa.Array:
    """The texts as an Arrow array of the type ``string``."""
    offsets = pa.py_buffer(np.ascontiguousarray(batch.offsets, np.int64))
    array = pa.LargeStringArray.from_buffers(
        len(batch), offsets, pa.py_buffer(np.ascontiguousarray(batch.data))
    )
    return array.cast(pa.string())


def _count_left(batch: Batch, lines: Scan, kept: np.ndarray) -> np.ndarray:
    """int64[kept]: sequences of mojibake that cannot be undone."""
    document, text = lines.documents(), batch.data.data
    left = np.zeros(len(batch), np.int64)
    for line in np.flatnonzero(lines.flags & bits.LOST).tolist():
        left[document[line]] += count_mojibake(str(text[lines.start[line] : lines.end[line]], "utf-8"))
    return left[kept]
