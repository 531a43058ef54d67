"""Main text against human ground truth: our extractor beside resiliparse's and trafilatura's, on the same pages.

    python -m benchmarks.quality.extraction [--committed]

Our figures are held out: each page is scored by a model that saw no page of its site (five folds, trained here: ten
minutes on a free core). With --committed they are those of the committed model, which was trained on these pages:
quick, for a look at what a change of code does. Speed is that of the whole extraction, from decoded HTML to text, on
one core.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path

from resiliparse.extract.html2text import extract_plain_text

from benchmarks.peers import run_peer
from benchmarks.quality.extraction_pages import TruthPage, judge, load_pages
from steps.ingest.extract.page import extract

MAX_DEPTH = 2000


def timed(function: Callable[[str], str], pages: Sequence[TruthPage]) -> tuple[list[str], float]:
    """The texts, and the seconds of processor time that they took."""
    function(pages[0].html)
    began = time.process_time()
    texts = [function(page.html) for page in pages]
    return texts, time.process_time() - began


def resiliparse_text(html: str) -> str:
    """resiliparse's own main-content extraction, with the settings that the issue's figures were measured with."""
    return extract_plain_text(
        html, preserve_formatting=True, main_content=True, alt_texts=False, links=False, form_fields=False
    )


def held_out_texts(pages: Sequence[TruthPage]) -> list[str]:
    """Our texts by models that saw no page of the same site."""
    from benchmarks.quality.extraction_training import cross_validate, examples_of, text_of

    examples = examples_of(pages, MAX_DEPTH)
    scores = cross_validate(examples)
    return [text_of(example.blocks, values) for example, values in zip(examples, scores, strict=True)]


def table(
    title: str,
    names: Sequence[str],
    texts: Sequence[Sequence[str]],
    pages: Sequence[TruthPage],
    kept: Sequence[int],
) -> None:
    """Print the scores of each extractor on the pages whose indices are ``kept``."""
    chosen = [pages[index] for index in kept]
    scores = [judge(chosen, [column[index] for index in kept]) for column in texts]
    print(f"\n{title}: {len(kept)} pages, {scores[0].pages} with a main text\n")
    must, must_not = scores[0].must_of, scores[0].must_not_of
    print(f"| extractor | token F1 | must-have found of {must} | must-not absent of {must_not} |")
    print("|---|---|---|---|")
    for name, score in zip(names, scores, strict=True):
        f1 = f"{score.f1:.3f}" if score.pages else "–"
        print(f"| {name} | {f1} | {score.must} | {score.must_not} |")


def main() -> None:
    """Print one table over all pages with speeds, and one for each language of ten pages or more."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.quality.extraction", description=__doc__)
    parser.add_argument("--committed", action="store_true", help="score with the committed model")
    committed = parser.parse_args().committed
    pages = load_pages()
    megabytes = sum(page.bytes for page in pages) / 1e6
    ours, seconds = timed(lambda html: extract(html, MAX_DEPTH).text, pages)
    theirs, their_seconds = timed(resiliparse_text, pages)
    script = Path(__file__).with_name("extraction_trafilatura.py")
    peer = run_peer("trafilatura", script, {"pages": [page.html for page in pages]})
    if not committed:
        ours = held_out_texts(pages)
    names = [
        "tokenmill" + (", committed model" if committed else ", held out"),
        f"resiliparse {version('resiliparse')}",
        f"trafilatura {peer['version']}",
    ]
    columns = [ours, theirs, peer["texts"]]
    table("All", names, columns, pages, range(len(pages)))
    languages = sorted({page.language for page in pages})
    for language in languages:
        kept = [index for index, page in enumerate(pages) if page.language == language]
        if len(kept) >= 10:
            table(f"Language {language}", names, columns, pages, kept)
    print(f"\nSpeed on these {megabytes:.0f} MB of HTML\n\n| extractor | MB per second and core |\n|---|---|")
    for name, value in zip(names, (seconds, their_seconds, peer["seconds"]), strict=True):
        print(f"| {name.split(',')[0]} | {megabytes / value:.1f} |")


if __name__ == "__main__":
    main()
