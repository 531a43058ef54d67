"""The Airflow plugin of tokenmill. Imported by every Airflow component, so it stays light."""

from __future__ import annotations

import os
import sys
from typing import Any

from airflow.plugins_manager import AirflowPlugin

REVIEW = {
    "name": "Review",
    "url_route": "review",
    "category": "browse",
    "destination": "nav",
    "href": "/review/",
}
REVIEW_OF_RUN = {
    "name": "Review",
    "url_route": "review-run",
    "destination": "dag_run",
    "href": "/review/?dag_id={DAG_ID}&run_id={RUN_ID}",
}


def _views() -> list[dict[str, Any]]:
    """The review page, and MLflow in the navigation where its address for browsers is set (TOKENMILL_MLFLOW_URL)."""
    reviews = [REVIEW, REVIEW_OF_RUN]
    address = os.environ.get("TOKENMILL_MLFLOW_URL")
    if not address:
        return reviews
    # MLflow opens in its GenAI mode unless the query, inside the hash, says otherwise
    return [
        *reviews,
        {
            "name": "MLflow",
            "href": f"{address}/#/experiments?workflowType=machine_learning",
            "destination": "nav",
        },
    ]


def _applications() -> list[dict[str, Any]]:
    """The review page's server, in the process that serves pages: to the others it would only be a slow import."""
    if "api-server" not in sys.argv and os.environ.get("TOKENMILL_REVIEW_PAGE") != "1":
        return []
    from plugins.review.app import app

    return [{"app": app, "url_prefix": "/review", "name": "Review"}]


class TokenmillPlugin(AirflowPlugin):
    """What tokenmill adds to the Airflow UI."""

    name = "tokenmill"
    external_views = _views()
    fastapi_apps = _applications()
