"""initialize: bases with a fast tokenizer alone, byte-level as LLaMA 3's or with byte fallback as LLaMA 2's."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

from steps.core.errors import ConfigError
from steps.initialize import fast, tokenizer
from steps.initialize.vocabulary import Base, extend
from tests.steps.training import CHINESE, PROSE

# LLaMA 3's, from its tokenizer.json
SPLIT = "|".join(
    [
        r"(?i:'s|'t|'re|'ve|'m|'ll|'d)",
        r"[^\r\n\p{L}\p{N}]?\p{L}+",
        r"\p{N}{1,3}",
        r" ?[^\s\p{L}\p{N}]+[\r\n]*",
        r"\s*[\r\n]+",
        r"\s+(?!\S)",
        r"\s+",
    ]
)
NEW = list(dict.fromkeys(CHINESE + "，。葡萄𠀀龘"))
OTHERS = st.characters(exclude_characters="".join(NEW), exclude_categories=["Cs"])
NEAR = [
    chr(ord(c) + 1) for c in NEW if chr(ord(c) + 1) not in NEW
]  # share their first bytes with the new ones


@cache
def byte_level(as_text: bool = False) -> bytes:
    """A LLaMA-3-like tokenizer that knows some Chinese bytes by pairs and a word of two characters."""
    made = Tokenizer(models.BPE(ignore_merges=True))
    split = pre_tokenizers.Split(Regex(SPLIT), "isolated")
    byte = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    made.pre_tokenizer = pre_tokenizers.Sequence([split, byte])
    made.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=460,
        special_tokens=["<|begin_of_text|>", "<|end_of_text|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    made.train_from_iterator([PROSE, PROSE[::-1], CHINESE[:24], "葡萄 " * 20], trainer)
    described = json.loads(made.to_str())
    if as_text:  # as libraries before 0.20 wrote merges
        described["model"]["merges"] = [" ".join(pair) for pair in described["model"]["merges"]]
    return json.dumps(described).encode()


@cache
def byte_fallback() -> bytes:
    return tokenizer.fast_tokenizer(tokenizer.train_tokenizer([PROSE, PROSE[::-1]], 330)).encode()


BASES = {"byte level": byte_level, "byte fallback": byte_fallback}


def unknown(base: bytes) -> list[str]:
    return [c for c, ids in zip(NEW, fast.former_pieces(base, NEW), strict=True) if len(ids) > 1]


@cache
def both(name: str) -> tuple[Any, Any, list[str], list[str]]:
    data, added, left_out = fast.extend(BASES[name](), unknown(BASES[name]()))
    return Tokenizer.from_str(BASES[name]().decode()), Tokenizer.from_str(data.decode()), added, left_out


def tokens(encoder: Any, text: str) -> list[int]:
    found: list[int] = encoder.encode(text, add_special_tokens=False).ids
    return found


@pytest.mark.parametrize("name", BASES)
@given(text=st.text(st.one_of(OTHERS, st.sampled_from([*NEAR, *"the river 12\n\u3000"])), max_size=60))
@settings(max_examples=150, deadline=None)
def test_text_without_new_characters_encodes_exactly_as_before(name: str, text: str) -> None:
    base, extended, _, _ = both(name)
    assert tokens(extended, text) == tokens(base, text)


@pytest.mark.parametrize("name", BASES)
@given(text=st.text(st.sampled_from([*NEW, *NEAR, *"the river 12\n"]), max_size=60))
@settings(max_examples=150, deadline=None)
def test_text_with_new_characters_takes_no_more_tokens_and_comes_back(name: str, text: str) -> None:
    base, extended, _, _ = both(name)
    found = tokens(extended, text)
    assert len(found) <= len(tokens(base, text))
    assert extended.decode(found, skip_special_tokens=False) == text


@pytest.mark.parametrize("name", BASES)
def test_each_added_character_alone_is_its_own_token(name: str) -> None:
    _, extended, added, left_out = both(name)
    size = fast.size_of(json.loads(BASES[name]()))
    former = fast.former_pieces(BASES[name](), added)
    now = fast.former_pieces(extended.to_str().encode(), added)
    assert now == [[size + place] for place in range(len(added))]
    assert all(len(ids) > 1 for ids in former)
    assert sorted([*added, *left_out]) == sorted(unknown(BASES[name]()))


def test_a_character_of_a_longer_piece_is_left_out_rather_than_cut_out_of_it() -> None:
    """Words that are one piece of the base stay one piece; cutting a character out of texts would break them."""
    base, extended, added, left_out = both("byte level")
    letters = {letter: byte for byte, letter in fast.byte_letters().items()}
    pieces = json.loads(byte_level())["model"]["vocab"]
    decoded = [
        bytes(letters[c] for c in piece).decode("utf-8", "replace")
        for piece in pieces
        if set(piece) <= set(letters)
    ]
    words = [word for word in decoded if len(word) > 1 and "�" not in word and not word.isascii()]
    assert "葡萄" in words and left_out and set(left_out) <= set("".join(words)) | set("".join(decoded))
    for word in words:
        assert extended.encode(word).ids == base.encode(word).ids and len(base.encode(word).ids) == 1
    assert len(added) > 10
    with pytest.raises(ConfigError, match="must be new and given once"):
        fast.extend(byte_level(), [*added, added[0]])


def test_special_tokens_that_are_not_in_the_vocabulary_keep_their_ids() -> None:
    """LLaMA 3 has 256 of them behind its 128,000 pieces; the library numbers them when it loads the file."""
    described = json.loads(byte_level())
    special = {token["content"] for token in described["added_tokens"]}
    size = len(described["model"]["vocab"]) - len(special)
    vocabulary = {
        piece: number - len(special)
        for piece, number in described["model"]["vocab"].items()
        if piece not in special
    }
    described["model"]["vocab"] = vocabulary
    for place, token in enumerate(described["added_tokens"]):
        token["id"] = size + place
    base = json.dumps(described).encode()
    data, added, _ = fast.extend(base, unknown(base))
    extended = Tokenizer.from_str(data.decode())
    assert [extended.token_to_id(token["content"]) for token in described["added_tokens"]] == [size, size + 1]
    assert fast.former_pieces(data, added) == [[size + 2 + place] for place in range(len(added))]
    text = "<|begin_of_text|>the river"
    assert extended.encode(text).ids == Tokenizer.from_str(base.decode()).encode(text).ids


def test_a_tokenizer_that_does_not_name_its_added_tokens_has_none() -> None:
    """The library loads it so."""
    described = json.loads(byte_level())
    del described["added_tokens"]
    data, added, _ = fast.extend(json.dumps(described).encode(), unknown(byte_level()))
    expected = json.loads(fast.extend(json.dumps(described | {"added_tokens": []}).encode(), added)[0])
    assert added and json.loads(data) == expected
    tokens(Tokenizer.from_str(data.decode()), CHINESE)


def test_merges_are_written_as_the_base_writes_them() -> None:
    for as_text, kind in [(True, str), (False, list)]:
        data, added, _ = fast.extend(byte_level(as_text), unknown(byte_level()))
        merges = json.loads(data)["model"]["merges"]
        assert added and {type(merge) for merge in merges} == {kind}
        assert (
            Tokenizer.from_str(data.decode()).encode(CHINESE).ids == both("byte level")[1].encode(CHINESE).ids
        )


def test_a_base_with_a_fast_tokenizer_alone_gets_no_sentencepiece_model() -> None:
    base = Base.of("tokenizer.json", byte_level())
    config: dict[str, object] = {"max_position_embeddings": 64, "bos_token_id": 0, "eos_token_id": [1, 7]}
    made = extend(base, unknown(base.data), config)
    assert sorted(made.files) == ["tokenizer.json", "tokenizer_config.json"]
    settings = json.loads(made.files["tokenizer_config.json"])
    assert (settings["bos_token"], settings["eos_token"]) == ("<|begin_of_text|>", "<|end_of_text|>")
    assert len(made.former) == len(made.characters)


@pytest.mark.parametrize(
    "data", [b"{}", b"not JSON", b'{"model": {"type": "WordPiece"}, "added_tokens": []}']
)
def test_another_kind_of_tokenizer_is_refused(data: bytes) -> None:
    with pytest.raises(ConfigError, match=r"the base's tokenizer.json is not"):
        Base.of("tokenizer.json", data)
    with pytest.raises(ConfigError, match=r"tokenizer.model is not SentencePiece's"):
        Base.of("tokenizer.model", b"IQ== 0\nIg== 1\n")
