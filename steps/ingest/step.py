"""ingest: raw objects to the first corpus."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from steps.core.child import hide_environment
from steps.core.digest import canonical_json, file_digest
from steps.core.errors import DataError
from steps.core.parts import PartWriter
from steps.core.source import OBJECTS_FILE, SourceListing, SourceObject, fetch_object, fetch_piece
from steps.core.step import Input, Step, StepContext
from steps.ingest.config import Config
from steps.ingest.protocol import Request
from steps.ingest.report import report
from steps.ingest.sandbox import ReaderDied, read_outcomes, reader
from steps.ingest.shards import SHARDS_PER_TASK, Shards

_BLOCK = 4 << 20
SPLITTABLE = frozenset({"jsonl", "warc"})  # formats in which steps/ingest/split.py finds places to cut


def run(context: StepContext) -> None:
    """Cut large objects into pieces, then read several small objects or one piece per task."""
    listing = SourceListing.of(context.inputs["source"])
    if listing.sources and not listing.objects:
        names = ", ".join(source.name for source in listing.sources)
        raise DataError(f"dump {listing.dump}: source {names} has no objects; check the source's uri")
    if not listing.sources:
        context.log.info("ingest: the recipe has no sources of its own; published corpora are read by others")
    hide_environment()  # here too: the keys of the workers' parent are the same
    pieces = cut_objects(context, listing)
    tasks = [
        {"number": number, "dump": listing.dump, "settings": _settings(listing, group), "pieces": group}
        for number, group in enumerate(group_pieces(pieces, context.config.task_bytes))
    ]
    results = context.map("read", read_pieces, tasks, unit="tasks")
    documents: Counter[str] = Counter()
    facts: dict[str, Counter[str]] = {"auxiliary_records": Counter(), "encodings": Counter()}
    for result in results:
        documents.update(result.result["documents"])
        for name, counter in facts.items():
            counter.update(result.result[name])
    check_not_empty(listing, documents)
    for name, counter in facts.items():
        context.set(name, dict(sorted(counter.items())))
    fetched = {key: digest for result in results for key, digest in result.result["fetched"].items()}
    if fetched:
        context.part("objects", write_objects, {"fetched": fetched})


def _settings(listing: SourceListing, pieces: list[dict[str, Any]]) -> dict[str, Any]:
    names = sorted({piece["item"]["source"] for piece in pieces})
    return {name: listing.settings(name).model_dump(mode="json") for name in names}


def cut_objects(context: StepContext, listing: SourceListing) -> list[dict[str, Any]]:
    """Every object as one piece, or a large one that can be cut as several: what a task reads."""
    large = {
        number: {"item": item.model_dump(), "form": form}
        for number, item in enumerate(listing.objects)
        if item.bytes > context.config.split_bytes
        and (form := form_of(item, listing.settings(item.source).format)) in SPLITTABLE
    }
    cuts = context.map("cut", cut_object, list(large.values()), unit="large objects") if large else []
    found = {number: part.result["pieces"] for number, part in zip(large, cuts, strict=True)}
    pieces = []
    for number, item in enumerate(listing.objects):
        form = form_of(item, listing.settings(item.source).format)
        for cut in found.get(number, [{}]):
            pieces.append({"item": item.model_dump(), "form": form, **cut})
    return pieces


def cut_object(task: dict[str, Any], part: PartWriter) -> dict[str, Any]:
    """Where one large object is cut, with the sha256 of every piece; one empty piece where it cannot be."""
    item = SourceObject.model_validate(task["item"])
    path = fetch_object(item, part.locations, part.scratch)
    request = Request(
        str(path), task["form"], item.key, item.sha256, "", {}, piece_bytes=part.config.split_bytes
    )
    try:
        (answer,) = reader(part.config).ask(request)
    except ReaderDied:  # it is read as a whole then, where what cannot be read is counted
        return {"pieces": [{}]}
    places = answer["places"] if isinstance(answer, dict) else []
    if len(places) < 2:
        return {"pieces": [{}]}
    shard = item.sha256 or file_digest(path)
    ends = [place for place, _ in places[1:]] + [path.stat().st_size]
    pieces = [
        {"start": start, "end": end, "row": row, "shard": shard, "sha256": _range_digest(path, start, end)}
        for (start, row), end in zip(places, ends, strict=True)
    ]
    return {"pieces": pieces}


def _range_digest(path: Path, start: int, end: int) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        file.seek(start)
        while start < end and (block := file.read(min(_BLOCK, end - start))):
            digest.update(block)
            start += len(block)
    return digest.hexdigest()


def group_pieces(pieces: list[dict[str, Any]], size: int) -> list[list[dict[str, Any]]]:
    """Neighbouring pieces that together have at most ``size`` bytes, or one piece."""
    groups: list[list[dict[str, Any]]] = []
    total = 0
    for piece in pieces:
        length = piece["end"] - piece["start"] if "start" in piece else piece["item"]["bytes"]
        if not groups or total + length > size:
            groups.append([])
            total = 0
        groups[-1].append(piece)
        total += length
    return groups


def check_not_empty(listing: SourceListing, documents: Counter[str]) -> None:
    """Raise DataError naming every source that gave no document at all."""
    empty = [source.name for source in listing.sources if not documents[source.name]]
    if empty:
        raise DataError(
            f"dump {listing.dump}: source {', '.join(empty)} has no document in "
            f"{sum(item.source in empty for item in listing.objects)} objects; check its uri, format and fields"
        )


def read_pieces(task: dict[str, Any], part: PartWriter) -> dict[str, Any]:
    """One task: its pieces to shards. Gives documents per source, what was met on the way, and the sha256 of
    fetched objects that had none before.
    """
    shards = Shards(part, task["number"] * SHARDS_PER_TASK)
    documents: Counter[str] = Counter()
    encodings: Counter[str] = Counter()
    auxiliary = 0
    fetched: dict[str, str] = {}
    losses = part.remembered()
    for number, piece in enumerate(task["pieces"]):
        item = SourceObject.model_validate(piece["item"])
        path, shard = _fetch(piece, item, number, part)
        if not item.sha256:
            fetched[f"{item.source}/{item.key}"] = shard
        request = Request(
            path=str(path),
            form=piece["form"],
            key=item.key,
            shard=shard,
            dump=task["dump"],
            settings=task["settings"][item.source],
            first_row=piece.get("row", 0),
            first_byte=piece.get("start", 0),
        )
        shards.begin(request.first_row)
        for answer in _outcomes(request, number, losses, part):
            if isinstance(answer, dict):
                auxiliary += answer["auxiliary"]
                if answer["rest"]:
                    shards.lose_rest(item, shard, answer, task["settings"][item.source]["language"])
            else:
                documents[item.source] += shards.add(answer, item.source, shard)
                encodings.update(e for e in answer["encoding"].to_pylist() if e is not None)
        path.unlink()
    shards.close()
    return {
        "documents": dict(documents),
        "encodings": dict(encodings),
        "auxiliary_records": {"skipped": auxiliary},
        "fetched": fetched,
    }


def _fetch(piece: dict[str, Any], item: SourceObject, number: int, part: PartWriter) -> tuple[Path, str]:
    """The piece as a local file, and the sha256 of its object, which a retry must find again."""
    if "start" in piece:
        path = fetch_piece(item, part.locations, part.scratch, piece["start"], piece["end"], piece["sha256"])
        return path, piece["shard"]
    path = fetch_object(item, part.locations, part.scratch)
    if item.sha256:
        return path, item.sha256
    found = file_digest(path)
    if part.remember(f"fetched-{number}", found) != found:
        raise DataError(
            f"source {item.source}: {item.key} has another content than at the last attempt; plan a new run"
        )
    return path, found


def _outcomes(request: Request, number: int, losses: dict[str, Any], part: PartWriter) -> Iterator[Any]:
    """The piece's outcomes; what earlier attempts lost to a crash, the clock or memory is lost again."""
    prefix = f"lost-{number}-"
    known = {name.removeprefix(prefix): why for name, why in losses.items() if name.startswith(prefix)}
    return read_outcomes(
        reader(part.config), request, known, lambda name, why: str(part.remember(f"{prefix}{name}", why))
    )


def write_objects(task: dict[str, Any], part: PartWriter) -> None:
    """The raw objects with the sha256 that they turned out to have when they were fetched."""
    listing = SourceListing.of(part.inputs["source"])
    found = task["fetched"]
    objects = [
        item.model_copy(update={"sha256": found.get(f"{item.source}/{item.key}", item.sha256)})
        for item in listing.objects
    ]
    named = listing.model_copy(update={"objects": objects})
    part.put_bytes(OBJECTS_FILE, canonical_json(named.model_dump()), "objects", rows=len(objects))


def form_of(item: SourceObject, form: str) -> str:
    """The format of an object: as its source says, else as its name does: jsonl, json, parquet, else an archive
    (warc: WARC, WET and ARC are told apart by their content).
    """
    if form != "auto":
        return "warc" if form == "wet" else form
    name = Path(item.key.partition("?")[0]).name.lower()
    for suffix in (".gz", ".zst", ".lz4"):
        name = name.removesuffix(suffix)
    for suffix, found in (
        (".jsonl", "jsonl"),
        (".ndjson", "jsonl"),
        (".json", "json"),
        (".parquet", "parquet"),
    ):
        if name.endswith(suffix):
            return found
    return "warc"


STEP = Step(
    name="ingest",
    version=7,
    config=Config,
    run=run,
    inputs=(Input("source"),),
    libraries=("fastwarc", "numba", "resiliparse", "zstandard"),
    makes="corpus",
    report=report,
)
