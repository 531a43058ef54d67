"""Settings of review."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from steps.core.config import StepConfig


class Config(StepConfig):
    """Who reads."""

    mode: Literal["automatic", "optional", "required"] = Field(
        "required",
        description="automatic: the detectors read; required: only people's labels count, and the DAG waits for them; "
        "optional: the detectors read, and what people labelled so far counts too.",
    )
    guideline_version: str = Field(
        "1", description="Version of the guideline that automatic readers stand for."
    )
    freeze: int = Field(
        1, ge=1, description="Raise by one to freeze people's labels again after more of them were given."
    )
    reading_speed: float = Field(
        100.0,
        gt=0,
        description="Characters per second above which an answer is reported as hasty (own choice: 1,200 English words "
        "a minute is skimming).",
    )
