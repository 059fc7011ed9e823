"""What a token is worth: a path that begins where it is told, and a bridge within each day that ends where the next begins."""

from dataclasses import replace

import numpy as np
import pytest

from ciyuan.simulation.scenario import Scenario
from ciyuan.simulation.valuation import daily_values, within_day

CALM = Scenario(volatility_year=0.0, drift_year=0.0, jumps_year=0.0)


def test_the_first_day_is_worth_what_is_given_and_all_are_worth_something():
    values = daily_values(Scenario(), 0.95, 400)
    assert values.shape == (400,)
    assert values[0] == pytest.approx(0.95)
    assert (values > 0).all()


def test_the_same_seed_is_the_same_path_and_another_is_another():
    one, again, other = (daily_values(Scenario(seed=seed), 0.95, 40) for seed in (1, 1, 2))
    assert one.tolist() == again.tolist()
    assert one[1:].tolist() != other[1:].tolist()


def test_without_chance_the_value_stands_still_or_drifts():
    assert daily_values(CALM, 2.0, 10).tolist() == pytest.approx([2.0] * 10)
    drifting = daily_values(replace(CALM, drift_year=-0.365), 1.0, 11)
    assert drifting[-1] == pytest.approx(np.exp(-0.001 * 10))


def test_a_jump_is_a_cheaper_way_to_make_tokens():
    values = daily_values(replace(CALM, jumps_year=3650.0, jump_log=-0.01), 1.0, 30)
    assert (np.diff(values) <= 0).all()
    assert values[-1] < 0.2


def test_the_fast_part_is_drawn_back():
    """With all else the same, a strong pull keeps the path closer to its start."""
    still = replace(Scenario(), jumps_year=0.0, drift_year=0.0)
    spread = []
    for pull in (0.0, 300.0):
        paths = [daily_values(replace(still, seed=seed, reversion_year=pull), 1.0, 365) for seed in range(20)]
        spread.append(np.log(np.concatenate(paths)).std())
    assert spread[1] < spread[0]


def test_the_volatility_is_the_scenarios():
    logs = np.concatenate([np.diff(np.log(daily_values(Scenario(seed=seed, reversion_year=0.0, jumps_year=0.0), 1.0, 1000)))
                           for seed in range(10)])  # fmt: skip
    assert logs.std() * np.sqrt(365) == pytest.approx(0.45, rel=0.03)


def test_a_day_is_a_bridge_from_its_value_to_the_next_days():
    steps = within_day(Scenario(), 20_000, 1.0, 1.1, 400)
    assert steps.shape == (400,)
    assert steps[-1] == pytest.approx(1.1)
    assert (steps > 0).all()
    assert within_day(CALM, 20_000, 1.0, 1.1, 2).tolist() == pytest.approx([1.1**0.5, 1.1])


@pytest.mark.parametrize("steps", [0, 1])
def test_a_day_may_have_hardly_a_step(steps):
    assert within_day(Scenario(), 20_000, 1.0, 1.1, steps).tolist() == pytest.approx([1.1] * steps)


def test_each_day_has_its_own_luck():
    one, other = (within_day(Scenario(), day, 1.0, 1.0, 50).tolist() for day in (1, 2))
    assert one != other
