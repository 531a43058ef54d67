"""Published corpora to a corpus of question-answer pairs, judged like a crawl dump. Started by hand.

Its `publish` announces no corpus: how much of synthetic data a training takes is its recipe's choice (`mix.web`).
"""

from __future__ import annotations

from airflow.sdk import DAG, Param

from dags.pipeline import DEFAULT_ARGS, START, pipeline_tasks
from plugins.params import pipeline_params
from plugins.review.operator import AwaitReview
from plugins.verdict import CheckVerdict

CORPUS = Param(
    None,
    type=["null", "string"],
    title="Corpus",
    description="Reference (<uri>@<digest>) of a published corpus, in place of the recipe's.",
    section="Run",
)

with DAG(
    "synthesize",
    description="Question-answer pairs from published corpora, through an OpenAI-compatible endpoint",
    schedule=None,
    start_date=START,
    catchup=False,
    max_active_runs=1,
    default_args=DEFAULT_ARGS,
    params={"corpus": CORPUS, **pipeline_params("synthesize", "demo_synthesize")},
    tags=["tokenmill"],
    doc_md=__doc__,
) as dag:
    tasks = pipeline_tasks("synthesize", {"review": {"trigger_rule": "none_failed"}})
    tasks["evaluate"] >> AwaitReview(task_id="await_review") >> tasks["review"]
    tasks["gate"] >> CheckVerdict(task_id="verdict") >> tasks["publish"]
