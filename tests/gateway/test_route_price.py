"""The effective price follows what the cache saves; without a cache it is the list's to the pico-unit."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ciyuan.gateway.leg_prices import LegPrices, Step, cost_pico
from ciyuan.gateway.route_price import PRIOR_TOKENS, CacheShares, Prices
from ciyuan.gateway.usage import Leg
from tests.gateway.routes import priced, used

LIST = priced(1_000_000, 4_000_000, cached=100_000, cache_write_short=1_250_000, requests=7)
TOKENS = st.integers(0, 1_000_000)


@given(TOKENS, TOKENS)
def test_without_a_cache_the_expected_cost_is_the_lists(tokens_in, tokens_out):
    prices = Prices(LIST)
    expected = tokens_in * 1_000_000 + tokens_out * 4_000_000 + 7
    assert prices.expected_pico(tokens_in, tokens_out) == expected
    assert prices.expected_pico(tokens_in, tokens_out, continued=True) == expected


@given(TOKENS, TOKENS)
def test_a_step_holds_for_the_whole_call(tokens_in, tokens_out):
    dear = priced(2_000_000, 6_000_000)
    stepped = LegPrices(priced().pico, steps=(Step(200_000, dear),))
    usage = used(tokens_in, tokens_out)
    assert Prices(stepped).expected_pico(tokens_in, tokens_out) == cost_pico(usage, stepped)


def test_what_is_declared_is_expected_of_continued_sessions_only():
    prices = Prices(LIST, 8_000, caches=True)
    assert prices.fresh == 1_000_000
    assert prices.kept == 280_000
    assert Prices(LIST, 8_000, caches=False).kept == 1_000_000


def test_measured_shares_take_the_place_of_what_was_declared():
    prices = Prices(LIST, 8_000, caches=True)
    for _ in range(400):
        prices.heard(used(1_000, 10, read=0), continued=True)
        prices.heard(used(1_000, 10, read=500, written=250), continued=False)
    assert prices.kept == pytest.approx(1_000_000, rel=0.02)
    assert prices.fresh == pytest.approx(0.25 * 1_000_000 + 0.5 * 100_000 + 0.25 * 1_250_000, rel=0.02)


def test_a_call_weighs_by_its_tokens():
    shares = CacheShares()
    shares.heard(90 * PRIOR_TOKENS, 0, 90 * PRIOR_TOKENS)
    shares.heard(0, 0, 9 * PRIOR_TOKENS)
    assert shares.read_bp == 9_000


def test_what_has_no_input_or_no_cache_tells_nothing():
    prices = Prices(LIST, 8_000, caches=True)
    prices.heard(used(0, 10), continued=True)
    assert prices.continued.calls == 0
    plain = Prices(LIST)
    plain.heard(used(1_000, 10), continued=False)
    assert plain.other.calls == 0
    plain.heard(used(1_000, 10, read=10), continued=False)
    assert plain.other.calls == 1, "a cache that nobody declared is one all the same"


@given(
    st.lists(
        st.tuples(st.integers(0, 10**6), st.integers(0, 10**6), st.integers(0, 10**6), st.booleans()),
        max_size=200,
    )
)
def test_prices_stay_between_the_cheapest_and_the_dearest_leg(calls):
    prices = Prices(LIST, 5_000, caches=True)
    for plain, read, written, continued in calls:
        prices.heard(used(plain + read + written, 1, read, written), continued=continued)
        for shares in (prices.other, prices.continued):
            assert 0 <= shares.read + shares.written <= shares.whole
        assert LIST.pico[Leg.CACHE_READ] <= min(prices.fresh, prices.kept)
        assert max(prices.fresh, prices.kept) <= LIST.pico[Leg.CACHE_WRITE_SHORT]
