"""Settings of the mix step."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from steps.core.config import StepConfig, Supply
from steps.mix.budget import Budget, shares_of_one

SHORTEST_REASON = 10  # characters (own choice)
TOPIC = re.compile(r"[A-Za-z0-9_-]+")
MOST_BYTES_PER_TOKEN = 3.6  # Ziya2 Table 2 with the extended tokenizer: 2.5 (code) to 3.6 (Pile)


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

    @property
    def given(self) -> bool:
        """Whether a unit is given."""
        return any(unit is not None for unit in (self.epochs, self.documents, self.bytes, self.tokens))

    def missing(self, supply: Supply | None) -> str:
        """What the data set cannot supply, as a sentence; empty where it can. Tokens are estimated, at the fewest."""
        if supply is None:
            return "the inputs have no documents of this source"
        if self.documents is not None and self.documents > supply.documents:
            return f"asks for {self.documents:,} documents, there are {supply.documents:,}"
        if self.bytes is not None and self.bytes > supply.bytes:
            return f"asks for {self.bytes:,} bytes, there are {supply.bytes:,}"
        if self.tokens is not None and self.tokens * MOST_BYTES_PER_TOKEN > supply.bytes:
            there = int(supply.bytes / MOST_BYTES_PER_TOKEN)
            return f"asks for {self.tokens:,} tokens, {supply.bytes:,} bytes may have no more than {there:,}"
        return ""


class WebSet(Amount):
    """A gated source."""

    template: Literal["text", "code"] = Field(
        "text",
        description="code: each document between ``` fences that name its language (Ziya2 §2.2), told by the "
        "ending of its title or address.",
    )
    topics: dict[str, float] = Field(
        default_factory=dict,
        description="Shares of the amount by topic, as the run's topic classifier names it; they add up to 1, and "
        "documents of other topics are left out (Llama-3-SynE: 11 topics per language, which `tokenmill topics` "
        "adjusts between rounds). Each topic has held-out documents of its own.",
    )

    @model_validator(mode="after")
    def _topics_share_an_amount(self) -> WebSet:
        if self.topics:
            shares_of_one(self.topics, "topics")
            if odd := [topic for topic in self.topics if not TOPIC.fullmatch(topic)]:
                raise ValueError(
                    f"topics: {odd[0]!r} must be of letters, digits, _ and -: it names held-out files"
                )
            if self.epochs is not None:
                raise ValueError(
                    "topics: shares of epochs are no shares of text; give documents, bytes or tokens"
                )
        return self

    def of_topic(self, topic: str) -> Amount:
        """What the topic gets of the amount."""
        share = self.topics[topic]

        def part(unit: int | None) -> int | None:
            return None if unit is None else round(unit * share)

        return Portion(documents=part(self.documents), bytes=part(self.bytes), tokens=part(self.tokens))


class Portion(Amount):
    """A part of an amount, which may come to nothing."""

    documents: int | None = Field(None, ge=0)
    bytes: int | None = Field(None, ge=0)
    tokens: int | None = Field(None, ge=0)


class SupervisedSet(Amount):
    """A supervised data set: its stage, its prompt, and why it enters without a verdict."""

    stage: Literal[1, 2, 3] = Field(description="Training stage that the set belongs to (Ziya2 Table 2).")
    template: Literal["question_answer", "q_a", "problem_solution", "multiple_choice", "text"] = Field(
        "question_answer", description="Prompt around each document (Ziya2 §3.2); text takes it as it is."
    )
    ungated: str = Field(
        "",
        description="Why this set needs no verdict; shown in the model card. Empty: it comes from a published corpus, "
        "which has one, such as what `synthesize` made.",
    )

    @field_validator("ungated")
    @classmethod
    def _a_reason(cls, value: str) -> str:
        if value and len(value.strip()) < SHORTEST_REASON:
            raise ValueError(
                f"{value!r} is no reason: give one of {SHORTEST_REASON} characters or more, or leave it out where the "
                "set comes from a published corpus"
            )
        return value


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
        description="Supervised sets by source, or source/task, of the run's own sources and of published corpora. Own "
        "ones that are not named are left out; published ones are plain text of web.",
    )
    budgets: dict[Annotated[int, Field(ge=1, le=3)], Budget] = Field(
        default_factory=dict,
        description="Tokens of a stage and the shares that data sets have of them, in place of amounts of their own; "
        "a source of several stages gives each of them other documents. web then has no * unless it is written.",
    )
    topic_classifier: str = Field(
        "topic",
        description="Which of the run's classifiers tells the topics of web sets that have shares of them.",
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

    @model_validator(mode="before")
    @classmethod
    def _budgets_name_what_is_taken(cls, values: Any) -> Any:
        if isinstance(values, dict) and values.get("budgets") and "web" not in values:
            return values | {"web": {}}
        return values

    @model_validator(mode="after")
    def _budgets_are_the_only_amounts(self) -> Config:
        for stage, budget in self.budgets.items():
            for name in budget.amounts():
                if name == "*":
                    raise ValueError(f"budgets.{stage}: * is no data set; give the shares to sources by name")
                own = self.supervised.get(name) or self.web.get(name)
                if own is not None and own.given:
                    raise ValueError(
                        f"budgets.{stage}: {name} has an amount of its own; leave one of them out"
                    )
                if isinstance(own, SupervisedSet) and own.stage != stage:
                    raise ValueError(f"budgets.{stage}: supervised.{name} belongs to stage {own.stage}")
        for name, found in self.web.items():
            if found.topics and name == "*":
                raise ValueError(
                    "web.*: topics are shares of one source's amount; give them to sources by name"
                )
            if found.topics and not found.given and name not in self.budgeted:
                raise ValueError(f"web.{name}: topics share documents, bytes, tokens or a budget; give one")
        return self

    @property
    def budgeted(self) -> dict[str, dict[int, int]]:
        """Tokens by data set and stage, where budgets say so."""
        found: dict[str, dict[int, int]] = {}
        for stage, budget in sorted(self.budgets.items()):
            for name, tokens in budget.amounts().items():
                found.setdefault(name, {})[stage] = tokens
        return found

    @property
    def web_sources(self) -> list[str]:
        """The gated sources that the recipe names."""
        named = dict.fromkeys([*self.web, *self.budgeted])
        return [name for name in named if name != "*" and name not in self.supervised]

    def web_set(self, source: str) -> WebSet | None:
        """The settings of a gated source; None where the recipe does not use it."""
        found = self.web.get(source)
        if found is None and source in self.budgeted and source not in self.supervised:
            return WebSet()
        return found if found is not None else self.web.get("*")

    def set_names(self) -> list[str]:
        """The data sets that the recipe names, as in plans."""
        found = [f"supervised/{name}" for name in self.supervised]
        for source in self.web_sources:
            own = self.web_set(source)
            topics = [topic for topic, share in own.topics.items() if share] if own else []
            found += [f"web/{source}/{topic}" for topic in topics] or [f"web/{source}"]
        return found

    def template(self, name: str) -> str:
        """What stands around the documents of a data set, named as in plans."""
        kind, _, named = name.partition("/")
        if kind == "supervised":
            return self.supervised[named].template
        found = self.web_set(named.partition("/")[0])
        assert found is not None
        return found.template

    def amounts(self, name: str) -> dict[int, Amount]:
        """What each stage takes of a data set, named as in plans: web/<source>, web/<source>/<topic>, supervised/…."""
        kind, _, named = name.partition("/")
        budgeted = self.budgeted
        if kind == "supervised":
            own = self.supervised[named]
            if named not in budgeted:
                return {own.stage: own}
            return {stage: Amount(tokens=tokens) for stage, tokens in budgeted[named].items() if tokens}
        source, _, topic = named.partition("/")
        found = self.web_set(source)
        assert found is not None
        if source in budgeted:
            stages = {s: found.model_copy(update={"tokens": t}) for s, t in budgeted[source].items() if t}
        else:
            stages = {1: found}
        return {stage: amount.of_topic(topic) if topic else amount for stage, amount in stages.items()}

    def outline(self) -> str:
        """Tokens by data set and stage."""
        from steps.mix.outline import outline

        return outline(self)

    def shortfalls(self, supply: Mapping[str, Mapping[str, Supply]]) -> list[str]:
        """Data sets that have less than they are asked for; held-out documents and test items go off that, too."""
        budgeted = {name: Amount(tokens=sum(stages.values())) for name, stages in self.budgeted.items()}
        found = []
        for name in self.web_sources:
            if "corpora" in supply:
                said = (budgeted.get(name) or self.web[name]).missing(supply["corpora"].get(name))
                found += [f"web.{name}: {said}; nothing is repeated for it"] if said else []
        for name, own in self.supervised.items():
            there = [supply.get(given, {}) for given in ("supervised", "corpora")]
            most = next((s[key] for s in there for key in (name, name.partition("/")[0]) if key in s), None)
            if most is not None or ("supervised" if own.ungated else "corpora") in supply:
                said = budgeted.get(name, own).missing(most)
                found += [f"supervised.{name}: {said}; nothing is repeated for it"] if said else []
        return found
