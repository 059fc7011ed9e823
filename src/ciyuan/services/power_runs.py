"""Measured GPU power, read from the ML.ENERGY table: what each run served, how fast, at how many watts, and what its
GPUs did.

| from the table | worked out here, by the model's shape |
|---|---|
| GPUs, running sequences, output tokens/s, watts | steps/s, bytes and FLOPs of a step, and so the shares of the peaks |

The table does not say how long the prompts were; `PROMPT_TOKENS` holds an estimate for each task, the one of a few round
numbers under which the power model fits best. It matters for code completion alone, where the prompt is most of the work.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ciyuan.basics.errors import Malformed
from ciyuan.factory.load import steady_load
from ciyuan.factory.messages import Chip
from ciyuan.factory.model import Model, Precision
from ciyuan.factory.power import Load
from ciyuan.services.catalog import chips
from ciyuan.services.catalog_factory import models, names
from ciyuan.services.measurements import Unresolved
from ciyuan.services.measurements_energy import EnergyRun, energy_runs

TABLE = "mlenergy.csv"
PROMPT_TOKENS = {"lm-arena-chat": 200.0, "gpqa": 250.0, "sourcegraph-fim": 1600.0}
OTHER_PROMPT_TOKENS = 500.0
"""Of a task that the table may come to hold: an assumption."""


@dataclass(frozen=True, slots=True)
class PowerRun:
    """One run in a steady state. `watts` and `output_tokens_per_s` are per GPU; `replicas` copies of the attention layers
    share the `gpus`."""

    chip: Chip
    model: Model
    name: str
    precision: Precision
    task: str
    gpus: int
    replicas: int
    sequences: float
    prompt_tokens: float
    output_tokens: float
    output_tokens_per_s: float
    watts: float

    @property
    def joules_per_token(self) -> float:
        """Joules of the GPUs for each output token."""
        return self.watts / self.output_tokens_per_s

    @property
    def configuration(self) -> str:
        """Chip, model, GPUs and task: rows of one configuration differ in load alone."""
        return f"{self.chip.code} {self.name} {self.precision} x{self.gpus} {self.task}"

    def load(self) -> Load:
        """What each of its GPUs did."""
        return steady_load(
            self.chip, self.model, self.precision,
            gpus=self.gpus,
            replicas=self.replicas,
            sequences=self.sequences,
            steps_per_s=self.output_tokens_per_s * self.gpus / self.sequences,
            prompt_tokens=self.prompt_tokens,
            output_tokens=self.output_tokens,
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class PowerRuns:
    """The runs of a table, and the rows that could not be used, each with its reason."""

    runs: tuple[PowerRun, ...]
    left_out: tuple[Unresolved, ...]


def read_power_runs(folder: Path) -> PowerRuns:
    """The runs of `mlenergy.csv` in a folder. Raises Malformed for a file that cannot be read or a row that makes no sense."""
    measured = energy_runs(folder / TABLE, names())
    known_chips, known_models = chips(), models()
    runs = tuple(_run(row, known_chips[row.chip], known_models[row.model]) for row in measured.rows)
    return PowerRuns(runs, measured.left_out)


def _run(row: EnergyRun, chip: Chip, model: Model) -> PowerRun:
    least = min(row.gpus, row.data, row.sequences, row.output_tokens, row.output_tokens_per_s, row.gpus_w)
    if not least > 0 or row.gpus % row.data:
        raise Malformed(f"{TABLE}, line {row.line}", found=row, expected="figures above 0, and GPUs that its copies share evenly",
                        remedy="Mend the row.")  # fmt: skip
    return PowerRun(
        chip=chip,
        model=model,
        name=row.checkpoint,
        precision=row.precision,
        task=row.task,
        gpus=row.gpus,
        replicas=row.data,
        sequences=row.sequences,
        prompt_tokens=PROMPT_TOKENS.get(row.task, OTHER_PROMPT_TOKENS),
        output_tokens=row.output_tokens,
        output_tokens_per_s=row.output_tokens_per_s / row.gpus,
        watts=row.gpus_w / row.gpus,
    )


def configurations(runs: Sequence[PowerRun]) -> tuple[str, ...]:
    """The configurations of the runs, in order of appearance."""
    return tuple(dict.fromkeys(run.configuration for run in runs))
