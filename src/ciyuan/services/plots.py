"""The report's plots: columns in, SVG text out. Matplotlib, without a display."""

import io
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
from matplotlib.figure import Figure
from numpy.typing import NDArray

from ciyuan.basics.money import MICRO

if TYPE_CHECKING:
    from matplotlib.typing import RcKeyType

Columns = Mapping[str, NDArray[np.generic]]
INK, GRID, SOFT = "#1c2733", "#d9dee4", 0.75
COLOURS = ("#1769aa", "#d9822b", "#2f8f5b", "#8a4fb0", "#b83a4b", "#5b6b7a", "#b59a1d", "#2aa1a1")
STYLE: "dict[RcKeyType, Any]" = {
    "font.size": 9.5, "axes.edgecolor": INK, "axes.labelcolor": INK, "xtick.color": INK, "ytick.color": INK, "text.color": INK,
    "axes.spines.top": False, "axes.spines.right": False, "axes.grid": True, "grid.color": GRID, "grid.linewidth": 0.6,
    "axes.axisbelow": True, "axes.titlesize": 10, "axes.titlelocation": "left", "svg.hashsalt": "ciyuan", "legend.frameon": False,
}  # fmt: skip
WIDTH_INCHES = 9.6


def drawn(paint: Callable[[list[Axes]], None], columns: int = 1, height_inches: float = 3.2) -> str:
    """A figure of the page's width, painted by `paint(axes)`, as an <svg> element."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(WIDTH_INCHES, height_inches), layout="constrained")
        paint(list(figure.subplots(1, columns, squeeze=False)[0]))
        out = io.StringIO()
        figure.savefig(out, format="svg", metadata={"Date": None})
    text = out.getvalue()
    return text[text.index("<svg") :]


def power_and_cost(hours: Columns) -> str:
    """Power price and cost per million standard tokens by site: over time, and one against the other."""

    def paint(axes: list[Axes]) -> None:
        over_time, against = axes
        for site, colour, rows in _by(hours, "site"):
            over_time.plot(
                rows["hour"], rows["power_usd_per_mwh"], color=colour, lw=0.8, alpha=SOFT, label=site
            )
            against.scatter(
                rows["power_usd_per_mwh"], rows["cost_usd_per_mtok"], s=5, color=colour, alpha=0.5, label=site
            )
        over_time.set(title="Power price", ylabel="USD per MWh")
        against.set(
            title="What a million standard tokens cost to make",
            xlabel="power price, USD per MWh",
            ylabel="USD per MTok",
        )
        against.legend(markerscale=3)
        _dates(over_time)

    return drawn(paint, 2)


def tokens_per_hour(hours: Columns) -> str:
    """Standard tokens made per hour, stacked by site."""

    def paint(axes: list[Axes]) -> None:
        parts = list(_by(hours, "site"))
        made = [rows["planned_mtok"].astype(float) / 1e3 for _, _, rows in parts]
        axes[0].stackplot(
            parts[0][2]["hour"],
            *made,
            labels=[site for site, _, _ in parts],
            colors=[colour for _, colour, _ in parts],
            alpha=SOFT,
        )
        axes[0].set(title="Tokens per hour by site", ylabel="billion standard tokens an hour")
        axes[0].legend(ncols=3, loc="upper right")
        _dates(axes[0])

    return drawn(paint)


def index_and_curve(fixings: Columns, settlements: Columns) -> str:
    """The index's daily fixing and each contract's settlement price, by day."""

    def paint(axes: list[Axes]) -> None:
        standard = fixings["leg"] == "standard"
        axes[0].plot(
            fixings["day"][standard],
            _whole(fixings["value_micro"][standard]),
            color=INK,
            lw=2.2,
            marker="o",
            ms=3,
            label="index fixing",
        )
        for contract, colour, rows in _by(settlements, "contract"):
            axes[0].plot(
                rows["day"],
                _whole(rows["settlement_micro"]),
                color=colour,
                marker=".",
                ms=4,
                lw=1.1,
                label=contract,
            )
        axes[0].set(title="Index fixing and settlement prices", ylabel="USD per MTok (standard)")
        axes[0].legend(ncols=3)
        _dates(axes[0])

    return drawn(paint)


def margin_by_day(margin: Columns) -> str:
    """All members' margin requirement, by day, and as a share of what they had to meet it; the day's last word of each member."""
    last = {
        (day, who): row
        for row, (day, who) in enumerate(zip(margin["day"], margin["participant"], strict=True))
    }
    kept = sorted(last.values())
    margin = {name: column[kept] for name, column in margin.items()}

    def paint(axes: list[Axes]) -> None:
        days = np.unique(margin["day"])
        needed, equity = (
            np.array([_whole(margin[name][margin["day"] == day]).sum() for day in days])
            for name in ("requirement_micro", "equity_micro")
        )
        axes[0].bar(days, needed, color=COLOURS[0], alpha=SOFT, label="requirement")
        axes[0].set(title="Margin required of all members", ylabel="USD")
        axes[1].plot(days, needed / np.maximum(equity, 1 / MICRO), color=COLOURS[4], marker=".")
        axes[1].set(title="Requirement as a share of equity", ylabel="share", ylim=(0, None))
        for axis in axes:
            _dates(axis)

    return drawn(paint, 2, 2.8)


def bills(days: Columns, buyers: Columns) -> str:
    """One buyer's bill day by day with and without the hedge, and every hedging buyer's month."""

    def paint(axes: list[Axes]) -> None:
        daily, month = axes
        daily.plot(
            days["day"],
            np.cumsum(_whole(days["unhedged_micro"])),
            color=COLOURS[4],
            label="without the hedge",
        )
        daily.plot(
            days["day"], np.cumsum(_whole(days["hedged_micro"])), color=COLOURS[2], label="with the hedge"
        )
        daily.plot(
            days["day"],
            np.cumsum(_whole(days["planned_micro"])),
            color=INK,
            lw=1,
            ls="--",
            label="as locked before the month",
        )
        daily.set(title="The largest hedging buyer's bill so far", ylabel="USD")
        daily.legend()
        _dates(daily)
        place = np.arange(len(buyers["buyer"]))
        month.bar(
            place - 0.2, _whole(buyers["unhedged_micro"]), 0.4, color=COLOURS[4], alpha=SOFT, label="without"
        )
        month.bar(
            place + 0.2, _whole(buyers["hedged_micro"]), 0.4, color=COLOURS[2], alpha=SOFT, label="with"
        )
        month.set(
            title="The month's bill, hedging buyers",
            ylabel="USD",
            xticks=place,
            xticklabels=[str(name) for name in buyers["buyer"]],
        )
        month.tick_params(axis="x", rotation=60)
        month.legend()

    return drawn(paint, 2, 3.4)


def _by(table: Columns, name: str) -> list[tuple[str, str, dict[str, NDArray[np.generic]]]]:
    """(value, colour, its rows) for each value of a column, in order of first appearance."""
    values = list(dict.fromkeys(table[name].tolist()))
    return [
        (
            str(value),
            COLOURS[place % len(COLOURS)],
            {key: column[table[name] == value] for key, column in table.items()},
        )
        for place, value in enumerate(values)
    ]


def _whole(micro: NDArray[np.generic]) -> NDArray[np.float64]:
    """Micro-units as units, to be drawn."""
    return micro.astype(np.float64) / MICRO


def _dates(axis: Axes) -> None:
    locator = AutoDateLocator()
    axis.xaxis.set_major_locator(locator)
    axis.xaxis.set_major_formatter(ConciseDateFormatter(locator))
