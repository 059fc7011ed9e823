"""The firewall at the door: every route, nothing let through where it fails, and a log without values (case 31)."""

import asyncio
import json
from itertools import product

import pytest

from ciyuan.basics.errors import Malformed
from ciyuan.gateway import firewall_matcher
from ciyuan.services.door.findings import Findings
from ciyuan.services.door.firewall_desk import FirewallDesk
from ciyuan.services.door.registry_database import Database
from ciyuan.services.door.serving import Gateway, ServeOrder
from tests.gateway.firewall_made import made_luhn
from tests.gateway.firewalls import shipped
from tests.services.door.served import MODEL, SUPPLIER
from tests.services.door.stand import Stand
from tests.services.door.till import SUPPLIER as CHEAPER
from tests.services.door.till import Clock

SECRET = "AKIA" + "Q3EGRTY7HJKLMNPX"
PHONE = "13812345678"
CARD = made_luhn("453201511283036")


def bodies(text: str) -> dict[str, dict]:
    """A request of each protocol with a text in one of its places."""
    image = {"type": "input_text", "text": text}
    return {
        "/v1/chat/completions": {
            "messages": [{"role": "tool", "tool_call_id": "c", "content": text}],
            "max_tokens": 8,
        },
        "/v1/completions": {"prompt": ["clean", text], "max_tokens": 8},
        "/v1/responses": {"input": [{"role": "user", "content": [image]}], "max_output_tokens": 8},
        "/v1/messages": {"system": text, "messages": [{"role": "user", "content": "x"}], "max_tokens": 8},
        "/v1/embeddings": {"input": ["clean", text]},
    }


def run(tmp_path, scene):
    """A stand with the shipped firewall and its log; what the log holds afterwards."""

    async def play():
        async with Stand(tmp_path) as stand:
            with Database.open(tmp_path / "registry.sqlite") as database:
                findings = Findings(database, Clock())
                firewall = shipped()
                stand.door.firewall = FirewallDesk(firewall, findings.note)
                await scene(stand, firewall)
                findings.flush()
                with database.view() as sql:
                    return sql.rows(
                        "SELECT side, rule, action, path, digest, excerpt FROM findings ORDER BY number"
                    )

    return asyncio.run(play())


def test_a_secret_leaves_by_no_route(tmp_path):
    """Case 31: five protocols, streamed or not; nothing is held, sent or charged, and the log has the masked text only."""

    async def scene(stand, _):
        for (path, body), stream in product(bodies(f"key: {SECRET}").items(), (False, True)):
            if not (stream and "embed" in path):
                status, _, answer = await stand.post(
                    path, {"model": "m", **body, **({"stream": True} if stream else {})}
                )
                assert status == 400, (path, answer)
                assert b"aws-access-key" in answer
                assert SECRET.encode() not in answer
        assert stand.suppliers[CHEAPER].begun == {}
        assert (stand.spent, stand.attempts) == (0, [])

    log = run(tmp_path, scene)
    assert len([row for row in log if row[1] == "aws-access-key"]) == 9
    assert not [row for row in log if SECRET in str(row)]


def test_what_is_personal_goes_on_masked_by_every_route(tmp_path):
    """Case 31: what the supplier is sent has neither the telephone nor the card; the same value has the same digest."""

    async def scene(stand, _):
        for path, body in bodies(f"call {PHONE}, pay with {CARD}").items():
            status, _, answer = await stand.post(path, {"model": "m", **body})
            assert status == 200, (path, answer)
        sent = json.dumps([body for _, _, body in stand.suppliers[CHEAPER].requests])
        assert sent.count("[PHONE-1]") == 5
        assert PHONE not in sent
        assert CARD not in sent

    log = run(tmp_path, scene)
    assert len({row[4] for row in log if row[1] == "cn-mobile"}) == 1
    assert not [row for row in log if PHONE in str(row) or CARD in str(row)]


def test_a_firewall_that_cannot_search_lets_nothing_through(tmp_path, monkeypatch):
    """Case 31: the analyser fails while the gateway runs."""

    async def scene(stand, firewall):
        def broken(*_):
            raise RuntimeError("the engine died")

        monkeypatch.setattr(firewall.sight, "see", broken)
        for path, body in bodies("a clean text").items():
            status, _, answer = await stand.post(path, {"model": "m", **body})
            assert (status, b"scan failed" in answer) == (400, True)
        assert stand.suppliers[CHEAPER].begun == {}

    assert run(tmp_path, scene) == []


def test_a_gateway_whose_firewall_cannot_search_does_not_open(tmp_path, monkeypatch):
    """Case 31: the analyser is down from the beginning."""
    monkeypatch.setattr(firewall_matcher, "database_scan", lambda *_: lambda _data, _found: None)
    text = SUPPLIER.format(supplier="mock", port=9) + MODEL.format(supplier="mock", model="m")
    (tmp_path / "suppliers.toml").write_text(text)
    order = ServeOrder(store=str(tmp_path / "store"), suppliers=tmp_path / "suppliers.toml", port=0, admin_port=0,
                       environ={"MOCK_KEY": "x"})  # fmt: skip

    async def play():
        gateway = Gateway(order)
        try:
            with pytest.raises(Malformed, match="firewall"):
                await gateway.open()
            assert gateway.ports == []
        finally:
            await gateway.close(0)

    asyncio.run(play())
