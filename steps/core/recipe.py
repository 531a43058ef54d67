"""Recipes: the YAML that fully describes one run of a DAG, and its validation, all errors at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from steps.core.config import StepConfig, config_class, parse_config, validation_lines
from steps.core.errors import ConfigError, UsageError
from steps.core.pipeline import PIPELINES, stages
from steps.core.source import SourceSettings
from steps.core.store import open_store
from steps.core.yaml_text import load_yaml

RECIPES = Path(__file__).parents[2] / "configs" / "recipes"


class RecipeSource(SourceSettings):
    """A source with its place."""

    uri: str = Field(
        description="Where the objects lie: s3://…, file:///… or a path; a folder (ending in /), a file, or a pattern "
        "in the last part; https://… of an object or of a list of objects; commoncrawl://DUMP?kind=wet&files=40; "
        "{dump} and {inbox} are filled in."
    )

    def settings(self) -> SourceSettings:
        return SourceSettings(**{k: v for k, v in self.model_dump().items() if k != "uri"})


class Recipe(BaseModel):
    """A recipe file."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9_-]*$")
    dag: Literal["language_models", "data_factory", "synthesize", "continual_pretraining", "mixture_search"]
    description: str = ""
    sources: list[RecipeSource] = Field(
        default_factory=list, description="Raw data sets; none where a run reads published corpora only."
    )
    inputs: dict[str, str | dict[str, str]] = Field(
        default_factory=dict,
        description="Artifacts from outside the run: a reference, or catalog:NAME, or a mapping of them.",
    )
    steps: dict[str, dict[str, Any]] = Field(default_factory=dict)
    evidence: dict[str, str] = Field(
        default_factory=dict,
        description="Where its settings come from, for people: references of artifacts, an MLflow run.",
    )

    @model_validator(mode="after")
    def _sources_are_read(self) -> Recipe:
        if not any(stage.step == "ingest" for stage in stages(self.dag)):
            if self.sources:
                raise ValueError(f"sources: DAG {self.dag} reads none")
        elif not self.sources and not self.inputs.get("corpora"):
            raise ValueError("sources: name at least one")
        return self


def find_recipe(name: str) -> str:
    """The text of a recipe: a name in configs/recipes, a path, or a file:// or s3:// URI. Raises UsageError."""
    if "://" in name:
        root, _, key = name.rpartition("/")
        return _utf8(open_store(root).get(key), name)
    for path in (RECIPES / f"{name}.yaml", Path(name)):
        if path.is_file():
            return _utf8(path.read_bytes(), str(path))
    known = ", ".join(sorted(path.stem for path in RECIPES.glob("*.yaml")))
    raise UsageError(f"there is no recipe {name!r}: not a file, and configs/recipes has {known}")


def _utf8(data: bytes, where: str) -> str:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ConfigError(f"recipe {where} is not UTF-8: byte {error.start} cannot be read") from None


def load_recipe(text: str, overrides: Sequence[str] = ()) -> tuple[Recipe, dict[str, StepConfig]]:
    """Parse a recipe and the config of every stage of its DAG.

    ``overrides`` are ``section.field=value`` with a YAML value. Raises ConfigError that lists every error.
    """
    try:
        content = load_yaml(text)
    except yaml.YAMLError as error:
        raise ConfigError(f"recipe is not YAML: {error}") from None
    if not isinstance(content, dict):
        raise ConfigError("recipe is not a mapping with name, dag, sources and steps")
    problems: list[str] = []
    try:
        recipe = Recipe.model_validate(content)
    except ValidationError as error:
        problems += validation_lines(error, "recipe")
        recipe = None
    dag = content.get("dag")
    sections = content.get("steps") or {}
    configs: dict[str, StepConfig] = {}
    if isinstance(dag, str) and dag in PIPELINES and isinstance(sections, dict):
        configs = _configs(dag, sections, overrides, problems)
    if not problems:
        problems += [line for config in configs.values() for line in _checked(config, configs)]
    sources = content.get("sources")
    named = [s for s in sources if isinstance(s, dict)] if isinstance(sources, list) else []
    names = [str(source.get("name")) for source in named]
    problems += [
        f"recipe.sources: {n!r} is there twice" for n in sorted({n for n in names if names.count(n) > 1})
    ]
    if problems or recipe is None:
        raise ConfigError("\n".join(problems))
    return recipe, configs


def _configs(
    dag: str, sections: Mapping[str, Any], overrides: Sequence[str], problems: list[str]
) -> dict[str, StepConfig]:
    known = {stage.section: stage for stage in stages(dag)}
    problems += [f"recipe.steps: DAG {dag} has no stage {name!r}" for name in sections if name not in known]
    changed: dict[str, dict[str, Any]] = {}
    for name, stage in known.items():
        given = sections.get(name)
        if given is not None and not isinstance(given, dict):
            problems.append(f"{name}: not a mapping of settings (got {given!r:.60})")
        changed[name] = {**stage.defaults, **(given if isinstance(given, dict) else {})}
    for override in overrides:
        path, equals, value = override.partition("=")
        section, _, field = path.partition(".")
        if not equals or section not in changed or not field:
            problems.append(f"override {override!r} is not section.field=value of DAG {dag}")
            continue
        try:
            _set(changed[section], field.split("."), load_yaml(value))
        except (yaml.YAMLError, TypeError) as error:
            problems.append(f"{path}: override {override!r}: {str(error).splitlines()[0]}")
    for name, stage in known.items():
        problems += [
            f"{name}.{field}: is {value!r} by its place in the DAG; leave it out (got {changed[name][field]!r:.60})"
            for field, value in stage.defaults.items()
            if changed[name].get(field) != value
        ]
    configs = {}
    for name, values in changed.items():
        try:
            configs[name] = parse_config(config_class(name), values, name)
        except ConfigError as error:
            problems += str(error).splitlines()
    return configs


def _checked(config: StepConfig, configs: Mapping[str, StepConfig]) -> list[str]:
    try:
        config.check(configs)
    except ConfigError as error:
        return str(error).splitlines()
    return []


def _set(target: dict[str, Any], path: list[str], value: Any) -> None:
    """Put ``value`` at a nested place, leaving the mappings on the way to it as they were for others."""
    for parent in path[:-1]:
        inner = target.get(parent, {})
        if not isinstance(inner, dict):
            raise TypeError(f"{parent} is {inner!r:.40}, which has no settings below it")
        target[parent] = dict(inner)
        target = target[parent]
    target[path[-1]] = value
