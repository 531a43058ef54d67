"""Delivers lineage records that MLflow was away for. Idempotent; usually finds nothing to do."""

from __future__ import annotations

import datetime
import time

from airflow.sdk import DAG, task
from airflow.sdk.exceptions import AirflowSkipException

from dags.pipeline import START
from plugins.connections import s3_in_environment

SECONDS = 300.0

with DAG(
    "sync_lineage",
    description="Lineage that MLflow has missed",
    schedule=datetime.timedelta(minutes=30),
    start_date=START,
    catchup=False,
    max_active_runs=1,
    tags=["tokenmill"],
    doc_md=__doc__,
) as dag:

    @task(retries=2)
    def deliver() -> dict[str, int]:
        """Send everything that is pending; fails (and is retried) while MLflow is away."""
        import os

        from steps.core import lineage
        from steps.core.store import open_store

        with s3_in_environment():
            result = lineage.deliver(open_store(os.environ["TOKENMILL_ROOT"]), time.monotonic() + SECONDS)
        if result.left or result.refused:
            raise RuntimeError(
                f"lineage: {result.left} records wait for MLflow, {result.refused} were refused"
            )
        if not result.sent:
            raise AirflowSkipException("nothing to deliver")
        return {"sent": result.sent}

    deliver()
