"""The venue's host: what is told is durable, what is malformed is never journaled, and a resume plays only what was played."""

import numpy as np
import pytest

from ciyuan.basics.errors import Malformed
from ciyuan.services.host import VenueHost
from ciyuan.services.store import Store
from tests.services.numbered import GENESIS


class Echo:
    """A venue that answers every row with itself, and refuses rows whose first word is negative."""

    def __init__(self, trace):
        self.trace = trace

    def check(self, rows):
        if (rows[:, 0] < 0).any():
            raise Malformed("rows", found="a negative word", expected="none", remedy="Mend them.")

    def apply(self, rows):
        self.trace.append(("applied", len(rows)))
        return rows.copy()


class Paper:
    """A log in memory that writes down when it is asked what."""

    def __init__(self, trace, journaled=()):
        self.trace = trace
        self.rows = [row for batch in journaled for row in batch.tolist()]
        self._batches = tuple(journaled)

    def stage(self, rows):
        self.trace.append(("staged", len(rows)))
        self.rows += rows.tolist()
        return len(self.rows)

    def commit(self):
        self.trace.append(("durable", len(self.rows)))
        return len(self.rows)

    def read(self, from_sequence=0):
        assert from_sequence == 0
        return iter(self._batches)


def rows(first, count):
    return np.arange(first * 8, (first + count) * 8, dtype=np.int64).reshape(count, 8)


def hosted(journaled=(), *, resume=False):
    trace: list[tuple[str, int]] = []
    log = Paper(trace, journaled)
    return VenueHost(Echo(trace), log, resume=resume), log, trace  # type: ignore[arg-type]


def test_rows_are_journaled_and_durable_before_they_are_applied_and_answered():
    host, log, trace = hosted()
    events = host.submit(rows(0, 3))
    assert trace == [("staged", 3), ("durable", 3), ("applied", 3)]
    assert np.array_equal(events, rows(0, 3))
    assert (host.acknowledged_rows, len(log.rows)) == (3, 3)


def test_staged_rows_are_acknowledged_by_the_commit_and_not_before():
    host, _, trace = hosted()
    host.stage(rows(0, 2))
    host.stage(rows(2, 1))
    assert host.acknowledged_rows == 0
    host.commit()
    assert host.acknowledged_rows == 3
    assert trace == [("staged", 2), ("applied", 2), ("staged", 1), ("applied", 1), ("durable", 3)]


def test_malformed_rows_are_neither_journaled_nor_applied():
    host, _, trace = hosted()
    with pytest.raises(Malformed):
        host.submit(-rows(1, 1))
    assert (trace, host.acknowledged_rows) == ([], 0)


@pytest.mark.parametrize("cuts", [(5,), (2, 5), (1, 2, 3, 4, 5), (3, 4, 5)])
@pytest.mark.parametrize("sizes", [(5, 2), (1, 6), (4, 3), (7,), (2, 2, 2, 1)])
def test_a_resume_applies_what_is_journaled_and_writes_only_what_is_not(cuts, sizes):
    starts = (0, *cuts[:-1])
    journaled = [rows(start, end - start) for start, end in zip(starts, cuts, strict=True)]
    host, log, trace = hosted(journaled, resume=True)
    first = 0
    for size in sizes:
        host.submit(rows(first, size))
        first += size
    assert np.array_equal(log.rows, rows(0, 7))
    assert (host.replayed_rows, host.acknowledged_rows, host.unplayed_rows()) == (5, 7, 0)
    assert sum(count for what, count in trace if what == "staged") == 2
    assert sum(count for what, count in trace if what == "applied") == 7


def test_another_row_than_the_journals_is_refused_and_named():
    host, log, trace = hosted([rows(0, 2), rows(2, 2)], resume=True)
    host.submit(rows(0, 1))
    other = rows(1, 3)
    other[1, 5] += 1
    with pytest.raises(Malformed) as caught:
        host.submit(other)
    assert caught.value.thing == "run, row 2"
    assert len(log.rows) == 4
    assert ("applied", 3) not in trace


def test_what_the_world_did_not_play_is_counted():
    host, _, _ = hosted([rows(0, 3), rows(3, 4)], resume=True)
    host.submit(rows(0, 2))
    assert host.unplayed_rows() == 5


def test_a_run_that_is_not_resumed_does_not_look_at_the_journal():
    host, log, _ = hosted([rows(0, 3)])
    host.submit(rows(9, 1))
    assert (host.replayed_rows, host.unplayed_rows(), len(log.rows)) == (0, 0, 4)


def test_a_host_goes_on_where_its_store_ends(tmp_path):
    trace: list[tuple[str, int]] = []
    with Store.create(tmp_path, GENESIS) as store:
        host = VenueHost(Echo(trace), store)  # type: ignore[arg-type]
        host.submit(rows(0, 4))
        host.stage(rows(4, 3))  # never committed: the process dies here
    with Store.open(tmp_path, GENESIS) as store:
        host = VenueHost(Echo(trace), store, resume=True)  # type: ignore[arg-type]
        host.submit(rows(0, 9))
        assert (host.replayed_rows, store.sequence) == (4, 9)
        assert np.array_equal(np.concatenate(list(store.read())), rows(0, 9))
