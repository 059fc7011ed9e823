"""Shocks and sensitivities: one change re-estimated along the whole chain, from joules per token to margin.

| shock multiplies | and so |
|---|---|
| power | the price of energy |
| chip | capital per GPU-hour: rent, or the price of a GPU at equal terms |
| software | tokens/s of a GPU at equal watts and equal speed per user |
| utilisation | the busy share of the GPUs that work; never above 1 |
| overhead | PUE - 1: cooling and distribution |
| price | what tokens sell for |

A megawatt is what is scarce: figures per MW are for as many GPUs as a connection of 1 MW feeds while all are busy.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from math import isfinite

from ciyuan.basics.errors import Malformed
from ciyuan.factory.cost import TOKENS_PER_MTOK, WATTS_PER_MW
from ciyuan.factory.facility import Overhead
from ciyuan.factory.losses import SECONDS_PER_YEAR, Duty, GpuSite, chain
from ciyuan.factory.rates import Rates
from ciyuan.factory.waterfall import Terms, waterfall

STEP = 0.01
"""Change either way with which elasticities are worked out."""


@dataclass(frozen=True, slots=True)
class Shock:
    """Multiples of what stands; 1 changes nothing."""

    power: float = 1.0
    chip: float = 1.0
    software: float = 1.0
    utilisation: float = 1.0
    overhead: float = 1.0
    price: float = 1.0

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if not (value > 0 and isfinite(value)):
                raise Malformed(f"shock, {field.name}", found=value, expected="a finite multiple above 0",
                                remedy="Give 2 for twice, 0.7 for 30% less.")  # fmt: skip


SHOCKS = tuple(field.name for field in fields(Shock))


@dataclass(frozen=True, slots=True)
class Case:
    """One chip at one plant: what it costs, where it stands, what it delivers, how it is used, and what its tokens sell for.

    `price_usd_per_mtok` is for a million output tokens with the input that goes with them.
    """

    terms: Terms
    site: GpuSite
    rates: Rates
    duty: Duty
    price_usd_per_mtok: float

    def under(self, shock: Shock) -> "Case":
        """The same after a shock. Raises Malformed for a utilisation above 1."""
        hall = self.site.overhead
        return Case(
            terms=replace(
                self.terms,
                power_usd_per_mwh=self.terms.power_usd_per_mwh * shock.power,
                capital_usd_per_gpu_hour=self.terms.capital_usd_per_gpu_hour * shock.chip,
            ),
            site=replace(
                self.site,
                overhead=Overhead(hall.distribution * shock.overhead, hall.cooling * shock.overhead),
            ),
            rates=self.rates.faster(shock.software),
            duty=replace(self.duty, utilisation=self.duty.utilisation * shock.utilisation),
            price_usd_per_mtok=self.price_usd_per_mtok * shock.price,
        )


@dataclass(frozen=True, slots=True)
class Estimate:
    """The chain's figures, in its order. Tokens are output tokens, with the input that goes with them; MW are at the meter."""

    joules_per_token: float
    energy_usd_per_mtok: float
    cost_usd_per_mtok: float
    price_usd_per_mtok: float
    tokens_per_s_per_mw: float
    cost_usd_per_mw_year: float
    revenue_usd_per_mw_year: float

    @property
    def margin_usd_per_mw_year(self) -> float:
        """Revenue less all cost."""
        return self.revenue_usd_per_mw_year - self.cost_usd_per_mw_year

    @property
    def margin_share(self) -> float:
        """Margin over revenue; minus infinity without revenue."""
        return (
            self.margin_usd_per_mw_year / self.revenue_usd_per_mw_year
            if self.revenue_usd_per_mw_year
            else -float("inf")
        )


def estimate(case: Case) -> Estimate:
    """The figures of a case."""
    fall = waterfall(case.terms, case.site, case.rates, case.duty)
    gpus = WATTS_PER_MW / case.site.meter_w_max
    links = chain(case.site, case.rates, case.duty, gpus)
    mtok_per_year = links.tokens_per_s * SECONDS_PER_YEAR / TOKENS_PER_MTOK
    energy_j = links.joules_per_token
    return Estimate(
        joules_per_token=energy_j,
        energy_usd_per_mtok=energy_j / 3600.0 * case.terms.usd_per_watt_hour * TOKENS_PER_MTOK,
        cost_usd_per_mtok=fall.blended_usd_per_mtok,
        price_usd_per_mtok=case.price_usd_per_mtok,
        tokens_per_s_per_mw=links.tokens_per_s,
        cost_usd_per_mw_year=fall.blended_usd_per_mtok * mtok_per_year,
        revenue_usd_per_mw_year=links.revenue_usd_per_year(case.price_usd_per_mtok),
    )


def elasticities(case: Case) -> Mapping[str, float]:
    """By how many percent the cost of a token moves for 1% more of each cause but the price; central differences.

    At full utilisation, which cannot rise, that one is taken from below. A cost of 0 has none: Malformed.
    """
    cost = estimate(case).cost_usd_per_mtok
    if cost == 0:
        raise Malformed(
            "elasticity of cost", found=0, expected="a cost that is not 0", remedy="Change the power price."
        )
    found = {}
    for name in SHOCKS:
        if name == "price":
            continue
        up = 1.0 if name == "utilisation" and case.duty.utilisation * (1.0 + STEP) > 1.0 else 1.0 + STEP
        high, low = (
            estimate(case.under(replace(Shock(), **{name: factor}))).cost_usd_per_mtok
            for factor in (up, 1.0 - STEP)
        )
        found[name] = (high - low) / cost / (up - 1.0 + STEP)
    return found
