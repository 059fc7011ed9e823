"""Servers' parts sum, halls follow the weather, and both meet what was measured or computed elsewhere."""

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ciyuan.basics.errors import Malformed
from ciyuan.factory.facility import (
    CoolingMethod,
    dew_point_c,
    overhead,
    plant_overhead,
    server_power,
    wet_bulb_c,
)
from ciyuan.factory.plant import Cooling
from ciyuan.services.catalog_power import hall
from tests.factory.cases import CHIP, HALL, SERVER

PUES = Path(__file__).parents[3] / "shared" / "data" / "grid" / "pue_vs_temperature_humidity.csv"


@given(st.floats(0.0, 1000.0))
def test_the_parts_of_a_server_sum(watts: float):
    found = server_power(SERVER, CHIP, watts)
    direct = found.gpu_w + found.host_w + found.fans_w
    assert found.wall_w == pytest.approx(float(direct + found.supply_w))
    assert found.it_w == pytest.approx(float(found.wall_w) + 100.0)
    assert 0.89 <= direct / found.wall_w <= 0.96


@given(st.floats(0.0, 900.0), st.floats(0.1, 100.0))
def test_a_server_draws_more_when_its_gpus_do(watts: float, more: float):
    less, bigger = (float(server_power(SERVER, CHIP, gpu).wall_w) for gpu in (watts, watts + more))
    assert bigger - less > more


def test_a_published_it_power_gives_the_network_share():
    """At full load the IT power is the published one; where the wall alone is more, there is no share left."""
    told = server_power(SERVER, replace(CHIP, it_kw=1.7), 1000.0)
    assert told.it_w == pytest.approx(1700.0)
    assert server_power(SERVER, replace(CHIP, it_kw=1.0), 1000.0).network_w == 0.0


def test_watts_and_curves_that_make_no_sense_are_refused():
    with pytest.raises(Malformed, match="watts of Chip A"):
        server_power(SERVER, CHIP, -1.0)
    with pytest.raises(Malformed, match="power supply"):
        replace(SERVER, psu_load=(0.5, 0.2, 0.1, 1.0))


@pytest.mark.parametrize(
    ("dry", "humidity", "wet"),
    [(20.0, 50.0, 13.7), (30.0, 40.0, 20.1), (0.0, 60.0, -2.4), (35.0, 80.0, 31.8)],
)
def test_wet_bulb_meets_the_psychrometric_chart(dry: float, humidity: float, wet: float):
    assert wet_bulb_c(dry, humidity) == pytest.approx(wet, abs=0.7)


def test_dew_point_meets_the_air_at_full_humidity():
    assert dew_point_c(25.0, 100.0) == pytest.approx(25.0)
    assert dew_point_c(25.0, 50.0) == pytest.approx(13.9, abs=0.1)


@given(st.floats(-25.0, 45.0), st.floats(5.0, 95.0), st.floats(0.1, 10.0))
def test_warmer_or_wetter_air_never_cools_better(dry: float, humidity: float, more: float):
    for method in CoolingMethod:
        here = overhead(HALL, method, dry, humidity).pue
        assert here > 1
        assert overhead(HALL, method, dry + more, humidity).pue >= here - 1e-6


def test_liquid_is_spared_the_heat():
    hot, cold = (overhead(HALL, CoolingMethod.LIQUID, dry, 50.0).pue for dry in (35.0, 5.0))
    air = overhead(HALL, CoolingMethod.AIR, 35.0, 50.0).pue
    assert hot - cold < 0.2 * (air - overhead(HALL, CoolingMethod.AIR, 5.0, 50.0).pue)


@pytest.mark.parametrize(
    ("dry", "humidity"), [(80.0, 50.0), (float("nan"), 50.0), (20.0, 120.0), (20.0, -1.0)]
)
def test_weather_that_cannot_be_is_refused(dry: float, humidity: float):
    with pytest.raises(Malformed, match=r"temperature|humidity"):
        overhead(HALL, CoolingMethod.AIR, dry, humidity)


def test_a_plants_own_pue_is_kept():
    told = plant_overhead(HALL, Cooling(pue=1.3))
    assert told.pue == pytest.approx(1.3)
    assert told.distribution == pytest.approx(0.05)
    assert plant_overhead(HALL, Cooling(pue=1.02)).cooling == pytest.approx(0.0)
    climate = plant_overhead(HALL, Cooling(method="liquid", dry_bulb_c=20.0, relative_humidity_pct=50.0))
    assert climate.pue == overhead(HALL, CoolingMethod.LIQUID, 20.0, 50.0).pue


@pytest.mark.skipif(not PUES.is_file(), reason="the shared data folder is not beside this checkout")
@pytest.mark.parametrize(
    ("method", "column", "mean_max", "beyond_2_percent"),
    [
        (CoolingMethod.AIR, "pue_waterside_economizer", 0.004, 3),
        (CoolingMethod.FREE_AIR, "pue_airside_economizer", 0.005, 12),
    ],
)
def test_pue_meets_a_published_physics_model(
    method: CoolingMethod, column: str, mean_max: float, beyond_2_percent: int
):
    """330 hours of weather. Beyond 2%: where the chiller of the other model switches at once and ours over 2 degrees."""
    with PUES.open(encoding="utf-8") as file:
        rows = list(csv.DictReader(line for line in file if not line.startswith("#")))
    dry, humidity, told = (
        np.array([float(row[name]) for row in rows]) for name in ("drybulb_C", "rh_pct", column)
    )
    off = np.abs(overhead(hall(), method, dry, humidity).pue / told - 1)
    assert off.mean() < mean_max
    assert (off > 0.02).sum() <= beyond_2_percent
