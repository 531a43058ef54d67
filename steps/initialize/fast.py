"""Adding characters to a fast tokenizer (tokenizer.json) where there is no SentencePiece model, as in LLaMA 3.

Text without the added characters must encode exactly as before. In a byte-level BPE (LLaMA 3, GPT-2) a character is two
or more pieces of its UTF-8 bytes. Where it is two, one merge of them is appended after all others: it fires where the
bytes of the character stand, and nowhere else, because no other text holds these bytes in a row. Where it is more, a
merge of a part of it would fire in other characters with the same bytes; it becomes an added token instead, which the
library cuts out before it splits text, unless the base has a longer piece with that character in it, which would be
cut, too: then it is left out. In a BPE with byte fallback (LLaMA 2) a character becomes an ordinary piece, as in
SentencePiece.
"""

from __future__ import annotations

import json
from functools import cache
from typing import Any

from steps.core.errors import ConfigError


@cache
def byte_letters() -> dict[int, str]:
    """The letter that stands for each byte in a byte-level vocabulary (GPT-2's encoder.py, bytes_to_unicode)."""
    shown = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    hidden = [byte for byte in range(256) if byte not in shown]
    return {byte: chr(byte) for byte in shown} | {byte: chr(256 + i) for i, byte in enumerate(hidden)}


def parse(data: bytes) -> dict[str, Any]:
    """The tokenizer as a dictionary. Raises ConfigError unless it is a BPE over bytes or with byte fallback."""
    try:
        described: dict[str, Any] = json.loads(data)
        model = described["model"]
        usable = model["type"] == "BPE" and (model.get("byte_fallback") or is_byte_level(described))
    except (ValueError, KeyError, TypeError):
        raise ConfigError("the base's tokenizer.json is not a tokenizer of Hugging Face's library") from None
    if not usable:
        raise ConfigError(
            "the base's tokenizer.json is not a BPE over bytes or with byte fallback, as LLaMA's are"
        )
    described.setdefault("added_tokens", [])  # as the library does
    return described


def is_byte_level(described: dict[str, Any]) -> bool:
    """Whether texts become bytes before they become pieces."""
    first = described.get("pre_tokenizer") or {}
    return any(part.get("type") == "ByteLevel" for part in first.get("pretokenizers", [first]))


def size_of(described: dict[str, Any]) -> int:
    """One more than the highest id."""
    ids = [*described["model"]["vocab"].values(), *(token["id"] for token in described["added_tokens"])]
    return max(ids) + 1


def former_pieces(data: bytes, characters: list[str]) -> list[list[int]]:
    """The ids that encode each character within a text, without what stands at a text's beginning."""
    from tokenizers import Tokenizer

    described = parse(data)
    bytewise = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}
    bare = described | {
        "normalizer": None,
        "pre_tokenizer": bytewise if is_byte_level(described) else None,
        "post_processor": None,
    }
    tokenizer = Tokenizer.from_str(json.dumps(bare))
    return [found.ids for found in tokenizer.encode_batch(characters, add_special_tokens=False)]


def extend(data: bytes, characters: list[str]) -> tuple[bytes, list[str], list[str]]:
    """(tokenizer.json, characters that it has now, characters left out); ids follow the highest one in this order."""
    described = parse(data)
    model, size = described["model"], size_of(described)
    former = former_pieces(data, characters)
    if any(len(ids) < 2 for ids in former) or len(set(characters)) != len(characters):
        raise ConfigError("characters to add must be new and given once")
    names = {number: piece for piece, number in model["vocab"].items()}
    for token in described["added_tokens"]:
        # the library numbers added tokens anew when it loads them, after the vocabulary's last, but for those in it
        model["vocab"].setdefault(token["content"], token["id"])
    inside = set() if model.get("byte_fallback") else _inside_longer_pieces(model["vocab"])
    added: list[str] = []
    left_out: list[str] = []
    for character, ids in zip(characters, former, strict=True):
        number = size + len(added)
        if model.get("byte_fallback"):
            model["vocab"][character] = number
        elif len(ids) == 2:
            pair = [names[i] for i in ids]
            model["vocab"]["".join(pair)] = number
            model["merges"].append(" ".join(pair) if _written_as_text(model["merges"]) else pair)
        elif character in inside:
            left_out.append(character)
            continue
        else:
            flags = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized", "special"), False)
            described["added_tokens"].append({"id": number, "content": character, **flags})
            model["vocab"][character] = number
        added.append(character)
    return json.dumps(described, ensure_ascii=False, indent=1).encode(), added, left_out


def _written_as_text(merges: list[Any]) -> bool:
    return bool(merges) and isinstance(merges[0], str)


def _inside_longer_pieces(vocabulary: dict[str, int]) -> set[str]:
    """Characters that stand beside others in one piece of a byte-level vocabulary."""
    bytes_of = {letter: byte for byte, letter in byte_letters().items()}
    found: set[str] = set()
    for piece in vocabulary:
        if all(letter in bytes_of for letter in piece):
            text = bytes(bytes_of[letter] for letter in piece).decode("utf-8", "ignore")
            if len(text) > 1 or (text and len(text.encode()) < len(piece)):
                found.update(text)
    return found


def settings(described: dict[str, Any], special: dict[str, int | None], max_positions: int) -> dict[str, Any]:
    """``tokenizer_config.json`` for transformers; ``special`` has the ids of bos_token and eos_token."""
    names = {number: piece for piece, number in described["model"]["vocab"].items()}
    names |= {token["id"]: token["content"] for token in described["added_tokens"]}
    return {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": max_positions,
        **{name: names[number] for name, number in special.items() if number is not None and number in names},
        "clean_up_tokenization_spaces": False,
    }
