"""What the rules of the headlines draw on: a folder's tables, read once when first asked for, and what a rule answers."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from ciyuan.factory.messages import Provenance
from ciyuan.factory.model import Precision
from ciyuan.services.catalog_service_days import PublishedDay, service_days
from ciyuan.services.cost_case import CaseFacts, case_facts
from ciyuan.services.measurements_energy import SystemPower, system_powers
from ciyuan.services.measurements_mlperf import MlperfResult, mlperf_results
from ciyuan.services.measurements_published import DeepseekHour, deepseek_hours
from ciyuan.services.measurements_serving import ServingRun, inferencex_runs, silicon_runs
from ciyuan.services.rental_history import Rent, read_rents


@dataclass(frozen=True, slots=True)
class Answer:
    """Our figure for a headline; of a change, `value_from` is where it starts. `how` says what it was worked out of.

    `of_other`: it is of something else than the headline, shown because nothing nearer can be had.
    """

    value: float
    how: str
    provenance: Provenance
    value_from: float | None = None
    of_other: bool = False


@dataclass(frozen=True, slots=True)
class Unanswered:
    """No figure of ours, and why."""

    why: str


class Evidence:
    """A folder of tables, and the catalogue. Raises Malformed, when a table is first asked for, if it cannot be read."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @cached_property
    def facts(self) -> CaseFacts:
        """The catalogue."""
        return case_facts()

    @cached_property
    def day(self) -> PublishedDay:
        """DeepSeek's published day."""
        return service_days()["deepseek_2025_02_27"]

    @cached_property
    def day_hours(self) -> tuple[DeepseekHour, ...]:
        """The hours of that day."""
        return deepseek_hours(self.folder / "deepseek_day6.csv").rows

    @cached_property
    def system_powers(self) -> tuple[SystemPower, ...]:
        """Systems at their walls, and pairs of power caps."""
        return system_powers(self.folder / "power_systems.csv").rows

    @cached_property
    def mlperf(self) -> tuple[MlperfResult, ...]:
        """MLPerf results."""
        return mlperf_results(self.folder / "mlperf_llm.csv", self.facts.names).rows

    @cached_property
    def rents(self) -> tuple[Rent, ...]:
        """A cloud's price changes."""
        return read_rents(self.folder / "gpu_rental_gcp.csv")

    @cached_property
    def rent_index(self) -> Path | None:
        """The table of daily rents by provider, beside the folder's tables or in the folder of prices; None if neither has it."""
        places = (self.folder / "gpu_rental.csv", self.folder.parent / "prices" / "gpu_rental.csv")
        return next((place for place in places if place.is_file()), None)

    @cached_property
    def inferencex(self) -> tuple[ServingRun, ...]:
        """InferenceX runs of DeepSeek-R1."""
        return inferencex_runs(self.folder / "inferencemax.csv", self.facts.names).rows

    @cached_property
    def silicon(self) -> tuple[ServingRun, ...]:
        """Runs of many models."""
        return silicon_runs(self.folder / "silicon_sample.csv", self.facts.names).rows


def runs_of(
    runs: Iterable[ServingRun],
    chip: str,
    model: str,
    shape: tuple[int, int],
    precision: Precision | None = None,
) -> list[ServingRun]:
    """The runs of a chip, model and shape (tokens in, out), at one precision or any, whose GPUs are sure."""
    return [
        run
        for run in runs
        if (run.chip, run.model) == (chip, model)
        and (run.input_tokens, run.output_tokens) == shape
        and precision in {None, run.precision}
        and run.gpus_sure
    ]


def total_tokens_per_s_per_gpu(run: ServingRun) -> float:
    """Input and output tokens/s per GPU: as measured, or by Little's law from the run's times and its mean lengths."""
    if run.output_tokens_per_s_per_gpu is not None and run.input_tokens_per_s_per_gpu is not None:
        return run.output_tokens_per_s_per_gpu + run.input_tokens_per_s_per_gpu
    output = run.output_tokens * run.length_factor
    seconds = run.ttft_s + run.tpot_s * (output - 1.0)
    return run.concurrency * (run.input_tokens * run.length_factor + output) / seconds / run.gpus


def best_at(speeds: list[float], rates: list[float], speed: float) -> float | None:
    """The best rate at a speed per user: on the front of the runs, between its two neighbours in logarithms.

    Below the slowest run of the front its rate is the answer; beyond the fastest there is none (None).
    """
    front: list[tuple[float, float]] = []
    for fast, rate in sorted(zip(speeds, rates, strict=True), reverse=True):
        if not front or rate > front[-1][1]:
            front.append((fast, rate))
    if not front or speed > front[0][0]:
        return None
    known = np.array(front[::-1])
    return float(np.exp(np.interp(speed, known[:, 0], np.log(known[:, 1]))))
