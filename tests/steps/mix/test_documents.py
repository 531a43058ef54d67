"""A genuine verdict does not cover other texts: mix compares what it reads with what was approved."""

from __future__ import annotations

from pathlib import Path

import pytest

from steps.core.artifact import Artifact
from steps.core.errors import VerdictRefused
from steps.core.step import run_step
from steps.mix.step import verify_documents
from tests.steps.core.toy import MAKE


def test_a_manifest_that_claims_approved_documents_over_other_shards_is_refused(tmp_path: Path) -> None:
    config = {"max_quarantine_share": 1.0}
    approved = run_step(MAKE, config={**config, "rows": 20}, inputs={}, root=f"file://{tmp_path}/a").artifact
    other = run_step(MAKE, config={**config, "rows": 30}, inputs={}, root=f"file://{tmp_path}/b").artifact
    verify_documents(approved, tmp_path)
    identity = other.manifest.identity.model_copy(update={"documents": approved.manifest.identity.documents})
    forged = Artifact(other.store, other.reference, other.manifest.model_copy(update={"identity": identity}))
    with pytest.raises(VerdictRefused, match="does not hold the documents that were approved"):
        verify_documents(forged, tmp_path)
