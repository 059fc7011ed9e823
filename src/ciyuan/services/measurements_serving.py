"""Measured runs of serving engines: time to first token and time per token at a concurrency, with the layout that gave them.

| file | runs of |
|---|---|
| silicon_sample.csv | many models; NVIDIA aiconfigurator-core's own record, part of it from InferenceX |
| inferencemax.csv | DeepSeek-R1; InferenceX |

What the readers mend, and say so in the run:

- InferenceX draws lengths evenly from 0.8 to 1 of the nominal ones, so their mean is 0.9 of it (`length_factor`).
- silicon_sample.csv counts some replicas that it has from InferenceX by the product of two parallel sizes that name the same
  GPUs: a replica of 8 is given as 64. There the product is of equal sizes (experts split both ways, or attention copied and split
  alike), and the GPUs are counted once. Row names that give the sizes, and rows that InferenceX's own table has too, say so.
  Where experts are split over more GPUs than attention, attention is copied (`data`).
- `gpus_sure` is False where a row's GPUs and layout cannot be told: disaggregated rows that give no workers, counted as one of
  each side, and aggregated ones over more than 8 GPUs, which are disaggregated runs whose sides were lost.
- Rates of disaggregated InferenceX runs are per prefill or per decode GPU; here all are per GPU of the whole.
- silicon_sample.csv does not say which runs of `MIXED_FAMILIES` drafted tokens ahead: their speculation is `UNKNOWN`.
- silicon_sample.csv is of several dumps, and a quarter of its rows repeat others (`distinct`): a random split of it
  would test on what it was fitted to.
- An empty precision is the checkpoint's own.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from ciyuan.basics.errors import Malformed
from ciyuan.factory.model import Precision
from ciyuan.factory.software import Backend, Software, software_from
from ciyuan.services.catalog_factory import Names
from ciyuan.services.measurements import Cells, LeftOut, Measured, read_rows, resolved

INFERENCEX_LENGTH_FACTOR = 0.9
"""Mean over nominal length of InferenceX requests (its random-range ratio is 0.8); Little's law holds within 3% with it."""
MIXED_FAMILIES = ("deepseek-v3", "qwen3.5")
"""Families of which silicon_sample.csv has equal runs that differ as with and without drafts (1.3 to 1.7 times), unmarked."""
BOX_GPUS = 8
"""The most GPUs of one aggregated replica in these tables."""
RATE_TOLERANCE = 0.02
"""By how much a run's total rate may differ from the weighted sum of its input and output rates."""


class Speculation(StrEnum):
    """Whether a run drafted tokens ahead."""

    NONE = "none"
    MTP = "mtp"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Engines:
    """Equal engines side by side. One engine holds `tensor` x `data` x `pipeline` GPUs: its attention is split over `tensor`
    GPUs and copied over `data`; its experts are split over `expert` GPUs of them (1: each GPU holds a slice of every expert)."""

    workers: int
    tensor: int
    data: int
    pipeline: int
    expert: int

    @property
    def gpus_each(self) -> int:
        """GPUs of one engine."""
        return self.tensor * self.data * self.pipeline

    @property
    def gpus(self) -> int:
        """GPUs of all of them."""
        return self.workers * self.gpus_each


@dataclass(frozen=True, slots=True)
class ServingRun:
    """One measured run. Lengths are nominal tokens; the mean is `length_factor` times that. Times are medians over requests.

    `decode` does all the work where `prefill` is None; else prompts are read by `prefill`. `gpus` counts both. Rates are per GPU
    of the whole, None where the table has none. `measured_on` and the software's version are "" where not given.
    """

    file: str
    line: int
    label: str
    chip: str
    model: str
    precision: Precision
    software: Software
    measured_on: str
    speculation: Speculation
    input_tokens: int
    output_tokens: int
    length_factor: float
    concurrency: int
    prefill: Engines | None
    decode: Engines
    gpus: int
    gpus_sure: bool
    tpot_s: float
    ttft_s: float
    tpot_p99_s: float | None
    ttft_p99_s: float | None
    output_tokens_per_s_per_gpu: float | None
    input_tokens_per_s_per_gpu: float | None
    watts_per_gpu: float | None

    def __post_init__(self) -> None:
        for name in ("input_tokens", "output_tokens", "concurrency", "gpus", "tpot_s", "ttft_s"):
            if not getattr(self, name) > 0:
                raise Malformed(f"{self.file}, line {self.line}, {name}", found=getattr(self, name),
                                expected="more than 0", remedy="Mend the row, or leave it out.")  # fmt: skip

    @property
    def disaggregated(self) -> bool:
        """Whether prompts are read by other GPUs than tokens are made by."""
        return self.prefill is not None


_SILICON = ("chip", "model", "precision", "backend", "backend_version", "mode", "isl", "osl", "conc", "tp", "pp", "attn_dp",
            "moe_tp", "moe_ep", "p_workers", "p_tp", "p_attn_dp", "d_workers", "d_tp", "d_attn_dp", "ttft_ms", "tpot_ms",
            "measured", "image", "id")  # fmt: skip
_FROM_INFERENCEX = re.compile(r"_cfg\d+$|^20\d\d_\d\d_\d\d_")


def silicon_runs(path: Path, names: Names) -> Measured[ServingRun]:
    """The runs of silicon_sample.csv."""
    return read_rows(path, _SILICON, lambda cells: _silicon_run(cells, names))


def _silicon_run(cells: Cells, names: Names) -> ServingRun:
    chip = resolved(cells.text("chip"), names.chip)
    model = resolved(cells.text("model"), names.model)
    precision = resolved(cells.text("precision"), lambda name: names.precision(name, model))
    if "conc" not in cells:
        raise LeftOut("the row gives no concurrency")
    apart = cells.text("mode") == "disagg"
    label = cells.text("id")
    from_inferencex = bool(_FROM_INFERENCEX.search(label))
    prefill = _silicon_engines(cells, "p_") if apart else None
    decode = _silicon_engines(cells, "d_") if apart else _silicon_replica(cells, from_inferencex)
    return ServingRun(
        file=cells.file,
        line=cells.line,
        label=label,
        chip=chip.code,
        model=model.code,
        precision=precision,
        software=_silicon_software(cells),
        measured_on=cells.text("measured"),
        speculation=Speculation.UNKNOWN if model.family in MIXED_FAMILIES else Speculation.NONE,
        input_tokens=cells.whole("isl"),
        output_tokens=cells.whole("osl"),
        length_factor=INFERENCEX_LENGTH_FACTOR if from_inferencex else 1.0,
        concurrency=cells.whole("conc"),
        prefill=prefill,
        decode=decode,
        gpus=decode.gpus + (prefill.gpus if prefill else 0),
        gpus_sure="p_workers" in cells and "d_workers" in cells if apart else decode.gpus <= BOX_GPUS,
        tpot_s=cells.number("tpot_ms") / 1000,
        ttft_s=cells.number("ttft_ms") / 1000,
        tpot_p99_s=None,
        ttft_p99_s=None,
        output_tokens_per_s_per_gpu=None,
        input_tokens_per_s_per_gpu=None,
        watts_per_gpu=None,
    )


def _silicon_engines(cells: Cells, side: str) -> Engines:
    """Of a disaggregated row: its prefill or decode side. Its expert sizes are not given: taken as the engine's GPUs where
    attention is data-parallel, since experts cannot be copied, else 1."""
    tensor, data = cells.count(f"{side}tp", 1), cells.count(f"{side}attn_dp", 1)
    return Engines(cells.count(f"{side}workers", 1), tensor, data, 1, tensor * data if data > 1 else 1)


def _silicon_replica(cells: Cells, from_inferencex: bool) -> Engines:
    """Of an aggregated row: its replica, each GPU counted once."""
    tensor, data, expert = cells.count("tp", 1), cells.count("attn_dp", 1), cells.count("moe_ep", 1)
    moe_tensor, pipeline = cells.count("moe_tp", 1), cells.count("pp", 1)
    if from_inferencex and moe_tensor == expert > 1 and tensor * data == expert * expert:
        tensor, data = (expert, 1) if data == 1 else (1, expert)
    elif from_inferencex and tensor == data > 1 and expert == tensor * data:
        tensor, expert = 1, data
    elif moe_tensor * expert > tensor * data:
        data = moe_tensor * expert // tensor
    return Engines(1, tensor, data, pipeline, expert)


def _silicon_software(cells: Cells) -> Software:
    """Of the image, else of the columns. TensorRT-LLM's own versions in this table begin with 1; the others are Dynamo's."""
    if "image" in cells:
        return resolved(cells.text("image"), software_from)
    backend = resolved(cells.text("backend"), software_from).backend
    version = cells.text("backend_version")
    is_dynamo = backend is Backend.TRTLLM and (version.startswith("0.") or "-dev" in version)
    return Software(backend, "dynamo" if is_dynamo else "", version)


def distinct(runs: Iterable[ServingRun]) -> tuple[ServingRun, ...]:
    """Each run once: of those that several dumps hold, the one whose layout is best told, in the order of the first of them.

    One run is what has the same chip, model, precision, engine, lengths and concurrency, and equal times to four digits. Dumps
    differ in what they say of its layout: the numbered ones ("_cfg") name all sides and copies of attention, others lose them.
    """
    best: dict[tuple[object, ...], ServingRun] = {}
    for run in runs:
        other = best.setdefault(_identity(run), run)
        if _told(run) > _told(other):
            best[_identity(run)] = run
    return tuple(best.values())


def _told(run: ServingRun) -> tuple[bool, bool, bool]:
    """How well a run's layout and software are told; more is better."""
    return run.gpus_sure, bool(re.search(r"_cfg\d+$", run.label)), bool(run.software.version)


def _identity(run: ServingRun) -> tuple[object, ...]:
    times = f"{run.tpot_s:.3e}", f"{run.ttft_s:.3e}"
    asked = run.input_tokens, run.output_tokens, run.concurrency
    return run.chip, run.model, run.precision, run.software.backend, asked, times


_INFERENCEX = ("chip", "model", "precision", "framework", "image", "spec", "disagg", "isl", "osl", "conc", "p_tp", "p_ep",
               "p_dpattn", "p_workers", "p_gpus", "d_tp", "d_ep", "d_dpattn", "d_workers", "d_gpus", "gpus_total",
               "total_tok_s_gpu", "input_tok_s_gpu", "output_tok_s_gpu", "tpot_median_s", "tpot_p99_s", "ttft_median_s",
               "ttft_p99_s", "avg_power_w_gpu", "date", "run_url")  # fmt: skip


def inferencex_runs(path: Path, names: Names) -> Measured[ServingRun]:
    """The runs of inferencemax.csv."""
    return read_rows(path, _INFERENCEX, lambda cells: _inferencex_run(cells, names))


def _inferencex_run(cells: Cells, names: Names) -> ServingRun:
    chip = resolved(cells.text("chip"), names.chip)
    model = resolved(cells.text("model"), names.model)
    precision = resolved(cells.text("precision"), lambda name: names.precision(name, model))
    apart = cells.flag("disagg")
    prefill, decode = (
        (_side(cells, "p_"), _side(cells, "d_")) if apart else (None, _inferencex_replica(cells))
    )
    output_rate, input_rate = _whole_rates(cells, apart)
    return ServingRun(
        file=cells.file,
        line=cells.line,
        label=cells.text("run_url"),
        chip=chip.code,
        model=model.code,
        precision=precision,
        software=_inferencex_software(cells),
        measured_on=cells.text("date"),
        speculation=_speculation(cells.text("spec")),
        input_tokens=cells.whole("isl"),
        output_tokens=cells.whole("osl"),
        length_factor=INFERENCEX_LENGTH_FACTOR,
        concurrency=cells.whole("conc"),
        prefill=prefill,
        decode=decode,
        gpus=cells.whole("gpus_total"),
        gpus_sure=True,
        tpot_s=cells.number("tpot_median_s"),
        ttft_s=cells.number("ttft_median_s"),
        tpot_p99_s=cells.figure("tpot_p99_s"),
        ttft_p99_s=cells.figure("ttft_p99_s"),
        output_tokens_per_s_per_gpu=output_rate,
        input_tokens_per_s_per_gpu=input_rate,
        watts_per_gpu=cells.figure("avg_power_w_gpu"),
    )


def _speculation(name: str) -> Speculation:
    if name not in {Speculation.NONE, Speculation.MTP}:
        raise LeftOut(f"speculation by {name}")
    return Speculation(name)


def _inferencex_replica(cells: Cells) -> Engines:
    """Of an aggregated row: one replica; with data-parallel attention each GPU holds attention whole."""
    gpus, copied = cells.whole("gpus_total"), cells.flag("d_dpattn")
    return Engines(1, 1 if copied else gpus, gpus if copied else 1, 1, cells.count("d_ep", 1))


def _side(cells: Cells, side: str) -> Engines:
    """Of a disaggregated row: its prefill or decode side, whose GPUs all its workers share evenly."""
    workers, gpus, tensor = (
        cells.count(f"{side}workers", 1),
        cells.whole(f"{side}gpus"),
        cells.count(f"{side}tp", 1),
    )
    if gpus % workers:
        raise LeftOut("workers do not share their GPUs evenly")
    each = gpus // workers
    if cells.flag(f"{side}dpattn"):
        return Engines(workers, 1, each, 1, cells.count(f"{side}ep", 1))
    if each % tensor:
        raise LeftOut("a worker's GPUs are no multiple of its tensor size")
    return Engines(workers, tensor, 1, each // tensor, cells.count(f"{side}ep", 1))


def _whole_rates(cells: Cells, apart: bool) -> tuple[float | None, float | None]:
    """Output and input tokens per second and GPU of the whole; None where the row has none."""
    if "output_tok_s_gpu" not in cells or "input_tok_s_gpu" not in cells:
        return None, None
    output, given = cells.number("output_tok_s_gpu"), cells.number("input_tok_s_gpu")
    if apart:
        output *= cells.whole("d_gpus") / cells.whole("gpus_total")
        given *= cells.whole("p_gpus") / cells.whole("gpus_total")
    if abs(output + given - cells.number("total_tok_s_gpu")) > RATE_TOLERANCE * cells.number(
        "total_tok_s_gpu"
    ):
        raise LeftOut("input and output rates do not make up the total")
    return output, given


def _inferencex_software(cells: Cells) -> Software:
    """The image's engine and version; where there is none, the framework's engine."""
    return resolved(cells.text("image") or cells.text("framework"), software_from)
