"""Settings of publish."""

from __future__ import annotations

from pydantic import Field, field_validator

from steps.core.config import StepConfig

TAKEDOWN_KINDS = ("doc_id", "url", "domain")


class Config(StepConfig):
    """What is left out of the approved documents; nothing can be added."""

    takedowns: tuple[str, ...] = Field(
        (),
        description="What must not be published, as doc_id:…, url:… or domain:…; a domain covers its subdomains.",
    )

    @field_validator("takedowns")
    @classmethod
    def _known_kind(cls, entries: tuple[str, ...]) -> tuple[str, ...]:
        for entry in entries:
            kind, colon, value = entry.partition(":")
            if kind not in TAKEDOWN_KINDS or not colon or not value:
                raise ValueError(f"{entry!r} is not doc_id:ID, url:URL or domain:NAME")
        return tuple(sorted(set(entries)))
