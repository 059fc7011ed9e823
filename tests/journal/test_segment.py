"""Every way to damage a small journal, one at a time: what was whole before the place is given, and the place is named."""

import re

import numpy as np
import pytest

from ciyuan.basics.errors import JournalCorrupt, Malformed
from ciyuan.basics.rows import ROW_BYTES
from ciyuan.journal.frame import (
    BATCH_HEADER_BYTES,
    BATCH_MAGIC,
    BATCH_PERSON,
    BATCH_ROWS_MAX,
    CHECKSUM_BYTES,
    HEADER_PERSON,
    SEGMENT_FIELDS,
    SEGMENT_HEADER_BYTES,
    SEGMENT_PERSON,
    batch_header,
    checksum,
    frame,
    frame_bytes,
    genesis_position,
    segment_header,
)
from ciyuan.journal.messages import Position
from ciyuan.journal.segment import genesis_of
from tests.journal.small import ALL, BATCHES, GENESIS, NAMES, Read, read, rows_of, same, written

JOURNAL = written()
FIRST, SECOND = JOURNAL.segments
HEX = re.compile(r"[0-9a-f]+|\d+( bytes)?")


def frames_before(segment: int, byte: int) -> int:
    """How many frames of a segment end at or before a byte."""
    return sum(bound <= byte for bound in JOURNAL.bounds[segment][1:])


def frame_start(segment: int, byte: int) -> int:
    """The byte at which the frame (or the segment header) around a byte starts."""
    return max([0, *(bound for bound in JOURNAL.bounds[segment] if bound <= byte)])


def check_damage(segments: list[bytes], name: str, offset: int, whole: int) -> JournalCorrupt:
    """The segments are damaged, this is the place, and the `whole` batches before it were given."""
    found = Read()
    with pytest.raises(JournalCorrupt) as caught:
        read(segments, found)
    damage = caught.value
    assert (damage.segment, damage.offset) == (name, offset)
    assert damage.expected != damage.found
    assert same(found.batches, ALL[:whole])
    for told in (damage.segment, str(damage.offset), damage.expected, damage.found):
        assert told in str(damage)
    return damage


def with_segment(segment: int, data: bytes) -> list[bytes]:
    return [data, SECOND] if segment == 0 else [FIRST, data]


def test_what_was_written_is_read():
    found = read([FIRST, SECOND])
    assert same(found.batches, ALL)
    assert found.torn is None
    assert found.end == JOURNAL.end
    assert (found.end.batches, found.end.sequence) == (5, 9)


@pytest.mark.parametrize("segment", [0, 1])
def test_every_byte_changed_in_every_way_that_one_bit_or_one_write_can_change_it_is_found(segment):
    data = JOURNAL.segments[segment]
    for byte in range(len(data)):
        whole = (2 if segment else 0) + frames_before(segment, byte)
        changes = {data[byte] ^ 1 << bit for bit in range(8)} | {0x00, 0xFF, data[byte] ^ 0xFF} - {data[byte]}
        for value in changes - {data[byte]}:
            damaged = data[:byte] + bytes([value]) + data[byte + 1 :]
            damage = check_damage(
                with_segment(segment, damaged), NAMES[segment], frame_start(segment, byte), whole
            )
            assert "checksum" in damage.what
            assert re.fullmatch(r"[0-9a-f]{32}", damage.expected)
            assert re.fullmatch(r"[0-9a-f]{32}", damage.found)


def test_the_last_segment_cut_at_every_length_keeps_every_batch_before_the_cut():
    bounds = JOURNAL.bounds[1]
    for length in range(len(SECOND)):
        cut = SECOND[:length]
        if length < SEGMENT_HEADER_BYTES:
            check_damage([FIRST, cut], "second", 0, 2)
            continue
        found = read([FIRST, cut])
        whole = frames_before(1, length)
        assert same(found.batches, ALL[: 2 + whole])
        assert found.end.sequence == sum(len(rows) for rows in ALL[: 2 + whole])
        if length in bounds:
            assert found.torn is None
        else:
            assert found.torn is not None
            assert (found.torn.segment, found.torn.offset) == ("second", bounds[whole])
            assert found.torn.bytes_cut == length - bounds[whole]
            inside = "header" if length - bounds[whole] < BATCH_HEADER_BYTES else "rows"
            assert found.torn.why == f"the file ends inside its {inside}"


def test_a_segment_before_the_last_cut_at_any_length_is_damage():
    for length in range(len(FIRST)):
        found = Read()
        with pytest.raises(JournalCorrupt) as caught:
            read([FIRST[:length], SECOND], found)
        assert same(found.batches, ALL[: frames_before(0, length)])
        if length in JOURNAL.bounds[0]:
            assert (caught.value.segment, caught.value.what) == ("second", "batches before")
        else:
            assert (caught.value.segment, caught.value.offset) == ("first", frame_start(0, length))


def test_a_last_batch_of_which_only_a_beginning_reached_the_disk_is_torn():
    """The size of the file was durable, its last words were not: they are zeros."""
    start, end = JOURNAL.bounds[1][-2:]
    for word in range(start, end, 8):
        found = read([FIRST, SECOND[:word] + bytes(end - word)])
        assert same(found.batches, ALL[:-1])
        assert found.torn is not None
        assert (found.torn.offset, found.torn.bytes_cut) == (start, end - start)
        for length in range(word, end):
            shorter = read([FIRST, SECOND[:word] + bytes(length - word)])
            assert same(shorter.batches, ALL[:-1])
            assert (shorter.torn is None) == (length == start)


def test_zeros_over_a_batch_that_was_followed_by_another_are_damage():
    """A batch that has a successor was acknowledged, so it may not be taken for one that was never written."""
    start, end = JOURNAL.bounds[1][-3:-1]
    for word in range(start + 8, end, 8):
        check_damage([FIRST, SECOND[:word] + bytes(len(SECOND) - word)], "second", start, 3)


def test_zeros_before_the_last_segment_are_damage():
    start, end = JOURNAL.bounds[0][-2:]
    for word in range(start, end, 8):
        check_damage([FIRST[:word] + bytes(end - word), SECOND], "first", start, 1)


def test_zeros_behind_the_last_batch_are_an_unwritten_batch_unless_there_are_too_many():
    size_max = frame_bytes(BATCH_ROWS_MAX)
    for size in (1, 7, 8, 55, 56, 4096, size_max):
        found = read([FIRST, SECOND + bytes(size)])
        assert same(found.batches, ALL)
        assert found.torn is not None
        assert (found.torn.offset, found.torn.bytes_cut, found.torn.why) == (len(SECOND), size, "only zeros")
    check_damage([FIRST, SECOND + bytes(size_max + 1)], "second", len(SECOND), 5)


def test_a_torn_header_is_believed_only_up_to_the_size_that_it_names():
    header = batch_header(JOURNAL.end, 3)
    for word in range(8, BATCH_HEADER_BYTES, 8):
        fits = header[:word] + bytes(frame_bytes(3) - word)
        assert read([FIRST, SECOND + fits]).torn is not None
        check_damage([FIRST, SECOND + fits + bytes(1)], "second", len(SECOND), 5)


def test_garbage_behind_the_last_batch_is_damage_at_any_length():
    garbage = bytes(range(1, 201))
    for length in range(1, len(garbage)):
        check_damage([FIRST, SECOND + garbage[:length]], "second", len(SECOND), 5)
        check_damage([FIRST, SECOND + bytes(8) + garbage[:length]], "second", len(SECOND), 5)


def test_a_torn_header_must_be_the_beginning_of_the_one_that_belongs_there():
    header = batch_header(JOURNAL.end, 3)
    for length in range(1, BATCH_HEADER_BYTES):
        assert read([FIRST, SECOND + header[:length]]).torn is not None
        for byte in range(length):
            if 4 <= byte < 8 and length <= 40:  # any count may stand there until its checksum does
                continue
            damaged = header[:byte] + bytes([header[byte] ^ 0x11]) + header[byte + 1 : length]
            check_damage([FIRST, SECOND + damaged], "second", len(SECOND), 5)


@pytest.mark.parametrize("count", [0, BATCH_ROWS_MAX + 1, 2**32 - 1])
def test_a_row_count_that_no_batch_has_is_damage_even_under_a_right_checksum(count):
    header = batch_header(JOURNAL.end, count)
    damage = check_damage([FIRST, SECOND + header + bytes(80)], "second", len(SECOND), 5)
    assert (damage.what, damage.found) == ("row count", str(count))
    check_damage([FIRST, SECOND + header[:16]], "second", len(SECOND), 5)


def test_segments_that_are_missing_moved_or_doubled_are_named():
    assert check_damage([SECOND], "first", 0, 0).what == "segment number"
    assert check_damage([SECOND, FIRST], "first", 0, 0).what == "segment number"
    assert check_damage([FIRST, FIRST], "second", 0, 2).what == "segment number"
    assert check_damage([FIRST, SECOND, SECOND], "number 3", 0, 5).what == "segment number"


def test_batches_that_are_missing_moved_or_doubled_are_named():
    head, (a, b, c, end) = SECOND[:SEGMENT_HEADER_BYTES], JOURNAL.bounds[1]
    one, two, three = SECOND[a:b], SECOND[b:c], SECOND[c:end]
    assert check_damage([FIRST, head + two + three], "second", a, 2).what == "batches before"
    assert check_damage([FIRST, head + two + one + three], "second", a, 2).what == "batches before"
    assert check_damage([FIRST, head + one + one + two], "second", b, 3).what == "batches before"
    assert check_damage([FIRST, head + one + three], "second", b, 3).what == "batches before"


def test_a_batch_of_another_journal_does_not_fit_the_chain():
    other = Position(JOURNAL.end.batches, JOURNAL.end.sequence, b"another journal!")
    buffers, _ = frame(rows_of(10, 10), other)
    damage = check_damage([FIRST, SECOND + b"".join(buffers)], "second", len(SECOND), 5)
    assert (damage.what, damage.expected) == ("checksum before", JOURNAL.end.checksum.hex())
    assert damage.found == b"another journal!".hex()


def test_a_segment_whose_checksum_was_made_to_fit_still_breaks_the_chain():
    """Rows changed and every checksum of their frame counted anew: the next link says no."""
    start, end = JOURNAL.bounds[0][-2:]
    header, body = (
        FIRST[start : start + BATCH_HEADER_BYTES],
        bytearray(FIRST[start + BATCH_HEADER_BYTES : end - 16]),
    )
    body[0] ^= 1
    forged = FIRST[:start] + header + bytes(body) + checksum(BATCH_PERSON, header, bytes(body))
    found = Read()
    with pytest.raises(JournalCorrupt) as caught:
        read([forged, SECOND], found)
    assert (caught.value.segment, caught.value.offset, caught.value.what) == ("second", 0, "checksum before")
    assert len(found.batches) == 2


def test_a_segment_of_another_genesis_is_named():
    other = segment_header(2, bytes(16), JOURNAL.starts[1])
    damage = check_damage([FIRST, other], "second", 0, 2)
    assert (damage.what, damage.expected, damage.found) == ("genesis", GENESIS.hex(), bytes(16).hex())


def test_another_batch_magic_under_a_right_checksum_is_named():
    fields = batch_header(JOURNAL.end, 1)[:-CHECKSUM_BYTES].replace(BATCH_MAGIC, b"LOTS")
    header = fields + checksum(HEADER_PERSON, fields)
    assert check_damage([FIRST, SECOND + header + bytes(80)], "second", len(SECOND), 5).what == "batch magic"


def test_a_later_format_is_not_damage():
    fields = list(SEGMENT_FIELDS.unpack_from(FIRST))
    fields[1] = 2
    packed = SEGMENT_FIELDS.pack(*fields)
    with pytest.raises(Malformed, match="format version: found 2, expected 1"):
        read([packed + checksum(SEGMENT_PERSON, packed)])


def test_the_genesis_is_read_from_a_header_alone():
    assert genesis_of("first", memoryview(FIRST[:SEGMENT_HEADER_BYTES])) == GENESIS
    with pytest.raises(JournalCorrupt, match="segment header size expected 88 bytes, found 87 bytes"):
        genesis_of("first", memoryview(FIRST[: SEGMENT_HEADER_BYTES - 1]))


def test_a_segment_without_batches_is_whole():
    found = read([segment_header(1, GENESIS, genesis_position(GENESIS))])
    assert (found.batches, found.torn, found.end.sequence) == ([], None, 0)


def test_the_sizes_are_those_of_the_small_journal():
    sizes = [frame_bytes(len(rows)) for rows in BATCHES[1]]
    assert np.cumsum([SEGMENT_HEADER_BYTES, *sizes]).tolist() == JOURNAL.bounds[1]
    assert frame_bytes(1) - frame_bytes(0) == ROW_BYTES
