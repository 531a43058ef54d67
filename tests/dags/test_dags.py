"""Integrity of the DAGs: they parse lightly, have the golden structure, and their forms follow the models."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk.exceptions import ParamValidationError
from airflow.serialization.serialized_objects import DagSerialization

from plugins.params import params_from, pipeline_params
from plugins.step_operator import host_limits
from steps.core.config import config_class
from steps.core.pipeline import PIPELINES

ROOT = Path(__file__).parents[2]
GOLDEN = Path(__file__).parent / "golden"
MODULES = (
    "language_models",
    "data_factory",
    "synthesize",
    "continual_pretraining",
    "mixture_search",
    "register_dumps",
    "sync_lineage",
)


def load(name: str, monkeypatch: pytest.MonkeyPatch, runner: str = "process") -> Any:
    """The DAG of a file, parsed anew."""
    monkeypatch.setenv("TOKENMILL_RUNNER", runner)
    monkeypatch.setenv("TOKENMILL_INBOX", "s3://inbox")
    module = importlib.import_module(f"dags.{name}")
    importlib.reload(module)
    return module.dag


def structure(dag: Any) -> dict[str, Any]:
    """What of a DAG people rely on."""
    return {
        "schedule": type(dag.timetable).__name__,
        "max_active_runs": dag.max_active_runs,
        "catchup": dag.catchup,
        "tasks": {
            task.task_id: {
                "upstream": sorted(task.upstream_task_ids),
                "operator": type(task).__name__,
                "pool": task.pool,
                "trigger_rule": str(getattr(task.trigger_rule, "value", task.trigger_rule)),
                "inlets": [inlet.name for inlet in task.inlets],
                "outlets": [outlet.name for outlet in task.outlets],
            }
            for task in sorted(dag.tasks, key=lambda task: task.task_id)
        },
    }


@pytest.mark.parametrize("name", MODULES)
def test_a_dag_has_its_golden_structure(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """After an intended change: `python -m tests.dags.test_dags` writes the golden files anew."""
    golden = json.loads((GOLDEN / f"{name}.json").read_text())
    assert structure(load(name, monkeypatch)) == golden


@pytest.mark.parametrize("runner", ["process", "docker"])
@pytest.mark.parametrize("name", MODULES)
def test_a_dag_survives_serialization(name: str, runner: str, monkeypatch: pytest.MonkeyPatch) -> None:
    dag = load(name, monkeypatch, runner)
    restored = DagSerialization.from_dict(DagSerialization.to_dict(dag))
    assert set(restored.task_ids) == set(dag.task_ids)


@pytest.mark.parametrize("runner", ["process", "docker"])
@pytest.mark.parametrize("name", MODULES)
def test_no_secret_is_in_a_serialized_dag(name: str, runner: str, monkeypatch: pytest.MonkeyPatch) -> None:
    connection = {"conn_type": "aws", "login": "access-key-81", "password": "secret-key-93"}
    monkeypatch.setenv("AIRFLOW_CONN_TOKENMILL_S3", json.dumps(connection))
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret-key-93")
    text = json.dumps(DagSerialization.to_dict(load(name, monkeypatch, runner)), default=str)
    assert "secret-key-93" not in text
    assert "access-key-81" not in text


@pytest.mark.parametrize("name", MODULES)
def test_every_pool_is_made_by_the_set_up(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    pools = {"default_pool", *json.loads((ROOT / "configs" / "pools.json").read_text())}
    assert {task.pool for task in load(name, monkeypatch).tasks} <= pools


@pytest.mark.parametrize("name", PIPELINES)
def test_every_stage_of_a_pipeline_is_a_task(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    dag = load(name, monkeypatch)
    for stage in PIPELINES[name]:
        if stage.per_cell:
            continue  # done inside of the mapped tasks
        task = dag.get_task(stage.section)
        wanted = {origin for origin in stage.inputs.values() if not origin.startswith("run:")}
        assert wanted <= task.upstream_task_ids, f"{stage.section} must wait for {wanted}"
        assert task.retries == 5


def test_cells_of_a_search_have_the_limits_of_training(monkeypatch: pytest.MonkeyPatch) -> None:
    dag = load("mixture_search", monkeypatch, "docker")
    monkeypatch.setenv("TOKENMILL_STEP_MEMORY", "1g")
    monkeypatch.setenv("TOKENMILL_STEP_MEMORY_TRAIN", "64g")
    monkeypatch.setenv("TOKENMILL_STEP_GPUS_TRAIN", "0,1")
    for name in ("pilots", "cells"):
        given = dag.task_dict[name].partial_kwargs
        limits = host_limits(given["spec"]["step"])
        assert limits["mem_limit"] == "64g" and limits["device_requests"][0].device_ids == ["0", "1"]
        assert (given["spec"]["section"], given["image"]) == (name, "trainer")


def test_parsing_imports_nothing_heavy() -> None:
    heavy = "{'torch', 'numpy', 'pyarrow', 'numba', 'mlflow', 'ray', 'scipy', 'boto3', 'transformers'}"
    imports = "\n".join(f"import dags.{name}" for name in MODULES)
    code = f"import sys\n{imports}\nprint(*sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.strip() == ""


def test_the_form_offers_every_scalar_setting_and_leaves_it_to_the_recipe() -> None:
    params = params_from(config_class("preprocess"), "preprocess")
    share = params["preprocess.min_language_score"]
    assert share.resolve() is None
    assert share.schema["minimum"] == 0 and share.schema["maximum"] == 1
    assert "Recipe default: 0.5" in share.description
    assert params["preprocess.simplify"].schema["enum"][:2] == [None, "t2s"]
    assert share.resolve(0.7) == 0.7
    for bad in (1.5, "much"):
        with pytest.raises(ParamValidationError):
            share.resolve(bad)


def test_the_form_offers_no_setting_that_the_stage_decides() -> None:
    params = pipeline_params("continual_pretraining", "any")
    assert "train_1.learning_rate" in params
    assert not {"train_1.stage", "pack_2.stage"} & set(params)
    assert "language_model_zh.language" not in pipeline_params("language_models", "any")


def test_the_form_offers_lists_of_numbers_and_of_names() -> None:
    params = params_from(config_class("search_mixture"), "search_mixture")
    assert params["search_mixture.ratios"].schema["items"] == {"type": "number"}
    assert params["search_mixture.ratios"].resolve([0.1, 0.5]) == [0.1, 0.5]
    assert params["search_mixture.additional"].resolve() is None
    assert "search_mixture.stage_orders" not in params, "lists of lists are set in the recipe"
    readers = params_from(config_class("mix"), "mix")["mix.accept_readers"]
    with pytest.raises(ParamValidationError):
        readers.resolve(["robots"])


@pytest.mark.parametrize("dag", PIPELINES)
def test_every_field_of_a_form_says_what_it_is_and_is_for_people_to_set(dag: str) -> None:
    params = pipeline_params(dag, "any")
    assert [name for name, param in params.items() if not param.description] == []
    assert [name for name, param in params.items() if "illed in from" in param.description] == []
    assert not [name for name in params if name.endswith(".takedowns")]


def test_the_default_recipe_is_a_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    assert pipeline_params("data_factory", "demo_factory")["recipe"].resolve() == "demo_factory"
    monkeypatch.setenv("TOKENMILL_RECIPE_DATA_FACTORY", "acceptance_factory")
    assert pipeline_params("data_factory", "demo_factory")["recipe"].resolve() == "acceptance_factory"


@pytest.mark.parametrize("name", PIPELINES)
def test_the_form_starts_with_a_recipe_that_the_demo_can_run(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert load(name, monkeypatch).params["recipe"].startswith("demo_")


@pytest.mark.parametrize(
    "name",
    [
        "demo_language_models",
        "demo_factory",
        "demo_own_data",
        "demo_search",
        "demo_synthesize",
        "demo_training",
    ],
)
def test_the_demo_recipes_are_valid(name: str) -> None:
    from steps.core.recipe import find_recipe, load_recipe

    recipe, configs = load_recipe(find_recipe(name))
    assert recipe.name == name
    assert set(configs) == {stage.section for stage in PIPELINES[recipe.dag]}


if __name__ == "__main__":
    with pytest.MonkeyPatch.context() as patch:
        GOLDEN.mkdir(exist_ok=True)
        for each in sys.argv[1:] or MODULES:
            text = json.dumps(structure(load(each, patch)), indent=1, sort_keys=True) + "\n"
            (GOLDEN / f"{each}.json").write_text(text)
