"""Budgets against use: what of each limit's window is spent by now.

Use is what was charged (or delivered, in tokens or requests) at or below the limit's spender, by the hour in which requests
ended. The meter, which enforces the limit, also counts what is held just now, and counts a request in the window in which it
began: the two differ by what is under way, and around a window's border by what crossed it.

A rate (a minute, an hour) is the meter's alone. A window whose border is not a whole hour from UTC's, or whose beginning is no
longer kept, has no use that could be told: `used` is None.
"""

from collections import defaultdict
from dataclasses import dataclass
from datetime import date, timedelta

from ciyuan.basics.time import NS_PER_HOUR
from ciyuan.services.door.registry_words import LimitTerms, LimitUnit, LimitWindow
from ciyuan.services.door.usage_columns import NOTHING, Sums
from ciyuan.services.door.usage_names import Names
from ciyuan.services.door.usage_span import EPOCH, Span, next_month
from ciyuan.services.door.usage_tables import UsageTables, reach_of

SUMMED = ("requests", "tokens_in", "tokens_out", "charged_micro")


@dataclass(frozen=True, slots=True)
class BudgetLine:
    """One limit: whose, in words, and what of it is used in its window now; `resets_ns` is the window's end, None for ever."""

    limit: int
    kind: str
    spender: str
    terms: LimitTerms
    used: int | None
    resets_ns: int | None

    @property
    def share(self) -> float | None:
        """The part that is used; None where that is not known, or the limit is 0."""
        return self.used / self.terms.most if self.used is not None and self.terms.most else None


def budgets(tables: UsageTables, names: Names, now_ns: int) -> tuple[BudgetLine, ...]:
    """All budgets of the registry and their use now, fullest first."""
    limits = [
        (limit.number, limit.spender, limit.terms)
        for limit in names.limits.values()
        if limit.terms is not None
    ]
    windows = {(terms.window, terms.offset_ns) for _, _, terms in limits if not terms.is_rate}
    used = {window: _use(tables, names, _window(*window, now_ns)) for window in windows}
    lines = [
        _line(names, number, spender, terms, used[terms.window, terms.offset_ns], now_ns)
        for number, spender, terms in limits
        if not terms.is_rate
    ]
    return tuple(sorted(lines, key=lambda line: (-(line.share or 0), line.limit)))


def _line(
    names: Names, number: int, spender: int, terms: LimitTerms, used: dict[int, Sums] | None, now_ns: int
) -> BudgetLine:
    sums = None if used is None else used.get(spender, NOTHING)
    known = names.spenders.get(spender)
    window = _window(terms.window, terms.offset_ns, now_ns)
    resets = None if terms.window is LimitWindow.EVER or window is None else window.bounds_ns[1]
    return BudgetLine(
        number,
        known.kind if known else "spender",
        names.label(spender),
        terms,
        None if sums is None else amount_of(sums, terms.unit),
        resets,
    )


def amount_of(sums: Sums, unit: LimitUnit) -> int:
    """What a limit of this unit counts of some sums."""
    return {
        LimitUnit.MONEY: sums.charged_micro,
        LimitUnit.TOKENS: sums.tokens,
        LimitUnit.REQUESTS: sums.requests,
    }[unit]


def _window(window: LimitWindow, offset_ns: int, now_ns: int) -> Span | None:
    """The window of a budget at a moment; None if its border is no whole hour from UTC's."""
    hours, part = divmod(offset_ns, NS_PER_HOUR)
    if part:
        return None
    today = Span(EPOCH, EPOCH, hours).day_of(now_ns // NS_PER_HOUR)
    if window is LimitWindow.DAY:
        return Span(today, today + timedelta(days=1), hours)
    if window is LimitWindow.MONTH:
        return Span(today.replace(day=1), next_month(today), hours)
    if window is LimitWindow.YEAR:
        return Span(date(today.year, 1, 1), date(today.year + 1, 1, 1), hours)
    return Span(EPOCH, date.max)


def _use(tables: UsageTables, names: Names, window: Span | None) -> dict[int, Sums] | None:
    """Sums in a window by spender, each with all below it; None where they cannot be had."""
    if window is None:
        return None
    table, column, scale = ("usage_hour", "hour", 1) if window.offset_hours else ("usage_day", "day", 24)
    start, end = (hour // scale for hour in window.hours)
    summed = ", ".join(f"CAST(SUM({name}) AS BIGINT)" for name in SUMMED)
    with tables.database.view() as sql:
        reach = reach_of(sql)
        if start < (reach.hours_from if window.offset_hours else reach.days_from):
            return None
        rows = sql.rows(
            f"SELECT spender, {summed} FROM {table} WHERE {column} >= ? AND {column} < ? GROUP BY spender",  # noqa: S608
            start,
            end,
        )
    found: dict[int, Sums] = defaultdict(Sums)
    for spender, *sums in rows:
        used = Sums(**dict(zip(SUMMED, sums, strict=True)))
        for above in names.lineage(spender):
            found[above.number] = found[above.number] + used
    return found
