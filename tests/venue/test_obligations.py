"""What a market maker's quotes are held to (§7.3)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ciyuan.clearing.messages import MakerTerms
from ciyuan.venue.obligations import Best, best_quotes, is_met

TERMS = MakerTerms(spread_bp=200, size_lots=5)


def test_the_best_quote_of_each_account_is_its_best_price_with_all_its_lots_there():
    queue = [(1, 11, 105, 3), (2, 21, 105, 1), (1, 12, 105, 4), (1, 13, 104, 9), (3, 31, 104, 2)]
    assert best_quotes(queue) == {1: (105, 7), 2: (105, 1), 3: (104, 2)}


@pytest.mark.parametrize(
    ("buy", "sell", "met"),
    [
        ((990, 5), (1010, 5), 0),
        ((995, 5), (1005, 5), 1),
        ((990, 5), (1009, 9), 1),
        ((995, 4), (1005, 5), 0),
        ((995, 5), (1005, 4), 0),
        (None, (1005, 5), 0),
        ((995, 5), None, 0),
    ],
)
def test_an_obligation_is_two_sides_close_together_and_large_enough(
    buy: Best | None, sell: Best | None, met: int
):
    """A spread of 20 around 1,000 is 200 bp, and just within; of 20 around 1,000 with 990 and 1,010 it is 200 bp exactly."""
    within = MakerTerms(spread_bp=199, size_lots=5) if met == 0 else TERMS
    assert is_met(buy, sell, within) == bool(met)


@given(st.integers(1, 10**6), st.integers(0, 10**5), st.integers(1, 5000))
def test_the_spread_is_measured_against_the_middle(buy: int, gap: int, spread_bp: int):
    terms = MakerTerms(spread_bp=spread_bp, size_lots=1)
    middle_twice = buy + buy + gap
    assert is_met((buy, 1), (buy + gap, 1), terms) == (gap * 20_000 <= spread_bp * middle_twice)
