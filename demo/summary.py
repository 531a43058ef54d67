"""What came out: read from the task results and artifacts of the three runs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from plugins.inbox import s3_client
from steps.core.pipeline import PIPELINES

_REASONS = 8  # most frequent removal reasons that are shown per stage


@dataclass(frozen=True)
class Outcome:
    """One DAG run and the results of its tasks by section."""

    dag: str
    run_id: str
    results: dict[str, dict[str, Any]]


def lines(outcomes: list[Outcome], planted: list[str] | None = None) -> Iterator[str]:
    """The summary, line by line. ``planted``: what the sample's generator says of its defects, if known."""
    for outcome in outcomes:
        yield ""
        yield f"{outcome.dag}  ({outcome.run_id})"
        yield from _table(outcome)
        if outcome.dag == "data_factory":
            yield from _verdict(outcome.results.get("gate") or {})
        if outcome.dag == "continual_pretraining":
            yield from _training(outcome.results)
    if planted:
        yield ""
        yield from planted


def _table(outcome: Outcome) -> Iterator[str]:
    head = ("stage", "documents in", "bytes in", "removed", "quarantined", "kept", "bytes written", "")
    rows: list[tuple[str, ...]] = [head]
    reasons: list[str] = []
    for stage in PIPELINES[outcome.dag]:
        result = outcome.results.get(stage.section)
        if result is None:
            rows.append((stage.section, "did not run", "", "", "", "", "", ""))
            continue
        counts = result.get("counts") or {}
        total = counts.get("total") or {}
        if _of(total, "input"):
            cells = [_of(total, "input"), _of(total, "input", "bytes"), _of(total, "removed")]
            cells += [_of(total, "quarantined"), _of(total, "kept"), _of(total, "written", "bytes")]
            row = tuple(f"{cell:,}" for cell in cells)
        else:
            row = ("", "", "", "", "", "")
        rows.append((stage.section, *row, "re-used" if result.get("cached") else ""))
        reasons += _removals(stage.section, counts)
    widths = [max(len(row[column]) for row in rows) for column in range(len(head))]
    for row in rows:
        first, *rest = (
            cell.ljust(w) if i == 0 else cell.rjust(w)
            for i, (cell, w) in enumerate(zip(row, widths, strict=True))
        )
        yield f"  {first}  {'  '.join(rest)}".rstrip()
    yield from reasons


def _removals(section: str, counts: dict[str, Any]) -> Iterator[str]:
    for kind in ("removed_by", "quarantined_by"):
        found = sorted((counts.get(kind) or {}).items(), key=lambda item: (-item[1]["documents"], item[0]))
        for reason, tally in found[:_REASONS]:
            verb = "removed" if kind == "removed_by" else "quarantined"
            yield f"    {section} {verb} {tally['documents']:,} for {reason} ({tally['bytes']:,} bytes)"
        if len(found) > _REASONS:
            rest = sum(tally["documents"] for _, tally in found[_REASONS:])
            yield f"    {section}: {len(found) - _REASONS} more reasons, {rest:,} documents"


def _of(total: dict[str, Any], name: str, unit: str = "documents") -> int:
    return int((total.get(name) or {}).get(unit, 0))


def _verdict(gate: dict[str, Any]) -> Iterator[str]:
    facts = gate.get("facts") or {}
    if "status" not in facts:
        return
    yield f"  verdict: {facts['status']}, readers: {', '.join(map(str, facts.get('readers', [])))}"
    yield (
        f"    {facts['defective']} of {facts['read']} documents read are defective ({facts['rate']:.3%}), "
        f"of {facts['population']} in all"
    )
    yield f"    upper bound {facts['bound_rate']:.3%} ({facts['bound']} documents), limit {facts['limit']:.3%}"
    yield f"    readers found {facts['seeded_found']} of {facts['seeded']} seeded defects"
    yield from (f"    {reason}" for reason in facts.get("reasons", []))


def _training(results: dict[str, dict[str, Any]]) -> Iterator[str]:
    for section, result in results.items():
        facts = result.get("facts") or {}
        if section.startswith("train") and "loss" in facts:
            held = (facts.get("heldout_loss") or {}).items()
            groups = ", ".join(f"{name} {_fall(loss)}" for name, loss in sorted(held))
            yield f"  {section}: loss {_fall(facts['loss'])}" + (f"; held out: {groups}" if groups else "")
    if export := results.get("export"):
        yield f"  exported model: {export['uri']}"


def _fall(loss: dict[str, float]) -> str:
    return f"{loss['first']:.2f} → {loss['last']:.2f}"


def download_model(environment: dict[str, str], result: dict[str, Any], folder: Any) -> Any:
    """Copy the exported model's files into ``folder/<digest>``; returns that path.

    The artifact's manifest says which object is which file.
    """
    from steps.core.manifest import Manifest, Reference

    reference = Reference.parse(result["ref"])
    bucket, _, prefix = reference.root.removeprefix("s3://").partition("/")
    client = s3_client(environment)
    base = f"{prefix}/{reference.folder}".lstrip("/")
    body = client.get_object(Bucket=bucket, Key=f"{base}/manifest.json")["Body"].read()
    target = folder / result["digest"][:12]
    for entry in Manifest.model_validate_json(body).identity.files:
        path = target / entry.key
        if path.exists() and path.stat().st_size == entry.bytes:
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        client.download_file(bucket, f"{base}/{entry.object_name}", str(path))
    return target
