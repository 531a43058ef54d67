"""The catalog's list of live de-duplication indexes."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest

from steps.core.catalog import index_dumps
from steps.core.cli import main
from steps.core.errors import Overtaken
from steps.publish.config import Config
from steps.publish.index import NewIndex, with_index
from steps.publish.step import taken_down


def new(name: str, compared: str = "", holds: str = "") -> NewIndex:
    """An index ``deduplicate/f@<name>``; digests are words."""
    return NewIndex(f"deduplicate/f@{name}", frozenset(holds.split()), frozenset(compared.split()))


def live(value: dict[str, Any]) -> list[str]:
    """The digests that each live index holds."""
    entries = value["live"]
    return [" ".join(held["ref"].partition("@")[2] for held in index_dumps(entry)) for entry in entries]


def test_an_index_enters_once_and_replaces_the_one_of_its_own_dump() -> None:
    first = with_index({}, new("a1"), "own", "D1")
    assert first == {"live": [{"corpus": "own", "dump": "D1", "ref": "deduplicate/f@a1"}]}
    assert with_index(first, new("a1"), "own", "D1") == first
    second = with_index(first, new("b1", "a1"), "own", "D2")
    assert live(second) == ["a1", "b1"]
    again = with_index(second, new("a2", "b1"), "own", "D1")
    assert live(again) == ["b1", "a2"]


def test_indexes_that_were_taken_over_leave_and_their_dumps_stay_known() -> None:
    value = with_index({}, new("a1"), "own", "D1")
    value = with_index(value, new("b1", "a1", "a1"), "own", "D2")
    assert live(value) == ["b1 a1"]
    assert with_index(value, new("a1"), "own", "D1") == value, "a repeated publication of what was taken over"
    value = with_index(value, new("c1", "a1 b1"), "own", "D3")
    assert live(value) == ["b1 a1", "c1"]
    # D1 again, by a run that left its first publication out and took over the rest of that index
    value = with_index(value, new("a2", "b1 a1 c1", "b1 c1"), "own", "D1")
    assert live(value) == ["a2 b1 c1"]
    assert [held["dump"] for held in index_dumps(value["live"][0])] == ["D1", "D2", "D3"]


@pytest.mark.parametrize(
    ("index", "dump", "named"),
    [
        (new("d1"), "D4", "own/D1, own/D2, own/D3"),
        (new("d1", "a1 b1", "a1 b1"), "D4", "own/D3"),  # D3 came while D4 ran
        (new("a2", "c1", "c1"), "D1", "own/D1, own/D2"),  # did not meet D2
        (new("a2", "b1 c1", "c1"), "D1", "own/D1"),  # met D2, but leaves D1's first publication in its index
        (new("d1", "a1 b1 c1 e1", "e1"), "D4", "another dump"),  # took over what is no longer live
    ],
)
def test_a_dump_that_was_not_compared_with_what_is_live_is_refused(
    index: NewIndex, dump: str, named: str
) -> None:
    value = with_index(with_index({}, new("a1"), "own", "D1"), new("b1", "a1", "a1"), "own", "D2")
    value = with_index(value, new("c1", "a1 b1"), "own", "D3")
    before = copy.deepcopy(value)
    with pytest.raises(Overtaken, match=f"^{named} was published since"):
        with_index(value, index, "own", dump)
    assert value == before


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


@pytest.mark.parametrize("name", ["例子.cn", "例子。CN。", "xn--fsqu00a.cn", ".xn--fsqu00a.cn."])
def test_a_domain_is_the_same_in_every_way_to_write_it(name: str) -> None:
    urls = [
        "https://例子.cn/",
        "http://www.例子.CN:80/a",
        "https://xn--fsqu00a.cn./",
        "https://子.cn/",
        "https://[x/",
    ]
    config = Config(takedowns=(f"domain:{name}",))
    assert taken_down(config, "12345", urls).tolist() == [True, True, True, False, False]


@pytest.mark.parametrize(
    "entry", ["https://a.example", "a.example/page", "a.example:443", "*.a.example", "."]
)
def test_what_is_no_domain_s_name_would_cover_nothing(entry: str) -> None:
    with pytest.raises(ValueError, match="a domain's name alone"):
        Config(takedowns=(f"domain:{entry}",))


def test_a_file_of_takedowns_that_is_no_text_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "list.txt"
    path.write_text("domain:a.example\ndomain:例子.example\n", encoding="gb18030")
    assert main(["takedown", f"--from={path}", "--dry-run", f"--root=file://{tmp_path}"]) == 64
    assert f"{path}: not UTF-8 from byte 24 on" in capsys.readouterr().err
