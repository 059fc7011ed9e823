"""What is not rows, or not a snapshot, is malformed: both twins say so and stay as they were."""

import numpy as np
import pytest

from ciyuan.basics.errors import Malformed
from ciyuan.gateway import (
    LimitUnit,
    LimitWindow,
    close_row,
    deliver_row,
    hold_row,
    leg_price_row,
    leg_used_row,
    limit_row,
    spender_row,
    void_row,
)
from ciyuan.gateway.edge import PART_WIDTHS
from tests.gateway.twins import a_market, who


@pytest.mark.parametrize(
    "rows",
    [np.zeros((2, 7), np.int64), np.zeros((2, 8)), np.zeros(8, np.int64), np.zeros((8, 2), np.int64).T],
)
def test_what_is_no_batch_is_malformed(rows):
    twins = a_market()
    for meter in (twins.plain, twins.fast):
        with pytest.raises(Malformed, match="C-contiguous"):
            meter.apply(rows)


def a_full_snapshot() -> dict[str, np.ndarray]:
    twins = a_market()
    twins.say(
        spender_row(0, 1, 0, 1),
        spender_row(0, 2, 1, 1),
        limit_row(0, 1, 1, LimitUnit.TOKENS, LimitWindow.DAY, 100),
        limit_row(0, 2, 1, LimitUnit.MONEY, LimitWindow.MINUTE, 100),
        leg_price_row(0, 1, 1, 5, 9, valid_from_ns=0),
        leg_price_row(0, 1, 1, 0, 9, valid_from_ns=0, step=1, bound=50),
        leg_price_row(0, 1, 1, 0, 8, valid_from_ns=0, step=2, bound=60),
        close_row(1, 90, 95),
        hold_row(1, 3, who(), 9, 9, 0, 2),
        leg_used_row(1, 3, 5, 4),
        hold_row(1, 1, who(), 9, 9),
        deliver_row(1, 1, who(), 9, 3, 9),
        hold_row(1, 2, who(), 9, 9),
        void_row(1, 2),
    )
    return twins.fast.snapshot()


def test_a_snapshot_has_the_parts_that_are_documented():
    assert {name: part.shape[1] for name, part in a_full_snapshot().items()} == PART_WIDTHS


SPOILT = [
    ("clock", 0, 0, -1),
    ("parties", 0, 0, 3),
    ("parties", 0, 1, 0),
    ("parties", 0, 1, 2**31),
    ("parties", 1, 1, 1),
    ("parties", 0, 2, 0),
    ("parties", 0, 3, 10**6),
    ("parties", 0, 4, -1),
    ("price_lists", 0, 0, 7),
    ("price_lists", 0, 2, -1),
    ("price_lists", 0, 6, 0),
    ("price_lists", 1, 0, 1),
    ("books", 0, 1, 2),
    ("requests", 1, 0, 2),
    ("requests", 0, 0, 0),
    ("requests", 0, 1, who(9)),
    ("requests", 0, 1, who(1, 9)),
    ("requests", 1, 5, -1),
    ("requests", 0, 7, 5 | 1 << 24),
    ("requests", 1, 7, 2),
    ("requests", 0, 7, 2 | 3 << 24),
    ("deliveries", 1, 0, 10),
    ("deliveries", 1, 1, -1),
    ("deliveries", 2, 0, 1),
    ("deliveries", 1, 3, 60),
    ("spenders", 0, 0, 0),
    ("spenders", 0, 0, 2),
    ("spenders", 0, 1, 2),
    ("spenders", 1, 1, 9),
    ("spenders", 0, 2, 9),
    ("spenders", 1, 2, 2),
    ("limits", 0, 0, 2),
    ("limits", 0, 0, 2**16),
    ("limits", 0, 1, 9),
    ("limits", 0, 2, 4),
    ("limits", 0, 3, 7),
    ("limits", 0, 4, -1),
    ("limits", 1, 4, 10**11 + 1),
    ("limits", 1, 5, 1),
    ("limits", 0, 7, -1),
    ("spends", 0, 0, 4),
    ("spends", 0, 1, 9),
    ("spends", 0, 2, -1),
    ("leg_prices", 0, 0, 3),
    ("leg_prices", 0, 1, 1),
    ("leg_prices", 0, 2, 0),
    ("leg_prices", 0, 2, 13),
    ("leg_prices", 0, 3, -1),
    ("leg_prices", 0, 4, 1),
    ("leg_prices", 2, 1, 3),
    ("leg_prices", 2, 4, 50),
    ("leg_counts", 0, 0, 4),
    ("leg_counts", 0, 3, -1),
    ("closed", 0, 0, 95),
    ("closed", 0, 0, 1),
    ("closed", 0, 1, 2**60 + 1),
]


@pytest.mark.parametrize(("part", "row", "word", "value"), SPOILT)
def test_a_snapshot_that_no_meter_made_is_malformed_and_changes_nothing(part, row, word, value):
    parts = a_full_snapshot()
    parts[part] = parts[part].copy()
    parts[part][row, word] = value
    check_both_refuse(parts, part)


@pytest.mark.parametrize("part", PART_WIDTHS)
def test_a_snapshot_of_another_shape_is_malformed(part):
    parts = a_full_snapshot()
    check_both_refuse({name: matrix for name, matrix in parts.items() if name != part}, "names")
    check_both_refuse(parts | {part: parts[part][:, 1:]}, part)
    check_both_refuse(parts | {part: parts[part].astype(np.int32)}, part)
    if part in {"deliveries", "clock", "spenders", "limits", "spends", "leg_prices", "leg_counts", "closed"}:
        check_both_refuse(parts | {part: np.vstack([parts[part], parts[part]])}, part)


def check_both_refuse(parts, part: str) -> None:
    twins = a_market()
    before = twins.fast.state_hash()
    for meter in (twins.plain, twins.fast):
        with pytest.raises(Malformed, match=f"meter snapshot, {part}"):
            meter.restore(parts)
        assert meter.state_hash() == before
