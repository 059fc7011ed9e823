"""Two gateways, one company: processes that share a PostgreSQL store admit together what one would, and outlive their server."""

import asyncio
import json

import pytest

from ciyuan.basics.errors import Malformed
from ciyuan.services.door.gateway_store import GatewayStore
from tests.services.door.served import Mocks, Served, ciyuan, company, suppliers_file
from tests.services.door.stand import read_answer

pytest_plugins = ("tests.services.postgres",)
MODEL = "m:wait=400"
BODY = json.dumps(
    {"model": MODEL, "messages": [{"role": "user", "content": "count"}], "max_tokens": 8}
).encode()
HELD = len(BODY) + 64 + 16 + 8 * 4 + 1
"""What a request holds, in micro-USD: a token a byte of its body, what a template may add, 8 tokens out at 4, the carry."""
FITTING, ASKING = 12, 40
HEAD = (
    "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\ncontent-length: {}\r\n\r\n"
)


async def ask(port: int, secret: str) -> int:
    """One request; its status."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(HEAD.format(secret, len(BODY)).encode() + BODY)
    status, _, _ = await read_answer(reader)
    writer.close()
    await writer.wait_closed()
    return status


async def ask_all(ports: list[int], secret: str) -> list[int]:
    return list(await asyncio.gather(*(ask(ports[place % len(ports)], secret) for place in range(ASKING))))


def test_two_gateways_admit_together_what_the_balance_covers(tmp_path, postgres_url):
    """Case 24: limits are not kept per process. Case 3: a change that one process takes up holds in the other."""
    mocks = Mocks()
    balance = FITTING * HELD + HELD // 2
    secret = company(postgres_url, f"{balance / 1e6:.6f}")
    suppliers = suppliers_file(tmp_path, mocks, [MODEL])
    with (
        Served(postgres_url, suppliers, "--process", "0") as one,
        Served(postgres_url, suppliers, "--process", "1") as two,
    ):
        statuses = asyncio.run(ask_all([one.port, two.port], secret))
        assert sorted(statuses) == [200] * FITTING + [402] * (ASKING - FITTING)
        assert mocks.suppliers[0].begun == {"m": FITTING}
        assert (two.stop(), one.stop()) == (0, 0)
    mocks.close()
    stores = [GatewayStore.open(postgres_url, process) for process in (0, 1)]
    hashes = {store.venue.state_hash() for store in stores}
    for store in stores:
        store.close()
    assert len(hashes) == 1
    told = json.loads(ciyuan("usage", "--by", "engineer", "--store", postgres_url, "--json").stdout)
    assert told["total"]["requests"] == FITTING


def test_two_processes_of_one_number_are_not_let_in(postgres_url):
    first = GatewayStore.open(postgres_url, 3)
    with pytest.raises(Malformed, match="another gateway of this number"):
        GatewayStore.open(postgres_url, 3)
    first.close()
    GatewayStore.open(postgres_url, 3).close()
