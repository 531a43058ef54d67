"""Stops a run whose verdict is not *pass*, so that the graph shows where and why.

It decides nothing: `publish` and every training container check the verdict for themselves.
"""

from __future__ import annotations

import json
from typing import Any

from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import AirflowFailException

from plugins.connections import s3_in_environment

VERDICT_FILE = "verdict.json"
_REASONS = 10


class CheckVerdict(BaseOperator):
    """Reads the verdict that the task `gate` committed. Fails, not retried, unless it reads *pass*."""

    ui_color = "#fbe3e0"

    def execute(self, context: Any) -> dict[str, Any]:
        """The verdict's status, rate and bound; raises AirflowFailException with its reasons."""
        gate = context["ti"].xcom_pull(task_ids="gate")
        if not isinstance(gate, dict) or not isinstance(gate.get("ref"), str):
            raise AirflowFailException("task gate left no result; clear and run it again")
        with s3_in_environment():
            verdict = read_verdict(gate["ref"])
        said = (
            f"{verdict['defective']} of {verdict['read']} documents read are defective ({verdict['rate']:.3%}); "
            f"upper bound {verdict['bound_rate']:.3%}, limit {verdict['policy']['limit']:.3%}"
        )
        if verdict["status"] != "pass":
            reasons = "; ".join(verdict["reasons"][:_REASONS])
            raise AirflowFailException(f"the verdict is {verdict['status']}: {said}. {reasons}")
        self.log.info("the verdict is pass: %s", said)
        return {name: verdict[name] for name in ("status", "rate", "bound_rate", "read", "defective")}


def read_verdict(reference: str) -> dict[str, Any]:
    """verdict.json of the artifact ``reference``, every digest on the way checked. Raises AirflowFailException."""
    from steps.core.digest import bytes_digest
    from steps.core.manifest import Manifest, Reference
    from steps.core.store import open_store

    place = Reference.parse(reference)
    store = open_store(place.root)
    manifest = Manifest.decode(store.get(f"{place.folder}/manifest.json"), place.uri)
    found = [entry for entry in manifest.identity.files if entry.key == VERDICT_FILE]
    if manifest.digest != place.digest or len(found) != 1:
        raise AirflowFailException(f"{reference} is not the verdict that the gate committed")
    data = store.get(f"{place.folder}/{found[0].object_name}")
    if bytes_digest(data) != found[0].sha256:
        raise AirflowFailException(f"{reference}: {VERDICT_FILE} is damaged (its sha256 differs)")
    verdict: dict[str, Any] = json.loads(data)
    return verdict
