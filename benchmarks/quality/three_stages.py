"""Three stages of continual pre-training on real data, through the real steps: what each stage gains, what it costs.

    python -m benchmarks.quality.three_stages [--root FOLDER] [--share 1.0] [--plot docs/images/three_stages.svg]

The base is a small LLaMA trained here on English Wikipedia and exported. It gets Chinese characters and goes on with
Chinese and English Wikipedia (stage 1), instructions in both languages (stage 2) and mathematics (stage 3), with the
paper's replay (Ziya2 §3.2). Stage 3 is also run without replay, from the same weights, to show what replay is worth.
Every loss is that of documents which no stage has seen. ``--share`` scales all amounts of text. A run that was
interrupted goes on where it was. The plot is drawn by `benchmarks.quality.three_stages_plot`.

The data is public text that nobody read for this project, so every set enters as ungated, with that reason.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from typing import Any

from benchmarks.quality.chain import markdown, shared
from benchmarks.quality.study import Study, asked, write_pieces
from benchmarks.quality.three_stages_plot import Curve, Panel, draw
from steps.core.artifact import Artifact
from steps.core.recipe import RecipeSource
from steps.core.step import Outcome
from steps.plan.objects import list_objects

STUDY = "three-stages"
PIECE = 2000  # characters of an article that are one document: more documents for the held-out sets
BATCH = 16
LENGTH = 512
MODEL = {"hidden": 256, "layers": 7, "heads": 8, "ffn": 688, "vocabulary": 4000, "max_positions": LENGTH}
CHARACTERS = 3500
REASON = "public data set, taken as published for a study of the trainer"
# bytes of text at --share 1
BASE_BYTES = 5_000_000
SETS: dict[str, dict[str, Any]] = {
    "wiki_zh": {"stage": 1, "bytes": 3_200_000, "template": "text"},
    "wiki_en": {"stage": 1, "bytes": 1_600_000, "template": "text"},
    "alpaca_zh": {"stage": 2, "bytes": 500_000},
    "alpaca_en": {"stage": 2, "bytes": 500_000},
    "gsm8k": {"stage": 3, "bytes": 500_000},
    "math_train": {"stage": 3, "bytes": 250_000, "template": "problem_solution"},
}
NAMES = {"wiki_zh": "Chinese", "wiki_en": "English", "instruct": "instructions", "math": "mathematics"}
RATES = {1: (1.0e-3, 1.0e-4), 2: (4.0e-4, 4.0e-5), 3: (4.0e-4, 4.0e-5)}
EVALUATIONS = 4  # per stage, besides the one before it


def main() -> None:
    """Run what is not there yet, print the table, draw the plot."""
    study, plot = asked(STUDY, __doc__)
    texts = ingest(study)
    base = study.publish(*train_base(study, texts), "base")
    stages, model = train_stages(study, texts, base)
    second = study.publish(stages[1], model, "stage-2")
    bare = train_bare(study, texts, second)
    records = [losses(stage.artifact) for stage in stages]
    print(table(records, losses(bare.artifact), [stage.artifact.facts["tokens"] for stage in stages]))
    if plot:
        plot.write_text(draw(panels(records, losses(bare.artifact))))


def ingest(study: Study, wanted: Collection[str] = ()) -> Outcome:
    """All data sets (or those wanted) as one corpus of supervised records; a title is the prompt of its article."""
    wiki = {"prompt": "title", "response": "text"}
    alpaca = {"prompt": "instruction+input", "response": "output"}
    gsm8k, math = {"prompt": "question", "response": "answer"}, {"prompt": "problem", "response": "solution"}
    raw, folder = write_pieces(study.root / "raw", "wiki_en_base", PIECE), shared("sft_alpaca")
    settings: list[tuple[str, str, str, str, dict[str, str]]] = [
        ("wiki_en_base", f"{raw}/wiki_en_base.jsonl", "en", "", wiki),
        ("wiki_en", f"{raw}/wiki_en.jsonl", "en", "", wiki),
        ("wiki_zh", f"{raw}/wiki_zh.jsonl", "zh", "", wiki),
        ("alpaca_zh", f"{folder}/alpaca_zh_demo.json.gz", "zh", "instruct", alpaca),
        ("alpaca_en", f"{folder}/alpaca_en_demo.json.gz", "en", "instruct", alpaca),
        ("gsm8k", f"{shared('sft_gsm8k')}/train.jsonl.gz", "en", "math", gsm8k),
        ("math_train", f"{shared('math_train')}/*.jsonl.gz", "en", "math", math),
    ]
    sources = [
        RecipeSource(name=name, kind="supervised", uri=uri, language=language, task=task, fields=fields)
        for name, uri, language, task, fields in settings
        if not wanted or name in wanted
    ]
    listed = [list_objects(source, None) for source in sources]
    locations = {source.name: place for source, (place, _) in zip(sources, listed, strict=True)}
    config = {
        "dump": "three_stages",
        "sources": [source.settings() for source in sources],
        "objects": [item for _, objects in listed for item in objects],
    }
    plan = study.run("plan", config, {}, locations=locations)
    return study.run("ingest", {}, {"source": plan.ref}, locations=locations)


def mix_of(study: Study, texts: Outcome, sets: Mapping[str, Mapping[str, Any]], **changes: Any) -> Outcome:
    """A mix of ungated sets, `share` of the bytes of each."""
    scaled = {
        name: {**found, "bytes": int(found["bytes"] * study.share), "ungated": REASON}
        for name, found in sets.items()
    }
    config = {"supervised": scaled, "heldout_documents": 40, **changes}
    return study.run("mix", config, {"supervised": texts.ref})


def train_stage(
    study: Study, mix: Outcome, model: Outcome, stage: int, previous: Outcome | None = None
) -> Outcome:
    """Pack and train one stage."""
    inputs = {"mix": mix.ref, "model": model.ref}
    tokens = study.run("pack", {"stage": stage, "sequence_length": LENGTH}, inputs)
    steps = -(-tokens.artifact.facts["windows"] // BATCH)
    peak, final = RATES[stage]
    config = {
        "stage": stage,
        "layout": {"data": 2},
        "precision": "float32",
        "micro_batch": 4,
        "batch_windows": BATCH,
        "learning_rate": peak,
        "final_learning_rate": final,
        "warmup_ratio": 0.05,  # 1 % of so few steps would be one or two
        "evaluate_every": max(1, -(-steps // EVALUATIONS)),
        "checkpoint_every": 50,
    }
    inputs = {"tokens": tokens.ref, "model": model.ref} | ({"previous": previous.ref} if previous else {})
    return study.run("train", config, inputs)


def train_base(study: Study, texts: Outcome) -> tuple[Outcome, Outcome]:
    """(training, model) of a small LLaMA that knows English only."""
    sets = {"wiki_en_base": {"stage": 1, "bytes": BASE_BYTES, "template": "text"}}
    mix = mix_of(study, texts, sets)
    model = study.run("initialize", {"from_scratch": MODEL, "characters": 0}, {"mix": mix.ref})
    return train_stage(study, mix, model, 1), model


def train_stages(
    study: Study, texts: Outcome, base: Mapping[str, str]
) -> tuple[tuple[Outcome, Outcome, Outcome], Outcome]:
    """The three stages from the base, with replay, and the model that they start from."""
    mix = mix_of(study, texts, SETS)
    model = study.run("initialize", {"base": base, "characters": CHARACTERS}, {"mix": mix.ref})
    first = train_stage(study, mix, model, 1)
    second = train_stage(study, mix, model, 2, first)
    return (first, second, train_stage(study, mix, model, 3, second)), model


def train_bare(study: Study, texts: Outcome, second: Mapping[str, str]) -> Outcome:
    """Stage 3 without replay, from the weights that stage 2 ended with."""
    mix = mix_of(study, texts, SETS, stage_3_replay_1=0, stage_3_replay_2=0)
    model = study.run("initialize", {"base": second, "characters": 0}, {"mix": mix.ref})
    return train_stage(study, mix, model, 3)


def losses(train: Artifact) -> dict[str, list[tuple[int, float]]]:
    """(tokens trained on in this stage, held-out loss) by held-out set, from before the first step to the last."""
    (entry,) = train.files("record")
    record = json.loads(train.read_bytes(entry))
    found: dict[str, list[tuple[int, float]]] = {}
    for line in record["heldout"]:
        # a step that was skipped as a spike has no line
        seen = sum(step["tokens"] for step in record["train"] if step["step"] <= line["step"])
        found.setdefault(line["set"], []).append((seen, line["loss"]))
    return found


def table(
    records: list[dict[str, list[tuple[int, float]]]],
    bare: dict[str, list[tuple[int, float]]],
    tokens: list[int],
) -> str:
    """Held-out losses before and after each stage, and English against the base."""
    base = records[0]["wiki_en"][0][1]
    rows = [["base", "", *(f"{records[0][name][0][1]:.3f}" for name in NAMES), "0.0 %"]]
    named = [(f"stage {n}", record, tokens[n - 1]) for n, record in enumerate(records, 1)]
    named.append(("stage 3 without replay", bare, bare["math"][-1][0]))
    for name, record, size in named:
        change = record["wiki_en"][-1][1] / base - 1
        rows.append(
            [name, f"{size:,}", *(f"{record[n][-1][1]:.3f}" for n in NAMES), f"{100 * change:+.1f} %"]
        )
    return markdown(["after", "tokens", *NAMES.values(), "English against the base"], rows)


def panels(
    records: list[dict[str, list[tuple[int, float]]]], bare: dict[str, list[tuple[int, float]]]
) -> list[Panel]:
    """One panel per held-out set: the three stages one after the other, and stage 3 without replay."""
    found = []
    for name, title in NAMES.items():
        curves, start, ends = [], 0, []
        for number, record in enumerate(records, 1):
            curves.append(Curve(f"stage {number}", [(start + at, loss) for at, loss in record[name]]))
            last = start
            start += record[name][-1][0]
            ends.append(start)
        curves.append(Curve("stage 3 without replay", [(last + at, loss) for at, loss in bare[name]]))
        found.append(Panel(f"{title}: held-out loss", curves, ends[:-1]))
    return found


if __name__ == "__main__":
    main()
