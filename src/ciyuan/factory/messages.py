"""What the factory hears and says: chips, tiers, serving points, sites; rates and costs.

Everything here is physics or an estimate, so it is a float and its name carries its unit. What is owed starts further
up, where a cost becomes a price (`basics.money.micro_half_up` is that bridge). A *standard token* is the grade's
(rulebook §1.3).
"""

from dataclasses import dataclass
from enum import StrEnum
from math import isfinite
from typing import TYPE_CHECKING

from ciyuan.basics.errors import Malformed

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Figures = float | NDArray[np.float64]


class Provenance(StrEnum):
    """How a serving point came to be known."""

    MEASURED = "measured"
    """One run on real chips."""
    CALIBRATED = "calibrated"
    """Computed between measured runs of the same chip, model, precision and tier."""
    EXTRAPOLATED = "extrapolated"
    """Computed beyond what was measured."""


class Scenario(StrEnum):
    """How a plant is split, and what its tiers sell."""

    OPTIMAL = "optimal"
    EQUAL = "equal"
    KEYNOTE = "keynote"
    UNLIMITED = "unlimited"


@dataclass(frozen=True, slots=True)
class Chip:
    """An accelerator, one GPU of it. Absent figures are None: nobody published one that was found.

    Power: `tdp_w` is the GPU's alone; `it_kw` adds its share of host and network at full load, before the site's PUE.
    Money per GPU-hour: `cost_usd_per_hour` of ownership, `rent_usd_per_hour` a market rent. Memory: `memory_gb` is what
    the driver reports as usable, in units of 2^30 bytes as labels of memory are; `memory_tb_s` its peak, in 1e12
    bytes/s. Arithmetic: peak dense tensor TFLOPS (no sparsity), None where the tensor cores lack the precision;
    `int8_tops` likewise. Links, in GB/s of one GPU in one direction: `scale_up_gb_s` to the `scale_up_gpus` that stand
    in its fast domain (itself included), `scale_out_gb_s` to all others. `announced`: named by its maker, not yet
    measured by others; its figures are the maker's. `aliases`: what result tables call it.
    """

    code: str
    name: str
    vendor: str
    architecture: str
    year: int
    tdp_w: float
    memory_gb: float
    memory_tb_s: float
    bf16_tflops: float
    fp8_tflops: float | None
    fp4_tflops: float | None
    int8_tops: float | None
    scale_up_gb_s: float
    scale_up_gpus: int
    scale_out_gb_s: float | None
    it_kw: float | None
    cost_usd_per_hour: float | None
    rent_usd_per_hour: float | None
    announced: bool
    source: str
    observed_on: str
    aliases: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name in ("tdp_w", "memory_gb", "memory_tb_s", "bf16_tflops", "scale_up_gb_s", "scale_up_gpus", "fp8_tflops",
                     "fp4_tflops", "int8_tops", "scale_out_gb_s", "it_kw", "cost_usd_per_hour",
                     "rent_usd_per_hour"):  # fmt: skip
            value = getattr(self, name)
            if value is not None and not (value > 0 and isfinite(value)):
                raise Malformed(f"chip {self.code}, {name}", found=value, expected="a finite number above 0",
                                remedy="Mend the figure, or leave it out if nobody published one.")  # fmt: skip

    @property
    def memory_bytes(self) -> float:
        """Usable memory in bytes."""
        return self.memory_gb * 2**30


@dataclass(frozen=True, slots=True)
class Tier:
    """A tier of service (rulebook §1.2): the least output speed that each user gets, in tokens/s."""

    name: str
    tokens_per_s_per_user_min: float


@dataclass(frozen=True, slots=True)
class ServingPoint:
    """What one chip does for one model at one tier, in a steady state, on requests of one shape.

    `input_tokens` and `output_tokens` are the request's; `output_tokens_per_s` is per GPU; the input that goes with
    it is `input_tokens_per_s`. No input is read from a prompt cache. `gpus_per_replica` is the smallest number of
    GPUs that serves. `tokens_per_s_per_user` and `ttft_ms` are what a user sees at the median. `it_watts_per_gpu` is
    before PUE.
    """

    chip: str
    model: str
    precision: str
    tier: str
    input_tokens: float
    output_tokens: float
    output_tokens_per_s: float
    tokens_per_s_per_user: float
    ttft_ms: float
    gpus_per_replica: int
    it_watts_per_gpu: float
    software: str
    provenance: Provenance
    source: str
    observed_on: str

    def __post_init__(self) -> None:
        positive = ("input_tokens", "output_tokens", "output_tokens_per_s", "tokens_per_s_per_user", "ttft_ms",
                    "gpus_per_replica", "it_watts_per_gpu")  # fmt: skip
        for name in positive:
            value = getattr(self, name)
            if not (value > 0 and isfinite(value)):
                raise Malformed(f"serving point {self.chip} {self.model} {self.tier}, {name}", found=value,
                                expected="a finite number above 0", remedy="Mend the entry of the table.")  # fmt: skip

    @property
    def input_tokens_per_s(self) -> float:
        """Input tokens per second and GPU that go with the output."""
        return self.output_tokens_per_s * self.input_tokens / self.output_tokens


@dataclass(frozen=True, slots=True)
class Site:
    """A token factory: where it draws power, what stands there, whose it is.

    `power_mw_max` is the facility's connection, PUE included. `zone` is the power price zone, `owner` the
    participant's name.
    """

    name: str
    title: str
    owner: str
    zone: str
    chip: str
    precision: str
    tier: str
    power_mw_max: float
    pue: float
    capital_usd_per_gpu_hour: float

    def __post_init__(self) -> None:
        for name, least in (("power_mw_max", 0.0), ("pue", 1.0), ("capital_usd_per_gpu_hour", 0.0)):
            value = getattr(self, name)
            if not (value >= least and isfinite(value)):
                raise Malformed(f"site {self.name}, {name}", found=value, expected=f"a finite number of at least {least}",
                                remedy="Mend the site's entry.")  # fmt: skip


@dataclass(frozen=True, slots=True)
class TokenRates:
    """Tokens per second of a number of GPUs at full load: of the input leg, of the output leg, and of both in standard tokens."""

    input: float
    output: float
    standard: float


@dataclass(frozen=True, slots=True)
class CostPerMTok:
    """USD per million standard tokens, each a float or an array of the shape of the power prices that were given.

    `total` = `energy` + `capital`. `input`, `cached` and `output` are USD per million tokens of that leg, when the
    total is shared among the legs by the grade's conversion vector.
    """

    energy: "Figures"
    capital: float
    total: "Figures"
    input: "Figures"
    cached: "Figures"
    output: "Figures"
