"""What a usage costs: golden vectors of ten vendors against genai-prices, and the laws of prices by leg."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest
from genai_prices.data import providers
from genai_prices.types import ModelInfo, ModelPrice
from hypothesis import given
from hypothesis import strategies as st

from ciyuan.basics.errors import Malformed
from ciyuan.basics.price import PriceList
from ciyuan.gateway.claims import chat_claim, messages_claim
from ciyuan.gateway.leg_prices import PLAUSIBLE_MAX, PLAUSIBLE_MIN, LegPrices, Step, cost_pico
from ciyuan.gateway.rating import list_in_force
from ciyuan.gateway.usage import Leg, Provenance, Usage, usage_from
from tests.gateway.golden_usage import VECTORS, Golden, deepseek

IDS = [f"{number} {vector.provider} {vector.model} {vector.note}" for number, vector in enumerate(VECTORS)]


def test_there_are_vectors_of_every_vendor():
    assert len(VECTORS) >= 40
    assert {"openai", "anthropic", "deepseek", "moonshotai", "google", "x-ai"} <= {
        vector.provider for vector in VECTORS
    }


@pytest.mark.parametrize("vector", VECTORS, ids=IDS)
def test_a_golden_vector_costs_what_it_cost(vector: Golden):
    assert vector.claim.fault is None
    assert cost_pico(vector.usage, vector.leg_prices()) == vector.pico


@pytest.mark.parametrize("vector", VECTORS, ids=IDS)
def test_a_golden_vector_costs_what_genai_prices_says(vector: Golden):
    assert vector.theirs_pico() == vector.pico


@pytest.mark.parametrize("vector", VECTORS, ids=IDS)
def test_the_meters_own_list_charges_the_same_where_it_has_words_for_the_prices(vector: Golden):
    """The meter knows input, cached input and output; what a list of these cannot say, `as_price_list` does not pretend."""
    plain = vector.leg_prices().as_price_list(1, 1, 0)
    if plain is not None:
        assert plain.cost_pico(vector.usage.meter_legs()) == vector.pico
    else:
        assert vector.provider in {
            "openai",
            "anthropic",
            "google",
            "minimax",
            "moonshotai",
            "x-ai",
            "perplexity",
        }


def test_the_cache_is_not_paid_for_twice():
    """litellm#14849: by the prices used there the call cost 0.1849 dollars, and 0.7642 were booked."""
    said = {
        "total_tokens": 264_704,
        "prompt_tokens": 262_960,
        "completion_tokens": 1_744,
        "prompt_tokens_details": {"text_tokens": 262_960, "cached_tokens": 257_955},
        "completion_tokens_details": {"reasoning_tokens": 0},
    }
    prices = LegPrices.per_mtok({Leg.INPUT: "1.25", Leg.CACHE_READ: "0.625", Leg.OUTPUT: "10"})
    usage = chat_claim(said).usage
    assert usage is not None
    assert usage.of(Leg.INPUT) == 262_960 - 257_955
    assert cost_pico(usage, prices) == 184_918_125_000


def test_the_same_call_costs_the_same_whichever_way_the_vendor_counts_the_cache():
    inside = chat_claim({"prompt_tokens": 1_100, "completion_tokens": 7, "total_tokens": 1_107,
                         "prompt_tokens_details": {"cached_tokens": 1_000}}).usage  # fmt: skip
    beside = messages_claim({"input_tokens": 100, "cache_read_input_tokens": 1_000, "output_tokens": 7}).usage
    assert inside is not None
    assert beside is not None
    assert inside.meter_legs() == beside.meter_legs()


def test_prices_by_the_time_of_day_are_dated_lists_one_after_another():
    """DeepSeek's night of 20 November 2026 as three of the meter's lists. The list in force at the HOLD rates the request.

    What a list cannot say is that this comes again every day: two lists a day, and 65,535 in all, last 89 years for one
    supplier's grade and one year for 90 of them.
    """
    day, night = (270_000, 70_000, 1_100_000), (135_000, 35_000, 550_000)
    starts = ((0, 30, day), (16, 30, night))
    lists = [
        PriceList(1, 1, ns(number, hour, minute), *prices)
        for number in (20, 21)
        for hour, minute, prices in starts
    ]
    usage = chat_claim(deepseek(64, 36, 50)).usage
    assert usage is not None
    for hour, minute, expected in (
        (12, 0, 69_200_000),
        (16, 29, 69_200_000),
        (16, 30, 34_600_000),
        (23, 59, 34_600_000),
    ):
        held = list_in_force(lists, ns(20, hour, minute))
        assert held is not None
        assert held.cost_pico(usage.meter_legs()) == expected


def ns(day: int, hour: int, minute: int) -> int:
    return int(datetime(2026, 11, day, hour, minute, tzinfo=UTC).timestamp()) * 10**9


def test_a_leg_without_a_price_falls_back():
    prices = LegPrices.of({Leg.INPUT: 3, Leg.OUTPUT: 15, Leg.CACHE_WRITE_SHORT: 4})
    assert prices.pico == (3, 3, 4, 4, 15, 15, 3, 15, 3, 15, 0, 0, 0)


def test_a_step_is_a_cliff_and_all_input_counts():
    dear = LegPrices.of({Leg.INPUT: 6, Leg.OUTPUT: 20})
    prices = LegPrices.of({Leg.INPUT: 3, Leg.CACHE_READ: 1, Leg.OUTPUT: 15}, steps=(Step(100, dear),))
    below = usage_from(Provenance.SUPPLIER, {Leg.INPUT: 60, Leg.CACHE_READ: 40, Leg.OUTPUT: 1})
    above = usage_from(Provenance.SUPPLIER, {Leg.INPUT: 60, Leg.CACHE_READ: 41, Leg.OUTPUT: 1})
    assert cost_pico(below, prices) == 180 + 40 + 15
    assert cost_pico(above, prices) == 101 * 6 + 20


def test_batch_is_a_price_rounded_half_up_as_the_meter_has_it():
    prices = LegPrices.of({Leg.INPUT: 3, Leg.OUTPUT: 5})
    usage = usage_from(Provenance.SUPPLIER, {Leg.INPUT: 10, Leg.OUTPUT: 10})
    plain = prices.as_price_list(1, 1, 0)
    assert plain is not None
    assert (
        cost_pico(usage, prices, batch=True)
        == plain.cost_pico(usage.meter_legs(batch=True))
        == 10 * 2 + 10 * 3
    )


def test_what_nobody_counted_is_not_charged():
    prices = LegPrices.of({Leg.INPUT: 3, Leg.OUTPUT: 5})
    with pytest.raises(Malformed, match="a count of input and a count of output"):
        cost_pico(usage_from(Provenance.SUPPLIER, {Leg.INPUT: 10}), prices)


@pytest.mark.parametrize(
    ("prices", "what"),
    [
        ({Leg.INPUT: 1}, "a price of INPUT and of OUTPUT"),
        ({Leg.INPUT: -1, Leg.OUTPUT: 1}, "prices of 0 or more"),
        ({Leg.INPUT: 10**12 + 1, Leg.OUTPUT: 1}, "at most"),
        ({Leg.INPUT: 1, Leg.OUTPUT: 1, Leg.SEARCHES: 10**15 + 1}, "at most"),
    ],
)
def test_a_price_that_cannot_be_is_malformed(prices, what):
    with pytest.raises(Malformed, match=what):
        LegPrices.of(prices)


def test_steps_come_in_order_and_not_inside_one_another():
    plain = LegPrices.of({Leg.INPUT: 1, Leg.OUTPUT: 1})
    stepped = LegPrices.of({Leg.INPUT: 1, Leg.OUTPUT: 1}, steps=(Step(5, plain),))
    for steps in ((Step(5, plain), Step(5, plain)), (Step(6, plain), Step(5, plain)), (Step(1, stepped),)):
        with pytest.raises(Malformed, match="steps in order"):
            LegPrices.of({Leg.INPUT: 1, Leg.OUTPUT: 1}, steps=steps)


def test_a_price_typed_for_the_wrong_number_of_tokens_is_seen():
    """Case 25: a price per million typed where one per token was asked for is a million times off, and outside the band."""
    right = LegPrices.per_mtok({Leg.INPUT: "2.5", Leg.OUTPUT: "10"})
    assert right.implausible() == ()
    assert Leg.INPUT in LegPrices.of({Leg.INPUT: 2, Leg.OUTPUT: 10}).implausible()
    with pytest.raises(Malformed, match="at most"):
        LegPrices.per_mtok({Leg.INPUT: "2500000", Leg.OUTPUT: "10000000"})


def test_the_band_holds_what_is_posted():
    """Of all prices of input and output above 0 that genai-prices knows, at most one in a hundred lies outside it."""
    prices = [
        int(price * 10**6)
        for provider in providers
        for model in provider.models
        for price in (current(model).input_mtok, current(model).output_mtok)
        if isinstance(price, Decimal) and price > 0
    ]
    assert len(prices) > 3_000
    assert sum(not PLAUSIBLE_MIN <= price <= PLAUSIBLE_MAX for price in prices) * 100 <= len(prices)


def current(model: ModelInfo) -> ModelPrice:
    return model.get_prices(datetime(2026, 11, 21, tzinfo=UTC))


COUNT = st.integers(0, 10**7)


@given(COUNT, COUNT, COUNT, COUNT, COUNT, st.data())
def test_each_token_is_paid_for_once(plain, read, short, lasting, out, data):
    """With one price for all tokens the cost is that price times the tokens, whatever parts they have."""
    reasoning = data.draw(st.integers(0, out))
    sound = data.draw(st.integers(0, plain))
    usage = usage_from(
        Provenance.SUPPLIER,
        {
            Leg.INPUT: plain, Leg.CACHE_READ: read, Leg.CACHE_WRITE_SHORT: short, Leg.CACHE_WRITE_LONG: lasting,
            Leg.OUTPUT: out, Leg.REASONING: reasoning, Leg.AUDIO_IN: sound,
            Leg.IMAGE_OUT: data.draw(st.integers(0, out - reasoning)),
        },
    )  # fmt: skip
    prices = LegPrices.of({Leg.INPUT: 7, Leg.OUTPUT: 7})
    assert cost_pico(usage, prices) == 7 * (plain + read + short + lasting + out)


def test_more_parts_than_the_whole_is_malformed():
    usage = Usage((1, None, None, None, 1, 1, None, 1, None, None, None, None, None), 0)
    with pytest.raises(Malformed, match="together no more than their whole"):
        cost_pico(usage, LegPrices.of({Leg.INPUT: 1, Leg.OUTPUT: 1}))
