"""Settings of the mix step."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from steps.core.config import StepConfig, Supply

# Ziya2 Table 2, bytes per token with the extended tokenizer: 2.5 (code) to 3.6 (Pile).
BYTES_PER_TOKEN, MOST_BYTES_PER_TOKEN = 3.2, 3.6


class Amount(BaseModel):
    """How much of a data set is used; exactly one unit, one epoch if none is given."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    epochs: float | None = Field(None, gt=0, description="Passes over the data set; 0.5 is half of it.")
    documents: int | None = Field(None, gt=0, description="Documents, at most those there are.")
    bytes: int | None = Field(None, gt=0, description="UTF-8 bytes of text, at most those there are.")
    tokens: int | None = Field(
        None, gt=0, description="Tokens of the initialized tokenizer, <eos> included; pack counts them."
    )

    @model_validator(mode="after")
    def _one_unit(self) -> Amount:
        if sum(unit is not None for unit in (self.epochs, self.documents, self.bytes, self.tokens)) > 1:
            raise ValueError("give only one of epochs, documents, bytes and tokens")
        return self

    def missing(self, supply: Supply | None) -> str:
        """What the data set cannot supply, as a sentence; empty where it can. Tokens are estimated."""
        if supply is None:
            return "the inputs have no documents of this source"
        if self.documents is not None and self.documents > supply.documents:
            return f"asks for {self.documents:,} documents, there are {supply.documents:,}"
        if self.bytes is not None and self.bytes > supply.bytes:
            return f"asks for {self.bytes:,} bytes, there are {supply.bytes:,}"
        if self.tokens is not None and self.tokens * MOST_BYTES_PER_TOKEN > supply.bytes:
            there = round(supply.bytes / BYTES_PER_TOKEN)
            return f"asks for {self.tokens:,} tokens, {supply.bytes:,} bytes have about {there:,}"
        return ""


class WebSet(Amount):
    """A gated source."""

    template: Literal["text", "code"] = Field(
        "text",
        description="code: each document between ``` fences that name its language (Ziya2 §2.2), told by the "
        "ending of its title or address.",
    )


class SupervisedSet(Amount):
    """A supervised data set: its stage, its prompt, and why it enters without a verdict."""

    stage: Literal[1, 2, 3] = Field(description="Training stage that the set belongs to (Ziya2 Table 2).")
    template: Literal["question_answer", "q_a", "problem_solution", "multiple_choice", "text"] = Field(
        "question_answer", description="Prompt around each document (Ziya2 §3.2); text takes it as it is."
    )
    ungated: str = Field(min_length=10, description="Why this set needs no verdict; shown in the model card.")


class Decontamination(BaseModel):
    """What counts as seeing a test item, of all data sets in the recipe's sources of kind benchmark."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    fields: tuple[str, ...] = Field(
        ("question", "Question", "problem", "prompt", "query", "text", "sentence"),
        min_length=1,
        description="Record fields that hold a benchmark's item, the first that a record has (MMLU, C-Eval and GSM8K: "
        "question, CMMLU: Question, MATH: problem, HumanEval: prompt). Choices are left out: copies letter them.",
    )
    tokens: int = Field(
        8,
        ge=4,
        le=50,
        description="Length of a match in words or single Chinese characters (8 as in allenai/open-instruct and "
        "swiss-ai/posttraining-data, 04-decontamination).",
    )
    share: float = Field(
        0.5,
        gt=0,
        le=1,
        description="A document holds an item if matches cover at least this share of the item (half: the same, and "
        "huggingface/cosmopedia).",
    )
    common: int = Field(
        100,
        ge=1,
        description="n-grams that more items than this share are the benchmark's wording, and match nothing "
        "(own choice, which bounds the work per token).",
    )


class Config(StepConfig):
    """What is mixed, how much of it, and which verdicts count."""

    seed: int = Field(1, ge=0, le=2**32 - 1, description="Seed of the global shuffle.")
    accept_readers: tuple[Literal["human", "automatic"], ...] = Field(
        ("human",), min_length=1, description="Kinds of readers whose verdicts this training accepts."
    )
    policy_digest: str | None = Field(
        None,
        pattern=r"^[0-9a-f]{64}$",
        description="sha256 of the gate policy that corpora must have passed; empty: any policy's pass counts.",
    )
    web: dict[str, WebSet] = Field(
        default_factory=lambda: {"*": WebSet()},
        description="How much of each gated source enters stage 1, by source name; * is every other source.",
    )
    supervised: dict[str, SupervisedSet] = Field(
        default_factory=dict,
        description="Supervised sets by source, or source/task; documents of others are left out.",
    )
    decontamination: Decontamination = Field(
        Decontamination(),
        description="How items of the recipe's benchmarks (its sources of kind benchmark) are looked for; documents "
        "that hold one are left out.",
    )
    stage_2_replay: float = Field(
        1.0,
        ge=0,
        description="Tokens of stage 1 in stage 2, as a multiple of its own (Ziya2 §3.2: the same amount).",
    )
    stage_3_replay_1: float = Field(
        1.0,
        ge=0,
        description="Tokens of stage 1 in stage 3, as a multiple of its own (Ziya2 §3.2: 0.1B to 0.1B).",
    )
    stage_3_replay_2: float = Field(
        1.0,
        ge=0,
        description="Tokens of stage 2 in stage 3, as a multiple of its own (Ziya2 §3.2: 0.1B to 0.1B).",
    )
    heldout_documents: int = Field(
        100, ge=1, description="Documents per language and task that are never trained on (own choice)."
    )
    heldout_max_share: float = Field(
        0.1,
        gt=0,
        le=0.5,
        description="Largest share of a language or task that may be held out (own choice).",
    )
    plan_rows: int = Field(1_000_000, ge=1, description="Rows per plan file.")

    def shortfalls(self, supply: Mapping[str, Mapping[str, Supply]]) -> list[str]:
        """Data sets that have less than they are asked for; held-out documents and test items go off that, too."""
        asked: list[tuple[str, str, str, Amount]] = [
            ("web", name, "corpora", amount) for name, amount in self.web.items() if name != "*"
        ]
        asked += [("supervised", name, "supervised", amount) for name, amount in self.supervised.items()]
        found = []
        for field, name, given, amount in asked:
            if given in supply:
                said = amount.missing(supply[given].get(name, supply[given].get(name.partition("/")[0])))
                found += [f"{field}.{name}: {said}; nothing is repeated for it"] if said else []
        return found
