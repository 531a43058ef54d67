"""quality_score beside bare perplexity: how well each ranks good text above bad, on sources no curve was fitted to.

    python -m benchmarks.quality.quality_score [--write]

--write fits the curves to the training sources (`quality_sets`) and writes configs/quality/default.yaml; without it
the committed curves are measured. Language models are trained on the shared wiki articles, every 20th of which is
held out and serves as good text. About 5 minutes the first time, then the models are taken from --root.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import yaml
from scipy.optimize import minimize

from benchmarks.quality import quality_sets
from benchmarks.quality.chain import Records, documents, ingest, markdown, read_jsonl, shared
from steps.core.step import Outcome, run_step
from steps.language_model.reference import hold_out_every
from steps.score.quality import FEATURES, measure, quality_scores
from steps.text.kenlm_score import Scorer

ROOT = Path(__file__).resolve().parents[2]
WEIGHTS = ROOT / "configs" / "quality" / "default.yaml"
HEAD = """# What each feature adds to a document's quality: a curve, straight between its points and level beyond.
# Features: steps/score/quality.py and steps/score/features.py. Sum and intercept go through the logistic function.
# Written by `python -m benchmarks.quality.quality_score --write`, which also says what is good and what is bad text
# (benchmarks/quality/quality_sets.py); docs/scoring.md has the result on other sources.
"""
KNOTS = (0.02, 0.26, 0.5, 0.74, 0.98)  # quantiles of the training texts at which a curve may bend
RIDGE = 5e-4  # penalty on the squared steps of the curves, beside a log loss of at most log 2
OPTIONS = {"maxiter": 2000, "ftol": 1e-10}
RISE = ("function_word_share",)  # more of it is never worse, whatever the texts at hand say
FALL = ("bad_lines", "bullet_line_share", "repeated_line_share", "repeated_gram_share")
DECIMALS = 3
ARTICLES = 4_000  # that a language model is trained on


def main() -> None:
    """Fit if asked to, then print the table of both languages."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--write", action="store_true", help="fit the curves and write configs/quality/default.yaml"
    )
    parser.add_argument(
        "--root", type=Path, default=ROOT / ".tokenmill" / "quality", help="artifacts of this benchmark"
    )
    arguments = parser.parse_args()
    models = {language: language_model(arguments.root, language) for language in quality_sets.LANGUAGES}
    texts = quality_sets.texts({language: held_out for language, (_, held_out) in models.items()})
    weights: dict[str, Any] = {} if arguments.write else yaml.safe_load(WEIGHTS.read_text(encoding="utf-8"))
    rows = []
    for language, (model, _) in models.items():
        mine = [text for text in texts if text.language == language]
        values, perplexity = measured(model, [text.text for text in mine], language, arguments.root)
        if arguments.write:
            weights[language] = fit(values, mine)
        rows += table(language, mine, quality_scores(values, weights[language]), -perplexity)
    if arguments.write:
        WEIGHTS.parent.mkdir(exist_ok=True)
        body = yaml.safe_dump(weights, sort_keys=False, default_flow_style=None, width=110)
        WEIGHTS.write_text(HEAD + body, encoding="utf-8")
    header = ("language", "held-out bad texts", "texts", "AUC quality_score", "AUC perplexity")
    print(markdown(header, rows))


def language_model(root: Path, language: str) -> tuple[Outcome, list[str]]:
    """The model of the shared wiki articles, and the articles that it did not see."""
    rows = [{"text": row["text"]} for row in read_jsonl(shared(f"wiki_{language}/train.jsonl.gz"))]
    corpus = ingest(root, {f"wiki_{language}": Records("reference", rows, {"text": "text"})})
    prepared = run_step("preprocess", config={}, inputs={"corpus": corpus.ref}, root=f"file://{root}")
    config = {
        "language": language,
        "vocabulary": 16_000,
        "max_piece_lines": 50_000,
        "max_documents": ARTICLES,
    }
    model = run_step("language_model", config=config, inputs={"corpus": prepared.ref}, root=f"file://{root}")
    kept = [
        row["text"]
        for row in documents(prepared.artifact, ("language", "text"))
        if row["language"] == language
    ]
    kept = kept[:ARTICLES]
    every = hold_out_every(len(kept))
    return model, kept[every - 1 :: every]


def open_scorer(model: Outcome, root: Path) -> Scorer:
    """The scorer behind a language_model artifact."""
    artifact = model.artifact
    pieces, grams = (artifact.fetch(artifact.file(name), root / "models") for name in ("sp.model", "lm.bin"))
    return Scorer(pieces, grams, artifact.facts["normalisation"])


def measured(model: Outcome, texts: list[str], language: str, root: Path) -> tuple[np.ndarray, np.ndarray]:
    """(float64[n, FEATURES], perplexity float64[n])."""
    scorer, reference = open_scorer(model, root), model.artifact.facts["reference"]
    found = []
    for at in range(0, len(texts), 500):
        batch = pa.array(texts[at : at + 500], pa.large_string())
        scores = scorer.score(batch)
        values = measure(batch, language, scores, reference)
        found.append(np.column_stack([values, scores.perplexity]))
    whole = np.concatenate(found)
    return whole[:, :-1], whole[:, -1]


def fit(values: np.ndarray, texts: list[quality_sets.Text]) -> dict[str, Any]:
    """Curves by penalised logistic regression on the training texts.

    Good and bad weigh the same, and so does every source among them, however many texts it has.
    """
    train = np.array([text.train for text in texts]) & ~np.isnan(values[:, 0])
    values, texts = values[train], [text for text, is_train in zip(texts, train, strict=True) if is_train]
    good = np.array([text.good for text in texts], dtype=np.float64)
    weight = source_weights(texts)
    knots = [knots_of(column) for column in values.T]
    design = np.concatenate([steps(column, at) for column, at in zip(values.T, knots, strict=True)], axis=1)
    names = [name for name, at in zip(FEATURES, knots, strict=True) for _ in at[1:]]
    bounds = [(0 if name in RISE else None, 0 if name in FALL else None) for name in names]

    def loss(solution: np.ndarray) -> tuple[float, np.ndarray]:
        total = design @ solution[:-1] + solution[-1]
        off = weight * (1 / (1 + np.exp(-total)) - good)
        value = weight @ (np.logaddexp(0, total) - good * total) + RIDGE * solution[:-1] @ solution[:-1]
        return value, np.append(design.T @ off + 2 * RIDGE * solution[:-1], off.sum())

    start = np.zeros(design.shape[1] + 1)
    found = minimize(
        loss, start, jac=True, method="L-BFGS-B", bounds=[*bounds, (None, None)], options=OPTIONS
    )
    return curves(found.x, knots, design[good > 0], weight[good > 0])


def source_weights(texts: list[quality_sets.Text]) -> np.ndarray:
    """float64[n] that sum to 1/2 over good and over bad texts, and to the same over each of their sources.

    Spoilt text of all kinds is one source: it is easier to tell than what crawls really bring.
    """
    keys = [(text.good, text.name.partition(":")[0]) for text in texts]
    sources = {side: len({key for key in keys if key[0] == side}) for side in (True, False)}
    return np.array([0.5 / sources[key[0]] / keys.count(key) for key in keys])


def knots_of(column: np.ndarray) -> np.ndarray:
    """Where the curve of a feature may bend, ascending; at least two values."""
    at = np.unique(np.round(np.nanquantile(column, KNOTS), DECIMALS))
    return at if len(at) > 1 else np.array([at[0], at[0] + 0.05])


def steps(column: np.ndarray, at: np.ndarray) -> np.ndarray:
    """float64[n, knots - 1]: how much of each step from one knot to the next a value has gone; zeros for NaN."""
    gone = (column[:, None] - at[:-1]) / np.diff(at)
    return np.nan_to_num(np.clip(gone, 0.0, 1.0), nan=0.0)


def curves(
    solution: np.ndarray, knots: list[np.ndarray], design: np.ndarray, weight: np.ndarray
) -> dict[str, Any]:
    """As configs/quality has them: each curve adds nothing on average to a good text, so that a feature that is
    missing changes nothing.
    """
    intercept, found, first = float(solution[-1]), {}, 0
    for name, at in zip(FEATURES, knots, strict=True):
        part = slice(first, first + len(at) - 1)
        middle = float(np.average(design[:, part] @ solution[part], weights=weight))
        intercept += middle
        add = np.round(np.append(0.0, np.cumsum(solution[part])) - middle, DECIMALS)
        found[name] = {"at": [round(x, DECIMALS) for x in at.tolist()], "add": add.tolist()}
        first += len(at) - 1
    return {"intercept": round(intercept, DECIMALS), "curves": found}


def auc(good: np.ndarray, bad: np.ndarray) -> float:
    """Chance that a good text ranks above a bad one; ties count half."""
    from scipy.stats import rankdata

    ranks = rankdata(np.concatenate([good, bad]))[: len(good)]
    return float((ranks.sum() - len(good) * (len(good) + 1) / 2) / (len(good) * len(bad)))


def table(
    language: str, texts: list[quality_sets.Text], score: np.ndarray, perplexity: np.ndarray
) -> list[tuple[str, str, int, str, str]]:
    """One row per kind of bad text, against all good held-out texts; a text without a score ranks last."""
    held_out = np.array([not text.train for text in texts])
    good = np.array([text.good for text in texts])
    names = np.array([text.name for text in texts])
    kinds = {"all": held_out & ~good, "page rests": held_out & ~good & np.char.endswith(names, "page rest")}
    kinds |= {name: held_out & ~good & (names == name) for name in sorted({*names[held_out & ~good]})}
    both = [np.nan_to_num(ranking, nan=-np.inf) for ranking in (score, perplexity)]
    rows = []
    for kind, bad in kinds.items():
        figures = [f"{auc(ranking[held_out & good], ranking[bad]):.3f}" for ranking in both]
        rows.append((language, kind, int(bad.sum()), *figures))
    return rows  # type: ignore[return-value]


if __name__ == "__main__":
    main()
