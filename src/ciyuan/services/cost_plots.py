"""The waterfall of cost, and what old chips are worth, written to a file: SVG or PNG by its name."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes

from ciyuan.factory.rates import LEGS
from ciyuan.factory.waterfall import PARTS, Waterfall
from ciyuan.services.cost_print import CostAnswer
from ciyuan.services.margin_plots import saved
from ciyuan.services.plots import COLOURS, INK

PART_COLOURS = dict(zip(PARTS, (COLOURS[1], COLOURS[7], COLOURS[6], COLOURS[0], COLOURS[3], COLOURS[2], COLOURS[5], COLOURS[4]),
                        strict=True))  # fmt: skip
PANEL_INCHES = 3.8


def draw_waterfall(path: Path, answers: Sequence[CostAnswer]) -> None:
    """A panel for each answer: bars of the parts from nothing to the total, then the total by leg. Raises Malformed for a bad
    name."""

    top = max(max(answer.fall.blended_usd_per_mtok, answer.case.price_usd_per_mtok) for answer in answers)

    def paint(axes: list[Axes]) -> None:
        for axis, answer in zip(axes, answers, strict=True):
            _paint(axis, answer, top)

    saved(path, paint, [1.0] * len(answers), PANEL_INCHES * len(answers) + 0.4)


def _paint(axis: Axes, answer: CostAnswer, top: float) -> None:
    """One panel; `top` is the highest figure of all panels, so that they compare."""
    parts = {name: usd for name, usd in answer.fall.blended.items() if usd}
    names, steps = list(parts), np.array(list(parts.values()))
    starts = np.concatenate(([0.0], np.cumsum(steps)[:-1]))
    axis.bar(range(len(names)), steps, 0.62, bottom=starts, color=[PART_COLOURS[name] for name in names])
    for place, (start, step) in enumerate(zip(starts, steps, strict=True)):
        axis.plot([place + 0.31, place + 0.69], [start + step] * 2, color=INK, lw=0.7)
        axis.annotate(_usd(step), (place, max(start, start + step)), xytext=(0, 3), textcoords="offset points",
                      ha="center", fontsize=8.5)  # fmt: skip
    places = _paint_legs(axis, answer.fall, len(names))
    price = answer.case.price_usd_per_mtok
    if price > 0:
        axis.axhline(price, color=COLOURS[2], lw=1.2, ls="--")
        axis.annotate(f"sold for {_usd(price)}", (-0.45, price), xytext=(0, 3), textcoords="offset points",
                      color=COLOURS[2], fontsize=8.5)  # fmt: skip
    top = max(top, float((starts + steps).max()))
    axis.set(title=f"{answer.title}\nUSD for a million output tokens with the input that goes with them",
             ylabel="USD", ylim=(min(0.0, float(starts.min()) * 1.1), top * 1.16))  # fmt: skip
    legs = [f"{leg}\n{_usd(answer.fall.by_leg[leg])}\n/ MTok" for leg in _sold(answer.fall)]
    axis.set_xticks([*range(len(names)), *places], [*names, "total", *legs])
    axis.axhline(0, color=INK, lw=0.6)
    axis.grid(axis="x", visible=False)


def _sold(fall: Waterfall) -> list[str]:
    """The legs that any tokens go to."""
    return [leg for leg, rate in zip(LEGS, fall.tokens_per_s, strict=True) if rate]


def _paint_legs(axis: Axes, fall: Waterfall, after: int) -> list[int]:
    """The total as one bar of its parts, then what of it each leg bears."""
    shares = np.array(fall.tokens_per_s) / fall.tokens_per_s[-1]
    columns = {"total": fall.usd_per_mtok @ shares}
    for leg in _sold(fall):
        place = LEGS.index(leg)
        columns[leg] = fall.usd_per_mtok[:, place] * shares[place]
    for offset, column in enumerate(columns.values()):
        bottom = below = 0.0
        for part, usd in zip(PARTS, column, strict=True):
            axis.bar(
                after + offset, usd, 0.62, bottom=bottom if usd >= 0 else below, color=PART_COLOURS[part]
            )
            bottom, below = (bottom + usd, below) if usd >= 0 else (bottom, below + usd)
        axis.annotate(_usd(float(column.sum())), (after + offset, bottom), xytext=(0, 3), textcoords="offset points",
                      ha="center", fontsize=8.5, fontweight="bold")  # fmt: skip
    axis.axvline(after - 0.5, color=INK, lw=0.6, ls=":")
    return list(range(after, after + len(columns)))


def _usd(value: float) -> str:
    return f"{value:,.2f}" if abs(value) >= 0.1 else f"{value:,.3f}"
