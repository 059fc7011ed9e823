"""What chips are worth against the power price, and their rents over time, written to a file: SVG or PNG by its name."""

from itertools import cycle
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter

from ciyuan.factory.cost import WATTS_PER_MW
from ciyuan.services.margin_plots import saved
from ciyuan.services.plots import COLOURS, INK
from ciyuan.services.rental_history import series_of
from ciyuan.services.value_answer import MEDIAN, REGIONAL, RentsTold, ValueAnswer


def draw_value(path: Path, answer: ValueAnswer, rents: RentsTold | None) -> None:
    """The rent that each chip bears as power gets dearer; below it, if given, the history of rents. Raises Malformed for a bad
    name."""

    def paint(axes: list[Axes]) -> None:
        _paint_rents_borne(axes[0], answer)
        if rents is not None:
            _paint_history(axes[1], rents)

    saved(path, paint, (1, 1) if rents is not None else (1,), 7.4 if rents is not None else 4.0)


def _paint_rents_borne(axis: Axes, answer: ValueAnswer) -> None:
    now = answer.order.power_usd_per_mwh
    limits = [one.worth.power_usd_per_mwh_max for one in answer.valued]
    top = max(1.15 * max(limits), now * 1.5, 100.0)
    prices = np.linspace(min(0.0, now * 1.2), top, 200)
    for one, colour in zip(answer.valued, cycle(COLOURS)):
        its = one.worth
        rent = its.revenue_usd_per_hour - its.upkeep_usd_per_hour - its.meter_w / WATTS_PER_MW * prices
        label = f"{one.name}: worth {one.worth.value_usd:,.0f} USD"
        axis.plot(prices[rent >= 0], rent[rent >= 0], color=colour, lw=1.6, label=label)
        axis.plot(one.worth.power_usd_per_mwh_max, 0.0, marker="o", ms=5, color=colour, clip_on=False)
    axis.axvline(now, color=INK, lw=0.8, ls=":")
    axis.annotate(f"power now: {now:g}", (now, 1.0), xycoords=("data", "axes fraction"), xytext=(4, -10),
                  textcoords="offset points", fontsize=8.5)  # fmt: skip
    axis.set(title="The rent that a GPU bears, as power gets dearer (a dot: it retires)",
             xlabel="power, USD per MWh at the meter", ylabel="USD per GPU-hour", ylim=(0, None))  # fmt: skip
    axis.legend(loc="upper right", fontsize=8.5)


def _paint_history(axis: Axes, rents: RentsTold) -> None:
    chips = list(dict.fromkeys(change.chip for change in rents.changes))
    for chip, colour in zip(chips, cycle(COLOURS)):
        for series, style in ((REGIONAL, "-"), (MEDIAN, "--")):
            days = series_of(rents.rents, chip, series)
            where = "us-central1" if series == REGIONAL else "median region"
            axis.step(np.array([day for day, _ in days], dtype="datetime64[D]"), [usd for _, usd in days], where="post",
                      color=colour, lw=1.3, ls=style, label=f"{chip}, {where}")  # fmt: skip
    locator = AutoDateLocator()
    axis.xaxis.set_major_locator(locator)
    axis.xaxis.set_major_formatter(ConciseDateFormatter(locator))
    title = f"What GPUs were rented for, spot ({rents.source})"
    axis.set(title=title, ylabel="USD per GPU-hour", ylim=(0, 1.3 * axis.get_ylim()[1]))
    axis.legend(ncols=4, loc="upper left", fontsize=8)
