"""From decisions to masks: one keep-mask, ledger and index file per shard."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from steps.core.artifact import Files
from steps.core.dedup_index import INDEX
from steps.core.document import text_bytes
from steps.core.errors import DataError
from steps.core.manifest import FileEntry
from steps.core.parts import PartWriter
from steps.deduplicate.config import Config
from steps.deduplicate.exchange import put_runs, read_run, read_runs, split
from steps.deduplicate.keys import doc_id_text, settings_digest
from steps.deduplicate.match import DECISIONS
from steps.deduplicate.sources import Source, all_sources, row_of, source_of

STAGES = ("url", "text", "near")
RULES = {"url": "duplicate_url", "text": "exact_duplicate", "near": "near_duplicate"}


def collect(task: dict[str, Any], part: PartWriter) -> None:
    """All decisions about one bucket of sources in one run file, partitioned by source."""
    files = Files(part.store, task["folder"])
    tables = []
    for stage, name in enumerate(STAGES):
        found = read_runs(files, task["decisions"][name], task["bucket"])
        if found is not None:
            tables.append(found.append_column("stage", pa.array(np.full(found.num_rows, stage, np.uint8))))
    decisions = pa.concat_tables(tables).sort_by("place") if tables else DECISIONS.empty_table()
    runs = split(decisions, source_of(decisions["place"].to_numpy()))
    put_runs(part, f"decided/{task['bucket']:05d}.runs", runs)


def write_shard(task: dict[str, Any], part: PartWriter) -> dict[str, list[int]]:
    """Mask, ledger, counts and index of one shard; returns [reached the near stage, removed there] by source."""
    files, number = Files(part.store, task["folder"]), task["source"]
    sources = all_sources(part.inputs)
    shard = sources[number].shard
    documents = shard.read(["doc_id", "source", "language", "text"])
    sizes, rows = text_bytes(documents["text"]), documents["_row"].to_numpy()
    names, languages = documents["source"].to_pylist(), documents["language"].to_pylist()
    decided = _decisions(files, task["decisions"], number)
    doc_ids = documents["doc_id"]
    near: dict[str, list[int]] = {}
    kept = np.ones(len(rows), bool)
    for i, (row, size) in enumerate(zip(rows.tolist(), sizes.tolist(), strict=True)):
        group = (names[i] or "", languages[i] or "")
        part.count.add_input(*group, 1, size)
        decision = decided.get(row)
        stage = None if decision is None else STAGES[decision["stage"]]
        tally = near.setdefault(group[0], [0, 0])
        tally[0] += stage in (None, "near")
        tally[1] += stage == "near"
        if decision is None or stage is None:
            part.count.add_kept(*group, 1, size)
            continue
        kept[i] = False
        part.count.add_removed(RULES[stage], *group, 1, size)
        _record(part, sources, decision, RULES[stage], doc_ids[i].as_py(), group, shard.sha256, row, size)
    mask = shard.keep()
    mask[rows[~kept]] = False
    part.put_keep(shard, mask)
    keys = files.read_table(FileEntry.model_validate(task["keys"])).filter(pa.array(kept))
    part.put_table(
        f"{INDEX}/{shard.entry.key.rpartition('/')[2]}",
        keys,
        INDEX,
        shard=shard.sha256,
        shard_key=shard.entry.key,
        settings=settings_digest(part.config),
    )
    return near


def _decisions(files: Files, entry: dict[str, Any], number: int) -> dict[int, dict[str, Any]]:
    table = read_run(files, entry, number)
    if table is None:
        return {}
    rows = row_of(table["place"].to_numpy()).tolist()
    return dict(zip(rows, table.to_pylist(), strict=True))


def _record(
    part: PartWriter,
    sources: tuple[Source, ...],
    decision: dict[str, Any],
    rule: str,
    doc_id: str,
    group: tuple[str, str],
    shard: str,
    row: int,
    size: int,
) -> None:
    match = np.array([decision["match"]], np.uint64)
    other = sources[int(source_of(match)[0])]
    part.ledger.add(
        rule=rule,
        shard=shard,
        row=row,
        bytes=size,
        doc_id=doc_id,
        source=group[0],
        language=group[1],
        value=decision["similarity"],
        detail=other.note,
        match_shard=other.shard.sha256,
        match_row=int(row_of(match)[0]),
        match_doc_id=doc_id_text(decision["match_high"], decision["match_low"]),
        distance=decision["distance"],
        similarity=decision["similarity"],
    )


def check_wipe_out(near: dict[str, list[int]], config: Config) -> None:
    """Raise DataError naming every source that lost more of its documents to near duplicates than is allowed."""
    lost = [
        f"{name or '(no source)'}: {removed} of {reached} ({removed / reached:.0%})"
        for name, (reached, removed) in sorted(near.items())
        if reached >= config.alarm_min_documents and removed > config.max_source_removal * reached
    ]
    if lost:
        raise DataError(
            f"near-duplicate removal would take more than max_source_removal {config.max_source_removal:.0%} "
            f"of a source: {'; '.join(lost)}; look at the ledger's pairs, then raise similarity, lower hamming, or "
            "raise max_source_removal if they are right"
        )
