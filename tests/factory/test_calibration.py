"""Levels: few runs stay near the physics, many speak for themselves, and bands widen where nothing was seen."""

import numpy as np
import pytest

from ciyuan.factory.calibration import (
    COLUMNS,
    LEVELS,
    UNCALIBRATED,
    Calibration,
    Effect,
    columns_of,
    correct,
    correct_one,
    latest,
)
from ciyuan.factory.calibration_fit import NOISE, fit_levels
from ciyuan.factory.constants import GUESSES
from ciyuan.factory.messages import Provenance
from tests.factory.factory_samples import samples, setting

ONE = np.tile([1.0] + [0.0] * (len(COLUMNS) - 1), (1, 1))


def fitted(count, error):
    return fit_levels([setting()] * count, np.repeat(ONE, count, 0), np.full(count, error), np.ones(count))


def test_few_runs_are_drawn_to_the_physics_and_many_are_not():
    one, many = (correct(fitted(count, 0.2), [setting()], ONE) for count in (1, 40))
    assert 0 < one.log_factor[0] < many.log_factor[0] <= 0.2
    assert many.log_factor[0] > 0.19
    assert many.spread[0] < one.spread[0]


def test_what_was_not_seen_is_extrapolated_with_a_wider_band():
    calibration = fitted(20, 0.1)
    seen, other = setting(), setting(chip="fast", layout="8.8e")
    known = correct(calibration, [seen, other], np.repeat(ONE, 2, 0))
    assert known.provenance == (Provenance.CALIBRATED, Provenance.EXTRAPOLATED)
    assert known.band[1] > known.band[0] > 1
    assert 0 < known.log_factor[1] < known.log_factor[0]
    none = correct(UNCALIBRATED, [seen], ONE)
    assert (none.log_factor[0], none.provenance[0]) == (0.0, Provenance.EXTRAPOLATED)


def test_a_wild_run_hardly_moves_its_group():
    errors = np.array([0.1] * 12 + [2.5])
    calibration = fit_levels([setting()] * 13, np.repeat(ONE, 13, 0), errors, np.ones(13))
    assert correct(calibration, [setting()], ONE).log_factor[0] == pytest.approx(0.1, abs=0.03)


def test_one_setting_at_many_loads_is_the_same_as_many_settings():
    runs = samples({})
    times = runs.times(GUESSES)
    columns = columns_of(times, runs.read_seconds(times), runs.work.data)
    calibration = fit_levels(runs.settings, columns, np.linspace(-0.2, 0.2, len(runs)), runs.weights)
    first = [row for row, found in enumerate(runs.settings) if found == runs.settings[0]]
    each = correct(calibration, [runs.settings[0]] * len(first), columns[first])
    once = correct_one(calibration, runs.settings[0], columns[first])
    assert once.log_factor == pytest.approx(each.log_factor)
    assert once.spread == pytest.approx(each.spread)
    assert once.provenance == each.provenance


def test_the_latest_software_stands_in_where_none_is_named():
    nothing = Effect((0.0,) * 4, (0.1,) * 4)
    prefix = "slow|vllm|made/up|fp8|mixed|"
    other = "fast|vllm|made/up|fp8|mixed|2026-09"
    months = dict.fromkeys((f"{prefix}2026-01", f"{prefix}2026-03", other), nothing)
    versions = {f"{prefix}0.9.2": nothing, f"{prefix}0.10.1": nothing}
    calibration = Calibration({"month": months, "version": versions}, NOISE, 1.0)
    found = latest(calibration, setting(version="", month=""))
    assert (found.version, found.month) == ("0.10.1", "2026-03")
    named = setting(version="0.9.2", month="2025-01")
    assert latest(calibration, named) == named
    assert latest(calibration, setting(chip="none", version="", month="")).version == ""


def test_levels_name_fields_and_columns_that_there_are():
    for level in LEVELS:
        assert setting().key(level.fields)
        assert max(level.columns) < len(COLUMNS)
        assert level.variances.shape == (len(level.columns),)
