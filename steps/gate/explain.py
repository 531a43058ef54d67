"""Why a verdict is what it is: worst classes, examples, and the stored signals that set the bad documents apart."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from steps.core import statistics
from steps.core.artifact import Artifact
from steps.core.corpus import Corpus
from steps.core.errors import DataError
from steps.core.verdict import Verdict, arithmetic

EXCERPT = 240
SIGNALS_SHOWN = 5
RATES = (0.0, 0.1, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0)  # of the limit: true rates whose chance to pass is told


def explain(verdict: Verdict, sample: Artifact, corpus: Artifact | None) -> list[dict[str, Any]]:
    """Per defect class, worst first: how many, examples with the place of the finding, nearest stored signals."""
    columns = ["sample_id", "doc_id", "stratum", "shard", "row", "text"]
    table = sample.read_table(sample.file("sample.parquet"), columns)
    rows = {row["sample_id"]: row for row in table.to_pylist()}
    spans = {
        row["sample_id"]: (row["start"] or 0)
        for row in sample.read_table(sample.file("automatic.parquet"), ["sample_id", "start"]).to_pylist()
    }
    values = signal_values(sample, corpus) if corpus is not None and verdict.defective else None
    classes = []
    for defect, documents in verdict.defects.items():
        shown = [e for e in verdict.examples if defect in e.defects]
        examples = []
        for example in shown:
            row = rows[example.sample_id]
            start = max(0, spans[example.sample_id] - 40)
            examples.append({**example.model_dump(), "excerpt": row["text"][start : start + EXCERPT]})
        addresses = {(rows[e.sample_id]["shard"], rows[e.sample_id]["row"]) for e in shown}
        signals = nearest_signals(values, addresses) if values is not None else []
        classes.append({"defect": defect, "documents": documents, "examples": examples, "signals": signals})
    return classes


def signal_values(sample: Artifact, corpus: Artifact) -> pa.Table | None:
    """The stored numeric signals of the sampled rows, with their (shard, row); None where there are none."""
    opened = Corpus.open(corpus)
    if not opened.signal_names:
        return None
    columns = ["shard", "row"]
    table = sample.read_table(sample.file("sample.parquet"), columns)
    wanted: dict[str, set[int]] = {}
    for row in table.to_pylist():
        wanted.setdefault(row["shard"], set()).add(row["row"])
    parts = []
    for shard in opened.shards:
        numbers = sorted(wanted.get(shard.sha256, ()))
        if numbers:
            signals = shard.signals().take(pa.array(numbers))
            signals = signals.append_column("shard", pa.array([shard.sha256] * len(numbers), pa.string()))
            parts.append(signals.append_column("row", pa.array(numbers, pa.int64())))
    return pa.concat_tables(parts, promote_options="permissive") if parts else None


def nearest_signals(values: pa.Table, bad: set[tuple[str, int]]) -> list[dict[str, Any]]:
    """Signals whose bound would catch at least half of the bad documents at the least cost in good ones.

    For each signal and direction the bound is the median of the bad documents; the five that take the fewest of the
    others, below 5 %, are returned. They are hints for the next round, not rules.
    """
    addresses = zip(values["shard"].to_pylist(), values["row"].to_pylist(), strict=True)
    is_bad = np.array([address in bad for address in addresses])
    if not is_bad.any() or is_bad.all():
        return []
    found = []
    for name in values.column_names:
        column = values[name]
        if name == "row" or not (pa.types.is_floating(column.type) or pa.types.is_integer(column.type)):
            continue
        numbers = pc.cast(column, pa.float64()).to_numpy(zero_copy_only=False)
        with_value = is_bad & np.isfinite(numbers)
        if not with_value.any():
            continue
        bound = float(np.quantile(numbers[with_value], 0.5, method="lower"))
        for direction, caught in ((">=", numbers >= bound), ("<=", numbers <= bound)):
            good_share = float(caught[~is_bad].mean())
            if good_share < 0.05:
                found.append(
                    {
                        "signal": name,
                        "direction": direction,
                        "bound": round(bound, 6),
                        "caught": int(caught[is_bad].sum()),
                        "of": int(is_bad.sum()),
                        "good_share": good_share,
                    }
                )
    found.sort(key=lambda item: (item["good_share"], -item["caught"], item["signal"]))
    return found[:SIGNALS_SHOWN]


def operating_characteristic(verdict: Verdict) -> list[tuple[float, float]]:
    """(true defect rate, chance to pass) for corpora of this size that the same readers read as far as this one.

    Rates are shares of the limit, in whole documents. Empty where this reading can let nothing pass, whatever it finds.
    """
    policy, size = verdict.policy, verdict.population
    ceiling = statistics.allowed_defects(size, policy.limit)
    bound = arithmetic(policy).defect_bound
    most = -1
    while (
        most < verdict.read
        and bound(most + 1, size, verdict.read, verdict.sensitivity, verdict.alpha) <= ceiling
    ):
        most += 1
    if most < 0 or not verdict.seeded:
        return []
    found = verdict.seeded_found / verdict.seeded
    counts = sorted({math.ceil(share * policy.limit * size - 1e-9) for share in RATES})
    return [
        (count / size, statistics.probability_at_most(most, size, count, verdict.read, found))
        for count in counts
        if count <= size
    ]


def as_text(verdict: Verdict, classes: list[dict[str, Any]]) -> str:
    """The explanation for a terminal."""
    lines = [f"verdict: {verdict.status}", *(f"  {reason}" for reason in verdict.reasons)]
    lines.append(
        f"  read {verdict.read} of {verdict.population}, defective {verdict.defective} ({verdict.rate:.4%}), "
        f"upper bound {verdict.bound_rate:.4%}, limit {verdict.policy.limit:.4%}"
    )
    lines.append(
        f"  readers {', '.join(verdict.readers) or 'none'}; found {verdict.seeded_found} of {verdict.seeded} seeded "
        f"defects, sensitivity at least {verdict.sensitivity:.2%}"
    )
    chances = ", ".join(f"{rate:.4%}: {chance:.1%}" for rate, chance in operating_characteristic(verdict))
    lines.append(f"  chance to pass by true defect rate: {chances or 'none, whatever is found'}")
    for item in classes:
        lines.append(f"{item['defect']}: {item['documents']} documents")
        for signal in item["signals"]:
            lines.append(
                f"  signal {signal['signal']} {signal['direction']} {signal['bound']} would have caught "
                f"{signal['caught']} of {signal['of']}, and {signal['good_share']:.2%} of the good ones"
            )
        for example in item["examples"]:
            excerpt = " ".join(example["excerpt"].split())
            printable = "".join(c if c.isprintable() else "\ufffd" for c in excerpt)
            lines.append(f"  {example['doc_id']} ({example['stratum']}): {printable[:160]}")
    return "\n".join(lines)


def explain_artifact(gate: Artifact, verdict: Verdict) -> str:
    """The explanation of a committed verdict. Raises DataError if its inputs cannot be read."""
    if not gate.has_input("sample"):
        raise DataError(f"{gate.reference.uri} is not a verdict")
    return as_text(verdict, explain(verdict, gate.input("sample"), gate.input("corpus")))
