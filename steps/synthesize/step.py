"""synthesize: passages of corpora → question-answer pairs, through an endpoint, checked where that can be computed."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from steps.core.artifact import Artifact, Files
from steps.core.corpus import Corpus
from steps.core.counts import Counts
from steps.core.digest import bytes_digest
from steps.core.document import SUPERVISED_SCHEMA, doc_id
from steps.core.errors import ConfigError, DataError
from steps.core.manifest import FileEntry
from steps.core.needs import Outlook
from steps.core.parts import PartResult, PartWriter, open_artifact
from steps.core.sandbox import require
from steps.core.source import Kind, SourceListing
from steps.core.step import Input, Step, StepContext
from steps.core.takedown import made_from
from steps.synthesize.answers import UNSUITABLE, Pair, Unusable, read_pair
from steps.synthesize.asking import Request, ask_all, read_answer, request_of
from steps.synthesize.checks import PASSED, RECORDED, WRONG, Checker
from steps.synthesize.config import PASSAGE, Check, Config
from steps.synthesize.endpoint import Settings
from steps.synthesize.passages import assign, candidates, passage_rows
from steps.synthesize.report import report

FATES = ("kept", "removed", "quarantined")
KINDS: dict[Check, Kind] = {"none": "supervised", "mathematics": "math", "code": "code"}
REQUEST = pa.schema(
    [
        *(
            (name, pa.string())
            for name in ("doc_id", "url", "source", "dump", "licence", "language", "shard")
        ),
        *((name, pa.string()) for name in ("passage", "discipline", "digest", "corpus")),
        *((name, pa.int64()) for name in ("row", "rank")),
    ]
)


def run(ctx: StepContext) -> None:
    """Draw passages, ask, and write the pairs in the order of the requests."""
    config: Config = ctx.config
    if any(config.disciplines[name].check != "none" for name in config.weights()):
        require()
    settings = Settings.from_environment()
    ctx.provenance["endpoint"] = settings.host
    corpora = ctx.input_list("corpora")
    shards = [
        {"corpus": name, "shard": shard.index}
        for name, made in corpora.items()
        for shard in Corpus.open(made).shards
    ]
    drawn = ctx.map("draw", draw, shards)
    chosen = ctx.part("choose", choose, {"tables": entries(drawn), "folder": ctx.folder})
    for name, missing in chosen.result["short"].items():
        ctx.log.warning("synthesize: %s has %d passages fewer than its share", name, missing)
    rows = [{**shard, "number": number, "chosen": entries([chosen])[0], "folder": ctx.folder}
            for number, shard in enumerate(shards)]  # fmt: skip
    passages = ctx.map("passages", prepare, rows)
    blocks = ctx.part("requests", order, {"tables": entries(passages), "folder": ctx.folder})
    total = sum(entry.rows or 0 for entry in blocks.temporary)
    if not total:
        raise DataError(
            "synthesize: no document of the corpora can be asked about; look at passages and languages"
        )
    asked = ask_all(
        config, ctx.store, settings, _requests(ctx, blocks.temporary), total, ctx.runtime.progress_seconds
    )
    if asked.stopped:
        ctx.log.warning(
            "synthesize: %s is spent after %d of %d requests; the pairs of these are kept, and a larger budget goes on "
            "behind them", asked.stopped, asked.requests, total,
        )  # fmt: skip
    tasks, left = [], asked.requests
    for entry in blocks.temporary:
        take = min(left, entry.rows or 0)
        tasks.append({"block": entry.model_dump(), "take": take, "folder": ctx.folder})
        left -= take
    written = ctx.map("write", write, [task for task in tasks if task["take"]])
    if not any(part.counts.total.kept.documents for part in written):
        raise DataError(f"synthesize: {asked.requests} answers and no pair among them; {_reasons(written)}")
    for name, value in facts(config, asked.requests, total, [part.result for part in written]).items():
        ctx.set(name, value)
    ctx.set("passages_missing", chosen.result["short"])
    ctx.set("prompt_tokens", asked.spent.prompt)
    ctx.set("answer_tokens", asked.spent.answer)
    ctx.set("cost", config.cost(asked.spent.prompt, asked.spent.answer))
    ctx.set("stopped", asked.stopped)
    ctx.set("models", dict(sorted(asked.models.items())))


def entries(parts: list[PartResult]) -> list[dict[str, Any]]:
    """The first temporary file of each part, for the tasks of the next phase."""
    return [part.temporary[0].model_dump() for part in parts]


def facts(config: Config, answered: int, total: int, results: list[dict[str, Any]]) -> dict[str, Any]:
    """What the manifest says of the whole."""
    disciplines = {name: dict.fromkeys(FATES, 0) for name in config.weights()}
    for result in results:
        for name, fates in result["disciplines"].items():
            for fate, count in fates.items():
                disciplines[name][fate] += count
    return {
        "requests": total,
        "answered": answered,
        "disciplines": disciplines,
        "model": config.model,
        "prompts": {name: prompt_digests(config, name) for name in sorted(config.weights())},
    }


def _reasons(parts: list[PartResult]) -> str:
    """Why answers are no pairs, the most frequent first."""
    counts = Counts.sum(part.counts for part in parts)
    found = {**counts.removed_by, **counts.quarantined_by}
    return ", ".join(
        f"{name}: {t.documents}" for name, t in sorted(found.items(), key=lambda i: -i[1].documents)
    )


def prompt_digests(config: Config, discipline: str) -> dict[str, str]:
    """sha256 of a discipline's prompt template, by language."""
    prompts = config.disciplines[discipline].prompts
    return {language: bytes_digest(text.encode()) for language, text in sorted(prompts.items())}


@lru_cache(maxsize=8)
def _corpus(ref: str) -> Corpus:
    return Corpus.open(open_artifact(ref))


def draw(task: dict[str, Any], part: PartWriter) -> None:
    """Which rows of one shard may be asked about, with their keys."""
    shard = _corpus(part.inputs[f"corpora.{task['corpus']}"].ref).shards[task["shard"]]
    part.put_table("drawn.parquet", candidates(shard, part.config), "drawn", temporary=True)


def choose(task: dict[str, Any], part: PartWriter) -> dict[str, Any]:
    """Discipline and rank of every request."""
    files = Files(part.store, task["folder"])
    tables = [files.read_table(FileEntry.model_validate(entry)) for entry in task["tables"]]
    if not tables:
        raise ConfigError("synthesize: the corpora have no shards")
    chosen, short = assign(tables, part.config)
    part.put_table("chosen.parquet", chosen, "chosen", temporary=True)
    return {"short": short}


def prepare(task: dict[str, Any], part: PartWriter) -> None:
    """The requests of one shard."""
    config: Config = part.config
    artifact = part.inputs[f"corpora.{task['corpus']}"]
    chosen = Files(part.store, task["folder"]).read_table(FileEntry.model_validate(task["chosen"]))
    mine = chosen.filter(pc.equal(chosen["part"], task["number"])).to_pylist()
    found = passage_rows(_corpus(artifact.ref).shards[task["shard"]], [item["row"] for item in mine], config)
    for item, record in zip(mine, found, strict=True):
        discipline = item["discipline"]
        prompt = prompt_of(config, discipline, record["language"], record["passage"])
        record |= {name: item[name] for name in ("row", "rank", "discipline")}
        record |= {"digest": request_of(config, discipline, prompt).digest, "corpus": artifact.digest}
    part.put_table("passages.parquet", pa.Table.from_pylist(found, REQUEST), "passages", temporary=True)


def prompt_of(config: Config, discipline: str, language: str, passage: str) -> str:
    """What is asked about a passage."""
    return config.disciplines[discipline].prompts[language].replace(PASSAGE, passage)


def order(task: dict[str, Any], part: PartWriter) -> dict[str, Any]:
    """All requests by rank, in blocks; a request that is word for word another one is asked once."""
    files = Files(part.store, task["folder"])
    tables = [files.read_table(FileEntry.model_validate(entry)) for entry in task["tables"]]
    whole = pa.concat_tables(tables).sort_by("rank")
    digests = whole["digest"].to_pylist()
    first = {digest: number for number, digest in reversed(list(enumerate(digests)))}
    whole = whole.take(pa.array(sorted(first.values()), pa.int64()))
    size = part.config.documents_per_shard
    for number, start in enumerate(range(0, whole.num_rows, size)):
        part.put_table(f"requests/{number:05d}.parquet", whole.slice(start, size), "requests", temporary=True)
    return {"repeated": len(digests) - len(first)}


def _requests(ctx: StepContext, blocks: list[FileEntry]) -> Iterator[Request]:
    """Every request in order, one block in memory."""
    for entry in blocks:
        for record in ctx.files().read_table(entry).to_pylist():
            prompt = prompt_of(ctx.config, record["discipline"], record["language"], record["passage"])
            yield request_of(ctx.config, record["discipline"], prompt)


def write(task: dict[str, Any], part: PartWriter) -> dict[str, Any]:
    """The pairs of one block of requests as a shard, everything else into ledger or quarantine."""
    config: Config = part.config
    block = FileEntry.model_validate(task["block"])
    requests = Files(part.store, task["folder"]).read_table(block).slice(0, task["take"])
    dump = _dump(part.inputs)
    met = part.remembered()
    kept: list[dict[str, Any]] = []
    disciplines = {name: dict.fromkeys(FATES, 0) for name in config.weights()}
    with Checker(config.checks) as checker:
        for request in requests.to_pylist():
            size = len(request["passage"].encode())
            part.count.add_input(config.source, request["language"], 1, size)
            try:
                pair = _pair(request, part, checker, met)
            except Unusable as problem:
                disciplines[request["discipline"]][_lose(request, size, problem, part)] += 1
                continue
            disciplines[request["discipline"]]["kept"] += 1
            kept.append(document(request, pair, config, dump))
            written = len(kept[-1]["text"].encode())
            part.count.add_kept(config.source, request["language"], 1, size, written)
    if kept:
        number = int(block.key.rpartition("/")[2].partition(".")[0])
        part.put_shard(number, pa.Table.from_pylist(kept, SUPERVISED_SCHEMA))
    return {"disciplines": disciplines}


def _pair(request: Mapping[str, Any], part: PartWriter, checker: Checker, met: dict[str, Any]) -> Pair:
    """The checked pair of a request. Raises Unusable with the reason why there is none."""
    answer = read_answer(part.store, request["digest"])
    if answer is None:
        raise DataError(f"the answer {request['digest']} is gone from the store; retry")
    pair = read_pair(answer, part.config.disciplines[request["discipline"]].check)
    outcome, detail = met.get(request["digest"]) or checker.check(pair)
    if outcome in RECORDED and request["digest"] not in met:
        outcome, detail = part.remember(request["digest"], [outcome, detail])
    if outcome != PASSED:
        raise Unusable(outcome, detail)
    return pair


def _lose(request: Mapping[str, Any], size: int, problem: Unusable, part: PartWriter) -> str:
    """Unsuitable passages and wrong answers are removed; what is no answer is quarantined. Gives which."""
    where = {name: request[name] for name in ("shard", "row", "doc_id", "language")}
    where |= {"bytes": size, "source": part.config.source}
    detail = f"{request['discipline']}: {problem.detail or problem.reason}"
    if problem.reason == UNSUITABLE or problem.reason in WRONG:
        part.ledger.add(rule=problem.reason, detail=detail, **where)
        part.count.add_removed(problem.reason, part.config.source, request["language"], 1, size)
        return "removed"
    answer = read_answer(part.store, request["digest"]) or {}
    part.quarantine(reason=problem.reason, detail=detail, raw=str(answer.get("text", "")).encode(), **where)
    return "quarantined"


def document(request: Mapping[str, Any], pair: Pair, config: Config, dump: str) -> dict[str, Any]:
    """A row of SUPERVISED_SCHEMA; its metadata says which passage it was made from, and how."""
    discipline = config.disciplines[request["discipline"]]
    text = f"{pair.problem}\n{pair.solution}"
    url = made_from(request["url"] or "", request["doc_id"], request["discipline"])
    made = {
        "model": config.model,
        "request": request["digest"],
        "prompt": bytes_digest(discipline.prompts[request["language"]].encode()),
        "check": discipline.check,
        "corpus": request["corpus"],
        "passage": {name: request[name] for name in ("doc_id", "url", "source", "dump", "shard", "row")},
    }
    metadata = {"kind": KINDS[discipline.check], "synthetic": made}
    return {
        "doc_id": doc_id(url, text),
        "url": url,
        "source": config.source,
        "dump": dump,
        "fetched_at": "",
        "licence": config.licence or request["licence"],
        "language": request["language"],
        "text": text,
        "metadata": json.dumps(metadata, ensure_ascii=True, sort_keys=True),
        "origin": {"shard": request["shard"], "row": request["row"]},
        "prompt": pair.problem,
        "response": pair.solution,
        "task": request["discipline"],
    }


def _dump(inputs: Mapping[str, Artifact]) -> str:
    """The dump of the run, under which the gate counts its looks; empty without a run."""
    return SourceListing.of(inputs["source"]).dump if "source" in inputs else ""


def forecast(config: Config, configs: Mapping[str, Any]) -> Outlook:
    """What the step asks and may spend at most."""
    tokens = config.requests * (config.passage_characters + config.most_tokens)
    if config.token_budget is not None:
        tokens = min(tokens, config.token_budget)
    money = f", at most {config.money_budget:g} in money" if config.money_budget is not None else ""
    said = f"asks {config.model} {config.requests:,} times, about {tokens:,} tokens at most{money}"
    return Outlook(None, said)


STEP = Step(
    name="synthesize",
    version=3,
    config=Config,
    run=run,
    inputs=(Input("corpora", many=True), Input("source", optional=True)),
    libraries=("math-verify", "sympy"),
    makes="corpus",
    determinism="recorded",
    report=report,
    forecast=forecast,
)
