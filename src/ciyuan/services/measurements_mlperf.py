"""MLPerf Inference results: tokens per second of whole systems at full load, some with wall power.

What the reader mends, and says so in the result:

- A result without a weight type (all of v4.1, and those that say UNSET) is taken at the narrowest of fp4, fp8 and int8 that the
  chip's tensor cores have, which is what its neighbours with a type use; `precision_given` is False.
- MangoBoost's MI355X results say fp8 but equal other submitters' fp4 ones, and the CDNA4 chip's submissions are in MXFP4: taken
  as that, `precision_given` False.

Results in samples/s (GPT-J), of mixed accelerators, and of models or accelerators outside the catalogue are left out.
"""

from dataclasses import dataclass
from pathlib import Path

from ciyuan.basics.errors import Malformed
from ciyuan.factory.messages import Chip
from ciyuan.factory.model import Model, Precision
from ciyuan.factory.software import Software, software_from
from ciyuan.services.catalog_factory import Names
from ciyuan.services.measurements import Cells, LeftOut, Measured, read_rows, resolved

SCENARIOS = ("Offline", "Server", "Interactive")
"""All requests at once; Poisson arrivals within latency limits; the same with tighter limits."""


@dataclass(frozen=True, slots=True)
class MlperfResult:
    """One result. `tokens_per_s` is of the whole system, of output tokens; watts are at its wall, None where not measured.

    `round` is as "v5.1", `division` "closed" or "open", `benchmark` the name that the result has there (it says the accuracy
    target and the lengths of requests), `software` None where the name that was submitted names no serving engine.
    """

    line: int
    round: str
    division: str
    submitter: str
    system: str
    chip: str
    gpus: int
    nodes: int
    model: str
    benchmark: str
    scenario: str
    precision: Precision
    precision_given: bool
    software: Software | None
    tokens_per_s: float
    load_w: float | None
    idle_w: float | None

    @property
    def tokens_per_s_per_gpu(self) -> float:
        """Output tokens per second and GPU."""
        return self.tokens_per_s / self.gpus

    @property
    def tokens_per_joule(self) -> float | None:
        """Output tokens per joule at the wall; None without power."""
        return self.tokens_per_s / self.load_w if self.load_w else None


_COLUMNS = ("version", "division", "submitter", "system", "accelerator", "nodes", "acc_total", "model", "scenario", "value",
            "unit", "valid", "power_w", "idle_w", "weights", "software")  # fmt: skip


def mlperf_results(path: Path, names: Names) -> Measured[MlperfResult]:
    """The results of mlperf_llm.csv."""
    return read_rows(path, _COLUMNS, lambda cells: _result(cells, names))


def _result(cells: Cells, names: Names) -> MlperfResult:
    if cells.text("unit").lower() != "tokens/s":
        raise LeftOut(f"a result in {cells.text('unit')}")
    if cells.text("valid") != "1":
        raise LeftOut("a result that its submitter does not call valid")
    if "acc_total" not in cells:
        raise LeftOut("accelerators of more than one kind")
    gpus = cells.whole("acc_total")
    if gpus < 1:
        raise LeftOut("a result without accelerators")
    chip = resolved(cells.text("accelerator"), names.accelerator)
    model = resolved(cells.text("model"), names.model)
    precision, given = _precision(cells, names, chip, model)
    return MlperfResult(
        line=cells.line,
        round=cells.text("version"),
        division=cells.text("division"),
        submitter=cells.text("submitter"),
        system=cells.text("system"),
        chip=chip.code,
        gpus=gpus,
        nodes=cells.whole("nodes"),
        model=model.code,
        benchmark=cells.text("model"),
        scenario=_scenario(cells.text("scenario")),
        precision=precision,
        precision_given=given,
        software=_software(cells.text("software")),
        tokens_per_s=cells.number("value"),
        load_w=cells.figure("power_w"),
        idle_w=cells.figure("idle_w"),
    )


def _precision(cells: Cells, names: Names, chip: Chip, model: Model) -> tuple[Precision, bool]:
    weights = cells.text("weights").lower()
    if weights in {"", "unset"}:
        return narrowest(chip), False
    if weights == "fp8" and chip.fp4_tflops and "mangoboost" in cells.text("submitter").lower():
        return Precision.MXFP4, False
    return resolved(weights, lambda name: names.precision(name, model)), True


def narrowest(chip: Chip) -> Precision:
    """The narrowest precision that a chip's tensor cores have."""
    if chip.fp4_tflops:
        return Precision.FP4
    if chip.fp8_tflops:
        return Precision.FP8
    return Precision.INT8 if chip.int8_tops else Precision.BF16


def _scenario(name: str) -> str:
    for scenario in SCENARIOS:
        if name.lower() == scenario.lower():
            return scenario
    raise LeftOut(f"scenario {name}")


def _software(name: str) -> Software | None:
    try:
        return software_from(name)
    except Malformed:
        return None
