"""The export step: folder, proof, card."""

from __future__ import annotations

import json
from typing import Any

from steps.core.approval import Approved, verify_training
from steps.core.artifact import Artifact
from steps.core.errors import DataError
from steps.core.parts import PartWriter
from steps.core.step import Input, Step, StepContext
from steps.export.card import model_card, training_chain
from steps.export.config import Config
from steps.export.data import Amount, count_tokens, licence_tasks, licences
from steps.export.needs import forecast
from steps.export.report import report


def run(ctx: StepContext) -> None:
    """Verify what the model was trained on, write the folder, and commit it only if it is the trained model."""
    config: Config = ctx.config
    train, model = ctx.inputs["train"], ctx.inputs["model"]
    if train.input("model").digest != model.digest:
        raise DataError(f"{train.reference.uri} was trained from another model than {model.reference.uri}")
    if stopped := train.facts.get("stopped_early"):
        raise DataError(
            f"{train.reference.uri} was stopped early at step {stopped['step']} (stop_above): "
            "it is no finished model"
        )
    approved = verify_training(train)
    found = ctx.part("folder", write_folder).result
    chain = training_chain(train)
    amounts, declared = training_data(ctx, chain, approved)
    text = model_card(config, model, chain, approved, found["weights"], amounts, declared)
    ctx.part("card", write_card, {"text": text})
    ctx.metric("eval/export_logit_difference", found["difference"])
    ctx.log.info(
        "export: %d weights; logits of %d positions equal the trainer's within %.1e standard deviations",
        found["weights"], found["positions"], found["difference"],
    )  # fmt: skip
    ctx.set("weights", found["weights"])
    ctx.set("logit_check", {"tolerance": config.tolerance, "positions": found["positions"]})
    ctx.set("stages", [{"stage": s.facts["stage"], "loss": s.facts["loss"]} for s in chain])
    ctx.set("heldout_loss", train.facts["heldout_loss"])
    ctx.set("data", [amount._asdict() for amount in amounts])
    ctx.set("registry", registry(config.name, approved))


def training_data(
    ctx: StepContext, chain: list[Artifact], approved: Approved
) -> tuple[list[Amount], dict[str, list[str]]]:
    """What each stage was trained on, and the licences that the documents of each source declare."""
    stages = [stage.facts["stage"] for stage in chain]
    counted = ctx.map("data", count_tokens, [{"stage": stage} for stage in stages], unit="stages")
    found = ctx.map("licences", licences, licence_tasks(approved.mix, stages[-1]))
    declared: dict[str, set[str]] = {}
    for source, licence in (pair for part in found for pair in part.result):
        declared.setdefault(source, set()).add(licence)
    amounts = [Amount(*row) for part in counted for row in part.result]
    return amounts, {source: sorted(names) for source, names in declared.items()}


def registry(name: str, approved: Approved) -> dict[str, Any]:
    """What lineage tells the model registry: the version's name, and the corpora and verdicts behind it."""
    tags = {"mix": approved.mix.digest}
    for key, (corpus, verdict) in sorted(approved.corpora.items()):
        tags[f"corpus.{key}"] = corpus.digest
        tags[f"corpus.{key}.bound"] = f"{verdict.bound_rate:.6f}"
        tags[f"corpus.{key}.policy"] = verdict.policy_digest
        tags[f"corpus.{key}.readers"] = ", ".join(verdict.readers)
    tags |= {f"ungated.{key}": reason for key, reason in sorted(approved.ungated.items())}
    return {"name": name, "tags": tags}


def write_folder(task: dict[str, Any], part: PartWriter) -> dict[str, Any]:
    """Write and check the Hugging Face folder; it is uploaded only if transformers gives the trainer's logits."""
    from steps.export.check import check_tokenizer, compare_logits, probe_texts
    from steps.export.weights import write_shards

    train, model = part.inputs["train"], part.inputs["model"]
    folder, fetched = part.scratch / "folder", part.scratch / "fetched"
    folder.mkdir()
    sources = [train.fetch(entry, fetched) for entry in train.files("weights")]
    weights = write_shards(sources, folder, part.config.max_shard_bytes)
    for entry in model.files("tokenizer"):
        (folder / entry.key).write_bytes(model.read_bytes(entry))
    described = json.loads(train.read_bytes(train.file("config.json"))) | {"dtype": train.config["precision"]}
    described.pop("torch_dtype", None)  # the older name of dtype
    (folder / "config.json").write_text(json.dumps(described, indent=1, sort_keys=True))
    probe = train.fetch(train.file("probe.safetensors"), fetched)
    difference, positions = compare_logits(folder, probe)
    if not difference <= part.config.tolerance:
        raise DataError(
            f"the exported model's logits differ from the trainer's by {difference:.2e} deviations, more than "
            f"export.tolerance {part.config.tolerance:.0e}: they are not the same model"
        )
    check_tokenizer(folder, probe_texts(folder, probe))
    for path in sorted(folder.iterdir()):
        part.put_file(path.name, path, "model")
    return {"weights": weights, "difference": difference, "positions": positions}


def write_card(task: dict[str, Any], part: PartWriter) -> None:
    part.put_bytes("README.md", task["text"].encode(), "model")


STEP = Step(
    name="export",
    version=2,  # 2: the card has data sets and licences
    config=Config,
    run=run,
    inputs=(Input("train"), Input("model")),
    libraries=("safetensors",),
    report=report,
    forecast=forecast,
)
