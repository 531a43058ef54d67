"""`njit`, the one way in which kernels are compiled: for a fixed CPU, into a cache that may be read-only.

numba's own cache compiles for the CPU it runs on, refuses a folder it cannot write to, does not see that a kernel
inlines another file's kernel, and loads the whole compiler (0.4 s) to run what is compiled already. Here

- the CPU is `BASELINE`, so that an image's kernels fit every machine and compute the same everywhere;
- a kernel's file is named by a digest of all that it is made from: its bytecode, the constants it reads and the
  kernels it calls, in whatever module, the types of its arguments, the CPU and the versions of numba and LLVM;
- files lie in `NUMBA_CACHE_DIR`, else in `__pycache__/kernels` of this package, and are written where that is
  allowed. They are code, as trusted as the .pyc files beside them.
"""

from __future__ import annotations

import builtins
import functools
import hashlib
import logging
import os
import pickle
import platform
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

import llvmlite
import numba
import numpy as np
from numba.core import config
from numba.core.caching import NullCache
from numba.core.compiler import CompileResult
from numba.core.dispatcher import Dispatcher
from numba.core.runtime import rtsys
from numba.core.serialize import dumps
from numba.core.types import int64, uint64
from numba.extending import intrinsic

# x86-64-v2 (SSE 4.2, POPCNT) is every x86 server since 2009. v3 (AVX2) is no faster here: bytes one after the other
BASELINE = "x86-64-v2" if platform.machine() in ("x86_64", "AMD64") else "generic"
vars(config).update(CPU_NAME=BASELINE, CPU_FEATURES="")

_VERSIONS = (numba.__version__, llvmlite.__version__, *map(str, sys.version_info[:2]))


def njit(function: Callable[..., Any] | None = None, **options: Any) -> Any:
    """`numba.njit` with the cache above; used bare or with numba's options, such as ``inline="always"``."""
    if function is None:
        return lambda function: njit(function, **options)
    dispatcher: Any = numba.njit(function, **options)
    dispatcher._cache = KernelCache(function)
    return dispatcher


def _bits_set(typing_context: Any, number: Any) -> Any:
    """int64: how many bits of a uint64 are set, by the CPU's instruction. LLVM does not see it in arithmetic."""
    return int64(uint64), _count_bits


def _count_bits(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    return builder.ctpop(arguments[0])


bits_set: Any = intrinsic(_bits_set)


def cache_folder() -> Path:
    """Where compiled kernels lie."""
    return Path(vars(config)["CACHE_DIR"] or Path(__file__).parent / "__pycache__" / "kernels")


class KernelCache(NullCache):
    """The compiled forms of one kernel, a file each. What numba's dispatcher asks of a cache."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function
        self._source: str | None = None

    @property
    def cache_path(self) -> str:
        return str(cache_folder())

    def path(self, signature: Any, target: Any) -> Path:
        """The file of the kernel as compiled for these argument types and for `target`'s CPU."""
        if self._source is None:  # not before the first call: a kernel may call one that stands below it
            self._source = repr(list(_made_from(self._function, set())))
        parts = (*_VERSIONS, repr(signature), _cpu(target.codegen()), self._source)
        digest = hashlib.sha256("\n".join(parts).encode("utf-8", "surrogatepass")).hexdigest()
        return cache_folder() / f"{self._function.__module__}.{self._function.__name__}-{digest[:32]}.kernel"

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """The compiled kernel, or None. Of numba, running it needs the runtime alone, not what compiling needs."""
        try:
            stored = self.path(sig, target_context).read_bytes()
        except OSError:  # not there, or not to be read: compile
            return None
        rtsys.initialize(target_context)
        return CompileResult._rebuild(target_context, *pickle.loads(stored))

    def save_overload(self, sig: Any, compiled: Any) -> None:
        """Keep the compiled kernel, a `CompileResult`, where the folder can be written to."""
        machine_code = compiled.library
        # with addresses of this process in it, or without loops that numba compiled apart, it is of no use to another
        if machine_code.has_dynamic_globals or any(not loop.can_cache for loop in compiled.lifted):
            raise TypeError(
                f"{self._function} cannot be kept compiled: give it its large arrays as arguments"
            )
        path = self.path(sig, compiled.target_context)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            draft = path.with_suffix(f".{os.getpid()}")
            draft.write_bytes(dumps(compiled._reduce()))
            draft.replace(path)  # at once: another process reads all of it or nothing
        except OSError as error:
            logging.getLogger("tokenmill.kernels").warning(
                "compiled %s%s, as every start will: it is not in %s, which cannot be written to (%s)",
                self._function.__name__,
                sig,
                path.parent,
                error.strerror,
            )


@functools.cache
def _cpu(codegen: Any) -> str:
    """What numba tells CPUs apart by; LLVM takes some milliseconds to say it."""
    return repr(codegen.magic_tuple())


def _made_from(function: Callable[..., Any], seen: set[Any]) -> Iterator[Any]:
    """All that the machine code of a kernel depends on, as values with a stable repr."""
    seen.add(function)
    if function.__closure__:
        raise TypeError(f"{function} closes over variables: a kernel reads its module's constants only")
    yield function.__defaults__
    for code in _codes(function.__code__):
        yield code.co_code.hex(), code.co_varnames
        yield [const for const in code.co_consts if not isinstance(const, CodeType)]
        for name in code.co_names:
            yield name
            if name in function.__globals__:
                yield from _value(name, function.__globals__[name], function, seen)


def _value(name: str, value: Any, function: Callable[..., Any], seen: set[Any]) -> Iterator[Any]:
    if isinstance(value, Dispatcher):
        if value.py_func not in seen:
            yield repr(sorted(value.targetoptions.items(), key=str))
            yield from _made_from(value.py_func, seen)
    elif value is bits_set:
        yield _count_bits.__code__.co_code.hex()
    elif isinstance(value, np.ndarray):
        yield value.dtype.str, value.shape, hashlib.sha256(np.ascontiguousarray(value).tobytes()).hexdigest()
    elif isinstance(value, (bool, int, float, str, tuple, np.generic)):
        yield type(value).__name__, repr(value)
    elif not (value is np or value is numba or getattr(builtins, name, None) is value):
        what = "another module" if isinstance(value, ModuleType) else type(value).__name__
        raise TypeError(f"{function} reads {name}, {what}: import the kernels and constants themselves")


def _codes(code: CodeType) -> Iterator[CodeType]:
    yield code
    for const in code.co_consts:
        if isinstance(const, CodeType):
            yield from _codes(const)
