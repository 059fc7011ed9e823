"""The choice among lanes, and the words for it when there is none: functions of lanes, a request and the time.

`cheapest` is the gateway's inner loop: an offer that costs more than the best so far is passed over before anything else is
asked of it, and the lanes come with the cheaper lists first.

| no offer, because | refusal | come back |
|---|---|---|
| the word means no model here in this protocol | `MODEL_UNKNOWN` | |
| the key may not use any that it means | `NOT_PERMITTED` | |
| none is in that tier, region or price, or takes pictures | `MODEL_UNKNOWN` | |
| all that would do are full, shut or were tried | `SUPPLY_SHORT` | when the first of them is expected to open |
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from ciyuan.basics.money import div_ceil
from ciyuan.basics.time import NS_PER_SECOND
from ciyuan.gateway.door_refusals import DoorRefusal, Refused
from ciyuan.gateway.route_lane import Lane, Standing, Wanted

_WEYL, _LOT = 0x9E3779B97F4A7C15, 0xD1B54A32D192ED03
"""Odd multipliers of 64 bits: the golden ratio's fraction, and another for lots that must not go with it. Multiples of an
irrational number fill an interval evenly (Weyl), so consecutive numbers of requests are spread better than chance would."""
_WORD, _HALF = 2**64 - 1, 32
_WORST = max(Standing) + 1
_TOO_LONG = Standing.TOO_LONG
_LONGEST = 2**62
"""Longer than any context: of those that are too short for a request the longest costs the least."""


class NoOffer(NamedTuple):
    """No supplier now: the refusal for the client, and when to come back (0: time does not mend it)."""

    refused: Refused
    retry_at_ns: int = 0


def spread(request: int, among: int) -> int:
    """A place below `among` (> 0) for a request: the same for the same number, and evenly many requests to each."""
    return ((request * _WEYL & _WORD) >> _HALF) * among >> _HALF


def lot(request: int, among: int) -> int:
    """As `spread`, and independent of it."""
    return ((request * _LOT & _WORD) >> _HALF) * among >> _HALF


def cheapest(
    lanes: Iterable[Lane], wanted: Wanted, now_ns: int, kept: Lane | None = None, *, strict: bool = False
) -> Lane | None:
    """The lane that a request goes to now; None if none can take it. `kept` served its session lately.

    With `strict`, an offer known to be below its service, or suspended, is none.
    """
    tokens_in, tokens_out, tried, tier = wanted.input_tokens, wanted.output_tokens, wanted.tried, wanted.tier
    narrow = bool(
        wanted.region or wanted.images or wanted.input_price_max or wanted.output_price_max or wanted.permits
    )
    best: Lane | None = None
    best_cost, best_flaw = 0, _WORST
    equals: list[Lane] | None = None
    for lane in lanes:
        prices = lane.prices
        if lane is kept or tokens_in > prices.step_above:
            cost = prices.expected_pico(tokens_in, tokens_out, continued=lane is kept)
        else:
            cost = tokens_in * prices.fresh + tokens_out * prices.output + prices.request
        if cost > best_cost and not best_flaw:
            continue
        pool = lane.pool
        if (
            lane.circuit.shut_until_ns > now_ns
            or pool.free_at_ns > now_ns
            or pool.in_flight >= pool.concurrent_max
        ):
            continue
        if lane.tier < tier or (lane.counts_tokens and pool.opens_at_ns(tokens_in + tokens_out) > now_ns):
            continue
        if (tried and lane.number in tried) or (narrow and not _fits(lane, wanted)):
            continue
        flaw = lane.flaw if lane.flaw_until_ns > now_ns else 0
        if flaw and strict:
            continue
        if tokens_in > lane.context_tokens:
            flaw, cost = _TOO_LONG, _LONGEST - lane.context_tokens
        if flaw < best_flaw or (flaw == best_flaw and cost < best_cost):
            best, best_cost, best_flaw, equals = lane, cost, flaw, None
        elif flaw == best_flaw and cost == best_cost and best is not None:
            equals = [best, lane] if equals is None else [*equals, lane]
    if equals is None:
        return best
    return kept if kept in equals else one_of(equals, wanted.request)


def one_of(equals: Sequence[Lane], request: int) -> Lane:
    """One of several that are equal, each by its weight."""
    place = spread(request, sum(lane.offer.weight for lane in equals))
    for lane in equals[:-1]:
        place -= lane.offer.weight
        if place < 0:
            return lane
    return equals[-1]


def on_probation(lanes: Iterable[Lane], wanted: Wanted, now_ns: int, probation_bp: int) -> Lane | None:
    """The suspended lane that this request is drawn for, by its number; None for nearly all requests."""
    if lot(wanted.request, 10_000) >= probation_bp:
        return None
    suspended = [
        lane
        for lane in lanes
        if lane.standing(now_ns) is Standing.SUSPENDED and can_take(lane, wanted, now_ns)
    ]
    return suspended[spread(wanted.request, len(suspended))] if suspended else None


def can_take(lane: Lane, wanted: Wanted, now_ns: int) -> bool:
    """Whether a lane will do for a request and has room for it now."""
    if (
        lane.tier < wanted.tier
        or lane.number in wanted.tried
        or not _fits(lane, wanted)
        or wanted.input_tokens > lane.context_tokens
    ):
        return False
    return lane.opens_at_ns(wanted, now_ns) <= now_ns and lane.pool.in_flight < lane.pool.concurrent_max


def _fits(lane: Lane, wanted: Wanted) -> bool:
    return not lane.unfit(wanted) and _permitted(lane, wanted)


def _permitted(lane: Lane, wanted: Wanted) -> bool:
    return wanted.permits is None or wanted.permits(lane.offer.model, lane.offer.tier.name.lower())


def no_offer(lanes: Sequence[Lane], wanted: Wanted, now_ns: int) -> NoOffer:
    """Why none of these lanes took a request, in words, and when one may."""
    if not lanes:
        return NoOffer(
            Refused(DoorRefusal.MODEL_UNKNOWN, "model", f"The model {wanted.model} does not exist here.")
        )
    permitted = [lane for lane in lanes if _permitted(lane, wanted)]
    if not permitted:
        return NoOffer(Refused(DoorRefusal.NOT_PERMITTED, "model", f"The key may not use {wanted.model}."))
    reasons = dict.fromkeys(lane.unfit(wanted) for lane in permitted)
    if "" not in reasons:
        message = f"No supplier offers {wanted.model} {' and '.join(reasons)}."
        return NoOffer(Refused(DoorRefusal.MODEL_UNKNOWN, "model", message))
    able = [lane for lane in permitted if not lane.unfit(wanted)]
    again = [lane for lane in able if lane.number not in wanted.tried] or able
    opens_ns = max(now_ns + NS_PER_SECOND, min(lane.opens_at_ns(wanted, now_ns) for lane in again))
    seconds = div_ceil(opens_ns - now_ns, NS_PER_SECOND)
    message = f"No supplier has room for {wanted.model} now; come back in {seconds} s."
    return NoOffer(Refused(DoorRefusal.SUPPLY_SHORT, message=message), opens_ns)
