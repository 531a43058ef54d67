"""Trains the extractor's model on pages with human ground truth; scores pages by models that never saw their site.

    python -m benchmarks.quality.extraction_training        writes steps/ingest/extract/model.json

A block's label is whether most of its words are in the page's main text, by an alignment of both texts' words;
where people marked snippets, the blocks that hold one are labelled by it. Weights make each page count alike and a
snippet as much as a seventh of a page, which is what token F1 and the snippet counts ask for.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier

from benchmarks.quality.extraction_pages import TOKEN, TruthPage, judge, load_pages, site, without_space
from steps.ingest.extract.assemble import assemble, choose
from steps.ingest.extract.columns import B_END, B_HEADING, B_ITEM, B_LINKED, B_PRE, B_START
from steps.ingest.extract.features import CONTEXT, FEATURES
from steps.ingest.extract.model import MODEL
from steps.ingest.extract.page import Blocks, add_context, take_apart
from steps.text.jit import njit

FOLDS = 5
THRESHOLDS = (0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5)  # that are shown
COLUMNS = FEATURES + CONTEXT
THRESHOLD = 0.35  # of the score: where F1 and both snippet counts are above both peers' on the folds (own measurement)
SNIPPET_WEIGHT = 0.15  # of a page
BLOCK_WEIGHT = 0.002  # of a page: short blocks would else weigh nothing
MIN_TRUTH_TOKENS = 50  # a page with a shorter main text does not count more than one of this length
MAX_ALIGNMENT = 1_200_000_000  # cells; a larger page is left out
GAP_COST = 0.7  # of starting a run of matching words: "the" alone is no reason to align
SETTINGS: dict[str, Any] = {
    "max_iter": 120,
    "learning_rate": 0.08,
    "max_leaf_nodes": 20,
    "min_samples_leaf": 30,
    "l2_regularization": 5.0,
    "max_bins": 64,
    "early_stopping": False,
    "random_state": 0,
}


LAYOUTS = (
    "<title>{title}</title><div>{top}</div>{main}<div>{bottom}</div>",
    "<title>{title}</title><header><nav>{top}</nav></header><main>{main}</main><footer>{bottom}</footer>",
    '<title>{title}</title><div class="header">{top}</div><div class="content">{main}</div>'
    '<div class="footer">{bottom}</div>',
    "<title>{title}</title>{main}",
    "<title>{title}</title><nav>{top}</nav><article>{main}</article><aside>{bottom}</aside>",
    '<title>{title}</title><div id="main">{main}</div><div id="sidebar">{top}</div><div id="footer">{bottom}</div>',
)


class Example(NamedTuple):
    """A page's blocks with their labels: 1 main text, 0 not; a block of weight 0 is not used."""

    page: TruthPage
    blocks: Blocks
    labels: np.ndarray  # float64[blocks]
    weights: np.ndarray  # float64[blocks]


def examples_of(pages: Sequence[TruthPage], max_depth: int = 2000) -> list[Example]:
    """Label the blocks of every page."""
    return [_example(page, take_apart(page.html, max_depth)) for page in pages]


def plain_pages(examples: Sequence[Example]) -> list[Example]:
    """Small pages in plain markup made of the blocks of every second page, a fold with it: the ground truth has none.

    Their ``page.html`` is empty, so that they are told apart; without them a page of three paragraphs, or one without
    a class name, looks like nothing that the trees know.
    """
    made = []
    for number, example in enumerate(examples):
        if not example.page.main or number % 2:
            continue
        kept = _marked_up(example, 1.0, number)
        other = _marked_up(example, 0.0, number)
        if not kept:
            continue
        html = LAYOUTS[number // 2 % len(LAYOUTS)].format(
            title=_escape(example.blocks.title),
            main="\n".join(kept),
            top=" ".join(other[: len(other) // 2]),
            bottom=" ".join(other[len(other) // 2 :]),
        )
        main = take_apart("\n".join(kept), 2000)
        text = main.text.tobytes().decode("utf-8", "replace")
        page = example.page._replace(html=html, main=text, must=[], must_not=[])
        made.append(_example(page, take_apart(html, 2000))._replace(page=page._replace(html="")))
    return made


def _marked_up(example: Example, label: float, number: int) -> list[str]:
    """Some neighbouring blocks with that label, three to ten, in the simplest markup of their kind."""
    rows = np.flatnonzero((example.labels == label) & (example.weights > 0))
    count = 3 + number % 8
    start = number % max(len(rows) - count, 1) if label else 0
    rows = rows[start : start + count] if label else np.concatenate([rows[: count // 2], rows[-count // 2 :]])
    markup = []
    for block in example.blocks.blocks[np.unique(rows)]:
        text = _escape(
            example.blocks.text[block[B_START] : block[B_END]].tobytes().decode("utf-8", "replace")
        )
        tag = f"h{block[B_HEADING]}" if block[B_HEADING] else "pre" if block[B_PRE] else "p"
        if block[B_ITEM] >= 0:
            markup.append(f"<ul><li>{text}</li></ul>")
        elif block[B_LINKED] * 2 > block[B_END] - block[B_START]:
            markup.append(f'<{tag}><a href="/">{text}</a></{tag}>')
        else:
            markup.append(f"<{tag}>{text}</{tag}>")
    return markup


def _escape(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;")


def _example(page: TruthPage, blocks: Blocks) -> Example:
    bounds = blocks.blocks[:, [B_START, B_END]]
    texts = [blocks.text[start:end].tobytes().decode("utf-8", "replace") for start, end in bounds]
    tokens = [TOKEN.findall(text.lower()) for text in texts]
    bare = [without_space(text) for text in texts]
    lengths = np.array([len(found) for found in tokens], dtype=np.float64)
    labels = np.zeros(len(texts))
    weights = np.zeros(len(texts))
    wanted = TOKEN.findall(page.main.lower())
    if wanted and 0 < lengths.sum() * len(wanted) <= MAX_ALIGNMENT:
        labels = (_covered(tokens, wanted) >= 0.5 * np.maximum(lengths, 1)).astype(np.float64)
        weights = np.where(lengths > 0, lengths / max(len(wanted), MIN_TRUTH_TOKENS) + BLOCK_WEIGHT, 0.0)
        main = without_space(page.main)
        for index, text in enumerate(bare):  # it is main text, but the alignment took another copy of it
            if labels[index] == 0 and lengths[index] >= 8 and text in main:
                weights[index] *= 0.1
    for snippets, label, share in ((page.must, 1.0, 0.5), (page.must_not, 0.0, 0.7)):
        for snippet in map(without_space, snippets):
            for index, text in enumerate(bare):
                holds = snippet in text or (len(text) >= share * len(snippet) and text in snippet)
                if holds and (not page.main or labels[index] == label):
                    labels[index] = label
                    weights[index] += SNIPPET_WEIGHT
    return Example(page, blocks, labels, weights)


def _covered(tokens: list[list[str]], wanted: list[str]) -> np.ndarray:
    """How many words of each block the main text has, in the order of both."""
    numbers: dict[str, int] = {}
    ours = [numbers.setdefault(token, len(numbers)) for found in tokens for token in found]
    theirs = [numbers.setdefault(token, len(numbers)) for token in wanted]
    owners = np.repeat(np.arange(len(tokens)), [len(found) for found in tokens])
    hits = align(np.array(ours, dtype=np.int64), np.array(theirs, dtype=np.int64), GAP_COST)
    return np.bincount(owners, weights=hits, minlength=len(tokens))


@njit
def align(ours, theirs, gap_cost):
    """bool[ours]: the words on a best common subsequence, where each run of neighbours costs ``gap_cost``."""
    rows, columns = len(ours), len(theirs)
    moves = np.zeros(
        (rows + 1, columns + 1), dtype=np.uint8
    )  # 1 up, 2 left, 4 match; 8: the match goes on a run
    best = np.zeros(columns + 1, dtype=np.float32)
    run = np.full(columns + 1, -1e9, dtype=np.float32)
    for row in range(1, rows + 1):
        best_before, run_before = best[0], run[0]
        for column in range(1, columns + 1):
            best_above, run_above = best[column], run[column]
            value, going_on = np.float32(-1e9), 0
            if ours[row - 1] == theirs[column - 1]:
                value = np.float32(best_before + 1 - gap_cost)
                if run_before + 1 >= value:
                    value, going_on = np.float32(run_before + 1), 8
            run[column] = value
            move, top = 1, best_above
            if best[column - 1] > top:
                move, top = 2, best[column - 1]
            if value > top:
                move, top = 4, value
            best[column] = top
            moves[row, column] = move | going_on
            best_before, run_before = best_above, run_above
    hits = np.zeros(rows, dtype=np.bool_)
    row, column, in_run = rows, columns, False
    while row > 0 and column > 0:
        move = moves[row, column]
        if in_run or move & 4:
            hits[row - 1] = True
            in_run = move & 8 != 0
            row -= 1
            column -= 1
        elif move & 1:
            row -= 1
        else:
            column -= 1
    return hits


def fold_of(url: str) -> int:
    """The fold of a page: all pages of a site are in the same one."""
    return int.from_bytes(hashlib.sha256(site(url).encode()).digest()[:8], "big") % FOLDS


def squash(values: np.ndarray) -> np.ndarray:
    """The scores that `evaluate` gives, from the trees' sums."""
    return 0.5 + 0.5 * values / (1 + np.abs(values))


def fit(examples: Sequence[Example], columns: int) -> HistGradientBoostingClassifier:
    """Boosted trees on the first ``columns`` features."""
    features = np.concatenate([example.blocks.features[:, :columns] for example in examples])
    labels = np.concatenate([example.labels for example in examples])
    weights = np.concatenate([example.weights for example in examples])
    used = weights > 0
    scale = used.sum() / weights.sum()
    return HistGradientBoostingClassifier(**SETTINGS).fit(features[used], labels[used], weights[used] * scale)


def held_out(examples: Sequence[Example], columns: int) -> list[np.ndarray]:
    """For each page the scores of a model trained on the other folds."""
    folds = np.array([fold_of(example.page.url) for example in examples])
    scores = [np.zeros(0)] * len(examples)
    for fold in range(FOLDS):
        model = fit(
            [example for example, other in zip(examples, folds, strict=True) if other != fold], columns
        )
        for index in np.flatnonzero(folds == fold):
            features = examples[index].blocks.features[:, :columns]
            scores[index] = squash(model.decision_function(features)) if len(features) else np.zeros(0)
    return scores


def cross_validate(examples: Sequence[Example]) -> list[np.ndarray]:
    """Final scores of each page's blocks by models that saw no page of its site; fills the pages' context columns."""
    for example, scores in zip(examples, held_out(examples, len(FEATURES)), strict=True):
        if len(scores):
            add_context(example.blocks, scores)
    return held_out(examples, len(COLUMNS))


def text_of(blocks: Blocks, scores: np.ndarray, threshold: float = THRESHOLD) -> str:
    """The page's text that these scores make."""
    if not len(scores):
        return ""
    keep = choose(blocks.text, blocks.blocks, scores, threshold)
    return assemble(blocks.text, blocks.elements, blocks.blocks, keep).tobytes().decode("utf-8", "replace")


def trees_as_data(model: HistGradientBoostingClassifier, columns: Sequence[str]) -> dict[str, Any]:
    """The trees as `steps.ingest.extract.model.trees_of` reads them; six digits, since the leaves are sums anyway."""
    trees = []
    for (predictor,) in model._predictors:
        nodes = predictor.nodes
        trees.append(
            [
                round(float(node["value"]), 6)
                if node["is_leaf"]
                else [
                    columns[node["feature_idx"]],
                    float(node["num_threshold"]),
                    int(node["left"]),
                    int(node["right"]),
                ]
                for node in nodes
            ]
        )
    return {"base": round(float(model._baseline_prediction.item()), 6), "trees": trees}


def write_model(examples: Sequence[Example]) -> None:
    """Train both looks on all pages, whose context columns are filled from held-out scores, and write model.json."""
    lines = ["{", f'"threshold": {THRESHOLD},']
    for name, columns in (("first", len(FEATURES)), ("second", len(COLUMNS))):
        data = trees_as_data(fit(examples, columns), COLUMNS)
        rows = ",\n".join(json.dumps(tree) for tree in data["trees"])
        lines.append(f'"{name}": {{"base": {data["base"]}, "trees": [\n{rows}\n]}}' + "," * (name == "first"))
    MODEL.write_text("\n".join([*lines, "}"]) + "\n", encoding="utf-8", newline="\n")


def main() -> None:
    """Cross-validate, print what each threshold gives on held-out pages, train on all pages and write the model."""
    examples = examples_of(load_pages())
    examples += plain_pages(examples)
    scores = cross_validate(examples)
    real = [(example, values) for example, values in zip(examples, scores, strict=True) if example.page.html]
    print("| threshold | token F1 | must-have found | must-not absent |\n|---|---|---|---|")
    for threshold in THRESHOLDS:
        texts = [text_of(example.blocks, values, threshold) for example, values in real]
        result = judge([example.page for example, _ in real], texts)
        print(f"| {threshold:.2f} | {result.f1:.4f} | {result.must} | {result.must_not} |", flush=True)
    write_model(examples)


if __name__ == "__main__":
    main()
