"""The template is learnt exactly where it is exact, in spite of strange calls and of lies, and within its bounds."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ciyuan.gateway.audit_template import Bare, Template, learnt_template


def learnt(calls, per_message_max=8, per_call_max=64):
    return learnt_template(calls, Template(per_message_max, per_call_max))


def made(seed, template, *, over_bp=0, strange=0.0, calls=64):
    rng = random.Random(seed)  # noqa: S311
    bare = []
    for _ in range(calls):
        pieces, counted = rng.choice((1, 1, 3, 5, 9)), max(1, int(rng.lognormvariate(6.5, 1.2)))
        claimed = counted * (10_000 + over_bp) // 10_000 + template.tokens(pieces)
        if rng.random() < strange:
            claimed += rng.randrange(1, 300)
        bare.append(Bare(pieces, counted, claimed))
    return bare


@given(
    seed=st.integers(0, 10**6),
    template=st.builds(Template, st.integers(0, 8), st.integers(0, 64)),
)
def test_an_honest_template_is_learnt_exactly(seed, template):
    assert learnt(made(seed, template)) == template


@pytest.mark.parametrize("seed", range(20))
def test_one_strange_call_in_ten_moves_nothing(seed):
    assert learnt(made(seed, Template(5, 3), strange=0.1)) == Template(5, 3)


@pytest.mark.parametrize("over_bp", [200, 500, 750, 2_000, 5_000])
def test_an_over_claim_does_not_pass_for_a_template(over_bp):
    """7.5% is none of the excesses that are tried, the worst case: 2 tokens of it pass."""
    for seed in range(20):
        template = learnt(made(seed, Template(5, 3), over_bp=over_bp))
        assert abs(template.tokens(3) - 18) <= 2


def test_where_all_calls_are_as_long_what_is_added_is_believed_up_to_the_bound():
    assert learnt([Bare(1, 1_000, 1_020)] * 64).tokens(1) == 20
    assert 64 <= learnt([Bare(1, 1_000, 1_200)] * 64).tokens(1) <= 72


def test_what_the_calls_cannot_tell_is_taken_in_the_suppliers_favour():
    all_of_two_messages = [Bare(2, counted, counted + 13) for counted in range(10, 74)]
    template = learnt(all_of_two_messages)
    assert template == Template(6, 1)
    assert template.tokens(10) >= Template(5, 3).tokens(10)


def test_the_bounds_hold():
    assert learnt([Bare(1, 10, 1_000)] * 64) == Template(8, 64)
    assert learnt([Bare(1, 10, 4)] * 64).tokens(1) == 0
    assert learnt([Bare(1, 10, 12)], per_message_max=0, per_call_max=1) == Template(0, 1)


@given(
    calls=st.lists(
        st.builds(Bare, st.integers(1, 9), st.integers(0, 500), st.integers(0, 900)), min_size=1, max_size=70
    )
)
def test_the_order_of_the_calls_does_not_matter(calls):
    template = learnt(calls)
    assert template == learnt(calls[::-1])
    assert 0 <= template.per_message <= 8
    assert 0 <= template.per_call <= 64
