"""Which rows are held out, which each stage takes, and in which order. Arrays in, arrays out."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from steps.mix.config import Amount, Config
from steps.mix.keys import derive

STAGES = (1, 2, 3)
REPLAY_SALT, ORDER_SALT = 100, 200


@dataclass
class Rows:
    """All documents of all data sets: parallel arrays of length n."""

    key: np.ndarray  # uint64, seeded by (shard, row)
    text_key: np.ndarray  # uint64, seeded by text
    bytes: np.ndarray  # int64
    data_set: np.ndarray  # int32, index into `sets`; -1: the recipe does not use it
    group: np.ndarray  # int32, index into `groups`
    sets: list[str]  # "web/<source>" or "supervised/<source>"
    groups: list[str]  # held-out sets: a language, or a task


@dataclass
class Choice:
    """Rows of each stage in training order, with the pass that each row belongs to; held-out rows; what was short."""

    rows: dict[int, np.ndarray] = field(default_factory=dict)
    passes: dict[int, np.ndarray] = field(default_factory=dict)
    replayed: dict[int, np.ndarray] = field(default_factory=dict)
    heldout: np.ndarray = field(default_factory=lambda: np.zeros(0, bool))
    sets: list[dict[str, object]] = field(default_factory=list)
    shortfalls: list[dict[str, object]] = field(default_factory=list)


def choose(rows: Rows, config: Config) -> Choice:
    """Hold out, take each set's amount, add replay, order. Depends on keys only, never on the order of rows."""
    choice = Choice(heldout=hold_out(rows, config))
    own: dict[int, list[tuple[np.ndarray, np.ndarray]]] = {stage: [] for stage in STAGES}
    for index, name in enumerate(rows.sets):
        stage, amount = amount_of(name, config)
        free = np.flatnonzero((rows.data_set == index) & ~choice.heldout)
        taken, passes = take(free, rows, amount, choice, name, stage)
        own[stage].append((taken, passes))
    joined = {
        stage: tuple(map(_concatenate, zip(*own[stage], strict=True))) if own[stage] else _nothing()
        for stage in STAGES
    }
    for stage in STAGES:
        taken, passes = joined[stage]
        size = int(rows.bytes[taken].sum())
        replays = [_nothing()]
        for origin, share in replay_shares(stage, config).items():
            replays.append(replay(joined[origin][0], rows, int(size * share), stage, origin, choice))
        replayed, replay_passes = map(_concatenate, zip(*replays, strict=True))
        all_rows, all_passes = np.concatenate([taken, replayed]), np.concatenate([passes, replay_passes])
        keys = derive(derive(rows.key[all_rows], ORDER_SALT + stage), 0) ^ derive(
            all_passes.astype(np.uint64), stage
        )
        # A row is taken once per pass, so (key, row, pass) is unique and the order total.
        order = np.lexsort((all_passes, all_rows, keys))
        choice.rows[stage], choice.passes[stage] = all_rows[order], all_passes[order]
        choice.replayed[stage] = (np.arange(len(all_rows)) >= len(taken))[order]
    return choice


def hold_out(rows: Rows, config: Config) -> np.ndarray:
    """Mask of held-out rows: per group those with the smallest text keys, and every copy of their text anywhere."""
    cuts: list[np.ndarray] = []
    used = rows.data_set >= 0
    for group in range(len(rows.groups)):
        keys = np.unique(rows.text_key[(rows.group == group) & used])
        count = min(config.heldout_documents, int(len(keys) * config.heldout_max_share))
        cuts.append(keys[:count])
    return np.isin(rows.text_key, _concatenate(cuts))


def amount_of(name: str, config: Config) -> tuple[int, Amount]:
    """The stage and amount of a data set named as in `Rows.sets`."""
    kind, _, source = name.partition("/")
    if kind == "supervised":
        found = config.supervised[source]
        return found.stage, found
    return 1, config.web.get(source, config.web.get("*", Amount()))


def take(
    free: np.ndarray, rows: Rows, amount: Amount, choice: Choice, name: str, stage: int
) -> tuple[np.ndarray, np.ndarray]:
    """The rows that ``amount`` asks for and the pass of each; what cannot be supplied is noted, never repeated."""
    ranked = free[np.argsort(rows.key[free], kind="stable")]
    sizes = rows.bytes[ranked]
    if amount.documents is not None:
        asked, unit = amount.documents, "documents"
        picked, passes = ranked[:asked], np.zeros(min(asked, len(ranked)), np.int64)
        supplied = len(picked)
    elif amount.bytes is not None:
        asked, unit = amount.bytes, "bytes"
        count = int(np.searchsorted(np.cumsum(sizes), asked, side="left")) + 1
        picked = ranked[:count]
        passes, supplied = np.zeros(len(picked), np.int64), int(rows.bytes[picked].sum())
    else:
        epochs = 1.0 if amount.epochs is None else amount.epochs
        whole, rest = int(epochs), round((epochs - int(epochs)) * len(ranked))
        picked = np.concatenate([np.tile(ranked, whole), ranked[:rest]])
        passes = np.concatenate([np.repeat(np.arange(whole), len(ranked)), np.full(rest, whole)])
        asked, unit, supplied = len(picked), "documents", len(picked)
    size = int(rows.bytes[picked].sum())
    choice.sets.append({"stage": stage, "set": name, "documents": len(picked), "bytes": size})
    if supplied < asked:
        choice.shortfalls.append(
            {"stage": stage, "set": name, "unit": unit, "asked": asked, "supplied": supplied}
        )
    return picked, passes.astype(np.int64)


def replay(
    origin_rows: np.ndarray, rows: Rows, size: int, stage: int, origin: int, choice: Choice
) -> tuple[np.ndarray, np.ndarray]:
    """A random sample of an earlier stage's documents, ``size`` bytes or a little more; each at most once."""
    unique = np.unique(origin_rows)
    ranked = unique[np.argsort(derive(rows.key[unique], REPLAY_SALT + 10 * stage + origin), kind="stable")]
    total = np.cumsum(rows.bytes[ranked])
    count = 0 if size == 0 else int(np.searchsorted(total, size, side="left")) + 1
    picked = ranked[:count]
    supplied = int(rows.bytes[picked].sum())
    name = f"replay/stage_{origin}"
    choice.sets.append({"stage": stage, "set": name, "documents": len(picked), "bytes": supplied})
    if supplied < size:
        choice.shortfalls.append(
            {"stage": stage, "set": name, "unit": "bytes", "asked": size, "supplied": supplied}
        )
    return picked, np.zeros(len(picked), np.int64)


def replay_shares(stage: int, config: Config) -> dict[int, float]:
    """Which earlier stages a stage samples, and how much, as a multiple of its own bytes."""
    return {
        1: {},
        2: {1: config.stage_2_replay},
        3: {1: config.stage_3_replay_1, 2: config.stage_3_replay_2},
    }[stage]


def _concatenate(arrays: object) -> np.ndarray:
    found = list(arrays)  # type: ignore[call-overload]
    return np.concatenate(found) if found else np.zeros(0, np.uint64)


def _nothing() -> tuple[np.ndarray, np.ndarray]:
    return np.zeros(0, np.int64), np.zeros(0, np.int64)
