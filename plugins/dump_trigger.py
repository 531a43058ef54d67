"""Fires when a complete dump appears in the inbox. Runs in the triggerer, as the watcher of `crawl-inbox`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from airflow.sdk import Connection
from airflow.sdk.exceptions import AirflowNotFoundException
from airflow.triggers.base import BaseEventTrigger, TriggerEvent

from plugins.connections import S3_CONNECTION, environment_of
from plugins.inbox import new_dumps


class DumpTrigger(BaseEventTrigger):
    """Looks at ``inbox`` every ``seconds``; an event names the dumps that were not seen before.

    After a restart of the triggerer everything is new again; `register_dumps` knows what it has registered.
    """

    def __init__(self, inbox: str, seconds: float = 30.0) -> None:
        super().__init__()
        self.inbox, self.seconds = inbox, seconds

    def serialize(self) -> tuple[str, dict[str, Any]]:
        return "plugins.dump_trigger.DumpTrigger", {"inbox": self.inbox, "seconds": self.seconds}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        seen: set[str] = set()
        while True:
            try:
                new = await asyncio.to_thread(new_dumps, self.inbox, await self._environment(), seen)
            except (
                Exception
            ) as error:  # whatever it is: an exception that leaves here stops the watcher for good
                self.log.warning(
                    "inbox %s cannot be listed (%s); trying again", self.inbox, type(error).__name__
                )
            else:
                if new:
                    seen.update(new)
                    yield TriggerEvent({"dumps": new})
            await asyncio.sleep(self.seconds)

    async def _environment(self) -> dict[str, str]:
        if self.inbox.startswith("file://"):
            return {}
        try:
            return environment_of(await Connection.async_get(S3_CONNECTION))
        except AirflowNotFoundException:
            self.log.warning("Airflow connection %s is missing: the inbox cannot be read", S3_CONNECTION)
            raise
