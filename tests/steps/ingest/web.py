"""A web server on loopback that misbehaves as it is told: for tests of fetching."""

from __future__ import annotations

import contextlib
import hashlib
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Site:
    """Objects by path, and what goes wrong: ``trouble[path]`` is called with (handler, number of the request, body)
    and answers itself, or gives False to have the request answered well.
    """

    objects: dict[str, bytes] = field(default_factory=dict)
    trouble: dict[str, Callable[[Handler, int, bytes], bool]] = field(default_factory=dict)
    versions: dict[str, dict[str, str]] = field(default_factory=dict)  # headers instead of an ETag
    requests: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))  # Range headers by path
    url: str = ""
    host: str = ""


class Handler(BaseHTTPRequestHandler):
    """Answers GET with ranges and entity tags."""

    protocol_version = "HTTP/1.1"
    site: Site

    def do_GET(self) -> None:
        path = self.path
        asked = self.headers.get("Range", "")
        seen = self.site.requests[path]
        seen.append(asked)
        body = self.site.objects.get(path, b"")
        with contextlib.suppress(ConnectionError):
            trouble = self.site.trouble.get(path)
            if trouble and trouble(self, len(seen), body):
                return
            if path not in self.site.objects:
                self.refuse(404)
            else:
                self.give(body, asked)

    def give(
        self, body: bytes, asked: str = "", *, cut: int | None = None, length: int | None = None
    ) -> None:
        """Send the body or the range of it; ``cut`` ends the connection after so many bytes, ``length`` lies."""
        start, status = 0, 200
        end = len(body)
        if asked:
            first, _, last = asked.removeprefix("bytes=").partition("-")
            start, end, status = int(first), min(int(last) + 1, end) if last else end, 206
            if start >= len(body):
                self.refuse(416, {"Content-Range": f"bytes */{len(body)}"})
                return
        part = body[start:end]
        self.send_response(status)
        if status == 206:
            self.send_header("Content-Range", f"bytes {start}-{end - 1}/{len(body)}")
        self.send_header("Content-Length", str(len(part) if length is None else length))
        own = {"ETag": f'"{hashlib.sha256(body).hexdigest()[:16]}"'}
        for name, value in self.site.versions.get(self.path, own).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(part[:cut])
        if cut is not None or length is not None:
            self.close_connection = True

    def refuse(self, status: int, headers: dict[str, str] | None = None) -> None:
        """Answer with a status and an empty body."""
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Nothing on the test's stderr."""


@contextlib.contextmanager
def serve() -> Iterator[Site]:
    """A running site on a free port of loopback."""
    site = Site()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("SiteHandler", (Handler,), {"site": site}))
    server.daemon_threads = True
    site.host = f"127.0.0.1:{server.server_port}"
    site.url = f"http://{site.host}"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield site
    finally:
        server.shutdown()
        server.server_close()
