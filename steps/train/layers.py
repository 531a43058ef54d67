"""LLaMA as pipeline stages, from Megatron-Core's tensor-parallel layers.

Shapes: B windows, S positions, D hidden, H heads of this rank, G key/value heads of this rank, K head size,
F inner size of the MLP on this rank, V vocabulary rows of this rank. Between stages travels the tuple
(hidden, positions, document ends); the model knows nothing of the layout but its tensor-parallel degree.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from deepspeed.pipe import LayerSpec
from megatron.core.tensor_parallel import (
    ColumnParallelLinear,
    RowParallelLinear,
    VocabParallelEmbedding,
    vocab_parallel_cross_entropy,
)
from megatron.core.transformer.transformer_config import TransformerConfig
from torch import Tensor, nn

from steps.train.architecture import Architecture
from steps.train.attention import attend

Carry = tuple[Tensor, Tensor, Tensor]


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


class Norm(nn.Module):
    """RMSNorm, computed in FP32 (Ziya2 §5.2)."""

    def __init__(self, size: int, epsilon: float, dtype: torch.dtype) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(size, dtype=dtype))
        self.epsilon = epsilon

    def forward(self, x_BSD: Tensor) -> Tensor:
        wide_BSD = x_BSD.float()
        scale_BS1 = torch.rsqrt(wide_BSD.square().mean(dim=-1, keepdim=True) + self.epsilon)
        return (self.weight.float() * (wide_BSD * scale_BS1)).to(x_BSD.dtype)


def rotate(x_BSHK: Tensor, positions_BS: Tensor, theta: float) -> Tensor:
    """Rotary positions in FP32 (Ziya2 §5.2), halves rotated against each other as Hugging Face does."""
    half = x_BSHK.shape[-1] // 2
    steps = torch.arange(half, device=x_BSHK.device, dtype=torch.float32) / half
    angles_BSK = positions_BS.float()[:, :, None] / theta**steps
    cos_BS1K, sin_BS1K = angles_BSK.cos()[:, :, None], angles_BSK.sin()[:, :, None]
    left, right = x_BSHK.float().split(half, dim=-1)
    turned = torch.cat([left * cos_BS1K - right * sin_BS1K, right * cos_BS1K + left * sin_BS1K], dim=-1)
    return turned.to(x_BSHK.dtype)


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

    def __init__(self, model: Architecture, config: TransformerConfig, backend: str) -> None:
        super().__init__()
        self.model, self.backend = model, backend
        hidden, keys = model.hidden, model.key_value_heads * model.head_size
        dtype = config.params_dtype

        def column(size: int) -> ColumnParallelLinear:
            return ColumnParallelLinear(
                hidden, size, config=config, init_method=_untouched, bias=False, gather_output=False
            )

        def row(size: int) -> RowParallelLinear:
            return RowParallelLinear(
                size,
                hidden,
                config=config,
                init_method=_untouched,
                bias=False,
                input_is_parallel=True,
                skip_bias_add=False,
            )

        self.input_layernorm = Norm(hidden, model.norm_epsilon, dtype)
        self.q_proj, self.k_proj, self.v_proj = column(hidden), column(keys), column(keys)
        self.o_proj = row(hidden)
        self.post_attention_layernorm = Norm(hidden, model.norm_epsilon, dtype)
        self.gate_proj, self.up_proj, self.down_proj = column(model.ffn), column(model.ffn), row(model.ffn)

    def forward(self, carry: Carry) -> Carry:
        x_BSD, positions_BS, ends = carry
        x_BSD = x_BSD + self.attention(self.input_layernorm(x_BSD), positions_BS, ends)
        return x_BSD + self.mlp(self.post_attention_layernorm(x_BSD)), positions_BS, ends

    def attention(self, x_BSD: Tensor, positions_BS: Tensor, ends: Tensor) -> Tensor:
        heads = (*x_BSD.shape[:2], -1, self.model.head_size)
        q_BSHK, k_BSGK, v_BSGK = (
            project(x_BSD)[0].view(heads) for project in (self.q_proj, self.k_proj, self.v_proj)
        )
        theta = self.model.rope_theta
        q_BSHK, k_BSGK = rotate(q_BSHK, positions_BS, theta), rotate(k_BSGK, positions_BS, theta)
        out_BSHK = attend(self.backend, q_BSHK, k_BSGK, v_BSGK, positions_BS, ends)
        return self.o_proj(out_BSHK.flatten(2))[0]

    def mlp(self, x_BSD: Tensor) -> Tensor:
        return self.down_proj(F.silu(self.gate_proj(x_BSD)[0]) * self.up_proj(x_BSD)[0])[0]


class Head(nn.Module):
    """Last stage: hidden states to the logits of this rank's part of the vocabulary."""

    def __init__(self, model: Architecture, config: TransformerConfig) -> None:
        super().__init__()
        self.norm = Norm(model.hidden, model.norm_epsilon, config.params_dtype)
        self.lm_head = ColumnParallelLinear(
            model.hidden,
            model.vocabulary,
            config=config,
            init_method=_untouched,
            bias=False,
            gather_output=False,
        )

    def forward(self, carry: Carry) -> Tensor:
        return self.lm_head(self.norm(carry[0]))[0]


def stages(model: Architecture, config: TransformerConfig, backend: str) -> list[LayerSpec]:
    """All pipeline layers in order: embedding, blocks, head."""
    blocks = [LayerSpec(Block, model, config, backend) for _ in range(model.layers)]
    return [LayerSpec(Embedding, model, config), *blocks, LayerSpec(Head, model, config)]


def weighted_loss(logits_BSV: Tensor, labels: tuple[Tensor, Tensor]) -> Tensor:
    """Σ weight × cross-entropy over positions, in FP32.

    The weights carry the batch's token count, so that the engine's plain mean over micro-batches and replicas is
    the mean over tokens.
    """
    targets_BS, weights_BS = labels
    losses_BS = vocab_parallel_cross_entropy(logits_BSV.float(), targets_BS)
    return (losses_BS * weights_BS).sum()
