"""The disk, as the store needs it: whole writes, durable or not at all, and a folder with one writer.

`Disk` is every system call that a store writes with, one method each, so that a test can put a failing one in its place.
"""

import fcntl
import os
from collections.abc import Sequence
from pathlib import Path

from ciyuan.basics.errors import Malformed

LOCK = "lock"
DRAFT = ".draft"
BUFFERS_MAX = 1024
"""Most buffers of one call to the system (IOV_MAX)."""


class Disk:
    """The system calls of writing. Every method raises OSError where the system says no; nothing is tried again."""

    def create(self, path: Path) -> int:
        """A new empty file (an old one of that name is emptied), open for writing; its descriptor."""
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644)

    def open_existing(self, path: Path) -> int:
        """An existing file, open for writing; its descriptor."""
        return os.open(path, os.O_RDWR | os.O_CLOEXEC)

    def write_some(self, descriptor: int, buffers: Sequence[bytes | memoryview], offset: int) -> int:
        """Write the buffers, or a beginning of them, at byte `offset`; how many bytes were written."""
        return os.pwritev(descriptor, buffers, offset)

    def sync(self, descriptor: int) -> None:
        """Return when the file's bytes, and its size, are on the disk."""
        os.fdatasync(descriptor)

    def truncate(self, descriptor: int, size: int) -> None:
        """Cut a file to `size` bytes."""
        os.ftruncate(descriptor, size)

    def rename(self, source: Path, target: Path) -> None:
        """Give a file its name at once; what had that name before is gone."""
        source.replace(target)

    def sync_folder(self, folder: Path) -> None:
        """Return when the names in a folder are on the disk."""
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def write(self, descriptor: int, buffers: Sequence[bytes | memoryview], offset: int) -> int:
        """Write all the buffers at byte `offset`; the byte behind them."""
        left = [memoryview(buffer) for buffer in buffers]
        while left:
            written = self.write_some(descriptor, left[:BUFFERS_MAX], offset)
            offset += written
            while left and written >= len(left[0]):
                written -= len(left.pop(0))
            if left:
                left[0] = left[0][written:]
        return offset

    def write_new(self, path: Path, buffers: Sequence[bytes | memoryview]) -> int:
        """Write a file that has its name only when it is whole and durable; its descriptor, still open for writing."""
        draft = path.with_name(path.name + DRAFT)
        descriptor = self.create(draft)
        try:
            self.write(descriptor, buffers, 0)
            self.sync(descriptor)
            self.rename(draft, path)
            self.sync_folder(path.parent)
        except BaseException:
            os.close(descriptor)
            raise
        return descriptor


def lock_folder(folder: Path) -> int:
    """Make this process the folder's one writer; the lock's descriptor, and closing it (or dying) lets go.

    Raises Malformed if there is a writer already, in this process or another.
    """
    descriptor = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.pread(descriptor, 32, 0).decode(errors="replace").strip()
        os.close(descriptor)
        raise Malformed(
            f"store {folder}",
            found=f"a writer, process {holder or 'unknown'}",
            expected="no writer: a store has one at a time",
            remedy="Wait until it ends, or stop it.",
        ) from None
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
    return descriptor
