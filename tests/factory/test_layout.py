"""What fits on a replica's GPUs, and what is refused with what needs to be known."""

import pytest

from ciyuan.basics.errors import Malformed
from ciyuan.factory.layout import (
    Engine,
    Layout,
    check_engine,
    check_layout,
    gpu_weight_bytes,
    least_engine,
    sensible_layouts,
    sequences_held,
)
from ciyuan.factory.model import Precision
from tests.factory.factory_shapes import chip, model, sparse_model

FP8, BF16 = Precision.FP8, Precision.BF16


def test_weights_of_an_engine_sum_to_the_model():
    whole = sparse_model()
    for engine in (Engine(4), Engine(4, expert=4), Engine(tensor=2, pipeline=2)):
        assert gpu_weight_bytes(whole, FP8, engine) * engine.gpus == pytest.approx(
            whole.weight_bytes(FP8).total
        )


def test_attention_groups_copy_all_but_the_experts():
    whole = sparse_model()
    weights = whole.weight_bytes(FP8)
    experts = whole.moe_layers * whole.experts * weights.expert
    copied = gpu_weight_bytes(whole, FP8, Engine(data=4, expert=4)) * 4
    assert copied == pytest.approx(4 * (weights.total - experts) + experts)


def test_a_model_that_does_not_fit_is_refused_with_both_sides_and_the_least_that_fits():
    small = chip(memory_gb=12.0)
    with pytest.raises(Malformed) as refused:
        check_engine(small, model(), BF16, Engine(1), 1000)
    assert "GB needed" in str(refused.value.found)
    assert "The least that fits is tp" in refused.value.remedy
    least = least_engine(small, model(), BF16, 1000)
    assert least is not None
    check_engine(small, model(), BF16, least, 1000)
    with pytest.raises(Malformed):
        check_engine(small, model(), BF16, Engine(least.gpus // 2), 1000)


def test_a_model_that_fits_nowhere_says_so():
    with pytest.raises(Malformed, match="No layout of up to 64 GPUs fits"):
        sensible_layouts(chip(memory_gb=3.4), model(), BF16, 1000)


@pytest.mark.parametrize(
    ("precision", "engine", "context", "word"),
    [
        (Precision.FP4, Engine(1), 1000, "precision"),
        (FP8, Engine(2, expert=2), 1000, "dense"),
        (FP8, Engine(1), 1e6, "context"),
    ],
)
def test_what_cannot_be_is_refused(precision, engine, context, word):
    with pytest.raises(Malformed, match=word):
        check_engine(chip(), model(), precision, engine, context)


def test_engines_and_layouts_that_mean_nothing_are_refused():
    for wrong in ({"tensor": 0}, {"tensor": 4, "expert": 3}):
        with pytest.raises(Malformed):
            Engine(**wrong)
    for decoders, prefill, readers in ((0, None, 0), (1, Engine(1), 0), (1, None, 1)):
        with pytest.raises(Malformed):
            Layout(Engine(1), decoders, prefill, readers)


def test_sensible_layouts_all_fit_and_are_named_apart():
    found = sensible_layouts(chip(), sparse_model(), FP8, 2000)
    assert len({layout.name for layout in found}) == len(found) > 6
    for layout in found:
        check_layout(chip(), sparse_model(), FP8, layout, 2000)
        assert sequences_held(chip(), sparse_model(), FP8, layout.decode, 2000) >= 1


def test_names_and_sizes_of_layouts():
    apart = Layout(Engine(data=8, expert=8), 2, Engine(4), 3)
    assert (apart.gpus, apart.name, apart.disaggregated) == (28, "3 x tp4 + 2 x dp8 ep8", True)
    assert (Layout(Engine(1)).name, Layout(Engine(4), 2).name) == ("tp1", "2 x tp4")
