"""The factory's physics on one core: operating points a second, and a Pareto front over all sensible layouts.

An operating point is one layout at one load: its time per token by cause, requests a second, and achieved bytes and FLOP/s as
shares of the peak. The baseline is the least that arithmetic on such arrays can cost here: one multiplication and one
addition per element and column.
"""

import numpy as np

from benchmarks.record import Result, cpu_time
from ciyuan.factory.front import Software, front_of, layouts_tried, sweep
from ciyuan.factory.model import Precision
from ciyuan.factory.roofline import Roofline
from ciyuan.factory.work import Shape, as_column, stacked, work_of
from ciyuan.services.catalog import chips
from ciyuan.services.catalog_calibration import shipped
from ciyuan.services.catalog_factory import models

CHIP, MODEL, PRECISION, SHAPE = "gb300_nvl72", "deepseek-ai/DeepSeek-R1", Precision.FP4, Shape(1024, 1024)
POINTS_A_CALL, ROUNDS = 65_536, 9
POINTS_PER_S, FRONT_S = 1e6, 0.1
"""The project's goals."""


def points_per_second() -> tuple[float, float, int]:
    """(operating points a second, baseline's, layouts) of the physics alone."""
    chip, model = chips()[CHIP], models()[MODEL]
    layouts = layouts_tried(chip, model, PRECISION, SHAPE)
    work = as_column(stacked([work_of(chip, model, PRECISION, layout, SHAPE) for layout in layouts]))
    loads = POINTS_A_CALL // len(layouts)
    sequences = work.held ** np.linspace(0.0, 1.0, loads)[None, :]
    constants = shipped().fitted.constants
    columns = 8

    def physics() -> None:
        roofline = Roofline(work, constants)
        times = roofline.times(sequences)
        roofline.requests_per_s(times.sequences, times.tpot)
        roofline.uses(times.sequences, times.tpot)

    def least() -> None:
        for _ in range(columns):
            _ = sequences * 1.5 + 2.5

    count = len(layouts) * loads
    return count / cpu_time(physics, ROUNDS), count / cpu_time(least, ROUNDS), len(layouts)


def front_seconds() -> float:
    """Seconds of one front: works, physics, calibration, first tokens, Pareto front."""
    chip, model, fitted = chips()[CHIP], models()[MODEL], shipped().fitted

    def front() -> None:
        front_of(sweep(chip, model, PRECISION, SHAPE, Software("trtllm", "", ""), fitted))

    return cpu_time(front, ROUNDS)


def run() -> list[Result]:
    """Both figures."""
    rate, baseline, layouts = points_per_second()
    mix = f"{MODEL} {PRECISION} on {CHIP}, {layouts} layouts, {POINTS_A_CALL:,} points a call"
    return [
        Result("physics, operating points", rate, "points/s", mix, "calibration, first tokens", baseline=baseline,
               against="a multiplication and an addition on eight columns of that size", at_least=POINTS_PER_S),
        Result("physics, one Pareto front", front_seconds(), "s", f"{mix.partition(', ')[0]}, all layouts, 48 loads each",
               "reading the fact files", at_most=FRONT_S),
    ]  # fmt: skip


if __name__ == "__main__":
    for result in run():
        print(f"{result.name}: {result.value:,.4g} {result.unit}")
