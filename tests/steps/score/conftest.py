"""A scorer that is trained in a second."""

from __future__ import annotations

from pathlib import Path

import pytest

from steps.core.config import Runtime
from steps.core.step import run_step
from tests.steps.documents import make_corpus
from tests.steps.language_model.corpora import records


@pytest.fixture(scope="session")
def scorer_files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """sp.model and lm.bin of a small English model."""
    root = tmp_path_factory.mktemp("scorer")
    made = run_step(
        "language_model",
        config={"language": "en", "vocabulary": 300, "order": 3},
        inputs={"corpus": make_corpus(root, records(20)).ref},
        root=f"file://{root}",
        runtime=Runtime(workers=1),
    ).artifact
    pieces, model = (made.fetch(made.file(name), root / "files") for name in ("sp.model", "lm.bin"))
    return pieces, model
