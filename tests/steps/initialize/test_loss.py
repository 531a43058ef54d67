"""The initial loss: what it measures."""

from __future__ import annotations

import math
from typing import Any

import torch

from steps.initialize import weights
from steps.initialize.config import FromScratch
from steps.initialize.loss import total_loss

SHAPE = FromScratch(hidden=64, layers=2, heads=4, ffn=128, vocabulary=330, max_positions=96)


def llama(size: int) -> Any:
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(1)
    return LlamaForCausalLM(LlamaConfig(**weights.scratch_config(SHAPE, size) | {"dtype": "float32"}))


def test_the_loss_is_the_mean_of_what_each_token_costs() -> None:
    model = llama(20).eval()
    ids = [3, 5, 7, 2, 9, 11]
    nats, count = total_loss(model, ids, 15, 1, 4)
    wanted = 0.0
    for window in ([1, 3, 5, 7, 2], [1, 9, 11]):  # <s> before each window of 4 tokens
        for at in range(1, len(window)):
            scores = model(input_ids=torch.tensor([window[:at]])).logits[0, -1, :15].double()
            wanted -= float(torch.log_softmax(scores, 0)[window[at]].detach())
    assert count == 6 and math.isclose(nats, wanted, rel_tol=1e-4)
