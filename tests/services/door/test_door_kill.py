"""A gateway under load, ended with `kill -9` again and again: what the supplier saw, what was posted and what is held agree."""

import asyncio
import json
import random
from contextlib import suppress

import pytest

from ciyuan.basics.money import MICRO
from ciyuan.gateway.book import REQUEST, STATUS
from ciyuan.gateway.messages import RequestState, tick_row
from ciyuan.services.door.gateway_store import GatewayStore
from ciyuan.venue.messages import Purse
from tests.services.door.served import Mocks, Served, company, suppliers_file
from tests.services.door.stand import read_answer
from tests.services.door.till import matrix

DEPOSIT = 50
CLIENTS = 24
YEAR_NS = 365 * 86_400 * 10**9
BODY = json.dumps(
    {"model": "m:pace=1", "messages": [{"role": "user", "content": "count"}], "max_tokens": 8, "stream": True}
).encode()


HEAD = (
    "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\ncontent-length: {}\r\n\r\n"
)


async def client(port: int, secret: str, answered: list[bytes]) -> None:
    """Ask again and again until the gateway is gone; keep every answer that came whole."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        while True:
            writer.write(HEAD.format(secret, len(BODY)).encode() + BODY)
            status, headers, body = await read_answer(reader)
            assert status == 200, body
            answered.append(headers["x-request-id"].encode())
    except (ConnectionError, asyncio.IncompleteReadError):
        return
    finally:
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()


async def load(gateway: Served, secret: str, answered: list[bytes], seconds: float) -> None:
    clients = [asyncio.create_task(client(gateway.port, secret, answered)) for _ in range(CLIENTS)]
    await asyncio.sleep(seconds)
    await asyncio.to_thread(gateway.kill)
    await asyncio.gather(*clients)


def requests_of(venue) -> dict[int, int]:
    """Every request of the meter, and how it stands."""
    held = venue.meter.snapshot()["requests"]
    return {int(row[REQUEST]): int(row[STATUS]) & 0xFFFF for row in held}


def check_killed_again_and_again(folder, kills: int) -> None:
    rng = random.Random(kills)  # noqa: S311 moments, not secrets
    store, mocks = str(folder / "store"), Mocks()
    answered: list[bytes] = []
    secret = company(store, str(DEPOSIT))
    gateway = Served(store, suppliers_file(folder, mocks, ["m:pace=1"]), "--no-firewall")
    for _ in range(kills):
        gateway.start()
        asyncio.run(load(gateway, secret, answered, rng.uniform(0.05, 0.8)))
    seen = {int(headers["x-request-id"], 16) for _, headers, _ in mocks.suppliers[0].requests}
    assert len(seen) == len(mocks.suppliers[0].requests), "a request was sent twice"
    mocks.close()
    check(store, seen, answered)


def check(store: str, seen: set[int], answered: list[bytes]) -> None:
    opened = GatewayStore.open(store)
    venue = opened.venue
    account = venue.terms.chart.purse(1, Purse.PREPAID)
    before = requests_of(venue)
    assert opened.fold is not None
    opened.fold.flush(opened.log.sequence)
    with opened.database.view() as sql:
        charged = int(sql.value("SELECT COALESCE(SUM(charged_micro), 0) FROM usage_hour"))
    venue.apply(matrix([tick_row(0)], opened.last_ns + YEAR_NS))
    after = requests_of(venue)
    opened.close()
    settled = {request for request, state in after.items() if state == RequestState.SETTLED}
    expired = {request for request, state in after.items() if state == RequestState.EXPIRED}
    assert seen <= after.keys(), "a supplier served what was never held"
    assert settled <= seen, "what no supplier saw was charged"
    assert seen == settled | (seen & expired), "a served request is neither posted nor expired"
    told = {int(name.removeprefix(b"req_"), 16) for name in answered}
    assert told <= {request >> 4 for request in settled}, "an answer that came whole was not posted"
    assert set(before) == set(after)
    assert venue.ledger.posted(account) == venue.ledger.available(account) == DEPOSIT * MICRO - charged
    venue.ledger.check()
    assert len(told) > 0


def test_killed_under_load_nothing_is_lost_and_nothing_is_charged_twice(tmp_path):
    """Cases 7, 11: kill -9 at any moment; the supplier's count is ours."""
    check_killed_again_and_again(tmp_path, 3)


@pytest.mark.soak
def test_killed_a_hundred_times(tmp_path):
    check_killed_again_and_again(tmp_path, 100)
