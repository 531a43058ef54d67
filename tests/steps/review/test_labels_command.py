"""`tokenmill labels`: tasks out, Label Studio's JSON export in; the export is in its documented format."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import pytest

from steps.core.artifact import Artifact
from steps.core.cli import main
from steps.core.labels import DEFECTS, collect_labels
from tests.steps.documents import make_corpus
from tests.steps.gate.line import records, step


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    root = tmp_path_factory.mktemp("labels")
    corpus = make_corpus(root, [[{k: v for k, v in r.items() if k != "_signals"} for r in records(6)]])
    return step(root, "evaluate", {"sample_fraction": 1.0, "seeded": 12}, {"corpus": corpus.ref}).artifact


def run(sample: Artifact, *arguments: str) -> int:
    return main(["labels", *arguments, f"--root={sample.store.uri}"])


def annotated(task: dict[str, Any], who: Any, *result: dict[str, Any], **more: Any) -> dict[str, Any]:
    annotation = {"id": 7, "completed_by": who, "result": list(result), "was_cancelled": False, "lead_time": 8.25,
                  "created_at": "2026-11-20T10:00:00.000000Z", **more}  # fmt: skip
    return {**task, "id": 1, "annotations": [annotation], "predictions": []}


def choice(name: str, *values: str) -> dict[str, Any]:
    return {"from_name": name, "to_name": "text", "type": "choices", "value": {"choices": list(values)}}


def test_tasks_say_nothing_of_seeds_strata_or_findings(sample: Artifact, tmp_path: Path) -> None:
    assert run(sample, "export", sample.local_ref, str(tmp_path / "tasks.json")) == 0
    tasks = json.loads((tmp_path / "tasks.json").read_text())
    assert len(tasks) == 24
    assert {frozenset(task["data"]) for task in tasks} == {
        frozenset(("sample_id", "doc_sha256", "source", "language", "url", "text"))
    }


def test_answers_become_labels_once(
    sample: Artifact, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(sample, "export", sample.local_ref, str(tmp_path / "tasks.json"))
    tasks = json.loads((tmp_path / "tasks.json").read_text())
    passage = {
        "from_name": "passage",
        "type": "labels",
        "value": {"start": 2, "end": 9, "labels": ["defect"]},
    }
    export = [
        annotated(tasks[0], {"id": 3, "email": "anna@example.org"}, choice("verdict", "good")),
        annotated(tasks[1], 4, choice("verdict", "bad"), choice("defects", "toxic", "privacy"), passage),
        annotated(tasks[2], 4, choice("verdict", "bad")),
        annotated(tasks[3], 4, choice("verdict", "good"), was_cancelled=True),
        {**tasks[4], "annotations": []},
    ]
    (tmp_path / "export.json").write_text(json.dumps(export))
    for _ in range(2):
        assert run(sample, "import", sample.local_ref, str(tmp_path / "export.json"), "--guideline=2") == 0
    assert "3 labels of 2 people (label-studio:4, label-studio:anna@example.org)" in capsys.readouterr().out
    found = {label.sample_id: label for label in collect_labels(sample.store, sample.digest)}
    assert len(found) == 3
    first, second, third = (found[tasks[i]["data"]["sample_id"]] for i in range(3))
    assert (first.label, first.annotator, first.seconds) == ("good", "label-studio:anna@example.org", 8.25)
    assert (second.defects, second.start, second.end) == (("privacy", "toxic"), 2, 9)
    assert third.defects == ("other",)
    assert {label.guideline_version for label in found.values()} == {"2"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda task: {"tasks": []}, "no list of tasks"),
        (
            lambda task: [{**task, "data": {**task["data"], "doc_sha256": "0" * 64}}],
            "task 0 of the export is not of",
        ),
        (
            lambda task: [annotated(task, 4, choice("verdict", "perhaps"))],
            "task 0 of the export: the annotation of 4",
        ),
        (lambda task: [annotated(task, 4)], "has no verdict"),
    ],
)
def test_what_is_no_answer_to_this_sample_is_refused(
    sample: Artifact, tmp_path: Path, capsys: pytest.CaptureFixture[str], change: Any, message: str
) -> None:
    run(sample, "export", sample.local_ref, str(tmp_path / "tasks.json"))
    task = json.loads((tmp_path / "tasks.json").read_text())[5]
    (tmp_path / "export.json").write_text(json.dumps(change(task)))
    assert run(sample, "import", sample.local_ref, str(tmp_path / "export.json")) == 65
    assert message in capsys.readouterr().err


def test_the_interface_offers_every_defect(sample: Artifact, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(sample, "interface") == 0
    view = ElementTree.fromstring(capsys.readouterr().out)
    defects = view.find("Choices[@name='defects']")
    assert defects is not None and [choice.get("value") for choice in defects] == list(DEFECTS)


@pytest.mark.parametrize(
    "annotations",
    [
        5,
        [5],
        [{"result": 3}],
        [{"result": [7]}],
        [{"result": [{"from_name": "passage", "value": {"start": 1}}]}],
        [{"result": [{"from_name": "verdict", "value": "bad"}]}],
        [{"result": [{"from_name": "defects", "value": {"choices": [[]]}}]}],
    ],
)
def test_a_damaged_annotation_is_refused_with_its_task(
    sample: Artifact, tmp_path: Path, capsys: pytest.CaptureFixture[str], annotations: Any
) -> None:
    assert run(sample, "export", sample.local_ref, str(tmp_path / "tasks.json")) == 0
    tasks = json.loads((tmp_path / "tasks.json").read_text())[:2]
    (tmp_path / "done.json").write_text(json.dumps([{**tasks[0], "annotations": annotations}]))
    assert run(sample, "import", sample.local_ref, str(tmp_path / "done.json")) == 65
    assert "task 0 of the export" in capsys.readouterr().err
    tasks[1]["data"]["sample_id"] = [1]
    (tmp_path / "done.json").write_text(json.dumps(tasks))
    assert run(sample, "import", sample.local_ref, str(tmp_path / "done.json")) == 65
    assert "task 1 of the export is not of the sample" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("who", "verdicts", "said"),
    [
        (None, ["bad"], "does not say who gave it"),
        ({}, ["bad"], "does not say who"),
        (3, ["good", "bad"], "says both good and bad"),
    ],
)
def test_an_answer_of_nobody_or_of_two_minds_is_refused(
    sample: Artifact,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    who: Any,
    verdicts: list[str],
    said: str,
) -> None:
    assert run(sample, "export", sample.local_ref, str(tmp_path / "tasks.json")) == 0
    task = json.loads((tmp_path / "tasks.json").read_text())[0]
    (tmp_path / "done.json").write_text(
        json.dumps([annotated(task, who, *(choice("verdict", v) for v in verdicts))])
    )
    assert run(sample, "import", sample.local_ref, str(tmp_path / "done.json")) == 65
    assert said in capsys.readouterr().err
