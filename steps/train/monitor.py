"""What people see while a stage trains: log lines and live metrics, from what the first rank reports."""

from __future__ import annotations

import json
import math
import subprocess
import time
from pathlib import Path
from typing import Any

from steps.core.live import looked_at, show
from steps.core.step import StepContext
from steps.train.estimate import has_gpu

MEBIBYTE = 1 << 20
SYSTEM_SECONDS = 10.0  # between samples of the machine (MLflow's own default)
SHOWN = ("loss", "learning_rate", "gradient_norm", "tokens", "tokens_per_second", "tflops_per_rank")
SHOWN_SPEED = ("seconds", "stall_share", "straggler", "memory_gib")
STALL, STRAGGLER = 0.01, 1.2  # above: said in the log (the first is the project's bar, the second own choice)


class Monitor:
    """Reads the ranks' progress file; logs not more often than Runtime asks."""

    def __init__(self, ctx: StepContext, path: Path, steps: int) -> None:
        self.ctx, self.log, self.path, self.steps = ctx, ctx.log, path, steps
        self.at, self.last, self.began = 0, -math.inf, 0.0
        self.first: int | None = None
        self.speeds: list[dict[str, float]] = []
        self.stopped = ""
        self._machine, self._sampled, self._samples = _processor(), -math.inf, 0

    def read(self, force: bool = False) -> None:
        """Read new lines; log the newest optimizer step, every held-out loss and every step passed over."""
        self._sample_machine()
        if not self.path.exists():
            return
        with self.path.open() as file:
            file.seek(self.at)
            text = file.read()
        text = text[: text.rfind("\n") + 1]
        self.at += len(text.encode())
        newest = None
        for line in map(json.loads, text.splitlines()):
            if line["kind"] == "train":
                newest = line
                self._show_step(line)
            elif line["kind"] == "heldout":
                self.log.info("train: step %(step)d, held-out loss of %(set)s %(loss).4f", line)
                show(f"eval/loss_{line['set']}", line["loss"], line["step"])
            elif line["kind"] == "diverged":
                self.stopped = f"step {line['step']}: held-out loss of {line['set']} is {line['loss']}"
            elif line["kind"] == "stopped_early":
                broken = ", ".join(
                    f"{b['set']} {b['loss']:.4f} above {b['bound']:.4f}" for b in line["bounds"]
                )
                self.log.warning(
                    "train: step %d ends the stage (stop_above): after %d tokens the held-out loss of %s",
                    line["step"], line["tokens"], broken,
                )  # fmt: skip
            else:
                self._event(line)
        due = time.monotonic() - self.last >= self.ctx.runtime.progress_seconds
        if newest and (force or newest["step"] == self.steps or due):
            self._log_step(newest)

    def _show_step(self, line: dict[str, Any]) -> None:
        self.speeds.append(
            {name: line[name] for name in (*SHOWN_SPEED, "tokens_per_second", "tflops_per_rank")}
        )
        for name in (*SHOWN, *SHOWN_SPEED):
            show(f"train/{name}", line[name], line["step"])

    def _event(self, line: dict[str, Any]) -> None:
        text = (
            f"step {line['step']}: {line['found'].replace('_', ' ')}, loss {line['loss']}, "
            f"gradient norm {line['gradient_norm']}"
        )
        back = f" to step {line['back_to']}" if "back_to" in line else ""
        self.log.warning("train: %s: %s%s", text, line["action"].replace("_", " "), back)
        show("train/passed_over", line["step"], line["step"])
        if line["action"] == "stop":
            self.stopped = text

    def _log_step(self, line: dict[str, Any]) -> None:
        now = time.monotonic()
        if self.first is None:  # start-up is not part of the rate
            self.first, self.began = line["step"], now
        done, left = line["step"] - self.first, self.steps - line["step"]
        rate = f", {left * (now - self.began) / done:.0f} s left" if done and left else ""
        self.log.info(
            "train: step %d/%d, loss %.4f, learning rate %.2e, gradient norm %.3f, %.0f tokens/s, %.3g TFLOPS a rank, "
            "%.1f GiB%s",
            line["step"], self.steps, line["loss"], line["learning_rate"], line["gradient_norm"],
            line["tokens_per_second"], line["tflops_per_rank"], line["memory_gib"], rate,
        )  # fmt: skip
        self.last = now

    def speed(self) -> dict[str, float]:
        """Medians over the steps after the first ten (compilation, caches), for provenance; says what held it back."""
        kept = self.speeds[10:] or self.speeds
        middle = {
            name: round(sorted(entry[name] for entry in kept)[len(kept) // 2], 6)
            for name in (kept[0] if kept else {})
        }
        if middle.get("stall_share", 0) > STALL:
            self.log.warning("train: ranks waited for data %.1f %% of the time", 100 * middle["stall_share"])
        if middle.get("straggler", 1) > STRAGGLER:
            self.log.warning(
                "train: the slowest rank works %.2f times as long as the middle one", middle["straggler"]
            )
        return middle

    def _sample_machine(self) -> None:
        """Show the machine's load under the names that MLflow's system metrics have."""
        now = time.monotonic()
        if not looked_at() or now - self._sampled < SYSTEM_SECONDS:
            return
        before, self._machine, self._sampled = self._machine, _processor(), now
        busy, whole = (after - earlier for after, earlier in zip(self._machine, before, strict=True))
        show("system/cpu_utilization_percentage", 100 * busy / max(1, whole), self._samples)
        show("system/system_memory_usage_megabytes", _used_memory(), self._samples)
        for number, (load, memory) in enumerate(_gpus()):
            show(f"system/gpu_{number}_utilization_percentage", load, self._samples)
            show(f"system/gpu_{number}_memory_usage_megabytes", memory, self._samples)
        self._samples += 1


def _processor() -> tuple[float, float]:
    """(busy, all) ticks of all cores since the machine's start."""
    ticks = [int(word) for word in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
    return float(sum(ticks) - ticks[3] - ticks[4]), float(sum(ticks))


def _used_memory() -> float:
    words = Path("/proc/meminfo").read_text().split()
    whole, free = (float(words[words.index(name) + 1]) for name in ("MemTotal:", "MemAvailable:"))
    return (whole - free) * 1024 / MEBIBYTE


def _gpus() -> list[tuple[float, float]]:
    """(utilisation in percent, memory in MiB) of each GPU."""
    if not has_gpu():
        return []
    command = ["nvidia-smi", "--query-gpu=utilization.gpu,memory.used", "--format=csv,noheader,nounits"]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True).stdout
        rows = [line.split(",") for line in answer.strip().splitlines()]
        return [(float(load), float(memory)) for load, memory in rows]
    except (OSError, ValueError, subprocess.SubprocessError):
        return []
