"""YAML as people write it: whatever cannot be read is one error of one line that says where."""

from __future__ import annotations

from typing import Any

import yaml


class _OnceEach:
    """Refuses a key that a mapping has twice: YAML says it must not (1.2 §3.2.1.3), and one of them would be lost."""

    def construct_mapping(self, node: Any, deep: bool = False) -> Any:
        seen = set()
        for key, _ in node.value if isinstance(node, yaml.MappingNode) else ():
            if isinstance(key, yaml.ScalarNode) and key.tag != "tag:yaml.org,2002:merge":
                if key.value in seen:
                    raise yaml.constructor.ConstructorError(
                        None, None, f"{key.value!r} is there twice", key.start_mark
                    )
                seen.add(key.value)
        return super().construct_mapping(node, deep=deep)  # type: ignore[misc]


class _Loader(_OnceEach, yaml.SafeLoader):
    pass


class _FastLoader(_OnceEach, yaml.CSafeLoader):
    pass


def load_yaml(text: str, *, fast: bool = False) -> Any:
    """What the text holds; ``fast`` by libyaml, for long files. Raises YAMLError of one line, and nothing else."""
    try:
        return yaml.load(text, Loader=_FastLoader if fast else _Loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f" in line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        raise yaml.YAMLError(f"{' '.join((error.problem or str(error)).split())}{where}") from None
    except yaml.YAMLError as error:
        raise yaml.YAMLError(" ".join(str(error).split())) from None
    except RecursionError:
        raise yaml.YAMLError("nested too deeply") from None
    except (ValueError, AttributeError) as error:  # a date that is none, a number that !!int cannot read
        raise yaml.YAMLError(
            f"a value is not of the kind that it looks like, put it in quotes: {error}"
        ) from None
