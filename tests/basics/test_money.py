"""Money: the table of its arithmetic, the exactness of the carry, and the one bridge from floats."""

import operator as op
from collections.abc import Callable
from fractions import Fraction
from math import inf, nan

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ciyuan.basics.errors import Malformed
from ciyuan.basics.money import (
    MICRO,
    PICO_PER_MICRO,
    Money,
    carry_charge,
    div_ceil,
    div_floor,
    div_half_up,
    format_micro,
    micro_half_up,
    parse_micro,
)
from ciyuan.basics.rows import INT64_MAX

amounts = st.integers(-INT64_MAX, INT64_MAX)
divisors = st.integers(1, 10**12)


@given(amounts, amounts)
def test_money_adds_subtracts_and_negates(a: int, b: int) -> None:
    left, right = Money(a), Money(b)
    assert left + right == Money(a + b)
    assert left - right == Money(a - b)
    assert -left == Money(-a)
    assert left - right == left + -right


@given(amounts, st.integers(-1_000, 1_000))
def test_money_multiplies_by_whole_numbers(a: int, times: int) -> None:
    assert Money(a) * times == Money(a * times)


@given(amounts, amounts)
def test_money_orders_as_its_amounts(a: int, b: int) -> None:
    left, right = Money(a), Money(b)
    assert (left < right, left <= right, left > right, left >= right) == (a < b, a <= b, a > b, a >= b)


@pytest.mark.parametrize("act", [op.add, op.sub, op.lt, op.le, op.gt, op.ge])
def test_two_currencies_do_not_meet(act: Callable[[Money, Money], object]) -> None:
    with pytest.raises(ValueError, match="two currencies"):
        act(Money(1, "USD"), Money(1, "CNY"))


def test_the_same_amount_of_two_currencies_is_not_equal() -> None:
    assert Money(1, "USD") != Money(1, "CNY")


@pytest.mark.parametrize(
    ("act", "a", "b"),
    [
        (op.truediv, Money(1), 2),
        (op.floordiv, Money(1), 2),
        (op.mul, Money(1), Money(2)),
        (op.mul, Money(1), 1.5),
        (op.add, Money(1), 1),
        (op.add, 1, Money(1)),
        (op.sub, Money(1), 1),
    ],
)
def test_what_the_table_leaves_out_raises(
    act: Callable[[object, object], object], a: object, b: object
) -> None:
    with pytest.raises(TypeError):
        act(a, b)


def test_money_cannot_be_changed() -> None:
    with pytest.raises(AttributeError):
        Money(1).amount_micro = 2  # type: ignore[misc]


@given(amounts, divisors)
def test_each_division_rounds_as_it_says(a: int, b: int) -> None:
    exact = Fraction(a, b)
    assert 0 <= exact - div_floor(a, b) < 1
    assert 0 <= div_ceil(a, b) - exact < 1
    assert Fraction(-1, 2) < div_half_up(a, b) - exact <= Fraction(1, 2)


@pytest.mark.parametrize(
    ("a", "b", "rounded"), [(1, 2, 1), (-1, 2, 0), (3, 2, 2), (-3, 2, -1), (7, 5, 1), (8, 5, 2)]
)
def test_a_half_goes_up(a: int, b: int, rounded: int) -> None:
    assert div_half_up(a, b) == rounded


@given(st.lists(st.integers(0, 10**18), max_size=50))
def test_charges_never_drift_from_the_exact_cost(costs_pico: list[int]) -> None:
    """Blueprint §4: over any number of charges, their sum is the floor of the exact cost, and the rest is the carry."""
    carry, charged = 0, 0
    for cost in costs_pico:
        charge, carry = carry_charge(cost, carry)
        charged += charge
        assert 0 <= carry < PICO_PER_MICRO
        assert charge >= 0
    assert charged * PICO_PER_MICRO + carry == sum(costs_pico)


@given(amounts)
def test_a_text_of_money_reads_back(amount: int) -> None:
    assert parse_micro(format_micro(amount).replace(",", "")) == amount


@pytest.mark.parametrize(
    ("text", "micro"),
    [
        ("1.25", 1_250_000),
        ("-0.000001", -1),
        ("0", 0),
        ("1e3", 10**9),
        ("0.1", 100_000),
        ("9223372036854.775807", INT64_MAX),
    ],
)
def test_text_is_read_exactly(text: str, micro: int) -> None:
    assert parse_micro(text) == micro


@pytest.mark.parametrize(
    "text",
    [
        "1.2345678",
        "0.0000001",
        "1." + "0" * 40 + "1",
        "9223372036854.775808",
        "-1e30",
        "abc",
        "",
        "nan",
        "inf",
        "1,25",
    ],
)
def test_text_that_is_no_amount_is_refused(text: str) -> None:
    with pytest.raises(Malformed, match="amount of money"):
        parse_micro(text)


@pytest.mark.parametrize(
    ("micro", "decimals", "text"),
    [
        (1_234_567_890_000, 2, "1,234,567.89"),
        (-1_500_000, 0, "-1"),  # half up: -1.5 is -1
        (-1_500_001, 0, "-2"),
        (-4_000, 2, "0.00"),
        (5_000, 2, "0.01"),
        (7, 6, "0.000007"),
    ],
)
def test_money_is_shown_with_the_decimals_asked_for(micro: int, decimals: int, text: str) -> None:
    assert format_micro(micro, decimals) == text


def test_money_names_its_currency() -> None:
    assert str(Money(-2_500_000, "CNY")) == "-2.500000 CNY"


@given(st.floats(-9e12, 9e12))
def test_the_bridge_rounds_half_up(units: float) -> None:
    exact = Fraction(units) * MICRO
    assert Fraction(-1, 2) < micro_half_up(units) - exact <= Fraction(1, 2)


@given(st.integers(-(10**9), 10**9))
def test_the_bridge_is_exact_where_the_float_is(amount: int) -> None:
    """Up to a thousand units a float holds micro-units to far below a half of one."""
    assert micro_half_up(amount / MICRO) == amount


@pytest.mark.parametrize("units", [nan, inf, -inf, 1e13, -1e13])
def test_the_bridge_refuses_what_is_no_amount(units: float) -> None:
    with pytest.raises(Malformed, match="64 bits"):
        micro_half_up(units)
