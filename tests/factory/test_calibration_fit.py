"""Fits find again what made-up runs were made with."""

from dataclasses import astuple, replace

import numpy as np
import pytest

from ciyuan.factory.calibration_fit import (
    constants_at,
    fit,
    fit_constants,
    fit_prompting,
    place_of,
    predict,
    stretch_of,
)
from ciyuan.factory.constants import GUESSES
from ciyuan.factory.prefill import ROUND_FIGURES
from tests.factory.factory_samples import samples


def errors(runs, fitted):
    return np.abs(predict(runs, fitted).calibrated_s / runs.tpot_s - 1)


def test_constants_are_found_from_elsewhere():
    true = replace(GUESSES, layer_s=40e-6, memory=0.6, sequence_s=30e-6)
    runs = samples({}, constants=true, loads=(1, 2, 4, 8, 16, 32, 64, 128))
    found = fit_constants(runs)
    assert np.abs(runs.times(found).tpot / runs.tpot_s - 1).max() < 0.02


def test_places_of_constants_go_there_and_back():
    again = constants_at(place_of(GUESSES))
    assert astuple(again) == pytest.approx(astuple(GUESSES))
    everywhere = constants_at(place_of(GUESSES) + 50.0)
    assert max(everywhere.memory, everywhere.prefill_fp8) <= 1


def test_factors_of_chips_and_engines_are_learnt_and_generalise():
    runs = samples({"slow": 1.3, "sglang": 0.8}, noise=0.02)
    odd = np.arange(len(runs)) % 2 == 1
    fitted = fit(runs.subset(odd))
    held = errors(runs.subset(~odd), fitted)
    assert np.median(held) < 0.06
    bare = np.abs(predict(runs.subset(~odd), fitted).physics_s / runs.subset(~odd).tpot_s - 1)
    assert np.median(held) < 0.5 * np.median(bare)


def test_runs_that_drafted_are_told_apart_and_vote_for_their_neighbours():
    drafted = list(range(12, 24))
    runs = samples({}, drafted=drafted)
    fitted = fit(runs)
    told = {row for series in fitted.votes.series.values() for row, flag in series if flag}
    assert set(drafted) <= told | {12, 23}
    assert len(told - set(drafted)) <= 2
    assert np.median(errors(runs, fitted)) < 0.05


def test_copies_of_a_run_count_once():
    runs = samples({})
    twice = replace(runs, run=np.zeros(len(runs), dtype=np.int64))
    assert twice.subset(np.ones(len(runs), dtype=np.bool_)).weights.sum() == pytest.approx(1.0)
    assert runs.subset(np.arange(len(runs)) < 5).weights.tolist() == [1.0] * 5


def test_the_first_tokens_constants_are_found():
    runs = samples({})
    found = fit_prompting(runs, GUESSES)
    assert found.mixed.fixed_s == pytest.approx(ROUND_FIGURES.mixed.fixed_s, rel=0.05)
    assert found.apart == ROUND_FIGURES.apart or found.apart.fixed_s == pytest.approx(
        ROUND_FIGURES.apart.fixed_s
    )


def test_bands_are_stretched_to_hold_eight_of_ten():
    chance = np.random.default_rng(3)
    wide = chance.normal(0, 0.2, 4000)
    assert stretch_of(wide, np.full(4000, 0.1)) == pytest.approx(2.0, rel=0.05)
