"""``tokenmill rules list``, ``tokenmill rules try`` and ``tokenmill rules report``."""

from __future__ import annotations

import argparse
import shutil
import unicodedata
from collections.abc import Iterable, Sequence
from itertools import zip_longest
from pathlib import Path

from steps.core.artifact import Artifact
from steps.core.config import parse_config
from steps.core.counts import Tally
from steps.core.errors import StorageFullError, UsageError
from steps.core.inspection import find_artifact
from steps.core.progress import human_bytes
from steps.core.source import source_kinds
from steps.filter.check import find_rules, with_bounds, with_rules_of
from steps.filter.config import Config, Rule
from steps.filter.cost import cost_section
from steps.filter.page import (
    Effects,
    effect_blocks,
    overlap_sections,
    rule_records,
    signal_sections,
    threshold_sections,
)
from steps.filter.stored import KIND, bound, conditions, judge_stored
from steps.filter.trial import MOVES, Trial, try_rules
from steps.report.blocks import Number, Numbers, Sample, SampleGroup, Samples, Section, Table, Tone
from steps.report.format import plain, share
from steps.report.look import Stage, look_at_removed, some_shards
from steps.report.render import Page, render

ROOTLESS = ("list",)  # actions that read no artifact
_SAMPLE_LINES = 6
_WIDEST = 180


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the command."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    listing = actions.add_parser("list", help="check a rule set and list its rules")
    listing.add_argument("--rules", default="default", help="a rule file or recipe, by name or path")
    trial = actions.add_parser(
        "try", help="say what other bounds would remove and keep, from stored signals, without a run"
    )
    trial.add_argument(
        "artifact", help="a filter artifact: filter/<start of its fingerprint>, or a reference"
    )
    trial.add_argument("rules", nargs="?", help="a rule file or recipe to try, by name or path")
    trial.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="RULE.max=N",
        dest="bounds",
        help="another bound, or RULE=off",
    )
    trial.add_argument("--output", type=Path, help="also write the answer as a page, samples side by side")
    report = actions.add_parser(
        "report", help="write a page with every signal, threshold, overlap, sample and cost"
    )
    report.add_argument(
        "artifact", help="a filter artifact: filter/<start of its fingerprint>, or a reference"
    )
    report.add_argument("--output", type=Path, help="the file to write (default: rules-<fingerprint>.html)")
    for action in (trial, report):  # also behind the action, where people write it
        action.add_argument(
            "--root", default=argparse.SUPPRESS, help="artifact root (default: $TOKENMILL_ROOT)"
        )


def execute(arguments: argparse.Namespace, root: str) -> None:
    """List, try or report."""
    if arguments.action == "list":
        print(rules_text(find_rules(arguments.rules)))
        return
    artifact = find_artifact(arguments.artifact, root)
    if artifact.step != "filter":
        raise UsageError(f"{artifact.ref} is an artifact of {artifact.step}, not of filter")
    old = parse_config(Config, artifact.config, "filter")
    if arguments.action == "report":
        path = arguments.output or Path(f"rules-{artifact.reference.fingerprint[:12]}.html")
        _write(path, rules_page(artifact, old))
        return
    if not arguments.rules and not arguments.bounds:
        raise UsageError("rules try needs a rule file, or --set RULE.max=NUMBER")
    new = with_rules_of(old, find_rules(arguments.rules)) if arguments.rules else old
    trial = try_rules(artifact, old, with_bounds(new, arguments.bounds))
    print(trial_text(trial, min(shutil.get_terminal_size((120, 40)).columns, _WIDEST)))
    if arguments.output:
        _write(arguments.output, trial_page(artifact, trial))


def _write(path: Path, page: bytes) -> None:
    try:
        path.write_bytes(page)
    except OSError as error:
        raise StorageFullError(f"{path}: {error.strerror}") from None
    print(path)


def rules_text(config: Config) -> str:
    """All rules as a table for a terminal, in the order in which they are tried."""
    rows = [
        (
            rule.id,
            rule.level,
            rule.language,
            rule.signal,
            f"{bound(rule)}{f' where {conditions(rule)}' if rule.where else ''}",
            rule.action,
            _exemptions(rule),
            rule.source,
        )
        for rule in config.rules
    ]
    levels = [
        f"{sum(r.level == level for r in config.rules)} {level}"
        for level in ("document", "paragraph", "sentence")
    ]
    head = ("rule", "level", "language", "signal", "bound", "action", "exempt", "source")
    return "\n".join([_columns([head, *rows]), "", f"{len(rows)} rules: {', '.join(levels)}"])


def _exemptions(rule: Rule) -> str:
    return ", ".join([*rule.exempt, *(f"source {name}" for name in rule.exempt_sources)]) or "-"


def trial_text(trial: Trial, width: int) -> str:
    """The answer of `rules try` for a terminal of ``width`` columns."""
    total, change = trial.total, trial.change
    lines = ["changed rules:" if change.changed else "no rule that stored signals decide differs"]
    lines += [f"  {line}" for line in change.changed]
    if change.unanswered:
        lines += ["needs a run over the texts, answered here as if unchanged:"]
        lines += [f"  {line}" for line in change.unanswered]
    lines += [
        "",
        _columns(
            [("source | language", "documents", "removed", "then", "newly removed", "newly kept")]
            + [(name, *cells) for name, cells in _group_cells(trial)],
            right=range(1, 6),
        ),
    ]
    rules = sorted({*trial.before, *trial.then}, key=lambda r: (-abs(trial.then[r] - trial.before[r]), r))
    moved = [
        (r, f"{trial.before[r]:,}", f"{trial.then[r]:,}") for r in rules if trial.before[r] != trial.then[r]
    ]
    if moved:
        lines += ["", _columns([("first reason of a removal", "before", "then"), *moved], right=(1, 2))]
    if total.gained.documents:
        lines += [
            "",
            f"{total.gained.documents:,} newly kept documents have not met the paragraph and sentence rules: "
            "a run may cut them, or drop what is left",
        ]
    lines += ["", *_side_by_side([trial.samples[move] for move in MOVES], width)]
    return "\n".join(lines)


def _group_cells(trial: Trial) -> Iterable[tuple[str, list[str]]]:
    """Name and figures of the whole and of every group that changes or lost something."""

    def cells(tallies: Sequence[Tally]) -> list[str]:
        return [f"{t.documents:,} ({human_bytes(t.bytes)})" for t in tallies]

    for name, group in [("all", trial.total), *sorted(trial.groups.items())]:
        yield name, cells([group.read, group.before, group.then, group.lost, group.gained])


def _columns(rows: Sequence[Sequence[str]], right: Iterable[int] = ()) -> str:
    """Rows as aligned columns; the last one as long as it is."""
    wide = [max(_cells(row[i]) for row in rows) for i in range(len(rows[0]))]
    to_right = set(right)
    lines = []
    for row in rows:
        cells = [_pad(cell, wide[i], i in to_right) for i, cell in enumerate(row)]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


def _cells(text: str) -> int:
    """Terminal cells that a text takes: two for wide characters (UAX #11)."""
    return sum(2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


def _pad(text: str, width: int, right: bool = False) -> str:
    space = " " * max(0, width - _cells(text))
    return space + text if right else text + space


def _wrap(text: str, width: int) -> list[str]:
    """Lines of at most ``width`` cells, broken anywhere, as crawled text has words of any length."""
    lines, line, used = [], "", 0
    for character in plain(" ".join(text.split()), _WIDEST * _SAMPLE_LINES):
        size = _cells(character)
        if used + size > width:
            lines.append(line)
            line, used = "", 0
        line, used = line + character, used + size
    return [*lines, line]


def _side_by_side(columns: Sequence[Sequence[Sample]], width: int) -> list[str]:
    """Newly removed texts on the left, newly kept ones on the right."""
    half = max(30, (width - 3) // 2)
    lines = [
        f"{_pad(f'NEWLY REMOVED ({len(columns[0])} shown)', half)} │ NEWLY KEPT ({len(columns[1])} shown)"
    ]
    for pair in zip_longest(*columns):
        blocks = [
            []
            if one is None
            else [*_wrap(one.caption, half)[:2], *(_wrap(one.text, half - 2)[:_SAMPLE_LINES])]
            for one in pair
        ]
        lines.append(f"{'─' * half}─┼─{'─' * half}")
        lines += [f"{_pad(a, half)} │ {b}".rstrip() for a, b in zip_longest(*blocks, fillvalue="")]
    return lines if any(columns) else ["no document moves"]


def trial_page(artifact: Artifact, trial: Trial) -> bytes:
    """The answer of `rules try` as a page."""
    total = trial.total
    whole = total.read.documents
    figures: list[tuple[str, Tally, Tone]] = [
        ("removed in the run", total.before, "plain"),
        ("would be removed", total.then, "plain"),
        ("newly removed", total.lost, "removed"),
        ("newly kept", total.gained, "kept"),
    ]
    numbers = Numbers(
        [
            Number(name, f"{t.documents:,}", f"{share(t.documents, whole)} · {human_bytes(t.bytes)}", tone)
            for name, t, tone in figures
        ]
    )
    columns = ["source | language", "documents", "removed", "then", "newly removed", "newly kept"]
    rows = [[name, *cells] for name, cells in _group_cells(trial)]
    reasons = sorted({*trial.before, *trial.then})
    changes = [
        *trial.change.changed,
        *(f"Needs a run over the texts: {line}" for line in trial.change.unanswered),
    ]
    tones: tuple[Tone, Tone] = ("removed", "kept")
    groups = [SampleGroup(name, trial.samples[name], tone) for name, tone in zip(MOVES, tones, strict=True)]
    sections = [
        Section("What would change", [numbers, Table("Rules", ["difference"], [[line] for line in changes])]),
        Section("Per source and language", [Table("", columns, rows)]),
        Section(
            "First reasons",
            [Table("", ["rule", "before", "then"], [[r, trial.before[r], trial.then[r]] for r in reasons])],
        ),
        Section(
            "Samples",
            [Samples("", groups, side_by_side=True)],
            note="Newly kept documents have not met the paragraph and sentence rules, which need a run.",
        ),
    ]
    return render(
        Page(
            "rules: a trial",
            sections,
            "What other bounds would do, from stored signals.",
            artifact.folder,
        )
    )


def rules_page(artifact: Artifact, config: Config) -> bytes:
    """`rules report`: every rule and signal of a filter artifact on one page."""
    stage = Stage.of_artifact(artifact)
    kinds = {**source_kinds(artifact.input("corpus")), **config.source_kinds}
    effects, entries = Effects(config.rules), artifact.files(KIND)
    near = {entry.meta["shard"] for entry in some_shards(entries)}  # texts are read from a bounded number
    for judged in judge_stored(artifact, entries, config.rules, kinds):
        effects.add(judged, nearest=judged.shard in near)
    records = rule_records(stage)
    cut = look_at_removed(stage).edited
    total = artifact.manifest.identity.counts.total
    active = sum(bool(r["documents"] or r["spans"]) for r in records)
    numbers = Numbers(
        [
            Number("rules", f"{len(records)}", f"{active} of them removed something"),
            Number("documents read", f"{total.input.documents:,}", human_bytes(total.input.bytes)),
            Number(
                "dropped",
                f"{total.removed.documents:,}",
                f"{share(total.removed.documents, total.input.documents)} · {human_bytes(total.removed.bytes)}",
                "removed",
            ),
            Number(
                "cut from kept documents",
                human_bytes(total.kept.bytes - total.written.bytes),
                f"{sum(r['spans'] for r in records):,} lines and sentences",
                "other",
            ),
        ]
    )
    sections = [
        Section("Effect", [numbers, *effect_blocks(records)]),
        *overlap_sections(effects),
        *signal_sections(effects, ""),
        *threshold_sections(effects, stage),
        Section(
            "Paragraphs and sentences",
            [Samples("", cut)],
            note="What each rule cut, highlighted in its document as it came in; three per rule, by a fixed draw.",
        ),
        cost_section(stage, config),
    ]
    lead = "Every rule of a filter run: what it removed, alone and with others, its threshold, its cost."
    return render(Page("rules", sections, lead, artifact.folder, f"tokenmill rules report {artifact.folder}"))
