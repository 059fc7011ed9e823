"""Scenarios: what is not given keeps its default, and what cannot be played is refused, naming the entry."""

import dataclasses

import pytest

from ciyuan.basics.errors import Malformed
from ciyuan.simulation.scenario import DEFAULT_SITES, Scenario, SiteChoice, scenario_from


def test_an_empty_table_is_the_default_scenario():
    assert scenario_from({}) == Scenario()
    Scenario().check()
    assert Scenario().sites == DEFAULT_SITES


def test_what_is_given_is_taken():
    found = scenario_from({"seed": 5, "requests": 0, "volatility_year": 1, "grade": "OTHER",
                           "sites": [{"name": "texas", "list_provider": "novita", "gpus": 8}]})  # fmt: skip
    assert (found.seed, found.requests, found.grade) == (5, 0, "OTHER")
    assert found.volatility_year == 1.0
    assert isinstance(found.volatility_year, float)
    assert found.sites == (SiteChoice("texas", "novita", 8),)


def test_every_field_can_be_given_its_own_default():
    settings = {entry.name: getattr(Scenario(), entry.name) for entry in dataclasses.fields(Scenario)}
    assert scenario_from(settings) == Scenario()


def test_an_unknown_entry_is_refused_by_name():
    with pytest.raises(Malformed, match=r"scenario, requets.*requests"):
        scenario_from({"requets": 5})


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [("seed", "5", "int"), ("requests", 5.0, "int"), ("requests", True, "int"), ("volatility_year", "0.4", "float"),
     ("volatility_year", False, "float"), ("grade", 7, "str"), ("power_from", None, "str")],
)  # fmt: skip
def test_an_entry_of_another_type_is_refused(name, value, expected):
    with pytest.raises(Malformed, match=f"scenario, {name}") as caught:
        scenario_from({name: value})
    assert caught.value.expected == expected


@pytest.mark.parametrize(
    ("name", "value"),
    [("buyers", 1), ("buyers", 1000), ("buyers", 0), ("makers", 0), ("traders", 0), ("maker_levels", 0), ("bundle_calls", 0),
     ("prologue_days", 0), ("requests", -1), ("thrifty_buyers", 21), ("thrifty_buyers", -1), ("cached_share", 1.01),
     ("cached_depth", -0.01), ("weekend_share", 2.0), ("daily_swing", 1.5), ("hedging_buyers_share", -1.0),
     ("receipts_share", 1.2), ("volatility_year", -0.1), ("jumps_year", -1.0), ("reversion_year", -1.0),
     ("noise_orders_per_minute", -1.0), ("hedge_ratio", -0.5), ("hedge_ratio", float("nan")), ("jumps_year", float("inf")),
     ("drift_year", float("inf")), ("jump_log", float("nan")), ("cached_share", float("nan"))],
)  # fmt: skip
def test_a_count_or_share_that_cannot_be_played_is_refused(name, value):
    with pytest.raises(Malformed, match=f"scenario, {name}"):
        scenario_from({name: value})


@pytest.mark.parametrize("edge", [0.0, 1.0])
def test_shares_from_none_to_all_can_be_played(edge):
    names = (
        "cached_share",
        "cached_depth",
        "weekend_share",
        "daily_swing",
        "hedging_buyers_share",
        "receipts_share",
    )
    assert scenario_from(dict.fromkeys(names, edge)).cached_share == edge


@pytest.mark.parametrize(
    ("sites", "expected"),
    [([], "one to nine sites"), ([{"name": f"s{n}", "list_provider": "p"} for n in range(10)], "one to nine sites"),
     ([{"name": "a", "list_provider": "p"}] * 2, "each site once"), ("texas", "a list of tables"),
     ([{"name": "texas"}], "name, list_provider"), ([{"name": "a", "list_provider": "p", "gpu": 1}], "name, list_provider"),
     (["texas"], "name, list_provider"),
     ([{"name": "a", "list_provider": "p", "gpus": "eight"}], "a text, a text and a count of 0 or more"),
     ([{"name": "a", "list_provider": "p", "gpus": -1}], "a text, a text and a count of 0 or more")],
)  # fmt: skip
def test_sites_that_are_none_are_refused(sites, expected):
    with pytest.raises(Malformed, match="scenario, sites") as caught:
        scenario_from({"sites": sites})
    assert expected in caught.value.expected
