"""Rates and the splits that need no optimiser."""

import numpy as np
import pytest

from ciyuan.basics.errors import Malformed
from ciyuan.factory.demand import FlatDemand
from ciyuan.factory.tiers import TierRate, TierRates, equal_split, unlimited_demand
from tests.factory.plants import PLANT, cell

TOKENS = np.array([[4.0, 2.0], [1.0, 0.0]])


def test_an_equal_split_leaves_idle_what_a_chip_cannot_serve():
    rates = TierRates(("a", "b"), ("slow", "fast"), TOKENS, np.ones((2, 2)), np.zeros((2, 2)))
    assert equal_split(rates, np.array([10.0, 6.0])).tolist() == [[5.0, 5.0], [3.0, 0.0]]


def test_unlimited_demand_is_the_list_price_for_any_amount():
    assert unlimited_demand(PLANT.tiers) == (FlatDemand(0.0), FlatDemand(2.0), FlatDemand(90.0))


def test_rates_that_are_no_rates_are_refused():
    with pytest.raises(Malformed, match="tokens_per_s"):
        TierRates(("a", "b"), ("slow", "fast"), -TOKENS, np.ones((2, 2)), np.zeros((2, 2)))
    with pytest.raises(Malformed, match="watts"):
        TierRates(("a", "b"), ("slow", "fast"), TOKENS, np.ones((2, 1)), np.zeros((2, 2)))
    with pytest.raises(Malformed, match="usd_per_hour"):
        TierRates(("a", "b"), ("slow", "fast"), TOKENS, np.ones((2, 2)), np.full((2, 2), np.nan))


def test_a_band_holds_the_rate():
    good = cell("new", "free", 10.0, 100.0)
    with pytest.raises(Malformed, match="band"):
        TierRate("free", good.rates, good.site, 1.1, 1.2)
