"""Who takes part, in which order and role; and who hedges how much with what cash."""

import numpy as np
import pytest

from ciyuan.basics.price import PriceList
from ciyuan.clearing.messages import MemberRole
from ciyuan.simulation.cast import TRADER, Provider, cast_of
from ciyuan.simulation.hedging import CASH_PER_LOT_MICRO, LEAST_CASH_MICRO, plan_hedges
from ciyuan.simulation.scenario import Scenario
from ciyuan.venue.messages import Role

SCENARIO = Scenario(buyers=5, makers=2, traders=3, thrifty_buyers=1)
PROVIDERS = (Provider("one", (PriceList(0, 1, 0, 1, 1, 1),)), Provider("two", ()))


def test_numbers_run_through_the_groups_in_order():
    cast = cast_of(SCENARIO, ("a", "b"), PROVIDERS)
    groups = (cast.factories, cast.providers, cast.buyers, cast.makers, cast.traders)
    assert groups == ((1, 2), (3, 4), (5, 6, 7, 8, 9), (10, 11), (12, 13, 14))
    assert [participant.number for participant in cast.everyone] == list(range(1, 15))
    assert [cast.names[number] for number in (1, 4, 5, 10, 14)] == [
        "a",
        "two",
        "buyer 01",
        "maker 1",
        "trader 3",
    ]


def test_roles_are_what_each_group_does():
    cast = cast_of(SCENARIO, ("a", "b"), PROVIDERS)
    roles = {participant.number: (participant.roles, participant.role) for participant in cast.everyone}
    assert roles[1] == (Role.SUPPLIER | TRADER, MemberRole.HEDGER)
    assert roles[3] == (Role.SUPPLIER, MemberRole.SPECULATOR)
    assert roles[5] == (Role.CUSTOMER | TRADER, MemberRole.HEDGER)
    assert roles[10] == (TRADER, MemberRole.MAKER)
    assert roles[14] == (TRADER, MemberRole.SPECULATOR)
    assert all(type(value) is int for pair in roles.values() for value in pair)


def test_a_market_without_other_providers_has_none():
    cast = cast_of(SCENARIO, ("a",), ())
    assert cast.providers == ()
    assert cast.buyers[0] == 2


# --- hedges ---

USE = np.array([40_000.0, 20_000.0, 5_000.0, 10_000.0, 400.0])


def plan(scenario: Scenario = SCENARIO, factories: tuple[int, ...] = (1, 2)):
    return plan_hedges(scenario, (5, 6, 7, 8, 9), factories, USE, 2, 1000)


def test_the_first_buyers_hedge_what_they_plan_to_use():
    found = plan()
    assert set(found.planned_mtok) == {5, 6, 7}
    for buyer, use in zip((5, 6, 7), USE, strict=False):
        assert found.planned_mtok[buyer] == pytest.approx(use, rel=0.3)
        assert abs(found.targets[buyer][2] - found.planned_mtok[buyer] / 1000) <= 0.5


@pytest.mark.parametrize("factories", [(1,), (1, 2), (1, 2, 3)])
def test_the_factories_sell_what_the_buyers_buy_in_equal_parts(factories):
    found = plan(factories=factories)
    sold = [-found.targets[factory][2] for factory in factories]
    assert sum(sold) == sum(found.targets[buyer][2] for buyer in (5, 6, 7))
    assert max(sold) - min(sold) <= 1


def test_cash_is_by_the_lot_with_a_least():
    found = plan()
    for account, targets in found.targets.items():
        assert found.cash_micro[account] == max(LEAST_CASH_MICRO, abs(targets[2]) * CASH_PER_LOT_MICRO)
    assert min(found.cash_micro.values()) == LEAST_CASH_MICRO


def test_the_share_and_the_ratio_are_the_scenarios():
    none = plan(Scenario(buyers=5, hedging_buyers_share=0.0))
    assert none.planned_mtok == {}
    assert set(none.targets) == {1, 2}
    assert all(target == {2: 0} for target in none.targets.values())
    half = plan(Scenario(buyers=5, hedging_buyers_share=1.0, hedge_ratio=0.5))
    assert set(half.planned_mtok) == {5, 6, 7, 8, 9}
    assert half.targets[5][2] == pytest.approx(half.planned_mtok[5] / 2000, abs=0.51)


def test_plans_are_wrong_by_the_seeds_luck():
    one, again, other = (plan(Scenario(seed=seed, buyers=5)).planned_mtok for seed in (1, 1, 2))
    assert one == again != other
