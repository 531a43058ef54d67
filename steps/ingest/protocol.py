"""What the step and its reader child say to each other; light to import, for the step parses nothing itself."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from steps.core.document import SUPERVISED_SCHEMA

CELL = struct.Struct("<qqq")  # ticks, number of the record, and what is done with it:
READING, WORKING, LOADING = 0, 1, 2
FRAME = struct.Struct("<qc")  # length and letter of what follows
OUT_OF_MEMORY = 86  # exit code of a child that was refused memory
UNDETERMINED = "und"
KEPT, REMOVED, QUARANTINED = 0, 1, 2
# what became of one raw record; the document's columns are null unless ``fate`` is KEPT
OUTCOMES = pa.schema(
    [
        ("fate", pa.int8()),
        ("number", pa.int64()),  # of the record among those that the reader gave, from 0
        ("record_row", pa.int64()),
        ("size", pa.int64()),
        ("reason", pa.string()),
        ("value", pa.float64()),
        ("detail", pa.string()),
        ("raw", pa.binary()),
        ("encoding", pa.string()),
        *SUPERVISED_SCHEMA,
    ]
)


@dataclass(frozen=True)
class Request:
    """What to read: a local file of format ``form``, the piece of the object ``key`` from ``first_row`` and
    ``first_byte`` on.

    ``after`` records were delivered before, ``stop`` is where to end, ``lost`` are the reasons why records (by
    number) are not worked on again.
    """

    path: str
    form: str
    key: str
    shard: str
    dump: str
    settings: dict[str, Any]
    first_row: int = 0
    first_byte: int = 0
    after: int = 0
    stop: int | None = None
    lost: dict[str, str] | None = None
    piece_bytes: int | None = None
    """Set: say only where the file can be cut into pieces of about this size."""
