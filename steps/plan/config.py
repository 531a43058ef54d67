"""Identity of a source artifact: the dump, the sources' settings and every raw object by size and sha256."""

from __future__ import annotations

from pydantic import Field

from steps.core.config import StepConfig
from steps.core.source import SourceObject, SourceSettings


class Config(StepConfig):
    """Filled in by `plan` from the recipe and the store; not written by hand."""

    dump: str = Field(description="Name of the crawl delivery.")
    sources: list[SourceSettings] = Field(description="The data sets.")
    objects: list[SourceObject] = Field(description="Every raw object.")
