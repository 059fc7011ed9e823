"""How long one step of a serving engine takes, as a sum of causes: the bridge from physics to scheduling.

A *step* is one pass of all the model's layers over what the engine holds: each running sequence gets its next token, and a
chunk of prompts is read beside them. With B sequences that decode, K tokens of context held by them, P prompt tokens read
in this step and A = the sum over these P of the tokens each attends to,

    memory     = weights_s + experts_s x (1 - expert_miss ^ (B + P)) + context_s x K
    arithmetic = decode_s x B + attention_s x K
    step       = (memory^2 + arithmetic^2)^(1/2) + prefill_s x P + prefill_attention_s x A
                 + transfer_s x (B + P) + sequence_s x B + fixed_s

The 2-norm stands for reading and multiplying that overlap imperfectly. `roofline` works the coefficients out from a chip, a
model and a layout; a scheduler needs nothing else of them. An empty step (B = P = 0) takes no time.
"""

from dataclasses import dataclass, fields
from math import isfinite

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ciyuan.basics.errors import Malformed


@dataclass(frozen=True, slots=True)
class StepTime:
    """Seconds of one step of one replica; each field is the coefficient that the module's formula names.

    `expert_miss` is the probability that one token needs nothing of a given expert (0 where all weights are always read).
    `context_tokens_max` and `sequences_max` are what the replica's memory and engine can hold. `gpus` is the replica's size.
    """

    gpus: int
    weights_s: float
    experts_s: float
    expert_miss: float
    context_s: float
    decode_s: float
    attention_s: float
    prefill_s: float
    prefill_attention_s: float
    transfer_s: float
    sequence_s: float
    fixed_s: float
    context_tokens_max: int
    sequences_max: int

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if not (value >= 0 and isfinite(value)):
                raise Malformed(f"step time, {field.name}", found=value, expected="a finite number of 0 or more",
                                remedy="Derive it from a chip, a model and a layout that fit.")  # fmt: skip
        if self.expert_miss > 1:
            raise Malformed("step time, expert_miss", found=self.expert_miss, expected="a probability, 0 to 1",
                            remedy="Give 1 - experts per token / experts.")  # fmt: skip

    def seconds(
        self, sequences: ArrayLike, context: ArrayLike, prompt: ArrayLike = 0.0, attended: ArrayLike = 0.0
    ) -> NDArray[np.float64]:
        """Seconds of a step (B, K, P, A of the module's formula); arrays are broadcast."""
        b, k, p, a = (np.asarray(value, dtype=np.float64) for value in (sequences, context, prompt, attended))
        memory = self.weights_s + self.experts_s * (1.0 - self.expert_miss ** (b + p)) + self.context_s * k
        arithmetic = self.decode_s * b + self.attention_s * k
        step = (
            np.hypot(memory, arithmetic)
            + self.prefill_s * p
            + self.prefill_attention_s * a
            + self.transfer_s * (b + p)
            + self.sequence_s * b
            + self.fixed_s
        )
        return np.where(b + p > 0, step, 0.0)
