"""The model card: what the model was trained on, who approved it, and how its losses went.

It is part of the artifact's identity, so it names artifacts by step and content digest, never by where they lie.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from steps.core.approval import Approved
from steps.core.artifact import Artifact
from steps.export.config import Config
from steps.export.data import Amount

LICENCES_SHOWN = 8
# what could become markup, a table cell, a link or mathematics; as a number it is shown and nothing else
_MARKUP = re.compile(r"[\\`*\[\]<>|&~$]")


def training_chain(train: Artifact) -> list[Artifact]:
    """The training stages behind an artifact that trained on something, first one first."""
    chain = [train]
    while chain[0].has_input("previous"):
        chain.insert(0, chain[0].input("previous"))
    return [stage for stage in chain if stage.facts["steps"]]  # a stage of no data is none


def model_card(
    config: Config,
    model: Artifact,
    chain: list[Artifact],
    approved: Approved,
    weights: int,
    amounts: Sequence[Amount],
    licences: Mapping[str, Sequence[str]],
) -> str:
    """``README.md`` of the exported folder.

    ``amounts`` say what each stage was trained on, ``licences`` what the documents of each source declare.
    """
    languages = sorted(model.facts.get("bytes_per_token", {}))
    head = ["---", "library_name: transformers", "pipeline_tag: text-generation"]
    head += ["language:", *(f"- {language}" for language in languages)] if languages else []
    sections = [
        "\n".join([*head, "tags:", "- tokenmill", "---"]),
        f"# {config.name}",
        f"A LLaMA model of {weights:,} weights, continually pre-trained in {len(chain)} stages by tokenmill.",
        _base(model),
        _stages(chain),
        _heldout(chain),
        _data(amounts, licences),
        _corpora(approved),
        _supervised(approved),
        _lineage(model, chain, approved),
    ]
    return "\n\n".join(sections) + "\n"


def _short(artifact: Artifact) -> str:
    return f"{artifact.step} `{artifact.digest[:12]}`"


def _table(header: list[str], rows: list[list[Any]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in row) + " |" for row in lines)


def plain(text: str) -> str:
    """``text`` in one line, shown as it is: no markup, no table cell and no HTML can come out of it."""
    return _MARKUP.sub(lambda found: f"&#{ord(found[0])};", " ".join(text.split()))


def _base(model: Artifact) -> str:
    base = model.config.get("base")
    origin = (
        f"{plain(base['name'])} (files {base['sha256'][:12]})"
        if base
        else "random weights and a tokenizer of its own"
    )
    rows = [
        [plain(language), f"{found['before']:.2f}", f"{found['after']:.2f}"]
        for language, found in sorted(model.facts.get("bytes_per_token", {}).items())
    ]
    weights = [model.config[f"{end}_weights"] for end in ("embedding", "head")]
    text = (
        f"## Base\n\nIt started from {origin}. {model.facts['characters_added']} Chinese characters were added to the "
        f"vocabulary of {model.facts['vocabulary_before']} pieces; their rows are averages of the rows of the pieces "
        f"that used to encode them (embedding `{weights[0]}`, head `{weights[1]}`)."
    )
    return text + ("\n\n" + _table(["language", "bytes per token before", "after"], rows) if rows else "")


def _stages(chain: list[Artifact]) -> str:
    rows = []
    for stage in chain:
        facts, settings = stage.facts, stage.config
        rates = f"{settings['learning_rate']:g} → {settings['final_learning_rate']:g}"
        layout = "×".join(str(settings["layout"][axis]) for axis in ("tensor", "pipeline", "data"))
        losses = f"{facts['loss']['first']:.4f} → {facts['loss']['last']:.4f}"
        rows.append([facts["stage"], facts["steps"], f"{facts['tokens']:,}", rates, layout, losses])
    header = [
        "stage",
        "steps",
        "target tokens",
        "learning rate",
        "layout (tensor×pipeline×data)",
        "training loss",
    ]
    return "## Training\n\n" + _table(header, rows)


def _heldout(chain: list[Artifact]) -> str:
    names = sorted({name for stage in chain for name in stage.facts["heldout_loss"]})
    rows = []
    for name in names:
        found = [stage.facts["heldout_loss"].get(name) for stage in chain]
        rows.append([plain(name), *(f"{f['first']:.4f} → {f['last']:.4f}" if f else "" for f in found)])
    header = ["held-out set", *(f"stage {stage.facts['stage']}" for stage in chain)]
    return "## Held-out loss\n\nNothing of these sets was trained on.\n\n" + _table(header, rows)


def source_of(data_set: str) -> str:
    """The source of a data set as mix names it: ``web/SOURCE`` or ``supervised/SOURCE`` and perhaps ``/TASK``."""
    return data_set.split("/")[1] if "/" in data_set else data_set


def _data(amounts: Sequence[Amount], licences: Mapping[str, Sequence[str]]) -> str:
    rows = []
    for amount in amounts:
        declared = licences.get(source_of(amount.name), [])
        named = ", ".join(
            plain(licence) if licence else "none declared" for licence in declared[:LICENCES_SHOWN]
        )
        more = f" and {len(declared) - LICENCES_SHOWN} more" if len(declared) > LICENCES_SHOWN else ""
        counts = [f"{amount.documents:,}", f"{amount.tokens:,}"]
        rows.append([amount.stage, plain(amount.name), *counts, named + more])
    header = ["stage", "data set", "documents", "tokens", "licences that documents declare"]
    return (
        "## Data\n\nDocuments that are in the stage's windows, and tokens there: a document that was trained on twice "
        "counts once, its tokens twice.\n\n" + _table(header, rows)
    )


def _corpora(approved: Approved) -> str:
    rows = []
    for name, (corpus, verdict) in sorted(approved.corpora.items()):
        rows.append(
            [
                plain(name),
                f"`{corpus.digest[:12]}`",
                f"{verdict.population:,}",
                ", ".join(verdict.readers),
                f"{verdict.read:,}",
                f"{verdict.rate:.3%}",
                f"{verdict.bound_rate:.3%}",
                f"`{verdict.policy_digest[:12]}`",
            ]
        )
    header = ["corpus", "digest", "documents", "readers", "read", "defect rate", "upper bound", "policy"]
    return "## Gated corpora\n\nEach carries a verdict that training verified again.\n\n" + _table(
        header, rows
    )


def _supervised(approved: Approved) -> str:
    if not approved.ungated:
        return "## Data without a verdict\n\nNone."
    rows = [[plain(name), plain(reason)] for name, reason in sorted(approved.ungated.items())]
    return "## Data without a verdict\n\n" + _table(["data set", "why it has none"], rows)


def _lineage(model: Artifact, chain: list[Artifact], approved: Approved) -> str:
    tokens = [stage.input("tokens") for stage in chain]
    names = [_short(approved.mix), _short(model), *map(_short, tokens), *map(_short, chain)]
    recipe = {
        "mix": approved.mix.config,
        "initialize": model.config,
        **{f"pack_{stage.facts['stage']}": tokens[i].config for i, stage in enumerate(chain)},
        **{f"train_{stage.facts['stage']}": stage.config for stage in chain},
    }
    shown = json.dumps(recipe, indent=1, sort_keys=True, ensure_ascii=False)
    # a fence longer than any inside, so that nothing in the recipe ends it
    fence = "`" * max(3, 1 + max((len(run) for run in re.findall("`+", shown)), default=0))
    return f"## Lineage\n\n{', '.join(names)}\n\nRecipe:\n\n{fence}json\n{shown}\n{fence}"
