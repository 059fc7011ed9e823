"""The choice against an obvious one written out, the spread of requests among equals, and what is said when there is no offer."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ciyuan.basics.time import NS_PER_MINUTE, NS_PER_SECOND
from ciyuan.gateway.door_refusals import DoorRefusal
from ciyuan.gateway.route_choice import cheapest, lot, no_offer, on_probation, spread
from ciyuan.gateway.route_exam import Reason
from ciyuan.gateway.route_lane import Lane, Standing
from ciyuan.gateway.route_limits import Pool
from ciyuan.gateway.route_offers import Limits, Tier
from ciyuan.gateway.route_policy import RoutePolicy
from tests.gateway.routes import NOW, offer, priced, wanted


def lane(**terms):
    made = offer(**terms)
    return Lane(made, Pool(made.limits), RoutePolicy())


@st.composite
def lanes(draw, supplier):
    made = lane(
        supplier=supplier,
        tier=draw(st.sampled_from((Tier.FREE, Tier.HIGH))),
        prices=priced(draw(st.integers(0, 3)) * 10**6, draw(st.integers(0, 3)) * 10**6),
        region=draw(st.sampled_from(("", "eu"))),
        image_tokens=draw(st.sampled_from((0, 500))),
        context=draw(st.sampled_from((100, 500, 10_000))),
        limits=draw(
            st.sampled_from(
                (Limits(), Limits(1), Limits(requests_per_minute=1), Limits(tokens_per_minute=1_500))
            )
        ),
        cache_ns=draw(st.sampled_from((0, 1))),
        hit_bp=5_000,
        weight=draw(st.integers(1, 3)),
    )
    if draw(st.booleans()):
        made.pool.take(draw(st.sampled_from((0, 1_000))), NOW)
    made.circuit.shut_until_ns = NOW + draw(st.integers(-1, 1))
    made.watch.below_until_ns = NOW + draw(st.integers(-1, 1))
    made.exam.reason = draw(st.sampled_from((Reason.NONE, Reason.NONE, Reason.TTFT)))
    made.judge()
    return made


def obvious(candidates, asked, kept, strict):
    """The best of those that can take a request, by what a reader of docs/spec/routing.md would do; all of them if equal."""
    able = []
    for one in candidates:
        if one.circuit.shut_until_ns > NOW or one.pool.in_flight >= one.pool.concurrent_max:
            continue
        if one.pool.opens_at_ns(asked.input_tokens + asked.output_tokens) > NOW or one.number in asked.tried:
            continue
        if one.unfit(asked) or (
            asked.permits and not asked.permits(one.offer.model, one.offer.tier.name.lower())
        ):
            continue
        standing = one.standing(NOW)
        if strict and standing is not Standing.MEETS:
            continue
        if asked.input_tokens > one.context_tokens:
            able.append(((Standing.TOO_LONG, -one.context_tokens), one))
            continue
        cost = one.prices.expected_pico(asked.input_tokens, asked.output_tokens, continued=one is kept)
        able.append(((standing, cost), one))
    best = min((key for key, _ in able), default=None)
    return [one for key, one in able if key == best]


@given(st.data())
def test_the_choice_is_the_obvious_one(data):
    candidates = [data.draw(lanes(supplier)) for supplier in range(1, data.draw(st.integers(1, 6)) + 1)]
    asked = wanted(
        data.draw(st.integers(0, 2**56)),
        tokens=(data.draw(st.sampled_from((0, 50, 1_000))), data.draw(st.sampled_from((0, 200)))),
        tier=data.draw(st.sampled_from((Tier.ANY, Tier.MEDIUM))),
        region=data.draw(st.sampled_from(("", "eu"))),
        images=data.draw(st.sampled_from((0, 0, 2))),
        input_price_max=data.draw(st.sampled_from((0, 0, 2 * 10**6))),
        output_price_max=data.draw(st.sampled_from((0, 0, 2 * 10**6))),
        permits=data.draw(st.sampled_from((None, lambda model, tier: tier == "high"))),
        tried=tuple(one.number for one in candidates if data.draw(st.booleans())),
    )
    kept = data.draw(st.sampled_from([None, *candidates]))
    strict = data.draw(st.booleans())
    best = obvious(candidates, asked, kept, strict)
    found = cheapest(candidates, asked, NOW, kept, strict=strict)
    if not best:
        assert found is None
    elif kept in best:
        assert found is kept
    else:
        assert found in best
    assert cheapest(candidates, asked, NOW, kept, strict=strict) is found, "the same again"


@given(st.integers(0, 2**56), st.lists(st.integers(1, 5), min_size=1, max_size=5))
def test_requests_in_a_row_are_spread_by_weight_evenly(first, weights):
    equals = [lane(supplier=place, weight=weight) for place, weight in enumerate(weights, 1)]
    counts = dict.fromkeys(equals, 0)
    total = 60 * sum(weights)
    for request in range(first, first + total):
        found = cheapest(equals, wanted(request), NOW)
        counts[found] += 1
    for one, weight in zip(equals, weights, strict=True):
        assert abs(counts[one] - 60 * weight) <= 12, "chance would stray by twice as much"


@given(st.integers(0, 2**60), st.integers(1, 10**6))
def test_places_are_below_their_bound(request, among):
    assert 0 <= spread(request, among) < among
    assert 0 <= lot(request, among) < among


@pytest.mark.parametrize("step", [1, 16])
def test_lots_fall_as_often_as_they_should_and_not_by_the_same_requests(step):
    drawn = [request for request in range(0, 100_000 * step, step) if lot(request, 10_000) < 200]
    assert len(drawn) == pytest.approx(2_000, abs=40)
    assert sum(spread(request, 2) for request in drawn) == pytest.approx(1_000, abs=100)


def test_a_suspended_offer_is_drawn_for_its_share_and_only_if_it_can():
    good, bad, full = lane(supplier=1), lane(supplier=2), lane(supplier=3, limits=Limits(1))
    full.pool.take(0, NOW)
    for one in (bad, full):
        one.exam.reason = Reason.SPEED
        one.judge()
    drawn = [on_probation([good, bad, full], wanted(request), NOW, 200) for request in range(10_000)]
    assert drawn.count(bad) == pytest.approx(200, abs=5)
    assert drawn.count(None) == 10_000 - drawn.count(bad)
    assert {on_probation([good], wanted(request), NOW, 10_000) for request in range(50)} == {None}


def told(candidates, asked):
    found = no_offer(candidates, asked, NOW)
    return found.refused.refusal, found.refused.message, found.retry_at_ns


def test_what_is_not_there_is_told_in_words():
    only = lane(tier=Tier.MEDIUM, region="us")
    unknown, denied = DoorRefusal.MODEL_UNKNOWN, DoorRefusal.NOT_PERMITTED
    assert told([], wanted()) == (unknown, "The model kimi does not exist here.", 0)
    assert told([only], wanted(tier=Tier.ULTRA)) == (
        unknown,
        "No supplier offers kimi in tier ultra or above.",
        0,
    )
    assert told([only], wanted(region="eu")) == (unknown, "No supplier offers kimi in region eu.", 0)
    assert told([only], wanted(images=1)) == (unknown, "No supplier offers kimi that takes pictures.", 0)
    message = "No supplier offers kimi at or below the highest price given for input."
    assert told([only], wanted(input_price_max=1)) == (unknown, message, 0)
    message = "No supplier offers kimi at or below the highest price given for output."
    assert told([only], wanted(output_price_max=1)) == (unknown, message, 0)
    assert told([only], wanted(permits=lambda *_: False)) == (denied, "The key may not use kimi.", 0)
    both = told([only, lane(supplier=2, region="eu", tier=Tier.FREE)], wanted(region="eu", tier=Tier.MEDIUM))
    assert both[1] == "No supplier offers kimi in region eu and in tier medium or above."


def test_who_finds_no_room_is_told_when_the_first_opens():
    shut, slow = lane(supplier=1), lane(supplier=2, limits=Limits(requests_per_minute=3))
    shut.circuit.limited(NOW, retry_after_ns=12 * NS_PER_SECOND)
    for _ in range(3):
        slow.pool.take(0, NOW)
    message = "No supplier has room for kimi now; come back in 12 s."
    assert told([shut, slow], wanted()) == (DoorRefusal.SUPPLY_SHORT, message, NOW + 12 * NS_PER_SECOND)
    assert told([slow], wanted())[2] == NOW + 20 * NS_PER_SECOND
    assert told([shut, slow], wanted(tried=(shut.number,)))[2] == NOW + 20 * NS_PER_SECOND
    full = lane(supplier=3, limits=Limits(2))
    full.duration_mean_ns = NS_PER_MINUTE
    full.pool.take(0, NOW)
    full.pool.take(0, NOW)
    assert told([full], wanted())[2] == NOW + 30 * NS_PER_SECOND, (
        "of two that take a minute, the next ends in half of one"
    )
    assert told([lane()], wanted(tried=(offer().number,)))[2] == NOW + NS_PER_SECOND, (
        "never sooner than a second"
    )
