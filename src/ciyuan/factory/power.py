"""Watts of a GPU from how hard its memory and its arithmetic are used, and what a power cap does to both.

    activity = (memory x r^e x u_mem x A + arithmetic x q x u_flop + narrow experts) x M
    watts    = TDP x (floor + (top - floor) x (1 - exp(-activity)))

`u_mem` and `u_flop` are achieved bytes/s and FLOP/s over the chip's peak; r is the bytes that one step reads per GPU over
`READ_BYTES_REFERENCE` (a small read leaves gaps between kernels, in which less is drawn), A the architecture's factor, M the
factor of the model and precision where energy was measured, else 1. `narrow experts` is 0 but for mixtures of experts in fp8:
their kernels draw power that neither memory nor useful arithmetic explains. q is `four_bits` where the chip multiplies in 4
bits (such a FLOP takes more than its share of the peak says), else 1.

A cap lowers the clock to a share c of its full one. Arithmetic slows with the clock, reading does not until c falls below
`memory_clock_share`; the watts of arithmetic fall with c ^ `throttle_exponent`. With a the share of the activity that is
arithmetic,

    speed(c) = 1 / ((1 - a) / min(1, c / memory_clock_share) + a / c)
    watts(c) = floor + dynamic x speed(c) x ((1 - a) + a x c ^ (throttle_exponent - 1))

and c is the largest share at which the watts are within the cap. When this will lie: docs/spec/factory_power.md.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import exp, isfinite

import numpy as np
from numpy.typing import NDArray

from ciyuan.basics.errors import Malformed
from ciyuan.factory.hardware import arithmetic_precision
from ciyuan.factory.messages import Chip, Provenance
from ciyuan.factory.model import Model, Precision
from ciyuan.factory.operating import OperatingPoints

Reals = NDArray[np.float64]

READ_BYTES_REFERENCE = 16e9
"""Bytes that a step reads per GPU at which the read factor is 1: a mid-size model on one GPU."""

BYTES_PER_TERABYTE = 1e12
CLOCK_SHARE_MIN = 1e-6
_HALVINGS = 40


@dataclass(frozen=True, slots=True)
class Band:
    """Factors about an estimated power: the true one lies between `low` and `high` times it in 8 of 10 cases."""

    low: float
    high: float


@dataclass(frozen=True, slots=True)
class PowerModel:
    """The constants of the module's formulas, fitted to measured GPU power (`services.power_fit`).

    Shares are of the TDP. `idle` is of a GPU that waits with nothing to do, `floor` of one that runs kernels which move
    nothing. Factors are natural logarithms: `architectures` by architecture (others take the mean of those), `shapes` by model
    and precision, `pairs` by chip, model and precision on top of that. `chips` are those with energy data; estimates for others
    are extrapolated. Bands: `band_pair` where chip, model and precision were measured, `band_chip` where the chip was,
    `band_other` elsewhere.
    """

    idle: float
    floor: float
    top: float
    memory: float
    read_exponent: float
    arithmetic: float
    narrow_experts: float
    four_bits: float
    throttle_exponent: float
    memory_clock_share: float
    architectures: Mapping[str, float]
    chips: frozenset[str]
    band_pair: Band
    band_chip: Band
    band_other: Band
    shapes: Mapping[tuple[str, str], float] = field(default_factory=dict)
    pairs: Mapping[tuple[str, str, str], float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not (0 < self.idle <= self.floor < self.top <= 1.1 and self.throttle_exponent >= 1):
            raise Malformed("power model, shares",
                            found=(self.idle, self.floor, self.top, self.throttle_exponent),
                            expected="0 < idle <= floor < top <= 1.1 and a throttle exponent of at least 1",
                            remedy="Fit the power model again.")  # fmt: skip

    def architecture(self, chip: Chip) -> float:
        """Log of the factor of the chip's architecture; the mean of the fitted ones for another."""
        known = self.architectures
        return known.get(chip.architecture, sum(known.values()) / len(known) if known else 0.0)

    def own(self, chip: str, model: str, precision: str) -> float:
        """Log of the factor of a model and precision on a chip; 0 where no energy was measured."""
        return self.shapes.get((model, precision), 0.0) + self.pairs.get((chip, model, precision), 0.0)

    def known(self, chip: str, model: str, precision: str) -> tuple[Provenance, Band]:
        """How an estimate for them is known, and its band."""
        if chip not in self.chips:
            return Provenance.EXTRAPOLATED, self.band_other
        pair = (chip, model, precision) in self.pairs
        return Provenance.CALIBRATED, self.band_pair if pair else self.band_chip


@dataclass(frozen=True, slots=True)
class Load:
    """What a GPU does in a steady state: arrays of one shape, or scalars.

    `memory_use` and `arithmetic_use` are shares of the chip's peaks, 0 or more; `read_bytes` is what one step reads per GPU.
    `narrow_experts`: a mixture of experts is multiplied in fp8. `four_bits`: the arithmetic, and the peak that it is a share
    of, is of 4 bits.
    """

    memory_use: Reals
    arithmetic_use: Reals
    read_bytes: Reals
    narrow_experts: bool
    four_bits: bool = False

    def __post_init__(self) -> None:
        for name in ("memory_use", "arithmetic_use", "read_bytes"):
            values = np.asarray(getattr(self, name), dtype=np.float64)
            if not (np.isfinite(values).all() and (values >= 0).all()):
                raise Malformed(f"load of a GPU, {name}", found=values, expected="finite numbers of 0 or more",
                                remedy="Work it out from the operating points again.")  # fmt: skip


@dataclass(frozen=True, slots=True)
class GpuPower:
    """`watts` of one GPU, of the load's shape; the true ones lie between `low` and `high` times that in 8 of 10 cases."""

    watts: Reals
    low: float
    high: float
    provenance: Provenance


@dataclass(frozen=True, slots=True)
class Capped:
    """One GPU under a power cap: its speed as a share of that without it, its watts, and its clock as a share of the full
    one."""

    speed: Reals
    watts: Reals
    clock: Reals


def has_narrow_experts(model: Model, precision: str) -> bool:
    """Whether a model's experts are multiplied in 8-bit floats."""
    return model.experts > 0 and precision == Precision.FP8


def is_four_bit(chip: Chip, precision: Precision) -> bool:
    """Whether a chip multiplies in 4 bits at this precision."""
    return arithmetic_precision(chip, precision) is Precision.FP4


def load_of(points: OperatingPoints, chip: Chip, model: Model) -> Load:
    """What the GPUs of a replica do at each operating point."""
    read = points.memory_use * chip.memory_tb_s * BYTES_PER_TERABYTE * points.tpot_s
    precision = Precision(points.precision)
    narrow, four = has_narrow_experts(model, precision), is_four_bit(chip, precision)
    return Load(points.memory_use, points.arithmetic_use, read, narrow, four)


def activities(power: PowerModel, chip: Chip, load: Load) -> tuple[Reals, Reals]:
    """Activity of memory and of arithmetic, before the model's own factor."""
    read = np.maximum(np.asarray(load.read_bytes, dtype=np.float64), 1.0) / READ_BYTES_REFERENCE
    memory = (
        power.memory * read**power.read_exponent * np.asarray(load.memory_use) * exp(power.architecture(chip))
    )
    busy = power.narrow_experts if load.narrow_experts else 0.0
    arithmetic = power.arithmetic * (power.four_bits if load.four_bits else 1.0)
    return np.asarray(memory), np.asarray(arithmetic * np.asarray(load.arithmetic_use) + busy)


def gpu_power(power: PowerModel, chip: Chip, load: Load, model: str = "", precision: str = "") -> GpuPower:
    """Watts of one GPU under a load. `model` and `precision` name what is served, if its own factor is to be used."""
    memory, arithmetic = activities(power, chip, load)
    provenance, band = power.known(chip.code, model, precision)
    activity = (memory + arithmetic) * exp(power.own(chip.code, model, precision))
    share = power.floor + (power.top - power.floor) * -np.expm1(-activity)
    return GpuPower(chip.tdp_w * share, band.low, band.high, provenance)


def idle_watts(power: PowerModel, chip: Chip) -> float:
    """Watts of one GPU that waits for work."""
    return power.idle * chip.tdp_w


def expect_cap(power: PowerModel, chip: Chip, cap_w: float) -> None:
    """Refuse (Malformed) a cap that no clock can hold: one that is not above the watts of a GPU which does nothing."""
    floor_w = power.floor * chip.tdp_w
    if not (cap_w > floor_w and isfinite(cap_w)):
        raise Malformed(f"power cap of {chip.name}", found=f"{cap_w:g} W",
                        expected=f"more than the {floor_w:.0f} W that it draws with its clocks up (idle: "
                        f"{idle_watts(power, chip):.0f} W)", remedy="Raise the cap, or switch GPUs off.")  # fmt: skip


def capped(
    power: PowerModel, chip: Chip, load: Load, cap_w: float, model: str = "", precision: str = ""
) -> Capped:
    """What a cap of `cap_w` watts on the GPU leaves of its speed. A cap that the load does not reach changes nothing.

    Raises Malformed for a cap that cannot be held.
    """
    expect_cap(power, chip, cap_w)
    memory, arithmetic = activities(power, chip, load)
    share = arithmetic / np.maximum(memory + arithmetic, 1e-12)
    floor_w = power.floor * chip.tdp_w
    dynamic = gpu_power(power, chip, load, model, precision).watts - floor_w
    low, high = np.full_like(dynamic, CLOCK_SHARE_MIN), np.ones_like(dynamic)
    for _ in range(_HALVINGS):
        middle = (low + high) / 2.0
        fits = floor_w + dynamic * _drawn(power, share, middle) <= cap_w
        low, high = np.where(fits, middle, low), np.where(fits, high, middle)
    free = floor_w + dynamic <= cap_w
    clock = np.where(free, 1.0, low)
    watts = np.minimum(floor_w + dynamic * _drawn(power, share, clock), cap_w)
    return Capped(_speed(power, share, clock), watts, clock)


def _speed(power: PowerModel, share: Reals, clock: Reals) -> Reals:
    """Speed at a clock, as a share of the full one; `share` is the arithmetic part of the activity."""
    memory = np.minimum(1.0, clock / power.memory_clock_share)
    return np.asarray(1.0 / ((1.0 - share) / memory + share / clock))


def _drawn(power: PowerModel, share: Reals, clock: Reals) -> Reals:
    """Dynamic watts at a clock, as a share of those at the full one."""
    energy = (1.0 - share) + share * clock ** (power.throttle_exponent - 1.0)
    return np.asarray(_speed(power, share, clock) * energy)
