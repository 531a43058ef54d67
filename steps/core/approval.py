"""Every training container checks for itself that what it trains on was approved (CONTRACT §5)."""

from __future__ import annotations

from dataclasses import dataclass

from steps.core.artifact import Artifact
from steps.core.errors import VerdictRefused
from steps.core.verdict import Verdict
from steps.core.verification import Acceptance, verify_corpus

MIX = "mix"


@dataclass(frozen=True)
class Approved:
    """What stands behind a training artifact."""

    mix: Artifact
    corpora: dict[str, tuple[Artifact, Verdict]]
    ungated: dict[str, str]  # data set → the reason that the recipe gives


def acceptance_of(mix: Artifact) -> Acceptance:
    """The verdicts that a mix's recipe accepts."""
    return Acceptance(
        policy_digest=mix.config.get("policy_digest"), readers=tuple(mix.config["accept_readers"])
    )


def verify_training(artifact: Artifact) -> Approved:
    """Walk from any training artifact (or a mix) to its corpora and verify each verdict again.

    Raises VerdictRefused if there is no mix behind it or more than one, if a corpus has no verdict that the mix's
    recipe accepts, or if another data set has no stated reason for having none.
    """
    mixes = {mix.digest: mix for mix in _mixes(artifact, set())}
    where = artifact.reference.uri
    if len(mixes) != 1:
        raise VerdictRefused(f"{where} rests on {len(mixes)} mixes of approved corpora; it must be one")
    (mix,) = mixes.values()
    acceptance = acceptance_of(mix)
    corpora = {}
    for name in mix.input_names():
        if name.startswith("corpora."):
            corpus = mix.input(name)
            corpora[name.removeprefix("corpora.")] = (corpus, verify_corpus(corpus, acceptance))
    ungated = {
        name: str(found.get("ungated", "")) for name, found in mix.config.get("supervised", {}).items()
    }
    silent = sorted(name for name, reason in ungated.items() if not reason.strip())
    if silent:
        raise VerdictRefused(
            f"{mix.reference.uri}: {', '.join(silent)} has no verdict and no reason for that"
        )
    return Approved(mix, corpora, ungated)


def _mixes(artifact: Artifact, seen: set[str]) -> list[Artifact]:
    """The mixes below an artifact; nothing below a mix is walked."""
    if artifact.digest in seen:
        return []
    seen.add(artifact.digest)
    if artifact.step == MIX:
        return [artifact]
    return [mix for name in artifact.input_names() for mix in _mixes(artifact.input(name), seen)]
