"""Registers each complete dump of the inbox as a partition of `crawl-dump`, which starts `data_factory`.

Between the inbox and the asset because watcher events carry no partition key. A dump is registered once,
however often the watcher fires; a weekly sweep finds what an event did not.
"""

from __future__ import annotations

import os
from typing import Any

from airflow.sdk import DAG, Asset, AssetOrTimeSchedule, AssetWatcher, CronTriggerTimetable, task
from airflow.sdk.exceptions import AirflowSkipException

from dags.pipeline import START
from plugins.connections import s3_environment
from plugins.dump_trigger import DumpTrigger
from plugins.inbox import complete_dumps
from plugins.publishing import CRAWL_DUMP

INBOX = os.environ.get("TOKENMILL_INBOX", "s3://inbox")
KEYS_PER_EVENT = 500  # Airflow spends ~5 ms per key inside the task's own success call, whose limit is 5 s

crawl_inbox = Asset(
    "crawl-inbox",
    uri="tokenmill://crawl-inbox",
    group="tokenmill",
    watchers=[AssetWatcher(name="inbox", trigger=DumpTrigger(inbox=INBOX))],
)

with DAG(
    "register_dumps",
    description="New dumps of the inbox become partitions of crawl-dump",
    schedule=AssetOrTimeSchedule(
        timetable=CronTriggerTimetable("0 3 * * 1", timezone="UTC"), assets=[crawl_inbox]
    ),
    start_date=START,
    catchup=False,
    max_active_runs=1,
    tags=["tokenmill"],
    doc_md=__doc__,
) as dag:

    @task(inlets=[CRAWL_DUMP], outlets=[CRAWL_DUMP], retries=3)
    def register(*, outlet_events: Any = None, asset_state_store: Any = None) -> list[str]:
        """Emit the keys of dumps that were not registered yet; skipped where there is none."""
        environment = {} if INBOX.startswith("file://") else s3_environment()
        state = asset_state_store[CRAWL_DUMP]
        known = set(state.get("known", default=[]))
        new = sorted(set(complete_dumps(INBOX, environment)) - known)[:KEYS_PER_EVENT]
        if not new:
            raise AirflowSkipException("no new dump in the inbox")
        outlet_events[CRAWL_DUMP].add_partitions(new)
        state.set("known", sorted(known | set(new)))
        return new

    register()
