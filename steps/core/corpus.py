"""A corpus: base shards of documents, with signal columns and keep-masks laid over them (CONTRACT §3)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from steps.core.artifact import Artifact, Files
from steps.core.counts import Tally
from steps.core.document import DIGEST_BYTES
from steps.core.errors import DataError
from steps.core.manifest import FileEntry

ROW = "_row"
BASE_INPUT = "corpus"


class CorpusShard:
    """One base shard with the overlays that lie on it."""

    def __init__(self, index: int, files: Files, entry: FileEntry) -> None:
        self.index, self.entry = index, entry
        self._files = files
        self._keeps: list[tuple[Files, FileEntry]] = []
        self._signals: list[tuple[Files, FileEntry]] = []
        self._digests: tuple[Files, FileEntry] | None = None

    @property
    def sha256(self) -> str:
        return self.entry.sha256

    @property
    def rows(self) -> int:
        assert self.entry.rows is not None
        return self.entry.rows

    @property
    def signal_names(self) -> list[str]:
        return sorted({name for _, entry in self._signals for name in entry.meta["columns"]})

    def keep(self) -> np.ndarray:
        """Which base rows are still kept: the AND of all masks, as a (rows,) bool array."""
        mask = np.ones(self.rows, dtype=bool)
        for files, entry in self._keeps:
            one = files.read_table(entry)["keep"].to_numpy(zero_copy_only=False)
            if len(one) != self.rows:
                raise DataError(f"{files.where(entry)} has {len(one)} rows for a shard of {self.rows}")
            mask &= one
        return mask

    def signals(self, names: Sequence[str] | None = None) -> pa.Table:
        """Signal columns (all, or those named) for every base row. A later overlay wins over an earlier one."""
        columns: dict[str, pa.ChunkedArray] = {}
        for files, entry in self._signals:
            wanted = [n for n in entry.meta["columns"] if names is None or n in names]
            if wanted:
                table = files.read_table(entry, wanted)
                if table.num_rows != self.rows:
                    raise DataError(
                        f"{files.where(entry)} has {table.num_rows} rows for a shard of {self.rows}"
                    )
                columns.update({name: table[name] for name in wanted})
        missing = sorted(set(names or ()) - set(columns))
        if missing:
            raise DataError(
                f"shard {self.sha256[:12]} has no signal {', '.join(missing)}; known: {self.signal_names}"
            )
        return pa.table({name: columns[name] for name in sorted(columns)})

    def read(
        self, columns: list[str] | None = None, *, kept: bool = True, signals: Sequence[str] | None = ()
    ) -> pa.Table:
        """Documents of the shard (only ``columns``), kept rows only unless ``kept`` is False.

        Adds the int64 column ``_row`` (row number in the base shard) and the ``signals`` named (None: all).
        """
        table = self._files.read_table(self.entry, columns)
        table = table.append_column(ROW, pa.array(np.arange(self.rows, dtype=np.int64)))
        if signals is None or signals:
            overlay = self.signals(signals)
            for name in overlay.column_names:
                table = table.append_column(name, overlay[name])
        return table.filter(pa.array(self.keep())) if kept else table

    def kept_text_digests(self) -> np.ndarray:
        """sha256 of each kept row's text, as an (n, 32) uint8 array, from the side file."""
        if self._digests is None:
            raise DataError(
                f"shard {self.sha256[:12]} has no text digests; it was not written by this contract"
            )
        files, entry = self._digests
        return np.frombuffer(files.read_bytes(entry), np.uint8).reshape(-1, DIGEST_BYTES)[self.keep()]


class Corpus:
    """The documents that an artifact stands for: its base, found by walking its ``corpus`` inputs, and all overlays."""

    def __init__(
        self, layers: Sequence[tuple[Files, Sequence[FileEntry]]], documents: str | None, name: str
    ) -> None:
        """``layers`` are files from the base upwards; every overlay file names its shard in ``meta``."""
        self.documents, self.name = documents, name
        base_files, base_entries = layers[0]
        shards = sorted((e for e in base_entries if e.kind == "shard"), key=lambda e: e.key)
        self.shards = [CorpusShard(i, base_files, entry) for i, entry in enumerate(shards)]
        # two shards may hold the same bytes (a re-post of a whole file): both get the overlay by key
        by_key: dict[str, CorpusShard] = {shard.entry.key: shard for shard in self.shards}
        for files, entries in layers:
            for entry in entries:
                if entry.kind not in ("keep", "signals", "text_digests"):
                    continue
                shard = by_key.get(entry.meta["shard_key"])
                if shard is None or shard.sha256 != entry.meta["shard"]:
                    raise DataError(f"{files.where(entry)} lies on a shard that {name} does not have")
                if entry.kind == "keep":
                    shard._keeps.append((files, entry))
                elif entry.kind == "signals":
                    shard._signals.append((files, entry))
                else:
                    shard._digests = (files, entry)

    @classmethod
    def open(cls, artifact: Artifact) -> Corpus:
        """The corpus of a committed artifact. Raises DataError if it holds no documents."""
        return cls(corpus_layers(artifact), artifact.manifest.identity.documents, artifact.reference.uri)

    @property
    def signal_names(self) -> list[str]:
        return self.shards[0].signal_names if self.shards else []

    def shard_by_sha(self) -> dict[str, CorpusShard]:
        return {shard.sha256: shard for shard in self.shards}

    def kept_rows(self) -> int:
        """How many documents are kept."""
        return sum(int(shard.keep().sum()) for shard in self.shards)

    def totals(self) -> Tally:
        """Documents and UTF-8 text bytes that are kept."""
        from steps.core.document import text_bytes

        total = Tally()
        for shard in self.shards:
            table = shard.read(["text"])
            total.add(table.num_rows, int(text_bytes(table["text"]).sum()))
        return total


def corpus_layers(artifact: Artifact) -> list[tuple[Files, Sequence[FileEntry]]]:
    """Files of the base artifact and of every overlay on it, base first."""
    layers: list[tuple[Files, Sequence[FileEntry]]] = []
    current = artifact
    while True:
        # not the artifact itself: a shard that goes to a worker would take the manifest along
        layers.append((Files(current.store, current.folder), current.files()))
        if current.manifest.identity.facts.get("makes") == "corpus":
            return layers[::-1]
        if not current.has_input(BASE_INPUT):
            raise DataError(f"{artifact.reference.uri} is not a corpus: no base shards below it")
        current = current.input(BASE_INPUT)
