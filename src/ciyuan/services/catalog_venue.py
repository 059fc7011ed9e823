"""What a venue is made of, from the catalogue: its calendar and bells, its contracts, the clearing house's terms.

| function | file | gives |
|---|---|---|
| `calendar`, `session_bells` | calendar.toml | the business days; the moments at which contracts change their state |
| `contracts`, `clearing_terms` | contracts.toml | what is traded; margin, fees and limits |

Strict as the rest of the catalogue. A future's last day is not a fact but a rule (§2.2), and is computed here from the calendar.
"""

import re
from collections.abc import Sequence
from importlib.resources.abc import Traversable

from ciyuan.basics.calendar import Calendar, day_from_iso
from ciyuan.basics.errors import Malformed
from ciyuan.basics.time import NS_PER_MINUTE, NS_PER_SECOND
from ciyuan.clearing.messages import (
    CancelTerms,
    ClearingTerms,
    DefaultTerms,
    DeliveryTerms,
    Fees,
    FundTerms,
    HouseAccounts,
    Ladder,
    MakerTerms,
    PositionLimits,
    ScenarioTerms,
    SpreadCredit,
)
from ciyuan.exchange.contract import BASIS_POINTS, Contract, ContractKind
from ciyuan.exchange.messages import SessionState
from ciyuan.services.catalog import grades
from ciyuan.services.catalog_table import FACTS, Section, known, member, top_keys, top_table, top_tables
from ciyuan.simulation.schedule import Bell

_VENUE = "venue"
_CREDIT = "spread_credit"
_OFFSET = re.compile(r"([+-])([01]\d):([0-5]\d)", re.ASCII)
_GROUPS = {
    ContractKind.SPOT: "spot",
    ContractKind.CASH_FUTURE: "futures",
    ContractKind.PHYSICAL_FUTURE: "futures",
    ContractKind.HOUR_FUTURE: "futures",
}
_FEES = ("maker_usd_micro_per_lot", "taker_usd_micro_per_lot", "maker_turnover_ppm", "taker_turnover_ppm")
_LIMITS = ("ordinary_lots", "month_before_lots", "delivery_month_lots")
_TERMS = {
    "margin_ladder": ("listing_bp", "month_before_bp", "delivery_month_bp", "last_days_bp", "last_days"),
    "fees_futures": _FEES,
    "fees_spot": _FEES,
    "position_limits": _LIMITS,
    "position_limits_hedger": _LIMITS,
    "orders": ("per_second_max", "large_position_bp", "limit_share_bp"),
    "scenario_margin": ("floor_bp", "stress_weight_bp", "review_move_bp"),
    "default": (
        "call_minutes",
        "slice_bp",
        "slice_seconds",
        "slices_max",
        "slip_bp",
        "auction_minutes",
        "assessment_bp",
    ),
    "default_fund": ("least_usd_micro", "slack_bp"),
    "delivery": ("penalty_bp", "haircut_bp"),
    "receipts": ("bond_bp",),
    "cancels": ("free_per_day", "fee_usd_micro"),
    "market_makers": ("spread_bp", "size_lots", "presence_bp", "rebate_usd_micro_per_lot"),
}
"""The tables of clearing terms, their keys in the order of the dataclasses' fields."""


def calendar(folder: Traversable = FACTS) -> Calendar:
    """The venue's calendar."""
    with top_table("calendar.toml", _VENUE, folder) as table:
        table.sourced()
        holidays = frozenset(day_from_iso(text) for text in table.texts("holidays"))
        return Calendar(_offset_ns(table.text("utc_offset"), table.place), holidays)


def _offset_ns(text: str, place: str) -> int:
    found = _OFFSET.fullmatch(text)
    if found is None:
        raise Malformed(
            f"{place}, utc_offset",
            found=text,
            expected='an offset as "+08:00"',
            remedy="Write sign, hours and minutes.",
        )
    sign, hours, minutes = found.groups()
    return (int(hours) * 60 + int(minutes)) * NS_PER_MINUTE * (-1 if sign == "-" else 1)


def group_of(kind: ContractKind) -> str:
    """The group of bells that a kind of contract hears."""
    return _GROUPS[kind]


def session_bells(folder: Traversable = FACTS) -> tuple[Bell, ...]:
    """The bells of a trading day, group by group, each in order of time; `Bell.state` is the exchange's SessionState."""
    _expect_tables("calendar.toml", (_VENUE, *dict.fromkeys(_GROUPS.values())), folder)
    days = calendar(folder)
    bells: list[Bell] = []
    for group, table in top_tables("calendar.toml", folder, only=tuple(dict.fromkeys(_GROUPS.values()))):
        table.sourced()
        last = 0
        for entry in table.tables("bells"):
            bell = Bell(
                entry.text("clock"), group, member(SessionState, entry.text("state"), f"{entry.place}, state")
            )
            moment = days.ns_at(0, bell.clock) - days.start_ns(0)
            if moment < last:
                raise Malformed(f"{entry.place}, clock", found=bell.clock, expected="a time no earlier than the bell before",
                                remedy="Put the bells in order of time.")  # fmt: skip
            last = moment
            bells.append(bell)
    return tuple(bells)


def contracts(folder: Traversable = FACTS) -> tuple[Contract, ...]:
    """The contracts, by number."""
    days, known_grades = calendar(folder), grades(folder)
    _expect_tables("contracts.toml", ("contract", _CREDIT, *_TERMS), folder)
    found = []
    for _, table in top_tables("contracts.toml", folder, only=("contract",)):
        facts = known(known_grades, table.text("grade"), f"{table.place}, grade", "grades.toml")
        found.append(_contract(table, days, facts.grade.number))
    found.sort(key=lambda contract: contract.number)
    if [contract.number for contract in found] != list(range(1, len(found) + 1)):
        raise Malformed("contracts.toml, number", found=[contract.number for contract in found],
                        expected="1, 2, 3 ..., each once", remedy="Number the contracts without a gap.")  # fmt: skip
    return tuple(found)


def _contract(table: Section, days: Calendar, grade: int) -> Contract:
    table.sourced()
    kind = member(ContractKind, table.text("kind"), f"{table.place}, kind")
    month = 0 if kind == ContractKind.SPOT else table.whole("month")
    return Contract(
        number=table.whole("number"),
        code=table.text("code"),
        kind=kind,
        grade=grade,
        tick_micro=table.whole("tick_micro_usd_per_mtok"),
        lot_mtok=table.whole("lot_mtok"),
        first_day=day_from_iso(table.day("first_day")),
        last_day=days.last_business_of_month(month) if month else day_from_iso(table.day("last_day")),
        month=month,
        limit_rate_bp=table.whole("limit_rate_bp"),
        initial_price_ticks=table.whole("initial_price_ticks"),
        max_lots_per_order=table.whole("max_lots_per_order"),
    )


def bond_bp(folder: Traversable = FACTS) -> int:
    """The bond that stands behind an issuer's receipts, as a share of their value in basis points (§9.1)."""
    (found,) = _whole_numbers("receipts", _TERMS["receipts"], folder)
    return found


def clearing_terms(house: HouseAccounts, folder: Traversable = FACTS) -> ClearingTerms:
    """The clearing house's terms, for the ledger accounts that it has in this venue."""
    found = {name: _whole_numbers(name, keys, folder) for name, keys in _TERMS.items()}
    listing, month_before, delivery_month, last, last_days = found["margin_ladder"]
    call, slice_bp, slice_s, slices, slip, auction, assessment = found["default"]
    rate, report_bp, share_bp = found["orders"]
    return ClearingTerms(
        house=house,
        ladder=Ladder(listing, month_before, delivery_month, last, last_days),
        futures_fees=Fees(*found["fees_futures"]),
        spot_fees=Fees(*found["fees_spot"]),
        limits=PositionLimits(*found["position_limits"]),
        hedger_limits=PositionLimits(*found["position_limits_hedger"]),
        orders_per_second_max=rate,
        report_bp=report_bp,
        limit_share_bp=share_bp,
        scenario=ScenarioTerms(*found["scenario_margin"]),
        default=DefaultTerms(
            call * NS_PER_MINUTE,
            slice_bp,
            slice_s * NS_PER_SECOND,
            slices,
            slip,
            auction * NS_PER_MINUTE,
            assessment,
        ),
        fund=FundTerms(*found["default_fund"]),
        delivery=DeliveryTerms(*found["delivery"]),
        cancels=CancelTerms(*found["cancels"]),
        credits=_credits(folder),
        maker=MakerTerms(*found["market_makers"]),
    )


def _credits(folder: Traversable) -> tuple[SpreadCredit, ...]:
    """The ladder's table of credits (§6.3)."""
    known_grades, found = grades(folder), []
    for _, table in top_tables("contracts.toml", folder, only=(_CREDIT,)):
        table.sourced()
        grade, other = (
            known(known_grades, table.text(key), f"{table.place}, {key}", "grades.toml").grade.number
            for key in ("grade", "other_grade")
        )
        rate = table.whole("rate_bp")
        if not 0 <= rate <= BASIS_POINTS:
            raise Malformed(
                f"{table.place}, rate_bp", found=rate, expected="0 to 10,000", remedy="Mend the rate."
            )
        found.append(SpreadCredit(grade, other, rate))
    return tuple(found)


def _whole_numbers(name: str, keys: Sequence[str], folder: Traversable) -> list[int]:
    """The whole numbers, none below 0, of one table of terms."""
    with top_table("contracts.toml", name, folder) as table:
        table.sourced()
        values = [table.whole(key) for key in keys]
    for key, value in zip(keys, values, strict=True):
        if value < 0:
            raise Malformed(
                f"{table.place}, {key}", found=value, expected="0 or more", remedy="Mend the value."
            )
    return values


def _expect_tables(file: str, expected: Sequence[str], folder: Traversable) -> None:
    unknown = [key for key in top_keys(file, folder) if key not in expected]
    if unknown:
        raise Malformed(f"{file}, [{unknown[0]}]", found=unknown[0], expected=f"one of {', '.join(expected)}",
                        remedy="Mend the table's name or remove it.")  # fmt: skip
