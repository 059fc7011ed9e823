"""Runs of the ML.ENERGY table become loads of GPUs."""

from pathlib import Path

import pytest

from ciyuan.basics.errors import Malformed
from ciyuan.factory.model import Precision
from ciyuan.services.power_runs import (
    OTHER_PROMPT_TOKENS,
    PROMPT_TOKENS,
    TABLE,
    configurations,
    read_power_runs,
)

HEAD = ("task,gpu,model,arch,total_b,active_b,weights,num_gpus,tp,ep,dp,max_num_seqs,avg_batch,avg_output_len,output_tok_s,"
        "avg_power_w,j_per_output_tok,median_itl_ms,p90_itl_ms,p99_itl_ms\n")  # fmt: skip
ROW = "gpqa,H100,Qwen/Qwen3-14B,Dense Transformer,14.0,14.0,bfloat16,2,2,1,1,8,8.0,500.0,800.0,900.0,1.125,10.0,11.0,12.0\n"


def write(folder: Path, *rows: str) -> Path:
    (folder / TABLE).write_text("# a comment\n" + HEAD + "".join(rows), encoding="utf-8")
    return folder


def test_a_row_is_read_per_gpu(tmp_path: Path):
    (run,) = read_power_runs(write(tmp_path, ROW)).runs
    assert (run.chip.code, run.model.code, run.precision, run.gpus) == (
        "h100_sxm",
        "Qwen/Qwen3-14B",
        Precision.BF16,
        2,
    )
    assert (run.watts, run.output_tokens_per_s) == (450.0, 400.0)
    assert run.joules_per_token == pytest.approx(1.125)
    assert run.prompt_tokens == PROMPT_TOKENS["gpqa"]
    load = run.load()
    """100 steps a second, each reading half of about 28 GB at 3.35 TB/s."""
    assert load.read_bytes == pytest.approx(14.2e9, rel=0.03)
    assert load.memory_use == pytest.approx(0.42, rel=0.03)


def test_tasks_share_configurations(tmp_path: Path):
    found = read_power_runs(write(tmp_path, ROW, ROW, ROW.replace("gpqa", "new-task")))
    assert len(configurations(found.runs)) == 2
    assert found.runs[2].prompt_tokens == OTHER_PROMPT_TOKENS


def test_a_model_that_the_catalogue_lacks_is_left_out_and_named(tmp_path: Path):
    found = read_power_runs(write(tmp_path, ROW.replace("Qwen/Qwen3-14B", "nobody/knows"), ROW))
    assert len(found.runs) == 1
    assert "nobody/knows" in found.left_out[0].why


@pytest.mark.parametrize(("was", "now"), [("900.0", "-1"), (",800.0,", ",0,"), (",2,2,1,1,", ",2,2,1,3,")])
def test_a_row_that_makes_no_sense_is_refused(tmp_path: Path, was: str, now: str):
    with pytest.raises(Malformed, match="line"):
        read_power_runs(write(tmp_path, ROW.replace(was, now)))
