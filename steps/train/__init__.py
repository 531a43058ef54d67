"""Continual pre-training of a LLaMA-family model on packed windows, one stage per run (Ziya2 §5).

Own stage modules from Megatron-Core's tensor-parallel layers run inside DeepSpeed's pipeline engine: ZeRO-1, FP32
gradient accumulation, torch AdamW; attention never crosses a document's end; RoPE, RMSNorm and softmax are FP32.
Checkpoints are safetensors that no layout shapes; a killed run goes on from the last one, bit for bit.
"""
