"""A snapshot is the whole state: an index restored from it goes on as the first one does."""

import numpy as np
import pytest
from numpy.typing import NDArray

from ciyuan.basics.errors import Malformed
from ciyuan.basics.state import state_hash
from ciyuan.index.machine import Index
from ciyuan.index.messages import IndexTerms, Leg, Source, correct_row, relate_row
from tests.index.readings import CALENDAR, DAY, GRADE, agreed, at, fix, matrix, new_index, seen, told

Parts = dict[str, NDArray[np.int64]]


def lived() -> Index:
    """An index with everything in it: relations, a struck seller, two days' observations, versions, a withheld day."""
    index = new_index()
    told(
        index,
        relate_row(0, 8, 9),
        *agreed(sellers=5),
        seen("16:00", 6, 5, source=Source.LIST),
        fix(),
        fix(leg=Leg.INPUT),
    )
    told(index, correct_row(at("17:00"), GRADE, DAY, Leg.STANDARD, 5))
    told(index, *agreed(DAY + 1), *agreed(DAY + 1, leg=Leg.OUTPUT))
    return index


def later() -> NDArray[np.int64]:
    day = DAY + 1
    return matrix([
        *agreed(day, 1_050_000), seen("15:59", 8, 7, day=day), fix(day=day), fix("16:01", day, Leg.OUTPUT),
        correct_row(at("16:02", day), GRADE, DAY, Leg.STANDARD), relate_row(at("16:03", day), 8, 0),
        correct_row(at("16:04", day), GRADE, day, Leg.STANDARD, 2),
    ])  # fmt: skip


def test_a_restored_index_is_the_same_and_goes_on_the_same():
    first, second = lived(), new_index()
    second.restore(first.snapshot())
    assert second.state_hash() == first.state_hash()
    assert second.apply(later()).tolist() == first.apply(later()).tolist()
    assert second.state_hash() == first.state_hash()
    assert second.versions(GRADE, DAY, Leg.STANDARD) == first.versions(GRADE, DAY, Leg.STANDARD)
    assert second.month_mean(GRADE, 202610, Leg.STANDARD) == first.month_mean(GRADE, 202610, Leg.STANDARD)


def test_the_hash_is_the_hash_of_the_snapshot():
    index = lived()
    assert index.state_hash() == state_hash(index.snapshot())
    assert all(part.dtype == np.int64 and part.ndim == 2 for part in index.snapshot().values())


def test_a_restored_index_knows_how_full_a_day_is():
    first, second = new_index(), new_index()
    told(first, seen("15:01", 1, 1, mtok=7 * 10**9))
    second.restore(first.snapshot())
    row = seen("15:02", 1, 1, mtok=10**9)
    assert told(first, row) == told(second, row) != []


def test_a_snapshot_is_a_copy():
    index = lived()
    before = index.state_hash()
    for part in index.snapshot().values():
        part[:] = 0
    assert index.state_hash() == before


def changed(name: str, at_row: int, column: int, value: int) -> Parts:
    parts = {part: matrix.copy() for part, matrix in lived().snapshot().items()}
    parts[name][at_row, column] = value
    return parts


WRONG: dict[str, Parts] = {
    "a part too few": {name: part for name, part in lived().snapshot().items() if name != "struck"},
    "a part too many": lived().snapshot() | {"more": np.zeros((1, 1), dtype=np.int64)},
    "another width": lived().snapshot() | {"relations": np.zeros((1, 3), dtype=np.int64)},
    "one dimension": lived().snapshot() | {"clock": np.zeros(1, dtype=np.int64)},
    "another type": {name: part.astype(np.int32) for name, part in lived().snapshot().items()},
    "two clocks": lived().snapshot() | {"clock": np.zeros((2, 1), dtype=np.int64)},
    "a clock before an observation": changed("clock", 0, 0, 5),
    "a negative clock": changed("clock", 0, 0, -1),
    "an observation without a price": changed("observations", 0, 3, 0),
    "a version twice": changed("fixings", 1, 3, 1),
    "a version left out": changed("fixings", 1, 3, 3),
    "a version with neither value nor reason": changed("fixings", 0, 4, 0),
}


@pytest.mark.parametrize("parts", WRONG.values(), ids=WRONG.keys())
def test_what_is_no_snapshot_is_refused_and_changes_nothing(parts: Parts):
    index = lived()
    before = index.state_hash()
    with pytest.raises(Malformed, match="index snapshot"):
        index.restore(parts)
    assert index.state_hash() == before


@pytest.mark.parametrize(
    "rows",
    [np.zeros((1, 7), dtype=np.int64), np.zeros(8, dtype=np.int64), np.zeros((1, 8), dtype=np.int32)],
    ids=("seven words", "one dimension", "32 bits"),
)
def test_what_is_no_batch_is_malformed(rows: NDArray[np.int64]):
    with pytest.raises(Malformed, match="index batch"):
        new_index().apply(rows)


@pytest.mark.parametrize(
    "wrong",
    [
        {"sellers_min": 2}, {"partitions": 0}, {"observations_min": 0}, {"cap_bp": 0}, {"cap_bp": 5_000},
        {"deviations_max": 0}, {"scale_floor_bp": -1}, {"fix_within_ns": -1}, {"correct_within_ns": -1},
    ],
    ids=str,
)  # fmt: skip
def test_terms_that_cannot_be_are_malformed(wrong: dict[str, int]):
    with pytest.raises(Malformed, match=next(iter(wrong))):
        IndexTerms(**wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("opens", "closes", "parts"), [("16:00", "15:00", 12), ("15:00", "15:00", 1), ("15:00", "16:00", 7)]
)
def test_a_window_is_a_span_in_equal_parts(opens: str, closes: str, parts: int):
    with pytest.raises(Malformed, match="window"):
        Index(IndexTerms(window_from=opens, window_to=closes, partitions=parts), CALENDAR)


def test_it_wants_what_lies_in_the_window_of_a_business_day():
    index = new_index()
    moments = [at("15:00") - 1, at("15:00"), at("16:00") - 1, at("16:00"), at("15:30", DAY + 5)]
    assert index.wants(np.array(moments, dtype=np.int64)).tolist() == [False, True, True, False, False]
    assert [index.wants_one(moment) for moment in moments] == [False, True, True, False, False]
    assert index.wants(np.array([], dtype=np.int64)).tolist() == []


def test_the_clock_is_the_latest_moment_seen():
    index = new_index()
    assert index.clock_ns == 0
    told(index, seen("15:30", 1, 1), seen("15:10", 1, 1))
    assert index.clock_ns == at("15:30")
