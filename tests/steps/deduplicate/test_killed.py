"""kill -9 inside each phase of de-duplication costs nothing but the time of the part that was under way."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

from steps.core.artifact import Artifact
from tests.steps.deduplicate.killed import COMMIT
from tests.steps.deduplicate.test_deduplicate import deduplicate, dumps, related_texts
from tests.steps.documents import make_corpus

ROOT = Path(__file__).parents[3]
PHASES = (
    *("keys", "url-keys-index", "url", "url-decisions-index", "text-keys-index", "text"),
    *("text-decisions-index", "merge", "merge-shards", "near-keys", "near-keys-index", "pairs", "groups"),
    *("texts", "texts-index", "verify", "near-decisions-index", "collect", "masks"),
)
"""Every phase of the step, in its order; a new one must be named here, so that it is killed too."""


def test_the_same_bytes_after_a_kill_inside_each_phase(tmp_path: Path) -> None:
    one, two = dumps(3)
    first = deduplicate(tmp_path, make_corpus(tmp_path / "1", one))
    corpus = make_corpus(tmp_path / "2", [*two, related_texts(1, 40)])
    command = [sys.executable, "-m", "tests.steps.deduplicate.killed", "20261120", str(tmp_path)]
    said = subprocess.run(
        [*command, corpus.ref, first.ref], cwd=ROOT, stdout=subprocess.PIPE, check=True, timeout=280
    )
    seen = json.loads(said.stdout)
    assert list(seen["touched"]) == [*PHASES, COMMIT]
    assert seen["killed"] == dict.fromkeys([*PHASES, COMMIT], -signal.SIGKILL)
    assert seen["again"] == seen["whole"]
    (folder,) = (tmp_path / "killed" / "deduplicate").iterdir()
    made = Artifact.open(f"file://{folder.parents[1]}/deduplicate/{folder.name}@{seen['whole']}")
    reasons = made.manifest.identity.counts.removed_by
    assert set(reasons) == {"duplicate_url", "exact_duplicate", "near_duplicate"}
    parts = [path.stem.rpartition("-")[0] for path in folder.glob("parts/*.json")]
    for phase in ("keys", "url", "text", "pairs", "verify", "masks"):
        assert parts.count(phase) > 1, f"{phase} has one part only, so that nothing is resumed in it"
