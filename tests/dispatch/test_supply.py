"""Supply: capacity and marginal cost of real sites, power caps as tokens, and what does not fit."""

from dataclasses import replace

import numpy as np
import pytest

from ciyuan.basics.errors import Malformed
from ciyuan.basics.grade import ConversionVector
from ciyuan.dispatch.messages import Supply
from ciyuan.dispatch.supply import marginal_cost, supply_of, usable_tokens
from tests.factory.points import LONG, SHORT, SITE

VECTOR = ConversionVector()


def test_supply_is_full_load_within_the_connection():
    supply = supply_of([SITE, replace(SITE, name="there", pue=1.5)], [SHORT, LONG], [800, 8], VECTOR)
    assert supply.tokens_per_hour_max.tolist() == [800 * 521 * 3600, int(8 * 610.5 * 3600)]
    assert supply.joules_per_token == pytest.approx(np.array([1250 / 521, 1500 / 610.5]))
    assert supply.power_mw_max.tolist() == [1.0, 1.0]
    tokens = usable_tokens(supply, 2)
    assert tokens.tolist() == [[800 * 521 * 3600, int(8 * 610.5 * 3600)]] * 2


def test_the_cap_of_a_site_holds_even_where_it_has_more_gpus():
    supply = supply_of([SITE], [SHORT], [1600], VECTOR)
    assert usable_tokens(supply, 1).tolist() == [[800 * 521 * 3600]]


def test_marginal_cost_is_energy_only():
    prices = np.array([[80.0, -10.0], [0.0, 100.0], [50.0, 50.0]])
    cost = marginal_cost([SITE, replace(SITE, capital_usd_per_gpu_hour=99.0)], [SHORT, SHORT], prices, VECTOR)
    assert cost == pytest.approx(prices * (1250 / 521) / 3600)


@pytest.mark.parametrize("prices", [np.ones(3), np.ones((3, 2))])
def test_a_price_for_each_site_is_needed(prices):
    with pytest.raises(Malformed, match=r"\(hours, 1\)"):
        marginal_cost([SITE], [SHORT], prices, VECTOR)


def bad(**changes) -> Supply:
    given = {
        "tokens_per_hour_max": np.array([1, 2]),
        "joules_per_token": np.ones(2),
        "power_mw_max": np.ones(2),
    }
    return Supply(**(given | changes))


@pytest.mark.parametrize(
    ("supply", "thing"),
    [
        (bad(tokens_per_hour_max=np.array([1, -2])), "capacity in tokens per hour"),
        (bad(tokens_per_hour_max=np.array([1.0, 2.0])), "capacity in tokens per hour"),
        (bad(tokens_per_hour_max=np.ones((4, 2), dtype=np.int64)), "capacity in tokens per hour"),
        (
            bad(tokens_per_hour_max=np.array([2**61, 2**61]), power_mw_max=np.full(2, np.inf)),
            "capacity in tokens per hour",
        ),
        (bad(joules_per_token=np.array([1.0, 0.0])), "joules per token"),
        (bad(joules_per_token=np.ones((1, 2))), "joules per token"),
        (bad(power_mw_max=np.array([1.0, np.nan])), "power cap in MW"),
        (bad(power_mw_max=np.array([1.0, -1.0])), "power cap in MW"),
        (bad(power_mw_max=np.ones(3)), "power cap in MW"),
    ],
)
def test_what_is_no_supply_is_refused(supply, thing):
    with pytest.raises(Malformed) as refused:
        usable_tokens(supply, 3)
    assert refused.value.thing == thing
