"""The factories of a month: an hour that nobody can serve is named, and who serves follows the plan."""

import numpy as np
import pytest

from ciyuan.basics.errors import Malformed
from ciyuan.basics.grade import CENTI, ConversionVector
from ciyuan.basics.time import NS_PER_HOUR
from ciyuan.factory.messages import Provenance, ServingPoint, Site
from ciyuan.simulation.plant import Plant, build_plant
from ciyuan.simulation.scenario import Scenario
from ciyuan.simulation.traffic import Traffic, with_limits

START = 1_790_000_000 * 10**9
HOURS = 6
VECTOR = ConversionVector()
SCENARIO = Scenario()
GPUS = (8, 16)


def site(name: str, capital: float) -> Site:
    return Site(name, name, f"{name} owner", "ZONE", "chip", "fp8", "medium", 100.0, 1.2, capital)


def point() -> ServingPoint:
    figures = (1000.0, 250.0, 1000.0, 50.0, 500.0, 8, 1000.0)
    return ServingPoint(
        "chip", "model", "fp8", "medium", *figures, "any", Provenance.MEASURED, "test", "2026-11-21"
    )


def requests(hour: np.ndarray, tokens: int) -> Traffic:
    """Requests of `tokens` input tokens each, spread over their hours."""
    n = len(hour)
    zeros = np.zeros(n, dtype=np.int64)
    at = np.sort(START + hour.astype(np.int64) * NS_PER_HOUR + np.arange(n, dtype=np.int64) % NS_PER_HOUR)
    return with_limits(at, zeros, zeros + tokens, zeros, zeros)


def plant(traffic: Traffic, power: np.ndarray | None = None, scenario: Scenario = SCENARIO) -> Plant:
    prices = np.tile([40.0, 80.0], (HOURS, 1)) if power is None else power
    return build_plant(
        scenario, [site("a", 1.0), site("b", 2.0)], [point(), point()], GPUS, prices, traffic, START, VECTOR
    )


def capacity() -> list[int]:
    """Standard tokens an hour: each GPU makes 1,000 output and 4,000 input tokens a second."""
    return [int(3600 * gpus * (4000 + 1000 * VECTOR.output / CENTI)) for gpus in GPUS]


def test_capacity_is_what_the_chips_make_in_an_hour():
    found = plant(requests(np.zeros(0), 1))
    assert found.capacity_tokens.tolist() == capacity()
    assert found.demand_tokens.tolist() == [0] * HOURS
    assert len(found.supplier) == 0
    assert (found.cost_usd_per_mtok[:, 0] < found.cost_usd_per_mtok[:, 1]).all()


def test_an_hour_that_nobody_can_serve_is_named():
    hours = np.array([0, 1, 3, 3])
    tokens = sum(capacity()) // 2 + 1
    with pytest.raises(Malformed, match="hour 3 of the month") as caught:
        plant(requests(hours, tokens))
    assert caught.value.found == f"{2 * tokens:,} standard tokens asked for"
    assert f"{sum(capacity()):,}" in caught.value.expected
    assert "Ask for fewer requests" in caught.value.remedy
    assert plant(requests(hours, tokens - 1)).plan.unserved.tolist() == [0] * HOURS


def test_the_cheaper_site_serves_all_that_it_can():
    found = plant(requests(np.repeat(np.arange(HOURS), 50), capacity()[0] // 50))
    assert set(found.supplier.tolist()) == {0}
    dear_first = plant(requests(np.repeat(np.arange(HOURS), 50), 1000), np.tile([90.0, 80.0], (HOURS, 1)))
    assert set(dear_first.supplier.tolist()) == {1}


def test_the_share_of_each_site_follows_the_plan():
    n = 4000
    found = plant(requests(np.repeat(2, n), 3 * capacity()[0] // 2 // n))
    planned = found.plan.allocation[2] / found.plan.allocation[2].sum()
    assert planned.tolist() == pytest.approx([2 / 3, 1 / 3], abs=0.001)
    assert np.bincount(found.supplier) / n == pytest.approx(planned, abs=0.03)


def test_each_hour_has_its_own_merit_order():
    power = np.tile([40.0, 80.0], (HOURS, 1))
    power[3] = [80.0, 40.0]
    found = plant(requests(np.repeat(np.arange(HOURS), 10), 1000), power)
    assert found.supplier.tolist() == [0] * 30 + [1] * 10 + [0] * 20
    assert found.power_usd_per_mwh is power


def test_the_draw_is_the_seeds():
    traffic = requests(np.repeat(2, 500), 3 * capacity()[0] // 2 // 500)
    one, again, other = (plant(traffic, scenario=Scenario(seed=seed)).supplier.tolist() for seed in (1, 1, 2))
    assert one == again != other


def test_a_request_of_nothing_is_served_by_someone():
    assert set(plant(requests(np.array([1, 4]), 0)).supplier.tolist()) <= {0, 1}
