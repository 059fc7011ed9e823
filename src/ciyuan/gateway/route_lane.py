"""A lane: one offer with all that is known of it now, and an attempt that goes through it.

A lane stands in one of these ways, the better ones first; an offer that stands worse is taken only where none stands better:

| standing | when |
|---|---|
| MEETS | it meets its grade's service, as far as is known |
| BELOW | what was measured lately is below the service (`route_watch`) |
| SUSPENDED | it failed its exam (`route_exam`) |
| TOO_LONG | the request is expected to be longer than the context: of several the longest, whose own count is the judge |
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from typing import NamedTuple

from ciyuan.gateway.door_refusals import Protocol
from ciyuan.gateway.route_endings import Result
from ciyuan.gateway.route_exam import Exam, Reason, Verdict
from ciyuan.gateway.route_health import Circuit, CircuitState
from ciyuan.gateway.route_limits import Pool
from ciyuan.gateway.route_measure import MEAN_SHIFT
from ciyuan.gateway.route_offers import Offer, Tier
from ciyuan.gateway.route_policy import RoutePolicy
from ciyuan.gateway.route_price import Prices
from ciyuan.gateway.route_watch import ServiceWatch
from ciyuan.gateway.usage import Leg, Usage

FOR_GOOD = 2**62
"""Later than any time."""
_OUTPUT = int(Leg.OUTPUT)
_ANSWERED, _FAILED, _TIMED_OUT = Result.ANSWERED, Result.FAILED, Result.TIMED_OUT
_LIMITED, _REFUSED_US, _DENIED = Result.LIMITED, Result.REFUSED_US, Result.DENIED
_ADMITTED = Reason.NONE


class Standing(IntEnum):
    """How an offer stands to a request."""

    MEETS = 0
    BELOW = 1
    SUSPENDED = 2
    TOO_LONG = 3


class LaneState(NamedTuple):
    """What is known of an offer now, for people and metrics. Times are 0 and measures None where nothing is known."""

    offer: Offer
    standing: Standing
    circuit: CircuitState
    shut_until_ns: int
    in_flight: int
    ttft_ns_p95: int | None
    output_tokens_per_s_p50: int | None
    input_price: int
    input_price_kept: int
    reason: Reason
    verdict: Verdict | None


@dataclass(slots=True)
class Wanted:
    """A request as the router sees it. `request` is its logical number, which spreads it among equals.

    Sizes are what is expected, `images` pictures. A price limit is of the list, micro-units per MTok; 0: none. `tier` is the
    least that will do; `region` the only one, "" any. `session` stands for the conversation (`session_of`), 0: none. `permits`
    tells whether the key may use a model in a tier (both by name); None: all. `attempts` and `tried` are the router's: what
    was sent already.
    """

    request: int
    model: str
    protocol: Protocol
    input_tokens: int
    output_tokens: int
    tier: Tier = Tier.ANY
    spender: int = 0
    session: int = 0
    region: str = ""
    images: int = 0
    input_price_max: int = 0
    output_price_max: int = 0
    permits: Callable[[str, str], bool] | None = None
    attempts: int = 0
    tried: tuple[int, ...] = ()


class Lane:
    """One offer's circuit, pool, prices, watch and exam."""

    __slots__ = ("circuit", "context_tokens", "counts_tokens", "duration_mean_ns", "exam", "flaw", "flaw_until_ns",
                 "in_flight", "number", "offer", "pool", "prices", "queued", "region", "tier", "watch")  # fmt: skip

    def __init__(self, offer: Offer, pool: Pool, policy: RoutePolicy) -> None:
        self.circuit = Circuit(policy)
        self.watch = ServiceWatch(offer.service, policy.half_life_ns)
        self.exam = Exam(offer.service, policy)
        self.prices = Prices(offer.prices, offer.hit_bp, caches=offer.cache_ns > 0)
        self.in_flight = 0
        self.duration_mean_ns = 0
        self.queued = [0] * len(Tier)
        """How many wait for it, by tier."""
        self.flaw, self.flaw_until_ns = Standing.MEETS, 0
        self.set(offer, pool, policy)

    def set(self, offer: Offer, pool: Pool, policy: RoutePolicy) -> None:
        """Take the offer's terms; what is known of it stays, but for what rests on terms that changed."""
        self.offer, self.pool = offer, pool
        self.circuit.policy = self.exam.policy = policy
        self.watch.half_life_ns = policy.half_life_ns
        self.number, self.tier, self.region = offer.number, offer.tier, offer.region
        self.context_tokens = offer.context_tokens
        self.counts_tokens = pool.counts_tokens
        if self.prices.list != offer.prices:
            self.prices = Prices(offer.prices, offer.hit_bp, caches=offer.cache_ns > 0)

    def opens_at_ns(self, wanted: Wanted, now_ns: int) -> int:
        """When the offer may take that request, as far as can be told: now or later."""
        opens_ns = max(
            now_ns,
            self.circuit.shut_until_ns,
            self.pool.opens_at_ns(wanted.input_tokens + wanted.output_tokens),
        )
        if self.pool.in_flight >= self.pool.concurrent_max:
            opens_ns = max(opens_ns, now_ns + self.duration_mean_ns // self.pool.in_flight)
        return opens_ns

    def unfit(self, wanted: Wanted) -> str:
        """Why the offer is none for that request, whatever the hour; "" if it is one."""
        offer = self.offer
        if offer.tier < wanted.tier:
            return f"in tier {wanted.tier.name.lower()} or above"
        if wanted.region and offer.region != wanted.region:
            return f"in region {wanted.region}"
        if wanted.images and not offer.image_tokens:
            return "that takes pictures"
        prices = offer.prices.for_input(wanted.input_tokens).pico
        if wanted.input_price_max and prices[Leg.INPUT] > wanted.input_price_max:
            return "at or below the highest price given for input"
        if wanted.output_price_max and prices[_OUTPUT] > wanted.output_price_max:
            return "at or below the highest price given for output"
        return ""

    def judge(self) -> None:
        """Say how the offer stands after its watch or its exam has changed."""
        if self.exam.reason is not _ADMITTED:
            self.flaw, self.flaw_until_ns = Standing.SUSPENDED, FOR_GOOD
        else:
            self.flaw, self.flaw_until_ns = Standing.BELOW, self.watch.below_until_ns

    def standing(self, now_ns: int) -> Standing:
        """How it stands."""
        return self.flaw if self.flaw_until_ns > now_ns else Standing.MEETS

    def state(self, now_ns: int) -> LaneState:
        """What is known of it now."""
        watch = self.watch
        return LaneState(
            self.offer,
            self.standing(now_ns),
            self.circuit.state,
            self.circuit.shut_until_ns,
            self.in_flight,
            watch.ttft.quantile(),
            watch.speed_median,
            self.prices.fresh,
            self.prices.kept,
            self.exam.reason,
            self.exam.verdict,
        )


class Attempt:
    """One sending of a request to one supplier. `number` is its place among the request's attempts, from 0."""

    __slots__ = (
        "continued",
        "expected_tokens",
        "first_ns",
        "lane",
        "late",
        "number",
        "over",
        "probe",
        "sent_ns",
        "wanted",
    )

    def __init__(self, lane: Lane, wanted: Wanted, number: int, sent_ns: int) -> None:
        self.lane, self.wanted, self.number, self.sent_ns = lane, wanted, number, sent_ns
        self.first_ns = 0
        self.probe = 0
        self.expected_tokens = 0
        self.late: bool | None = None
        self.continued = self.over = False

    @property
    def offer(self) -> Offer:
        """Where it was sent."""
        return self.lane.offer


def learn(
    attempt: Attempt, result: Result, now_ns: int, usage: Usage | None, retry_after_ns: int
) -> Verdict | None:
    """Tell a lane how an attempt ended; the exam's verdict, if the offer's admission has changed by it."""
    lane, circuit, probe = attempt.lane, attempt.lane.circuit, attempt.probe
    slow: bool | None = None
    if result is _ANSWERED:
        circuit.answered(now_ns, probe)
        mean_ns = lane.duration_mean_ns
        took_ns = now_ns - attempt.sent_ns
        lane.duration_mean_ns = mean_ns + (took_ns - mean_ns >> MEAN_SHIFT) if mean_ns else took_ns
        if usage is not None:
            lane.prices.heard(usage, continued=attempt.continued)
            if attempt.first_ns:
                slow = lane.watch.streamed(
                    (usage.counts[_OUTPUT] or 0) - 1, now_ns - attempt.first_ns, now_ns
                )
    elif result in (_FAILED, _TIMED_OUT, _DENIED):
        circuit.failed(now_ns, probe, retry_after_ns)
    elif result is _LIMITED:
        circuit.limited(now_ns, probe, retry_after_ns)
    elif result is _REFUSED_US:
        circuit.refused_us(now_ns, probe)
    else:
        circuit.nothing_said(now_ns, probe)
    verdict = None
    if result <= _TIMED_OUT:
        changed = lane.exam.ended(now_ns, failed=result is not _ANSWERED, late=attempt.late, slow=slow)
        verdict = lane.exam.verdict if changed else None
    if verdict is not None or slow or lane.flaw_until_ns:
        lane.judge()
    return verdict
