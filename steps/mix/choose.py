"""Which rows are held out, which each stage takes, and in which order. Arrays in, arrays out.

Tokens are known only when pack has encoded the documents. A data set that is asked for in tokens, and every replay,
is therefore planned with documents to spare, in the order in which they are to be taken (`rank`), and with a quota:
pack takes documents of it until the quota is met to the token.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from steps.mix.config import Amount, Config
from steps.mix.keys import derive

STAGES = (1, 2, 3)
REPLAY_SALT, ORDER_SALT = 100, 200
NO_QUOTA = -1
# What is planned for a quota. LLaMA's tokenizers need at most 4.7 bytes per token over many documents (English web
# text with LLaMA 3's 128,256 pieces; Ziya2 Table 2 gives 2.5 for code to 3.6), and one document more or less is noise.
MOST_BYTES_PER_TOKEN = 8
# Documents of a quota that surely fit into it: what later stages replay has been trained on.
LEAST_BYTES_PER_TOKEN = 2
# Between the bytes per token of any two data sets there is less than this (2.5 to 4.7, see above).
REPLAY_RESERVE = 3


@dataclass
class Rows:
    """All documents of all data sets: parallel arrays of length n."""

    key: np.ndarray  # uint64, seeded by (shard, row)
    text_key: np.ndarray  # uint64, seeded by text
    bytes: np.ndarray  # int64
    data_set: np.ndarray  # int32, index into `sets`; -1: the recipe does not use it
    group: np.ndarray  # int32, index into `groups`
    sets: list[str]  # "web/<source>", "web/<source>/<topic>" or "supervised/<source>"
    groups: list[str]  # held-out sets: a language, a topic, or a task


@dataclass
class Taken:
    """Rows that a stage takes of one data set: parallel arrays."""

    rows: np.ndarray  # int64
    passes: np.ndarray  # int64
    quota: int = NO_QUOTA  # index into `Choice.quotas`

    @property
    def rank(self) -> np.ndarray:
        """The turn of each row within its data set."""
        return np.arange(len(self.rows), dtype=np.int64)


@dataclass
class Plan:
    """One stage in training order: parallel arrays."""

    rows: np.ndarray
    passes: np.ndarray
    replayed: np.ndarray  # bool
    quota: np.ndarray  # int16
    rank: np.ndarray


@dataclass
class Choice:
    """The stages, the held-out rows, the quotas that pack has to meet, and what was asked for in vain."""

    heldout: np.ndarray
    plans: dict[int, Plan] = field(default_factory=dict)
    sets: list[dict[str, Any]] = field(default_factory=list)
    quotas: list[dict[str, Any]] = field(default_factory=list)
    shortfalls: list[dict[str, Any]] = field(default_factory=list)

    def add_quota(self, **quota: Any) -> int:
        """The number of a new quota."""
        self.quotas.append(quota)
        return len(self.quotas) - 1


def choose(rows: Rows, config: Config) -> Choice:
    """Hold out, take each set's amount, add replay, order. Depends on keys only, never on the order of rows."""
    choice = Choice(hold_out(rows, config))
    own: dict[int, list[Taken]] = {stage: [] for stage in STAGES}
    for index, name in enumerate(rows.sets):
        free = np.flatnonzero((rows.data_set == index) & ~choice.heldout)
        ranked = free[np.argsort(rows.key[free], kind="stable")]
        amounts = config.amounts(name)
        pieces = divide(ranked, rows, [amount.tokens or 0 for amount in amounts.values()])
        for (stage, amount), mine in zip(amounts.items(), pieces, strict=True):
            own[stage].append(take(mine, rows, amount, choice, name, stage))
    for stage in STAGES:
        replays = [
            replay(own[origin], own[stage], rows, share, stage, origin, choice)
            for origin, share in replay_shares(stage, config).items()
            if share > 0
        ]
        choice.plans[stage] = in_order(stage, own[stage], replays, rows)
    return choice


def in_order(stage: int, own: list[Taken], replays: list[Taken], rows: Rows) -> Plan:
    """All that a stage takes, in the stage's seeded order."""
    every = [*own, *replays]

    def joined(values: list[np.ndarray], kind: Any) -> np.ndarray:
        return np.concatenate(values).astype(kind) if values else np.zeros(0, kind)

    picked = joined([t.rows for t in every], np.int64)
    passes = joined([t.passes for t in every], np.int64)
    # Each pass draws its own numbers from a row's key: with the same bits changed in all, it would keep neighbours.
    # The last line leaves stages of one pass in the order that they have had.
    keys = derive(derive(rows.key[picked], ORDER_SALT + stage), passes)
    keys ^= derive(np.zeros(1, np.uint64), stage)
    # A row is taken once per pass, so (key, row, pass) is unique and the order total.
    order = np.lexsort((passes, picked, keys))
    sizes = [len(t.rows) for t in every]
    replayed = np.repeat([False] * len(own) + [True] * len(replays), sizes).astype(bool)
    quota = np.repeat([t.quota for t in every], sizes).astype(np.int16)
    rank = joined([t.rank for t in every], np.int64)
    return Plan(picked[order], passes[order], replayed[order], quota[order], rank[order])


def hold_out(rows: Rows, config: Config) -> np.ndarray:
    """Mask of held-out rows: per group those with the smallest text keys, and every copy of their text anywhere."""
    cuts = [np.zeros(0, np.uint64)]
    used = rows.data_set >= 0
    for group in range(len(rows.groups)):
        keys = np.unique(rows.text_key[(rows.group == group) & used])
        count = min(config.heldout_documents, int(len(keys) * config.heldout_max_share))
        cuts.append(keys[:count])
    return np.isin(rows.text_key, np.concatenate(cuts))


def divide(ranked: np.ndarray, rows: Rows, tokens: list[int]) -> list[np.ndarray]:
    """Documents of a set for each of its stages, none for two, with bytes in proportion to their ``tokens``."""
    if len(tokens) < 2:
        return [ranked] * len(tokens)
    size = np.cumsum(rows.bytes[ranked])
    bounds = np.cumsum(tokens)[:-1] / sum(tokens) * (size[-1] if len(size) else 0)
    return np.split(ranked, np.searchsorted(size, bounds, side="right"))


def take(ranked: np.ndarray, rows: Rows, amount: Amount, choice: Choice, name: str, stage: int) -> Taken:
    """The first rows that ``amount`` asks for; what cannot be supplied is noted, never repeated."""
    noted: dict[str, Any] = {"stage": stage, "set": name}
    if amount.tokens is not None:
        picked = _until(ranked, rows, amount.tokens * MOST_BYTES_PER_TOKEN)
        taken = Taken(
            picked, np.zeros(len(picked), np.int64), choice.add_quota(**noted, tokens=amount.tokens)
        )
        choice.sets.append(_size(noted | {"tokens": amount.tokens}, picked, rows))
        return taken
    if amount.documents is not None:
        asked, unit = amount.documents, "documents"
        taken = Taken(ranked[:asked], np.zeros(min(asked, len(ranked)), np.int64))
        supplied = len(taken.rows)
    elif amount.bytes is not None:
        asked, unit = amount.bytes, "bytes"
        picked = _until(ranked, rows, asked)
        taken, supplied = Taken(picked, np.zeros(len(picked), np.int64)), int(rows.bytes[picked].sum())
    else:
        epochs = 1.0 if amount.epochs is None else amount.epochs
        whole, rest = int(epochs), round((epochs - int(epochs)) * len(ranked))
        picked = np.concatenate([np.tile(ranked, whole), ranked[:rest]])
        passes = np.concatenate([np.repeat(np.arange(whole), len(ranked)), np.full(rest, whole)])
        taken = Taken(picked, passes)
        asked, unit, supplied = len(picked), "documents", len(picked)
    choice.sets.append(_size(noted, taken.rows, rows))
    if supplied < asked:
        choice.shortfalls.append(noted | {"unit": unit, "asked": asked, "supplied": supplied})
    return taken


def replay(
    origin_sets: list[Taken],
    own_sets: list[Taken],
    rows: Rows,
    share: float,
    stage: int,
    origin: int,
    choice: Choice,
) -> Taken:
    """A random sample of an earlier stage's documents, each at most once, for ``share`` times this stage's own tokens.

    More are planned than that takes, however the bytes per token of the two differ.
    """
    size = sum(int(rows.bytes[taken.rows].sum()) for taken in own_sets)
    trained = [np.zeros(0, np.int64), *(_surely(taken, rows, choice) for taken in origin_sets)]
    unique = np.unique(np.concatenate(trained))
    ranked = unique[np.argsort(derive(rows.key[unique], REPLAY_SALT + 10 * stage + origin), kind="stable")]
    picked = _until(ranked, rows, int(size * share * REPLAY_RESERVE))
    noted: dict[str, Any] = {"stage": stage, "set": f"replay/stage_{origin}"}
    choice.sets.append(_size(noted | {"multiple_of_own_tokens": share}, picked, rows))
    return Taken(picked, np.zeros(len(picked), np.int64), choice.add_quota(**noted, multiple=share))


def _surely(taken: Taken, rows: Rows, choice: Choice) -> np.ndarray:
    if taken.quota == NO_QUOTA:
        return taken.rows
    return _until(taken.rows, rows, choice.quotas[taken.quota]["tokens"] * LEAST_BYTES_PER_TOKEN)


def _until(ranked: np.ndarray, rows: Rows, size: int) -> np.ndarray:
    """The first rows whose bytes reach ``size`` together; all where they do not."""
    if size <= 0:
        return ranked[:0]
    return ranked[: int(np.searchsorted(np.cumsum(rows.bytes[ranked]), size, side="left")) + 1]


def _size(noted: dict[str, Any], picked: np.ndarray, rows: Rows) -> dict[str, Any]:
    return noted | {"documents": len(picked), "bytes": int(rows.bytes[picked].sum())}


def replay_shares(stage: int, config: Config) -> dict[int, float]:
    """Which earlier stages a stage samples, and how much, as a multiple of its own tokens."""
    return {
        1: {},
        2: {1: config.stage_2_replay},
        3: {1: config.stage_3_replay_1, 2: config.stage_3_replay_2},
    }[stage]
