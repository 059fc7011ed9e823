"""Plots of margin and of defaults, written to a file: SVG or PNG by its name. They look like the report's."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from ciyuan.basics.money import MICRO, format_micro
from ciyuan.clearing.scenarios import Reals
from ciyuan.services.margin_backtest import BacktestReport, Rolled
from ciyuan.services.margin_whatif import WhatIf
from ciyuan.services.pictures import check_picture
from ciyuan.services.plots import COLOURS, INK, STYLE, WIDTH_INCHES

PNG_DPI = 150
BLUE, ORANGE, GREEN, RED = COLOURS[0], COLOURS[1], COLOURS[2], COLOURS[4]
QUIET = "#8a96a3"
BAND = "#dbe8f4"
BINS = 60


def saved(
    path: Path, paint: Callable[[list[Axes]], None], heights: Sequence[float], height_inches: float
) -> None:
    """Write a figure of axes one under the other, as high as `heights` say. Raises Malformed for a name that is no picture's."""
    check_picture(path)
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(WIDTH_INCHES, height_inches), layout="constrained")
        rows = figure.subplots(len(heights), 1, squeeze=False, height_ratios=list(heights))
        paint([row[0] for row in rows])
        figure.savefig(path, dpi=PNG_DPI, metadata={"Date": None} if path.suffix == ".svg" else None)


# --- what-if ---


def draw_what_if(path: Path, answer: WhatIf, filtered_usd: Reals, stressed_usd: Reals) -> None:
    """The portfolio's gains and losses in all scenarios, and where the margin stands."""

    def paint(axes: list[Axes]) -> None:
        (axis,) = axes
        edges = np.histogram_bin_edges(np.concatenate([filtered_usd, stressed_usd]), BINS)
        width = np.diff(edges) * 0.92
        shares = [np.histogram(usd, edges)[0] / len(usd) for usd in (filtered_usd, stressed_usd)]
        axis.bar(edges[:-1], shares[0], width, align="edge", color=BLUE, alpha=0.7)
        axis.stairs(shares[1], edges, color=ORANGE, lw=1.6)
        top = max(share.max() for share in shares)
        marks = (
            (answer.filtered_micro, BLUE, "filtered: 99% expected shortfall"),
            (answer.stressed_micro, ORANGE, "stressed: 99% expected shortfall"),
            (answer.requirement_micro, RED, f"requirement ({answer.binding})"),
        )
        for micro, colour, _ in marks:
            axis.axvline(-micro / MICRO, color=colour, lw=1.8, ls="-" if colour == RED else "--")
        axis.axvline(0, color=INK, lw=0.6)
        axis.set(title=_what_if_title(answer), xlabel="gain or loss over two days, USD", ylabel="share of the scenarios",
                 ylim=(0, top * 1.08))  # fmt: skip
        axis.xaxis.set_major_formatter(lambda usd, _: f"{usd:,.0f}")
        axis.yaxis.set_major_formatter(lambda share, _: f"{share:.0%}")
        handles = [
            Patch(color=BLUE, alpha=0.7, label=f"{answer.filtered_scenarios:,} filtered scenarios"),
            Line2D([], [], color=ORANGE, lw=1.6, label=f"{answer.stressed_scenarios:,} stressed scenarios"),
            *(
                Line2D([], [], color=colour, lw=1.8, ls="-" if colour == RED else "--",
                       label=f"{name}: {format_micro(micro, 0)} USD")
                for micro, colour, name in marks
            ),
        ]  # fmt: skip
        axis.legend(handles=handles, loc="upper right", fontsize=8.5)

    saved(path, paint, (1,), 4.2)


def _what_if_title(answer: WhatIf) -> str:
    held = ", ".join(f"{leg.lots:+,} {leg.code}" for leg in answer.legs)
    return f"{held}\nwhat it may gain and lose, from {answer.source}"


# --- back-test ---


@dataclass(frozen=True, slots=True, eq=False)
class _Band:
    """A back-test in shares of the position's value: dates, the two-day move, margin below and above, and its exceptions."""

    dates: Reals
    move: Reals
    below: Reals
    above: Reals

    @property
    def fell(self) -> np.ndarray:
        return self.move < -self.below

    @property
    def rose(self) -> np.ndarray:
        return self.move > self.above


def draw_backtest(path: Path, rolled: Rolled, report: BacktestReport) -> None:
    """The price above; below it the margin band, the two-day moves that it was to cover, and those that it did not."""
    dates = np.array(rolled.history.dates, dtype="datetime64[D]")
    usd = rolled.ticks * rolled.tick_value_micro / MICRO
    band = _band(rolled, dates, usd)
    asked = {side.side for side in report.sides}

    def paint(axes: list[Axes]) -> None:
        price, moves = axes
        price.plot(dates, usd, color=INK, lw=1.1)
        for axis in axes:
            axis.axvspan(dates[0], band.dates[0], color="#f2f4f6", lw=0)
        moves.annotate("the first window:\nno margin yet", (dates[0], 0.97), xycoords=("data", "axes fraction"), va="top",
                       xytext=(6, 0), textcoords="offset points", fontsize=8, color=QUIET)  # fmt: skip
        price.set(title=f"{report.contract}: a lot, USD", xlim=(dates[0], dates[-1]))
        price.yaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
        price.tick_params(labelbottom=False)
        _paint_band(moves, band, asked)
        moves.set(
            title=_backtest_title(report), xlim=(dates[0], dates[-1]), ylabel="share of the lot's value"
        )
        moves.yaxis.set_major_formatter(lambda share, _: f"{share:+.0%}" if share else "0")
        for axis in axes:
            locator = AutoDateLocator()
            axis.xaxis.set_major_locator(locator)
            axis.xaxis.set_major_formatter(ConciseDateFormatter(locator))

    saved(path, paint, (1, 2.4), 6.0)


def _band(rolled: Rolled, dates: np.ndarray, usd: Reals) -> _Band:
    result, days = rolled.result, rolled.result.day
    worth = usd[days]
    margin = result.margin_micro / MICRO / worth[:, None]
    move = -result.loss_horizon_micro[:, 0] / MICRO / worth
    return _Band(dates[days], move, margin[:, 0], margin[:, 1])


def _paint_band(axis: Axes, band: _Band, asked: set[str]) -> None:
    low = band.below if "long" in asked else np.zeros_like(band.below)
    high = band.above if "short" in asked else np.zeros_like(band.above)
    axis.fill_between(band.dates, -low, high, color=BAND, lw=0)
    if "long" in asked:
        axis.plot(band.dates, -band.below, color=BLUE, lw=1.3)
    if "short" in asked:
        axis.plot(band.dates, band.above, color=GREEN, lw=1.3)
    hits = (band.fell & ("long" in asked)) | (band.rose & ("short" in asked))
    axis.vlines(band.dates[~hits], 0, band.move[~hits], color=QUIET, lw=0.7)
    axis.vlines(band.dates[hits], 0, band.move[hits], color=RED, lw=1.1)
    axis.plot(band.dates[hits], band.move[hits], ls="", marker="o", ms=4.5, color=RED, mec="white", mew=0.6)
    axis.axhline(0, color=INK, lw=0.6)
    handles = [
        *([Line2D([], [], color=GREEN, lw=1.3, label="margin of a short lot")] if "short" in asked else []),
        *([Line2D([], [], color=BLUE, lw=1.3, label="margin of a long lot")] if "long" in asked else []),
        Line2D([], [], color=QUIET, lw=1.2, label="what the price then did in two days"),
        Line2D([], [], color=RED, lw=1.2, marker="o", ms=4.5, label="more than the margin: an exception"),
    ]
    figure = axis.get_figure(root=True)
    if figure is not None:
        figure.legend(handles=handles, loc="outside lower center", ncols=len(handles), fontsize=8.5)


def _backtest_title(report: BacktestReport) -> str:
    parts = [
        f"{side.side} {side.two_days.exceptions} of {side.two_days.observations:,} ({side.two_days.expected:g} at 1%), "
        f"p = {side.two_days.kupiec_p:.2f}"
        for side in report.sides
    ]
    return "Two-day moves against margin\nexceptions, and Kupiec's p:  " + ";  ".join(parts)
