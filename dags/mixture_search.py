"""How much of a new language, at which learning rate: small models on many mixtures, the laws fitted, one chosen.

Every cell of the search is a mapped task that mixes, packs and trains; a killed one goes on at its last checkpoint.
With `stop_after`, pilots are trained first, and a cell that is worse on every set than one of them ends early.
Started by hand; what comes out is a recipe for `continual_pretraining`.
"""

from __future__ import annotations

from airflow.sdk import DAG

from dags.pipeline import DEFAULT_ARGS, START, pipeline_tasks
from plugins.params import pipeline_params

with DAG(
    "mixture_search",
    description="Small models over mixtures and learning rates to a chosen recipe",
    schedule=None,
    start_date=START,
    catchup=False,
    max_active_runs=1,
    default_args=DEFAULT_ARGS,
    params=pipeline_params("mixture_search", "demo_search"),
    tags=["tokenmill"],
    doc_md=__doc__,
) as dag:
    pipeline_tasks("mixture_search")
