"""What signals and rules cost, measured here and now on a sample of documents. Not part of any artifact."""

from __future__ import annotations

import cProfile
import pstats
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa

from steps.core.document import text_bytes
from steps.core.progress import human_bytes
from steps.filter.config import Config
from steps.filter.rules import outside
from steps.filter.signals import Measured, compile_words, measure
from steps.filter.stored import from_signals
from steps.report.blocks import Bar, Bars, Block, Number, Numbers, Section
from steps.report.look import Stage, some_shards

SAMPLE_BYTES = 2 << 20  # enough that one run takes a tenth of a second
SHARDS = 4
REPEATS = 3  # the fastest counts
STEPS = Path(__file__).parents[1]


class Texts(NamedTuple):
    """A sample of the documents that a filter run read."""

    text: pa.ChunkedArray
    languages: list[str]
    bytes: int


def sample_texts(stage: Stage) -> Texts:
    """The first documents of some shards of the input, up to SAMPLE_BYTES."""
    texts: list[pa.Table] = []
    shards = some_shards(list(stage.input_shards().values()), SHARDS)
    for shard in shards:
        table = shard.read(["text", "language"]).select(["text", "language"])
        sizes = text_bytes(table["text"]).cumsum()
        texts.append(table.slice(0, max(1, int((sizes <= SAMPLE_BYTES // len(shards)).sum()))))
    table = pa.concat_tables(texts)
    return Texts(table["text"], table["language"].to_pylist(), int(text_bytes(table["text"]).sum()))


def cost_section(stage: Stage, config: Config) -> Section:
    """Seconds per megabyte: of all signals, by function, of every word list and pattern; then of judging."""
    sample = sample_texts(stage)
    megabytes = max(sample.bytes, 1) / 1e6
    bare = config.model_copy(update={"word_lists": (), "patterns": ()})
    whole, without = _seconds(sample, config), sorted(_seconds(sample, bare) for _ in range(REPEATS))
    blocks: list[Block] = [
        Numbers(
            [
                Number(
                    "all signals",
                    f"{megabytes / whole:.1f} MB/s",
                    f"one core, {human_bytes(sample.bytes)}",
                ),
                Number("without word lists and patterns", f"{megabytes / without[0]:.1f} MB/s"),
            ]
        ),
        Bars(
            "Where the time goes", _by_function(sample, config, megabytes), note="Own time of each function."
        ),
        Bars(
            "Word lists and patterns",
            _by_measure(sample, config, bare, without, megabytes),
            note="Each one alone, over the time without any. Together they cost less: one pass looks for all words. "
            "What takes less than runs without any differ by is not told apart.",
        ),
        Bars(
            "Judging",
            _by_rule(sample, config),
            note="Comparing signals with the rule's bound, per 1,000 documents.",
        ),
    ]
    note = "Processor time on this machine, measured by this command, the fastest of three; it is stored nowhere."
    return Section("Cost", blocks, note=note)


def _fastest(work: Callable[[], object]) -> float:
    """Seconds of processor time, so that what else the machine does is no cost of ours."""
    best = float("inf")
    for _ in range(REPEATS):
        began = time.process_time()
        work()
        best = min(best, time.process_time() - began)
    return best


def _measured(sample: Texts, config: Config) -> Measured:
    return measure(sample.text, sample.languages, compile_words(config))


def _seconds(sample: Texts, config: Config) -> float:
    compile_words(config)  # building the automaton is done once per process, not per megabyte
    return _fastest(lambda: _measured(sample, config))


def _by_function(sample: Texts, config: Config, megabytes: float) -> list[Bar]:
    """Own time of our functions, compiled kernels counted with their caller; those below one per cent together."""
    profile = cProfile.Profile(time.process_time)
    _measured(sample, config)
    profile.runcall(_measured, sample, config)
    own: dict[str, float] = {}
    for (file, _, function), (_, _, seconds, _, _) in pstats.Stats(profile).stats.items():  # type: ignore[attr-defined]
        path = Path(file)
        name = f"{path.stem}.{function}" if path.is_relative_to(STEPS) else "libraries"
        own[name] = own.get(name, 0.0) + seconds
    small = {name for name, seconds in own.items() if seconds < 0.01 * sum(own.values())}
    shown = {name: seconds for name, seconds in own.items() if name not in small}
    shown["others"] = sum(own[name] for name in small)
    order = sorted(shown.items(), key=lambda item: (-item[1], item[0]))
    return [Bar(name, {"plain": s}, f"{1000 * s / megabytes:.2f} ms per MB") for name, s in order]


def _by_measure(
    sample: Texts, config: Config, bare: Config, without: list[float], megabytes: float
) -> list[Bar]:
    found: list[tuple[str, str, float]] = []
    for category in sorted({words.category for words in config.word_lists}):
        lists = tuple(words for words in config.word_lists if words.category == category)
        seconds = _seconds(sample, bare.model_copy(update={"word_lists": lists})) - without[0]
        found.append((category, f"{sum(len(words.words) for words in lists):,} words", seconds))
    for pattern in config.patterns:
        seconds = _seconds(sample, bare.model_copy(update={"patterns": (pattern,)})) - without[0]
        found.append((pattern.name, "a pattern", seconds))
    noise = without[-1] - without[0]
    told = sorted((item for item in found if item[2] > noise), key=lambda item: (-item[2], item[0]))
    bars = [
        Bar(name, {"plain": s}, f"{1000 * s / megabytes:.2f} ms per MB", detail) for name, detail, s in told
    ]
    return [
        *bars,
        Bar(f"{len(found) - len(told)} others", {}, f"under {1000 * noise / megabytes:.2f} ms per MB each"),
    ]


def _by_rule(sample: Texts, config: Config) -> list[Bar]:
    signals = _measured(sample, config).document
    thousands = max(len(sample.languages), 1) / 1000
    found = [
        (rule.id, _fastest(lambda rule=rule: outside(rule, signals)) / thousands)  # type: ignore[misc]
        for rule in config.rules
        if from_signals(rule) and rule.signal in signals
    ]
    found.sort(key=lambda item: (-item[1], item[0]))
    return [Bar(name, {"plain": seconds}, f"{1e6 * seconds:.1f} µs") for name, seconds in found]
