"""The parent's side of the harness child: starts it without keys or network access to data, and asks it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from steps.benchmark.config import Benchmark, Config
from steps.core.child import clean_environment, end, hide_environment
from steps.core.errors import DataError, ServiceError

# nothing is looked up on the network: data sets lie in the benchmark sources, the model in its folder
OFFLINE = {
    "HF_HUB_OFFLINE": "1",
    "HF_DATASETS_OFFLINE": "1",
    "HF_EVALUATE_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "TOKENIZERS_PARALLELISM": "false",
}
_ON_GPU = ("CUDA_VISIBLE_DEVICES", "NVIDIA_VISIBLE_DEVICES")
_ROOT = Path(__file__).parents[2]


class HarnessChild:
    """One child, started at its first request."""

    def __init__(self, config: Config, data: Path, scratch: Path) -> None:
        self.config, self.data, self.scratch = config, data, scratch
        self._process: subprocess.Popen[str] | None = None

    def ask(self, name: str, benchmark: Benchmark, model: Path) -> dict[str, Any]:
        """What the harness found for one benchmark on the model in a Hugging Face folder.

        Raises DataError with the harness' reason, and ServiceError where the child ended.
        """
        process = self._process or self._start()
        out = self.scratch / "found.json"
        request = {
            "task": benchmark.task or name,
            "fewshot": benchmark.fewshot,
            "limit": benchmark.limit,
            "model": str(model),
            "batch_size": self.config.batch_size,
            "seed": self.config.seed,
            "out": str(out),
        }
        assert process.stdin is not None and process.stdout is not None
        try:
            process.stdin.write(json.dumps(request) + "\n")
            process.stdin.flush()
        except BrokenPipeError:
            raise self._died(name) from None
        answer = process.stdout.readline()
        if not answer.endswith("\n"):
            raise self._died(name)
        if said := json.loads(answer)["error"]:
            raise DataError(f"benchmark {name}: {said}")
        found: dict[str, Any] = json.loads(out.read_text())
        out.unlink()
        return found

    def close(self) -> None:
        """End the child."""
        if self._process is not None:
            end(self._process)
            self._process = None

    def _start(self) -> subprocess.Popen[str]:
        hide_environment()
        home = self.scratch / "home"
        home.mkdir(parents=True, exist_ok=True)
        environment = clean_environment() | OFFLINE | {"HOME": str(home), "HF_HOME": str(home)}
        environment |= {name: os.environ[name] for name in _ON_GPU if name in os.environ}
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "steps.benchmark.harness_child", str(os.getpid())],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                env=environment,
                cwd=_ROOT,
                text=True,
            )
        hello = {"folder": str(self.data), "code": self.config.code.model_dump()}
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(hello) + "\n")
        return self._process

    @property
    def _log(self) -> Path:
        return self.scratch / "harness.log"

    def _died(self, name: str) -> ServiceError:
        assert self._process is not None
        code = self._process.wait()
        tail = "\n".join(self._log.read_text(errors="replace").split("\n")[-12:])
        hint = " (out of memory?)" if code == -9 else ""
        return ServiceError(
            f"benchmark {name}: the harness ended with code {code}{hint}; its last lines:\n{tail}"
        )
