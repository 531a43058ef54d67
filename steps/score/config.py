"""Settings of scoring."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, model_validator

from steps.core.config import FILLED_IN, CorpusConfig
from steps.core.yaml_text import load_yaml

CONFIGS = Path(__file__).resolve().parents[2] / "configs" / "quality"


class Curve(BaseModel):
    """What a feature adds to the quality: `add` at the values `at`, straight between them and level beyond."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    at: tuple[float, ...] = Field(min_length=1)
    add: tuple[float, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _rises(self) -> Curve:
        if len(self.at) != len(self.add) or any(a >= b for a, b in zip(self.at, self.at[1:], strict=False)):
            raise ValueError("at must rise and have as many values as add")
        return self


class Weights(BaseModel):
    """The quality model of one language."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    intercept: float
    curves: dict[str, Curve]


class Config(CorpusConfig):
    """What documents are ranked by, quality shares, the lower cut-off, and who is exempt."""

    rank_by: Literal["quality_score", "perplexity"] = Field(
        "quality_score",
        description="What the best documents are the best by. perplexity: the plain KenLM ranking of Ziya2. "
        "quality_score: perplexity, its spread over lines and features of the text, which agrees better with what "
        "readers keep (docs/scoring.md); a language without weights, or whose model has no reference, is ranked by "
        "perplexity.",
    )
    quality_file: str = Field(
        "default",
        description="Weights of the quality score: a name in configs/quality or a path. Its content becomes part of "
        "the config.",
    )
    high_share: float = Field(
        0.30,
        ge=0,
        le=1,
        description="Share of a language's data, best first, that is high (Ziya2: 0.30).",
    )
    medium_share: float = Field(
        0.30, ge=0, le=1, description="Share after the high one that is medium (Ziya2: 30-60 %, 0.30)."
    )
    keep: tuple[Literal["high", "medium", "low"], ...] = Field(
        ("high", "medium"), min_length=1, description="Qualities that are kept (Ziya2: high and medium)."
    )
    weight: Literal["documents", "bytes"] = Field(
        "documents", description="What the shares are shares of: documents, or bytes of text."
    )
    lowest_perplexity: dict[str, float] = Field(
        default_factory=dict,
        description="Perplexity per language below which text is unnatural and dropped; "
        "it holds for one model only.",
    )
    lowest_share: float = Field(
        0.005,
        ge=0,
        lt=0.5,
        description="Share of a language's documents, lowest perplexity first, that may be unnatural "
        "(own choice); they are dropped only below lowest_ratio × the median too. 0 turns it off.",
    )
    lowest_ratio: float = Field(
        0.25,
        gt=0,
        le=1,
        description="Fraction of the language's median perplexity below which the lowest_share is unnatural "
        "(bot-written zh stubs lie at a third of the median, our measurement).",
    )
    lowest_min_documents: int = Field(
        1000,
        ge=1,
        description="Documents of a language below which lowest_share is not applied (own choice).",
    )
    without_model: Literal["error", "unscored"] = Field(
        "error",
        description="Documents of a language without a model: end with an error, or keep them unscored.",
    )
    exempt_sources: tuple[str, ...] = Field(
        (),
        description="Sources that are scored but never dropped, such as reference works; "
        "not counted in the shares.",
    )
    quality_weights: dict[str, Weights] = Field(
        default_factory=dict,
        description="Filled in from quality_file: curves per language.",
        json_schema_extra={FILLED_IN: True},
    )

    @model_validator(mode="before")
    @classmethod
    def _resolve(cls, values: Any) -> Any:
        """Puts the content of the quality file in the place of its name, once."""
        if isinstance(values, dict) and "quality_weights" not in values:
            weights = read_weights(str(values.get("quality_file", "default")))
            return {**values, "quality_file": "resolved", "quality_weights": weights}
        return values

    @model_validator(mode="after")
    def _shares(self) -> Config:
        if self.high_share + self.medium_share > 1 + 1e-12:
            raise ValueError("high_share and medium_share together are more than 1")
        return self


def read_weights(name: str) -> dict[str, Any]:
    """Weights by language of a quality file. Raises ValueError that names the file."""
    for path in (CONFIGS / f"{name}.yaml", Path(name)):
        if path.is_file():
            break
    else:
        raise ValueError(f"quality_file: there is no file {name!r}, and none of that name in configs/quality")
    try:
        content = load_yaml(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: {' '.join(str(error).split())}") from None
    if not isinstance(content, dict):
        raise ValueError(f"{path}: a quality file maps languages to intercept and curves")
    return content
