"""The pack step: cut the plan into blocks, tokenize shard by shard, lay out and write block by block."""

from __future__ import annotations

from typing import Any

from steps.core.approval import same_texts, verify_training
from steps.core.artifact import Artifact
from steps.core.errors import ConfigError, DataError
from steps.core.manifest import FileEntry
from steps.core.parts import PartResult
from steps.core.step import Input, Step, StepContext
from steps.pack.blocks import HELD_OUT_SETS, TRAIN, groups, located, plan_source, route
from steps.pack.config import Config
from steps.pack.indexed import token_dtype
from steps.pack.layout import lay_out
from steps.pack.report import pack_report, summed, totals
from steps.pack.supply import supply
from steps.pack.tokenize import tokenize
from steps.pack.write import write_block
from steps.text.encoder import tokenizer_file


def run(ctx: StepContext) -> None:
    """Tokenize every listed document once, decide where each token goes, and write the windows in that order."""
    config: Config = ctx.config
    mix, model = ctx.inputs["mix"], ctx.inputs["model"]
    check(config, mix, model, ctx.inputs.get("curriculum"))
    source = plan_source(ctx.inputs, config.stage)
    plans = [entry for entry in source.files("plan") if entry.meta["stage"] == config.stage]
    lists = sorted(mix.files("rows"), key=lambda entry: entry.meta["number"])
    routing = [{"plan": e.key, "number": n, "shards": len(lists)} for n, e in enumerate(plans)]
    routed = ctx.map("route", route, routing, unit="plan files")
    tokenizing = [
        {
            "number": number,
            "lists": [lists[shard].key for shard in group],
            "routes": [located(part.result["ranges"][number], part.temporary[0]) for part in routed],
            "folder": ctx.folder,
        }
        for number, group in enumerate(groups(len(lists)))
    ]
    tokenized = ctx.map("tokenize", tokenize, tokenizing, unit="groups of shards")
    blocks = collect(tokenized, [entry.key for entry in plans], [part.result["bounds"] for part in routed])
    tasks = [{k: v for k, v in block.items() if k != "tokens"} | {"folder": ctx.folder} for block in blocks]
    if any(part.result["quotas"] for part in routed):
        take_quotas(ctx, [entry.key for entry in plans], [task for task in tasks if task["set"] == TRAIN])
    laid = ctx.map("layout", lay_out, tasks, unit="blocks")
    writing = written(blocks, laid, ctx.folder)
    if not any(task["set"] == TRAIN for task in writing):
        if config.stage == 1 or any(entry.rows for entry in plans):
            raise DataError(f"stage {config.stage} has no documents to pack: give mix a data set for it")
        ctx.log.info("pack: the mix has nothing for stage %d, which training leaves out", config.stage)
    ctx.map("write", write_block, writing, unit="token files")
    describe(ctx, laid)


def check(config: Config, mix: Artifact, model: Artifact, curriculum: Artifact | None) -> None:
    """Refuse what was not approved, a model of other texts, and windows longer than the model."""
    verify_training(mix)
    if not same_texts(model.input("mix"), mix):
        raise DataError(f"{model.reference.uri} was initialized from other texts than {mix.reference.uri}")
    if curriculum and curriculum.input("mix").digest != mix.digest:
        raise DataError(f"{curriculum.reference.uri} orders another mix than {mix.reference.uri}")
    if config.sequence_length > model.facts["max_positions"]:
        raise ConfigError(
            f"pack.sequence_length {config.sequence_length} exceeds the model's "
            f"{model.facts['max_positions']} positions"
        )


def collect(tokenized: list[PartResult], plans: list[str], bounds: list[list[int]]) -> list[dict[str, Any]]:
    """All blocks, the stage's first and in order: plan and documents, and the ranges of every group's files."""
    found: dict[tuple[str, int, int], dict[str, Any]] = {}
    for part in tokenized:
        for where in part.result["ranges"]:
            name, plan, block = where["set"], where["plan"], where["block"]
            task = found.setdefault(
                (name, plan, block), {"set": name, "task": where["task"], "entries": [], "tokens": []}
            )
            if name == TRAIN:
                first, stop = bounds[plan][block : block + 2]
                task |= {"plan": plans[plan], "first": first, "documents": stop - first}
            for place, kind in enumerate(("tokens", "entries")):
                task[kind].append(located(where[kind], part.temporary[place]))
    order = sorted(found, key=lambda key: (key[0] != TRAIN, *key))
    return [found[key] | {"number": number} for number, key in enumerate(order)]


def take_quotas(ctx: StepContext, plans: list[str], tasks: list[dict[str, Any]]) -> None:
    """Settle what mix asks for in tokens, and tell each block's task where its share stands."""
    entries = [{"entries": task["entries"]} for task in tasks]
    part = ctx.part("supply", supply, {"plans": plans, "blocks": entries, "folder": ctx.folder})
    for task, where in zip(tasks, part.result["ranges"], strict=True):
        task["taken"] = located(where, part.temporary[0])
    for quota in part.result["quotas"]:
        if quota["supplied"] < quota["asked"]:
            ctx.log.warning(
                "pack: %(set)s was asked for %(asked)s tokens and has %(supplied)s; nothing is repeated",
                quota,
            )
    ctx.set("quotas", part.result["quotas"])


def written(blocks: list[dict[str, Any]], laid: list[PartResult], folder: str) -> list[dict[str, Any]]:
    """One task per block that has windows: files and windows are numbered through each set."""
    files: dict[str, int] = {}
    windows: dict[str, int] = {}
    found = []
    for block, part in zip(blocks, laid, strict=True):
        name, count = block["set"], sum(task["windows"] for task in part.result["tasks"].values())
        if not count:
            continue
        layout = [entry.model_dump() for entry in part.temporary]
        number, first = files.get(name, 0), windows.get(name, 0)
        where = {"set": name, "number": number, "first_window": first, "folder": folder}
        found.append({"layout": layout, "tokens": block["tokens"], **where})
        files[name], windows[name] = number + 1, first + count
    return found


def describe(ctx: StepContext, laid: list[PartResult]) -> None:
    """Facts and metrics of the finished stage."""
    config, model = ctx.config, ctx.inputs["model"]
    results: dict[str, list[Any]] = {}
    for part in laid:
        results.setdefault(part.result["set"], []).append(part.result["tasks"])
    sets = {name: summed(found) for name, found in sorted(results.items())}
    train = totals(sets.setdefault(TRAIN, {}), config.sequence_length)
    for name, value in train.items():
        ctx.set(name, value)
    ctx.set("tasks", {k: totals({k: v}, config.sequence_length) for k, v in sets[TRAIN].items()})
    ctx.set(
        "heldout",
        {
            name.removeprefix(HELD_OUT_SETS): totals(found, config.sequence_length)
            for name, found in sets.items()
            if name != TRAIN
        },
    )
    tokenizer: FileEntry = tokenizer_file(model)
    ctx.set("stage", config.stage)
    ctx.set("sequence_length", config.sequence_length)
    ctx.set("token_type", token_dtype(model.facts["vocabulary"]))
    ctx.set("tokenizer", tokenizer.sha256)
    for name in ("fill", "tokens", "windows"):
        ctx.metric(f"corpus/pack_{name}", train[name])


STEP = Step(
    name="pack",
    version=4,
    config=Config,
    run=run,
    inputs=(Input("mix"), Input("model"), Input("curriculum", optional=True)),
    libraries=("sentencepiece", "tokenizers"),
    report=pack_report,
)
