"""Base classes of every step's configuration.

`StepConfig` is identity: everything in it changes bytes and enters the fingerprint. `Runtime` is not: workers,
paths and memory never change what comes out. Config modules import pydantic only, because the Airflow forms
import them.
"""

from __future__ import annotations

import importlib
import math
import os
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from steps.core.errors import ConfigError

C = TypeVar("C", bound="StepConfig")
# json_schema_extra of a field that nobody sets: the model fills it in from a file that it names, or `plan` does
FILLED_IN = "filled_in"
MOST_WHOLE = 2**53 - 1  # RFC 8785: the whole numbers that every JSON reader reads alike


class Supply(NamedTuple):
    """What an input has of one source."""

    documents: int
    bytes: int


class StepConfig(BaseModel):
    """A step's settings, every one of which may change its output."""

    model_config = ConfigDict(extra="forbid", frozen=True, ser_json_inf_nan="constants")

    def outline(self) -> str:
        """What these settings come to, for a person who looks at a plan; empty where there is nothing to work out."""
        return ""

    def check(self, sections: Mapping[str, StepConfig]) -> None:
        """Raise ConfigError, naming section and field, where a recipe's other ``sections`` make these impossible."""

    def shortfalls(self, supply: Mapping[str, Mapping[str, Supply]]) -> list[str]:
        """What these settings ask of the inputs in vain, as ``field: sentence``; plan says it before the run.

        ``supply`` is by input and source, and has no input that is not made yet.
        """
        return []


class CorpusConfig(StepConfig):
    """Settings of every step that reads documents one by one."""

    max_quarantine_share: float = Field(
        0.05,
        ge=0,
        le=1,
        description="Share of documents that may be quarantined before the step fails (own choice).",
    )


class CodeLimits(BaseModel):
    """What a program or a calculation that a model wrote may use."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    seconds: float = Field(
        3.0, gt=0, le=600, description="CPU time of a program (openai/human-eval, evaluation.py: 3 s)."
    )
    memory_bytes: int = Field(
        1 << 30, ge=64 << 20, description="Address space of a program and its interpreter (own choice)."
    )


class Runtime(BaseModel):
    """How a step runs; nothing here changes what it writes."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    workers: int = Field(default_factory=lambda: len(os.sched_getaffinity(0)), ge=1)
    scratch: Path = Field(
        default_factory=lambda: Path(os.environ.get("TOKENMILL_SCRATCH", tempfile.gettempdir()))
    )
    progress_seconds: float = Field(5.0, gt=0)

    @classmethod
    def from_environment(cls) -> Runtime:
        """The runtime that TOKENMILL_WORKERS and TOKENMILL_SCRATCH ask for."""
        workers = os.environ.get("TOKENMILL_WORKERS", "")
        if workers and not (workers.isdigit() and int(workers) > 0):
            raise ConfigError(f"TOKENMILL_WORKERS={workers!r} is not a positive number")
        return cls(workers=int(workers)) if workers else cls()


def step_of(section: str) -> str:
    """The step that a recipe section configures: the name without its number or language (``train_2`` → ``train``)."""
    stem, _, suffix = section.rpartition("_")
    return stem if stem and (suffix.isdigit() or len(suffix) == 2) else section


def config_class(section: str) -> type[StepConfig]:
    """The Config class of the step behind a recipe section. Raises ConfigError for an unknown one."""
    name = step_of(section)
    try:
        module = importlib.import_module(f"steps.{name}.config")
    except ModuleNotFoundError as error:
        if error.name not in (f"steps.{name}", f"steps.{name}.config"):
            raise
        raise ConfigError(f"{section}: there is no step {name!r}") from None
    found: type[StepConfig] = module.Config
    return found


def parse_config(model: type[C], values: dict[str, Any], where: str) -> C:
    """``values`` as ``model``. Raises ConfigError with one line per wrong field, all at once."""
    try:
        config = model.model_validate(values)
    except ValidationError as error:
        raise ConfigError("\n".join(validation_lines(error, where))) from None
    if lines := list(_beyond_digests(config.model_dump(), where)):
        raise ConfigError("\n".join(lines))
    return config


def _beyond_digests(value: Any, where: str) -> Iterator[str]:
    """One line per number that canonical JSON, and so a fingerprint, cannot hold."""
    if isinstance(value, Mapping):
        for name, item in value.items():
            yield from _beyond_digests(item, f"{where}.{name}")
    elif isinstance(value, (list, tuple)):
        for number, item in enumerate(value):
            yield from _beyond_digests(item, f"{where}.{number}")
    elif isinstance(value, float) and not math.isfinite(value):
        yield f"{where}: Input should be a finite number (got {value!r})"
    elif isinstance(value, int) and abs(value) > MOST_WHOLE:
        yield f"{where}: Input should be at most {MOST_WHOLE} (got {value!r:.60})"


def validation_lines(error: ValidationError, where: str) -> list[str]:
    """One ``where.field: what is wrong`` line per error of a pydantic validation."""
    return [
        f"{'.'.join([where, *map(str, item['loc'])])}: {item['msg']} (got {item.get('input')!r:.60})"
        for item in error.errors(include_url=False, include_context=False)
    ]
