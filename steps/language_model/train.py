"""Trains a SentencePiece and a KenLM model from normalised lines. No store, no config object."""

from __future__ import annotations

import io
import os
import re
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path

import sentencepiece

from steps.core.errors import ConfigError, DataError, StepError, StorageFullError
from steps.core.memory import host_memory

REPOSITORY = Path(__file__).resolve().parents[2]
GIB = 1 << 30


def find_lmplz() -> tuple[Path, Path]:
    """(lmplz, build_binary): TOKENMILL_LMPLZ, else PATH, else .tokenmill/bin of the checkout.

    Raises ConfigError where one of the two is missing.
    """
    named = os.environ.get("TOKENMILL_LMPLZ")
    found = named or shutil.which("lmplz")
    lmplz = Path(found) if found else REPOSITORY / ".tokenmill" / "bin" / "lmplz"
    for program in (lmplz, lmplz.with_name("build_binary")):
        if not os.access(program, os.X_OK) or program.is_dir():
            where = f"TOKENMILL_LMPLZ={named}" if named else "TOKENMILL_LMPLZ, PATH and .tokenmill/bin"
            raise ConfigError(
                f"KenLM's {program.name} was not found ({where}): run `make setup`, which builds it, "
                "or set TOKENMILL_LMPLZ to an lmplz that has build_binary beside it"
            )
    return lmplz, lmplz.with_name("build_binary")


def memory_bytes() -> int:
    """Sorting memory for lmplz: a quarter of this machine's or container's, 256 MiB to 8 GiB.

    It changes how often lmplz writes to disk, not its result.
    """
    return max(GIB // 4, min(8 * GIB, host_memory() // 4))


def train_pieces(
    lines: Iterable[str],
    *,
    vocabulary: int,
    character_coverage: float,
    max_line_bytes: int,
    threads: int,
) -> bytes:
    """The SentencePiece model learned from normalised lines, as bytes that no path or clock enters.

    A corpus that holds fewer pieces than `vocabulary` gets what it holds. Raises DataError where there is
    too little text, ConfigError where its characters alone exceed `vocabulary`.
    """
    out = io.BytesIO()
    try:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(lines),  # a file's path would become part of the model
            model_writer=out,
            model_type="unigram",
            vocab_size=vocabulary,
            hard_vocab_limit=False,
            character_coverage=character_coverage,
            max_sentence_length=max_line_bytes,
            input_sentence_size=0,
            shuffle_input_sentence=False,
            num_threads=threads,
            minloglevel=2,
        )
    except (RuntimeError, OSError) as error:
        text = " ".join(str(error).split())
        if needed := re.search(r"smaller than required_chars\. \d+ vs (\d+)", text):
            raise ConfigError(
                f"vocabulary={vocabulary} is smaller than the number of characters in the corpus; "
                f"set it to {needed[1]} at least, or lower character_coverage"
            ) from None
        raise DataError(
            f"SentencePiece cannot learn pieces from this corpus, is it too small? {text:.300}"
        ) from None
    return out.getvalue()


def encode_lines(pieces: sentencepiece.SentencePieceProcessor, lines: Iterable[str]) -> bytes:
    """Lines as pieces with spaces between them, one line each, UTF-8."""
    encoded = pieces.encode(list(lines), out_type=str, num_threads=1)
    return "".join(" ".join(line) + "\n" for line in encoded).encode()


def _run(command: list[str], what: str) -> None:
    """Runs a program; its last words become the error. Exit by signal is reported as such."""
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False)
    if done.returncode == 0:
        return
    text = done.stderr.decode("utf-8", "replace").replace("\r", "\n")
    words = [line.strip() for line in text.split("\n") if line.strip() and not set(line) <= set("-*=. ")]
    last = " / ".join(words[-3:])[:600]
    if "No space left" in text:
        raise StorageFullError(f"{what}: no space left for temporary files: {last}")
    if done.returncode < 0:
        raise StepError(f"{what} was killed by signal {-done.returncode} (9: usually out of memory): {last}")
    raise DataError(f"{what} failed with status {done.returncode}: {last}")


def train_ngrams(
    pieces: Path,
    model: Path,
    *,
    order: int,
    prune: tuple[int, ...],
    structure: str,
    scratch: Path,
    memory: int | None = None,
) -> None:
    """Writes the binary KenLM `model` counted from a file of piece lines, by lmplz and build_binary.

    `memory` (bytes) and `scratch` do not change the result.
    """
    lmplz, build_binary = find_lmplz()
    arpa = scratch / "lm.arpa"
    command = [str(lmplz), "-o", str(order), "--discount_fallback", "--skip_symbols"]
    command += ["-S", f"{(memory or memory_bytes()) >> 20}M", "-T", str(scratch / "lmplz-")]
    command += ["--text", str(pieces), "--arpa", str(arpa)]
    if prune:
        command += ["--prune", *map(str, prune)]
    _run(command, "lmplz")
    _run([str(build_binary), "-T", str(scratch / "build-"), structure, str(arpa), str(model)], "build_binary")
    arpa.unlink()
