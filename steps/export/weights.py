"""The trained tensors as safetensors shards of bounded size."""

from __future__ import annotations

import json
from pathlib import Path

from safetensors import safe_open
from safetensors.torch import save_file


def plan_shards(sizes: dict[str, int], limit: int) -> list[list[str]]:
    """Tensor names in order, cut into shards of at most ``limit`` bytes (a larger tensor has its own)."""
    shards: list[list[str]] = []
    room = 0
    for name, size in sorted(sizes.items()):
        if not shards or size > room:
            shards.append([])
            room = limit
        shards[-1].append(name)
        room -= size
    return shards


def write_shards(sources: list[Path], folder: Path, limit: int) -> int:
    """Write the tensors of all ``sources`` to ``folder`` as transformers names them; returns the number of weights.

    Memory: one shard at a time.
    """
    home: dict[str, Path] = {}
    sizes: dict[str, int] = {}
    count = 0
    for path in sources:
        with safe_open(path, framework="pt") as file:
            for name in file.keys():  # noqa: SIM118 - not a dict
                tensor = file.get_tensor(name)
                home[name], sizes[name] = path, tensor.numel() * tensor.element_size()
                count += tensor.numel()
    shards = plan_shards(sizes, limit)
    places = {}
    for number, names in enumerate(shards, 1):
        target = (
            "model.safetensors"
            if len(shards) == 1
            else f"model-{number:05d}-of-{len(shards):05d}.safetensors"
        )
        tensors = {}
        for name in names:
            with safe_open(home[name], framework="pt") as file:
                tensors[name] = file.get_tensor(name)
        save_file(tensors, folder / target, metadata={"format": "pt"})
        places.update(dict.fromkeys(names, target))
    if len(shards) > 1:
        index = {"metadata": {"total_size": sum(sizes.values())}, "weight_map": dict(sorted(places.items()))}
        (folder / "model.safetensors.index.json").write_text(json.dumps(index, indent=1))
    return count
