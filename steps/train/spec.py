"""What the step's process tells its ranks, and where both leave things for each other."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from steps.core.architecture import Architecture
from steps.train.config import Config
from steps.train.windows import TokenFile


@dataclass
class Spec:
    """A run of ranks: read from the JSON file that `prepare.write_spec` wrote."""

    config: Config
    model: Architecture
    settings: dict[str, Any]
    sequence_length: int
    steps: int
    windows: list[TokenFile]
    heldout: dict[str, list[TokenFile]]
    weights: list[Path]
    previous_state: list[Path] | None
    previous_steps: int
    resume: Path | None
    resumed_layout: dict[str, int] | None
    out: Path
    rendezvous: Path

    @classmethod
    def read(cls, path: Path) -> Spec:
        raw = json.loads(path.read_text())
        files = lambda rows: [TokenFile(Path(tokens), Path(table), dtype) for tokens, table, dtype in rows]  # noqa: E731
        previous = raw["previous_state"]
        return cls(
            config=Config.model_validate(raw["config"]),
            model=Architecture(**raw["model"]),
            settings=raw["settings"],
            sequence_length=raw["sequence_length"],
            steps=raw["steps"],
            windows=files(raw["windows"]),
            heldout={name: files(rows) for name, rows in raw["heldout"].items()},
            weights=[Path(p) for p in raw["weights"]],
            previous_state=None if previous is None else [Path(p) for p in previous],
            previous_steps=raw["previous_steps"],
            resume=None if raw["resume"] is None else Path(raw["resume"]),
            resumed_layout=raw["resumed_layout"],
            out=Path(raw["out"]),
            rendezvous=Path(raw["rendezvous"]),
        )
