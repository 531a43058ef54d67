"""The trigger form of a DAG, from the pydantic models that the steps themselves use."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

from airflow.sdk import Param

from steps.core.config import FILLED_IN, StepConfig, config_class
from steps.core.pipeline import PIPELINES

_AS_THE_RECIPE = {"null": "as the recipe says"}  # what the form shows for an enum's null
_SCALARS = ("string", "integer", "number", "boolean")
_BOUNDS = ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "minLength", "maxLength", "pattern")


def pipeline_params(dag: str, recipe: str) -> dict[str, Param]:
    """Params of a DAG: recipe, dump, and every scalar, mapping or list of scalars of every stage as ``section.field``.

    A setting left empty keeps the recipe's value; what the form does not offer is set in the recipe.
    ``recipe``: name of the default recipe, which TOKENMILL_RECIPE_<DAG> overrides.
    """
    recipe = os.environ.get(f"TOKENMILL_RECIPE_{dag.upper()}") or recipe
    params = {
        "recipe": Param(
            recipe,
            type="string",
            minLength=1,
            title="Recipe",
            description="Name of a recipe in configs/recipes, or its s3:// URI. A setting that is left empty below is "
            "the recipe's.",
            section="Run",
        ),
        "dump": Param(
            None,
            type=["null", "string"],
            title="Dump",
            description="Name of the crawl dump, where the run has no partition key.",
            section="Run",
        ),
    }
    for stage in PIPELINES[dag]:
        params.update(params_from(config_class(stage.section), stage.section, fixed=set(stage.defaults)))
    return params


def params_from(
    model: type[StepConfig], section: str, fixed: set[str] | frozenset[str] = frozenset()
) -> dict[str, Param]:
    """Params ``section.field`` for the fields of ``model`` that a form can show, each empty by default.

    ``fixed``: fields that the stage's place decides, which the form does not offer; neither does it those that the
    model fills in from a file (`FILLED_IN`).
    """
    schema = model.model_json_schema()
    params = {}
    for name, field in schema.get("properties", {}).items():
        form = _form(field, schema.get("$defs", {}))
        if form is None or name in fixed or field.get(FILLED_IN):
            continue
        default = field.get("default")
        note = f" Recipe default: {default}." if default is not None else ""
        params[f"{section}.{name}"] = Param(
            None,
            title=name.replace("_", " "),
            description=(form.pop("description", None) or field.get("description", "")) + note,
            section=section,
            **form,
        )
    return params


def _form(field: dict[str, Any], definitions: dict[str, Any]) -> dict[str, Any] | None:
    """JSON schema of a field that may also be null; None for what the form cannot show."""
    options = [option for option in _resolved(field, definitions) if option.get("type") != "null"]
    if len(options) != 1:
        return None
    option = options[0]
    if "enum" in option and all(isinstance(value, str) for value in option["enum"]):
        values = [None, *option["enum"]]
        return {"type": ["null", "string"], "enum": values, "values_display": _AS_THE_RECIPE}
    if option.get("type") == "object" and "additionalProperties" in option:
        return {"type": ["null", "object"]}  # a mapping, entered as JSON: rule_overrides, lowest_perplexity
    if option.get("type") == "array":
        items = list(_resolved(option.get("items", {}), definitions))
        if len(items) != 1 or items[0].get("type") not in _SCALARS:
            return None
        allowed = {key: items[0][key] for key in ("type", "enum", *_BOUNDS) if key in items[0]}
        return {"type": ["null", "array"], "items": allowed}  # text: one per line; numbers: a JSON list
    if option.get("type") not in _SCALARS:
        return None
    return {"type": ["null", option["type"]], **{key: option[key] for key in _BOUNDS if key in option}}


def _resolved(field: dict[str, Any], definitions: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for option in field.get("anyOf", [field]):
        reference = option.get("$ref")
        yield definitions[reference.rsplit("/", 1)[-1]] if reference else option
