"""What a step holds does not grow with the dump, and one huge document is set aside."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.speed.corpora import run_process, step_command
from steps.core.artifact import Artifact
from steps.core.config import Runtime
from steps.core.step import run_step
from tests.steps.documents import make_corpus
from tests.steps.language_model.corpora import english, records

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]
# what may be more: the list of parts and their counts, the allocator's rest
SHARE, MEGABYTES = 1.1, 24


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> dict[int, dict[str, str]]:
    """By number of shards of 0.3 MB each: a corpus, and an English language model."""
    root = tmp_path_factory.mktemp("memory")
    model = run_step(
        "language_model",
        config={"language": "en", "vocabulary": 300, "order": 3},
        inputs={"corpus": make_corpus(root / "model", records(20)).ref},
        root=f"file://{root}",
        runtime=Runtime(workers=1),
    )
    found = {}
    for shards in (2, 40):
        texts = [[{"text": english(100 * n + i, 60)} for i in range(100)] for n in range(shards)]
        corpus = make_corpus(root / str(shards), texts)
        found[shards] = {"corpus": corpus.ref, "language_models.en": model.ref}
    return found


@pytest.mark.parametrize("step", ["preprocess", "score", "filter"])
def test_twenty_times_the_dump_takes_no_more_memory(
    step: str, inputs: dict[int, dict[str, str]], tmp_path: Path
) -> None:
    settings = tmp_path / "settings.yaml"
    settings.write_text("max_source_loss: 1.0\n" if step == "filter" else "{}\n")
    peaks: list[float] = []
    for shards in (2, 2, 40):  # the first one compiles what no other test did
        given = {name: ref for name, ref in inputs[shards].items() if name == "corpus" or step == "score"}
        root = tmp_path / f"{len(peaks)}"
        cost = run_process(step_command(step, root, given, settings), {"TOKENMILL_WORKERS": "1"})
        peaks.append(cost.memory / 1e6)
    assert peaks[2] <= SHARE * peaks[1] + MEGABYTES, f"MB of memory: {peaks[1:]}"


def test_a_document_of_200_mb_is_quarantined_and_the_others_are_filtered(tmp_path: Path) -> None:
    small = [{"text": english(n, 60)} for n in range(20)]
    huge = {"text": "Many words are in here, and a lot more follow. " * 4_300_000, "doc_id": "huge"}
    corpus = make_corpus(tmp_path, [[*small[:10], huge, *small[10:]]])
    assert len(huge["text"]) > 200_000_000
    settings = tmp_path / "settings.yaml"
    settings.write_text("max_source_loss: 1.0\nmax_quarantine_share: 0.2\n")
    command = step_command("filter", tmp_path, {"corpus": corpus.ref}, settings)
    cost = run_process(command, {"TOKENMILL_WORKERS": "1", "STEP_MANIFEST": str(tmp_path / "result.json")})
    assert cost.memory < 2_000_000_000, f"{cost.memory / 1e6:.0f} MB"
    made = Artifact.open(json.loads((tmp_path / "result.json").read_text())["ref"])
    total = made.manifest.identity.counts
    assert total.total.input.documents == 21
    assert {reason: tally.documents for reason, tally in total.quarantined_by.items()} == {
        "document_too_large": 1
    }
