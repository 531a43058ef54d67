"""LLaMA as stage modules, from Megatron-Core's tensor-parallel layers.

Shapes: B windows, S positions, D hidden, H heads of this rank, G key/value heads of this rank, K head size,
F inner size of the MLP on this rank, V vocabulary rows of this rank, T positions of a chunk. Between stages travels
the tuple (hidden, positions, document ends); the model knows nothing of the layout but its tensor-parallel degree.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from deepspeed.pipe import LayerSpec
from megatron.core import parallel_state
from megatron.core.tensor_parallel import ColumnParallelLinear, RowParallelLinear, VocabParallelEmbedding
from megatron.core.transformer.transformer_config import TransformerConfig
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from steps.core.architecture import Architecture
from steps.train import kernels
from steps.train.attention import attend

Carry = tuple[Tensor, Tensor, Tensor]
Labels = tuple[Tensor, Tensor]
# Positions whose FP32 logits exist at once: 4096 × 39,424 of them are 646 MB (own choice)
LOSS_CHUNK = 4096


@dataclass(frozen=True)
class Computing:
    """How a block computes what it computes."""

    backend: str = "reference"
    compile: bool = False
    recompute: str = "none"

    def run(self, function: Callable[..., Any], *arguments: Any) -> Any:
        return (kernels.compiled(function) if self.compile else function)(*arguments)


def again(function: Callable[..., Any], *arguments: Any) -> Any:
    """Call ``function``, and once more in the backward pass instead of keeping what it computed."""
    return checkpoint(function, *arguments, use_reentrant=False, preserve_rng_state=False)


def megatron_config(model: Architecture, tensor: int, dtype: torch.dtype, on_gpu: bool) -> TransformerConfig:
    """What Megatron-Core's layers want to know; weights come from a file, so none are initialised."""
    return TransformerConfig(
        num_layers=model.layers,
        hidden_size=model.hidden,
        num_attention_heads=model.heads,
        num_query_groups=model.key_value_heads,
        ffn_hidden_size=model.ffn,
        tensor_model_parallel_size=tensor,
        params_dtype=dtype,
        use_cpu_initialization=not on_gpu,
        perform_initialization=False,
        gradient_accumulation_fusion=False,
        add_bias_linear=False,
    )


def _untouched(weight: Tensor) -> Tensor:
    """Initialiser for weights that a file fills."""
    return weight


def _column(rows: int, model: Architecture, config: TransformerConfig) -> ColumnParallelLinear:
    return ColumnParallelLinear(
        model.hidden, rows, config=config, init_method=_untouched, bias=False, gather_output=False
    )


def _row(columns: int, model: Architecture, config: TransformerConfig) -> RowParallelLinear:
    options = {"bias": False, "input_is_parallel": True, "skip_bias_add": False}
    return RowParallelLinear(columns, model.hidden, config=config, init_method=_untouched, **options)


class Norm(nn.Module):
    """The weight of an RMSNorm; called by itself, the norm."""

    def __init__(self, size: int, epsilon: float, dtype: torch.dtype) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(size, dtype=dtype))
        self.epsilon = epsilon

    def forward(self, x_BSD: Tensor, computing: Computing, add_BSD: Tensor | None = None) -> Any:
        """The norm of x; with ``add``, (x + add, its norm)."""
        if add_BSD is None:
            return computing.run(kernels.rms_norm, x_BSD, self.weight, self.epsilon)
        return computing.run(kernels.add_norm, x_BSD, add_BSD, self.weight, self.epsilon)


class Embedding(nn.Module):
    """First stage: token ids to hidden states."""

    def __init__(self, model: Architecture, config: TransformerConfig) -> None:
        super().__init__()
        self.embed_tokens = VocabParallelEmbedding(
            model.vocabulary, model.hidden, init_method=_untouched, config=config
        )

    def forward(self, carry: Carry) -> Carry:
        ids_BS, positions_BS, ends = carry
        return self.embed_tokens(ids_BS), positions_BS, ends


class Block(nn.Module):
    """One transformer layer: attention and gated MLP, each behind a norm."""

    def __init__(self, model: Architecture, config: TransformerConfig, computing: Computing) -> None:
        super().__init__()
        self.model, self.computing = model, computing
        hidden, keys, dtype = model.hidden, model.key_value_heads * model.head_size, config.params_dtype
        self.input_layernorm = Norm(hidden, model.norm_epsilon, dtype)
        self.q_proj, self.k_proj, self.v_proj = (_column(n, model, config) for n in (hidden, keys, keys))
        self.o_proj = _row(hidden, model, config)
        self.post_attention_layernorm = Norm(hidden, model.norm_epsilon, dtype)
        self.gate_proj, self.up_proj = (_column(model.ffn, model, config) for _ in range(2))
        self.down_proj = _row(model.ffn, model, config)

    def forward(self, carry: Carry) -> Carry:
        x_BSD, positions_BS, ends = carry
        if self.computing.recompute == "full":
            return again(self.layer, x_BSD, positions_BS, ends), positions_BS, ends
        return self.layer(x_BSD, positions_BS, ends), positions_BS, ends

    def layer(self, x_BSD: Tensor, positions_BS: Tensor, ends: Tensor) -> Tensor:
        attended_BSD = self.attention(self.input_layernorm(x_BSD, self.computing), positions_BS, ends)
        x_BSD, y_BSD = self.post_attention_layernorm(x_BSD, self.computing, attended_BSD)
        return x_BSD + (again(self.mlp, y_BSD) if self.computing.recompute == "mlp" else self.mlp(y_BSD))

    def attention(self, x_BSD: Tensor, positions_BS: Tensor, ends: Tensor) -> Tensor:
        heads = (*x_BSD.shape[:2], -1, self.model.head_size)
        q_BSHK, k_BSGK, v_BSGK = (
            project(x_BSD)[0].view(heads) for project in (self.q_proj, self.k_proj, self.v_proj)
        )
        q_BSHK, k_BSGK = self.computing.run(
            kernels.rotate, q_BSHK, k_BSGK, positions_BS, self.model.rope_theta
        )
        out_BSHK = attend(self.computing.backend, q_BSHK, k_BSGK, v_BSGK, positions_BS, ends)
        return self.o_proj(out_BSHK.flatten(2))[0]

    def mlp(self, x_BSD: Tensor) -> Tensor:
        inner_BSF = self.computing.run(kernels.gate, self.gate_proj(x_BSD)[0], self.up_proj(x_BSD)[0])
        return self.down_proj(inner_BSF)[0]


class Head(nn.Module):
    """Last stage: hidden states to the logits of this rank's part of the vocabulary."""

    def __init__(self, model: Architecture, config: TransformerConfig, computing: Computing) -> None:
        super().__init__()
        self.computing = computing
        self.norm = Norm(model.hidden, model.norm_epsilon, config.params_dtype)
        self.lm_head = _column(model.vocabulary, model, config)

    def forward(self, carry: Carry) -> Tensor:
        logits_BSV: Tensor = self.lm_head(self.norm(carry[0], self.computing))[0]
        return logits_BSV


def weighted_loss(logits_BSV: Tensor, labels: Labels, computing: Computing) -> Tensor:
    """Σ weight × cross-entropy over positions, in FP32; labels are (targets, weights).

    The weights carry the batch's token count, so that the engine's plain mean over micro-batches and replicas is the
    mean over tokens. No weight of the model may be used here: BF16_Optimizer clears gradients when the backward pass
    reaches the module's output, and those of later weights with them.
    """
    targets_T, weights_T = (label.flatten() for label in labels)
    loss: Tensor = ChunkedLoss.apply(logits_BSV.flatten(0, 1), targets_T, weights_T, computing)
    return loss


class ChunkedLoss(torch.autograd.Function):
    """Cross-entropy of `LOSS_CHUNK` positions at a time, gradient included: FP32 logits are never all there at once."""

    @staticmethod
    def forward(
        ctx: Any, logits_TV: Tensor, targets_T: Tensor, weights_T: Tensor, computing: Computing
    ) -> Tensor:
        group = parallel_state.get_tensor_model_parallel_group()
        first_row = dist.get_rank(group) * logits_TV.shape[1]
        shared = group if dist.get_world_size(group) > 1 else None
        computing = Computing(compile=computing.compile and shared is None)
        total = torch.zeros((), dtype=torch.float32, device=logits_TV.device)
        grad_TV = torch.empty_like(logits_TV)
        for start in range(0, len(logits_TV), LOSS_CHUNK):
            chunk = slice(start, start + LOSS_CHUNK)
            arguments = (logits_TV[chunk], targets_T[chunk], weights_T[chunk], first_row, shared)
            loss, grad_TV[chunk] = computing.run(kernels.token_losses, *arguments)
            total += loss
        ctx.save_for_backward(grad_TV)
        return total

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:
        (grad_TV,) = ctx.saved_tensors
        return grad_TV * grads[0].to(grad_TV.dtype), None, None, None


def stages(model: Architecture, config: TransformerConfig, computing: Computing) -> list[LayerSpec]:
    """All layers in order: embedding, blocks, head."""
    blocks = [LayerSpec(Block, model, config, computing) for _ in range(model.layers)]
    return [LayerSpec(Embedding, model, config), *blocks, LayerSpec(Head, model, config, computing)]


class Whole(nn.Module):
    """All layers on one rank, for the engine without pipeline (ZeRO 2 and 3)."""

    _local_start = 0

    def __init__(self, model: Architecture, config: TransformerConfig, computing: Computing) -> None:
        super().__init__()
        self.computing = computing
        self.forward_funcs = nn.ModuleList(spec.build() for spec in stages(model, config, computing))

    def forward(self, carry: Carry, labels: Labels) -> Tensor:
        x: Any = carry
        for layer in self.forward_funcs:
            x = layer(x)
        return weighted_loss(x, labels, self.computing)
