"""The event stream's reader: any cut of the bytes gives the events of the whole, which are those of a reader by the letter."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ciyuan.basics.errors import Malformed
from ciyuan.gateway.sse import Event, SseReader


def by_the_letter(stream: bytes) -> list[tuple[bytes, bytes]]:
    """The WHATWG's algorithm (html.spec.whatwg.org, "Interpreting an event stream"), a line at a time, without its last block."""
    told: list[tuple[bytes, bytes]] = []
    name: bytes = b""
    data: bytes | None = None
    body = stream.removeprefix(b"\xef\xbb\xbf").replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    for line in body.split(b"\n")[:-1]:
        if not line:
            if data is not None:
                told.append((name, data))
            name, data = b"", None
            continue
        field, colon, value = line.partition(b":")
        value = value[1:] if colon and value.startswith(b" ") else value
        if field == b"event":
            name = value
        elif field == b"data":
            data = value if data is None else data + b"\n" + value
    return told


def read(chunks: list[bytes]) -> list[Event]:
    reader = SseReader()
    return [event for chunk in chunks for event in reader.feed(chunk)]


def without_ends(events: list[Event]) -> list[tuple[bytes, bytes]]:
    return [(name, data) for name, data, _ in events]


@pytest.mark.parametrize(
    ("stream", "events"),
    [
        (b"data: a\n\n", [(b"", b"a")]),
        (b"data:a\n\ndata: b\n\n", [(b"", b"a"), (b"", b"b")]),
        (b"data: a\r\n\r\n", [(b"", b"a")]),
        (b"data: a\r\rx", [(b"", b"a")]),
        (b"event: ping\ndata: {}\n\n", [(b"ping", b"{}")]),
        (b"event:ping\r\ndata: {}\r\n\r\n", [(b"ping", b"{}")]),
        (b"data: {}\nevent: ping\n\n", [(b"ping", b"{}")]),
        (b"data: a\ndata:  b\ndata\n\n", [(b"", b"a\n b\n")]),
        (b": OPENROUTER PROCESSING\n\ndata: a\n\n", [(b"", b"a")]),
        (b":\n\n:\n\n", []),
        (b"event: alone\n\n", []),
        (b"id: 7\nretry: 10\ndata: a\n\n", [(b"", b"a")]),
        (b"datum: a\n\ndata\n\n", [(b"", b"")]),
        (b"\n\n\n\ndata: a\n\n\n\ndata: b\n\n", [(b"", b"a"), (b"", b"b")]),
        (b"\xef\xbb\xbfdata: a\n\n\xef\xbb\xbfdata: b\n\n", [(b"", b"a")]),
        (b"data: \xff\x00\n\n", [(b"", b"\xff\x00")]),
        (b"data: a\n", []),
    ],
)
def test_the_format_by_examples(stream, events):
    assert without_ends(read([stream])) == events
    assert without_ends(read([stream[at : at + 1] for at in range(len(stream))])) == events


PIECES = st.sampled_from(
    [b"data: ", b"data:", b"data", b"event: ", b"event:e", b": note", b"{}", b"x", b" ", b":", b"\n", b"\n\n", b"\r\n", b"\r",
     b"\r\n\r\n",
     b"\r\r", b"\xef\xbb\xbf", b"id: 1", "词元".encode(), b"data: {}\n\n", b"event: m\ndata: {}\n\n", b"data: {}\r\n\r\n"]
)  # fmt: skip
STREAMS = st.lists(PIECES, max_size=25).map(b"".join)


def cut(stream: bytes, places: list[int]) -> list[bytes]:
    ends = sorted({place % (len(stream) + 1) for place in places} | {len(stream)})
    return [stream[start:end] for start, end in zip([0, *ends], ends, strict=False)]


@given(STREAMS, st.lists(st.integers(0, 500), max_size=12))
def test_any_cut_gives_the_events_of_the_whole(stream, places):
    """But for the event that a CR at the very end might still end, or be half of a CR LF: it waits for one byte more."""
    settled = stream + b"x"
    assert read(cut(settled, places)) == read([settled])
    assert without_ends(read(cut(settled, places))) == by_the_letter(settled)


@given(STREAMS, st.lists(st.integers(0, 500), max_size=12))
def test_an_event_says_where_it_ends(stream, places):
    events = read(cut(stream, places))
    starts = [0, *(end for _, _, end in events)]
    for start, event in zip(starts, events, strict=False):
        assert without_ends(read([stream[start : event[2]] + b"x"])) == [event[:2]] or start == 0


@given(STREAMS, st.lists(st.integers(0, 500), max_size=12))
def test_what_is_held_and_what_has_ended_are_all_that_came(stream, places):
    reader = SseReader()
    came = 0
    for chunk in cut(stream, places):
        reader.feed(chunk)
        came += len(chunk)
        assert reader.offset + reader.held_bytes == came


@given(STREAMS)
def test_at_the_end_the_event_without_its_blank_line_is_told(stream):
    reader = SseReader()
    told = reader.feed(stream)
    told += reader.finish()
    assert without_ends(told) == by_the_letter(stream + b"\n\n") or stream.endswith(b"\r")
    assert reader.offset == len(stream)
    assert reader.finish() == []


def test_an_event_longer_than_the_bound_is_malformed():
    reader = SseReader(event_bytes_max=100)
    assert reader.feed(b"data: " + b"x" * 90) == []
    with pytest.raises(Malformed, match="without the end of an event"):
        reader.feed(b"x" * 10)


def test_a_long_stream_in_single_bytes_is_searched_but_once():
    """Quadratic work would not end: 300,000 bytes of one event, one by one."""
    reader = SseReader()
    for _ in range(300_000):
        assert reader.feed(b"x") == []
    assert reader.feed(b"\n\n") == []
    assert reader.held_bytes == 0
