"""What language_model's page shows: what the scorer was trained on."""

from __future__ import annotations

from typing import Any

from steps.core.counts import Counts
from steps.core.step import StepContext
from steps.report.blocks import Number, Numbers, Section
from steps.report.page import stage_report


def report(ctx: StepContext, counts: Counts) -> bytes:
    """The page of a language model."""
    facts: dict[str, Any] = ctx.facts
    numbers = [Number("language", str(facts["language"]), f"normalisation {facts['normalisation']}")]
    if "vocabulary" in facts:
        numbers.append(Number("vocabulary", f"{facts['vocabulary']:,}", "SentencePiece pieces"))
    if "pieces" in facts:  # a published model was not trained here
        each = facts["pieces"] / max(facts["lines"], 1)
        detail = f"pieces in {facts['lines']:,} lines, {each:.1f} each"
        numbers.append(Number("trained on", f"{facts['pieces']:,}", detail))
    if "order" in facts:
        numbers.append(Number("n-grams", f"up to {facts['order']}", "pieces long"))
    return stage_report(ctx, counts, [Section("Scorer", [Numbers(numbers)])])
