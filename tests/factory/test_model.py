"""A model's bytes and FLOPs follow from its shape: by hand for small shapes, and as laws for all of them."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ciyuan.basics.errors import Malformed
from ciyuan.factory.model import STATE_BYTES, Attention, Model, Precision
from ciyuan.factory.span import Span

DENSE = Model(
    code="toy", name="Toy", family="toy", hidden=8, vocabulary=10, tied_embeddings=False, context_tokens_max=100,
    attention=Attention.GQA, spans=(Span(2),), linear_layers=0, heads=4, kv_heads=2, head_size=2, gated_attention=False,
    query_rank=0, kv_rank=0, nope_size=0, rope_size=0, value_size=0, output_rank=0, output_groups=0, index_heads=0, index_size=0,
    linear_key=0, linear_value=0, linear_scalars=0, linear_state=0, mlp_matrices=3, dense_layers=2, dense_width=16, moe_layers=0,
    experts=0, experts_per_token=0, shared_experts=0, expert_width=0, attention_bits_at_4=0, dense_bits_at_4=0,
    native_precision=Precision.BF16, draft_layers=0, other_parameters=0.0, parameters_published=1.0, active_published=1.0,
    source="this test", observed_on="2026-11-21",
)  # fmt: skip
SPARSE = replace(
    DENSE, dense_layers=1, moe_layers=1, experts=4, experts_per_token=2, shared_experts=1, expert_width=8, attention_bits_at_4=16,
    dense_bits_at_4=8,
)  # fmt: skip
LATENT = replace(
    DENSE, attention=Attention.MLA, heads=4, kv_heads=0, head_size=0, query_rank=3, kv_rank=5, nope_size=2, rope_size=1,
    value_size=2,
)  # fmt: skip
SHARED = replace(DENSE, attention=Attention.SHARED, kv_heads=0, query_rank=3, output_rank=2, output_groups=2)
HYBRID = replace(
    DENSE, spans=(Span(1),), linear_layers=1, linear_key=4, linear_value=8, linear_scalars=2, linear_state=3
)
INDEXED = replace(LATENT, spans=(Span(2, chosen=10),), index_heads=2, index_size=4)
MODELS = [DENSE, SPARSE, LATENT, SHARED, HYBRID, INDEXED]

contexts = st.integers(0, 5000)


def test_parameters_by_hand():
    attention = 8 * 2 * (4 + 4 + 2 + 2)
    assert DENSE.mixer_parameters == 2 * attention
    assert DENSE.dense_parameters == 2 * 3 * 8 * 16
    assert DENSE.parameters_total == 2 * attention + 2 * 3 * 8 * 16 + 2 * 10 * 8
    assert DENSE.parameters_active == DENSE.parameters_total - 10 * 8


def test_parameters_of_experts_by_hand():
    expert = 3 * 8 * 8
    assert SPARSE.expert_parameters == expert
    assert SPARSE.dense_parameters == 3 * 8 * 16 + expert
    assert SPARSE.router_parameters == 8 * 4
    assert SPARSE.parameters_total - SPARSE.parameters_active == 2 * expert + 10 * 8


def test_parameters_of_latent_attention_by_hand():
    queries, latent, expand, out = 8 * 3 + 3 * 4 * 3, 8 * 6, 5 * 4 * 4, 4 * 2 * 8
    assert LATENT.attention_layer_parameters == queries + latent + expand + out
    assert INDEXED.attention_layer_parameters == queries + latent + expand + out + 3 * 2 * 4 + 8 * 4 + 8 * 2
    assert replace(LATENT, query_rank=0).attention_layer_parameters == 8 * 4 * 3 + latent + expand + out


def test_parameters_of_shared_attention_by_hand():
    assert SHARED.attention_layer_parameters == 8 * 3 + 3 * 4 * 2 + 8 * 2 + 4 * 2 * 2 + 2 * 2 * 8


def test_parameters_of_a_hybrid_by_hand():
    assert HYBRID.linear_layer_parameters == 8 * (2 * 4 + 3 * 8 + 2)
    assert (HYBRID.layers, HYBRID.blocks, HYBRID.attention_layers) == (2, 4, 1)
    assert HYBRID.state_bytes == 8 * 3 * STATE_BYTES


def test_an_output_gate_is_one_more_matrix():
    gated = replace(DENSE, gated_attention=True)
    assert gated.attention_layer_parameters - DENSE.attention_layer_parameters == 8 * 4 * 2


def test_bytes_of_a_dense_model_shrink_with_its_precision_but_not_its_embeddings():
    whole = DENSE.weight_bytes(Precision.BF16)
    assert whole.total == 2 * DENSE.parameters_total
    eight = DENSE.weight_bytes(Precision.FP8)
    assert (eight.mixers, eight.mlps) == (whole.mixers / 2, whole.mlps / 2)
    assert (eight.head, eight.idle) == (whole.head, whole.idle) == (160, 160)
    assert DENSE.weight_bytes(Precision.FP4).mixers == whole.mixers * 4.5 / 16


def test_at_four_bits_attention_and_shared_experts_keep_what_the_checkpoint_keeps():
    whole, four = SPARSE.weight_bytes(Precision.BF16), SPARSE.weight_bytes(Precision.INT4)
    assert four.mixers == whole.mixers
    assert four.mlps == SPARSE.dense_parameters + 2 * SPARSE.router_parameters
    assert four.expert == whole.expert * 4.5 / 16
    assert SPARSE.weight_bytes(Precision.MXFP4).expert == whole.expert * 4.25 / 16


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("precision", list(Precision))
def test_parts_of_the_weights_make_up_the_total(model: Model, precision: Precision):
    held = model.weight_bytes(precision)
    assert held.total == pytest.approx(
        held.mixers + held.mlps + held.head + held.idle + model.moe_layers * model.experts * held.expert
    )


def test_experts_hit_by_hand():
    assert SPARSE.expert_miss == 0.5
    assert SPARSE.experts_hit([0, 1, 2]).tolist() == [0.0, 2.0, 3.0]
    assert DENSE.experts_hit([0, 1, 2]).tolist() == [0.0, 0.0, 0.0]
    assert DENSE.expert_miss == 0.0


@given(st.integers(0, 10_000))
def test_more_tokens_hit_no_fewer_experts_and_never_more_than_there_are(tokens: int):
    one, two = SPARSE.experts_hit([tokens, tokens + 1])
    assert 0 <= one <= two <= SPARSE.experts
    assert one <= tokens * SPARSE.experts_per_token


@pytest.mark.parametrize(
    ("model", "elements", "decode", "prefill"),
    [
        (DENSE, 2 * 2 * 2, 4 * 4 * 2, 4 * 4 * 2),
        (LATENT, 5 + 1, 2 * 4 * (2 * 5 + 1), 2 * 4 * (2 + 1 + 2)),
        (SHARED, 2, 4 * 4 * 2, 4 * 4 * 2),
    ],
)
def test_cache_and_attention_of_one_entry_by_hand(model: Model, elements: int, decode: int, prefill: int):
    assert model.cache_entry_elements == elements
    assert model.cache_elements(7.0) == 2 * 7 * elements
    assert model.decode_attention_flops(7.0) == 2 * 7 * decode
    assert model.prefill_attention_flops(8.0) == 2 * 32 * prefill


def test_an_indexer_scores_every_token_and_attention_sees_the_chosen():
    assert INDEXED.cache_elements(100.0) == 2 * 100 * (6 + 4)
    assert INDEXED.cache_bytes_read(100.0, 1.0) == 2 * (10 * 6 + 100 * 4)
    assert INDEXED.decode_attention_flops(100.0) == 2 * (10 * INDEXED.decode_entry_flops + 100 * 2 * 2 * 4)


def test_a_state_is_read_and_written_once_a_step_and_does_not_grow():
    assert HYBRID.cache_bytes(0.0, 2.0) == HYBRID.state_bytes
    assert HYBRID.cache_bytes_read(0.0, 2.0) == 2 * HYBRID.state_bytes
    assert HYBRID.flops_per_token == 2 * HYBRID.parameters_active + 6 * 8 * 3


def test_heads_bound_how_far_a_cache_can_be_split():
    assert (DENSE.cache_shards_max, LATENT.cache_shards_max, SHARED.cache_shards_max) == (2, 1, 1)


@given(st.sampled_from(MODELS), contexts, contexts)
def test_reading_a_prompt_in_two_parts_costs_what_it_costs_at_once(model: Model, first: int, more: int):
    whole = model.prefill_attention_flops(first + more)
    assert model.prefill_attention_flops(first) + model.prefill_attention_flops(
        first + more, first
    ) == pytest.approx(float(whole))


@pytest.mark.parametrize(
    ("change", "thing"),
    [
        ({"hidden": 0}, "model toy, hidden"),
        ({"spans": ()}, "model toy, layers"),
        ({"parameters_published": float("nan")}, "model toy, parameters_published"),
        ({"experts": 4, "experts_per_token": 5, "moe_layers": 1}, "model toy, experts"),
        ({"experts": 4, "experts_per_token": 2}, "model toy, experts"),
    ],
)
def test_a_shape_that_cannot_be_is_refused(change: dict[str, object], thing: str):
    with pytest.raises(Malformed) as refused:
        replace(DENSE, **change)  # type: ignore[arg-type]
    assert refused.value.thing == thing
