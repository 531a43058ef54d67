"""The forecast knows what is cached, has a rate for every stage that reads data, and refuses what will not fit."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from steps.core.cli import main
from steps.core.config import config_class
from steps.core.errors import ConfigError
from steps.core.needs import Need, Size
from steps.core.pipeline import PIPELINES, stage
from steps.core.recipe import find_recipe
from steps.core.step import load_step
from steps.deduplicate.config import Config as Deduplicate
from steps.mix.config import Config as Mix
from steps.plan.command import checked_recipe
from steps.plan.forecast import (
    MARGIN,
    Forecast,
    load_rates,
    need_of,
    packed_forecast,
    stage_forecast,
    unfit,
)
from steps.plan.limits import Limits, parse_size
from steps.train.config import Config as Train
from steps.train.needs import planned_windows
from tests.steps.deduplicate.test_deduplicate import related_texts
from tests.steps.documents import make_corpus
from tests.steps.plan.test_plan import recipe

MODEL_BOUND = {"initialize", "curriculum", "train", "export", "benchmark"}
ENDPOINT_BOUND = {"synthesize"}
FIGURES_ONLY = {"search_mixture", "fit_scaling_law", "choose_mixture"}  # read losses, no text
GIB = 1 << 30


def test_every_stage_whose_cost_follows_the_data_has_measured_rates_or_a_prediction_of_its_own() -> None:
    steps = {s.step for stages in PIPELINES.values() for s in stages} - FIGURES_ONLY
    outlook = {name for name in steps if load_step(name).forecast is not None}
    assert outlook == MODEL_BOUND | ENDPOINT_BOUND
    steps -= outlook
    own = {name for name in steps if load_step(name).needs is not None}
    assert own == {"deduplicate"} and steps - own == set(load_rates())
    for step in sorted(steps):
        config = config_class(step).model_construct() if step != "deduplicate" else Deduplicate()
        small, large = (
            need_of(step, config, Size(10 * n, 30_000 * n, 30_000), 2, load_rates()) for n in (1, 10**6)
        )
        assert min(small.memory, small.scratch, small.stored, small.seconds) > 0
        assert large.stored > small.stored and large.seconds > small.seconds
        assert need_of(step, config, Size(10, 10**9, 30_000), 8, load_rates()).memory > small.memory


def test_a_dry_run_prints_every_stage_and_writes_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "own.jsonl").write_text('{"text": "a page"}\n')
    path = tmp_path / "recipe.yaml"
    path.write_text(recipe(f"{tmp_path}/own.jsonl"))
    root = tmp_path / "root"
    assert main(["plan", "--root", f"file://{root}", "--recipe", str(path), "--dry-run"]) == 0
    lines = capsys.readouterr().out.split("\n")
    assert [line.split()[0] for line in lines[2:-1]] == [s.section for s in PIPELINES["data_factory"]]
    assert all("to do" in line for line in lines[2:-1])
    assert not root.exists() or not any(root.rglob("*.json"))


def test_a_run_that_will_not_fit_is_refused_before_any_work_with_every_reason(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "own.jsonl").write_text('{"text": "a page"}\n')
    path = tmp_path / "recipe.yaml"
    path.write_text(recipe(f"{tmp_path}/own.jsonl"))
    arguments = ["plan", "--root", f"file://{tmp_path}/root", "--recipe", str(path)]
    monkeypatch.setenv("TOKENMILL_RUNNER", "docker")
    monkeypatch.setenv("TOKENMILL_WORKERS", "2")
    monkeypatch.setenv("TOKENMILL_STEP_MEMORY_DEDUPLICATE", "64m")
    monkeypatch.setenv("TOKENMILL_STEP_MEMORY_EVALUATE", "100m")
    monkeypatch.setenv("TOKENMILL_STEP_MEMORY", "64g")
    assert main(arguments) == 78
    said = capsys.readouterr().err
    for section in ("deduplicate", "evaluate"):
        name = f"TOKENMILL_STEP_MEMORY_{section.upper()}"
        assert f"{section}: needs about " in said and f"its container ({name}) has" in said
    assert said.count("needs about") == 2
    assert not list((tmp_path / "root").glob("runs/**/run.json"))
    monkeypatch.delenv("TOKENMILL_STEP_MEMORY_DEDUPLICATE")
    monkeypatch.setenv("TOKENMILL_STEP_MEMORY_EVALUATE", "lots")
    assert main(arguments) == 78
    assert "TOKENMILL_STEP_MEMORY_EVALUATE='lots' is not a size" in capsys.readouterr().err
    monkeypatch.delenv("TOKENMILL_STEP_MEMORY_EVALUATE")
    assert main(arguments) == 0


def limits(**changes: Any) -> Limits:
    given = {"workers": 4, "scratch": 10.0 * GIB, "scratch_place": Path("/scratch"), "store": 100.0 * GIB}
    return Limits(**{**given, "root": "file:///root", "docker": True, "cluster": False, **changes})


def forecast_of(size: Size, need: Need) -> Forecast:
    return Forecast(stage("data_factory", "deduplicate"), Deduplicate(), None, size, need)


def test_memory_scratch_and_store_are_refused_by_name_with_what_would_fit(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TOKENMILL_STEP_MEMORY", "4g")
    size = Size(10_000_000, 20 * 10**9, 30_000_000)
    need = need_of("deduplicate", Deduplicate(), size, 4, {})
    problems = list(unfit([forecast_of(size, need)], limits(scratch=1.0 * GIB, store=1.0 * GIB)))
    assert len(problems) == 3
    fewer = int(problems[0].rpartition("TOKENMILL_WORKERS=")[2].split()[0])
    fits = [
        need_of("deduplicate", Deduplicate(), size, fewer + more, {}).memory <= 4 * GIB for more in (0, 1)
    ]
    assert fits == [True, False]
    assert "of scratch space, and /scratch has 1.1 GB free" in problems[1]
    assert problems[2].startswith("the run writes about") and "below file:///root" in problems[2]
    monkeypatch.setenv("TOKENMILL_STEP_MEMORY", "2g")
    (problem,) = unfit([forecast_of(size, need)], limits(store=math.inf, scratch=math.inf))
    smaller = int(problem.rpartition("partition_documents: ")[2].split()[0])
    assert need_of("deduplicate", Deduplicate(partition_documents=smaller), size, 1, {}).memory <= 2 * GIB
    assert need_of("deduplicate", Deduplicate(partition_documents=2 * smaller), size, 1, {}).memory > 2 * GIB
    assert not list(unfit([forecast_of(size, need)], limits(cluster=True, scratch=math.inf, store=math.inf)))


def test_so_many_partitions_that_their_places_do_not_fit_are_refused_with_a_larger_setting(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TOKENMILL_STEP_MEMORY", "4g")
    size, config = Size(1_000_000, 2 * 10**9, 30_000_000), Deduplicate(partition_documents=1_000)
    item = replace(forecast_of(size, need_of("deduplicate", config, size, 4, {})), config=config)
    (problem,) = unfit([item], limits())
    larger = int(problem.rpartition("partition_documents: ")[2].split()[0])
    assert need_of("deduplicate", Deduplicate(partition_documents=larger), size, 1, {}).memory <= 4 * GIB
    assert need_of("deduplicate", Deduplicate(partition_documents=larger // 2), size, 1, {}).memory > 4 * GIB


def test_memory_of_de_duplication_is_bounded_by_the_setting_and_disk_follows_the_keys() -> None:
    five, ten, hundred = (
        need_of("deduplicate", Deduplicate(), Size(n, 2_000 * n, 30_000_000), 2, {})
        for n in (5_000_000, 10_000_000, 100_000_000)
    )
    assert ten.memory < 1.1 * five.memory and hundred.memory < 1.1 * five.memory
    assert 10 * ten.stored < hundred.stored < 16 * ten.stored  # six more ways beyond four partitions
    assert hundred.scratch > 100_000_000 * 200  # the groups, if every document has a candidate
    published = need_of("deduplicate", Deduplicate(), Size(10**7, 2 * 10**10, 3 * 10**7, 9 * 10**7), 2, {})
    assert ten.stored < published.stored < hundred.stored


@pytest.mark.parametrize(("millions", "measured"), [(2, 426e6), (20, 484e6)])
def test_memory_of_de_duplication_is_predicted_as_made_up_keys_needed_it(
    millions: int, measured: float
) -> None:
    """python -m benchmarks.speed.deduplicate_scale"""
    size = Size(millions * 10**6, 0, 0)
    need = need_of("deduplicate", Deduplicate(partition_documents=1_000_000), size, 1, {})
    assert measured < need.memory < 2 * measured


def test_sizes_are_read_as_docker_reads_them() -> None:
    assert [parse_size(text, "x") for text in ("512m", "4g", "4GB", "1.5g", "1024")] == [
        512 << 20,
        4 * GIB,
        4 * GIB,
        1.5 * GIB,
        1024.0,
    ]
    with pytest.raises(ConfigError, match=r"^x='4 apples' is not a size"):
        parse_size("4 apples", "x")


DEDUPLICATE = """
import sys
from steps.core.config import Runtime
from steps.core.step import run_step
run_step("deduplicate", config={}, inputs={"corpus": sys.argv[1]}, root=sys.argv[2], runtime=Runtime(workers=1))
print(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")))
"""


def test_a_real_run_of_de_duplication_needs_less_than_predicted_and_not_much_less(tmp_path: Path) -> None:
    records = related_texts(5, 1500)
    corpus = make_corpus(tmp_path, [records[::2], records[1::2]])
    for name in ("compiled", "root"):  # the first may compile kernels, which takes more memory than they do
        root = tmp_path / name
        command = [sys.executable, "-c", DEDUPLICATE, corpus.ref, f"file://{root}"]
        # not the rusage of the child: its peak counts from the fork, when it was as large as all these tests
        done = subprocess.run(command, cwd=Path(__file__).parents[3], stdout=subprocess.PIPE, check=True)
    peak = 1024 * int(done.stdout)
    written = corpus.counts.total.written
    size = Size(written.documents, written.bytes, written.bytes // 2)
    need = need_of("deduplicate", Deduplicate(), size, 1, {})
    stored = sum(path.stat().st_size for path in root.rglob("*") if path.is_file())
    assert stored < need.stored < 3 * stored
    assert peak < need.memory < 3 * peak


def test_language_models_count_once_however_many_workers_share_them() -> None:
    score = config_class("score").model_construct()
    without, beside = (Size(10**6, 10**9, 10**7, 0, models) for models in (0, 3 * 10**9))
    for workers in (1, 8):
        more = need_of("score", score, beside, workers, load_rates()).memory
        less = need_of("score", score, without, workers, load_rates()).memory
        assert more - less == pytest.approx(MARGIN * 3 * 10**9)


def test_a_plan_refuses_a_training_stage_that_has_too_little_memory_or_a_layout_that_does_not_divide(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    text = find_recipe("demo_training")
    checked_recipe(text, None, [])
    with pytest.raises(ConfigError, match=r"heads 4 is not a multiple of layout\.tensor 3"):
        checked_recipe(text, None, ["train_2.layout={tensor: 3}"])
    monkeypatch.setenv("TOKENMILL_DEVICE_MEMORY_GIB", "0.5")
    with pytest.raises(ConfigError, match=r"a rank needs about .* GiB and has 0\.5 GiB") as refused:
        checked_recipe(text, None, [])
    assert refused.value.exit_code == 78


SMALL = """
name: small
dag: continual_pretraining
description: A small model.
sources: [{name: sets, uri: "%s", kind: supervised, task: qa, fields: {prompt: q, response: a}}]
inputs: {corpora: {web: "file:///nowhere/publish/0@0"}}
steps:
  mix: {supervised: {sets: {stage: 2, tokens: 100000, ungated: "questions made for this test"}}}
  initialize: {%s, characters: 700}
  pack_1: &windows {sequence_length: 256}
  pack_2: *windows
  pack_3: *windows
  train_1: {layout: {data: 2, tensor: 2}, steps: 100, checkpoint_every: 30, batch_windows: 8}
  train_2: {layout: {data: 2, tensor: 2}, batch_windows: 8}
  train_3: {batch_windows: 8, steps: 10, precision: float32}
"""
SCRATCH = "from_scratch: {hidden: 256, layers: 4, heads: 4, ffn: 688, vocabulary: 2000}"


def model_stages(text: str) -> dict[str, Any]:
    configs = checked_recipe(text, None, [])[1]
    sections = ("initialize", "train_1", "train_2", "train_3", "export", "benchmark")
    return {name: stage_forecast(stage("continual_pretraining", name), configs) for name in sections}


def test_stages_whose_cost_follows_the_model_are_predicted_from_its_size() -> None:
    found = model_stages(SMALL % ("x", SCRATCH))
    assert {name for name in MODEL_BOUND if load_step(name).forecast} == MODEL_BOUND
    weights = (
        2 * 2816 * 256 + 4 * (4 * 256 * 256 + 3 * 256 * 688 + 2 * 256) + 256
    )  # 2,700 rows padded to 128's multiple
    probe = 2 * 256 * 2816 * 4  # FP32 logits
    # two checkpoints kept and a third that comes, and the final state: FP32 weights with two moments; BF16 weights
    assert found["train_1"].need.stored == 4 * 12 * weights + 2 * weights + probe
    assert (
        found["train_3"].need.stored == 12 * weights + 4 * weights + probe
    )  # ends before its first checkpoint
    assert found["train_2"].need.scratch - found["train_1"].need.scratch == 12 * weights  # the stage before
    assert found["train_1"].need.memory > 4 * 0.6 * GIB and "GiB per rank" in found["train_1"].said
    assert found["export"].need.stored == 4 * weights and found["initialize"].need.stored == 2 * weights
    assert "rank-hours" in found["train_2"].said  # 100,000 tokens and as many of replay
    assert found["benchmark"].said == "the recipe names no benchmark"
    larger = model_stages(SMALL % ("x", SCRATCH.replace("layers: 4", "layers: 400")))
    for name in ("initialize", "train_1", "train_2", "train_3", "export"):
        small, large = found[name].need, larger[name].need
        assert all(more > less > 0 for more, less in zip(large[:4], small[:4], strict=True)), name


def test_what_every_cell_of_a_search_leaves_in_the_store_is_counted() -> None:
    """Cells of one ratio share their tokens, and a training's last checkpoint but two goes while it runs."""
    text = find_recipe("demo_search")

    def search(section: str, *changes: str) -> Any:
        return stage_forecast(
            stage("mixture_search", section), checked_recipe(text, "mixture_search", list(changes))[1]
        )

    ten, more = search("train_1"), "search_mixture.learning_rates=[0.001, 0.002, 0.004, 0.008]"
    twenty = search("train_1", more)
    assert ten.said.startswith("10 cells, each: ") and twenty.said.startswith("20 cells, each: ")
    each, passing = (twenty.need.stored - ten.need.stored) / 10, ten.need.passing
    assert passing > 0 and ten.need.stored == pytest.approx(10 * each + passing)
    assert twenty.need.seconds == pytest.approx(2 * ten.need.seconds)
    assert (ten.need.memory, ten.need.scratch) == (twenty.need.memory, twenty.need.scratch)
    assert search("train_2") == (None, "no cell of the search trains this stage")

    configs = checked_recipe(text, "mixture_search", [])[1]
    packed = [
        packed_forecast(stage("mixture_search", name), configs, Size(10, 10**9, 10**6), 1, load_rates())
        for name in ("pack_1", "pack_2")
    ]
    assert packed[0].size is not None and packed[0].size.bytes == 4 * 8192
    once = need_of("pack", configs["pack_1"], packed[0].size, 1, load_rates())
    assert once is not None and packed[0].need == once.times(5)
    assert packed[1].need is None and packed[1].outlook == "no cell of the search trains this stage"


def test_the_windows_of_a_stage_follow_amounts_and_budgets_and_are_not_guessed() -> None:
    found = Mix.model_validate(
        {
            "web": {"zh": {"topics": {"law": 0.25, "rest": 0.75}}, "en": {}},
            "supervised": {"sets": {"stage": 2, "ungated": "questions of our own", "bytes": 3200}},
            "budgets": {1: {"tokens": 100_000, "shares": {"zh": 0.4, "en": 0.6}}},
            "stage_2_replay": 0.5,
        }
    )
    windows = [planned_windows(Train(stage=stage, batch_windows=8), found, 100) for stage in (1, 2, 3)]
    assert windows == [1000, 15, 0]  # 3,200 bytes are 1,000 tokens, and 500 of replay
    assert planned_windows(Train(steps=3, batch_windows=8), found, 100) == 24
    every = Mix.model_validate({"web": {"*": {"tokens": 1000}}})  # of each source, however many there are
    assert planned_windows(Train(batch_windows=8), every, 100) == 0


def test_a_base_model_is_read_where_its_place_is_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = SMALL % ("x", f"base: {{name: own, sha256: {'a' * 64}}}")
    monkeypatch.delenv("TOKENMILL_MODELS", raising=False)
    found = model_stages(text)
    assert all(
        found[name].need is None and "size of own" in found[name].said for name in ("train_1", "export")
    )
    shape = {
        "model_type": "llama", "vocab_size": 32000, "hidden_size": 4096, "num_hidden_layers": 32,
        "num_attention_heads": 32, "intermediate_size": 11008, "max_position_embeddings": 4096, "rms_norm_eps": 1e-5,
    }  # fmt: skip
    (tmp_path / "own").mkdir()
    (tmp_path / "own/config.json").write_text(json.dumps(shape))
    (tmp_path / "own/model.safetensors").write_bytes(bytes(1000))
    monkeypatch.setenv("TOKENMILL_MODELS", str(tmp_path))
    weights = 6_738_415_616 + 2 * 768 * 4096  # LLaMA-2 7B, and 700 more rows, padded from 32,700 to 32,768
    assert model_stages(text)["export"].need.stored == 4 * weights


def test_a_model_that_does_not_fit_is_refused_before_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    configs = checked_recipe(SMALL % ("x", SCRATCH), None, [])[1]
    where = stage("continual_pretraining", "train_1")
    item = Forecast(where, configs["train_1"], None, None, *stage_forecast(where, configs))
    monkeypatch.setenv("TOKENMILL_STEP_MEMORY_TRAIN", "1g")
    (problem,) = unfit([item], limits())
    assert problem.startswith("train_1: needs about 3.") and "GB of memory for expected 0." in problem
    assert problem.endswith("give it more (TOKENMILL_STEP_MEMORY_TRAIN, or a larger machine)")
    monkeypatch.setenv("TOKENMILL_STEP_MEMORY_TRAIN", "8g")
    assert not list(unfit([item], limits()))
