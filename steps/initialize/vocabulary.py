"""The base's tokenizer, whichever file it is, and the same with characters added."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from steps.core.errors import ConfigError
from steps.initialize import fast, tokenizer
from steps.initialize.characters import Candidate, most_useful

SENTENCEPIECE, FAST, SETTINGS = "tokenizer.model", "tokenizer.json", "tokenizer_config.json"
Encode = Callable[[list[str]], list[list[int]]]


@dataclass(frozen=True)
class Base:
    """A tokenizer as it was: its file's name and content, and how many ids it has."""

    name: str
    data: bytes
    size: int

    @classmethod
    def of_folder(cls, folder: Path) -> Base:
        """SentencePiece's model where the folder has one, else the fast tokenizer. Raises ConfigError for neither."""
        for name in (SENTENCEPIECE, FAST):
            if (folder / name).is_file():
                return cls.of(name, (folder / name).read_bytes())
        raise ConfigError(f"the base has neither {SENTENCEPIECE} nor {FAST}")

    @classmethod
    def of(cls, name: str, data: bytes) -> Base:
        """Raises ConfigError for a tokenizer of another kind than LLaMA's."""
        if name == SENTENCEPIECE:
            return cls(name, data, len(tokenizer.pieces_of(data)))
        return cls(name, data, fast.size_of(fast.parse(data)))

    def former_pieces(self, characters: list[str]) -> list[list[int]]:
        """The ids that encode each character; one where it is known."""
        if self.name == SENTENCEPIECE:
            return tokenizer.former_pieces(self.data, characters)
        return fast.former_pieces(self.data, characters)


@dataclass(frozen=True)
class Extended:
    """A tokenizer with characters added: the files to write (the first encodes), and what each character was."""

    files: dict[str, bytes]
    characters: list[str]
    left_out: list[str]
    former: list[list[int]]


def choose(base: Base, listed: str, counted: list[tuple[str, int]], wanted: int) -> list[str]:
    """Characters to add: those ``listed`` without what is known, or those ``counted`` that save most tokens."""
    names = list(dict.fromkeys(listed)) if listed else [character for character, _ in counted]
    pieces = [len(ids) for ids in base.former_pieces(names)]
    if listed:
        return [name for name, count in zip(names, pieces, strict=True) if count > 1]
    candidates = [Candidate(c, n, p) for (c, n), p in zip(counted, pieces, strict=True)]
    return most_useful(candidates, wanted)


def extend(base: Base, characters: list[str], config: dict[str, object]) -> Extended:
    """The tokenizer files of the extended model; ``config`` is the model's config.json.

    SentencePiece's model and the fast tokenizer; the latter alone where the base has no more.
    """
    positions = config["max_position_embeddings"]
    assert isinstance(positions, int)
    if base.name == SENTENCEPIECE:
        model = tokenizer.extend(base.data, characters)
        described = tokenizer.tokenizer_config(model, positions)
        files = {SENTENCEPIECE: model, FAST: tokenizer.fast_tokenizer(model).encode()}
        added, left_out = characters, list[str]()
    else:
        data, added, left_out = fast.extend(base.data, characters)
        special = {f"{name}_token": _first(config.get(f"{name}_token_id")) for name in ("bos", "eos")}
        described = fast.settings(fast.parse(data), special, positions)
        files = {FAST: data}
    files[SETTINGS] = json.dumps(described, indent=1, ensure_ascii=False).encode()
    return Extended(files, added, left_out, base.former_pieces(added))


def _first(value: object) -> int | None:
    """LLaMA 3 gives several ids that end a text; the first ends a document."""
    value = value[0] if isinstance(value, list) and value else value
    return value if isinstance(value, int) else None


def encoder(name: str, data: bytes) -> Encode:
    """A function from texts to ids, without what stands before a text."""
    if name == SENTENCEPIECE:
        return lambda texts: tokenizer.processor(data).encode(texts)
    os.environ["TOKENIZERS_PARALLELISM"] = "false"  # workers are processes
    from tokenizers import Tokenizer

    loaded = Tokenizer.from_str(data.decode())
    return lambda texts: [found.ids for found in loaded.encode_batch_fast(texts, add_special_tokens=False)]
