"""gate: number the look, decide, write and sign the verdict."""

from __future__ import annotations

from typing import Any

from steps.core.artifact import Artifact
from steps.core.catalog import Catalog
from steps.core.digest import canonical_json
from steps.core.errors import ConfigError, DataError
from steps.core.step import Input, PartWriter, Step, StepContext
from steps.core.store import Store
from steps.core.verdict import SampleFacts, Verdict
from steps.core.verification import VERDICT_FILE, load_sample, recompute
from steps.gate.config import Config
from steps.gate.explain import explain
from steps.gate.report import page
from steps.gate.signature import sign_verdict

LOOKS = "looks"


def run(ctx: StepContext) -> None:
    """Check what belongs together, claim the look, write the verdict and what a person should know about it."""
    sample, corpus = ctx.inputs["sample"], ctx.inputs["corpus"]
    facts = load_sample(sample).facts
    check_bindings(ctx.config, facts, corpus)
    claim_look(ctx.store, facts, sample)
    result = ctx.part("verdict", write_verdict).result
    for name, value in result.items():
        ctx.set(name, value)
    for name in ("rate", "bound_rate", "sensitivity", "read", "defective"):
        ctx.metric(f"gate/{name}", float(result[name]))
    ctx.log.info("verdict: %s (%s)", result["status"], "; ".join(result["reasons"]))


def check_bindings(config: Config, facts: SampleFacts, corpus: Artifact) -> None:
    """Raise unless the sample was drawn from this corpus, for this policy and this look."""
    if facts.documents != corpus.manifest.identity.documents:
        raise DataError(
            f"gate: the sample was drawn from the documents {facts.documents[:12]}, the corpus holds "
            f"{(corpus.manifest.identity.documents or 'none')[:12]}; run evaluate on this corpus"
        )
    problems = []
    if config.policy is not None and config.policy.digest != facts.policy_digest:
        problems.append(
            "gate.policy: differs from evaluate.policy, for which the sample was drawn; set both alike"
        )
    if config.look != facts.look:
        problems.append(
            f"gate.look: {config.look}, but the sample was drawn for look {facts.look} (evaluate.look)"
        )
    if problems:
        raise ConfigError("\n".join(problems))


def claim_look(store: Store, facts: SampleFacts, sample: Artifact) -> None:
    """Put this look at the dump into the catalog, before anything is decided.

    Looks at a dump share alpha, so that one number stands for one sample for ever. Raises ConfigError if the number
    is taken by another sample, naming the next free one.
    """
    if facts.population == 0:
        return  # there is nothing to look at; the verdict says so
    if not facts.dump:
        raise ConfigError(
            "gate: the documents name no dump, so that looks cannot be numbered; set the run's dump"
        )
    mine = {"documents": facts.documents, "sample": sample.digest, "policy": facts.policy_digest}

    def claim(looks: dict[str, Any]) -> dict[str, Any]:
        taken = looks.setdefault(facts.dump, {})
        other = taken.setdefault(str(facts.look), mine)
        if other != mine:
            following = max(map(int, taken)) + 1
            raise ConfigError(
                f"look {facts.look} at dump {facts.dump} was used for another sample ({other['sample'][:12]}); "
                f"set evaluate.look and gate.look to {following}"
            )
        return looks

    Catalog(store).update(LOOKS, claim)


def write_verdict(task: dict[str, Any], part: PartWriter) -> dict[str, Any]:
    """verdict.json, and the page that explains it."""
    sample, labels = part.inputs["sample"], part.inputs["labels"]
    verdict = recompute(sample, labels, part.config.veto)
    part.put_bytes(VERDICT_FILE, canonical_json(verdict.model_dump(mode="json")), "verdict")
    explanation = explain(verdict, sample, labels, part.inputs["corpus"])
    part.put_view("report.html", page(verdict, explanation))
    return facts_of(verdict)


def facts_of(verdict: Verdict) -> dict[str, Any]:
    """What the next task, the XCom and MLflow see of a verdict; the object itself is in verdict.json."""
    return {
        "status": verdict.status,
        "reasons": list(verdict.reasons),
        "rate": verdict.rate,
        "bound": verdict.bound,
        "bound_rate": verdict.bound_rate,
        "limit": verdict.policy.limit,
        "population": verdict.population,
        "read": verdict.read,
        "defective": verdict.defective,
        "seeded": verdict.seeded,
        "seeded_found": verdict.seeded_found,
        "sensitivity": verdict.sensitivity,
        "readers": list(verdict.readers),
        "look": verdict.look,
        "policy_digest": verdict.policy_digest,
        "defects": verdict.defects,
        "verdict_digest": verdict.digest,
    }


STEP = Step(
    name="gate",
    version=2,
    config=Config,
    run=run,
    inputs=(Input("corpus"), Input("sample"), Input("labels")),
    libraries=("scipy", "numpy"),
    after_commit=sign_verdict,
)
