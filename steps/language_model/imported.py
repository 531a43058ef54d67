"""Takes over a published scorer: `<language>.sp.model` and `<language>.arpa.bin`, as cc_net and edugp publish them."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Any

import kenlm
import sentencepiece

from steps.core.errors import DataError
from steps.core.source import SourceListing, SourceObject, fetch_object
from steps.core.step import PartWriter

PIECES_TRIED = 2_000
KNOWN_SHARE = 0.5  # of the pieces, below which the two files were not made together (theirs know nearly all)


def choose(listing: SourceListing, language: str) -> tuple[SourceObject, SourceObject]:
    """The two objects of the language: (pieces, n-grams). A source with one pair only may name them as it likes.

    Raises DataError that lists what is there.
    """
    found = []
    for suffix in (".sp.model", ".arpa.bin"):
        all_ = [item for item in listing.objects if item.key.endswith(suffix)]
        mine = [item for item in all_ if PurePosixPath(item.key).name == language + suffix]
        if len(mine or all_) != 1:
            keys = ", ".join(item.key for item in listing.objects[:20])
            raise DataError(f"the source has no {language}{suffix}, or several: {keys}")
        found.append((mine or all_)[0])
    return found[0], found[1]


def import_model(task: dict[str, Any], part: PartWriter) -> dict[str, Any]:
    """sp.model and lm.bin, unchanged; returns vocabulary and order. Raises DataError where they do not load."""
    listing = SourceListing.of(part.inputs["source"])
    pieces_object, model_object = choose(listing, part.config.language)
    pieces_path = fetch_object(pieces_object, part.locations, part.scratch)
    try:
        pieces = sentencepiece.SentencePieceProcessor(model_file=str(pieces_path))
        size = pieces.get_piece_size()
    except (RuntimeError, OSError) as error:
        raise DataError(f"{pieces_object.key} is no SentencePiece model: {error!s:.200}") from None
    model_path = fetch_object(model_object, part.locations, part.scratch)
    try:
        config = kenlm.Config()
        config.load_method, config.show_progress = kenlm.LoadMethod.LAZY, False
        model = kenlm.Model(str(model_path), config)
    except (RuntimeError, OSError) as error:
        raise DataError(f"{model_object.key} is no KenLM model: {error!s:.300}") from None
    tried = range(3, size, max(1, size // PIECES_TRIED))
    known = sum(pieces.id_to_piece(number) in model for number in tried)
    if known < KNOWN_SHARE * len(tried):
        raise DataError(
            f"{model_object.key} knows {known} of {len(tried)} pieces of {pieces_object.key}: "
            "they were not made together"
        )
    part.put_file("sp.model", pieces_path, "sentencepiece")
    part.put_file("lm.bin", model_path, "kenlm")
    return {"vocabulary": size, "order": model.order}
