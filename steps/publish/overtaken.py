"""Two dumps in flight: what was published since a corpus was de-duplicated goes from it before it is published too.

Removals only: the corpus that the verdict is on is de-duplicated again, as an overlay on it with a ledger and an index
of its own, against all that is live now. The keys are those that the first time made; texts are read to verify pairs.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from steps.core.artifact import Artifact
from steps.core.catalog import Catalog, live_indexes
from steps.core.config import Runtime
from steps.core.dedup_index import INDEX, made_from
from steps.core.errors import DataError
from steps.core.step import StepInputs, run_step
from steps.core.store import Store
from steps.publish.index import new_index, overtaken_by, published_index

DEDUP_INDEX = "dedup_index"
REMOVALS = "removals"


def settle(inputs: StepInputs, run: Mapping[str, Any], store: Store, runtime: Runtime) -> StepInputs:
    """The inputs, with ``removals`` where a dump was published that ``corpus`` was not compared with.

    What this corpus was published with before, by this run or another, is taken again.
    """
    corpus = inputs.get("corpus")
    if not run or corpus is None or not corpus.files(INDEX):
        return inputs
    name, dump = run["recipe"]["name"], run["dump"]
    value = Catalog(store).get(DEDUP_INDEX)
    before = published_index(value, name, dump)
    if before is not None:
        made = Artifact.open(before, store)
        if made.digest == corpus.digest:
            return inputs
        if made_from(made) == corpus.digest:
            return {**inputs, REMOVALS: made}
    if not overtaken_by(value, new_index(corpus), name, dump):
        return inputs
    indexes, own = live_indexes(value, name, dump)
    given = {"corpus": corpus.ref} | {f"index.{number}": ref for number, ref in indexes.items()}
    if own:
        given["own"] = own
    given = {key: Artifact.open(ref, store).ref for key, ref in given.items()}
    again = run_step("deduplicate", config=corpus.config, inputs=given, root=store.uri, runtime=runtime)
    return {**inputs, REMOVALS: again.artifact}


def published_from(inputs: Mapping[str, Artifact]) -> Artifact:
    """What publish publishes: the corpus, or the overlay on it that leaves out what others published since.

    Raises DataError for an overlay on another corpus.
    """
    corpus, removals = inputs["corpus"], inputs.get(REMOVALS)
    if removals is not None and made_from(removals) != corpus.digest:
        raise DataError(
            f"publish: {removals.reference.uri} lies on another corpus than {corpus.reference.uri}"
        )
    return removals or corpus
