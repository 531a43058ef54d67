"""Keys of documents: canonical URL, stripped text, SimHash fingerprint. Texts in, fixed-width columns out."""

from __future__ import annotations

import itertools
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from steps.core.corpus import ROW
from steps.core.digest import json_digest
from steps.core.document import text_bytes
from steps.core.errors import DataError
from steps.deduplicate.config import Config
from steps.text.hashing import Words, hash128, mostly_ideographs, strip_texts, words
from steps.text.minhash import BANDS, min_hash
from steps.text.segment import text_buffers
from steps.text.simhash import new_cache, simhash64
from steps.text.unicode_tables import classes

# raised when keys change for the same settings; older indexes are then made anew from their texts
VERSION = 3
SCHEMA = pa.schema(
    [
        ("row", pa.int64()),
        ("quality", pa.uint8()),
        ("doc_high", pa.uint64()),
        ("doc_low", pa.uint64()),
        ("url_high", pa.uint64()),
        ("url_low", pa.uint64()),
        ("text_high", pa.uint64()),
        ("text_low", pa.uint64()),
        ("simhash", pa.uint64()),
        ("features", pa.int32()),
        ("grams", pa.int32()),
        ("sketch_low", pa.uint64()),
        ("sketch_high", pa.uint64()),
        ("bands", pa.binary(4 * BANDS)),
    ]
)
QUALITY = "quality"
RANKS = {"high": 0, "medium": 1}
LOWEST_RANK = 2  # low, unscored, and every document of a corpus without the signal
BATCH_BYTES = 1 << 20  # so that the tokens' arrays stay in the cache, and in the memory allocator's hands
_URL = (
    r"^(?P<scheme>[A-Za-z][A-Za-z0-9+.\-]*)://(?P<host>[^/?#]*)(?P<path>[^?#]*)"
    r"(?P<query>\?[^#]*)?(?P<fragment>#.*)?$"
)


class TextKeys(NamedTuple):
    """Keys of texts: hash of the stripped text uint64[n, 2], SimHash uint64[n] and its features int64[n], size of the
    n-gram set int64[n], its sketch uint64[n, 2] and band keys uint32[n, BANDS]."""

    text: np.ndarray
    simhash: np.ndarray
    features: np.ndarray
    grams: np.ndarray
    sketch: np.ndarray
    bands: np.ndarray


_NO_TEXTS = TextKeys(
    np.zeros((0, 2), np.uint64),
    np.zeros(0, np.uint64),
    np.zeros(0, np.int64),
    np.zeros(0, np.int64),
    np.zeros((0, 2), np.uint64),
    np.zeros((0, BANDS), np.uint32),
)


def settings_digest(config: Config) -> str:
    """Digest of all that keys depend on: an index made with another one does not fit."""
    names = ("url_tracking_parameters", "url_ignore_scheme", "short_characters")
    grams = [
        f"{script}_{part}" for script in ("ideograph", "word") for part in ("gram", "shortest", "weight")
    ]
    verified = ("verify_ideograph_gram", "verify_word_gram")
    values: dict[str, Any] = config.model_dump(mode="json", include={*names, *grams, *verified})
    return json_digest({"version": VERSION, **values})


def document_keys(documents: pa.Table, config: Config) -> pa.Table:
    """Keys (`SCHEMA`) of documents with the columns _row, doc_id, url, text and, where there is one, quality.

    A document without URL, or without any text, has the key (0, 0) there: it never equals another. ``features`` is
    0 where a text is too short for a fingerprint, ``grams`` (the size of the n-gram set that pairs are verified with)
    where it is too short for those.
    """
    urls = canonical_urls(documents["url"], config)
    url = np.zeros((documents.num_rows, 2), np.uint64)
    present = text_bytes(urls) > 0
    url[present] = hash128(*text_buffers(urls.filter(pa.array(present))))
    cache = new_cache()
    parts = [_text_keys(batch, config, cache) for batch in text_batches(documents["text"])]
    text = TextKeys(*(np.concatenate(column) for column in zip(_NO_TEXTS, *parts, strict=True)))
    doc = parse_doc_ids(documents["doc_id"])
    columns = {
        "row": documents[ROW],
        "quality": pa.array(quality_ranks(documents), pa.uint8()),
        "doc_high": doc[:, 0],
        "doc_low": doc[:, 1],
        "url_high": url[:, 0],
        "url_low": url[:, 1],
        "text_high": text.text[:, 0],
        "text_low": text.text[:, 1],
        "simhash": text.simhash,
        "features": np.minimum(text.features, np.iinfo(np.int32).max),
        "grams": np.minimum(text.grams, np.iinfo(np.int32).max),
        "sketch_low": text.sketch[:, 0],
        "sketch_high": text.sketch[:, 1],
        "bands": pa.FixedSizeBinaryArray.from_buffers(
            SCHEMA.field("bands").type, documents.num_rows, [None, pa.py_buffer(text.bands.tobytes())]
        ),
    }
    return pa.table(columns).cast(SCHEMA)


def band_keys(keys: pa.Table) -> np.ndarray:
    """uint32[n, BANDS] of a table of keys."""
    column = keys["bands"].combine_chunks()
    data = column.buffers()[1] if len(column) else b""
    return np.frombuffer(data, np.uint32).reshape(-1, BANDS)[column.offset : column.offset + len(column)]


def quality_ranks(documents: pa.Table) -> np.ndarray:
    """uint8[n]: 0 high, 1 medium, 2 anything else; all equal where the quality was not measured."""
    ranks = np.full(documents.num_rows, LOWEST_RANK, np.uint8)
    if QUALITY in documents.column_names:
        for name, rank in RANKS.items():
            ranks[pc.equal(documents[QUALITY], name).fill_null(False).to_numpy(zero_copy_only=False)] = rank
    return ranks


def parse_doc_ids(doc_ids: pa.ChunkedArray) -> np.ndarray:
    """uint64[n, 2] of 32 hexadecimal digits each. Raises DataError naming the first id that is something else."""
    good = pc.match_substring_regex(doc_ids, "^[0-9a-f]{32}$").fill_null(False).to_numpy(zero_copy_only=False)
    if not good.all():
        row = int(np.argmin(good))
        raise DataError(
            f"doc_id {doc_ids[row].as_py()!r} (document {row}) is not 32 hexadecimal digits; ingest again"
        )
    digits = text_buffers(doc_ids)[0].reshape(-1, 32).astype(np.uint8)
    values = np.where(digits < 58, digits - 48, digits - 87).astype(np.uint8)
    packed = np.ascontiguousarray((values[:, 0::2] << 4) | values[:, 1::2])
    return packed.view(">u8").astype(np.uint64).reshape(-1, 2)


def doc_id_text(high: int, low: int) -> str:
    """The 32 hexadecimal digits of a parsed doc_id."""
    return f"{high:016x}{low:016x}"


def canonical_urls(urls: pa.ChunkedArray | pa.Array, config: Config) -> pa.ChunkedArray | pa.Array:
    """URLs with scheme and host in lower case and without default port, fragment and tracking parameters.

    A fragment that is a route (``#!…``, ``#/…``) stays. What is no URL stays as it is; a null becomes empty.
    """
    plain = pc.utf8_trim_whitespace(pc.fill_null(urls, ""))
    parts = pc.extract_regex(plain, pattern=_URL)
    is_url = parts.is_valid()

    def field(name: str) -> pa.ChunkedArray | pa.Array:
        return pc.fill_null(pc.struct_field(parts, name), "")

    scheme, host = pc.utf8_lower(field("scheme")), pc.utf8_lower(field("host"))
    for name, port in (("http", "80"), ("https", "443")):
        host = pc.if_else(pc.equal(scheme, name), pc.replace_substring_regex(host, f":{port}$", ""), host)
    if config.url_ignore_scheme:
        scheme = pc.replace_substring_regex(scheme, "^https?$", "")
    path = pc.replace_substring_regex(field("path"), "^$", "/")
    fragment = pc.replace_substring_regex(field("fragment"), "^#([^!/].*)?$", "")
    query = _without_tracking(pc.replace_substring_regex(field("query"), r"^\?", ""), config)
    whole = pc.binary_join_element_wise(scheme, "://", host, path, query, fragment, "")
    return pc.if_else(is_url, whole, plain)


def _without_tracking(query: pa.ChunkedArray | pa.Array, config: Config) -> pa.ChunkedArray | pa.Array:
    # every parameter gets its own separators on both sides ("&a=1&&b=2&"), because RE2 cannot look ahead
    query = pc.binary_join_element_wise("&", pc.replace_substring(query, "&", "&&"), "&", "")
    if config.url_tracking_parameters:
        names = "|".join(config.url_tracking_parameters)
        query = pc.replace_substring_regex(query, f"&(?:{names})(?:=[^&]*)?&", "")
    query = pc.replace_substring_regex(query, "&+", "&")
    query = pc.replace_substring_regex(query, "^&|&$", "")
    return pc.replace_substring_regex(query, "^(.)", r"?\1")


def text_batches(texts: pa.ChunkedArray) -> list[pa.ChunkedArray]:
    """Slices of about `BATCH_BYTES`: the kernels' buffers are a multiple of that, whatever the shard's size."""
    ends = np.cumsum(text_bytes(texts))
    cuts = np.flatnonzero(np.diff(ends // BATCH_BYTES, prepend=0)) if len(ends) else np.zeros(0, np.int64)
    bounds = sorted({0, *cuts.tolist(), len(ends)})
    return [texts.slice(a, b - a) for a, b in itertools.pairwise(bounds)]


def _text_keys(texts: pa.ChunkedArray, config: Config, cache: np.ndarray) -> TextKeys:
    table = classes()
    data, offsets = text_buffers(texts)
    stripped, stripped_offsets, chars = strip_texts(data, offsets, table)
    keys = hash128(stripped, stripped_offsets)
    short = np.flatnonzero(chars < config.short_characters)
    whole = pc.utf8_trim_whitespace(pc.fill_null(texts, "").take(pa.array(short)))
    keys[short] = hash128(*text_buffers(whole), seed=1)
    keys[short[text_bytes(whole) == 0]] = 0
    tokens = words(data, offsets, table)
    simhash, features = fingerprints(tokens, config, cache)
    bands, sketch, grams = min_hash(tokens.offsets, tokens.hash, verified_grams(tokens, config))
    return TextKeys(keys, simhash, features, grams, sketch, bands)


def verified_grams(tokens: Words, config: Config) -> np.ndarray:
    """int64[n]: tokens per n-gram of the sets by which pairs of each text are verified."""
    ideographs = mostly_ideographs(tokens.offsets, tokens.ideograph)
    return np.where(ideographs, config.verify_ideograph_gram, config.verify_word_gram)


def fingerprints(
    tokens: Words, config: Config, cache: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """(uint64[n] SimHash, int64[n] features), by the settings for the script that most of each text is in."""
    ideographs = mostly_ideographs(tokens.offsets, tokens.ideograph)
    return simhash64(
        tokens,
        np.where(ideographs, config.ideograph_gram, config.word_gram),
        np.where(ideographs, config.ideograph_weight == "once", config.word_weight == "once"),
        np.where(ideographs, config.ideograph_shortest, config.word_shortest),
        cache,
    )
