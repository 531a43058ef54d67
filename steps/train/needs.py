"""What a training stage of a recipe will need, before anything is made."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from steps.core.architecture import Architecture, planned_architecture
from steps.core.needs import Need, Outlook
from steps.train.config import Config
from steps.train.estimate import GIB, Estimate, check_memory, estimate, memory_is_known
from steps.train.layout import check_layout

PROCESS = 0.25 * GIB  # of the step itself, which loads no torch (own measurement: benchmarks.model_needs)
# of a rank on the host beside its GPU: CUDA, NCCL, compiler (own assumption, not measured)
GPU_PROCESS = 4.0 * GIB
START_SECONDS = 20.0  # of each rank: torch, DeepSpeed, Megatron-Core (the same measurement)
BYTES_PER_TOKEN = 3.2  # of UTF-8 text (Ziya2 Table 2, derived: 2.5 for code to 3.6 for the Pile)
PROBE_TOKENS = 256  # outputs.PROBE_TOKENS, whose module needs torch
STATE = 12  # bytes of a weight in a checkpoint: FP32, with two moments


def forecast(config: Config, recipe: Mapping[str, Any]) -> Outlook:
    """What a stage of a recipe will need, from its settings, as far as they tell the model's size.

    Raises ConfigError for a layout that does not divide the model, and for too little memory where it is known: a
    plan may be made on another machine than the one that trains.
    """
    # how many rows there will be is known later; what they are padded to must not be what refuses the layout here
    model = planned_architecture(recipe["initialize"], config.layout.tensor)
    if model is None:
        base = recipe["initialize"].base.name
        return Outlook(None, f"follows the size of {base}, which is read when the stage starts")
    length = recipe[f"pack_{config.stage}"].sequence_length
    check_layout(model, config, length)
    needed = estimate(model, config, length, planned_windows(config, recipe["mix"], length))
    if memory_is_known():
        check_memory(needed, config)
    return Outlook(need_of(model, config, needed), needed.sentence())


def planned_windows(config: Config, mix: Any, length: int) -> int:
    """Windows that a stage trains on: by its steps, else by what `mix` is asked for in tokens or bytes; 0: not known.

    Replay is as many tokens as the mix's settings say, of the stage's own.
    """
    if config.steps:
        return config.steps * config.batch_windows
    if config.stage == 1 and "*" in mix.web:
        return 0  # of how many sources is not known
    tokens = 0.0
    for amount in (mix.amounts(name).get(config.stage) for name in mix.set_names()):
        if amount is None:
            continue
        if amount.tokens is None and amount.bytes is None:
            return 0
        tokens += amount.bytes / BYTES_PER_TOKEN if amount.tokens is None else amount.tokens
    replay = {1: 0.0, 2: mix.stage_2_replay, 3: mix.stage_3_replay_1 + mix.stage_3_replay_2}[config.stage]
    return math.ceil(tokens * (1 + replay) / length)


def need_of(model: Architecture, config: Config, needed: Estimate) -> Need:
    """Host memory of step and ranks, scratch space, store and processor time.

    Ranks on a GPU copy their shares of a checkpoint to the host. On disk lie the base's weights, the state of the
    stage before, the checkpoint to go back to, the one being written, and the final state; in the store the kept
    checkpoints and the one that comes. The tokens, 2 or 4 bytes each, are not known here and small beside a state.
    """
    ranks, width = config.layout.ranks, 2 if config.precision == "bfloat16" else 4
    state, weights = STATE * model.parameters, width * model.parameters
    on_host = ranks * GPU_PROCESS + state if memory_is_known() else ranks * needed.memory
    most = config.keep_checkpoints + 1
    kept = most if config.steps is None else min(most, (config.steps - 1) // config.checkpoint_every)
    before = state if config.stage > 1 else 0
    left = state + weights + 4 * config.probe_windows * PROBE_TOKENS * model.vocabulary
    scratch = 2 * model.parameters + before + min(kept, 2) * state + left
    seconds = ranks * (START_SECONDS + config.threads_per_rank * needed.seconds)
    passing = max(0, kept - config.keep_checkpoints) * state
    return Need(PROCESS + on_host, scratch, kept * state + left, seconds, passing)
