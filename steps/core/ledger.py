"""The ledger: one row for every removed document or span, and one for every quarantined document."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

LEDGER_SCHEMA = pa.schema(
    [
        ("step", pa.string()),
        ("rule", pa.string()),
        ("level", pa.string()),  # document | paragraph | sentence | span
        ("action", pa.string()),  # removed | edited | quarantined
        ("source", pa.string()),
        ("language", pa.string()),
        ("doc_id", pa.string()),
        ("shard", pa.string()),  # sha256 of the shard (or raw object) in which the row was read
        ("row", pa.int64()),
        ("start", pa.int64()),  # byte offsets of a span in the text as it was read
        ("end", pa.int64()),
        ("value", pa.float64()),  # the signal that the rule judged
        ("bytes", pa.int64()),
        ("detail", pa.string()),
        ("match_shard", pa.string()),  # the kept document that a duplicate matched
        ("match_row", pa.int64()),
        ("match_doc_id", pa.string()),
        ("distance", pa.int64()),
        ("similarity", pa.float64()),
    ]
)


class LedgerWriter:
    """Collects ledger rows of one part, in the order in which they are added."""

    def __init__(self, step: str) -> None:
        self._step = step
        self._rows: list[dict[str, Any]] = []

    def __len__(self) -> int:
        return len(self._rows)

    def add(
        self,
        *,
        rule: str,
        shard: str,
        row: int,
        bytes: int,
        level: str = "document",
        action: str = "removed",
        doc_id: str | None = None,
        source: str | None = None,
        language: str | None = None,
        start: int | None = None,
        end: int | None = None,
        value: float | None = None,
        detail: str | None = None,
        match_shard: str | None = None,
        match_row: int | None = None,
        match_doc_id: str | None = None,
        distance: int | None = None,
        similarity: float | None = None,
    ) -> None:
        """Record a removal (or edit, or quarantine) of ``bytes`` of text by ``rule``."""
        row_values = {k: v for k, v in locals().items() if k != "self"}
        self._rows.append({"step": self._step, **row_values, "row": int(row), "bytes": int(bytes)})

    def table(self) -> pa.Table:
        return pa.Table.from_pylist(self._rows, schema=LEDGER_SCHEMA)
