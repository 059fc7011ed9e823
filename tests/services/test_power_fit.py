"""The fit finds what made the data, the shipped constants are its own, and held-out runs are within what is promised."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ciyuan.services.catalog_power import POWER_MODEL, power_model
from ciyuan.services.catalog_table import FACTS
from ciyuan.services.power_fit import (
    OBSERVED_ON,
    SOURCE,
    SPLITS,
    START,
    by_models,
    by_rows,
    estimated_watts,
    fit_factors,
    fit_shared,
    held_out,
    main,
    toml_of,
)
from ciyuan.services.power_runs import TABLE, PowerRun, read_power_runs

FACTORY = Path(__file__).parents[3] / "shared" / "data" / "factory"
shared = pytest.mark.skipif(
    not (FACTORY / TABLE).is_file(), reason="the shared data folder is not beside this checkout"
)


def measured(runs: tuple[PowerRun, ...]) -> np.ndarray:
    return np.array([run.watts for run in runs])


@pytest.fixture(scope="module")
def runs() -> tuple[PowerRun, ...]:
    return read_power_runs(FACTORY).runs


@shared
def test_the_fit_finds_the_constants_that_made_the_data(runs: tuple[PowerRun, ...]):
    truth = replace(
        START, floor=0.22, memory=1.6, arithmetic=15.0, architectures={"blackwell": 0.3, "hopper": -0.2}
    )
    invented = tuple(
        replace(run, watts=float(watts))
        for run, watts in zip(runs, estimated_watts(truth, runs), strict=True)
    )
    again = fit_shared(invented)
    assert estimated_watts(again, runs) == pytest.approx(measured(invented), rel=0.02)
    assert again.floor == pytest.approx(0.22, abs=0.01)
    assert max(abs(own) for own in fit_factors(again, invented).shapes.values()) < 0.05


@shared
def test_the_shipped_constants_are_the_fits(runs: tuple[PowerRun, ...]):
    shipped, again = power_model(), fit_factors(fit_shared(runs), runs)
    assert estimated_watts(again, runs) == pytest.approx(estimated_watts(shipped, runs), rel=0.002)
    bands = replace(
        again, band_pair=shipped.band_pair, band_chip=shipped.band_chip, band_other=shipped.band_other
    )
    ours = toml_of(bands, runs, SOURCE, OBSERVED_ON).splitlines()
    theirs = FACTS.joinpath(POWER_MODEL).read_text(encoding="utf-8").splitlines()
    assert [line.split("=")[0] for line in ours] == [line.split("=")[0] for line in theirs]


@shared
@pytest.mark.parametrize(("split", "most"), [(by_rows, 0.08), (by_models, 0.12)])
def test_held_out_joules_are_within_what_is_promised(runs: tuple[PowerRun, ...], split: object, most: float):
    found = next(one for one in SPLITS.values() if one is split)
    assert np.abs(held_out(runs, found) / measured(runs) - 1).mean() < most


@shared
def test_factors_are_shrunk(runs: tuple[PowerRun, ...]):
    """One row says less of its model than ten do."""
    power = fit_shared(runs)
    ten = [run for run in runs if run.model.code == "openai/gpt-oss-20b"][:10]
    doubled = [replace(run, watts=run.watts * 0.7) for run in ten]
    key = (ten[0].model.code, str(ten[0].precision))
    one, all_ten = (abs(fit_factors(power, some).shapes[key]) for some in (doubled[:1], doubled))
    assert all_ten > one > 0


def test_splits_hold_all_of_a_kind_out(tmp_path: Path):
    row = "gpqa,{gpu},{model},Dense,14.0,14.0,bfloat16,1,1,1,1,8,{batch},500.0,400.0,500.0,1.25,10.0,11.0,12.0\n"
    head = ("task,gpu,model,arch,total_b,active_b,weights,num_gpus,tp,ep,dp,max_num_seqs,avg_batch,avg_output_len,output_tok_s,"
            "avg_power_w,j_per_output_tok,median_itl_ms,p90_itl_ms,p99_itl_ms\n")  # fmt: skip
    rows = [row.format(gpu=gpu, model=model, batch=batch) for gpu in ("H100", "B200")
            for model in ("Qwen/Qwen3-14B", "Qwen/Qwen3-8B") for batch in (8.0, 16.0)]  # fmt: skip
    (tmp_path / TABLE).write_text(head + "".join(rows), encoding="utf-8")
    some = read_power_runs(tmp_path).runs
    for name, kinds in (("model", [run.model.code for run in some]), ("chip", [run.chip.code for run in some]),
                        ("configuration", [run.configuration for run in some])):  # fmt: skip
        folds = SPLITS[name](some)
        assert len({(fold, kind) for fold, kind in zip(folds, kinds, strict=True)}) == len(set(kinds))


@shared
def test_the_command_prints_the_fact_file(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
):
    lines = (FACTORY / TABLE).read_text(encoding="utf-8").splitlines()
    (tmp_path / TABLE).write_text("\n".join(lines[:4] + lines[4::12]) + "\n", encoding="utf-8")
    main(["--data", str(tmp_path)])
    told = capsys.readouterr()
    (tmp_path / POWER_MODEL).write_text(told.out, encoding="utf-8")
    assert power_model(tmp_path).chips == {"h100_sxm", "b200_sxm"}
    assert "row held out" in told.err
