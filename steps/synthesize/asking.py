"""Asks all requests, in order and side by side, within rates and budgets; every answer is recorded once.

Answers lie beside the step's artifacts under the digest of their request, so that a step that was killed, or one with
other settings, asks only what was never answered. The budget counts what the answers of this artifact cost, asked now
or before: a request is taken up while all before it and the most that it may cost fit. How far a step comes follows
from the answers alone.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from steps.core.digest import canonical_json, json_digest
from steps.core.errors import ConfigError, DataError, ServiceError
from steps.core.store import ObjectMissing, Store
from steps.synthesize.answers import UNSUITABLE, Unusable, read_pair
from steps.synthesize.config import Config
from steps.synthesize.endpoint import Endpoint, Settings, TryAgain, prompt_bound, record

ANSWERS = "synthesize/answers"
ATTEMPTS = 8  # 1 + 2 + … + 64 s, two minutes, as in steps/core/remote.py
LONGEST_WAIT = 64.0
EARLIEST_ALARM = 20  # unusable answers before the share of them is looked at (own choice)
pause = asyncio.sleep


@dataclass(frozen=True)
class Request:
    """One request: what is asked, and the discipline, whose check says what an answer must look like."""

    messages: tuple[dict[str, str], ...]
    discipline: str
    digest: str


@dataclass
class Spent:
    """Tokens, by what they were for."""

    prompt: int = 0
    answer: int = 0


@dataclass
class Asked:
    """How far it came: the first ``requests`` of all are answered and in the budget."""

    requests: int = 0
    fresh: int = 0  # asked by this attempt
    spent: Spent = field(default_factory=Spent)
    stopped: str = ""  # the budget that ended it
    models: dict[str, int] = field(default_factory=dict)  # names that the endpoint gave itself


def request_of(config: Config, discipline: str, prompt: str) -> Request:
    """A request with its digest, which holds all that is sent and not where to."""
    messages = ({"role": "user", "content": prompt},)
    sent = {"model": config.model, "messages": list(messages), **config.parameters}
    return Request(messages, discipline, json_digest(sent))


def answer_key(digest: str) -> str:
    """Where the answer of a request lies in the store."""
    return f"{ANSWERS}/{digest[:2]}/{digest}.json"


def read_answer(store: Store, digest: str) -> dict[str, Any] | None:
    """The recorded answer, or None. Raises DataError for a damaged one."""
    try:
        found: dict[str, Any] = json.loads(store.get(answer_key(digest)))
    except ObjectMissing:
        return None
    except ValueError:
        raise DataError(f"{store.uri}/{answer_key(digest)} is damaged; delete it and retry") from None
    return found


class Pace:
    """Requests and tokens per minute, evenly spread, and waits that the server asks everybody for."""

    def __init__(self, requests: int, tokens: int) -> None:
        self._gap = 60 / requests if requests else 0.0
        self._token = 60 / tokens if tokens else 0.0
        self._requests = self._tokens = self._held = 0.0  # moments before which nothing is sent

    async def turn(self, tokens: int) -> None:
        """Wait until a request of at most so many tokens may go."""
        now = time.monotonic()
        moment = max(now, self._requests, self._tokens)
        self._requests, self._tokens = moment + self._gap, moment + tokens * self._token
        await pause(moment - now)
        while (left := self._held - time.monotonic()) > 0:
            await pause(left)

    def used(self, reserved: int, tokens: int) -> None:
        """A request took ``tokens`` and not ``reserved``."""
        self._tokens -= max(reserved - tokens, 0) * self._token

    def hold(self, seconds: float) -> None:
        """Nobody sends anything for so long."""
        self._held = max(self._held, time.monotonic() + seconds)


class Asking:
    """One run through all requests."""

    def __init__(
        self, config: Config, store: Store, endpoint: Endpoint, log: logging.Logger, every: float
    ) -> None:
        self.config, self.store, self.endpoint, self.log, self.every = config, store, endpoint, log, every
        limits = endpoint.settings.limits
        self.pace = Pace(limits.requests_per_minute, limits.tokens_per_minute)
        self.asked = Asked()
        self._busy: dict[asyncio.Task[dict[str, Any]], tuple[int, Request]] = {}
        self._said: dict[int, tuple[int, int, int, str]] = {}  # by request: its bound, prompt, answer, model
        self._answers = 0  # that the endpoint gave in this attempt
        self._spoken = False  # whether the endpoint ever gave a completion, now or before
        self._refused: list[tuple[Request, dict[str, Any]]] = []  # before it gave one
        self._unusable = self._last = 0.0

    async def run(self, requests: Iterator[Request], total: int) -> Asked:
        """Ask until all is answered or a budget is spent. Raises StepError; what was answered stays recorded."""
        try:
            for number, request in enumerate(requests):
                await self._room(request)
                if self.asked.stopped:
                    break
                self._busy[asyncio.create_task(self._answer(request))] = number, request
                self._say(total)
            while self._busy:
                await self._finish()
                self._say(total)
        finally:
            for task in self._busy:
                task.cancel()
            await asyncio.gather(*self._busy, return_exceptions=True)
        if self._refused and not self._spoken:
            raise self._refuses_all()
        for request, answer in self._refused:
            await self._keep(request, answer)
        return self._settled()

    def _settled(self) -> Asked:
        """How far the answers reach, one after the other: the same for any order in which they came."""
        whole = Asked(fresh=self.asked.fresh, stopped=self.asked.stopped)
        for number in range(len(self._said)):
            bound, prompt, answer, model = self._said[number]
            broken = self._broken(whole.spent.prompt + bound, whole.spent.answer + self.config.most_tokens)
            if broken:  # a server that counted more than there can be
                whole.stopped = broken
                break
            whole.requests += 1
            whole.spent.prompt, whole.spent.answer = whole.spent.prompt + prompt, whole.spent.answer + answer
            if model:
                whole.models[model] = whole.models.get(model, 0) + 1
        return whole

    async def _room(self, request: Request) -> None:
        """Wait until there is room for one more request, or say which budget has none."""
        while len(self._busy) >= self.endpoint.settings.limits.concurrency or (
            self._busy and self._over(request)
        ):
            await self._finish()
        self.asked.stopped = self._over(request)

    def _over(self, request: Request) -> str:
        """The budget that this request may break, with everything before it; empty where there is none."""
        prompt, answer = self.asked.spent.prompt, self.asked.spent.answer
        for taken in (*(request for _, request in self._busy.values()), request):
            prompt, answer = prompt + prompt_bound(taken.messages), answer + self.config.most_tokens
        return self._broken(prompt, answer)

    def _broken(self, prompt: int, answer: int) -> str:
        """The budget that so many tokens break; empty where they break none."""
        if self.config.token_budget is not None and prompt + answer > self.config.token_budget:
            return "token_budget"
        if (
            self.config.money_budget is not None
            and self.config.cost(prompt, answer) > self.config.money_budget
        ):
            return "money_budget"
        return ""

    async def _finish(self) -> None:
        """Take up what is answered next."""
        done, _ = await asyncio.wait(self._busy, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            number, request = self._busy.pop(task)
            answer = task.result()
            prompt, spoken = answer["prompt_tokens"], answer["answer_tokens"]
            self._said[number] = prompt_bound(request.messages), prompt, spoken, answer["model"]
            self.asked.requests += 1
            self.asked.spent.prompt += prompt
            self.asked.spent.answer += spoken
            self._judge(request, answer)

    def _judge(self, request: Request, answer: dict[str, Any]) -> None:
        """End the step where the answers cannot be used, before the budget is spent on them."""
        try:
            read_pair(answer, self.config.disciplines[request.discipline].check)
        except Unusable as problem:
            self._unusable += problem.reason != UNSUITABLE
            share = self._unusable / self.asked.requests
            if self._unusable >= EARLIEST_ALARM and share > self.config.max_quarantine_share:
                if self._refused and not self._spoken:
                    raise self._refuses_all() from None
                raise DataError(
                    f"synthesize: {self._unusable:.0f} of {self.asked.requests} answers of {self.config.model} cannot "
                    f"be used, more than max_quarantine_share {self.config.max_quarantine_share:.0%} (the last: "
                    f"{problem.reason}, {problem.detail}); another model, prompt file or larger max_tokens may help"
                ) from None

    async def _answer(self, request: Request) -> dict[str, Any]:
        """The recorded answer, asked for where there is none.

        A refusal says something of this request only where others get completions; until then it is not recorded, or
        a server that was started with another model would be believed for ever.
        """
        found = await asyncio.to_thread(read_answer, self.store, request.digest)
        answer = found or await self._ask(request)
        self._spoken = self._spoken or not answer["failure"]
        if found is not None:
            return found
        if not self._spoken:
            self._refused.append((request, answer))
            return answer
        return await self._keep(request, answer)

    async def _keep(self, request: Request, answer: dict[str, Any]) -> dict[str, Any]:
        """Record a new answer; gives the one that is recorded."""
        if not await asyncio.to_thread(self.store.create, answer_key(request.digest), canonical_json(answer)):
            found = await asyncio.to_thread(read_answer, self.store, request.digest)
            assert found is not None
            return found  # another run was faster
        self.asked.fresh += 1
        return answer

    def _refuses_all(self) -> ConfigError:
        """The endpoint gave nothing but refusals of requests."""
        return ConfigError(
            f"endpoint {self.endpoint.settings.host} refuses each of {len(self._refused)} requests, and none of it is "
            f"recorded: {self._refused[0][1]['failure']}; look at synthesize.model ({self.config.model!r}) and "
            "synthesize.parameters"
        )

    async def _ask(self, request: Request) -> dict[str, Any]:
        """An answer after as many attempts as it takes.

        A request that fails ATTEMPTS times while others are answered is recorded as failed, so that it holds up no
        retry either; where nothing is answered, the endpoint is away: ServiceError.
        """
        reserved = prompt_bound(request.messages) + self.config.most_tokens
        before, why = self._answers, ""
        for attempt in range(ATTEMPTS):
            await self.pace.turn(reserved)
            try:
                answer = await self.endpoint.ask(request.messages)
            except TryAgain as problem:
                self.pace.used(reserved, 0)
                why = str(problem)
                doubled = min(2.0**attempt, LONGEST_WAIT)
                if problem.after is not None:
                    self.pace.hold(problem.after)
                if attempt < ATTEMPTS - 1:
                    await pause(doubled if problem.after is None else problem.after)
                continue
            self.pace.used(reserved, answer["prompt_tokens"] + answer["answer_tokens"])
            self._answers += 1
            return answer
        if self._answers > before:
            return record(failure=f"{ATTEMPTS} attempts: {why}")
        raise ServiceError(
            f"endpoint {self.endpoint.settings.host} {why}, {ATTEMPTS} times; {self.asked.requests} answers are "
            "recorded, and a retry goes on behind them"
        )

    def _say(self, total: int) -> None:
        """One line for the operator, at most every few seconds and at the end."""
        now, asked = time.monotonic(), self.asked
        if now - self._last < self.every and (self._busy or asked.requests < total):
            return
        self._last = now
        spent = asked.spent.prompt + asked.spent.answer
        money = self.config.cost(asked.spent.prompt, asked.spent.answer)
        self.log.info(
            "synthesize ask: %d/%d answers, %d of them asked now, %d tokens%s",
            asked.requests,
            total,
            asked.fresh,
            spent,
            f", {money:.4f} spent" if money else "",
        )


def ask_all(
    config: Config, store: Store, settings: Settings, requests: Iterator[Request], total: int, every: float
) -> Asked:
    """`Asking.run` to its end, from a process without a loop; a line of progress at most ``every`` seconds."""

    async def ask() -> Asked:
        async with Endpoint(settings, config) as endpoint:
            log = logging.getLogger("tokenmill.synthesize")
            return await Asking(config, store, endpoint, log, every).run(requests, total)

    return asyncio.run(ask())
