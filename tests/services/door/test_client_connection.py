"""A client's connection: requests however their bytes are cut, answers in order, bounds, idle ends, and what is no HTTP."""

import asyncio
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ciyuan.services.door.client_connection import (
    FIRST_BYTE_S,
    HEAD_BYTES_MAX,
    IDLE_S,
    WRITE_BYTES_HIGH,
    ClientConnection,
)
from tests.services.door.till import Clock
from tests.services.door.wire import OK, Asked, Transport, Waiting, Wire, request_bytes

SECOND = 10**9
CHUNKED = b"POST /x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
GET = b"GET /x HTTP/1.1\r\nHost: x\r\n\r\n"


def in_pieces(data: bytes, cuts: list[int]) -> list[bytes]:
    borders = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    return [data[begin:end] for begin, end in pairwise(borders) if begin < end]


# --- requests in ---


def test_a_request_is_handed_over_whole():
    wire = Wire()
    wire.feed(request_bytes(b"hello", "/v1/x?y=1", "1.1", "X-Thing:  two"))
    (request,) = wire.handler.requests
    assert (request.method, request.target, request.body) == (b"POST", b"/v1/x?y=1", b"hello")
    assert request.headers == {b"host": b"x", b"content-length": b"5", b"x-thing": b"two"}
    assert request.received_ns == wire.clock.now_ns
    assert wire.connection.peer == "192.0.2.7"
    assert wire.transport.high == WRITE_BYTES_HIGH


@given(st.binary(max_size=60), st.lists(st.integers(0, 400), max_size=12), st.booleans())
def test_however_its_bytes_are_cut_a_request_is_the_same(body, cuts, chunked):
    whole = request_bytes(body)
    if chunked:
        whole = CHUNKED + b"".join(b"%x\r\n%b\r\n" % (len(body[at : at + 7]), body[at : at + 7])
                                   for at in range(0, len(body), 7)) + b"0\r\n\r\n"  # fmt: skip
    wire = Wire()
    for piece in in_pieces(whole, cuts):
        wire.feed(piece)
    assert [request.body for request in wire.handler.requests] == [body]
    assert wire.written == b"HTTP/1.1 200 OK\r\n%bcontent-length: %d\r\n\r\n%b" % (OK, len(body), body)


def test_blanks_behind_a_value_are_not_a_part_of_it():
    wire = Wire()
    wire.feed(request_bytes(b"", "/x", "1.1", "X-Api-Key: secret \t"))
    assert wire.handler.requests[0].headers[b"x-api-key"] == b"secret"


def test_of_a_header_that_comes_twice_the_last_counts():
    wire = Wire()
    wire.feed(request_bytes(b"", "/x", "1.1", "x-a: 1", "X-A: 2"))
    assert wire.handler.requests[0].headers[b"x-a"] == b"2"


@given(st.lists(st.binary(max_size=20), min_size=1, max_size=6), st.lists(st.integers(0, 900), max_size=8))
def test_pipelined_requests_are_answered_in_their_order(bodies, cuts):
    wire = Wire()
    for piece in in_pieces(b"".join(request_bytes(body) for body in bodies), cuts):
        wire.feed(piece)
    assert [request.body for request in wire.handler.requests] == bodies
    assert wire.statuses == [200] * len(bodies)
    assert not wire.transport.is_closing()


def test_while_one_is_answered_the_next_waits_and_nothing_more_is_read():
    wire = Wire()
    first = wire.handler.later = Waiting()
    wire.feed(request_bytes(b"1") + request_bytes(b"2"))
    assert [request.body for request in wire.handler.requests] == [b"1"]
    assert not wire.transport.is_reading()
    assert wire.connection.answering is first
    wire.handler.later = None
    wire.connection.respond(200, OK, b"one")
    assert [request.body for request in wire.handler.requests] == [b"1", b"2"]
    assert wire.transport.is_reading()
    assert wire.written.index(b"one") < wire.written.rindex(b"HTTP/1.1 200")


# --- answers out ---


def test_an_answer_of_unknown_length_is_chunked():
    wire = Wire()
    wire.handler.later = Waiting()
    wire.feed(request_bytes())
    wire.connection.begin(200, OK)
    assert wire.connection.begun
    for piece in (b"one", b"twelve bytes"):
        wire.connection.pass_on(piece)
    wire.connection.finish(b"end")
    assert wire.written == (b"HTTP/1.1 200 OK\r\n" + OK + b"transfer-encoding: chunked\r\n\r\n"
                            b"3\r\none\r\nc\r\ntwelve bytes\r\n3\r\nend\r\n0\r\n\r\n")  # fmt: skip
    assert not wire.transport.is_closing()


def test_to_http_1_0_it_goes_to_the_connections_end():
    wire = Wire()
    wire.handler.later = Waiting()
    wire.feed(request_bytes(b"", "/x", "1.0", "Connection: keep-alive"))
    wire.connection.begin(200, OK)
    wire.connection.pass_on(b"one")
    wire.connection.finish(b"end")
    assert wire.written == b"HTTP/1.1 200 OK\r\n" + OK + b"connection: close\r\n\r\noneend"
    assert wire.transport.is_closing()


@pytest.mark.parametrize(
    ("version", "line", "closed"),
    [("1.1", "X: y", False), ("1.1", "Connection: close", True), ("1.0", "X: y", True), ("1.0", "Connection: keep-alive", False)],
)  # fmt: skip
def test_the_connection_is_kept_as_the_client_wishes(version, line, closed):
    wire = Wire()
    wire.feed(request_bytes(b"", "/x", version, line))
    assert wire.transport.is_closing() is closed
    assert (b"connection: close\r\n" in wire.written) is closed


def test_to_http_1_0_it_is_said_that_the_connection_is_kept():
    wire = Wire()
    wire.feed(request_bytes(b"", "/x", "1.0", "Connection: keep-alive"))
    assert b"connection: keep-alive\r\n" in wire.written.lower()


def test_an_answer_that_cannot_go_on_ends_without_its_end():
    wire = Wire()
    wire.handler.later = Waiting()
    wire.feed(request_bytes())
    wire.connection.begin(200, OK)
    wire.connection.pass_on(b"half")
    wire.connection.break_off()
    assert wire.transport.is_closing()
    assert not wire.written.endswith(b"0\r\n\r\n")
    assert wire.connection.answering is None


def test_a_status_without_a_phrase_is_answered():
    wire = Wire()
    wire.handler.answers = lambda connection, _: connection.respond(799, OK, b"")
    assert wire.feed(request_bytes()).startswith(b"HTTP/1.1 799 ")


def test_a_client_that_expects_leave_to_go_on_has_it():
    wire = Wire()
    head, _, body = request_bytes(b"hello", "/x", "1.1", "Expect: 100-continue").partition(b"\r\n\r\n")
    assert wire.feed(head + b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
    wire.feed(body)
    assert wire.handler.requests[0].body == b"hello"
    assert wire.statuses == [100, 200]


def test_leave_to_go_on_is_not_written_into_the_answer_before():
    wire = Wire()
    wire.handler.later = Waiting()
    wire.feed(request_bytes(b"1"))
    wire.connection.begin(200, OK)
    head, _, _ = request_bytes(b"hello", "/x", "1.1", "Expect: 100-continue").partition(b"\r\n\r\n")
    wire.feed(head + b"\r\n\r\n")
    assert b"100 Continue" not in wire.written


def test_a_body_that_is_too_long_is_not_asked_for():
    wire = Wire(Asked(body_bytes_max=4))
    head, _, _ = request_bytes(b"hello", "/x", "1.1", "Expect: 100-continue").partition(b"\r\n\r\n")
    wire.feed(head + b"\r\n\r\n")
    assert wire.statuses == [413]


def test_a_handler_that_fails_is_a_500_and_the_connections_end():
    async def scene():
        heard = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: heard.append(context["message"]))
        wire = Wire()

        def fails(*_):
            raise RuntimeError("a fault of ours")

        wire.handler.answers = fails
        wire.feed(request_bytes())
        return wire, heard

    wire, heard = asyncio.run(scene())
    assert (wire.statuses, wire.transport.closed, heard) == ([500], True, ["a request failed"])
    assert b"a fault of ours" not in wire.written


# --- bounds ---


def test_a_body_of_just_the_bound_is_taken_and_one_byte_more_is_not():
    for extra, status in ((0, 200), (1, 413)):
        wire = Wire(Asked(body_bytes_max=100))
        wire.feed(request_bytes(b"x" * (100 + extra)))
        assert wire.statuses == [status]
        assert wire.transport.is_closing() is bool(extra)


def test_a_chunked_body_over_the_bound_is_refused_as_soon_as_it_is():
    wire = Wire(Asked(body_bytes_max=10))
    wire.feed(CHUNKED + b"8\r\n12345678\r\n")
    assert not wire.written
    wire.feed(b"8\r\n12345678\r\n")
    assert wire.statuses == [413]
    assert wire.transport.is_closing()
    assert not wire.handler.requests


@pytest.mark.parametrize("length", ["9" * 18, "9" * 19, "9" * 40])
def test_a_length_that_no_body_has_is_refused(length):
    wire = Wire()
    wire.feed(f"POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n".encode())
    assert wire.statuses in ([413], [400])
    assert wire.transport.is_closing()


def test_a_head_over_the_bound_is_refused_once_and_read_no_further():
    wire = Wire()
    wire.feed(b"GET / HTTP/1.1\r\n")
    for number in range(HEAD_BYTES_MAX // 1_000 + 2):
        wire.feed(b"x-%d: %b\r\n" % (number, b"y" * 1_000))
    assert wire.statuses == [431]
    assert wire.transport.is_closing()
    assert not wire.handler.requests


def test_a_target_over_the_bound_is_refused():
    wire = Wire()
    wire.feed(b"GET /")
    for _ in range(2 * HEAD_BYTES_MAX // 1_000):
        wire.feed(b"y" * 1_000)
    assert wire.statuses == [414]


def test_a_header_without_an_end_is_refused():
    wire = Wire()
    wire.feed(b"GET / HTTP/1.1\r\nx-long: ")
    for _ in range(2 * HEAD_BYTES_MAX // 1_000):
        wire.feed(b"y" * 1_000)
    assert wire.statuses == [431]


# --- what is no request ---


@pytest.mark.parametrize("garbage", [
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    b"HELO mail.example\r\n\r\n",
    b"GET / HTTP/9.9\r\n\r\n",
    b"GET / HTTP/1.1\r\nbroken header\r\n\r\n",
    b"POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
    b"POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
    b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n",
    b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nnot a length\r\n",
])  # fmt: skip
def test_what_is_no_request_is_answered_400_and_the_connection_ends(garbage):
    wire = Wire()
    wire.feed(garbage)
    assert [status for status, _ in wire.handler.problems] == [400]
    assert (wire.statuses[-1], wire.transport.closed) == (400, True)


def test_an_offer_to_upgrade_is_passed_over():
    wire = Wire()
    wire.feed(request_bytes(b"hello", "/x", "1.1", "Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c"))
    assert [request.body for request in wire.handler.requests] == [b"hello"]
    assert wire.statuses == [200]


def test_rubbish_behind_a_request_that_is_being_answered_is_kept_back_and_never_read():
    wire = Wire()
    wire.handler.later = Waiting()
    wire.feed(request_bytes(b"1"))
    wire.feed(b"\x00\x01\x02")
    assert not wire.transport.is_reading()
    wire.connection.respond(200, OK, b"one")
    assert wire.statuses == [200]
    assert wire.transport.is_closing()
    assert b"connection: close" in wire.written


noise = st.one_of(
    st.binary(max_size=120),
    st.sampled_from([
        GET, request_bytes(b"body"), CHUNKED, b"4\r\nbody\r\n", b"0\r\n\r\n", b"\r\n", b"GET ", b"HTTP/1.1\r\n",
        b"Content-Length: 5\r\n", b"Expect: 100-continue\r\n\r\n", b"Connection: close\r\n", b"\x00", b"x" * 70_000,
    ]),
)  # fmt: skip


@given(st.lists(noise, max_size=12), st.booleans())
def test_no_bytes_make_it_raise_or_answer_what_was_not_asked(pieces, later):
    wire = Wire(Asked(body_bytes_max=50))
    for piece in pieces:
        wire.handler.later = Waiting() if later else None
        wire.feed(piece)
        if wire.connection.answering is not None:
            wire.handler.later = None
            wire.connection.respond(200, OK, b"late")
    answers = [status for status in wire.statuses if status != 100]
    assert len(answers) == len(wire.handler.requests) + len(wire.handler.problems)
    assert len(wire.handler.problems) <= 1
    if wire.handler.problems:
        assert wire.transport.is_closing()
    wire.lose()
    assert not wire.open


@given(st.integers(0, 200), st.integers(0, 255))
def test_one_wrong_byte_is_a_request_or_a_refusal_or_waited_for(place, byte):
    data = bytearray(request_bytes(b"hello", "/x", "1.1", "X-A: b"))
    data[place % len(data)] = byte
    wire = Wire()
    wire.feed(bytes(data))
    assert len(wire.handler.requests) + len(wire.handler.problems) <= 1 or wire.transport.closed


# --- idle ends ---


def test_a_connection_between_requests_ends_after_a_while():
    wire = Wire()
    wire.feed(request_bytes())
    for seconds, closed in ((IDLE_S, False), (IDLE_S + 1, True)):
        wire.connection.close_if_idle(wire.clock.now_ns + seconds * SECOND)
        assert wire.transport.is_closing() is closed


def test_a_head_that_does_not_come_to_its_end_is_waited_for_less_long():
    wire = Wire()
    wire.feed(b"POST /x HTTP/1.1\r\nHost: x\r\nX-Slow: y\r\n")
    for seconds, closed in ((FIRST_BYTE_S, False), (FIRST_BYTE_S + 1, True)):
        wire.connection.close_if_idle(wire.clock.now_ns + seconds * SECOND)
        assert wire.transport.is_closing() is closed


def test_one_that_is_being_answered_is_never_idle():
    wire = Wire()
    wire.handler.later = Waiting()
    wire.feed(request_bytes())
    wire.connection.close_if_idle(wire.clock.now_ns + 10**6 * SECOND)
    assert not wire.transport.is_closing()


def test_the_time_for_a_head_begins_with_its_first_byte():
    wire = Wire()
    wire.feed(request_bytes())
    wire.clock.now_ns += (FIRST_BYTE_S + 10) * SECOND
    wire.feed(b"POST /x HTTP/1.1\r\nHost: x\r\nX-A: b\r\n")
    wire.connection.close_if_idle(wire.clock.now_ns + SECOND)
    assert not wire.transport.is_closing()


def test_a_long_body_that_keeps_coming_is_waited_for():
    wire = Wire()
    head, _, body = request_bytes(b"x" * 100).partition(b"\r\n\r\n")
    wire.feed(head + b"\r\n\r\n")
    for _ in range(4):
        wire.clock.now_ns += (FIRST_BYTE_S - 10) * SECOND
        wire.feed(body[:10])
        wire.connection.close_if_idle(wire.clock.now_ns)
    assert not wire.transport.is_closing()


# --- the client's end, and ours ---


def test_a_client_that_leaves_is_told_to_who_answers_and_nothing_is_written_after():
    wire = Wire()
    waiting = wire.handler.later = Waiting()
    wire.feed(request_bytes())
    assert wire.connection in wire.open
    wire.transport.closed = True
    wire.lose()
    assert (waiting.heard, wire.connection.gone, wire.open) == (["left"], True, set())
    wire.connection.begin(200, OK)
    wire.connection.pass_on(b"x")
    wire.connection.finish(b"y")
    assert not wire.written


def test_one_that_leaves_half_way_through_a_request_is_no_ones_business():
    wire = Wire()
    wire.feed(b"POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhe")
    wire.lose()
    assert not wire.handler.requests
    assert not wire.written


def test_a_client_that_reads_slowly_is_told_to_who_answers():
    wire = Wire()
    waiting = wire.handler.later = Waiting()
    wire.feed(request_bytes())
    wire.connection.pause_writing()
    wire.connection.resume_writing()
    assert waiting.heard == ["full", "ready"]
    wire.connection.respond(200, OK, b"")
    wire.connection.pause_writing()
    assert waiting.heard == ["full", "ready"], "who has answered is told nothing more"


def test_when_the_server_closes_an_answer_still_ends_and_says_so():
    wire = Wire()
    wire.handler.later = Waiting()
    wire.feed(request_bytes())
    wire.connection.close_when_answered()
    assert not wire.transport.is_closing()
    wire.connection.respond(200, OK, b"")
    assert wire.transport.is_closing()
    assert b"connection: close\r\n" in wire.written
    idle = Wire()
    idle.connection.close_when_answered()
    assert idle.transport.closed


@pytest.mark.parametrize("peer", ["", "/run/ciyuan.sock", None])
def test_a_peer_without_an_address_has_no_name(peer):
    connection = ClientConnection(Asked(), Clock(), set())
    connection.connection_made(Transport(peer))
    assert connection.peer == ""
