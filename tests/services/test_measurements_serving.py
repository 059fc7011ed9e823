"""Serving runs: layouts counted once, rates of the whole, what is unknown said; and the measured tables as far as at hand."""

from dataclasses import replace
from pathlib import Path
from statistics import median

import pytest

from ciyuan.basics.errors import Malformed
from ciyuan.factory.model import Precision
from ciyuan.factory.software import Backend, Software
from ciyuan.services.catalog import chips
from ciyuan.services.catalog_factory import models, names, software
from ciyuan.services.measurements import Measured
from ciyuan.services.measurements_serving import (
    Engines,
    ServingRun,
    Speculation,
    distinct,
    inferencex_runs,
    silicon_runs,
)

FACTORY = Path(__file__).parents[3] / "shared" / "data" / "factory"
at_hand = pytest.mark.skipif(
    not FACTORY.is_dir(), reason="the shared data folder is not beside this checkout"
)

SILICON = {
    "chip": "b200_sxm", "model": "Qwen/Qwen3-32B", "precision": "fp8", "backend": "trtllm", "backend_version": "", "mode": "agg",
    "isl": "1024", "osl": "512", "conc": "16", "tp": "4", "pp": "1", "attn_dp": "1", "moe_tp": "1", "moe_ep": "1",
    "p_workers": "", "p_tp": "", "p_attn_dp": "", "d_workers": "", "d_tp": "", "d_attn_dp": "", "ttft_ms": "100",
    "tpot_ms": "20", "measured": "", "image": "", "id": "a_run",
}  # fmt: skip
APART = {"mode": "disagg", "tp": "", "pp": "", "attn_dp": "", "moe_tp": "", "moe_ep": "", "p_tp": "2", "p_attn_dp": "1",
         "d_tp": "8", "d_attn_dp": "1"}  # fmt: skip
INFERENCEX = {
    "chip": "b200", "model": "dsr1", "precision": "fp4", "framework": "dynamo-trt", "image": "", "spec": "none", "disagg": "0",
    "isl": "1024", "osl": "1024", "conc": "64", "p_tp": "8", "p_ep": "1", "p_dpattn": "0", "p_workers": "0", "p_gpus": "64",
    "d_tp": "8", "d_ep": "8", "d_dpattn": "0", "d_workers": "0", "d_gpus": "64", "gpus_total": "8", "total_tok_s_gpu": "300",
    "input_tok_s_gpu": "150", "output_tok_s_gpu": "150", "tpot_median_s": "0.02", "tpot_p99_s": "0.03", "ttft_median_s": "0.5",
    "ttft_p99_s": "", "avg_power_w_gpu": "", "date": "2026-02-11", "run_url": "a_run",
}  # fmt: skip
SIDES = {"disagg": "1", "p_tp": "4", "p_ep": "4", "p_dpattn": "1", "p_workers": "1", "p_gpus": "4", "d_tp": "8", "d_dpattn": "0",
         "d_workers": "2", "d_gpus": "16", "gpus_total": "20", "total_tok_s_gpu": "200", "input_tok_s_gpu": "500",
         "output_tok_s_gpu": "125"}  # fmt: skip


def written(folder: Path, row: dict[str, str]) -> Path:
    path = folder / "runs.csv"
    path.write_text(",".join(row) + "\n" + ",".join(row.values()) + "\n", encoding="utf-8")
    return path


def silicon(folder: Path, **changes: str) -> Measured[ServingRun]:
    return silicon_runs(written(folder, SILICON | changes), names())


def inferencex(folder: Path, **changes: str) -> Measured[ServingRun]:
    return inferencex_runs(written(folder, INFERENCEX | changes), names())


def only(measured: Measured[ServingRun]) -> ServingRun:
    assert not measured.left_out
    (run,) = measured.rows
    return run


def test_a_plain_run_is_read(tmp_path: Path):
    run = only(silicon(tmp_path))
    assert (run.chip, run.model, run.precision, run.line) == ("b200_sxm", "Qwen/Qwen3-32B", Precision.FP8, 2)
    assert (run.tpot_s, run.ttft_s, run.concurrency, run.gpus, run.gpus_sure) == (0.02, 0.1, 16, 4, True)
    assert run.decode == Engines(workers=1, tensor=4, data=1, pipeline=1, expert=1)
    assert (run.disaggregated, run.speculation, run.length_factor) == (False, Speculation.NONE, 1.0)


@pytest.mark.parametrize(
    ("sizes", "engine"),
    [
        ({"tp": "64", "attn_dp": "1", "moe_tp": "8", "moe_ep": "8"}, Engines(1, 8, 1, 1, 8)),
        ({"tp": "1", "attn_dp": "64", "moe_tp": "8", "moe_ep": "8"}, Engines(1, 1, 8, 1, 8)),
        ({"tp": "4", "attn_dp": "1", "moe_tp": "2", "moe_ep": "2"}, Engines(1, 2, 1, 1, 2)),
        ({"tp": "4", "attn_dp": "4", "moe_tp": "1", "moe_ep": "16"}, Engines(1, 1, 4, 1, 4)),
        ({"tp": "8", "attn_dp": "1", "moe_tp": "1", "moe_ep": "8"}, Engines(1, 8, 1, 1, 8)),
    ],
)
def test_a_replica_of_inferencex_is_counted_once(tmp_path: Path, sizes: dict[str, str], engine: Engines):
    run = only(silicon(tmp_path, id="dsr1_cfg201", **sizes))
    assert run.decode == engine
    assert run.gpus == engine.gpus_each <= 8


@pytest.mark.parametrize(
    ("sizes", "engine"),
    [
        ({"tp": "8", "attn_dp": "0", "moe_tp": "8", "moe_ep": "0"}, Engines(1, 8, 1, 1, 1)),
        ({"tp": "1", "attn_dp": "8", "moe_tp": "1", "moe_ep": "8"}, Engines(1, 1, 8, 1, 8)),
        ({"tp": "4", "attn_dp": "", "moe_tp": "2", "moe_ep": "2"}, Engines(1, 4, 1, 1, 2)),
        ({"tp": "1", "attn_dp": "", "moe_tp": "4", "moe_ep": "1"}, Engines(1, 1, 4, 1, 1)),
        ({"tp": "2", "attn_dp": "1", "pp": "2", "moe_tp": "2", "moe_ep": "1"}, Engines(1, 2, 1, 2, 1)),
        ({"tp": "8", "attn_dp": "1", "moe_tp": "4", "moe_ep": "2"}, Engines(1, 8, 1, 1, 2)),
    ],
)
def test_other_replicas_are_as_given_and_hold_all_their_experts(
    tmp_path: Path, sizes: dict[str, str], engine: Engines
):
    assert only(silicon(tmp_path, **sizes)).decode == engine


def test_a_run_that_lost_its_sides_says_that_its_layout_is_not_sure(tmp_path: Path):
    assert not only(silicon(tmp_path, tp="36", moe_tp="36")).gpus_sure
    lone = only(silicon(tmp_path, **APART))
    assert (lone.gpus, lone.gpus_sure) == (10, False)
    told = only(silicon(tmp_path, **APART, p_workers="1", d_workers="4"))
    assert (told.gpus, told.gpus_sure, told.disaggregated) == (34, True, True)


def test_experts_of_a_side_with_copied_attention_are_spread_over_it(tmp_path: Path):
    run = only(silicon(tmp_path, **APART | {"d_tp": "1", "d_attn_dp": "32"}))
    assert run.prefill == Engines(1, 2, 1, 1, 1)
    assert run.decode == Engines(1, 1, 32, 1, 32)


def test_deepseek_runs_of_the_mixed_table_may_have_drafted(tmp_path: Path):
    assert only(silicon(tmp_path, model="deepseek-ai/DeepSeek-R1")).speculation is Speculation.UNKNOWN
    assert only(silicon(tmp_path, model="Qwen/Qwen3.5-397B-A17B")).speculation is Speculation.UNKNOWN
    assert only(silicon(tmp_path, model="moonshotai/Kimi-K2.5")).speculation is Speculation.NONE


def test_a_run_that_two_dumps_hold_is_one_run(tmp_path: Path):
    run = only(silicon(tmp_path))
    lost, other = replace(run, label="again", gpus_sure=False), replace(run, tpot_s=0.0201)
    numbered = replace(run, label="a_cfg7", decode=Engines(1, 1, 4, 1, 4))
    assert distinct([lost, other, run]) == (run, other)
    assert distinct([run, numbered, lost]) == distinct([numbered, run]) == (numbered,)


@pytest.mark.parametrize(
    ("label", "factor"), [("kimi_cfg759", 0.9), ("2026_03_25_kimi_k2", 0.9), ("gap_analysis_31", 1.0)]
)
def test_inferencex_lengths_are_shorter_than_nominal(tmp_path: Path, label: str, factor: float):
    assert only(silicon(tmp_path, id=label)).length_factor == factor


@pytest.mark.parametrize(
    ("columns", "found"),
    [
        (
            {"image": "lmsysorg/sglang:v0.5.9-cu130", "backend": "sglang"},
            Software(Backend.SGLANG, "", "0.5.9"),
        ),
        ({"backend_version": "0.8.1.post2"}, Software(Backend.TRTLLM, "dynamo", "0.8.1.post2")),
        ({"backend_version": "1.2.0rc6.post3"}, Software(Backend.TRTLLM, "", "1.2.0rc6.post3")),
        ({"backend_version": "1.1.0-dev.2"}, Software(Backend.TRTLLM, "dynamo", "1.1.0-dev.2")),
        ({"backend": "vllm", "backend_version": "0.17.0"}, Software(Backend.VLLM, "", "0.17.0")),
        ({"backend": "sglang"}, Software(Backend.SGLANG, "", "")),
    ],
)
def test_the_software_is_the_image_s_or_the_columns(tmp_path: Path, columns: dict[str, str], found: Software):
    assert only(silicon(tmp_path, **columns)).software == found


def test_an_empty_precision_is_the_checkpoint_s(tmp_path: Path):
    assert only(silicon(tmp_path, precision="")).precision is Precision.BF16
    assert only(silicon(tmp_path, model="openai/gpt-oss-120b", precision="fp4")).precision is Precision.MXFP4


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"conc": ""}, "the row gives no concurrency"),
        ({"chip": "abacus"}, "chip abacus is not in the catalogue"),
        ({"model": "eliza"}, "model eliza is not in the catalogue"),
        ({"precision": "fp3"}, "precision of Qwen/Qwen3-32B fp3 is not in the catalogue"),
        ({"backend": "abacus"}, "name of serving software abacus is not in the catalogue"),
    ],
)
def test_a_row_that_cannot_be_used_is_left_out(tmp_path: Path, change: dict[str, str], why: str):
    measured = silicon(tmp_path, **change)
    assert not measured.rows
    assert [one.why for one in measured.left_out] == [why]


@pytest.mark.parametrize(
    ("column", "text"), [("tpot_ms", "0"), ("ttft_ms", "-1"), ("conc", "0"), ("tpot_ms", "soon")]
)
def test_a_figure_without_sense_is_refused(tmp_path: Path, column: str, text: str):
    with pytest.raises(Malformed, match="line 2"):
        silicon(tmp_path, **{column: text})


def test_an_aggregated_inferencex_run_is_read(tmp_path: Path):
    run = only(inferencex(tmp_path))
    assert (run.gpus, run.decode, run.prefill) == (8, Engines(1, 8, 1, 1, 8), None)
    assert (run.output_tokens_per_s_per_gpu, run.input_tokens_per_s_per_gpu) == (150, 150)
    assert (run.tpot_p99_s, run.ttft_p99_s, run.watts_per_gpu) == (0.03, None, None)
    assert run.software == Software(Backend.TRTLLM, "", "")
    copied = only(inferencex(tmp_path, d_dpattn="1", spec="mtp", image="lmsysorg/sglang:v0.5.9-cu130"))
    assert (copied.decode, copied.speculation) == (Engines(1, 1, 8, 1, 8), Speculation.MTP)
    assert copied.software.name == "sglang 0.5.9"


def test_a_disaggregated_inferencex_run_has_the_rates_of_the_whole(tmp_path: Path):
    run = only(inferencex(tmp_path, **SIDES))
    assert (run.prefill, run.decode) == (Engines(1, 1, 4, 1, 4), Engines(2, 8, 1, 1, 8))
    assert run.gpus == 20
    assert (run.output_tokens_per_s_per_gpu, run.input_tokens_per_s_per_gpu) == (100, 100)


def test_a_run_without_rates_is_kept_without_them(tmp_path: Path):
    assert only(inferencex(tmp_path, input_tok_s_gpu="")).output_tokens_per_s_per_gpu is None


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"spec": "eagle"}, "speculation by eagle"),
        ({"image": "llama.cpp:b4000"}, "name of serving software llama.cpp:b4000 is not in the catalogue"),
        ({"total_tok_s_gpu": "400"}, "input and output rates do not make up the total"),
        (SIDES | {"d_workers": "3"}, "workers do not share their GPUs evenly"),
        (SIDES | {"d_tp": "6"}, "a worker's GPUs are no multiple of its tensor size"),
    ],
)
def test_an_inferencex_run_that_contradicts_itself_is_left_out(
    tmp_path: Path, change: dict[str, str], why: str
):
    assert list(inferencex(tmp_path, **change).reasons()) == [why]


@at_hand
def test_nearly_all_measured_rows_are_read_and_all_are_accounted_for():
    known = names()
    for read, file in ((silicon_runs, "silicon_sample.csv"), (inferencex_runs, "inferencemax.csv")):
        measured = read(FACTORY / file, known)
        lines = (FACTORY / file).read_text(encoding="utf-8").splitlines()
        assert (
            len(measured.rows) + len(measured.left_out) == sum(not line.startswith("#") for line in lines) - 1
        )
        assert len(measured.left_out) < 0.01 * len(measured.rows)
        assert {run.chip for run in measured.rows} <= chips().keys()
        assert {run.model for run in measured.rows} <= models().keys()


@at_hand
def test_every_sure_engine_holds_its_weights():
    """What ran was in memory: a layout that does not hold the weights was misread."""
    known, held, shapes = names(), chips(), models()
    for read, file in ((silicon_runs, "silicon_sample.csv"), (inferencex_runs, "inferencemax.csv")):
        for run in read(FACTORY / file, known).rows:
            if run.gpus_sure:
                need = shapes[run.model].weight_bytes(run.precision).total
                assert need < run.decode.gpus_each * held[run.chip].memory_bytes, (
                    f"{run.file}, line {run.line}: {run.label}"
                )


@at_hand
def test_no_two_distinct_runs_are_one():
    runs = silicon_runs(FACTORY / "silicon_sample.csv", names()).rows
    once = distinct(runs)
    assert len(
        {(asked_of(run), run.software.backend, f"{run.tpot_s:.3e}", f"{run.ttft_s:.3e}") for run in once}
    ) == len(once)
    assert 0.5 * len(runs) < len(once) < 0.9 * len(runs)
    assert distinct(once) == once


@at_hand
def test_each_sure_layout_is_of_a_size_that_exists():
    for run in silicon_runs(FACTORY / "silicon_sample.csv", names()).rows:
        if run.gpus_sure and not run.disaggregated:
            assert run.gpus in {1, 2, 4, 8}, run.label


def asked_of(run: ServingRun) -> tuple[object, ...]:
    return run.chip, run.model, run.precision, run.input_tokens, run.output_tokens, run.concurrency


@at_hand
def test_the_two_tables_agree_where_they_hold_the_same_run():
    """A replica that InferenceX counts as 8 GPUs is 8 here too, though one table gives 64."""
    known = names()
    theirs: dict[tuple[object, ...], list[ServingRun]] = {}
    for run in inferencex_runs(FACTORY / "inferencemax.csv", known).rows:
        if not run.disaggregated:
            theirs.setdefault(asked_of(run), []).append(run)
    same = [
        (run.gpus, other.gpus)
        for run in silicon_runs(FACTORY / "silicon_sample.csv", known).rows
        for other in theirs.get(asked_of(run), ())
        if abs(other.tpot_s / run.tpot_s - 1) < 1e-4 and run.gpus_sure and not run.disaggregated
    ]
    assert same
    assert all(ours == other for ours, other in same)


@at_hand
def test_little_s_law_holds_for_the_rates_of_the_whole():
    """Requests in service = arrival rate x time in service: at nine tenths of the nominal lengths, within 5% at the median."""
    for apart in (False, True):
        over = []
        for run in inferencex_runs(FACTORY / "inferencemax.csv", names()).rows:
            if run.output_tokens_per_s_per_gpu and run.disaggregated == apart:
                output = run.output_tokens * run.length_factor
                rate = run.concurrency * output / (run.ttft_s + run.tpot_s * (output - 1)) / run.gpus
                over.append(rate / run.output_tokens_per_s_per_gpu)
        assert median(over) == pytest.approx(1.03, abs=0.05)


@at_hand
def test_every_release_was_out_when_it_was_run():
    days, known = software(), names()
    for read, file in ((silicon_runs, "silicon_sample.csv"), (inferencex_runs, "inferencemax.csv")):
        for run in read(FACTORY / file, known).rows:
            if run.software in days and run.measured_on:
                assert days[run.software] <= run.measured_on
