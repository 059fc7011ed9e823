"""Each law of the accounts, broken by hand."""

import numpy as np
import pytest

from ciyuan.basics.errors import InvariantBroken
from ciyuan.basics.rows import INT64_MAX
from ciyuan.ledger.laws import check_books, check_closed
from ciyuan.ledger.messages import CLOSED_RANGES_MAX


def accounts(
    *sums: tuple[int, int, int, int], flags: int = 0, assets: tuple[int, ...] = (1, 1)
) -> np.ndarray:
    rows = [[0] * 8, *([asset, flags, *four, 0, 0] for asset, four in zip(assets, sums, strict=True))]
    return np.array(rows, dtype=np.int64)


def test_balanced_books_pass():
    check_books(accounts((5, 10, 0, 0), (0, 0, 5, 10)))
    with pytest.raises(InvariantBroken, match=r"asset 1: posted 10 \| 9"):
        check_books(accounts((5, 10, 0, 0), (0, 0, 5, 9)))


def test_pending_sums_to_zero_apart_from_posted():
    with pytest.raises(InvariantBroken, match=r"pending 4 \| 5"):
        check_books(accounts((4, 11, 0, 0), (0, 0, 5, 11)))


def test_assets_are_not_added_to_each_other():
    with pytest.raises(InvariantBroken, match="asset 1"):
        check_books(accounts((0, 10, 0, 0), (0, 0, 0, 10), assets=(1, 2)))


def test_no_sum_is_negative_or_beyond_int64():
    with pytest.raises(InvariantBroken, match="account 1"):
        check_books(accounts((-1, 1, 0, 0), (0, 0, -1, 1)))
    with pytest.raises(InvariantBroken, match="account 1"):
        check_books(accounts((1, INT64_MAX, 0, 0), (0, 0, 1, INT64_MAX)))


def test_sums_over_accounts_are_exact_beyond_int64():
    most = (0, INT64_MAX, 0, INT64_MAX)
    with pytest.raises(InvariantBroken, match="sums to zero"):
        check_books(accounts(most, most, (0, 3, 0, 1), assets=(1, 1, 1)))


def test_a_guarded_account_is_not_overdrawn_by_what_is_held():
    check_books(accounts((4, 10, 4, 10), flags=0, assets=(1,)))
    check_books(accounts((4, 6, 4, 6), flags=0, assets=(1,)))
    with pytest.raises(InvariantBroken, match="account 1: debits 11, credits 10"):
        check_books(accounts((5, 6, 5, 10), flags=1, assets=(1,)))


def closed(*ranges: tuple[int, int]) -> np.ndarray:
    return np.array(ranges, dtype=np.int64).reshape(-1, 2)


@pytest.mark.parametrize(
    "ranges",
    [
        [(0, 3)],
        [(3, 3)],
        [(5, 3)],
        [(1, 3), (3, 5)],
        [(1, 4), (3, 5)],
        [(5, 8), (1, 3)],
        [(3 * n + 1, 3 * n + 3) for n in range(CLOSED_RANGES_MAX + 1)],
    ],
)
def test_closed_ranges_are_few_in_order_and_apart(ranges: list[tuple[int, int]]):
    with pytest.raises(InvariantBroken, match="in order and apart"):
        check_closed(closed(*ranges), closed())


def test_what_is_closed_is_known_by_no_row():
    ranges = closed((2, 4), (7, INT64_MAX))
    check_closed(ranges, np.array([6, 4, INT64_MAX, 1, 5]))
    check_closed(closed(), np.array([6, 4]))
    for key in (2, 3, 7, INT64_MAX - 1):
        with pytest.raises(InvariantBroken, match=rf"known by \[{key}\]"):
            check_closed(ranges, np.array([1, key, 6]))
