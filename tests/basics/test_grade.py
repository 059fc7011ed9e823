"""Grades: the conversion of legs into standard tokens is exact, and its remainder is carried (rulebook §1.3)."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ciyuan.basics.errors import Malformed
from ciyuan.basics.grade import CENTI, ConversionVector
from ciyuan.basics.tokens import Legs

counts = st.integers(0, 10**9)
legs_of_any_kind = st.builds(lambda u, c, o, b: Legs(u + c, c, o, b), counts, counts, counts, st.booleans())
vectors = st.builds(ConversionVector, *[st.integers(0, 2_000)] * 3, st.integers(0, 100))


def exact_centitokens(vector: ConversionVector, legs: Legs) -> Fraction:
    """The rule as a fraction, with no rounding anywhere."""
    centi = Fraction(legs.uncached * vector.input + legs.cached * vector.cached + legs.output * vector.output)
    return centi * Fraction(vector.batch, 100) if legs.batch else centi


def test_the_default_vector() -> None:
    vector = ConversionVector()
    assert vector.standard_centitokens(Legs(1, 0, 0)) == 100
    assert vector.standard_centitokens(Legs(1, 1, 0)) == 20
    assert vector.standard_centitokens(Legs(0, 0, 1)) == 421
    assert vector.standard_centitokens(Legs(0, 0, 1, batch=True)) == 211  # 210.5, half up


@given(vectors, legs_of_any_kind)
def test_conversion_is_exact_but_for_half_a_hundredth_of_batch(vector: ConversionVector, legs: Legs) -> None:
    off = vector.standard_centitokens(legs) - exact_centitokens(vector, legs)
    assert Fraction(-1, 2) < off <= Fraction(1, 2)
    if not legs.batch:
        assert off == 0


@given(vectors, st.lists(legs_of_any_kind, max_size=30))
def test_the_carry_loses_nothing(vector: ConversionVector, requests: list[Legs]) -> None:
    carry, whole = 0, 0
    for legs in requests:
        tokens, carry = vector.standard_tokens(legs, carry)
        whole += tokens
        assert 0 <= carry < CENTI
    assert whole * CENTI + carry == sum(vector.standard_centitokens(legs) for legs in requests)


@pytest.mark.parametrize("hundredths", [(-1, 0, 0, 0), (0, -1, 0, 0), (0, 0, -1, 0), (0, 0, 0, -1)])
def test_a_negative_vector_is_refused(hundredths: tuple[int, int, int, int]) -> None:
    with pytest.raises(Malformed, match="conversion vector"):
        ConversionVector(*hundredths)
