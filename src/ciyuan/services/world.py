"""The world of a run, from the catalogue and the user's files: everything is read and refused here, before anything
is written.
"""

from dataclasses import dataclass, replace
from math import ceil
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ciyuan.basics.calendar import Calendar, month_days
from ciyuan.basics.errors import Malformed
from ciyuan.basics.grade import CENTI, ConversionVector
from ciyuan.basics.money import MICRO
from ciyuan.basics.price import PriceList, standard_price
from ciyuan.basics.time import NS_PER_DAY, NS_PER_HOUR, iso_from_ns, ns_from_iso
from ciyuan.basics.tokens import MTOK, Legs
from ciyuan.exchange.contract import Contract, ContractKind
from ciyuan.exchange.room import Room
from ciyuan.factory.cost import site_gpus
from ciyuan.index.messages import IndexTerms
from ciyuan.services.catalog import grades, power_profiles, site_point, sites, sizes
from ciyuan.services.catalog_facts import GradeFacts, SizeFacts, profile_prices
from ciyuan.services.catalog_prices import listed_suppliers
from ciyuan.services.catalog_table import known
from ciyuan.services.catalog_venue import bond_bp, calendar, clearing_terms, contracts, session_bells
from ciyuan.services.power_file import read_power
from ciyuan.services.usage import Usage, read_usage
from ciyuan.simulation.cast import Provider, cast_of
from ciyuan.simulation.chance import stream
from ciyuan.simulation.hedging import plan_hedges
from ciyuan.simulation.plant import build_plant
from ciyuan.simulation.scenario import Scenario
from ciyuan.simulation.traffic import Sizes, Traffic, simulated_traffic, with_limits
from ciyuan.simulation.world import World
from ciyuan.venue.terms import VenueTerms, house_accounts

DEFAULT_SIZES = "azure_2023_conv"
SIZE_PAIRS = 20_000
WEEK = 7
THURSDAY = 3
"""The weekday of day 0, 1970-01-01, counted from Monday."""
TRADING_MINUTES = 8 * 60
"""Minutes of a day in which orders may come, and some."""
LEAST_ACCOUNTS, LEAST_ORDERS, MOST_ORDERS = 1 << 10, 1 << 17, 1 << 24
"""Bounds of an exchange's room."""


@dataclass(frozen=True, slots=True)
class Files:
    """The user's files of a run; None where the catalogue stands in."""

    usage: Path | None = None
    sample: Path | None = None
    power: Path | None = None
    lenient: bool = False
    stretch: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Assembled:
    """A world with its venue's terms, and in words where its figures came from. `bad_rows` are those that lenient
    reading left out.
    """

    world: World
    terms: VenueTerms
    sources: dict[str, str]
    bad_rows: tuple[str, ...]


def venue_terms(scenario: Scenario) -> VenueTerms:
    """The terms of the venue that a scenario plays on."""
    facts = known(grades(), scenario.grade, "scenario, grade", "grades.toml")
    listed = tuple(contract for contract in contracts() if contract.grade == facts.grade.number)
    clearing = clearing_terms(house_accounts((facts.grade,)))
    return VenueTerms(
        calendar(), (facts.grade,), listed, clearing, IndexTerms(), _room(scenario, len(listed)), bond_bp()
    )


def _room(scenario: Scenario, contracts: int) -> Room:
    """Room for all that the scenario's traders may send in a day, twice over, and for its participants, in powers of two."""
    quotes = 2 * scenario.maker_levels * scenario.makers * contracts
    others = scenario.buyers + 2 * len(scenario.sites)
    a_minute = quotes + others + ceil(scenario.noise_orders_per_minute)
    accounts = 2 * (scenario.makers + scenario.traders + scenario.buyers)
    return Room(
        accounts=max(LEAST_ACCOUNTS, _power_of_two(accounts)),
        orders=max(LEAST_ORDERS, min(_power_of_two(2 * TRADING_MINUTES * a_minute), MOST_ORDERS)),
    )


def _power_of_two(least: int) -> int:
    return 1 << (least - 1).bit_length()


def assemble(scenario: Scenario, files: Files) -> Assembled:
    """Read all that a run needs. Raises Malformed for whatever cannot be played; nothing is written."""
    scenario.check()
    terms = venue_terms(scenario)
    days = terms.calendar
    facts = known(grades(), scenario.grade, "scenario, grade", "grades.toml")
    first, last = month_days(scenario.month)
    front = _front_month(terms.contracts, scenario.month)
    first_ns, end_ns = days.start_ns(first), days.start_ns(last + 1)
    hours = (end_ns - first_ns) // NS_PER_HOUR
    usage = read_usage(files.usage, strict=not files.lenient) if files.usage else None
    if usage is not None:
        scenario = replace(
            scenario, thrifty_buyers=0
        )  # every row of a file is metered: nobody may run out of money
    size = known(sizes(), DEFAULT_SIZES, "request sizes", "sizes.toml")
    traffic, traffic_source = _traffic(scenario, files, usage, size, days, first_ns, end_ns)
    chosen = [known(sites(), choice.name, "scenario, sites", "sites.toml") for choice in scenario.sites]
    points = [site_point(site, facts, size) for site in chosen]
    gpus = [
        site_gpus(site, point, choice.gpus)
        for site, point, choice in zip(chosen, points, scenario.sites, strict=True)
    ]
    zones = tuple(site.zone for site in chosen)
    power, power_source = _power(scenario, files.power, zones, first_ns, hours)
    plant = build_plant(scenario, chosen, points, gpus, power, traffic, first_ns, facts.grade.vector)
    own, providers, price_source = _lists(scenario, facts, first_ns, end_ns)
    cast = cast_of(scenario, tuple(site.owner for site in chosen), providers)
    own = tuple(replace(entry, supplier=number) for number, entry in zip(cast.factories, own, strict=True))
    numbered = tuple(
        Provider(provider.name, tuple(replace(entry, supplier=number) for entry in provider.lists))
        for number, provider in zip(cast.providers, providers, strict=True)
    )
    vector = facts.grade.vector
    use_mtok = (
        np.bincount(traffic.customer, weights=_centitokens(traffic, vector), minlength=scenario.buyers)
        / CENTI
        / MTOK
    )
    hedges = plan_hedges(scenario, cast.buyers, cast.factories, use_mtok, front.number, front.lot_mtok)
    start = _start_price(own, traffic, vector, size)
    world = World(
        scenario,
        days,
        facts.grade,
        terms.contracts,
        session_bells(),
        cast,
        plant,
        traffic,
        own,
        numbered,
        hedges,
        start,
        terms.bond_bp,
    )
    sources = {
        "market": "simulated participants and prices, from the seed: no forecast",
        "traffic": traffic_source,
        "power": power_source,
        "list prices": price_source,
        "serving": facts.serving_source,
    }
    return Assembled(world, terms, sources, tuple(map(str, usage.bad_rows)) if usage else ())


def _front_month(listed: tuple[Contract, ...], month: int) -> Contract:
    for contract in listed:
        if contract.kind == ContractKind.CASH_FUTURE and contract.month == month:
            return contract
    raise Malformed("scenario, month", found=month, expected=f"a listed month: {sorted(c.month for c in listed if c.month)}",
                    remedy="Choose a listed month, or list a contract for it in contracts.toml.")  # fmt: skip


def _traffic(scenario: Scenario, files: Files, usage: Usage | None, size: SizeFacts, days: Calendar, first_ns: int,
             end_ns: int) -> tuple[Traffic, str]:  # fmt: skip
    """The month's requests: those of the usage file, or drawn from a sample's or the catalogue's sizes; and where
    they came from.
    """
    if usage is not None and files.usage is not None:
        left_out = len(usage.bad_rows)
        rows = (
            f"{len(usage):,} rows of {files.usage.name}, {left_out:,} bad rows left out"
            if left_out
            else f"every row of {files.usage.name}"
        )
        return _replayed(scenario, usage, first_ns, end_ns, files.stretch), rows
    if files.sample is not None:
        drawn = read_usage(files.sample)
        pairs, source = (
            Sizes(drawn.input, drawn.output, files.sample.name),
            f"sizes drawn from {files.sample.name}",
        )
    else:
        pairs, source = (
            Sizes(*size.sample(SIZE_PAIRS), size.source),
            f"sizes drawn from quantiles of the catalogue: {size.name}",
        )
    hour_ns = np.arange(first_ns, end_ns, NS_PER_HOUR, dtype=np.int64)
    weekday = np.array([(days.day_of(at) + THURSDAY) % WEEK for at in hour_ns.tolist()], dtype=np.int64)
    bundle = f"; each request stands for {scenario.bundle_calls:,} calls of one drawn size"
    return simulated_traffic(scenario, pairs, hour_ns, weekday), source + bundle


def _replayed(scenario: Scenario, usage: Usage, first_ns: int, end_ns: int, stretch: bool) -> Traffic:
    """A usage file's rows as requests of the month, its clock starting at the month's first moment (or spread over the month)."""
    since = usage.timestamp_ns - (usage.timestamp_ns[0] if stretch or usage.timestamp_ns[0] < 0 else 0)
    room = end_ns - first_ns
    last = int(since[-1])
    if stretch and last:
        since = np.array([int(at) * (room - 1) // last for at in since.tolist()], dtype=np.int64)
    elif last >= room:
        raise Malformed(
            "usage file, timestamp_s",
            found=f"{last // 10**9} s",
            expected=f"under {room // 10**9} s: seconds since the month began",
            remedy="Cut the file to a month, or give --stretch to fit it to one.",
        )
    if usage.customer is None:
        customer = stream(scenario.seed, "customers").integers(0, scenario.buyers, len(usage))
    else:
        names, customer = np.unique(usage.customer.astype(str), return_inverse=True)
        if len(names) > scenario.buyers:
            raise Malformed(
                "usage file, customer",
                found=f"{len(names)} customers",
                expected=f"at most the scenario's {scenario.buyers} buyers",
                remedy=f"Give a --scenario file that says buyers = {len(names)}.",
            )
    return with_limits(first_ns + since, customer.astype(np.int64), usage.input, usage.cached, usage.output)


def _power(
    scenario: Scenario, path: Path | None, zones: tuple[str, ...], first_ns: int, hours: int
) -> tuple[NDArray[np.float64], str]:
    """USD/MWh of the sites' zones for each hour of the month, (H, S), and where it came from."""
    profiles = [known(power_profiles(), zone, "scenario, sites, zone", "power.toml") for zone in zones]
    if path is None:
        return profile_prices(
            profiles, first_ns, hours
        ), "means by hour of the day from the catalogue, not a series"
    from_ns = ns_from_iso(scenario.power_from)
    if (from_ns - first_ns) % NS_PER_DAY:
        raise Malformed(
            "scenario, power_from",
            found=scenario.power_from,
            expected="the hour of the day at which the month starts",
            remedy=f"Keep its date and use the hour of {iso_from_ns(first_ns)}.",
        )
    distinct = tuple(dict.fromkeys(zones))
    prices = read_power(path, distinct, {profile.zone: profile.usd_per_unit for profile in profiles}).window(
        from_ns, hours
    )
    return prices[
        :, [distinct.index(zone) for zone in zones]
    ], f"hours of {path.name} from {scenario.power_from}"


def _lists(
    scenario: Scenario, facts: GradeFacts, first_ns: int, end_ns: int
) -> tuple[tuple[PriceList, ...], tuple[Provider, ...], str]:
    """The lists that the factories start from, the other providers of the grade with theirs, and where the prices came from."""
    listed = {
        supplier.provider: supplier
        for supplier in listed_suppliers(facts, first_ns, end_ns)
        if not supplier.retired
    }
    for choice in scenario.sites:
        if choice.list_provider not in listed:
            raise Malformed("scenario, sites, list_provider", found=choice.list_provider, expected=f"one of {', '.join(listed)}",
                            remedy="Name a provider that sells the grade.")  # fmt: skip
    taken = {choice.list_provider for choice in scenario.sites}
    own = tuple(listed[choice.list_provider].prices[0] for choice in scenario.sites)
    others = tuple(
        Provider(supplier.name, supplier.prices) for name, supplier in listed.items() if name not in taken
    )
    return own, others, next(iter(listed.values())).source


def _centitokens(traffic: Traffic, vector: ConversionVector) -> NDArray[np.int64]:
    uncached = traffic.input - traffic.cached
    return uncached * vector.input + traffic.cached * vector.cached + traffic.output * vector.output


def _start_price(
    lists: tuple[PriceList, ...], traffic: Traffic, vector: ConversionVector, size: SizeFacts
) -> float:
    """USD per standard MTok of the middle one of the factories' first lists, on this traffic's mix of legs (the
    catalogue's, if it has none).

    The middle one, because the index is a median: that is what a fixing of these lists would be.
    """
    legs = Legs(int(traffic.input.sum()), int(traffic.cached.sum()), int(traffic.output.sum()))
    if not vector.standard_centitokens(legs):
        legs = Legs(size.input_total, 0, size.output_total)
    prices = [standard_price(entry.cost_pico(legs), vector.standard_centitokens(legs)) for entry in lists]
    return float(np.median(prices)) / MICRO
