"""The state hash: equal states, and nothing else, hash alike."""

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ciyuan.basics.state import state_hash

cells = st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1, max_size=12)


@given(cells, cells)
def test_the_order_of_names_does_not_matter(a: list[int], b: list[int]) -> None:
    one, two = np.array(a), np.array(b)
    assert state_hash({"one": one, "two": two}) == state_hash({"two": two.copy(), "one": one.copy()})


@given(cells, st.data())
def test_one_changed_cell_changes_the_hash(values: list[int], data: st.DataObject) -> None:
    matrix = np.array(values, dtype=np.int64)
    other = matrix.copy()
    other[data.draw(st.integers(0, len(values) - 1))] ^= 1
    assert state_hash({"m": matrix}) != state_hash({"m": other})


@pytest.mark.parametrize(
    "other",
    [
        {"m": np.zeros((3, 2), np.int64)},
        {"m": np.zeros(6, np.int64)},
        {"m": np.zeros((2, 6), np.int32)},
        {"n": np.zeros((2, 3), np.int64)},
        {"m": np.zeros((2, 3), np.int64), "n": np.zeros(0, np.int64)},
        {},
    ],
)
def test_names_and_shapes_count(other: dict[str, np.ndarray]) -> None:
    assert state_hash(other) != state_hash({"m": np.zeros((2, 3), np.int64)})


def test_the_hash_is_32_hexadecimal_characters() -> None:
    assert re.fullmatch(r"[0-9a-f]{32}", state_hash({}))


def test_what_does_not_lie_in_one_block_hashes_by_its_values() -> None:
    matrix = np.arange(12, dtype=np.int64).reshape(3, 4)
    assert state_hash({"m": matrix.T.copy().T}) == state_hash({"m": matrix})
