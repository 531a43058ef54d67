"""The sample dump of the demo, and how much of what was planted in it the data factory found."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from demo import generator
from demo.inbox import files_below
from steps.core.store import keys_in_environment

SEED = 1
_STAGES = ("ingest", "preprocess", "score", "filter", "deduplicate")
# A copy and its original may share a URL; what should stay is then taken for what stayed.
_RANK = {"keep": 0, "edit": 0, "defect": 0, "deduplicate": 1}


@dataclass(frozen=True)
class Sample:
    """Files of the sample by their key: the crawl dump, the reference texts, the supervised records."""

    dump: dict[str, Path]
    reference: dict[str, Path]
    supervised: dict[str, Path]


def sample_files(state: Path, say: Callable[[str], None]) -> Sample:
    """Generate the sample below ``state`` (a third of a second, the same bytes each time)."""
    folder = state / "sample"
    say("writing the sample dump")
    generator.write_dump(folder, seed=SEED)
    dump = next(path for path in (folder / "planted").glob("*.json")).stem
    return Sample(
        files_below(folder / dump), files_below(folder / "reference"), files_below(folder / "supervised")
    )


def planted_and_found(
    state: Path, results: Mapping[str, Mapping[str, Any]], environment: Mapping[str, str]
) -> list[str]:
    """Lines that say, per stage, how many of the planted records it should remove went, and where.

    ``results``: the task results of the data factory's run; ``environment``: AWS_* of their store. Empty
    where the run did not get as far as de-duplication.
    """
    if not all(stage in results for stage in _STAGES):
        return []
    content = json.loads(next((state / "sample" / "planted").glob("*.json")).read_text(encoding="utf-8"))
    records = sorted(content["records"], key=lambda record: _RANK.get(record["stage"], 2))
    with keys_in_environment(environment):
        kept = {stage: _kept(results[stage]["ref"]) for stage in _STAGES}
    gone = removals(records, kept)
    lines = ["what was planted in the sample, and what became of it"]
    for stage in ("ingest", "preprocess", "filter", "deduplicate"):
        fates = [fate for record, fate in gone if record["stage"] == stage]
        where = ", ".join(f"{count} by {name}" for name, count in Counter(filter(None, fates)).most_common())
        lines.append(f"  {len(fates):4d} for {stage}: {len(fates) - fates.count('')} removed ({where})")
    clean = [fate for record, fate in gone if record["stage"] in ("keep", "edit")]
    lost = ", ".join(f"{count} by {name}" for name, count in Counter(filter(None, clean)).most_common())
    lines.append(
        f"  {len(clean):4d} to be kept: {clean.count('')} kept" + (f" (removed: {lost})" if lost else "")
    )
    texts = kept["deduplicate"]
    for record, fate in gone:
        if record["stage"] == "edit" and not fate:
            left = [string for string in record["strings"] if any(string in t for t in texts[record["url"]])]
            if left:
                lines.append(f"       {record['kind']} left in {record['url']}")
    edited = sum(1 for record, fate in gone if record["stage"] == "edit" and not fate)
    lines.append(f"  {edited:4d} of them to be kept without what was planted in them")
    return lines


def removals(
    records: list[dict[str, Any]], kept: Mapping[str, Mapping[str, list[str]]]
) -> list[tuple[dict[str, Any], str]]:
    """Each record with the stage that removed it, or "" where it is there at the end.

    ``kept``: per stage, the texts by URL that it left. Records of one URL are told apart by their order. Of an
    original and its copies, the one that stayed counts as the original.
    """
    by_url: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for record in records:
        by_url[record["url"]].append(record)
    fates = [
        (record, next((stage for stage in _STAGES if number >= len(kept[stage].get(url, ()))), ""))
        for url, group in by_url.items()
        for number, record in enumerate(group)
    ]
    # De-duplication keeps the better one of a pair, which may be the copy: the pair counts, not which of them.
    originals = {record["url"]: i for i, (record, fate) in enumerate(fates) if fate == "deduplicate"}
    for i, (record, fate) in enumerate(fates):
        if record["copy_of"] and not fate and record["copy_of"] in originals:
            original = originals.pop(record["copy_of"])
            fates[i], fates[original] = (record, "deduplicate"), (fates[original][0], "")
    return fates


def _kept(reference: str) -> dict[str, list[str]]:
    from steps.core.artifact import Artifact
    from steps.core.corpus import Corpus

    found: dict[str, list[str]] = defaultdict(list)
    for shard in Corpus.open(Artifact.open(reference)).shards:
        table = shard.read(columns=["url", "text"])
        for url, text in zip(table.column("url").to_pylist(), table.column("text").to_pylist(), strict=True):
            found[url].append(text)
    return found
