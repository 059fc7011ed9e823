"""A power cut at every moment, a disk that says no at every call: what was acknowledged is there."""

import errno
from pathlib import Path

import numpy as np
import pytest

from ciyuan.basics.errors import Malformed
from ciyuan.journal.frame import SEGMENT_HEADER_BYTES, frame_bytes
from ciyuan.services.archive import Archive
from ciyuan.services.disk import Disk
from ciyuan.services.store import Store, StoreFailed
from tests.services.fragile import Call, FailingDisk, Platter, RecordingDisk
from tests.services.numbered import GENESIS, check_rows, numbered

SEGMENT_BYTES = SEGMENT_HEADER_BYTES + frame_bytes(4)
PARTS = {"clock": np.array([[7, 8, 9]], dtype=np.int64)}


def play(folder: Path, disk: Disk, acknowledge) -> None:
    """A store's life: batches, group commits, new segments, a snapshot, closed and opened again."""
    with Store.create(folder, GENESIS, segment_bytes=SEGMENT_BYTES, disk=disk) as store:
        acknowledge(store.sequence)
        for count in (1, 2, 1):
            acknowledge(store.append(numbered(store.sequence, count)))
        store.snapshot(store.sequence, PARTS, GENESIS)
    with Store.open(folder, segment_bytes=SEGMENT_BYTES, disk=disk) as store:
        for _ in range(2):
            store.stage(numbered(store.sequence, 1))
            store.stage(numbered(store.sequence + 1, 1))
            acknowledge(store.commit())


def put(folder: Path, files: dict[str, bytes]) -> None:
    for path in folder.iterdir():
        path.unlink()
    for name, data in files.items():
        (folder / name).write_bytes(data)


def test_a_power_cut_at_any_moment_loses_nothing_that_was_acknowledged(tmp_path):
    disk = RecordingDisk()
    play(tmp_path / "lived", disk, lambda sequence: disk.calls.append(Call("acknowledged", offset=sequence)))
    after = tmp_path / "after"
    after.mkdir()
    platter, acknowledged, cuts = Platter(), None, 0
    for call in disk.calls:
        platter.play(call)
        if call.name == "acknowledged":
            acknowledged = call.offset
        for files in platter.after_power_cut():
            put(after, files)
            cuts += 1
            if acknowledged is None and "segment-00000001.journal" not in files:
                with pytest.raises(Malformed, match="no segment"):
                    Archive.open(after)
                continue
            archive = Archive.open(after)
            assert check_rows(archive) >= (acknowledged or 0)
            assert archive.recovery.damaged_snapshots == ()
    assert acknowledged == 8
    assert cuts > 2_000


def test_a_store_goes_on_after_a_power_cut_at_any_moment(tmp_path):
    disk = RecordingDisk()
    play(tmp_path / "lived", disk, lambda _: None)
    after = tmp_path / "after"
    after.mkdir()
    platter, opened = Platter(), 0
    for call in disk.calls:
        platter.play(call)
        for files in list(platter.after_power_cut())[::23]:
            if "segment-00000001.journal" in files:
                put(after, files)
                with Store.open(after, segment_bytes=SEGMENT_BYTES) as store:
                    kept = store.sequence
                    store.append(numbered(kept, 3))
                assert check_rows(Archive.open(after)) == kept + 3
                opened += 1
    assert opened > 50


def calls_of_a_life(tmp_path: Path) -> int:
    disk = FailingDisk(-1, errno.EIO)
    play(tmp_path / "counted", disk, lambda _: None)
    return disk.count


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO])
def test_a_disk_that_refuses_any_one_call_stops_the_store_and_loses_nothing(tmp_path, code):
    calls = calls_of_a_life(tmp_path)
    assert calls > 30
    for failing_call in range(calls):
        folder, acknowledged = tmp_path / f"{code}-{failing_call}", [0]
        disk = FailingDisk(failing_call, code)
        with pytest.raises(StoreFailed) as caught:
            play(folder, disk, acknowledged.append)
        assert caught.value.sequence <= acknowledged[-1]
        assert isinstance(caught.value.__cause__, OSError)
        assert caught.value.__cause__.errno == code
        if len(acknowledged) == 1:
            Store.create(folder, GENESIS).close() if not any(folder.glob("segment-*.journal")) else None
        with Store.open(folder) as store:
            assert check_rows(store) >= acknowledged[-1]


@pytest.mark.parametrize("failing_call", range(2))
def test_nothing_is_acknowledged_after_a_failed_write_or_sync(tmp_path, failing_call):
    """A sync that is tried again succeeds without having written what the failed one lost: so none is tried again."""
    with Store.create(tmp_path, GENESIS) as store:
        store.append(numbered(0, 2))
    opening = ["open", "write", "sync", "sync folder"]
    disk = FailingDisk(len(opening) + failing_call, errno.EIO)
    with Store.open(tmp_path, disk=disk) as store:
        with pytest.raises(StoreFailed, match=r"Input/output error\. All up to row 2 is safe"):
            store.append(numbered(2, 2))
        calls = disk.count
        for write in (
            lambda: store.append(numbered(2, 2)),
            lambda: store.stage(numbered(2, 2)),
            store.commit,
            lambda: store.snapshot(2, PARTS, GENESIS),
        ):
            with pytest.raises(StoreFailed, match="Input/output error"):
                write()
        assert disk.count == calls
        assert (store.sequence, check_rows(store)) == (2, 2)
        with pytest.raises(Malformed, match="a writer"):
            Store.open(tmp_path)
    with Store.open(tmp_path) as store:
        assert check_rows(store) >= 2


def test_an_interrupt_in_the_middle_of_a_write_stops_the_store(tmp_path):
    class Interrupted(Disk):
        armed = False

        def sync(self, descriptor):
            if self.armed:
                raise KeyboardInterrupt
            super().sync(descriptor)

    disk = Interrupted()
    with Store.create(tmp_path, GENESIS, disk=disk) as store:
        store.append(numbered(0, 2))
        disk.armed = True
        with pytest.raises(KeyboardInterrupt):
            store.append(numbered(2, 2))
        disk.armed = False
        with pytest.raises(StoreFailed, match="interrupted by KeyboardInterrupt"):
            store.append(numbered(2, 1))
    with Store.open(tmp_path) as store:
        assert store.append(numbered(store.sequence, 1)) == 5
        assert check_rows(store) == 5


def test_a_failed_snapshot_leaves_none_behind_and_the_journal_whole(tmp_path):
    with Store.create(tmp_path, GENESIS) as store:
        store.append(numbered(0, 2))
    with (
        Store.open(tmp_path, disk=FailingDisk(5, errno.ENOSPC)) as store,
        pytest.raises(StoreFailed, match="No space left"),
    ):
        store.snapshot(2, PARTS, GENESIS)
    with Store.open(tmp_path) as store:
        assert store.latest_snapshot() is None
        assert store.recovery.damaged_snapshots == ()
        assert check_rows(store) == 2
