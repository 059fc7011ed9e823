"""The firewall at the door, on answers: whole, and streamed a letter at a time (case 31)."""

import asyncio

import pytest

from ciyuan.services.door.findings import Findings
from ciyuan.services.door.firewall_desk import FirewallDesk
from ciyuan.services.door.registry_database import Database
from tests.gateway.firewalls import shipped
from tests.services.door.mock_supplier import TOKENS_IN
from tests.services.door.stand import MESSAGES, Stand
from tests.services.door.till import Clock

PHONE = "13812345678"
BODIES: dict[str, dict[str, object]] = {
    "/v1/chat/completions": {"messages": MESSAGES, "max_tokens": 64},
    "/v1/completions": {"prompt": "count", "max_tokens": 64},
    "/v1/responses": {"input": "count", "max_output_tokens": 64},
    "/v1/messages": {"messages": MESSAGES, "max_tokens": 64},
}


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("path", BODIES)
def test_what_is_personal_in_an_answer_does_not_reach_the_client(tmp_path, path, stream):
    """Each letter of the number is an event of its own; the answer is charged, since it was delivered."""
    said = f"call {PHONE} now"
    model = f"m:text={said}"

    async def play():
        async with Stand(tmp_path, models=[model]) as stand:
            with Database.open(tmp_path / "registry.sqlite") as database:
                findings = Findings(database, Clock())
                firewall = shipped()
                stand.door.firewall = FirewallDesk(firewall, findings.note)
                status, _, body = await stand.post(path, {"model": model, "stream": stream, **BODIES[path]})
                await stand.settled()
                findings.flush()
                with database.view() as sql:
                    return status, body, stand.spent, sql.rows("SELECT side, rule, excerpt FROM findings")

    status, body, spent, log = asyncio.run(play())
    shown = body.replace(model.encode(), b"")  # every event says the model's name
    assert (status, spent) == (200, TOKENS_IN + 4 * len(said))
    assert b"[PHONE-1]" in shown
    assert PHONE.encode() not in shown
    assert ("answer", "cn-mobile") in {(side, rule) for side, rule, _ in log}
    assert not [row for row in log if PHONE in str(row)]
