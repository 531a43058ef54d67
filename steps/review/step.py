"""review: automatic readers, people's labels, one frozen table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pyarrow.compute as pc

from steps.core.labels import Label, agreement, collect_labels, labels_from_table, labels_table
from steps.core.step import Input, PartWriter, Step, StepContext
from steps.review.config import Config

SCREENS = 3000  # characters: a defect on the first screens may be seen at once, and the rest need not be read


def run(ctx: StepContext) -> None:
    """Take the labels that count, say what is missing, freeze them."""
    rows = ctx.inputs["sample"].file("sample.parquet").rows or 0
    frozen = ctx.part("freeze", freeze).result
    for name, value in frozen.items():
        ctx.set(name, value)
    if frozen["hasty_labels"]:
        ctx.log.warning("%d answers came faster than a text can be read", frozen["hasty_labels"])
    ctx.set("mode", ctx.config.mode)
    missing = rows - frozen["labelled_documents"]
    if missing:
        ctx.log.warning("%d of %d documents have no label yet; the gate will ask for more", missing, rows)


def freeze(task: dict[str, Any], part: PartWriter) -> dict[str, Any]:
    """Write labels.parquet; the same label given twice counts once."""
    sample = part.inputs["sample"]
    labels: list[Label] = []
    if part.config.mode != "required":
        automatic = labels_from_table(sample.read_table(sample.file("automatic.parquet")))
        version = part.config.guideline_version
        labels += [label.model_copy(update={"guideline_version": version}) for label in automatic]
    if part.config.mode != "automatic":
        labels += collect_labels(part.store, sample.digest)
    texts = sample.read_table(sample.file("sample.parquet"), ["sample_id", "text"])
    lengths = dict(
        zip(texts["sample_id"].to_pylist(), pc.utf8_length(texts["text"]).to_pylist(), strict=True)
    )
    table = labels_table(labels)
    part.put_table("labels.parquet", table, "labels")
    return {
        "labels": table.num_rows,
        "labelled_documents": len({label.sample_id for label in labels}),
        "bad_labels": sum(label.label == "bad" for label in labels),
        "human_labels": sum(label.reader == "human" for label in labels),
        "hasty_labels": sum(1 for label in labels if hasty(label, lengths, part.config.reading_speed)),
        "agreement": agreement(labels),
    }


def hasty(label: Label, lengths: Mapping[str, int], speed: float) -> bool:
    """Whether a person answered faster than the text, or its first screens, can be read at ``speed``."""
    if label.reader != "human" or label.seconds is None:
        return False
    return label.seconds * speed < min(lengths.get(label.sample_id, 0), SCREENS)


STEP = Step(
    name="review",
    version=2,
    config=Config,
    run=run,
    inputs=(Input("sample"),),
    determinism="recorded",  # what people labelled until now comes from outside
)
