"""A crawl dump to a gated corpus: runs once per dump, and by hand.

`verdict` fails unless the gate's verdict reads *pass*; only then does `publish` run, whose asset event
starts the training. `await_review` waits for people where the recipe says `review: required`.
"""

from __future__ import annotations

from airflow.sdk import DAG, PartitionedAssetTimetable

from dags.pipeline import DEFAULT_ARGS, START, pipeline_tasks
from plugins.params import pipeline_params
from plugins.publishing import APPROVED_CORPUS, CRAWL_DUMP
from plugins.review.operator import AwaitReview
from plugins.verdict import CheckVerdict

with DAG(
    "data_factory",
    description="Crawl dump to a corpus whose defect rate is measured and gated",
    schedule=PartitionedAssetTimetable(assets=CRAWL_DUMP),
    start_date=START,
    catchup=False,
    # a run that waits for its readers holds up no other; the pool `cpu` says how many steps work
    max_active_runs=8,
    default_args=DEFAULT_ARGS,
    params=pipeline_params("data_factory", "demo_factory"),
    tags=["tokenmill"],
    doc_md=__doc__,
) as dag:
    tasks = pipeline_tasks(
        "data_factory",
        {
            "plan": {"inlets": [CRAWL_DUMP]},
            "review": {"trigger_rule": "none_failed"},  # await_review is skipped where nobody is asked
            "publish": {"outlets": [APPROVED_CORPUS]},
        },
    )
    tasks["evaluate"] >> AwaitReview(task_id="await_review") >> tasks["review"]
    tasks["gate"] >> CheckVerdict(task_id="verdict") >> tasks["publish"]
