"""Looked at one by one or as columns, rows are taken and refused alike."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from ciyuan.basics.rows import INT64_MAX, Row
from ciyuan.index.machine import FEW
from ciyuan.index.messages import TIME_MAX, IndexRefusal
from ciyuan.index.observations import Observations
from ciyuan.index.window import Window
from tests.index.readings import CALENDAR, DAY, HOLIDAY, SATURDAY, TERMS, at, fix, matrix, new_index, seen

ROOM = INT64_MAX // TERMS.partitions
DAYS = st.sampled_from((DAY, DAY, DAY + 1, DAY + 2, SATURDAY, HOLIDAY))
CLOCKS = st.sampled_from(("00:00", "14:59", "15:00", "15:30", "15:59", "16:00", "24:00"))
TIMES = st.one_of(
    st.builds(at, CLOCKS, DAYS), st.sampled_from((-1, 0, TIME_MAX, TIME_MAX + 1, INT64_MAX, -INT64_MAX - 1))
)


def some(*values: int) -> st.SearchStrategy[int]:
    """Mostly 1, at times something else."""
    return st.sampled_from((1,) * 20 + values)


ROWS = st.lists(
    st.tuples(
        st.just(501),
        st.one_of(*[st.builds(at, CLOCKS, DAYS)] * 9, TIMES),
        some(0, -1, INT64_MAX),
        some(0, -5, INT64_MAX),
        some(0, -(2**63), INT64_MAX),
        st.sampled_from((*[1] * 9, 0, -1, ROOM, ROOM - 1, ROOM // 2, ROOM // 2, INT64_MAX)),
        some(-1, 0, 2, 3, 2**40),
        some(0, 2, 3, 4, 4, 4, 5, 2**40),
    ),
    min_size=1,
    max_size=FEW,
)


def one_by_one(kept: Observations, rows: list[Row], clock_ns: int) -> tuple[list[int], int]:
    faults = []
    for row in rows:
        faults.append(kept.admit_one(row, clock_ns))
        clock_ns = clock_ns if faults[-1] == IndexRefusal.TIME_OUT_OF_RANGE else max(clock_ns, row[1])
    return faults, clock_ns


CLOCKS_NS = st.one_of(
    st.integers(0, at("24:00", DAY + 3)),
    st.builds(lambda day, by: at("16:00", day) + by, st.sampled_from((DAY + 2, DAY + 3)), st.integers(-1, 1)),
)


@given(st.lists(ROWS, min_size=1, max_size=3), CLOCKS_NS)
def test_one_by_one_and_as_columns_say_the_same(batches: list[list[Row]], clock_ns: int) -> None:
    window = Window(TERMS, CALENDAR)
    singly, together = Observations(window, TERMS.partitions), Observations(window, TERMS.partitions)
    clocks = [clock_ns, clock_ns]
    for batch in batches:
        faults, clocks[0] = one_by_one(singly, batch, clocks[0])
        columns, clocks[1] = together.admit_many(matrix(batch), clocks[1])
        assert faults == columns.tolist()
        assert clocks[0] == clocks[1]
        assert np.array_equal(singly.matrix(), together.matrix())
    refilled = Observations(window, TERMS.partitions)
    refilled.refill(singly.matrix())
    probe = [(501, at("15:30", day), 1, 1, 1, ROOM // 2, 0, 1) for day in (DAY, DAY + 1, DAY + 2)]
    answers = [one_by_one(kept, probe, 0)[0] for kept in (refilled, singly, together)]
    assert answers[0] == answers[1] == answers[2]


def test_columns_know_how_full_a_day_is_from_batch_to_batch():
    kept = Observations(Window(TERMS, CALENDAR), TERMS.partitions)
    volumes = ((ROOM - 2, 3, 1), (2, 1), (1,))
    rows = [[(501, at("15:30"), 1, 1, 1, volume, 0, 1) for volume in batch] for batch in volumes]
    full = int(IndexRefusal.DAY_FULL)
    refused = [kept.admit_many(matrix(batch), 0)[0].tolist() for batch in rows]
    assert refused == [[0, full, 0], [full, 0], [full]]


def test_long_runs_and_short_ones_are_taken_alike():
    rows = [seen("15:30", seller, 5) for seller in range(2 * FEW)] + [fix()]
    whole, pieces = new_index(), new_index()
    said: list[Row] = []
    for row in rows:
        pieces.apply_one(row, said)
    assert whole.apply(matrix(rows)).tolist() == [list(row) for row in said]
    assert said[0][7] == IndexRefusal.SELLER_NOT_POSITIVE
    assert whole.state_hash() == pieces.state_hash()
