"""Time to first token: reading the prompt, the step that carries it, and the queue before them.

Prompts arrive at random (Poisson) at the rate at which requests finish, are read in turn, and each takes about the same
time: the queue M/D/1. With lambda requests a second to one engine that reads prompts,

    service S  = prompt + step / prompts per step            (aggregated: a step with a prompt also decodes)
               = prompt                                      (disaggregated: nothing else runs there)
    load rho   = lambda x S, at most `LOAD_MAX`
    wait       = rho x tau on average, tau = S / (2 (1 - rho));  P(wait > t) = rho x exp(-t / tau), so
                 the q-quantile is tau x log(rho / (1 - q)), 0 where rho is below 1 - q
    unqueued    = fixed + a x prompt + s x step x (steps of a prompt)
    first token = wait + unqueued

A step reads up to `CHUNK_TOKENS` prompt tokens: short prompts share one, long ones take several. The exponential tail is
the usual
large-load approximation. `fixed`, a and s are fitted to measured runs (`Prompting`), for aggregated and disaggregated
layouts apart.

Those runs are closed loops: N requests start at once and each is followed by the next, so prompts come in waves and wait
for each other
far longer than at random. A share of the whole wave's prompts, `burst` x N x prompt, stands for that; it is part of what
the measured
time to first token is compared with, and no part of what a stream of users would see. When this will lie: other arrivals than
Poisson's, and engines that put prompts off to keep decoding smooth.
"""

from dataclasses import dataclass, fields
from math import isfinite

import numpy as np

from ciyuan.basics.errors import Malformed
from ciyuan.factory.roofline import Roofline, Times
from ciyuan.factory.work import Reals, Work

CHUNK_TOKENS = 8192.0
"""Prompt tokens that a step reads at most: the usual setting of vLLM, SGLang and TensorRT-LLM for these chips."""
LOAD_MAX = 0.98


@dataclass(frozen=True, slots=True)
class Prompting:
    """Fitted to measured times to first token: seconds that each takes whatever its length, factors on the time to read a
    prompt and on a step, and the share of a closed loop's other prompts that each waits for."""

    fixed_s: float
    prompts: float
    steps: float
    burst: float

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if not (value > 0 and isfinite(value)):
                raise Malformed(f"first token, {field.name}", found=value, expected="a finite number above 0",
                                remedy="Fit the constants again.")  # fmt: skip


@dataclass(frozen=True, slots=True)
class PromptingPair:
    """Of aggregated (`mixed`) and disaggregated (`apart`) layouts."""

    mixed: Prompting
    apart: Prompting

    def choose(self, work: Work, name: str) -> Reals:
        """One constant for each row of a work."""
        mixed, apart = float(getattr(self.mixed, name)), float(getattr(self.apart, name))
        return np.where(work.apart > 0, apart, mixed)


ROUND_FIGURES = PromptingPair(Prompting(0.05, 1.0, 1.0, 0.1), Prompting(0.1, 1.0, 1.0, 0.1))
"""Where a fit starts."""


@dataclass(frozen=True, slots=True)
class FirstToken:
    """Seconds to the first token, of one shape: without a queue, and what describes the queue."""

    unqueued_s: Reals
    load: Reals
    scale_s: Reals

    @property
    def mean_s(self) -> Reals:
        """On average."""
        return np.asarray(self.unqueued_s + self.load * self.scale_s)

    def quantile_s(self, q: float) -> Reals:
        """What a share `q` of requests does not exceed, 0 < q < 1."""
        waiting = np.maximum(np.log(self.load / (1.0 - q)), 0.0) * self.scale_s
        return np.asarray(self.unqueued_s + waiting)


def _steps(work: Work) -> tuple[Reals, Reals]:
    """Steps that one prompt takes, and prompts that one step reads."""
    fresh = work.input_tokens * (1.0 - work.cached_share)
    return np.ceil(fresh / CHUNK_TOKENS), np.maximum(1.0, np.floor(CHUNK_TOKENS / fresh))


def unqueued_seconds(work: Work, times: Times, prompting: PromptingPair) -> Reals:
    """Seconds to the first token of a request that nothing is before."""
    steps = np.where(work.apart > 0, 1.0, _steps(work)[0])
    return np.asarray(
        prompting.choose(work, "fixed_s")
        + prompting.choose(work, "prompts") * times.prompt
        + prompting.choose(work, "steps") * times.step * steps
    )


def closed_loop_seconds(work: Work, times: Times, prompting: PromptingPair, concurrency: Reals) -> Reals:
    """Mean seconds to the first token with `concurrency` requests in flight that started together, as benchmarks run."""
    engines = np.where(work.apart > 0, work.prefillers, work.decoders)
    wave = prompting.choose(work, "burst") * concurrency / engines * times.prompt
    return np.asarray(unqueued_seconds(work, times, prompting) + wave)


def first_token(roofline: Roofline, times: Times, tpot_s: Reals, prompting: PromptingPair) -> FirstToken:
    """At the loads of `times`; `tpot_s` (the same shape) is the time per token with its correction, which sets the rate of
    requests."""
    work = roofline.work
    steps, per_step = _steps(work)
    apart = work.apart > 0
    arrivals = roofline.requests_per_s(times.sequences, tpot_s) / np.where(
        apart, work.prefillers, work.decoders
    )
    service = np.where(apart, times.prompt, times.prompt + times.step * steps / per_step)
    load = np.minimum(arrivals * service, LOAD_MAX)
    return FirstToken(unqueued_seconds(work, times, prompting), load, service / (2.0 * (1.0 - load)))
