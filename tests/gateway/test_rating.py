"""Rating: the list in force, and that a hold always covers its charge."""

from hypothesis import given
from hypothesis import strategies as st

from ciyuan.basics.money import PICO_PER_MICRO, carry_charge
from ciyuan.basics.price import PriceList
from ciyuan.basics.tokens import Legs
from ciyuan.gateway.messages import PRICE_MAX, TOKENS_MAX
from ciyuan.gateway.rating import hold_micro, list_in_force, worst_cost_pico

PRICES = st.integers(0, PRICE_MAX)
TOKENS = st.integers(0, TOKENS_MAX)


def test_the_list_in_force_is_the_one_that_began_last():
    lists = [PriceList(1, 1, begins, begins, 0, 0) for begins in (20, 10, 30)]
    found = [list_in_force(lists, moment) for moment in (9, 10, 19, 20, 29, 30, 99)]
    assert [known and known.input for known in found] == [None, 10, 10, 20, 20, 30, 30]


@given(
    PRICES, PRICES, PRICES, st.integers(1, 100), TOKENS, TOKENS, st.data(), st.integers(0, PICO_PER_MICRO - 1)
)
def test_a_hold_covers_the_charge_of_anything_within_it(
    price_in, cached, price_out, hundredths, most_in, most_out, data, carry
):
    prices = PriceList(1, 1, 0, price_in, cached, price_out, hundredths)
    tokens_in = data.draw(st.integers(0, most_in))
    legs = Legs(
        tokens_in,
        data.draw(st.integers(0, tokens_in)),
        data.draw(st.integers(0, most_out)),
        batch=data.draw(st.booleans()),
    )
    worst = worst_cost_pico(prices, most_in, most_out)
    assert prices.cost_pico(legs) <= worst
    charge, carried = carry_charge(prices.cost_pico(legs), carry)
    assert charge <= hold_micro(worst)
    assert 0 <= carried < PICO_PER_MICRO


@given(TOKENS, TOKENS, PRICES, PRICES)
def test_a_hold_is_no_larger_than_it_needs_to_be(most_in, most_out, price_in, price_out):
    prices = PriceList(1, 1, 0, price_in, 0, price_out)
    worst = worst_cost_pico(prices, most_in, most_out)
    charge, _ = carry_charge(worst, PICO_PER_MICRO - 1)
    assert hold_micro(worst) - charge <= 1
