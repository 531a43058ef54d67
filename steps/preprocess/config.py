"""Settings of preprocess."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator

from steps.core.config import CorpusConfig

# what the language model's sha256 must be: it belongs to the identity of the step, as models count by content
LID_176_FTZ = "8f3472cfe8738a7b6099e8e999c3cbfae0dcd15696aac7d7738a8039db603e83"


class Config(CorpusConfig):
    """Which languages stay, and how text is made uniform."""

    languages: tuple[str, ...] = Field(
        ("en", "zh"),
        min_length=1,
        description="ISO 639 codes of the languages that are kept (Ziya2: zh and en).",
    )
    min_language_score: float = Field(
        0.5, ge=0, le=1, description="Least probability of the language (CCNet, ChineseWebText: 0.5)."
    )
    language_model: str = Field(
        LID_176_FTZ,
        pattern="^[0-9a-f]{64}$",
        description="sha256 of the fastText model lid.176.ftz that is used.",
    )
    trust_declared_language: bool = Field(
        False, description="Take a source's declared language as it is, with score 1."
    )
    simplify: Literal["t2s", "tw2s", "hk2s", "tw2sp", "hk2sp", ""] = Field(
        "tw2s",
        description="OpenCC conversion of Chinese text: t2s from standard, tw2s from Taiwan's, hk2s from Hong Kong's "
        "characters, tw2sp and hk2sp with their regional phrases too, empty for none (wrong characters "
        "there and back, benchmarks.quality.conversion: tw2s 0.01 % from standard and Taiwan's, 0.03 % from Hong "
        "Kong's, t2s 0.05 % from Taiwan's; of text with Taiwan's phrases tw2sp 0.4 %, others 3.6 %).",
    )
    emoji: Literal["remove", "keep"] = Field(
        "remove",
        description="Emoji: removed as tokens without meaning (Ziya2 section 2.1), or kept for models that chat. "
        "Ornaments (★■◆) always go.",
    )
    emoticons: Literal["remove", "keep"] = Field(
        "remove",
        description="ASCII emoticons and kaomoji (:-) ^_^ orz （￣▽￣）): removed (Ziya2 section 2.1) or kept.",
    )
    max_mojibake: float = Field(
        10.0,
        ge=0,
        description="Sequences of irreparable mojibake per 1,000 characters from which a document is removed (own "
        "measurement: broken Chinese texts have 19 and more, 2 of 8,000 clean documents have more than 10).",
    )
    mask_personal_data: bool = Field(
        True, description="Replace e-mail, phone, IP, Chinese ID and bank card numbers by typed placeholders."
    )
    normalise_kinds: tuple[str, ...] = Field(
        ("law", "reference", "supervised", "web"),
        description="Kinds of sources whose text is normalised; code and math keep theirs, but for invisible "
        "characters and mojibake.",
    )
    max_document_bytes: int = Field(
        16 << 20,
        ge=1024,
        description="Largest document in bytes; larger ones are quarantined (as in ingest).",
    )

    @field_validator("languages", "normalise_kinds")
    @classmethod
    def _sorted(cls, values: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(sorted(set(values)))
