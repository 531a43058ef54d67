"""Loads a causal language model to measure text with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

SMALL = 1_000_000_000  # parameters up to which FP32 fits everywhere; larger models are measured in BF16


def load_model(folder: Path, device: str) -> Any:
    """The model in a Hugging Face folder, from safetensors only, ready to read on ``device``."""
    import torch
    from transformers import AutoModelForCausalLM
    from transformers.utils import logging

    logging.disable_progress_bar()
    size = sum(path.stat().st_size for path in folder.glob("*.safetensors"))
    dtype = torch.float32 if size / 2 < SMALL else torch.bfloat16
    model: Any = AutoModelForCausalLM.from_pretrained(
        folder, dtype=dtype, local_files_only=True, use_safetensors=True
    )
    return model.to(device).eval()
