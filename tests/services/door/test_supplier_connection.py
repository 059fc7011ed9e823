"""Connections to suppliers: what an exchange is told of every answer, broken or whole; the pool; addresses that are not there."""

import asyncio
import socket
import ssl
import subprocess
from collections.abc import Callable
from itertools import pairwise
from shutil import which

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ciyuan.services.door.supplier_connection import (
    HEAD_BYTES_MAX,
    IDLE_MAX,
    IDLE_S,
    Address,
    SupplierConnection,
    SupplierPool,
)
from tests.services.door.till import Clock
from tests.services.door.wire import Transport

SECOND = 10**9
REQUEST = b"POST / HTTP/1.1\r\n\r\n"
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\nhello"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n"
TO_THE_END = b"HTTP/1.1 200 OK\r\n\r\nhello"
HERE = "127.0.0.1"


class Heard:
    """An exchange that keeps what it is told; `ended` is set by its end, whichever."""

    def __init__(self) -> None:
        self.told: list[str] = []
        self.pieces = 0
        self.status, self.body, self.why, self.stale = 0, b"", "", False
        self.headers: dict[bytes, bytes] = {}
        self.connection: SupplierConnection | None = None
        self.then: Callable[[], None] | None = None
        self.over = asyncio.Event()

    def taken(self, connection: SupplierConnection) -> None:
        self.connection = connection

    def connected(self) -> None:
        self.told.append("connected")

    def answer_begins(self, status: int, headers: dict[bytes, bytes]) -> None:
        self.told.append("begins")
        self.status, self.headers = status, headers

    def answer_piece(self, piece: bytes) -> None:
        self.body += piece
        self.pieces += 1
        if self.then is not None:
            self.then()

    def answer_ends(self) -> None:
        self.told.append("ends")
        self.over.set()

    def answer_lost(self, why: str, *, stale: bool) -> None:
        self.told.append("lost")
        self.why, self.stale = why, stale
        self.over.set()


class Line:
    """A connection without a socket, in a pool of its own, with an exchange on it."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.pool = SupplierPool(Address("supplier.example", 80, tls=False), self.clock)
        self.connection, self.transport = SupplierConnection(self.pool), Transport()
        self.connection.connection_made(self.transport)
        self.exchange = self.send()

    def send(self) -> Heard:
        self.exchange = Heard()
        self.connection.send(self.exchange, REQUEST)
        return self.exchange

    def feed(self, *pieces: bytes) -> Heard:
        for piece in pieces:
            if not self.transport.closed:
                self.connection.data_received(piece)
        return self.exchange

    def end(self, fault: Exception | None = None) -> Heard:
        self.transport.closed = True
        self.connection.connection_lost(fault)
        return self.exchange

    @property
    def idle(self) -> list[SupplierConnection]:
        return self.pool._idle


# --- answers ---


@given(st.sampled_from([ANSWER, CHUNKED]), st.lists(st.integers(0, 200), max_size=8))
def test_however_its_bytes_are_cut_an_answer_is_the_same(whole, cuts):
    line = Line()
    borders = [0, *sorted(cut % (len(whole) + 1) for cut in cuts), len(whole)]
    heard = line.feed(*(whole[begin:end] for begin, end in pairwise(borders) if begin < end))
    assert (heard.told, heard.status, heard.body) == (["begins", "ends"], 200, b"hello")
    assert line.idle == [line.connection]
    assert line.transport.written == REQUEST


def test_what_one_read_brings_of_a_body_is_one_piece():
    assert Line().feed(CHUNKED).pieces == 1
    assert Line().feed(CHUNKED[:-12], CHUNKED[-12:]).pieces == 2


def test_what_came_before_an_answer_broke_is_told():
    heard = Line().feed(CHUNKED[:-12] + b"no length\r\n")
    assert (heard.told, heard.body, heard.pieces) == (["begins", "lost"], b"hel", 1)


def test_names_of_headers_are_in_lower_case():
    assert Line().feed(ANSWER).headers == {b"content-type": b"text/plain", b"content-length": b"5"}


@pytest.mark.parametrize("interim", [
    b"HTTP/1.1 100 Continue\r\n\r\n",
    b"HTTP/1.1 103 Early Hints\r\nLink: </style.css>\r\n\r\n",
    b"HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n",
])  # fmt: skip
def test_what_comes_before_the_answer_is_passed_over(interim):
    heard = Line().feed(interim, ANSWER)
    assert (heard.told, heard.status, heard.body) == (["begins", "ends"], 200, b"hello")
    assert b"link" not in heard.headers


def test_an_answer_without_a_length_goes_to_the_connections_end():
    line = Line()
    assert line.feed(TO_THE_END).told == ["begins"]
    heard = line.end()
    assert (heard.told, heard.body) == (["begins", "ends"], b"hello")
    assert not line.idle


@pytest.mark.parametrize("status", [204, 304])
def test_an_answer_that_has_no_body_is_whole_with_its_head(status):
    line = Line()
    heard = line.feed(b"HTTP/1.1 %d Whatever\r\n\r\n" % status)
    assert (heard.told, heard.status) == (["begins", "ends"], status)


@pytest.mark.parametrize("cut", [
    b"", b"HTTP/1.1 20", ANSWER[:30], ANSWER[:-1], CHUNKED[:-1], CHUNKED[:-5], b"HTTP/1.1 100 Continue\r\n\r\n",
])  # fmt: skip
@pytest.mark.parametrize("fault", [None, ConnectionResetError("reset by peer")])
def test_an_answer_that_breaks_off_is_lost(cut, fault):
    line = Line()
    if cut:
        line.feed(cut)
    heard = line.end(fault)
    assert heard.told[-1] == "lost"
    assert heard.told.count("lost") + heard.told.count("ends") == 1
    assert not heard.stale
    assert ("reset by peer" in heard.why) is (fault is not None)


def test_one_that_goes_to_the_end_and_is_reset_is_lost():
    line = Line()
    line.feed(TO_THE_END)
    assert line.end(ConnectionResetError("reset by peer")).told == ["begins", "lost"]


@pytest.mark.parametrize("garbage", [
    b"\x15\x03\x01\x00\x02\x02\x16",
    b"SSH-2.0-OpenSSH_9.2\r\n",
    b"HTTP/1.1 200 OK\r\nbroken header\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nno length\r\n",
    pytest.param(
        b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n",
    ),
])  # fmt: skip
def test_what_is_no_answer_is_lost_and_the_connection_with_it(garbage):
    line = Line()
    heard = line.feed(garbage)
    assert heard.told[-1] == "lost"
    assert "not HTTP/1.1" in heard.why
    assert line.transport.aborted
    assert not line.idle


def test_a_head_over_the_bound_is_lost():
    line = Line()
    line.feed(
        b"HTTP/1.1 200 OK\r\n", *(b"x: %b\r\n" % (b"y" * 1_000) for _ in range(HEAD_BYTES_MAX // 1_000 + 1))
    )
    heard = line.feed(b"\r\n")
    assert heard.told == ["lost"]
    assert str(HEAD_BYTES_MAX) in heard.why


def test_a_header_without_an_end_is_lost():
    line = Line()
    heard = line.feed(b"HTTP/1.1 200 OK\r\nx: ", *(b"y" * 1_000 for _ in range(2 * HEAD_BYTES_MAX // 1_000)))
    assert heard.told == ["lost"]


def test_an_exchange_that_fails_in_hearing_is_told_that_it_is_lost():
    def fails() -> None:
        raise RuntimeError("a fault of ours")

    async def scene():
        said = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: said.append(context["message"]))
        line = Line()
        line.exchange.then = fails
        return line.feed(ANSWER), line, said

    heard, line, said = asyncio.run(scene())
    assert heard.told == ["begins", "lost"]
    assert said == ["an answer could not be taken"]
    assert line.transport.aborted


noise = st.one_of(
    st.binary(max_size=60), st.sampled_from([ANSWER, CHUNKED, TO_THE_END, ANSWER[:40], b"\r\n", b"0\r\n\r\n"])
)


@given(st.lists(noise, max_size=8), st.booleans())
def test_whatever_comes_exactly_one_end_is_told(pieces, reset):
    line = Line()
    heard = line.feed(*pieces)
    if not line.transport.closed or "lost" not in heard.told:
        line.end(ConnectionResetError() if reset else None)
    assert heard.told.count("ends") + heard.told.count("lost") == 1
    assert heard.told.index("begins") == 0 if "begins" in heard.told else heard.told == ["lost"]


# --- one connection, one exchange after another ---


def test_a_connection_is_used_again_if_the_supplier_keeps_it():
    line = Line()
    for _ in range(3):
        assert line.feed(ANSWER).told == ["begins", "ends"]
        assert line.pool._idle.pop() is line.connection
        line.send()
    assert bytes(line.transport.written) == REQUEST * 4


@pytest.mark.parametrize("answer", [
    ANSWER.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"), ANSWER.replace(b"HTTP/1.1", b"HTTP/1.0"),
])  # fmt: skip
def test_one_that_the_supplier_ends_is_not(answer):
    line = Line()
    assert line.feed(answer).told == ["begins", "ends"]
    assert line.transport.closed
    assert not line.idle


def test_one_that_breaks_before_anything_came_is_stale_only_if_it_was_used_before():
    line = Line()
    line.feed(ANSWER)
    line.send()
    assert line.end().stale
    fresh = Line()
    assert not fresh.end().stale
    begun = Line()
    begun.feed(ANSWER)
    begun.send()
    begun.feed(b"HTTP/1.1 ")
    assert not begun.end().stale, "the supplier has seen the request"


def test_one_that_was_closed_meanwhile_says_so_when_it_is_sent_on():
    line = Line()
    line.feed(ANSWER)
    line.connection.connection_lost(None)
    assert not line.idle
    heard = line.send()
    assert (heard.told, heard.stale) == (["lost"], True)


def test_what_comes_unasked_ends_an_idle_connection():
    line = Line()
    line.feed(ANSWER)
    line.connection.data_received(b"HTTP/1.1 200 OK\r\n\r\n")
    assert line.transport.aborted
    assert not line.connection.usable


@pytest.mark.parametrize("extra", [ANSWER, b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n", b"HTTP/1.1 200"])
def test_what_comes_behind_an_answer_ends_the_connection(extra):
    line = Line()
    assert line.feed(ANSWER + extra).told == ["begins", "ends"]
    assert line.transport.is_closing()


def test_one_that_is_dropped_tells_nothing_more():
    line = Line()
    heard = line.feed(ANSWER[:-2])
    line.connection.drop()
    assert line.transport.aborted
    line.connection.connection_lost(None)
    assert heard.told == ["begins"]


def test_a_slow_client_stops_the_reading_and_the_next_exchange_reads_again():
    line = Line()
    line.connection.pause()
    line.connection.pause()
    assert not line.transport.is_reading()
    line.connection.resume()
    assert line.transport.is_reading()
    line.connection.pause()
    line.feed(ANSWER)
    assert line.transport.is_reading(), "an idle connection that is not read cannot be seen to close"


# --- the pool ---


def test_idle_connections_are_closed_after_a_while_by_the_clock():
    line = Line()
    line.feed(ANSWER)
    for seconds, closed in ((IDLE_S, False), (IDLE_S + 1, True)):
        line.pool.close_idle(line.clock.now_ns + seconds * SECOND)
        assert line.transport.is_closing() is closed


def test_no_more_are_kept_than_may_be():
    pool = SupplierPool(Address("x", 80, tls=False), Clock())
    transports = [Transport() for _ in range(IDLE_MAX + 2)]
    for transport in transports:
        connection = SupplierConnection(pool)
        connection.connection_made(transport)
        pool.give_back(connection)
    assert [transport.closed for transport in transports] == [False] * IDLE_MAX + [True] * 2
    pool.close()
    assert all(transport.closed for transport in transports)


async def served(answer: bytes, requests: list[bytes], *, ends: bool = False) -> asyncio.Server:
    """A supplier that answers every request in the same way; with `ends` it closes after each."""

    async def one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                requests.append(await reader.readuntil(b"\r\n\r\n"))
                writer.write(answer)
                if ends:
                    break
        except asyncio.IncompleteReadError:
            pass
        writer.close()
        await writer.wait_closed()

    return await asyncio.start_server(one, HERE, 0)


def exchanged(scene):
    """A scene on an event loop, its faults told: nothing is left to be reported."""

    async def play():
        faults = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: faults.append(context))
        done = await scene()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        await asyncio.gather(*others, return_exceptions=True)
        assert not faults
        return done

    return asyncio.run(play())


def port_of(server: asyncio.Server) -> int:
    return int(server.sockets[0].getsockname()[1])


async def sent(pool: SupplierPool, *, fresh: bool = False) -> Heard:
    heard = Heard()
    pool.send(heard, REQUEST, heard.taken, fresh=fresh)
    await heard.over.wait()
    return heard


def test_a_pool_connects_once_and_again_only_if_told_so():
    async def scene():
        requests: list[bytes] = []
        server = await served(ANSWER, requests)
        pool = SupplierPool(Address(HERE, port_of(server), tls=False), Clock())
        first, second, third = await sent(pool), await sent(pool), await sent(pool, fresh=True)
        assert first.connection is second.connection
        assert third.connection is not first.connection
        assert first.told == second.told == ["connected", "begins", "ends"]
        assert requests == [REQUEST] * 3
        pool.close()
        server.close()
        await server.wait_closed()

    exchanged(scene)


def test_a_connection_that_the_supplier_closed_is_not_used():
    async def scene():
        server = await served(ANSWER, [], ends=True)
        pool = SupplierPool(Address(HERE, port_of(server), tls=False), Clock())
        for _ in range(3):
            heard = await sent(pool)
            assert heard.told[-1] == "ends"
            assert heard.connection is not None
            while pool._idle:
                await asyncio.sleep(0)
            assert not heard.connection.usable
        server.close()
        await server.wait_closed()

    exchanged(scene)


def test_where_nobody_listens_the_exchange_is_lost():
    async def scene():
        with socket.socket() as unused:
            unused.bind((HERE, 0))
            port = unused.getsockname()[1]
            return await sent(SupplierPool(Address(HERE, port, tls=False), Clock())), port

    heard, port = exchanged(scene)
    assert (heard.told, heard.stale) == (["lost"], False)
    assert f"no connection to {HERE}:{port}" in heard.why


def test_a_name_that_cannot_be_one_is_lost():
    async def scene():
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda *_: None)
        heard = Heard()
        pool = SupplierPool(Address("x" * 64 + ".example", 80, tls=False), Clock())
        pool.send(heard, REQUEST, heard.taken)
        await asyncio.gather(*pool._tasks, return_exceptions=True)
        return heard

    assert asyncio.run(scene()).told == ["lost"]


def test_connecting_is_not_waited_for_longer_than_it_may_take(monkeypatch):
    async def scene():
        async def never(*_, **__):
            await asyncio.Event().wait()

        monkeypatch.setattr(asyncio.get_running_loop(), "create_connection", never)
        return await sent(SupplierPool(Address(HERE, 9, tls=False), Clock(), connect_ns=1))

    heard = exchanged(scene)
    assert (heard.told, heard.stale) == (["lost"], False)
    assert "nothing in 1e-09 s" in heard.why


def test_a_pool_that_is_closed_connects_no_more(monkeypatch):
    async def scene():
        async def never(*_, **__):
            await asyncio.Event().wait()

        monkeypatch.setattr(asyncio.get_running_loop(), "create_connection", never)
        pool = SupplierPool(Address(HERE, 9, tls=False), Clock())
        heard = Heard()
        pool.send(heard, REQUEST, heard.taken)
        tasks = set(pool._tasks)
        pool.close()
        done = await asyncio.gather(*tasks, return_exceptions=True)
        return heard, done

    heard, done = exchanged(scene)
    assert [type(each) for each in done] == [asyncio.CancelledError]
    assert heard.connection is None


# --- TLS ---


def test_a_supplier_that_speaks_no_tls_is_lost():
    async def scene():
        server = await served(ANSWER, [])
        heard = await sent(SupplierPool(Address(HERE, port_of(server), tls=True), Clock()))
        server.close()
        await server.wait_closed()
        return heard

    heard = exchanged(scene)
    assert (heard.told, heard.stale) == (["lost"], False)
    assert "no connection" in heard.why


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """A key and a certificate of this machine's address that nobody has signed but itself."""
    openssl = which("openssl")
    if openssl is None:
        pytest.skip("openssl makes the certificate, and is not installed")
    folder = tmp_path_factory.mktemp("tls")
    key, made = folder / "key.pem", folder / "certificate.pem"
    words = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", made, "-days", "2",
             "-subj", "/CN=somebody", "-addext", f"subjectAltName=IP:{HERE}"]  # fmt: skip
    subprocess.run([openssl, *words], check=True, capture_output=True)
    return made, key


async def tls_exchange(certificate, trusted: ssl.SSLContext | None, host: str = HERE) -> Heard:
    async def one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(ANSWER.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
        await writer.drain()
        writer.close()

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    server = await asyncio.start_server(one, HERE, 0, ssl=context)
    heard = await sent(SupplierPool(Address(host, port_of(server), tls=True), Clock(), trusted))
    server.close()
    await server.wait_closed()
    return heard


def test_a_certificate_that_is_trusted_is_taken(certificate):
    trusted = ssl.create_default_context(cafile=str(certificate[0]))
    assert asyncio.run(tls_exchange(certificate, trusted)).told == ["connected", "begins", "ends"]


def test_a_certificate_that_nobody_signed_is_refused_before_anything_is_sent(certificate):
    heard = asyncio.run(tls_exchange(certificate, None))
    assert heard.told == ["lost"]
    assert "CERTIFICATE_VERIFY_FAILED" in heard.why


def test_a_certificate_of_another_name_is_refused(certificate):
    trusted = ssl.create_default_context(cafile=str(certificate[0]))
    heard = asyncio.run(tls_exchange(certificate, trusted, "localhost"))
    assert heard.told == ["lost"]
    assert "Hostname mismatch" in heard.why
