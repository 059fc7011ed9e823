"""How long a step takes and what comes of it, for whole sweeps at once: from `Work` at the peaks to time at what engines reach.

With B sequences running on a decoding engine, m tokens drafted beside each (0 without speculation) and T = B x (1 + m),

    memory     = [(weights + experts x (1 - miss^T)) / memory + cache x B / cache share] / vendor's factor
    arithmetic = T x (dense + expert FLOPs x (1 + expert width / width) + attention) / arithmetic share / vendor's factor
    transfer   = T x (all-reduce + all-to-all) / link
    overhead   = [layers x layer + expert layers x experts layer + reduces x (reduce + rank x tp) + reduces out x reduce
    out + exchanges
                  x exchange + indexed x indexed + step] x architecture's factor
    step       = (memory^2 + arithmetic^2)^(1/2) + transfer + overhead + sequence x B / dp
    prompt     = (dense + expert FLOPs x (1 + prefill expert width / width)) / prefill share + attention / its share +
    all-reduce / link
    TPOT       = step / tokens per step + B / output tokens x prompt            (the second term only where aggregated)

Reading and multiplying overlap imperfectly: hence the 2-norm. In an aggregated engine the prompts of new requests are read
in the
same steps (chunked prefill), so each token waits for its share of them. Where prompts are read apart, requests pass at most as
fast as the prefill engines read them.

`sequences_at` answers the other question: with N requests in flight (a closed loop), how many are decoding? A request
decodes for
output tokens x TPOT and waits before that for its prompt, so B = N x decoding / (decoding + prompt); found by iteration.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from ciyuan.factory.constants import Constants
from ciyuan.factory.step import StepTime
from ciyuan.factory.work import Reals, Work

ITERATIONS = 6
AGGREGATED_WAIT = 1.5
"""Prompt times that a request spends before its first token in an aggregated engine: its own, and half of another's."""
SEQUENCES_MIN = 0.3
"""A step needs a sequence; below one on average, engines idle in between and a step still serves one."""


@dataclass(frozen=True, slots=True)
class Times:
    """Seconds of one step by cause, of a prompt, and what a user waits per token; all of one shape."""

    memory: Reals
    arithmetic: Reals
    transfer: Reals
    overhead: Reals
    sequence: Reals
    step: Reals
    prompt: Reals
    prompts_per_token: Reals
    """Prompt seconds that one token of output waits for others' prompts."""
    tpot: Reals
    sequences: Reals
    """Running on one decoding engine."""


def tokens_per_step(work: Work, constants: Constants) -> Reals:
    """Tokens that a sequence gets from a step."""
    return np.where(work.speculative > 0, constants.accepted, 1.0)


def _arithmetic_share(work: Work, constants: Constants, kind: str) -> Reals:
    shares = np.array(
        [getattr(constants, f"{kind}_{precision}") for precision in ("bf16", "fp8", "fp4")], dtype=np.float64
    )
    return shares[work.arithmetic.astype(np.int64)]


def vendor_factor(work: Work, constants: Constants, kind: str) -> Reals:
    """The factor of a vendor's chips on "memory", "prefill" or "overhead": 1 on NVIDIA's."""
    amd = np.where(work.amd > 0, getattr(constants, f"amd_{kind}"), 1.0)
    return np.asarray(amd * np.where(work.cdna3 > 0, getattr(constants, f"cdna3_{kind}"), 1.0))


def prompt_seconds(work: Work, constants: Constants) -> Reals:
    """Seconds in which an engine reads one prompt, if it does nothing else."""
    share = _arithmetic_share(work, constants, "prefill")
    vendor = vendor_factor(work, constants, "prefill")
    matrices = (
        work.prompt_dense_s
        + work.prompt_expert_s * (1.0 + constants.prefill_expert_width / work.expert_width)
    ) / share
    attention = work.prompt_attention_s / constants.prefill_attention
    return np.asarray((matrices + attention) / vendor + work.prompt_reduce_s / constants.link)


def overhead_seconds(work: Work, constants: Constants) -> Reals:
    """Seconds of a step that depend on neither bytes nor FLOPs nor sequences."""
    overhead = (
        work.layers * constants.layer_s
        + work.expert_layers * constants.experts_layer_s
        + work.reduces * (constants.reduce_s + constants.reduce_rank_s * work.tensor)
        + work.reduces_out * constants.reduce_out_s
        + work.exchanges * constants.exchange_s
        + work.indexed * constants.indexed_s
        + constants.step_s
    )
    hopper = np.where(work.hopper > 0, constants.hopper_overhead, 1.0)
    return np.asarray(overhead * hopper * vendor_factor(work, constants, "overhead"))


class Roofline:
    """A work and constants, with all that does not depend on the load worked out once. Not mutated after it is made."""

    def __init__(self, work: Work, constants: Constants) -> None:
        self.work = work
        self._constants = constants
        vendor = vendor_factor(work, constants, "memory")
        share = _arithmetic_share(work, constants, "arithmetic") * vendor
        self.tokens = 1.0 + np.where(work.speculative > 0, constants.drafted, 0.0)
        self.per_step = tokens_per_step(work, constants)
        self._weights = work.weights_s / (constants.memory * vendor)
        self._experts = work.experts_s / (constants.memory * vendor)
        self._log_miss = np.log(np.maximum(work.expert_miss, 1e-300)) * self.tokens
        self._cache = work.cache_s / (constants.cache * vendor)
        self._flops = (
            self.tokens
            * (
                work.dense_s
                + work.expert_flops_s * (1.0 + constants.expert_width / work.expert_width)
                + work.attention_s
            )
            / share
        )
        self._moved = self.tokens * (work.reduce_s + work.exchange_s) / constants.link
        self._overhead = overhead_seconds(work, constants)
        self._sequence = constants.sequence_s / work.data
        self.prompt = prompt_seconds(work, constants)
        self._prompts = np.where(work.apart > 0, 0.0, self.prompt / work.output_tokens)

    def hit(self, sequences: Reals) -> Reals:
        """Share of the experts that a step reads."""
        return np.asarray(-np.expm1(self._log_miss * sequences))

    def tpot(self, sequences: Reals) -> Reals:
        """Seconds per token of output at so many running sequences per engine."""
        memory = self._weights + self._experts * self.hit(sequences) + self._cache * sequences
        arithmetic = self._flops * sequences
        step = np.sqrt(memory * memory + arithmetic * arithmetic) + self._overhead
        step += (self._moved + self._sequence) * sequences
        return np.asarray(step / self.per_step + self._prompts * sequences)

    def times(self, sequences: ArrayLike) -> Times:
        """All causes apart."""
        b = np.maximum(np.asarray(sequences, dtype=np.float64), SEQUENCES_MIN)
        memory = self._weights + self._experts * self.hit(b) + self._cache * b
        arithmetic = self._flops * b
        transfer, per_sequence = self._moved * b, self._sequence * b
        step = np.hypot(memory, arithmetic) + transfer + self._overhead + per_sequence
        waiting = self._prompts * b
        whole = np.zeros_like(step)
        return Times(memory, arithmetic, transfer, self._overhead + whole, per_sequence, step, self.prompt + whole, waiting,
                     step / self.per_step + waiting, b)  # fmt: skip

    def sequences_at(self, concurrency: ArrayLike) -> Reals:
        """Running sequences per decoding engine, with `concurrency` requests in flight over the whole layout."""
        work = self.work
        in_flight = np.asarray(concurrency, dtype=np.float64) / work.decoders
        b = np.minimum(in_flight, work.held)
        for _ in range(ITERATIONS):
            decoding = work.output_tokens * self.tpot(np.maximum(b, SEQUENCES_MIN))
            mixed = in_flight * decoding / (decoding + AGGREGATED_WAIT * self.prompt)
            free = in_flight * decoding / (decoding + self.prompt)
            fed = work.prefillers / work.decoders / self.prompt * decoding
            apart = 0.5 * b + 0.5 * np.minimum(free, fed)
            b = np.minimum(np.where(work.apart > 0, apart, mixed), work.held)
        return np.asarray(np.maximum(b, SEQUENCES_MIN))

    def requests_per_s(self, sequences: Reals, tpot: Reals) -> Reals:
        """Requests that the whole layout finishes in a second: by its decoding engines, or as fast as prompts are read."""
        made = self.work.decoders * sequences / (tpot * self.work.output_tokens)
        fed = np.where(self.work.apart > 0, self.work.prefillers / self.prompt, np.inf)
        return np.minimum(made, fed)

    def prompt_share(self, times: Times) -> Reals:
        """Share of the GPUs' time that reads prompts; GPUs that do nothing else count whole."""
        work = self.work
        readers = (work.gpus_total - work.gpus * work.decoders) / work.gpus_total
        return np.asarray(np.where(work.apart > 0, readers, times.prompts_per_token / times.tpot))

    def uses(self, sequences: Reals, tpot: Reals) -> tuple[Reals, Reals]:
        """Achieved bytes/s and FLOP/s as shares of the peak, means over the GPUs of the layout; each at most 1."""
        work = self.work
        rate = self.requests_per_s(sequences, tpot)
        steps = rate * work.output_tokens / (sequences * self.per_step)
        read = work.weights_s + work.experts_s * self.hit(sequences) + work.cache_s * sequences
        flops = (
            self.tokens
            * (work.dense_s + work.expert_flops_s + work.attention_s)
            * work.output_tokens
            / self.per_step
        )
        prompt = work.prompt_dense_s + work.prompt_expert_s + work.prompt_attention_s
        prompt_gpus = np.where(
            work.apart > 0, (work.gpus_total - work.gpus * work.decoders) / work.prefillers, work.gpus
        )
        memory = steps * read * work.gpus / work.gpus_total
        arithmetic = rate * (flops * work.gpus + prompt * prompt_gpus) / work.gpus_total
        return np.minimum(memory, 1.0), np.minimum(arithmetic, 1.0)


def step_time(work: Work, constants: Constants, context: float, row: int = 0) -> StepTime:
    """One row's coefficients for a scheduler (`factory.step`), without speculation; `context` is the shape's mean context, of
    which the cost of a cache is taken per token."""
    vendor = float(vendor_factor(work, constants, "memory")[row])
    share = float(_arithmetic_share(work, constants, "arithmetic")[row]) * vendor
    slower = float(vendor_factor(work, constants, "prefill")[row])
    prefill = float(_arithmetic_share(work, constants, "prefill")[row]) * slower
    read = work.input_tokens[row] * (1.0 - work.cached_share[row])
    attended = work.input_tokens[row] ** 2 * (1.0 - work.cached_share[row] ** 2) / 2.0
    prompt_slower = 1.0 + constants.prefill_expert_width / work.expert_width[row]
    prompt = work.prompt_dense_s[row] + work.prompt_expert_s[row] * prompt_slower
    attention = work.prompt_attention_s[row] / (constants.prefill_attention * slower)
    flops = work.dense_s[row] + work.expert_flops_s[row] * (
        1.0 + constants.expert_width / work.expert_width[row]
    )
    return StepTime(
        gpus=int(work.gpus[row]),
        weights_s=float(work.weights_s[row] / (constants.memory * vendor)),
        experts_s=float(work.experts_s[row] / (constants.memory * vendor)),
        expert_miss=float(work.expert_miss[row]),
        context_s=float(work.cache_s[row] / (constants.cache * vendor) / context),
        decode_s=float(flops / share),
        attention_s=float(work.attention_s[row] / share / context),
        prefill_s=float(prompt / prefill / read),
        prefill_attention_s=float(attention / attended),
        transfer_s=float((work.reduce_s[row] + work.exchange_s[row]) / constants.link),
        sequence_s=float(constants.sequence_s / work.data[row]),
        fixed_s=float(overhead_seconds(work, constants)[row]),
        context_tokens_max=int(work.held[row] * (work.input_tokens[row] + work.output_tokens[row])),
        sequences_max=int(work.held[row]),
    )
