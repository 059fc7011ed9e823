"""Values of chips and the history of their rents, worked out and told."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from math import isfinite
from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from ciyuan.basics.errors import Malformed
from ciyuan.factory.rates import Rates
from ciyuan.factory.valuation import Holding, Market, Worth, retirement_order, worth
from ciyuan.services.cost_case import CaseFacts, CaseOrder, RatesByPhysics, case_facts, rates_of, site_of
from ciyuan.services.rate_source import RateSource
from ciyuan.services.rental_history import OfferedRent, Rent, RentChange, chips_of, read_rents, rent_change

WIDTH = 130
REGIONAL, MEDIAN = "spot_us_central1", "spot_median"


@dataclass(frozen=True, slots=True)
class Valued:
    """A chip's worth with what it was worked out from; `market_rent` is the catalogue's, `offered` what a table of offers
    says; None where there is none."""

    worth: Worth
    rates: Rates
    name: str
    year: int
    market_rent: float | None
    offered: OfferedRent | None


@dataclass(frozen=True, slots=True)
class ValueAnswer:
    """Chips in the order in which a rising power price drives them out, and why others that were asked for are not here."""

    order: CaseOrder
    market: Market
    holding: Holding
    valued: tuple[Valued, ...]


@dataclass(frozen=True, slots=True)
class RentsTold:
    """A table of rents, and how each chip's moved: in one large region, and in the median region."""

    source: str
    rents: tuple[Rent, ...]
    changes: tuple[RentChange, ...]


def measured_chips(order: CaseOrder) -> list[tuple[str, str]]:
    """Chip and precision of all measured serving points that an order's model, shape and speed allow."""
    facts = case_facts()
    model = facts.names.model(order.service.model)
    pairs = dict.fromkeys(
        (point.chip, point.precision)
        for point in facts.points
        if facts.names.model(point.model).code == model.code
        and point.tokens_per_s_per_user >= order.tokens_per_s_per_user_min
    )
    if not pairs:
        raise Malformed(f"measured runs of {model.code}", found="none that is fast enough",
                        expected="a model and a speed that were measured",
                        remedy="Name chips with --chip, or lower --speed.")  # fmt: skip
    return list(pairs)


def value_answer(
    orders: Sequence[CaseOrder],
    facts: CaseFacts,
    market: Market,
    holding: Holding,
    offers: Mapping[str, OfferedRent] | None = None,
    *,
    source: RateSource,
    physics: RatesByPhysics,
) -> ValueAnswer:
    """The worth of one GPU of each order, in order of retirement; `offers` by chip, if a table of them was given."""
    found: dict[Worth, Valued] = {}
    for order in orders:
        chip = facts.names.chip(order.chip)
        rates = rates_of(order, facts, source, physics)
        site = site_of(order, facts, chip, rates.busy_w)
        one = worth(rates, site, order.duty, market, holding, order.power_usd_per_mwh)
        name = f"{chip.code} {rates.precision}"
        found[one] = Valued(
            one, rates, name, chip.year, chip.rent_usd_per_hour, (offers or {}).get(chip.code)
        )
    ordered = retirement_order(list(found))
    return ValueAnswer(orders[0], market, holding, tuple(found[one] for one in ordered))


def rents_told(path: Path, chips: Sequence[str] | None, since: str, until: str) -> RentsTold:
    """How rents of a table moved between two days; all its chips that have both series on these days if none is named."""
    rents = read_rents(path)
    changes = []
    for chip in chips or chips_of(rents):
        try:
            changes += [rent_change(rents, chip, series, since, until) for series in (REGIONAL, MEDIAN)]
        except Malformed:
            if chips:
                raise
    return RentsTold(path.name, rents, tuple(changes))


def shown_value(answer: ValueAnswer, rents: RentsTold | None) -> dict[str, object]:
    """The answer as plain values; an endless power price is null."""
    chips = []
    for one in answer.valued:
        limit = one.worth.power_usd_per_mwh_max
        chips.append(asdict(one.worth) | {
            "power_usd_per_mwh_max": limit if isfinite(limit) else None,
            "rent_usd_per_hour": one.worth.rent_usd_per_hour, "market_rent_usd_per_hour": one.market_rent,
            "offered": asdict(one.offered) if one.offered else None,
            "rates": asdict(one.rates),
        })  # fmt: skip
    changes = [asdict(one) | {"change": one.change} for one in rents.changes] if rents else []
    return {"chips_in_order_of_retirement": chips, "rents": changes}


def print_value(answer: ValueAnswer, rents: RentsTold | None, console: Console | None = None) -> None:
    """The table of values, and the rents beside it."""
    out = console or Console(width=WIDTH)
    order, hold = answer.order, answer.holding
    rates = answer.valued[0].rates
    out.print(f"\n[bold]One GPU that serves {rates.model}, {rates.input_tokens:,.0f} in / {rates.output_tokens:,.0f} out, at "
              f"{order.tokens_per_s_per_user_min:g} tokens/s per user or more[/bold]")  # fmt: skip
    out.print(f"power at {order.power_usd_per_mwh:g} USD/MWh, busy {order.duty.utilisation:.0%}; token prices fall "
              f"{answer.market.decline:.0%} a year; {hold.years:g} years left, {hold.discount:.0%} a year, scrap "
              f"{hold.scrap_usd:,.0f} USD", style="dim")  # fmt: skip
    out.print(_worth_table(answer))
    out.print("tokens/s: output of one GPU; earns to offers: USD per GPU-hour; bears, market (catalogue), offers: rents; "
              "retires at: USD per MWh; kept: years; worth: USD per GPU", style="dim")  # fmt: skip
    if rents is not None:
        out.print(_rents_table(rents))


def _worth_table(answer: ValueAnswer) -> Table:
    table = Table(title="First to retire first", box=SIMPLE_HEAD, title_justify="left", title_style="bold")
    for place, name in enumerate(("chip", "of", "tokens/s", "earns", "energy", "upkeep", "bears", "market", "offers",
                                  "retires at", "kept", "worth")):  # fmt: skip
        table.add_column(name, justify="right" if place else "left", no_wrap=True)
    for one in answer.valued:
        its = one.worth
        hourly = (
            its.revenue_usd_per_hour,
            its.energy_usd_per_hour,
            its.upkeep_usd_per_hour,
            its.rent_usd_per_hour,
        )
        table.add_row(
            one.name,
            str(one.year),
            f"{one.rates.output_tokens_per_s:,.0f}",
            *(f"{usd:.3f}" for usd in hourly),
            "" if one.market_rent is None else f"{one.market_rent:.2f}",
            "" if one.offered is None else f"{one.offered.usd_per_hour:.2f}",
            f"{its.power_usd_per_mwh_max:,.0f}",
            f"{its.kept_years:.1f}",
            f"{its.value_usd:,.0f}",
        )
    return table


def _rents_table(rents: RentsTold) -> Table:
    title = f"Rents, USD per GPU-hour ({rents.source})"
    table = Table(title=title, box=SIMPLE_HEAD, title_justify="left", title_style="bold")
    for place, name in enumerate(("chip", "series", "from", "to", "then", "now", "change")):
        table.add_column(name, justify="right" if place > 3 else "left", no_wrap=True)
    for one in rents.changes:
        table.add_row(one.chip, one.series, one.first_day, one.last_day, f"{one.first_usd_per_hour:.3f}",
                      f"{one.last_usd_per_hour:.3f}", f"{one.change:+.1%}")  # fmt: skip
    return table
