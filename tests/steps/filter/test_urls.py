"""URLs are found in lists by host, parent domain and folder, and scored by their words."""

from __future__ import annotations

import gzip
import hashlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from steps.core.config import Runtime
from steps.core.errors import DataError
from steps.core.step import run_step
from steps.core.store import open_store
from steps.filter.config import Config
from steps.filter.layout import ends_in_comma, tail_run
from steps.filter.urls import entry_key, keys, listed, load_lists, put_lists, read_list, split_url, word_score
from tests.steps.documents import make_corpus
from tests.steps.filter.test_filter import GOOD

LIST = b"# UT1\ncasino.example\nhttp://Blog.example/adult/\nwww.bad.example/a/b\n\n"


@pytest.mark.parametrize(
    ("url", "found"),
    [
        ("https://casino.example/", 1),
        ("http://user:pw@WWW.Casino.Example:8080/x?y#z", 1),
        ("https://de.casino.example/play", 1),
        ("https://notcasino.example/", 0),
        ("https://casino.example.org/", 0),
        ("https://blog.example/adult/1.html", 1),
        ("https://blog.example/adulthood", 0),
        ("https://blog.example/", 0),
        ("bad.example/a/b/c", 1),
        ("https://bad.example/a", 0),
        ("", 0),
        ("not a url", 0),
    ],
)
def test_a_list_holds_hosts_parent_domains_and_folders(url: str, found: int) -> None:
    assert listed([url], read_list(LIST, "list")).tolist() == [found]


def test_an_international_host_equals_its_ascii_form() -> None:
    assert split_url("https://bücher.example/a")[0] == split_url("http://xn--bcher-kva.example/")[0]


@given(st.text(), st.text())
def test_any_url_is_found_by_a_list_that_holds_it(url: str, other: str) -> None:
    entries = read_list(url.replace("\n", " ").replace("#", "").encode("utf-8", "replace"), "list")
    clean = url.replace("\n", " ").replace("#", "").encode("utf-8", "replace").decode()
    if entry_key(clean) and clean.strip() and len(keys(clean)) < 8:
        assert listed([clean], entries).tolist() == [1.0]
    assert set(listed([other], entries).tolist()) <= {0.0, 1.0}


def test_words_count_once_in_the_host_and_half_in_the_path() -> None:
    words = {"casino": 3.0, "*porn": 4.0, "bet": 1.0}
    urls = [
        "https://casino.example/casino",
        "https://mycasino.example/",
        "https://freepornsite.example/",
        "https://alphabet.example/bet-casino",
    ]
    assert word_score(urls, words).tolist() == [4.5, 0.0, 4.0, 2.0]
    assert word_score(urls, {}).tolist() == [0.0] * 4


def test_the_step_drops_documents_of_listed_domains(tmp_path: Path) -> None:
    path = tmp_path / "domains.gz"
    path.write_bytes(gzip.compress(LIST, mtime=0))
    (digest,) = put_lists(open_store(f"file://{tmp_path}"), [path])
    assert digest == hashlib.sha256(path.read_bytes()).hexdigest()
    rows = [
        {"text": GOOD["zh"], "language": "zh", "url": url}
        for url in ("https://play.casino.example/a", "https://good.example/a")
    ]
    made = run_step(
        "filter",
        config={"url_lists": {"gambling": [digest]}, "max_source_loss": 1.0},
        inputs={"corpus": make_corpus(tmp_path, [rows]).ref},
        root=f"file://{tmp_path}",
        runtime=Runtime(workers=1),
    )
    assert made.counts.removed_by["d25_listed_url_v1"].documents == 1
    assert made.counts.total.kept.documents == 1


def test_a_list_that_is_missing_or_changed_is_named(tmp_path: Path) -> None:
    root = f"file://{tmp_path}"
    with pytest.raises(DataError, match="put the list there with"):
        load_lists(root, ("0" * 64,))
    open_store(root).put("lists/" + "1" * 64, b"other")
    with pytest.raises(DataError, match="is not what its name says"):
        load_lists(root, ("1" * 64,))
    with pytest.raises(DataError, match="byte 0 is not"):
        read_list(b"\xff", "list")
    with pytest.raises(ValueError, match="is no sha256"):
        Config(url_lists={"adult": ["adult.txt"]})


def test_the_run_of_labels_at_the_end_is_counted() -> None:
    parent = np.array([0, 0, 0, 0, 1, 1, 2, 2])
    tokens = np.array([40.0, 3, 3, 3, 3, 3, 30, 2])
    ends = np.array([True, False, False, False, False, False, False, False])
    comma = np.array([False, False, False, False, False, False, True, False])
    assert tail_run(parent, tokens, ends, comma).tolist() == [0, 3, 3, 3, 0, 0, 0, 0]
    assert tail_run(parent[:0], tokens[:0], ends[:0], comma[:0]).tolist() == []


def test_commas_of_both_widths_are_seen() -> None:
    texts = ["a,", "a，", "、", "a", "", "b;", "，a"]
    data = np.frombuffer("".join(texts).encode() or b"", np.uint8)
    end = np.cumsum([len(t.encode()) for t in texts])
    start = np.append(0, end[:-1])
    assert ends_in_comma(data, start, end).tolist() == [True, True, True, False, False, True, False]
