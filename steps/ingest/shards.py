"""Collects documents into shards of bounded size, and counts what became of every record."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from steps.core.document import SCHEMA, SUPERVISED_SCHEMA, text_bytes
from steps.core.errors import DataError
from steps.core.parts import PartWriter
from steps.core.source import SourceObject
from steps.ingest.config import Config
from steps.ingest.protocol import KEPT, QUARANTINED, UNDETERMINED

SHARDS_PER_TASK = 10_000  # shard numbers that a task may use
_LOST_COLUMNS = ["fate", "record_row", "size", "reason", "value", "detail", "raw", "language"]


class Shards:
    """The shards of one task, numbered from ``first_number``."""

    def __init__(self, part: PartWriter, first_number: int) -> None:
        self.part = part
        self.config: Config = part.config
        self.number, self.last_number = first_number, first_number + SHARDS_PER_TASK
        self._tables: list[pa.Table] = []
        self._rows = self._size = 0
        self._last_row = -1

    def add(self, outcomes: pa.Table, source: str, shard: str) -> int:
        """Take a table of OUTCOMES: documents into shards, everything else into ledger or quarantine. Gives the
        number of documents.
        """
        self._last_row = max(self._last_row, pc.max(outcomes["record_row"]).as_py())
        is_kept = pc.equal(outcomes["fate"], KEPT)
        kept = outcomes.filter(is_kept)
        for row in outcomes.filter(pc.invert(is_kept)).select(_LOST_COLUMNS).to_pylist():
            self._lost(row, source, shard)
        if kept.num_rows:
            self._keep(kept, source)
        return int(kept.num_rows)

    def begin(self, first_row: int) -> None:
        """The next tables are of another piece, which begins at this row of its object."""
        self._last_row = first_row - 1

    def lose_rest(self, item: SourceObject, shard: str, end: dict[str, Any], language: str) -> None:
        """Say that an object could not be read to its end; what was left counts as one record, behind the last."""
        row = {
            "fate": QUARANTINED,
            "record_row": self._last_row + 1,
            "size": 0,
            "reason": end["rest"],
            "value": None,
            "detail": f"{item.key}: nothing can be read from record {end['records']} on",
            "raw": None,
            "language": language or UNDETERMINED,
        }
        self._lost(row, item.source, shard)

    def close(self) -> None:
        """Write the open shard, if it has rows."""
        if not self._rows:
            return
        if self.number == self.last_number:
            raise DataError(
                f"an object has more than {SHARDS_PER_TASK} shards; raise ingest.documents_per_shard"
            )
        self.part.put_shard(self.number, pa.concat_tables(self._tables))
        self.number, self._tables, self._rows, self._size = self.number + 1, [], 0, 0

    def _lost(self, row: dict[str, Any], source: str, shard: str) -> None:
        reason, language, size = row["reason"], row["language"], row["size"]
        where: dict[str, Any] = {
            "shard": shard,
            "row": row["record_row"],
            "bytes": size,
            "detail": row["detail"],
        }
        self.part.count.add_input(source, language, 1, size)
        if row["fate"] == QUARANTINED:
            self.part.quarantine(reason=reason, source=source, language=language, raw=row["raw"], **where)
        else:
            self.part.ledger.add(rule=reason, source=source, language=language, value=row["value"], **where)
            self.part.count.add_removed(reason, source, language, 1, size)

    def _keep(self, kept: pa.Table, source: str) -> None:
        written = text_bytes(kept["text"])
        sizes = kept["size"].to_numpy()
        languages = kept["language"].to_numpy(zero_copy_only=False)
        for language in dict.fromkeys(languages):
            mine = languages == language
            documents, size = int(mine.sum()), int(sizes[mine].sum())
            self.part.count.add_input(source, language, documents, size)
            self.part.count.add_kept(source, language, documents, size, int(written[mine].sum()))
        # one shard has one schema: supervised sets and plain texts do not share one
        schema = SCHEMA if kept["prompt"].null_count else SUPERVISED_SCHEMA
        documents_table = kept.select(schema.names).cast(schema)
        if self._tables and self._tables[0].schema != schema:
            self.close()
        start = 0
        while start < len(written):
            full = self._size + np.cumsum(written[start:])
            count = min(
                int(np.searchsorted(full, self.config.shard_bytes)) + 1,
                self.config.documents_per_shard - self._rows,
                len(written) - start,
            )
            self._tables.append(documents_table.slice(start, count))
            self._rows, self._size, start = self._rows + count, int(full[count - 1]), start + count
            if self._rows >= self.config.documents_per_shard or self._size >= self.config.shard_bytes:
                self.close()
