"""Settings of de-duplication."""

from __future__ import annotations

import re
from typing import Literal

from pydantic import Field, field_validator, model_validator

from steps.core.config import CorpusConfig

TRACKING = (
    "utm_[a-z_]*",
    "gclid",
    "fbclid",
    "msclkid",
    "dclid",
    "yclid",
    "mc_cid",
    "mc_eid",
    "igshid",
    "spm",
)
# Characters and classes, each of which may be repeated: RE2 takes them all. What else matches a separator of parameters
# goes on over those that follow: `utm_.*` would make one page of ?utm_id=1&page=2 and ?utm_id=1&page=3.
_NAME = re.compile(r"(?:(?:[^][.^$*+?{}()|\\&=]|\[[^]^[\\][^][\\]*\])[*+?]?)+")
_CLASS = re.compile(r"\[[^]]*\]")
_SEPARATORS = "&="


class Config(CorpusConfig):
    """What counts as the same URL, the same text and nearly the same text; and when to stop and ask."""

    url_tracking_parameters: tuple[str, ...] = Field(
        TRACKING,
        description="Query parameters that do not distinguish two URLs: whole names, in which [a-z_]* and the like "
        "stand for any such characters.",
    )
    url_ignore_scheme: bool = Field(True, description="Treat http and https as the same page.")
    bloom_false_positives: float = Field(
        0.001,
        gt=1e-9,
        lt=0.5,
        description="Target share of new URLs that the Bloom filter takes for known (own choice); every such URL is "
        "then compared exactly, so it costs time, never a document.",
    )
    short_characters: int = Field(
        16,
        ge=0,
        description="Texts with fewer letters and digits are compared whole, punctuation and space included (own "
        "choice: 'C++' and 'C#' must stay apart).",
    )
    ideograph_gram: int = Field(
        2, ge=1, le=8, description="Most characters per SimHash feature where most of a text is Han or kana."
    )
    ideograph_shortest: int = Field(
        1,
        ge=1,
        le=8,
        description="Fewest characters per feature there; a feature of n characters weighs ideograph_gram + 1 - n.",
    )
    ideograph_weight: Literal["count", "once"] = Field(
        "once", description="A feature of such a text counts as often as it occurs, or once."
    )
    word_gram: int = Field(1, ge=1, le=8, description="Most words per SimHash feature elsewhere.")
    word_shortest: int = Field(
        1, ge=1, le=8, description="Fewest words per feature; weights as for characters."
    )
    word_weight: Literal["count", "once"] = Field(
        "once", description="A feature of such a text counts as often as it occurs, or once."
    )
    min_features: int = Field(
        20,
        ge=1,
        description="Texts with fewer SimHash features have no near duplicates, only exact ones (own choice).",
    )
    hamming: int = Field(
        3,
        ge=0,
        le=12,
        description="Bits in which fingerprints of near duplicates may differ; 3 as for 8 billion pages of 64 bits "
        "(https://doi.org/10.1145/1242572.1242592). With minhash no pair is found by more bits than 0 "
        "(benchmarks/quality/deduplicate.py), and beyond 3 tables grow with the corpus. Alone, 3 bits find 26-44 % of "
        "Chinese pairs with bigram Jaccard >= 0.8, 6 bits 64-78 %, 10 bits 93-97 %.",
    )
    minhash: bool = Field(
        True,
        description="Find candidates by 20 MinHash bands of 4 rows over the n-grams that pairs are verified with, "
        "beside the SimHash tables: 99.99 % of pairs at Jaccard 0.8, 94 % at 0.6 "
        "(https://doi.org/10.1017/9781139924801, section 3.4).",
    )
    verify_ideograph_gram: int = Field(
        2,
        ge=1,
        le=8,
        description="Characters per n-gram when a near duplicate is verified, in Han or kana text.",
    )
    verify_word_gram: int = Field(
        2, ge=1, le=8, description="Words per n-gram when a near duplicate is verified."
    )
    similarity: float = Field(
        0.8,
        gt=0,
        le=1,
        description="Jaccard similarity of the n-gram sets from which a candidate pair is a duplicate, whatever its "
        "edits. At 0.7 twice as many articles of wiki_zh that were made from one template go (23 pairs for 11), "
        "and no more copies (benchmarks/quality/deduplicate.py).",
    )
    edit_similarity: float = Field(
        0.87,
        ge=0.5,
        le=1,
        description="A candidate pair below `similarity` is a duplicate too if 1 - edits / length is at least this, "
        "for the shorter text and the part of the longer one that it fits best; edits are of characters in Chinese, of "
        "words elsewhere. Finds 90 % of Chinese texts of which 8 % of the characters were edited, 0.9 finds 72 %; at "
        "0.85 more articles of wiki_zh go that share a template (benchmarks/quality/near_duplicates.py).",
    )
    max_candidates: int = Field(
        64,
        ge=1,
        description="Kept documents that one document is verified against, nearest fingerprint first (own choice).",
    )
    max_cluster: int = Field(
        1000,
        ge=1,
        description="Near duplicates removed in favour of one kept document; the next one is kept (own choice).",
    )
    max_source_removal: float = Field(
        0.8,
        gt=0,
        le=1,
        description="Share of a source's documents that may be near duplicates before the step fails: marin's fuzzy "
        "de-duplication removed 98-100 % of whole sources unnoticed (marin #6854).",
    )
    alarm_min_documents: int = Field(
        100, ge=1, description="Documents of a source below which its share raises no alarm (own choice)."
    )
    partition_documents: int = Field(
        4_000_000,
        ge=1,
        description="Documents whose keys one reduce task holds in memory (about 250 bytes each); shapes part files.",
    )
    verify_documents: int = Field(
        20_000,
        ge=1,
        description="Documents whose texts one verification task reads; a candidate group that is larger is cut into "
        "pieces of documents with near sketches, and each piece keeps a document (own choice).",
    )

    @model_validator(mode="after")
    def _lengths(self) -> Config:
        if self.ideograph_shortest > self.ideograph_gram or self.word_shortest > self.word_gram:
            raise ValueError(
                "the shortest n-gram is longer than the longest: lower *_shortest or raise *_gram"
            )
        return self

    @field_validator("url_tracking_parameters")
    @classmethod
    def _patterns(cls, patterns: tuple[str, ...]) -> tuple[str, ...]:
        for pattern in patterns:
            try:
                found = [re.compile(some) for some in _CLASS.findall(pattern)]
            except re.error as error:
                raise ValueError(f"{pattern!r} is not a regular expression: {error}") from None
            if not _NAME.fullmatch(pattern) or any(one.match(c) for one in found for c in _SEPARATORS):
                raise ValueError(
                    f"{pattern!r}: use plain names and classes of letters only, as utm_[a-z_]*, and [.] for a dot"
                )
        return patterns
