"""The world of a run: where its figures come from, how a usage file becomes the month's traffic, and what is refused."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ciyuan.basics.errors import Malformed
from ciyuan.basics.time import NS_PER_HOUR, NS_PER_SECOND, ns_from_iso
from ciyuan.services.world import Assembled, Files, assemble, venue_terms
from ciyuan.simulation.scenario import Scenario
from tests.sources import ROOT

START = ns_from_iso("2026-09-30T16:00:00Z")
"""Midnight of 1 October at the venue."""
HOURS = 744
SMALL = Scenario(requests=500, buyers=4, thrifty_buyers=1)
POWER = ROOT.parent / "shared" / "data" / "grid" / "prices_hourly_native_2023.csv"
HEADER = "timestamp_s,input_tokens,output_tokens"


@pytest.fixture(scope="module")
def plain() -> Assembled:
    return assemble(SMALL, Files())


def replayed(
    folder: Path, *lines: str, header: str = HEADER, stretch: bool = False, lenient: bool = False
) -> Assembled:
    path = folder / "usage.csv"
    path.write_text("\n".join([header, *lines]) + "\n")
    return assemble(SMALL, Files(usage=path, stretch=stretch, lenient=lenient))


# --- what it is made of ---


def test_without_files_every_figure_is_the_catalogues(plain):
    assert plain.world.traffic.time_ns.shape == (500,)
    assert set(plain.sources) == {"market", "traffic", "power", "list prices", "serving"}
    assert "catalogue" in plain.sources["traffic"]
    assert "not a series" in plain.sources["power"]
    assert plain.bad_rows == ()


def test_a_world_is_the_same_each_time_and_another_with_another_seed(plain):
    again, other = assemble(SMALL, Files()), assemble(replace(SMALL, seed=1), Files())
    assert np.array_equal(plain.world.traffic.time_ns, again.world.traffic.time_ns)
    assert not np.array_equal(plain.world.traffic.time_ns, other.world.traffic.time_ns)
    assert plain.terms.digest() == again.terms.digest() == other.terms.digest()
    assert plain.terms.digest() == venue_terms(SMALL).digest()


@pytest.mark.parametrize(
    ("changes", "accounts", "orders"),
    [({}, 1_024, 1 << 17), ({"traders": 700}, 2_048, 1 << 17), ({"makers": 20, "maker_levels": 9}, 1_024, 1 << 21),
     ({"noise_orders_per_minute": 1e12}, 1_024, 1 << 24)],
)  # fmt: skip
def test_the_exchange_has_room_for_the_scenario(changes, accounts, orders):
    room = venue_terms(replace(SMALL, **changes)).room
    assert (room.accounts, room.orders) == (accounts, orders)


def test_the_month_is_the_venues(plain):
    times = plain.world.traffic.time_ns
    assert START <= times.min() <= times.max() < START + HOURS * NS_PER_HOUR
    assert plain.world.plant.power_usd_per_mwh.shape == (HOURS, 3)


def test_suppliers_of_lists_are_participants(plain):
    cast = plain.world.cast
    assert tuple(entry.supplier for entry in plain.world.factory_lists) == cast.factories
    for number, provider in zip(cast.providers, plain.world.providers, strict=True):
        assert {entry.supplier for entry in provider.lists} == {number}
    assert not {choice.list_provider for choice in SMALL.sites} & {p.name for p in plain.world.providers}


def test_the_start_price_lies_among_the_factories_lists(plain):
    lists = plain.world.factory_lists
    lowest, highest = min(entry.cached for entry in lists), max(entry.output for entry in lists)
    assert lowest / 1e6 < plain.world.start_usd_per_mtok < highest / 1e6


def test_a_month_without_requests_starts_at_the_price_of_the_catalogues_mix():
    silent = assemble(replace(SMALL, requests=0), Files())
    assert len(silent.world.traffic) == 0
    assert silent.world.start_usd_per_mtok > 0
    assert silent.world.plant.plan.allocation.sum() == 0


# --- a usage file ---


def test_every_row_of_a_usage_file_is_a_request_of_the_month(tmp_path):
    world = replayed(tmp_path, "1.5,10,2", "7,20,4").world
    traffic = world.traffic
    assert (traffic.time_ns - START).tolist() == [1_500_000_000, 7 * NS_PER_SECOND]
    assert (traffic.input.tolist(), traffic.cached.tolist(), traffic.output.tolist()) == (
        [10, 20],
        [0, 0],
        [2, 4],
    )
    assert (traffic.output_max >= traffic.output).all()


def test_nobody_who_replays_a_file_is_thrifty(tmp_path, plain):
    assert plain.world.scenario.thrifty_buyers == 1
    assert replayed(tmp_path, "1,1,1").world.scenario.thrifty_buyers == 0


def test_customers_of_a_file_are_told_apart(tmp_path):
    header = HEADER + ",cached_tokens,customer"
    traffic = replayed(tmp_path, "1,10,2,3,Bob", "2,10,2,0,Ada", "3,10,2,0,Bob", header=header).world.traffic
    assert traffic.customer.tolist() == [1, 0, 1]
    assert traffic.cached.tolist() == [3, 0, 0]


def test_without_names_customers_are_drawn_from_the_seed(tmp_path):
    lines = [f"{at},10,2" for at in range(50)]
    drawn = replayed(tmp_path, *lines).world.traffic.customer
    assert drawn.tolist() == replayed(tmp_path, *lines).world.traffic.customer.tolist()
    assert set(drawn.tolist()) == set(range(4))


def test_a_stretched_file_fills_the_month_in_its_own_order(tmp_path):
    times = replayed(tmp_path, "5,1,1", "6,2,2", f"{5 + 90 * 86_400},3,3", stretch=True).world.traffic.time_ns
    room = HOURS * NS_PER_HOUR - 1
    assert (times - START).tolist() == [0, NS_PER_SECOND * room // (90 * 86_400 * NS_PER_SECOND), room]


def test_a_file_of_one_moment_can_be_stretched(tmp_path):
    times = replayed(tmp_path, "5,1,1", "5,2,2", stretch=True).world.traffic.time_ns
    assert (times - START).tolist() == [0, 0]


@pytest.mark.parametrize(("seconds", "fits"), [(HOURS * 3600 - 1, True), (HOURS * 3600, False)])
def test_a_file_fits_the_month_or_is_refused(tmp_path, seconds, fits):
    if fits:
        assert len(replayed(tmp_path, "0,1,1", f"{seconds},1,1").world.traffic) == 2
    else:
        with pytest.raises(Malformed, match="--stretch"):
            replayed(tmp_path, "0,1,1", f"{seconds},1,1")


def test_bad_rows_are_listed_in_words(tmp_path):
    assembled = replayed(tmp_path, "1,1,1", "2,x,1", lenient=True)
    (row,) = assembled.bad_rows
    assert "line 3, field input_tokens" in row
    assert assembled.sources["traffic"] == "1 rows of usage.csv, 1 bad rows left out"


def test_a_sample_gives_sizes_and_not_times(tmp_path):
    path = tmp_path / "sample.csv"
    path.write_text(f"{HEADER}\n1,7,3\n2,11,5\n")
    assembled = assemble(replace(SMALL, bundle_calls=10), Files(sample=path))
    pairs = set(
        zip(assembled.world.traffic.input.tolist(), assembled.world.traffic.output.tolist(), strict=True)
    )
    assert pairs == {(70, 30), (110, 50)}
    assert assembled.sources["traffic"].startswith("sizes drawn from sample.csv; each request stands for ")


# --- power ---


def test_hourly_prices_are_taken_from_the_hour_that_the_scenario_names(tmp_path, plain):
    if not POWER.is_file():
        pytest.skip("the shared data folder is not beside this checkout")
    assembled = assemble(SMALL, Files(power=POWER))
    found = assembled.world.plant.power_usd_per_mwh
    assert found.shape == plain.world.plant.power_usd_per_mwh.shape
    assert np.isfinite(found).all()
    assert not np.array_equal(found, plain.world.plant.power_usd_per_mwh)
    assert assembled.sources["power"] == f"hours of {POWER.name} from {SMALL.power_from}"
    later = assemble(replace(SMALL, power_from="2023-09-28T16:00:00Z"), Files(power=POWER))
    assert np.array_equal(later.world.plant.power_usd_per_mwh[:-24], found[24:])


def test_power_must_start_at_the_months_hour(tmp_path):
    path = tmp_path / "power.csv"
    path.write_text("anything")
    with pytest.raises(Malformed, match="scenario, power_from") as caught:
        assemble(replace(SMALL, power_from="2023-09-28T00:00:00Z"), Files(power=path))
    assert "2026-09-30T16:00:00Z" in caught.value.remedy


# --- what is refused ---


@pytest.mark.parametrize(
    ("change", "thing"),
    [
        ({"month": 202701}, "scenario, month"),
        ({"grade": "NONE"}, "scenario, grade"),
        ({"buyers": 1}, "scenario, buyers"),
    ],
)
def test_what_the_catalogue_does_not_know_is_refused(change, thing):
    with pytest.raises(Malformed) as caught:
        assemble(replace(SMALL, **change), Files())
    assert thing in caught.value.thing
    assert caught.value.remedy
