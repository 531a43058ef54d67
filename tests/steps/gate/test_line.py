"""The gate truly gates: what passes is published, everything else is refused."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from steps.core.approval import verify_training
from steps.core.artifact import Artifact
from steps.core.catalog import Catalog
from steps.core.config import Runtime
from steps.core.corpus import Corpus
from steps.core.digest import canonical_json
from steps.core.errors import ConfigError, DataError, VerdictRefused
from steps.core.labels import LABEL_SCHEMA, Label, put_label
from steps.core.manifest import Identity, Manifest, Reference
from steps.core.parts import PartWriter
from steps.core.step import Input, Step, StepContext, run_step
from steps.core.store import open_store
from steps.core.verification import read_verdict, verify, verify_corpus
from steps.evaluate.config import Config as EvaluateConfig
from steps.gate.explain import operating_characteristic
from tests.steps.gate.line import RUN, Line, records, step, through_the_gate

AUTOMATIC = {"readers": ["automatic"]}


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Line]:
    root = tmp_path_factory.mktemp("clean")
    return root, through_the_gate(root, records())


@pytest.fixture(scope="module")
def defective(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Line]:
    root = tmp_path_factory.mktemp("defective")
    documents = records()
    documents[17]["text"] += "\n想买的朋友可以私信我拿链接，报我名字立减五十块。"
    documents[17]["_signals"]["perplexity"] = 900.0
    return root, through_the_gate(root, documents)


def test_a_clean_census_passes_and_is_published(clean: tuple[Path, Line]) -> None:
    root, line = clean
    assert line.gate.facts["status"] == "pass"
    assert line.gate.facts["readers"] == ["automatic"]
    assert line.gate.facts["seeded_found"] >= 598
    published = line.publish(root, run=RUN)
    assert published.artifact.manifest.identity.documents == line.corpus.artifact.manifest.identity.documents
    assert verify_corpus(published.artifact, AUTOMATIC).status == "pass"
    entry = Catalog(open_store(f"file://{root}")).get("corpora")["own"]
    assert entry["latest"] == "D1"
    assert entry["dumps"]["D1"]["corpus"] == published.artifact.local_ref
    assert line.publish(root, run=RUN).cached
    table = Corpus.open(published.artifact).shards[0].read(signals=None)
    assert table["origin"][3].as_py()["shard"] == Corpus.open(line.corpus.artifact).shards[0].sha256
    assert set(Corpus.open(published.artifact).signal_names) == {"perplexity", "length"}


def test_one_defect_blocks_and_is_explained(
    defective: tuple[Path, Line], capsys: pytest.CaptureFixture[str]
) -> None:
    from steps.core.cli import main

    root, line = defective
    assert line.gate.facts["status"] == "fail"
    assert line.gate.facts["defects"] == {"promotion": 1}
    with pytest.raises(VerdictRefused, match="is fail: 1 of 120 documents"):
        line.publish(root)
    assert main(["gate", "explain", line.gate.ref, "--root", f"file://{root}"]) == 0
    told = capsys.readouterr().out
    assert "私信我拿链接" in told
    assert "perplexity max 899 takes 1 of 1, and 0 others (0.00%)" in told
    page = line.gate.artifact.read_bytes(line.gate.artifact.manifest.views[0]).decode()
    assert "私信我拿链接" in page and "<script" not in page


def test_seeded_documents_do_not_show_in_the_sample(clean: tuple[Path, Line]) -> None:
    sample = clean[1].sample.artifact
    table = sample.read_table(sample.file("sample.parquet"))
    assert table.num_rows == 720
    assert "defect" not in table.column_names
    ids = table["sample_id"].to_pylist()
    assert ids == sorted(ids)
    seeds = sample.read_table(sample.file("seeds.parquet")).to_pylist()
    assert sum(row["defect"] is not None for row in seeds) == 600
    assert len({row["defect"] for row in seeds} - {None}) == 12


def test_the_sample_is_the_same_for_any_number_of_workers(clean: tuple[Path, Line], tmp_path: Path) -> None:
    root, line = clean
    shutil.copytree(root / "documents", tmp_path / "documents")
    ref = line.corpus.ref.replace(str(root), str(tmp_path))
    config = {"sample_fraction": 1.0, "seeded": 600}
    again = step(tmp_path, "evaluate", config, {"corpus": ref}, workers=2)
    assert again.digest == line.sample.digest


def test_readers_that_the_training_recipe_does_not_accept_are_refused(clean: tuple[Path, Line]) -> None:
    root, line = clean
    published = line.publish(root)
    with pytest.raises(VerdictRefused, match="rests on automatic readers"):
        verify_corpus(published.artifact, {"readers": ["human"]})
    with pytest.raises(VerdictRefused, match="pins"):
        verify_corpus(published.artifact, {"readers": ["automatic"], "policy_digest": "0" * 64})
    with pytest.raises(VerdictRefused, match="carries no verdict"):
        verify_corpus(line.corpus.artifact, AUTOMATIC)


def test_a_mix_takes_what_its_recipe_accepts_and_training_holds_it_to_that(
    clean: tuple[Path, Line], monkeypatch: pytest.MonkeyPatch
) -> None:
    root, line = clean
    corpora = {"corpora.own": line.publish(root).ref}
    policy = line.gate.facts["policy_digest"]
    with pytest.raises(VerdictRefused, match="rests on automatic readers"):
        step(root, "mix", {}, corpora)
    with pytest.raises(VerdictRefused, match="pins") as refused:
        step(root, "mix", {"accept_readers": ["automatic"], "policy_digest": "0" * 64}, corpora)
    assert refused.value.exit_code == 78
    mix = step(root, "mix", {"accept_readers": ["automatic"], "policy_digest": policy}, corpora).artifact
    assert list(verify_training(mix).corpora) == ["own"]
    written = Artifact.config.fget
    for changed, said in ({"accept_readers": ["human"]}, "rests on"), ({"policy_digest": "0" * 64}, "pins"):
        other = property(
            lambda self, changed=changed: written(self) | (changed if self.step == "mix" else {})
        )
        with monkeypatch.context() as patched, pytest.raises(VerdictRefused, match=said):
            patched.setattr(Artifact, "config", other)
            verify_training(mix)


def test_a_verdict_on_other_documents_is_refused(clean: tuple[Path, Line], tmp_path: Path) -> None:
    root, line = clean
    with pytest.raises(VerdictRefused, match="is on the documents"):
        verify(line.gate.artifact, "0" * 64)
    other = through_the_gate(tmp_path, records(50))
    mixed = {**other.inputs(), "verdict": line.gate.ref}
    with pytest.raises(VerdictRefused, match="is on the documents"):
        step(tmp_path, "publish", {}, mixed)
    with pytest.raises(DataError, match="drawn from the documents"):
        step(root, "gate", {}, {**line.inputs(), "corpus": other.corpus.ref})


def forge(root: Path, gate: Artifact, change: dict[str, Any]) -> Artifact:
    """A gate artifact whose verdict was edited, with every digest made to fit."""
    store = open_store(f"file://{root}")
    content = json.loads(gate.read_bytes(gate.file("verdict.json"))) | change
    data = canonical_json(content)
    manifest = gate.manifest.model_copy(deep=True)
    import hashlib

    sha = hashlib.sha256(data).hexdigest()
    files = [
        f.model_copy(update={"sha256": sha, "bytes": len(data)}) if f.key == "verdict.json" else f
        for f in manifest.identity.files
    ]
    identity = Identity.model_validate(
        manifest.identity.model_dump() | {"files": [f.model_dump() for f in files]}
    )
    forged = Manifest.of(identity, manifest.provenance, [])
    fingerprint = hashlib.sha256(data).hexdigest()
    store.put(f"gate/{fingerprint}/data/{sha}.json", data)
    store.put(f"gate/{fingerprint}/manifest.json", forged.encode())
    reference = Reference(root=store.uri, step="gate", fingerprint=fingerprint, digest=forged.digest)
    return Artifact.open(str(reference), store)


def test_a_forged_pass_is_refused(defective: tuple[Path, Line]) -> None:
    root, line = defective
    change = {"status": "pass", "defective": 0, "rate": 0.0, "bound": 0, "bound_rate": 0.0, "defects": {}}
    forged = forge(root, line.gate.artifact, change)
    assert read_verdict(forged).status == "pass"
    with pytest.raises(VerdictRefused, match="is not what sample, labels and policy give: status"):
        verify(forged, line.corpus.artifact.manifest.identity.documents)
    with pytest.raises(VerdictRefused, match="is not what sample"):
        step(root, "publish", {}, {**line.inputs(), "verdict": forged.ref})


def test_an_edited_file_is_refused(clean: tuple[Path, Line], tmp_path: Path) -> None:
    root, line = clean
    shutil.copytree(root, tmp_path / "copy")
    gate = Artifact.open(line.gate.ref.replace(str(root), str(tmp_path / "copy")))
    path = tmp_path / "copy" / gate.folder / gate.file("verdict.json").object_name
    path.chmod(0o644)
    path.write_bytes(path.read_bytes().replace(b'"read":120', b'"read":121'))
    with pytest.raises(VerdictRefused, match="cannot be confirmed"):
        verify(gate, line.corpus.artifact.manifest.identity.documents)


def test_a_look_number_stands_for_one_sample(clean: tuple[Path, Line], tmp_path: Path) -> None:
    shutil.copytree(clean[0], tmp_path / "copy")
    copy = tmp_path / "copy"
    with pytest.raises(ConfigError, match=r"look 1 at dump D1 was used .* to 2"):
        through_the_gate(copy, records(50))
    second = through_the_gate(copy, records(50), look=2)
    assert second.gate.facts["look"] == 2
    verdict = read_verdict(second.gate.artifact)
    assert verdict.alpha == pytest.approx(0.01)
    assert second.gate.facts["status"] == "pass"


def test_a_sample_that_somebody_chose_is_refused(clean: tuple[Path, Line], tmp_path: Path) -> None:
    """The defective document is swapped for a good one: every digest fits, but nobody would have drawn that."""
    documents = records()[:60]
    root = tmp_path / "chosen"
    line = through_the_gate(
        root, documents, sample_fraction=0.5, minimum=1, policy={"bound": "none"}, seeded=0
    )
    assert line.gate.facts["status"] == "pass" and line.gate.facts["read"] < 60
    line.publish(root)
    forged = forge_sample(line)
    with pytest.raises(
        VerdictRefused, match="is not what documents, policy and look give: 2 documents differ"
    ):
        forged.publish(root)


def forge_sample(line: Line) -> Line:
    """The same line, with one sampled document replaced by one that was not drawn."""
    sample, store = line.sample.artifact, line.sample.artifact.store
    table = sample.read_table(sample.file("sample.parquet"))
    corpus = Corpus.open(line.corpus.artifact)
    held = set(zip(table["shard"].to_pylist(), table["row"].to_pylist(), strict=True))
    shard, row, text = next(
        (shard.sha256, row, text)
        for shard in corpus.shards
        for row, text in enumerate(shard.read(["text"])["text"].to_pylist())
        if (shard.sha256, row) not in held
    )
    rows = table.to_pylist()
    rows[0].update(shard=shard, row=row, text=text, doc_sha256=hashlib.sha256(text.encode()).hexdigest())
    config = {**sample.config}

    def run(ctx: StepContext) -> None:
        ctx.part("forge", write)
        for name, value in sample.facts.items():
            if name != "makes":
                ctx.set(name, value)

    def write(task: dict[str, Any], part: PartWriter) -> None:
        part.put_table("sample.parquet", pa.Table.from_pylist(rows, table.schema), "sample")
        automatic = sample.read_table(sample.file("automatic.parquet")).to_pylist()
        for label in automatic:
            if label["sample_id"] == rows[0]["sample_id"]:
                label["doc_sha256"] = rows[0]["doc_sha256"]
        part.put_table("automatic.parquet", pa.Table.from_pylist(automatic, LABEL_SCHEMA), "automatic")
        part.put_table("seeds.parquet", sample.read_table(sample.file("seeds.parquet")), "seeds")

    forger = Step("evaluate", 99, EvaluateConfig, run, inputs=(Input("corpus"),))
    root = store.uri
    made = run_step(
        forger, config=config, inputs={"corpus": line.corpus.ref}, root=root, runtime=Runtime(workers=1)
    )
    labels = step(Path(root.removeprefix("file://")), "review", {"mode": "automatic"}, {"sample": made.ref})
    inputs = {"corpus": line.corpus.ref, "sample": made.ref, "labels": labels.ref}
    Catalog(store).update("looks", lambda looks: {})
    gate = step(Path(root.removeprefix("file://")), "gate", {}, inputs)
    return Line(line.corpus, made, labels, gate)


def test_takedowns_leave_the_verdict_valid_for_what_is_left(clean: tuple[Path, Line]) -> None:
    root, line = clean
    published = line.publish(root, {"takedowns": ["domain:zh.example", "url:https://en.example/en-001"]})
    total = published.counts.total
    assert total.removed.documents == published.facts["takedowns"] >= 60
    assert total.kept.documents + total.removed.documents == 120
    assert verify_corpus(published.artifact, AUTOMATIC).population == 120
    urls = [u for s in Corpus.open(published.artifact).shards for u in s.read(["url"])["url"].to_pylist()]
    assert urls and not any(u.startswith("https://zh.example") for u in urls)


def test_labels_of_people_are_frozen_and_missing_ones_ask_for_more(clean: tuple[Path, Line]) -> None:
    root, line = clean
    store = open_store(f"file://{root}")
    sample = line.sample.artifact
    rows = sample.read_table(sample.file("sample.parquet"), ["sample_id", "doc_sha256"]).to_pylist()
    wrong = None
    for row in rows[:10]:
        label = Label(
            sample_id=row["sample_id"], doc_sha256=row["doc_sha256"], annotator="anna", label="good"
        )
        wrong = put_label(store, sample.digest, label)
        assert put_label(store, sample.digest, label) == wrong
    corrected = label.model_copy(update={"label": "bad", "defects": ("other",), "supersedes": wrong})
    put_label(store, sample.digest, corrected)
    labels = step(root, "review", {"mode": "required", "freeze": 2}, {"sample": line.sample.ref})
    assert (labels.facts["labels"], labels.facts["bad_labels"]) == (10, 1)
    gate = step(root, "gate", {}, {**line.inputs(), "labels": labels.ref})
    verdict = read_verdict(gate.artifact)
    assert verdict.status in ("need_more", "fail")
    assert verdict.readers == ("human",)
    assert any("no label yet" in reason for reason in verdict.reasons)


def test_the_plan_says_what_must_be_read_and_needs_no_store(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from steps.core.cli import main

    monkeypatch.delenv("TOKENMILL_ROOT", raising=False)
    command = ["gate", "plan", "--documents"]
    assert main([*command, "1000000", "--seeded", "300"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "300 of 300 seeded" in lines[0]
    assert lines[3].split()[:2] == ["0", "3972"]
    assert main([*command, "120", "--seeded", "100"]) == 0
    assert "seed 263 defects or more" in capsys.readouterr().out
    assert main([*command, "0"]) == 64


def test_the_explanation_tells_what_such_a_reading_lets_through(clean: tuple[Path, Line]) -> None:
    _, line = clean
    points = operating_characteristic(read_verdict(line.gate.artifact))
    chances = [chance for _, chance in points]
    assert chances[0] == 1.0 and chances == sorted(chances, reverse=True)
    page = next(view for view in line.gate.artifact.manifest.views if view.key == "report.html")
    assert "What such a reading lets through" in line.gate.artifact.read_bytes(page).decode()
