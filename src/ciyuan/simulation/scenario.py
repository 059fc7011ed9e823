"""A scenario: everything about a simulated month that is not a fact of the catalogue, with its defaults.

Shares are fractions of 1, counts are integers, times carry their unit. The same scenario and the same inputs give the same month,
to the bit. `Scenario.check` refuses what cannot be played before anything has been written.
"""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from math import inf, isfinite

from ciyuan.basics.errors import Malformed


@dataclass(frozen=True, slots=True)
class SiteChoice:
    """A token factory of the scenario: a site of the catalogue, and what the scenario asks of it.

    `gpus` 0 asks for as many as the site's power allows. `list_provider` names the provider whose posted list price the factory
    starts from.
    """

    name: str
    list_provider: str
    gpus: int = 0


DEFAULT_SITES = (
    SiteChoice("texas", "cloudflare"),
    SiteChoice("frankfurt", "moonshotai"),
    SiteChoice("tokyo", "fireworks"),
)


@dataclass(frozen=True, slots=True)
class Scenario:
    """A month of the market. See each field's comment; the assumptions behind the numbers are in docs/guide/researcher.md."""

    seed: int = 20261001
    month: int = 202610
    prologue_days: int = 2  # business days before the month, in which hedges are put on
    grade: str = "KIMI26"
    sites: tuple[SiteChoice, ...] = DEFAULT_SITES
    power_from: str = "2023-09-27T16:00:00Z"  # the hour of the power series for the month's first hour; same hour and weekday

    buyers: int = 20
    requests: int = 1_005_000  # metered requests of the month, when no usage file is replayed
    bundle_calls: int = 4_000  # calls of the sampled size that one metered request stands for
    cached_share: float = 0.35  # share of the calls that hit a prefix cache
    cached_depth: float = 0.6  # share of a hit's input that is read from the cache
    weekend_share: float = 0.55  # weekend traffic against a weekday's
    daily_swing: float = 0.45  # amplitude of the daily cycle
    thrifty_buyers: int = 1  # buyers who prepay less than they use, and are refused when it is spent

    makers: int = 2
    traders: int = 8
    maker_levels: int = 3
    noise_orders_per_minute: float = 26.0
    hedging_buyers_share: float = 0.6
    hedge_ratio: float = 1.0
    receipts_share: float = 0.02  # share of a factory's capacity that it sells as spot receipts

    volatility_year: float = (
        0.45  # of the standard token's value; GPU rents show 0.15-0.30, token spend indices more
    )
    drift_year: float = -0.30
    jumps_year: float = 12.0
    jump_log: float = -0.04
    reversion_year: float = 12.0

    def check(self) -> None:
        """Refuse (Malformed) counts and shares that no month can be played with."""
        for name in ("buyers", "makers", "traders", "maker_levels", "bundle_calls", "prologue_days"):
            _expect(getattr(self, name) >= 1, name, getattr(self, name), "1 or more")
        _expect(self.requests >= 0, "requests", self.requests, "0 or more")
        _expect(2 <= self.buyers < 1000, "buyers", self.buyers, "2 to 999")
        _expect(
            0 <= self.thrifty_buyers <= self.buyers,
            "thrifty_buyers",
            self.thrifty_buyers,
            "at most the number of buyers",
        )
        for name in (
            "cached_share",
            "cached_depth",
            "weekend_share",
            "daily_swing",
            "hedging_buyers_share",
            "receipts_share",
        ):
            _expect(0 <= getattr(self, name) <= 1, name, getattr(self, name), "a share from 0 to 1")
        for name in ("drift_year", "jump_log"):
            _expect(isfinite(getattr(self, name)), name, getattr(self, name), "a finite number")
        for name in (
            "volatility_year",
            "jumps_year",
            "reversion_year",
            "noise_orders_per_minute",
            "hedge_ratio",
        ):
            _expect(0 <= getattr(self, name) < inf, name, getattr(self, name), "0 or more")
        _expect(1 <= len(self.sites) <= 9, "sites", len(self.sites), "one to nine sites")
        names = [site.name for site in self.sites]
        _expect(len(set(names)) == len(names), "sites", names, "each site once")


def _expect(holds: bool, name: str, found: object, expected: str) -> None:
    if not holds:
        raise Malformed(
            f"scenario, {name}", found=found, expected=expected, remedy="Mend the scenario; nothing was run."
        )


def scenario_from(settings: Mapping[str, object]) -> Scenario:
    """A scenario from a parsed TOML or JSON table; what is not given keeps its default. Unknown or ill-typed entries
    are refused.
    """
    fields = {entry.name: entry for entry in dataclasses.fields(Scenario)}
    chosen: dict[str, object] = {}
    for name, value in settings.items():
        if name not in fields:
            raise Malformed(
                f"scenario, {name}",
                found=name,
                expected=f"one of {', '.join(fields)}",
                remedy="Mend the name or leave it out.",
            )
        chosen[name] = _sites(value) if name == "sites" else _typed(name, value, getattr(Scenario(), name))
    scenario = Scenario(**chosen)  # type: ignore[arg-type]
    scenario.check()
    return scenario


def _typed(name: str, value: object, default: object) -> object:
    if isinstance(default, float) and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if type(value) is not type(default):
        raise Malformed(
            f"scenario, {name}", found=value, expected=type(default).__name__, remedy="Mend its type."
        )
    return value


def _sites(value: object) -> tuple[SiteChoice, ...]:
    if not isinstance(value, list | tuple):
        raise Malformed(
            "scenario, sites", found=value, expected="a list of tables", remedy="Write [[sites]] tables."
        )
    try:
        sites = tuple(entry if isinstance(entry, SiteChoice) else SiteChoice(**entry) for entry in value)
    except TypeError as problem:
        raise Malformed("scenario, sites", found=str(problem), expected="name, list_provider and perhaps gpus",
                        remedy="Mend the [[sites]] table.") from None  # fmt: skip
    for site in sites:
        texts = {type(site.name), type(site.list_provider)} == {str}
        _expect(texts and type(site.gpus) is int and site.gpus >= 0, "sites", site,
                "a text, a text and a count of 0 or more")  # fmt: skip
    return sites
