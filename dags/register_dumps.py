"""Registers each complete dump of the inbox as a partition of `crawl-dump`, which starts `data_factory`.

Between the inbox and the asset because watcher events carry no partition key. A dump is registered once,
however often the watcher fires; a weekly sweep finds what an event did not.
Many dumps at once are registered in groups, one mapped task each.
"""

from __future__ import annotations

import logging
import os
from typing import Any

from airflow.sdk import DAG, Asset, AssetOrTimeSchedule, AssetWatcher, CronTriggerTimetable, task

from dags.pipeline import START
from plugins.connections import s3_environment
from plugins.dump_trigger import DumpTrigger
from plugins.inbox import new_dumps
from plugins.publishing import CRAWL_DUMP

INBOX = os.environ.get("TOKENMILL_INBOX", "s3://inbox")
KEYS_PER_TASK = 250  # Airflow spends 5–7 ms per key inside the task's own success call, whose limit is 5 s
KEY_LENGTH = 250  # Airflow's limit; a key beyond it, or a blank one, would fail the task for all others, too
log = logging.getLogger(__name__)

crawl_inbox = Asset(
    "crawl-inbox",
    uri="tokenmill://crawl-inbox",
    group="tokenmill",
    watchers=[AssetWatcher(name="inbox", trigger=DumpTrigger(inbox=INBOX))],
)


def is_key(name: str) -> bool:
    """Whether Airflow takes the name as a partition key."""
    return bool(name.strip()) and len(name) <= KEY_LENGTH


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

    @task(inlets=[CRAWL_DUMP], retries=3)
    def find(*, asset_state_store: Any = None) -> list[list[str]]:
        """Groups of the keys of dumps that were not registered yet."""
        environment = {} if INBOX.startswith("file://") else s3_environment()
        known = set(asset_state_store[CRAWL_DUMP].get("known", default=[]))
        new = new_dumps(INBOX, environment, known)
        for name in new:
            if not is_key(name):
                log.warning("%s/%s is left out: name it with 1 to %d characters", INBOX, name, KEY_LENGTH)
        keys = list(filter(is_key, new))
        return [keys[at : at + KEYS_PER_TASK] for at in range(0, len(keys), KEYS_PER_TASK)]

    # one after the other, as each adds to what is known
    @task(outlets=[CRAWL_DUMP], retries=3, max_active_tis_per_dagrun=1)
    def register(dumps: list[str], *, outlet_events: Any = None, asset_state_store: Any = None) -> None:
        """Emit the keys of a group. Those known are not left out: a try that failed at its very end emitted none."""
        outlet_events[CRAWL_DUMP].add_partitions(dumps)
        state = asset_state_store[CRAWL_DUMP]
        state.set("known", sorted({*state.get("known", default=[]), *dumps}))

    register.expand(dumps=find())
