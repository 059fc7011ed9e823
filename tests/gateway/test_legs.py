"""Prices by leg through the meter: what vendors' answers cost, to the pico-unit, and never more than was held."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ciyuan.basics.errors import Malformed
from ciyuan.basics.rows import INT64_MAX, Row
from ciyuan.gateway import (
    MeterEvent,
    MeterRefusal,
    PartyRole,
    deliver_row,
    hold_row,
    leg_price_row,
    leg_used_row,
    prices_row,
    void_row,
)
from ciyuan.gateway.leg_prices import LegPrices, Step, cost_pico, usage_rows
from ciyuan.gateway.messages import PIECES_MAX, PRICE_MAX, STEPS_MAX
from ciyuan.gateway.plain_legs import TOLD
from ciyuan.gateway.rating import hold_micro, worst_cost_by_legs
from ciyuan.gateway.usage import Leg, Provenance, Usage, usage_from
from tests.gateway.golden_usage import VECTORS, Golden
from tests.gateway.twins import Twins, a_market, code, list_row, refusal, who

R = MeterRefusal
GRADE = 2
WHO = who(grade=GRADE)
PIECES = {Leg.IMAGES: 3, Leg.SEARCHES: 20, Leg.REQUESTS: 1}


def charged_pico(twins: Twins) -> int:
    """What the first customer was charged, and what is carried."""
    customer = next(row for row in twins.fast.parties.tolist() if row[:2] == [PartyRole.CUSTOMER, 1])
    return int(customer[4] * 10**6 + customer[3])


@pytest.mark.parametrize(
    "vector", VECTORS, ids=[f"{at} {vector.provider} {vector.model}" for at, vector in enumerate(VECTORS)]
)
def test_a_golden_vector_costs_the_same_through_the_meter(vector: Golden):
    twins, usage = a_market(10**12), vector.usage
    assert {code(event) for event in twins.say(*vector.leg_prices().rows(0, 1, GRADE, 0, PIECES))} <= {
        MeterEvent.PRICED,
        MeterEvent.LEG_PRICED,
    }
    twins.say(hold_row(1, 7, WHO, usage.input_tokens, usage.amount(Leg.OUTPUT)))
    twins.say(*usage_rows(2, 7, WHO, usage))
    assert charged_pico(twins) == vector.pico == cost_pico(usage, vector.leg_prices())


PRICES = st.one_of(st.integers(0, 10**7), st.sampled_from([0, 1, 3, 10**9]))


@st.composite
def some_prices(draw: st.DrawFn) -> LegPrices:
    hundredths = draw(st.sampled_from([1, 33, 50, 100]))
    starts = sorted(draw(st.sets(st.integers(0, 3_000), max_size=3)))
    made = [LegPrices(tuple(draw(PRICES) for _ in Leg), hundredths) for _ in range(len(starts) + 1)]
    steps = tuple(Step(start, prices) for start, prices in zip(starts, made[1:], strict=True))
    return LegPrices(made[0].pico, hundredths, steps)


@st.composite
def some_usage(draw: st.DrawFn) -> Usage:
    counts = {leg: draw(st.integers(0, 1_500)) for leg in (*Leg,)[:5]}
    for whole, parts in (
        (Leg.INPUT, (Leg.AUDIO_IN, Leg.IMAGE_IN)),
        (Leg.OUTPUT, (Leg.REASONING, Leg.AUDIO_OUT, Leg.IMAGE_OUT)),
    ):
        left = counts[whole]
        for part in parts:
            counts[part] = draw(st.integers(0, left))
            left -= counts[part]
    counts |= {leg: draw(st.integers(0, most)) for leg, most in PIECES.items()}
    return usage_from(Provenance.SUPPLIER, counts)


@given(some_prices(), st.lists(some_usage(), min_size=1, max_size=3), st.booleans(), st.booleans())
def test_any_usage_costs_what_leg_prices_make_of_it(prices, usages, batch, exact_hold):
    twins = a_market(10**14)
    twins.say(*prices.rows(0, 1, GRADE, 0, PIECES))
    total = 0
    for request, usage in enumerate(usages, 1):
        tokens_in, tokens_out = usage.input_tokens, usage.amount(Leg.OUTPUT)
        spare = 0 if exact_hold else 999
        held = twins.one(hold_row(request, request, WHO, tokens_in + spare, tokens_out + spare))
        worst = worst_cost_by_legs(prices, tokens_in + spare, tokens_out + spare, bounds(prices))
        assert held[7] == hold_micro(worst)
        charge = twins.say(*usage_rows(request, request, WHO, usage, batch=batch))[-1]
        assert code(charge) == MeterEvent.SETTLED
        assert charge[7] <= held[7]
        total += cost_pico(usage, prices, batch=batch)
        assert charged_pico(twins) == total
    restored = twins.fast.snapshot()
    twins.plain.restore(restored)
    twins.fast.restore(restored)
    twins.check_same()


def bounds(prices: LegPrices) -> dict[Leg, int]:
    held = (prices, *(step.prices for step in prices.steps))
    return {leg: most for leg, most in PIECES.items() if any(of.pico[leg] for of in held)}


# --- completing a list ---


def a_list(twins: Twins, begins: int = 0, **prices: int) -> None:
    usual = {"price_in": 10, "price_cached": 1, "price_out": 50} | prices
    assert twins.refused(prices_row(0, 1, GRADE, valid_from_ns=begins, **usual)) is None


def leg_row(leg: int, price: int, *, begins: int = 0, time_ns: int = 0, step: int = 0, bound: int = 0) -> Row:
    return leg_price_row(time_ns, 1, GRADE, leg, price, valid_from_ns=begins, step=step, bound=bound)


def test_a_list_is_completed_once_and_before_its_first_hold():
    twins = a_market()
    assert twins.refused(leg_row(2, 12)) == R.NO_PRICE_LIST
    a_list(twins)
    row = leg_row(2, 12)
    assert twins.one(row) == [MeterEvent.LEG_PRICED, 0, *row[2:]]
    assert twins.one(row) == [MeterEvent.REPEATED, 0, *row[2:]]
    assert twins.refused(leg_row(2, 13)) == R.EXISTS_WITH_DIFFERENT_PRICE
    twins.say(hold_row(5, 1, WHO, 1, 1))
    assert code(twins.one(leg_row(2, 12, time_ns=5))) == MeterEvent.REPEATED
    assert twins.refused(leg_row(3, 12, time_ns=5)) == R.PRICES_BACKDATED
    a_list(twins := a_market(), 9)
    assert twins.refused(leg_row(3, 12, begins=8)) == R.NO_PRICE_LIST
    assert twins.refused(leg_row(3, 12, begins=9)) is None


def test_steps_come_one_after_another_each_further_on():
    twins = a_market()
    a_list(twins)
    assert twins.refused(leg_row(0, 20, step=2, bound=100)) == R.STEP_NOT_NEXT
    assert twins.refused(leg_row(0, 20, step=1, bound=100)) is None
    assert twins.refused(leg_row(1, 20, step=1, bound=99)) == R.EXISTS_WITH_DIFFERENT_STEP
    assert twins.refused(leg_row(0, 30, step=2, bound=100)) == R.STEP_NOT_NEXT
    assert twins.refused(leg_row(0, 30, step=2, bound=101)) is None
    assert twins.refused(leg_row(4, 30, step=1, bound=100)) is None
    for step in range(3, STEPS_MAX + 1):
        assert twins.refused(leg_row(0, 30, step=step, bound=100 * step)) is None
    assert twins.refused(leg_row(0, 30, step=STEPS_MAX + 1, bound=10_000)) == R.STEP_OUT_OF_RANGE


def test_a_hold_is_by_the_dearest_step_that_its_input_can_reach():
    twins = a_market()
    a_list(twins, price_in=10**6, price_cached=0, price_out=0)
    twins.say(leg_row(0, 2 * 10**6, step=1, bound=100), leg_row(0, 10**6, step=2, bound=200))
    for request, (tokens, held) in enumerate(((100, 100), (101, 202), (200, 400), (300, 600)), 1):
        assert twins.one(hold_row(1, request, WHO, tokens, 0))[7] == held + 1
    assert twins.one(deliver_row(2, 4, WHO, 300, 0, 0))[7] == 300
    assert twins.one(deliver_row(2, 3, WHO, 100, 0, 0))[7] == 100


def test_what_a_step_does_not_say_costs_what_it_costs_without_it():
    twins = a_market()
    a_list(twins, price_in=1, price_cached=2, price_out=3)
    twins.say(leg_row(5, 10**6), leg_row(2, 7 * 10**6), leg_row(0, 5 * 10**6, step=1, bound=0))
    twins.say(hold_row(1, 1, WHO, 100, 100), leg_used_row(1, 1, 2, 10), leg_used_row(1, 1, 5, 4))
    twins.say(deliver_row(1, 1, WHO, 30, 5, 9))
    assert charged_pico(twins) == 15 * 5 * 10**6 + 5 * 2 + 10 * 7 * 10**6 + 5 * 3 + 4 * 10**6


def test_a_piece_is_held_for_as_many_as_the_list_lets_a_request_use():
    twins = a_market()
    a_list(twins, price_in=0, price_cached=0, price_out=0)
    assert twins.refused(leg_row(Leg.SEARCHES, 10**10, bound=PIECES_MAX + 1)) == R.PIECES_OUT_OF_RANGE
    twins.say(leg_row(Leg.SEARCHES, 10**10, bound=5), leg_row(Leg.REQUESTS, 5 * 10**9, bound=1))
    assert twins.refused(leg_row(Leg.SEARCHES, 10**10, bound=6)) == R.EXISTS_WITH_DIFFERENT_PIECES
    assert twins.one(hold_row(1, 1, WHO, 0, 0))[7] == 50_000 + 5_000 + 1
    twins.say(leg_used_row(1, 1, Leg.SEARCHES, 6), leg_used_row(1, 1, Leg.REQUESTS, 1))
    assert refusal(twins.one(deliver_row(1, 1, WHO, 0, 0, 0))) == R.EXCEEDS_HOLD
    twins.say(leg_used_row(1, 1, Leg.SEARCHES, 5), leg_used_row(1, 1, Leg.IMAGES, 9_999))  # pictures are free
    assert twins.one(deliver_row(1, 1, WHO, 0, 0, 0))[7] == 55_000


def test_pieces_that_are_dear_can_be_too_dear_to_hold():
    twins = a_market()
    a_list(twins, price_in=1, price_cached=0, price_out=0)
    for leg in (Leg.IMAGES, Leg.SEARCHES, Leg.REQUESTS):
        twins.say(leg_row(leg, 10**15, bound=1_000))
    twins.ledger((102, 0, 2**61, 1, 2, INT64_MAX // 10**6, 0, 0))
    assert twins.one(hold_row(1, 1, WHO, 1, 1))[7] == 3 * 10**12 + 1
    twins.say(list_row(1, 1, grade=3, price_in=PRICE_MAX, price_cached=0, price_out=0))
    twins.say(leg_price_row(1, 1, 3, Leg.IMAGES, 10**15, valid_from_ns=0, bound=1_000))
    most = (INT64_MAX - 10**18) // PRICE_MAX
    assert twins.refused(hold_row(1, 2, who(grade=3), most + 1, 0)) == R.AMOUNT_OVERFLOW
    assert twins.refused(hold_row(1, 3, who(grade=3), most, 0)) == R.INSUFFICIENT_BALANCE


# --- what is told of a request ---


def test_what_is_told_before_a_delivery_replaces_and_after_it_stands():
    twins = a_market()
    a_list(twins)
    twins.say(leg_row(5, 10**6))
    assert twins.refused(leg_used_row(1, 1, 5, 3)) == R.REQUEST_UNKNOWN
    twins.say(hold_row(1, 1, WHO, 100, 100))
    assert twins.one(leg_used_row(1, 1, 5, 0)) == [MeterEvent.REPEATED, 1, 1, 5, 0, 0, 0, 0]
    assert twins.one(leg_used_row(1, 1, 5, 3)) == [MeterEvent.LEG_TOLD, 1, 1, 5, 3, 0, 0, 0]
    assert code(twins.one(leg_used_row(1, 1, 5, 8))) == MeterEvent.LEG_TOLD
    assert refusal(twins.one(deliver_row(1, 1, WHO, 10, 0, 7))) == R.LEGS_EXCEED_WHOLE
    assert code(twins.one(leg_used_row(1, 1, 5, 7))) == MeterEvent.LEG_TOLD
    assert twins.one(deliver_row(1, 1, WHO, 10, 0, 7))[7] == 7
    assert code(twins.one(leg_used_row(2, 1, 5, 7))) == MeterEvent.REPEATED
    assert code(twins.one(leg_used_row(2, 1, 6, 0))) == MeterEvent.REPEATED
    assert twins.refused(leg_used_row(2, 1, 5, 8)) == R.EXISTS_WITH_DIFFERENT_COUNT
    assert code(twins.one(deliver_row(2, 1, WHO, 10, 0, 7))) == MeterEvent.REPEATED


@pytest.mark.parametrize("leg", [Leg.CACHE_WRITE_SHORT, Leg.CACHE_WRITE_LONG, Leg.AUDIO_IN, Leg.IMAGE_IN])
def test_parts_of_input_are_no_more_than_what_was_not_read_from_a_cache(leg):
    twins = a_market()
    a_list(twins)
    twins.say(hold_row(1, 1, WHO, 100, 100), leg_used_row(1, 1, leg, 6))
    assert refusal(twins.one(deliver_row(1, 1, WHO, 10, 5, 0))) == R.LEGS_EXCEED_WHOLE
    assert code(twins.one(deliver_row(1, 1, WHO, 10, 4, 0))) == MeterEvent.SETTLED


def test_of_a_request_that_has_ended_nothing_is_told():
    twins = a_market()
    twins.say(hold_row(1, 1, who(), 9, 9), void_row(1, 1), hold_row(1, 2, who(), 9, 9, 5))
    assert twins.refused(leg_used_row(2, 1, 5, 3)) == R.HOLD_VOIDED
    assert refusal(twins.one(leg_used_row(6, 2, 5, 3))) == R.HOLD_EXPIRED


@pytest.mark.parametrize("leg", [-1, Leg.INPUT, Leg.CACHE_READ, Leg.OUTPUT, 13, 2**40])
def test_a_leg_that_a_delivery_says_is_not_told_apart(leg):
    twins = a_market()
    twins.say(hold_row(1, 1, who(), 9, 9))
    assert twins.refused(leg_used_row(2, 1, leg, 3)) == R.LEG_OUT_OF_RANGE


def test_a_meter_says_which_lists_have_prices_of_legs():
    twins = a_market()
    a_list(twins)
    twins.say(leg_row(5, 10**6))
    assert twins.fast.has_legs.tolist() == [False, False, True]


# --- what cannot be said ---


def test_prices_that_the_meter_has_no_words_for_are_malformed():
    plain = {Leg.INPUT: 1, Leg.OUTPUT: 1}
    steps = tuple(Step(at, LegPrices.of(plain)) for at in range(8))
    with pytest.raises(Malformed, match="at most 7 steps"):
        LegPrices.of(plain, steps=steps).rows(0, 1, 1, 0)
    with pytest.raises(Malformed, match="one batch discount"):
        LegPrices.of(plain, steps=(Step(1, LegPrices.of(plain, batch_hundredths=9)),)).rows(0, 1, 1, 0)
    with pytest.raises(Malformed, match="how many a request may use"):
        LegPrices.of(plain | {Leg.SEARCHES: 5}).rows(0, 1, 1, 0)
    assert len(LegPrices.of(plain | {Leg.REQUESTS: 5}).rows(0, 1, 1, 0)) == 2


def test_columns_of_legs_hold_what_was_told():
    twins = a_market()
    twins.say(hold_row(1, 4, who(), 99, 99), *(leg_used_row(1, 4, leg, 1 + leg) for leg in TOLD))
    assert twins.fast.snapshot()["leg_counts"].tolist() == [[4, *(1 + leg for leg in TOLD)]]
    assert np.array_equal(twins.fast.snapshot()["leg_counts"], twins.plain.snapshot()["leg_counts"])


def test_a_usage_is_told_leg_by_leg_and_then_delivered():
    counts = {
        Leg.INPUT: 5,
        Leg.CACHE_READ: 4,
        Leg.CACHE_WRITE_LONG: 3,
        Leg.OUTPUT: 9,
        Leg.REASONING: 2,
        Leg.IMAGES: 0,
    }
    usage = usage_from(Provenance.SUPPLIER, counts)
    assert usage_rows(1, 7, WHO, usage, batch=True) == [
        leg_used_row(1, 7, Leg.CACHE_WRITE_LONG, 3),
        leg_used_row(1, 7, Leg.REASONING, 2),
        deliver_row(1, 7, WHO, 12, 4, 9, batch=True),
    ]
    with pytest.raises(Malformed, match="a count of input and a count of output"):
        usage_rows(1, 7, WHO, usage.without(Leg.OUTPUT))
