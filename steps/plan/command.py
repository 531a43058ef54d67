"""`tokenmill plan`: turns a recipe into a fixed run, or says beforehand what the run would do."""

from __future__ import annotations

import argparse
import json
import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from steps.core.arguments import pairs
from steps.core.artifact import Artifact
from steps.core.catalog import Catalog, live_indexes
from steps.core.config import StepConfig, config_class
from steps.core.digest import bytes_digest, canonical_json, json_digest
from steps.core.errors import ConfigError
from steps.core.manifest import Reference, StepResult
from steps.core.pipeline import stages
from steps.core.recipe import Recipe, find_recipe, load_recipe
from steps.core.runs import read_run, run_key
from steps.core.step import Outcome, run_step
from steps.core.store import Store, open_store
from steps.plan.config import Config
from steps.plan.forecast import Forecast, forecast, print_forecast, stage_forecast, unfit
from steps.plan.limits import Limits
from steps.plan.objects import list_objects, split_sources
from steps.plan.supply import shortfalls

LOG = logging.getLogger("tokenmill.plan")


@dataclass(frozen=True)
class Plan:
    """A run that is fixed: its run.json and the artifact that lists its raw objects."""

    run: dict[str, Any]
    reference: str
    source: Outcome

    def result(self) -> dict[str, Any]:
        """The StepResult of the plan task; ``run`` and ``dump`` are what later tasks template."""
        artifact = self.source.artifact
        facts = {"objects": artifact.files("objects")[0].rows, "review": self.review}
        step_result = StepResult(
            step="plan",
            section="plan",
            ref=artifact.ref,
            uri=artifact.reference.uri,
            digest=artifact.digest,
            fingerprint=artifact.reference.fingerprint,
            cached=self.source.cached,
            facts=facts,
        )
        return {
            **step_result.model_dump(),
            "run": self.reference,
            "dump": self.run["dump"],
            "review": self.review,
            "recipe": self.run["recipe"]["name"],
            **self.mapped,
        }

    @property
    def mapped(self) -> dict[str, Any]:
        """What the search's tasks are mapped over; nothing in other runs."""
        settings = self.run["recipe"]["steps"].get("search_mixture")
        if settings is None:
            return {}
        config: Any = config_class("search_mixture").model_validate(settings)
        found: dict[str, Any] = config.tasks()
        return found

    @property
    def review(self) -> str | None:
        return self.run["recipe"]["steps"].get("review", {}).get("mode")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("--recipe", required=True, help="a name in configs/recipes, a path or a URI")
    parser.add_argument("--dag", help="the DAG that the recipe must be for")
    parser.add_argument("--run-id", default="dry-run", help="the Airflow run id, or any name for this run")
    parser.add_argument("--dump", help="name of the crawl dump (the partition key)")
    parser.add_argument("--set", action="append", default=[], metavar="SECTION.FIELD=VALUE", dest="overrides")
    parser.add_argument("--input", action="append", default=[], metavar="NAME=REF", dest="inputs")
    parser.add_argument(
        "--dry-run",
        action="store_true",
        help="print what is cached and what the rest will need; ends with 78 where that does not fit",
    )


def execute(arguments: argparse.Namespace, root: str) -> dict[str, Any] | None:
    """Plan the run (or print the forecast) and return the task's result."""
    given = pairs(arguments.inputs)
    text = find_recipe(arguments.recipe)
    if arguments.dry_run:
        recipe, configs = checked_recipe(text, arguments.dag, arguments.overrides)
        objects = [item for source in recipe.sources for item in list_objects(source, arguments.dump)[1]]
        inputs = resolve_run_inputs(recipe, arguments.dump, given, root)
        found = forecast(recipe, configs, arguments.dump, objects, inputs, root)
        print_forecast(recipe, objects, found)
        for section, config in configs.items():
            if text := config.outline():
                print(f"{section}: {text}")
        for line in said_before(recipe, configs, inputs, found, open_store(root)):
            print(line)
        refuse_what_does_not_fit(found, root)
        return None
    return plan_run(
        text,
        root,
        arguments.run_id,
        dag=arguments.dag,
        dump=arguments.dump,
        overrides=arguments.overrides,
        given=given,
    ).result()


def plan_run(
    text: str,
    root: str,
    run_id: str,
    *,
    dag: str | None = None,
    dump: str | None = None,
    overrides: Sequence[str] = (),
    given: Mapping[str, str] | None = None,
) -> Plan:
    """Validate the recipe, fix every input, and write run.json once.

    A second call with the same run id returns the run that the first one wrote: a retried or cleared plan
    task never changes a run under the feet of its other tasks. Raises ConfigError with all errors at once.
    """
    store = open_store(root)
    store.probe()
    recipe, _ = checked_recipe(text, dag, overrides)
    configs = load_recipe(text, [*overrides, *_takedowns(store, recipe.dag)])[1]
    listed = [list_objects(source, dump) for source in recipe.sources]
    locations = {source.name: place for source, (place, _) in zip(recipe.sources, listed, strict=True)}
    corpora, benchmarks = split_sources(recipe, [items for _, items in listed])
    if dump is None:  # own files, or corpora: what they are names them
        read: list[Any] = [item.model_dump() for item in corpora["objects"]] or sorted(
            Reference.parse(ref).digest
            for ref in resolve_run_inputs(recipe, dump, given or {}, root)["corpora"].values()
        )
        dump = f"{recipe.name}-{json_digest(read)[:12]}"
    source = run_step("plan", config=Config(dump=dump, **corpora), inputs={}, root=root, locations=locations)
    inputs = resolve_run_inputs(recipe, dump, given or {}, root)
    if benchmarks["objects"]:  # an artifact of their own: another benchmark makes no other corpus
        config = Config(dump="benchmarks", **benchmarks)
        inputs["benchmarks"] = run_step("plan", config=config, inputs={}, root=root, locations=locations).ref
    ahead = forecast(recipe, configs, dump, [item for _, items in listed for item in items], inputs, root)
    refuse_what_does_not_fit(ahead, root)
    for line in said_before(recipe, configs, inputs, ahead, store):
        LOG.warning("%s", line)
    run: dict[str, Any] = {
        "dag": recipe.dag,
        "run_id": run_id,
        "dump": dump,
        "recipe": resolved_recipe(recipe, configs),
        "inputs": {**inputs, "source": source.ref},
        "locations": locations,
        "images": image_pins(),
        "git": os.environ.get("TOKENMILL_GIT", ""),
    }
    run, reference = _write_run(store, run)
    if run["inputs"]["source"] != source.ref:  # the run is an earlier call's, and its objects were others
        source = Outcome(Artifact.open(run["inputs"]["source"], store), cached=True)
    return Plan(run, reference, source)


def refuse_what_does_not_fit(found: Sequence[Forecast], root: str) -> None:
    """Raise ConfigError that names every stage that needs more than there is."""
    problems = list(unfit(found, Limits.of(root)))
    if problems:
        raise ConfigError("\n".join(problems))


def said_before(
    recipe: Recipe,
    configs: Mapping[str, StepConfig],
    inputs: Mapping[str, Any],
    ahead: Sequence[Forecast],
    store: Store,
) -> list[str]:
    """What data sets cannot supply, as far as the artifacts that hold them are made."""
    made = {found.stage.section: found.made for found in ahead if found.made}
    return shortfalls(recipe.dag, configs, inputs, made, store)


def _takedowns(store: Store, dag: str) -> list[str]:
    """The catalog's takedown list as overrides: every later dump leaves those documents out."""
    entries = Catalog(store).get("takedowns").get("entries", [])
    sections = [
        stage.section for stage in stages(dag) if stage.section in ("ingest", "synthesize", "publish")
    ]
    return [f"{section}.takedowns={json.dumps(entries)}" for section in sections] if entries else []


def _write_run(store: Store, run: dict[str, Any]) -> tuple[dict[str, Any], str]:
    key, data = run_key(run["dag"], run["run_id"]), canonical_json(run)
    if not store.create(key, data):
        data = store.get(key)
        run = read_run(store, f"{key}@{bytes_digest(data)}")
    return run, f"{key}@{bytes_digest(data)}"


def checked_recipe(
    text: str, dag: str | None, overrides: Sequence[str]
) -> tuple[Recipe, dict[str, StepConfig]]:
    """The recipe and its sections' configs; raises ConfigError if it is invalid or for another DAG."""
    recipe, configs = load_recipe(text, overrides)
    if dag and recipe.dag != dag:
        raise ConfigError(f"recipe {recipe.name} is for the DAG {recipe.dag}, not {dag}")
    for stage in stages(recipe.dag):
        if stage.pool == "gpu":
            stage_forecast(stage, configs)
    return recipe, configs


def resolved_recipe(recipe: Recipe, configs: Mapping[str, StepConfig]) -> dict[str, Any]:
    """The recipe with every default written out."""
    steps = {name: config.model_dump(mode="json") for name, config in configs.items()}
    return {**recipe.model_dump(mode="json"), "steps": steps}


def image_pins() -> dict[str, str]:
    """Context digests of the images that the operator may start in this run; empty where steps are processes."""
    pins: dict[str, str] = json.loads(os.environ.get("TOKENMILL_IMAGES", "{}"))
    return pins


def resolve_run_inputs(
    recipe: Recipe, dump: str | None, given: Mapping[str, str], root: str
) -> dict[str, Any]:
    """Every input from outside the run as content-pinned references.

    Recipe values and ``given`` ones are references or ``catalog:NAME[/DUMP]``. Raises ConfigError for what
    the catalog does not have.
    """
    store = open_store(root)
    catalog = Catalog(store)
    wanted = {
        stage_input.removeprefix("run:") for s in stages(recipe.dag) for stage_input in s.inputs.values()
    }
    values: dict[str, Any] = {name: value for name, value in recipe.inputs.items()}
    if "corpora" in wanted:
        values["corpora"] = _chosen_corpora(values.get("corpora"), given.get("corpus"))
    values.update({name: ref for name, ref in given.items() if name != "corpus"})
    unknown = sorted(set(values) - wanted)
    if unknown:
        raise ConfigError(f"recipe.inputs: DAG {recipe.dag} takes no {', '.join(unknown)}")
    resolved = {name: _resolve(catalog, name, value, store) for name, value in values.items()}
    if "dedup_index" in wanted:
        indexes, own = live_indexes(catalog.get("dedup_index"), recipe.name, dump)
        resolved["dedup_index"] = {number: Artifact.open(ref, store).ref for number, ref in indexes.items()}
        if own:
            resolved["own_dedup_index"] = Artifact.open(own, store).ref
    return resolved


def _chosen_corpora(recipe_value: Any, corpus: str | None) -> Any:
    if not corpus:
        if recipe_value is None:
            raise ConfigError(
                "recipe.inputs.corpora: name the corpora to train on (catalog:NAME or a reference), or {} for none"
            )
        return recipe_value
    if isinstance(recipe_value, Mapping) and len(recipe_value) == 1:
        return {next(iter(recipe_value)): corpus}
    if isinstance(recipe_value, Mapping) and len(recipe_value) > 1:
        raise ConfigError(
            "the param `corpus` needs a recipe with one corpus; this one has several: name them there"
        )
    return {"corpus": corpus}


def _resolve(catalog: Catalog, name: str, value: Any, store: Store) -> Any:
    if isinstance(value, Mapping):
        return {key: _resolve(catalog, name, item, store) for key, item in value.items()}
    if not value.startswith("catalog:"):
        return Artifact.open(value, store).ref
    published, _, dump = value.removeprefix("catalog:").partition("/")
    content = catalog.get(name)
    entry = content.get(published)
    if entry is None:
        known = ", ".join(sorted(content)) or "nothing"
        raise ConfigError(
            f"recipe.inputs.{name}: the catalog has no {published!r} (it has {known}); run its DAG first"
        )
    if name == "corpora":
        dump = dump or entry["latest"]
        if dump not in entry["dumps"]:
            raise ConfigError(
                f"recipe.inputs.{name}: {published} has no dump {dump!r}: {', '.join(entry['dumps'])}"
            )
        return Artifact.open(entry["dumps"][dump]["corpus"], store).ref
    return {key: Artifact.open(ref, store).ref for key, ref in sorted(entry.items())}
