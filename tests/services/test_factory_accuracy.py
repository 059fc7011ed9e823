"""Measured runs against the factory's physics: splits that do not leak, accuracy better than the goals, tables that say why.

The tests that fit read the shared data folder and are skipped where it is absent; they fit to a part of it, to be quick.
"""

from pathlib import Path

import numpy as np
import pytest
from typer import Typer
from typer.testing import CliRunner

from ciyuan.basics.errors import Malformed
from ciyuan.factory.calibration_fit import fit
from ciyuan.services.accuracy_cli import accuracy
from ciyuan.services.catalog_calibration import shipped
from ciyuan.services.factory_accuracy import shipped_accuracy
from ciyuan.services.factory_offline import families_left_out, fit_offline, read_offline
from ciyuan.services.factory_runs import read_runs, recipes_of, samples_of
from ciyuan.services.factory_splits import CONFIGURATION, held_out, stretched

FACTORY = Path(__file__).parents[3] / "shared" / "data" / "factory"
pytestmark = pytest.mark.skipif(
    not FACTORY.is_dir(), reason="the shared data folder is not beside this checkout"
)


@pytest.fixture(scope="module")
def rows():
    """The runs of two models: enough to fit to, few enough to be quick."""
    some = ("MiniMaxAI/MiniMax-M2.5", "meta-llama/Llama-3.1-70B-Instruct")
    return tuple(run for run in read_runs(FACTORY).rows if run.model in some)


def test_every_run_becomes_a_sample_and_copies_share_a_weight(rows):
    samples = samples_of(rows, recipes_of(rows))
    assert len(samples) == len(rows) > 400
    assert samples.weights.sum() == pytest.approx(len(set(samples.run.tolist())))


def test_no_copy_and_no_configuration_is_on_both_sides(rows):
    whole = samples_of(rows, recipes_of(rows))
    for split in ("runs", "configurations"):
        ((_, held),) = held_out(rows, split, seed=3)
        mask = np.zeros(len(rows), dtype=bool)
        mask[list(held.rows)] = True
        assert 0.1 < mask.mean() < 0.4
        if split == "runs":
            assert not set(whole.run[mask].tolist()) & set(whole.run[~mask].tolist())
        else:
            keys = [setting.key(CONFIGURATION) for setting in whole.settings]
            assert not {keys[row] for row in held.rows} & {
                key for row, key in enumerate(keys) if not mask[row]
            }


def test_held_out_runs_are_predicted_within_the_goals(rows):
    ((_, held),) = held_out(rows, "configurations")
    assert np.median(held.errors) < 0.07
    assert np.median(held.physics_errors) < 0.165
    assert held.physics_errors.mean() < 0.277


def test_bands_hold_about_eight_of_ten_of_held_out_runs(rows):
    fitted = stretched(rows, fit(samples_of(rows, recipes_of(rows))))
    ((_, held),) = held_out(rows, "configurations", seed=5)
    spread = held.predicted.correction.spread * fitted.calibration.stretch
    assert 0.65 < float(np.mean(np.abs(held.log_error) < 1.2816 * spread)) < 0.95


def test_the_shipped_constants_predict_the_folder_and_the_worst_are_explained():
    found = shipped_accuracy(FACTORY, worst=10)
    (whole,) = found.splits
    assert whole.median < 0.05
    assert whole.physics_median < 0.165
    assert whole.physics_mean < 0.277
    assert (
        sum(errors.rows for errors in found.by_chip)
        == sum(errors.rows for errors in found.by_model)
        == whole.rows
    )
    assert len(found.worst) == 10
    assert all(miss.why for miss in found.worst)
    assert [miss.error for miss in found.worst] == sorted((miss.error for miss in found.worst), reverse=True)


def test_offline_rates_with_a_model_left_out():
    runs = read_offline(FACTORY, shipped().fitted.constants)
    assert len(runs) > 40
    factors = fit_offline(runs)
    learnt = np.array([abs(np.exp(factors.log_factor(run.submission) - run.log_error) - 1) for run in runs])
    left_out = np.abs(families_left_out(runs) / np.array([run.measured for run in runs]) - 1)
    assert learnt.mean() < 0.12 < left_out.mean() < 0.25


def test_a_folder_with_one_table_is_read_and_one_with_none_refused(tmp_path):
    with pytest.raises(Malformed, match="neither"):
        read_runs(tmp_path)
    lines = (FACTORY / "silicon_sample.csv").read_text().splitlines()[:60]
    (tmp_path / "silicon_sample.csv").write_text("\n".join(lines) + "\n")
    found = shipped_accuracy(tmp_path, worst=1)
    assert found.splits[0].rows > 40
    assert found.offline == ()
    assert "inferencemax.csv is not in the folder" in found.left_out


def test_the_command_prints_tables_and_refuses_what_it_does_not_know():
    app = Typer()
    app.command()(accuracy)
    shown = CliRunner().invoke(app, ["--data", str(FACTORY), "--shipped", "--worst", "2"])
    assert shown.exit_code == 0
    for words in ("Time per output token", "by chip", "The worst runs", "MLPerf Offline", "rows not read"):
        assert words in shown.output
    as_json = CliRunner().invoke(app, ["--data", str(FACTORY), "--shipped", "--worst", "1", "--json"])
    assert '"splits"' in as_json.output
    wrong = CliRunner().invoke(app, ["--data", str(FACTORY), "--split", "weather"])
    assert isinstance(wrong.exception, Malformed)
