"""The `plan` step: writes the listing of raw objects as an artifact."""

from __future__ import annotations

from typing import Any

from steps.core.digest import canonical_json
from steps.core.parts import PartWriter
from steps.core.source import OBJECTS_FILE, SourceListing
from steps.core.step import Step, StepContext
from steps.plan.config import Config


def write_listing(task: dict[str, Any], part: PartWriter) -> None:
    """Write ``objects.json`` from the config, which holds everything."""
    listing = SourceListing(dump=part.config.dump, sources=part.config.sources, objects=part.config.objects)
    part.put_bytes(OBJECTS_FILE, canonical_json(listing.model_dump()), "objects", rows=len(listing.objects))


def run(ctx: StepContext) -> None:
    ctx.part("list", write_listing)


STEP = Step(name="plan", version=1, config=Config, run=run)
