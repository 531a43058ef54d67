"""A batch of any texts: no crash, valid UTF-8, the same alone and together, and twice as once."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from steps.preprocess.config import Config
from steps.preprocess.kernels import COUNT_COLUMNS, Prepared, prepare
from steps.text import language, scan
from tests.fuzz import mutations

SEEDS = [
    (
        "太好了！！！！(￣▽￣) 谢谢^_^，联系138 1234 5678或a@b.cn。。。\n　　第二段：我 们 的 国 家，"
        "ＡＢＣ１２３\n-----------\n"
    ).encode(),
    "臺灣的頭髮著名，後面是皇后，瞭解什麼。乾隆皇帝說：滑鼠在記憶體裡。\n他说,然后走了.★★★".encode(),
    "数据清洗是训练语言模型的第一步。".encode().decode("latin-1").encode() + "数据清洗".encode("gbk"),
    "数据清洗是训练语言模型的第一步".encode().decode("gb18030", "replace").encode() + b"\n\xc3\x83\xc2\xa9 x",
    "It’s “fine”—really :-) &amp; <b>bold</b><br/>next\r\nline\ttab 😀👍🏽 word★word....... why????\n".encode(),
    b"server 114.25.3.7, card 4111 1111 1111 1111, id 11010519491231002X, 2001:db8::ff00:42:8329 (T_T)\n",
    "$\\sum_{i=1}^n i!$ if (a &lt; b) { return x ? y : z; } // 输出 e\u0301 \u200b\ufeff 東京駅 かな 한글".encode(),
]
CONFIG = Config(trust_declared_language=True, min_language_score=0)


def run(texts: list[str], languages: list[str], config: Config = CONFIG) -> Prepared:
    prose = np.array([len(text) % 7 > 0 for text in texts], bool)
    return prepare(pa.array(texts, pa.string()), languages, prose, config)


@pytest.mark.fuzz
def test_any_text_is_prepared_alone_as_in_a_batch() -> None:
    texts = [data.decode(errors="replace") for data in mutations(SEEDS, seed=5)]
    for at in range(0, len(texts), 50):
        batch = texts[at : at + 50]
        done = run(batch, (["zh", "en"] * 25)[: len(batch)])
        done.texts.validate(full=True)
        assert done.wanted.all() and done.counts.shape == (len(batch), len(COUNT_COLUMNS))
        assert (done.counts >= 0).all()
        assert all(0 <= value <= 1 for guess in done.guesses for value in guess[1:])
        one = at % len(batch)
        alone = run(batch[one : one + 1], [("zh", "en")[one % 2]])
        assert alone.texts[0] == done.texts[one] and alone.guesses[0] == done.guesses[one]
        assert alone.counts[0].tolist() == done.counts[one].tolist()


@pytest.mark.fuzz
def test_preparing_twice_changes_nothing_more() -> None:
    prose = Config(trust_declared_language=True, min_language_score=0)
    texts = [data.decode(errors="replace") for data in mutations(SEEDS, seed=6)]
    for at in range(0, len(texts), 50):
        batch = texts[at : at + 50]
        languages, every = (["zh", "en"] * 25)[: len(batch)], np.ones(len(batch), bool)
        once = prepare(pa.array(batch, pa.string()), languages, every, prose)
        twice = prepare(once.texts, languages, every, prose)
        assert twice.texts.to_pylist() == once.texts.to_pylist()
        assert twice.counts[:, COUNT_COLUMNS.index("personal_data_spans")].sum() == 0


@pytest.mark.fuzz
def test_the_language_of_any_text_is_guessed() -> None:
    config = Config(languages=("de", "en", "fr", "ja", "und", "zh"), min_language_score=0)
    texts = [data.decode(errors="replace") for data in mutations(SEEDS, seed=7)]
    for at in range(0, len(texts), 50):
        batch = texts[at : at + 50]
        done = run(batch, [""] * len(batch), config)
        assert len(done.guesses) == len(batch) and len(done.texts) == done.wanted.sum()


def test_a_kernel_is_compiled_once_whatever_the_texts_need() -> None:
    """Another array type would be compiled at its first document, each time, where the cache is read-only."""
    for texts in ([seed.decode(errors="replace") for seed in SEEDS], ["a  b"], ["plain"]):
        run(texts, ["zh"] * len(texts))
    for kernel in (scan._split, scan._scan, scan._join, language._clean_windows):
        assert len(kernel.signatures) == 1, kernel
