"""The plot of a drill: above, prices and what was closed at them; below, the layers: what there was, and what was used."""

from datetime import date, timedelta
from itertools import pairwise
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from ciyuan.basics.money import MICRO, format_micro
from ciyuan.basics.time import NS_PER_HOUR
from ciyuan.clearing.messages import ClearingEvent
from ciyuan.exchange.messages import ExchangeEvent
from ciyuan.services.clearing_drill import UNCOVERED, DrillReport, Event, Told
from ciyuan.services.margin_plots import BLUE, ORANGE, QUIET, RED, saved
from ciyuan.services.plots import GRID, INK
from ciyuan.simulation.drill import CALENDAR, DrillPlayed

PURPLE = "#8a4fb0"
OPEN_HOURS = (8.5, 17.0)
"""Of a day in the plot, from before the opening to after the settlement: nights are left out."""
BAND = "#eef2f6"


class _Days:
    """Where a moment is on the horizontal axis: trading days side by side, without the nights."""

    def __init__(self, told: Told) -> None:
        self.days = sorted({row[4] for row in told.of(ExchangeEvent.SETTLEMENT_PRICE)})

    def place(self, time_ns: int) -> float:
        """Days from the first one, and the part of the day."""
        day = CALENDAR.day_of(time_ns)
        hour = (time_ns - CALENDAR.start_ns(day)) / NS_PER_HOUR
        first, last = OPEN_HOURS
        return self.days.index(day) + min(max((hour - first) / (last - first), 0.0), 1.0)

    def names(self) -> list[str]:
        """Their dates, short."""
        return [f"{date(1970, 1, 1) + timedelta(days=day):%a %d %b}" for day in self.days]


def draw_drill(path: Path, played: DrillPlayed, report: DrillReport) -> None:
    """Draw it. Raises Malformed for a name that is no picture's."""
    told = Told(played)
    days = _Days(told)

    def paint(axes: list[Axes]) -> None:
        above, below = axes
        _prices(above, told, days, report)
        _layers(below, report)

    saved(path, paint, (1.25, 1), 7.4)


def _prices(axis: Axes, told: Told, days: _Days, report: DrillReport) -> None:
    """The nearest month: limits, value, settlement, and the lots that were closed."""
    first = told.played.contracts[0]
    scale = first.tick_micro / MICRO
    settled = [row for row in told.of(ExchangeEvent.SETTLEMENT_PRICE) if row[2] == first.number]
    for row, after in pairwise(settled):
        place = days.days.index(after[4])
        axis.fill_between([place, place + 1], row[7] * scale, row[6] * scale, color=BAND, lw=0)
    for place, (_, value) in enumerate(told.played.values):
        axis.plot([place, place + 1], [value * scale] * 2, color=QUIET, lw=1.2, ls=":")
    when, prices = [days.place(row[1]) for row in settled], [row[3] * scale for row in settled]
    axis.step([*when, len(days.days)], [*prices, prices[-1]], where="post", color=INK, lw=1.1)
    axis.plot(when, prices, color=INK, marker="s", ms=4, ls="")
    _closed(axis, told, days, scale)
    _marks(axis, told, days)
    axis.set(title=f"{report.defaulter} in default: {first.code}, USD per MTok", xlim=(0, len(days.days)),
             xticks=np.arange(len(days.days)) + 0.5, xticklabels=days.names())  # fmt: skip
    axis.grid(axis="x", visible=False)
    for place in range(1, len(days.days)):
        axis.axvline(place, color=GRID, lw=0.8)
    handles = [
        Patch(color=BAND, label="the day's limits"),
        Line2D([], [], color=QUIET, lw=1.2, ls=":", label="value"),
        Line2D([], [], color=INK, marker="s", ms=4, lw=1.1, label="settlement price"),
        Line2D([], [], color=BLUE, marker="o", ls="", ms=6, label="slices taken by makers"),
        Line2D([], [], color=ORANGE, marker="D", ls="", ms=5.5, label="awarded in auction"),
        Line2D([], [], color=PURPLE, marker="X", ls="", ms=7, label="torn up"),
    ]
    axis.legend(handles=handles, loc="lower left", fontsize=8.5, ncols=2)


def _closed(axis: Axes, told: Told, days: _Days, scale: float) -> None:
    """Lots of the defaulter that changed hands, as large as they were."""
    number = told.played.contracts[0].number
    fills = [row for row in told.since_default(ExchangeEvent.FILLED) if row[4] == number]
    _dots(axis, days, fills, 5, 6, scale, BLUE, "o")
    closed = {row[2]: row[1] for row in told.of(ClearingEvent.AUCTION_CLOSED)}
    moved = [row for row in told.of(ClearingEvent.TRANSFERRED) if row[4] == number and row[7] in closed]
    settled = {row[2]: row[6] for row in told.of(ClearingEvent.AUCTION_OPENED)}
    torn = [row for row in moved if row[5] == settled[row[7]]]
    _dots(axis, days, [row for row in moved if row not in torn], 5, 6, scale, ORANGE, "D")
    if torn:
        together = [*torn[0][:6], sum(row[6] for row in torn), torn[0][7]]
        _dots(axis, days, [together], 5, 6, scale, PURPLE, "X")


def _dots(
    axis: Axes, days: _Days, rows: list[Event], price: int, lots: int, scale: float, colour: str, marker: str
) -> None:
    if rows:
        sizes = [22 + 1.2 * row[lots] for row in rows]
        axis.scatter([days.place(row[1]) for row in rows], [row[price] * scale for row in rows], s=sizes, color=colour,
                     marker=marker, edgecolor="white", linewidth=0.6, zorder=4)  # fmt: skip


def _marks(axis: Axes, told: Told, days: _Days) -> None:
    """Call, default and end, as lines with their names."""
    calls = [row for row in told.of(ClearingEvent.MARGIN_CALL) if row[2] == told.played.defaulter]
    marks = [(row, name) for rows, name in ((calls[:1], "called"), (told.of(ClearingEvent.DEFAULTED), "in default"),
                                            (told.of(ClearingEvent.CLOSED_OUT), "closed out")) for row in rows]  # fmt: skip
    for row, name in marks:
        at, left = days.place(row[1]), name != "in default"
        axis.axvline(at, color=RED, lw=1.0, ls="--")
        axis.annotate(name, (at, 0.97), xycoords=("data", "axes fraction"), xytext=(-4 if left else 4, 0), va="top",
                      ha="right" if left else "left", textcoords="offset points", fontsize=8.5, color=RED)  # fmt: skip


def _layers(axis: Axes, report: DrillReport) -> None:
    """A bar a layer: pale what there was, full what was used; the figure beside it."""
    uses = [(use.layer, use.there_micro, use.used_micro) for use in report.layers]
    uses.append((UNCOVERED, 0, report.uncovered_micro))
    place = np.arange(len(uses))
    axis.barh(place, [there / MICRO for _, there, _ in uses], height=0.62, color="#dde5ec", label="there was")
    axis.barh(place, [used / MICRO for _, _, used in uses], height=0.62, color=RED, alpha=0.85, label="used")
    widest = max([1.0, *(max(there, used) / MICRO for _, there, used in uses)])
    for row, (_, there, used) in enumerate(uses):
        end = max(there, used) / MICRO
        axis.annotate(f"{format_micro(used, 0)}" + (f" of {format_micro(there, 0)}" if there else ""), (end, row),
                      xytext=(6, 0), textcoords="offset points", va="center", fontsize=9)  # fmt: skip
    names = [*(f"{row + 1}  {name}" for row, (name, _, _) in enumerate(uses[:-1])), uses[-1][0]]
    title = f"Who paid the loss of {format_micro(report.loss_micro, 0)} USD, in this order"
    axis.set(yticks=place, yticklabels=names, xlim=(0, widest * 1.22), title=title)
    axis.invert_yaxis()
    axis.grid(axis="y", visible=False)
    axis.xaxis.set_major_formatter(lambda usd, _: f"{usd:,.0f}")
    axis.legend(loc="lower right", fontsize=8.5)
