"""The recipe demo_synthesize from passages to published pairs, on the demo's corpus and a server that is asked."""

from __future__ import annotations

import json
import random
import shutil
from itertools import pairwise
from pathlib import Path
from typing import Any

import sentencepiece

from steps.core.artifact import Artifact
from steps.core.corpus import Corpus
from steps.core.pipeline import PIPELINES
from steps.core.step import run_step
from tests.steps.pack.test_pack import windows_of
from tests.steps.synthesize.endpoint import KEY, Reply, completion, serving
from tests.steps.training import SCRATCH, make_model, make_pack
from tests.system.mill import Mill, Turned

THINGS = [
    "a glacier",
    "the old bridge",
    "a copper wire",
    "the wool merchant",
    "a colony of bees",
    "the steam engine",
    "a garden wall",
    "the glass lens",
    "a young engineer",
    "the paper mill",
    "a lighthouse",
    "the clock tower",
    "a field of barley",
    "the salt mine",
]
DOES = [
    "is heated by",
    "loses weight because of",
    "moves towards",
    "is measured with",
    "depends on",
    "gains value from",
    "stands in balance with",
    "is slowed down by",
    "was repaired after",
    "supplies energy to",
]


def write(request: dict[str, Any], _: int) -> Reply:
    """A pair as the prompt's discipline wants it, another one for every prompt."""
    prompt = request["messages"][0]["content"]
    draw = random.Random(prompt)
    things, does = draw.sample(THINGS, 14), draw.sample(DOES, 7)
    said = [f"{things[2 * n]} {does[n]} {things[2 * n + 1]}" for n in range(7)]
    n, m = draw.randrange(100, 1000), draw.randrange(2, 50)
    problem = f"Suppose that {said[0]}, while {said[1]}. Explain to a student why {said[2]} in year {n}."
    problem += " Ask ann.smith@example.com." if n % 2 else ""
    solution = f"First, we see that {said[3]}. From this it follows that {said[4]}, and so {said[5]}; then {said[6]}."
    check = ""
    if "<check>" in prompt:
        solution += f" The product is \\boxed{{{n * m}}}."
        check = f"<check>{n}*{m}</check>"
    elif "<tests>" in prompt:
        solution += f"\n```python\ndef scale(x):\n    return {m} * x\n```\n"
        check = f"<tests>assert scale({n}) == {n * m}</tests>"
    return completion(f"<problem>{problem}</problem>\n<solution>{solution}</solution>\n{check}")


def documents(ref: str) -> list[dict[str, Any]]:
    return [row for shard in Corpus.open(Artifact.open(ref)).shards for row in shard.read().to_pylist()]


def test_pairs_are_judged_and_published_like_a_dump(factory: Turned, tmp_path: Path) -> None:
    mill = Mill(tmp_path, factory.mill.inbox, environment=factory.mill.environment)
    shutil.copytree(factory.mill.folder, mill.folder)
    with serving(write) as server:
        done = mill.here(
            "run", "demo_synthesize", "--set=synthesize.model=small", "--set=synthesize.requests=45",
            OPENAI_BASE_URL=server.url, OPENAI_API_KEY=KEY,
        )  # fmt: skip
    assert done.code == 0, done.output[-4000:]
    assert list(done.refs) == [stage.section for stage in PIPELINES["synthesize"]]
    assert len(server.asked) == len(documents(done.refs["synthesize"])) == 45
    rows = documents(done.refs["publish"])
    assert len(rows) > 20 and {row["source"] for row in rows} == {"synthetic"}
    kinds = {json.loads(row["metadata"])["kind"] for row in rows}
    assert kinds == {"supervised", "math", "code"}, "of those whose answers are checked, too"
    assert all(row["text"] == f"{row['prompt']}\n{row['response']}" and row["task"] for row in rows)
    asked = [row["prompt"] for row in rows if "Ask" in row["prompt"]]
    assert asked and all(prompt.endswith("Ask <EMAIL>.") for prompt in asked), "masked where it is trained on"
    passages = {row["doc_id"] for row in documents(factory.refs["data_factory"]["publish"])}
    assert {json.loads(row["metadata"])["synthetic"]["passage"]["doc_id"] for row in rows} <= passages
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and KEY.encode() in path.read_bytes()]
    web = factory.refs["data_factory"]["publish"].replace(factory.mill.root, mill.root)
    stage_2_has_prompts_and_responses(mill, {"corpora.web": web, "corpora.pairs": done.refs["publish"]}, rows)


def stage_2_has_prompts_and_responses(
    mill: Mill, corpora: dict[str, str], rows: list[dict[str, Any]]
) -> None:
    """The pairs go into the windows of a recipe that has no reason `ungated` for them: their verdict is verified."""
    mix = run_step(
        "mix",
        config={
            "accept_readers": ["automatic"],
            "supervised": {"synthetic": {"stage": 2, "template": "problem_solution"}},
        },
        inputs=corpora,
        root=mill.root,
    )
    model = make_model(mill.folder, mix, from_scratch={**SCRATCH, "vocabulary": 1000, "max_positions": 1024})
    tokens = make_pack(mill.folder, mix, model, stage=2, sequence_length=1024).artifact
    processor = sentencepiece.SentencePieceProcessor(
        model_proto=model.artifact.read_bytes(model.artifact.file("tokenizer.model"))
    )
    written = {
        tuple(processor.encode(f"Problem: {row['prompt']} Solution: {row['response']}")) for row in rows
    }
    windows = [window for window in windows_of(tokens, "train") if window["task"]]  # the others are replayed
    trained = {
        tuple(window["tokens"][start : end - 1])  # without <eos>
        for window in windows
        for start, end in pairwise([0, *window["ends"]])
    }
    assert len(trained) > 10 and trained <= written
    assert {window["task"] for window in windows} <= {row["task"] for row in rows}
