"""MLPerf Offline results as saturated throughput: measured against physics, the correction, and families left out.

One entry is the median over submissions of a model, chip, precision and round (closed division, valid results): submitters
of one design differ by a few percent, and a table of rows would count the popular chips twenty times. The physics is of a
system with the (lower) median of their GPUs.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median_low

import numpy as np

from ciyuan.basics.errors import Malformed
from ciyuan.factory.constants import Constants
from ciyuan.factory.messages import Chip
from ciyuan.factory.model import Model, Precision
from ciyuan.factory.offline import (
    SERVER_GPUS,
    OfflineFactors,
    Saturated,
    Submission,
    benchmark_of,
    fit_factors,
    saturated,
    tensor_only_in,
    years_before,
)
from ciyuan.factory.work import Reals
from ciyuan.services.catalog import chips
from ciyuan.services.catalog_factory import models, names
from ciyuan.services.measurements_mlperf import MlperfResult, mlperf_results

TABLE = "mlperf_llm.csv"


@dataclass(frozen=True, slots=True)
class OfflineRun:
    """One entry: output tokens/s per GPU as measured (median of `results`) and as the physics says, and what it was."""

    model: str
    submission: Submission
    results: int
    measured: float
    physics: Saturated

    @property
    def log_error(self) -> float:
        """log(measured / physics)."""
        return float(np.log(self.measured / self.physics.tokens_per_s_per_gpu))


def read_offline(folder: Path, constants: Constants) -> tuple[OfflineRun, ...]:
    """The entries of a folder's MLPerf table whose request shape is known and which fit into one server; none without
    a table."""
    if not (folder / TABLE).is_file():
        return ()
    groups: dict[tuple[str, str, Precision, str], list[MlperfResult]] = {}
    for result in mlperf_results(folder / TABLE, names()).rows:
        if result.scenario == "Offline" and result.division == "closed" and benchmark_of(result.benchmark):
            key = (result.model, result.chip, result.precision, result.round)
            groups.setdefault(key, []).append(result)
    known_chips, known_models = chips(), models()
    found = []
    for results in groups.values():
        entry = _entry(results, known_chips[results[0].chip], known_models[results[0].model], constants)
        if entry:
            found.append(entry)
    return tuple(found)


def _entry(
    results: Sequence[MlperfResult], chip: Chip, model: Model, constants: Constants
) -> OfflineRun | None:
    """The median of results of one kind; None where the model fits no server of the chip's."""
    first = results[0]
    try:
        gpus = median_low(result.gpus for result in results)
        physics = predicted(chip, model, first.precision, first.benchmark, constants, gpus=gpus,
                            tensor_only=tensor_only_in(first.round))  # fmt: skip
    except Malformed:
        return None
    measured = float(np.median([result.tokens_per_s_per_gpu for result in results]))
    return OfflineRun(
        model.code,
        submission(chip, model, first.precision, first.round, physics),
        len(results),
        measured,
        physics,
    )


def predicted(chip: Chip, model: Model, precision: Precision, benchmark: str, constants: Constants, *,
              gpus: int = SERVER_GPUS, tensor_only: bool = False) -> Saturated:  # fmt: skip
    """The physics of a benchmark on a system of `gpus` GPUs (`saturated`). Raises Malformed for one whose requests are not
    known."""
    known = benchmark_of(benchmark)
    if known is None:
        raise Malformed("benchmark", found=benchmark, expected="one of MLPerf's language models",
                        remedy="Name it as its results do, such as llama2-70b-99.")  # fmt: skip
    return saturated(chip, model, precision, known, constants, gpus=gpus, tensor_only=tensor_only)


def submission(
    chip: Chip, model: Model, precision: Precision, round_name: str, physics: Saturated
) -> Submission:
    """What the correction needs to know."""
    columns = {"one": 1.0, "sequences": physics.sequence_share, "years": years_before(round_name)}
    return Submission(chip.architecture, chip.code, str(precision), round_name, model.code, columns)


def fit_offline(runs: Sequence[OfflineRun]) -> OfflineFactors:
    """The correction learnt from entries."""
    return fit_factors([run.submission for run in runs], np.array([run.log_error for run in runs]))


def corrected(run: OfflineRun, factors: OfflineFactors) -> float:
    """The prediction of an entry, output tokens/s per GPU."""
    return run.physics.tokens_per_s_per_gpu * float(np.exp(factors.log_factor(run.submission)))


def families_left_out(runs: Sequence[OfflineRun]) -> Reals:
    """Predictions (n,) of each entry with the correction learnt from all other models."""
    found = np.zeros(len(runs))
    for model in {run.model for run in runs}:
        factors = fit_offline([run for run in runs if run.model != model])
        for row, run in enumerate(runs):
            if run.model == model:
                found[row] = corrected(run, factors)
    return found
