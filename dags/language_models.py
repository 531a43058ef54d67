"""Train the scorers: SentencePiece and KenLM on reference text. Started by hand."""

from __future__ import annotations

from airflow.sdk import DAG

from dags.pipeline import DEFAULT_ARGS, START, pipeline_tasks
from plugins.params import pipeline_params

with DAG(
    "language_models",
    description="Reference text to the language models that score crawled documents",
    schedule=None,
    start_date=START,
    catchup=False,
    max_active_runs=1,
    default_args=DEFAULT_ARGS,
    params=pipeline_params("language_models", "demo_language_models"),
    tags=["tokenmill"],
    doc_md=__doc__,
) as dag:
    pipeline_tasks("language_models")
