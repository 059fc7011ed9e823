"""A gateway put together: it opens or says why not, reads its suppliers again, keeps itself in order, drains and closes."""

import asyncio
import gc
import json
import os
import signal
import sys
import time

import pytest

from ciyuan.basics.errors import Malformed
from ciyuan.gateway.door_refusals import WORDS, DoorRefusal
from ciyuan.gateway.route_exam import Reason
from ciyuan.gateway.route_lane import Standing
from ciyuan.services.door import serving
from ciyuan.services.door.audit_desk import SHARE_WHOLE
from ciyuan.services.door.gateway_store import GatewayStore
from ciyuan.services.door.registry import Registry
from ciyuan.services.door.registry_command import REGISTRY
from ciyuan.services.door.registry_keys import Permissions
from ciyuan.services.door.registry_prices import LEAD_NS
from ciyuan.services.door.registry_words import parse_limit
from ciyuan.services.door.serving import AUDIT, Gateway, serve, shown_store
from ciyuan.venue.messages import Purse
from tests.services.door.collector import Collector
from tests.services.door.gateways import BALANCE, CHAT, ENVIRON, a_place, ask
from tests.services.door.mock_supplier import TOKENS_IN
from tests.services.door.stand import MESSAGES
from tests.services.door.till import CUSTOMER, START_NS

FULL = TOKENS_IN * 1 + 8 * 4
"""What a whole answer of the mock costs, in micro-USD."""


def played(tmp_path, scene, *models, **terms):
    async def play():
        async with a_place(tmp_path, *models, **terms) as place:
            return await scene(place)

    return asyncio.run(play())


def balance(store: GatewayStore) -> tuple[int, int]:
    account = store.venue.terms.chart.purse(CUSTOMER, Purse.PREPAID)
    return store.venue.ledger.posted(account), store.venue.ledger.available(account)


@pytest.fixture
def as_before():
    """What `serve` sets for its process is set back: signals, the interpreter's switches, what is never collected."""
    numbers = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
    handlers, every_s, thresholds = (
        [signal.getsignal(number) for number in numbers],
        sys.getswitchinterval(),
        gc.get_threshold(),
    )
    yield
    for number, handler in zip(numbers, handlers, strict=True):
        signal.signal(number, handler)
    sys.setswitchinterval(every_s)
    gc.set_threshold(*thresholds)
    gc.unfreeze()


# --- opening ---


def test_it_serves_and_what_was_spent_is_there_when_it_opens_again(tmp_path):
    async def scene(place):
        async with place.opened() as gateway:
            for stream in (False, True):
                status, _, body = await place.chat(gateway, stream=stream)
                assert status == 200, body
            await gateway.host.drained()
            assert gateway.available(CUSTOMER) == BALANCE - 2 * FULL
        assert place.mock.requests[0][1]["authorization"] == "Bearer the key of the mock"
        async with place.opened() as again:
            assert balance(again.store) == (BALANCE - 2 * FULL,) * 2
            assert (await place.chat(again))[0] == 200
            numbers = [int(headers["x-request-id"], 16) for _, headers, _ in place.mock.requests]
            assert numbers == sorted(set(numbers)), "a number was given twice"
        store = GatewayStore.open(place.store)
        with store.database.view() as sql:
            assert sql.value("SELECT SUM(charged_micro) FROM usage_hour") == 3 * FULL
        assert balance(store) == (BALANCE - 3 * FULL,) * 2
        latest = store.journal.latest_snapshot()
        assert latest is not None
        assert latest.sequence == store.journal.sequence, "closing keeps a snapshot"
        store.close()

    played(tmp_path, scene)


def test_a_supplier_that_is_suspended_stays_so_when_it_opens_again(tmp_path):
    async def scene(place):
        async with place.opened() as gateway:
            (offer,) = gateway.door.router.exams()
            gateway.door.router.restore_exams({offer: (int(Reason.SPEED), 0, 0, 0, 0, 0, 0, 0)})
            (state,) = gateway.door.router.states(gateway.clock())
            assert state.standing is Standing.SUSPENDED
        async with place.opened() as again:
            (state,) = again.door.router.states(again.clock())
            assert state.standing is Standing.SUSPENDED

    played(tmp_path, scene)


def test_a_key_of_a_supplier_that_is_not_set_is_named_and_nothing_is_served(tmp_path):
    async def scene(place):
        gateway = Gateway(place.order(environ={}))
        with pytest.raises(Malformed, match="env:MOCK_KEY"):
            await gateway.open()
        assert gateway.ports == []
        await gateway.close(0)
        async with place.opened() as again:
            assert (await place.chat(again))[0] == 200

    played(tmp_path, scene)


def test_an_address_that_is_taken_is_named(tmp_path):
    async def scene(place):
        async with place.opened() as gateway:
            other = place.folder / "other"
            async with a_place(other) as elsewhere:
                second = Gateway(elsewhere.order(port=gateway.ports[0]))
                with pytest.raises(Malformed, match=f"127.0.0.1:{gateway.ports[0]}"):
                    await second.open()
                await second.close(0)

    played(tmp_path, scene)


def test_a_store_that_is_being_served_from_is_refused(tmp_path):
    async def scene(place):
        async with place.opened() as gateway:
            with pytest.raises(Malformed):
                Gateway(place.order())
            assert (await place.chat(gateway))[0] == 200

    played(tmp_path, scene)


def test_a_suppliers_file_that_cannot_be_read_lets_go_of_the_store(tmp_path):
    async def scene(place):
        written = place.suppliers.read_text()
        place.suppliers.write_text("[supplier")
        with pytest.raises(Malformed):
            Gateway(place.order())
        place.suppliers.write_text(written)
        async with place.opened() as gateway:
            assert (await place.chat(gateway))[0] == 200

    played(tmp_path, scene)


def test_a_firewall_that_cannot_search_keeps_it_shut(tmp_path, monkeypatch):
    class Broken:
        def __init__(self, *_, **__):
            self.fault = Malformed("firewall", found="no searcher", expected="one", remedy="Install it.")

    monkeypatch.setattr(serving, "Firewall", Broken)

    async def scene(place):
        gateway = Gateway(place.order(firewall=True))
        with pytest.raises(Malformed, match="no searcher"):
            await gateway.open()
        await gateway.close(0)
        assert gateway.ports == []

    played(tmp_path, scene)


def test_with_its_firewall_it_masks_blocks_and_keeps_findings(tmp_path):
    async def scene(place):
        async with place.opened(firewall=True, words=("Project Heron",)) as gateway:
            key = (
                "-----BEGIN RSA PRIVATE KEY-----\n"
                + "MIIEowIBAAKCAQEA7" * 8
                + "\n-----END RSA PRIVATE KEY-----"
            )
            blocked = await place.chat(gateway, messages=[{"role": "user", "content": key}])
            assert blocked[0] == WORDS[DoorRefusal.CONTENT_BLOCKED].status
            own = [{"role": "user", "content": "tell of Project Heron"}]
            assert (await place.chat(gateway, messages=own))[0] == blocked[0]
            assert place.mock.requests == []
            masked = [{"role": "user", "content": "my card is 4111 1111 1111 1111"}]
            assert (await place.chat(gateway, messages=masked))[0] == 200
            assert "4111" not in json.dumps(place.mock.requests[0][2])
        store = GatewayStore.open(place.store)
        with store.database.view() as sql:
            rules = [row[0] for row in sql.rows("SELECT rule FROM findings ORDER BY number")]
        store.close()
        assert len(rules) == 3
        assert rules[:2] == ["private-key", "company-word"]

    played(tmp_path, scene)


def test_its_audit_is_kept_beside_the_store_in_a_folder(tmp_path):
    async def scene(place):
        async with place.opened(audit_share=SHARE_WHOLE) as gateway:
            assert (await place.chat(gateway))[0] == 200
            assert gateway.audit is not None
        assert gateway.audit.desk.counts.heard == 1
        assert (place.folder / "store" / AUDIT).is_file()

    played(tmp_path, scene)


def test_where_the_environment_names_a_collector_spans_and_metrics_go_there(tmp_path, monkeypatch):
    """And the supplier is told of the attempt's span, before and after its file was read again."""
    trace = "4bf92f3577b34da6a3ce929d0e0e4736"

    async def scene(place, collector):
        environ = {**ENVIRON, "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url}
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
        body = json.dumps({"model": "m", "messages": MESSAGES, "max_tokens": 8}).encode()
        async with place.opened(environ=environ) as gateway:
            for _ in range(2):
                headers = {"traceparent": f"00-{trace}-00f067aa0ba902b7-01"}
                assert (await ask(gateway.ports[0], "POST", CHAT, body, place.secret, headers))[0] == 200
                await gateway.reload()
        told = [headers["traceparent"].split("-")[1:3] for _, headers, _ in place.mock.requests]
        attempts = [
            span for span in collector.spans if span.parent_span_id != bytes.fromhex("00f067aa0ba902b7")
        ]
        assert told == [[trace, span.span_id.hex()] for span in attempts]
        assert len(told) == 2
        assert "ciyuan_calls_total" in collector.metrics

    with Collector() as collector:
        played(tmp_path, lambda place: scene(place, collector))


def test_settings_of_telemetry_that_cannot_be_keep_it_shut(tmp_path):
    async def scene(place):
        gateway = Gateway(place.order(environ={**ENVIRON, "OTEL_EXPORTER_OTLP_ENDPOINT": "collector:4317"}))
        with pytest.raises(Malformed, match="OTEL_EXPORTER_OTLP_ENDPOINT"):
            await gateway.open()
        await gateway.close(0)
        assert gateway.ports == []

    played(tmp_path, scene)


# --- reading the suppliers again ---


def test_a_model_that_is_new_in_the_file_is_served_after_a_reload(tmp_path):
    async def scene(place):
        async with place.opened() as gateway:
            assert (await place.chat(gateway, "n"))[0] == 404
            place.offer("m", "n")
            await gateway.reload()
            assert (await place.chat(gateway, "n"))[0] == 200
            assert (await place.chat(gateway, "m"))[0] == 200
            models = json.loads((await ask(gateway.ports[0], "GET", "/v1/models", b"", place.secret))[2])
            assert [model["id"] for model in models["data"]] == ["m", "n"]
            place.offer("n")
            await gateway.reload()
            assert (await place.chat(gateway, "m"))[0] == 404

    played(tmp_path, scene)


def test_a_price_that_changed_is_charged_when_every_process_has_heard_of_it(tmp_path):
    ahead_ns = 0

    async def scene(place):
        nonlocal ahead_ns
        async with place.opened(lambda: time.time_ns() + ahead_ns) as gateway:
            assert (await place.chat(gateway))[0] == 200
            written = place.suppliers.read_text()
            place.suppliers.write_text(written.replace('output = "4.00"', 'output = "8.00"'))
            await gateway.reload()
            ahead_ns = LEAD_NS
            assert (await place.chat(gateway))[0] == 200
            await gateway.host.drained()
            assert BALANCE - gateway.available(CUSTOMER) == FULL + (TOKENS_IN * 1 + 8 * 8)

    played(tmp_path, scene)


@pytest.mark.parametrize("wrong", ["[supplier", 'x = "y"\n', ""])
def test_what_is_wrong_with_the_file_leaves_the_suppliers_as_they_were(tmp_path, wrong):
    async def scene(place):
        async with place.opened() as gateway:
            before = gateway.catalogue
            place.suppliers.write_text(wrong)
            with pytest.raises(Malformed):
                await gateway.reload()
            assert gateway.catalogue is before
            assert (await place.chat(gateway))[0] == 200

    played(tmp_path, scene)


def test_a_key_that_is_gone_leaves_the_suppliers_as_they_were(tmp_path):
    async def scene(place):
        environ = {"MOCK_KEY": "one"}
        async with place.opened(environ=environ) as gateway:
            before = gateway.door.sites
            environ.clear()
            with pytest.raises(Malformed, match="MOCK_KEY"):
                await gateway.reload()
            assert gateway.door.sites is before
            assert (await place.chat(gateway))[0] == 200

    played(tmp_path, scene)


def test_a_call_under_way_ends_where_it_began_while_the_suppliers_change(tmp_path):
    async def scene(place):
        async with place.opened() as gateway:
            place.mock.gate = asyncio.Event()
            task = asyncio.create_task(place.chat(gateway))
            while not place.mock.waiting:
                await asyncio.sleep(0.001)
            place.offer("n")
            await gateway.reload()
            place.mock.gate.set()
            assert (await task)[0] == 200
            await gateway.host.drained()
            assert BALANCE - gateway.available(CUSTOMER) == FULL

    played(tmp_path, scene, "m")


# --- keeping in order ---


def test_a_change_in_the_registry_is_told_to_the_venue_and_the_door(tmp_path):
    async def scene(place):
        async with place.opened() as gateway:
            with Registry.open(place.folder / "store" / REGISTRY) as registry:
                with registry.change(START_NS) as change:
                    new = change.keys.create(place.spenders["engineer"], "phone", Permissions())
                    change.limits.set(place.spenders["organisation"], parse_limit("0.0001 USD a day"))
                await gateway._write()
                body = json.dumps({"model": "m", "messages": MESSAGES, "max_tokens": 8}).encode()
                status, _, answer = await ask(gateway.ports[0], "POST", CHAT, body, new.text)
                assert (status, b"organisation acme" in answer) == (402, True), answer
                with registry.change(START_NS) as change:
                    change.keys.revoke([each.number for each in change.keys.live(new.kept.spender)])
                await gateway._write()
                assert (await ask(gateway.ports[0], "POST", CHAT, body, new.text))[0] == 401

    played(tmp_path, scene)


def test_a_snapshot_is_taken_when_the_sums_are_as_far(tmp_path):
    async def scene(place):
        async with place.opened() as gateway:
            assert (await place.chat(gateway))[0] == 200
            await gateway._snapshot()
            latest = gateway.store.journal.latest_snapshot()
            assert latest is not None
            assert latest.sequence == gateway.host.applied == gateway.store.fold.watermark

    played(tmp_path, scene)


def test_what_fails_in_its_turn_is_said_and_done_again(tmp_path, capsys):
    async def scene(place):
        async with place.opened() as gateway:
            turns: asyncio.Queue[int] = asyncio.Queue()

            async def work():
                await turns.put(1)
                raise Malformed("a thing", found="nothing", expected="something", remedy="Look.")

            task = asyncio.create_task(gateway._every(0.001, work))
            for _ in range(3):
                await turns.get()
            assert not task.done()
            task.cancel()

    played(tmp_path, scene)
    assert capsys.readouterr().err.count("a thing") >= 2


def test_idle_connections_are_closed_by_the_clock(tmp_path):
    async def scene(place):
        async with place.opened() as gateway:
            reader, writer = await asyncio.open_connection("127.0.0.1", gateway.ports[0])
            writer.write(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n")
            await reader.readuntil(b"}")
            await gateway._close_idle()
            assert len(gateway.connections) == 1
            now = gateway.clock
            gateway.clock = lambda: now() + 100 * 10**9
            await gateway._close_idle()
            assert await reader.read() == b""
            gateway.clock = now
            writer.close()

    played(tmp_path, scene)


def test_holds_expire_and_what_is_long_done_is_forgotten(tmp_path):
    async def scene(place):
        async with place.opened() as gateway:
            assert (await place.chat(gateway))[0] == 200
            await gateway.host.drained()
            held = len(gateway.store.venue.meter.snapshot()["requests"])
            assert held >= 1
            now = gateway.clock
            for moved in (gateway, gateway.host):
                setattr(moved, "clock" if moved is gateway else "_clock", lambda: now() + 2 * 3_600 * 10**9)
            await gateway._tick()
            await gateway.host.drained()
            assert len(gateway.store.venue.meter.snapshot()["requests"]) < held
            gateway.clock = now

    played(tmp_path, scene)


# --- closing ---


def test_calls_under_way_end_before_it_closes_and_no_new_ones_begin(tmp_path):
    async def scene(place):
        gateway = Gateway(place.order())
        await gateway.open()
        port = gateway.ports[0]
        place.mock.gate = asyncio.Event()
        task = asyncio.create_task(place.chat(gateway))
        while not place.mock.waiting:
            await asyncio.sleep(0.001)
        closing = asyncio.create_task(gateway.close(30))
        while not gateway.door.draining:
            await asyncio.sleep(0)
        with pytest.raises(OSError, match=str(port)):
            await asyncio.open_connection("127.0.0.1", port)
        place.mock.gate.set()
        assert (await task)[0] == 200
        assert await closing == 0
        store = GatewayStore.open(place.store)
        assert balance(store) == (BALANCE - FULL,) * 2
        store.close()

    played(tmp_path, scene)


def test_a_call_that_does_not_end_in_time_is_counted_and_its_hold_stays(tmp_path):
    async def scene(place):
        gateway = Gateway(place.order())
        await gateway.open()
        place.mock.gate = asyncio.Event()
        task = asyncio.create_task(place.chat(gateway))
        while not place.mock.waiting:
            await asyncio.sleep(0.001)
        assert await gateway.close(0) == 1
        task.cancel()
        place.mock.gate.set()
        store = GatewayStore.open(place.store)
        posted, available = balance(store)
        assert posted == BALANCE > available
        store.close()

    played(tmp_path, scene)


def test_a_gateway_that_never_opened_closes(tmp_path):
    async def scene(place):
        gateway = Gateway(place.order(environ={}))
        with pytest.raises(Malformed):
            await gateway.open()
        assert await gateway.close(0) == 0

    played(tmp_path, scene)


# --- serve: until a signal ---


def served(place, ready, **terms):
    """`serve` in this process; `ready` is played beside it."""

    async def play():
        opened: asyncio.Queue[Gateway] = asyncio.Queue()
        task = asyncio.create_task(serve(place.order(**terms), opened.put_nowait))
        gateway = await opened.get()
        await ready(gateway)
        return await task

    return play()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_drains_and_ends_it(tmp_path, as_before, number):
    async def scene(place):
        async def ready(gateway):
            assert (await place.chat(gateway))[0] == 200
            os.kill(os.getpid(), number)

        return await served(place, ready)

    assert played(tmp_path, scene) == 0


def test_a_second_signal_ends_it_at_once(tmp_path, as_before):
    async def scene(place):
        async def ready(gateway):
            place.mock.gate = asyncio.Event()
            task = asyncio.create_task(place.chat(gateway))
            while not place.mock.waiting:
                await asyncio.sleep(0.001)
            os.kill(os.getpid(), signal.SIGTERM)
            while not gateway.door.draining:
                await asyncio.sleep(0.001)
            os.kill(os.getpid(), signal.SIGTERM)
            left.extend((task, gateway))

        left: list = []
        status = await served(place, ready, drain_s=3_600)
        task, gateway = left
        task.cancel()
        place.mock.gate.set()
        await gateway.close(0)  # in a process of its own there is nothing left to close
        return status

    assert played(tmp_path, scene) == 1


def test_a_hang_up_reads_the_suppliers_again_or_says_what_is_wrong(tmp_path, as_before, capsys):
    async def scene(place):
        async def ready(gateway):
            place.offer("m", "n")
            os.kill(os.getpid(), signal.SIGHUP)
            while "n" not in {model.name for model in gateway.catalogue.offers.models()}:
                await asyncio.sleep(0.001)
            kept = gateway.catalogue
            place.suppliers.write_text("[supplier")
            said = []
            gateway.report = lambda words, stream=None: said.append(words)
            os.kill(os.getpid(), signal.SIGHUP)
            while not any("stay as they were" in words for words in said):
                await asyncio.sleep(0.001)
            assert gateway.catalogue is kept
            os.kill(os.getpid(), signal.SIGTERM)

        return await served(place, ready)

    assert played(tmp_path, scene) == 0


def test_a_journal_that_fails_ends_it_with_a_status_of_its_own(tmp_path, as_before):
    async def scene(place):
        async def ready(gateway):
            gateway.host._fail(OSError("no space left on device"), [], None)
            status, _, body = await place.chat(gateway)
            assert status == 503
            assert b"no space" not in body

        return await served(place, ready)

    assert played(tmp_path, scene) == 5


def test_one_that_cannot_open_lets_go_of_its_store(tmp_path, as_before):
    async def scene(place):
        with pytest.raises(Malformed):
            await serve(place.order(environ={}), lambda _: pytest.fail("it is not ready"))
        GatewayStore.open(place.store).close()

    played(tmp_path, scene)


@pytest.mark.parametrize(("where", "shown"), [
    ("store", "store"), ("./a/../b", "a/../b"), ("postgresql://ada:secret@db/x", "postgresql://ada:***@db/x"),
])  # fmt: skip
def test_a_store_is_shown_without_its_password(where, shown):
    assert "secret" not in shown_store(where)
    if "@" not in where:
        assert shown_store(where) == shown
