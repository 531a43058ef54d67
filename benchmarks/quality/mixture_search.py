"""A search over mixtures on real data, through the real steps: ALMR × learning rate on a small model.

    python -m benchmarks.quality.mixture_search [--root FOLDER] [--share 1.0] [--plot docs/images/mixture_search.svg]

The base is a small LLaMA trained here on English Wikipedia and exported. Every cell of the search gives it the same
Chinese characters and goes on with Chinese and English Wikipedia, with its own share of Chinese (the ratio, ALMR) and
its own peak learning rate. Every loss is that of documents which no cell has seen. Then the laws are fitted, each
cell is predicted by the law of all others, and the chosen mixture is written as a recipe, which is planned.
``--share`` scales all amounts of text. A search that was interrupted goes on where it was.

The data is public text that nobody read for this project, so every set enters as ungated, with that reason.
"""

from __future__ import annotations

from typing import Any

import yaml

from benchmarks.quality.chain import markdown
from benchmarks.quality.study import Study, asked, write_pieces
from steps.choose_mixture.step import chosen_key
from steps.core.digest import json_digest
from steps.core.errors import DataError
from steps.plan.command import plan_run
from steps.report.blocks import Contour
from steps.report.contour import contour
from steps.search_mixture.command import train_cells

LENGTH, BATCH = 256, 8
MODEL = {"hidden": 96, "layers": 3, "heads": 4, "ffn": 256, "vocabulary": 1500, "max_positions": LENGTH}
CHARACTERS = 1000
STYLE = (
    ".line{fill:none;stroke:#1f5fa8;stroke-width:1.2}.grid,.tick{stroke:#ddd}.plain{fill:#333}.label{font-size:10px;"
    "fill:#1f5fa8}.axis{font-size:10px;fill:#555}.name{font-size:13px;font-weight:bold}"
)
REASON = "public data set, taken as published for a study of mixtures"
RATIOS = [0.125, 0.25, 0.4, 0.6, 0.8]
RATES = [5.0e-4, 1.0e-3, 2.0e-3]
BASE_TOKENS, CELL_TOKENS = 786_432, 262_144  # at --share 1
HELD_OUT = 48  # documents of each language
PIECE = 800  # characters of an article that are one document: more documents for the held-out sets
PIECES = 4_000  # documents of each set at most
TRAIN = {
    "precision": "float32",
    "micro_batch": 8,
    "batch_windows": BATCH,
    "warmup_ratio": 0.05,  # 1 % of so few steps would be less than one
    "checkpoint_every": 16,
}


def tokens(study: Study, amount: int) -> int:
    """The study's share of an amount, in whole batches."""
    return int(amount * study.share) // (LENGTH * BATCH) * LENGTH * BATCH


def plan(study: Study, name: str, dag: str, sources: list[str], steps: dict[str, Any]) -> dict[str, Any]:
    """run.json of a recipe over the study's own files."""
    found = [
        {
            "name": source,
            "kind": "supervised",
            "uri": f"{study.root}/raw/{source}.jsonl",
            "language": "zh" if source.endswith("zh") else "en",
            "fields": {"prompt": "title", "response": "text"},
        }
        for source in sources
    ]
    recipe = {"name": name, "dag": dag, "sources": found, "inputs": {"corpora": {}}, "steps": steps}
    return plan_run(yaml.safe_dump(recipe), study.store, f"{name}-{json_digest(recipe)[:12]}").run


def text(amount: int) -> dict[str, Any]:
    """A set of plain text for stage 1."""
    return {"stage": 1, "tokens": amount, "template": "text", "ungated": REASON}


def main() -> None:
    """Run what is not there yet, print the table, draw the plot."""
    study, plot = asked("mixture-search", __doc__)
    write_pieces(study.root / "raw", "base_en", PIECE, PIECES)
    base = make_base(study)
    run = search_run(study, base)
    made = shared_work(study, run)
    trained = {f"cells.{number}": result.ref for number, result in train_cells(run, made, study.store)}
    found = study.run("search_mixture", run["recipe"]["steps"]["search_mixture"], trained)
    fits = {
        law: study.run("fit_scaling_law", {"law": law}, {"measurements": found.ref})
        for law in ("ratio", "ratio_rate")
    }
    print(losses_table(found.facts), "\n")
    print(errors_table({law: fit.facts["fits"] for law, fit in fits.items()}), "\n")
    if plot:
        plot.write_text(draw(found.facts))
    inputs = {"search": found.ref, "fit": fits["ratio_rate"].ref}
    try:
        chosen = study.run("choose_mixture", run["recipe"]["steps"]["choose_mixture"], inputs, run=run)
    except DataError as refusal:
        print(f"no mixture is chosen: {refusal}")
        return
    recipe = study.root / chosen_key(run)
    planned = plan_run(
        recipe.read_text(), study.store, f"of-{run['run_id']}", dag="continual_pretraining"
    ).run
    print(f"chosen: {chosen.facts['cell']['label']}; {recipe} is planned as {planned['run_id']}")


def make_base(study: Study) -> dict[str, str]:
    """Train and export a small LLaMA that knows English only; what `initialize.base` needs to find it."""
    steps = {
        "mix": {"supervised": {"base_en": text(tokens(study, BASE_TOKENS))}, "heldout_documents": HELD_OUT},
        "initialize": {"from_scratch": MODEL, "characters": 0},
        **{f"pack_{stage}": {"sequence_length": LENGTH} for stage in (1, 2, 3)},
        "train_1": {**TRAIN, "learning_rate": 3.0e-3, "final_learning_rate": 3.0e-4, "evaluate_every": 64},
    }
    run = plan(study, "mixture_search_base", "continual_pretraining", ["base_en"], steps)
    ready = run["recipe"]["steps"]
    texts = study.run(
        "ingest", ready["ingest"], {"source": run["inputs"]["source"]}, locations=run["locations"]
    )
    mix = study.run("mix", ready["mix"], {"supervised": texts.ref})
    model = study.run("initialize", ready["initialize"], {"mix": mix.ref})
    packed = study.run("pack", ready["pack_1"], {"mix": mix.ref, "model": model.ref})
    train = study.run("train", ready["train_1"], {"tokens": packed.ref, "model": model.ref})
    return study.publish(train, model, "base")


def search_run(study: Study, base: dict[str, str]) -> dict[str, Any]:
    """run.json of the search."""
    amount = tokens(study, CELL_TOKENS)
    steps = {
        "mix": {
            "web": {},
            "supervised": {"wiki_zh": text(amount // 2), "wiki_en": text(amount - amount // 2)},
            "heldout_documents": HELD_OUT,
        },
        "initialize": {"base": base, "characters": CHARACTERS},
        **{f"pack_{stage}": {"sequence_length": LENGTH} for stage in (1, 2, 3)},
        "train_1": {
            **TRAIN,
            "learning_rate": 1.0e-3,
            "final_learning_rate": 1.0e-4,
            "evaluate_every": max(1, amount // (LENGTH * BATCH) // 4),
        },
        "search_mixture": {
            "additional": ["supervised/wiki_zh"],
            "ratios": RATIOS,
            "learning_rates": RATES,
            "tokens": amount,
        },
        "fit_scaling_law": {"law": "ratio_rate"},
        "choose_mixture": {"additional_sets": ["wiki_zh"]},
    }
    return plan(study, "mixture_search", "mixture_search", ["wiki_zh", "wiki_en"], steps)


def shared_work(study: Study, run: dict[str, Any]) -> dict[str, str]:
    """What all cells share: the texts, and the model with its added characters."""
    ready = run["recipe"]["steps"]
    source = {"source": run["inputs"]["source"]}
    texts = study.run("ingest", ready["ingest"], source, locations=run["locations"])
    mix = study.run("mix", ready["mix"], {"supervised": texts.ref})
    model = study.run("initialize", ready["initialize"], {"mix": mix.ref})
    return {"ingest": texts.ref, "initialize": model.ref}


def losses_table(facts: dict[str, Any]) -> str:
    """Held-out losses at the end, those at the start before them: a row per ratio, columns by language and rate."""
    sets = {"wiki_zh": "Chinese", "wiki_en": "English"}
    rates = sorted({cell["learning_rate"] for cell in facts["cells"]})
    columns = ["ratio", *(f"{name}, {rate:g}" for name in sets.values() for rate in rates)]
    first = facts["cells"][0]
    start = {name: f"{first['losses'][name] - first['rises'][name]:.3f}" for name in sets}
    rows = [["start", *(start[name] for name in sets for _ in rates)]]
    for ratio in sorted({cell["ratio"] for cell in facts["cells"]}):
        cells_of = {c["learning_rate"]: c for c in facts["cells"] if c["ratio"] == ratio}
        rows.append(
            [f"{ratio:g}", *(f"{cells_of[rate]['losses'][name]:.3f}" for name in sets for rate in rates)]
        )
    return markdown(columns, rows)


def errors_table(fits: dict[str, dict[str, Any]]) -> str:
    """How the laws predict cells that they have not seen, one left out at a time."""
    rows = []
    for law, found in fits.items():
        for name, fit in found.items():
            inside = [row["relative_error"] for row in fit["left_out"] if not row["extrapolated"]]
            errors = [f"{sum(inside) / len(inside):.2%}", f"{max(inside):.2%}"]
            rows.append([law, name, str(len(inside)), *errors, f"{fit['r_squared']:.4f}"])
    return markdown(["law", "set", "cells left out", "mean error", "largest error", "R²"], rows)


def draw(facts: dict[str, Any]) -> str:
    """Both languages' losses over ratio and learning rate, side by side, as one SVG that needs no page around it."""
    panels = []
    for number, (name, title) in enumerate((("wiki_zh", "Chinese"), ("wiki_en", "English"))):
        points = [(cell["ratio"], cell["learning_rate"], cell["losses"][name]) for cell in facts["cells"]]
        plot = Contour(f"{title}: held-out loss", points, "share of Chinese", "learning rate", log=True)
        place = f'<svg x="{20 + 430 * number}" y="30" width="400" height="300" class="plot"'
        panels.append(f'<text class="name" x="{20 + 430 * number}" y="18">{plot.title}</text>')
        panels.append(str(contour(plot)).replace('<svg class="plot"', place, 1))
    body = "\n".join(panels)
    return f"""<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 860 340" font-family="sans-serif">
<style>{STYLE}</style>
<rect width="860" height="340" fill="#fff"/>
{body}
</svg>
"""


if __name__ == "__main__":
    main()
