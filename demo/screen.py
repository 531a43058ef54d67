"""What the demo shows while it works: lines that stay, and on a terminal one line that changes."""

from __future__ import annotations

import shutil
import sys
import time
from typing import TextIO

_QUIET_SECONDS = 15.0  # without a terminal, progress of a running task is repeated this rarely


class Screen:
    """Lines with the time since the start."""

    def __init__(self, out: TextIO = sys.stdout) -> None:
        self.out, self.live = out, out.isatty()
        self._began = self._last = time.monotonic()
        self._shown = ""

    def say(self, text: str) -> None:
        """A line that stays."""
        self._wipe()
        elapsed = time.monotonic() - self._began
        print(f"{elapsed // 60:3.0f}:{elapsed % 60:02.0f}  {text}", file=self.out, flush=True)
        self._last = time.monotonic()

    def status(self, text: str) -> None:
        """What goes on right now: replaces the one before on a terminal, else a line now and then."""
        if self.live:
            columns = shutil.get_terminal_size().columns
            self._wipe()
            self._shown = f"       {text}"[: columns - 1]
            print(self._shown, end="", file=self.out, flush=True)
        elif text != self._shown and time.monotonic() - self._last > _QUIET_SECONDS:
            self._shown = text
            self.say(text)

    def plain(self, text: str = "") -> None:
        """Lines without the time."""
        self._wipe()
        print(text, file=self.out, flush=True)

    def _wipe(self) -> None:
        if self.live and self._shown:
            print("\r\x1b[K", end="", file=self.out)
            self._shown = ""
