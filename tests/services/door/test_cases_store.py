"""The door without its disk, without its client, and after a long time (cases 8, 26 and 27 of docs/spec/gateway_cases.md)."""

import asyncio
import errno
import json

import pytest

from ciyuan.gateway.book import STATUS
from ciyuan.gateway.messages import RequestState, tick_row
from ciyuan.services.door.counters import Counters
from ciyuan.services.door.registry import Registry
from ciyuan.services.door.registry_keys import Permissions
from ciyuan.services.door.registry_schema import PaymentKind, SpenderKind
from ciyuan.services.door.serving import CLOSED_AFTER_NS, Gateway, ServeOrder
from ciyuan.services.store import Store
from ciyuan.venue.machine import Venue
from tests.services.door.mock_supplier import TOKENS_IN, MockSupplier
from tests.services.door.served import MODEL, SUPPLIER
from tests.services.door.stand import MESSAGES, Stand, read_answer
from tests.services.door.till import SUPPLIER as CHEAPER
from tests.services.door.till import TERMS, Clock, matrix, prepaid

FULL = TOKENS_IN + 8 * 4
YEAR_NS = 365 * 86_400 * 10**9


class FailingLog:
    """A journal whose disk takes nothing any more once it is told to fail."""

    def __init__(self, store: Store) -> None:
        self.store, self.fails = store, ""

    @property
    def sequence(self) -> int:
        return self.store.sequence

    def write(self, rows):
        if self.fails == "write":
            raise OSError(errno.ENOSPC, "No space left on device")
        return self.store.write(rows)

    @property
    def unsynced(self) -> tuple[int, int]:
        return self.store.unsynced

    def synced(self, error: int = 0) -> int:
        return self.store.synced(errno.EIO if self.fails == "sync" else error)

    def close(self) -> None:
        self.store.close()


def replayed(folder) -> Venue:
    """The venue as a gateway finds it that opens the journal again."""
    venue = Venue(TERMS)
    with Store.open(folder / "journal", TERMS.digest()) as store:
        for rows in store.read():
            venue.apply(rows)
    return venue


def play(tmp_path, scene):
    """A stand whose journal can fail."""

    async def run():
        log = FailingLog(Store.create(tmp_path / "journal", TERMS.digest()))
        async with Stand(tmp_path, store=log) as stand:  # type: ignore[arg-type]  # as much of a store as a host asks for
            await scene(stand, log)

    asyncio.run(run())
    venue = replayed(tmp_path)
    venue.ledger.check()
    return venue


# --- case 8: where nothing can be written, nothing is let through ---


@pytest.mark.parametrize("what", ["write", "sync"])
@pytest.mark.parametrize("stream", [False, True])
def test_without_a_journal_no_answer_is_given_and_none_after_it(tmp_path, what, stream):
    """Case 8: a hold that is not durable shows nothing; after the failure no request reaches a supplier."""

    async def scene(stand, log):
        log.fails = what
        status, _, body = await stand.chat(stream=stream)
        assert (status, json.loads(body)["error"]["code"]) == (503, "unavailable")
        seen = dict(stand.suppliers[CHEAPER].begun)
        assert seen == ({} if what == "write" else seen)
        for _ in range(3):
            assert (await stand.chat(stream=stream))[0] == 503
        assert stand.suppliers[CHEAPER].begun == seen
        assert (await stand.ask("GET", "/readyz"))[0] == 503

    venue = play(tmp_path, scene)
    venue.apply(matrix([tick_row(0)], 2 * 10**18 + YEAR_NS))
    assert prepaid(venue) == (10**6, 10**6)


@pytest.mark.parametrize("stream", [False, True])
def test_a_disk_that_fails_before_the_posting_gives_no_whole_answer_and_charges_nothing(tmp_path, stream):
    """Case 8: the hold was durable, the posting never is; after the restart the hold expires, and the money is free."""

    async def scene(stand, log):
        gate = stand.suppliers[CHEAPER].gate = asyncio.Event()
        asking = asyncio.create_task(stand.chat(stream=stream))
        while not stand.suppliers[CHEAPER].waiting:
            await asyncio.sleep(0.001)
        await stand.host.drained()
        log.fails = "write"
        gate.set()
        if stream:
            with pytest.raises(asyncio.IncompleteReadError):
                await asking
        else:
            status, _, body = await asking
            assert (status, b"one two" in body) == (503, False)

    venue = play(tmp_path, scene)
    assert [int(row[STATUS]) & 0xFFFF for row in venue.meter.snapshot()["requests"]] == [RequestState.HELD]
    assert prepaid(venue)[0] == 10**6
    venue.apply(matrix([tick_row(0)], 2 * 10**18 + YEAR_NS))
    assert prepaid(venue) == (10**6, 10**6)


# --- case 26: what is counted does not go with the client ---


def test_the_metrics_of_a_client_that_left_are_counted(tmp_path):
    """Case 26: tokens and money of an answer are counted, whoever still listens."""

    async def play_it():
        async with Stand(tmp_path, models=["m:pace=2"]) as stand:
            counters = Counters(stand.door)
            asking = asyncio.create_task(stand.chat("m:pace=2", stream=True))
            while not stand.suppliers[CHEAPER].begun:
                await asyncio.sleep(0.001)
            asking.cancel()
            await stand.settled()
            page = counters.page().decode()
            assert 'outcome="left",protocol="chat",streamed="yes"} 1.0' in page
            assert (
                f'ciyuan_charged_usd_total{{model="m:pace=2",supplier="supplier 2"}} {FULL / 1e6:g}' in page
            )
            assert 'ciyuan_tokens_total{leg="output",model="m:pace=2",supplier="supplier 2"} 8.0' in page

    asyncio.run(play_it())


# --- case 27: what is done is forgotten ---


async def asked(port: int, secret: str, count: int) -> None:
    """So many answered chats, one after the other."""
    body = json.dumps({"model": "m", "messages": MESSAGES, "max_tokens": 8}).encode()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for _ in range(count):
        head = f"POST /v1/chat/completions HTTP/1.1\r\nauthorization: Bearer {secret}\r\ncontent-length: {len(body)}\r\n\r\n"
        writer.write(head.encode() + body)
        assert (await read_answer(reader))[0] == 200
    writer.close()


def company_in(folder, clock: Clock) -> str:
    """A company with a key and money; the key's secret."""
    with Registry.open(folder / "registry.sqlite") as registry, registry.change(clock()) as change:
        acme = change.spenders.add(SpenderKind.ORGANISATION, "acme")
        change.payments.ask(PaymentKind.DEPOSIT, acme.participant, 10**6, "the first")
        return change.keys.create(acme.number, "laptop", Permissions()).text


def test_requests_that_ended_are_forgotten_and_memory_is_that_of_the_ones_under_way(tmp_path):
    """Case 27: the meter forgets what is older than any hold; the door keeps nothing of a call that has ended."""
    clock = Clock()
    secret = company_in(tmp_path, clock)

    async def run() -> list[int]:
        supplier = await MockSupplier().start()
        text = SUPPLIER.format(supplier="mock", port=supplier.port) + MODEL.format(supplier="mock", model="m")
        (tmp_path / "suppliers.toml").write_text(text)
        order = ServeOrder(store=str(tmp_path), suppliers=tmp_path / "suppliers.toml", port=0, admin_port=0,
                           firewall=False, environ={"MOCK_KEY": "x"})  # fmt: skip
        gateway = Gateway(order, clock)
        await gateway.open()
        kept = []
        for _ in range(3):
            await asked(gateway.ports[0], secret, 20)
            clock.now_ns += CLOSED_AFTER_NS + 10**9
            await gateway._tick()  # what runs every ten seconds
            await gateway.host.drained()
            kept.append(len(gateway.store.venue.meter.snapshot()["requests"]))
            assert not gateway.door.calls
            assert not gateway.door._watched
        await gateway.close(1)
        await supplier.stop()
        return kept

    assert asyncio.run(run()) == [0, 0, 0]
