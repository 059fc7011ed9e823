"""Tokens by leg: what adds, and what cannot be counted."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ciyuan.basics.errors import Malformed
from ciyuan.basics.tokens import Legs

counts = st.integers(0, 10**12)


@given(counts, counts, counts, st.booleans())
def test_legs_of_one_request(uncached: int, cached: int, output: int, batch: bool) -> None:
    legs = Legs(uncached + cached, cached, output, batch)
    assert legs.uncached == uncached


@given(counts, counts, counts, counts, counts, counts, st.booleans())
def test_legs_add_leg_by_leg(a: int, b: int, c: int, d: int, e: int, f: int, batch: bool) -> None:
    total = Legs(a + b, b, c, batch) + Legs(d + e, e, f, batch)
    assert total == Legs(a + b + d + e, b + e, c + f, batch)
    assert total.uncached == a + d


def test_batch_and_ordinary_usage_do_not_add() -> None:
    with pytest.raises(ValueError, match="priced apart"):
        Legs(1, 0, 1, batch=True) + Legs(1, 0, 1)


@pytest.mark.parametrize("legs", [(-1, 0, 0), (0, -1, 0), (0, 0, -1), (5, 6, 0)])
def test_what_cannot_be_counted_is_refused(legs: tuple[int, int, int]) -> None:
    with pytest.raises(Malformed, match="Cached tokens are a part of the input"):
        Legs(*legs)
