"""Whole writes, files that are there only when they are whole, and the lock."""

import os

import pytest

from ciyuan.basics.errors import Malformed
from ciyuan.services.disk import BUFFERS_MAX, Disk, lock_folder


class StingyDisk(Disk):
    """Writes at most `most` bytes of the first buffer at a time, as a disk may."""

    def __init__(self, most: int) -> None:
        self.most = most

    def write_some(self, descriptor, buffers, offset):
        return super().write_some(descriptor, [memoryview(buffers[0])[: self.most]], offset)


@pytest.mark.parametrize("disk", [Disk(), StingyDisk(1), StingyDisk(3), StingyDisk(100)])
def test_what_is_written_in_pieces_is_written_whole(tmp_path, disk):
    buffers = [b"abc", b"", memoryview(b"defgh"), b"i", b""]
    descriptor = disk.create(tmp_path / "file")
    assert disk.write(descriptor, buffers, 0) == 9
    assert disk.write(descriptor, [b"XY"], 4) == 6
    os.close(descriptor)
    assert (tmp_path / "file").read_bytes() == b"abcdXYghi"


def test_more_buffers_than_the_system_takes_at_once(tmp_path):
    disk = Disk()
    descriptor = disk.create(tmp_path / "file")
    assert disk.write(descriptor, [b"%4d" % i for i in range(2 * BUFFERS_MAX + 1)], 0) == 4 * (
        2 * BUFFERS_MAX + 1
    )
    os.close(descriptor)
    assert (tmp_path / "file").read_bytes().endswith(b"2046204720482049"[:12])


def test_a_new_file_has_its_name_only_when_it_is_durable(tmp_path):
    class Watching(Disk):
        def __init__(self):
            self.seen = []

        def sync(self, descriptor):
            super().sync(descriptor)
            self.seen.append(("sync", sorted(path.name for path in tmp_path.iterdir())))

        def sync_folder(self, folder):
            super().sync_folder(folder)
            self.seen.append(("sync folder", sorted(path.name for path in tmp_path.iterdir())))

    disk = Watching()
    os.close(disk.write_new(tmp_path / "file", [b"whole"]))
    assert disk.seen == [("sync", ["file.draft"]), ("sync folder", ["file"])]
    assert (tmp_path / "file").read_bytes() == b"whole"


def test_a_lock_names_its_holder_and_is_let_go(tmp_path):
    first = lock_folder(tmp_path)
    with pytest.raises(Malformed, match=f"a writer, process {os.getpid()}"):
        lock_folder(tmp_path)
    os.close(first)
    os.close(lock_folder(tmp_path))
    assert (tmp_path / "lock").read_text() == f"{os.getpid()}\n"
