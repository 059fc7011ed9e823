"""`ciyuan margin backtest`: would scenario margin (§6.2) have been enough for a lot held through a history, and calm?

Every day is margined from that day and those before it, and held against what the lot then lost over two days. The tests and
what they may be read of are in `clearing.backtest`; add-ons and the floor are left out, because they are not the model's.
"""

from dataclasses import dataclass

import numpy as np
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from ciyuan.basics.errors import Malformed
from ciyuan.basics.money import MICRO, format_micro
from ciyuan.clearing.backtest import RATE, Backtest, Coverage, Ints, backtest
from ciyuan.clearing.scenarios import FilterTerms
from ciyuan.services.margin_basis import DAYS_MIN, Listing, tick_and_lot
from ciyuan.services.margin_prices import PriceHistory, ticks_of

WIDTH = 110
SIDES = {"long": 1, "short": -1}
EXCEPTIONS_SHOWN = 10


@dataclass(frozen=True, slots=True)
class TestedRate:
    """Exceptions against what was said: counts, and the p-values of Kupiec, of independence and of both (Christoffersen)."""

    observations: int
    exceptions: int
    expected: float
    kupiec_p: float
    independence_p: float
    conditional_p: float
    too_many: bool


@dataclass(frozen=True, slots=True)
class Exceeded:
    """A day whose margin was not enough: its date, the date by which the loss was made, and both figures of a lot."""

    date: str
    until: str
    margin_micro: int
    loss_micro: int


@dataclass(frozen=True, slots=True)
class SideReport:
    """One lot, long or short, held throughout. `two_days` overlap; `apart` are every second of them."""

    side: str
    two_days: TestedRate
    apart: TestedRate
    one_day: TestedRate
    margin_mean_micro: int
    margin_least_micro: int
    margin_most_micro: int
    peak_to_trough: float
    rise_1_day: float
    rise_5_days: float
    exceptions: tuple[Exceeded, ...]


@dataclass(frozen=True, slots=True)
class BacktestReport:
    """The answer. `cautions` say what keeps it from meaning more."""

    source: str
    contract: str
    days: int
    first_margin: str
    last_margin: str
    window: int
    decay: float
    lot_usd: float
    sides: tuple[SideReport, ...]
    cautions: tuple[str, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Rolled:
    """A back-test with the history that it is of: one column, in whole ticks; portfolios are long and short."""

    history: PriceHistory
    code: str
    ticks: Ints
    tick_value_micro: int
    terms: FilterTerms
    window: int
    result: Backtest


def roll(
    history: PriceHistory, code: str | None, listing: Listing, terms: FilterTerms, window: int
) -> Rolled:
    """Roll margin over a column of a history, from the `window`-th day on. Raises Malformed for a history that is too short."""
    usd = history.column(code)
    code = code or history.codes[0]
    least = window + terms.horizon_days + 1
    if window < terms.horizon_days or len(usd) < least:
        raise Malformed(f"prices {history.source}", found=f"{len(usd)} days", expected=f"at least {least}",
                        remedy=f"Give a longer history, or a --window shorter than {window}.")  # fmt: skip
    tick_micro, lot = tick_and_lot(code, listing)
    ticks, value = ticks_of(usd, tick_micro / MICRO), tick_micro * lot
    held = np.array([[lots] for lots in SIDES.values()], dtype=np.int64)
    result = backtest(ticks[:, None], held, np.array([value], dtype=np.int64), terms, window)
    return Rolled(history, code, ticks, value, terms, window, result)


def report_of(rolled: Rolled, sides: tuple[str, ...]) -> BacktestReport:
    """What a back-test found, for one side or both."""
    dates, result = rolled.history.dates, rolled.result
    return BacktestReport(
        source=rolled.history.source,
        contract=rolled.code,
        days=len(result.day),
        first_margin=dates[int(result.day[0])],
        last_margin=dates[int(result.day[-1])],
        window=rolled.window,
        decay=rolled.terms.decay,
        lot_usd=int(rolled.ticks[-1]) * rolled.tick_value_micro / MICRO,
        sides=tuple(_side(rolled, side) for side in sides),
        cautions=tuple(_cautions(rolled)),
    )


def _side(rolled: Rolled, side: str) -> SideReport:
    place, result = list(SIDES).index(side), rolled.result
    margin, calm = result.margin_micro[:, place], result.procyclicality(place)
    return SideReport(
        side,
        _tested(result.over_horizon(place)),
        _tested(result.apart(place)),
        _tested(result.over_one_day(place)),
        int(margin.sum()) // len(margin),
        int(margin.min()),
        int(margin.max()),
        round(calm.peak_to_trough, 4),
        round(calm.rise_1_day, 4),
        round(calm.rise_5_days, 4),
        tuple(_exceeded(rolled, place)),
    )


def _tested(found: Coverage) -> TestedRate:
    return TestedRate(
        found.observations,
        found.exceptions,
        round(found.expected, 2),
        round(found.kupiec.p_value, 4),
        round(found.independence.p_value, 4),
        round(found.conditional.p_value, 4),
        found.too_many,
    )


def _exceeded(rolled: Rolled, place: int) -> list[Exceeded]:
    dates, result = rolled.history.dates, rolled.result
    margin, loss = result.margin_micro[:, place], result.loss_horizon_micro[:, place]
    days = result.day.tolist()
    return [
        Exceeded(dates[days[row]], dates[days[row] + result.horizon_days], int(margin[row]), int(loss[row]))
        for row in np.flatnonzero(loss > margin).tolist()
    ]


def _cautions(rolled: Rolled) -> list[str]:
    found, days = [], len(rolled.result.day)
    if rolled.window < DAYS_MIN:
        found.append(
            f"the first margin stands on {rolled.window} days, less than the {DAYS_MIN} that margin may be asked by"
        )
    if days * RATE < 1:
        found.append(f"{days} days are too few to tell 1% from nothing: not one exception is expected")
    still = int((np.diff(rolled.ticks) == 0).sum())
    if 2 * still > len(rolled.ticks) - 1:
        found.append(f"the price did not move on {still} of {len(rolled.ticks) - 1} days")
    return found


# --- for people ---


def print_backtest(report: BacktestReport) -> None:
    """Print exceptions, tests and calm, side by side, and the worst exceptions."""
    console = Console(width=WIDTH)
    title = f"{report.contract}: margin of a lot on {report.days:,} days, {report.first_margin} to {report.last_margin}"
    table = Table(title=title, box=SIMPLE_HEAD, title_justify="left", title_style="bold")
    table.add_column("")
    for side in report.sides:
        table.add_column(side.side, justify="right")
    for name, cells in lines_of(report):
        table.add_row(name, *cells)
    console.print(table)
    for side in report.sides:
        for hit in sorted(side.exceptions, key=lambda hit: hit.margin_micro - hit.loss_micro)[
            :EXCEPTIONS_SHOWN
        ]:
            loss, margin = format_micro(hit.loss_micro, 2), format_micro(hit.margin_micro, 2)
            line = f"{side.side}: {hit.date} to {hit.until} lost {loss} USD a lot, margin {margin}"
            console.print(line, markup=False, highlight=False)
    for caution in report.cautions:
        console.print(f"caution: {caution}", markup=False, highlight=False)
    console.print(f"from {report.source}", style="dim", markup=False, highlight=False)


def lines_of(report: BacktestReport) -> list[tuple[str, list[str]]]:
    """(name, a cell per side) of the figures, as people read them."""
    sides = report.sides

    def tested(name: str) -> list[tuple[str, list[str]]]:
        words = name.replace("_", " ")
        rates: list[TestedRate] = [getattr(side, name) for side in sides]
        return [
            (
                f"{words}: exceptions of days (expected)",
                [f"{rate.exceptions} of {rate.observations:,} ({rate.expected:g})" for rate in rates],
            ),
            (f"{words}: Kupiec, p", [f"{rate.kupiec_p:.3f}{_verdict(rate)}" for rate in rates]),
            (f"{words}: Christoffersen, independence, p", [f"{rate.independence_p:.3f}" for rate in rates]),
            (f"{words}: Christoffersen, both, p", [f"{rate.conditional_p:.3f}" for rate in rates]),
        ]

    margins = [(side.margin_least_micro, side.margin_mean_micro, side.margin_most_micro) for side in sides]
    return [
        *tested("two_days")[:2],
        *tested("apart"),
        *tested("one_day"),
        (
            "margin of a lot, USD: least, mean, most",
            [", ".join(format_micro(micro, 2) for micro in of) for of in margins],
        ),
        ("peak to trough within 30 days", [f"{side.peak_to_trough:.2f}" for side in sides]),
        ("largest rise in a day", [f"{side.rise_1_day:.1%}" for side in sides]),
        ("largest rise in five days", [f"{side.rise_5_days:.1%}" for side in sides]),
    ]


def _verdict(rate: TestedRate) -> str:
    if rate.too_many:
        return "  too many"
    return "  fewer than said" if rate.exceptions < rate.expected and rate.kupiec_p < 0.05 else ""
