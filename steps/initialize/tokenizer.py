"""LLaMA tokenizers: training one, adding characters to one, and writing it for both libraries.

SentencePiece's model proto is the one source; the fast tokenizer's JSON is generated from it. A character is added
as an ordinary piece: BPE starts from single characters and looks only merged pieces up, so a one-character piece
takes part in no merge, and text without it encodes exactly as before.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterable
from typing import Any

import sentencepiece
from sentencepiece import sentencepiece_model_pb2

from steps.core.errors import ConfigError
from steps.text.encoder import NORMALIZER, SPACE

proto: Any = sentencepiece_model_pb2  # its classes are made at import, unseen by type checkers
_BYTE, _NORMAL, _UNKNOWN, _CONTROL = 6, 1, 2, 3


def train_tokenizer(lines: Iterable[str], vocabulary: int) -> bytes:
    """A LLaMA-style BPE model proto: byte fallback, no normalisation, one token per digit; same lines, same bytes."""
    model = io.BytesIO()
    try:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(lines),
            model_writer=model,
            model_type="bpe",
            vocab_size=vocabulary,
            normalization_rule_name="identity",
            byte_fallback=True,
            split_digits=True,
            add_dummy_prefix=True,
            remove_extra_whitespaces=False,
            allow_whitespace_only_pieces=True,
            character_coverage=0.99995,
            max_sentence_length=1 << 20,
            shuffle_input_sentence=False,
            num_threads=1,
            pad_id=-1,
            minloglevel=2,
        )
    except RuntimeError as error:
        raise ConfigError(
            f"the tokenizer cannot be trained with from_scratch.vocabulary {vocabulary}: {error}"
        ) from None
    return model.getvalue()


def processor(model: bytes) -> sentencepiece.SentencePieceProcessor:
    return sentencepiece.SentencePieceProcessor(model_proto=model)


def parse(model: bytes) -> Any:
    """The model proto. Raises ConfigError for another file of that name, such as LLaMA 3's list of byte pairs."""
    from google.protobuf.message import DecodeError

    try:
        found = proto.ModelProto.FromString(model)
    except DecodeError:
        found = None
    if found is None or not found.pieces:
        raise ConfigError(
            "the base's tokenizer.model is not SentencePiece's; where the folder has tokenizer.json, take it away"
        )
    return found


def pieces_of(model: bytes) -> list[str]:
    """All pieces by id."""
    return [piece.piece for piece in parse(model).pieces]


def extend(model: bytes, characters: list[str]) -> bytes:
    """The model with one ordinary piece per character appended, ids following the last one."""
    extended = parse(model)
    if extended.trainer_spec.model_type != proto.TrainerSpec.BPE or not extended.trainer_spec.byte_fallback:
        raise ConfigError("the base's tokenizer.model is not a BPE model with byte fallback, as LLaMA's is")
    spec, first = extended.normalizer_spec, extended.trainer_spec
    differs = [
        f"{name} is {found}"
        for name, found, wanted in [
            ("add_dummy_prefix", spec.add_dummy_prefix, True),
            ("remove_extra_whitespaces", spec.remove_extra_whitespaces, False),
            ("escape_whitespaces", spec.escape_whitespaces, True),
            ("treat_whitespace_as_suffix", first.treat_whitespace_as_suffix, False),
            ("normalization", spec.name if spec.precompiled_charsmap else "none", "none"),
        ]
        if found != wanted
    ]
    if differs:
        # `fast_tokenizer` would give other tokens, which export would find only after all training
        raise ConfigError(
            f"the base's tokenizer.model changes text in another way than LLaMA's ({', '.join(differs)}); where the "
            "folder has tokenizer.json, take tokenizer.model away"
        )
    known = {piece.piece for piece in extended.pieces}
    wrong = [c for c in characters if len(c) != 1 or c in known]
    if wrong or len(set(characters)) != len(characters):
        raise ConfigError(f"characters to add must be new, single and given once: {''.join(wrong)!r:.60}")
    lowest = min(piece.score for piece in extended.pieces)
    for number, character in enumerate(characters):
        extended.pieces.add(piece=character, score=lowest - 1 - number, type=_NORMAL)
    extended.trainer_spec.vocab_size = len(extended.pieces)
    return extended.SerializeToString(deterministic=True)


def former_pieces(model: bytes, characters: list[str]) -> list[list[int]]:
    """The ids that encode each character in ``model``, without the space that LLaMA puts before a text."""
    bare = proto.ModelProto.FromString(model)
    bare.normalizer_spec.add_dummy_prefix = False
    return processor(bare.SerializeToString()).encode(characters)


def fast_tokenizer(model: bytes) -> str:
    """``tokenizer.json`` with the same vocabulary, merges and byte fallback."""
    parsed = proto.ModelProto.FromString(model)
    vocabulary = {piece.piece: number for number, piece in enumerate(parsed.pieces)}
    special = [n for n, piece in enumerate(parsed.pieces) if piece.type in (_UNKNOWN, _CONTROL)]
    bos = parsed.trainer_spec.bos_piece or "<s>"
    described = {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [_added(number, parsed.pieces[number].piece) for number in special],
        "normalizer": NORMALIZER,
        "pre_tokenizer": None,
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [{"SpecialToken": {"id": bos, "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
            "pair": [
                {"SpecialToken": {"id": bos, "type_id": 0}},
                {"Sequence": {"id": "A", "type_id": 0}},
                {"SpecialToken": {"id": bos, "type_id": 1}},
                {"Sequence": {"id": "B", "type_id": 1}},
            ],
            "special_tokens": {bos: {"id": bos, "ids": [vocabulary[bos]], "tokens": [bos]}},
        },
        "decoder": {
            "type": "Sequence",
            "decoders": [
                {"type": "Replace", "pattern": {"String": SPACE}, "content": " "},
                {"type": "ByteFallback"},
                {"type": "Fuse"},
                {"type": "Strip", "content": " ", "start": 1, "stop": 0},
            ],
        },
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": parsed.trainer_spec.unk_piece or "<unk>",
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": True,
            "byte_fallback": True,
            "ignore_merges": False,
            "vocab": vocabulary,
            "merges": _merges(parsed, vocabulary),
        },
    }
    return json.dumps(described, ensure_ascii=False, indent=1)


def _added(number: int, content: str) -> dict[str, Any]:
    flags = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False)
    return {"id": number, "content": content, **flags, "special": True}


def _merges(parsed: Any, vocabulary: dict[str, int]) -> list[list[str]]:
    """Every way to put a piece together from two pieces, best-scored piece first, as SentencePiece would merge."""
    ordinary = [piece for piece in parsed.pieces if piece.type == _NORMAL and len(piece.piece) > 1]
    ordinary.sort(key=lambda piece: (-piece.score, vocabulary[piece.piece]))
    merges = []
    for piece in ordinary:
        text = piece.piece
        halves = [(text[:at], text[at:]) for at in range(1, len(text))]
        known = [pair for pair in halves if pair[0] in vocabulary and pair[1] in vocabulary]
        merges += [list(pair) for pair in sorted(known, key=lambda p: (vocabulary[p[0]], vocabulary[p[1]]))]
    return merges


def tokenizer_config(model: bytes, max_positions: int) -> dict[str, Any]:
    """``tokenizer_config.json`` for transformers: the fast tokenizer as it stands in tokenizer.json."""
    spec = proto.ModelProto.FromString(model).trainer_spec
    return {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": max_positions,
        "bos_token": spec.bos_piece or "<s>",
        "eos_token": spec.eos_piece or "</s>",
        "unk_token": spec.unk_piece or "<unk>",
        "clean_up_tokenization_spaces": False,
    }
