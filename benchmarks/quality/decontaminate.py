"""What decontamination finds, what it takes for a test item that is none, and how fast it looks.

    python -m benchmarks.quality.decontaminate

The benchmark is real: 1,270 questions of GSM8K's test set, which MetaMath's GSM8K_Backward quotes. Copies of them are
planted in wiki pages as people write them; what GSM8K_Backward itself made of them (one number replaced by x, another
question at the end) is contamination in the wild. Sets that cannot hold them show false hits, GSM8K's own training
set foremost: same authors, same topics. Chinese items are questions of BELLE's evaluation set.
"""

from __future__ import annotations

import gzip
import json
import random
import re
import time
from collections.abc import Callable
from typing import Any

import pyarrow as pa

from benchmarks.quality.chain import markdown, read_jsonl, shared
from steps.mix.config import Decontamination
from steps.text.overlap import build_index, find_items

SETTINGS = Decontamination()
WAYS: dict[str, Callable[[str], str]] = {
    "verbatim": lambda text: text,
    "upper case": str.upper,
    "full width": lambda text: "".join(chr(ord(c) + 0xFEE0) if "!" <= c <= "~" else c for c in text),
    "punctuation removed": lambda text: re.sub(r"[^\w\s]", "", text),
    "punctuation replaced": lambda text: re.sub(r"[^\w\s]", " * ", text),
    "one token in 20 replaced": lambda text: edited(text, 20),
    "one token in 10 replaced": lambda text: edited(text, 10),
    "one token in 5 replaced": lambda text: edited(text, 5),
    "first half": lambda text: text[: len(text) // 2],
}


def edited(text: str, every: int) -> str:
    """One of ``every`` words or Chinese characters replaced, at places that the text fixes."""
    rng = random.Random(text)
    tokens = re.findall(r"[一-鿿]|\w+|[^\w]", text)
    words = [i for i, token in enumerate(tokens) if token.isalnum()]
    for i in rng.sample(words, max(1, len(words) // every)):
        tokens[i] = "某" if re.match(r"[一-鿿]", tokens[i]) else "thing"
    return "".join(tokens)


def texts_of(name: str, *fields: str, limit: int = 1 << 30) -> list[str]:
    """Records of a shared set as texts, their fields joined by a line break."""
    path = shared(name)
    if path.name.endswith("demo.json.gz"):
        with gzip.open(path, "rt", encoding="utf-8") as file:
            records: list[dict[str, Any]] = json.load(file)
    else:
        records = list(read_jsonl(path))
    return ["\n".join(str(record[field]) for field in fields) for record in records[:limit]]


def share_of(found: int, whole: int) -> str:
    return f"{found:,} of {whole:,} ({found / whole:.2%})"


def main() -> None:
    n, share = SETTINGS.tokens, SETTINGS.share
    backward = "sft_alpaca/metamath/GSM8K_Backward.jsonl.gz"
    tests = list(dict.fromkeys(texts_of(backward, "original_question")))
    questions = list(dict.fromkeys(texts_of("sft_alpaca/belle/eval_set.json.gz", "question")))
    pages = {name: texts_of(f"wiki_{name}/train.jsonl.gz", "text", limit=2000) for name in ("en", "zh")}
    indexes = {
        name: build_index(pa.array(items), n, SETTINGS.common)
        for name, items in (("en", tests), ("zh", questions))
    }
    rows: list[list[str]] = []
    for name, items in (("en", tests), ("zh", questions)):
        index = indexes[name]
        known = [i for i, size in enumerate(index.reachable.tolist()) if size]
        rows.append([f"{name}: items long enough to look for", share_of(len(known), len(items))])
        for way, write in WAYS.items():
            planted = [f"{pages[name][i % 1000]}\n{write(items[i])}\n{pages[name][i % 999]}" for i in known]
            found = find_items(pa.chunked_array([planted]), index, n, share).item.tolist()
            right = sum(a == b for a, b in zip(found, known, strict=True))
            rows.append([f"{name}: planted in wiki pages, {way}", share_of(right, len(known))])
    both = build_index(pa.array(tests + questions), n, SETTINGS.common)
    made = texts_of(backward, "question", "answer")
    rows.append(["GSM8K_Backward, made from the items", share_of(hits(made, both, n, share), len(made))])
    clean = {
        "GSM8K training set": texts_of("sft_gsm8k/train.jsonl.gz", "question", "answer"),
        "MATH training set": texts_of("math_train/MATH_train_1500.jsonl.gz", "problem", "solution"),
        "alpaca en": texts_of("sft_alpaca/alpaca_en_demo.json.gz", "instruction", "input", "output"),
        "alpaca zh": texts_of("sft_alpaca/alpaca_zh_demo.json.gz", "instruction", "input", "output"),
        "wiki en": texts_of("wiki_en/train.jsonl.gz", "text"),
        "wiki zh": texts_of("wiki_zh/train.jsonl.gz", "text"),
        "dureader web zh": texts_of("dureader_web_zh/docs.jsonl.gz", "text"),
    }
    for name, texts in clean.items():
        rows.append([f"false hits: {name}", share_of(hits(texts, both, n, share), len(texts))])
    for name in ("wiki en", "wiki zh"):
        size = sum(len(text.encode()) for text in clean[name])
        began = time.process_time()
        hits(clean[name], both, n, share)
        rows.append([f"speed on {name}, one core", f"{size / 1e6 / (time.process_time() - began):.0f} MB/s"])
    print(markdown(["set", "found"], rows))


def hits(texts: list[str], index: Any, n: int, share: float) -> int:
    """How many texts hold an item."""
    found = find_items(pa.chunked_array([texts]), index, n, share)
    return int((found.item >= 0).sum())


if __name__ == "__main__":
    main()
