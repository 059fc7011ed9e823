"""Operating points: what a replica does at each number of running sequences, as columns of equal length.

The factory's common currency: physics makes them, power adds watts to them, cost and tiers read them. `Provenance` says of all of
them together where they are from; the bands are of the rates at the speed that users see, as factors: the true rate lies between
`low` and `high` times the given one in 8 of 10 cases.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ciyuan.factory.messages import Provenance

Reals = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class OperatingPoints:
    """One replica in a steady state at `n` loads. All arrays are (n,) float64.

    `sequences` run at once on `gpus` GPUs, each request of `input_tokens` in (of which `cached_share` is read from a cache)
    and `output_tokens` out. `tpot_s` is the mean time between two output tokens that a user sees, prompts of others included;
    `ttft_s` the mean time to first token without queueing. Rates are per GPU of the whole replica, prefill GPUs included.
    `memory_use` and `arithmetic_use` are achieved bytes/s and FLOP/s as shares of the chip's peak, 0 to 1: what
    its power follows from. `prompt_share` is the share of the GPUs' time that reads prompts; GPUs that only read count whole.
    """

    chip: str
    model: str
    precision: str
    software: str
    gpus: int
    input_tokens: float
    output_tokens: float
    cached_share: float
    sequences: Reals
    tpot_s: Reals
    ttft_s: Reals
    output_tokens_per_s_per_gpu: Reals
    input_tokens_per_s_per_gpu: Reals
    memory_use: Reals
    arithmetic_use: Reals
    prompt_share: Reals
    low: Reals
    high: Reals
    provenance: Provenance

    @property
    def tokens_per_s_per_user(self) -> Reals:
        """Output speed that each user sees."""
        return 1.0 / self.tpot_s
