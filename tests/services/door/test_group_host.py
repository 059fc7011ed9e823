"""The group host: rows of a turn are one batch, each caller is told its own event, nothing is lost or told twice."""

import asyncio
import errno
import os
import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ciyuan.basics.rows import CODE_MASK
from ciyuan.gateway.messages import MeterEvent, MeterRefusal, tick_row
from ciyuan.services.door.group_host import EMPTY, GATHER_ROWS, GATHER_TURNS, GroupHost
from ciyuan.services.store import Store
from ciyuan.venue.machine import Venue
from tests.services.door.till import TERMS, Clock, deliver, hold, opened, opening_rows, prepaid

EACH = 501
"""What a hold of 100 and 100 tokens takes, in micro-USD: 500 and 1 for the carry."""


class Disks:
    """Stands for who waits for the disk: answers at once, when it is let, or with an error."""

    def __init__(self) -> None:
        self.slow, self.error, self.asked = False, 0, 0

    def start(self, loop, told):
        self._loop, self._told = loop, told

    def sync(self, segment, descriptor):
        os.fdatasync(descriptor)
        self.asked += 1
        if not self.slow:
            self._loop.call_soon(self.answer)

    def answer(self):
        self._told(self.error)

    def close(self):
        self.closed = True


class Told:
    """Keeps what callers were told, in order."""

    def __init__(self) -> None:
        self.events: list[tuple[object, list[int] | None]] = []

    def as_(self, name: object):
        return lambda event: self.events.append((name, event))

    def event(self, place: int) -> list[int]:
        event = self.events[place][1]
        assert event is not None
        return event

    def codes(self) -> list[tuple[object, int]]:
        return [(name, event[0] & CODE_MASK if event else 0) for name, event in self.events]


def play(folder, scene, balance=10_000, disks=None, venue=None):
    """Run `scene(host)` on a new host; the store's rows afterwards."""

    async def run():
        store = Store.create(folder, TERMS.digest())
        host = GroupHost(
            venue or opened(balance), store, Clock(), syncing=Disks if disks is None else lambda: disks
        )
        host.start(asyncio.get_running_loop())
        try:
            await scene(host)
            await host.close()
        finally:
            store.close()
        return host

    return asyncio.run(run())


def test_the_rows_of_one_turn_are_one_batch_and_each_caller_hears_its_own(tmp_path):
    told = Told()

    async def scene(host):
        for request in (1, 2, 3):
            host.submit(hold(request), told.as_(request))
        host.submit(deliver(2), told.as_("settle"))
        assert told.events == []
        await host.drained()

    host = play(tmp_path / "j", scene)
    assert told.codes() == [
        (1, MeterEvent.HELD),
        (2, MeterEvent.HELD),
        (3, MeterEvent.HELD),
        ("settle", MeterEvent.SETTLED),
    ]
    assert (host.applied, host.durable) == (4, 4)
    with Store.open(tmp_path / "j") as store:
        assert (store.recovery.batches, store.sequence) == (1, 4)


def test_while_the_disk_is_slow_rows_gather_and_are_told_before_they_are_durable(tmp_path):
    disks, told = Disks(), Told()
    durable = []

    async def scene(host):
        disks.slow = True
        host.submit(hold(1), told.as_(1))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert told.codes() == [(1, MeterEvent.HELD)]
        host.when_durable(host.applied, lambda: durable.append("first"))
        for request in (2, 3):
            host.submit(hold(request), told.as_(request))
        await asyncio.sleep(0)
        assert (host.applied, host.durable, durable) == (1, 0, [])
        disks.slow = False
        disks.answer()
        await host.drained()
        host.when_durable(1, lambda: durable.append("at once"))
        assert durable == ["first", "at once"]

    host = play(tmp_path / "j", scene, disks=disks)
    assert (host.applied, host.durable) == (3, 3)
    with Store.open(tmp_path / "j") as store:
        assert (store.recovery.batches, store.sequence) == (2, 3)


@pytest.mark.parametrize(("rows_a_turn", "turns", "batches"), [(1, 1, 1), (2, 1, 1), (2, 3, 1), (2, GATHER_TURNS + 2, 2),
                                                              (GATHER_ROWS, 2, 2)])  # fmt: skip
def test_while_each_turn_brings_rows_the_batch_is_not_closed(tmp_path, rows_a_turn, turns, batches):
    told = Told()

    async def scene(host):
        for turn in range(turns):
            for place in range(rows_a_turn):
                host.submit(hold(1 + turn * rows_a_turn + place), told.as_(turn))
            await asyncio.sleep(0)
        await host.drained()

    play(tmp_path / "j", scene, balance=10**6)
    assert len(told.events) == rows_a_turn * turns
    with Store.open(tmp_path / "j") as store:
        assert (store.recovery.batches, store.sequence) == (batches, rows_a_turn * turns)


def test_a_lone_row_goes_at_once(tmp_path):
    told = Told()

    async def scene(host):
        host.submit(hold(1), told.as_(1))
        await asyncio.sleep(0)
        assert told.codes() == [(1, MeterEvent.HELD)]

    play(tmp_path / "j", scene)


def test_holds_that_expire_between_are_nobodys_answer(tmp_path):
    told, clock = Told(), Clock()

    async def run():
        store = Store.create(tmp_path / "j", TERMS.digest())
        host = GroupHost(opened(10_000), store, clock)
        host.start(asyncio.get_running_loop())
        host.submit(hold(1, timeout_ns=10), told.as_(1))
        await host.drained()
        clock.now_ns += 100
        host.submit(hold(2), told.as_(2))
        host.submit(deliver(1), told.as_("late"))
        await host.close()
        store.close()

    asyncio.run(run())
    assert told.codes() == [(1, MeterEvent.HELD), (2, MeterEvent.HELD), ("late", MeterEvent.REFUSED)]
    assert told.event(2)[7] == MeterRefusal.HOLD_EXPIRED


def test_a_group_is_a_batch_of_its_own_and_hears_all_its_events(tmp_path):
    told = Told()
    groups: list = []

    async def scene(host):
        host.submit_group(opening_rows(700), groups.append)
        host.submit(hold(1), told.as_(1))
        await host.drained()
        host.submit(hold(2), told.as_(2))
        host.submit(hold(3), told.as_(3))
        await host.drained()

    host = play(tmp_path / "j", scene, venue=Venue(TERMS))
    assert told.event(0)[7] == MeterRefusal.CUSTOMER_UNKNOWN
    assert told.codes()[1:] == [(2, MeterEvent.HELD), (3, MeterEvent.REFUSED)]
    assert len(groups) == 1
    assert len(groups[0]) > len(opening_rows(700))
    assert prepaid(host.venue) == (700, 700 - EACH)


def test_time_never_goes_back_in_the_journal(tmp_path):
    clock = Clock()

    async def run():
        store = Store.create(tmp_path / "j", TERMS.digest())
        host = GroupHost(opened(10_000), store, clock)
        host.start(asyncio.get_running_loop())
        for step in (5, -50, 3, 0):
            clock.now_ns += step
            host.submit(tick_row(0), lambda _: None)
            await host.drained()
        await host.close()
        times = [int(time) for rows in store.read() for time in rows[:, 1]]
        store.close()
        return times

    times = asyncio.run(run())
    assert times == sorted(times)
    assert len(times) == 4


def test_a_disk_that_fails_is_told_to_everyone_and_nothing_is_applied_after(tmp_path):
    disks, told = Disks(), Told()
    groups: list = []
    durable: list = []

    async def scene(host):
        host.submit(hold(1), told.as_(1))
        await host.drained()
        disks.error = errno.EIO
        host.submit(hold(2), told.as_(2))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        host.when_durable(2, lambda: durable.append(2))
        host.submit(hold(3), told.as_(3))
        host.submit_group(opening_rows(1), groups.append)
        await host.drained()
        assert "Input/output error" in host.failure
        host.submit(hold(4), told.as_(4))
        await asyncio.sleep(0)
        await asyncio.sleep(0)

    host = play(tmp_path / "j", scene, disks=disks)
    assert told.codes() == [(1, MeterEvent.HELD), (2, MeterEvent.HELD), (3, 0), (4, 0)]
    assert (groups, durable, host.applied, host.durable) == ([None], [], 2, 1)


def test_a_caller_that_fails_in_hearing_does_not_cost_the_others_their_answer(tmp_path):
    told, reported = Told(), []

    def clumsy(_):
        raise ValueError("clumsy")

    async def scene(host):
        asyncio.get_running_loop().set_exception_handler(
            lambda _, context: reported.append(context["exception"])
        )
        host.submit(hold(1), clumsy)
        host.submit(hold(2), told.as_(2))
        await host.drained()

    play(tmp_path / "j", scene)
    assert told.codes() == [(2, MeterEvent.HELD)]
    assert [str(fault) for fault in reported] == ["clumsy"]


def test_observers_see_every_batch_with_the_sequence_before_it(tmp_path):
    seen = []

    async def run():
        store = Store.create(tmp_path / "j", TERMS.digest())
        host = GroupHost(opened(10_000), store, Clock(), observers=[lambda *batch: seen.append(batch)])
        host.start(asyncio.get_running_loop())
        for turn in ((1, 2), (3,)):
            for request in turn:
                host.submit(hold(request), lambda _: None)
            await host.drained()
        await host.close()
        store.close()

    asyncio.run(run())
    assert [(before, len(rows), len(events)) for before, rows, events in seen] == [(0, 2, 2), (2, 1, 1)]


class Ordered:
    """A journal that several hosts share, kept in memory: the order in which they come is the order that all see."""

    def __init__(self) -> None:
        self.lock, self.rows = threading.Lock(), EMPTY
        self.last_ns = 0

    def reader(self) -> "Reader":
        return Reader(self)


class Reader:
    def __init__(self, shared: Ordered) -> None:
        self._shared, self.sequence = shared, 0

    def exchange(self, rows, now_ns):
        shared = self._shared
        with shared.lock:
            others = shared.rows[self.sequence :].copy()
            mine = rows.copy()
            mine[:, 1] = shared.last_ns = max(shared.last_ns, now_ns)
            shared.rows = np.concatenate([shared.rows, mine])
            self.sequence = len(shared.rows)
        return others, mine


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 3)), max_size=30))
def test_hosts_that_share_a_journal_admit_exactly_what_one_would(script):
    """Three hosts, one balance for four holds: whoever comes first has them, and all three venues are the same."""
    admitted = []

    async def run():
        shared = Ordered()
        hosts = [GroupHost(Venue(TERMS), shared.reader(), Clock()) for _ in range(3)]
        loop = asyncio.get_running_loop()
        for host in hosts:
            host.start(loop)
        hosts[0].submit_group(opening_rows(4 * EACH), lambda _: None)
        await hosts[0].drained()
        for request, (which, turns) in enumerate(script, 1):
            hosts[which].submit(
                hold(request), lambda event: admitted.append(event[0] & CODE_MASK == MeterEvent.HELD)
            )
            for _ in range(turns):
                await asyncio.sleep(0)
        for host in (*hosts, *hosts):
            await host.drained()
            host.catch_up()
            await host.drained()
        hashes = {host.venue.state_hash() for host in hosts}
        for host in hosts:
            await host.close()
        return hashes, prepaid(hosts[0].venue)

    hashes, (_, available) = asyncio.run(run())
    assert len(hashes) == 1
    assert sum(admitted) == min(4, len(script))
    assert available == (4 - sum(admitted)) * EACH


def test_a_shared_journal_that_fails_admits_nothing(tmp_path):
    told = Told()

    class Gone:
        sequence = 0

        def exchange(self, rows, now_ns):
            raise ConnectionError("the server is gone")

    async def run():
        host = GroupHost(opened(10_000), Gone(), Clock())
        host.start(asyncio.get_running_loop())
        host.submit(hold(1), told.as_(1))
        await host.drained()
        host.submit(hold(2), told.as_(2))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        await host.close()
        return host

    host = asyncio.run(run())
    assert told.codes() == [(1, 0), (2, 0)]
    assert host.failure == "ConnectionError: the server is gone"
    assert prepaid(host.venue) == (10_000, 10_000)


def test_a_row_before_start_is_a_mistake():
    from ciyuan.basics.errors import InvariantBroken

    host = GroupHost(opened(0), Ordered().reader(), Clock())
    with pytest.raises(InvariantBroken, match="before start"):
        host.submit(hold(1), lambda _: None)
