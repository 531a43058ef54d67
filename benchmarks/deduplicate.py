"""De-duplication measured: fingerprints against the `simhash` package, and what the bounds find.

    python -m benchmarks.deduplicate --data ../shared/data [--documents 300] [--json out.json]

Speed is bytes of UTF-8 text per second on one core, for the same documents and the same features. Recall is over
pairs of an article and a copy with a share of its characters (zh) or words (en) replaced, dropped or doubled;
precision counts every other pair of articles that would be removed as wrong.
"""

from __future__ import annotations

import argparse
import gzip
import itertools
import json
import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from simhash import Simhash

from steps.deduplicate import keys
from steps.deduplicate.config import Config
from steps.text.hashing import gram_sets, jaccard, mostly_ideographs, strip_texts, words
from steps.text.segment import text_buffers
from steps.text.unicode_tables import classes

EDITS = (0.01, 0.02, 0.05)
BOUNDS = (3, 6, 8, 10, 12)
THRESHOLDS = (0.6, 0.7, 0.8)
LENGTHS = {"whole": None, "500": 500, "200": 200}  # tokens per document


def load(data: Path, language: str, documents: int) -> list[str]:
    """Articles of lctt_opensource in one language."""
    path = data / "lctt_opensource" / "lctt_opensource_zh_en.jsonl.gz"
    with gzip.open(path, "rt", encoding="utf-8", newline="\n") as file:
        rows = [json.loads(line) for line in file]
    return [row["text"] for row in rows if row["lang"] == language][:documents]


def fingerprints(texts: list[str], config: Config) -> np.ndarray:
    """Fingerprints as the step makes them."""
    return keys.fingerprints(words(*text_buffers(pa.array(texts, pa.large_string())), classes()), config)[0]


def grams(texts: list[str], config: Config) -> tuple[np.ndarray, np.ndarray]:
    """n-gram sets as the step verifies with."""
    tokens = words(*text_buffers(pa.array(texts, pa.large_string())), classes())
    ideographs = mostly_ideographs(tokens.offsets, tokens.ideograph)
    return gram_sets(
        tokens.offsets,
        tokens.hash,
        np.where(ideographs, config.verify_ideograph_gram, config.verify_word_gram),
    )


def edit(rng: random.Random, text: str, share: float, language: str) -> str:
    """A copy in which about ``share`` of the characters (zh) or words are replaced, dropped or doubled."""
    space = "" if language == "zh" else " "
    units = list(text) if language == "zh" else text.split(" ")
    out = []
    for unit in units:
        draw = rng.random()
        if draw < share / 3:
            out.append(rng.choice(units))
        elif draw < share:
            out.append(unit)
            out.append(rng.choice(units)) if draw > 2 * share / 3 else out.pop()
        else:
            out.append(unit)
    return space.join(out)


def perturbations(texts: list[str], language: str) -> dict[str, list[str]]:
    """Name → one changed copy per text."""
    rng = random.Random(1)
    found = {f"{share:.0%} edited": [edit(rng, text, share, language) for text in texts] for share in EDITS}
    found["punctuation"] = [text.replace("，", "、").replace("。", "！").replace(",", ";") for text in texts]
    found["emoji"] = [
        "😀".join(text.split("。")) if language == "zh" else text.replace(". ", ". 🎉 ") for text in texts
    ]
    notice = (
        "本文转载自网络，版权归原作者所有，如有侵权请联系我们删除。"
        if language == "zh"
        else "Reposted with permission. "
    )
    found["header and footer"] = [notice + text + "\n" + notice for text in texts]
    if language == "zh":
        from opencc import OpenCC

        to_traditional, to_simplified = OpenCC("s2twp"), OpenCC("tw2sp")
        traditional = [to_traditional.convert(text) for text in texts]
        found["Traditional and back"] = [to_simplified.convert(text) for text in traditional]
        found["Traditional"] = traditional
    return found


def recall_table(data: Path, language: str, documents: int, config: Config) -> list[dict[str, Any]]:
    """One row per length and perturbation: recall per Hamming bound and threshold, and recall where Jaccard >= 0.8."""
    rows = []
    for length, tokens in LENGTHS.items():
        texts = load(data, language, documents)
        if tokens:
            texts = [
                (
                    text[1000 : 1000 + tokens]
                    if language == "zh"
                    else " ".join(text.split(" ")[150 : 150 + tokens])
                )
                for text in texts
            ]
        texts = [text for text in texts if len(text) > 100]
        for name, copies in perturbations(texts, language).items():
            n = len(texts)
            distance = np.bitwise_count(fingerprints(texts, config) ^ fingerprints(copies, config))
            offsets, hashes = grams(texts + copies, config)
            similarity = np.array([jaccard(offsets, hashes, i, i + n) for i in range(n)])
            exact = _stripped(texts) == _stripped(copies)
            row = {"language": language, "length": length, "change": name, "documents": n}
            row["exact stage"] = round(float(exact.mean()), 3)
            row["median Jaccard"] = round(float(np.median(similarity)), 3)
            for bound in BOUNDS:
                for threshold in THRESHOLDS:
                    hit = exact | ((distance <= bound) & (similarity >= threshold))
                    row[f"k={bound} t={threshold}"] = round(float(hit.mean()), 3)
                alike = similarity >= 0.8
                row[f"k={bound}, of Jaccard >= 0.8"] = (
                    round(float((distance[alike] <= bound).mean()), 3) if alike.any() else None
                )
            rows.append(row)
    return rows


def _stripped(texts: list[str]) -> np.ndarray:
    data, offsets, _ = strip_texts(*text_buffers(pa.array(texts, pa.large_string())), classes())
    return np.array([data[a:b].tobytes() for a, b in itertools.pairwise(offsets)], dtype=object)


def unrelated(data: Path, language: str, documents: int, config: Config) -> dict[str, Any]:
    """Share of pairs of different articles within each bound, in pairs per million, and their highest similarity."""
    texts = load(data, language, documents)
    values = fingerprints(texts, config)
    distance = np.bitwise_count(values[:, None] ^ values[None, :])[np.triu_indices(len(texts), 1)]
    offsets, hashes = grams(texts, config)
    rng = random.Random(1)
    pairs = [rng.sample(range(len(texts)), 2) for _ in range(20_000)]
    return {
        "language": language,
        "pairs": len(distance),
        "highest of 20,000 similarities": round(max(jaccard(offsets, hashes, a, b) for a, b in pairs), 3),
        **{f"per million within {k}": round(float((distance <= k).mean() * 1e6), 1) for k in BOUNDS},
    }


def labelled(data: Path, config: Config) -> list[dict[str, Any]]:
    """Precision and recall over all pairs of the labelled sets, per bound, at the configured threshold."""
    rows = []
    folder = data / "neardup_minhash_articles"
    for size in ("100", "1000", "2500"):
        path = folder / f"articles_{size}.train"
        raw = (
            path.read_bytes() if path.exists() else gzip.decompress((folder / f"{path.name}.gz").read_bytes())
        )
        articles = [line.split(" ", 1) for line in raw.decode("utf-8", "replace").split("\n") if " " in line]
        number = {name: i for i, (name, _) in enumerate(articles)}
        lines = (folder / f"articles_{size}.truth").read_text().split("\n")
        truth = {tuple(sorted(number[name] for name in line.split())) for line in lines if line.strip()}
        texts = [text for _, text in articles]
        values = fingerprints(texts, config)
        distance = np.triu(np.bitwise_count(values[:, None] ^ values[None, :]) + np.uint8(1), 1)
        offsets, hashes = grams(texts, config)
        for bound in BOUNDS:
            near = zip(*np.nonzero((distance > 0) & (distance <= bound + 1)), strict=True)
            found = {(int(a), int(b)) for a, b in near if jaccard(offsets, hashes, a, b) >= config.similarity}
            hit = len(found & truth)
            rows.append(
                {"set": size, "k": bound, "precision": hit / max(len(found), 1), "recall": hit / len(truth)}
            )
    return rows


def speed(data: Path, language: str, documents: int, config: Config) -> dict[str, Any]:
    """MB of text per second and core: this kernel (tokens included) and the package, over the same features."""
    texts = load(data, language, documents)
    size = sum(len(text.encode()) for text in texts)
    values = fingerprints(texts, config)  # compiles
    ours = _best(lambda: fingerprints(texts, config), 5)
    features = [_features(text, language, config) for text in texts]
    theirs = _best(lambda: [Simhash(f).value for f in features], 1)
    cutting = _best(lambda: [_features(text, language, config) for text in texts], 1)
    equal = sum(Simhash(f).value == int(v) for f, v in zip(features, values, strict=True))
    return {
        "language": language,
        "MB": round(size / 1e6, 2),
        "this kernel MB/s": round(size / 1e6 / ours, 1),
        "simhash package MB/s": round(size / 1e6 / (theirs + cutting), 2),
        "simhash package without cutting MB/s": round(size / 1e6 / theirs, 2),
        "times": round((theirs + cutting) / ours, 1),
        "equal fingerprints": f"{equal} of {len(texts)}",
    }


def _features(text: str, language: str, config: Config) -> list[tuple[str, int]]:
    """The same features in plain Python, as one would write it around the package."""
    tokens = words(*text_buffers(pa.array([text], pa.large_string())), classes())
    data = tokens.data.tobytes()
    pieces = [data[a:b].decode() for a, b in zip(tokens.start.tolist(), tokens.end.tolist(), strict=True)]
    single = tokens.ideograph.tolist()
    mostly = bool(mostly_ideographs(tokens.offsets, tokens.ideograph)[0])
    longest = config.ideograph_gram if mostly else config.word_gram
    found = []
    for n in range(config.ideograph_shortest if mostly else config.word_shortest, longest + 1):
        for i in range(len(pieces) - n + 1):
            feature = pieces[i]
            for j in range(i + 1, i + n):
                feature += pieces[j] if single[j] or single[j - 1] else " " + pieces[j]
            found.append((feature, longest + 1 - n))
    once = (config.ideograph_weight if mostly else config.word_weight) == "once"
    return sorted(set(found)) if once else found


def _best(work: Callable[[], Any], times: int) -> float:
    taken = []
    for _ in range(times):
        begin = time.process_time()  # the core, not the clock: others may be running
        work()
        taken.append(time.process_time() - begin)
    return min(taken)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--data", type=Path, default=Path("../shared/data"), help="folder with the shared data sets"
    )
    parser.add_argument("--documents", type=int, default=300, help="articles per language")
    parser.add_argument("--json", type=Path, help="write the results here as well")
    options = parser.parse_args()
    config = Config()
    results: dict[str, Any] = {"config": config.model_dump(mode="json")}
    for name, measured in (
        ("speed", [speed(options.data, lang, options.documents, config) for lang in ("zh", "en")]),
        ("unrelated", [unrelated(options.data, lang, 900, config) for lang in ("zh", "en")]),
        ("labelled", labelled(options.data, config)),
        (
            "recall",
            [r for lang in ("zh", "en") for r in recall_table(options.data, lang, options.documents, config)],
        ),
    ):
        results[name] = measured
        print(f"\n{name}")
        for row in measured:
            print("  " + "  ".join(f"{key}: {value}" for key, value in row.items()))
    if options.json:
        options.json.write_text(json.dumps(results, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
