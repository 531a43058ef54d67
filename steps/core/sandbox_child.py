"""The child that holds foreign code: ``python -I -S sandbox_child.py ANSWER_FD FILTER_FD PARENT``, request on stdin.

Only Python's own library is imported: this file runs without the project and without site-packages.
"""

import ctypes
import json
import os
import resource
import signal
import struct
import sys

_PR_SET_PDEATHSIG, _PR_SET_SECCOMP, _PR_SET_NO_NEW_PRIVS = 1, 22, 38
_FILTER_MODE = 2
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446  # the same numbers on every architecture
_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR = 1, 2, 4, 8
_PATH_BENEATH = 1
_O_PATH = 0o10000000


def main(answer: int, rules: int, parent: int) -> None:
    """Lock this process up, run the program, and say how it ended."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)
    request = json.loads(sys.stdin.buffer.read())
    with os.fdopen(rules, "rb") as file:
        program_filter = file.read()
    limit(request["seconds"], request["memory"])
    warm_up()
    checked(libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
    read_only(libc, request["reads"])
    refuse_calls(libc, program_filter)
    told = request["word"].encode()
    code = request["program"]
    del request, program_filter
    how = execute(code)
    os.write(answer, told + b" " + how.encode("utf-8", "replace")[:300])
    os._exit(0)


def warm_up() -> None:
    """Import what Python would import at a program's first error or float, so that limits meet the program alone."""
    import decimal  # noqa: F401
    import random  # noqa: F401
    import typing  # noqa: F401


def limit(seconds: float, memory: int) -> None:
    """CPU seconds, bytes of memory, no files, no core."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    whole = int(used.ru_utime + used.ru_stime + seconds + 0.999)
    for kind, value in (
        (resource.RLIMIT_CPU, whole),
        (resource.RLIMIT_AS, memory),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NOFILE, 32),
    ):
        resource.setrlimit(kind, (value, value))


def read_only(libc: ctypes.CDLL, places: "list[str]") -> None:
    """Landlock: files can be read below ``places`` and nowhere else."""
    handled = _EXECUTE | _WRITE_FILE | _READ_FILE | _READ_DIR
    attributes = struct.pack("Q", handled)
    ruleset = checked(libc.syscall(_CREATE_RULESET, attributes, len(attributes), 0))
    for place in places:
        folder = os.open(place, _O_PATH | os.O_CLOEXEC)
        rights = _READ_FILE | (_READ_DIR if os.path.isdir(place) else 0)
        checked(libc.syscall(_ADD_RULE, ruleset, _PATH_BENEATH, struct.pack("=Qi", rights, folder), 0))
        os.close(folder)
    checked(libc.syscall(_RESTRICT_SELF, ruleset, 0))
    os.close(ruleset)


def refuse_calls(libc: ctypes.CDLL, program: bytes) -> None:
    """seccomp: from here on only the calls of the filter."""

    class Filter(ctypes.Structure):
        _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.c_char_p))

    loaded = Filter(len(program) // 8, program)
    checked(libc.prctl(_PR_SET_SECCOMP, _FILTER_MODE, ctypes.byref(loaded), 0, 0))


def checked(result: int) -> int:
    """``result`` of a system call; the child ends where it failed, since nothing may run half held."""
    if result < 0:
        os._exit(2)
    return result


def execute(program: str) -> str:
    try:
        exec(compile(program, "program", "exec"), {})
    except BaseException as error:
        return f"failed: {type(error).__name__}"
    return "passed"


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
