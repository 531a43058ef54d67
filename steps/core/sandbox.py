"""Runs code that a model wrote: in a child that can read Python's own library and nothing else of this machine.

What holds the child: an empty environment, seccomp (a list of allowed system calls, so no sockets, no writing opens,
no processes, no threads, no signals to others), Landlock (reads below Python's library and the system's shared ones
only), and limits on CPU time, memory and output. Each is set before the first byte of foreign code is read, and
without either of them nothing runs: `require` says so beforehand.
"""

from __future__ import annotations

import ctypes
import ctypes.util
import functools
import json
import os
import secrets
import select
import signal
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from steps.core.config import CodeLimits
from steps.core.errors import ConfigError

CHILD = Path(__file__).with_name("sandbox_child.py")
WALL_FACTOR = (
    10  # a child may wait for its turn on a busy machine; asleep, it ends after this many times its limit
)
MAX_ANSWER = 4096  # bytes read of what a child says
# what CPython needs to run a program that computes: memory, reading, time, signals to itself, the end
ALLOWED = (
    "read", "pread64", "readv", "write", "writev", "close", "lseek", "fstat", "newfstatat", "stat", "lstat", "statx",
    "access", "faccessat", "faccessat2", "readlink", "readlinkat", "getdents64", "getcwd", "dup", "fcntl",
    "mmap", "munmap", "mremap", "mprotect", "madvise", "brk",
    "rt_sigaction", "rt_sigprocmask", "rt_sigreturn", "sigaltstack", "restart_syscall",
    "futex", "sched_yield", "sched_getaffinity", "set_robust_list", "rseq", "membarrier",
    "clock_gettime", "clock_getres", "clock_nanosleep", "nanosleep", "gettimeofday", "time", "times", "getrusage",
    "getrandom", "getpid", "gettid", "getuid", "geteuid", "getgid", "getegid", "uname", "sysinfo", "getrlimit",
    "poll", "ppoll", "select", "pselect6", "exit", "exit_group",
)  # fmt: skip
_KILL, _ALLOW, _REFUSE = 0x80000000, 0x7FFF0000, 0x00050000  # libseccomp's SCMP_ACT_*
_EPERM, _ENOSYS = 1, 38
_MASKED_EQUAL = 7  # SCMP_CMP_MASKED_EQ
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


class _Comparison(ctypes.Structure):
    """libseccomp's struct scmp_arg_cmp."""

    _fields_ = (
        ("argument", ctypes.c_uint),
        ("operator", ctypes.c_int),
        ("mask", ctypes.c_uint64),
        ("value", ctypes.c_uint64),
    )


def require() -> None:
    """Raise ConfigError, with what is missing, where foreign code cannot be held on this machine."""
    try:
        seccomp_filter()
    except (OSError, AttributeError) as error:
        raise ConfigError(
            f"generated code cannot be run here: libseccomp does not work ({error}); install libseccomp2, or take "
            "what runs code (benchmarks, answer checks) out of the recipe"
        ) from None
    if _landlock_version() < 1:
        raise ConfigError(
            "generated code cannot be run here: the kernel has no Landlock (Linux 5.13 or later, enabled); take what "
            "runs code (benchmarks, answer checks) out of the recipe"
        )


def run_all(programs: Sequence[str], limits: CodeLimits) -> list[str]:
    """What became of each program: "passed", or why not. Children run side by side, one per core."""
    require()
    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        return list(pool.map(functools.partial(run, limits=limits), programs))


def run(program: str, limits: CodeLimits) -> str:
    """What became of one program: "passed" if it ran to its end, else why not.

    The program's end is believed for a word that it was not told. A program bent on it can find that word in its own
    memory; no sandbox keeps a program from lying about tests that run beside it.
    """
    word = secrets.token_hex(16)
    answers, theirs = os.pipe()
    reads = sorted({sysconfig.get_path("stdlib"), sysconfig.get_path("platstdlib"), *system_libraries()})
    with tempfile.TemporaryFile() as rules:
        rules.write(seccomp_filter())
        rules.seek(0)
        try:
            process = subprocess.Popen(
                [
                    sys.executable,
                    "-I",
                    "-S",
                    "-B",
                    str(CHILD),
                    str(theirs),
                    str(rules.fileno()),
                    str(os.getpid()),
                ],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env=_environment(),
                cwd="/",
                pass_fds=(theirs, rules.fileno()),
            )
        finally:
            os.close(theirs)
    hello = {"word": word, "reads": reads, "seconds": limits.seconds, "memory": limits.memory_bytes}
    try:
        assert process.stdin is not None
        try:
            process.stdin.write(json.dumps({**hello, "program": program}).encode())
            process.stdin.close()
        except BrokenPipeError:
            pass  # it ended before it had read everything; its code says why
        said = _read(answers, time.monotonic() + WALL_FACTOR * limits.seconds)
    finally:
        if process.poll() is None and not _ends(process):
            process.kill()
        code = process.wait()
        os.close(answers)
    return _outcome(said, word, code)


def _ends(process: subprocess.Popen[bytes]) -> bool:
    """Whether a child that has said its last word ends by itself."""
    try:
        process.wait(timeout=1)
    except subprocess.TimeoutExpired:
        return False
    return True


def _outcome(said: bytes | None, word: str, code: int) -> str:
    if said is None:
        return "timed out"
    if code == -signal.SIGXCPU or code == -signal.SIGKILL:
        return "timed out"
    if code == -signal.SIGSYS:
        return "failed: forbidden system call"
    if code < 0:
        return f"failed: killed by signal {-code}"
    told, _, rest = said.partition(b" ")
    if told != word.encode():
        return "failed: ended before its tests did"
    return rest.decode("utf-8", "replace")[:200] or "failed"


def _read(pipe: int, deadline: float) -> bytes | None:
    """Everything up to the end of the pipe, cut; None if it is not there by the deadline."""
    said = b""
    while (left := deadline - time.monotonic()) > 0:
        if not select.select([pipe], [], [], left)[0]:
            break
        chunk = os.read(pipe, MAX_ANSWER)
        if not chunk:
            return said
        said = (said + chunk)[:MAX_ANSWER]
    return None


def _environment() -> dict[str, str]:
    """Nothing but where the interpreter's own shared library lies."""
    return {name: os.environ[name] for name in ("LD_LIBRARY_PATH",) if name in os.environ}


def system_libraries() -> list[str]:
    """Where a module of Python's library finds the shared libraries it is linked with."""
    return [
        place
        for place in ("/lib", "/lib64", "/usr/lib", "/usr/lib64", "/etc/ld.so.cache")
        if os.path.exists(place)
    ]


def _landlock_version() -> int:
    create_ruleset, version = 444, 1
    return int(ctypes.CDLL(None).syscall(create_ruleset, None, 0, version))


@functools.cache
def seccomp_filter() -> bytes:
    """The filter of `ALLOWED` calls as BPF, compiled by libseccomp. Raises OSError where there is none."""
    library = ctypes.CDLL(ctypes.util.find_library("seccomp") or "libseccomp.so.2")
    library.seccomp_init.restype = ctypes.c_void_p
    library.seccomp_rule_add_array.argtypes = (
        ctypes.c_void_p, ctypes.c_uint32, ctypes.c_int, ctypes.c_uint, ctypes.c_void_p,
    )  # fmt: skip
    context = ctypes.c_void_p(library.seccomp_init(_REFUSE | _EPERM))
    try:
        for name in ALLOWED:
            number = library.seccomp_syscall_resolve_name(name.encode())
            if number >= 0:  # another architecture may not have it
                _check(library.seccomp_rule_add_array(context, _ALLOW, number, 0, None), name)
        for name, position in (("open", 1), ("openat", 2)):
            only = _Comparison(position, _MASKED_EQUAL, _WRITING, 0)
            number = library.seccomp_syscall_resolve_name(name.encode())
            if number >= 0:
                _check(library.seccomp_rule_add_array(context, _ALLOW, number, 1, ctypes.byref(only)), name)
        own = _Comparison(2, _MASKED_EQUAL, 0xFFFFFFFFFFFFFFFF, 0)  # prlimit64 that only asks
        number = library.seccomp_syscall_resolve_name(b"prlimit64")
        _check(library.seccomp_rule_add_array(context, _ALLOW, number, 1, ctypes.byref(own)), "prlimit64")
        with tempfile.TemporaryFile() as file:
            _check(library.seccomp_export_bpf(context, file.fileno()), "export")
            file.seek(0)
            return file.read()
    finally:
        library.seccomp_release(context)


def _check(code: int, what: str) -> None:
    if code:
        raise OSError(-code, f"libseccomp refused {what}: {os.strerror(-code)}")
