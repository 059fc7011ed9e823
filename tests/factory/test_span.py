"""What attention keeps and sees: by hand, and the closed sums over a prompt against sums over its tokens."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ciyuan.basics.errors import Malformed
from ciyuan.factory.span import Span

contexts = st.integers(0, 5000)
spans = st.one_of(
    st.builds(Span, st.integers(1, 9), window=st.integers(0, 200)),
    st.builds(
        Span,
        st.integers(1, 9),
        stride=st.integers(1, 16),
        local=st.integers(0, 64),
        chosen=st.integers(0, 100),
    ),
)


def test_spans_by_hand():
    context = np.array([4.0, 40.0])
    assert Span(1, window=16).entries(context).tolist() == [4.0, 16.0]
    assert Span(1, stride=4, local=8).entries(context).tolist() == [5.0, 18.0]
    assert Span(1, stride=4, local=8, chosen=3).attended(context).tolist() == [5.0, 11.0]
    assert Span(1, stride=4, chosen=3).indexed(context).tolist() == [1.0, 10.0]
    assert Span(1).indexed(context).tolist() == [0.0, 0.0]


@pytest.mark.parametrize("shape", [{"layers": 0}, {"window": -1}, {"stride": 0}, {"local": -1}, {"window": 8, "chosen": 2},
                                   {"window": 8, "stride": 2}])  # fmt: skip
def test_a_span_that_cannot_be_is_refused(shape: dict[str, int]):
    with pytest.raises(Malformed, match="span of attention layers"):
        Span(**{"layers": 1} | shape)


@given(spans, contexts)
def test_what_a_prompt_attends_to_is_the_sum_over_its_tokens(span: Span, prompt: int):
    """The closed form is an integral; the sum over tokens at their middles is the same but for the corners."""
    middles = np.asarray(np.arange(prompt) + 0.5, dtype=np.float64)
    corners = 2.0 + span.stride
    assert span.attended_sum(np.asarray(float(prompt))) == pytest.approx(
        span.attended(middles).sum(), abs=corners
    )
    assert span.indexed_sum(np.asarray(float(prompt))) == pytest.approx(
        span.indexed(middles).sum(), abs=1e-6 * prompt**2
    )


@given(spans, contexts, contexts)
def test_a_longer_context_keeps_and_sees_no_less(span: Span, one: int, two: int):
    context = np.array([min(one, two), max(one, two)], dtype=float)
    for seen in (span.entries(context), span.attended(context), span.attended_sum(context)):
        assert seen[0] <= seen[1]
    assert (span.attended(context) <= span.entries(context)).all()
