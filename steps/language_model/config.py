"""Settings of language model training: all of them change the models' bytes."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from steps.core.config import CorpusConfig


class Config(CorpusConfig):
    """One language's scorer."""

    language: str = Field(
        "zh",
        min_length=2,
        max_length=3,
        description="Language code of the documents to train on; documents of other languages are left out.",
    )
    normalisation: Literal["ccnet_lines_v1", "cc_net", "edugp"] = Field(
        "ccnet_lines_v1",
        description="How text is prepared for the model, at training and at scoring: by line (own choice), or the "
        "whole document as one line as cc_net or edugp/kenlm do it; published models need the one they were made "
        "with.",
    )
    vocabulary: int = Field(
        32000,
        ge=200,
        le=1_000_000,
        description="Largest number of SentencePiece pieces (cc_net: 65536, or 40000 for a small corpus); "
        "a smaller corpus gets fewer, and the number reached is recorded in the facts.",
    )
    character_coverage: float = Field(
        0.9995,
        gt=0.9,
        le=1,
        description="Share of characters that must be covered by pieces (cc_net: 0.9995).",
    )
    order: int = Field(5, ge=2, le=6, description="Length of the longest n-gram, in pieces (cc_net: 5).")
    prune: tuple[int, ...] = Field(
        (),
        description="Smallest counts per order that `lmplz --prune` keeps, such as 0 0 1; empty keeps all "
        "(cc_net: none).",
    )
    structure: Literal["probing", "trie"] = Field(
        "probing",
        description="KenLM's memory layout: `probing` is faster, `trie` about half the size.",
    )
    max_documents: int = Field(
        1_000_000, ge=1, description="Documents to train on, the first in shard order (cc_net: 1,000,000)."
    )
    max_piece_lines: int = Field(
        500_000,
        ge=1000,
        description="Lines from which pieces are learned, evenly spaced (own choice: bounds memory, time); "
        "the n-grams are counted on all lines.",
    )
    max_line_bytes: int = Field(
        16_384,
        ge=256,
        description="Longest line from which pieces are learned, in bytes of UTF-8; "
        "longer ones only count n-grams.",
    )
    training_threads: int = Field(
        4,
        ge=1,
        le=64,
        description="SentencePiece threads: part of the identity, since sums are taken per thread.",
    )
