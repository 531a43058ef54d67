"""From a raw record to its outcome: a document, or the reason why there is none. Runs in the reader child."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Any

from steps.core.document import doc_id
from steps.core.source import SourceSettings
from steps.core.takedown import Takedowns
from steps.ingest.config import Config
from steps.ingest.html import TooDeep, decode
from steps.ingest.protocol import KEPT, QUARANTINED, REMOVED, UNDETERMINED
from steps.ingest.records import HTML_TYPES, RawRecord

if TYPE_CHECKING:
    from steps.ingest.extract import Page

RAW_LIMIT = 65_536  # bytes kept of a quarantined record, as in steps/core/parts.py
DETAIL_LIMIT = 2_000  # characters: a URL or an error message, not a payload


@cache
def load_extractor() -> Callable[[str, int], Page]:
    """`extract`, its kernels and its model loaded (0.5 s; half a minute where no image has compiled the kernels).

    Not with this module: many objects have no HTML.
    """
    from steps.ingest.extract import extract

    extract("<p>a page</p>", 100)
    return extract


class Documents:
    """Makes outcomes of one object's records."""

    def __init__(
        self, config: Config, settings: SourceSettings, *, key: str, shard: str, dump: str, first_row: int
    ) -> None:
        self.config, self.settings, self.key, self.shard, self.dump = config, settings, key, shard, dump
        self.first_row = first_row
        self.takedowns = Takedowns(config.takedowns)

    def outcome(self, record: RawRecord, number: int) -> dict[str, Any]:
        """One row of OUTCOMES: decodes and extracts the record's text where there is any.

        Raises MemoryError only; every other failure of a parser is an outcome.
        """
        encoding = None
        if not record.broken and not record.removed:
            encoding = self._fill(record)
        if record.broken:
            fate = QUARANTINED
        elif record.removed:
            fate = REMOVED
        else:
            fate = KEPT
        row: dict[str, Any] = {
            "fate": fate,
            "number": number,
            "record_row": self.first_row + record.row,
            "size": record.size,
            "language": record.language or self.settings.language or UNDETERMINED,
            "encoding": encoding,
        }
        if fate == KEPT:
            row.update(self._columns(record))
        else:
            detail = f"{self.key}: {record.detail}" if record.detail else f"{self.key} {record.url}".strip()
            row["reason"] = record.broken or record.removed
            row["value"] = record.value
            row["detail"] = clean(detail[:DETAIL_LIMIT])
            row["raw"] = record.raw[:RAW_LIMIT] if record.broken and record.raw is not None else None
        return row

    def _fill(self, record: RawRecord) -> str | None:
        """Set the record's text, or say in ``broken`` or ``removed`` why it has none; gives its encoding."""
        encoding = None
        if record.payload is not None:
            encoding = self._extract(record, record.payload)
            record.payload = None
        record.url, record.language = clean(record.url), clean(record.language)
        if record.broken is None and not (record.text or "").strip():
            record.removed = "no_text"
        if record.broken or record.removed or record.text is None:
            return encoding
        record.text = clean(record.text)
        identifier = doc_id(record.url, record.text)
        if self.takedowns.match(identifier, record.url):
            record.removed, record.detail = "takedown", identifier
        return encoding

    def _extract(self, record: RawRecord, payload: bytes) -> str | None:
        try:
            decoded = decode(payload, record.charset)
            if record.content_type in HTML_TYPES:
                page = load_extractor()(decoded.text, self.config.max_html_depth)
                record.text = page.text
                if page.title:
                    record.metadata["title"] = page.title
            else:
                record.text = decoded.text
            record.metadata["encoding"] = decoded.encoding
            return f"{decoded.encoding} ({decoded.chosen_by})"
        except TooDeep as error:
            record.broken, record.detail, record.raw = "html_too_deep", str(error), payload
        except MemoryError:
            raise
        except Exception as error:  # what a parser raises on foreign input is not ours to list
            record.broken, record.raw = "extraction_failed", payload
            record.detail = f"{type(error).__name__}: {error}"[:200]
        return None

    def _columns(self, record: RawRecord) -> dict[str, Any]:
        text = record.text or ""
        metadata = {**record.metadata, "kind": self.settings.kind}
        columns: dict[str, Any] = {
            "doc_id": doc_id(record.url, text),
            "url": record.url,
            "source": self.settings.name,
            "dump": self.dump,
            "fetched_at": clean(record.fetched_at),
            "licence": self.settings.licence,
            "text": text,
            "metadata": json.dumps(metadata, ensure_ascii=True, sort_keys=True),
            "origin": {"shard": self.shard, "row": self.first_row + record.row},
        }
        if record.supervised:
            columns.update(zip(("prompt", "response", "task"), map(clean, record.supervised), strict=True))
        return columns


def clean(text: str) -> str:
    """``text`` without lone surrogates, which JSON escapes can spell and UTF-8 cannot."""
    return text.encode("utf-8", "replace").decode()
