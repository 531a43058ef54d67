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

    Several mixes may be behind it where they chose from the same texts (`same_texts`): then the mix is the one whose
    tokens were trained on. Raises VerdictRefused if there is none or mixes of different texts, if a corpus has no
    verdict that the mix's recipe accepts, or if another data set has no stated reason for having none.
    """
    mixes = list({mix.digest: mix for mix in _mixes(artifact, set())}.values())
    where = artifact.reference.uri
    if not mixes or not all(same_texts(mixes[0], other) for other in mixes):
        raise VerdictRefused(
            f"{where} rests on {len(mixes)} mixes of approved corpora; it must be one, or several of the same texts"
        )
    mix = mixes[0]
    acceptance = acceptance_of(mix)
    corpora = {}
    for name in mix.input_names():
        if name.startswith("corpora."):
            corpus = mix.input(name)
            corpora[name.removeprefix("corpora.")] = (corpus, verify_corpus(corpus, acceptance))
    sets = mix.config.get("supervised", {})
    ungated = {name: str(sets.get(name, {}).get("ungated", "")) for name in mix.facts["ungated"]}
    silent = sorted(name for name, reason in ungated.items() if not reason.strip())
    if silent:
        raise VerdictRefused(
            f"{mix.reference.uri}: {', '.join(silent)} has no verdict and no reason for that"
        )
    return Approved(mix, corpora, ungated)


def same_texts(one: Artifact, other: Artifact) -> bool:
    """Whether two mixes chose from the same corpora and sets, and accept the same verdicts; amounts may differ."""
    inputs = [mix.manifest.identity.payload.inputs for mix in (one, other)]
    return inputs[0] == inputs[1] and acceptance_of(one) == acceptance_of(other)


def _mixes(artifact: Artifact, seen: set[str]) -> list[Artifact]:
    """The mixes below an artifact, those of its tokens before its model's; nothing below a mix is walked."""
    if artifact.digest in seen:
        return []
    seen.add(artifact.digest)
    if artifact.step == MIX:
        return [artifact]
    names = sorted(artifact.input_names(), key=lambda name: (name == "model", name))
    return [mix for name in names for mix in _mixes(artifact.input(name), seen)]
