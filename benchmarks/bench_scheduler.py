"""The scheduler simulator, in requests per CPU second: real traces of chat and of long shared prompts, chunked prefill and prefix
cache on; beside what is published of others, and the plain twin.

The traces are read from `../shared/data/usage` beside the checkout; where they are not, requests of the same means are generated.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.record import Result, cpu_time
from ciyuan.factory.scheduler import simulate
from ciyuan.factory.scheduler_outcome import summary
from ciyuan.factory.scheduler_plain import simulate_plainly
from ciyuan.factory.scheduler_terms import Cluster, EngineTerms, Routing
from ciyuan.factory.scheduler_trace import BLOCK_TOKENS, Trace, trace_of
from ciyuan.factory.step import StepTime
from ciyuan.services.trace_file import read_trace

USAGE = Path(__file__).parents[2] / "shared" / "data" / "usage"
ROUNDS = 3
GOAL = 50_000
STEP = StepTime(
    gpus=8, weights_s=3e-3, experts_s=6e-3, expert_miss=0.969, context_s=1.1e-9, decode_s=8e-6, attention_s=2.5e-10,
    prefill_s=1.1e-5, prefill_attention_s=3e-10, transfer_s=1e-6, sequence_s=2e-5, fixed_s=9e-3, context_tokens_max=4_000_000,
    sequences_max=512,
)  # fmt: skip
"""Of the size of DeepSeek-R1 on eight H200: 19 ms a step at a few sequences, 90,000 prompt tokens/s."""
PUBLISHED = 286.0
AGAINST = (
    "BLIS trained-physics, rate 30, its best of three runs; Vidur (Sarathi) did 137 to 400, Frontier about 30, on another "
    "machine and other traces: quoted, not run here"
)
LEAVES_OUT = "reading the trace, compiling (once, cached) and the percentiles; a step's time is a formula of given coefficients"


@dataclass(frozen=True, slots=True)
class Load:
    """A trace at a rate on replicas, and in words."""

    name: str
    trace: Trace
    cluster: Cluster
    mix: str


def chat() -> tuple[Trace, str]:
    """Azure's conversations, or requests of their means."""
    path = USAGE / "azure_2023_conv.csv.gz"
    if path.is_file():
        return read_trace(path), "Azure 2023 conversations (19,366 requests, 1,155 tokens in, 211 out)"
    dice = np.random.default_rng(1)
    count = 19_366
    prompts = np.maximum(1, dice.lognormal(6.4, 1.15, count)).astype(np.int64)
    outputs = np.maximum(1, dice.exponential(211, count)).astype(np.int64)
    return trace_of(np.cumsum(dice.exponential(0.18, count)), prompts, outputs), "generated chat requests"


def shared_prompts() -> tuple[Trace, str]:
    """Mooncake's synthetic trace with its block hashes, or chains of the same length."""
    path = USAGE / "mooncake_synthetic.csv.gz"
    if path.is_file():
        return read_trace(
            path
        ), "Mooncake's synthetic trace (3,993 requests, 15,325 tokens in, 149 out, block hashes)"
    dice = np.random.default_rng(2)
    count = 4_000
    prompts = np.maximum(1, dice.exponential(15_000, count)).astype(np.int64)
    hashes = [
        [(row % 300, k) if k < 20 else (row, k + 300) for k in range(-(-int(tokens) // BLOCK_TOKENS))]
        for row, tokens in enumerate(prompts)
    ]
    outputs = np.maximum(1, dice.exponential(149, count)).astype(np.int64)
    return trace_of(
        np.cumsum(dice.exponential(0.25, count)), prompts, outputs, None, hashes
    ), "generated chains"


def loads() -> list[Load]:
    """What is run: each near, but below, what the replicas can serve."""
    engine = EngineTerms(STEP, step_tokens_max=2048)
    talk, talk_name = chat()
    long, long_name = shared_prompts()
    return [
        Load("chat, 1 replica", talk.at_rate(14.0).repeated(8), Cluster(engine),
             f"{talk_name} eight times over at 14 requests/s"),
        Load("chat, 8 replicas", talk.at_rate(112.0).repeated(8), Cluster(engine, replicas=8),
             f"{talk_name} eight times over at 112 requests/s, least loaded of 8 replicas"),
        Load("long shared prompts, 4 replicas", long.at_rate(12.0).repeated(10),
             Cluster(engine, replicas=4, routing=Routing.PREFIX_AFFINITY),
             f"{long_name} ten times over (blocks of each round its own) at 12 requests/s, prefix affinity over 4 replicas"),
    ]  # fmt: skip


def run() -> list[Result]:
    """Each load, and the twin on a tenth of the first."""
    unit = "requests/CPU-s"
    results = []
    for load in loads():
        seconds = cpu_time(lambda load=load: simulate(load.trace, load.cluster), ROUNDS)  # type: ignore[misc]
        found = summary(simulate(load.trace, load.cluster))
        results.append(
            Result(
                f"scheduler: {load.name}", load.trace.requests / seconds, unit,
                f"{load.mix}; chunked prefill of 2,048 tokens a step, prefix cache on; {found.steps:,} steps, "
                f"{found.utilisation:.0%} busy, {found.cached_share:.0%} of prompts cached, TTFT p99 {found.ttft.p99_s:.2g} s; "
                f"best of {ROUNDS}",
                LEAVES_OUT, PUBLISHED, AGAINST, at_least=GOAL,
            )
        )  # fmt: skip
    trace, cluster = chat()[0].at_rate(14.0).first(300), Cluster(EngineTerms(STEP))
    plain_s, jumped_s = (
        cpu_time(lambda: simulate_plainly(trace, cluster), 1),
        cpu_time(lambda: simulate(trace, cluster), ROUNDS),
    )
    results.append(
        Result(
            "scheduler: the plain twin", trace.requests / plain_s, unit,
            "the first 300 requests of the chat load on 1 replica, every step looked at in plain Python",
            "nothing of the simulation; it is here to show what compiling and jumping bring",
            trace.requests / jumped_s, "the compiled loop on the same 300 requests",
        )
    )  # fmt: skip
    return results
