"""Writes docs/settings.md: every setting of every step, from the config models (``python -m steps.plan.settings``)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from steps.core.config import config_class
from steps.core.pipeline import PIPELINES

STUDIES = ["data_attributes"]  # steps of no pipeline

PAGE = Path(__file__).parents[2] / "docs" / "settings.md"


def settings_page() -> str:
    """The page: one table per step with field, type, default and description."""
    steps = list(dict.fromkeys(stage.step for stages in PIPELINES.values() for stage in stages))
    steps += STUDIES
    lines = ["# Settings", "", "Every setting of every step, made by `python -m steps.plan.settings`.", ""]
    for step in steps:
        schema = config_class(step).model_json_schema()
        lines += [f"## {step}", "", "| setting | type | default | meaning |", "|---|---|---|---|"]
        lines += [
            _row(name, field, schema.get("$defs", {})) for name, field in schema.get("properties", {}).items()
        ]
        lines.append("")
    return "\n".join(lines)


def _row(name: str, field: dict[str, Any], definitions: dict[str, Any]) -> str:
    default = json.dumps(field["default"], ensure_ascii=False) if "default" in field else "required"
    if len(default) > 80:
        default = f"{default[:77]}…"
    meaning = str(field.get("description", "")).replace("|", "\\|").replace("\n", " ")
    return f"| `{name}` | {_type(field, definitions)} | `{default}` | {meaning} |"


def _type(field: dict[str, Any], definitions: dict[str, Any]) -> str:
    if "$ref" in field:
        return _type(definitions[field["$ref"].rsplit("/", 1)[-1]], definitions)
    if "enum" in field:
        return " \\| ".join(f"`{value}`" for value in field["enum"])
    if "anyOf" in field:
        return " or ".join(dict.fromkeys(_type(option, definitions) for option in field["anyOf"]))
    bounds = [
        f"{sign} {field[key]:g}"
        for key, sign in (
            ("minimum", "≥"),
            ("exclusiveMinimum", ">"),
            ("maximum", "≤"),
            ("exclusiveMaximum", "<"),
        )
        if isinstance(field.get(key), (int, float))
    ]
    kind = {"array": "list", "object": "mapping", "null": "none"}.get(
        str(field.get("type")), str(field.get("type"))
    )
    return ", ".join([kind, *bounds])


if __name__ == "__main__":
    PAGE.write_text(settings_page(), encoding="utf-8")
    print(PAGE)
