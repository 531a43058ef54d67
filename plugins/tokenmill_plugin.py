"""The Airflow plugin of tokenmill. Imported by every Airflow component, so it stays light."""

from __future__ import annotations

import os
from typing import Any

from airflow.plugins_manager import AirflowPlugin


def _views() -> list[dict[str, Any]]:
    """A link to MLflow in the navigation, where its address for browsers is set (TOKENMILL_MLFLOW_URL)."""
    address = os.environ.get("TOKENMILL_MLFLOW_URL")
    if not address:
        return []
    # MLflow opens in its GenAI mode unless the query, inside the hash, says otherwise
    return [
        {
            "name": "MLflow",
            "href": f"{address}/#/experiments?workflowType=machine_learning",
            "destination": "nav",
        }
    ]


class TokenmillPlugin(AirflowPlugin):
    """What tokenmill adds to the Airflow UI."""

    name = "tokenmill"
    external_views = _views()
