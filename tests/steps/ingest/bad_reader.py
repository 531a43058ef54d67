"""A reader child whose parser misbehaves at records that say so: for tests of what its parent does then."""

from __future__ import annotations

import ctypes
import json
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from steps.ingest import documents, reader
from steps.ingest.html import Decoded, decode
from steps.ingest.records import RawRecord


def misbehave(order: str) -> str:
    """Do what the text of a record orders; gives the text that the document gets."""
    match order.partition(" ")[0]:
        case "SEGFAULT":
            ctypes.string_at(0)
        case "ABORT":
            os.abort()
        case "LOOP":
            while True:
                pass
        case "SLEEP":
            time.sleep(1000)
        case "EAT":
            return str(len(bytearray(8 << 30)))
        case "ENVIRONMENT":
            return json.dumps(dict(os.environ))
        case "PARENT":
            return Path(f"/proc/{os.getppid()}/environ").read_bytes().decode("utf-8", "replace")

        case "PRINT":
            print("this goes to the log, not between the frames")
            os.write(1, b"neither does this\n")
    return order


def bad_decode(data: bytes, declared: str | None = None) -> Decoded:
    found = decode(data, declared)
    return found._replace(text=misbehave(found.text))


def bad_records(*arguments: Any) -> Iterator[RawRecord]:
    """The records; the order READ is obeyed while the next one is read."""
    for record in good_records(*arguments):
        yield record
        if record.payload is None and record.text is None and record.url.endswith("#read"):
            misbehave("SEGFAULT")


good_records = reader.records
documents.decode = bad_decode
reader.records = bad_records

if __name__ == "__main__":
    reader.main(int(sys.argv[1]), int(sys.argv[2]))
