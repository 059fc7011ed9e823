"""`ciyuan serve`: a gateway put together, opened, kept in order while it runs, drained and closed.

| every | done |
|---|---|
| 0.25 s | deadlines of calls; who waits for room |
| 1 s | usage and findings written; what changed in the registry told to the venue; what others wrote to a shared journal |
| 5 s | idle connections closed |
| 10 s | the venue's clock moved on, so that holds expire; requests that are long done forgotten |
| 10 min | a snapshot of the venue |

Signals: SIGTERM and SIGINT drain (no new requests, those under way end, within `drain_s`), then close; a second one closes at
once. SIGHUP reads the suppliers' file again: what is wrong with it is said, and the suppliers stay as they were.

A gateway that cannot do its work does not open: a limit that the venue does not hold, a firewall that cannot search, a key that
is not where the file says. One whose journal fails answers 503 from then on, and ends with status 5.
"""

import asyncio
import gc
import os
import signal
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TextIO

from ciyuan.basics.errors import CiyuanError, Malformed
from ciyuan.basics.rows import CODE_MASK
from ciyuan.gateway.audit import Heard
from ciyuan.gateway.firewall import Firewall
from ciyuan.gateway.messages import MeterEvent, close_row, tick_row
from ciyuan.gateway.route import Router
from ciyuan.gateway.route_offers import ListedModel
from ciyuan.services.catalog_firewall import firewall_rules
from ciyuan.services.catalog_suppliers import SupplierCatalogue
from ciyuan.services.door.admin_pages import AdminPages
from ciyuan.services.door.audit_desk import SHARE_WHOLE, AuditDesk
from ciyuan.services.door.audit_hook import AuditHook
from ciyuan.services.door.client_connection import ClientConnection
from ciyuan.services.door.counters import Counters
from ciyuan.services.door.door import SWEEP_S, Door
from ciyuan.services.door.door_words import Words
from ciyuan.services.door.enrolment import Enrolment
from ciyuan.services.door.exam_table import ExamTable
from ciyuan.services.door.findings import Findings
from ciyuan.services.door.firewall_desk import FirewallDesk
from ciyuan.services.door.gateway_store import GatewayStore
from ciyuan.services.door.group_host import GroupHost
from ciyuan.services.door.idempotency import KEPT_NS, Idempotency, IdempotencyTable, recover
from ciyuan.services.door.numbering import Numbers, number_at
from ciyuan.services.door.pages import Pages
from ciyuan.services.door.registry_database import is_url
from ciyuan.services.door.registry_suppliers import take_suppliers
from ciyuan.services.door.supplier_connection import Address, SupplierPool
from ciyuan.services.door.supplier_site import SupplierSite, site_of
from ciyuan.services.door.telemetry import Telemetry, is_asked_for
from ciyuan.services.postgres_journal_link import JournalUnavailable
from ciyuan.services.vocabularies import Vocabularies
from ciyuan.venue.messages import Purse

WRITE_S, IDLE_S, TICK_S, SNAPSHOT_S, FORGET_S = 1.0, 5.0, 10.0, 600.0, 3_600.0
FIRST_REQUEST = 1 << 40
"""Where forgetting begins: below every call's number since 2026, above the venue's own count of rows."""
COLLECT_AFTER = 20_000, 20, 50
"""When cycles are looked for: a call leaves some hundred objects, and a thousand calls' are found about as fast as ten's."""
SWITCH_S = 1e-4
"""How soon a thread that waits for the interpreter gets it: the journal's, back from the disk, is waited for by every answer."""
AUDIT = "audit.json"
FINDINGS_KEPT_NS = 90 * 86_400 * 10**9
"""How long the firewall's log is kept: a quarter."""
CLOSED_AFTER_NS = 1_800 * 10**9
"""How old a request is before it is forgotten: longer than any hold lasts."""


@dataclass(frozen=True, slots=True)
class ServeOrder:
    """What to serve. `store` is a folder or a PostgreSQL URL; `process` tells processes that share one apart."""

    store: str
    suppliers: Path
    host: str = "127.0.0.1"
    port: int = 8080
    admin_host: str = "127.0.0.1"
    admin_port: int = 9090
    process: int = 0
    firewall: bool = True
    words: tuple[str, ...] = ()
    opaque_allowed: bool = True
    drain_s: float = 60.0
    audit_share: int = SHARE_WHOLE
    """How many of 10,000 calls are counted again; 0: none, and nothing that is delivered is kept."""
    environ: dict[str, str] = field(default_factory=dict)


class Gateway:
    """A gateway of one process. `open` before use, `close` after; `failure` says why it should end."""

    def __init__(self, order: ServeOrder, clock: Callable[[], int] = time.time_ns) -> None:
        self.order, self.clock = order, clock
        self.store = GatewayStore.open(order.store, order.process)
        try:
            self.catalogue = self._take_suppliers()
        except BaseException:
            self.store.close()
            raise
        self.connections: set[ClientConnection] = set()
        self._pools: dict[Address, SupplierPool] = {}
        self._servers: list[asyncio.Server] = []
        self._tasks: list[asyncio.Task[None]] = []
        self._closed_to = max(self.store.venue.meter.closed[1], FIRST_REQUEST)
        self.host = GroupHost(
            self.store.venue,
            self.store.log,
            clock,
            last_ns=self.store.last_ns,
            passing=(JournalUnavailable,),
            observers=[] if self.store.fold is None else [self.store.fold.take],
        )
        self.numbers = Numbers(
            clock, order.process, number_at(self.store.last_ns) if self.store.last_ns else 0
        )
        self.findings = Findings(self.store.database, clock)
        self.exams = ExamTable(self.store.database, order.process)
        self.enrolment = Enrolment(self.host, self.store.registry, clock)
        self.idempotency = Idempotency(IdempotencyTable(self.store.database), order.process)
        self.door: Door
        self.counters: Counters
        self.audit: AuditHook | None = None
        self.telemetry: Telemetry | None = None
        self._vocabularies = Vocabularies()

    # --- opening ---

    async def open(self) -> None:
        """Take requests. Raises Malformed for whatever keeps the gateway from doing what it was told to."""
        loop = asyncio.get_running_loop()
        self.host.start(loop)
        self.idempotency.start(loop)
        enrolled = await self.enrolment.begin()
        await recover(self.idempotency.table, self.host, self.numbers, self.order.process)
        offers = self.catalogue.offers
        words = Words(offers, enrolled.directory, self.available)
        router = Router(offers, self.catalogue.policy)
        router.restore_exams(await asyncio.to_thread(self.exams.kept))
        self.door = Door(
            self.host,
            router,
            self._sites(self.catalogue),
            enrolled.directory,
            Pages(self._models),
            words,
            self.numbers,
            self.clock,
            firewall=self._firewall(),
            idempotency=self.idempotency,
        )
        self.counters = Counters(self.door)
        self.audit = self._audit()
        if is_asked_for(self.order.environ):
            self.telemetry = Telemetry(
                self.counters, self.door, process=self.order.process, environ=self.order.environ
            )
            self.telemetry.start()
            for site in self.door.sites.values():
                site.traces = self.telemetry.traces
        order = self.order
        await self._listen(
            order.host, order.port, lambda: ClientConnection(self.door, self.clock, self.connections)
        )
        pages = AdminPages(self)
        await self._listen(
            order.admin_host, order.admin_port, lambda: ClientConnection(pages, self.clock, self.connections)
        )
        for every_s, work in (
            (SWEEP_S, self._sweep),
            (WRITE_S, self._write),
            (IDLE_S, self._close_idle),
            (TICK_S, self._tick),
            (SNAPSHOT_S, self._snapshot),
            (FORGET_S, self._forget),
        ):
            self._tasks.append(loop.create_task(self._every(every_s, work)))

    def _models(self) -> tuple[ListedModel, ...]:
        return self.catalogue.offers.models()

    def available(self, customer: int) -> int:
        """What a customer can still hold, in micro-units."""
        venue = self.store.venue
        return venue.ledger.available(venue.terms.chart.purse(customer, Purse.PREPAID))

    @property
    def ports(self) -> list[int]:
        """Where it listens: for clients, and for who watches it."""
        return [server.sockets[0].getsockname()[1] for server in self._servers]

    async def _listen(self, host: str, port: int, protocol: Callable[[], ClientConnection]) -> None:
        try:
            self._servers.append(
                await asyncio.get_running_loop().create_server(protocol, host, port, backlog=1024)
            )
        except OSError as fault:
            raise Malformed(f"address {host}:{port}", found=fault.strerror or str(fault), expected="an address to listen on",
                            remedy="Choose another with --host and --port.") from None  # fmt: skip

    def _audit(self) -> AuditHook | None:
        if not self.order.audit_share:
            return None
        names = sorted({offer.tokenizer for offer in self.catalogue.offers.all if offer.tokenizer})
        self._vocabularies.open(*names)
        path = None if is_url(self.order.store) else Path(self.order.store) / AUDIT
        desk = AuditDesk(
            self._vocabularies,
            path=path,
            share=self.order.audit_share,
            salt=os.urandom(16),
            heard=self._heard,
        )
        hook = AuditHook(desk, self._vocabularies)
        self.door.on_attempt.append(hook.ended)
        self.door.counter, self.door.keeps_text = hook.count, desk.chooses
        return hook

    def _heard(self, heard: Heard) -> None:
        """The audit has judged a call, on its own thread: what it says against a supplier is told to the operator."""
        for alarm in heard.alarms:
            self.report(f"audit: {alarm}")

    def _firewall(self) -> FirewallDesk | None:
        if not self.order.firewall:
            return None
        firewall = Firewall(firewall_rules(), self.findings.digest_key(), words=self.order.words)
        if firewall.fault is not None:
            raise firewall.fault
        return FirewallDesk(firewall, self.findings.note, opaque_allowed=self.order.opaque_allowed)

    # --- suppliers ---

    def _take_suppliers(self) -> SupplierCatalogue:
        return take_suppliers(self.store.registry, self.order.suppliers, self.clock())

    def _sites(self, catalogue: SupplierCatalogue) -> dict[int, SupplierSite]:
        return {
            supplier.number: site_of(supplier, self.order.environ, self._pool)
            for supplier in catalogue.suppliers
        }

    def _pool(self, address: Address, connect_ns: int) -> SupplierPool:
        pool = self._pools.get(address)
        if pool is None:
            pool = self._pools[address] = SupplierPool(address, self.clock, connect_ns=connect_ns)
        return pool

    async def reload(self) -> None:
        """Read the suppliers' file again. Raises Malformed, and changes nothing, for what is wrong with it."""
        catalogue = await asyncio.to_thread(self._take_suppliers)
        sites = self._sites(catalogue)
        for site in sites.values():
            site.traces = self.telemetry is not None and self.telemetry.traces
        self.catalogue = catalogue
        enrolled = await self.enrolment.renew(self.door.directory)
        self.door.sites = sites
        self.door.router.renew(catalogue.offers, catalogue.policy)
        self.door.directory = enrolled.directory
        self.door.words.renew(catalogue.offers, enrolled.directory)

    # --- keeping in order ---

    async def _every(self, every_s: float, work: Callable[[], Awaitable[None]]) -> None:
        while True:
            await asyncio.sleep(every_s)
            try:
                await work()
            except CiyuanError as fault:
                self.report(f"{fault}")

    @staticmethod
    def report(words: str, stream: TextIO | None = None) -> None:
        """Say something to the operator, on standard error."""
        print(
            f"{time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime())} {words}",
            file=stream or sys.stderr,
            flush=True,
        )

    async def _sweep(self) -> None:
        self.door.sweep()

    async def _write(self) -> None:
        self.host.catch_up()
        await self._fold(self.host.durable)
        await asyncio.to_thread(self.findings.flush)
        if await self.enrolment.is_behind(self.door.directory):
            enrolled = await self.enrolment.renew(self.door.directory)
            for said, reason in enrolled.refused:
                self.report(f"the venue refuses {said.subject.name.lower()} {said.number}: {reason}")
            self.door.directory = enrolled.directory
            self.door.words.renew(self.door.router.offers, enrolled.directory)

    async def _fold(self, until: int) -> None:
        fold = self.store.fold
        if fold is not None and not await asyncio.to_thread(fold.flush, until):
            raise Malformed(f"store {shown_store(self.order.store)}", found="another process that keeps the sums of usage",
                            expected="one", remedy="Give each process a number of its own with --process.")  # fmt: skip

    async def _close_idle(self) -> None:
        now_ns = self.clock()
        for connection in list(self.connections):
            connection.close_if_idle(now_ns)
        for pool in self._pools.values():
            pool.close_idle(now_ns)

    async def _tick(self) -> None:
        self.host.submit(tick_row(0), _unheard)
        to = self._done_to()
        if to > self._closed_to and self.order.process == 0:
            self.host.submit(close_row(0, self._closed_to, to), partial(self._on_closed, to))

    def _done_to(self) -> int:
        """The request key below which every request has ended, as far as this process can know.

        Alone it knows its own calls. Of a store that others use it knows only that no hold lasts longer than `CLOSED_AFTER_NS`.
        """
        if is_url(self.order.store):
            return number_at(self.clock() - CLOSED_AFTER_NS) << 4
        return min(self.door.calls, default=number_at(self.clock())) << 4

    def _on_closed(self, to: int, event: Sequence[int] | None) -> None:
        """Requests are forgotten up to there; or not yet, where a crash has left holds that have still to expire."""
        if event is not None and event[0] & CODE_MASK == MeterEvent.CLOSED:
            self._closed_to = to

    async def _snapshot(self) -> None:
        await self.host.drained()
        if self.host.failure is None:
            applied, parts = self.host.applied, self.store.venue.snapshot()
            await self._fold(applied)
            await asyncio.to_thread(self.store.keep_snapshot, applied, parts)
        await asyncio.to_thread(self.exams.keep, self.door.router.exams())

    async def _forget(self) -> None:
        await asyncio.to_thread(self.idempotency.table.forget, self.clock() - KEPT_NS)
        await asyncio.to_thread(self.findings.forget, self.clock() - FINDINGS_KEPT_NS)

    # --- closing ---

    async def close(self, drain_s: float) -> int:
        """Drain and close; how many calls were still under way."""
        for server in self._servers:
            server.close()
        for connection in list(self.connections):
            connection.close_when_answered()
        left = await self.door.drain(drain_s) if hasattr(self, "door") else 0
        for task in self._tasks:
            task.cancel()
        await self.host.drained()
        self.host.catch_up()  # what others wrote meanwhile belongs into the sums
        await self.host.close()
        self.idempotency.close()
        if self.telemetry is not None:
            await self.telemetry.stop()
        if self.audit is not None:
            try:
                await asyncio.to_thread(self.audit.desk.close)
            except OSError as fault:
                self.report(f"the audit's state could not be kept: {fault}")
        if self.host.failure is None:
            await self._fold(self.host.durable)
            self.findings.flush()
            if hasattr(self, "door"):
                self.exams.keep(self.door.router.exams())
            self.store.keep_snapshot(self.host.applied, self.store.venue.snapshot())
        for pool in self._pools.values():
            pool.close()
        self.store.close()
        return left


def _unheard(_: Sequence[int] | None) -> None:
    """Nobody waits for this row's answer."""


async def serve(order: ServeOrder, ready: Callable[[Gateway], None]) -> int:
    """Serve until a signal; the exit status: 0 drained, 1 calls were cut off, 5 the journal failed."""
    gateway = Gateway(order)
    try:
        await gateway.open()
    except BaseException:
        await gateway.close(0)
        raise
    stop, again = asyncio.Event(), asyncio.Event()

    def stopping() -> None:
        (again if stop.is_set() else stop).set()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping)
    loop.add_signal_handler(signal.SIGHUP, lambda: loop.create_task(_reloaded(gateway)))
    sys.setswitchinterval(SWITCH_S)
    gc.set_threshold(*COLLECT_AFTER)
    gc.collect()
    gc.freeze()  # what is there now stays: later collections need not walk it, which would hold up every stream
    ready(gateway)
    while not stop.is_set() and gateway.host.failure is None:
        await asyncio.wait([asyncio.create_task(stop.wait())], timeout=SWEEP_S)
    closing = loop.create_task(gateway.close(order.drain_s))
    second = loop.create_task(again.wait())
    await asyncio.wait([closing, second], return_when=asyncio.FIRST_COMPLETED)
    if not closing.done():
        closing.cancel()
        return 1
    second.cancel()
    return 5 if gateway.host.failure is not None else int(closing.result() > 0)


async def _reloaded(gateway: Gateway) -> None:
    try:
        await gateway.reload()
        gateway.report("the suppliers' file was read again")
    except CiyuanError as fault:
        gateway.report(f"the suppliers stay as they were: {fault}")


def shown_store(where: str) -> str:
    """The store as it may be printed: without a password."""
    from ciyuan.services.door.registry_database import shown_url

    return shown_url(where) if is_url(where) else str(Path(where))


def environment() -> dict[str, str]:
    """The process's environment, where the suppliers' keys are."""
    return dict(os.environ)
