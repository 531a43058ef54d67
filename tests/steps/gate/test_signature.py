"""Verdicts and labels are believed only with the installation's signature, where it has keys."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from steps.core.artifact import Artifact
from steps.core.cli import main
from steps.core.digest import canonical_json
from steps.core.errors import ConfigError, DataError, VerdictRefused
from steps.core.labels import Label, collect_labels, label_key, put_label
from steps.core.signing import PUBLIC_KEYS, SIGNING_KEY, new_keys, signer
from steps.core.store import open_store
from steps.core.verification import read_verdict, signature_key, verify, verify_corpus
from tests.steps.gate.line import Line, records, step, through_the_gate


@pytest.fixture(scope="module")
def unsigned(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Line]:
    root = tmp_path_factory.mktemp("unsigned")
    return root, through_the_gate(root, records(50), seeded=400)


@pytest.fixture
def line(unsigned: tuple[Path, Line], tmp_path: Path) -> tuple[Path, Line]:
    """A copy of the stages, made where nothing is signed."""
    root, copy = unsigned[0], tmp_path / "copy"
    shutil.copytree(root, copy)
    store = open_store(f"file://{copy}")
    moved = {
        name: replace(outcome, artifact=Artifact.open(outcome.artifact.local_ref, store))
        for name, outcome in vars(unsigned[1]).items()
    }
    return copy, Line(**moved)


def use(monkeypatch: pytest.MonkeyPatch, settings: Mapping[str, str], private: bool = True) -> None:
    monkeypatch.setenv(PUBLIC_KEYS, settings[PUBLIC_KEYS])
    if private:
        monkeypatch.setenv(SIGNING_KEY, settings[SIGNING_KEY])
    else:
        monkeypatch.delenv(SIGNING_KEY, raising=False)


def gate_again(root: Path, line: Line) -> None:
    """The gate's task once more; its artifact is there already."""
    assert step(root, "gate", {"look": 1}, line.inputs()).cached


def documents(line: Line) -> str:
    found = line.corpus.artifact.manifest.identity.documents
    assert found is not None
    return found


def test_an_unsigned_verdict_is_refused_until_the_gate_signs_it_and_nothing_else_changes(
    line: tuple[Path, Line], monkeypatch: pytest.MonkeyPatch
) -> None:
    root, made = line
    corpus = made.publish(root).artifact
    keys = new_keys({})
    use(monkeypatch, keys, private=False)
    for refuse in (lambda: verify_corpus(corpus), lambda: verify(made.gate.artifact, documents(made))):
        with pytest.raises(
            VerdictRefused, match=r"it is not signed; this installation accepts [0-9a-f]{16}\."
        ):
            refuse()
    with pytest.raises(ConfigError, match=f"{SIGNING_KEY} is not"):
        gate_again(root, made)
    use(monkeypatch, keys)
    gate_again(root, made)
    use(monkeypatch, keys, private=False)
    assert verify_corpus(corpus).status == "pass", "the same corpus, by the same digest"


def test_a_signature_of_a_key_that_is_not_accepted_is_refused(
    line: tuple[Path, Line], monkeypatch: pytest.MonkeyPatch
) -> None:
    root, made = line
    foreign, own = new_keys({}), new_keys({})
    use(monkeypatch, foreign)
    gate_again(root, made)
    stranger = signer()
    assert stranger is not None
    use(monkeypatch, own, private=False)
    with pytest.raises(VerdictRefused, match=f"its signature is of the key {stranger.public.id}"):
        verify(made.gate.artifact, documents(made))
    # the same signature under the name of the accepted key
    verdict, store = read_verdict(made.gate.artifact), made.gate.artifact.store
    use(monkeypatch, own)
    mine = signer()
    assert mine is not None
    text = store.get(signature_key(verdict, stranger.public.id)).decode()
    for forged in (text, text.replace(stranger.public.id, mine.public.id), ""):
        store.put(signature_key(verdict, mine.public.id), forged.encode())
        with pytest.raises(VerdictRefused, match="signature is of the key"):
            verify(made.gate.artifact, documents(made))
    gate_again(root, made)
    assert verify(made.gate.artifact, documents(made)).status == "pass"


def test_a_signature_is_of_no_other_verdict(
    line: tuple[Path, Line], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    root, made = line
    use(monkeypatch, new_keys({}))
    gate_again(root, made)
    key, store = signer(), made.gate.artifact.store
    assert key is not None
    assert main(["gate", "explain", made.gate.ref, "--root", f"file://{root}"]) == 0
    assert f"signed by the key: {key.public.id}" in capsys.readouterr().out
    other = step(root, "gate", {"look": 1, "veto": "a person says no"}, made.inputs()).artifact
    passed, refused = read_verdict(made.gate.artifact), read_verdict(other)
    store.put(signature_key(passed, key.public.id), store.get(signature_key(refused, key.public.id)))
    with pytest.raises(VerdictRefused, match="signature"):
        verify(made.gate.artifact, documents(made))


def test_old_keys_stay_valid_until_they_are_taken_out(
    line: tuple[Path, Line], monkeypatch: pytest.MonkeyPatch
) -> None:
    root, made = line
    old = new_keys({})
    use(monkeypatch, old)
    gate_again(root, made)
    new = new_keys(old)
    use(monkeypatch, new)
    assert verify(made.gate.artifact, documents(made)).status == "pass"
    only_new = {**new, PUBLIC_KEYS: new[PUBLIC_KEYS].partition(",")[0]}
    use(monkeypatch, only_new)
    with pytest.raises(VerdictRefused, match="Run its gate again"):
        verify(made.gate.artifact, documents(made))
    gate_again(root, made)
    assert verify(made.gate.artifact, documents(made)).status == "pass"


def labelled(line: Line, number: int, label: str = "good", **more: object) -> Label:
    """What anna says of one of the sample's own documents, no seeded defect."""
    sample = line.sample.artifact
    seeds = sample.read_table(sample.file("seeds.parquet"), ["sample_id", "defect"]).to_pylist()
    real = {row["sample_id"] for row in seeds if row["defect"] is None}
    rows = sample.read_table(sample.file("sample.parquet"), ["sample_id", "doc_sha256"]).to_pylist()
    row = [row for row in rows if row["sample_id"] in real][number]
    defects = ("other",) if label == "bad" else ()
    return Label.model_validate({**row, "annotator": "anna", "label": label, "defects": defects, **more})


def test_a_label_that_the_page_did_not_sign_is_refused(
    line: tuple[Path, Line], monkeypatch: pytest.MonkeyPatch
) -> None:
    root, made = line
    store, digest = open_store(f"file://{root}"), made.sample.artifact.digest
    use(monkeypatch, new_keys({}))
    put_label(store, digest, labelled(made, 0))
    (signed,) = collect_labels(store, digest)
    copied = labelled(made, 1, signature=signed.signature)
    store.put(label_key(digest, copied), canonical_json(copied.model_dump(mode="json")))
    with pytest.raises(VerdictRefused, match=r"label .* is not signed by a key"):
        collect_labels(store, digest)
    with pytest.raises(VerdictRefused, match="is not signed by a key"):
        step(root, "review", {"mode": "required"}, {"sample": made.sample.ref})
    other = "0" * 64
    store.put(label_key(other, signed), canonical_json(signed.model_dump(mode="json")))
    with pytest.raises(VerdictRefused, match="is not signed by a key"):
        collect_labels(store, other)


def test_the_gate_signs_no_verdict_on_labels_that_nobody_gave(
    line: tuple[Path, Line], monkeypatch: pytest.MonkeyPatch
) -> None:
    root, made = line
    store, digest = open_store(f"file://{root}"), made.sample.artifact.digest
    put_label(store, digest, labelled(made, 0))  # frozen before there were keys, as if written into the store
    frozen = step(root, "review", {"mode": "optional"}, {"sample": made.sample.ref})
    store.delete(label_key(digest, labelled(made, 0)))
    use(monkeypatch, new_keys({}))
    inputs = {**made.inputs(), "labels": frozen.ref}
    with pytest.raises(VerdictRefused, match="are not those that the sample's readers gave"):
        step(root, "gate", {"look": 1}, inputs)
    put_label(store, digest, labelled(made, 0))
    gate = step(root, "gate", {"look": 1}, inputs)
    assert verify(gate.artifact, documents(made)).status == "pass"


def test_a_defect_reported_after_the_freeze_is_not_passed_over(
    line: tuple[Path, Line], monkeypatch: pytest.MonkeyPatch
) -> None:
    root, made = line
    use(monkeypatch, new_keys({}))
    frozen = step(root, "review", {"mode": "optional"}, {"sample": made.sample.ref})
    put_label(open_store(f"file://{root}"), made.sample.artifact.digest, labelled(made, 3, "bad"))
    with pytest.raises(ConfigError, match=r"raise review\.freeze by one"):
        step(root, "gate", {"look": 1}, {**made.inputs(), "labels": frozen.ref})
    again = step(root, "review", {"mode": "optional", "freeze": 2}, {"sample": made.sample.ref})
    gate = step(root, "gate", {"look": 1}, {**made.inputs(), "labels": again.ref})
    assert (gate.facts["status"], gate.facts["defective"]) == ("fail", 1)


def test_labels_of_another_sample_are_refused(
    line: tuple[Path, Line], monkeypatch: pytest.MonkeyPatch
) -> None:
    root, made = line
    use(monkeypatch, new_keys({}))
    other = step(root, "evaluate", {"sample_fraction": 1.0, "seeded": 0}, {"corpus": made.corpus.ref})
    labels = step(root, "review", {"mode": "automatic"}, {"sample": other.ref})
    with pytest.raises(DataError, match="holds labels of another sample"):
        step(root, "gate", {"look": 1, "veto": "x"}, {**made.inputs(), "labels": labels.ref})
