"""A small LLaMA that spells ASCII, as the artifacts of initialize, train and export, and benchmarks in a folder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
from pydantic import Field

from steps.core.config import Runtime, StepConfig
from steps.core.parts import PartWriter
from steps.core.recipe import RecipeSource
from steps.core.step import Input, Outcome, Step, StepContext, run_step
from steps.plan.config import Config as PlanConfig
from steps.plan.objects import list_objects

SHARDS = 2


class Config(StepConfig):
    name: str = Field("small", description="Name of the model.")
    seed: int = Field(0, description="Of its weights.")
    stage: int = Field(0, description="Training stage.")


def tokenizer() -> Any:
    from tokenizers import Tokenizer, decoders, models
    from transformers import PreTrainedTokenizerFast

    characters = ["\n", *map(chr, range(32, 127))]
    vocabulary = {"<unk>": 0, "<eos>": 1} | {c: i + 2 for i, c in enumerate(characters)}
    inner = Tokenizer(models.BPE(vocab=vocabulary, merges=[], unk_token="<unk>"))
    inner.decoder = decoders.Fuse()
    return PreTrainedTokenizerFast(tokenizer_object=inner, eos_token="<eos>", unk_token="<unk>")


def write_model(folder: Path, seed: int) -> None:
    """The model and its tokenizer as a Hugging Face folder with two shards."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(seed)
    spelling = tokenizer()
    shape = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4}
    config = LlamaConfig(
        vocab_size=len(spelling), max_position_embeddings=2048, bos_token_id=None, eos_token_id=1, **shape
    )
    LlamaForCausalLM(config).save_pretrained(folder, max_shard_size="40KB")
    spelling.save_pretrained(folder)


def write(task: dict[str, Any], part: PartWriter) -> None:
    config: Config = part.config
    folder = part.scratch / "model"
    write_model(folder, config.seed)
    exported = task["step"] == "export"
    for path in sorted(folder.iterdir()):
        kind = "tokenizer" if path.name.startswith("tokenizer") else "weights"
        kind = (
            "config" if path.name == "config.json" else "index" if path.name.endswith("index.json") else kind
        )
        if task["step"] == "train" and kind not in ("weights", "config"):
            continue  # as the trainer: no index, no tokenizer
        part.put_file(path.name, path, "model" if exported else kind)


def run(ctx: StepContext) -> None:
    ctx.part("write", write, {"step": ctx.step.name})
    if ctx.step.name == "train":
        ctx.set("stage", ctx.config.stage)
        ctx.set("tokens", 1000 * ctx.config.stage)


class MixConfig(StepConfig):
    decontamination: dict[str, float] = Field(
        {"tokens": 4, "share": 0.5, "common": 100}, description="As mix has it."
    )


def write_found(task: dict[str, Any], part: PartWriter) -> None:
    """As mix writes it: one of the programs was found in a document."""
    part.put_table("found_items.parquet", pa.table({"item": [BODIES["hostile"]]}), "found_items")


def run_mix(ctx: StepContext) -> None:
    ctx.part("found", write_found)


def run_nothing(ctx: StepContext) -> None:
    pass


MIX = Step("mix", 1, MixConfig, run_mix)
PACK = Step("pack", 1, StepConfig, run_nothing, (Input("mix"),))
INITIALIZE = Step("initialize", 1, Config, run)
TRAIN = Step("train", 1, Config, run, (Input("model"), Input("tokens"), Input("previous", optional=True)))
EXPORT = Step("export", 1, Config, run, (Input("train"), Input("model")))


def make_export(root: Path, last_seed: int = 2) -> Outcome:
    """An export after two training stages; ``last_seed`` makes the last one's weights."""

    def made(step: Step, inputs: dict[str, str], **config: Any) -> Outcome:
        return run_step(step, config=config, inputs=inputs, root=f"file://{root}", runtime=Runtime(workers=1))

    tokens = made(PACK, {"mix": made(MIX, {}).ref})
    base = made(INITIALIZE, {}, seed=0)
    given = {"model": base.ref, "tokens": tokens.ref}
    first = made(TRAIN, given, seed=1, stage=1)
    second = made(TRAIN, given | {"previous": first.ref}, seed=last_seed, stage=2)
    return made(EXPORT, {"model": base.ref, "train": second.ref}, seed=last_seed)


SUMS = """
task: sums
dataset_path: json
dataset_kwargs: {data_files: {test: tasks/sums.jsonl}}
test_split: test
output_type: multiple_choice
doc_to_text: "{{question}}\\nAnswer:"
doc_to_choice: "{{choices}}"
doc_to_target: answer
metric_list:
  - {metric: acc, aggregation: mean, higher_is_better: true}
"""
PROGRAMS = """
task: programs
dataset_path: json
dataset_kwargs: {data_files: {test: tasks/programs.jsonl}}
test_split: test
output_type: generate_until
unsafe_code: true
doc_to_text: "{{prompt}}"
doc_to_target: "{{test}}"
generation_kwargs: {until: ["\\n"], max_gen_toks: 4, do_sample: false}
metric_list:
  - {metric: !function code.pass_at_k, aggregation: mean, higher_is_better: true, k: [1]}
filter_list:
  - {name: create_test, filter: [{function: custom, filter_fn: !function code.build_predictions}]}
"""
# as lm_eval/tasks/humaneval/utils.py
CODE = """
import evaluate as hf_evaluate

compute_ = hf_evaluate.load("code_eval")


def pass_at_k(references, predictions, k=None):
    return compute_.compute(references=references, predictions=predictions, k=k)[0]


def build_predictions(resps, docs):
    return [[doc["prompt"] + r for r in resp] for resp, doc in zip(resps, docs)]
"""
UNHELD = """
task: unheld
dataset_path: json
dataset_kwargs: {data_files: {test: tasks/sums.jsonl}}
test_split: test
output_type: generate_until
unsafe_code: true
doc_to_text: "{{question}}"
doc_to_target: "0"
generation_kwargs: {until: ["\\n"], max_gen_toks: 1}
"""
# the model's answer ends up in the comment, so that what a program does is known
BODIES = {
    "right": "def add(a, b):\n    return a + b\n#",
    "wrong": "def add(a, b):\n    return a - b\n#",
    "hostile": "import os\nopen('/tmp/tokenmill-was-here', 'w')\n#",
}
BODIES["right, but tested otherwise"] = BODIES["right"]
TEST = "def check(f):\n    assert f(1, 2) == {}\n\ncheck(add)\n"
MBPP_CARD = """---
configs:
- config_name: full
  data_files:
  - {split: test, path: full/test.jsonl}
---
"""
MMLU_CARD = """---
configs:
- config_name: anatomy
  data_files:
  - {split: test, path: anatomy/test.jsonl}
  - {split: dev, path: anatomy/dev.jsonl}
---
"""


def jsonl(path: Path, rows: list[dict[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def write_benchmarks(folder: Path) -> None:
    """Own tasks, and copies of data sets of the harness' own tasks with a few authored items."""
    sums = [
        {"question": f"{i} + 1 =", "choices": [f"{i + 1}", f"{i + 2}", "no"], "answer": 0} for i in range(9)
    ]
    jsonl(folder / "tasks/sums.jsonl", sums)
    tests = {name: 3 for name in BODIES} | {"right, but tested otherwise": 4}
    programs = [{"prompt": body, "test": TEST.format(tests[name])} for name, body in BODIES.items()]
    jsonl(folder / "tasks/programs.jsonl", programs)
    for name, text in {
        "sums.yaml": SUMS,
        "programs.yaml": PROGRAMS,
        "unheld.yaml": UNHELD,
        "code.py": CODE,
    }.items():
        (folder / "tasks" / name).write_text(text)
    question = {"subject": "anatomy", "choices": ["bone", "skin", "hair", "nail"]}
    for split in ("dev", "test"):
        rows = [question | {"question": f"{split} {i}?", "answer": i % 4} for i in range(5)]
        jsonl(folder / f"cais/mmlu/anatomy/{split}.jsonl", rows)
    (folder / "cais/mmlu/README.md").write_text(MMLU_CARD)
    human = {"task_id": "T/0", "entry_point": "add", "canonical_solution": "    return a + b\n"}
    prompt, check = 'def add(a, b):\n    """Sum."""\n', "def check(f):\n    assert f(1, 2) == 3\n"
    jsonl(folder / "openai/openai_humaneval/test.jsonl", [human | {"prompt": prompt, "test": check}])
    basic = {"task_id": 11, "text": "Add.", "test_list": [f"assert add({i}, 0) == {i}" for i in range(3)]}
    jsonl(folder / "google-research-datasets/mbpp/full/test.jsonl", [basic])
    (folder / "google-research-datasets/mbpp/README.md").write_text(MBPP_CARD)


def plan_benchmarks(root: Path, folder: Path) -> tuple[Outcome, dict[str, str]]:
    """The benchmark source as `plan` fixes it, and its location."""
    source = RecipeSource(name="benchmarks", kind="benchmark", uri=f"{folder.as_uri()}/")
    place, objects = list_objects(source, None)
    config = PlanConfig(dump="benchmarks", sources=[source.settings()], objects=objects)
    planned = run_step("plan", config=config, inputs={}, root=f"file://{root}", runtime=Runtime(workers=1))
    return planned, {"benchmarks": place}
