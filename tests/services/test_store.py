"""The store: what it acknowledges, how it is opened again, who may write."""

import numpy as np
import pytest

from ciyuan.basics.errors import InvariantBroken, JournalCorrupt, Malformed
from ciyuan.journal.frame import BATCH_ROWS_MAX, SEGMENT_HEADER_BYTES, frame_bytes
from ciyuan.services.archive import Archive, segment_name
from ciyuan.services.store import Store, StoreFailed
from tests.services.fragile import RecordingDisk
from tests.services.numbered import GENESIS, check_rows, numbered

SMALL = SEGMENT_HEADER_BYTES + frame_bytes(10)


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "journal"


def sizes(folder):
    return [path.stat().st_size for path in sorted(folder.glob("segment-*"))]


def test_a_new_store_is_empty(folder):
    with Store.create(folder, GENESIS) as store:
        assert (store.sequence, store.genesis) == (0, GENESIS)
        assert list(store.read()) == []
        assert store.latest_snapshot() is None
        assert str(store.recovery) == "journal: 0 rows in 0 batches and 1 segment, all whole."


def test_append_gives_the_last_rows_sequence_and_the_rows_are_there_again(folder):
    with Store.create(folder, GENESIS) as store:
        assert store.append(numbered(0, 3)) == 3
        assert store.append(numbered(3, 1)) == 4
        assert store.append(numbered(4, 0)) == 4
        assert check_rows(store) == 4
    with Store.open(folder) as store:
        assert (store.recovery.rows, store.recovery.batches, store.recovery.torn) == (4, 2, None)
        assert store.append(numbered(4, 2)) == 6
        assert check_rows(store) == 6


def test_each_batch_is_one_write_and_one_sync_and_no_rows_are_none(folder):
    disk = RecordingDisk()
    with Store.create(folder, GENESIS, disk=disk) as store:
        disk.calls.clear()
        store.append(numbered(0, 5))
        assert [call.name for call in disk.calls] == ["write", "sync"]
        assert len(disk.calls[0].data) == frame_bytes(5)
        store.append(numbered(5, 0))
        store.commit()
        assert len(disk.calls) == 2


def test_a_batch_may_be_written_first_and_synced_later(folder):
    disk = RecordingDisk()
    with Store.create(folder, GENESIS, disk=disk) as store:
        disk.calls.clear()
        assert store.write(numbered(0, 5)) == 5
        assert ([call.name for call in disk.calls], store.sequence) == (["write"], 0)
        assert store.sync() == 5
        assert [call.name for call in disk.calls] == ["write", "sync"]
        assert (store.sync(), len(disk.calls)) == (5, 2)
        assert store.append(numbered(5, 2)) == 7
    with Store.open(folder) as store:
        assert check_rows(store) == 7


def test_nothing_is_written_behind_a_batch_that_is_not_synced(folder):
    with Store.create(folder, GENESIS) as store:
        store.write(numbered(0, 5))
        with pytest.raises(InvariantBroken, match="a batch to row 5 is written and not synced"):
            store.append(numbered(5, 1))
        with pytest.raises(StoreFailed, match="All up to row 0 is safe"):
            store.sync()
    with Store.open(folder) as store:
        assert check_rows(store) == 5


def test_staged_rows_become_durable_together(folder):
    disk = RecordingDisk()
    with Store.create(folder, GENESIS, disk=disk) as store:
        disk.calls.clear()
        staged = numbered(0, 1)
        assert store.stage(staged) == 1
        staged[:] = -1
        assert [store.stage(numbered(1 + i, 1)) for i in range(2000)] == list(range(2, 2002))
        assert (store.sequence, disk.calls) == (0, [])
        assert store.commit() == 2001
        assert [call.name for call in disk.calls] == ["write", "sync"]
        assert check_rows(store) == 2001
        assert store.commit() == 2001


def test_append_takes_what_is_staged_first(folder):
    with Store.create(folder, GENESIS) as store:
        store.stage(numbered(0, 2))
        assert store.append(numbered(2, 2)) == 4
        assert check_rows(store) == 4
    assert Archive.open(folder).recovery.batches == 1


def test_staged_rows_are_forgotten_by_close(folder):
    with Store.create(folder, GENESIS) as store:
        store.append(numbered(0, 1))
        store.stage(numbered(1, 1))
    assert check_rows(Archive.open(folder)) == 1


def test_segments_are_begun_when_the_last_has_no_room(folder):
    with Store.create(folder, GENESIS, segment_bytes=SMALL) as store:
        for i in range(0, 40, 5):
            store.append(numbered(i, 5))
        assert check_rows(store) == 40
        assert sizes(folder) == [SEGMENT_HEADER_BYTES + frame_bytes(5)] * 8
    with Store.open(folder, segment_bytes=SEGMENT_HEADER_BYTES + 2 * frame_bytes(5)) as store:
        store.append(numbered(40, 5))
        store.append(numbered(45, 100))
        store.append(numbered(145, 1))
        assert sizes(folder)[7:] == [
            SEGMENT_HEADER_BYTES + size for size in (2 * frame_bytes(5), frame_bytes(100), frame_bytes(1))
        ]
        assert check_rows(store) == 146
    assert check_rows(Archive.open(folder)) == 146


def test_a_matrix_larger_than_a_batch_is_cut_into_batches(folder):
    rows = numbered(0, BATCH_ROWS_MAX + 1)
    with Store.create(folder, GENESIS) as store:
        assert store.append(rows) == len(rows)
        assert [len(batch) for batch in store.read()] == [BATCH_ROWS_MAX, 1]
        assert check_rows(store) == len(rows)


@pytest.mark.parametrize("from_sequence", [0, 1, 4, 5, 6, 19, 20, 21, 39, 40])
def test_reading_starts_after_any_row(folder, from_sequence):
    with Store.create(folder, GENESIS, segment_bytes=SMALL) as store:
        for i in range(0, 40, 5):
            store.append(numbered(i, 5))
        assert check_rows(store, from_sequence) == 40 - from_sequence


def test_a_reader_that_has_begun_ends_where_the_journal_ended_then(folder):
    with Store.create(folder, GENESIS, segment_bytes=SMALL) as store:
        store.append(numbered(0, 5))
        store.append(numbered(5, 5))
        reader = store.read()
        given = [next(reader)]
        store.append(numbered(10, 5))
        given += reader
        assert np.array_equal(np.concatenate(given), numbered(0, 10))


def test_rows_that_are_read_may_be_written_to_without_changing_the_journal(folder):
    with Store.create(folder, GENESIS) as store:
        store.append(numbered(0, 3))
        for rows in store.read():
            rows[:] = 0
        assert check_rows(store) == 3


def test_malformed_rows_are_refused_and_the_store_goes_on(folder):
    with Store.create(folder, GENESIS) as store:
        for write in (store.append, store.stage):
            with pytest.raises(Malformed, match="rows to be journaled"):
                write(np.zeros((1, 7), dtype=np.int64))
        assert store.append(numbered(0, 1)) == 1


def test_a_second_writer_is_refused_and_named_until_the_first_is_gone(folder):
    with Store.create(folder, GENESIS) as store:
        for second in (lambda: Store.open(folder), lambda: Store.create(folder, GENESIS)):
            with pytest.raises(Malformed, match=r"a writer, process \d+.*one at a time.*Wait until it ends"):
                second()
        store.append(numbered(0, 1))
        assert check_rows(Archive.open(folder)) == 1
    with Store.open(folder) as store:
        assert store.append(numbered(1, 1)) == 2


def test_a_folder_with_a_journal_is_not_created_again(folder):
    Store.create(folder, GENESIS).close()
    with pytest.raises(Malformed, match="found 'a journal', expected a folder without one"):
        Store.create(folder, GENESIS)
    Store.open(folder).close()


@pytest.mark.parametrize("kind", [Store, Archive])
def test_a_folder_without_a_journal_is_not_opened_and_not_touched(tmp_path, kind):
    for folder in (tmp_path, tmp_path / "none"):
        with pytest.raises(Malformed, match="found 'no segment'"):
            kind.open(folder)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kind", [Store, Archive])
def test_a_journal_of_another_genesis_is_not_opened(folder, kind):
    Store.create(folder, GENESIS).close()
    with pytest.raises(Malformed, match=f"genesis: found '{GENESIS}', expected {'ab' * 16}"):
        kind.open(folder, "ab" * 16)
    Store.open(folder, GENESIS).close()


def test_a_closed_store_writes_no_more(folder):
    store = Store.create(folder, GENESIS)
    store.append(numbered(0, 1))
    store.close()
    store.close()
    for write in (lambda: store.append(numbered(1, 1)), lambda: store.stage(numbered(1, 1)), store.commit):
        with pytest.raises(StoreFailed, match="it is closed"):
            write()
    assert check_rows(store) == 1


def test_a_torn_tail_is_cut_off_once_and_said(folder):
    with Store.create(folder, GENESIS) as store:
        store.append(numbered(0, 3))
        store.append(numbered(3, 3))
    path, whole = folder / segment_name(1), SEGMENT_HEADER_BYTES + frame_bytes(3)
    path.write_bytes(path.read_bytes()[:-1])

    seen = Archive.open(folder).recovery
    assert seen.torn is not None
    assert (seen.rows, seen.cut, seen.torn.offset, seen.torn.bytes_cut) == (
        3,
        False,
        whole,
        frame_bytes(3) - 1,
    )
    assert path.stat().st_size == whole + frame_bytes(3) - 1

    with Store.open(folder) as store:
        assert (store.recovery.torn, store.recovery.cut) == (seen.torn, True)
        assert path.stat().st_size == whole
        assert store.append(numbered(3, 1)) == 4
        assert check_rows(store) == 4
    with Store.open(folder) as store:
        assert store.recovery.torn is None


def test_opening_makes_the_last_batch_durable_before_anything_else(folder):
    """A process that died may have written it and not synced it; a sync that failed may have left it in memory only."""
    with Store.create(folder, GENESIS) as store:
        store.append(numbered(0, 3))
        store.append(numbered(3, 2))
    disk = RecordingDisk()
    with Store.open(folder, disk=disk):
        assert [call.name for call in disk.calls] == ["open", "write", "sync", "sync folder"]
        assert disk.calls[1].data == (folder / segment_name(1)).read_bytes()[-frame_bytes(2) :]
        assert disk.calls[1].offset == SEGMENT_HEADER_BYTES + frame_bytes(3)


def test_a_damaged_journal_is_not_opened_for_writing_and_the_lock_is_free_again(folder):
    with Store.create(folder, GENESIS) as store:
        store.append(numbered(0, 3))
    path = folder / segment_name(1)
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    for _ in range(2):
        with pytest.raises(JournalCorrupt, match="batch checksum expected"):
            Store.open(folder)
    assert path.read_bytes() == bytes(data)
    data[-1] ^= 1
    path.write_bytes(data)
    with Store.open(folder) as store:
        assert store.append(numbered(3, 1)) == 4


def test_drafts_of_an_interrupted_write_are_cleared_away(folder):
    Store.create(folder, GENESIS).close()
    (folder / "segment-00000002.journal.draft").write_bytes(b"half")
    Store.open(folder).close()
    assert sorted(path.name for path in folder.iterdir()) == ["lock", segment_name(1)]
