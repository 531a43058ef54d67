"""The assets that connect the DAGs, and the events that tasks emit for them."""

from __future__ import annotations

from typing import Any

from airflow.sdk import Asset
from airflow.sdk.exceptions import AirflowFailException

CRAWL_DUMP = Asset("crawl-dump", uri="tokenmill://crawl-dump", group="tokenmill")
APPROVED_CORPUS = Asset("approved-corpus", uri="tokenmill://approved-corpus", group="tokenmill")


def emit_outlets(operator: Any, context: Any, result: dict[str, Any]) -> None:
    """Attach dump and corpus reference to the event of each outlet of ``operator`` (only `publish` has one).

    Airflow emits it when the task succeeds. The key comes from `plan`, so that a run started by hand is
    followed by training like any other.
    """
    for outlet in operator.outlets:
        plan = context["ti"].xcom_pull(task_ids="plan") or {}
        dump = plan.get("dump") or context["dag_run"].partition_key
        if not dump:
            raise AirflowFailException("the run has no dump: `plan` must name one")
        event = context["outlet_events"][outlet]
        event.add_partitions([dump])
        event.extra = {"corpus": result["ref"], "digest": result["digest"], "dump": dump}
