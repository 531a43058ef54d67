"""A real HTTP server that speaks the chat-completions protocol, and answers (or misbehaves) as a test says."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

KEY = "sk-test-endpoint-key-77aZ"


@dataclass
class Reply:
    """What goes over the wire. ``body`` is JSON unless it is bytes; ``cut`` closes the connection within the body."""

    body: Any = None
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    cut: bool = False
    drip: float = 0.0  # seconds between bytes, without an end


def completion(text: str | None, *, tokens: int = 10, finish: str = "stop", **more: Any) -> Reply:
    """A chat completion as OpenAI, vLLM and `transformers serve` write them."""
    message = {"role": "assistant", "content": text, **more}
    choice = {"index": 0, "message": message, "finish_reason": finish, "logprobs": None}
    usage = {"prompt_tokens": 20, "completion_tokens": tokens, "total_tokens": 20 + tokens}
    body = {"id": "1", "object": "chat.completion", "created": 1, "model": "small-1", "choices": [choice]}
    return Reply({**body, "usage": usage})


def error(status: int, message: str, *, code: str | None = None, **headers: str) -> Reply:
    body = {"error": {"message": message, "type": "error", "code": code}}
    return Reply(body, status, {name.replace("_", "-"): value for name, value in headers.items()})


Script = Callable[[dict[str, Any], int], Reply]


class Server(ThreadingHTTPServer):
    """``script(request, number)`` decides each answer; ``asked`` has every request, in the order of arrival."""

    daemon_threads = True

    def __init__(self, script: Script) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.script, self.asked, self.headers = script, [], []  # type: ignore[var-annotated]
        self.lock = threading.Lock()
        self.closing = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/v1"

    def prompts(self) -> list[str]:
        return [request["messages"][0]["content"] for request in self.asked]

    def handle_error(self, *_: Any) -> None:
        """A client that leaves is what tests are about."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def do_POST(self) -> None:
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with self.server.lock:
            number = len(self.server.asked)
            self.server.asked.append(request)
            self.server.headers.append({name.lower(): value for name, value in self.headers.items()})
        reply = self.server.script(request, number)
        body = reply.body if isinstance(reply.body, bytes) else json.dumps(reply.body).encode()
        self.send_response(reply.status)
        for name, value in {"Content-Type": "application/json", **reply.headers}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body) + (reply.cut or bool(reply.drip)) * 10_000_000))
        self.end_headers()
        if reply.drip:
            while not self.server.closing.wait(reply.drip):
                self.wfile.write(b" ")
                self.wfile.flush()
        self.wfile.write(body)
        if reply.cut:
            self.wfile.flush()
            self.close_connection = True

    def log_message(self, *_: Any) -> None:
        """Tests look at ``asked``."""


@contextlib.contextmanager
def serving(script: Script) -> Iterator[Server]:
    """A server for the time of the block."""
    with Server(script) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield server
        finally:
            server.closing.set()
            server.shutdown()
            thread.join()


def until(condition: Callable[[], bool], seconds: float = 240) -> None:
    """Wait for something that happens in another process; fails where it does not."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.005)
