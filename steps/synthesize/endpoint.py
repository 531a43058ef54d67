"""The endpoint: where it is, what it bears, and one request to it. Nothing here changes what is asked.

The key stays in this process's environment and in one request header. Redirects are not followed and proxies not used,
so that the header goes where the operator said and nowhere else; answers are bounded in bytes and in seconds.
"""

from __future__ import annotations

import asyncio
import email.utils
import json
import logging
import os
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Any, AnyStr
from urllib.parse import urlsplit

import httpx2
import openai
from pydantic import BaseModel, Field, ValidationError, ValidatorFunctionWrapHandler, field_validator

from steps.core.errors import ConfigError, CredentialError, ServiceError
from steps.synthesize.config import Config

URL, KEY = "OPENAI_BASE_URL", "OPENAI_API_KEY"  # as the openai client names them
PREFIX = "TOKENMILL_ENDPOINT_"
LONGEST_RETRY_AFTER = 300.0  # seconds that a server may ask for, as in steps/core/remote.py
BYTES_PER_TOKEN, FIXED_BYTES = (
    32,
    1 << 16,
)  # of an answer: a token's text as JSON escapes, and what is around it
_AGAIN = frozenset({408, 409, 425, 429})  # and every 5xx
_ANOTHER_PROMPT = frozenset({400, 413, 422})  # this request is refused, not the way it is asked
SHORTEST_KEY = 8  # characters (own choice)
MOST_COUNTED = 10**9  # tokens that a server may say one request took; no model has such a context
_NO_MONEY = "insufficient_quota"


@dataclass(frozen=True)
class Limits:
    """What the endpoint bears; 0 is no limit."""

    concurrency: int = 8
    requests_per_minute: int = 0
    tokens_per_minute: int = 0
    seconds: int = 300  # for one answer, from the first byte sent to the last received


@dataclass(frozen=True)
class Settings:
    """Where to ask, as the environment says."""

    url: str
    key: str = field(repr=False)
    limits: Limits

    @classmethod
    def from_environment(cls) -> Settings:
        """OPENAI_BASE_URL, OPENAI_API_KEY and TOKENMILL_ENDPOINT_*. Raises ConfigError with all that is wrong."""
        problems, found = [], {}
        for name in Limits.__dataclass_fields__:
            text = os.environ.get(f"{PREFIX}{name.upper()}", "")
            if text and not (text.isdigit() and (int(text) > 0 or name.endswith("minute"))):
                problems.append(f"{PREFIX}{name.upper()}={text!r:.40} is not a positive number")
            elif text:
                found[name] = int(text)
        url, key = os.environ.get(URL, "").strip(), os.environ.get(KEY, "").strip()
        if (
            not key.isascii() or not key.isprintable()
        ):  # a client that cannot send it says so with the key in its words
            problems.append(f"{KEY} has a character that no key has, such as a line end within it")
        try:
            parts = urlsplit(url)
            good = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
            plain = not (parts.username or parts.password or parts.query or parts.fragment)
        except ValueError:
            good = plain = False
        if not url:
            problems.append(
                f"{URL} is not set: name the endpoint, such as http://127.0.0.1:8000/v1 (in Airflow, as the host of "
                "the connection tokenmill_endpoint)"
            )
        elif not good or not plain:  # the address itself may hold a secret: it is not repeated
            problems.append(
                f"{URL} is not an http or https address without login, query and fragment, such as "
                "http://127.0.0.1:8000/v1"
            )
        if problems:
            raise ConfigError("\n".join(problems))
        return cls(url.rstrip("/"), key, Limits(**found))

    @property
    def host(self) -> str:
        """Host and port, for the manifest."""
        return urlsplit(self.url).netloc


class _Message(BaseModel):
    content: str | None = None
    refusal: str | None = None


class _Choice(BaseModel):
    message: _Message
    finish_reason: str | None = None


class _Usage(BaseModel):
    prompt_tokens: int = Field(ge=0, le=MOST_COUNTED)
    completion_tokens: int = Field(ge=0, le=MOST_COUNTED)


class _Reply(BaseModel):
    """What is read of a chat completion. A usage that is none does not make its answer worthless: it is paid for."""

    choices: list[_Choice] = Field(min_length=1)
    model: str = ""
    usage: _Usage | None = None

    @field_validator("usage", mode="wrap")
    @classmethod
    def _or_none(cls, value: Any, handler: ValidatorFunctionWrapHandler) -> Any:
        try:
            return handler(value)
        except ValidationError:
            return None


class TryAgain(Exception):
    """This attempt gave nothing; the next may. ``after``: the wait in seconds that the server asks for."""

    def __init__(self, why: str, after: float | None = None) -> None:
        super().__init__(why)
        self.after = after


class Endpoint:
    """An open connection pool to the endpoint, as a context manager."""

    def __init__(self, settings: Settings, config: Config) -> None:
        self.settings, self.config = settings, config
        transport = _Bounded(FIXED_BYTES + BYTES_PER_TOKEN * config.most_tokens, settings.limits.concurrency)
        self._http = httpx2.AsyncClient(
            transport=transport, follow_redirects=False, trust_env=False, timeout=settings.limits.seconds
        )
        self._client = openai.AsyncOpenAI(
            base_url=settings.url,
            api_key=settings.key or "none",  # a server without keys ignores it
            organization="",
            project="",
            max_retries=0,  # one place decides when to try again, for all requests together
            http_client=self._http,
            default_headers={"Accept-Encoding": "identity"},
        )
        for noisy in ("openai", "httpx2", "httpcore2"):
            logging.getLogger(noisy).setLevel(logging.WARNING)

    async def __aenter__(self) -> Endpoint:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._client.close()

    async def ask(self, messages: Sequence[dict[str, str]]) -> dict[str, Any]:
        """One answer as it is recorded: text, finish_reason, refusal, model, tokens; or failure, where the endpoint
        refuses this very prompt.

        Raises TryAgain, and a StepError for what no retry mends.
        """
        body: Any = list(messages)
        try:
            async with asyncio.timeout(self.settings.limits.seconds):
                answer = await self._client.chat.completions.with_raw_response.create(
                    model=self.config.model, messages=body, extra_body=dict(self.config.parameters)
                )
                data = answer.http_response.content
                return recorded(without_key(data, self.settings.key.encode()), messages)
        except TimeoutError:
            raise TryAgain(f"has no answer after {self.settings.limits.seconds} s") from None
        except openai.APIStatusError as error:
            return self._refused(error, messages)
        except (openai.APIConnectionError, httpx2.HTTPError) as error:
            cause = error.__cause__ or error
            said = without_key(str(cause), self.settings.key)
            raise TryAgain(f"breaks off: {said or type(cause).__name__}") from None
        except openai.OpenAIError as error:
            raise TryAgain(f"answers what is no completion ({type(error).__name__})") from None

    def _refused(self, error: openai.APIStatusError, messages: Sequence[dict[str, str]]) -> dict[str, Any]:
        """What an error status means for this request."""
        status, host = error.status_code, self.settings.host
        said = without_key(" ".join(str(error.message).split())[:200], self.settings.key)
        if 300 <= status < 400:
            raise ConfigError(
                f"endpoint {host} answers {status}: it redirects, which is not followed; name its "
                f"address in {URL}"
            )
        if status in (401, 403) or error.code == _NO_MONEY or status == 402:
            raise CredentialError(f"endpoint {host} answers {status} to the key in {KEY}: {said}")
        if status in (404, 405):
            raise ConfigError(
                f"endpoint {host} answers {status}: {said}; look at synthesize.model ({self.config.model!r}) and {URL}"
            )
        if status in _ANOTHER_PROMPT:
            return record(failure=f"{status}: {said}")
        if status in _AGAIN or status >= 500:
            raise TryAgain(
                f"answers {status}: {said}", retry_after(error.response.headers.get("retry-after"))
            )
        raise ServiceError(f"endpoint {host} answers {status}: {said}")


def recorded(data: bytes, messages: Sequence[dict[str, str]]) -> dict[str, Any]:
    """A chat completion as it is recorded. Raises TryAgain for what is none."""
    try:
        reply = _Reply.model_validate(json.loads(data))
    except (ValueError, RecursionError) as error:
        what = "a completion without choices" if isinstance(error, ValidationError) else "no JSON"
        raise TryAgain(f"answers {what}: {data[:80]!r}") from None
    message, text = reply.choices[0].message, reply.choices[0].message.content or ""
    tokens = {
        "prompt_tokens": reply.usage.prompt_tokens if reply.usage else prompt_bound(messages),
        "answer_tokens": reply.usage.completion_tokens
        if reply.usage
        else len(text.encode("utf-8", "replace")),
    }
    return record(
        text=text,
        finish_reason=reply.choices[0].finish_reason or "",
        refusal=message.refusal or "",
        model=reply.model,
        **tokens,
    )


def record(**found: Any) -> dict[str, Any]:
    """An answer with all its fields, and no lone surrogate, which JSON escapes can spell and UTF-8 cannot."""
    empty = {"text": "", "finish_reason": "", "refusal": "", "model": "", "failure": ""}
    whole = {**empty, "prompt_tokens": 0, "answer_tokens": 0, **found}
    return {
        name: value.encode("utf-8", "replace").decode() if isinstance(value, str) else value
        for name, value in whole.items()
    }


def prompt_bound(messages: Sequence[dict[str, str]]) -> int:
    """Tokens that messages have at most: a token has a byte or more, and a chat template adds a few."""
    return sum(len(message["content"].encode()) + 32 for message in messages)


def without_key(text: AnyStr, key: AnyStr) -> AnyStr:
    """``text`` of a server, which may repeat the key it was sent; short ones, such as EMPTY, are no secrets."""
    stars: AnyStr = "***" if isinstance(text, str) else b"***"
    return text.replace(key, stars) if len(key) >= SHORTEST_KEY else text


def retry_after(value: str | None) -> float | None:
    """Seconds that a Retry-After header asks for, a number or a date, at most LONGEST_RETRY_AFTER."""
    if not value:
        return None
    try:
        seconds = float(value)
    except ValueError:
        try:
            seconds = email.utils.parsedate_to_datetime(value).timestamp() - time.time()
        except (ValueError, TypeError):
            return None
    return min(max(seconds, 0.0), LONGEST_RETRY_AFTER) if seconds == seconds else None


class _Bounded(httpx2.AsyncHTTPTransport):
    """Refuses a body that is compressed, which was not asked for, or longer than any answer."""

    def __init__(self, most: int, connections: int) -> None:
        super().__init__(
            limits=httpx2.Limits(max_connections=connections, max_keepalive_connections=connections)
        )
        self.most = most

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        response = await super().handle_async_request(request)
        if response.headers.get("content-encoding", "identity") != "identity":
            await response.aclose()
            raise httpx2.RemoteProtocolError("the answer is compressed, which was not asked for")
        assert isinstance(response.stream, httpx2.AsyncByteStream)
        response.stream = _BoundedStream(response.stream, self.most)
        return response


class _BoundedStream(httpx2.AsyncByteStream):
    def __init__(self, inner: httpx2.AsyncByteStream, most: int) -> None:
        self.inner, self.most = inner, most

    async def __aiter__(self) -> AsyncIterator[bytes]:
        received = 0
        async for block in self.inner:
            received += len(block)
            if received > self.most:
                raise httpx2.RemoteProtocolError(f"the answer has more than {self.most} bytes")
            yield block

    async def aclose(self) -> None:
        await self.inner.aclose()
