"""What did not pass is not published, and no training container takes it, whoever starts it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from demo.generator import write_dump
from steps.core.artifact import Artifact
from steps.core.catalog import Catalog
from steps.core.digest import bytes_digest, canonical_json
from steps.core.errors import ServiceError, VerdictRefused
from steps.core.manifest import Identity, Manifest, Reference
from steps.core.pipeline import PIPELINES
from steps.core.store import open_store
from steps.core.verification import read_verdict, verify_corpus
from tests.system.mill import DUMP, MANY_PARTS, ROOT, Done, Turned

FACTORY, TRAINING = "data_factory", "continual_pretraining"
DEFECTS = 12
PASS = {"status": "pass", "defective": 0, "rate": 0.0, "bound": 0, "bound_rate": 0.0, "reasons": []}


@pytest.fixture(scope="module")
def defective(factory: Turned, tmp_path_factory: pytest.TempPathFactory) -> tuple[Turned, Done]:
    """data_factory on a dump with pages whose fault no rule knows; how its run ended."""
    copy = factory.without(tmp_path_factory.mktemp("defective"), FACTORY, "ingest")
    shutil.rmtree(copy.mill.folder / "runs" / FACTORY)
    for path in (copy.mill.folder / "catalog").glob("*.json"):
        if path.name != "language_models.json":
            path.unlink()
    write_dump(copy.mill.inbox, dump=DUMP, defects=DEFECTS)
    done = copy.mill.call(*copy.mill.planned("run", FACTORY, *MANY_PARTS))
    return Turned(copy.mill, {**copy.refs, FACTORY: done.refs}), done


def test_a_dump_with_defects_fails_its_gate_with_reasons_and_is_not_published(
    defective: tuple[Turned, Done],
) -> None:
    turned, done = defective
    assert done.code == 78
    assert list(done.refs)[-1] == "gate"
    assert "is fail: " in done.error
    verdict = read_verdict(turned.artifact(FACTORY, "gate"))
    assert (verdict.status, verdict.policy.limit < verdict.rate) == ("fail", True)
    assert verdict.defective >= DEFECTS / 2
    assert any("limit" in reason for reason in verdict.reasons)
    assert sum(verdict.defects.values()) >= verdict.defective, "the report says what is wrong with them"
    assert not turned.mill.committed("publish")
    store = open_store(turned.mill.root)
    assert Catalog(store).get("corpora") == {} and Catalog(store).get("dedup_index") == {}
    assert list(Catalog(store).get("looks")) == [DUMP], "the look is used up"


def test_publish_by_hand_is_refused_too(defective: tuple[Turned, Done]) -> None:
    turned, _ = defective
    done = turned.mill.here(*turned.step_command(FACTORY, "publish"))
    assert (done.code, turned.mill.committed("publish")) == (78, [])
    assert "is fail: " in done.error


def train_on(turned: Turned, corpus: str, *settings: str) -> Done:
    """Plan a training run on this corpus by hand and start its first container after ingest, which is `mix`."""
    run_id = f"by-hand-{bytes_digest(f'{corpus}{settings}'.encode())[:8]}"
    command = turned.mill.planned("plan", TRAINING, *settings, run_id=run_id)
    planned = turned.mill.here(*command, f"--input=corpus={corpus}")
    assert planned.code == 0, planned.output
    ingest = turned.mill.here("step", "ingest", f"--run={planned.result['run']}")
    before = turned.mill.committed("mix")
    done = turned.mill.here(
        "step", "mix", f"--run={planned.result['run']}", f"--input=supervised={ingest.result['ref']}"
    )
    if done.code:
        assert turned.mill.committed("mix") == before
    return done


def test_a_corpus_that_was_not_published_is_refused_by_the_first_training_container(
    defective: tuple[Turned, Done],
) -> None:
    turned, _ = defective
    done = train_on(turned, turned.refs[FACTORY]["deduplicate"])
    assert done.code == 78
    assert "carries no verdict: it was made by deduplicate, not by publish" in done.error


def test_only_publish_can_start_training_and_no_task_state_makes_it_pass(
    defective: tuple[Turned, Done],
) -> None:
    """Whoever marks review, gate or verdict successful lets publish start; it computes the verdict and refuses.

    The asset that training waits for is an outlet of publish alone (tests/dags, golden structures), and publish emits
    it after its step has ended well.
    """
    turned, _ = defective
    golden = json.loads(
        (ROOT / "tests" / "dags" / "golden" / "data_factory.json").read_text(encoding="utf-8")
    )
    emitting = [name for name, task in golden["tasks"].items() if task["outlets"]]
    assert emitting == ["publish"]
    for marked in (("gate",), ("review", "gate")):
        inputs = {section: turned.refs[FACTORY][section] for section in ("deduplicate", "evaluate")}
        given = [f"--input={name}={ref}" for name, ref in (
            ("corpus", inputs["deduplicate"]), ("sample", inputs["evaluate"]),
            *([] if "review" in marked else [("labels", turned.refs[FACTORY]["review"])]),
        )]  # fmt: skip
        command = ["step", "publish", f"--run={turned.run_reference(FACTORY)}", *given]
        done = turned.mill.here(*command)
        assert done.code != 0 and "verdict" in done.error
        assert turned.mill.committed("publish") == []


def forge(artifact: Artifact, step: str, inputs: dict[str, Artifact], **files: bytes) -> Artifact:
    """An artifact of ``step`` with other inputs and other content of some files, every digest made to fit.

    What a person could make who may write into the store and knows the format.
    """
    store, manifest = artifact.store, artifact.manifest
    payload = manifest.identity.payload
    payload = payload.model_copy(
        update={
            "step": step,
            "inputs": {**payload.inputs, **{name: made.digest for name, made in inputs.items()}},
            "config": {**payload.config, "forged": sorted(files)},
        }
    )
    folder, entries = f"{step}/{payload.fingerprint}", []
    for entry in manifest.identity.files:
        data = files.get(entry.key.partition(".")[0]) or artifact.read_bytes(entry)
        entry = entry.model_copy(update={"sha256": bytes_digest(data), "bytes": len(data)})
        store.put(f"{folder}/{entry.object_name}", data)
        entries.append(entry)
    places = {**manifest.provenance["inputs"], **{name: made.folder for name, made in inputs.items()}}
    identity = Identity.model_validate(
        {
            **manifest.identity.model_dump(),
            "payload": payload.model_dump(),
            "files": [e.model_dump() for e in entries],
        }
    )
    forged = Manifest.of(identity, {**manifest.provenance, "inputs": places}, [])
    store.put(f"{folder}/manifest.json", forged.encode())
    reference = Reference(root=store.uri, step=step, fingerprint=payload.fingerprint, digest=forged.digest)
    return Artifact.open(str(reference), store)


def test_a_forged_pass_is_computed_again_and_refused(defective: tuple[Turned, Done]) -> None:
    turned, _ = defective
    gate, corpus = turned.artifact(FACTORY, "gate"), turned.artifact(FACTORY, "deduplicate")
    content = read_verdict(gate).model_dump(mode="json") | PASS
    passed = forge(gate, "gate", {}, verdict=canonical_json(content))
    assert read_verdict(passed).status == "pass"
    done = turned.mill.here(*turned.step_command(FACTORY, "publish", verdict=passed.ref))
    assert (done.code, turned.mill.committed("publish")) == (78, [])
    assert "is not what sample, labels and policy give: status" in done.error

    inputs = {
        name: turned.artifact(FACTORY, step) for name, step in (("sample", "evaluate"), ("labels", "review"))
    }
    shards = forge(
        turned.artifact(FACTORY, "filter"), "publish", {"corpus": corpus, "verdict": passed, **inputs}
    )
    try:
        done = train_on(turned, shards.ref)
        assert done.code == 78
        assert "is not what sample, labels and policy give: status" in done.error
    finally:
        shutil.rmtree(turned.mill.folder / "publish")


def test_a_verdict_that_was_edited_after_publication_is_refused(factory: Turned, tmp_path: Path) -> None:
    copy = (
        factory.without(tmp_path, TRAINING, "ingest")
        if TRAINING in factory.refs
        else factory.without(tmp_path, "language_models", "language_model_en")
    )
    gate = copy.artifact(FACTORY, "gate")
    path = copy.mill.folder / gate.folder / gate.file("verdict.json").object_name
    path.chmod(0o644)
    path.write_bytes(path.read_bytes().replace(b'"status":"pass"', b'"status":"PASS"'))
    done = train_on(copy, copy.refs[FACTORY]["publish"])
    assert done.code == 78
    assert "cannot be confirmed" in done.error and path.name in done.error


def test_readers_and_policies_that_the_recipe_does_not_accept_are_refused(
    factory: Turned, tmp_path: Path
) -> None:
    copy = factory.without(tmp_path, "language_models", "language_model_en")
    corpus = copy.refs[FACTORY]["publish"]
    people = train_on(copy, corpus, "mix.accept_readers=[human]")
    assert people.code == 78 and "rests on automatic readers" in people.error
    policy = train_on(copy, corpus, f"mix.policy_digest='{'0' * 64}'")
    assert policy.code == 78 and "pins" in policy.error
    assert train_on(copy, corpus).code == 0


@pytest.fixture(scope="module")
def smuggled(trained: Turned, tmp_path_factory: pytest.TempPathFactory) -> tuple[Turned, dict[str, Artifact]]:
    """A mix that names a corpus without a verdict, and token windows and weights on it, as if all had been checked."""
    names = [place.section for place in PIPELINES[TRAINING]]
    copy = trained.without(tmp_path_factory.mktemp("smuggled"), TRAINING, "export")
    made = {name: copy.artifact(TRAINING, name) for name in names[: names.index("export")]}
    corpus = copy.artifact(FACTORY, "deduplicate")
    mix = forge(made["mix"], "mix", {"corpora.web": corpus})
    tokens = forge(made["pack_3"], "pack", {"mix": mix})
    weights = forge(made["train_3"], "train", {"tokens": tokens})
    return copy, {"mix": mix, "tokens": tokens, "train": weights}


@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    ("section", "name"),
    [("initialize", "mix"), ("pack_1", "mix"), ("train_3", "tokens"), ("export", "train")],
)
def test_every_training_container_looks_behind_what_it_is_given(
    smuggled: tuple[Turned, dict[str, Artifact]], section: str, name: str
) -> None:
    turned, forged = smuggled
    step = section.partition("_")[0]
    before = turned.mill.committed(step)
    done = turned.mill.here(*turned.step_command(TRAINING, section, **{name: forged[name].ref}))
    assert (done.code, turned.mill.committed(step)) == (78, before), done.output
    assert "carries no verdict" in done.error or "it must be one" in done.error


def test_a_store_that_is_away_does_not_look_like_a_refused_verdict(
    factory: Turned, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: object) -> bytes:
        raise ServiceError("the S3 endpoint does not answer")

    published = factory.artifact(FACTORY, "publish")
    monkeypatch.setattr(Artifact, "read_bytes", away)
    with pytest.raises(ServiceError):
        verify_corpus(published)
    monkeypatch.undo()
    assert verify_corpus(published).status == "pass"
    assert VerdictRefused.exit_code != ServiceError.exit_code
