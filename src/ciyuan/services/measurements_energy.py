"""Measured power: of GPUs while they serve (ML.ENERGY, PowerX, Splitwise) and of whole systems at the wall.

| file | reader | watts of |
|---|---|---|
| mlenergy.csv | `energy_runs` | the GPUs of a replica, by running batch |
| powerx_b200_dsv4.csv | `powerx_runs` | one B200 GPU serving DeepSeek-V4-Pro, by concurrency |
| splitwise_a100_h100.csv | `splitwise_runs` | DGX-A100 and DGX-H100, as shares of the GPUs' TDP |
| power_systems.csv | `system_powers` | a server or rack; pairs at two power caps; a published model |

Splitwise gives a power of 0 where none was taken: here None. Its `h100-80gb-pcap` is the H100 under a power cap that the table
does not state (`capped`).
"""

from dataclasses import dataclass
from pathlib import Path

from ciyuan.factory.hardware import Cooling
from ciyuan.factory.model import Precision
from ciyuan.services.catalog_factory import Names
from ciyuan.services.measurements import Cells, LeftOut, Measured, read_rows, resolved

POWERX_CHIP = "b200_sxm"
POWERX_MODEL = "deepseek-ai/DeepSeek-V4-Pro"
POWERX_INPUT_TOKENS, POWERX_OUTPUT_TOKENS = 8192, 1024
_CAPPED = "-pcap"


@dataclass(frozen=True, slots=True)
class EnergyRun:
    """One run of a replica in a steady state. `sequences` is the mean running batch; watts and joules are of the replica's GPUs,
    not of the wall; `output_tokens_per_s` is the replica's. Inter-token times are over all tokens."""

    line: int
    task: str
    chip: str
    model: str
    checkpoint: str
    precision: Precision
    gpus: int
    tensor: int
    expert: int
    data: int
    sequences_max: int
    sequences: float
    output_tokens: float
    output_tokens_per_s: float
    gpus_w: float
    joules_per_output_token: float
    itl_median_s: float
    itl_p90_s: float
    itl_p99_s: float


_ENERGY = ("task", "gpu", "model", "weights", "num_gpus", "tp", "ep", "dp", "max_num_seqs", "avg_batch", "avg_output_len",
           "output_tok_s", "avg_power_w", "j_per_output_tok", "median_itl_ms", "p90_itl_ms", "p99_itl_ms")  # fmt: skip


def energy_runs(path: Path, names: Names) -> Measured[EnergyRun]:
    """The runs of mlenergy.csv."""
    return read_rows(path, _ENERGY, lambda cells: _energy_run(cells, names))


def _energy_run(cells: Cells, names: Names) -> EnergyRun:
    model = resolved(cells.text("model"), names.model)
    return EnergyRun(
        line=cells.line,
        task=cells.text("task"),
        chip=resolved(cells.text("gpu"), names.chip).code,
        model=model.code,
        checkpoint=cells.text("model"),
        precision=resolved(cells.text("weights"), lambda name: names.precision(name, model)),
        gpus=cells.whole("num_gpus"),
        tensor=cells.whole("tp"),
        expert=cells.whole("ep"),
        data=cells.whole("dp"),
        sequences_max=cells.whole("max_num_seqs"),
        sequences=cells.number("avg_batch"),
        output_tokens=cells.number("avg_output_len"),
        output_tokens_per_s=cells.number("output_tok_s"),
        gpus_w=cells.number("avg_power_w"),
        joules_per_output_token=cells.number("j_per_output_tok"),
        itl_median_s=cells.number("median_itl_ms") / 1000,
        itl_p90_s=cells.number("p90_itl_ms") / 1000,
        itl_p99_s=cells.number("p99_itl_ms") / 1000,
    )


@dataclass(frozen=True, slots=True)
class PowerxRun:
    """DeepSeek-V4-Pro in fp4 on B200s, requests of 8,192 tokens in and 1,024 out. Watts are of one GPU's board, on average over
    all, over prefill and over decode GPUs (None: no such split); joules are per token of the whole."""

    line: int
    framework: str
    disaggregated: bool
    concurrency: int
    prefill_gpus: int
    decode_gpus: int
    tensor: int
    expert: int
    data_parallel_attention: bool
    gpu_w: float
    prefill_gpu_w: float | None
    decode_gpu_w: float | None
    joules_per_output_token: float
    joules_per_token: float


_POWERX = ("framework", "disagg", "conc", "d_tp", "d_ep", "dp_attn", "p_gpus", "d_gpus", "gpu_w", "prefill_gpu_w",
           "decode_gpu_w", "j_out", "j_total")  # fmt: skip


def powerx_runs(path: Path) -> Measured[PowerxRun]:
    """The runs of powerx_b200_dsv4.csv."""
    return read_rows(path, _POWERX, _powerx_run)


def _powerx_run(cells: Cells) -> PowerxRun:
    return PowerxRun(
        line=cells.line,
        framework=cells.text("framework"),
        disaggregated=cells.flag("disagg"),
        concurrency=cells.whole("conc"),
        prefill_gpus=cells.whole("p_gpus"),
        decode_gpus=cells.whole("d_gpus"),
        tensor=cells.whole("d_tp"),
        expert=cells.whole("d_ep"),
        data_parallel_attention=cells.flag("dp_attn"),
        gpu_w=cells.number("gpu_w"),
        prefill_gpu_w=cells.figure("prefill_gpu_w"),
        decode_gpu_w=cells.figure("decode_gpu_w"),
        joules_per_output_token=cells.number("j_out"),
        joules_per_token=cells.number("j_total"),
    )


@dataclass(frozen=True, slots=True)
class SplitwiseRun:
    """One batch of equal requests on one DGX, in 16 bits: its prompts read at once, then token by token. `token_s` is the mean
    time of a token after the first. `output_tokens` were asked for; runs of more than 512 ended of themselves after some 600, as
    their `whole_s` says. Power is of all GPUs as a share of their TDP, None where not taken."""

    line: int
    chip: str
    capped: bool
    model: str
    gpus: int
    batch: int
    input_tokens: int
    output_tokens: int
    prompt_s: float
    token_s: float
    whole_s: float
    power_mean_share: float | None
    power_peak_share: float | None


_SPLITWISE = ("model", "hardware", "prompt_size", "batch_size", "token_size", "peak_power", "average_power", "prompt_time",
              "token_time", "e2e_time", "tensor_parallel")  # fmt: skip


def splitwise_runs(path: Path, names: Names) -> Measured[SplitwiseRun]:
    """The runs of splitwise_a100_h100.csv; the same batch was run several times."""
    return read_rows(path, _SPLITWISE, lambda cells: _splitwise_run(cells, names))


def _splitwise_run(cells: Cells, names: Names) -> SplitwiseRun:
    hardware = cells.text("hardware")
    return SplitwiseRun(
        line=cells.line,
        chip=resolved(hardware.removesuffix(_CAPPED), names.chip).code,
        capped=hardware.endswith(_CAPPED),
        model=resolved(cells.text("model"), names.model).code,
        gpus=cells.whole("tensor_parallel"),
        batch=cells.whole("batch_size"),
        input_tokens=cells.whole("prompt_size"),
        output_tokens=cells.whole("token_size"),
        prompt_s=cells.number("prompt_time") / 1000,
        token_s=cells.number("token_time") / 1000,
        whole_s=cells.number("e2e_time") / 1000,
        power_mean_share=cells.number("average_power") or None,
        power_peak_share=cells.number("peak_power") or None,
    )


@dataclass(frozen=True, slots=True)
class SystemPower:
    """Power of one system at one load. `kind` is "measured" (wall), "cap" (one of a pair at two power caps) or "model" (IT watts
    of a published model, each GPU at `gpu_w`). `gpu_w_max` is a GPU's TDP or cap. None: not given."""

    line: int
    kind: str
    system: str
    gpus: int
    cooling: Cooling | None
    gpu_w_max: float
    gpu_w: float | None
    idle_w: float | None
    load_w: float | None
    workload: str
    tokens_per_s: float | None
    joules_per_token: float | None
    note: str


KINDS = ("measured", "cap", "model")
_SYSTEMS = ("kind", "system", "gpus", "cooling", "gpu_tdp_or_cap_w", "gpu_w_each", "idle_w", "load_w", "workload", "tokens_s",
            "j_per_token", "note")  # fmt: skip


def system_powers(path: Path) -> Measured[SystemPower]:
    """The rows of power_systems.csv. Water cooling is `Cooling.LIQUID`."""
    return read_rows(path, _SYSTEMS, _system_power)


def _system_power(cells: Cells) -> SystemPower:
    cooling = {"air": Cooling.AIR, "water": Cooling.LIQUID, "liquid": Cooling.LIQUID, "": None}
    if cells.text("cooling") not in cooling:
        raise LeftOut(f"cooling by {cells.text('cooling')}")
    if cells.text("kind") not in KINDS:
        raise LeftOut(f"a row of kind {cells.text('kind')}")
    return SystemPower(
        line=cells.line,
        kind=cells.text("kind"),
        system=cells.text("system"),
        gpus=cells.whole("gpus"),
        cooling=cooling[cells.text("cooling")],
        gpu_w_max=cells.number("gpu_tdp_or_cap_w"),
        gpu_w=cells.figure("gpu_w_each"),
        idle_w=cells.figure("idle_w"),
        load_w=cells.figure("load_w"),
        workload=cells.text("workload"),
        tokens_per_s=cells.figure("tokens_s"),
        joules_per_token=cells.figure("j_per_token"),
        note=cells.text("note"),
    )
