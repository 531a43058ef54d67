"""The catalog's list of live de-duplication indexes."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from steps.core.errors import DataError
from steps.publish.config import Config
from steps.publish.step import taken_down, with_index


def gated(ref: str, compared: dict[str, str]) -> Any:
    """What `with_index` looks at of a deduplicate artifact."""
    payload = SimpleNamespace(inputs={"corpus": "c", **compared})
    manifest = SimpleNamespace(identity=SimpleNamespace(payload=payload))
    return SimpleNamespace(local_ref=ref, manifest=manifest, input_names=lambda: sorted(payload.inputs))


def test_an_index_enters_once_and_replaces_the_one_of_its_own_dump() -> None:
    first = with_index({}, gated("deduplicate/f@aaa", {}), "own", "D1")
    assert first == {"live": [{"corpus": "own", "dump": "D1", "ref": "deduplicate/f@aaa"}]}
    assert with_index(first, gated("deduplicate/f@aaa", {}), "own", "D1") == first
    second = with_index(first, gated("deduplicate/g@bbb", {"index.000": "aaa"}), "own", "D2")
    assert [entry["dump"] for entry in second["live"]] == ["D1", "D2"]
    again = with_index(second, gated("deduplicate/h@ccc", {"index.000": "bbb"}), "own", "D1")
    assert [entry["ref"][-3:] for entry in again["live"]] == ["bbb", "ccc"]


def test_a_dump_that_was_not_compared_with_a_later_publication_is_refused() -> None:
    live = {"live": [{"corpus": "own", "dump": "D1", "ref": "deduplicate/f@aaa"}]}
    with pytest.raises(DataError, match="own/D1 was published since"):
        with_index(live, gated("deduplicate/g@bbb", {}), "own", "D2")


def test_takedowns_by_id_url_and_domain_with_subdomains() -> None:
    config = Config(takedowns=("doc_id:1", "url:https://a.example/x", "domain:B.example"))
    urls = [
        "https://a.example/y",
        "https://a.example/x",
        "https://www.b.example/z",
        "https://notb.example/",
        "http://[",
    ]
    assert taken_down(config, ["1", "2", "3", "4", "5"], urls).tolist() == [True, True, True, False, False]
    with pytest.raises(ValueError, match="is not doc_id"):
        Config(takedowns=("b.example",))
