"""The fill of packed windows on real sets: alpaca, GSM8K, MATH and Wikipedia."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.quality.packing import PLAIN, fills, pack_stages

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"


@pytest.mark.data
@pytest.mark.skipif(not DATA.is_dir(), reason=f"no shared data at {DATA}")
def test_windows_of_real_sets_are_full_and_no_supervised_document_is_cut(tmp_path: Path) -> None:
    first, *others = pack_stages(tmp_path, 4096)
    assert first.facts["fill"] >= 0.999
    for packed in others:
        assert packed.facts["fill"] >= 0.97
        supervised = [found for found in fills(packed) if found.task != PLAIN]
        assert supervised and all(found.cut == 0 and found.documents > 1000 for found in supervised)
