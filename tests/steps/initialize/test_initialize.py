"""initialize: tokenizer identity, new rows, folder, determinism."""

from __future__ import annotations

import gzip
import json
import math
from itertools import islice
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

import steps.initialize.step
import steps.mix.step
from steps.core.artifact import Artifact
from steps.core.digest import file_digest, json_digest
from steps.core.errors import ConfigError, VerdictRefused
from steps.initialize.characters import Candidate, count_characters, most_useful
from steps.initialize.config import Weights
from steps.initialize.rows import extend_rows, padded
from steps.initialize.step import shortfall
from steps.initialize.tokenizer import (
    extend,
    fast_tokenizer,
    former_pieces,
    pieces_of,
    processor,
    train_tokenizer,
)
from steps.initialize.vocabulary import Base, choose
from tests.steps.training import CHINESE, PROSE, make_mix, make_model

BASE = train_tokenizer([PROSE, PROSE[::-1], "Numbers 12345 and — dashes."], 330)
ADDED = [c for c in dict.fromkeys(CHINESE + "，。") if c not in pieces_of(BASE)]
EXTENDED = extend(BASE, ADDED)
OTHERS = st.characters(exclude_characters="".join(ADDED), exclude_categories=["Cs"])


@pytest.fixture
def approved(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stands in for the verdict, which tests of gate and publish make for real."""
    monkeypatch.setattr(steps.mix.step, "verify_corpus", lambda artifact, acceptance: None)
    monkeypatch.setattr(steps.initialize.step, "verify_training", lambda artifact: None)


@given(st.text(OTHERS, max_size=80))
@settings(max_examples=300, deadline=None)
def test_text_without_new_characters_encodes_exactly_as_before(text: str) -> None:
    assert processor(EXTENDED).encode(text) == processor(BASE).encode(text)


@given(
    st.text(
        st.one_of(
            st.sampled_from(list(CHINESE + PROSE + "  \n\t，。")), st.characters(exclude_categories=["Cs"])
        ),
        max_size=80,
    )
)
@settings(max_examples=300, deadline=None)
def test_fast_tokenizer_and_sentencepiece_agree_and_give_the_text_back(text: str) -> None:
    from tokenizers import Tokenizer

    text = text.replace("\x00", "").replace("▁", "")  # SentencePiece's own space mark is not text
    fast = Tokenizer.from_str(fast_tokenizer(EXTENDED))
    fast.encode_special_tokens = True  # as pack has it: <s> written in a text is text
    ids = processor(EXTENDED).encode(text)
    assert fast.encode(text, add_special_tokens=False).ids == ids
    assert fast.decode(ids, skip_special_tokens=False) == text


def test_new_characters_are_one_token_each() -> None:
    for character in ADDED:
        assert processor(EXTENDED).encode(f"a{character}b").count(pieces_of(EXTENDED).index(character)) == 1
    before, after = (len(processor(model).encode(CHINESE)) for model in (BASE, EXTENDED))
    assert after == len(CHINESE) + 1 and before == 3 * len(CHINESE) + 1


def test_training_a_tokenizer_twice_gives_the_same_bytes() -> None:
    assert train_tokenizer([PROSE, PROSE[::-1], "Numbers 12345 and — dashes."], 330) == BASE


def test_a_character_that_is_known_is_refused() -> None:
    with pytest.raises(ConfigError, match="new, single and given once"):
        extend(EXTENDED, [ADDED[0]])


def test_new_rows_are_the_weighted_average_of_the_former_pieces() -> None:
    rows = torch.randn(10, 4, generator=torch.Generator().manual_seed(1)).to(torch.bfloat16)
    former = [[1, 2, 5], [7, 9]]
    expected: list[tuple[Weights, list[list[int]]]] = [
        ("mean", [[1, 1, 1], [1, 1]]),
        ("last_heavy", [[1, 2, 3], [1, 2]]),
        ("first_heavy", [[3, 2, 1], [2, 1]]),
        ("first", [[1, 0, 0], [1, 0]]),
        ("last", [[0, 0, 1], [0, 1]]),
    ]
    for weights, shares in expected:
        found = extend_rows(rows, former, weights, padded(12, 8))
        assert found.shape == (16, 4) and found.dtype == torch.bfloat16
        assert torch.equal(found[:10], rows)
        for place, (ids, share) in enumerate(zip(former, shares, strict=True)):
            wanted = np.average(rows[ids].float().numpy(), axis=0, weights=share)
            np.testing.assert_allclose(found[10 + place].float().numpy(), wanted, rtol=1e-2, atol=1e-3)
        assert torch.equal(found[12], rows.float().mean(dim=0).to(torch.bfloat16))


def test_counts_of_characters_equal_brute_force() -> None:
    texts = ["河水 a 河。", "", "𠀀，é🙂", "水水"]
    points, counts = count_characters(pa.chunked_array([texts[:2], texts[2:]]))
    found = {chr(p): int(c) for p, c in zip(points, counts, strict=True)}
    assert found == {"河": 2, "水": 3, "。": 1, "，": 1, "𠀀": 1}


def test_characters_that_save_most_tokens_come_first() -> None:
    candidates = [Candidate("河", 5, 2), Candidate("水", 3, 3), Candidate("天", 90, 1), Candidate("日", 3, 3)]
    assert most_useful(candidates, 3) == ["日", "水", "河"]


def test_a_model_from_scratch_is_a_folder_that_transformers_reads(tmp_path: Path, approved: None) -> None:
    from transformers import AutoTokenizer

    artifact = make_model(tmp_path, make_mix(tmp_path)).artifact
    folder = tmp_path / "folder"
    folder.mkdir()
    for entry in artifact.files():
        (folder / entry.key).write_bytes(artifact.read_bytes(entry))
    weights = load_file(folder / "model.safetensors")
    facts = artifact.facts
    vocabulary = len(pieces_of((folder / "tokenizer.model").read_bytes()))
    assert vocabulary == facts["vocabulary_before"] + facts["characters_added"]
    assert facts["vocabulary"] % 16 == 0 and facts["vocabulary"] - 16 < vocabulary
    assert (
        weights["lm_head.weight"].shape
        == weights["model.embed_tokens.weight"].shape
        == (facts["vocabulary"], 32)
    )
    model = (folder / "tokenizer.model").read_bytes()
    text = f"the river {CHINESE[:9]} 2026"
    loaded = AutoTokenizer.from_pretrained(folder)
    assert loaded(text).input_ids == [1, *processor(model).encode(text)]
    assert facts["bytes_per_token"]["zh"]["after"] > 1.5 * facts["bytes_per_token"]["zh"]["before"]
    first = former_pieces(model, ["\u4dae"])[0]  # never in the corpus: still bytes
    assert len(first) == 3
    assert facts["tokenizer_files"] == ["tokenizer.json", "tokenizer.model", "tokenizer_config.json"]


def test_the_page_and_the_metrics_have_the_initial_loss_of_both(
    tmp_path: Path, approved: None, caplog: pytest.LogCaptureFixture
) -> None:
    """A random model guesses: its loss per token is the logarithm of its vocabulary, before and after."""
    caplog.set_level("INFO")
    outcome = make_model(tmp_path, make_mix(tmp_path))
    # minutes with a large model on CPU: each text counts once per tokenizer
    told = [line for line in caplog.messages if line.startswith("initialize initial loss: ")]
    done, _, total = told[-1].removeprefix("initialize initial loss: ").partition(" ")[0].partition("/")
    assert done == total and int(total) > 0 and int(total) % 2 == 0 and "documents/s" in told[-1]
    facts = outcome.facts
    for language in ("en", "zh"):
        before = outcome.metrics[f"loss/initial_{language}_before_per_token"]
        after = outcome.metrics[f"loss/initial_{language}_after_per_token"]
        assert abs(before - math.log(facts["vocabulary_before"])) < 0.1
        assert abs(after - math.log(facts["vocabulary_before"] + facts["characters_added"])) < 0.1
    view = next(entry for entry in outcome.artifact.manifest.views if entry.key == "report.html")
    page = outcome.artifact.read_bytes(view).decode()
    assert "Initial loss" in page and f"{after:.3f}" in page and facts["characters"][:9] in page


def test_characters_of_a_given_list_that_are_known_are_named(
    tmp_path: Path, approved: None, caplog: pytest.LogCaptureFixture
) -> None:
    made = make_model(tmp_path, make_mix(tmp_path), character_list="龘e龘t靐", loss_bytes=0)
    assert made.facts["characters"] == "龘靐"
    assert (
        "initialize: 2 of 4 characters of the setting character_list were added: 2 (et) are one token already; "
        "the others may be taken out of it"
    ) in caplog.messages


def test_a_text_with_too_few_characters_is_told_from_characters_that_the_tokenizer_cannot_have() -> None:
    facts = {
        "characters_asked": 9,
        "characters_added": 3,
        "characters": "日月水",
        "characters_left_out": "葡",
    }
    assert shortfall("", facts) == (
        "3 of 9 characters of the setting characters were added: stage 1's text has 5 too few that are not one token "
        "already; 1 (葡) is in longer pieces of the base's tokenizer.json, which would be cut; set it to 3, or give "
        "stage 1 more Chinese text"
    )
    listed = "日月水葡萄" + "".join(map(chr, range(0x5000, 0x5019)))
    said = shortfall(listed, facts | {"characters_asked": 30, "characters_left_out": "葡萄"})
    assert f"25 ({listed[5:25]}…) are one token already; 2 (葡萄) are in longer pieces" in said
    assert shortfall("", facts | {"characters_asked": 3, "characters_left_out": ""}) == ""


def test_a_tied_head_becomes_one_of_its_own(
    tmp_path: Path, approved: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    mix = make_mix(tmp_path)
    first = make_model(tmp_path, mix, characters=5, vocabulary_multiple=1).artifact
    base = tmp_path / "models" / "tied"
    base.mkdir(parents=True)
    (base / "tokenizer.model").write_bytes(first.read_bytes(first.file("tokenizer.model")))
    described = json.loads(first.read_bytes(first.file("config.json"))) | {"tie_word_embeddings": True}
    (base / "config.json").write_text(json.dumps(described))
    weights = load_file(first.fetch(first.file("model.safetensors"), tmp_path / "fetched"))
    del weights["lm_head.weight"]
    save_file(weights, base / "model.safetensors")
    monkeypatch.setenv("TOKENMILL_MODELS", str(tmp_path / "models"))
    digest = json_digest({path.name: file_digest(path) for path in base.iterdir()})
    pinned = {"from_scratch": None, "base": {"name": "tied", "sha256": digest}, "loss_bytes": 0}
    made = make_model(tmp_path, mix, **pinned).artifact
    assert json.loads(made.read_bytes(made.file("config.json")))["tie_word_embeddings"] is False
    new = load_file(made.fetch(made.file("model.safetensors"), tmp_path / "fetched"))
    assert torch.equal(new["lm_head.weight"], new["model.embed_tokens.weight"])
    with pytest.raises(ConfigError, match=r"lacks safetensors files \(convert its pickles"):
        (base / "model.safetensors").rename(base / "pytorch_model.bin")
        make_model(tmp_path, mix, **pinned, characters=3)


def test_one_and_two_runs_give_the_same_digest(tmp_path: Path, approved: None) -> None:
    digests = []
    for name in ("one", "two"):
        root = tmp_path / name
        digests.append(make_model(root, make_mix(root)).digest)
    assert digests[0] == digests[1]


def test_a_base_folder_is_extended_and_pinned(
    tmp_path: Path, approved: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A model made by one run serves as the base of another; a wrong pin is answered with the right one."""
    mix = make_mix(tmp_path)
    first: Artifact = make_model(tmp_path, mix, characters=5, vocabulary_multiple=1).artifact
    base = tmp_path / "models" / "small-llama"
    base.mkdir(parents=True)
    for name in ("config.json", "tokenizer.model"):
        (base / name).write_bytes(first.read_bytes(first.file(name)))
    weights = load_file(first.fetch(first.file("model.safetensors"), tmp_path / "fetched"))
    heads = {name: weights.pop(name) for name in ["lm_head.weight"]}
    save_file(weights, base / "model-00001-of-00002.safetensors")
    save_file(heads, base / "model-00002-of-00002.safetensors")
    monkeypatch.setenv("TOKENMILL_MODELS", str(tmp_path / "models"))
    pinned = {"from_scratch": None, "base": {"name": "small-llama", "sha256": "0" * 64}}
    with pytest.raises(ConfigError, match="pin that if it is the model you mean") as refused:
        make_model(tmp_path, mix, **pinned)
    digest = str(refused.value).split(" has ")[1][:64]
    pinned["base"] = {"name": "small-llama", "sha256": digest}
    second = make_model(tmp_path, mix, **pinned).artifact
    assert second.facts["vocabulary_before"] == first.facts["vocabulary"]
    index = json.loads(second.read_bytes(second.file("model.safetensors.index.json")))
    assert index["weight_map"]["lm_head.weight"] == "model-00002-of-00002.safetensors"
    head = load_file(second.fetch(second.file("model-00002-of-00002.safetensors"), tmp_path / "fetched"))
    assert torch.equal(head["lm_head.weight"][: first.facts["vocabulary"]], heads["lm_head.weight"])


def test_a_mix_of_unapproved_corpora_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(steps.mix.step, "verify_corpus", lambda artifact, acceptance: None)
    mix = make_mix(tmp_path)
    with pytest.raises(VerdictRefused, match="carries no verdict"):
        make_model(tmp_path, mix)


@pytest.mark.data
def test_real_chinese_takes_far_fewer_tokens_and_real_english_the_same(shared_data: Path) -> None:
    """zh wiki with 7,400 characters added: at least 30 % fewer tokens; en wiki: not one token changes."""
    texts = {}
    for language in ("en", "zh"):
        with gzip.open(shared_data / f"wiki_{language}" / "train.jsonl.gz", "rt", encoding="utf-8") as file:
            texts[language] = [json.loads(line)["text"] for line in islice(file, 600)]
    lines = [line for text in texts["en"][:80] for line in text.split("\n") if line]
    base = train_tokenizer(lines, 4000)
    points, counts = count_characters(pa.chunked_array([texts["zh"][:400]]))
    counted = [(chr(point), int(count)) for point, count in zip(points, counts, strict=True)]
    added = choose(Base.of("tokenizer.model", base), "", counted, 7400)
    extended = extend(base, added)
    held = texts["zh"][400:]
    before, after = (sum(map(len, processor(model).encode(held))) for model in (base, extended))
    assert after < 0.7 * before
    plain = [text for text in texts["en"][80:] if not set(text) & set(added)]
    assert len(plain) > 100 and processor(base).encode(plain) == processor(extended).encode(plain)
