"""`tokenmill show, explain, diff, trace` on what the demo's runs made."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest

from steps.core.artifact import Artifact
from steps.core.corpus import Corpus
from tests.system.mill import Mill, Turned

FACTORY, TRAINING = "data_factory", "continual_pretraining"


def lines(turned: Turned, *arguments: str) -> list[str]:
    done = turned.mill.here(*arguments)
    assert done.code == 0, done.output
    return done.output.strip().split("\n")


def test_show_says_what_came_in_and_what_became_of_it(factory: Turned) -> None:
    made = factory.artifact(FACTORY, "filter")
    counts = made.manifest.identity.counts
    text = "\n".join(lines(factory, "show", made.ref))
    for column in ("input", "kept", "removed"):
        tally = getattr(counts.total, column)
        assert re.search(rf"^  {column} +{tally.documents:,} documents", text, re.M), text
    for rule, tally in counts.removed_by.items():
        assert re.search(rf"^    {rule} +{tally.documents} ", text, re.M), rule
    by_prefix = lines(factory, "show", f"filter/{made.reference.fingerprint[:10]}")
    assert by_prefix == text.split("\n")


def test_explain_names_the_setting_that_differs(factory: Turned, tmp_path: Path) -> None:
    config = tmp_path / "config.json"
    config.write_text(json.dumps({"max_source_loss": 0.77}))
    mill = Mill(tmp_path, factory.mill.inbox, environment={"TOKENMILL_WORKERS": "1"})
    corpus = factory.inputs(FACTORY, "filter")["corpus"]
    other = mill.here("step", "filter", f"--config={config}", f"--input=corpus={corpus}").result["ref"]
    before = factory.artifact(FACTORY, "filter").config["max_source_loss"]
    assert lines(factory, "explain", factory.refs[FACTORY]["filter"], other) == [
        f"config.max_source_loss: {before} -> 0.77"
    ]
    assert lines(factory, "explain", other, other) == ["nothing: both have the same fingerprint"]


def test_diff_lists_what_filter_removed_with_its_rules(factory: Turned) -> None:
    before, after = (factory.artifact(FACTORY, name) for name in ("score", "filter"))
    said = lines(factory, "diff", before.ref, after.ref)
    removed = after.manifest.identity.counts.total.removed.documents
    assert said[0] == f"only in the first: {removed} documents"
    assert said[-1] == "only in the second: 0 documents"
    rules = {match[1] for line in said if (match := re.match(r"  [0-9a-f]{32}  filter: (\S+) \(value", line))}
    assert rules and rules <= set(after.manifest.identity.counts.removed_by)


def test_trace_of_a_duplicate_ends_with_the_document_that_stayed(factory: Turned) -> None:
    made = factory.artifact(FACTORY, "deduplicate")
    rows = [row for entry in made.files("ledger") for row in made.read_table(entry).to_pylist()]
    near = next(row for row in rows if row["rule"] == "near_duplicate")
    said = lines(factory, "trace", near["doc_id"], factory.refs[FACTORY]["publish"])
    assert [line.split()[0] for line in said][:2] == ["ingest", "preprocess"]
    assert re.search(r", from crawl: crawl-0000\d\.warc(\.wet)?\.gz row \d+$", said[0])
    assert said[-1].startswith("deduplicate") and said[-1].endswith(f", matched {near['match_doc_id']}")
    assert "removed by near_duplicate (document" in said[-1]
    stayed = lines(factory, "trace", near["match_doc_id"], factory.refs[FACTORY]["publish"])
    assert stayed[-1].startswith("publish") and "holds it in shards/" in stayed[-1]


def test_an_unknown_document_is_an_error(factory: Turned) -> None:
    done = factory.mill.here("trace", "0" * 32, factory.refs[FACTORY]["publish"])
    assert done.code == 65
    assert f"document {'0' * 32} is nowhere in" in done.error


def documents_in(turned: Turned, window: int) -> list[tuple[str, str]]:
    """(doc_id, text) of the corpus documents that begin in a window of stage 1."""
    pack = turned.artifact(TRAINING, "pack_1")
    published = turned.artifact(FACTORY, "publish")
    shards = {shard.sha256: shard for shard in Corpus.open(published).shards}
    found = []
    for entry in pack.files("segments"):
        if entry.meta["set"] != "train":
            continue
        for row in pack.read_table(entry).to_pylist():
            if row["window"] == window and row["start"] == 0 and row["shard"] in shards:
                document = shards[row["shard"]].read(["doc_id", "text"], kept=False).slice(row["row"], 1)
                found.append((document["doc_id"][0].as_py(), document["text"][0].as_py()))
    return found


def tokens_of(pack: Artifact, window: int) -> np.ndarray:
    for windows, tokens in zip(pack.files("windows"), pack.files("tokens"), strict=True):
        if windows.meta["set"] == "train":
            table = pack.read_table(windows)
            ids = np.frombuffer(pack.read_bytes(tokens), pack.facts["token_type"])
            start = table["offset"][window].as_py()
            return ids[start : start + table["ends"][window].as_py()[-1]]
    raise AssertionError("no set of windows to train on")


@pytest.mark.timeout(600)
def test_trace_goes_from_the_raw_record_to_the_weights_that_saw_the_document(
    trained: Turned, tmp_path: Path
) -> None:
    import sentencepiece

    pack, train = trained.artifact(TRAINING, "pack_1"), trained.artifact(TRAINING, "train_1")
    document, text = documents_in(trained, 0)[0]
    said = lines(trained, "trace", document, trained.refs[TRAINING]["export"])
    steps = [line.split()[0] for line in said]
    assert list(dict.fromkeys(steps)) == [
        *("ingest", "preprocess", "filter", "publish", "mix", "pack", "train")
    ]
    assert sum("stage 1 takes it as document" in line for line in said) == 2  # the recipe's two epochs
    spans = [m for line in said if (m := re.search(r"tokens (\d+) to (\d+) are in train window (\d+)", line))]
    first = next(span for span in spans if span[3] == "0")
    processor = sentencepiece.SentencePieceProcessor(
        model_proto=pack.input("model").read_bytes(pack.input("model").file("tokenizer.model"))
    )
    length = int(first[2]) - int(first[1])
    decoded = processor.decode([int(t) for t in tokens_of(pack, 0)])
    own = processor.decode(processor.encode(text)[: length - 2])
    own = own.rstrip("\ufffd")  # the window may cut a character in two
    assert len(own) > 50 and own in decoded
    assert any("its weights saw window 0 in optimizer step 1 of 2" in line for line in said)

    unseen = train.facts["steps"] * train.config["batch_windows"]
    assert pack.facts["windows"] > unseen + 20, "two steps do not see every window"
    late, _ = next(found[0] for w in range(unseen, unseen + 20) if (found := documents_in(trained, w)))
    said = lines(trained, "trace", late, trained.refs[TRAINING]["train_1"])
    assert any(re.search(r"stage 1: ended after 2 steps, before window \d+$", line) for line in said)
