"""A picture of an answer: bars, or lines over time, in SVG or PNG."""

from pathlib import Path

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ciyuan.basics.errors import Malformed
from ciyuan.basics.money import MICRO
from ciyuan.services.door.usage_fonts import with_text
from ciyuan.services.door.usage_print import Measure, crossed
from ciyuan.services.door.usage_query import TIMES, Answer, Line
from ciyuan.services.plots import COLOURS, STYLE, WIDTH_INCHES

SUFFIXES = (".svg", ".png")
BARS_MAX = 25
DOTS_PER_INCH = 150


def check_picture(path: Path) -> None:
    """Refuse (Malformed) a picture that cannot be drawn into a file of this name."""
    if path.suffix.lower() not in SUFFIXES:
        raise Malformed(f"picture {path}", found=path.suffix or "no suffix", expected="a name that ends in .svg or .png",
                        remedy="Name it so.")  # fmt: skip


def draw_answer(path: Path, answer: Answer, measure: Measure) -> None:
    """Draw one measure of an answer: over time where the first dimension is a time, else the largest as bars."""
    check_picture(path)
    labels = "".join(label for line in answer.lines for label in line.labels)
    with mpl.rc_context(STYLE), with_text(labels):
        bars = min(len({line.labels[0] for line in answer.lines}), BARS_MAX)
        is_time = answer.question.by[0] in TIMES
        figure = Figure(
            figsize=(WIDTH_INCHES, 3.4 if is_time else 1.2 + 0.3 * max(bars, 2)), layout="constrained"
        )
        axes = figure.subplots()
        paint = _over_time if is_time else _bars
        paint(axes, answer, measure)
        unit = "USD" if measure is Measure.COST else str(measure)
        axes.set_title(
            f"{measure.capitalize()} by {' and '.join(answer.question.by)}, {answer.question.span.name}"
        )
        (axes.set_ylabel if is_time else axes.set_xlabel)(unit)
        figure.savefig(
            path, dpi=DOTS_PER_INCH, metadata={"Date": None} if path.suffix.lower() == ".svg" else None
        )


def _series(answer: Answer, measure: Measure) -> list[tuple[str, dict[str, float]]]:
    """Named series of values by label of the first dimension; one series without a second dimension."""
    if len(answer.question.by) == 1:
        return [("", {line.labels[0]: _shown(line, measure) for line in answer.lines})]
    names, rows, _ = crossed(answer, measure)
    return [
        (
            name,
            {
                label: _scaled(measure.of(columns[name]), measure)
                for label, columns in rows.items()
                if name in columns
            },
        )
        for name in names
    ]


def _shown(line: Line, measure: Measure) -> float:
    return _scaled(measure.of(line.sums), measure)


def _scaled(value: int, measure: Measure) -> float:
    return value / MICRO if measure is Measure.COST else float(value)


def _over_time(axes: Axes, answer: Answer, measure: Measure) -> None:
    moments = sorted({line.labels[0] for line in answer.lines})
    for place, (name, values) in enumerate(_series(answer, measure)):
        shown = [values.get(moment, 0.0) for moment in moments]
        axes.plot(moments, shown, color=COLOURS[place % len(COLOURS)], marker=".", ms=4, lw=1.2, label=name)
    step = max(1, len(moments) // 12)
    axes.set_xticks(range(0, len(moments), step), moments[::step], rotation=30, ha="right")
    axes.set_ylim(bottom=0)
    _legend(axes, answer)


def _bars(axes: Axes, answer: Answer, measure: Measure) -> None:
    order = list(dict.fromkeys(line.labels[0] for line in answer.lines))[:BARS_MAX]
    left = [0.0] * len(order)
    for place, (name, values) in enumerate(_series(answer, measure)):
        widths = [values.get(label, 0.0) for label in order]
        axes.barh(range(len(order)), widths, left=left, color=COLOURS[place % len(COLOURS)], label=name)
        left = [before + width for before, width in zip(left, widths, strict=True)]
    axes.set_yticks(range(len(order)), order)
    axes.invert_yaxis()
    axes.grid(visible=False, axis="y")
    _legend(axes, answer)


def _legend(axes: Axes, answer: Answer) -> None:
    if len(answer.question.by) == 2:
        axes.legend(ncols=2, fontsize=8)
