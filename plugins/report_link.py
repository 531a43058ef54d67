"""The link from a task in Airflow to its report page in MLflow."""

from __future__ import annotations

import os
import re
from typing import Any

from airflow.sdk import BaseOperatorLink

_RUN = re.compile(r"experiments/[0-9]+/runs/[0-9a-f]{32}(/artifacts/report\.html)?")


class ReportLink(BaseOperatorLink):
    """*Report* on a task: `report.html` of its stage, or the run of one that leaves none.

    Only where MLflow has an address for browsers (TOKENMILL_MLFLOW_URL).
    Airflow asks in the worker when the task has ended, and keeps the answer.
    """

    name = "Report"

    def get_link(self, operator: Any, *, ti_key: Any) -> str:
        """The page's address; empty where lineage was not delivered yet, or MLflow has no address."""
        return report_url(getattr(operator, "mlflow_run", None))


def report_url(mlflow_run: object) -> str:
    """Address of a StepResult's ``mlflow_run``: its report, or the run where it left none; empty for what is none."""
    address = os.environ.get("TOKENMILL_MLFLOW_URL")
    if not address or not isinstance(mlflow_run, str) or not _RUN.fullmatch(mlflow_run):
        return ""
    # MLflow opens in its GenAI mode unless the query, inside the hash, says otherwise
    return f"{address}/#/{mlflow_run}?workflowType=machine_learning"
