"""Between Hugging Face tensors and this rank's part of them.

Every tensor is known by its Hugging Face name. Tensor parallelism splits embedding, head, q, k, v, gate and up by
rows, o and down by columns; norms are whole on every rank.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from safetensors import safe_open
from torch import Tensor, nn

from steps.core.errors import DataError

BLOCK_TENSORS: dict[str, tuple[str, int | None]] = {
    "input_layernorm": ("input_layernorm", None),
    "q_proj": ("self_attn.q_proj", 0),
    "k_proj": ("self_attn.k_proj", 0),
    "v_proj": ("self_attn.v_proj", 0),
    "o_proj": ("self_attn.o_proj", 1),
    "post_attention_layernorm": ("post_attention_layernorm", None),
    "gate_proj": ("mlp.gate_proj", 0),
    "up_proj": ("mlp.up_proj", 0),
    "down_proj": ("mlp.down_proj", 1),
}
END_TENSORS: dict[str, tuple[str, int | None]] = {
    "embed_tokens": ("model.embed_tokens", 0),
    "norm": ("model.norm", None),
    "lm_head": ("lm_head", 0),
}


def local_parameters(module: Any) -> Iterator[tuple[str, int | None, nn.Parameter]]:
    """(Hugging Face name, dimension that tensor parallelism splits, parameter) of this rank's pipeline layers."""
    for offset, layer in enumerate(module.forward_funcs):
        index = module._local_start + offset
        for name, parameter in layer.named_parameters():
            short = name.removesuffix(".weight")
            if short in END_TENSORS:
                full, split = END_TENSORS[short]
            else:
                tail, split = BLOCK_TENSORS[short]
                full = f"model.layers.{index - 1}.{tail}"
            yield f"{full}.weight", split, parameter


class TensorFiles:
    """Named tensors in a set of safetensors files."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self.paths = list(paths)
        self.home: dict[str, Path] = {}
        for path in self.paths:
            with safe_open(path, framework="pt") as file:
                self.home.update(dict.fromkeys(file.keys(), path))

    def __contains__(self, name: str) -> bool:
        return name in self.home

    def part(self, name: str, shape: torch.Size, split: int | None, rank: int) -> Tensor:
        """This rank's slice of a tensor; ``shape`` is the slice's. Raises DataError for a missing or odd one."""
        if name not in self.home:
            raise DataError(f"{', '.join(path.name for path in self.paths)}: tensor {name} is missing")
        with safe_open(self.home[name], framework="pt") as file:
            view = file.get_slice(name)
            if split is None:
                found = view[:]
            else:
                width = shape[split]
                piece = slice(rank * width, (rank + 1) * width)
                found = view[piece] if split == 0 else view[:, piece]
        if found.shape != shape:
            raise DataError(
                f"{self.home[name].name}: tensor {name} has shape {tuple(view.get_shape())}, not this model's"
            )
        return found


def whole_shape(parameter: nn.Parameter) -> torch.Size:
    """The parameter's shape on this tensor-parallel rank; ZeRO 3 leaves an empty one behind."""
    found: torch.Size = getattr(parameter, "ds_shape", parameter.shape)
    return found


def load_weights(module: Any, files: TensorFiles, prefix: str, rank: int) -> None:
    """Fill the module's parameters from tensors named ``prefix`` + Hugging Face name; ``rank`` is tensor-parallel."""
    with torch.no_grad():
        for name, split, parameter in local_parameters(module):
            parameter.copy_(files.part(prefix + name, parameter.shape, split, rank))
            # Megatron-Core marks split weights only while it initialises them; without the mark DeepSpeed takes a
            # weight for a copy that every rank holds, and the gradient norm leaves all ranks' shares but one out.
            marks = {
                "tensor_model_parallel": split is not None,
                "partition_dim": -1 if split is None else split,
            }
            for mark, value in {**marks, "partition_stride": 1}.items():
                setattr(parameter, mark, value)


def gather(part: Tensor, split: int | None, group: dist.ProcessGroup, keeper: int = 0) -> Tensor | None:
    """The whole tensor on the group's rank ``keeper``, None on the others; ``part`` is each rank's slice."""
    if split is None or dist.get_world_size(group) == 1:
        return part if dist.get_rank(group) == keeper else None
    parts = [torch.empty_like(part) for _ in range(dist.get_world_size(group))]
    dist.all_gather(parts, part.contiguous(), group=group)
    return torch.cat(parts, dim=split) if dist.get_rank(group) == keeper else None
