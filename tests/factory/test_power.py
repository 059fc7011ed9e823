"""GPU watts rise with what is moved and multiplied, and a cap takes speed from arithmetic first."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ciyuan.basics.errors import Malformed
from ciyuan.factory.messages import Provenance
from ciyuan.factory.operating import OperatingPoints
from ciyuan.factory.power import (
    Load,
    activities,
    capped,
    expect_cap,
    gpu_power,
    idle_watts,
    load_of,
)
from ciyuan.services.catalog_factory import models
from tests.factory.cases import CHIP, POWER, load

USES = st.floats(0.0, 1.0)
READS = st.floats(1e6, 1e12)


@given(USES, USES, READS, st.booleans())
def test_watts_lie_between_the_floor_and_the_top(memory: float, arithmetic: float, read: float, narrow: bool):
    watts = gpu_power(POWER, CHIP, load(memory, arithmetic, read, narrow=narrow)).watts
    assert POWER.floor * CHIP.tdp_w <= watts <= POWER.top * CHIP.tdp_w


@given(USES, USES, USES, USES, READS)
def test_more_of_either_draws_no_less(
    memory: float, arithmetic: float, more: float, further: float, read: float
):
    less = gpu_power(POWER, CHIP, load(memory, arithmetic, read)).watts
    assert gpu_power(POWER, CHIP, load(memory + more, arithmetic + further, read)).watts >= less


def test_the_formula_by_hand():
    """Reads of the reference size: activity = 1.3 x 0.5 x e^0.3 + 13 x 0.1 = 2.177; times e^0.3 of the pair's own factors."""
    memory, arithmetic = activities(POWER, CHIP, load(0.5, 0.1))
    assert memory == pytest.approx(1.3 * 0.5 * np.exp(0.3))
    assert arithmetic == pytest.approx(1.3)
    own = 1000 * (0.2 + 0.75 * (1 - np.exp(-(memory + arithmetic) * np.exp(0.3))))
    assert gpu_power(POWER, CHIP, load(0.5, 0.1), "model_a", "fp8").watts == pytest.approx(own)


def test_narrow_experts_draw_more():
    assert (
        gpu_power(POWER, CHIP, load(0.2, 0.01, narrow=True)).watts
        > gpu_power(POWER, CHIP, load(0.2, 0.01)).watts
    )


def test_an_unknown_architecture_takes_the_mean_factor():
    assert POWER.architecture(replace(CHIP, architecture="other")) == pytest.approx(0.1)
    assert replace(POWER, architectures={}).architecture(CHIP) == 0.0


def test_an_estimate_says_how_it_is_known():
    known = gpu_power(POWER, CHIP, load(0.5, 0.1), "model_a", "fp8")
    assert (known.provenance, known.low, known.high) == (Provenance.CALIBRATED, 0.9, 1.1)
    other = gpu_power(POWER, CHIP, load(0.5, 0.1), "model_b", "fp8")
    assert (other.provenance, other.low) == (Provenance.CALIBRATED, 0.8)
    far = gpu_power(POWER, replace(CHIP, code="chip_b"), load(0.5, 0.1), "model_a", "fp8")
    assert (far.provenance, far.high) == (Provenance.EXTRAPOLATED, 1.3)


@given(USES, USES, st.floats(205.0, 1500.0))
def test_a_cap_is_held_and_takes_no_more_than_it_must(memory: float, arithmetic: float, cap: float):
    free = float(gpu_power(POWER, CHIP, load(memory, arithmetic)).watts)
    held = capped(POWER, CHIP, load(memory, arithmetic), cap)
    assert held.watts <= max(cap, POWER.floor * CHIP.tdp_w + 0.01) + 1e-6
    assert 0 < held.speed <= 1
    if free <= cap:
        assert held.speed == 1.0
        assert held.clock == 1.0
        assert held.watts == pytest.approx(free)
    else:
        assert held.watts == pytest.approx(cap, abs=0.01)


@given(USES, USES, st.floats(210.0, 900.0), st.floats(0.0, 300.0))
def test_a_higher_cap_is_never_slower(memory: float, arithmetic: float, cap: float, more: float):
    low, high = (capped(POWER, CHIP, load(memory, arithmetic), watts).speed for watts in (cap, cap + more))
    assert high >= low - 1e-9


def test_a_cap_slows_arithmetic_and_spares_reading():
    """Both draw 80% of what a GPU can; the one that reads loses nothing until the clock falls below the memory's share of
    it."""
    wanted = -np.log(1 - 0.8)
    reads, multiplies = load(wanted / (1.3 * np.exp(0.3)), 0.0), load(0.0, wanted / 13.0)
    speeds = [float(capped(POWER, CHIP, one, 750.0).speed) for one in (reads, multiplies)]
    assert speeds[0] < 1
    assert speeds[1] < 1
    mixed = float(capped(POWER, CHIP, load(0.5, 0.02), 600.0).speed)
    assert mixed > float(capped(POWER, CHIP, load(0.0, 0.2), 600.0).speed)


@pytest.mark.parametrize("cap", [0.0, 99.0, 200.0, -5.0, float("nan"), float("inf")])
def test_a_cap_that_no_clock_holds_is_refused(cap: float):
    with pytest.raises(Malformed, match="power cap of Chip A"):
        expect_cap(POWER, CHIP, cap)
    with pytest.raises(Malformed, match="idle: 100 W"):
        capped(POWER, CHIP, load(0.5, 0.1), cap)


def test_a_waiting_gpu_draws_its_idle_share():
    assert idle_watts(POWER, CHIP) == 100


@pytest.mark.parametrize("bad", [-0.1, float("nan"), float("inf")])
def test_a_load_that_makes_no_sense_is_refused(bad: float):
    with pytest.raises(Malformed, match="arithmetic_use"):
        Load(np.asarray(0.1), np.array([0.1, bad]), np.asarray(1e9), False)


def test_shares_out_of_order_are_refused():
    with pytest.raises(Malformed, match="shares"):
        replace(POWER, floor=0.05)


def test_operating_points_become_loads():
    """5 TB/s x 0.4 use x 20 ms a step is 40 GB a step."""
    two = np.array([0.4, 0.2])
    steps_s = np.array([0.02, 0.01])
    points = OperatingPoints("chip_a", "m", "fp8", "s", 8, 1e3, 1e3, 0.0, two, steps_s, two, two, two, two, two / 2, two, two,
                             two, Provenance.CALIBRATED)  # fmt: skip
    found = load_of(points, replace(CHIP, memory_tb_s=5.0), models()["deepseek-ai/DeepSeek-R1"])
    assert found.read_bytes == pytest.approx([40e9, 10e9])
    assert found.narrow_experts
    assert gpu_power(POWER, CHIP, found).watts.shape == (2,)
