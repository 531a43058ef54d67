"""Waits for people where the recipe says so."""

from __future__ import annotations

from typing import Any

from airflow.providers.standard.operators.hitl import HITLOperator
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

DONE = "The review is complete"


class AwaitReview(HITLOperator):
    """Parks the run until somebody says that the sample is labelled; skipped unless `review` is required.

    The recipe of the run decides, so one DAG serves both. Saying that it is complete decides nothing: the
    `review` step counts the labels that exist, and the gate may still ask for more.
    """

    ui_color = "#fdf1dc"

    def __init__(self, **options: Any) -> None:
        super().__init__(
            subject="Review the sample of {{ dag_run.partition_key or dag_run.run_id }}",
            body="Read the sampled documents on this run's tab *Review*, then answer here.\n\n"
            "Sample: `{{ ti.xcom_pull(task_ids='evaluate')['ref'] }}`",
            options=[DONE],
            **options,
        )

    def execute(self, context: Any) -> Any:
        plan = context["ti"].xcom_pull(task_ids="plan")
        if not isinstance(plan, dict):
            raise AirflowFailException("task plan left no result; clear and run it again")
        if plan.get("review") != "required":
            raise AirflowSkipException(f"the recipe's review mode is {plan.get('review') or 'not set'}")
        return super().execute(context)
