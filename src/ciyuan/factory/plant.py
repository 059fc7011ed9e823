"""A plant as its operator describes it: megawatts, chips and what they cost, what is served, the tiers it is sold in.

Orders, not results: nothing here knows how fast a chip is. `services.plant_file` reads a plant from a file; physics, power, cost
and the plan take it from there.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import isfinite
from typing import Literal

from ciyuan.basics.errors import Malformed
from ciyuan.factory.demand import DemandCurve

HOURS_PER_YEAR = 8760.0
CoolingMethod = Literal["air", "liquid"]


def _within(thing: str, value: float, least: float, most: float, *, open_below: bool = False) -> None:
    if not (least <= value <= most and isfinite(value)) or (open_below and value == least):
        limits = f"{'above' if open_below else 'at least'} {least:g}" + (
            f" and at most {most:g}" if isfinite(most) else ""
        )
        raise Malformed(thing, found=value, expected=f"a finite number {limits}", remedy="Mend the figure.")


@dataclass(frozen=True, slots=True)
class Rental:
    """GPUs that are rented, host and network with them, at `usd_per_gpu_hour` for every hour, busy or not."""

    usd_per_gpu_hour: float

    def __post_init__(self) -> None:
        _within("rental, usd_per_gpu_hour", self.usd_per_gpu_hour, 0.0, float("inf"))


@dataclass(frozen=True, slots=True)
class Purchase:
    """GPUs that are bought, with their share of host and network, at `usd_per_gpu`.

    After `life_years` they are sold for `residual_share` of that; the money costs `wacc` a year (weighted average cost
    of capital).
    """

    usd_per_gpu: float
    life_years: float
    residual_share: float
    wacc: float

    def __post_init__(self) -> None:
        _within("purchase, usd_per_gpu", self.usd_per_gpu, 0.0, float("inf"))
        _within("purchase, life_years", self.life_years, 0.0, 50.0, open_below=True)
        _within("purchase, residual_share", self.residual_share, 0.0, 1.0)
        _within("purchase, wacc", self.wacc, 0.0, 1.0)

    @property
    def usd_per_gpu_hour(self) -> float:
        """The level payment for each hour of the life: the annuity of price less discounted residual, yearly in arrears.

        payment = (price - residual / (1 + wacc)^life) x wacc / (1 - (1 + wacc)^-life); with wacc 0, straight-line depreciation.
        """
        kept = (1.0 + self.wacc) ** -self.life_years
        lost = self.usd_per_gpu * (1.0 - self.residual_share * kept)
        yearly = self.wacc / (1.0 - kept) if self.wacc else 1.0 / self.life_years
        return float(lost * yearly / HOURS_PER_YEAR)


Capital = Rental | Purchase
"""How GPUs are paid for; either has `usd_per_gpu_hour`."""


@dataclass(frozen=True, slots=True)
class Fleet:
    """The GPUs of one chip: either `gpus` of them, or as many as `share` of the plant's megawatts feeds (the other is None).

    `precision` is what this chip serves at, where it differs from the service's; None where it does not.
    """

    chip: str
    gpus: int | None
    share: float | None
    capital: Capital
    precision: str | None = None

    def __post_init__(self) -> None:
        if (self.gpus is None) == (self.share is None):
            both = "both" if self.gpus is not None else "neither"
            raise Malformed(f"fleet of {self.chip}, gpus or share", found=both, expected="one of the two",
                            remedy="Give a number of GPUs, or the share of the megawatts that they may take.")  # fmt: skip
        if self.gpus is not None and self.gpus <= 0:
            raise Malformed(f"fleet of {self.chip}, gpus", found=self.gpus, expected="1 or more",
                            remedy="Leave the fleet out if there is none of it.")  # fmt: skip
        if self.share is not None:
            _within(f"fleet of {self.chip}, share", self.share, 0.0, 1.0, open_below=True)


@dataclass(frozen=True, slots=True)
class Cooling:
    """How the plant is cooled: a known `pue`, or a `method` and the climate outside, `dry_bulb_c` and `relative_humidity_pct`.

    What is not given is None.
    """

    pue: float | None = None
    method: CoolingMethod | None = None
    dry_bulb_c: float | None = None
    relative_humidity_pct: float | None = None

    def __post_init__(self) -> None:
        climate = (self.method, self.dry_bulb_c, self.relative_humidity_pct)
        if (self.pue is None) == (None in climate) or (
            self.pue is not None and any(part is not None for part in climate)
        ):
            raise Malformed("plant, cooling", found=self, expected="a PUE, or a method with temperature and humidity, not both",
                            remedy="Give pue, or cooling, dry_bulb_c and relative_humidity_pct.")  # fmt: skip
        if self.pue is not None:
            _within("plant, pue", self.pue, 1.0, 5.0)
        if self.method is not None and self.method not in ("air", "liquid"):
            raise Malformed(
                "plant, cooling", found=self.method, expected="air or liquid", remedy="Mend the word."
            )
        if self.dry_bulb_c is not None:
            _within("plant, dry_bulb_c", self.dry_bulb_c, -60.0, 60.0)
        if self.relative_humidity_pct is not None:
            _within("plant, relative_humidity_pct", self.relative_humidity_pct, 0.0, 100.0)


@dataclass(frozen=True, slots=True)
class Upkeep:
    """What a plant costs besides power and GPUs. A figure of 0 is held in the GPUs' capital already, as in most rents."""

    network_usd_per_gpu_hour: float = 0.0
    staff_usd_per_mw_year: float = 0.0

    def __post_init__(self) -> None:
        _within("upkeep, network_usd_per_gpu_hour", self.network_usd_per_gpu_hour, 0.0, float("inf"))
        _within("upkeep, staff_usd_per_mw_year", self.staff_usd_per_mw_year, 0.0, float("inf"))


@dataclass(frozen=True, slots=True)
class ServiceOrder:
    """What is served: a model at a precision by a software, to requests of one mean shape.

    `version` is the software's; None is the newest that is known. `cached_share` of the `input_tokens` is read from a prompt
    cache (0 to 1).
    """

    model: str
    precision: str
    software: str
    version: str | None
    input_tokens: float
    output_tokens: float
    cached_share: float

    def __post_init__(self) -> None:
        _within(f"service of {self.model}, input_tokens", self.input_tokens, 0.0, 1e8, open_below=True)
        _within(f"service of {self.model}, output_tokens", self.output_tokens, 0.0, 1e8, open_below=True)
        _within(f"service of {self.model}, cached_share", self.cached_share, 0.0, 1.0)


@dataclass(frozen=True, slots=True)
class PriceList:
    """List prices of a tier, in USD per million tokens of each leg."""

    input_usd_per_mtok: float
    cached_usd_per_mtok: float
    output_usd_per_mtok: float

    def __post_init__(self) -> None:
        for name in ("input_usd_per_mtok", "cached_usd_per_mtok", "output_usd_per_mtok"):
            _within(f"price list, {name}", getattr(self, name), 0.0, float("inf"))

    def blend(self, service: ServiceOrder) -> float:
        """USD per million output tokens with the input that goes with them, fresh and cached."""
        fresh = (1.0 - service.cached_share) * self.input_usd_per_mtok
        read = service.cached_share * self.cached_usd_per_mtok
        return self.output_usd_per_mtok + (fresh + read) * service.input_tokens / service.output_tokens


@dataclass(frozen=True, slots=True)
class TierOrder:
    """A tier that the plant sells: what a user gets, at what list price, and who asks for it.

    Each user gets at least `tokens_per_s_per_user_min` and the first token within `ttft_s_max` seconds at the median. `demand`
    prices output tokens with the input that goes with them (`PriceList.blend`). `tokens_per_s_min` output tokens/s are promised
    and made whatever they earn, as of a free tier.
    """

    name: str
    prices: PriceList
    tokens_per_s_per_user_min: float
    ttft_s_max: float
    service: ServiceOrder
    demand: DemandCurve
    tokens_per_s_min: float = 0.0

    def __post_init__(self) -> None:
        _within(
            f"tier {self.name}, tokens_per_s_per_user_min",
            self.tokens_per_s_per_user_min,
            0.0,
            1e6,
            open_below=True,
        )
        _within(f"tier {self.name}, ttft_s_max", self.ttft_s_max, 0.0, 1e6, open_below=True)
        _within(f"tier {self.name}, tokens_per_s_min", self.tokens_per_s_min, 0.0, float("inf"))
        if self.tokens_per_s_min > self.demand.tokens_per_s_max:
            raise Malformed(f"tier {self.name}, tokens_per_s_min", found=self.tokens_per_s_min,
                            expected=f"at most the demand's bound, {self.demand.tokens_per_s_max:g}",
                            remedy="Promise no more than is asked for.")  # fmt: skip

    @property
    def list_usd_per_mtok(self) -> float:
        """The list price of a million output tokens with the input that goes with them."""
        return self.prices.blend(self.service)


@dataclass(frozen=True, slots=True)
class Plant:
    """A token factory with its orders.

    `power_mw` is the site's connection at the meter, `power_usd_per_mwh` what a MWh costs there (it may be negative);
    `utilisation` the share of full load that is delivered over time, in (0, 1]; `gpu_cap_w` a power cap on each GPU, or None.
    """

    name: str
    power_mw: float
    power_usd_per_mwh: float
    utilisation: float
    cooling: Cooling
    fleets: tuple[Fleet, ...]
    tiers: tuple[TierOrder, ...]
    gpu_cap_w: float | None = None
    upkeep: Upkeep = field(default_factory=Upkeep)

    def __post_init__(self) -> None:
        _within(f"plant {self.name}, power_mw", self.power_mw, 0.0, 1e6, open_below=True)
        _within(f"plant {self.name}, utilisation", self.utilisation, 0.0, 1.0, open_below=True)
        if not isfinite(self.power_usd_per_mwh):
            raise Malformed(f"plant {self.name}, power_usd_per_mwh", found=self.power_usd_per_mwh,
                            expected="a finite number, negative ones included", remedy="Mend the figure.")  # fmt: skip
        if self.gpu_cap_w is not None:
            _within(f"plant {self.name}, gpu_cap_w", self.gpu_cap_w, 0.0, 1e5, open_below=True)
        self._check_names("fleets", [fleet.chip for fleet in self.fleets], "chip")
        self._check_names("tiers", [tier.name for tier in self.tiers], "name")
        shares = sum(fleet.share or 0.0 for fleet in self.fleets)
        if shares > 1.0 + 1e-9:
            raise Malformed(f"plant {self.name}, shares of the fleets", found=shares, expected="at most 1 together",
                            remedy="Give each fleet its part of the megawatts.")  # fmt: skip

    def _check_names(self, what: str, names: Sequence[str], called: str) -> None:
        if not names:
            raise Malformed(f"plant {self.name}, {what}", found="none", expected="one at least",
                            remedy=f"Add a [[{what.removesuffix('s')}]] table.")  # fmt: skip
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise Malformed(f"plant {self.name}, {what}", found=f"{twice[0]} twice", expected=f"each {called} once",
                            remedy="Put the two together.")  # fmt: skip
