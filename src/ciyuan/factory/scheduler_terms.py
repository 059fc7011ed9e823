"""What a scheduler is told: its engine, its queue, its routing, its growth. Values only; `scheduler` runs them.

A tier is a number from 0; tier 0 is served first. Seconds are of the simulated clock.
"""

from dataclasses import dataclass
from enum import StrEnum
from math import inf, isfinite
from typing import TYPE_CHECKING

from ciyuan.basics.errors import Malformed

if TYPE_CHECKING:
    from ciyuan.factory.step import StepTime

TOKEN_PARTS = 1024
"""Whole parts that a token is counted in, so that a fraction of a token per step adds up without drift."""


class Batching(StrEnum):
    """How steps are formed. STATIC: a batch is read, then decoded until its last request ends, and those that end earlier keep
    their places (padding). CONTINUOUS: requests join and leave between steps; whole prompts are read in steps of their own, while
    decoding stands still. CHUNKED: prompts are read in pieces beside the decoding, within a budget of tokens per step."""

    STATIC = "static"
    CONTINUOUS = "continuous"
    CHUNKED = "chunked"


class Order(StrEnum):
    """Who is admitted next. The aged orders add seconds of waiting, so that nobody waits for ever."""

    FCFS = "fcfs"
    SHORTEST_PROMPT = "shortest-prompt"
    SHORTEST_PROMPT_AGED = "shortest-prompt-aged"
    SHORTEST_OUTPUT = "shortest-output"
    TIER_STRICT = "tier-strict"
    TIER_AGED = "tier-aged"
    DEADLINE = "deadline"


class Routing(StrEnum):
    """Which replica an arrival goes to; of equal ones the first. Load is of requests not finished."""

    ROUND_ROBIN = "round-robin"
    LEAST_REQUESTS = "least-requests"
    LEAST_TOKENS = "least-tokens"
    PREFIX_AFFINITY = "prefix-affinity"


class Preemption(StrEnum):
    """What happens to a sequence that must give up its memory: read again later, or moved to the host and back."""

    RECOMPUTE = "recompute"
    SWAP = "swap"


class Eviction(StrEnum):
    """Which block that nobody uses goes first: the one used longest ago, or such a one among those never used twice."""

    LRU = "lru"
    REUSED_LAST = "reused-last"


@dataclass(frozen=True, slots=True)
class Slo:
    """What a tier is promised: seconds to the first token, and seconds a token after it; infinite: no promise."""

    ttft_s: float = inf
    tpot_s: float = inf

    def __post_init__(self) -> None:
        if not (self.ttft_s > 0 and self.tpot_s > 0):
            raise Malformed("service level", found=(self.ttft_s, self.tpot_s), expected="seconds above 0",
                            remedy="Give ttft and tpot in seconds, as ttft=2,tpot=0.05.")  # fmt: skip


@dataclass(frozen=True, slots=True)
class EngineTerms:
    """One replica's engine.

    `step_tokens_max`: tokens of one step, decoding and reading together (the chunk budget); STATIC has none.
    `tokens_per_step`: the output tokens a sequence is expected to gain in a step, and `positions` what is computed for it: 1 and
    1 without speculation, 1 + accepted drafts and 1 + drafts with it. `reserve_output`: admit only what cannot run out of memory
    (needs to know each output's length; STATIC always does). `memory_reserve_share`: left free when admitting, for growth.
    `swap_s_per_token`: of moving a token's KV one way.
    """

    step: "StepTime"
    batching: Batching = Batching.CHUNKED
    step_tokens_max: int = 2048
    prefix_cache: bool = True
    eviction: Eviction = Eviction.LRU
    reserve_output: bool = False
    memory_reserve_share: float = 0.01
    preemption: Preemption = Preemption.RECOMPUTE
    swap_s_per_token: float = 0.0
    tokens_per_step: float = 1.0
    positions: int = 1

    def __post_init__(self) -> None:
        checks = (
            (self.step.context_tokens_max >= 1, "context_tokens_max", self.step.context_tokens_max, "1 or more"),
            (self.step.sequences_max >= 1, "sequences_max", self.step.sequences_max, "1 or more"),
            (self.step_tokens_max >= 1, "step_tokens_max", self.step_tokens_max, "1 or more"),
            (0 <= self.memory_reserve_share < 1, "memory_reserve_share", self.memory_reserve_share, "0 to below 1"),
            (0 <= self.swap_s_per_token < inf, "swap_s_per_token", self.swap_s_per_token, "0 or more"),
            (1 <= self.tokens_per_step <= self.positions, "tokens_per_step", self.tokens_per_step, f"1 to {self.positions}"),
            (self.positions >= 1, "positions", self.positions, "1 or more"),
        )  # fmt: skip
        for holds, name, found, expected in checks:
            if not holds:
                raise Malformed(f"engine, {name}", found=found, expected=expected, remedy="Mend this term.")

    @property
    def tokens_per_step_parts(self) -> int:
        """`tokens_per_step` in parts of a token."""
        return round(self.tokens_per_step * TOKEN_PARTS)


@dataclass(frozen=True, slots=True)
class QueueRule:
    """The key by which a tier's queue is ordered, smallest first; `strict` serves all of a tier before the next.

    key = arrival_weight x arrival_s + prompt_weight x input_tokens + output_weight x output_tokens + tier_wait_s[tier]

    A key that does not change while waiting is enough for ageing: what counts is by how much one waits longer than another.
    """

    arrival_weight: float = 1.0
    prompt_weight: float = 0.0
    output_weight: float = 0.0
    tier_wait_s: tuple[float, ...] = ()
    strict: bool = False


@dataclass(frozen=True, slots=True)
class TierTerms:
    """One tier's promise and ration. `sequences_share`: of a replica's places; `queue_max`: waiting at one replica before more
    are refused (None: no limit)."""

    slo: Slo = Slo()
    sequences_share: float = 1.0
    queue_max: int | None = None

    def __post_init__(self) -> None:
        if not 0 < self.sequences_share <= 1:
            raise Malformed("tier, sequences_share", found=self.sequences_share, expected="above 0, to 1",
                            remedy="Leave a tier that is not served out of the trace.")  # fmt: skip
        if self.queue_max is not None and self.queue_max < 0:
            raise Malformed("tier, queue_max", found=self.queue_max, expected="0 or more, or None",
                            remedy="Mend this term.")  # fmt: skip


@dataclass(frozen=True, slots=True)
class Autoscaling:
    """Replicas follow the load: every `interval_s`, as many as give each `requests_per_replica` unfinished requests.

    A new one works `start_up_s` after it was called, and is paid from the call. One is drained when fewer have been needed for
    `scale_down_after_s`, the last started first; it ends what it has.
    """

    replicas_min: int
    replicas_max: int
    requests_per_replica: float
    interval_s: float = 15.0
    start_up_s: float = 120.0
    scale_down_after_s: float = 300.0

    def __post_init__(self) -> None:
        if not 1 <= self.replicas_min <= self.replicas_max:
            raise Malformed("autoscaling, replicas", found=(self.replicas_min, self.replicas_max),
                            expected="1 <= least <= most", remedy="Mend the two bounds.")  # fmt: skip
        for name in ("requests_per_replica", "interval_s"):
            if not 0 < getattr(self, name) < inf:
                raise Malformed(f"autoscaling, {name}", found=getattr(self, name), expected="above 0",
                                remedy="Mend this term.")  # fmt: skip
        if not (0 <= self.start_up_s < inf and 0 <= self.scale_down_after_s < inf):
            raise Malformed("autoscaling, delays", found=(self.start_up_s, self.scale_down_after_s),
                            expected="seconds of 0 or more", remedy="Mend the two delays.")  # fmt: skip


@dataclass(frozen=True, slots=True)
class Disaggregation:
    """Decode replicas apart: what was read elsewhere is handed over in `latency_s` + tokens x `transfer_s_per_token`."""

    engine: EngineTerms
    replicas: int
    transfer_s_per_token: float = 0.0
    latency_s: float = 0.0

    def __post_init__(self) -> None:
        if self.replicas < 1:
            raise Malformed(
                "decode replicas", found=self.replicas, expected="1 or more", remedy="Give one at least."
            )
        if not (0 <= self.transfer_s_per_token < inf and 0 <= self.latency_s < inf):
            raise Malformed("hand-over", found=(self.transfer_s_per_token, self.latency_s),
                            expected="seconds of 0 or more", remedy="Mend the two times.")  # fmt: skip


@dataclass(frozen=True, slots=True)
class Cluster:
    """All that a simulation is told but the trace. Without `decode` each of the `replicas` does a request's whole work; with it
    they only read prompts. `tiers` has a term for each tier of the trace at least. `preempt_lower_tiers`: a request that does not
    fit takes the memory of lower tiers. `affinity_slack`: requests that a replica may have above the least loaded and still be
    sent what it has read before. `concurrency`: None follows the trace's arrivals; a number keeps so many requests in service,
    each that ends calling the next (a closed loop), and the trace's times are not used.
    """

    engine: EngineTerms
    replicas: int = 1
    order: Order = Order.FCFS
    tiers: tuple[TierTerms, ...] = (TierTerms(),)
    ageing_s: float = 30.0
    preempt_lower_tiers: bool = False
    routing: Routing = Routing.LEAST_REQUESTS
    affinity_slack: int = 8
    decode: Disaggregation | None = None
    autoscaling: Autoscaling | None = None
    concurrency: int | None = None

    def __post_init__(self) -> None:
        if self.replicas < 1:
            raise Malformed(
                "replicas", found=self.replicas, expected="1 or more", remedy="Give one at least."
            )
        if not self.tiers:
            raise Malformed("tiers", found="none", expected="1 or more", remedy="Give terms for each tier.")
        if self.decode is not None and self.engine.batching is Batching.STATIC:
            raise Malformed("batching of prefill replicas", found="static", expected="continuous or chunked",
                            remedy="Static batching has no hand-over.")  # fmt: skip
        if self.concurrency is not None and self.concurrency < 1:
            raise Malformed("concurrency", found=self.concurrency, expected="1 or more, or None",
                            remedy="Give how many requests are in service at once.")  # fmt: skip
        if not (isfinite(self.ageing_s) and self.ageing_s >= 0 and self.affinity_slack >= 0):
            raise Malformed("ageing_s, affinity_slack", found=(self.ageing_s, self.affinity_slack),
                            expected="numbers of 0 or more", remedy="Mend these terms.")  # fmt: skip
        if self.order is Order.DEADLINE and not all(isfinite(tier.slo.ttft_s) for tier in self.tiers):
            raise Malformed("order deadline", found="a tier without a time to first token", expected="one for each tier",
                            remedy="Give each tier's ttft_s, or choose another order.")  # fmt: skip

    @property
    def most_replicas(self) -> int:
        """Replicas that take arrivals, at most."""
        return self.replicas if self.autoscaling is None else self.autoscaling.replicas_max

    @property
    def rule(self) -> QueueRule:
        """The key of the queue's order.

        Ageing: a tier waits `ageing_s` more than the one above it; a prompt of 1,000 tokens more, likewise.
        """
        flat = tuple(0.0 for _ in self.tiers)
        stairs = tuple(self.ageing_s * tier for tier in range(len(self.tiers)))
        deadlines = tuple(tier.slo.ttft_s for tier in self.tiers)
        return {
            Order.FCFS: QueueRule(tier_wait_s=flat),
            Order.SHORTEST_PROMPT: QueueRule(0.0, 1.0, 0.0, flat),
            Order.SHORTEST_PROMPT_AGED: QueueRule(1.0, self.ageing_s / 1000, 0.0, flat),
            Order.SHORTEST_OUTPUT: QueueRule(0.0, 0.0, 1.0, flat),
            Order.TIER_STRICT: QueueRule(tier_wait_s=flat, strict=True),
            Order.TIER_AGED: QueueRule(tier_wait_s=stairs),
            Order.DEADLINE: QueueRule(tier_wait_s=deadlines),
        }[self.order]
