"""MLPerf results: what is read, what is left out and why, and the table as far as it is at hand."""

from pathlib import Path

import pytest

from ciyuan.factory.model import Precision
from ciyuan.services.catalog import chips
from ciyuan.services.catalog_factory import names
from ciyuan.services.measurements import Measured
from ciyuan.services.measurements_mlperf import SCENARIOS, MlperfResult, mlperf_results, narrowest

FACTORY = Path(__file__).parents[3] / "shared" / "data" / "factory"
at_hand = pytest.mark.skipif(
    not FACTORY.is_dir(), reason="the shared data folder is not beside this checkout"
)

ROW = {
    "version": "v5.1", "division": "closed", "submitter": "Lenovo", "system": "SR680a", "accelerator": "NVIDIA B200-SXM-180GB",
    "nodes": "1", "acc_total": "8", "model": "llama2-70b-99.9", "scenario": "Offline", "value": "100000", "unit": "tokens/s",
    "valid": "1", "power_w": "10000", "idle_w": "2879", "weights": "fp4", "software": "TensorRT 10.11; CUDA 12.9",
}  # fmt: skip


def results(folder: Path, **changes: str) -> Measured[MlperfResult]:
    row = ROW | changes
    path = folder / "mlperf.csv"
    path.write_text(",".join(row) + "\n" + ",".join(row.values()) + "\n", encoding="utf-8")
    return mlperf_results(path, names())


def only(measured: Measured[MlperfResult]) -> MlperfResult:
    assert not measured.left_out
    (result,) = measured.rows
    return result


def test_a_result_is_read(tmp_path: Path):
    result = only(results(tmp_path))
    assert (result.chip, result.model, result.benchmark) == (
        "b200_sxm",
        "meta-llama/Llama-2-70b-chat-hf",
        "llama2-70b-99.9",
    )
    assert (result.tokens_per_s_per_gpu, result.tokens_per_joule) == (12_500, 10)
    assert (result.precision, result.precision_given) == (Precision.FP4, True)
    assert result.software is not None
    assert result.software.name == "trtllm (tensorrt 10.11)"


def test_a_result_without_power_has_no_joules(tmp_path: Path):
    assert only(results(tmp_path, power_w="", idle_w="")).tokens_per_joule is None


@pytest.mark.parametrize(("weights", "accelerator", "precision"), [
    ("", "NVIDIA H100-SXM-80GB", Precision.FP8), ("UNSET", "NVIDIA H200-SXM-141GB", Precision.FP8),
    ("", "NVIDIA B200-SXM-180GB", Precision.FP4), ("", "NVIDIA A100-SXM-80GB", Precision.INT8),
    ("", "NVIDIA V100", Precision.BF16),
])  # fmt: skip
def test_a_result_without_a_weight_type_is_at_the_chip_s_narrowest(
    tmp_path: Path, weights: str, accelerator: str, precision: Precision
):
    result = only(results(tmp_path, weights=weights, accelerator=accelerator))
    assert (result.precision, result.precision_given) == (precision, False)
    assert narrowest(chips()[result.chip]) is precision


def test_mangoboost_s_slip_is_mended_and_said(tmp_path: Path):
    mi355x = {"accelerator": "AMD Instinct MI355X 288GB HBM3e", "weights": "fp8"}
    slip = only(results(tmp_path, submitter="Dell_MangoBoost", **mi355x))
    assert (slip.precision, slip.precision_given) == (Precision.MXFP4, False)
    honest = only(results(tmp_path, submitter="AMD", **mi355x))
    assert (honest.precision, honest.precision_given) == (Precision.FP8, True)


def test_scenarios_and_units_are_read_in_either_case(tmp_path: Path):
    assert only(results(tmp_path, scenario="offline", unit="Tokens/s")).scenario == "Offline"


def test_software_that_names_no_engine_is_none(tmp_path: Path):
    assert only(results(tmp_path, software="CUDA 12.4")).software is None


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"unit": "samples/s"}, "a result in samples/s"),
        ({"valid": "0"}, "a result that its submitter does not call valid"),
        ({"acc_total": ""}, "accelerators of more than one kind"),
        ({"acc_total": "0"}, "a result without accelerators"),
        ({"accelerator": "Abacus"}, "chip Abacus is not in the catalogue"),
        ({"model": "whisper"}, "model whisper is not in the catalogue"),
        ({"weights": "fp3"}, "precision of meta-llama/Llama-2-70b-chat-hf fp3 is not in the catalogue"),
        ({"scenario": "SingleStream"}, "scenario SingleStream"),
    ],
)
def test_a_result_that_cannot_be_used_is_left_out(tmp_path: Path, change: dict[str, str], why: str):
    measured = results(tmp_path, **change)
    assert not measured.rows
    assert list(measured.reasons()) == [why]


@at_hand
def test_the_table_is_read_and_what_is_left_out_has_a_reason():
    measured = mlperf_results(FACTORY / "mlperf_llm.csv", names())
    assert len(measured.rows) > 4 * len(measured.left_out)
    for result in measured.rows:
        assert result.scenario in SCENARIOS
        assert result.gpus >= 1
        assert result.tokens_per_s > 0


@at_hand
def test_wall_efficiency_is_as_published():
    """The headline of 8 B200 in air: 9.9 tokens a joule on llama2-70b, Offline, FP4; of 8 H200 at a cap of 500 W: 4.1."""
    best = {}
    for result in mlperf_results(FACTORY / "mlperf_llm.csv", names()).rows:
        if (
            result.tokens_per_joule
            and result.benchmark.startswith("llama2-70b")
            and result.scenario == "Offline"
        ):
            best[result.chip, result.gpus] = round(result.tokens_per_joule, 2)
    assert best == {("b200_sxm", 8): 9.89, ("h200_sxm", 8): 4.11}
