"""Plots of a simulation, SVG or PNG by the file's name: waits against promises, and goodput against load by policy."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import isfinite
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ciyuan.factory.scheduler import simulate
from ciyuan.factory.scheduler_capacity import Capacity
from ciyuan.factory.scheduler_outcome import Outcome, summary
from ciyuan.factory.scheduler_terms import Cluster
from ciyuan.factory.scheduler_trace import Trace
from ciyuan.services.pictures import check_picture
from ciyuan.services.plots import COLOURS, INK, STYLE, WIDTH_INCHES

PNG_DPI = 150
QUIET = "#8a96a3"
LOADS = 16
"""Loads at which each policy is run for the curve."""


def _saved(path: Path, paint: Callable[[list[Axes]], None], columns: int, height_inches: float) -> None:
    check_picture(path)
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(WIDTH_INCHES, height_inches), layout="constrained")
        paint(list(figure.subplots(1, columns, squeeze=False)[0]))
        figure.savefig(path, dpi=PNG_DPI, metadata={"Date": None} if path.suffix == ".svg" else None)


def draw_waits(path: Path, outcome: Outcome) -> None:
    """How many requests waited at most so long: to the first token, and for each one after it; promises as broken lines."""

    def paint(axes: list[Axes]) -> None:
        tiers = outcome.cluster.tiers
        for axis, seconds, name in zip(
            axes,
            (outcome.ttft_s, outcome.tpot_s),
            ("Time to first token", "Time per token after it"),
            strict=True,
        ):
            for tier, terms in enumerate(tiers):
                mine = np.sort(seconds[(outcome.trace.tier == tier) & outcome.served])
                if not len(mine):
                    continue
                colour = COLOURS[tier % len(COLOURS)]
                share = np.arange(1, len(mine) + 1) / len(mine)
                axis.plot(
                    np.maximum(mine, 1e-4),
                    share,
                    color=colour,
                    lw=1.6,
                    label=f"tier {tier}: {len(mine):,} served",
                )
                promised = terms.slo.ttft_s if axis is axes[0] else terms.slo.tpot_s
                if isfinite(promised):
                    axis.axvline(promised, color=colour, lw=1.1, ls="--")
            axis.set(title=name, xlabel="seconds", xscale="log", ylim=(0, 1.02))
            axis.xaxis.set_major_formatter(lambda s, _: f"{s:g}")
            axis.yaxis.set_major_formatter(lambda share, _: f"{share:.0%}")
        axes[0].set(ylabel="share of the requests")
        axes[0].legend(loc="upper left", fontsize=8.5)

    _saved(path, paint, 2, 3.4)


@dataclass(frozen=True, slots=True)
class LoadCurve:
    """One policy at rising loads: requests/s offered, and output tokens/s per GPU that were served as promised."""

    policy: str
    requests_per_s: tuple[float, ...]
    goodput_per_gpu: tuple[float, ...]


def load_curves(
    trace: Trace, clusters: Mapping[str, Cluster], found: tuple[Capacity, ...]
) -> tuple[LoadCurve, ...]:
    """Goodput of each policy at the same loads, to above the highest capacity found."""
    most = max((one.requests_per_s for one in found), default=0.0) or trace.requests_per_s
    rates = np.linspace(most / LOADS, most * 1.8, LOADS)
    curves = []
    for policy, cluster in clusters.items():
        runs = [summary(simulate(trace.at_rate(float(rate)), cluster)) for rate in rates]
        good = [
            run.output_tokens_per_s_per_gpu
            * run.goodput_output_tokens_per_s
            / max(run.output_tokens_per_s, 1e-9)
            for run in runs
        ]
        curves.append(LoadCurve(policy, tuple(float(rate) for rate in rates), tuple(good)))
    return tuple(curves)


def draw_compared(path: Path, curves: tuple[LoadCurve, ...], found: tuple[Capacity, ...]) -> None:
    """Goodput against load by policy, and the most that each policy can promise."""

    def paint(axes: list[Axes]) -> None:
        against, most = axes
        for place, curve in enumerate(curves):
            colour = COLOURS[place % len(COLOURS)]
            against.plot(
                curve.requests_per_s,
                curve.goodput_per_gpu,
                color=colour,
                lw=1.6,
                marker=".",
                ms=4,
                label=curve.policy,
            )
        against.set(title="Served as promised, at rising load", xlabel="requests/s offered",
                    ylabel="output tokens/s per GPU", ylim=(0, None), xlim=(0, None))  # fmt: skip
        against.legend(fontsize=8, loc="best")
        rows = np.arange(len(found))[::-1]
        width = [one.output_tokens_per_s_per_gpu for one in found]
        most.barh(
            rows, width, color=[COLOURS[place % len(COLOURS)] for place in range(len(found))], height=0.62
        )
        first = next((value for value in width if value), 0.0)
        for row, value in zip(rows, width, strict=True):
            told = f"{value:,.0f}  x {value / first:,.3g}" if first else "0"
            most.annotate(
                told,
                (value, row),
                xytext=(5, 0),
                textcoords="offset points",
                va="center",
                fontsize=8.5,
                color=INK,
            )
        most.set(title="The most at which the promises are kept", xlabel="output tokens/s per GPU", yticks=rows,
                 yticklabels=[one.policy for one in found], xlim=(0, max(width, default=1.0) * 1.28 or 1.0))  # fmt: skip
        most.grid(visible=False, axis="y")

    _saved(path, paint, 2, 3.9)
