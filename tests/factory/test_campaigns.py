"""Votes on speculation, and recipes for layouts that tables lost."""

from dataclasses import replace

import numpy as np
import pytest

from ciyuan.factory.campaigns import NOBODY, told_by_vote, votes_of
from ciyuan.factory.layout import Engine, Layout
from ciyuan.factory.recipes import Recipe, Recipes, Wanted, deployment
from ciyuan.factory.samples import Place
from tests.factory.factory_samples import samples


def test_neighbours_in_a_series_decide():
    runs = samples({}, drafted=[1])
    flags = np.zeros(len(runs), dtype=np.bool_)
    flags[0:6] = True
    votes = votes_of(runs.speculating(flags))
    setting = runs.settings[2]
    assert votes.probability(setting, Place("a", 2)) > 0.5 > votes.probability(setting, Place("a", 9))
    assert votes.probability(setting, None) > NOBODY.probability(setting, None)
    told = told_by_vote(runs, votes)
    assert told[:5].all()
    assert not told[30:].any()


def test_a_runs_own_vote_is_taken_out():
    runs = samples({}, drafted=[1], loads=(1,))
    flags = np.zeros(len(runs), dtype=np.bool_)
    flags[0] = True
    votes = votes_of(runs.speculating(flags))
    alone = votes.probability(runs.settings[0], runs.places[0], own=(1, True))
    assert alone < votes.probability(runs.settings[0], runs.places[0])


WIDE = Layout(Engine(data=32, expert=32), 1, Engine(4), 3)
RECIPE = Recipe("gb200_nvl72", "trtllm", "fp4", "1024/1024", 512, WIDE, "none")


def wanted(**changes):
    made = Wanted(chip="gb200_nvl72", backend="trtllm", precision="fp4", shape="1024/1024", concurrency=512, prefill_gpus=4,
                  decode_gpus=32)  # fmt: skip
    return replace(made, **changes)


def test_a_told_recipe_stands_in_and_tells_speculation_only_at_its_own_load():
    recipes = Recipes((RECIPE,))
    assert recipes.match(wanted()) == (RECIPE.layout, "none")
    assert recipes.match(wanted(concurrency=600)) == (RECIPE.layout, "")
    assert recipes.match(wanted(chip="gb300_nvl72", shape="8192/1024"))[0] == RECIPE.layout


def test_sizes_that_nobody_told_get_one_engine_of_each_side():
    for gpus in (8, 16):
        layout, told = Recipes(()).match(wanted(decode_gpus=gpus))
        assert layout.prefill is not None
        assert (layout.decode.gpus, layout.prefill.gpus, told) == (gpus, 4, "")


def test_a_resized_recipe_keeps_the_sizes_that_are_known():
    layout, _ = Recipes((RECIPE,)).match(wanted(backend="sglang", prefill_gpus=8))
    assert layout.prefill is not None
    assert (layout.prefill.gpus, layout.decode.gpus) == (8, 32)


@pytest.mark.parametrize("gpus", [1, 2, 6, 8, 12, 20, 36, 40, 72])
@pytest.mark.parametrize("concurrency", [4, 4096])
def test_a_guessed_deployment_has_about_its_gpus(gpus, concurrency):
    layout = deployment(gpus, concurrency)
    assert layout.disaggregated
    assert gpus == 1 or gpus - 8 < layout.gpus <= gpus
