"""The constants of the physics: what a serving engine reaches of a chip's peaks, and what it spends besides.

Fitted to measured runs together (`services.factory_fit`), the same for all chips, models and engines but for the factors of an
architecture. Shares are of the peak; times in seconds.
"""

from dataclasses import dataclass, fields
from math import isfinite

from ciyuan.basics.errors import Malformed


@dataclass(frozen=True, slots=True)
class Constants:
    """Every one above 0.

    Decoding: `memory` share of the memory bandwidth in reading weights, `cache` in reading caches; `arithmetic_*` share of peak
    FLOP/s by the precision multiplied in; `experts` what experts reach of that (many small matrices); `link` share of the
    links' bandwidth. Reading prompts: `prefill_*` likewise, `prefill_expert_width`
    for experts, `prefill_attention` share of bf16
    peak for attention.

    Overheads of a step: `layer_s` for each mixer, `experts_layer_s` for each layer of experts, `reduce_s` and
    `reduce_rank_s` (times the group's size) for each all-reduce, `reduce_out_s`
    more for one that leaves the scale-up domain, `exchange_s` for each layer with an all-to-all, `indexed_s`
    for each layer with an indexer, `step_s` once, `sequence_s` for each sequence (sampling, scheduling).

    Speculative decoding: `drafted` tokens are verified beside each token, and a step yields `accepted` tokens in all.

    Factors: of the overheads on Hopper (`hopper_overhead`) and on AMD (`amd_overhead`), of achieved bandwidth and decode FLOP/s
    on AMD (`amd_memory`), of prefill FLOP/s on AMD (`amd_prefill`); `cdna3_*` the same once more for AMD's CDNA3.
    """

    memory: float
    cache: float
    arithmetic_bf16: float
    arithmetic_fp8: float
    arithmetic_fp4: float
    expert_width: float
    link: float
    prefill_bf16: float
    prefill_fp8: float
    prefill_fp4: float
    prefill_expert_width: float
    prefill_attention: float
    layer_s: float
    experts_layer_s: float
    reduce_s: float
    reduce_rank_s: float
    reduce_out_s: float
    exchange_s: float
    indexed_s: float
    step_s: float
    sequence_s: float
    drafted: float
    accepted: float
    hopper_overhead: float
    amd_overhead: float
    amd_memory: float
    amd_prefill: float
    cdna3_overhead: float
    cdna3_memory: float
    cdna3_prefill: float

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if not (value > 0 and isfinite(value)):
                raise Malformed(f"constants of the physics, {field.name}", found=value, expected="a finite number above 0",
                                remedy="Fit the constants again.")  # fmt: skip


GUESSES = Constants(
    memory=0.75, cache=0.6, arithmetic_bf16=0.6, arithmetic_fp8=0.6, arithmetic_fp4=0.6, expert_width=5000.0, link=0.5,
    prefill_bf16=0.7, prefill_fp8=0.55, prefill_fp4=0.5, prefill_expert_width=4000.0, prefill_attention=0.5,
    layer_s=20e-6, experts_layer_s=30e-6, reduce_s=8e-6, reduce_rank_s=1.5e-6, reduce_out_s=20e-6, exchange_s=60e-6,
    indexed_s=40e-6,
    step_s=500e-6, sequence_s=15e-6, drafted=1.0, accepted=1.9, hopper_overhead=1.2, amd_overhead=1.25, amd_memory=0.9,
    amd_prefill=0.85, cdna3_overhead=1.25, cdna3_memory=0.9, cdna3_prefill=0.85,
)  # fmt: skip
"""Where a fit starts: round figures of the right order."""

SHARES = frozenset({"memory", "cache", "arithmetic_bf16", "arithmetic_fp8", "arithmetic_fp4", "link", "prefill_bf16",
                    "prefill_fp8", "prefill_fp4", "prefill_attention", "amd_memory", "amd_prefill",
                    "cdna3_memory", "cdna3_prefill"})  # fmt: skip
"""The constants that are shares: at most 1."""
