import pytest

from ciyuan.index.messages import IndexTerms
from ciyuan.index.screen import outliers

TERMS = IndexTerms()


def aside(prices: dict[int, int], terms: IndexTerms = TERMS) -> dict[int, int]:
    """The sellers set aside of sellers at whole prices."""
    return outliers({seller: 2 * price for seller, price in prices.items()}, terms)


@pytest.mark.parametrize(("price", "is_out"), [(1_150, False), (1_151, True), (850, False), (849, True)])
def test_where_the_others_agree_the_band_is_three_floors(price: int, is_out: bool):
    """The others' median is 1000 and their MAD 0: the deviation is 5% of 1000, the band 150."""
    assert aside({1: 1_000, 2: 1_000, 3: 1_000, 4: price}) == ({4: 1_000} if is_out else {})


@pytest.mark.parametrize(("price", "is_out"), [(1_444, False), (1_445, True)])
def test_where_they_differ_it_is_three_robust_deviations(price: int, is_out: bool):
    """The others are 900, 1000, 1100: median 1000, MAD 100, deviation 148.26, band 444.78."""
    assert aside({1: 900, 2: 1_000, 3: 1_100, 4: price}) == ({4: 1_000} if is_out else {})


def test_a_seller_does_not_move_its_own_yardstick():
    assert aside({1: 100, 2: 102, 3: 10**15}) == {3: 101}


def test_two_of_five_far_from_the_others_are_set_aside_and_none_of_the_three():
    assert aside({1: 100, 2: 101, 3: 102, 8: 1, 9: 10**6}) == {8: 102, 9: 101}


def test_without_a_majority_there_is_no_price():
    """Two against two: each is far from most of the others."""
    assert set(aside({1: 100, 2: 100, 8: 1_000, 9: 1_000})) == {1, 2, 8, 9}


def test_a_seller_alone_is_measured_against_nobody():
    assert aside({1: 5}) == {}
    assert aside({}) == {}


def test_two_sellers_are_measured_against_each_other():
    assert aside({1: 1_000, 2: 1_160}) == {2: 1_000}
    assert aside({1: 1_000, 2: 1_180}) == {1: 1_180, 2: 1_000}


def test_the_others_median_is_rounded_half_up():
    assert aside({1: 100, 2: 101, 3: 10_000}) == {3: 101}
    assert aside({1: 100, 2: 100, 3: 101, 4: 101, 9: 10_000}) == {9: 101}


def test_the_terms_say_how_many_deviations_and_which_floor():
    prices = {1: 1_000, 2: 1_000, 3: 1_000, 4: 1_060}
    assert aside(prices) == {}
    assert aside(prices, IndexTerms(deviations_max=1)) == {4: 1_000}
    assert aside(prices, IndexTerms(scale_floor_bp=100)) == {4: 1_000}
    assert aside({1: 1_000, 2: 1_000, 3: 1_001}, IndexTerms(scale_floor_bp=0)) == {3: 1_000}
