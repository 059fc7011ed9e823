"""The accuracy table: what the shipped constants say of measured joules per token, and of a model that no fit has seen."""

import io
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from ciyuan.factory.load import steady_load
from ciyuan.factory.model import Precision
from ciyuan.factory.power import gpu_power
from ciyuan.services.catalog import chips
from ciyuan.services.catalog_factory import models
from ciyuan.services.catalog_power import power_model
from ciyuan.services.measurements_energy import (
    POWERX_CHIP,
    POWERX_INPUT_TOKENS,
    POWERX_MODEL,
    POWERX_OUTPUT_TOKENS,
    powerx_runs,
)
from ciyuan.services.power_accuracy import main, power_accuracy, print_power_accuracy

FACTORY = Path(__file__).parents[3] / "shared" / "data" / "factory"
pytestmark = pytest.mark.skipif(
    not FACTORY.is_dir(), reason="the shared data folder is not beside this checkout"
)


def test_joules_per_token_are_within_12_percent_by_chip():
    told = power_accuracy(FACTORY)
    assert told.overall.mean < 0.08
    assert all(chip.mean < 0.12 for chip in told.by_chip)
    assert (
        sum(chip.rows for chip in told.by_chip)
        == sum(model.rows for model in told.by_model)
        == told.overall.rows
    )
    assert len(told.worst) == 10
    assert not told.left_out


def test_the_table_names_the_worst_runs():
    out = io.StringIO()
    told = power_accuracy(FACTORY)
    print_power_accuracy(told, Console(file=out, width=140))
    assert told.worst[0].name in out.getvalue()
    assert "b200_sxm" in out.getvalue()


def test_the_command_prints_the_tables(capsys: pytest.CaptureFixture[str]):
    main(["--data", str(FACTORY)])
    assert "The worst runs" in capsys.readouterr().out


def test_a_model_that_no_fit_has_seen():
    """DeepSeek-V4-Pro in fp4 on B200, aggregated: 11% off on average, and the joules fall with concurrency as measured."""
    power, chip, model = power_model(), chips()[POWERX_CHIP], models()[POWERX_MODEL]
    off, joules = [], {}
    for run in powerx_runs(FACTORY / "powerx_b200_dsv4.csv").rows:
        if run.disaggregated:
            continue
        rate = run.gpu_w / run.joules_per_output_token
        load = steady_load(chip, model, Precision.FP4, gpus=run.decode_gpus, sequences=run.concurrency,
                           steps_per_s=rate * run.decode_gpus / run.concurrency, prompt_tokens=POWERX_INPUT_TOKENS,
                           output_tokens=POWERX_OUTPUT_TOKENS,
                           replicas=run.decode_gpus if run.data_parallel_attention else 1)  # fmt: skip
        watts = float(gpu_power(power, chip, load, model.code, "fp4").watts)
        off.append(watts / run.gpu_w - 1)
        if run.expert == 1:
            joules[run.concurrency] = watts / rate
    assert np.abs(off).mean() < 0.15
    assert [joules[one] for one in sorted(joules)] == sorted(joules.values(), reverse=True)
