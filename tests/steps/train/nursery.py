"""Forks ranks from a process that has loaded torch, DeepSpeed and Megatron-Core once: ``python -m …nursery``.

Reads one request per line, {"spec", "world", "logs"}, and answers with the ranks' exit codes. A rank forked here runs
what `steps.train.rank` runs, without the seconds of imports.
"""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
from pathlib import Path


class Nursery:
    """The other end: starts the process and asks it for ranks."""

    def __init__(self) -> None:
        from steps.train.gang import rank_environment

        self._process = subprocess.Popen(
            [sys.executable, "-m", __name__],
            env=rank_environment(0, 1),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parents[3],
        )

    def run(self, spec: Path, world: int, logs: Path) -> list[int]:
        """Exit codes of ``world`` ranks on ``spec``."""
        self.ask(spec, world, logs)
        return self.answer()

    def ask(self, spec: Path, world: int, logs: Path) -> None:
        assert self._process.stdin is not None
        logs.mkdir(parents=True, exist_ok=True)
        print(
            json.dumps({"spec": str(spec), "world": world, "logs": str(logs)}),
            file=self._process.stdin,
            flush=True,
        )

    def answer(self) -> list[int]:
        assert self._process.stdout is not None
        codes: list[int] = json.loads(self._process.stdout.readline())
        return codes

    def answered(self, seconds: float) -> bool:
        assert self._process.stdout is not None
        return bool(select.select([self._process.stdout], [], [], seconds)[0])

    def gang(self, spec: Path, world: int, threads: int, logs: Path) -> ForkedGang:
        """Stands where `steps.train.gang.Gang` does."""
        return ForkedGang(self, spec, world, logs)

    def close(self) -> None:
        self._process.kill()
        self._process.wait()


class ForkedGang:
    """The methods of a `Gang` that the step calls, around ranks that a nursery forks."""

    def __init__(self, nursery: Nursery, spec: Path, world: int, logs: Path) -> None:
        self._nursery, self._logs, self._code = nursery, logs, None
        nursery.ask(spec, world, logs)

    _code: int | None

    def poll(self) -> int | None:
        if self._code is None and self._nursery.answered(0):
            codes = self._nursery.answer()
            self._code = next((code for code in codes if code not in (0, 90, 91)), max(codes))
        return self._code

    def wait(self, seconds: float) -> None:
        self._nursery.answered(seconds)

    def kill(self) -> None:
        """Ranks here end by themselves."""
        while self.poll() is None:
            self.wait(1)

    def tail(self) -> str:
        return "\n".join(path.read_text()[-2000:] for path in sorted(self._logs.iterdir()))


def serve() -> None:
    from steps.train import rank

    answers = os.fdopen(os.dup(1), "w")  # what libraries print must not be taken for an answer
    os.dup2(2, 1)
    for line in sys.stdin:
        asked = json.loads(line)
        children: dict[int, int] = {}
        for number in range(asked["world"]):
            if (child := os.fork()) == 0:
                os.environ |= {
                    "RANK": str(number),
                    "LOCAL_RANK": str(number),
                    "WORLD_SIZE": str(asked["world"]),
                }
                log = os.open(f"{asked['logs']}/rank-{number}.log", os.O_CREAT | os.O_WRONLY | os.O_TRUNC)
                os.dup2(log, 1), os.dup2(log, 2)
                try:
                    rank.main(Path(asked["spec"]))
                except BaseException:
                    sys.excepthook(*sys.exc_info())
                finally:
                    sys.stderr.flush()
                    os._exit(1)
            children[child] = number
        codes = [0] * asked["world"]
        while children:
            child, status = os.wait()
            number = children.pop(child)
            codes[number] = os.waitstatus_to_exitcode(status)
            if codes[number] not in (0, 90, 91):
                for other in children:
                    os.kill(other, signal.SIGKILL)
        print(json.dumps(codes), file=answers, flush=True)


if __name__ == "__main__":
    serve()
