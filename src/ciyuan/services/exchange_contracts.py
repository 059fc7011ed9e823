"""The contracts of a replay, and the room its exchange needs: from a TOML file, or made to fit the orders.

A file of contracts is a list of `[[contract]]` tables, with the keys of `ciyuan/data/contracts.toml`. Only `code` must be
there:

| key | without it |
|---|---|
| `number` | 1, 2, 3 ... as listed |
| `kind`, `grade` | cash_future; all of one grade |
| `tick_micro` (or `tick_micro_usd_per_mtok`) | as inferred |
| `lot_mtok` | 1,000 |
| `first_day`, `last_day` | the file's first trading day; ten years on |
| `limit_rate_bp`, `initial_price_ticks` | as inferred |
| `max_lots_per_order` | 2^25, more than which nobody may hold |
| `near`, `far` | codes or numbers of a spread's legs |
| `breaker_bp`, `breaker_minutes` | no breaker |

*Inferred*: the tick is one of the last decimal that a price of the contract has. The first day's limits are as wide as the ladder
allows, so that an order is refused for its price only where the orders themselves lie farther apart than the ladder has ticks.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ciyuan.basics.calendar import day_from_iso, iso_of_day, month_of
from ciyuan.basics.errors import Malformed
from ciyuan.exchange.contract import BASIS_POINTS, Contract, ContractKind
from ciyuan.exchange.room import LADDER_TICKS_MAX, Room
from ciyuan.exchange.settlement import FIRST_DAY_LIMITS, daily_limits
from ciyuan.exchange.state import EXPOSURE_MAX
from ciyuan.services.catalog_table import Section, member, top_tables
from ciyuan.services.exchange_source import Prices, Survey

TICK_MICRO, PRICE_TICKS = 1_000, 1_000
"""Where the orders say nothing of either."""
UNIT_MICRO = 1_000_000
LOT_MTOK = 1_000
LISTED_DAYS = 3_652
ORDERS_MIN, ORDERS_MAX = 1_024, 2**30
PLACES_MAX = 2**22
"""Accounts times contracts that an exchange is built for: 400 bytes each, touched where somebody trades."""
_TICKS = ("tick_micro", "tick_micro_usd_per_mtok", "tick_micro_usd_per_gpu_hour")


@dataclass(frozen=True, slots=True)
class Terms:
    """What a replay takes as given: a file of contracts, a trading day, a tick (0: inferred), a code if the orders name none."""

    contracts: Path | None = None
    day: int | None = None
    tick_micro: int = 0
    code: str = ""


def contracts_for(terms: Terms, survey: Survey) -> tuple[Contract, ...]:
    """The contracts of a replay. Raises Malformed for a file of contracts that cannot be read as one."""
    if terms.contracts:
        return _listed(terms.contracts, terms, survey)
    names = list(survey.prices) or [""]
    numbers = [int(name) if name.isdecimal() else 0 for name in names]
    if not all(numbers) or len(set(numbers)) < len(numbers):
        numbers = list(range(1, len(names) + 1))
    return tuple(
        _inferred(name or terms.code, number, survey.prices.get(name, Prices()), terms, survey)
        for name, number in zip(names, numbers, strict=True)
    )


def room_for(contracts: tuple[Contract, ...], survey: Survey) -> Room:
    """Room for every order of the file at once, its accounts and its contracts' limits. Malformed for too many accounts."""
    if survey.accounts * len(contracts) > PLACES_MAX:
        raise Malformed(
            "orders file, column account",
            found=f"account {survey.accounts:,} in {len(contracts)} contracts",
            expected=f"accounts to {PLACES_MAX // len(contracts):,}",
            remedy="Number the accounts 1, 2, 3 ...",
        )
    orders = min(max(survey.orders, ORDERS_MIN), ORDERS_MAX)
    ticks = LADDER_TICKS_MAX if survey.has_sessions else min(_widest(contracts), LADDER_TICKS_MAX)
    return Room(accounts=survey.accounts, orders=orders, ladder_ticks=ticks)


def _widest(contracts: tuple[Contract, ...]) -> int:
    """Ticks between the limits of the contract whose limits are farthest apart on its first day."""
    widths = {}
    for contract in contracts:
        lower, upper = daily_limits(contract.initial_price_ticks, FIRST_DAY_LIMITS * contract.limit_rate_bp)
        widths[contract.number] = upper - lower
    for contract in contracts:
        if contract.is_spread:
            widths[contract.number] = widths[contract.near] + widths[contract.far]
    return max(widths.values()) + 1


def tick_of(prices: Prices, terms: Terms, survey: Survey) -> int:
    """The tick of a contract in micro-units of money: as given, or one of the last decimal that its prices have."""
    if terms.tick_micro or survey.in_ticks or not prices.step:
        return terms.tick_micro or TICK_MICRO
    tick_micro = UNIT_MICRO
    while prices.step % tick_micro:
        tick_micro //= 10
    return tick_micro


def limits_for(prices: Prices, unit: int) -> tuple[int, int]:
    """(initial price in ticks, daily limit in basis points) that let in all these prices, if a ladder can.

    Prices are in multiples of `unit`. The first day's limit counts twice. Where no ladder is long enough it lies around the
    typical price.
    """
    low, high, typical = (
        max(-(-price // unit), 1) for price in (prices.lowest, prices.highest, prices.typical)
    )
    most = LADDER_TICKS_MAX - 1
    if not prices.highest:
        middle = PRICE_TICKS
    elif high <= most:
        middle = max(min(typical, most // 3), -(-high // 3))
    elif high - low <= most - high // BASIS_POINTS:
        middle = (low + high) // 2
    else:
        middle = typical
    rate = BASIS_POINTS
    if middle * 3 > most:
        rate = min((most - 2) * BASIS_POINTS // (4 * middle), BASIS_POINTS // 2)
    return middle, max(rate, 1)


def _inferred(code: str, number: int, prices: Prices, terms: Terms, survey: Survey) -> Contract:
    tick_micro = tick_of(prices, terms, survey)
    middle, rate = limits_for(prices, 1 if survey.in_ticks else tick_micro)
    first = _first_day(terms, survey)
    last = first + LISTED_DAYS
    return Contract(
        number=number,
        code=code or "ORDERS",
        kind=ContractKind.CASH_FUTURE,
        grade=1,
        tick_micro=tick_micro,
        lot_mtok=LOT_MTOK,
        first_day=first,
        last_day=last,
        month=month_of(last),
        limit_rate_bp=rate,
        initial_price_ticks=middle,
        max_lots_per_order=EXPOSURE_MAX,
    )


def _first_day(terms: Terms, survey: Survey) -> int:
    return survey.first_day if terms.day is None else min(terms.day, survey.first_day)


def _listed(path: Path, terms: Terms, survey: Survey) -> tuple[Contract, ...]:
    found: list[Contract] = []
    numbers: dict[str, int] = {}
    grades: dict[str, int] = {}
    for _, table in top_tables(path.name, path.resolve().parent, only=("contract",)):
        contract = _contract(table, len(found) + 1, numbers, grades, terms, survey)
        if contract.number in numbers.values() or contract.code in numbers:
            raise Malformed(f"{table.place}, number and code", found=(contract.number, contract.code), expected="each once",
                            remedy="Give every contract its own.")  # fmt: skip
        numbers[contract.code] = contract.number
        found.append(contract)
    if not found:
        raise Malformed(
            f"contracts file {path}",
            found="no [[contract]]",
            expected="at least one [[contract]]",
            remedy="Add the table.",
        )
    return tuple(found)


def _contract(
    table: Section,
    place: int,
    numbers: Mapping[str, int],
    grades: dict[str, int],
    terms: Terms,
    survey: Survey,
) -> Contract:
    """One [[contract]]; what it does not say is inferred from its orders."""
    code, number = table.text("code"), _whole(table, "number", place)
    kind = (
        member(ContractKind, table.text("kind"), f"{table.place}, kind")
        if "kind" in table
        else ContractKind.CASH_FUTURE
    )
    for key in ("source", "observed_on"):
        if key in table:
            table.text(key) if key == "source" else table.day(key)
    prices = survey.prices.get(code) or survey.prices.get(str(number)) or survey.prices.get("") or Prices()
    tick_micro = next((table.whole(key) for key in _TICKS if key in table), tick_of(prices, terms, survey))
    middle, rate = limits_for(prices, 1 if survey.in_ticks else tick_micro)
    first = day_from_iso(table.day("first_day")) if "first_day" in table else _first_day(terms, survey)
    last = day_from_iso(table.day("last_day")) if "last_day" in table else first + LISTED_DAYS
    near, far = (_leg(table, key, numbers) for key in ("near", "far"))
    return Contract(
        number=number,
        code=code,
        kind=ContractKind.SPREAD if near else kind,
        grade=_grade(table, grades),
        tick_micro=tick_micro,
        lot_mtok=_whole(table, "lot_mtok", LOT_MTOK),
        first_day=first,
        last_day=last,
        month=_whole(table, "month", 0 if kind is ContractKind.SPOT else month_of(last)),
        limit_rate_bp=_whole(table, "limit_rate_bp", rate),
        initial_price_ticks=_whole(table, "initial_price_ticks", middle),
        max_lots_per_order=_whole(table, "max_lots_per_order", EXPOSURE_MAX),
        near=near,
        far=far,
        breaker_bp=_whole(table, "breaker_bp", 0),
        breaker_minutes=_whole(table, "breaker_minutes", 0),
    )


def _whole(table: Section, key: str, default: int) -> int:
    return table.whole(key) if key in table else default


def _grade(table: Section, grades: dict[str, int]) -> int:
    """The number of a grade by its name: contracts of one grade are months of one product."""
    return grades.setdefault(table.text("grade") if "grade" in table else "", len(grades) + 1)


def _leg(table: Section, key: str, numbers: Mapping[str, int]) -> int:
    """The number of a spread's leg, which is listed before it; 0 for none."""
    if key not in table:
        return 0
    name = table.text(key)
    if name not in numbers:
        raise Malformed(f"{table.place}, {key}", found=name, expected=f"a contract listed before: {', '.join(numbers)}",
                        remedy="List the legs first, and name them by code.")  # fmt: skip
    return numbers[name]


def check_day(contracts: tuple[Contract, ...], day: int) -> None:
    """Raises Malformed if no contract is listed on the trading day."""
    if not any(contract.first_day <= day <= contract.last_day for contract in contracts):
        first, last = min(c.first_day for c in contracts), max(c.last_day for c in contracts)
        raise Malformed("contracts, first_day and last_day", found=iso_of_day(day),
                        expected=f"a trading day from {iso_of_day(first)} to {iso_of_day(last)}",
                        remedy="Give the day with --day, or list a contract on it.")  # fmt: skip
