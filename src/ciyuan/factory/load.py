"""What a replica's GPUs do in a steady state, from a measured speed and the model's shape: bytes and FLOPs over the chip's
peaks.

    bytes of a step = weights read (each expert that the step's tokens hit, once) / GPUs + caches read / shards
    FLOPs of a step = (tokens x FLOPs per token + attention of decode + attention of prompts) / GPUs

A step gives each of B running sequences a token and reads B x input / output prompt tokens beside them. This is the inverse of
the roofline: there the shares of the peaks give the speed, here a speed that was measured gives the shares.
"""

import numpy as np

from ciyuan.basics.errors import Malformed
from ciyuan.factory.hardware import peak_flops
from ciyuan.factory.messages import Chip
from ciyuan.factory.model import Model, Precision
from ciyuan.factory.power import BYTES_PER_TERABYTE, Load, has_narrow_experts, is_four_bit

CACHE_BYTES = 2.0
"""Bytes of a cache element: 16 bits, as most engines keep them unless told otherwise."""

CHUNK_TOKENS = 2048.0
"""Prompt tokens that an engine reads in one step at most: a common default of chunked prefill."""


def steady_load(chip: Chip, model: Model, precision: Precision, *, gpus: int, sequences: float, steps_per_s: float,
                prompt_tokens: float, output_tokens: float, replicas: int = 1) -> Load:  # fmt: skip
    """What each of `gpus` GPUs does that hold `sequences` running sequences; `replicas` copies of the attention layers share
    them.

    `prompt_tokens` are those that are read, not taken from a cache of prompts. Raises Malformed for a precision that the chip
    lacks.
    """
    if not (min(gpus, replicas, sequences, steps_per_s, output_tokens) > 0 and prompt_tokens >= 0):
        raise Malformed(f"steady load of {model.code} on {chip.code}",
                        found=(gpus, replicas, sequences, steps_per_s, prompt_tokens, output_tokens),
                        expected="figures above 0", remedy="Give a run that serves.")  # fmt: skip
    context = prompt_tokens + output_tokens / 2.0
    tokens = sequences * (1.0 + prompt_tokens / output_tokens)
    weights = model.weight_bytes(precision)
    hit = _experts_hit(model, sequences, sequences * prompt_tokens / output_tokens, prompt_tokens)
    experts = hit * model.moe_layers * weights.expert
    shards = min(max(1, gpus // replicas), model.cache_shards_max)
    cache = sequences / replicas * float(model.cache_bytes_read(context, CACHE_BYTES)) / shards
    read = ((weights.mixers + weights.mlps + weights.head) * replicas + experts) / gpus + cache
    flops = (
        tokens * model.flops_per_token
        + sequences * model.decode_attention_flops(context)
        + sequences / output_tokens * model.prefill_attention_flops(prompt_tokens)
    ) / gpus
    return Load(
        memory_use=np.asarray(read * steps_per_s / (chip.memory_tb_s * BYTES_PER_TERABYTE)),
        arithmetic_use=np.asarray(flops * steps_per_s / peak_flops(chip, precision)),
        read_bytes=np.asarray(read),
        narrow_experts=has_narrow_experts(model, precision),
        four_bits=is_four_bit(chip, precision),
    )


def _experts_hit(model: Model, sequences: float, prompt_rate: float, prompt_tokens: float) -> float:
    """Experts of a layer that a step reads on average, when `prompt_rate` prompt tokens come with each step on average.

    Prompts come whole, or in chunks of `CHUNK_TOKENS`: most steps of a small batch read what its sequences hit, a few nearly
    all.
    """
    if not prompt_rate:
        return float(model.experts_hit(sequences))
    share = min(1.0, prompt_rate / min(prompt_tokens, CHUNK_TOKENS))
    with_chunk = float(model.experts_hit(sequences + prompt_rate / share))
    return (1.0 - share) * float(model.experts_hit(sequences)) + share * with_chunk
