"""Progress lines for operators: what, how much, how fast, how long still."""

from __future__ import annotations

import logging
import time

from steps.core.counts import Tally


def human_bytes(size: float) -> str:
    """``size`` bytes with a decimal unit (1.5 MB)."""
    for unit in ("B", "kB", "MB", "GB"):
        if abs(size) < 1000:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"


class Progress:
    """Logs at most one line per ``every`` seconds and one at the end of each phase."""

    def __init__(self, step: str, log: logging.Logger, every: float) -> None:
        self._step, self._log, self._every = step, log, every

    def start(self, phase: str, total: int, done: int, unit: str) -> None:
        """Begin a phase of ``total`` tasks of which ``done`` were finished by an earlier attempt."""
        self._phase, self._total, self._unit = phase, total, unit
        self._resumed = self._done = done
        self._tally = Tally()
        self._began = self._last = time.monotonic()
        if done:
            self._log.info(
                "%s %s: %d of %d %s were finished before; taking them", self._step, phase, done, total, unit
            )

    def advance(self, tally: Tally) -> None:
        """One more task is finished; ``tally`` is what it took in."""
        self._done += 1
        self._tally.merge(tally)
        now = time.monotonic()
        if self._done < self._total and now - self._last < self._every:
            return
        self._last = now
        seconds = max(now - self._began, 1e-3)
        fresh = self._done - self._resumed
        text = f"{self._step} {self._phase}: {self._done}/{self._total} {self._unit}"
        if self._tally.documents:
            text += (
                f", {self._tally.documents:,} documents, {human_bytes(self._tally.bytes)}"
                f", {self._tally.documents / seconds:,.0f} documents/s"
            )
        left = (self._total - self._done) * seconds / fresh if fresh else 0.0
        self._log.info("%s, %.0f s%s", text, seconds, f", {left:.0f} s left" if left else "")
