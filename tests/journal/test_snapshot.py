"""A snapshot comes back as it was, or its checksum says that it does not."""

import numpy as np
import pytest

from ciyuan.basics.errors import JournalCorrupt, Malformed
from ciyuan.journal.frame import checksum
from ciyuan.journal.messages import Snapshot
from ciyuan.journal.snapshot import SNAPSHOT_PERSON, read_snapshot, snapshot_buffers

PARTS = {
    "accounts": np.arange(-8, 8, dtype=np.int64).reshape(2, 8),
    "nothing": np.empty((0, 8), dtype=np.int64),
    "时钟": np.array([[2**63 - 1], [-(2**63)]], dtype=np.int64),
}
STATE, GENESIS = "0123456789abcdef" * 2, "fedcba9876543210" * 2


def data_of(parts) -> bytes:
    return b"".join(snapshot_buffers(Snapshot(1234, STATE, GENESIS, parts)))


def read(data: bytes) -> Snapshot:
    return read_snapshot("kept", np.frombuffer(bytearray(data), dtype=np.uint8).data)


@pytest.mark.parametrize(
    "parts", [PARTS, {}, {"nothing": PARTS["nothing"]}, {"wide": PARTS["accounts"].T[::-1]}]
)
def test_what_was_kept_is_read(parts):
    found = read(data_of(parts))
    assert (found.sequence, found.state_hash, found.genesis) == (1234, STATE, GENESIS)
    assert list(found.parts) == list(parts)
    for name, part in parts.items():
        assert found.parts[name].dtype == np.int64
        assert found.parts[name].shape == part.shape
        assert np.array_equal(found.parts[name], part)


def test_the_parts_can_be_written_to_and_are_aligned():
    found = read(data_of(PARTS))
    assert all(
        part.flags.writeable and part.flags.aligned and part.flags.c_contiguous
        for part in found.parts.values()
    )


def test_the_matrices_are_not_copied_on_their_way_to_the_disk():
    buffers = snapshot_buffers(Snapshot(1, STATE, GENESIS, PARTS))
    assert np.shares_memory(np.frombuffer(buffers[2], dtype=np.int64), PARTS["accounts"])


def test_equal_snapshots_are_equal_bytes():
    assert data_of(PARTS) == data_of({name: part.copy() for name, part in PARTS.items()})


def test_every_changed_byte_is_found():
    data = data_of(PARTS)
    for byte in range(len(data)):
        for change in (0x01, 0x80, 0xFF):
            with pytest.raises(
                JournalCorrupt, match="journal segment kept is damaged at byte 0: snapshot checksum expected"
            ):
                read(data[:byte] + bytes([data[byte] ^ change]) + data[byte + 1 :])


def test_every_lost_or_added_end_is_found():
    data = data_of(PARTS)
    for length in range(len(data)):
        with pytest.raises(JournalCorrupt):
            read(data[:length])
    with pytest.raises(JournalCorrupt):
        read(data + b"\0")


@pytest.mark.parametrize(
    ("change", "what"),
    [((b"ciyuanS", b"ciyuanX"), "magic"), ((b'"version": 1', b'"version": 2'), "snapshot version")],
)
def test_another_kind_of_file_is_not_taken_for_a_snapshot(change, what):
    body = data_of(PARTS)[:-16].replace(*change)
    with pytest.raises(JournalCorrupt) as caught:
        read(body + checksum(SNAPSHOT_PERSON, body))
    assert caught.value.what == what


@pytest.mark.parametrize(
    "part", [np.zeros(3, dtype=np.int64), np.zeros((2, 2)), np.zeros((1, 1), dtype=np.int32)]
)
def test_a_part_that_is_no_int64_matrix_is_refused(part):
    with pytest.raises(Malformed, match="snapshot part odd"):
        snapshot_buffers(Snapshot(1, STATE, GENESIS, {"odd": part}))
