"""The initial loss: what it measures, and that weighted averages make it low."""

from __future__ import annotations

import math
import random
from typing import Any

import pytest
import torch
import torch.nn.functional as F

from steps.initialize import tokenizer, weights
from steps.initialize.config import FromScratch
from steps.initialize.loss import measure, total_loss
from steps.initialize.rows import extend_rows
from tests.steps.training import CHINESE, sentence

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


@pytest.fixture
def trained() -> tuple[Any, bytes]:
    """A small LLaMA that read English, and some Chinese as bytes, and its tokenizer."""
    rng = random.Random(1)
    base = tokenizer.train_tokenizer((sentence(rng, "en", 12) for _ in range(300)), 330)
    processor = tokenizer.processor(base)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    model = llama(len(tokenizer.pieces_of(base)))
    optimizer = torch.optim.AdamW(model.parameters(), 3e-3)
    for _ in range(100):
        texts = [sentence(rng, "zh" if rng.random() < 0.1 else "en", 40) for _ in range(8)]
        batch = torch.tensor([processor.encode(text, add_bos=True)[:64] for text in texts])
        loss = F.cross_entropy(model(input_ids=batch[:, :-1]).logits.flatten(0, 1), batch[:, 1:].flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    torch.set_num_threads(threads)
    return model.eval(), base


def test_weighted_averages_begin_below_the_mean_of_all_rows_and_random_ones(
    trained: tuple[Any, bytes],
) -> None:
    model, base = trained
    characters = sorted(set(CHINESE))
    former = tokenizer.former_pieces(base, characters)
    old, total = len(tokenizer.pieces_of(base)), len(tokenizer.pieces_of(base)) + len(former)
    encoders = {"": (tokenizer.processor(tokenizer.extend(base, characters)).encode, total)}
    rng = random.Random(2)
    texts = {language: [sentence(rng, language, 20) for _ in range(6)] for language in ("en", "zh")}
    modules = (model.get_input_embeddings(), model.lm_head)
    before = [module.weight.data for module in modules]

    def losses(extend: Any) -> dict[str, float]:
        for module, rows in zip(modules, before, strict=True):
            module.weight.data = extend(rows)
        found = measure(model, texts, encoders, 1, SHAPE.max_positions)
        return {name: units["per_byte"] for name, units in found.items()}

    def at_random(rows: torch.Tensor) -> torch.Tensor:
        new = torch.randn(total - old, rows.shape[1], generator=torch.Generator().manual_seed(1))
        return torch.cat([rows, new * weights.DEVIATION])

    ours = losses(lambda rows: extend_rows(rows, former, "mean", total))
    of_all = losses(lambda rows: torch.cat([rows, rows.mean(dim=0).expand(total - old, -1)]))
    random_rows = losses(at_random)
    assert ours["zh_"] < min(of_all["zh_"], random_rows["zh_"])
    assert ours["en_"] < random_rows["en_"]
