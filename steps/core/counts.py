"""Counts of a step in documents and bytes, with the check that nothing is lost."""

from __future__ import annotations

from collections.abc import Iterable

from pydantic import BaseModel, Field

from steps.core.errors import DataError


class Tally(BaseModel):
    """A number of documents and of UTF-8 bytes."""

    documents: int = 0
    bytes: int = 0

    def add(self, documents: int, size: int) -> None:
        self.documents += int(documents)
        self.bytes += int(size)

    def merge(self, other: Tally) -> None:
        self.add(other.documents, other.bytes)


class Group(BaseModel):
    """Counts of one source and language."""

    input: Tally = Field(default_factory=Tally)
    kept: Tally = Field(default_factory=Tally)
    removed: Tally = Field(default_factory=Tally)
    quarantined: Tally = Field(default_factory=Tally)
    written: Tally = Field(default_factory=Tally)


class Counts(BaseModel):
    """What a step took, kept, removed (by reason), quarantined and wrote.

    ``input``, ``kept``, ``removed`` and ``quarantined`` are bytes as they came in, so that they must add up;
    ``written`` is what the step put out, which is less where it edited text. ``groups`` has the same per
    ``source|language``.
    """

    total: Group = Field(default_factory=Group)
    removed_by: dict[str, Tally] = Field(default_factory=dict)
    quarantined_by: dict[str, Tally] = Field(default_factory=dict)
    groups: dict[str, Group] = Field(default_factory=dict)

    def add_input(self, source: str, language: str, documents: int, size: int) -> None:
        self._add("input", source, language, documents, size)

    def add_kept(
        self, source: str, language: str, documents: int, size: int, written: int | None = None
    ) -> None:
        """Count kept documents; ``written`` is their size after editing (default: unchanged)."""
        self._add("kept", source, language, documents, size)
        self._add("written", source, language, documents, size if written is None else written)

    def add_removed(self, reason: str, source: str, language: str, documents: int, size: int) -> None:
        self._add("removed", source, language, documents, size)
        self.removed_by.setdefault(reason, Tally()).add(documents, size)

    def add_quarantined(self, reason: str, source: str, language: str, documents: int, size: int) -> None:
        self._add("quarantined", source, language, documents, size)
        self.quarantined_by.setdefault(reason, Tally()).add(documents, size)

    def _add(self, column: str, source: str, language: str, documents: int, size: int) -> None:
        name = f"{source}|{language}"
        group = self.groups.get(name)
        if group is None:  # not setdefault: a new group for each document would cost more than the counting
            group = self.groups[name] = Group()
        getattr(self.total, column).add(documents, size)
        getattr(group, column).add(documents, size)

    def merge(self, other: Counts) -> None:
        for column in Group.model_fields:
            getattr(self.total, column).merge(getattr(other.total, column))
        for mine, theirs in (
            (self.removed_by, other.removed_by),
            (self.quarantined_by, other.quarantined_by),
        ):
            for reason, tally in theirs.items():
                mine.setdefault(reason, Tally()).merge(tally)
        for name, group in other.groups.items():
            target = self.groups.setdefault(name, Group())
            for column in Group.model_fields:
                getattr(target, column).merge(getattr(group, column))

    def check(self, step: str) -> None:
        """Raise DataError unless in = kept + removed + quarantined, in documents and bytes, everywhere."""
        for name, group in [("total", self.total), *sorted(self.groups.items())]:
            for unit in ("documents", "bytes"):
                went_in = getattr(group.input, unit)
                came_out = sum(getattr(getattr(group, c), unit) for c in ("kept", "removed", "quarantined"))
                if went_in != came_out:
                    raise DataError(
                        f"step {step}, {name}: {went_in} {unit} went in, but kept + removed + quarantined is {came_out}"
                    )
        for fate, reasons, column in (
            ("removed", self.removed_by, self.total.removed),
            ("quarantined", self.quarantined_by, self.total.quarantined),
        ):
            if sum(t.documents for t in reasons.values()) != column.documents:
                raise DataError(f"step {step}: the reasons' documents do not add up to those {fate}")

    @classmethod
    def sum(cls, parts: Iterable[Counts]) -> Counts:
        """The merged counts of all ``parts``."""
        total = cls()
        for part in parts:
            total.merge(part)
        return total
