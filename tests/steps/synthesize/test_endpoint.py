"""An endpoint that misbehaves: what is tried again, what ends the step, what is recorded as lost."""

from __future__ import annotations

import asyncio
import email.utils
import gzip
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from steps.core.errors import ConfigError, CredentialError, ServiceError
from steps.core.store import FileStore
from steps.synthesize import asking
from steps.synthesize.asking import EARLIEST_ALARM, Asked, Pace, ask_all, read_answer, request_of
from steps.synthesize.config import Config
from steps.synthesize.endpoint import KEY as KEY_NAME
from steps.synthesize.endpoint import LONGEST_RETRY_AFTER, URL, Limits, Settings, retry_after
from tests.steps.synthesize.endpoint import KEY, Reply, Script, Server, completion, error, serving

CONFIG = Config(model="small", parameters={"max_tokens": 500})
GOOD = completion("<problem>A</problem><solution>B</solution>")


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[float]]:
    """Waits pass at once, and a clock of the test's own with them."""
    found: list[float] = []
    now = time.monotonic()

    async def pause(seconds: float) -> None:
        found.append(seconds)
        await asyncio.sleep(0)

    class Clock:
        @staticmethod
        def monotonic() -> float:
            return now + sum(found)

    monkeypatch.setattr(asking, "pause", pause)
    monkeypatch.setattr(asking, "time", Clock)
    yield found


def ask(server: Server | str, root: Path, count: int = 1, **limits: int) -> Asked:
    url = server if isinstance(server, str) else server.url
    settings = Settings(url, KEY, Limits(**{"concurrency": 1, **limits}))
    requests = [request_of(CONFIG, "physics", f"Passage {n}") for n in range(count)]
    return ask_all(CONFIG, FileStore(root), settings, iter(requests), count, 60)


def answer(root: Path, number: int = 0) -> dict[str, Any]:
    found = read_answer(FileStore(root), request_of(CONFIG, "physics", f"Passage {number}").digest)
    assert found is not None
    return found


def first(bad: Reply) -> Script:
    return lambda request, number: bad if number == 0 else GOOD


@pytest.mark.parametrize(
    ("bad", "wait"),
    [
        (error(500, "oops"), 1),
        (error(429, "slow down"), 1),
        (error(429, "slow down", Retry_After="7"), 7),
        (error(503, "starting", Retry_After="0.5"), 0.5),
        (error(429, "slow down", Retry_After="86400"), LONGEST_RETRY_AFTER),
        (error(409, "busy", Retry_After="soon"), 1),
        (Reply(GOOD.body, cut=True), 1),
        (Reply(b"{'choices': []}"), 1),
        (Reply(b"<html>hello</html>", headers={"Content-Type": "text/html"}), 1),
        (Reply({"choices": []}), 1),
        (Reply({"choices": [{"message": {"content": 5}}]}), 1),
        (Reply([1, 2]), 1),
        (Reply(b"[" * 50_000), 1),
        (completion("x" * 200_000), 1),
        (Reply(gzip.compress(json.dumps(GOOD.body).encode()), headers={"Content-Encoding": "gzip"}), 1),
    ],
    ids=lambda value: "" if isinstance(value, Reply) else str(value),
)
def test_what_gave_no_answer_is_asked_again(
    tmp_path: Path, waits: list[float], bad: Reply, wait: float
) -> None:
    with serving(first(bad)) as server:
        asked = ask(server, tmp_path)
    assert asked.requests == asked.fresh == 1 and len(server.asked) == 2
    assert answer(tmp_path)["text"] == "<problem>A</problem><solution>B</solution>"
    assert max(waits) == pytest.approx(wait)


def test_an_answer_without_an_end_is_given_up(tmp_path: Path, waits: list[float]) -> None:
    with serving(first(Reply(b"", drip=0.05))) as server:
        assert ask(server, tmp_path, seconds=1).requests == 1
    assert len(server.asked) == 2


def test_a_server_that_asks_for_time_is_left_alone_by_all(tmp_path: Path, waits: list[float]) -> None:
    with serving(first(error(429, "slow down", Retry_After="60"))) as server:
        ask(server, tmp_path, count=3, concurrency=3)
    assert sum(waits) >= 60 and len(server.asked) == 4


def test_an_endpoint_that_answers_nobody_is_away(tmp_path: Path, waits: list[float]) -> None:
    away: Script = lambda request, _: error(503, f"overloaded, {KEY}")  # noqa: E731
    with serving(away) as server, pytest.raises(ServiceError, match=r"answers 503: .*8 times") as raised:
        ask(server, tmp_path, count=3)
    assert KEY not in str(raised.value)
    assert len(server.asked) == 8 and sorted(waits)[-7:] == [1, 2, 4, 8, 16, 32, 64]
    assert not list(tmp_path.rglob("*.json")), "nothing is recorded that a retry would have to believe"
    with pytest.raises(ServiceError, match="breaks off"):
        ask("http://127.0.0.1:9/v1", tmp_path)


def test_a_request_that_always_fails_holds_up_no_other(tmp_path: Path, waits: list[float]) -> None:
    def script(request: dict[str, Any], _: int) -> Reply:
        return error(500, "crash") if request["messages"][0]["content"].endswith(" 1") else GOOD

    with serving(script) as server:
        asked = ask(server, tmp_path, count=12, concurrency=2)
        assert asked.requests == 12 and "8 attempts: answers 500" in answer(tmp_path, 1)["failure"]
        before = len(server.asked)
        assert ask(server, tmp_path, count=12).fresh == 0 and len(server.asked) == before


def test_a_server_that_refuses_all_is_not_believed_when_it_has_changed(
    tmp_path: Path, waits: list[float]
) -> None:
    """`transformers serve MODEL` answers 400 to another model's name; the operator starts it with the right one."""
    pinned = error(400, "Server is pinned to 'other'; requested 'small'.")
    for count in (3, EARLIEST_ALARM + 5):
        with (
            serving(lambda request, _: pinned) as server,
            pytest.raises(ConfigError, match="pinned to 'other'"),
        ):
            ask(server, tmp_path, count=count)
        assert len(server.asked) <= EARLIEST_ALARM + 1 and not list(tmp_path.rglob("*.json"))
    with serving(first(pinned)) as server:
        assert ask(server, tmp_path, count=3).requests == len(server.asked) == 3
    assert "pinned" in answer(tmp_path, 0)["failure"], "of this request alone, as others are answered"
    with serving(lambda request, _: pinned) as server:
        assert ask(server, tmp_path, count=3).fresh == 0 and server.asked == []


@pytest.mark.parametrize(
    ("bad", "kind", "said"),
    [
        (
            error(404, "The model `small` does not exist"),
            ConfigError,
            r"does not exist.*synthesize\.model \('small'\)",
        ),
        (
            error(401, f"Incorrect key {KEY}"),
            CredentialError,
            r"to the key in OPENAI_API_KEY: .*Incorrect key \*\*\*",
        ),
        (
            error(429, "You exceeded your quota", code="insufficient_quota"),
            CredentialError,
            "exceeded your quota",
        ),
    ],
)
def test_what_no_retry_mends_ends_the_step_at_once(
    tmp_path: Path, waits: list[float], bad: Reply, kind: type[Exception], said: str
) -> None:
    with serving(lambda request, _: bad) as server, pytest.raises(kind, match=said) as raised:
        ask(server, tmp_path, count=5)
    assert len(server.asked) == 1 and KEY not in str(raised.value)


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_redirect_to_a_private_address_is_not_followed(
    tmp_path: Path, waits: list[float], status: int
) -> None:
    with serving(lambda request, _: GOOD) as private:
        moved = Reply({}, status, {"Location": f"{private.url}/chat/completions"})
        with serving(lambda request, _: moved) as server, pytest.raises(ConfigError, match="not followed"):
            ask(server, tmp_path)
    assert private.asked == [] and len(server.asked) == 1


def test_a_proxy_of_the_environment_is_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, waits: list[float]
) -> None:
    with serving(lambda request, _: error(500, "proxy")) as proxy, serving(lambda request, _: GOOD) as server:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.url)
        assert ask(server, tmp_path).requests == 1
    assert proxy.asked == []


def test_an_answer_without_usage_is_counted_by_its_bytes(tmp_path: Path, waits: list[float]) -> None:
    body = {name: value for name, value in GOOD.body.items() if name != "usage"}
    with serving(lambda request, _: Reply(body)) as server:
        asked = ask(server, tmp_path)
    assert (asked.spent.prompt, asked.spent.answer) == (len("Passage 0") + 32, len(answer(tmp_path)["text"]))


@pytest.mark.parametrize(
    "usage", [{}, 5, {"prompt_tokens": -1, "completion_tokens": 2}, {"prompt_tokens": 1e30}]
)
def test_a_usage_that_is_none_loses_no_answer_that_is_paid_for(
    tmp_path: Path, waits: list[float], usage: Any
) -> None:
    with serving(lambda request, _: Reply(GOOD.body | {"usage": usage})) as server:
        asked = ask(server, tmp_path)
    assert len(server.asked) == 1 and asked.spent.answer == len(answer(tmp_path)["text"])


def test_a_key_that_a_server_repeats_is_recorded_nowhere(tmp_path: Path, waits: list[float]) -> None:
    """In an answer, in one that is no completion, and in what a client says of a key that it cannot send."""
    with serving(lambda request, _: completion(f"<problem>{KEY}</problem><solution>B</solution>")) as server:
        ask(server, tmp_path)
    assert answer(tmp_path)["text"] == "<problem>***</problem><solution>B</solution>"
    with (
        serving(lambda request, _: Reply(KEY.encode())) as server,
        pytest.raises(ServiceError, match=r"no JSON: b'\*\*\*'"),
    ):
        ask(server, tmp_path / "other")


def test_a_key_with_a_line_end_is_sent_without_and_one_that_cannot_be_sent_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(URL, "http://127.0.0.1:9/v1")
    monkeypatch.setenv(KEY_NAME, f"{KEY}\n")
    assert Settings.from_environment().key == KEY
    for wrong in (f"{KEY}\nHost: x", f"{KEY}é"):
        monkeypatch.setenv(KEY_NAME, wrong)
        with pytest.raises(ConfigError, match="OPENAI_API_KEY has a character") as raised:
            Settings.from_environment()
        assert KEY not in str(raised.value)


def test_retry_after_may_be_a_date() -> None:
    date = email.utils.formatdate(time.time() + 120, usegmt=True)
    found = retry_after(date)
    assert found is not None and 110 < found <= 121
    assert retry_after(email.utils.formatdate(0)) == 0
    for wrong in (None, "", "soon", "nan"):
        assert retry_after(wrong) is None


def paced(
    requests: int, tokens: int, turns: list[int], waits: list[float], use: Callable[[Pace], None]
) -> list[float]:
    """When each turn came, in seconds."""

    async def run() -> list[float]:
        pace, moments = Pace(requests, tokens), []
        for reserved in turns:
            await pace.turn(reserved)
            moments.append(sum(waits))
            use(pace)
        return moments

    return asyncio.run(run())


def test_rates_are_spread_over_the_minute(waits: list[float]) -> None:
    assert paced(30, 0, [1] * 4, waits, lambda pace: None) == pytest.approx([0, 2, 4, 6])
    waits.clear()
    assert paced(0, 600, [100, 50, 1], waits, lambda pace: None) == pytest.approx([0, 10, 15])
    waits.clear()
    # a request that took fewer tokens than were reserved gives the others' time back
    assert paced(0, 600, [100, 100], waits, lambda pace: pace.used(100, 20)) == pytest.approx([0, 2])
