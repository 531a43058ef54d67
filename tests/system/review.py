"""An Airflow api-server with three users over a sample on disk, and browsers that read it."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from demo.airflow_api import AirflowApi
from demo.services import program
from steps.core.signing import new_keys
from tests.conftest import free_ports

ROOT = Path(__file__).parents[2]
USERS = {"anna": "user", "ben": "user", "vera": "viewer"}
CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]


class ApiServer:
    """`airflow api-server` on SQLite, which can be killed and started again."""

    def __init__(self, home: Path, root: str) -> None:
        self.home, self.port, self.keys = home, free_ports(1)[0], new_keys({})
        self.url = f"http://127.0.0.1:{self.port}"
        home.mkdir(parents=True, exist_ok=True)
        (home / "passwords.json").write_text(json.dumps({name: f"{name}-password" for name in USERS}))
        options = {
            "CORE__DAGS_FOLDER": home / "no_dags",
            "CORE__LOAD_EXAMPLES": False,
            "CORE__SIMPLE_AUTH_MANAGER_USERS": ",".join(f"{name}:{role}" for name, role in USERS.items()),
            "CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": home / "passwords.json",
            "DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home}/airflow.db",
            "API__HOST": "127.0.0.1",
            "API__PORT": self.port,
            "API__BASE_URL": self.url,
            "API__WORKERS": 1,
            "API__SECRET_KEY": "s" * 32,
            "API_AUTH__JWT_SECRET": "j" * 64,
            "USAGE_DATA_COLLECTION__ENABLED": False,
        }
        kept = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("AIRFLOW", "TOKENMILL", "AWS_"))
        }
        self.environment = {
            **kept,
            **{f"AIRFLOW__{name}": str(value) for name, value in options.items()},
            "AIRFLOW_HOME": str(home),
            "PYTHONPATH": str(ROOT),
            "TOKENMILL_ROOT": root,
            **self.keys,
        }
        self.process: subprocess.Popen[bytes] | None = None

    def migrate(self) -> None:
        subprocess.run(
            [program("airflow"), "db", "migrate"], env=self.environment, check=True, capture_output=True
        )

    def start(self, seconds: float = 180) -> None:
        with (self.home / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [program("airflow"), "api-server"],
                env=self.environment,
                cwd=self.home,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        deadline = time.monotonic() + seconds
        while self.status("/api/v2/monitor/health") != 200:
            assert self.process.poll() is None, (self.home / "log").read_text()[-3000:]
            assert time.monotonic() < deadline, "the api-server does not answer"
            time.sleep(0.5)

    def kill(self) -> None:
        """End it without a word, with all its children."""
        if self.process is not None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            self.process = None

    def status(self, path: str, token: str = "", body: Any = None, **headers: str) -> int:
        return self.request(path, token, body, **headers)[0]

    def request(self, path: str, token: str = "", body: Any = None, **headers: str) -> tuple[int, bytes]:
        """Status and content of a request; 0 where nobody answers."""
        data = None if body is None else json.dumps(body).encode()
        given = {"Content-Type": "application/json", **{k.replace("_", "-"): v for k, v in headers.items()}}
        if token:
            given["Authorization"] = f"Bearer {token}"
        try:
            with urllib.request.urlopen(
                urllib.request.Request(f"{self.url}{path}", data, given), timeout=30
            ) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            return error.code, error.read()
        except OSError:
            return 0, b""

    def token(self, user: str) -> str:
        status, content = self.request("/auth/token", body={"username": user, "password": f"{user}-password"})
        assert status == 201, content
        return str(json.loads(content)["access_token"])


@contextmanager
def chromium() -> Iterator[Any]:
    """A browser."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        try:
            yield browser
        finally:
            browser.close()


class Reader:
    """A person in front of the review page."""

    def __init__(self, browser: Any, server: ApiServer, user: str, sample: str, **options: Any) -> None:
        options.setdefault("viewport", {"width": 1200, "height": 800})
        options.setdefault("locale", "en-GB")
        self.server, self.sample = server, sample
        self.context = browser.new_context(**options)
        self.context.add_cookies([{"name": "_token", "value": server.token(user), "url": server.url}])
        self.page = self.context.new_page()
        self.errors: list[str] = []
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))

    def open(self) -> str:
        self.page.goto(f"{self.server.url}/review/?sample={self.sample}")
        return self.wait_for_document()

    def document(self) -> str | None:
        """The id of what is shown, None at the end."""
        return self.page.evaluate("document.getElementById('text').dataset.sample || null")

    def wait_for_document(self, other_than: str | None = None) -> str:
        self.page.wait_for_function(
            """other => {
                const text = document.getElementById('text'), now = text.dataset.sample;
                return now ? now !== other && !document.getElementById('good').disabled : Boolean(text.textContent);
            }""",
            arg=other_than,
            timeout=60_000,
        )
        return self.document() or ""

    def press(self, *keys: str) -> str:
        """Press keys that end in an answer; gives the id of the document that comes next, "" at the end."""
        before = self.document()
        for key in keys:
            self.page.keyboard.press(key)
        return self.wait_for_document(before)


def skip_reason() -> str:
    """Why there can be no browser test here; empty where there can."""
    if CHROMIUM is None:
        return "no chromium on this machine (or $CHROMIUM)"
    return "" if sys.platform == "linux" else "Linux only"


def answer_one(api: AirflowApi, sample: str) -> dict[str, Any]:
    """Read one document of the sample with the page's own requests, and say that it is good; the page's answer."""
    headers = {
        "Content-Type": "application/json",
        "Authorization": f"Bearer {api._token}",
        "X-Review": "tokenmill",
    }

    def call(name: str, **body: Any) -> dict[str, Any]:
        data = json.dumps({"sample": sample, **body}).encode()
        request = urllib.request.Request(f"{api.url}/review/api/{name}", data, headers)
        with urllib.request.urlopen(request, timeout=60) as answer:
            found: dict[str, Any] = json.load(answer)
        return found

    document = call("next")["document"]
    answer = {name: document[name] for name in ("sample_id", "doc_sha256")} | {"label": "good"}
    return call("answer", answer=answer)
