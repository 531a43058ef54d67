"""review: automatic readers, people's labels, one frozen table."""

from __future__ import annotations

from typing import Any

from steps.core.labels import Label, collect_labels, labels_from_table, labels_table
from steps.core.step import Input, PartWriter, Step, StepContext
from steps.review.config import Config


def run(ctx: StepContext) -> None:
    """Take the labels that count, say what is missing, freeze them."""
    rows = ctx.inputs["sample"].file("sample.parquet").rows or 0
    frozen = ctx.part("freeze", freeze).result
    for name, value in frozen.items():
        ctx.set(name, value)
    ctx.set("mode", ctx.config.mode)
    missing = rows - frozen["labelled_documents"]
    if missing:
        ctx.log.warning("%d of %d documents have no label yet; the gate will ask for more", missing, rows)


def freeze(task: dict[str, Any], part: PartWriter) -> dict[str, int]:
    """Write labels.parquet; the same label given twice counts once."""
    sample = part.inputs["sample"]
    labels: list[Label] = []
    if part.config.mode != "required":
        automatic = labels_from_table(sample.read_table(sample.file("automatic.parquet")))
        version = part.config.guideline_version
        labels += [label.model_copy(update={"guideline_version": version}) for label in automatic]
    if part.config.mode != "automatic":
        labels += collect_labels(part.store, sample.digest)
    table = labels_table(labels)
    part.put_table("labels.parquet", table, "labels")
    return {
        "labels": table.num_rows,
        "labelled_documents": len({label.sample_id for label in labels}),
        "bad_labels": sum(label.label == "bad" for label in labels),
        "human_labels": sum(label.reader == "human" for label in labels),
    }


STEP = Step(
    name="review",
    version=1,
    config=Config,
    run=run,
    inputs=(Input("sample"),),
    determinism="recorded",  # what people labelled until now comes from outside
)
