"""`ciyuan report`: one self-contained HTML page of a run, from its tables and its summary."""

import html
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from ciyuan.basics.errors import Malformed
from ciyuan.services import plots
from ciyuan.services.manifest import REPORT, TABLES, read_manifest, read_summary
from ciyuan.services.summary import RunSummary
from ciyuan.services.summary_print import BILL_HEADS, bill_cells, figures_of, findings_of, usd

STYLE = """
:root { color-scheme: light; --ink: #1c2733; --soft: #5b6b7a; --line: #d9dee4; --band: #f5f7f9; }
body { margin: 0 auto; max-width: 62rem; padding: 1.5rem 1.25rem 4rem; color: var(--ink); background: #fff;
  font: 15px/1.5 system-ui, "Segoe UI", "Noto Sans", "Noto Sans CJK SC", sans-serif; overflow-wrap: anywhere; }
h1 { font-size: 1.6rem; margin: 0; }
h2 { font-size: 1.15rem; margin: 2.4rem 0 .4rem; border-top: 1px solid var(--line); padding-top: 1rem; }
p { max-width: 46rem; } .soft, figcaption { color: var(--soft); }
figure { margin: .5rem 0 1rem; } svg { width: 100%; height: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: .84rem; overflow-wrap: normal; }
th, td { padding: .25rem .5rem; text-align: right; } td:first-child, th:first-child { text-align: left; }
th { color: var(--soft); font-weight: 600; border-bottom: 1px solid var(--line); }
th, td { white-space: nowrap; } tbody tr:nth-child(even) { background: var(--band); } .scroll { overflow-x: auto; }
.figures td { white-space: normal; overflow-wrap: anywhere; }
"""
INTRODUCTION = (
    "Electricity became tokens, tokens were delivered and metered, an index was fixed each day, a future was traded "
    "and cleared, and buyers paid with and without a hedge. Every figure is from this run's journal and tables. "
    "The participants, their orders and the value that prices move around are simulated: no forecast, no offer."
)


PART_HEADS = (
    "buyer",
    "bought ahead USD",
    "used beyond it USD",
    "basis USD",
    "settlement USD",
    "fees USD",
    "with hedge USD",
    "basis USD/MTok",
)


def write_report(folder: Path) -> Path:
    """Write `report.html` into a complete run's folder; returns its path. Malformed while the run is not complete."""
    summary = read_summary(folder)
    read_manifest(folder)
    if summary is None:
        raise Malformed(f"run folder {folder}", found="a run that did not end", expected="a complete run",
                        remedy="Finish it with `ciyuan run --resume` first.")  # fmt: skip
    page = folder / REPORT
    page.write_text(_page(summary, folder / TABLES), encoding="utf-8")
    return page


def columns(path: Path) -> dict[str, NDArray[np.generic]]:
    """A Parquet table's columns as arrays."""
    table = pq.read_table(path)
    return {name: table.column(name).to_numpy(zero_copy_only=False) for name in table.column_names}


def _page(summary: RunSummary, tables: Path) -> str:
    month, grade = str(summary.month), html.escape(summary.grade)
    parts = [
        f"<h1>One token-month: {grade}, {month[:4]}-{month[4:]}</h1>",
        f"<p class=soft>{INTRODUCTION}</p>",
        _figures(summary),
        *_market(tables),
        *(_hedged(summary, tables) if summary.hedges else ()),
        _sources(summary),
    ]
    head = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>ciyuan: {grade} {month}</title><style>{STYLE}</style></head><body>"
    )
    return head + "\n".join(parts) + "</body></html>\n"


def _market(tables: Path) -> tuple[str, ...]:
    """The sections that every run has."""
    hours, fixings, settlements, margin = (
        columns(tables / f"{name}.parquet") for name in ("site_hours", "fixings", "settlements", "margin")
    )
    return (
        _section(
            "Power and the cost of a token",
            plots.power_and_cost(hours),
            "Left: the hourly power price at each factory. Right: what a million standard tokens cost to make there "
            "at that price: the slope is energy, the height where power is free is capital.",
        ),
        _section(
            "Tokens made",
            plots.tokens_per_hour(hours),
            "The dispatch plan: each hour's demand to the cheapest site that has room.",
        ),
        _section(
            "Index and curve",
            plots.index_and_curve(fixings, settlements),
            "The fixing is the mean of five-minute medians, of deliveries and spot trades where these suffice, "
            "else of quotes or list prices; "
            "the futures settle on its monthly mean.",
        ),
        _section(
            "Margin",
            plots.margin_by_day(margin),
            "What the clearing house required of its members each day, and how much of their money it was.",
        ),
    )


def _hedged(summary: RunSummary, tables: Path) -> tuple[str, ...]:
    """The sections of a run in which buyers hedged."""
    buyers, days = (columns(tables / f"{name}.parquet") for name in ("hedges", "hedge_days"))
    title = "The bill, with and without the hedge"
    return _section(title, plots.bills(days, buyers), _hedge_words(summary)), _bills(summary)


def _section(title: str, svg: str, caption: str) -> str:
    return (
        f"<h2>{html.escape(title)}</h2><figure>{svg}<figcaption>{html.escape(caption)}</figcaption></figure>"
    )


def _figures(summary: RunSummary) -> str:
    rows = "".join(
        f"<tr><td>{html.escape(name)}</td><td>{html.escape(value)}</td></tr>"
        for name, value in figures_of(summary)
    )
    return f"<table class=figures><tbody>{rows}</tbody></table>"


def _hedge_words(summary: RunSummary) -> str:
    unhedged, hedged = (
        sum(amounts)
        for amounts in zip(*((b.unhedged_micro, b.hedged_micro) for b in summary.hedges), strict=True)
    )
    measured = summary.hedge_ratio
    ratio = (
        f"The month's own hedge ratio was {measured.ratio:.2f} over {measured.points} days"
        if measured.finding is None
        else f"No hedge ratio could be measured: {measured.finding}"
    )
    return (
        f"All hedging buyers together: {usd(unhedged, 0)} USD without the hedge, {usd(hedged, 0)} USD with it. {ratio}. "
        "Below, what the hedged bill is made of: it adds up to the micro-dollar."
    )


def _table(heads: tuple[str, ...], rows: list[list[str]]) -> str:
    head = "".join(f"<th>{html.escape(name)}</th>" for name in heads)
    body = "".join(
        "<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>" for row in rows
    )
    return f"<div class=scroll><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"


def _bills(summary: RunSummary) -> str:
    bills = _table(BILL_HEADS, [bill_cells(bill) for bill in summary.hedges])
    parts = [
        [bill.buyer, *(usd(part) for part in (bill.cost_micro, bill.volume_micro, bill.basis_micro, bill.settlement_micro,
                                              bill.fees_micro, bill.hedged_micro)), usd(bill.basis_micro_per_mtok, 4)]
        for bill in summary.hedges
    ]  # fmt: skip
    found = "".join(f"<li>{html.escape(line)}</li>" for line in findings_of(summary))
    return (
        bills
        + f"<ul class=soft>{found}</ul><h2>What the hedged bill is made of</h2>"
        + _table(PART_HEADS, parts)
    )


def _sources(summary: RunSummary) -> str:
    items = "".join(
        f"<li>{html.escape(name)}: {html.escape(text)}</li>" for name, text in summary.sources.items()
    )
    items += "".join(f"<li>left out: {html.escape(row)}</li>" for row in summary.bad_rows)
    state = html.escape(summary.state_hash)
    return (
        f"<h2>Where the figures come from</h2><ul class=soft>{items}</ul><p class=soft>State hash {state}</p>"
    )
