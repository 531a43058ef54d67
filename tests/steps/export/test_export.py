"""export: the folder is the trained model, says where it comes from, and a different model is refused."""

from __future__ import annotations

import html
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from tokenizers import Tokenizer

import steps.export.step
from steps.core.approval import Approved
from steps.core.config import Runtime
from steps.core.errors import ConfigError, DataError
from steps.core.step import Outcome, run_step
from steps.export.card import plain
from steps.export.check import check_tokenizer, compare_logits, probe_texts
from steps.export.weights import plan_shards
from steps.initialize.tokenizer import train_tokenizer
from steps.initialize.vocabulary import FAST, SENTENCEPIECE, Base, extend
from tests.steps.initialize.test_fast import byte_level, unknown
from tests.steps.training import MIX, PROSE, approve_all, make_mix, make_model, make_pack, make_train

VERDICT = SimpleNamespace(
    population=60, readers=("automatic",), read=60, rate=0.0, bound_rate=0.0009, policy_digest="c" * 64
)


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Two short stages, the second one tensor parallel, and their export."""
    root = tmp_path_factory.mktemp("chain")
    with pytest.MonkeyPatch.context() as patch:
        approve_all(patch)
        mix = make_mix(root)
        model = make_model(root, mix)
        packs = [make_pack(root, mix, model, stage=stage, sequence_length=64) for stage in (1, 2)]
        first = make_train(root, packs[0], model, steps=4)
        second = make_train(root, packs[1], model, first, stage=2, steps=2, layout={"tensor": 2})
        corpus = mix.artifact.input("corpora.web")
        ungated = {name: found["ungated"] for name, found in MIX["supervised"].items()}
        approved = Approved(mix.artifact, {"web": (corpus, VERDICT)}, ungated)  # type: ignore[dict-item]
        patch.setattr(steps.export.step, "verify_training", lambda artifact: approved)
        exported = export(root, second, model)
        yield SimpleNamespace(root=root, model=model, first=first, second=second, exported=exported)


def export(root: Path, train: Outcome, model: Outcome, **config: Any) -> Outcome:
    return run_step(
        "export",
        config=config,
        inputs={"train": train.ref, "model": model.ref},
        root=f"file://{root}",
        runtime=Runtime(workers=1),
    )


def folder_of(outcome: Outcome, folder: Path) -> Path:
    folder.mkdir()
    for entry in outcome.artifact.files("model"):
        (folder / entry.key).write_bytes(outcome.artifact.read_bytes(entry))
    return folder


@pytest.mark.slow
def test_a_stage_without_data_leaves_the_model_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    approve_all(monkeypatch)
    mix = make_mix(tmp_path, supervised={})
    model = make_model(tmp_path, mix, loss_bytes=0)
    packs = [make_pack(tmp_path, mix, model, stage=stage, sequence_length=64) for stage in (1, 2)]
    assert packs[1].facts["windows"] == 0
    first = make_train(tmp_path, packs[0], model, steps=2)
    with pytest.raises(ConfigError, match="no data and precision float32, but the stage before"):
        make_train(tmp_path, packs[1], model, first, stage=2, precision="float32")
    second = make_train(tmp_path, packs[1], model, first, stage=2)
    assert (second.facts["steps"], second.facts["tokens"]) == (0, 0)
    assert second.facts["loss"]["last"] == first.facts["loss"]["last"]
    weights = [[entry.sha256 for entry in made.artifact.files("weights")] for made in (first, second)]
    assert weights[0] and weights[0] == weights[1]
    approved = Approved(mix.artifact, {}, {})
    monkeypatch.setattr(steps.export.step, "verify_training", lambda artifact: approved)
    assert [stage["stage"] for stage in export(tmp_path, second, model).facts["stages"]] == [1]


@pytest.mark.slow
def test_transformers_loads_the_folder_and_gives_the_trainers_logits(chain: Any, tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = folder_of(chain.exported, tmp_path / "folder")
    assert chain.exported.metrics["eval/export_logit_difference"] < 1e-4
    assert chain.exported.facts["logit_check"]["positions"] > 60
    model = AutoModelForCausalLM.from_pretrained(folder)
    assert model.dtype == torch.bfloat16 and model.config.vocab_size == chain.model.facts["vocabulary"]
    tokens = AutoTokenizer.from_pretrained(folder)("the river 河水", return_tensors="pt")
    assert (
        model.generate(tokens.input_ids, max_new_tokens=3, do_sample=False).shape[1]
        == tokens.input_ids.shape[1] + 3
    )


@pytest.mark.slow
def test_the_card_names_corpora_readers_stages_and_ungated_sets(chain: Any) -> None:
    artifact = chain.exported.artifact
    card = artifact.read_bytes(artifact.file("README.md")).decode()
    assert "| web |" in card and "automatic" in card and "0.090%" in card
    for found in MIX["supervised"].values():
        assert plain(found["ungated"]) in card
    assert "| 1 | 4 |" in card and "| 2 | 2 |" in card
    assert chain.first.digest[:12] in card and str(chain.root) not in card
    assert "| 2 | supervised/sets/qa |" in card
    assert "none declared" in card


@pytest.mark.slow
def test_the_data_sets_of_a_stage_add_up_to_its_windows(chain: Any) -> None:
    amounts = chain.exported.facts["data"]
    for stage, train in ((1, chain.first), (2, chain.second)):
        packed = train.artifact.input("tokens")
        mine = [amount for amount in amounts if amount["stage"] == stage]
        assert sum(amount["tokens"] for amount in mine) == packed.facts["tokens"] > 0
        assert all(0 < amount["documents"] <= amount["tokens"] for amount in mine)
    assert {a["name"] for a in amounts if a["stage"] == 1} == {"web/pages"}
    assert {a["name"] for a in amounts if a["stage"] == 2} == {"web/pages", "supervised/sets/qa"}


@pytest.mark.slow
def test_the_registry_learns_which_corpora_and_verdicts_stand_behind_the_model(chain: Any) -> None:
    told = chain.exported.facts["registry"]
    assert told["name"] == "tokenmill-model" and told["tags"]["corpus.web.policy"] == "c" * 64
    assert told["tags"]["corpus.web.readers"] == "automatic" and "ungated.sets/qa" in told["tags"]
    (view,) = [view for view in chain.exported.artifact.manifest.views if view.key == "report.html"]
    page = chain.exported.artifact.read_bytes(view).decode()
    assert 'class="line' in page and "supervised/sets/qa" in page


@pytest.mark.parametrize(
    "text", ["<script>alert(1)</script>", "a | b", "[x](javascript:y)", "`code`", "two\n\n# heads"]
)
def test_no_text_becomes_markup_in_the_card(text: str) -> None:
    shown = plain(text)
    assert not set("<>|[]`*\n") & set(re.sub(r"&#\d+;", "", shown))
    assert html.unescape(shown) == " ".join(text.split())


@pytest.mark.slow
def test_another_models_weights_do_not_pass(chain: Any, tmp_path: Path) -> None:
    """One weight changed by 2 % is noticed."""
    folder = folder_of(chain.exported, tmp_path / "folder")
    train = chain.second.artifact
    probe = train.fetch(train.file("probe.safetensors"), tmp_path / "probe")
    same, _ = compare_logits(folder, probe)
    with safe_open(folder / "model.safetensors", framework="pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    tensors["model.layers.1.self_attn.o_proj.weight"] *= 1.02
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    other, _ = compare_logits(folder, probe)
    assert same < 1e-5 and other > 1e-3
    tensors["model.layers.1.self_attn.o_proj.weight"][0, 0] = float("nan")
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(DataError, match=r"window 0 of the probe, tokens 0 to \d+: a logit .* is not finite"):
        compare_logits(folder, probe)


@pytest.mark.slow
def test_shards_and_their_index_load(chain: Any, tmp_path: Path) -> None:
    """Small shards: an index and several files, the same logits (checked by the step itself)."""
    outcome = export(chain.root, chain.second, chain.model, max_shard_bytes=20_000)
    names = {entry.key for entry in outcome.artifact.files("model")}
    assert (
        "model.safetensors.index.json" in names and len([n for n in names if n.endswith(".safetensors")]) > 2
    )


def test_shards_keep_within_their_size() -> None:
    shards = plan_shards({"a": 5, "b": 6, "c": 30, "d": 1, "e": 9}, 10)
    assert shards == [["a"], ["b"], ["c"], ["d", "e"]]


def test_a_tokenizer_without_sentencepiece_is_checked_by_its_only_file(tmp_path: Path) -> None:
    """As of a LLaMA 3 base: transformers must encode as pack did, from tokenizer.json."""
    base = Base.of(FAST, byte_level())
    config = {"max_position_embeddings": 64, "bos_token_id": 0, "eos_token_id": 1}
    for name, data in extend(base, unknown(byte_level()), config).files.items():
        (tmp_path / name).write_bytes(data)
    texts = ["the river 河水", "葡萄 and 𠀀", "</s>"]
    check_tokenizer(tmp_path, texts)
    ids = torch.tensor([*fast_ids(tmp_path, texts[0]), 10**6])  # a row of padding stands for no text
    save_file({"0.ids": ids}, tmp_path / "probe.safetensors")
    assert probe_texts(tmp_path, tmp_path / "probe.safetensors") == [texts[0]]


@pytest.mark.parametrize(
    "text", ["an old price <s>12</s> and 10", "<unk>", "a </s> b <s>", "<|end_of_text|> x"]
)
@pytest.mark.parametrize("name", [SENTENCEPIECE, FAST])
def test_names_of_special_tokens_in_a_page_are_text_to_export_too(
    tmp_path: Path, name: str, text: str
) -> None:
    """It had refused the trained model, after all stages, where such a page was among those of the probe."""
    base = Base.of(name, train_tokenizer([PROSE], 320) if name == SENTENCEPIECE else byte_level())
    config = {"max_position_embeddings": 64, "bos_token_id": 0, "eos_token_id": 1}
    for file, data in extend(base, [], config).files.items():
        (tmp_path / file).write_bytes(data)
    check_tokenizer(tmp_path, [text])


def fast_ids(folder: Path, text: str) -> list[int]:
    return list(Tokenizer.from_file(str(folder / FAST)).encode(text, add_special_tokens=False).ids)
