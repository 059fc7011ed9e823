"""Disks for tests: one that remembers what it was told, so that a power cut can be played at every moment; one that fails."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ciyuan.services.disk import Disk

WORD = 8


@dataclass
class Call:
    """One system call: its name, the file's number (0 for folders), and what it was given."""

    name: str
    file: int = 0
    offset: int = 0
    data: bytes = b""
    source: str = ""
    target: str = ""


class RecordingDisk(Disk):
    """Does what it is told, and keeps the calls in order."""

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self._files: dict[int, int] = {}
        self._count = 0

    def _number(self, descriptor: int) -> int:
        self._count += 1
        self._files[descriptor] = self._count
        return self._count

    def create(self, path: Path) -> int:
        descriptor = super().create(path)
        self.calls.append(Call("create", self._number(descriptor), target=path.name))
        return descriptor

    def open_existing(self, path: Path) -> int:
        descriptor = super().open_existing(path)
        self.calls.append(Call("open", self._number(descriptor), data=path.read_bytes(), target=path.name))
        return descriptor

    def write_some(self, descriptor: int, buffers: Sequence[bytes | memoryview], offset: int) -> int:
        data = b"".join(buffers)
        self.calls.append(Call("write", self._files[descriptor], offset, data))
        return super().write_some(descriptor, buffers, offset)

    def sync(self, descriptor: int) -> None:
        super().sync(descriptor)
        self.calls.append(Call("sync", self._files[descriptor]))

    def truncate(self, descriptor: int, size: int) -> None:
        super().truncate(descriptor, size)
        self.calls.append(Call("truncate", self._files[descriptor], size))

    def rename(self, source: Path, target: Path) -> None:
        super().rename(source, target)
        self.calls.append(Call("rename", source=source.name, target=target.name))

    def sync_folder(self, folder: Path) -> None:
        super().sync_folder(folder)
        self.calls.append(Call("sync folder"))


@dataclass
class Platter:
    """What is on the disk (`durable`) and what the system still holds in memory (`cached`), by file; names likewise."""

    durable: dict[int, bytes] = field(default_factory=dict)
    cached: dict[int, bytes] = field(default_factory=dict)
    names: dict[str, int] = field(default_factory=dict)
    names_cached: dict[str, int] = field(default_factory=dict)

    def play(self, call: Call) -> None:
        """Do what a call did."""
        if call.name == "create":
            self.durable[call.file] = self.cached[call.file] = b""
            self.names_cached[call.target] = call.file
        elif call.name == "open":
            self.durable[call.file] = self.cached[call.file] = call.data
            self.names[call.target] = self.names_cached[call.target] = call.file
        elif call.name == "write":
            before = self.cached[call.file].ljust(call.offset, b"\0")
            self.cached[call.file] = (
                before[: call.offset] + call.data + before[call.offset + len(call.data) :]
            )
        elif call.name == "truncate":
            self.cached[call.file] = self.cached[call.file][: call.offset]
        elif call.name == "sync":
            self.durable[call.file] = self.cached[call.file]
        elif call.name == "rename":
            self.names_cached[call.target] = self.names_cached.pop(call.source)
        elif call.name == "sync folder":
            self.names = dict(self.names_cached)

    def after_power_cut(self) -> Iterator[dict[str, bytes]]:
        """The folders that a cut at this moment may leave: what was synced, and of the rest nothing, a beginning, or all."""
        for names in (self.names, self.names_cached):
            whole = {name: self.durable[file] for name, file in names.items()}
            yield whole
            for name, file in names.items():
                for data in _beginnings(self.durable[file], self.cached[file]):
                    yield {**whole, name: data}


def _beginnings(durable: bytes, cached: bytes) -> Iterator[bytes]:
    """What a file may hold between two syncs: cut short, or of its new size with the last words still zeros."""
    if cached[: len(durable)] != durable:
        yield cached
        return
    for size in range(len(durable), len(cached) + 1):
        yield cached[:size]
        if size % WORD == 0:
            yield cached[:size] + bytes(len(cached) - size)


class FailingDisk(Disk):
    """Says no to one call, counted from 0 over all calls, with the given error; a write leaves half of its bytes behind."""

    def __init__(self, failing_call: int, code: int) -> None:
        self.count = 0
        self._failing_call = failing_call
        self._code = code

    def _ask(self) -> bool:
        self.count += 1
        return self.count - 1 == self._failing_call

    def _refuse(self) -> OSError:
        return OSError(self._code, os.strerror(self._code))

    def create(self, path: Path) -> int:
        if self._ask():
            raise self._refuse()
        return super().create(path)

    def open_existing(self, path: Path) -> int:
        if self._ask():
            raise self._refuse()
        return super().open_existing(path)

    def write_some(self, descriptor: int, buffers: Sequence[bytes | memoryview], offset: int) -> int:
        if self._ask():
            data = b"".join(buffers)
            super().write_some(descriptor, [data[: len(data) // 2]], offset)
            raise self._refuse()
        return super().write_some(descriptor, buffers, offset)

    def sync(self, descriptor: int) -> None:
        if self._ask():
            raise self._refuse()
        super().sync(descriptor)

    def truncate(self, descriptor: int, size: int) -> None:
        if self._ask():
            raise self._refuse()
        super().truncate(descriptor, size)

    def rename(self, source: Path, target: Path) -> None:
        if self._ask():
            raise self._refuse()
        super().rename(source, target)

    def sync_folder(self, folder: Path) -> None:
        if self._ask():
            raise self._refuse()
        super().sync_folder(folder)
