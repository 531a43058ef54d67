"""``tokenmill gate plan`` and ``tokenmill gate explain``."""

from __future__ import annotations

import argparse

from steps.core import statistics
from steps.core.errors import UsageError
from steps.core.inspection import find_artifact
from steps.core.policy import Policy
from steps.core.verdict import arithmetic, plan_seeded
from steps.core.verification import read_verdict, signing_keys
from steps.gate.explain import explain_artifact

ROOTLESS = ("plan",)  # actions that read no artifact
RATES = (0.0, 0.0001, 0.0002, 0.0005, 0.001, 0.002)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the command."""
    parser.add_argument("action", choices=("plan", "explain"))
    parser.add_argument("verdict", nargs="?", help="explain: reference of the gate artifact")
    parser.add_argument("--documents", type=int, help="plan: documents in the corpus")
    parser.add_argument("--seeded", type=int, default=300, help="plan: seeded defects (default 300)")
    parser.add_argument(
        "--found", type=int, help="plan: seeded defects that readers will find (default: all)"
    )
    parser.add_argument(
        "--look", type=int, default=1, help="plan: number of the look at the dump (default 1)"
    )
    parser.add_argument(
        "--test", choices=("fixed", "anytime"), default="fixed", help="plan: may readers stop when it passes?"
    )
    parser.add_argument("--limit", type=float, default=0.001, help="plan: defect rate to stay below")


def execute(arguments: argparse.Namespace, root: str) -> None:
    """Print the plan or the explanation."""
    if arguments.action == "explain":
        if not arguments.verdict:
            raise UsageError("gate explain needs the reference of a gate artifact")
        gate = find_artifact(arguments.verdict, root)
        verdict = read_verdict(gate)
        print(explain_artifact(gate, verdict))
        print(f"signed by the key: {', '.join(signing_keys(gate.store, verdict)) or 'none'}")
        return
    if not arguments.documents or arguments.documents < 1:
        raise UsageError("gate plan needs --documents, the size of the corpus")
    if not 0 < arguments.limit <= 1 or not 1 <= arguments.look <= 20 or arguments.seeded < 0:
        raise UsageError("gate plan: --limit must lie in (0, 1], --look in 1..20, --seeded not below 0")
    found = arguments.seeded if arguments.found is None else arguments.found
    if not 0 <= found <= arguments.seeded:
        raise UsageError(f"--found {found} must lie between 0 and --seeded {arguments.seeded}")
    print(
        plan_text(
            Policy(limit=arguments.limit, test=arguments.test),
            arguments.documents,
            arguments.seeded,
            found,
            arguments.look,
        )
    )


def plan_text(policy: Policy, documents: int, seeded: int, found: int, look: int) -> str:
    """What must be read for which chance to pass, as lines for a terminal."""
    alpha, alpha_sensitivity = policy.alphas(look)
    test = arithmetic(policy)
    sensitivity = test.sensitivity_lower_bound(found, seeded, alpha_sensitivity)
    lines = [
        f"{documents} documents, limit {policy.limit:.4%}, look {look}; readers find at least {sensitivity:.2%} of the "
        f"defects ({found} of {seeded} seeded ones)"
    ]
    lines.append("defects  documents  chance to pass at a true rate of (if readers find everything)")
    lines.append("allowed  to read    " + "  ".join(f"{rate:6.2%}" for rate in RATES))
    for allowed in (0, 1, 2, 3, 5):
        size = test.plan_sample(documents, policy.limit, sensitivity, alpha, allowed)
        if size is None:
            needed = plan_seeded(policy, documents, look)
            lines.append(f"{allowed:<8} not possible, not even by reading all; seed {needed} defects or more")
            break
        chances = [
            statistics.probability_at_most(allowed, documents, round(rate * documents), size, 1.0)
            for rate in RATES
        ]
        lines.append(
            f"{allowed:<8} {size:<9} " + " " * 32 + "  ".join(f"{chance:5.1%}" for chance in chances)
        )
    return "\n".join(lines)
