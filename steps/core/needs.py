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
    later phases among them; processor seconds of all cores together; bytes of the store that are free again when the
    step ends."""

    memory: float
    scratch: float
    stored: float
    seconds: float
    passing: float = 0.0

    def times(self, runs: int) -> Need:
        """What so many runs need that follow each other, with what all of them leave in the store."""
        stored = runs * (self.stored - self.passing) + self.passing
        return self._replace(stored=stored, seconds=runs * self.seconds)


class Outlook(NamedTuple):
    """What a stage says whose cost follows the model's size: its need (None where that is not known yet), in words."""

    need: Need | None
    said: str
