"""Two gateways as processes, one PostgreSQL: one balance, one budget, one bill (cases 15, 24 and 36)."""

import asyncio
import json

import pytest

from ciyuan.services.door.registry_database import Database
from tests.services.door.mock_supplier import TOKENS_IN
from tests.services.door.served import Mocks, Served, ciyuan, company, suppliers_file
from tests.services.door.stand import read_answer

pytest_plugins = ("tests.services.postgres",)
CLIENTS, K = 48, 31
FULL = TOKENS_IN + 8 * 4
BODY = json.dumps(
    {"model": "m", "messages": [{"role": "user", "content": "count"}], "max_tokens": 8}
).encode()
HEAD = "POST /v1/chat/completions HTTP/1.1\r\nauthorization: Bearer {}\r\ncontent-length: {}\r\n\r\n"


@pytest.fixture(scope="module")
def shared(postgres_server, tmp_path_factory):
    """A store in PostgreSQL with a company, and two gateways on it."""
    folder, mocks = tmp_path_factory.mktemp("gateways"), Mocks()
    url = postgres_server.create_database()
    secret = company(url, "10.00")
    ciyuan("budget", "set", "acme/research", f"{K} requests a day", "--store", url)
    suppliers = suppliers_file(folder, mocks, ["m"])
    with (
        Served(url, suppliers, "--no-firewall") as first,
        Served(url, suppliers, "--no-firewall", "--process", "1") as second,
    ):
        yield url, secret, mocks, (first, second)
        assert (first.stop(), second.stop()) == (0, 0)
    mocks.close()


async def status_of(port: int, secret: str) -> int:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(HEAD.format(secret, len(BODY)).encode() + BODY)
    status, _, _ = await read_answer(reader)
    writer.close()
    return status


async def statuses(ports, secret: str) -> list[int]:
    """What as many clients hear who ask at once, half of them each gateway."""
    return await asyncio.gather(*(status_of(ports[number % 2], secret) for number in range(CLIENTS)))


def charged_micro(url: str) -> int:
    """What the sums of usage say was charged."""
    with Database.open(url) as database, database.view() as sql:
        return int(sql.value("SELECT COALESCE(SUM(charged_micro), 0) FROM usage_hour"))


def test_two_gateways_admit_what_one_would(shared):
    """Cases 24 and 36: a limit holds over both, on one hot account; what suppliers served is what is billed."""
    url, secret, mocks, gateways = shared
    said = asyncio.run(statuses([gateway.port for gateway in gateways], secret))
    assert sorted(said) == [200] * K + [402] * (CLIENTS - K)
    assert mocks.suppliers[0].served["m"] == K
    while charged_micro(url) < K * FULL:  # the sums are a second behind
        asyncio.run(asyncio.sleep(0.05))
    assert charged_micro(url) == K * FULL
