"""The league table of a month: departments by what they cost, per head and per revenue, against the month before.

| column | is |
|---|---|
| engineers | the department's engineers whose access is not closed |
| cost per engineer | charged / engineers, half a micro-unit rounded up; none without engineers |
| cached share | cached input / input |
| cost per revenue | charged / revenue of the month, where the registry has one |
| change | charged / charged in the month before - 1; none where that was nothing |

A department is a spender's nearest: what is spent under `research/nlp` counts for nlp, not for research too. So the costs add up.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from ciyuan.basics.errors import Malformed
from ciyuan.basics.money import div_half_up
from ciyuan.services.door.registry_schema import SpenderKind
from ciyuan.services.door.usage_columns import NOTHING, Sums
from ciyuan.services.door.usage_names import Names
from ciyuan.services.door.usage_query import Dimension, Question, ask, sum_of
from ciyuan.services.door.usage_span import Span, month_before
from ciyuan.services.door.usage_tables import Reach, UsageTables


@dataclass(frozen=True, slots=True)
class LeagueLine:
    """One department of the table. `before_micro` is what it was charged in the month before, None if that is not kept."""

    department: str
    sums: Sums
    engineers: int
    revenue_micro: int | None
    before_micro: int | None

    @property
    def per_engineer_micro(self) -> int | None:
        """Charged micro-units per engineer."""
        return div_half_up(self.sums.charged_micro, self.engineers) if self.engineers else None

    @property
    def of_revenue(self) -> float | None:
        """Charged as a part of revenue."""
        return self.sums.charged_micro / self.revenue_micro if self.revenue_micro else None

    @property
    def change(self) -> float | None:
        """Charged against the month before: 0.25 is a quarter more."""
        return self.sums.charged_micro / self.before_micro - 1 if self.before_micro else None


@dataclass(frozen=True, slots=True)
class League:
    """The table of a month, dearest department first, and its total."""

    span: Span
    lines: tuple[LeagueLine, ...]
    total: LeagueLine


def league(tables: UsageTables, names: Names, month: Span, organisation: str | None = None) -> League:
    """The league table of a month, of one organisation or of all. Raises Malformed for one no longer kept, or no month."""
    if not month.is_month:
        raise Malformed(
            "league table", found=month.name, expected="one month, as 2026-11", remedy="Say --month 2026-11."
        )
    only = {Dimension.ORGANISATION: frozenset({organisation})} if organisation else {}
    this = ask(tables, names, Question((Dimension.DEPARTMENT,), month, only))
    sums = {line.labels[0]: line.sums for line in this.lines}
    before = _charged(tables, names, month_before(month), only, this.reach)
    engineers, revenue = _engineers(names, organisation), _revenue(tables, names, month)
    departments = _departments(names, organisation) | set(sums) | set(before or ())
    lines = tuple(
        LeagueLine(
            department,
            sums.get(department, NOTHING),
            engineers[department],
            revenue.get(department),
            None if before is None else before.get(department, 0),
        )
        for department in sorted(departments, key=lambda name: (-sums.get(name, NOTHING).charged_micro, name))
    )
    return League(month, lines, _total(lines, sum_of(this.lines)))


def _charged(
    tables: UsageTables, names: Names, month: Span, only: Mapping[Dimension, frozenset[str]], reach: Reach
) -> dict[str, int] | None:
    """Charged micro-units of a month by department; None if the month is no longer kept."""
    if not reach.keeps(month):
        return None
    answer = ask(tables, names, Question((Dimension.DEPARTMENT,), month, only))
    return {line.labels[0]: line.sums.charged_micro for line in answer.lines}


def _total(lines: tuple[LeagueLine, ...], sums: Sums) -> LeagueLine:
    revenue = [line.revenue_micro for line in lines if line.revenue_micro is not None]
    before = [line.before_micro for line in lines if line.before_micro is not None]
    return LeagueLine(
        "total",
        sums,
        sum(line.engineers for line in lines),
        sum(revenue) if revenue else None,
        sum(before) if before or not lines else None,
    )


def _open(names: Names, kind: SpenderKind, organisation: str | None) -> list[int]:
    """The numbers of spenders of a kind that are not closed, of one organisation or of all."""
    owns = names.labels(SpenderKind.ORGANISATION)
    return [
        number
        for number, spender in names.spenders.items()
        if spender.kind == kind
        and not spender.closed
        and (organisation is None or owns[number] == organisation)
    ]


def _departments(names: Names, organisation: str | None) -> set[str]:
    """The labels of departments that are open: one that spent nothing stands in the table with nothing."""
    labels = names.labels(SpenderKind.DEPARTMENT)
    return {labels[number] for number in _open(names, SpenderKind.DEPARTMENT, organisation)}


def _engineers(names: Names, organisation: str | None) -> Counter[str]:
    """Open engineers by the label of their department."""
    labels = names.labels(SpenderKind.DEPARTMENT)
    return Counter(labels[number] for number in _open(names, SpenderKind.ENGINEER, organisation))


def _revenue(tables: UsageTables, names: Names, month: Span) -> dict[str, int]:
    labels = names.labels(SpenderKind.DEPARTMENT)
    with tables.database.view() as sql:
        rows = sql.rows(
            "SELECT department, amount_micro FROM revenue WHERE month = ?",
            month.first.year * 100 + month.first.month,
        )
    return {labels[department]: amount for department, amount in rows}
