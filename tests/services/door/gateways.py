"""A gateway in this process, as `ciyuan serve` puts it together: a store with a company in it, mock suppliers, free ports."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from ciyuan.services.door.registry import Registry
from ciyuan.services.door.registry_command import REGISTRY
from ciyuan.services.door.registry_keys import Permissions
from ciyuan.services.door.registry_schema import PaymentKind, SpenderKind
from ciyuan.services.door.serving import Gateway, ServeOrder
from tests.services.door.mock_supplier import MockSupplier
from tests.services.door.served import suppliers_file
from tests.services.door.stand import MESSAGES, read_answer
from tests.services.door.till import START_NS

BALANCE = 1_000_000
CHAT = "/v1/chat/completions"
ENVIRON = {"MOCK_KEY": "the key of the mock"}


@dataclass
class Place:
    """A folder with a store and a suppliers' file in it, and who is a client there."""

    folder: Path
    mocks: Any
    suppliers: Path
    secret: str
    spenders: dict[str, int] = field(default_factory=dict)

    @property
    def store(self) -> str:
        return str(self.folder / "store")

    @property
    def mock(self) -> MockSupplier:
        found = self.mocks.suppliers[0]
        assert isinstance(found, MockSupplier)
        return found

    def order(self, **terms) -> ServeOrder:
        """What to serve here: without firewall and audit, unless told otherwise."""
        plain = {
            "port": 0,
            "admin_port": 0,
            "firewall": False,
            "audit_share": 0,
            "environ": ENVIRON,
            "drain_s": 5.0,
        }
        return ServeOrder(self.store, self.suppliers, **{**plain, **terms})

    def offer(self, *models: str) -> None:
        """Write the suppliers' file anew."""
        suppliers_file(self.folder, self.mocks, models)

    @asynccontextmanager
    async def opened(self, clock: Callable[[], int] = time.time_ns, **terms) -> AsyncIterator[Gateway]:
        """A gateway that is open, and is closed at the end."""
        gateway = Gateway(self.order(**terms), clock)
        try:
            await gateway.open()
            yield gateway
        finally:
            await gateway.close(5)

    async def chat(self, gateway: Gateway, model: str = "m", **more):
        body = {"model": model, "messages": MESSAGES, "max_tokens": 8, **more}
        return await ask(gateway.ports[0], "POST", CHAT, json.dumps(body).encode(), self.secret)


def company(folder: Path) -> tuple[str, dict[str, int]]:
    """A company with money and a key in a new store; the key's secret, and its spenders by what they are."""
    folder.mkdir(parents=True)
    with Registry.open(folder / REGISTRY) as registry, registry.change(START_NS) as change:
        acme = change.spenders.add(SpenderKind.ORGANISATION, "acme")
        ada = change.spenders.add(SpenderKind.ENGINEER, "ada", acme.number)
        made = change.keys.create(ada.number, "laptop", Permissions())
        change.payments.ask(PaymentKind.DEPOSIT, acme.participant, BALANCE, "the first")
        return made.text, {"organisation": acme.number, "engineer": ada.number}


@asynccontextmanager
async def a_place(folder: Path, *models: str, suppliers: int = 1) -> AsyncIterator[Place]:
    """A place with mock suppliers on this loop that offer these models."""
    secret, spenders = company(folder / "store")
    mocks: Any = SimpleNamespace(suppliers=[await MockSupplier().start() for _ in range(suppliers)])
    try:
        yield Place(folder, mocks, suppliers_file(folder, mocks, models or ("m",)), secret, spenders)
    finally:
        for mock in mocks.suppliers:
            await mock.stop()


async def ask(
    port: int,
    method: str,
    path: str,
    data: bytes = b"",
    secret: str = "",
    headers: Mapping[str, str] | None = None,
) -> tuple[int, dict[str, str], bytes]:
    """One request on a connection of its own; status, headers, body."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    given = {"host": "x", "content-length": str(len(data)), **(headers or {})}
    if secret:
        given["authorization"] = f"Bearer {secret}"
    lines = "".join(f"{name}: {value}\r\n" for name, value in given.items())
    writer.write(f"{method} {path} HTTP/1.1\r\n{lines}\r\n".encode() + data)
    try:
        return await read_answer(reader)
    finally:
        writer.close()
