"""Settings of publish."""

from __future__ import annotations

from pydantic import Field

from steps.core.config import FILLED_IN, StepConfig
from steps.core.takedown import TakedownList


class Config(StepConfig):
    """What is left out of the approved documents; nothing can be added."""

    takedowns: TakedownList = Field(
        (),
        description="What must not be published, as doc_id:…, url:… or domain:…; a domain covers its subdomains.",
        json_schema_extra={FILLED_IN: True},
    )
