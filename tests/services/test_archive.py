"""Reading a journal's folder: files that are missing or changed, and snapshots."""

import numpy as np
import pytest
from numpy.typing import NDArray

from ciyuan.basics.errors import JournalCorrupt, Malformed
from ciyuan.basics.state import state_hash
from ciyuan.journal.frame import SEGMENT_HEADER_BYTES, frame_bytes
from ciyuan.services.archive import Archive, segment_name, snapshot_name
from ciyuan.services.store import Store
from tests.services.numbered import GENESIS, check_rows, numbered

PARTS = {"accounts": numbered(0, 20), "clock": np.array([[7]], dtype=np.int64)}
HASH = state_hash(PARTS)


@pytest.fixture
def folder(tmp_path):
    """Three segments of two batches of five rows; snapshots after rows 10 and 20."""
    with Store.create(
        tmp_path / "journal", GENESIS, segment_bytes=SEGMENT_HEADER_BYTES + 2 * frame_bytes(5)
    ) as store:
        for i in range(0, 30, 5):
            store.append(numbered(i, 5))
        store.snapshot(10, PARTS, HASH)
        store.snapshot(20, PARTS, HASH)
    return tmp_path / "journal"


def flip(path, byte):
    data = bytearray(path.read_bytes())
    data[byte] ^= 0x10
    path.write_bytes(data)


def test_reading_changes_nothing(folder):
    before = {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in folder.iterdir()}
    archive = Archive.open(folder)
    assert check_rows(archive) == 30
    assert archive.latest_snapshot() is not None
    assert {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in folder.iterdir()} == before


@pytest.mark.parametrize(("missing", "named"), [(1, 1), (2, 2)])
def test_a_missing_segment_is_named(folder, missing, named):
    (folder / segment_name(missing)).unlink()
    with pytest.raises(JournalCorrupt) as caught:
        Archive.open(folder)
    assert (caught.value.segment, caught.value.expected) == (segment_name(named), segment_name(named))


def test_segments_that_changed_places_are_named(folder):
    first, second, third = (folder / segment_name(number) for number in (1, 2, 3))
    second.rename(folder / "aside")
    third.rename(second)
    (folder / "aside").rename(third)
    with pytest.raises(JournalCorrupt) as caught:
        Archive.open(folder)
    assert (caught.value.segment, caught.value.what) == (segment_name(2), "segment number")
    assert first.exists()


def test_a_flipped_byte_is_named_with_its_file_and_frame(folder):
    for number in (1, 2, 3):
        for frame in (0, 1):
            at = SEGMENT_HEADER_BYTES + frame * frame_bytes(5)
            flip(folder / segment_name(number), at + 100)
            with pytest.raises(JournalCorrupt) as caught:
                Archive.open(folder)
            assert (caught.value.segment, caught.value.offset) == (segment_name(number), at)
            flip(folder / segment_name(number), at + 100)
    assert check_rows(Archive.open(folder)) == 30


def test_damage_that_comes_after_opening_is_found_when_it_is_read(folder):
    archive = Archive.open(folder)
    flip(folder / segment_name(2), 200)
    given: list[NDArray[np.int64]] = []
    with pytest.raises(JournalCorrupt, match=segment_name(2)):
        given.extend(archive.read())
    assert np.array_equal(np.concatenate(given), numbered(0, 10))


@pytest.mark.parametrize("number", [2, 3])
def test_batches_that_went_missing_after_opening_are_not_skipped(folder, number):
    archive = Archive.open(folder)
    path = folder / segment_name(number)
    path.write_bytes(path.read_bytes()[: -frame_bytes(5)])
    with pytest.raises(
        JournalCorrupt,
        match=f"last row expected row {number * 10}, found the end after row {number * 10 - 5}",
    ):
        check_rows(archive)


def test_a_snapshot_of_a_row_that_is_missing_proves_the_loss(folder):
    """A last segment that is gone, or a last batch, cannot be seen in what is left; a snapshot has seen it."""
    with Store.open(folder) as store:
        store.snapshot(30, PARTS, HASH)
    path = folder / segment_name(3)
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(
        JournalCorrupt,
        match=r"last row expected row 30, as snapshot-0+30\.state says, found the end after row 25",
    ):
        Archive.open(folder)
    path.unlink()
    with pytest.raises(JournalCorrupt, match="found the end after row 20"):
        Archive.open(folder)
    flip(folder / snapshot_name(30), 50)
    archive = Archive.open(folder)
    assert check_rows(archive) == 20
    assert [damaged.name for damaged in archive.recovery.damaged_snapshots] == [snapshot_name(30)]


def test_a_snapshot_kept_while_the_segments_are_being_read_is_no_proof_of_loss(folder, monkeypatch):
    with Store.open(folder) as store:
        scan = Archive._scan

        def scan_while_the_store_goes_on(archive):
            found = scan(archive)
            store.snapshot(store.append(numbered(30, 5)), PARTS, HASH)
            return found

        monkeypatch.setattr(Archive, "_scan", scan_while_the_store_goes_on)
        archive = Archive.open(folder)
        assert (archive.sequence, store.sequence) == (30, 35)
        assert check_rows(archive) == 30


def test_a_file_that_cannot_be_read_is_named(folder):
    (folder / segment_name(4)).mkdir()
    with pytest.raises(Malformed, match=segment_name(4)):
        Archive.open(folder)


def test_other_files_in_the_folder_do_not_matter(folder):
    (folder / "snapshot-latest.state").write_bytes(b"")
    (folder / "notes.txt").write_text("mine")
    assert check_rows(Archive.open(folder)) == 30


@pytest.mark.parametrize(
    ("at_or_before", "found"), [(None, 20), (30, 20), (20, 20), (19, 10), (10, 10), (9, None)]
)
def test_the_newest_snapshot_at_or_before_a_row(folder, at_or_before, found):
    snapshot = Archive.open(folder).latest_snapshot(at_or_before)
    if found is None:
        assert snapshot is None
    else:
        assert snapshot is not None
        assert (snapshot.sequence, snapshot.genesis, snapshot.state_hash) == (found, GENESIS, HASH)
        assert state_hash(snapshot.parts) == HASH


def test_a_damaged_snapshot_is_named_and_an_older_one_taken(folder):
    flip(folder / snapshot_name(20), 300)
    archive = Archive.open(folder)
    for _ in range(2):
        snapshot = archive.latest_snapshot()
        assert snapshot is not None
        assert snapshot.sequence == 10
        assert [damaged.name for damaged in archive.recovery.damaged_snapshots] == [snapshot_name(20)]
    assert "snapshot checksum expected" in str(archive.recovery)
    flip(folder / snapshot_name(10), 0)
    assert archive.latest_snapshot() is None
    assert len(archive.recovery.damaged_snapshots) == 2
    assert check_rows(archive) == 30


def test_a_snapshot_of_another_journal_or_under_another_name_is_not_taken(folder, tmp_path):
    with Store.create(tmp_path / "other", "ab" * 16) as other:
        other.append(numbered(0, 5))
        path = other.snapshot(5, PARTS, HASH)
    (folder / snapshot_name(5)).write_bytes(path.read_bytes())
    (folder / snapshot_name(6)).write_bytes((folder / snapshot_name(10)).read_bytes())
    archive = Archive.open(folder)
    assert archive.latest_snapshot(6) is None
    assert [damaged.why for damaged in archive.recovery.damaged_snapshots] == [
        "it is of row 10, not the row of its name", f"it is of another journal, genesis {'ab' * 16}",
    ]  # fmt: skip


def test_a_snapshot_is_never_ahead_of_the_journal(folder):
    with Store.open(folder) as store:
        store.stage(numbered(30, 1))
        with pytest.raises(Malformed, match="expected 0 to 30, the last durable row"):
            store.snapshot(31, PARTS, HASH)
        store.commit()
        assert store.snapshot(31, PARTS, HASH).name == snapshot_name(31)
        found = store.latest_snapshot()
        assert found is not None
        assert found.sequence == 31


def test_replaying_from_a_snapshot_is_reading_what_follows_it(folder):
    archive = Archive.open(folder)
    snapshot = archive.latest_snapshot(25)
    assert snapshot is not None
    assert np.array_equal(np.concatenate(list(archive.read(snapshot.sequence))), numbered(20, 10))
