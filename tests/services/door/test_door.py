"""The door on real sockets: what is charged for every way in which an answer can end, and what the client is shown of it."""

import asyncio
import json

import pytest

from ciyuan.gateway.answer import EndingKind
from ciyuan.gateway.ending import Alarm, Charge
from ciyuan.gateway.route_offers import Tier
from ciyuan.gateway.route_policy import RoutePolicy
from ciyuan.gateway.usage import Leg
from ciyuan.services.catalog_suppliers import SupplierTimeouts
from tests.services.door.mock_supplier import TOKENS_IN
from tests.services.door.stand import MESSAGES, Stand
from tests.services.door.till import OTHER, SUPPLIER

CHAT = "/v1/chat/completions"
FULL = TOKENS_IN * 1 + 8 * 4
"""What a whole answer of the mock costs, in micro-USD: 7 tokens in at 1, 8 out at 4."""


def run(tmp_path, scene, **terms):
    async def play():
        async with Stand(tmp_path, **terms) as stand:
            await scene(stand)
            await stand.settled()
            balance, available = stand.money
            assert balance == available, "a hold was left behind"
            stand.host.venue.ledger.check()

    asyncio.run(play())


def texts(body: bytes) -> str:
    """The text of a stream of chat completions."""
    events = [json.loads(line[6:]) for line in body.decode().split("\n") if line.startswith("data: {")]
    return "".join(
        choice["delta"].get("content") or "" for event in events for choice in event.get("choices", [])
    )


# --- what is answered ---


def test_a_whole_answer_goes_through_as_it_came_and_is_charged_by_its_usage(tmp_path):
    async def scene(stand):
        status, headers, body = await stand.chat()
        assert status == 200
        assert json.loads(body)["choices"][0]["message"]["content"].startswith("one two")
        assert headers["x-ciyuan-supplier"] == "supplier 2"
        await stand.settled()
        assert stand.spent == FULL
        assert stand.suppliers[SUPPLIER].served == {"m": 1}
        path, sent, _ = stand.suppliers[SUPPLIER].requests[0]
        assert (path, sent["authorization"]) == (CHAT, "Bearer sk-supplier")

    run(tmp_path, scene)


def test_a_call_that_was_answered_points_no_more_at_its_attempt_unless_someone_looks_later(tmp_path):
    async def scene(stand):
        for stream, keeps in ((False, False), (True, False), (True, True)):
            stand.door.keeps_calls = keeps
            assert (await stand.chat(stream=stream))[0] == 200
            await stand.settled()
            call = stand.calls[-1]
            assert (len(call.attempts), call.choice is not None) == (int(keeps), keeps)

    run(tmp_path, scene)


def test_a_stream_goes_through_without_the_usage_that_only_we_asked_for(tmp_path):
    async def scene(stand):
        status, headers, body = await stand.chat(stream=True)
        assert (status, headers["content-type"]) == (200, "text/event-stream")
        assert texts(body) == "one two three four five six seven eight "
        assert b'"usage"' not in body
        assert body.endswith(b"data: [DONE]\n\n")
        assert stand.suppliers[SUPPLIER].requests[0][2]["stream_options"] == {"include_usage": True}
        await stand.settled()
        assert stand.spent == FULL

    run(tmp_path, scene)


def test_a_stream_whose_client_asked_for_usage_has_it(tmp_path):
    async def scene(stand):
        _, _, body = await stand.chat(stream=True, stream_options={"include_usage": True})
        assert b'"usage"' in body

    run(tmp_path, scene)


PROTOCOLS = {
    CHAT: {"messages": MESSAGES, "max_tokens": 8},
    "/v1/completions": {"prompt": "count", "max_tokens": 8},
    "/v1/responses": {"input": "count", "max_output_tokens": 8},
    "/v1/messages": {"messages": MESSAGES, "max_tokens": 8},
}


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("path", PROTOCOLS)
def test_every_protocol_and_way_makes_one_row_and_the_same_charge(tmp_path, path, stream):
    """Case 12: every protocol, streamed or not, writes exactly one row; case 13: all the mock's ids are the same."""

    async def scene(stand):
        for count in (1, 2):
            status, _, body = await stand.post(path, {"model": "m", "stream": stream, **PROTOCOLS[path]})
            assert status == 200, body
            await stand.settled()
            assert stand.spent == FULL * count
        assert len(stand.attempts) == 2

    run(tmp_path, scene)


def test_embeddings_are_charged_by_their_input(tmp_path):
    async def scene(stand):
        status, _, body = await stand.post("/v1/embeddings", {"model": "m", "input": "some text"})
        assert (status, json.loads(body)["data"][0]["embedding"][0]) == (200, 0.25)
        await stand.settled()
        assert stand.spent == TOKENS_IN

    run(tmp_path, scene)


def test_tools_and_pictures_pass_through_untouched(tmp_path):
    tools = [{"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}]
    parts = [
        {"type": "text", "text": "what is it"},
        {"type": "image_url", "image_url": {"url": "https://x.example/a.png"}},
    ]

    async def scene(stand):
        stand.router.renew(stand.pictures())
        body = {
            "model": "m",
            "max_tokens": 8,
            "tools": tools,
            "messages": [{"role": "user", "content": parts}],
            "seed": 1,
        }
        status, _, answer = await stand.post(CHAT, body)
        assert status == 200
        assert json.loads(answer)["choices"][0]["message"]["tool_calls"][0]["function"]["name"] == "weather"
        assert stand.suppliers[SUPPLIER].requests[0][2] == body

    run(tmp_path, scene)


# --- who may ---


@pytest.mark.parametrize(
    ("secret", "status"), [("", 401), ("sk-ciyuan-nobody", 401)], ids=["no key", "unknown key"]
)
def test_without_a_known_key_nothing_is_done(tmp_path, secret, status):
    async def scene(stand):
        answer = await stand.post(CHAT, {"model": "m", "messages": MESSAGES}, secret=secret)
        assert answer[0] == status
        assert stand.suppliers[SUPPLIER].begun == {}

    run(tmp_path, scene)


def test_a_request_that_the_balance_does_not_cover_is_refused_and_costs_nothing(tmp_path):
    """Cases 4, 5, 6: the worst case is held, with the prompt in it; a balance above zero is not enough."""

    async def scene(stand):
        status, headers, body = await stand.chat(max_tokens=1000)
        error = json.loads(body)["error"]
        assert (status, error["code"], headers["x-should-retry"]) == (402, "insufficient_quota", "false")
        assert "0.001000 USD left" in error["message"]
        assert stand.spent == 0
        assert stand.suppliers[SUPPLIER].begun == {}
        assert (await stand.chat(max_tokens=8))[0] == 200

    run(tmp_path, scene, balance_micro=1_000)


def test_a_model_that_is_not_here_is_said_so(tmp_path):
    async def scene(stand):
        status, _, body = await stand.chat("nothing")
        assert (status, json.loads(body)["error"]["code"]) == (404, "model_not_found")

    run(tmp_path, scene)


# --- how it can end: docs/spec/endings.md ---

COUNTED_OUT = 40 // 4
"""The mock's 40 bytes of text at four bytes a token."""
ENDINGS = {
    "usage=none": (EndingKind.COMPLETE, Charge.DELIVERED, Alarm.USAGE_MISSING),
    "usage=zero": (EndingKind.COMPLETE, Charge.DELIVERED, Alarm.USAGE_ZERO),
    "usage=huge": (EndingKind.COMPLETE, Charge.DELIVERED, Alarm.USAGE_IMPOSSIBLE),
}


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("how", ENDINGS)
def test_a_usage_that_cannot_be_believed_is_counted_by_us(tmp_path, how, stream):
    """Cases 17, 18, 23: nothing is taken for zero, and no impossible claim is charged."""
    model = f"m:{how}"

    async def scene(stand):
        assert (await stand.chat(model, stream=stream))[0] == 200
        await stand.settled()
        outcome = stand.attempts[0].outcome
        assert (outcome.ending.kind, outcome.charge, outcome.alarm) == ENDINGS[how]
        assert stand.attempts[0].charged_micro == stand.spent
        assert 4 * (COUNTED_OUT - 2) <= stand.spent <= 4 * 8 + 20

    run(tmp_path, scene, models=[model])


@pytest.mark.parametrize("events", range(1, 9))
def test_a_stream_that_is_cut_is_charged_for_what_came_and_says_that_it_broke(tmp_path, events):
    model = f"m:cut={events}"

    async def scene(stand):
        status, _, body = await stand.chat(model, stream=True)
        assert status == 200
        assert len(texts(body).split()) == events
        assert b'"error"' in body
        assert not body.endswith(b"[DONE]\n\n")
        await stand.settled()
        attempt = stand.attempts[0]
        assert (attempt.outcome.ending.kind, attempt.outcome.charge) == (
            EndingKind.CUT_MID_STREAM,
            Charge.DELIVERED,
        )
        out = -(-len(texts(body)) // 4)
        assert attempt.outcome.usage.amount(Leg.OUTPUT) == min(out, 8)
        assert len(stand.attempts) == 1

    run(tmp_path, scene, models=[model])


def test_an_error_in_a_stream_is_passed_on_and_what_came_before_is_charged(tmp_path):
    model = "m:error=3"

    async def scene(stand):
        _, _, body = await stand.chat(model, stream=True)
        assert body.count(b"the engine died") == 1
        await stand.settled()
        assert stand.attempts[0].outcome.ending.kind is EndingKind.ERROR_MID_STREAM
        assert 0 < stand.spent < FULL

    run(tmp_path, scene, models=[model])


@pytest.mark.parametrize("status", [400, 413, 422])
def test_what_the_supplier_refuses_of_the_request_is_told_in_its_words_and_costs_nothing(tmp_path, status):
    model = f"m:status={status}"

    async def scene(stand):
        answered, _, body = await stand.chat(model)
        assert (answered, json.loads(body)["error"]["message"]) == (status, f"mock {status}")
        await stand.settled()
        assert stand.spent == 0
        assert len(stand.attempts) == 1

    run(tmp_path, scene, models=[model])


@pytest.mark.parametrize("status", [401, 404, 429, 500, 503])
@pytest.mark.parametrize("stream", [False, True])
def test_a_supplier_that_fails_is_tried_elsewhere_and_then_said_so_without_its_words(
    tmp_path, status, stream
):
    """Cases 18, 19, 34: both holds are released, the client is told once, attempts are children of one request."""
    model = f"m:status={status}"

    async def scene(stand):
        answered, _, body = await stand.chat(model, stream=stream)
        assert answered in {502, 503}
        assert b"mock" not in body
        await stand.settled()
        assert stand.spent == 0
        assert [attempt.offer.supplier for attempt in stand.attempts] == [SUPPLIER, OTHER]
        assert len({attempt.request >> 4 for attempt in stand.attempts}) == 1
        assert len(stand.calls) == 1

    run(tmp_path, scene, models=[model])


def test_a_supplier_that_cannot_be_reached_is_passed_over(tmp_path):
    async def scene(stand):
        await stand.suppliers[SUPPLIER].stop()
        status, headers, _ = await stand.chat()
        assert (status, headers["x-ciyuan-supplier"]) == (200, "supplier 3")
        await stand.settled()
        assert stand.attempts[0].outcome.charge is Charge.VOID

    run(tmp_path, scene)


def test_connections_that_the_supplier_closed_while_idle_cost_nothing(tmp_path):
    async def scene(stand):
        for _ in range(3):
            assert (await stand.chat())[0] == 200
            await stand.settled()
            await stand.suppliers[SUPPLIER].drop_idle()
        assert {attempt.offer.supplier for attempt in stand.attempts} == {SUPPLIER}
        assert stand.spent == 3 * FULL

    run(tmp_path, scene)


def test_a_supplier_that_never_answers_is_not_waited_for_for_ever(tmp_path):
    model = "m:hang"

    async def scene(stand):
        status, _, body = await stand.chat(model)
        assert (status, json.loads(body)["error"]["code"]) == (504, "supplier_timed_out")
        await stand.settled()
        assert stand.spent == 0

    run(
        tmp_path,
        scene,
        models=[model],
        timeouts=SupplierTimeouts(first_token_ns=50 * 10**6),
        policy=RoutePolicy(attempts_max=1),
    )


# --- clients that leave ---


@pytest.mark.parametrize("events", range(9))
def test_a_client_that_leaves_after_n_events_is_charged_what_the_supplier_delivered(tmp_path, events):
    """Case 16: the supplier is heard to its end, and its own usage is charged."""
    model = "m:pace=2"

    async def scene(stand):
        reader, writer = await asyncio.open_connection("127.0.0.1", stand.port)
        body = json.dumps({"model": model, "messages": MESSAGES, "max_tokens": 8, "stream": True}).encode()
        writer.write(b"POST /v1/chat/completions HTTP/1.1\r\nauthorization: Bearer %b\r\ncontent-length: %d\r\n\r\n%b"
                     % (stand.secret.encode(), len(body), body))  # fmt: skip
        while not stand.suppliers[SUPPLIER].begun:
            await asyncio.sleep(0.001)
        for _ in range(events):
            await reader.readuntil(b"\n\n")
        writer.close()
        await stand.settled()
        assert stand.spent == FULL
        while not stand.suppliers[SUPPLIER].served:
            await asyncio.sleep(0.001)
        assert len(stand.calls) == 1

    run(tmp_path, scene, models=[model])


def test_a_client_that_leaves_before_a_whole_answer_is_charged_it_too(tmp_path):
    model = "m:wait=50"

    async def scene(stand):
        task = asyncio.create_task(stand.chat(model))
        while not stand.suppliers[SUPPLIER].begun:
            await asyncio.sleep(0.001)
        task.cancel()
        await stand.settled()
        assert stand.spent == FULL

    run(tmp_path, scene, models=[model])


# --- hedges ---


def test_a_late_first_token_starts_a_second_attempt_and_only_one_is_charged(tmp_path):
    policy = RoutePolicy(hedge_tiers=frozenset({Tier.ANY}), hedge_bp=10_000)

    async def scene(stand):
        for _ in range(25):
            await stand.chat(stream=True)
        before = stand.spent
        stand.suppliers[SUPPLIER].slow_ms = 400
        status, headers, body = await stand.chat(stream=True)
        assert (status, headers["x-ciyuan-supplier"]) == (200, "supplier 3")
        assert texts(body) == "one two three four five six seven eight "
        await stand.settled()
        last = [
            attempt for attempt in stand.attempts if attempt.request >> 4 == stand.attempts[-1].request >> 4
        ]
        assert sorted(attempt.outcome.charge for attempt in last) == [Charge.CLAIMED, Charge.VOID]
        assert stand.spent - before in {FULL, FULL + 1}

    run(tmp_path, scene, policy=policy)


# --- many at once ---


def test_exactly_k_of_64_at_once_are_admitted(tmp_path):
    """Case 1, once: the whole run of 200 is in test_door_race."""

    async def scene(stand):
        statuses = [status for status, _, _ in await asyncio.gather(*(stand.chat() for _ in range(64)))]
        held = stand.attempts[0].held_micro
        assert stand.balance_micro // held <= statuses.count(200)
        assert statuses.count(200) + statuses.count(402) == 64
        assert stand.spent == FULL * statuses.count(200)

    run(tmp_path, scene, balance_micro=5_000)


def test_requests_on_one_connection_are_answered_in_their_order(tmp_path):
    async def scene(stand):
        from tests.services.door.stand import read_answer

        reader, writer = await asyncio.open_connection("127.0.0.1", stand.port)
        for most in (1, 2, 3):
            body = json.dumps({"model": "m", "messages": MESSAGES, "max_tokens": most}).encode()
            writer.write(b"POST /v1/chat/completions HTTP/1.1\r\nauthorization: Bearer %b\r\ncontent-length: %d\r\n\r\n%b"
                         % (stand.secret.encode(), len(body), body))  # fmt: skip
        for most in (1, 2, 3):
            _, _, answer = await read_answer(reader)
            assert json.loads(answer)["usage"]["completion_tokens"] == most
        writer.close()

    run(tmp_path, scene)


def test_while_draining_calls_end_and_no_new_ones_begin(tmp_path):
    model = "m:wait=60"

    async def scene(stand):
        task = asyncio.create_task(stand.chat(model))
        while not stand.suppliers[SUPPLIER].begun:
            await asyncio.sleep(0.001)
        draining = asyncio.create_task(stand.door.drain(5))
        await asyncio.sleep(0)
        status, _, body = await stand.chat(model)
        assert (status, json.loads(body)["error"]["code"]) == (503, "draining")
        assert (await stand.ask("GET", "/readyz"))[0] == 503
        assert (await stand.ask("GET", "/healthz"))[0] == 200
        assert await draining == 0
        assert (await task)[0] == 200

    run(tmp_path, scene, models=[model])
