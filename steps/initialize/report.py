"""What initialize's page shows: text per token and the loss that training begins with, before and after."""

from __future__ import annotations

from steps.core.counts import Counts
from steps.core.step import StepContext
from steps.report.blocks import Block, Number, Numbers, Section, Table, Text
from steps.report.page import stage_report

CHARACTERS_SHOWN = 400
LOSS = "loss/initial_"


def report(ctx: StepContext, counts: Counts) -> bytes:
    """The page of an initialized model."""
    facts = ctx.facts
    numbers = [
        Number(
            "characters added",
            f"{facts['characters_added']:,}",
            f"of {facts['characters_asked']:,} asked for",
        ),
        Number("vocabulary", f"{facts['vocabulary']:,}", f"rows, {facts['vocabulary_before']:,} before"),
        Number("tokenizer", "", ", ".join(facts["tokenizer_files"])),
    ]
    shown = facts["characters"][:CHARACTERS_SHOWN]
    rest = len(facts["characters"]) - len(shown)
    said = f"{shown}{f' … and {rest:,} more' if rest else ''}"
    sections = [
        Section("Vocabulary", [Numbers(numbers), Text(said, "The added characters, the most useful first")]),
        Section("Text per token", [compression(ctx)], note="UTF-8 bytes of held-out text; more is better."),
        Section("Initial loss", [losses(ctx)]),
    ]
    return stage_report(ctx, counts, sections)


def compression(ctx: StepContext) -> Block:
    """Bytes per token by language, and how many fewer tokens the same text takes."""
    rows = [
        [
            language,
            f"{found['before']:.3f}",
            f"{found['after']:.3f}",
            f"{1 - found['before'] / found['after']:.1%}",
        ]
        for language, found in sorted(ctx.facts["bytes_per_token"].items())
    ]
    return Table("", ["language", "bytes per token, base", "extended", "fewer tokens"], rows)


def losses(ctx: StepContext) -> Block:
    """Nats per byte and per token by language, base beside extended."""
    names = [name.removeprefix(LOSS) for name in ctx.metrics if name.startswith(LOSS)]
    languages = sorted({name.partition("_")[0] for name in names})
    if not languages:
        return Text(
            "Not measured: loss_bytes is 0, no text is held out, or the model does not fit into memory."
        )
    rows = []
    for language in languages:
        figures = [
            ctx.metrics[f"{LOSS}{language}_{which}_{unit}"]
            for unit in ("per_byte", "per_token")
            for which in ("before", "after")
        ]
        rows.append([language, *(f"{figure:.3f}" for figure in figures)])
    columns = ["language", "nats per byte, base", "extended", "nats per token, base", "extended"]
    note = "Only losses per byte compare between two tokenizers."
    return Table("", columns, rows, note)
