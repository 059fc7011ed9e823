"""Frames of a shared journal: how rows get their time, and that no byte of a frame can change unseen."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ciyuan.basics.errors import JournalCorrupt, Malformed
from ciyuan.basics.rows import TIME
from ciyuan.journal.frame import BATCH_HEADER_BYTES, frame_bytes, genesis_position
from ciyuan.journal.messages import Position
from ciyuan.services.postgres_journal_frames import (
    EXCHANGE_ROWS_MAX,
    exchangeable,
    framed,
    joined,
    position_before,
    stamped,
    unframed,
)
from tests.services.exchanged import NOW, rows_of

START = genesis_position(bytes(range(16)))
LATER = Position(7, 900, b"\x5e" * 16)


def timed(*times):
    rows = rows_of(1, 0, len(times))
    rows[:, TIME] = times
    return rows


@pytest.mark.parametrize(
    ("times", "now", "last", "expected"),
    [
        ((0, 0), 100, 50, [100, 100]),
        ((0, 0), 40, 50, [50, 50]),
        ((60, 0), 40, 50, [60, 60]),
        ((60, 0), 70, 50, [60, 70]),
        ((0, 200, 0), 100, 50, [100, 200, 200]),
        ((50, 50), 100, 50, [50, 50]),
    ],
)
def test_a_time_of_zero_is_stamped_and_another_is_kept(times, now, last, expected):
    rows = timed(*times)
    assert stamped(rows, now, last)[:, TIME].tolist() == expected
    assert rows[:, TIME].tolist() == list(times)


@pytest.mark.parametrize(
    ("times", "row", "least"),
    [((49,), 0, 50), ((0, 99), 1, 100), ((300, 200), 1, 300), ((60, 0, 60), 2, 100)],
)
def test_a_time_before_what_is_there_is_refused(times, row, least):
    with pytest.raises(
        Malformed, match=rf"row {row} of an exchange, time.*expected 0, or at least {least}\."
    ):
        stamped(timed(*times), 100, 50)


@given(
    st.lists(st.sampled_from([0, 0, 5, 8, 9]) | st.integers(1, 20)), st.integers(1, 12), st.integers(0, 12)
)
def test_stamped_times_never_run_backwards_and_only_open_ones_change(times, now, last):
    rows = timed(*times)
    try:
        after = stamped(rows, now, last)
    except Malformed:
        assert any(
            time and time < max([last, *times[:place], now * (0 in times[:place])])
            for place, time in enumerate(times)
        )
        return
    given_times, found = np.array(times, dtype=np.int64), after[:, TIME]
    assert (np.diff(found, prepend=last) >= 0).all()
    assert (found[given_times > 0] == given_times[given_times > 0]).all()
    assert (found[given_times == 0] >= now).all()
    assert np.array_equal(np.delete(after, TIME, axis=1), np.delete(rows, TIME, axis=1))


@given(st.integers(1, 9), st.sampled_from([START, LATER]))
def test_a_frame_gives_its_rows_back_in_memory_that_may_be_written_to(count, position):
    rows = stamped(rows_of(3, 5, count), NOW, 0)
    data, behind = framed(rows, position)
    assert len(data) == frame_bytes(count)
    assert (behind.batches, behind.sequence) == (position.batches + 1, position.sequence + count)
    assert position_before(data) == position
    again, where = unframed("j", data, position)
    assert where == behind
    assert np.array_equal(again, rows)
    again[:] = 0


@given(st.data(), st.integers(1, 3))
def test_any_changed_byte_is_damage(data, count):
    frame, _ = framed(rows_of(3, 0, count), LATER)
    at = data.draw(st.integers(0, len(frame) - 1))
    changed = bytearray(frame)
    changed[at] ^= data.draw(st.integers(1, 255))
    with pytest.raises(JournalCorrupt, match="journal segment j after row 900 is damaged"):
        unframed("j", bytes(changed), LATER)


@pytest.mark.parametrize(
    "size", [0, 1, BATCH_HEADER_BYTES, frame_bytes(0), frame_bytes(1) - 1, frame_bytes(2) + 8]
)
def test_a_frame_of_an_impossible_size_is_damage(size):
    with pytest.raises(JournalCorrupt, match=f"frame size expected .* found {size} bytes"):
        unframed("j", framed(rows_of(3, 0, 3), START)[0][:size], START)


@pytest.mark.parametrize(
    ("position", "what"),
    [
        (Position(8, 900, LATER.checksum), "batches before expected 8, found 7"),
        (Position(7, 901, LATER.checksum), "rows before expected 901, found 900"),
        (Position(7, 900, b"\x5f" * 16), f"checksum before expected {'5f' * 16}, found {'5e' * 16}"),
    ],
)
def test_a_whole_frame_in_another_place_is_damage_and_the_field_is_named(position, what):
    with pytest.raises(JournalCorrupt, match=what):
        unframed("j", framed(rows_of(3, 0, 1), LATER)[0], position)


def test_a_changed_row_and_a_changed_header_are_named():
    frame = bytearray(framed(rows_of(3, 0, 1), LATER)[0])
    frame[BATCH_HEADER_BYTES] ^= 1
    with pytest.raises(JournalCorrupt, match="batch checksum"):
        unframed("j", bytes(frame), LATER)
    frame[BATCH_HEADER_BYTES - 1] ^= 1
    with pytest.raises(JournalCorrupt, match="header checksum"):
        unframed("j", bytes(frame), LATER)


def test_what_cannot_be_exchanged_is_refused():
    assert exchangeable(rows_of(1, 0, 2)).shape == (2, 8)
    with pytest.raises(Malformed, match="rows to be journaled"):
        exchangeable(np.zeros((1, 7), dtype=np.int64))
    with pytest.raises(Malformed, match=f"expected at most {EXCHANGE_ROWS_MAX}.*in parts"):
        exchangeable(np.zeros((EXCHANGE_ROWS_MAX + 1, 8), dtype=np.int64))


def test_no_batches_are_no_rows():
    assert joined([]).shape == (0, 8)
    assert joined([rows_of(1, 0, 2), rows_of(2, 0, 1)]).shape == (3, 8)
