"""synthesize against a server that speaks the protocol: pairs, checks, lineage, budgets, resume, secrets."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from steps.core.artifact import Artifact
from steps.core.config import Runtime
from steps.core.corpus import Corpus
from steps.core.digest import bytes_digest
from steps.core.errors import ConfigError, DataError
from steps.core.parts import cached_store
from steps.core.step import Outcome, run_step
from steps.core.takedown import Takedowns
from steps.synthesize.answers import Unusable, read_pair
from steps.synthesize.asking import ANSWERS
from steps.synthesize.config import PASSAGE, Config
from steps.synthesize.endpoint import KEY as KEY_NAME
from steps.synthesize.endpoint import URL, prompt_bound, record
from tests.steps.documents import make_corpus
from tests.steps.synthesize.endpoint import KEY, Reply, Script, Server, completion, serving, until

ROOT = Path(__file__).parents[3]
PLAIN = {"shares": {"physics": 1.0}}


def passage(number: int) -> str:
    return (
        f"Passage {number:03d}: " + f"a body of mass {number} falls from a tower of height {number + 7}. " * 8
    )


_BASE: dict[str, str] = {}  # the corpus that all tests ask about: where it lies, and its reference there


@pytest.fixture(scope="module", autouse=True)
def base(tmp_path_factory: pytest.TempPathFactory) -> None:
    records = [
        {"text": passage(n), "url": f"https://host{n % 2}.example/{n}", "dump": "cc-1", "licence": "CC0"}
        for n in range(12)
    ]
    root = tmp_path_factory.mktemp("base")
    made = make_corpus(root, [records[n::3] for n in range(3)])
    _BASE.update(root=str(root), ref=made.artifact.local_ref)


def corpus(root: Path) -> str:
    """The reference of the corpus below ``root``, where it is copied to."""
    if not root.joinpath("documents").exists():
        shutil.copytree(_BASE["root"], root, dirs_exist_ok=True)
    return _BASE["ref"]


def number_in(request: dict[str, Any]) -> int:
    found = re.search(r"Passage (\d{3})", request["messages"][0]["content"])
    assert found
    return int(found[1])


def pair(request: dict[str, Any], _: int = 0) -> Reply:
    n = number_in(request)
    return completion(f"<problem>How far does body {n} fall?</problem>\n<solution>As far as {n}.</solution>")


def synthesize(
    root: Path, server: Server | None, monkeypatch: pytest.MonkeyPatch, **settings: Any
) -> Outcome:
    made = corpus(root)
    if server is not None:
        monkeypatch.setenv(URL, server.url)
    monkeypatch.setenv(KEY_NAME, KEY)
    return run_step(
        "synthesize",
        config={"model": "small", "requests": 12, "documents_per_shard": 5, **PLAIN, **settings},
        inputs={"corpora.web": made},
        root=f"file://{root}",
        runtime=Runtime(workers=1),
    )


def rows(artifact: Artifact) -> list[dict[str, Any]]:
    return [row for shard in Corpus.open(artifact).shards for row in shard.read().to_pylist()]


def test_every_passage_becomes_a_pair_that_names_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(pair) as server:
        made = synthesize(tmp_path, server, monkeypatch)
    found = rows(made.artifact)
    assert len(found) == len(server.asked) == 12
    base = {shard.sha256: shard.read() for shard in Corpus.open(made.artifact.input("corpora.web")).shards}
    for row in found:
        source = base[row["origin"]["shard"]].slice(row["origin"]["row"], 1).to_pylist()[0]
        n = int(source["text"][8:11])
        assert row["prompt"] == f"How far does body {n} fall?" and row["response"] == f"As far as {n}."
        assert row["text"] == f"{row['prompt']}\n{row['response']}" and row["task"] == "physics"
        assert (row["source"], row["language"], row["licence"]) == ("synthetic", "en", "CC0")
        assert row["url"].startswith(source["url"] + "#/made-from/" + source["doc_id"])
        said = json.loads(row["metadata"])
        assert said["kind"] == "supervised" and said["synthetic"]["passage"]["doc_id"] == source["doc_id"]
        assert said["synthetic"]["corpus"] == made.artifact.input("corpora.web").digest
    facts, prompt = made.facts, Config(model="m").disciplines["physics"].prompts["en"]
    assert facts["model"] == "small" and facts["models"] == {"small-1": 12}
    assert facts["prompts"]["physics"]["en"] == bytes_digest(prompt.encode())
    assert (facts["prompt_tokens"], facts["answer_tokens"], facts["stopped"]) == (240, 120, "")
    assert made.artifact.manifest.provenance["endpoint"] == server.url.split("/")[2]
    assert {request["model"] for request in server.asked} == {"small"}
    assert {request["max_tokens"] for request in server.asked} == {2048}


def test_the_order_is_that_of_the_requests_and_not_of_the_answers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def slow_first(request: dict[str, Any], number: int) -> Reply:
        server.closing.wait(0.3 if number < 4 else 0)
        return pair(request)

    digests = set()
    for name, script, concurrency in (("a", pair, "1"), ("b", slow_first, "8")):
        monkeypatch.setenv("TOKENMILL_ENDPOINT_CONCURRENCY", concurrency)
        with serving(script) as server:
            made = synthesize(tmp_path / name, server, monkeypatch)
        digests.add(tuple(entry.sha256 for entry in made.artifact.files("shard")))
    assert len(digests) == 1


def fenced(program: str, tests: str) -> str:
    return (
        "<problem>Write double(x).</problem>\n<solution>So:\n```python\n"
        f"{program}\n```\n</solution>\n<tests>{tests}</tests>"
    )


def checked_script(answers: dict[int, str]) -> Script:
    return lambda request, _: completion(answers[number_in(request)])


def test_wrong_sums_and_failing_or_escaping_programs_are_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def sum_of(answer: str, check: str) -> str:
        solution = rf"First 3 times 12, then 5 more: \boxed{{{answer}}}"
        return f"<problem>What is 3·12 + 5?</problem><solution>{solution}</solution><check>{check}</check>"

    double, test = "def double(x):\n    return 2 * x", "assert double(4) == 8"
    escape = "import socket\nsocket.create_connection(('127.0.0.1', 1))\n" + double
    sums = [sum_of("41", "3*12 + 5"), sum_of("42", "3**20000"), sum_of("41", "__import__('os').getpid()")]
    programs = [fenced(double, test), fenced(double.replace("2 *", "3 *"), test), fenced(escape, test)]
    programs += [fenced(double, "assert True"), fenced(double, "double(4)")]
    with serving(lambda request, _: completion(f"answer {number_in(request)}")) as server:
        for name, texts in (("mathematics", sums), ("computer_science", programs)):
            server.script = checked_script({n: texts[n % len(texts)] for n in range(12)})
            made = synthesize(
                tmp_path / name,
                server,
                monkeypatch,
                shares={name: 1},
                max_quarantine_share=1,
                checks={"seconds": 5},
            )
            counts = made.counts
            if name == "mathematics":
                assert {row["response"][-10:] for row in rows(made.artifact)} == {r"\boxed{41}"}
                assert counts.removed_by["wrong_answer"].documents == 4
                assert counts.quarantined_by["unreadable_check"].documents == 4
                assert {json.loads(row["metadata"])["kind"] for row in rows(made.artifact)} == {"math"}
                continue
            assert {row["response"] for row in rows(made.artifact)} == {f"So:\n```python\n{double}\n```"}
            assert counts.removed_by["failed_program"].documents == 3 + 2 + 2
            assert counts.quarantined_by["unparsable_answer"].documents == 2
            ledger = made.artifact.read_table(made.artifact.files("ledger")[0])["detail"].to_pylist()
            assert any("PermissionError" in detail for detail in ledger), "the escape reached nothing"
            assert any("its tests pass without it" in detail for detail in ledger)


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (completion("<problem>Only half"), "unparsable_answer"),
        (completion("<problem>A</problem><solution> </solution>"), "unparsable_answer"),
        (completion("Sure! <problem>A</problem><solution>B</solution>"), "unparsable_answer"),
        (completion("<problem>A</problem><solution>B <problem>C</problem></solution>"), "unparsable_answer"),
        (completion("<problem>A</problem><solution>B</solution>", finish="length"), "answer_cut_off"),
        (completion(None, refusal="I cannot help with that."), "refused"),
        (completion("", finish="content_filter"), "refused"),
        (Reply({"error": {"message": "this model's context is 512 tokens"}}, 400), "no_answer"),
        (completion("\ud800"), "unparsable_answer"),
    ],
)
def test_what_is_no_pair_is_quarantined_with_its_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: Reply, reason: str
) -> None:
    with serving(lambda request, n: answer if number_in(request) == 3 else pair(request)) as server:
        made = synthesize(tmp_path, server, monkeypatch)
    assert {name: tally.documents for name, tally in made.counts.quarantined_by.items()} == {reason: 1}
    assert made.counts.total.kept.documents == 11 and len(server.asked) == 12


@pytest.mark.parametrize(
    "hostile",
    [
        "<problem>" + "</problem><solution>" * 20_000 + "</solution><check>" * 20_000,
        "<problem>a</problem><solution>" + "```python\n" * 40_000 + "</solution><tests>assert 1</tests>",
    ],
    ids=["fields", "fences"],
)
def test_an_answer_made_to_be_slow_is_read_in_one_pass(hostile: str) -> None:
    """Backtracking took minutes for these, in the process that asks."""
    before = time.process_time()
    for check in ("mathematics", "code"):
        with pytest.raises(Unusable, match="unparsable_answer"):
            read_pair(record(text=hostile), check)
    assert time.process_time() - before < 10


def test_a_passage_that_the_model_calls_unsuitable_is_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script: Script = lambda r, n: completion(" <unsuitable/>\n") if number_in(r) % 2 else pair(r)  # noqa: E731
    with serving(script) as server:
        made = synthesize(tmp_path, server, monkeypatch, max_quarantine_share=0)
    assert made.counts.removed_by["unsuitable_passage"].documents == made.counts.total.kept.documents == 6


def test_a_model_that_writes_rubbish_ends_the_step_before_the_budget_is_spent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving(lambda request, _: completion("As an AI")) as server:
        monkeypatch.setattr("steps.synthesize.asking.EARLIEST_ALARM", 3)
        monkeypatch.setenv("TOKENMILL_ENDPOINT_CONCURRENCY", "1")
        with pytest.raises(DataError, match=r"3 of 3 answers of small cannot be used.*unparsable_answer"):
            synthesize(tmp_path, server, monkeypatch)
    assert len(server.asked) < 6


def bound(most: int) -> int:
    """Tokens that are reserved for a request of the longest passage."""
    prompt = Config(model="m").disciplines["physics"].prompts["en"].replace(PASSAGE, passage(11))
    return prompt_bound([{"content": prompt}]) + most


@pytest.mark.parametrize(("unit", "price"), [("token_budget", 1), ("money_budget", 1e-6)])
def test_a_budget_ends_the_step_well_and_a_larger_one_goes_on_behind_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, unit: str, price: float
) -> None:
    """An answer costs 30 tokens; one request is reserved with its prompt's bytes and 2,000 tokens."""
    budget = price * (bound(2000) + 5 * 30)
    prices = {"input_price": 1.0, "output_price": 1.0, "parameters": {"max_tokens": 2000}}
    with serving(pair) as server:
        few = synthesize(tmp_path, server, monkeypatch, **{unit: budget}, **prices)
        assert few.facts["stopped"] == unit
        answered = few.facts["answered"]
        assert 1 <= answered < 12 and few.facts["requests"] == 12
        spent = few.facts["prompt_tokens"] + few.facts["answer_tokens"]
        assert spent == 30 * answered and few.facts["cost"] == pytest.approx(spent / 1e6)
        assert len(server.asked) == answered, "nothing was asked beyond the budget"
        whole = synthesize(tmp_path, server, monkeypatch, **{unit: 10 * budget}, **prices)
    assert whole.facts["stopped"] == "" and len(server.asked) == 12, "no request was made twice"
    assert [row["text"] for row in rows(whole.artifact)][:answered] == [
        row["text"] for row in rows(few.artifact)
    ]


def test_the_budgets_end_does_not_depend_on_how_many_ask_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = set()
    for concurrency in ("1", "7"):
        monkeypatch.setenv("TOKENMILL_ENDPOINT_CONCURRENCY", concurrency)
        with serving(lambda request, n: Reply(pair(request).body)) as server:
            made = synthesize(tmp_path / concurrency, server, monkeypatch, token_budget=bound(2048) + 5 * 30)
        found.add((made.facts["answered"], made.artifact.manifest.identity.documents))
    assert len(found) == 1


def command(root: Path, tmp_path: Path, ref: str, **settings: Any) -> list[str]:
    config = {"model": "small", "requests": 12, "documents_per_shard": 5, **PLAIN, **settings}
    (tmp_path / "settings.yaml").write_text(yaml.safe_dump(config))
    step = [sys.executable, "-m", "steps.core.cli", "step", "synthesize", f"--root=file://{root}"]
    return [*step, f"--config={tmp_path / 'settings.yaml'}", f"--input=corpora.web={ref}"]


def test_a_killed_step_asks_only_what_was_not_answered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "root"
    made, answers = corpus(root), root / ANSWERS

    def stuck(request: dict[str, Any], number: int) -> Reply:
        if number >= 5:
            server.closing.wait()
        return pair(request)

    environment = {**os.environ, KEY_NAME: KEY, "TOKENMILL_ENDPOINT_CONCURRENCY": "2"}
    with serving(stuck) as server:
        process = subprocess.Popen(
            command(root, tmp_path, made),
            env={**environment, URL: server.url},
            cwd=ROOT,
            start_new_session=True,
        )
        try:
            until(lambda: len(list(answers.rglob("*.json"))) == 5 and len(server.asked) == 7)
        finally:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        first = server.prompts()
    with serving(pair) as server:
        again = synthesize(root, server, monkeypatch)
        second = server.prompts()
    assert len(first) == 7 and len(second) == 7
    assert len({*first[:5], *second}) == 12, "an answered request was made again"
    assert set(first[5:]) <= set(second), "those in flight are asked once more"
    cached_store.cache_clear()
    with serving(pair) as server:
        undisturbed = synthesize(tmp_path / "other", server, monkeypatch)
    assert again.digest == undisturbed.digest


def test_the_key_goes_to_the_endpoint_and_nowhere_else(tmp_path: Path) -> None:
    """Well done, and refused by a server that repeats the key: no file, no output, no command line has it."""
    root = tmp_path / "root"
    made = corpus(root)
    environment = {**os.environ, KEY_NAME: KEY, "PYTHONWARNINGS": "default"}
    outputs = []
    refusal = Reply({"error": {"message": f"Incorrect API key provided: {KEY}"}}, 401)
    for script in (lambda r, n: refusal, pair):
        with serving(script) as server:
            done = subprocess.run(
                command(root, tmp_path, made),
                env={**environment, URL: server.url}, cwd=ROOT, capture_output=True, timeout=240,
            )  # fmt: skip
            assert f"Bearer {KEY}" in {h["authorization"] for h in server.headers}
        outputs.append((done.returncode, done.stdout + done.stderr))
    assert [code for code, _ in outputs] == [77, 0]
    assert b"to the key in OPENAI_API_KEY" in outputs[0][1]
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(files) > 20
    assert not [path for path in files if KEY.encode() in path.read_bytes()]
    assert not any(KEY.encode() in output for _, output in outputs)


def test_a_takedown_of_a_passage_covers_what_was_made_from_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving(pair) as server:
        found = rows(synthesize(tmp_path, server, monkeypatch).artifact)
        passages = [json.loads(row["metadata"])["synthetic"]["passage"] for row in found]
        for row, origin in zip(found, passages, strict=True):
            for entry in (f"doc_id:{origin['doc_id']}", f"url:{origin['url']}", "domain:example"):
                assert Takedowns([entry]).match(row["doc_id"], row["url"])
            assert not Takedowns(["url:https://host0.example/"]).match(row["doc_id"], row["url"])
        left = synthesize(tmp_path, server, monkeypatch, takedowns=["domain:host1.example"])
    assert len(rows(left.artifact)) == 6 and len(server.asked) == 12


def test_disciplines_get_their_shares_and_their_passages(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    records = [[{"text": passage(n), "source": "books" if n < 4 else "web", "language": "zh" if n % 2 else "en"}
                for n in range(20)]]  # fmt: skip
    made = make_corpus(tmp_path, records, "shares")
    with serving(pair) as server:
        monkeypatch.setenv(URL, server.url)
        out = run_step(
            "synthesize",
            config={
                "model": "small", "requests": 12, "shares": {"physics": 2, "chemistry": 1, "biology": 3},
                "passages": {"biology": {"sources": ["books"]}},
            },
            inputs={"corpora.web": made.ref}, root=f"file://{tmp_path}", runtime=Runtime(workers=1),
        )  # fmt: skip
    found = rows(out.artifact)
    tasks = [row["task"] for row in found]
    assert {name: tasks.count(name) for name in set(tasks)} == {"physics": 4, "chemistry": 2, "biology": 4}
    assert out.facts["passages_missing"] == {"biology": 2}
    origins = {row["origin"]["row"] for row in found if row["task"] == "biology"}
    assert origins == {0, 1, 2, 3} and len({row["origin"]["row"] for row in found}) == 10
    chinese = [prompt for prompt in server.prompts() if "请从下面" in prompt]
    assert len(chinese) == sum(row["language"] == "zh" for row in found) > 0


def test_too_few_passages_are_shared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """12 passages for 40 requests: no discipline takes all of them because its name comes first."""
    with serving(pair) as server:
        shares = {"biology": 1, "chemistry": 1, "physics": 2}
        made = synthesize(tmp_path, server, monkeypatch, requests=40, shares=shares)
    tasks = [row["task"] for row in rows(made.artifact)]
    assert {name: tasks.count(name) for name in shares} == {"biology": 3, "chemistry": 3, "physics": 6}
    assert made.facts["passages_missing"] == {"biology": 7, "chemistry": 7, "physics": 14}


@pytest.mark.parametrize(
    ("settings", "wrong"),
    [
        ({"shares": {"alchemy": 1}}, "no discipline 'alchemy'"),
        ({"parameters": {"temperature": 1}}, "max_tokens"),
        ({"parameters": {"max_tokens": 5, "model": "x"}}, "parameters.model"),
        ({"money_budget": 1}, "input_price"),
        ({"prompts_file": "nowhere"}, "no prompt file 'nowhere'"),
        ({"requests": 0}, "requests"),
    ],
)
def test_a_wrong_setting_is_named(
    settings: dict[str, Any], wrong: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ConfigError, match=wrong):
        synthesize(tmp_path, None, monkeypatch, **settings)


def test_a_missing_or_wrong_endpoint_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(URL, raising=False)
    monkeypatch.setenv("TOKENMILL_ENDPOINT_CONCURRENCY", "none")
    with pytest.raises(
        ConfigError, match=r"CONCURRENCY='none'(.|\n)*OPENAI_BASE_URL is not set.*tokenmill_endpoint"
    ):
        synthesize(tmp_path, None, monkeypatch)
    monkeypatch.delenv("TOKENMILL_ENDPOINT_CONCURRENCY")
    for address in ("ftp://host/v1", "http://", f"https://user:{KEY}@host/v1", "http://host/v1?key=1"):
        monkeypatch.setenv(URL, address)
        with pytest.raises(ConfigError, match="OPENAI_BASE_URL is not an http") as raised:
            synthesize(tmp_path, None, monkeypatch)
        assert KEY not in str(raised.value)
