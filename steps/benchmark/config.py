"""Settings of the benchmark step."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from steps.core.config import CodeLimits, StepConfig

Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]*$")]


class Benchmark(BaseModel):
    """One benchmark: a task or group of lm-evaluation-harness, and the metric that is its score."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    task: str = Field(
        "", description="Name of the harness' task or group; empty: the benchmark's own name in the recipe."
    )
    metric: str = Field("acc", min_length=1, description="Metric of the task that is the score, such as acc.")
    filter: str = Field("none", min_length=1, description="Answer filter that the metric is taken after.")
    fewshot: int | None = Field(
        None, ge=0, description="Worked examples before each item; empty: the task's own."
    )
    limit: int | None = Field(None, ge=1, description="Items per task, the first ones; empty: all.")


class Champion(BaseModel):
    """How the model is compared with the champion of its name in the registry."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    benchmarks: tuple[str, ...] = Field((), description="Benchmarks that count; empty: all of this recipe.")
    promote: Literal["never", "better"] = Field(
        "never",
        description="better: the alias `champion` moves to this model if on the benchmarks that count it is above "
        "the champion somewhere and below it nowhere, each beyond its interval, or if there is no champion.",
    )


class Config(StepConfig):
    """What is measured, on which models, and against whom."""

    benchmarks: dict[Name, Benchmark] = Field(
        default_factory=dict, description="Benchmarks by name; none: the stage does nothing."
    )
    models: Literal["all", "last"] = Field(
        "all",
        description="all: the base and every stage, as in Ziya2's plots; last: the exported model only.",
    )
    batch_size: int = Field(8, ge=1, description="Sequences per forward pass.")
    confidence: float = Field(
        0.95, gt=0.5, lt=1, description="Level of every interval (own choice, the usual one)."
    )
    seed: int = Field(1234, ge=0, description="Seed of few-shot draws and sampling (the harness' default).")
    code: CodeLimits = Field(CodeLimits(), description="Limits of programs that a model wrote.")
    champion: Champion = Field(Champion(), description="Comparison with the registry's champion.")

    @model_validator(mode="after")
    def _champion_benchmarks_are_run(self) -> Config:
        unknown = sorted(set(self.champion.benchmarks) - set(self.benchmarks))
        if unknown:
            raise ValueError(f"champion.benchmarks names {', '.join(unknown)}, which is not among benchmarks")
        return self
