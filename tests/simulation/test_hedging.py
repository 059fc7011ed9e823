"""Hedge plans: whole lots near the planned use, sold by the factories in equal parts."""

import numpy as np

from ciyuan.simulation.hedging import plan_hedges
from ciyuan.simulation.scenario import Scenario

EVERYONE = Scenario(buyers=4, hedging_buyers_share=1.0)
BUYERS, FACTORIES = (4, 5, 6, 7), (1, 2)


def test_who_will_use_nothing_plans_nothing():
    plan = plan_hedges(EVERYONE, BUYERS, FACTORIES, np.array([9e3, 0.0, 5e3, 0.0]), 2, 1000)
    assert set(plan.planned_mtok) == {4, 6}


def test_what_buyers_buy_the_factories_sell():
    plan = plan_hedges(EVERYONE, BUYERS, FACTORIES, np.array([9e3, 7e3, 5e3, 1e2]), 2, 1000)
    lots = {who: target[2] for who, target in plan.targets.items()}
    assert sum(lots.values()) == 0
    assert lots[4] > 0 > lots[1]
    assert abs(lots[1] - lots[2]) <= 1
    assert all(abs(lots[who] * 1000 - mtok) <= 500 for who, mtok in plan.planned_mtok.items())
    assert set(plan.cash_micro) == set(lots)
