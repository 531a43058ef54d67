"""Record batch → signals of documents, lines and sentences, in one pass over the text."""

from __future__ import annotations

import functools
import itertools
import json
import re
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from steps.filter import kernels as k
from steps.filter import matcher
from steps.filter.config import Config
from steps.filter.layout import ends_in_comma, tail_run, wide_gaps
from steps.filter.patterns import OTHER_CASES, Expression, compile_expression, matches
from steps.text import hashing, ngrams, segment
from steps.text.near_repeats import near_repeats
from steps.text.segment import Spans
from steps.text.unicode_tables import classes

SHORT_LINE = 30  # characters [FineWeb]
LONG_LINE = 200  # characters [mC4]
PATTERN_BYTES = 65_536  # of a line that patterns look at
MIN_TOKENS = 300  # of a document, below which one word must not be a large share
NEARLY = 0.85  # similarity from which a sentence counts as a near repeat; rules set bounds above it
DECIMALS = 6  # signals are stored as they are judged; rounding keeps libm's last bit out


class Measured(NamedTuple):
    """Signals of one batch: float64 arrays by name; lines know their document, sentences their line."""

    data: np.ndarray
    offsets: np.ndarray
    lines: Spans
    sentences: Spans
    document: dict[str, np.ndarray]
    paragraph: dict[str, np.ndarray]
    sentence: dict[str, np.ndarray]
    end: np.ndarray  # int32[sentences], how each ends (kernels.END)
    closed: np.ndarray  # bool[documents], the last line is code, so that no sentence ends the document


class Words(NamedTuple):
    """All word lists and pattern anchors in one automaton."""

    automaton: matcher.Automaton
    categories: list[str]
    weights: np.ndarray  # float64[categories, words]; 0 where the word is not in the category
    patterns: list[str]
    anchors: np.ndarray  # bool[patterns, words]
    expressions: list[list[Expression]]  # of each pattern
    needs: list[np.ndarray]  # bool[expressions, words], of each pattern
    other_cases: np.ndarray  # bool[words]
    stops: dict[str, np.ndarray]  # uint64[] hashes by language


def compile_words(config: Config) -> Words:
    """The automaton and expressions of a config; built once per process."""
    return _compile(config.model_dump_json(include={"word_lists", "patterns", "stop_words"}))


@functools.lru_cache(maxsize=2)
def _compile(key: str) -> Words:
    content = json.loads(key)
    lists, patterns = content["word_lists"], content["patterns"]
    categories = sorted({words["category"] for words in lists})
    texts = {word for words in lists for word in words["words"]}
    texts |= {anchor.lower() for pattern in patterns for anchor in pattern["anchors"]}
    expressions = [[compile_expression(one) for one in pattern["expressions"]] for pattern in patterns]
    texts |= {word for own in expressions for one in own for word in one.words} | {*OTHER_CASES}
    place = {text: i for i, text in enumerate(sorted(texts))}
    weights = np.zeros((len(categories), len(place)))
    for words in lists:
        row = weights[categories.index(words["category"])]
        for word, weight in words["words"].items():
            row[place[word]] = weight
    anchors = np.zeros((len(patterns), len(place)), dtype=bool)
    for i, pattern in enumerate(patterns):
        anchors[i, [place[anchor.lower()] for anchor in pattern["anchors"]]] = True
    needs = [np.array([[text in one.words for text in place] for one in own]) for own in expressions]
    stops = {
        name: segment.hash_words(list(words), classes()) for name, words in content["stop_words"].items()
    }
    return Words(
        matcher.build(list(place)),
        categories,
        weights,
        [pattern["name"] for pattern in patterns],
        anchors,
        expressions,
        needs,
        np.array([text in OTHER_CASES for text in place]),
        stops,
    )


def measure(texts: pa.Array | pa.ChunkedArray, languages: list[str], words: Words) -> Measured:
    """All signals of a batch of documents. languages[n]: their language codes."""
    data, offsets = segment.text_buffers(texts)
    table = classes()
    whole = segment.lines(data, offsets, table)
    code = k.code_lines(data, whole.parent, whole.start, whole.end)
    prose = k.blank(data, whole.start[code], whole.end[code])  # code has no sentences, spam or repetition
    lines = Spans(*(column[~code] for column in whole))
    sentences = segment.sentences(data, lines, table)
    per_line = k.count_spans(data, lines.start, lines.end, table)
    size, tokens, ends = k.count_sentences(data, sentences.start, sentences.end, table)
    line_hash = segment.hash_spans(data, lines.start, lines.end)
    sentence_hash = _trimmed_hash(data, sentences)
    document_of_sentence = lines.parent[sentences.parent]
    own_tokens = hashing.words(prose, np.append(sentences.start, len(prose)), table)
    line_repeats = _repeats(lines.parent, len(offsets) - 1, line_hash)
    sentence_repeats = _repeats(document_of_sentence, len(offsets) - 1, sentence_hash)

    paragraph = _line_signals(per_line) | {"repeats_earlier": line_repeats.astype(np.float64)}
    marked = per_line[:, k.END] != k.ENDS_BARE
    comma = ends_in_comma(data, lines.start, lines.end)
    paragraph["tail_run"] = tail_run(lines.parent, paragraph["tokens"], marked, comma)
    paragraph["wide_gaps"] = wide_gaps(data, lines.start, lines.end).astype(np.float64)
    paragraph["wide_gaps_per_100"] = 100 * paragraph["wide_gaps"] / np.maximum(paragraph["tokens"], 20)
    sentence = {
        "characters": size.astype(np.float64),
        "tokens": tokens.astype(np.float64),
        "repeats_earlier": sentence_repeats.astype(np.float64),
        "nearly_repeats": near_repeats(own_tokens, document_of_sentence, NEARLY)[0],
    }
    document = _document_signals(
        per_line,
        size,
        lines.parent,
        document_of_sentence,
        line_repeats,
        sentence_repeats,
        len(offsets) - 1,
    )
    document["code_lines"] = _share(
        *(np.bincount(p, minlength=len(offsets) - 1) for p in (whole.parent[code], whole.parent))
    )
    document["replacement_share"] = _share(*k.count_lost(data, offsets))
    document |= _token_signals(prose, offsets, languages, words)
    document, paragraph, sentence = (
        {n: np.round(v, DECIMALS) for n, v in level.items()} for level in (document, paragraph, sentence)
    )
    for name, by_line, by_sentence in _hits(data, lines, sentences, words):
        _add_document_measure(name, by_line, lines.parent, document)
        _add_measure(name, by_line, paragraph)
        _add_measure(name, by_sentence, sentence)
    closed = np.zeros(len(offsets) - 1, dtype=bool)
    last = np.append(whole.parent[1:] != whole.parent[:-1], True)[: len(code)]
    closed[whole.parent[last & code]] = True
    measured = Measured(data, offsets, lines, sentences, document, paragraph, sentence, ends, closed)
    set_endings(measured, np.zeros(len(sentences.parent), dtype=bool), {})
    return measured


def set_endings(measured: Measured, gone: np.ndarray, removes: dict[str, np.ndarray]) -> None:
    """Sets the sentence signals cut_off and unfinished of what is left of the documents.

    gone bool[sentences], removed by other rules; removes: by the name of the signal, bool[documents], whether a
    rule on it removes the sentence, so that the one before it becomes the end.
    """
    goes = np.zeros((len(measured.closed), 4), dtype=bool)
    goes[:, k.ENDS_CUT_OFF] = removes.get("cut_off", False)
    goes[:, k.ENDS_OPEN] = goes[:, k.ENDS_BARE] = removes.get("unfinished", False)
    document = measured.lines.parent[measured.sentences.parent]
    tokens = measured.sentence["tokens"]
    cut, unfinished = k.endings(document, measured.end, tokens, gone, measured.closed, goes)
    measured.sentence["cut_off"] = cut.astype(np.float64)
    measured.sentence["unfinished"] = unfinished.astype(np.float64)


def _share(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """part / whole as float64, 0 where whole is 0."""
    return np.divide(part, whole, out=np.zeros(len(part), np.float64), where=np.asarray(whole) > 0)


def _offsets(parent: np.ndarray, parents: int) -> np.ndarray:
    """int64[parents + 1]: where the children of each parent begin; parent int64[], ascending."""
    return np.concatenate([[0], np.cumsum(np.bincount(parent, minlength=parents))]).astype(np.int64)


def _repeats(parent: np.ndarray, parents: int, hashes: np.ndarray) -> np.ndarray:
    """bool[spans]: the same hash stands earlier in the document."""
    return ngrams.first_occurrence(_offsets(parent, parents), hashes) != np.arange(len(hashes))


def _trimmed_hash(data: np.ndarray, sentences: Spans) -> np.ndarray:
    """Hash of sentences without the space behind them; it is ASCII but for odd spaces, which stay."""
    end = sentences.end.copy()
    for _ in range(3):
        spaced = (end > sentences.start) & (data[end - 1] == 32)
        end = end - spaced
    return segment.hash_spans(data, sentences.start, end)


def _line_signals(counts: np.ndarray) -> dict[str, np.ndarray]:
    solid = counts[:, k.CHARACTERS] - counts[:, k.SPACES]
    return {
        "characters": counts[:, k.CHARACTERS].astype(np.float64),
        "tokens": counts[:, k.TOKENS].astype(np.float64),
        "words": counts[:, k.WORDS].astype(np.float64),
        "upper_share": _share(counts[:, k.UPPERS], counts[:, k.LETTERS]),
        "digit_share": _share(counts[:, k.DIGITS], solid),
        "content_share": _share(
            np.maximum(counts[:, k.LETTERS] + counts[:, k.DIGITS], counts[:, k.ASCII]), solid
        ),
        "longest_word": counts[:, k.LONGEST_WORD].astype(np.float64),
        "ends_sentence": counts[:, k.ENDS_SENTENCE].astype(np.float64),
        "ends_cut_off": (counts[:, k.END] == k.ENDS_CUT_OFF).astype(np.float64),
        "cut_offs": counts[:, k.CUT_OFFS].astype(np.float64),
        "cut_offs_per_100": 100 * counts[:, k.CUT_OFFS] / np.maximum(counts[:, k.TOKENS], 20),
    }


def _document_signals(
    per_line: np.ndarray,
    sentence_characters: np.ndarray,
    line_document: np.ndarray,
    sentence_document: np.ndarray,
    line_repeats: np.ndarray,
    sentence_repeats: np.ndarray,
    documents: int,
) -> dict[str, np.ndarray]:
    """Signals that are sums over lines and sentences."""

    def total(values: np.ndarray, parent: np.ndarray = line_document) -> np.ndarray:
        return np.bincount(parent, weights=values, minlength=documents)

    def column(index: int) -> np.ndarray:
        return total(per_line[:, index])

    characters, tokens, lines = column(k.CHARACTERS), column(k.TOKENS), total(np.ones(len(line_document)))
    sentences = total(np.ones(len(sentence_document)), sentence_document)
    size = per_line[:, k.CHARACTERS]
    plain = characters - column(k.SPACES) - column(k.PUNCTUATIONS)
    return {
        "characters": characters,
        "tokens": tokens,
        "words": column(k.WORDS),
        "han_share": _share(column(k.HANS), tokens),
        "lines": lines,
        "mean_line_characters": _share(characters, lines),
        "sentences": sentences,
        "hash_per_token": _share(column(k.HASHES), tokens),
        "ellipsis_per_token": _share(column(k.ELLIPSES), tokens),
        "bullet_lines": _share(column(k.BULLET), lines),
        "ellipsis_lines": _share(column(k.ENDS_ELLIPSIS), lines),
        "punctuated_lines": _share(column(k.ENDS_SENTENCE), lines),
        "short_lines": _share(total(size <= SHORT_LINE), lines),
        "long_lines": total(size >= LONG_LINE),
        "lines_per_token": _share(lines, tokens),
        "digit_share": _share(column(k.DIGITS), plain),
        "lenticular_share": _share(column(k.LENTICULAR), characters),
        "punctuation_share": _share(column(k.PUNCTUATIONS), characters),
        "special_share": _share(column(k.SPECIALS), characters),
        "curly_share": _share(column(k.CURLY), characters),
        "duplicate_lines": _share(total(line_repeats), lines),
        "duplicate_line_characters": _share(total(size * line_repeats), characters),
        "duplicate_sentences": _share(total(sentence_repeats, sentence_document), sentences),
        "duplicate_sentence_characters": _share(
            total(sentence_characters * sentence_repeats, sentence_document), characters
        ),
    }


def _token_signals(
    data: np.ndarray, offsets: np.ndarray, languages: list[str], words: Words
) -> dict[str, np.ndarray]:
    """Signals of words and n-grams."""
    tokens = segment.tokens(data, offsets, classes())
    count = np.diff(tokens.offsets)
    number, alpha, caps, chars = tokens.words.T
    repeated = ngrams.repetition(tokens.offsets, tokens.hash, tokens.chars)
    different, stops = np.zeros(len(count)), np.zeros(len(count))
    for language, hashes in words.stops.items():
        wanted = np.array([name == language for name in languages], dtype=bool)
        if wanted.any():
            found = k.count_stop_words(tokens.offsets, tokens.hash, hashes, wanted)
            different, stops = different + found[0], stops + found[1]
    return {
        "mean_word_length": _share(chars, number),
        "alpha_words": np.where(number > 0, _share(alpha, number), 1.0),
        "caps_words": _share(caps, number),
        "stop_words": different,
        "stop_word_share": _share(stops, count),
        "unique_tokens": repeated[:, ngrams.UNIQUE],
        "entropy": repeated[:, ngrams.ENTROPY],
        **{f"top_{n}_gram": repeated[:, 2 + i] for i, n in enumerate(ngrams.TOP)},
        **{
            f"duplicate_{n}_gram": repeated[:, 2 + len(ngrams.TOP) + i]
            for i, n in enumerate(ngrams.DUPLICATE)
        },
    }


def _hits(
    data: np.ndarray, lines: Spans, sentences: Spans, words: Words
) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """(name, weight per line, weight per sentence) of every category and pattern."""
    hits = matcher.scan(words.automaton, data, lines.start, lines.end)
    inside = np.searchsorted(sentences.start, hits.start, side="right") - 1
    sizes = len(lines.start), len(sentences.start)
    yield from zip(
        words.categories,
        *matcher.weigh(hits, words.automaton.length, inside, words.weights, *sizes),
        strict=True,
    )
    seen = _seen(data, lines, hits, words)
    for i, name in enumerate(words.patterns):
        found = np.array(_matches(words, i, seen), np.int64).reshape(-1, 2)
        inside = np.searchsorted(sentences.start, found[:, 1], side="right") - 1
        by_line = np.bincount(found[:, 0], minlength=sizes[0])
        by_sentence = np.bincount(inside, minlength=sizes[1])
        yield name, by_line.astype(np.float64), by_sentence.astype(np.float64)


class Seen(NamedTuple):
    """What tells where patterns can match: the automaton's hits, and by line (bool[] or int64[]) how it begins."""

    texts: Texts
    hits: matcher.Hits
    odd: np.ndarray  # holds one of OTHER_CASES, so that hits are not all places of its words
    opening: np.ndarray  # byte of its first letter or digit
    numbered: np.ndarray  # that is a digit


def _seen(data: np.ndarray, lines: Spans, hits: matcher.Hits, words: Words) -> Seen:
    odd = np.zeros(len(lines.start), dtype=bool)
    odd[hits.span[words.other_cases[hits.word]]] = True
    return Seen(Texts(data, lines), hits, odd, *k.first_letters(data, lines.start, lines.end, classes()))


def _matches(words: Words, pattern: int, seen: Seen) -> list[tuple[int, int]]:
    """(line, byte where a match begins) of a pattern, in the lines that hold an anchor of it.

    Of several expressions those are joined by | that match in the same line.
    """
    texts, hits = seen.texts, seen.hits
    anchored = np.zeros(len(seen.odd), dtype=bool)
    anchored[hits.span[words.anchors[pattern, hits.word]]] = True
    found: dict[int, list[tuple[int, int]]] = {}  # by line: expression, first character
    for number, one in enumerate(words.expressions[pattern]):
        for line, places in _tried(one, words.needs[pattern][number], anchored, seen):
            for match in matches(one, texts[line], places):
                found.setdefault(line, []).append((number, match.start()))
    out = []
    for line in sorted(found):
        own = found[line]
        if own[0][0] != own[-1][0]:
            joined = _joined(tuple(one.pattern.pattern for one in words.expressions[pattern]))
            own = [(0, match.start()) for match in joined.finditer(texts[line])]
        out += [(line, texts.byte(line, start)) for _, start in own]
    return out


def _tried(
    one: Expression, needs: np.ndarray, anchored: np.ndarray, seen: Seen
) -> Iterator[tuple[int, list[int] | None]]:
    """(line, places as `matches` takes them) where the expression may match; needs bool[words] are its words."""
    hits = seen.hits
    tried = anchored & seen.odd if one.words else anchored.copy()
    known = needs[hits.word] & anchored[hits.span]
    if one.starts and one.first:
        tried |= anchored & seen.numbered
        tried[hits.span[known & (hits.start <= seen.opening[hits.span])]] = True
    elif one.starts:
        yield from seen.texts.characters(np.unique(hits.start[known & ~seen.odd[hits.span]]))
    else:
        tried[hits.span[known]] = True
    yield from ((line, None) for line in np.flatnonzero(tried).tolist())


class Texts:
    """Lines as str, at most PATTERN_BYTES of each, made once."""

    def __init__(self, data: np.ndarray, lines: Spans) -> None:
        self.data, self.lines = data, lines
        # a memoryview gives bytes and int several times as fast as an array does
        self._bytes, self._start, self._end = data.data, lines.start.data, lines.end.data
        self._made: dict[int, str] = {}

    def __getitem__(self, line: int) -> str:
        text = self._made.get(line)
        if text is None:
            first = self._start[line]
            raw = self._bytes[first : min(self._end[line], first + PATTERN_BYTES)]
            text = self._made[line] = str(raw, errors="ignore")
        return text

    def byte(self, line: int, character: int) -> int:
        """The byte of a character of a line."""
        return self._start[line] + len(self[line][:character].encode())

    def characters(self, places: np.ndarray) -> Iterator[tuple[int, list[int]]]:
        """(line, characters) of places int64[], bytes in ascending order."""
        line = np.searchsorted(self.lines.start, places, side="right") - 1
        characters = k.characters_before(self.data, self.lines.start[line], places).tolist()
        bounds = np.flatnonzero(np.diff(line, prepend=-1, append=-1)).tolist()
        for a, b in itertools.pairwise(bounds):
            yield int(line[a]), characters[a:b]


@functools.lru_cache(maxsize=64)
def _joined(expressions: tuple[str, ...]) -> re.Pattern[str]:
    """Any of the expressions."""
    return re.compile("|".join(f"(?:{one})" for one in expressions), re.IGNORECASE)


def _add_measure(name: str, found: np.ndarray, signals: dict[str, np.ndarray]) -> None:
    """Signals of a category or pattern, of lines or sentences; most have none of it.

    Shares have a floor, so that one word in a heading is no 100 %.
    """
    some = np.flatnonzero(found)
    weights, shares = np.zeros(len(found)), np.zeros(len(found))
    weights[some] = np.round(found[some], DECIMALS)
    shares[some] = np.round(100 * found[some] / np.maximum(signals["tokens"][some], 20), DECIMALS)
    signals[name], signals[f"{name}_per_100"] = weights, shares


def _add_document_measure(
    name: str, by_line: np.ndarray, parent: np.ndarray, document: dict[str, np.ndarray]
) -> None:
    """As `_add_measure`, of documents: per 1,000 tokens, and the share of lines; parent int64[lines]."""
    documents = len(document["tokens"])
    some = np.flatnonzero(by_line)
    total = np.bincount(parent[some], weights=by_line[some], minlength=documents)
    per_1000 = 1000 * total / np.maximum(document["tokens"], MIN_TOKENS)
    with_hit = np.bincount(parent[some], weights=by_line[some] >= 1, minlength=documents)
    document[f"{name}_per_1000"] = np.round(per_1000, DECIMALS)
    document[f"{name}_lines"] = np.round(_share(with_hit, document["lines"]), DECIMALS)
