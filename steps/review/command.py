"""``tokenmill labels``: a sample as Label Studio tasks, and what people answered there as labels.

The records are those of the review page, so that the gate counts both alike. Label Studio's agreement and progress are
not used: the gate computes its own. The task says nothing of strata, seeded defects or automatic findings.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from xml.sax.saxutils import quoteattr

from pydantic import ValidationError

from steps.core.artifact import Artifact
from steps.core.errors import DataError, UsageError
from steps.core.inspection import find_artifact
from steps.core.labels import DEFECTS, Label, put_label

VERDICT, DEFECT, PASSAGE = "verdict", "defects", "passage"
CLIENT = "label studio"
SHOWN = ("sample_id", "doc_sha256", "source", "language", "url", "text")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the command."""
    parser.add_argument("action", choices=("export", "import", "interface"))
    parser.add_argument("sample", nargs="?", help="an evaluate artifact")
    parser.add_argument(
        "file", nargs="?", type=Path, help="tasks to write, or Label Studio's JSON export to read"
    )
    parser.add_argument(
        "--guideline", default="1", help="import: version of the guideline that people read by"
    )


def execute(arguments: argparse.Namespace, root: str) -> None:
    """Write tasks or the labelling interface, or take answers in."""
    if arguments.action == "interface":
        print(interface())
        return
    if not arguments.sample or not arguments.file:
        raise UsageError(f"labels {arguments.action} needs a sample and a file")
    sample = find_artifact(arguments.sample, root)
    if sample.step != "evaluate":
        raise UsageError(
            f"{sample.reference.uri} is no sample: it was made by {sample.step}, not by evaluate"
        )
    if arguments.action == "export":
        found = tasks(sample)
        arguments.file.write_text(json.dumps(found, ensure_ascii=False), encoding="utf-8")
        print(
            f"{len(found):,} tasks in {arguments.file}; the labelling interface: tokenmill labels interface"
        )
        return
    labels = list(read_export(_json(arguments.file), sample, arguments.guideline))
    for label in labels:
        put_label(sample.store, sample.digest, label)
    people = sorted({label.annotator for label in labels})
    print(f"{len(labels):,} labels of {len(people)} people ({', '.join(people)}) on {sample.reference.uri}")


def interface() -> str:
    """The labelling configuration of a Label Studio project for our tasks."""
    choices = "".join(f"<Choice value={quoteattr(name)}/>" for name in DEFECTS)
    return (
        f'<View><Text name="text" value="$text"/>'
        f'<Choices name="{VERDICT}" toName="text" required="true" choice="single">'
        '<Choice value="good" hotkey="g"/><Choice value="bad" hotkey="b"/></Choices>'
        f'<Choices name="{DEFECT}" toName="text" choice="multiple" visibleWhen="choice-selected" '
        f'whenTagName="{VERDICT}" whenChoiceValue="bad">{choices}</Choices>'
        f'<Labels name="{PASSAGE}" toName="text"><Label value="defect"/></Labels></View>'
    )


def tasks(sample: Artifact) -> list[dict[str, Any]]:
    """Every document of the sample as a task in the basic Label Studio JSON format, in the sample's order."""
    table = sample.read_table(sample.file("sample.parquet"), list(SHOWN))
    return [{"data": {name: value or "" for name, value in row.items()}} for row in table.to_pylist()]


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_bytes())
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}") from None
    except ValueError as error:
        raise DataError(f"{path}: no JSON: {error}") from None


def read_export(content: Any, sample: Artifact, guideline: str) -> Iterator[Label]:
    """The labels in a Label Studio JSON export. Cancelled answers are left out.

    Raises DataError naming the task for one that is not of this sample or has no verdict.
    """
    if not isinstance(content, list):
        raise DataError("the export is no list of tasks: export the project as JSON, not JSON-MIN or CSV")
    table = sample.read_table(sample.file("sample.parquet"), ["sample_id", "doc_id", "doc_sha256", "stratum"])
    rows = {row["sample_id"]: row for row in table.to_pylist()}
    for number, task in enumerate(content):
        data = task.get("data") if isinstance(task, Mapping) else None
        row = rows.get(str(data.get("sample_id"))) if isinstance(data, Mapping) else None
        if data is None or row is None or data.get("doc_sha256") != row["doc_sha256"]:
            raise DataError(f"task {number} of the export is not of the sample {sample.reference.uri}")
        try:
            found = [
                _label(annotation, row, guideline, number)
                for annotation in task.get("annotations") or []
                if not annotation.get("was_cancelled")
            ]
        except (AttributeError, KeyError, TypeError) as error:
            # a list or a text where Label Studio has a mapping
            raise DataError(
                f"task {number} of the export is damaged: an annotation is not as Label Studio writes it "
                f"({type(error).__name__}: {error}); export the project again"
            ) from None
        yield from found


def _label(annotation: Mapping[str, Any], row: Mapping[str, Any], guideline: str, number: int) -> Label:
    chosen: dict[str, list[str]] = {}
    spans = []
    for item in annotation.get("result") or []:
        value = item.get("value") or {}
        chosen.setdefault(str(item.get("from_name")), []).extend(value.get("choices") or [])
        if item.get("from_name") == PASSAGE and "start" in value:
            spans.append((value["start"], value["end"]))
    who = annotation.get("completed_by")
    name = who.get("email") or who.get("id") if isinstance(who, Mapping) else who
    if not name:  # people without one would count as one reader
        raise DataError(f"task {number} of the export: an annotation does not say who gave it (completed_by)")
    if len(set(chosen.get(VERDICT, ()))) > 1:
        raise DataError(f"task {number} of the export: the annotation of {name} says both good and bad")
    try:
        return Label(
            **row,
            annotator=f"label-studio:{name}",
            label=chosen[VERDICT][0],
            defects=tuple(
                sorted(set(chosen.get(DEFECT) or (["other"] if chosen[VERDICT] == ["bad"] else [])))
            ),
            start=spans[0][0] if spans else None,
            end=spans[0][1] if spans else None,
            answered_at=annotation.get("created_at"),
            seconds=annotation.get("lead_time"),
            client=CLIENT,
            guideline_version=guideline,
        )
    except (KeyError, IndexError, ValidationError):
        raise DataError(
            f"task {number} of the export: the annotation of {name} has no verdict good or bad, or is damaged"
        ) from None
