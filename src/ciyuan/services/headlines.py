"""Headline results: numbers that were published or measured, beside what this factory works out for them.

Each row of headline_results.csv has a rule in `headline_rules` that computes its figure from the catalogue, the physics and the
folder's tables, never from the row itself. What a row becomes:

| outcome | means |
|---|---|
| within, out of it | our figure is, or is not, within the row's tolerance (both ends of a change; 0: to the last digit) |
| claim | a maker's word: our figure is shown beside it, and nothing is proved by their agreement |
| other | our figure is of something else than the row's, said in how it was made |
| none | there is no figure of ours, and why |
"""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from ciyuan.services.headline_evidence import Answer, Evidence, Unanswered
from ciyuan.services.headline_rules import RULES
from ciyuan.services.measurements_published import Headline, HeadlineKind, headlines

FILE = "headline_results.csv"
WIDTH = 160
WITHIN, OUT, CLAIM, OTHER, NONE = "within", "out of it", "claim", "other", "none"


@dataclass(frozen=True, slots=True)
class HeadlineRow:
    """A headline with our figure, how far off it is (of a change its worse end; None without), and the outcome."""

    headline: Headline
    answer: Answer | Unanswered
    difference: float | None
    outcome: str


def headline_rows(folder: Path) -> tuple[HeadlineRow, ...]:
    """The rows of headline_results.csv in a folder, each with our figure. Raises Malformed for files that cannot be read."""
    evidence = Evidence(folder)
    return tuple(judged(headline, _answer(headline, evidence)) for headline in headlines(folder / FILE).rows)


def _answer(headline: Headline, evidence: Evidence) -> Answer | Unanswered:
    rule = RULES.get(headline.code)
    return rule(evidence, headline) if rule else Unanswered("no rule for this row")


def judged(headline: Headline, answer: Answer | Unanswered) -> HeadlineRow:
    """A headline beside an answer."""
    if isinstance(answer, Unanswered):
        return HeadlineRow(headline, answer, None, NONE)
    difference = _difference(headline, answer)
    if answer.of_other:
        return HeadlineRow(headline, answer, difference, OTHER)
    if headline.kind is HeadlineKind.CLAIM:
        return HeadlineRow(headline, answer, difference, CLAIM)
    if difference is None or headline.tolerance is None:
        return HeadlineRow(headline, answer, difference, OTHER)
    allowed = max(headline.tolerance, _rounding(headline.value or 0.0))
    return HeadlineRow(headline, answer, difference, WITHIN if abs(difference) <= allowed else OUT)


def _difference(headline: Headline, answer: Answer) -> float | None:
    if headline.value is None or headline.bound:
        return None
    found = [answer.value / headline.value - 1.0]
    if headline.value_from is not None:
        if answer.value_from is None:
            return None
        found.append(answer.value_from / headline.value_from - 1.0)
    return max(found, key=abs)


def _rounding(value: float) -> float:
    """Half a unit of a figure's last digit, as a share of it."""
    exponent = min(int(Decimal(repr(value)).normalize().as_tuple().exponent), 0)
    return 0.5 * 10.0**exponent / abs(value) if value else 0.0


def print_headlines(rows: Sequence[HeadlineRow]) -> None:
    """Print the rows as a table, and how many of the measured ones are within their tolerance."""
    console = Console(width=WIDTH)
    table = Table(title="Headline results", box=SIMPLE_HEAD, title_justify="left", title_style="bold")
    for name in ("id", "kind"):
        table.add_column(name, no_wrap=True)
    table.add_column("what", max_width=44)
    for name in ("published", "ours", "off", "allowed"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("", no_wrap=True)
    table.add_column("how ours came about")
    for row in rows:
        table.add_row(*_cells(row))
    console.print(table)
    console.print(summary(rows), markup=False, highlight=False)


def summary(rows: Sequence[HeadlineRow]) -> str:
    """How many rows came out how, in a line."""
    counts = {
        outcome: sum(row.outcome == outcome for row in rows) for outcome in (WITHIN, OUT, CLAIM, OTHER, NONE)
    }
    judged_rows = counts[WITHIN] + counts[OUT]
    return (
        f"{counts[WITHIN]} of {judged_rows} measured or published figures within their tolerance; {counts[CLAIM]} claims, "
        f"{counts[OTHER]} of something else, {counts[NONE]} without a figure of ours"
    )


def _cells(row: HeadlineRow) -> tuple[str, ...]:
    headline, answer = row.headline, row.answer
    published = (
        f"{'<' if headline.bound else ''}{_text(headline.value, headline.value_from)} {headline.unit}".strip()
    )
    allowed = "-" if headline.tolerance is None else f"{headline.tolerance:.1%}"
    off = "-" if row.difference is None else f"{row.difference:+.1%}"
    if isinstance(answer, Unanswered):
        return (
            headline.code,
            headline.kind,
            headline.what,
            published,
            "-",
            off,
            allowed,
            row.outcome,
            answer.why,
        )
    ours = _text(answer.value, answer.value_from)
    how = f"{answer.provenance}: {answer.how}"
    return headline.code, headline.kind, headline.what, published, ours, off, allowed, row.outcome, how


def _text(value: float | None, value_from: float | None) -> str:
    if value is None:
        return ""
    return f"{_digits(value_from)} -> {_digits(value)}" if value_from is not None else _digits(value)


def _digits(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def headlines_report(rows: Sequence[HeadlineRow]) -> dict[str, object]:
    """The rows as plain data."""
    return {"summary": summary(rows), "rows": [_reported(row) for row in rows]}


def _reported(row: HeadlineRow) -> dict[str, object]:
    headline, answer = row.headline, row.answer
    ours: dict[str, object] = {"ours": None, "ours_from": None, "provenance": None}
    if isinstance(answer, Answer):
        ours = {"ours": answer.value, "ours_from": answer.value_from, "provenance": str(answer.provenance)}
    return {
        "id": headline.code,
        "what": headline.what,
        "kind": str(headline.kind),
        "unit": headline.unit,
        "published": headline.value,
        "published_from": headline.value_from,
        "tolerance": headline.tolerance,
        **ours,
        "difference": row.difference,
        "outcome": row.outcome,
        "how": answer.how if isinstance(answer, Answer) else answer.why,
        "source": headline.source,
    }
