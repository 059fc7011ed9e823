"""Prices: a cost is exact, compared with fractions of a dollar."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ciyuan.basics.errors import Malformed
from ciyuan.basics.grade import ConversionVector
from ciyuan.basics.price import PriceList, standard_price, ticks_half_up
from ciyuan.basics.tokens import MTOK, Legs

PICO_PER_USD = 10**12
MICRO_PER_USD = 10**6

prices = st.integers(0, 10**9)
counts = st.integers(0, 10**9)
requests = st.builds(lambda u, c, o: Legs(u + c, c, o), counts, counts, counts)
lists = st.builds(PriceList, st.just(1), st.just(1), st.just(0), prices, prices, prices, st.integers(0, 100))


def exact_usd(prices: PriceList, legs: Legs) -> Fraction:
    """Dollars of ordinary usage, by the price list read as dollars per MTok."""
    micro = legs.uncached * prices.input + legs.cached * prices.cached + legs.output * prices.output
    return Fraction(micro, MICRO_PER_USD * MTOK)


@given(lists, requests)
def test_a_cost_is_exact(prices: PriceList, legs: Legs) -> None:
    assert Fraction(prices.cost_pico(legs), PICO_PER_USD) == exact_usd(prices, legs)


@given(lists, requests, requests)
def test_costs_add(prices: PriceList, a: Legs, b: Legs) -> None:
    assert prices.cost_pico(a) + prices.cost_pico(b) == prices.cost_pico(a + b)


@given(lists, requests)
def test_batch_prices_round_leg_by_leg(prices: PriceList, legs: Legs) -> None:
    batch = Legs(legs.input, legs.cached, legs.output, batch=True)
    factor = Fraction(prices.batch_hundredths, 100)
    off = Fraction(prices.cost_pico(batch), PICO_PER_USD) - exact_usd(prices, legs) * factor
    half_per_token = Fraction(legs.input + legs.output, 2 * PICO_PER_USD)
    assert -half_per_token <= off <= half_per_token


def test_a_bill_by_hand() -> None:
    """600 uncached at 0.95, 400 cached at 0.16 and 200 out at 4.00 a million: 570 + 64 + 800 micro-dollars."""
    prices = PriceList(1, 1, 0, input=950_000, cached=160_000, output=4_000_000)
    assert prices.cost_pico(Legs(1_000, 400, 200)) == 1_434_000_000
    assert prices.cost_pico(Legs(1_000, 400, 200, batch=True)) == 717_000_000


@given(prices, st.integers(1, 10**12))
def test_a_standard_price_is_the_cost_per_standard_token(price: int, centitokens: int) -> None:
    """Tokens bought at `price` cost price x tokens; the price found is within half a micro-dollar of it."""
    cost_pico = price * centitokens // 100
    exact = Fraction(cost_pico * 100, centitokens)
    assert Fraction(-1, 2) < standard_price(cost_pico, centitokens) - exact <= Fraction(1, 2)


def test_the_standard_price_of_uncached_input_is_the_input_price() -> None:
    prices = PriceList(1, 1, 0, input=950_000, cached=160_000, output=4_000_000)
    legs = Legs(12_345, 0, 0)
    assert standard_price(prices.cost_pico(legs), ConversionVector().standard_centitokens(legs)) == 950_000


@pytest.mark.parametrize("centitokens", [0, -1])
def test_a_price_of_nothing_is_refused(centitokens: int) -> None:
    with pytest.raises(Malformed, match="standard price"):
        standard_price(1, centitokens)


@pytest.mark.parametrize("field", ["input", "cached", "output", "batch_hundredths"])
def test_a_negative_price_is_refused(field: str) -> None:
    asked = {"input": 1, "cached": 1, "output": 1, "batch_hundredths": 1} | {field: -1}
    with pytest.raises(Malformed, match="price list"):
        PriceList(1, 1, 0, **asked)


@pytest.mark.parametrize(
    ("price", "tick", "ticks"), [(1_499, 1_000, 1), (1_500, 1_000, 2), (0, 1_000, 0), (-1_500, 1_000, -1)]
)
def test_ticks_round_half_up(price: int, tick: int, ticks: int) -> None:
    assert ticks_half_up(price, tick) == ticks
