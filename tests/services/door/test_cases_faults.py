"""A fault of ours beside the money does not undo what was delivered, nor keep it from the client (case 19)."""

import asyncio

import pytest

from ciyuan.gateway.ending import Charge
from tests.services.door.mock_supplier import TOKENS_IN
from tests.services.door.stand import Stand

FULL = TOKENS_IN + 8 * 4


def run(tmp_path, scene, model="m"):
    async def play():
        async with Stand(tmp_path, models=[model]) as stand:
            await scene(stand)

    asyncio.run(play())


@pytest.mark.parametrize("stream", [False, True])
def test_who_watches_and_fails_costs_neither_the_answer_nor_the_charge(tmp_path, stream):
    async def scene(stand):
        reported = []
        asyncio.get_running_loop().set_exception_handler(lambda _, told: reported.append(told))

        def clumsy(_):
            raise ValueError("clumsy")

        stand.door.on_attempt.append(clumsy)
        stand.door.on_call.append(clumsy)
        status, _, body = await asyncio.wait_for(stand.chat(stream=stream), 5)
        assert status == 200
        assert b"eight" in body
        await stand.settled()
        assert stand.spent == FULL
        assert reported

    run(tmp_path, scene)


@pytest.mark.parametrize("stream", [False, True])
def test_an_answer_that_was_shown_is_charged_though_its_counting_fails(tmp_path, stream):
    """Case 19: where the vocabulary fails, the bytes count; what was delivered is never free."""

    async def scene(stand):
        asyncio.get_running_loop().set_exception_handler(lambda *_: None)

        def broken(_):
            raise ValueError("no vocabulary")

        stand.door.counter = broken
        status, _, body = await asyncio.wait_for(stand.chat("m:usage=none", stream=stream), 5)
        assert status == 200
        assert b"eight" in body
        await stand.settled()
        assert stand.attempts[0].outcome.charge is Charge.DELIVERED
        assert stand.spent > 0

    run(tmp_path, scene, "m:usage=none")
