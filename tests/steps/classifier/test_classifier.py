"""A classifier learns its label, says how well on texts held out, and filter uses it."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.quality.chain import Records, clean, documents, ingest
from steps.classifier.train import as_fasttext, precision_recall
from steps.core.catalog import Catalog
from steps.core.config import Runtime
from steps.core.errors import DataError
from steps.core.step import Outcome, run_step
from steps.core.store import open_store
from steps.text.classifier import Classifier, features

RUDE = ["你这个累赘", "赶紧消失", "真是讨厌鬼", "一群笨蛋", "丢人现眼"]
KIND = ["谢谢你的帮助", "今天天气很好", "这本书值得读", "孩子们很开心", "祝你一路顺风"]
PROSE = "河水在春天漫过田地，农民等水退了才播种。\n村里的老师带学生去看墙上的旧地图，图上画着河水到过的地方。"


def labelled(seed: int = 1, number: int = 400) -> list[dict[str, str]]:
    """Comments made of rude or kind phrases, all different."""
    draw = random.Random(seed)
    rows = []
    for i in range(number):
        phrases = draw.sample(RUDE if i % 2 else KIND, 3)
        rows.append({"prompt": "，".join([*phrases, f"第{i}条"]), "response": str(i % 2)})
    return rows


def corpus(root: Path, *, background: bool = True) -> Outcome:
    sources = {"comments": Records("supervised", labelled(), {})}
    if background:
        rows = [{"text": PROSE.replace("河", f"河{i}")} for i in range(40)]
        sources["prose"] = Records("web", rows, {})
    return ingest(root, sources, Runtime(workers=1))


def train(root: Path, made: Outcome, workers: int = 1, **config: object) -> Outcome:
    return run_step(
        "classifier",
        config=config,
        inputs={"corpus": made.ref},
        root=f"file://{root}",
        runtime=Runtime(workers=workers),
    )


def model(tmp_path: Path, outcome: Outcome) -> Classifier:
    entry = outcome.artifact.file("model.bin")
    path = tmp_path / "fetched.bin"
    path.write_bytes(outcome.artifact.read_bytes(entry))
    return Classifier(path, entry.meta["label"])


def test_it_learns_the_label_and_says_how_well_on_texts_held_out(tmp_path: Path) -> None:
    made = train(tmp_path, corpus(tmp_path))
    facts = made.facts
    assert facts["trained"] and facts["labels"] == {"0": 200, "1": 200}
    texts = facts["texts"]
    assert texts["held_out"] > 10 and texts["trained"] + texts["held_out"] == 400 + 80
    half = facts["held_out"][0]
    assert (half["threshold"], half["precision"], half["recall"]) == (0.5, 1.0, 1.0)
    rude, kind, prose = model(tmp_path, made).probabilities(
        ["真是讨厌鬼，赶紧消失", "谢谢你的帮助，祝你一路顺风", PROSE]
    )
    assert rude > 0.9 and kind < 0.1 and prose < 0.1


def test_the_same_texts_give_the_same_bytes_for_any_workers(tmp_path: Path) -> None:
    one, two = (train(tmp_path / n, corpus(tmp_path / n), workers=w) for n, w in (("a", 1), ("b", 2)))
    assert one.digest == two.digest
    assert train(tmp_path / "a", corpus(tmp_path / "a"), seed=2).digest != one.digest


def test_a_corpus_without_labels_makes_no_model_and_says_so(tmp_path: Path) -> None:
    prose = ingest(tmp_path, {"prose": Records("web", [{"text": PROSE}], {})}, Runtime(workers=1))
    made = train(tmp_path, prose)
    assert made.facts["trained"] is False and not made.artifact.files("classifier")
    with pytest.raises(DataError, match="holds no model: its corpus had no labelled records"):
        clean(tmp_path, prose, inputs={"classifiers.toxicity": made.ref}, runtime=Runtime(workers=1))


def test_a_label_that_no_text_has_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(
        DataError, match=r"0 labelled texts have the label 'toxic' and 400 another.*labels are: 0, 1"
    ):
        train(tmp_path, corpus(tmp_path), label="toxic")


def test_the_catalog_names_it_under_the_recipe(tmp_path: Path) -> None:
    made = corpus(tmp_path)
    run_step(
        "classifier",
        config={},
        inputs={"corpus": made.ref},
        root=f"file://{tmp_path}",
        runtime=Runtime(workers=1),
        run={"recipe": {"name": "words"}},
    )
    entry = Catalog(open_store(f"file://{tmp_path}")).get("classifiers")
    assert list(entry["words"]) == ["toxicity"] and entry["words"]["toxicity"].startswith("classifier/")


def test_filter_takes_it_as_a_signal_and_removes_what_its_rule_says(tmp_path: Path) -> None:
    made = train(tmp_path, corpus(tmp_path))
    rows = [
        {"text": f"{PROSE}\n真是讨厌鬼，赶紧消失，一群笨蛋。你们种的田真好，谢谢你的帮助。", "url": "mixed"}
    ]
    rows += [{"text": f"{PROSE}\n今天天气很好，孩子们很开心。", "url": "clean"}]
    root = tmp_path / "web"
    web = ingest(root, {"web": Records("web", rows, {})}, Runtime(workers=1))
    _, with_it = clean(root, web, inputs={"classifiers.toxicity": made.ref}, runtime=Runtime(workers=1))
    _, without = clean(root, web, runtime=Runtime(workers=1))
    texts = {row["url"]: row["text"] for row in documents(with_it.artifact, ("url", "text"))}
    assert "讨厌鬼" not in texts["mixed"] and "谢谢你的帮助" in texts["mixed"]
    assert texts["clean"] == rows[1]["text"]
    assert "s01_toxic_v1" in with_it.facts["rules"] and "s01_toxic_v1" not in without.facts["rules"]
    assert any("真是讨厌鬼" in row["text"] for row in documents(without.artifact, ("text",)))


@given(st.text())
def test_features_are_one_line_that_names_no_label(text: str) -> None:
    line = features(text)
    assert not set(line) & set("\n\r\x00\t") and "__label__" not in line
    assert line == " ".join(line.split(" "))


def test_features_fold_width_and_case_and_separate_ideographs() -> None:
    assert features("ＡＢＣ中文 __label__1,x") == "abc 中 文 label 1 , x"


def test_what_is_no_floret_model_is_refused() -> None:
    with pytest.raises(DataError, match="no model"):
        as_fasttext(b"x" * 100)


def test_precision_and_recall_count_what_is_above_the_threshold() -> None:
    positive, probability = np.array([True, True, False, False]), np.array([0.9, 0.4, 0.8, 0.1])
    assert precision_recall(positive, probability, (0.5, 0.85)) == [
        {"threshold": 0.5, "precision": 0.5, "recall": 0.5, "f1": 0.5},
        {"threshold": 0.85, "precision": 1.0, "recall": 0.5, "f1": 0.6667},
    ]
