"""Settings of synthesis. The prompts are part of them, and so of the identity; the endpoint and its key are not."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from steps.core.config import FILLED_IN, CodeLimits, CorpusConfig
from steps.core.takedown import TakedownList
from steps.core.yaml_text import load_yaml

PROMPTS = Path(__file__).resolve().parents[2] / "configs" / "prompts"
MAX_FILE_BYTES = 1 << 20
PASSAGE = "{passage}"
MOST_TOKENS = ("max_tokens", "max_completion_tokens")
_OWN = ("model", "messages", "stream", "n", "tools", "functions")  # what the step itself decides

Check = Literal["none", "mathematics", "code"]


class Discipline(BaseModel):
    """One discipline of a prompt file: what is asked, and how the answer is checked."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    prompts: dict[str, str] = Field(
        min_length=1, description="What is asked, by language of the passage; {passage} is where it goes."
    )
    check: Check = Field(
        "none",
        description="mathematics: the boxed answer is compared with a calculation; code: the program is run with its "
        "tests.",
    )

    @field_validator("prompts")
    @classmethod
    def _hold_the_passage(cls, prompts: dict[str, str]) -> dict[str, str]:
        for language, prompt in prompts.items():
            if prompt.count(PASSAGE) != 1:
                raise ValueError(f"prompts.{language}: {PASSAGE} must stand in it exactly once")
        return prompts


class Selection(BaseModel):
    """Which passages a discipline may take."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    sources: tuple[str, ...] = Field((), description="Sources of the corpora; empty: all.")
    signal: str = Field("", description="A signal column of the corpora, such as a topic's probability.")
    min: float = Field(0.5, description="Least value of the signal.")


class Config(CorpusConfig):
    """What is asked of which model about which passages, and what it may cost."""

    model: str = Field(min_length=1, description="The model's name at the endpoint.")
    requests: int = Field(
        1000, ge=1, le=1_000_000, description="Passages to ask about, one request each; drawn by a hash."
    )
    prompts_file: str = Field(
        "default",
        description="Prompt file: a name in configs/prompts or a path. Its content becomes part of the config.",
    )
    shares: dict[str, float] = Field(
        default_factory=dict,
        description="Share of the requests of each discipline, as weights; empty: all of the prompt file alike.",
    )
    passages: dict[str, Selection] = Field(
        default_factory=dict, description="Which passages a discipline may take, by discipline; others: any."
    )
    passage_characters: int = Field(
        2000, ge=100, description="Longest passage in characters: whole paragraphs, else a cut (own choice)."
    )
    least_characters: int = Field(
        200, ge=1, description="Documents with fewer characters are not asked about (own choice)."
    )
    source: str = Field(
        "synthetic",
        pattern=r"^[a-z0-9][a-z0-9_.-]*$",
        description="Source name of the pairs in every report.",
    )
    licence: str = Field("", description="Licence of the pairs; empty: that of the passage.")
    parameters: dict[str, bool | int | float | str | list[str] | None] = Field(
        {"temperature": 0.7, "top_p": 0.95, "max_tokens": 2048, "seed": 1},
        description="Fields of every request beside model and messages, as the endpoint knows them; one of max_tokens "
        "and max_completion_tokens bounds the answer (own choice; another seed gives other answers).",
    )
    token_budget: int | None = Field(
        None, ge=1, description="Tokens of prompts and answers after which the step ends with what it has."
    )
    money_budget: float | None = Field(
        None, gt=0, description="Money after which the step ends with what it has, in the prices' currency."
    )
    input_price: float = Field(0.0, ge=0, description="Price of a million prompt tokens.")
    output_price: float = Field(0.0, ge=0, description="Price of a million answer tokens.")
    checks: CodeLimits = Field(CodeLimits(seconds=10.0), description="Limits of a calculation or a program.")
    documents_per_shard: int = Field(1000, ge=1, description="Requests per part and shard.")
    max_quarantine_share: float = Field(
        0.3,
        ge=0,
        le=1,
        description="Share of answers that cannot be used (unparsable, cut, refused) before the step fails. Answers "
        "stay recorded, so that going on costs nothing (own choice).",
    )
    takedowns: TakedownList = Field(
        (),
        description="Passages never to be asked about, filled in by plan.",
        json_schema_extra={FILLED_IN: True},
    )
    disciplines: dict[str, Discipline] = Field(
        default_factory=dict, description="Filled in from prompts_file.", json_schema_extra={FILLED_IN: True}
    )

    @model_validator(mode="before")
    @classmethod
    def _resolve(cls, values: Any) -> Any:
        """Puts the content of the prompt file in the place of its name, once."""
        if not isinstance(values, dict) or "disciplines" in values:
            return values
        return {
            **values,
            "disciplines": read_prompts(str(values.get("prompts_file", "default"))),
            "prompts_file": "resolved",
        }

    @model_validator(mode="after")
    def _consistent(self) -> Config:
        problems = [
            f"{field}: the prompt file has no discipline {name!r} (it has {', '.join(self.disciplines)})"
            for field, names in (("shares", self.shares), ("passages", self.passages))
            for name in names
            if name not in self.disciplines
        ]
        problems += [
            f"shares.{name}: {share} is not above 0" for name, share in self.shares.items() if share <= 0
        ]
        problems += [
            f"parameters.{name}: the step sets it itself" for name in _OWN if name in self.parameters
        ]
        if not self.most_tokens:
            problems.append(f"parameters: give {' or '.join(MOST_TOKENS)}, a whole number above 0")
        if self.money_budget is not None and not (self.input_price or self.output_price):
            problems.append("money_budget: give input_price and output_price, or it is never reached")
        if problems:
            raise ValueError("; ".join(problems))
        return self

    @property
    def most_tokens(self) -> int:
        """Tokens that an answer has at most; 0 where the parameters do not say."""
        given = [self.parameters.get(name) for name in MOST_TOKENS]
        return max((value for value in given if type(value) is int and value > 0), default=0)

    def weights(self) -> dict[str, float]:
        """Share of the requests by discipline, adding up to 1."""
        given = self.shares or dict.fromkeys(self.disciplines, 1.0)
        total = sum(given.values())
        return {name: share / total for name, share in sorted(given.items())}

    def cost(self, prompt_tokens: int, answer_tokens: int) -> float:
        """What so many tokens cost."""
        return (prompt_tokens * self.input_price + answer_tokens * self.output_price) / 1e6


def read_prompts(name: str) -> dict[str, Any]:
    """Disciplines of a prompt file, each with its whole prompts by language. Raises ValueError that names the file."""
    path = next((p for p in (PROMPTS / f"{name}.yaml", Path(name)) if p.is_file()), None)
    if path is None:
        raise ValueError(f"there is no prompt file {name!r}, and none of that name in configs/prompts")
    if path.stat().st_size > MAX_FILE_BYTES:
        raise ValueError(f"{path}: larger than {MAX_FILE_BYTES >> 10} KiB")
    try:
        content = load_yaml(path.read_text(encoding="utf-8"))
        templates, found = content["templates"], {}
        for discipline, entry in content["disciplines"].items():
            prompts = {
                language: text.replace("{discipline}", entry["name"][language])
                for language, text in templates[entry["template"]].items()
                if language in entry["name"]
            }
            found[discipline] = {"prompts": prompts, "check": entry.get("check", "none")}
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: {' '.join(str(error).split())}") from None
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(
            f"{path}: a prompt file has templates (texts by name and language) and disciplines (name by language, "
            f"template, check); {type(error).__name__}: {error}"
        ) from None
    return found
