"""The bytes of headers and frames, and the chain through them."""

from hashlib import blake2b
from itertools import pairwise

import numpy as np
import pytest

from ciyuan.basics.errors import Malformed
from ciyuan.journal.frame import (
    BATCH_HEADER_BYTES,
    SEGMENT_HEADER_BYTES,
    after_segment_header,
    batch_header,
    checked_rows,
    checksum,
    frame,
    frame_bytes,
    genesis_bytes,
    genesis_position,
    rows_at,
    segment_header,
)
from tests.journal.small import GENESIS, rows_of, written


def test_a_frame_is_written_from_the_rows_themselves():
    rows = rows_of(1, 3)
    buffers, after = frame(rows, genesis_position(GENESIS))
    assert np.shares_memory(np.frombuffer(buffers[1], dtype=np.int64), rows)
    assert sum(len(buffer) for buffer in buffers) == frame_bytes(3)
    assert (after.batches, after.sequence, after.checksum) == (1, 3, buffers[2])


def test_rows_come_back_as_a_view_that_can_be_written_to():
    rows = rows_of(1, 3)
    buffers, _ = frame(rows, genesis_position(GENESIS))
    data = np.frombuffer(bytearray(b"".join(buffers)), dtype=np.uint8)
    found = rows_at(data.data, BATCH_HEADER_BYTES, 3)
    assert np.array_equal(found, rows)
    assert np.shares_memory(found, data)
    assert found.dtype == np.int64
    assert found.flags.c_contiguous
    assert found.flags.writeable


def test_every_checksum_closes_over_the_one_before():
    journal = written()
    before = GENESIS
    for data, bounds in zip(journal.segments, journal.bounds, strict=True):
        assert data[56:72] == before
        before = data[SEGMENT_HEADER_BYTES - 16 : SEGMENT_HEADER_BYTES]
        assert before == blake2b(data[:72], digest_size=16, person=b"ciyuan segment").digest()
        for first, end in pairwise(bounds):
            assert data[first + 24 : first + 40] == before
            header = blake2b(data[first : first + 40], digest_size=16, person=b"ciyuan header").digest()
            assert data[first + 40 : first + 56] == header
            before = data[end - 16 : end]
            assert before == blake2b(data[first : end - 16], digest_size=16, person=b"ciyuan batch").digest()
    assert journal.end.checksum == before


def test_kinds_of_checksum_differ_for_the_same_bytes():
    assert (
        len({checksum(person, b"same") for person in (b"ciyuan segment", b"ciyuan header", b"ciyuan batch")})
        == 3
    )


def test_words_stay_in_their_places_at_the_ends_of_their_range():
    extremes = np.array([[2**63 - 1, -(2**63), 0, -1, 1, 2**62, -(2**62), 7]], dtype=np.int64)
    buffers, _ = frame(extremes, genesis_position(GENESIS))
    assert bytes(buffers[1]) == b"".join(int(word).to_bytes(8, "little", signed=True) for word in extremes[0])


def test_the_position_moves_through_a_segment_header_without_counting():
    start = genesis_position(GENESIS)
    header = segment_header(1, GENESIS, start)
    after = after_segment_header(start, header)
    assert (after.batches, after.sequence, after.checksum) == (0, 0, header[-16:])
    assert batch_header(after, 1)[24:40] == header[-16:]


@pytest.mark.parametrize(
    "rows",
    [
        np.zeros((2, 7), dtype=np.int64),
        np.zeros(8, dtype=np.int64),
        np.zeros((2, 8), dtype=np.float64),
        np.zeros((2, 8), dtype=np.int32),
        np.zeros((2, 8), dtype=">i8"),
        np.zeros((8, 2), dtype=np.int64).T,
        np.zeros((4, 8), dtype=np.int64)[::2],
    ],
)
def test_what_is_no_matrix_of_rows_is_refused(rows):
    with pytest.raises(Malformed, match=r"C-contiguous \(n, 8\) int64"):
        checked_rows(rows)


def test_a_genesis_is_sixteen_bytes_written_either_way():
    assert genesis_bytes(GENESIS.hex()) == genesis_bytes(GENESIS) == GENESIS


@pytest.mark.parametrize("genesis", ["", "00" * 15, "zz" * 16, b"", b"x" * 17])
def test_any_other_genesis_is_refused(genesis):
    with pytest.raises(Malformed, match="16 bytes or 32 hexadecimal"):
        genesis_bytes(genesis)
