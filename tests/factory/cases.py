"""A plain power model, chip, server, hall and case that the tests of power and cost stand on; figures are round, not real."""

from dataclasses import replace

import numpy as np

from ciyuan.factory.facility import Hall, Overhead, Server, server_power
from ciyuan.factory.losses import Duty, GpuSite
from ciyuan.factory.messages import Chip, Provenance
from ciyuan.factory.power import Band, Load, PowerModel
from ciyuan.factory.rates import Rates
from ciyuan.factory.shocks import Case
from ciyuan.factory.waterfall import Terms

CHIP = Chip(
    code="chip_a",
    name="Chip A",
    vendor="maker",
    architecture="arch_a",
    year=2024,
    tdp_w=1000.0,
    memory_gb=100.0,
    memory_tb_s=4.0,
    bf16_tflops=1000.0,
    fp8_tflops=2000.0,
    fp4_tflops=None,
    int8_tops=None,
    scale_up_gb_s=400.0,
    scale_up_gpus=8,
    scale_out_gb_s=50.0,
    it_kw=None,
    cost_usd_per_hour=1.5,
    rent_usd_per_hour=2.0,
    announced=False,
    source="invented",
    observed_on="2026-01-01",
)
POWER = PowerModel(
    idle=0.1,
    floor=0.2,
    top=0.95,
    memory=1.3,
    read_exponent=0.25,
    arithmetic=13.0,
    narrow_experts=0.8,
    four_bits=2.0,
    throttle_exponent=2.0,
    memory_clock_share=0.6,
    architectures={"arch_a": 0.3, "arch_b": -0.1},
    chips=frozenset({"chip_a"}),
    band_pair=Band(0.9, 1.1),
    band_chip=Band(0.8, 1.2),
    band_other=Band(0.7, 1.3),
    shapes={("model_a", "fp8"): 0.1},
    pairs={("chip_a", "model_a", "fp8"): 0.2},
)
SERVER = Server(
    "box", 8, 150.0, 60.0, 120.0, 1.8, 0.5, (0.05, 0.2, 0.5, 1.0), (0.89, 0.94, 0.96, 0.95), 100.0
)
HALL = Hall(
    distribution=0.05, air_base=0.04, free_air_base=0.02, free_air_extra=0.03, pumps=0.02, air_share=0.15, mechanical=-0.03,
    mechanical_per_degree=0.011, wet_bulb_top_c=31.0, free_below_c=14.0, mechanical_above_c=22.0, humid_above_pct=70.0,
    dew_point_above_c=18.0, free_air_wet_bulb_above_c=32.0,
)  # fmt: skip
RATES = Rates(
    "chip_a", "model_a", "fp8", "engine", 4000.0, 1000.0, 0.5, 200.0, 50.0, 0.3, 700.0, Provenance.MEASURED
)


def site(pue_cooling: float = 0.1) -> GpuSite:
    """A GPU of `CHIP` that draws 700 W while busy and 100 W while it waits."""
    overhead = Overhead(np.asarray(0.05), np.asarray(pue_cooling))
    return GpuSite(server_power(SERVER, CHIP, 700.0), server_power(SERVER, CHIP, 100.0), overhead)


CASE = Case(Terms(60.0, 2.0, 0.05, 0.02, 0.03), site(), RATES, Duty(0.6, 0.05, 0.1), 5.0)


def load(memory_use: float, arithmetic_use: float, read_bytes: float = 16e9, *, narrow: bool = False) -> Load:
    """One GPU's load."""
    return Load(np.asarray(memory_use), np.asarray(arithmetic_use), np.asarray(read_bytes), narrow)


def at_power(price_usd_per_mwh: float) -> Case:
    """`CASE` at another power price."""
    return replace(CASE, terms=replace(CASE.terms, power_usd_per_mwh=price_usd_per_mwh))
