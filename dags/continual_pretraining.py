"""A published corpus to a continually pre-trained model: runs when one is approved, and by hand."""

from __future__ import annotations

from airflow.sdk import DAG, Param, PartitionedAssetTimetable

from dags.pipeline import DEFAULT_ARGS, START, pipeline_tasks
from plugins.params import pipeline_params
from plugins.publishing import APPROVED_CORPUS

CORPUS = Param(
    None,
    type=["null", "string"],
    title="Corpus",
    description="Reference (<uri>@<digest>) of a published corpus. Empty: the one that started the run, "
    "else the recipe's (usually the catalog's newest).",
    section="Run",
)

with DAG(
    "continual_pretraining",
    description="Approved corpora and supervised sets to a trained, exported model",
    schedule=PartitionedAssetTimetable(assets=APPROVED_CORPUS),
    start_date=START,
    catchup=False,
    max_active_runs=1,
    default_args=DEFAULT_ARGS,
    params={"corpus": CORPUS, **pipeline_params("continual_pretraining", "demo_training")},
    tags=["tokenmill"],
    doc_md=__doc__,
) as dag:
    pipeline_tasks("continual_pretraining", {"plan": {"inlets": [APPROVED_CORPUS]}})
