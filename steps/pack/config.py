"""Settings of the pack step."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from steps.core.config import StepConfig


class Config(StepConfig):
    """How one stage's documents become windows."""

    stage: int = Field(1, ge=1, le=3, description="Training stage whose plan is packed.")
    sequence_length: int = Field(4096, ge=8, le=1 << 20, description="Tokens per window (Ziya2 §3.2: 4096).")
    mode: Literal["auto", "splice", "whole"] = Field(
        "auto",
        description="splice: documents go on across windows; whole: never cut; auto: splice in stage 1, else whole.",
    )
    too_long: Literal["drop", "truncate"] = Field(
        "drop", description="What happens to a whole document longer than a window; either way it is counted."
    )
    fit_documents: int = Field(
        10_000,
        ge=1,
        description="Documents of a task that are fitted together; more fill better, fewer keep the order of a "
        "curriculum more closely (own choice).",
    )
    block_bytes: int = Field(
        256 << 20,
        ge=1,
        description="Text that is laid out and written together, as one token file: it bounds memory and is the "
        "unit of resume (own choice).",
    )

    @property
    def spliced(self) -> bool:
        """Whether documents of a task are spliced like all others."""
        return self.mode == "splice" or (self.mode == "auto" and self.stage == 1)
