"""The operator's port: metrics, health, status and the audit, and nothing that a client may do."""

import asyncio
import json

import pytest

from ciyuan.services.door.audit_desk import SHARE_WHOLE
from tests.services.door.gateways import BALANCE, a_place, ask
from tests.services.door.mock_supplier import TOKENS_IN


def run(tmp_path, scene, **terms):
    async def play():
        async with a_place(tmp_path) as place, place.opened(**terms) as gateway:
            await scene(place, gateway)

    asyncio.run(play())


async def told(gateway, path, method="GET"):
    return await ask(gateway.ports[1], method, path)


def test_metrics_are_what_the_counters_say(tmp_path):
    async def scene(place, gateway):
        assert (await place.chat(gateway))[0] == 200
        status, headers, body = await told(gateway, "/metrics?x=1")
        assert (status, headers["content-type"].split(";")[0]) == (200, "text/plain")
        assert b'ciyuan_calls_total{outcome="answered",protocol="chat",streamed="no"} 1.0' in body
        assert body.endswith(b"\n")

    run(tmp_path, scene)


def test_status_says_how_the_gateway_stands(tmp_path):
    async def scene(place, gateway):
        assert (await place.chat(gateway))[0] == 200
        await gateway.host.drained()
        status, headers, body = await told(gateway, "/status")
        page = json.loads(body)
        assert (status, headers["content-type"]) == (200, "application/json")
        assert (page["draining"], page["calls_in_flight"], page["calls_waiting"]) == (False, 0, 0)
        assert page["journal"] == {
            "applied": gateway.host.applied,
            "durable": gateway.host.applied,
            "failure": None,
        }
        assert page["usage"]["watermark"] <= gateway.host.applied
        assert page["findings_dropped"] == 0
        assert page["connections"] >= 1
        assert page["offers"] == [{"supplier": "mock0", "model": "m", "tier": "medium", "standing": "meets", "circuit": "closed",
                                   "in_flight": 0}]  # fmt: skip
        assert page["time"].endswith("Z")

    run(tmp_path, scene)


def test_a_process_that_keeps_no_sums_says_so(tmp_path):
    async def scene(_, gateway):
        gateway.store.fold = None
        assert json.loads((await told(gateway, "/status"))[2])["usage"] is None

    run(tmp_path, scene)


def test_health_and_readiness_follow_the_gateway(tmp_path):
    async def scene(_, gateway):
        assert (await told(gateway, "/healthz"))[::2] == (200, b'{"status":"ok"}')
        assert (await told(gateway, "/readyz"))[::2] == (200, b'{"status":"ready"}')
        gateway.door.draining = True
        assert (await told(gateway, "/readyz"))[::2] == (503, b'{"status":"not ready"}')
        gateway.door.draining = False
        gateway.host._fail(OSError("the disk is full"), [], None)
        assert (await told(gateway, "/readyz"))[0] == 503
        page = json.loads((await told(gateway, "/status"))[2])
        assert "the disk is full" in page["journal"]["failure"]

    run(tmp_path, scene)


def test_the_audits_findings_are_told_by_supplier(tmp_path):
    async def scene(place, gateway):
        assert (await place.chat(gateway))[0] == 200
        status, _, body = await told(gateway, "/audit")
        page = json.loads(body)
        assert (status, page["offered"], page["dropped"], page["failure"]) == (200, 1, 0, "")
        await asyncio.to_thread(gateway.audit.desk.close)
        page = json.loads((await told(gateway, "/audit"))[2])
        assert (page["heard"], len(page["suppliers"])) == (1, 1)
        (supplier,) = page["suppliers"]
        assert (supplier["supplier"], supplier["calls"], supplier["alarms"]) == ("mock0", 1, [])
        assert supplier["input"]["claimed"] in {0, TOKENS_IN}
        assert set(supplier["output"]) == {"counted", "claimed", "at_stake_micro"}

    run(tmp_path, scene, audit_share=SHARE_WHOLE)


def test_where_nothing_is_audited_there_is_no_such_page(tmp_path):
    async def scene(_, gateway):
        status, _, body = await told(gateway, "/audit")
        assert (status, "error" in json.loads(body)) == (404, True)

    run(tmp_path, scene)


@pytest.mark.parametrize(("method", "path", "status"), [
    ("POST", "/metrics", 405), ("DELETE", "/status", 405), ("GET", "/", 404), ("GET", "/v1/models", 404),
    ("POST", "/v1/messages", 405),
])  # fmt: skip
def test_it_serves_nothing_else(tmp_path, method, path, status):
    async def scene(_, gateway):
        code, headers, body = await told(gateway, path, method)
        assert (code, "error" in json.loads(body)) == (status, True)
        assert headers.get("allow") == ("GET" if status == 405 else None)

    run(tmp_path, scene)


def test_a_client_finds_none_of_it_on_its_own_port(tmp_path):
    async def scene(place, gateway):
        for path in ("/metrics", "/status", "/audit"):
            assert (await ask(gateway.ports[0], "GET", path, b"", place.secret))[0] == 404

    run(tmp_path, scene)


def test_what_is_no_request_is_told_so(tmp_path):
    async def scene(_, gateway):
        reader, writer = await asyncio.open_connection("127.0.0.1", gateway.ports[1])
        writer.write(b"rubbish\r\n\r\n")
        answer = await reader.read()
        writer.close()
        assert answer.startswith(b"HTTP/1.1 400 ")
        assert b'"error"' in answer

    run(tmp_path, scene)


def test_no_key_no_person_and_no_balance_is_told(tmp_path):
    async def scene(place, gateway):
        assert (await place.chat(gateway, user="zoe"))[0] == 200
        pages = b"".join([(await told(gateway, path))[2] for path in ("/metrics", "/status", "/audit")])
        for text in (place.secret, "acme", "ada", "laptop", "zoe", str(BALANCE), place.store):
            assert text.encode() not in pages

    run(tmp_path, scene, audit_share=SHARE_WHOLE)
