"""Sixty-four clients at once against a balance, a budget and a rate for exactly k requests: k are admitted, again and again."""

import asyncio
import random

import pytest

from ciyuan.services.door.registry_words import parse_limit
from tests.services.door.stand import Stand

CLIENTS, ROUNDS = 64, 200


async def admitted(stand: Stand) -> int:
    """How many of 64 requests at once were answered; the others must have been refused for want of money or budget."""
    statuses = [status for status, _, _ in await asyncio.gather(*(stand.chat() for _ in range(CLIENTS)))]
    assert set(statuses) <= {200, 402, 429}, statuses
    return statuses.count(200)


def test_exactly_k_of_64_clients_are_admitted_two_hundred_times(tmp_path):
    """Cases 1, 2, 4: the answers are held back until all 64 have asked, so that every hold stands beside every other."""

    async def play():
        rng = random.Random(64)  # noqa: S311 sizes, not secrets
        async with Stand(tmp_path, balance_micro=10**9) as stand:
            await stand.chat()
            held, spent = stand.attempts[0].held_micro, stand.attempts[0].charged_micro
            gate = stand.suppliers[2].gate = asyncio.Event()
            for _ in range(ROUNDS):
                k = rng.randrange(CLIENTS + 1)
                there = k * held + rng.randrange(held)
                await stand.leave(there)
                gate.clear()
                asking = asyncio.create_task(admitted(stand))
                while stand.suppliers[2].waiting < k or len(stand.door.calls) > k:
                    await asyncio.sleep(0)
                gate.set()
                assert await asking == k
                await stand.settled()
                assert stand.money == (there - k * spent, there - k * spent)
                stand.attempts.clear()
                stand.calls.clear()

    asyncio.run(play())


@pytest.mark.parametrize("where", ["organisation", "department", "engineer", "key"])
@pytest.mark.parametrize("limit", ["{} USD a day", "{} USD a month", "{} requests a minute"])
def test_a_budget_or_rate_at_any_level_admits_exactly_what_fits(tmp_path, where, limit):
    """Case 3: every level is enforced, whoever asks."""

    async def play():
        async with Stand(tmp_path, balance_micro=10**9) as stand:
            await stand.chat()
            held, k = stand.attempts[0].held_micro, 5
            most = f"{k}" if "requests" in limit else f"{(k * held + held // 2) / 1e6:.6f}"
            await stand.limit(where, parse_limit(limit.format(most)))
            gate = stand.suppliers[2].gate = asyncio.Event()
            asking = asyncio.create_task(admitted(stand))
            while stand.suppliers[2].waiting < k or len(stand.door.calls) > k:
                await asyncio.sleep(0)
            gate.set()
            assert await asking == k

    asyncio.run(play())
