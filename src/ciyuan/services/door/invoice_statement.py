"""A statement from the tables of usage: details, movements of money, opening and closing balance; and the laws that it must keep.

A customer's money is what is in its cash and its prepaid purse together: a move between the two is none, a move to another purse
is money that went out. What is checked before anything is printed (a breach is `InvariantBroken`, and no invoice is made):

| law | both sides |
|---|---|
| details are the charges | sum of details = sum of the hours of the same span, while those are kept |
| charges are the prices | charged less tokens x price is under one micro-unit either way, where all lists price three legs |
| prepaid is never overdrawn | closing is not below 0 |
| the machine agrees | `invoice_check`: charges and balance by the journal played again, where that is asked for |
"""

from dataclasses import replace

from ciyuan.basics.errors import InvariantBroken, Malformed
from ciyuan.basics.money import PICO_PER_MICRO
from ciyuan.services.door.invoice import Detail, Labels, Movement, PriceList, Statement, Who
from ciyuan.services.door.registry_database import Sql
from ciyuan.services.door.registry_schema import SpenderKind
from ciyuan.services.door.usage_columns import CELL, HOURS_PER_DAY, Sums
from ciyuan.services.door.usage_names import Names
from ciyuan.services.door.usage_query import SUMMED
from ciyuan.services.door.usage_span import EPOCH, Span
from ciyuan.services.door.usage_tables import MONEY, PRICE_LIST, reach_of
from ciyuan.venue.messages import Purse, VenueEvent

UTC_DAYS = Span(EPOCH, EPOCH)
OWN_PURSES = (Purse.CASH, Purse.PREPAID)
_KINDS = {
    VenueEvent.DEPOSITED: "deposit",
    VenueEvent.WITHDRAWN: "withdrawal",
    VenueEvent.MOVED: "move to or from another purse",
}
_CHARGED = "SELECT CAST(SUM(charged_micro) AS BIGINT) FROM"


def statement_of(sql: Sql, customer: int, span: Span) -> Statement:
    """The statement of a customer's span. Raises InvariantBroken if a law of the module's table is broken, Malformed if the
    days or hours that it needs were deleted.
    """
    _require_kept(sql, span)
    start_ns, end_ns = span.bounds_ns
    moves = _movements(sql, customer)
    opening = sum(each.micro for each in moves if each.time_ns < start_ns) - charged_before(
        sql, customer, span.hours[0]
    )
    inside = tuple(each for each in moves if start_ns <= each.time_ns < end_ns)
    details = _details(sql, customer, span)
    charged = sum(detail.sums.charged_micro for detail in details)
    made = Statement(
        customer, span.first.isoformat(), span.end.isoformat(), span.offset_hours, opening, inside, charged,
        opening + sum(each.micro for each in inside) - charged,
        _price_lists(sql, {detail.price_list for detail in details}), details,
    )  # fmt: skip
    _check(sql, made)
    return made


def labels_of(statement: Statement, names: Names, organisation: str, issuer: str) -> Labels:
    """The names of a statement's numbers, today."""
    kinds = {
        kind: names.labels(kind)
        for kind in (SpenderKind.DEPARTMENT, SpenderKind.ENGINEER, SpenderKind.KEY, SpenderKind.APP)
    }
    spenders = {}
    for number in sorted({detail.spender for detail in statement.details}):
        above = names.above(number, SpenderKind.DEPARTMENT)
        unknown = f"spender {number}" if number else "(none)"
        shown = [kinds[kind].get(number, unknown) for kind in kinds]
        spenders[number] = Who(0 if above is None else above.number, *shown)
    return Labels(
        organisation,
        issuer,
        spenders,
        {
            number: names.customer(number)
            for number in sorted({detail.supplier for detail in statement.details})
        },
        {
            number: (names.model(number), names.tier(number))
            for number in sorted({detail.grade for detail in statement.details})
        },
    )


def charged_before(sql: Sql, customer: int, hour: int) -> int:
    """All that a customer was charged before an hour since 1970 UTC, deleted days among it."""
    day = hour // HOURS_PER_DAY
    forgotten = sql.value("SELECT charged_micro FROM usage_forgotten WHERE customer = ?", customer)
    days = sql.value(f"{_CHARGED} usage_day WHERE customer = ? AND day < ?", customer, day)
    hours = sql.value(
        f"{_CHARGED} usage_hour WHERE customer = ? AND hour >= ? AND hour < ?",
        customer,
        day * HOURS_PER_DAY,
        hour,
    )
    return int(forgotten or 0) + int(days or 0) + int(hours or 0)


def _require_kept(sql: Sql, span: Span) -> None:
    if not reach_of(sql).keeps(span):
        raise Malformed(f"invoice of {span.name}", found="sums that were deleted", expected="a span that is kept",
                        remedy="An invoice that was made can be written again: ciyuan invoice show NUMBER.")  # fmt: skip


def _details(sql: Sql, customer: int, span: Span) -> tuple[Detail, ...]:
    columns = ", ".join(CELL[2:])
    if span.offset_hours:
        day, table, bounds = f"(hour + ({span.offset_hours})) / {HOURS_PER_DAY}", "usage_hour", span.hours
        column = "hour"
    else:
        start, end = span.hours
        day, table, bounds, column = "day", "usage_day", (start // HOURS_PER_DAY, end // HOURS_PER_DAY), "day"
    rows = sql.rows(
        f"SELECT {day}, {columns}, {SUMMED} FROM {table} "  # noqa: S608
        f"WHERE customer = ? AND {column} >= ? AND {column} < ? "
        f"GROUP BY {day}, {columns} ORDER BY {day}, {columns}",
        customer,
        *bounds,
    )
    return tuple(
        Detail(
            UTC_DAYS.day_of(day * HOURS_PER_DAY).isoformat(),
            spender,
            supplier,
            grade,
            batch,
            number,
            Sums(*sums),
        )
        for day, spender, supplier, grade, batch, number, *sums in rows
    )


def _movements(sql: Sql, customer: int) -> list[Movement]:
    references: dict[int, str] = dict(
        sql.rows("SELECT number, reference FROM payments WHERE participant = ?", customer)
    )
    rows = sql.rows(
        f"SELECT {', '.join(MONEY)} FROM usage_money WHERE participant = ? ORDER BY time_ns, reference",  # noqa: S608
        customer,
    )
    found = []
    for key, time_ns, code, _, purse, micro, to_purse in rows:
        effect = _effect(code, purse, micro, to_purse)
        if effect:
            found.append(
                Movement(time_ns, key, _KINDS[VenueEvent(code)], effect, str(references.get(key, "")))
            )
    return found


def _effect(code: int, purse: int, micro: int, to_purse: int) -> int:
    """What a movement does to cash and prepaid together."""
    if code == VenueEvent.DEPOSITED:
        return micro if purse in OWN_PURSES else 0
    if code == VenueEvent.WITHDRAWN:
        return -micro if purse in OWN_PURSES else 0
    return micro * ((to_purse in OWN_PURSES) - (purse in OWN_PURSES))


def _price_lists(sql: Sql, numbers: set[int]) -> tuple[PriceList, ...]:
    rows = sql.rows(
        f"SELECT {', '.join(PRICE_LIST)}, has_legs FROM usage_price_list ORDER BY number"  # noqa: S608
    )
    lists = (PriceList(*row) for row in rows if row[0] in numbers)
    return tuple(replace(each, has_legs=bool(each.has_legs)) for each in lists)


def _check(sql: Sql, made: Statement) -> None:
    reach, (start, end) = reach_of(sql), made.span.hours
    if start >= reach.hours_from:
        hours = sql.value(
            f"{_CHARGED} usage_hour WHERE customer = ? AND hour >= ? AND hour < ?", made.customer, start, end
        )
        if made.charged_micro != (hours or 0):
            raise InvariantBroken(
                "details are the charges", f"details {made.charged_micro}, hours {hours or 0} micro-USD"
            )
    carry = made.carry_pico
    if carry is not None and abs(carry) >= PICO_PER_MICRO:
        raise InvariantBroken(
            "charges are the prices", f"charged less tokens x price is {carry} pico-USD, a micro-USD or more"
        )
    if made.closing_micro < 0:
        raise InvariantBroken("prepaid is never overdrawn", f"closing {made.closing_micro} micro-USD")
