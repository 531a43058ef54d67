"""The store's key and the key that signs are in nothing that the mill writes: no object, no log, no row of MLflow.

Airflow's database and logs are searched where Airflow runs: test_demo.py and test_compose.py.
"""

from __future__ import annotations

import base64
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import pytest

from demo.generator import write_dump
from steps.core.signing import PRIVATE, PUBLIC_KEYS, SIGNING_KEY, Signer, new_keys, signer
from steps.core.store import open_store
from tests.conftest import SECRET
from tests.steps.core.test_lineage import mlflow_server, runs_of
from tests.system.mill import MANY_PARTS, Mill

__all__ = ["mlflow_server"]
KEYS = new_keys({})
PRIVATE_HEX = KEYS[SIGNING_KEY].removeprefix(PRIVATE)
FORMS = [
    *(SECRET.encode(), quote(SECRET, safe="").encode(), base64.b64encode(SECRET.encode())),
    *(PRIVATE_HEX.encode(), bytes.fromhex(PRIVATE_HEX), base64.b64encode(bytes.fromhex(PRIVATE_HEX))),
]


@dataclass
class Written:
    """What a run on S3 with MLflow left behind."""

    mill: Mill
    output: str
    mlflow: str


@pytest.fixture
def written(
    s3_root: str, mlflow_server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Written]:
    """language_models and data_factory on S3, the dump and the reference texts there too, lineage sent."""
    aws = {name: value for name, value in os.environ.items() if name.startswith("AWS_")}
    assert aws["AWS_SECRET_ACCESS_KEY"] == SECRET
    write_dump(tmp_path / "inbox")
    inbox = open_store(f"{s3_root}/inbox")
    for path in sorted(path for path in (tmp_path / "inbox").rglob("*") if path.is_file()):
        inbox.put_file(path.relative_to(tmp_path / "inbox").as_posix(), path)
    own = {
        **aws,
        "TOKENMILL_WORKERS": "1",
        "TOKENMILL_INBOX": inbox.uri,
        "MLFLOW_TRACKING_URI": mlflow_server,
        **KEYS,
    }
    mill = Mill(tmp_path, tmp_path / "inbox", f"{s3_root}/root", own)
    done = [mill.well(*mill.planned("run", dag, *MANY_PARTS)) for dag in ("language_models", "data_factory")]
    outputs = [item.output for item in done]
    # what fails says more than what goes well
    outputs.append(
        mill.call("step", "filter", "--input=corpus=" + done[1].refs["publish"][:-4] + "0000").output
    )
    outputs.append(mill.call("show", done[1].refs["publish"], AWS_ENDPOINT_URL="http://127.0.0.1:9").output)
    outputs.append(mill.call("step", "gate", **{PUBLIC_KEYS: KEYS[SIGNING_KEY]}).output)
    outputs.append(mill.call("keys", "show").output)
    yield Written(mill, "\n".join(outputs), mlflow_server)


def signed_by() -> Signer:
    found = signer(KEYS)
    assert found is not None
    return found


def in_forms(data: bytes) -> bool:
    return any(form in data for form in FORMS)


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_no_key_is_in_an_object_no_log_and_no_row_of_mlflow(
    written: Written, tmp_path_factory: pytest.TempPathFactory
) -> None:
    assert not in_forms(written.output.encode())
    assert "error: " in written.output, "the commands that had to fail did"
    assert f"the verdict is signed by the key {signed_by().public.id}" in written.output

    store = open_store(written.mill.root)
    objects = [info.key for info in store.list()]
    kinds = {key.rsplit("/", 1)[-1].rpartition(".")[2] for key in objects}
    assert len(objects) > 150 and {"json", "parquet", "html"} <= kinds
    for name in ("manifest.json", "run.json", "parts/", "lineage/", "catalog/", "signatures/"):
        assert any(name in key for key in objects), name
    for key in objects:
        data = store.get(key)
        assert not in_forms(data), key

    for dag in ("language_models", "data_factory"):
        stages = {run["tag"]["stage"] for run in runs_of(written.mlflow, dag)}
        assert {"pipeline", "ingest", "preprocess"} <= stages
    homes = {path.parent.resolve() for path in tmp_path_factory.getbasetemp().glob("mlflow*/db")}
    assert homes, "the server keeps its database elsewhere"
    files = [path for home in homes for path in home.rglob("*") if path.is_file()]
    assert any(path.name == "db" and path.stat().st_size > 100_000 for path in files)
    for path in files:
        assert not in_forms(path.read_bytes()), path

    left = [path for path in written.mill.home.rglob("*") if path.is_file()]
    assert left and not any(in_forms(path.read_bytes()) for path in left)
