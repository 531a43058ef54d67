"""Has the crawl changed? Perplexities of this dump against those of the dump that was published before it.

For people: it stands in the report and in MLflow and decides nothing. The earlier dump is found through the catalog
when the step ends, not given as an input: an input would change the fingerprint whenever a dump is published, and a
run that is repeated would do everything anew.
"""

from __future__ import annotations

import json
from typing import NamedTuple

from steps.core.artifact import Artifact
from steps.core.catalog import Catalog
from steps.core.errors import StepError
from steps.core.source import SourceListing
from steps.core.step import StepContext
from steps.report.drift import LEAST, distances, reading
from steps.score.distribution import DISTRIBUTION, Distributions

ALL = "all"


class Drift(NamedTuple):
    """One language and source (or ALL): population stability index, Kolmogorov-Smirnov distance, medians, documents."""

    language: str
    source: str
    psi: float
    ks: float
    before: float
    now: float
    documents_before: int
    documents: int

    @property
    def verdict(self) -> str:
        return reading(self.psi)


class Comparison(NamedTuple):
    """What was compared with: the earlier score artifact, or why there is none."""

    previous: Artifact | None
    groups: list[Drift]
    note: str


def compare_with_previous(ctx: StepContext) -> Comparison:
    """This step's distributions against those of the newest published dump that is not this one."""
    try:
        previous = find_previous(ctx)
        if previous is None:
            return Comparison(None, [], "No other dump scored with these language models is published yet.")
        before = Distributions.from_json(json.loads(previous.read_bytes(previous.file(DISTRIBUTION))))
    except StepError as error:  # gone, damaged or away: a report about the past must not end the step
        return Comparison(None, [], f"The earlier dump cannot be read: {error}")
    entry = next(e for part in ctx.parts for e in part.files if e.key == DISTRIBUTION)
    now = Distributions.from_json(json.loads(ctx.files().read_bytes(entry)))
    same = sorted(_models(previous).items() & _models_of(ctx).items())
    return Comparison(previous, compare(before, now, [language for language, _ in same]), "")


def compare(before: Distributions, now: Distributions, languages: list[str]) -> list[Drift]:
    """Drift of each language and of each of its sources in both dumps, where there are documents enough."""
    found = []
    for language in languages:
        pairs = [(ALL, before.of_language(language, "perplexity"), now.of_language(language, "perplexity"))]
        for (other, source), here in sorted(now.groups.items()):
            if other == language and (language, source) in before.groups:
                pairs.append((source, before.groups[language, source]["perplexity"], here["perplexity"]))
        for source, old, new in pairs:
            if min(old.count, new.count) >= LEAST:
                medians = (old.quantile(0.5) or 0.0, new.quantile(0.5) or 0.0)
                found.append(Drift(language, source, *distances(old, new), *medians, old.count, new.count))
    return found


def find_previous(ctx: StepContext) -> Artifact | None:
    """The score artifact behind the newest published corpus of another dump with a language model of ours."""
    own, models = dump_of(ctx.inputs["corpus"]), set(_models_of(ctx).items())
    for corpora in reversed(Catalog(ctx.store).history("corpora")):
        for entry in corpora.values():
            if entry["latest"] == own:
                continue
            score = _score_behind(Artifact.open(entry["dumps"][entry["latest"]]["corpus"], ctx.store))
            if score is not None and models & set(_models(score).items()):
                return score
    return None


def dump_of(artifact: Artifact) -> str | None:
    """The dump that a corpus was made from."""
    current = artifact
    while not current.has_input("source"):
        if not current.has_input("corpus"):
            return None
        current = current.input("corpus")
    return SourceListing.of(current.input("source")).dump


def _score_behind(artifact: Artifact) -> Artifact | None:
    current = artifact
    while current.step != "score":
        if not current.has_input("corpus"):
            return None
        current = current.input("corpus")
    return current if any(entry.key == DISTRIBUTION for entry in current.files()) else None


def _models(score: Artifact) -> dict[str, str]:
    """Digest of the language model by language."""
    return dict(score.facts.get("models", {}))


def _models_of(ctx: StepContext) -> dict[str, str]:
    return {a.facts["language"]: a.digest for a in ctx.input_list("language_models").values()}
