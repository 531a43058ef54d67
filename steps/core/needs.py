"""What a step is predicted to need, from the size of what goes in."""

from __future__ import annotations

from typing import NamedTuple


class Size(NamedTuple):
    """Documents, bytes of UTF-8 text in all, and of the largest shard; documents of published dumps beside them, and
    bytes of the language models, whose pages all workers share."""

    documents: int
    bytes: int
    shard: int
    published: int = 0
    models: int = 0


class Need(NamedTuple):
    """Bytes of memory of all processes together, of scratch space at one time and of the store, temporary files of
    later phases among them; processor seconds of all cores together."""

    memory: float
    scratch: float
    stored: float
    seconds: float


class Outlook(NamedTuple):
    """What a stage says whose cost follows the model's size: its need (None where that is not known yet), in words."""

    need: Need | None
    said: str
