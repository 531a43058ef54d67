"""What a finished stage leaves: weights in the trained precision, and logits for the export to reproduce."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
import torch.distributed as dist
from megatron.core import parallel_state
from safetensors.torch import save_file
from torch import Tensor

from steps.train.engine import Trainer
from steps.train.weights import gather, local_parameters
from steps.train.windows import Windows

PROBE_TOKENS = 256  # of each probe window: 256 × 39,424 logits in FP32 are 40 MB


def write_model(trainer: Trainer, folder: Path, pipeline: int) -> None:
    """Write this pipeline stage's weights under Hugging Face names; the files together are the whole model."""
    group = parallel_state.get_tensor_model_parallel_group()
    whole: dict[str, Tensor] = {}
    for name, split, parameter in local_parameters(trainer.module):
        tensor = gather(parameter.detach(), split, group)
        if tensor is not None and trainer.ranks.writes_state:
            whole[name] = tensor.cpu().contiguous()
    if trainer.ranks.writes_state:
        place = f"model-{trainer.ranks.pipeline + 1:05d}-of-{pipeline:05d}.safetensors"
        save_file(whole, folder / place, metadata={"format": "pt"})


@torch.no_grad()
def write_probe(
    trainer: Trainer, folder: Path, heldout: dict[str, Windows], windows: Windows, count: int
) -> None:
    """Write FP32 logits of the first tokens of ``count`` windows, taken from the held-out sets in turn.

    The stage modules compute them in FP32 from the weights just written, so what the export must reproduce does
    not depend on how two programs round BF16. Where nothing is held out, training windows serve.
    """
    sets = [(name, windows) for name, windows in heldout.items() if len(windows)] or [("train", windows)]
    trainer.module.eval()
    for layer in trainer.module.forward_funcs:
        layer.float()
    probe: dict[str, Tensor] = {}
    for number in range(count):
        _, source = sets[number % len(sets)]
        index = number // len(sets)
        if index >= len(source):
            continue
        ids, positions, _, _, ends = source.read(index)
        used = min(PROBE_TOKENS, int(ends[-1]))
        ids, positions = ids[:used], positions[:used]
        ends = np.append(ends[ends < used], used)
        logits = forward(trainer, ids, positions, ends)
        if logits is not None:
            probe[f"{number}.ids"] = torch.from_numpy(ids.astype(np.int32))
            probe[f"{number}.ends"] = torch.from_numpy(ends.astype(np.int32))
            probe[f"{number}.logits"] = logits
    if probe:
        save_file(probe, folder / "probe.safetensors")


def forward(trainer: Trainer, ids: np.ndarray, positions: np.ndarray, ends: np.ndarray) -> Tensor | None:
    """Logits (positions, vocabulary) of one packed row, on the first replica's last stage; None elsewhere."""
    place = torch.from_numpy(positions)[None].to(trainer.device)
    cuts = torch.from_numpy(np.concatenate(([0], ends)).astype(np.int32)).to(trainer.device)
    if trainer.engine.is_first_stage():
        x = torch.from_numpy(ids)[None].to(trainer.device)
    else:
        x = torch.empty(1, len(ids), trainer.hidden, dtype=torch.float32, device=trainer.device)
        dist.recv(x, parallel_state.get_pipeline_model_parallel_prev_rank())
    for layer in trainer.module.forward_funcs:
        out = layer((x, place, cuts))
        x = out[0] if isinstance(out, tuple) else out
    if not trainer.engine.is_last_stage():
        dist.send(x.contiguous(), parallel_state.get_pipeline_model_parallel_next_rank())
        return None
    logits = gather(x[0], 1, parallel_state.get_tensor_model_parallel_group())
    return logits.cpu().contiguous() if logits is not None and trainer.ranks.data == 0 else None
