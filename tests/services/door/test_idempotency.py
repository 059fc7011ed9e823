"""Idempotency keys at the door: done once, charged once, answered twice; over crashes at every step."""

import asyncio
import json

import pytest

from ciyuan.services.door.idempotency import (
    ANSWER_BYTES_MAX,
    KEPT_NS,
    Idempotency,
    IdempotencyTable,
    KeptState,
    recover,
)
from ciyuan.services.door.registry_database import Database
from tests.services.door.mock_supplier import TOKENS_IN
from tests.services.door.stand import MESSAGES, Stand
from tests.services.door.till import SUPPLIER, deliver, hold

FULL = TOKENS_IN + 8 * 4
BODY = {"model": "m", "messages": MESSAGES, "max_tokens": 8}
KEY = {"idempotency-key": "order 17"}
DIGEST, MARK = b"d" * 16, b"m" * 16


@pytest.fixture
def table(tmp_path):
    database = Database.open(tmp_path / "keys.sqlite")
    yield IdempotencyTable(database)
    database.close()


def run(tmp_path, table, scene, **terms):
    async def play():
        desk = Idempotency(table)
        desk.start(asyncio.get_running_loop())
        async with Stand(tmp_path, **terms) as stand:
            stand.door.idempotency = desk
            await scene(stand)
            await stand.settled()
            assert stand.money[0] == stand.money[1]
        desk.close()

    asyncio.run(play())


async def chat(stand, body=BODY, headers=KEY, **more):
    return await stand.post("/v1/chat/completions", {**body, **more}, headers)


@pytest.mark.parametrize("stream", [False, True])
def test_the_second_time_is_answered_with_the_same_bytes_and_costs_nothing(tmp_path, table, stream):
    """Case 14."""

    async def scene(stand):
        first = await chat(stand, stream=stream)
        await stand.settled()
        second = await chat(stand, stream=stream)
        while second[0] == 409:  # the note that it is settled is written after the last byte
            second = await chat(stand, stream=stream)
        assert (first[0], second[0]) == (200, 200)
        assert second[2] == first[2]
        assert (first[1].get("idempotent-replayed"), second[1]["idempotent-replayed"]) == (None, "true")
        assert stand.spent == FULL
        assert stand.suppliers[SUPPLIER].begun == {"m": 1}

    run(tmp_path, table, scene)


def test_another_body_under_the_same_key_is_refused(tmp_path, table):
    async def scene(stand):
        await chat(stand)
        status, _, body = await chat(stand, max_tokens=7)
        assert (status, json.loads(body)["error"]["code"]) == (422, "idempotency_key_reused")
        assert stand.spent == FULL

    run(tmp_path, table, scene)


def test_while_the_first_runs_the_second_is_told_so_and_sixteen_at_once_are_charged_once(tmp_path, table):
    async def scene(stand):
        answers = await asyncio.gather(*(chat(stand, model="m:wait=80") for _ in range(16)))
        statuses = sorted(status for status, _, _ in answers)
        assert statuses == [200] + [409] * 15
        await stand.settled()
        assert stand.spent == FULL

    run(tmp_path, table, scene, models=["m:wait=80"])


def test_what_was_not_charged_may_be_tried_again(tmp_path, table):
    async def scene(stand):
        for _ in range(2):
            status = 409
            while status == 409:
                status, _, _ = await chat(stand, model="m:status=400")
            assert status == 400
        assert stand.suppliers[SUPPLIER].begun == {"m": 2}
        assert (await chat(stand, model="nothing", headers={"idempotency-key": "x"}))[0] == 404

    run(tmp_path, table, scene, models=["m:status=400"])


def test_a_client_that_left_finds_the_whole_answer_when_it_comes_again(tmp_path, table):
    async def scene(stand):
        task = asyncio.create_task(chat(stand, model="m:pace=3", stream=True))
        while not stand.suppliers[SUPPLIER].begun:
            await asyncio.sleep(0.001)
        task.cancel()
        await stand.settled()
        status, body = 409, b""
        while status == 409:
            status, _, body = await chat(stand, model="m:pace=3", stream=True)
        assert status == 200
        assert body.count(b'"content"') == 8
        assert body.endswith(b"[DONE]\n\n")
        assert stand.spent == FULL

    run(tmp_path, table, scene, models=["m:pace=3"])


def test_a_key_that_is_none_is_refused(tmp_path, table):
    async def scene(stand):
        status, _, body = await chat(stand, headers={"idempotency-key": "x" * 256})
        assert (status, json.loads(body)["error"]["code"]) == (400, "invalid_idempotency_key")

    run(tmp_path, table, scene)


def test_a_database_that_fails_does_nothing_rather_than_twice(tmp_path, table):
    async def scene(stand):
        def fail(*_):
            raise OSError("no database")

        stand.door.idempotency.table = type("Broken", (), {"claim": staticmethod(fail)})()
        asyncio.get_running_loop().set_exception_handler(lambda *_: None)
        assert (await chat(stand))[0] == 500
        assert stand.spent == 0

    run(tmp_path, table, scene)


# --- the table ---


def test_a_key_is_new_again_after_a_day(table):
    assert table.claim(DIGEST, MARK, 0, 1) is None
    assert table.claim(DIGEST, MARK, 0, 1).state is KeptState.CLAIMED
    assert table.claim(DIGEST, MARK, 0, 2 + KEPT_NS) is None


def test_an_answer_that_is_too_long_is_not_kept_but_its_charge_is_known(table):
    table.claim(DIGEST, MARK, 0, 1)
    table.answered(DIGEST, 200, b"h", b"x" * (ANSWER_BYTES_MAX + 1), [deliver(1)])
    table.settled(DIGEST)
    kept = table.claim(DIGEST, MARK, 0, 1)
    assert (kept.state, kept.status, kept.headers, kept.body) == (KeptState.SETTLED, 200, b"h", None)


def test_what_is_settled_is_not_released(table):
    table.claim(DIGEST, MARK, 0, 1)
    table.answered(DIGEST, 200, b"", b"x", [deliver(1)])
    table.settled(DIGEST)
    table.release(DIGEST)
    assert table.claim(DIGEST, MARK, 0, 1).body == b"x"


def test_old_answers_are_forgotten_in_slices(table):
    for number in range(5):
        table.claim(bytes([number]), MARK, 0, number)
    assert [table.forget(4, 3), table.forget(4, 3), table.forget(4, 3)] == [3, 1, 0]


@pytest.mark.parametrize("when", ["before the posting", "after the posting", "after the hold expired"])
def test_a_crash_between_answer_and_posting_is_settled_at_start_and_charged_once(tmp_path, table, when):
    async def play():
        async with Stand(tmp_path) as stand:
            host = stand.host
            host.submit(hold(1 << 4, timeout_ns=1 if when == "after the hold expired" else 0), lambda _: None)
            await host.drained()
            table.claim(DIGEST, MARK, 0, 1)
            table.claim(b"claimed", MARK, 0, 1)
            table.answered(DIGEST, 200, b"", b"answer", [deliver(1 << 4, 10, 10)])
            if when == "after the posting":
                host.submit(deliver(1 << 4, 10, 10), lambda _: None)
                await host.drained()
            assert await recover(table, host, stand.door.numbers) == 1
            assert await recover(table, host, stand.door.numbers) == 0
            assert stand.spent == 50
            assert stand.money[0] == stand.money[1]
        assert table.claim(DIGEST, MARK, 0, 1).state is KeptState.SETTLED
        assert table.claim(b"claimed", MARK, 0, 1) is None

    asyncio.run(play())


def test_an_answer_that_cannot_be_charged_any_more_is_not_replayed(tmp_path, table):
    async def play():
        async with Stand(tmp_path, balance_micro=10) as stand:
            table.claim(DIGEST, MARK, 0, 1)
            table.answered(DIGEST, 200, b"", b"answer", [deliver(1 << 4)])
            await recover(table, stand.host, stand.door.numbers)
        assert table.claim(DIGEST, MARK, 0, 1) is None

    asyncio.run(play())


def test_another_process_keeps_its_claims(table):
    table.claim(DIGEST, MARK, 3, 1)
    assert table.recover(0) == []
    assert table.claim(DIGEST, MARK, 0, 1).process == 3
