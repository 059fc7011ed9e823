"""The Pareto fronts of chips: tokens per second of a GPU and of a megawatt against the speed of a user, with measured runs."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

from ciyuan.factory.front import steffen
from ciyuan.services.curve_case import Curve, MeasuredPoint
from ciyuan.services.margin_plots import saved
from ciyuan.services.plots import COLOURS, INK

SMOOTH = 400
PANEL_INCHES = 4.0
SLOWEST_SHOWN = 4.0
"""Tokens/s of a user below which nobody reads along: nothing is drawn there."""


def draw_fronts(path: Path, curves: Sequence[Curve], measured: Sequence[MeasuredPoint], title: str) -> None:
    """Two panels, per GPU and per MW of IT power. Raises Malformed for a name that is no picture's."""

    def paint(axes: list[Axes]) -> None:
        for axis, per_mw in zip(axes, (False, True), strict=True):
            _paint(axis, curves, measured, per_mw)
        axes[0].set(title=title, ylabel="output tokens/s per GPU")
        axes[1].set(ylabel="output tokens/s per MW of IT power", xlabel="output tokens/s that each user sees")
        handles, _ = axes[0].get_legend_handles_labels()
        axes[0].legend(handles=[*handles, *_marks(bool(measured))], loc="lower left", fontsize=8.5)

    saved(path, paint, [1.0, 1.0], 2 * PANEL_INCHES)


def _paint(axis: Axes, curves: Sequence[Curve], measured: Sequence[MeasuredPoint], per_mw: bool) -> None:
    for place, curve in enumerate(curves):
        colour = COLOURS[place % len(COLOURS)]
        rows = curve.rows
        speeds = np.array([row.tokens_per_s_per_user for row in rows])
        rates = np.array([row.tokens_per_s_per_mw if per_mw else row.tokens_per_s_per_gpu for row in rows])
        fine = np.geomspace(speeds[0], speeds[-1], SMOOTH)
        label = f"{curve.chip} {curve.precision}, {curve.software}"
        axis.plot(
            fine,
            np.exp(steffen(np.log(speeds), np.log(rates), np.log(fine))),
            color=colour,
            lw=1.5,
            label=label,
        )
        known = np.array([row.provenance != "extrapolated" for row in rows])
        axis.scatter(speeds[known], rates[known], s=9, marker="s", color=colour, zorder=3)
        low, high = np.array([row.low for row in rows]), np.array([row.high for row in rows])
        axis.fill_between(speeds, rates * low, rates * high, color=colour, alpha=0.12, lw=0)
        if not per_mw:
            _dots(
                axis,
                [
                    point
                    for point in measured
                    if (point.chip, point.precision) == (curve.chip, curve.precision)
                ],
                colour,
            )
    axis.set_xscale("log")
    axis.set_yscale("log")
    for side in (axis.xaxis, axis.yaxis):
        side.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        side.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
        side.set_minor_formatter(NullFormatter())
    fastest = max(row.tokens_per_s_per_user for curve in curves for row in curve.rows)
    axis.set_xlim(SLOWEST_SHOWN, max([fastest, *(point.tokens_per_s_per_user for point in measured)]) * 1.15)


def _marks(measured: bool) -> list[Line2D]:
    """What the marks mean."""
    kinds = [("s", INK, "calibrated point of the front (the others are extrapolated)")]
    if measured:
        kinds += [
            ("o", INK, "measured"),
            ("o", "none", "measured, tokens drafted ahead"),
            ("x", INK, "measured, drafts not told"),
        ]
    return [
        Line2D([], [], ls="", marker=marker, color=INK, markerfacecolor=face, markersize=4, label=label)
        for marker, face, label in kinds
    ]


def _dots(axis: Axes, points: Sequence[MeasuredPoint], colour: str) -> None:
    """Measured runs: filled without drafted tokens, open with them, crosses where the table does not say."""
    kinds = (("none", "o", colour), ("mtp", "o", "none"), ("unknown", "x", colour))
    for kind, marker, face in kinds:
        chosen = [point for point in points if point.speculation == kind]
        if chosen:
            axis.scatter([point.tokens_per_s_per_user for point in chosen], [point.tokens_per_s_per_gpu for point in chosen],
                         s=11, marker=marker, c=face if face != "none" else None, facecolors=None if face != "none" else "none",
                         edgecolors=None if marker == "x" else colour, linewidths=0.7, alpha=0.75)  # fmt: skip
