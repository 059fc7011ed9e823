"""Pictures of a plant's plan: where its megawatts go, what each tier leaves, and what more megawatts would bring."""

from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ciyuan.factory.plan import Plan
from ciyuan.factory.plant import HOURS_PER_YEAR
from ciyuan.factory.tiers import Reals
from ciyuan.services.pictures import check_picture
from ciyuan.services.plots import COLOURS, INK, STYLE, WIDTH_INCHES

PNG_DPI = 150
QUIET = "#d9dee4"
YEARLY = HOURS_PER_YEAR / 1e6
LABEL_SHARE = 0.035
"""The least share of the connection that is labelled inside its bar."""


def draw_plan(path: Path, plan: Plan, sweep: Sequence[Plan] = ()) -> None:
    """Draw a plan, and a sweep of its megawatts if there is one. Raises Malformed for a name that is no picture's."""
    check_picture(path)
    with mpl.rc_context(STYLE):
        rows = 3 if sweep else 2
        figure = Figure(figsize=(WIDTH_INCHES, 2.9 * rows - 0.6), layout="constrained")
        grid = figure.add_gridspec(rows, 2, height_ratios=(0.55, *(1.0,) * (rows - 1)))
        _paint_split(figure.add_subplot(grid[0, :]), plan)
        _paint_chips(figure.add_subplot(grid[1, 0]), plan)
        _paint_margin(figure.add_subplot(grid[1, 1]), plan)
        if sweep:
            _paint_sweep(figure.add_subplot(grid[2, 0]), sweep)
            _paint_shadow(figure.add_subplot(grid[2, 1]), sweep)
        figure.savefig(path, dpi=PNG_DPI, metadata={"Date": None} if path.suffix == ".svg" else None)


def _peak_by_tier(plan: Plan) -> Reals:
    """MW at the meter of each tier's GPUs when all of them are busy, (chips, tiers)."""
    work = np.array([tier.gpus for tier in plan.tiers]).T
    peaks = np.array([chip.peak_mw / chip.at_work if chip.at_work else 0.0 for chip in plan.chips])
    mw: Reals = work * peaks[:, None]
    return mw


def _paint_split(axis: Axes, plan: Plan) -> None:
    """One bar: the connection's megawatts by tier, at the peak."""
    connection, left = plan.plant.power_mw, 0.0
    named = [tier.name for tier in plan.tiers]
    for name, mw, colour in zip(named, _peak_by_tier(plan).sum(axis=0).tolist(), COLOURS, strict=False):
        axis.barh(0, mw, left=left, color=colour, height=0.6, edgecolor="white", label=f"{name} {mw:,.1f}")
        if mw > LABEL_SHARE * connection:
            axis.text(
                left + mw / 2, 0, f"{name}\n{mw:,.0f}", ha="center", va="center", color="white", fontsize=8.5
            )
        left += mw
    axis.barh(0, connection - left, left=left, color=QUIET, height=0.6, edgecolor="white")
    if connection - left > 2.5 * LABEL_SHARE * connection:
        axis.text(
            (connection + left) / 2,
            0,
            f"not drawn\n{connection - left:,.0f}",
            ha="center",
            va="center",
            fontsize=8.5,
        )
    axis.set(title=f"{plan.plant.name}, {plan.scenario} split: {connection:,.0f} MW at the meter when all GPUs at work are busy",
             xlim=(0, connection), yticks=[])  # fmt: skip
    axis.grid(visible=False)
    axis.legend(ncols=len(named), loc="upper left", bbox_to_anchor=(0.0, -0.32), fontsize=8, handlelength=1.0)


def _paint_chips(axis: Axes, plan: Plan) -> None:
    """The same megawatts tier by tier, stacked by chip."""
    mw, places = _peak_by_tier(plan), np.arange(len(plan.tiers))
    bottom = np.zeros(len(plan.tiers))
    for row, chip, colour in zip(mw, plan.chips, COLOURS[::-1], strict=False):
        axis.bar(places, row, bottom=bottom, color=colour, width=0.65, label=chip.name)
        bottom += row
    axis.set(title="MW at the meter by tier and chip", xticks=places, xticklabels=[tier.name for tier in plan.tiers],
             ylim=(0, max(float(bottom.max()) * 1.15, 1e-9)))  # fmt: skip
    axis.legend(fontsize=8)


def _paint_margin(axis: Axes, plan: Plan) -> None:
    """What each tier leaves, and its revenue as a mark; what unused GPUs and staff cost."""
    names = [*(tier.name for tier in plan.tiers), "unused\nGPUs", "staff"]
    margin = np.array([*(tier.margin for tier in plan.tiers), -plan.idle_capital, -plan.staff]) * YEARLY
    margin = np.where(np.abs(margin) < 0.5, 0.0, margin)
    revenue = np.array([tier.revenue for tier in plan.tiers]) * YEARLY
    places = np.arange(len(names))
    axis.bar(places, margin, color=np.where(margin >= 0, COLOURS[2], COLOURS[4]).tolist(), width=0.65)
    axis.plot(places[:-2], revenue, ls="", marker="_", ms=16, mew=1.6, color=INK, label="revenue")
    near = 0.1 * (max(float(revenue.max()), 0.0) - min(float(margin.min()), 0.0))
    for place, value, mark in zip(places, margin, [*revenue, 0.0, 0.0], strict=True):
        up = value >= 0
        top = mark if up and mark - value < near else value
        axis.annotate(f"{value + 0.0:,.0f}", (place, top), xytext=(0, 3 if up else -3), ha="center",
                      textcoords="offset points", va="bottom" if up else "top", fontsize=8)  # fmt: skip
    axis.axhline(0, color=INK, lw=0.6)
    axis.set(title=f"Margin by tier, million USD a year: {plan.margin * YEARLY:,.0f} in all", xticks=places,
             xticklabels=names)  # fmt: skip
    axis.margins(y=0.14)
    _thousands(axis)
    axis.legend(fontsize=8)


def _paint_sweep(axis: Axes, sweep: Sequence[Plan]) -> None:
    """Revenue and margin against megawatts."""
    mw = [plan.plant.power_mw for plan in sweep]
    for label, values, colour in (
        ("revenue", [plan.revenue for plan in sweep], COLOURS[0]),
        ("margin", [plan.margin for plan in sweep], COLOURS[2]),
    ):
        axis.plot(mw, np.array(values) * YEARLY, color=colour, lw=1.6, label=label)
    axis.axhline(0, color=INK, lw=0.6)
    _thousands(axis)
    axis.set(title="The plant at other sizes, demand as it is", xlabel="MW", ylabel="million USD a year")
    axis.legend(fontsize=8)


def _paint_shadow(axis: Axes, sweep: Sequence[Plan]) -> None:
    """What one more megawatt earns with its GPUs, and what these cost."""
    mw = [plan.plant.power_mw for plan in sweep]
    earns = [plan.grown_mw_usd_per_hour or 0.0 for plan in sweep]
    costs = [plan.grown_mw_cost_usd_per_hour for plan in sweep]
    axis.plot(mw, earns, color=COLOURS[0], lw=1.6, label="one more MW with its GPUs earns")
    axis.plot(mw, costs, color=COLOURS[4], lw=1.4, ls="--", label="and costs")
    _thousands(axis)
    axis.set(title="Shadow price of a megawatt, USD an hour", xlabel="MW", ylim=(0, None))
    axis.legend(fontsize=8)


def _thousands(axis: Axes) -> None:
    axis.yaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
