"""The readers of the gate are no copy of the filter: no shared code, no shared list, and little in common by chance.

A filter that is blind to a defect is not to be judged by readers that are blind to it for the same reason.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from steps.evaluate.detectors import read_batch
from steps.evaluate.phrases import ENTRIES

ROOT = Path(__file__).parents[3]
EVALUATE = sorted((ROOT / "steps" / "evaluate").glob("*.py"))
CLEANERS = ("steps.ingest", "steps.preprocess", "steps.filter", "steps.classifier", "steps.text")
SHARED_SCORER = "steps.text.kenlm_score"  # Table 1's perplexity is a measure of a language model, not a rule


def test_importing_the_readers_loads_no_code_of_the_cleaning_steps() -> None:
    program = (
        "import sys, steps.evaluate.step; print('\\n'.join(m for m in sys.modules if m.startswith('steps.')))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    loaded = done.stdout.split()
    assert "steps.evaluate.detectors" in loaded
    assert [name for name in loaded if name.startswith(CLEANERS)] == []


def test_no_file_of_evaluate_names_code_or_lists_of_the_cleaning_steps() -> None:
    assert len(EVALUATE) >= 10
    for path in EVALUATE:
        text = path.read_text(encoding="utf-8")
        named = re.findall(r"(?:from|import) (steps\.[\w.]+)", text)
        allowed = {SHARED_SCORER} if path.name == "step.py" else set()
        assert {name for name in named if name.startswith(CLEANERS)} <= allowed, path.name
        assert not re.search(r"configs|wordlists|rules/|default\.yaml", text), path.name


def test_the_cleaning_steps_read_nothing_of_evaluate() -> None:
    for folder in ("ingest", "preprocess", "score", "filter", "classifier", "deduplicate", "text"):
        for path in (ROOT / "steps" / folder).rglob("*.py"):
            assert "steps.evaluate" not in path.read_text(encoding="utf-8"), path


def patterns_of_the_filter() -> set[str]:
    """Regular expressions and marks that the filter's rules and signals are written with."""
    found = set()
    for path in [*(ROOT / "steps" / "filter").glob("*.py"), *(ROOT / "steps" / "preprocess").glob("*.py")]:
        found |= set(re.findall(r'r"([^"\n]{6,})"', path.read_text(encoding="utf-8")))
    rules = (ROOT / "configs" / "rules" / "default.yaml").read_text(encoding="utf-8")
    return found | set(re.findall(r"'([^'\n]{6,})'", rules))


def test_no_regular_expression_is_in_both() -> None:
    own = set()
    for path in EVALUATE:
        own |= set(re.findall(r'r"([^"\n]{6,})"', path.read_text(encoding="utf-8")))
    assert len(own) > 100 and len(patterns_of_the_filter()) > 10
    assert own & patterns_of_the_filter() == set()


def listed_words() -> list[str]:
    """Every entry of the filter's word lists, without its weight."""
    words = []
    for path in sorted((ROOT / "configs" / "wordlists").glob("*.txt")):
        for line in path.read_text(encoding="utf-8").split("\n"):
            word = line.partition("\t")[0].strip()
            if word and not word.startswith("#"):
                words.append(word)
    return words


def test_few_listed_words_of_the_filter_would_convict_a_document_by_themselves() -> None:
    """A word that the filter removes is no verdict for the readers, which want several cues of theirs together.

    Both sides name the same things (百家乐 has no other name), so that some overlap is unavoidable; what is bounded is
    how much of the filter's lists the readers would find if a text consisted of nothing else.
    """
    words = listed_words()
    assert len(words) > 1000
    found = read_batch(words, ["zh" if word > "\u3000" else "en" for word in words])
    alone = [word for word, findings in zip(words, found, strict=True) if findings]
    assert len(alone) <= 0.02 * len(words), alone


def test_most_of_the_readers_cues_are_not_in_the_filters_lists() -> None:
    """Share of entries of the filter's lists that are a whole cue of the readers: the same phrase on both sides.

    281 of 2,621 when this was written: swear words and names of games and drugs, which have no synonyms.
    """
    words = listed_words()
    cues = [
        re.compile(p, re.I)
        for name in ("ADVERTISING", "TOXIC", "PROMOTION", "INSULT")
        for p, _ in ENTRIES[name]
    ]
    same = [word for word in words if any(cue.fullmatch(word) for cue in cues)]
    assert len(same) <= 0.12 * len(words), f"{len(same)} of {len(words)}"


@pytest.mark.parametrize("name", sorted(ENTRIES))
def test_every_cue_compiles_in_both_engines_and_matches_no_empty_text(name: str) -> None:
    import pyarrow as pa
    import pyarrow.compute as pc

    for pattern, weight in ENTRIES[name]:
        assert weight > 0
        assert re.compile(pattern, re.I).search("") is None, pattern
        assert not pc.match_substring_regex(pa.scalar(""), pattern, ignore_case=True).as_py(), pattern
