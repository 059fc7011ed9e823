"""What a chip is worth from what it still earns, what rent it can bear, and when power drives it out.

Each hour a GPU earns R from the tokens that it can make at the market's price, and costs C in energy and upkeep. The price of
tokens falls by a constant rate, so R decays as R exp(-d t); money is discounted at r; scrap S can be had at any time. It is
kept while it earns more than the interest on its scrap, until t* (or the end of its life T):

    R exp(-d t*) = C + r S
    value = R / (r + d) x (1 - exp(-(r + d) t*)) - C / r x (1 - exp(-r t*)) + S exp(-r t*)

and never less than S: stopping at once is a choice. The rent that it bears is R - C. It retires at the power price at which R
is C. When this will lie: prices of tokens do not fall by a constant rate, and a chip that no newer model fits on earns nothing
whatever its speed.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import expm1, inf, isfinite, log, log1p

from ciyuan.basics.errors import Malformed
from ciyuan.factory.cost import SECONDS_PER_HOUR, TOKENS_PER_MTOK, WATTS_PER_MW
from ciyuan.factory.losses import Duty, GpuSite
from ciyuan.factory.plant import HOURS_PER_YEAR, PriceList
from ciyuan.factory.rates import Rates


@dataclass(frozen=True, slots=True)
class Market:
    """What tokens sell for, and how that moves: `decline` is the share by which prices fall in a year (negative: rise)."""

    prices: PriceList
    decline: float

    def __post_init__(self) -> None:
        if not -1 <= self.decline < 1:
            raise Malformed("decline of token prices", found=self.decline, expected="a share from -1 to below 1 a year",
                            remedy="Give 0.3 for 30% a year.")  # fmt: skip


@dataclass(frozen=True, slots=True)
class Holding:
    """How a chip is held: years until it must go, its scrap value now and then, the yearly discount rate, and upkeep per
    GPU-hour besides energy (network, staff, maintenance)."""

    years: float
    scrap_usd: float
    discount: float
    upkeep_usd_per_gpu_hour: float = 0.0

    def __post_init__(self) -> None:
        for name in ("years", "scrap_usd", "upkeep_usd_per_gpu_hour"):
            if not (getattr(self, name) >= 0 and isfinite(getattr(self, name))):
                raise Malformed(f"holding, {name}", found=getattr(self, name), expected="a finite number of 0 or more",
                                remedy="Mend the figure.")  # fmt: skip
        if not 0 <= self.discount < 1:
            raise Malformed("holding, discount", found=self.discount, expected="a yearly rate from 0 to below 1",
                            remedy="Give 0.1 for 10% a year.")  # fmt: skip


@dataclass(frozen=True, slots=True)
class Worth:
    """A GPU's worth. Hourly figures, and mean watts at the meter, are of one GPU now; `kept_years` is how long it is best
    kept; `power_usd_per_mwh_max` is the power price at which it stops paying (infinite if it draws nothing)."""

    chip: str
    meter_w: float
    revenue_usd_per_hour: float
    energy_usd_per_hour: float
    upkeep_usd_per_hour: float
    value_usd: float
    kept_years: float
    power_usd_per_mwh_max: float

    @property
    def rent_usd_per_hour(self) -> float:
        """The most rent that a user of the GPU can pay who bears its energy and upkeep: below 0, it is switched off."""
        return self.revenue_usd_per_hour - self.energy_usd_per_hour - self.upkeep_usd_per_hour


def revenue_usd_per_hour(rates: Rates, prices: PriceList, duty: Duty) -> float:
    """USD that one GPU's tokens sell for in an hour, all legs."""
    list_prices = (prices.input_usd_per_mtok, prices.cached_usd_per_mtok, prices.output_usd_per_mtok)
    per_s = sum(rate * price for rate, price in zip(rates.tokens_per_s, list_prices, strict=True))
    return per_s * SECONDS_PER_HOUR / TOKENS_PER_MTOK * duty.busy


def worth(
    rates: Rates, site: GpuSite, duty: Duty, market: Market, holding: Holding, power_usd_per_mwh: float
) -> Worth:
    """What one GPU is worth at this power price, which may be negative."""
    mwh = site.meter_w(duty.busy) / WATTS_PER_MW
    revenue = revenue_usd_per_hour(rates, market.prices, duty)
    energy, upkeep = mwh * power_usd_per_mwh, holding.upkeep_usd_per_gpu_hour
    value, kept = present_value(
        revenue * HOURS_PER_YEAR, (energy + upkeep) * HOURS_PER_YEAR, market.decline, holding
    )
    limit = (revenue - upkeep) / mwh if mwh else inf
    return Worth(rates.chip, mwh * WATTS_PER_MW, revenue, energy, upkeep, value, kept, limit)


def present_value(
    revenue_usd_per_year: float, cost_usd_per_year: float, decline: float, holding: Holding
) -> tuple[float, float]:
    """The value of the module's formula in USD, and the years for which the chip is best kept."""
    rate, fall = log1p(holding.discount), -log1p(-decline) if decline else 0.0
    least = cost_usd_per_year + rate * holding.scrap_usd
    kept = _kept(revenue_usd_per_year, least, fall, holding.years)
    value = (
        revenue_usd_per_year * _annuity(rate + fall, kept)
        - cost_usd_per_year * _annuity(rate, kept)
        + holding.scrap_usd * (1.0 + holding.discount) ** -kept
    )
    if value > holding.scrap_usd:
        return value, kept
    return holding.scrap_usd, 0.0


def _kept(revenue: float, least: float, fall: float, years: float) -> float:
    """Years until what is earned falls below `least`, at most all of them."""
    if fall <= 0:
        return years
    if revenue <= least:
        return 0.0
    return min(years, log(revenue / least) / fall) if least > 0 else years


def _annuity(rate: float, years: float) -> float:
    """The worth now of 1 a year, paid evenly for `years`, at a continuous rate."""
    return -expm1(-rate * years) / rate if rate else years


def retirement_order(worths: Sequence[Worth]) -> tuple[Worth, ...]:
    """The chips in the order in which a rising power price drives them out."""
    return tuple(sorted(worths, key=lambda one: one.power_usd_per_mwh_max))
