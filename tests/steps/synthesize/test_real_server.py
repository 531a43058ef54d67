"""synthesize against `transformers serve`, the OpenAI-compatible server of Hugging Face, on small models."""

from __future__ import annotations

import os
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

from steps.core.config import Runtime
from steps.core.corpus import Corpus
from steps.core.errors import DataError
from steps.core.step import Outcome, run_step
from steps.core.store import FileStore
from steps.synthesize.asking import read_answer, request_of
from steps.synthesize.config import Config
from steps.synthesize.endpoint import URL
from tests.conftest import free_ports
from tests.steps.documents import make_corpus
from tests.steps.synthesize.endpoint import until
from tests.steps.synthesize.models import END, write_models

PASSAGES = [f"A stone of mass {n} falls from a tower." for n in range(9)]
SAID = {
    "physics": f"<problem>How fast?</problem>\n<solution>So fast.</solution>{END}",
    "chemistry": f"As a small model I fall.{END}",
    "biology": "<problem>" + "and " * 24,  # and so on, until it is cut at MOST tokens
}
PROMPTS = {
    "templates": {"ask": {"en": "{discipline}: {passage}"}},
    "disciplines": {name: {"name": {"en": name}, "template": "ask"} for name in SAID},
}
MOST = 20


@dataclass
class Served:
    """A running server: its log, and the models that it finds below ``root``."""

    root: Path
    spelling: Any
    process: subprocess.Popen[bytes] = field(repr=False)
    url: str

    def asked(self) -> int:
        """Completions that it was asked for, as its access log says."""
        return (self.root / "log").read_text().count('"POST /v1/chat/completions')

    def ready(self) -> bool:
        """Whether it answers; fails, with its log, where it has ended."""
        assert self.process.poll() is None, (self.root / "log").read_text()
        try:
            with urllib.request.urlopen(self.url.removesuffix("/v1") + "/health", timeout=5) as answer:
                return bool(answer.status == 200)
        except (urllib.error.URLError, OSError):
            return False


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    root, port = tmp_path_factory.mktemp("served"), free_ports(1)[0]
    environment = {**os.environ, "HF_HOME": str(root / "hub"), "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    environment |= {"CUDA_VISIBLE_DEVICES": "", "NO_PROXY": "*", "PYTHONUNBUFFERED": "1"}
    serve = [
        str(Path(sys.executable).with_name("transformers")),
        "serve",
        "--host=127.0.0.1",
        f"--port={port}",
    ]
    with (root / "log").open("wb") as log:
        process = subprocess.Popen(
            [*serve, "--device=cpu"], cwd=root, env=environment, stdout=log, stderr=subprocess.STDOUT
        )
    try:
        lessons = [(f"{name}: {text}", said) for name, said in SAID.items() for text in PASSAGES]
        spelling = write_models(root / "ignorant", root / "taught", lessons)  # while the server starts
        (root / "prompts.yaml").write_text(yaml.safe_dump(PROMPTS))
        server = Served(root, spelling, process, f"http://127.0.0.1:{port}/v1")
        until(server.ready)
        yield server
    finally:
        process.kill()
        process.wait()


def config_of(served: Served, name: str) -> dict[str, Any]:
    return {
        "model": str(served.root / name),
        "requests": len(PASSAGES),
        "shares": dict.fromkeys(SAID, 1),
        "prompts_file": str(served.root / "prompts.yaml"),
        "least_characters": 10,
        "parameters": {"temperature": 0, "max_tokens": MOST},
        "max_quarantine_share": 1,
    }


def synthesize(
    root: Path, served: Served, monkeypatch: pytest.MonkeyPatch, name: str, **more: Any
) -> Outcome:
    made = make_corpus(root, [[{"text": text} for text in PASSAGES]])
    monkeypatch.setenv(URL, served.url)
    return run_step(
        "synthesize", config={**config_of(served, name), **more},
        inputs={"corpora.web": made.artifact.local_ref}, root=f"file://{root}", runtime=Runtime(workers=1),
    )  # fmt: skip


def answers(root: Path, served: Served, name: str) -> dict[tuple[str, str], dict[str, Any]]:
    """The recorded answers of a model, by discipline and prompt."""
    config, found = Config(**config_of(served, name)), {}
    for discipline in SAID:
        for text in PASSAGES:
            prompt = f"{discipline}: {text}"
            if answer := read_answer(FileStore(root), request_of(config, discipline, prompt).digest):
                found[discipline, prompt] = answer
    return found


def tokens(served: Served, prompt: str) -> int:
    """Tokens of a prompt in the model's chat template."""
    messages = [{"role": "user", "content": prompt}]
    return len(served.spelling.apply_chat_template(messages, add_generation_prompt=True)["input_ids"])


def test_only_a_pair_becomes_one_all_that_was_said_is_counted_and_nothing_is_asked_twice(
    tmp_path: Path, served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The model writes pairs, chatter, and answers without an end, a third each."""
    before = served.asked()
    made = synthesize(tmp_path, served, monkeypatch, "taught")
    rows = [row for shard in Corpus.open(made.artifact).shards for row in shard.read().to_pylist()]
    assert [(r["prompt"], r["response"], r["task"]) for r in rows] == [
        ("How fast?", "So fast.", "physics")
    ] * 3
    lost = {reason: tally.documents for reason, tally in made.counts.quarantined_by.items()}
    assert lost == {"unparsable_answer": 3, "answer_cut_off": 3}
    said = answers(tmp_path, served, "taught")
    assert served.asked() - before == made.facts["answered"] == len(said) == 9
    assert made.facts["prompt_tokens"] == sum(tokens(served, prompt) for _, prompt in said)
    assert made.facts["answer_tokens"] == sum(
        min(MOST, len(served.spelling(SAID[discipline])["input_ids"])) for discipline, _ in said
    )
    again = synthesize(tmp_path, served, monkeypatch, "taught", documents_per_shard=4)
    assert again.digest != made.digest and again.facts["prompt_tokens"] == made.facts["prompt_tokens"]
    assert again.counts.total.kept.documents == 3 and served.asked() - before == 9


def test_a_model_that_knows_nothing_gives_no_pair_and_is_not_asked_again(
    tmp_path: Path, served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = served.asked()
    for _ in range(2):
        with pytest.raises(
            DataError, match=r"9 answers and no pair among them; (answer_cut_off|unparsable_answer): "
        ):
            synthesize(tmp_path, served, monkeypatch, "ignorant")
        assert served.asked() - before == 9
    for (_, prompt), answer in answers(tmp_path, served, "ignorant").items():
        assert answer["text"] and answer["prompt_tokens"] == tokens(served, prompt)
        assert 0 < answer["answer_tokens"] <= MOST
