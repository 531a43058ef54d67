"""The fast encoder against the library's own call, normalizer and all."""

from __future__ import annotations

import json
from functools import cache

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer

from steps.initialize.tokenizer import fast_tokenizer, train_tokenizer
from steps.text.encoder import NORMALIZER, SPACE, Encode, fast_encoder
from tests.steps.training import CHINESE, PROSE

EOS = 2
PIECES = [" ", SPACE, "\n", "the", "river", "清", "晨", "</s>", "<0x0A>", "é"]
TEXT = st.lists(st.sampled_from(PIECES), max_size=20).map("".join) | st.text(max_size=20)


def with_added(described: str, **changes: bool) -> str:
    """The tokenizer with a word of its own that the library cuts out of texts."""
    changed = json.loads(described)
    first = changed["added_tokens"][0]
    size = len(changed["model"]["vocab"])
    changed["added_tokens"].append(first | {"id": size, "content": "river"} | changes)
    return json.dumps(changed)


@cache
def described(kind: str) -> str:
    plain = fast_tokenizer(train_tokenizer([PROSE, CHINESE], 400))
    if kind == "added":
        return with_added(plain, special=False, normalized=False)
    if kind == "normalized special":
        return with_added(plain, special=True, normalized=True)
    if kind == "no normalizer":
        return json.dumps(json.loads(plain) | {"normalizer": None})
    if kind.startswith("without "):
        kept = json.loads(plain)
        del kept[kind.removeprefix("without ")]
        return json.dumps(kept)
    return plain


@cache
def encoders(kind: str) -> tuple[Encode, Tokenizer]:
    library = Tokenizer.from_str(described(kind))
    library.encode_special_tokens = True
    return fast_encoder(described(kind), EOS), library


KINDS = [
    "plain",
    "added",
    "normalized special",
    "no normalizer",
    "without normalizer",
    "without added_tokens",
]


@pytest.mark.parametrize("kind", KINDS)
@given(texts=st.lists(TEXT, max_size=4))
def test_texts_encode_as_with_the_library_whatever_its_normalizer(kind: str, texts: list[str]) -> None:
    normalizer = json.loads(described(kind)).get("normalizer")
    assert (normalizer == NORMALIZER) == (kind not in ("no normalizer", "without normalizer"))
    encode, library = encoders(kind)
    tokens, lengths = encode(texts)
    expected = [[*library.encode(text, add_special_tokens=False).ids, EOS] for text in texts]
    assert lengths.tolist() == [len(one) for one in expected]
    assert tokens.tolist() == [token for one in expected for token in one]
