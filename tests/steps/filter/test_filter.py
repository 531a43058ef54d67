"""filter as a step: what is kept, what the ledger says, what is carried, what stops it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from steps.core.config import Runtime
from steps.core.corpus import Corpus
from steps.core.errors import DataError
from steps.core.step import Outcome, run_step
from steps.filter import step
from steps.filter.rules import rebuild
from tests.steps.documents import make_corpus

FILE = yaml.safe_load((Path(__file__).parent / "rule_cases.yaml").read_text(encoding="utf-8"))
GOOD = FILE["good"]
SPAM = "厂家直销，全场包邮，立即购买！"


def run(root: Path, corpus: Outcome, workers: int = 1, **config: object) -> Outcome:
    return run_step(
        "filter",
        config=config,
        inputs={"corpus": corpus.ref},
        root=f"file://{root}",
        runtime=Runtime(workers=workers),
    )


def ledger(outcome: Outcome) -> list[dict]:
    return [r for e in outcome.artifact.files("ledger") for r in outcome.artifact.read_table(e).to_pylist()]


def texts(outcome: Outcome) -> list[str]:
    return [
        t for shard in Corpus.open(outcome.artifact).shards for t in shard.read(["text"])["text"].to_pylist()
    ]


def shards() -> list[list[dict]]:
    good, lines = {"text": GOOD["zh"], "language": "zh"}, GOOD["zh"].split("\n")
    edited = {"text": "\n".join([lines[0], SPAM, *lines[1:]]), "language": "zh"}
    inside = {"text": GOOD["zh"] + "你这个傻逼，滚蛋！", "language": "zh"}
    short = {"text": "太短。", "language": "zh"}
    english = {"text": GOOD["en"], "language": "en", "source": "books"}
    return [[good, short, edited], [english, inside], []]


def test_pairs_lose_lines_on_their_own_side_and_go_where_a_side_is_lost(tmp_path: Path) -> None:
    lines = GOOD["zh"].split("\n")
    question, answer = "请概括下面这段话，并说明作者的看法。\n" + lines[0], "\n".join(lines[1:])
    pairs = [
        (question, answer),
        (f"{question}\n{SPAM}", answer),
        (question, f"{lines[1]}\n{SPAM}\n" + "\n".join(lines[2:])),
        (GOOD["zh"], SPAM),
        (SPAM, GOOD["zh"]),
    ]
    rows = [
        {"text": f"{p}\n{r}", "prompt": p, "response": r, "task": "qa", "language": "zh"} for p, r in pairs
    ]
    made = run(tmp_path, make_corpus(tmp_path, [rows]))
    (shard,) = Corpus.open(made.artifact).shards
    kept = shard.read().to_pylist()
    assert [(row["prompt"], row["response"]) for row in kept] == [(question, answer)] * 3
    assert all(row["text"] == f"{row['prompt']}\n{row['response']}" for row in kept)
    assert len([row for row in ledger(made) if row["action"] == "edited"]) == 2
    dropped = [(row["row"], row["rule"], row["detail"]) for row in ledger(made) if row["action"] == "removed"]
    assert dropped == [
        (3, "p13_advertising_v2", "nothing is left of its response"),
        (4, "p13_advertising_v2", "nothing is left of its prompt"),
    ]


def test_a_shard_of_pairs_may_be_left_with_none(tmp_path: Path) -> None:
    rows = [
        [{"text": f"{p}\n{r}", "prompt": p, "response": r, "task": "qa", "language": "zh"}]
        for p, r in ((GOOD["zh"], SPAM), (SPAM, GOOD["zh"]))
    ]
    made = run(tmp_path, make_corpus(tmp_path, rows))
    assert texts(made) == [] and made.counts.total.removed.documents == 2


def test_documents_lines_and_sentences_go_and_the_ledger_says_which(tmp_path: Path) -> None:
    made = run(tmp_path, make_corpus(tmp_path, shards()))
    assert texts(made) == [GOOD["zh"], GOOD["zh"], GOOD["en"], GOOD["zh"]]
    assert len({tuple(shard.signal_names) for shard in Corpus.open(made.artifact).shards}) == 1
    dropped, line, sentence = sorted(ledger(made), key=lambda r: r["level"])
    assert (dropped["rule"], dropped["row"], dropped["action"]) == ("d01_min_length_zh_v1", 1, "removed")
    assert dropped["value"] == 3 and dropped["bytes"] == 9 and "d05_sentences_zh_v1" in dropped["detail"]
    source = shards()[0][2]["text"].encode()
    assert source[line["start"] : line["end"]].decode() == SPAM
    assert (line["rule"], line["action"], line["bytes"]) == (
        "p13_advertising_v2",
        "edited",
        len(SPAM.encode()),
    )
    assert (sentence["rule"], sentence["level"]) == ("s01_abuse_v1", "sentence")
    source = shards()[1][1]["text"].encode()
    assert source[sentence["start"] : sentence["end"]].decode() == "你这个傻逼，滚蛋！"
    counts = made.counts
    assert counts.removed_by["d01_min_length_zh_v1"].documents == 1
    assert counts.total.kept.bytes - counts.total.written.bytes == len(
        (SPAM + "\n你这个傻逼，滚蛋！").encode()
    )


def test_a_cut_off_end_behind_an_advertisement_goes_with_it(tmp_path: Path) -> None:
    text = GOOD["zh"] + "\n河水越来越清，后来...\n" + SPAM + "\n更多的河，\n"
    made = run(tmp_path, make_corpus(tmp_path, [[{"text": text, "language": "zh"}]]))
    assert texts(made) == [GOOD["zh"]]
    assert sorted(r["rule"] for r in ledger(made)) == [
        "p13_advertising_v2",
        "p22_teaser_v1",
        "s08_unfinished_v1",
    ]


def test_one_and_two_workers_give_the_same_bytes(tmp_path: Path) -> None:
    corpus = make_corpus(tmp_path, shards())
    assert run(tmp_path / "a", corpus).digest == run(tmp_path / "b", corpus, workers=2).digest


def test_kept_rows_point_to_where_they_came_from_and_carry_their_signals(tmp_path: Path) -> None:
    rows = [
        {"text": text, "language": "zh", "_signals": {"perplexity": float(n), "quality": f"q{n}"}}
        for n, text in enumerate(["太短。", GOOD["zh"], GOOD["zh"] + "好。"])
    ]
    base = make_corpus(tmp_path, [rows])
    made = run(tmp_path, base)
    shard = Corpus.open(made.artifact).shards[0]
    table = shard.read(["origin"], signals=["perplexity", "quality", "rule_characters"]).to_pylist()
    sha = Corpus.open(base.artifact).shards[0].sha256
    assert [row["origin"] for row in table] == [{"shard": sha, "row": 1}, {"shard": sha, "row": 2}]
    assert [(row["perplexity"], row["quality"]) for row in table] == [(1.0, "q1"), (2.0, "q2")]
    assert table[0]["rule_characters"] == len(GOOD["zh"].replace("\n", ""))
    stored = made.artifact.read_table(made.artifact.files("rule_signals")[0]).to_pylist()
    assert [(r["row"], r["rule"], r["rule_characters"] > 0) for r in stored] == [
        (0, "d01_min_length_zh_v1", True),
        (1, None, True),
        (2, None, True),
    ]
    again = run(tmp_path, made)
    assert Corpus.open(again.artifact).shards[0].signal_names == shard.signal_names


def test_an_exempt_kind_is_left_alone(tmp_path: Path) -> None:
    text = GOOD["zh"] + "\nfunction() { var a = {}; if (a) { b({}); } else { c({}); } }" * 3
    corpus = make_corpus(tmp_path, [[{"text": text, "language": "zh", "source": "wiki"}]])
    only = {"max_source_loss": 1.0}
    assert run(tmp_path, corpus, **only).counts.removed_by.keys() == {"d22_curly_brackets_v1"}
    kept = run(tmp_path, corpus, source_kinds={"wiki": "code"}, **only)
    assert texts(kept) == [text]


def test_a_wiped_out_source_stops_the_step_and_is_named(tmp_path: Path) -> None:
    rows = [{"text": f"太短 {n}", "language": "zh", "source": "tiny"} for n in range(30)]
    rows += [{"text": GOOD["zh"], "language": "zh", "source": "good"}]
    corpus = make_corpus(tmp_path, [rows])
    with pytest.raises(DataError, match=r"wipe_out: the rules drop 30 of 30 documents of source tiny"):
        run(tmp_path, corpus)
    allowed = run(tmp_path, corpus, wipe_out_allowed=["tiny"])
    assert allowed.counts.total.kept.documents == 1


def test_the_report_tells_unique_from_overlapping_removals(tmp_path: Path) -> None:
    rows = [
        {"text": "太短。", "language": "zh", "doc_id": "both"},
        {"text": "太短。但是有两句。", "language": "zh", "doc_id": "one"},
        {"text": GOOD["zh"] + "\n" + SPAM, "language": "zh", "doc_id": "edited"},
    ]
    made = run(tmp_path, make_corpus(tmp_path, [rows]))
    table = {r["rule"]: r for r in json.loads(made.artifact.read_bytes(made.artifact.file("rules.json")))}
    short = table["d01_min_length_zh_v1"]
    assert (short["documents"], short["unique_documents"], short["overlapping_documents"]) == (2, 0, 2)
    assert short["bytes"] == len("太短。太短。但是有两句。".encode()) and short["samples"] == ["both", "one"]
    assert table["d05_sentences_zh_v1"]["attributed_documents"] == 0
    spam = table["p13_advertising_v2"]
    assert (spam["spans"], spam["edited_documents"], spam["samples"]) == (1, 1, ["edited"])
    assert table["d02_max_length_v1"]["documents"] == 0


def test_a_document_too_large_is_set_aside(tmp_path: Path) -> None:
    rows = [{"text": GOOD["zh"], "language": "zh"}] * 30 + [{"text": "长" * 2000, "language": "zh"}]
    made = run(tmp_path, make_corpus(tmp_path, [rows]), max_document_bytes=2048)
    assert made.counts.quarantined_by["document_too_large"].documents == 1
    assert made.counts.total.kept.documents == 30


def test_a_document_at_which_a_kernel_raises_is_set_aside_and_the_others_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = step.measure

    def poisoned(column: pa.ChunkedArray, *rest: object) -> object:
        if any("POISON" in text for text in column.to_pylist()):
            raise IndexError("index out of bounds")
        return real(column, *rest)

    monkeypatch.setattr(step, "measure", poisoned)
    rows = [{"text": GOOD["zh"], "language": "zh"}] * 30 + [{"text": "POISON", "language": "zh"}]
    made = run(tmp_path, make_corpus(tmp_path, [rows]))
    assert made.counts.quarantined_by["kernel_error"].documents == 1
    assert made.counts.total.kept.documents == 30
    entry = made.artifact.read_table(made.artifact.files("quarantine")[0]).to_pylist()[0]
    assert (entry["row"], entry["detail"]) == (30, "IndexError")


@given(st.lists(st.tuples(st.sampled_from(["a b", "", "c", "d e f"]), st.booleans()), min_size=1, max_size=8))
def test_rebuilding_drops_lines_and_keeps_the_others_in_order(lines: list[tuple[str, bool]]) -> None:
    text = "\n".join(line for line, _ in lines).encode()
    spans, at = [], 0
    for line, gone in lines:
        if gone and line:
            spans.append((at, at + len(line)))
        at += len(line) + 1
    start, end = np.array([s for s, _ in spans], np.int64), np.array([e for _, e in spans], np.int64)
    out = rebuild(text, start, end).decode().split("\n")
    assert [line for line in out if line] == [line for line, gone in lines if line and not gone]


def test_a_rule_may_rest_on_what_score_measured(tmp_path: Path) -> None:
    rule = {
        "id": "d99_bad_lines_v1",
        "level": "document",
        "signal": "perplexity_bad_lines",
        "max": 0.5,
        "action": "drop",
        "source": "test",
    }
    text = "The first sentence is here. The second one follows it, and both are long enough to be read."
    rows = [{"text": f"{text} {n}", "_signals": {"perplexity_bad_lines": n}} for n in (0.2, 0.9, None)]
    for shards, kept in (([rows], 2), ([[{"text": row["text"]} for row in rows]], 3)):
        root = tmp_path / str(kept)
        corpus = make_corpus(root, shards)
        config = {"rules": [rule], "max_source_loss": 1.0}
        made = run_step("filter", config=config, inputs={"corpus": corpus.ref}, root=f"file://{root}")
        assert made.counts.total.kept.documents == kept
