"""What a finished stage leaves: weights in the trained precision, and logits for the export to reproduce."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import torch
import torch.distributed as dist
from deepspeed.runtime.zero import GatheredParameters
from megatron.core import parallel_state
from safetensors.torch import save_file
from torch import Tensor

from steps.train.engine import Trainer
from steps.train.layers import Computing, Head, megatron_config, stages
from steps.train.spec import Spec
from steps.train.weights import TensorFiles, gather, load_weights, local_parameters
from steps.train.windows import Windows

PROBE_TOKENS = 256  # of each probe window: 256 × 39,424 logits in FP32 are 40 MB
Row = tuple[np.ndarray, np.ndarray, np.ndarray]  # token ids, positions, document ends


def model_file(folder: Path, stage: int, stages_in_all: int) -> Path:
    return folder / f"model-{stage + 1:05d}-of-{stages_in_all:05d}.safetensors"


def write_model(trainer: Trainer, folder: Path, pipeline: int) -> None:
    """Write this pipeline stage's weights under Hugging Face names; the files together are the whole model."""
    group = parallel_state.get_tensor_model_parallel_group()
    whole: dict[str, Tensor] = {}
    writer = trainer.ranks.tensor == 0 and trainer.ranks.data == 0
    for name, split, parameter in local_parameters(trainer.module):
        with GatheredParameters(parameter):
            tensor = gather(parameter.detach(), split, group)
            if tensor is not None and writer:
                whole[name] = tensor.cpu().clone().contiguous()
    if writer:
        folder.mkdir(parents=True, exist_ok=True)
        save_file(whole, model_file(folder, trainer.ranks.pipeline, pipeline), metadata={"format": "pt"})
    dist.barrier()


def write_probe(
    trainer: Trainer, spec: Spec, folder: Path, heldout: dict[str, Windows], windows: Windows
) -> None:
    """Write FP32 logits of the first tokens of some windows, taken from the held-out sets in turn.

    Fresh layers, one at a time, compute them in FP32 from the files that `write_model` wrote, so what the export must
    reproduce does not depend on how two programs round BF16. Where nothing is held out, training windows serve.
    """
    if trainer.ranks.data:
        return
    sets = [found for found in heldout.values() if len(found)] or [windows]
    rows: dict[int, Row] = {}
    for number in range(spec.config.probe_windows):
        source, index = sets[number % len(sets)], number // len(sets)
        if index < len(source):
            rows[number] = _head_of(source, index)
    probe: dict[str, Tensor] = {}
    for number, logits in forward(trainer, spec, folder, rows).items():
        ids, _, ends = rows[number]
        probe[f"{number}.ids"] = torch.from_numpy(ids.astype(np.int32))
        probe[f"{number}.ends"] = torch.from_numpy(ends.astype(np.int32))
        probe[f"{number}.logits"] = logits
    if probe:
        save_file(probe, folder / "probe.safetensors")


def _head_of(source: Windows, index: int) -> Row:
    ids, positions, _, _, ends = source.read(index)
    used = min(PROBE_TOKENS, int(ends[-1]))
    return ids[:used], positions[:used], np.append(ends[ends < used], used)


@torch.no_grad()
def forward(trainer: Trainer, spec: Spec, folder: Path, rows: dict[int, Row]) -> dict[int, Tensor]:
    """Logits (positions, vocabulary) of each packed row on the last stage's first rank; nothing elsewhere."""
    layout, device, ranks = spec.config.layout, trainer.device, trainer.ranks
    files = TensorFiles([model_file(folder, ranks.pipeline, layout.pipeline)])
    settings = megatron_config(spec.model, layout.tensor, torch.float32, device.type == "cuda")
    layers = stages(spec.model, settings, Computing())
    first, count = trainer.module._local_start, len(trainer.module.forward_funcs)
    carries = {number: _enter(trainer, row, first == 0) for number, row in rows.items()}
    logits: dict[int, Tensor] = {}
    for index in range(first, first + count):
        layer = layers[index].build().to(device)
        load_weights(SimpleNamespace(forward_funcs=[layer], _local_start=index), files, "", ranks.tensor)
        for number, carry in carries.items():
            if isinstance(layer, Head):
                found = gather(layer(carry)[0], 1, parallel_state.get_tensor_model_parallel_group())
                if found is not None:
                    logits[number] = found.cpu().contiguous()
            else:
                carries[number] = layer(carry)
    if first + count < len(layers):
        for carry in carries.values():
            dist.send(carry[0].contiguous(), parallel_state.get_pipeline_model_parallel_next_rank())
    return logits


def _enter(trainer: Trainer, row: Row, first: bool) -> tuple[Tensor, Tensor, Tensor]:
    """What this stage's first layer takes: token ids, or the hidden states of the stage before."""
    ids, positions, ends = row
    if first:
        x = torch.from_numpy(ids)[None].to(trainer.device)
    else:
        x = torch.empty(1, len(ids), trainer.hidden, dtype=torch.float32, device=trainer.device)
        dist.recv(x, parallel_state.get_pipeline_model_parallel_prev_rank())
    place = torch.from_numpy(positions)[None].to(trainer.device)
    return x, place, torch.from_numpy(np.concatenate(([0], ends)).astype(np.int32)).to(trainer.device)
