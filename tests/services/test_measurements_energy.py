"""Measured power is read as given: watts, joules and shares agree with each other in every row at hand."""

from pathlib import Path
from statistics import median

import pytest

from ciyuan.factory.hardware import Cooling
from ciyuan.services.catalog import chips
from ciyuan.services.catalog_factory import names
from ciyuan.services.measurements_energy import (
    KINDS,
    POWERX_CHIP,
    POWERX_INPUT_TOKENS,
    POWERX_OUTPUT_TOKENS,
    energy_runs,
    powerx_runs,
    splitwise_runs,
    system_powers,
)

FACTORY = Path(__file__).parents[3] / "shared" / "data" / "factory"
at_hand = pytest.mark.skipif(
    not FACTORY.is_dir(), reason="the shared data folder is not beside this checkout"
)

SYSTEM = (
    "kind,system,gpus,cooling,gpu_tdp_or_cap_w,gpu_w_each,idle_w,load_w,workload,tokens_s,j_per_token,note\n"
)


def system_row(folder: Path, row: str) -> Path:
    path = folder / "systems.csv"
    path.write_text(SYSTEM + row + "\n", encoding="utf-8")
    return path


def test_a_system_is_read_with_what_it_lacks(tmp_path: Path):
    (power,) = system_powers(
        system_row(tmp_path, "cap,8xH200,8,water,500,,,6154,llama2-70b,25262.1,,MaxQ")
    ).rows
    assert (power.cooling, power.gpu_w_max, power.load_w, power.idle_w, power.gpu_w) == (
        Cooling.LIQUID,
        500,
        6154,
        None,
        None,
    )


@pytest.mark.parametrize(
    ("row", "why"),
    [
        ("measured,box,8,ice,700,,,,,,,", "cooling by ice"),
        ("guessed,box,8,air,700,,,,,,,", "a row of kind guessed"),
    ],
)
def test_a_system_of_another_kind_is_left_out(tmp_path: Path, row: str, why: str):
    assert list(system_powers(system_row(tmp_path, row)).reasons()) == [why]


@at_hand
def test_watts_are_joules_times_tokens_per_second():
    measured = energy_runs(FACTORY / "mlenergy.csv", names())
    assert not measured.left_out
    for run in measured.rows:
        assert run.gpus_w == pytest.approx(run.joules_per_output_token * run.output_tokens_per_s, rel=1e-3)
        assert run.gpus_w < 1.05 * run.gpus * chips()[run.chip].tdp_w
        assert run.sequences <= run.sequences_max + 1
        assert run.itl_median_s <= run.itl_p90_s <= run.itl_p99_s


@at_hand
def test_powerx_joules_are_per_token_of_nine_in_one_out():
    measured = powerx_runs(FACTORY / "powerx_b200_dsv4.csv")
    assert not measured.left_out
    ratio = (POWERX_INPUT_TOKENS + POWERX_OUTPUT_TOKENS) / POWERX_OUTPUT_TOKENS
    for run in measured.rows:
        assert run.joules_per_output_token / run.joules_per_token == pytest.approx(ratio, rel=0.02)
        assert run.gpu_w < chips()[POWERX_CHIP].tdp_w
        assert (run.prefill_gpu_w is not None) == (run.decode_gpu_w is not None) == run.disaggregated
        if run.prefill_gpu_w and run.decode_gpu_w:
            watts = (run.prefill_gpus * run.prefill_gpu_w + run.decode_gpus * run.decode_gpu_w) / (
                run.prefill_gpus + run.decode_gpus
            )
            assert run.gpu_w == pytest.approx(watts, rel=0.01)


@at_hand
def test_splitwise_times_add_up_and_power_not_taken_is_none():
    measured = splitwise_runs(FACTORY / "splitwise_a100_h100.csv", names())
    assert not measured.left_out
    assert {run.chip for run in measured.rows} == {"a100_sxm", "h100_sxm"}
    assert all(run.chip == "h100_sxm" for run in measured.rows if run.capped)
    whole = [run for run in measured.rows if run.output_tokens <= 512]
    over = [run.whole_s / (run.prompt_s + run.token_s * (run.output_tokens - 1)) for run in whole]
    assert median(over) == pytest.approx(1.0, abs=0.005)
    for run in measured.rows:
        for share in (run.power_mean_share, run.power_peak_share):
            assert share is None or 0 < share < 1.2


@at_hand
def test_systems_at_hand_are_read_whole():
    measured = system_powers(FACTORY / "power_systems.csv")
    assert not measured.left_out
    assert {power.kind for power in measured.rows} == set(KINDS)
    for power in measured.rows:
        if power.load_w and power.joules_per_token and power.tokens_per_s:
            assert power.load_w / power.tokens_per_s == pytest.approx(power.joules_per_token, rel=0.01)
