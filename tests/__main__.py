"""`make test`: the system tests, which often wait, beside all others, which compute: two processes for two cores.

What the system tests say comes in one piece at the end.
"""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import tempfile

SYSTEM = "tests/system"


def main() -> int:
    """The exit status of pytest on the system tests, or on the others where those went well."""
    pytest = [sys.executable, "-m", "pytest"]
    with tempfile.TemporaryFile() as said:
        system = subprocess.Popen([*pytest, SYSTEM], stdout=said, stderr=subprocess.STDOUT)
        others = subprocess.Popen([*pytest, f"--ignore={SYSTEM}"])
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # both get it too, and end what they started
        codes = [system.wait(), others.wait()]
        said.seek(0)
        shutil.copyfileobj(said, sys.stdout.buffer)
    return max(codes, key=abs)


if __name__ == "__main__":
    sys.exit(main())
