"""Keys of any text and URL: no crash, no hang, and a batch is what its documents are alone."""

from __future__ import annotations

import pyarrow as pa
import pytest

from steps.deduplicate import keys
from steps.deduplicate.config import Config
from tests.fuzz import mutations
from tests.steps.text.test_fuzz import SEEDS

URLS = [
    b"http://a.cn/x?utm_source=q&id=7&utm_medium=w&gclid=1#top",
    "https://Example.COM:443/路径/?q=中文&&a=b#!/page/2".encode(),
    b"ftp://user:pw@[::1]:21/f;type=a?x=%00%ff",
]


def documents(texts: list[str], urls: list[str]) -> pa.Table:
    return pa.table(
        {
            "_row": pa.array(range(len(texts)), pa.int64()),
            "doc_id": [f"{i:032x}" for i in range(len(texts))],
            "url": pa.array(urls, pa.string()),
            "text": pa.array(texts, pa.large_string()),
        }
    )


@pytest.mark.fuzz
def test_keys_of_any_text_do_not_depend_on_its_neighbours(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = [data.decode(errors="replace") for data in mutations(SEEDS, seed=11)]
    urls = [data.decode(errors="replace") for data in mutations(URLS, count=len(texts), seed=12)]
    together = keys.document_keys(documents(texts, urls), Config())
    assert together.num_rows == len(texts)
    monkeypatch.setattr(keys, "BATCH_BYTES", 200)
    assert keys.document_keys(documents(texts, urls), Config()).equals(together)
