"""Whatever is wrong from outside ends in one clear message with the right exit code, and leaves nothing half done."""

from __future__ import annotations

import gzip
import json
import resource
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from demo.generator import write_dump
from steps.core.artifact import Artifact
from steps.core.pipeline import PIPELINES
from tests.system.mill import DUMP, MANY_PARTS, RECIPES, Mill, Turned

FACTORY = "data_factory"


@pytest.fixture
def fresh(tmp_path: Path) -> Mill:
    """An empty root beside a dump of its own."""
    write_dump(tmp_path / "inbox")
    return Mill(tmp_path, tmp_path / "inbox", environment={"TOKENMILL_WORKERS": "1"})


@pytest.fixture
def planned(fresh: Mill) -> Callable[..., list[str]]:
    """Plans a run whose first stage reads the dump; gives the call of that stage."""

    def plan(*settings: str, run_id: str = "run") -> list[str]:
        recipe = fresh.home / "recipe.yaml"
        content = {
            "name": "own",
            "dag": "language_models",
            "sources": [{"name": "crawl", "uri": f"{{inbox}}/{DUMP}/", "kind": "web"}],
        }
        recipe.write_text(json.dumps(content))
        command = fresh.planned(
            "plan", "language_models", *MANY_PARTS, *settings, recipe=str(recipe), run_id=run_id
        )
        result = fresh.here(*command).result
        return ["step", "ingest", f"--run={result['run']}"]

    return plan


def flip(path: Path, at: float = 0.5) -> None:
    """Change one bit of a file's byte at the share ``at`` of its length."""
    data = bytearray(path.read_bytes())
    data[int(len(data) * at)] ^= 4
    path.chmod(0o644)
    path.write_bytes(data)


def file_of(turned: Turned, section: str, kind: str, number: int = -1) -> Path:
    artifact = turned.artifact(FACTORY, section)
    return turned.mill.folder / artifact.folder / artifact.files(kind)[number].object_name


@pytest.mark.parametrize(
    ("section", "spoiled", "kind"),
    [
        ("preprocess", "ingest", "shard"),
        ("filter", "score", "signals"),
        ("evaluate", "deduplicate", "keep"),
        ("gate", "evaluate", "sample"),
        ("publish", "filter", "shard"),
    ],
)
def test_one_flipped_bit_in_an_input_ends_the_step_and_names_the_file(
    factory: Turned, tmp_path: Path, section: str, spoiled: str, kind: str
) -> None:
    copy = factory.without(tmp_path, FACTORY, section)
    path = file_of(copy, spoiled, kind)
    flip(path)
    before = copy.mill.committed(section)
    done = copy.mill.here(*copy.step_command(FACTORY, section))
    assert (done.code, copy.mill.committed(section)) == (65, before), done.output
    assert path.name in done.error and "is corrupt" in done.error


def test_a_truncated_archive_is_read_as_far_as_it_goes_and_counted(
    fresh: Mill, planned: Callable[..., list[str]]
) -> None:
    whole = fresh.here(*planned()).result
    path = fresh.inbox / DUMP / "crawl-00001.warc.gz"
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * 0.6)])
    done = fresh.here(*planned(run_id="cut"))
    assert done.code == 0, done.output
    assert done.result["digest"] != whole["digest"]
    before, after = (Artifact.open(result["ref"]).manifest.identity.counts for result in (whole, done.result))
    assert 0 < after.total.kept.documents < before.total.kept.documents
    assert after.quarantined_by["truncated_record"].documents == 1


def test_an_empty_dump_is_named_by_plan(fresh: Mill) -> None:
    shutil.rmtree(fresh.inbox / DUMP)
    (fresh.inbox / DUMP).mkdir()
    (fresh.inbox / DUMP / "_SUCCESS").touch()
    done = fresh.here(*fresh.planned("plan", FACTORY))
    assert (done.code, fresh.committed("plan")) == (78, [])
    assert f"{DUMP}" in done.error and "sources.crawl" in done.error


def test_a_dump_without_a_single_document_ends_ingest(fresh: Mill, planned: Callable[..., list[str]]) -> None:
    shutil.rmtree(fresh.inbox / DUMP)
    (fresh.inbox / DUMP).mkdir()
    with gzip.open(fresh.inbox / DUMP / "none.warc.gz", "wb") as file:
        file.write(b"")
    done = fresh.here(*planned())
    assert (done.code, fresh.committed("ingest")) == (65, [])
    assert "source crawl has no document in 1 objects" in done.error


def test_every_error_of_a_recipe_is_said_at_once(fresh: Mill) -> None:
    recipe = fresh.home / "bad.yaml"
    recipe.write_text(
        """
name: Bad Name
dag: data_factory
sources: [{name: a, uri: x, kind: nonsense}, {name: a, uri: y, kind: web}]
steps:
  filter: {no_such: 1, max_source_loss: 7}
  gates: {}
  ingest: {documents_per_shard: many}
  score: 3
"""
    )
    done = fresh.here("plan", f"--recipe={recipe}", "--run-id=r", "--dump=d", "--set=nowhere=1")
    assert done.code == 78
    for said in (
        *("recipe.name", "recipe.sources.0.kind", "'a' is there twice", "override 'nowhere=1'"),
        *("filter.no_such", "filter.max_source_loss", "'gates'", "ingest.documents_per_shard", "score"),
    ):
        assert said in done.error, done.error
    assert not fresh.committed("plan") and not list(fresh.home.glob("root/runs/**/*.json"))


@pytest.mark.parametrize(
    ("text", "settings", "said"),
    [
        ("name: [", (), "not YAML"),
        ("- a\n- b", (), "not a mapping"),
        (b"name: \xff\xfe", (), "UTF-8"),
        ("{}", (), "recipe.dag"),
        ("", ("filter.min_chars=[",), "filter.min_chars"),
        ("", ("filter.max_source_loss.deeper=1",), "filter.max_source_loss"),
        ("", ("filter=1",), "not section.field=value"),
    ],
)
def test_a_recipe_or_setting_that_cannot_be_read_is_one_message(
    fresh: Mill, text: str | bytes, settings: tuple[str, ...], said: str
) -> None:
    recipe = fresh.home / "bad.yaml"
    recipe.write_bytes(text.encode() if isinstance(text, str) else text)
    done = fresh.here(*fresh.planned("plan", FACTORY, *settings, recipe=str(recipe) if text else ""))
    assert (done.code, fresh.committed("plan")) == (78, [])
    assert said in done.error


@pytest.mark.parametrize("text", ["[1, 2]", "seven", "a: [", b"\xff"])
def test_a_config_file_that_is_no_mapping_is_refused(fresh: Mill, text: str | bytes) -> None:
    config = fresh.home / "config.yaml"
    config.write_bytes(text.encode() if isinstance(text, str) else text)
    done = fresh.here("step", "ingest", f"--config={config}")
    assert done.code == 78
    assert str(config) in done.error


def test_an_object_that_changed_or_went_after_the_plan_ends_ingest(
    fresh: Mill, planned: Callable[..., list[str]]
) -> None:
    command = planned()
    path = fresh.inbox / DUMP / "crawl-00000.warc.gz"
    before = path.read_bytes()
    flip(path)
    done = fresh.here(*command)
    assert (done.code, fresh.committed("ingest")) == (65, [])
    assert f"{path.name} has changed since it was planned" in done.error
    path.unlink()
    assert f"{path.name} is gone since it was planned" in fresh.here(*command).error
    path.write_bytes(before)
    assert fresh.here(*command).code == 0, "with the object back, the same run goes on"


def test_without_language_models_the_factory_says_what_to_run_first(fresh: Mill) -> None:
    done = fresh.here(*fresh.planned("plan", FACTORY))
    assert done.code == 78
    assert "has no 'demo_language_models'" in done.error and "run its DAG first" in done.error


@pytest.mark.parametrize(
    ("given", "code", "said"),
    [
        ([], 64, "needs the input corpus"),
        (["--input=corpus=nonsense"], 64, "is not an artifact reference"),
        (["--input=corpus"], 64, "not NAME=REFERENCE"),
        (["--input=corpus=ROOT/preprocess/" + "0" * 64 + "@" + "0" * 64], 65, "is not committed"),
        (["--input=corpus=OTHER"], 65, "was asked for"),
        (["--input=corpus=GOOD", "--input=nothing=GOOD"], 64, "has no input nothing"),
        (["--input=corpus=PLAN"], 65, "is not a corpus"),
    ],
)
def test_a_wrong_input_reference_is_named(
    factory: Turned, tmp_path: Path, given: list[str], code: int, said: str
) -> None:
    mill = Mill(tmp_path, factory.mill.inbox, environment={"TOKENMILL_WORKERS": "1"})
    good = factory.refs[FACTORY]["score"]
    plan = factory.artifact(FACTORY, "ingest").input("source").ref
    names = {"ROOT": mill.root, "OTHER": good[:-4] + "0000", "GOOD": good, "PLAN": plan}
    for name, value in names.items():
        given = [item.replace(name, value) for item in given]
    done = mill.here("step", "filter", *given)
    assert (done.code, mill.committed("filter")) == (code, []), done.output
    assert said in done.error


def test_more_quarantined_records_than_allowed_end_ingest(
    fresh: Mill, planned: Callable[..., list[str]]
) -> None:
    done = fresh.here(*planned("ingest.max_quarantine_share=0.001"))
    assert (done.code, fresh.committed("ingest")) == (65, [])
    assert "1 of 222" in done.error and "max_quarantine_share" in done.error


@pytest.mark.parametrize("section", ["filter", "deduplicate"])
def test_rules_that_wipe_a_source_out_end_the_step(factory: Turned, tmp_path: Path, section: str) -> None:
    mill = Mill(tmp_path, factory.mill.inbox, environment={"TOKENMILL_WORKERS": "1"})
    settings = {
        "filter": {"max_source_loss": 0.01, "wipe_out_min_documents": 1},
        "deduplicate": {"max_source_removal": 0.001, "alarm_min_documents": 1},
    }
    config = tmp_path / "config.json"
    config.write_text(json.dumps(settings[section]))
    corpus = factory.inputs(FACTORY, section)["corpus"]
    done = mill.here("step", section, f"--config={config}", f"--input=corpus={corpus}")
    assert (done.code, mill.committed(section)) == (65, []), done.output
    assert "crawl" in done.error and ("max_source_loss" in done.error or "max_source_removal" in done.error)


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe\x00", b"[]", b'{"identity": {}}', b"null"])
@pytest.mark.parametrize("whose", ["input", "own"])
def test_a_manifest_that_cannot_be_read_is_named(
    factory: Turned, tmp_path: Path, content: bytes, whose: str
) -> None:
    copy = factory.without(tmp_path, FACTORY, "review")
    name = "deduplicate" if whose == "input" else "evaluate"
    folder = copy.mill.folder / copy.artifact(FACTORY, name).folder
    before = sorted(folder.rglob("*"))
    (folder / "manifest.json").chmod(0o644)
    (folder / "manifest.json").write_bytes(content)
    done = copy.mill.here(*copy.step_command(FACTORY, "evaluate"))
    assert done.code == 65
    assert "manifest.json is damaged" in done.error and folder.name in done.error
    assert sorted(folder.rglob("*")) == before


@pytest.mark.parametrize("content", [b"", b"{}", b"\xff"])
def test_a_part_marker_that_cannot_be_read_is_named(factory: Turned, tmp_path: Path, content: bytes) -> None:
    copy = factory.without(tmp_path, FACTORY, "review")
    folder = copy.mill.folder / copy.artifact(FACTORY, "evaluate").folder
    (folder / "manifest.json").unlink()
    marker = sorted(folder.glob("parts/*.json"))[0]
    marker.write_bytes(content)
    done = copy.mill.here(*copy.step_command(FACTORY, "evaluate"))
    assert (done.code, copy.mill.committed("evaluate")) == (65, [])
    assert f"{marker.name} is damaged; delete it and retry" in done.error
    marker.unlink()
    again = copy.mill.here(*copy.step_command(FACTORY, "evaluate"))
    assert again.result["digest"] == factory.artifact(FACTORY, "evaluate").digest


def test_a_run_that_was_edited_is_refused(factory: Turned, tmp_path: Path) -> None:
    copy = factory.without(tmp_path, FACTORY, "publish")
    command = copy.step_command(FACTORY, "publish")
    path = copy.mill.folder / "runs" / FACTORY / "run" / "run.json"
    path.chmod(0o644)
    path.write_text(path.read_text().replace('"takedowns":[]', '"takedowns":["domain:example.org"]'))
    done = copy.mill.here(*command)
    assert (done.code, copy.mill.committed("publish")) == (65, [])
    assert "is not the run that was planned" in done.error
    missing = copy.mill.here(*[item.replace("/run/", "/another/") for item in command])
    assert (missing.code, missing.error.count("run.json")) == (65, 1)


def test_a_wrong_credential_ends_every_command_without_showing_it(
    s3_root: str, fresh: Mill, monkeypatch: pytest.MonkeyPatch
) -> None:
    import os

    aws = {name: value for name, value in os.environ.items() if name.startswith("AWS_")}
    mill = Mill(fresh.home, fresh.inbox, s3_root, {**aws, "TOKENMILL_WORKERS": "1"})
    wrong = {"AWS_SECRET_ACCESS_KEY": "not-the-secret-5rT"}
    good = mill.well(*mill.planned("plan", "language_models", *MANY_PARTS))
    for command in (
        mill.planned("plan", "language_models", run_id="other"),
        ["step", "ingest", f"--run={good.result['run']}"],
        ["show", good.result["ref"]],
    ):
        done = mill.call(*command, **wrong)
        assert done.code == 77, done.output
        assert "not-the-secret-5rT" not in done.output
        assert s3_root in done.error
    assert mill.call("show", good.result["ref"], AWS_ACCESS_KEY_ID="nobody").code == 77
    done = mill.call("step", "ingest", f"--run={good.result['run']}", AWS_SECRET_ACCESS_KEY="")
    assert done.code == 77 and "AWS_SECRET_ACCESS_KEY" in done.error


def test_a_scratch_disk_without_room_is_retryable_and_leaves_no_artifact(
    fresh: Mill, planned: Callable[..., list[str]]
) -> None:
    command = planned()
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (16_384, before[1]))  # as a full disk: no file may grow beyond
    try:
        done = fresh.here(*command)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert (done.code, fresh.committed("ingest")) == (74, []), done.output
    assert "make room and retry" in done.error
    assert fresh.here(*command).code == 0


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["step", "no_such_step"], 64, "no_such_step"),
        (["step", "filter", "--section=train_1"], 64, "belongs to the step train"),
        (["show", "filter/0123"], 64, "names 0 committed artifacts"),
        (["step", "filter", "--run=nonsense"], 64, "'nonsense' is not a run"),
    ],
)
def test_a_wrong_call_is_one_message(fresh: Mill, arguments: list[str], code: int, said: str) -> None:
    done = fresh.here(*arguments)
    assert done.code == code
    assert said in done.error


def test_a_wrong_number_of_workers_is_one_message(factory: Turned, tmp_path: Path) -> None:
    copy = factory.without(tmp_path, FACTORY, "publish")
    done = copy.mill.here(*copy.step_command(FACTORY, "publish"), TOKENMILL_WORKERS="many")
    assert done.code == 78
    assert "TOKENMILL_WORKERS='many'" in done.error


def test_the_root_of_a_finished_mill_holds_only_committed_artifacts(factory: Turned) -> None:
    sections = {s.step for dag in factory.refs for s in PIPELINES[dag]} | {"plan"}
    for step in sections:
        folders = {path for path in factory.mill.folder.glob(f"{step}/*") if path.is_dir()}
        assert {path.parent for path in factory.mill.committed(step)} == folders, step
        for path in folders:
            Artifact.open(f"{factory.mill.root}/{step}/{path.name}@{_digest(path)}")
    assert RECIPES.keys() >= factory.refs.keys()


def _digest(folder: Path) -> str:
    return str(json.loads((folder / "manifest.json").read_bytes())["digest"])
