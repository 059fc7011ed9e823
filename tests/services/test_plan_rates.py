"""A plant's rates: measured where they were, between two shapes where not, and a reason where nothing serves."""

from dataclasses import replace
from pathlib import Path

import pytest

from ciyuan.basics.errors import Malformed
from ciyuan.factory.demand import FlatDemand
from ciyuan.factory.messages import Provenance, Scenario
from ciyuan.factory.plan import plan_plant
from ciyuan.factory.plant import Cooling, Fleet, Plant, PriceList, Rental, ServiceOrder, TierOrder
from ciyuan.factory.tiers import TierRate, Unserved
from ciyuan.services.cost_case import CaseFacts
from ciyuan.services.plan_rates import plan_cells, plan_facts, plant_power
from ciyuan.services.rate_source import RateSource

RUNS = Path(__file__).parents[3] / "shared" / "data" / "factory"
SERVICE = ServiceOrder("deepseek-ai/DeepSeek-R1", "fp8", "any", None, 1024.0, 1024.0, 0.0)
KEYNOTE = (("free", 0.0, 20.0), ("medium", 3.0, 40.0), ("high", 6.0, 75.0), ("premium", 45.0, 150.0))


def plant(chip: str, precision: str, service: ServiceOrder = SERVICE, ttft_s: float = 1000.0) -> Plant:
    """A megawatt of a chip with the keynote's four tiers, PUE 1, always busy, without cost."""
    tiers = tuple(
        TierOrder(name, PriceList(0.0, 0.0, price), speed, ttft_s, service, FlatDemand(price))
        for name, price, speed in KEYNOTE
    )
    return Plant(
        "keynote", 1.0, 0.0, 1.0, Cooling(pue=1.0), (Fleet(chip, None, 1.0, Rental(0.0), precision),), tiers
    )


@pytest.fixture(scope="module")
def facts() -> CaseFacts:
    return plan_facts()


def test_a_measured_cell_is_the_run_of_the_table(facts: CaseFacts):
    (row,) = plan_cells(plant("h200_sxm", "fp8"), facts, RateSource.MEASURED)
    assert isinstance(row[0], TierRate)
    assert row[0].rates.provenance is Provenance.MEASURED
    known = [point for point in facts.points if point.chip == "h200_sxm" and "DeepSeek" in point.model]
    shape = [point for point in known if point.input_tokens == 1024 and point.tokens_per_s_per_user >= 20]
    assert row[0].rates.output_tokens_per_s == max(point.output_tokens_per_s for point in shape)
    assert isinstance(row[3], Unserved)
    assert "150 tokens/s" in row[3].why


def test_faster_tiers_make_fewer_tokens(facts: CaseFacts):
    (row,) = plan_cells(plant("b200_sxm", "fp4"), facts, RateSource.MEASURED)
    made = [cell.rates.output_tokens_per_s for cell in row if isinstance(cell, TierRate)]
    assert made == sorted(made, reverse=True)
    assert len(made) == 4


def test_a_shape_between_two_that_were_measured_is_calibrated(facts: CaseFacts):
    between = replace(SERVICE, input_tokens=4096.0)
    (row,) = plan_cells(plant("b200_sxm", "fp4", between), facts, RateSource.MEASURED)
    assert isinstance(row[1], TierRate)
    assert row[1].rates.provenance is Provenance.CALIBRATED


def test_what_was_not_measured_says_so(facts: CaseFacts):
    (row,) = plan_cells(plant("h200_sxm", "fp4"), facts, RateSource.MEASURED)
    assert all(isinstance(cell, Unserved) and "only at fp8" in cell.why for cell in row)
    (late,) = plan_cells(plant("h200_sxm", "fp8", ttft_s=1e-3), facts, RateSource.MEASURED)
    assert all(isinstance(cell, Unserved) for cell in late), "no first token comes within a millisecond"


def test_a_cap_slows_and_one_below_idle_is_refused(facts: CaseFacts):
    free = plant("h200_sxm", "fp8")
    capped = replace(free, gpu_cap_w=450.0)
    (before,), (after,) = (
        plan_cells(free, facts, RateSource.MEASURED),
        plan_cells(capped, facts, RateSource.MEASURED),
    )
    assert isinstance(before[0], TierRate)
    assert isinstance(after[0], TierRate)
    assert after[0].rates.output_tokens_per_s <= before[0].rates.output_tokens_per_s
    assert after[0].rates.busy_w <= 450.0 + 1e-6
    assert after[0].rates.tokens_per_s_per_user >= 20.0
    assert (
        plant_power(capped, facts).provisioned_w["h200_sxm"]
        < plant_power(free, facts).provisioned_w["h200_sxm"]
    )
    with pytest.raises(Malformed, match="power cap"):
        plant_power(replace(free, gpu_cap_w=60.0), facts)


def test_a_folder_without_runs_is_refused(tmp_path: Path):
    with pytest.raises(Malformed, match="measured runs"):
        plan_facts(tmp_path)


@pytest.mark.skipif(not RUNS.is_dir(), reason="the shared data folder is not beside this checkout")
@pytest.mark.parametrize(
    ("chip", "published"),
    [("h200_sxm", 10.0), ("b200_sxm", 110.0), ("gb300_nvl72", 126.0), ("gb200_nvl72", 169.0)],
)
def test_the_keynotes_equal_split_on_measured_runs(chip: str, published: float):
    """A quarter of the megawatts each to free, 3, 6 and 45 USD, by the best measured run of any precision: million USD a year.

    The published figures are of all runs, ours of the part that is here; the fewer there are, the less is found.
    """
    runs = plan_facts(RUNS)
    grids = [plan_cells(plant(chip, precision), runs, RateSource.MEASURED)[0] for precision in ("fp8", "fp4")]
    best = tuple(
        max(cells, key=lambda cell: cell.rates.output_tokens_per_s if isinstance(cell, TierRate) else 0.0)
        for cells in zip(*grids, strict=True)
    )
    order = plant(chip, "fp8")
    split = plan_plant(order, plant_power(order, runs), (best,), Scenario.KEYNOTE)
    endless = plan_plant(order, plant_power(order, runs), (best,), Scenario.UNLIMITED)
    assert split.revenue_usd_per_mw_year / 1e6 == pytest.approx(published, rel=0.2)
    assert endless.revenue > split.revenue
    assert sum(tier.gpus.sum() > 0 for tier in endless.tiers) == 1, "endless demand: everything into one tier"
