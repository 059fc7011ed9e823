"""Rows: the kind word holds its three parts, and a row is eight words."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ciyuan.basics.rows import (
    CODE_MASK,
    FLAG_MASK,
    KIND,
    REASON_MASK,
    ROW_BYTES,
    ROW_WORDS,
    TIME,
    code_of,
    flags_of,
    kind_word,
    reason_of,
    row,
)

words = st.integers(-(2**63), 2**63 - 1)


@given(st.integers(0, CODE_MASK), st.integers(0, FLAG_MASK), st.integers(0, REASON_MASK))
def test_a_kind_word_gives_back_its_parts(code: int, flags: int, reason: int) -> None:
    word = kind_word(code, flags, reason)
    assert (code_of(word), flags_of(word), reason_of(word)) == (code, flags, reason)
    assert 0 <= word < 2**40


@pytest.mark.parametrize(
    "parts", [(-1, 0, 0), (2**16, 0, 0), (1, -1, 0), (1, 2**8, 0), (1, 0, -1), (1, 0, 2**16)]
)
def test_a_part_that_does_not_fit_is_refused(parts: tuple[int, int, int]) -> None:
    with pytest.raises(ValueError, match="does not fit"):
        kind_word(*parts)


@given(words, words, st.lists(words, max_size=6))
def test_a_row_fills_up_with_zeros(kind: int, time_ns: int, rest: list[int]) -> None:
    made = row(kind, time_ns, rest)
    assert len(made) == ROW_WORDS
    assert (made[KIND], made[TIME]) == (kind, time_ns)
    assert list(made[2:]) == rest + [0] * (6 - len(rest))


@given(st.lists(st.tuples(*[words] * ROW_WORDS), min_size=1, max_size=20))
def test_rows_survive_the_journey_through_bytes(batch: list[tuple[int, ...]]) -> None:
    matrix = np.array(batch, dtype=np.int64)
    assert matrix.nbytes == len(batch) * ROW_BYTES
    again = np.frombuffer(matrix.tobytes(), dtype="<i8").reshape(-1, ROW_WORDS)
    assert [tuple(found) for found in again.tolist()] == batch


def test_seven_words_are_one_too_many() -> None:
    with pytest.raises(ValueError, match="six after kind and time"):
        row(1, 2, [0] * 7)
