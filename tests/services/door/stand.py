"""A whole door in this process, on real sockets: a venue behind a journal, a registry with one company's key, mock suppliers.

    async with Stand(tmp_path, balance_micro=10_000) as stand:
        status, headers, body = await stand.post("/v1/chat/completions", {"model": "m", "messages": [...]})

Two suppliers, 2 and 3, both offer the model "m" (what stands behind its colon tells the mock what to do): 2 is cheaper.
"""

import asyncio
import json
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Self

from ciyuan.basics.rows import CODE_MASK, kind_word, row
from ciyuan.gateway.door_refusals import PATHS, Protocol
from ciyuan.gateway.leg_prices import LegPrices
from ciyuan.gateway.route import Router
from ciyuan.gateway.route_offers import Offer, Offers, Tier
from ciyuan.gateway.route_policy import RoutePolicy
from ciyuan.gateway.usage import Leg
from ciyuan.services.catalog_suppliers import SupplierTimeouts
from ciyuan.services.door.client_connection import ClientConnection
from ciyuan.services.door.door import Door
from ciyuan.services.door.door_words import Words
from ciyuan.services.door.enrolment import Enrolment
from ciyuan.services.door.group_host import GroupHost
from ciyuan.services.door.numbering import Numbers
from ciyuan.services.door.pages import Pages
from ciyuan.services.door.registry import Registry
from ciyuan.services.door.registry_keys import Permissions
from ciyuan.services.door.registry_schema import PaymentKind, SpenderKind
from ciyuan.services.door.registry_words import LimitTerms
from ciyuan.services.door.supplier_connection import Address, SupplierPool
from ciyuan.services.door.supplier_site import SupplierSite, Way, head_of
from ciyuan.services.store import Store
from ciyuan.venue.machine import Venue
from ciyuan.venue.messages import Purse, VenueCommand, VenueEvent
from tests.services.door.mock_supplier import MockSupplier
from tests.services.door.till import (
    CUSTOMER,
    OTHER,
    PRICE_CACHED,
    PRICE_IN,
    PRICE_OUT,
    SUPPLIER,
    TERMS,
    prepaid,
)

MESSAGES = [{"role": "user", "content": "Say one to eight."}]
HOW = ("m",)


def model_offer(supplier: int, model: str, grade: int, *, dearer: int = 0, tier: Tier = Tier.MEDIUM) -> Offer:
    prices = LegPrices.of(
        {Leg.INPUT: PRICE_IN + dearer, Leg.CACHE_READ: PRICE_CACHED + dearer, Leg.OUTPUT: PRICE_OUT + dearer}
    )
    return Offer(
        supplier,
        f"supplier {supplier}",
        grade,
        model,
        model,
        tier,
        frozenset(Protocol),
        prices,
        100_000,
        1_000,
    )


class Stand:
    """See the module's page. `models` are what both suppliers offer; the second asks a little more."""

    def __init__(
        self,
        folder: Path,
        *,
        balance_micro: int = 1_000_000,
        models: Sequence[str] = HOW,
        policy: RoutePolicy | None = None,
        timeouts: SupplierTimeouts | None = None,
        store: Store | None = None,
    ) -> None:
        self.folder, self.balance_micro, self.models = folder, balance_micro, list(models)
        self.policy, self.timeouts = policy or RoutePolicy(), timeouts
        self.store = store or Store.create(folder / "journal", TERMS.digest())
        self.connections: set[ClientConnection] = set()
        self.secret, self.port = "", 0
        self._payments = 10**6

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        self.suppliers = {SUPPLIER: await MockSupplier().start(), OTHER: await MockSupplier().start()}
        self.registry = Registry.open(self.folder / "registry.sqlite")
        offers = self._set_up()
        self.host = GroupHost(Venue(TERMS), self.store, time.time_ns)
        self.host.start(loop)
        self.enrolment = Enrolment(self.host, self.registry, time.time_ns)
        directory = (await self.enrolment.begin()).directory
        sites = {number: self._site(number, mock.port) for number, mock in self.suppliers.items()}
        words = Words(offers, directory, lambda _: prepaid(self.host.venue)[1])
        self.router = Router(offers, self.policy)
        self.door = Door(
            self.host,
            self.router,
            sites,
            directory,
            Pages(offers.models),
            words,
            Numbers(time.time_ns),
            time.time_ns,
        )
        self.calls: list = []
        self.attempts: list = []
        self.door.on_call.append(self.calls.append)
        self.door.on_attempt.append(self.attempts.append)
        server = await loop.create_server(
            lambda: ClientConnection(self.door, time.time_ns, self.connections), "127.0.0.1", 0
        )
        self.server, self.port = server, server.sockets[0].getsockname()[1]
        self._sweeping = loop.create_task(self._sweep())
        return self

    def _set_up(self) -> Offers:
        """One company with a key and its money, two suppliers with their prices."""
        registry, now_ns = self.registry, time.time_ns()
        with registry.change(now_ns) as change:
            acme = change.spenders.add(SpenderKind.ORGANISATION, "acme")
            research = change.spenders.add(SpenderKind.DEPARTMENT, "research", acme.number)
            ada = change.spenders.add(SpenderKind.ENGINEER, "ada", research.number)
            made = change.keys.create(ada.number, "laptop", Permissions())
            self.secret = made.text
            self.spenders = {"organisation": acme.number, "department": research.number, "engineer": ada.number,
                             "key": made.kept.spender}  # fmt: skip
            if self.balance_micro:
                change.payments.ask(PaymentKind.DEPOSIT, acme.participant, self.balance_micro, "the first")
        assert [registry.supplier(f"supplier {number}", now_ns) for number in (SUPPLIER, OTHER)] == [
            SUPPLIER,
            OTHER,
        ]
        grades = {model: registry.grade(model, "medium", now_ns) for model in self.models}
        offers = [model_offer(number, model, grade, dearer=dearer) for model, grade in grades.items()
                  for number, dearer in ((SUPPLIER, 0), (OTHER, 1))]  # fmt: skip
        with registry.change(now_ns) as change:
            for offer in offers:
                change.prices.post(offer.supplier, offer.grade, offer.prices)
        return Offers(offers)

    def _site(self, number: int, port: int) -> SupplierSite:
        pool = SupplierPool(Address("127.0.0.1", port, tls=False), time.time_ns)
        ways = {
            protocol: Way(
                pool,
                head_of(f"http://127.0.0.1:{port}{path}", "sk-supplier", {}, anthropic=False),
                anthropic=False,
            )
            for path, protocol in PATHS.items()
        }
        return SupplierSite(f"supplier {number}", ways, self.timeouts)

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(0.02)
            self.door.sweep()

    async def __aexit__(self, *_: object) -> None:
        self._sweeping.cancel()
        self.server.close()
        for connection in list(self.connections):
            connection.close_when_answered()
        await self.door.drain(2)
        await self.host.close()
        self.store.close()
        for site in self.door.sites.values():
            for pool in site.pools:
                pool.close()
        for mock in self.suppliers.values():
            await mock.stop()
        self.registry.close()

    def pictures(self) -> Offers:
        """The same offers, of models that take pictures."""
        return Offers([replace(offer, image_tokens=1_000) for offer in self.router.offers.all])

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def money(self) -> tuple[int, int]:
        """The prepaid balance, and what of it is not held."""
        return prepaid(self.host.venue)

    @property
    def spent(self) -> int:
        return self.balance_micro - self.money[0]

    async def leave(self, amount_micro: int) -> None:
        """Pay out or in until the company has just so much prepaid."""
        self._payments += 1
        change = amount_micro - self.money[0]
        code = VenueCommand.DEPOSIT if change > 0 else VenueCommand.WITHDRAW
        if change:
            done = asyncio.get_running_loop().create_future()
            words = (self._payments, CUSTOMER, Purse.PREPAID, abs(change))
            self.host.submit_group([row(kind_word(code), 0, words)], done.set_result)
            events = await done
            assert events[-1][0] & CODE_MASK in {VenueEvent.DEPOSITED, VenueEvent.WITHDRAWN}, events
        assert self.money == (amount_micro, amount_micro)

    async def limit(self, where: str, terms: LimitTerms) -> None:
        """Limit a spender of the key's line."""
        with self.registry.change(time.time_ns()) as change:
            change.limits.set(self.spenders[where], terms)
        enrolled = await self.enrolment.renew(self.door.directory)
        assert not enrolled.refused
        self.door.directory = enrolled.directory
        self.door.words.renew(self.router.offers, enrolled.directory)

    async def settled(self) -> None:
        """Wait until no call is under way and all is durable."""
        while self.door.calls:
            await asyncio.sleep(0.005)
        await self.host.drained()

    async def post(
        self, path: str, body: object, headers: dict[str, str] | None = None, secret: str | None = None
    ):
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        return await self.ask("POST", path, data, headers, secret)

    async def chat(self, model: str = "m", **more: object):
        return await self.post(
            "/v1/chat/completions", {"model": model, "messages": MESSAGES, "max_tokens": 8, **more}
        )

    async def ask(
        self,
        method: str,
        path: str,
        data: bytes = b"",
        headers: dict[str, str] | None = None,
        secret: str | None = None,
    ):
        """One request on a connection of its own; status, headers, body (joined, if it is chunked)."""
        given = {"authorization": f"Bearer {self.secret if secret is None else secret}", **(headers or {})}
        lines = "".join(f"{name}: {value}\r\n" for name, value in given.items())
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write(
            f"{method} {path} HTTP/1.1\r\nhost: x\r\ncontent-length: {len(data)}\r\n{lines}\r\n".encode()
            + data
        )
        try:
            return await read_answer(reader)
        finally:
            writer.close()


async def read_answer(reader: asyncio.StreamReader) -> tuple[int, dict[str, str], bytes]:
    """An answer as it came; raises IncompleteReadError if it breaks off."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").rstrip().split("\r\n")
    headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in head[1:])}
    status = int(head[0].split()[1])
    if headers.get("transfer-encoding") != "chunked":
        return status, headers, await reader.readexactly(int(headers["content-length"]))
    body = b""
    while size := int(await reader.readuntil(b"\r\n"), 16):
        body += (await reader.readexactly(size + 2))[:-2]
    await reader.readexactly(2)
    return status, headers, body


__all__ = ["CUSTOMER", "MESSAGES", "Stand", "read_answer"]
