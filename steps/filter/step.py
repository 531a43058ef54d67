"""filter: kept documents → a corpus without bad documents, paragraphs and sentences."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from steps.core.corpus import ROW, Corpus, CorpusShard
from steps.core.document import PAIR, is_supervised, text_bytes
from steps.core.errors import DataError, StepError
from steps.core.parts import PartResult
from steps.core.source import source_kinds
from steps.core.step import Input, PartWriter, Step, StepContext
from steps.filter.classifiers import add_classifiers, load
from steps.filter.config import Config, Rule
from steps.filter.names import DOCUMENT, ENDINGS, NO_CONTENT, SCORED, is_optional
from steps.filter.page import report
from steps.filter.report import merge_effects, rule_effects, rule_table
from steps.filter.rules import (
    Edits,
    add_above,
    applicable,
    edits_of,
    first_rule,
    judge_documents,
    judge_spans,
    rebuild,
)
from steps.filter.signals import Measured, compile_words, measure, set_endings
from steps.filter.urls import listed, load_lists, word_score

BATCH_BYTES = 8 << 20  # text measured at once; tokens and signals take about 25 times that


def run(ctx: StepContext) -> None:
    """Filter shard by shard, then look whether a source was wiped out, and write what each rule did."""
    kinds = {**source_kinds(ctx.inputs["corpus"]), **ctx.config.source_kinds}
    shards = [{"shard": shard.index, "kinds": kinds} for shard in ctx.corpus().shards]
    parts = ctx.map("filter", filter_shard, shards)
    effects = merge_effects([part.result for part in parts])
    raise_on_wipe_out(ctx.config, parts, effects)
    table = rule_table(ctx.config.rules, effects)
    ctx.part("report", write_report, {"rules": table})
    ctx.set(
        "rules", {rule: effect["documents"] + effect["spans"] for rule, effect in sorted(effects.items())}
    )
    for record in table:
        if record["documents"]:
            ctx.metric(f"corpus/rule_documents_{record['rule']}", record["documents"])
        if record["spans"]:
            ctx.metric(f"corpus/rule_spans_{record['rule']}", record["spans"])


def raise_on_wipe_out(config: Config, parts: list[PartResult], effects: dict[str, Any]) -> None:
    """DataError where a source lost more than its share."""
    taken: dict[str, int] = {}
    gone: dict[str, int] = {}
    for part in parts:
        for name, group in part.counts.groups.items():
            source = name.rpartition("|")[0]
            taken[source] = taken.get(source, 0) + group.input.documents
            gone[source] = gone.get(source, 0) + group.removed.documents
    for source, documents in sorted(taken.items()):
        if documents < config.wipe_out_min_documents or source in config.wipe_out_allowed:
            continue
        if gone[source] > config.max_source_loss * documents:
            worst = sorted(effects, key=lambda rule: (-effects[rule]["documents"], rule))[:3]
            raise DataError(
                f"wipe_out: the rules drop {gone[source]} of {documents} documents of source {source}, more than "
                f"filter.max_source_loss {config.max_source_loss:g} (most active: {', '.join(worst)}); change "
                "rule_overrides or source_kinds, or name the source in filter.wipe_out_allowed"
            )


def filter_shard(task: dict[str, Any], part: PartWriter) -> dict[str, Any]:
    """One shard; returns the effects of each rule."""
    corpus = Corpus.open(part.inputs["corpus"])
    shard = corpus.shards[task["shard"]]
    table = shard.read(signals=None if shard.signal_names else ())
    # whatever columns the documents have go through: those of supervised sets too
    columns = [name for name in table.column_names if name not in (ROW, *shard.signal_names)]
    schema = pa.schema([table.schema.field(name) for name in columns], metadata=table.schema.metadata)
    carried = [name for name in shard.signal_names if not name.startswith("rule_")]
    effects, written, measured = [], [], []
    table = _quarantine_large(table, shard, part)
    # an empty shard goes through as one empty batch, so that all shards have the same signals
    for batch in batches(table) if table.num_rows else [table]:
        batch, found = measured_batch(batch, shard, part)
        kept, signals, effect = filter_batch(batch, found, shard, task["kinds"], carried, part)
        effects.append(effect)
        written.append(kept)
        measured.append(signals)
    kept = pa.concat_tables(written)
    signals = kept.select([name for name in kept.column_names if name not in columns])
    part.put_shard(shard.index, kept.select(columns).cast(schema), signals)
    part.put_table(
        f"rule_signals/{shard.index:05d}.parquet",
        pa.concat_tables(measured),
        "rule_signals",
        shard=shard.sha256,
        shard_key=shard.entry.key,
    )
    return merge_effects(effects)


def _quarantine_large(table: pa.Table, shard: CorpusShard, part: PartWriter) -> pa.Table:
    """The table without documents that are too large to measure, which are counted and set aside."""
    sizes = text_bytes(table["text"])
    for i in np.flatnonzero(sizes > part.config.max_document_bytes).tolist():
        _quarantine(table.slice(i, 1), shard, part, "document_too_large")
    return table.filter(pa.array(sizes <= part.config.max_document_bytes))


def _quarantine(
    one: pa.Table, shard: CorpusShard, part: PartWriter, reason: str, detail: str | None = None
) -> None:
    """Counts one document as taken and set aside."""
    row, size = (
        one.select(["_row", "source", "language", "doc_id"]).to_pylist()[0],
        int(text_bytes(one["text"])[0]),
    )
    part.count.add_input(row["source"], row["language"], 1, size)
    part.quarantine(
        reason=reason,
        shard=shard.sha256,
        row=row["_row"],
        bytes=size,
        source=row["source"],
        language=row["language"],
        doc_id=row["doc_id"],
        detail=detail,
    )


def batches(table: pa.Table) -> Iterator[pa.Table]:
    """Slices of at most BATCH_BYTES of text (or one document)."""
    ends = np.cumsum(text_bytes(table["text"]))
    at = 0
    while at < table.num_rows:
        before = int(ends[at - 1]) if at else 0
        stop = max(at + 1, int(np.searchsorted(ends, before + BATCH_BYTES, side="right")))
        yield table.slice(at, stop - at)
        at = stop


def measured_batch(table: pa.Table, shard: CorpusShard, part: PartWriter) -> tuple[pa.Table, Measured]:
    """The documents that can be measured, and their signals; one at which a kernel raises is set aside."""
    words = compile_words(part.config)

    models = {name: load(artifact.ref) for name, artifact in part.input_list("classifiers").items()}
    lists = tuple(sorted({digest for digests in part.config.url_lists.values() for digest in digests}))
    entries = load_lists(part.store.uri, lists)

    def signals(some: pa.Table) -> Measured:
        found = measure(some["text"], some["language"].to_pylist(), words)
        add_classifiers(found, models)
        urls = [url or "" for url in some["url"].to_pylist()]
        for name in SCORED.keys() & set(some.column_names):
            found.document[name] = some[name].to_numpy(zero_copy_only=False).astype(np.float64)
        found.document["url_listed"] = listed(urls, entries)
        found.document["url_words"] = word_score(urls, part.config.url_words)
        add_above(part.config.rules, found)
        return found

    try:
        return table, signals(table)
    except (StepError, MemoryError):
        raise
    except Exception:  # whatever a kernel raises on a text: find the text
        well = np.ones(table.num_rows, dtype=bool)
        for i in range(table.num_rows):
            try:
                signals(table.slice(i, 1))
            except Exception as error:
                well[i] = False
                _quarantine(table.slice(i, 1), shard, part, "kernel_error", type(error).__name__)
        table = table.filter(pa.array(well))
        return table, signals(table)


def filter_batch(
    table: pa.Table,
    found: Measured,
    shard: CorpusShard,
    kinds: dict[str, str],
    carried: list[str],
    part: PartWriter,
) -> tuple[pa.Table, pa.Table, dict[str, Any]]:
    """(kept rows with signals, rule signals of all rows, effects) of some documents of a shard."""
    config: Config = part.config
    rules = config.rules
    sources, languages = table["source"].to_pylist(), table["language"].to_pylist()
    doc_ids, sizes = table["doc_id"].to_pylist(), text_bytes(table["text"])
    # a source of no recipe: its documents say themselves what they are
    said = table["metadata"].to_pylist() if set(sources) - set(kinds) else [None] * len(sources)
    kind = [
        kinds.get(source) or json.loads(metadata or "{}").get("kind") or "web"
        for source, metadata in zip(sources, said, strict=True)
    ]
    judged = applicable(rules, languages, kind, sources)
    fired = judge_documents(rules, found.document, judged, after_edits=False)
    stays = ~fired.any(axis=0)
    edits, dropped = _edits(config, found, judged & stays)
    fired |= dropped
    pieces = _edited(found, edits, _prompt_ends(table))
    emptied = _emptied(found, edits, pieces)
    for number, (rule_number, _) in emptied.items():
        fired[rule_number, number] = True
    stays &= ~fired.any(axis=0)
    _measure_loss(config, found, edits)
    after = judge_documents(rules, found.document, judged, after_edits=True) & stays
    fired |= after
    reason = first_rule(fired)
    keep = reason < 0
    edits = Edits(*(column[keep[edits.document]] for column in edits))
    rows = table["_row"].to_numpy()
    _count(part, rules, sources, languages, sizes, reason, pieces)
    for i in np.flatnonzero(~keep).tolist():
        rule = rules[reason[i]]
        others = [rules[n].id for n in np.flatnonzero(fired[:, i]).tolist() if n != reason[i]]
        part.ledger.add(
            rule=rule.id,
            shard=shard.sha256,
            row=rows[i],
            doc_id=doc_ids[i],
            source=sources[i],
            language=languages[i],
            value=float(found.document[rule.signal][i]) if rule.level == "document" else None,
            bytes=sizes[i],
            detail=", ".join(others) or (emptied[i][1] if i in emptied else None),
        )
    _record_edits(part, config, found, edits, rows, doc_ids, sources, languages, shard)
    effects = rule_effects(rules, fired, sizes, doc_ids, edits)
    kept, signals = _tables(table, found, pieces, reason, config, carried, shard)
    return kept, signals, effects


def _count(
    part: PartWriter,
    rules: Sequence[Rule],
    sources: list[str],
    languages: list[str],
    sizes: np.ndarray,
    reason: np.ndarray,
    pieces: dict[int, list[bytes]],
) -> None:
    """Counts the documents as taken, and as kept or removed by the rule `reason` (int64[documents], -1 kept)."""
    sums: dict[
        tuple[str, str, int], list[int]
    ] = {}  # documents, bytes, bytes that are written if they are kept
    for i, key in enumerate(zip(sources, languages, reason.tolist(), strict=True)):
        size = int(sizes[i])
        written = len(b"\n".join(pieces[i])) if i in pieces else size
        before = sums.setdefault(key, [0, 0, 0])
        sums[key] = [a + b for a, b in zip(before, (1, size, written), strict=True)]
    for (source, language, rule), (documents, size, written) in sums.items():
        part.count.add_input(source, language, documents, size)
        if rule < 0:
            part.count.add_kept(source, language, documents, size, written=written)
        else:
            part.count.add_removed(rules[rule].id, source, language, documents, size)


def _edits(config: Config, found: Measured, applicable: np.ndarray) -> tuple[Edits, np.ndarray]:
    """(removals of lines and sentences, bool[rules, documents] of span rules that drop the document).

    Rules on how a document ends are judged last, on what the others leave of it.
    """
    rules = config.rules
    document = found.lines.parent[found.sentences.parent]
    ending = np.array([rule.signal in ENDINGS for rule in rules], dtype=bool)
    early = applicable & ~ending[:, np.newaxis]
    on_lines = judge_spans(rules, "paragraph", found.paragraph, found.lines.parent, early)
    on_sentences = judge_spans(rules, "sentence", found.sentence, document, early)
    late = applicable & ending[:, np.newaxis]
    removes = {}
    for name in ENDINGS:
        removing = [rule.signal == name and rule.action == "remove_sentence" for rule in rules]
        removes[name] = np.any(np.compress(removing, late, axis=0), axis=0)
    line_gone = np.asarray(on_lines.any(axis=0))
    set_endings(found, line_gone[found.sentences.parent] | on_sentences.any(axis=0), removes)
    on_sentences |= judge_spans(rules, "sentence", found.sentence, document, late)
    dropped = np.zeros(applicable.shape, dtype=bool)
    for i, rule in enumerate(rules):
        if rule.level != "document" and rule.action == "drop":
            dropped[i, found.lines.parent[on_lines[i]]] = True
            dropped[i, document[on_sentences[i]]] = True
            on_lines[i] = on_sentences[i] = False
    return edits_of(rules, found, on_lines, on_sentences), dropped


def _measure_loss(config: Config, found: Measured, edits: Edits) -> None:
    """Adds left_characters and lost_share to the document signals. Repeats and link lists are no loss of content."""
    documents = len(found.document["characters"])
    characters = found.document["characters"]
    line = np.searchsorted(found.lines.start, edits.start, side="right") - 1
    sentence = np.searchsorted(found.sentences.start, edits.start, side="right") - 1
    whole = found.lines.end[line] == edits.end
    whole &= found.lines.start[line] == edits.start
    size = np.where(whole, found.paragraph["characters"][line], found.sentence["characters"][sentence])
    empty = np.array([rule.signal in NO_CONTENT for rule in config.rules])
    left = characters - np.bincount(edits.document, weights=size, minlength=documents)
    lost = np.bincount(edits.document, weights=size * ~empty[edits.rule], minlength=documents)
    found.document["left_characters"] = left
    found.document["lost_share"] = np.round(np.divide(lost, np.maximum(characters, 1)), 6)


def _prompt_ends(table: pa.Table) -> np.ndarray | None:
    """int64[documents]: where in its text, in bytes, a document's prompt ends; None of plain documents."""
    return text_bytes(table[PAIR[0]]) if is_supervised(table.column_names) else None


def _edited(found: Measured, edits: Edits, prompt_ends: np.ndarray | None) -> dict[int, list[bytes]]:
    """By number of a document that loses something, its new text: in one piece, or as prompt and response.

    No span is in both, since a line end is between them.
    """
    pieces = {}
    numbers, first = np.unique(edits.document, return_index=True)
    bounds = np.append(first, len(edits.document))
    for i, number in enumerate(numbers.tolist()):
        a, b = bounds[i], bounds[i + 1]
        begin, stop = found.offsets[number], found.offsets[number + 1]
        text, start, end = found.data[begin:stop].tobytes(), edits.start[a:b] - begin, edits.end[a:b] - begin
        if prompt_ends is None:
            pieces[number] = [rebuild(text, start, end)]
            continue
        cut = int(prompt_ends[number])
        later, at = start > cut, cut + 1
        prompt = text[:cut] if later.all() else rebuild(text[:cut], start[~later], end[~later])
        response = rebuild(text[at:], start[later] - at, end[later] - at) if later.any() else text[at:]
        pieces[number] = [prompt, response]
    return pieces


def _emptied(found: Measured, edits: Edits, pieces: dict[int, list[bytes]]) -> dict[int, tuple[int, str]]:
    """By number of a document that lost its whole prompt or response: the rule of an edit in it, and a detail.

    What is left is no pair, so the document goes.
    """
    emptied = {}
    for number, fields in pieces.items():
        if len(fields) < len(PAIR):
            continue
        for name, field, edit in zip(PAIR, fields, (0, -1), strict=True):
            if not field.strip():
                mine = np.flatnonzero(edits.document == number)  # in text order: the prompt's come first
                emptied[number] = int(edits.rule[mine[edit]]), f"nothing is left of its {name}"
    return emptied


def _record_edits(
    part: PartWriter,
    config: Config,
    found: Measured,
    edits: Edits,
    rows: np.ndarray,
    doc_ids: list[str],
    sources: list[str],
    languages: list[str],
    shard: CorpusShard,
) -> None:
    """One ledger row per removed span, with byte offsets in the text as it was read."""
    for number, start, end, rule, value, level in zip(*(column.tolist() for column in edits), strict=True):
        begin = int(found.offsets[number])
        part.ledger.add(
            rule=config.rules[rule].id,
            level=level,
            action="edited",
            shard=shard.sha256,
            row=rows[number],
            doc_id=doc_ids[number],
            source=sources[number],
            language=languages[number],
            start=start - begin,
            end=end - begin,
            bytes=end - start,
            value=value,
        )


def _tables(
    table: pa.Table,
    found: Measured,
    pieces: dict[int, list[bytes]],
    reason: np.ndarray,
    config: Config,
    carried: list[str],
    shard: CorpusShard,
) -> tuple[pa.Table, pa.Table]:
    """(kept documents with carried and rule signals; of every row its rule signals, group, size and who dropped it).

    The second is what `tokenmill rules try` judges again, without the texts.
    """
    edited = {"text": [b"\n".join(fields) for fields in pieces.values()]}
    if is_supervised(table.column_names):
        edited |= {name: [fields[i] for fields in pieces.values()] for i, name in enumerate(PAIR)}
    changed = np.zeros(table.num_rows, dtype=bool)
    changed[list(pieces)] = True
    rows = table["_row"]
    origin = pa.StructArray.from_arrays(
        [pa.array([shard.sha256] * table.num_rows), rows.combine_chunks().cast(pa.int64())], ["shard", "row"]
    )
    whole = table.select(
        [n for n in table.column_names if n in carried or n not in (ROW, *shard.signal_names)]
    )
    made = {
        name: pc.replace_with_mask(table[name], changed, pa.array(texts, table[name].type))
        for name, texts in edited.items()
    }
    for name, values in (*made.items(), ("origin", origin)):
        whole = whole.set_column(whole.column_names.index(name), name, values)
    optional = sorted(name for name in found.document if is_optional(name))
    names = [f"{n}_per_1000" for n in config.measures()] + [f"{n}_lines" for n in config.measures()]
    signals = {f"rule_{name}": pa.array(found.document[name]) for name in [*DOCUMENT, *optional, *names]}
    for name, values in signals.items():
        whole = whole.append_column(name, values)
    rule = pa.array([None if n < 0 else config.rules[n].id for n in reason.tolist()], pa.string())
    known = {name: table[name] for name in ("doc_id", "source", "language")}
    known["bytes"] = pa.array(text_bytes(table["text"]))
    return whole.filter(pa.array(reason < 0)), pa.table({"row": rows, "rule": rule, **known, **signals})


def write_report(task: dict[str, Any], part: PartWriter) -> None:
    """rules.json: what each rule did."""
    text = json.dumps(task["rules"], ensure_ascii=False, indent=1, sort_keys=True)
    part.put_bytes("rules.json", text.encode(), "rules_report")


STEP = Step(
    name="filter",
    version=8,
    config=Config,
    run=run,
    inputs=(Input("corpus"), Input("classifiers", optional=True, many=True)),
    libraries=("fasttext-predict", "numba"),
    makes="corpus",
    report=report,
)
