"""Usage for people: tables of an answer, of two dimensions crossed, of the league, of budgets; for machines the same as rows."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from ciyuan.basics.money import format_micro
from ciyuan.basics.time import iso_from_ns
from ciyuan.services.door.registry_words import LimitUnit, amount_words, count_words, money_words
from ciyuan.services.door.usage_budget import BudgetLine
from ciyuan.services.door.usage_columns import Sums
from ciyuan.services.door.usage_league import League, LeagueLine
from ciyuan.services.door.usage_query import REFUSALS, TIMES, Answer
from ciyuan.services.door.usage_span import to_second

WIDTH = 150
COLUMNS_MAX = 8
"""The most columns of a table of two dimensions; the others are summed in one."""
OTHERS = "(others)"
Plain = str | int | float | None


class Measure(StrEnum):
    """What a table of two dimensions, or a picture, shows."""

    COST = "cost"
    TOKENS = "tokens"
    REQUESTS = "requests"
    REFUSED = "refused"

    def of(self, sums: Sums) -> int:
        """The measure of some sums; cost in micro-USD."""
        return {
            Measure.COST: sums.charged_micro,
            Measure.TOKENS: sums.tokens,
            Measure.REQUESTS: sums.requests,
            Measure.REFUSED: sums.refused,
        }[self]

    def cell(self, sums: Sums) -> str:
        """The measure as it is shown."""
        return usd(sums.charged_micro) if self is Measure.COST else f"{self.of(sums):,}"


def usd(micro: int) -> str:
    """USD with two decimals; less than a cent, but something, with six."""
    return format_micro(micro, 6 if 0 < abs(micro) < 10_000 else 2)


def percent(part: float | None, *, sign: bool = False) -> str:
    """A part as a percentage, `-` where there is none."""
    return "-" if part is None else f"{100 * part:{'+' if sign else ''}.1f} %"


def reach_words(answer: Answer) -> str:
    """How far the sums go, in words; and what of the refusals is no longer known."""
    reach = answer.reach
    if not reach.sequence:
        return "nothing is metered yet"
    since = "" if answer.refused_from is None else f"; refusals since {to_second(answer.refused_from)}"
    return f"metered up to journal row {reach.sequence:,}, {to_second(reach.time_ns)}{since}"


def print_answer(answer: Answer, measure: Measure, top: int) -> None:
    """One dimension: a line each, with all that is counted. Two: rows and columns of one measure. After `top` rows the others."""
    if REFUSALS.intersection(answer.question.by):
        measure = Measure.REFUSED
    if len(answer.question.by) == 2:
        unit = " USD" if measure is Measure.COST else ""
        rows, columns = answer.question.by
        _show(
            f"{measure.capitalize()}{unit} by {rows} and {columns}, {answer.question.span.name}",
            _crossed(answer, measure, top),
        )
    else:
        word = "Refused" if measure is Measure.REFUSED else "Usage"
        table = _refused(answer.top(top)) if measure is Measure.REFUSED else _lines(answer.top(top))
        _show(f"{word} by {answer.question.by[0]}, {answer.question.span.name}", table)
    Console(width=WIDTH).print(reach_words(answer), style="dim")


def _show(title: str, table: Table) -> None:
    console = Console(width=WIDTH)
    console.print(title, style="bold", markup=False, highlight=False)
    console.print(table)


def _table(first: str) -> Table:
    table = Table(box=SIMPLE_HEAD)
    table.add_column(first, overflow="fold")
    return table


_COLUMNS: tuple[tuple[str, Callable[[Sums], str]], ...] = (
    ("requests", lambda sums: f"{sums.requests:,}"),
    ("tokens in", lambda sums: f"{sums.tokens_in:,}"),
    ("cached", lambda sums: percent(sums.cached_share)),
    ("tokens out", lambda sums: f"{sums.tokens_out:,}"),
    ("cost USD", lambda sums: usd(sums.charged_micro)),
    ("refused", lambda sums: f"{sums.refused:,}"),
    ("voided", lambda sums: f"{sums.voided:,}"),
    ("expired", lambda sums: f"{sums.expired:,}"),
)


def _lines(answer: Answer) -> Table:
    (dimension,) = answer.question.by
    table = _table(dimension)
    for name, _ in (*_COLUMNS[:5], ("of cost", None), *_COLUMNS[5:]):
        table.add_column(name, justify="right", no_wrap=True)
    whole = answer.total.charged_micro
    for labels, sums in [
        *((line.labels[0], line.sums) for line in answer.lines),
        ("total", answer.total),
    ]:
        cells = [read(sums) for _, read in _COLUMNS]
        share = percent(sums.charged_micro / whole if whole else None)
        if labels == "total" and sums is answer.total:
            table.add_section()
        table.add_row(labels, *cells[:5], share, *cells[5:])
    return table


def _refused(answer: Answer) -> Table:
    table = _table(answer.question.by[0])
    table.add_column("refused", justify="right")
    for line in answer.lines:
        table.add_row(line.labels[0], f"{line.sums.refused:,}")
    table.add_section()
    table.add_row("total", f"{answer.total.refused:,}")
    return table


def _crossed(answer: Answer, measure: Measure, top: int) -> Table:
    table = _table(answer.question.by[0])
    names, cells, totals = crossed(answer, measure)
    for name in (*names, "total"):
        table.add_column(name, justify="right")
    wholes = {label: sum(sums.values(), Sums()) for label, sums in cells.items()}
    for label in list(cells)[:top]:
        table.add_row(label, *_cells_of(cells[label], names, measure), measure.cell(wholes[label]))
    rest = list(cells)[top:]
    if rest:
        columns = {name: sum((cells[label].get(name, Sums()) for label in rest), Sums()) for name in names}
        whole = sum((wholes[label] for label in rest), Sums())
        table.add_row(OTHERS, *_cells_of(columns, names, measure), measure.cell(whole))
    table.add_section()
    table.add_row("total", *_cells_of(totals, names, measure), measure.cell(answer.total))
    return table


def _cells_of(sums: Mapping[str, Sums], names: Sequence[str], measure: Measure) -> list[str]:
    return [measure.cell(sums[name]) if name in sums else "" for name in names]


def crossed(
    answer: Answer, measure: Measure
) -> tuple[list[str], dict[str, dict[str, Sums]], dict[str, Sums]]:
    """An answer of two dimensions: columns in order (at most `COLUMNS_MAX`, and the others), rows in order, columns' totals."""
    totals: dict[str, Sums] = defaultdict(Sums)
    for line in answer.lines:
        totals[line.labels[1]] = totals[line.labels[1]] + line.sums
    is_time = answer.question.by[1] in TIMES
    names = sorted(totals) if is_time else sorted(totals, key=lambda name: -measure.of(totals[name]))
    kept = names[-COLUMNS_MAX:] if is_time else names[:COLUMNS_MAX]
    rows: dict[str, dict[str, Sums]] = defaultdict(lambda: defaultdict(Sums))
    for line in answer.lines:
        column = line.labels[1] if line.labels[1] in kept else OTHERS
        rows[line.labels[0]][column] = rows[line.labels[0]][column] + line.sums
    if len(kept) < len(names):
        for name in set(names) - set(kept):
            totals[OTHERS] = totals[OTHERS] + totals[name]
        kept = [OTHERS, *kept] if is_time else [*kept, OTHERS]
    if answer.question.by[0] in TIMES:
        return kept, dict(sorted(rows.items())), totals
    order = sorted(rows, key=lambda label: (-sum(measure.of(each) for each in rows[label].values()), label))
    return kept, {label: rows[label] for label in order}, totals


def print_league(league: League) -> None:
    """The league table."""
    table = _table("department")
    heads = (
        "tokens",
        "cached",
        "cost USD",
        "engineers",
        "per engineer",
        "revenue USD",
        "of revenue",
        "last month",
        "change",
    )
    for head in heads:
        table.add_column(head, justify="right", no_wrap=True)
    for place, line in enumerate(league.lines, 1):
        table.add_row(f"{place}  {line.department}", *_league_cells(line))
    table.add_section()
    table.add_row("   total", *_league_cells(league.total), style="bold")
    _show(f"Departments, {league.span.name}", table)


def _league_cells(line: LeagueLine) -> tuple[str, ...]:
    return (
        f"{line.sums.tokens:,}",
        percent(line.sums.cached_share),
        usd(line.sums.charged_micro),
        f"{line.engineers:,}",
        "-" if line.per_engineer_micro is None else usd(line.per_engineer_micro),
        "-" if line.revenue_micro is None else usd(line.revenue_micro),
        percent(line.of_revenue),
        "-" if line.before_micro is None else usd(line.before_micro),
        percent(line.change, sign=True),
    )


def print_budgets(lines: Sequence[BudgetLine]) -> None:
    """Budgets, fullest first."""
    table = _table("who")
    for head in ("limit", "budget", "used", "part", "left", "begins anew"):
        table.add_column(head, justify="left" if head == "budget" else "right", no_wrap=True)
    for line in lines:
        unit, most = line.terms.unit, line.terms.most
        full = "bold red" if (line.share or 0) >= 1 else "yellow" if (line.share or 0) >= 0.8 else ""
        table.add_row(
            f"{line.kind} {line.spender}",
            str(line.limit),
            str(line.terms),
            "?" if line.used is None else _amount(unit, line.used),
            percent(line.share),
            "?" if line.used is None else amount_words(unit, max(0, most - line.used)),
            "never" if line.resets_ns is None else to_second(line.resets_ns),
            style=full,
        )
    _show("Budgets", table)


def _amount(unit: LimitUnit, amount: int) -> str:
    return f"{money_words(amount)} USD" if unit is LimitUnit.MONEY else count_words(amount)


def answer_rows(answer: Answer) -> list[dict[str, Plain]]:
    """An answer's lines as rows of plain values: labels, measures (money in micro-USD, and as decimal USD)."""
    return [
        {**dict(zip(answer.question.by, line.labels, strict=True)), **sums_row(line.sums)}
        for line in answer.lines
    ]


def sums_row(sums: Sums) -> dict[str, Plain]:
    """Sums as plain values."""
    row: dict[str, Plain] = {name: getattr(sums, name) for name in Sums.__dataclass_fields__}
    return row | {"charged_usd": exact_usd(sums.charged_micro), "cached_share": sums.cached_share}


def exact_usd(micro: int) -> str:
    """USD as a decimal text with six decimals and no separators: what another program reads."""
    return format_micro(micro).replace(",", "")


def league_rows(league: League) -> list[dict[str, Plain]]:
    """The league table as rows of plain values."""
    return [
        {"department": line.department, **sums_row(line.sums), "engineers": line.engineers,
         "per_engineer_micro": line.per_engineer_micro, "revenue_micro": line.revenue_micro,
         "of_revenue": line.of_revenue, "before_micro": line.before_micro, "change": line.change}
        for line in league.lines
    ]  # fmt: skip


def budget_rows(lines: Sequence[BudgetLine]) -> list[dict[str, Plain]]:
    """Budgets as rows of plain values."""
    return [
        {"limit": line.limit, "kind": line.kind, "spender": line.spender, "budget": str(line.terms),
         "unit": line.terms.unit.name.lower(), "window": line.terms.window.name.lower(), "most": line.terms.most,
         "used": line.used, "share": line.share,
         "resets": None if line.resets_ns is None else iso_from_ns(line.resets_ns)}
        for line in lines
    ]  # fmt: skip
