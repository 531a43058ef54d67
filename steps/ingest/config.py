"""Settings of ingest."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from steps.core.config import FILLED_IN, CorpusConfig
from steps.core.takedown import TakedownList

MIB = 1 << 20


class Config(CorpusConfig):
    """How raw records become documents, and how documents are grouped into shards."""

    documents_per_shard: int = Field(
        10_000, ge=1, le=1_000_000, description="Documents after which a shard is closed (own choice)."
    )
    shard_bytes: int = Field(
        256 * MIB,
        ge=MIB,
        description="Bytes of text after which a shard is closed (own choice: bounds memory).",
    )
    task_bytes: int = Field(
        8 * MIB,
        ge=1,
        description="Raw bytes up to which small neighbouring objects are read by one task (own choice).",
    )
    max_record_bytes: int = Field(
        16 * MIB,
        ge=1024,
        le=1 << 30,
        description="Largest record in bytes, before and after decompression; larger ones are quarantined "
        "(Common Crawl itself cuts pages at 1 to 5 MiB).",
    )
    max_record_seconds: int = Field(
        60,
        ge=1,
        le=3600,
        description="Processor seconds that reading and extracting one record may take before it is quarantined "
        "(own choice: the slowest page of the crawl sample takes 0.3 s).",
    )
    verify_digests: Literal["none", "block", "all"] = Field(
        "block",
        description="WARC digests to check where a record has them: of its block, or of block and payload; a record "
        "that does not match is quarantined (block only by default: tools differ in what they call the payload of a "
        "chunked response).",
    )
    split_bytes: int = Field(
        256 * MIB,
        ge=1,
        description="Size of the pieces that a larger object is read in, by several workers: uncompressed JSONL and "
        "WARC, and archives with one gzip, zstd or lz4 member per record (own choice: a Common Crawl WARC has 1 GB).",
    )
    max_html_depth: int = Field(
        2_000,
        ge=100,
        description="Deepest nesting of HTML elements; a deeper page is quarantined, because the parser's time "
        "grows with the square of the depth "
        "(own measurement: 0.04 s at 2,000, 5.6 s at 20,000).",
    )
    max_quarantine_share: float = Field(
        0.2,
        ge=0,
        le=1,
        description="Share of raw records that may be quarantined before the step fails (own choice).",
    )
    takedowns: TakedownList = Field(
        (),
        description="What must not enter again, as doc_id:…, url:… or domain:…; "
        "`plan` fills it from the catalog.",
        json_schema_extra={FILLED_IN: True},
    )
