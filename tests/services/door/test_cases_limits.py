"""Budgets, rates and the balance at the door: by whichever path a request comes in, whoever asks for the first time, however
often it is tried (cases 2, 3 and 34 of docs/spec/gateway_cases.md)."""

import asyncio
import time
from itertools import product

from ciyuan.services.door.registry_database import Database
from ciyuan.services.door.registry_words import parse_limit
from ciyuan.services.door.usage_fold import UsageFold
from ciyuan.services.door.usage_tables import UsageTables
from ciyuan.services.store import Store
from ciyuan.venue.machine import Venue
from tests.services.door.stand import MESSAGES, Stand
from tests.services.door.till import OTHER, SUPPLIER, TERMS

BODIES: dict[str, dict[str, object]] = {
    "/v1/chat/completions": {"messages": MESSAGES, "max_tokens": 8},
    "/v1/completions": {"prompt": "count", "max_tokens": 8},
    "/v1/responses": {"input": "count", "max_output_tokens": 8},
    "/v1/messages": {"messages": MESSAGES, "max_tokens": 8},
    "/v1/embeddings": {"input": "some text"},
}
LEVELS = ("organisation", "department", "engineer", "key")
LIMITS = (
    "0.000001 USD a day",
    "0.000001 USD ever",
    "1 tokens a month",
    "1 requests a year",
    "1 requests a minute",
)


def ways() -> list[tuple[str, bool, str]]:
    """Every way in: path, streamed or not, the header that the key is in."""
    every = product(BODIES, (False, True), ("authorization", "x-api-key"))
    return [(path, stream, header) for path, stream, header in every if not (stream and "embed" in path)]


async def statuses_by_every_way(stand: Stand) -> set[int]:
    statuses = set()
    keys = {
        "authorization": {"authorization": f"Bearer {stand.secret}"},
        "x-api-key": {"authorization": "", "x-api-key": stand.secret},
    }
    for path, stream, header in ways():
        body = {"model": "m", **BODIES[path], **({"stream": True} if stream else {})}
        status, _, _ = await stand.post(path, body, keys[header])
        statuses.add(status)
    return statuses


async def lift(stand: Stand) -> None:
    """Clear every limit, and let the venue know."""
    numbers = list(stand.registry.directory().limits)
    with stand.registry.change(time.time_ns()) as change:
        for number in numbers:
            change.limits.clear(number)
    stand.door.directory = (await stand.enrolment.renew(stand.door.directory)).directory


def test_no_path_goes_round_a_limit_at_any_level(tmp_path):
    """Case 3: five protocols, streamed or not, both headers of keys; four levels and the balance; money, tokens and requests."""

    async def play():
        async with Stand(tmp_path, balance_micro=10**6) as stand:
            for level, limit in product(LEVELS, LIMITS):
                await stand.limit(level, parse_limit(limit))
                if "requests" in limit:
                    assert (await stand.chat())[0] == 200
                    await stand.settled()
                before = sum(mock.begun["m"] for mock in stand.suppliers.values())
                assert await statuses_by_every_way(stand) == {429 if "minute" in limit else 402}, (
                    level,
                    limit,
                )
                assert sum(mock.begun["m"] for mock in stand.suppliers.values()) == before
                await lift(stand)
            await stand.leave(0)
            assert await statuses_by_every_way(stand) == {402}
            await stand.leave(10**6)
            assert await statuses_by_every_way(stand) == {200}

    asyncio.run(play())


def test_the_first_calls_of_an_unknown_app_are_within_its_keys_budget(tmp_path):
    """Case 2: sixteen calls at once, each the first of an app that nobody knows."""

    async def play():
        async with Stand(tmp_path) as stand:
            await stand.chat()
            held, k = stand.attempts[0].held_micro, 3
            await stand.limit("key", parse_limit(f"{(k * held + held // 2) / 1e6:.6f} USD a day"))
            gate = stand.suppliers[SUPPLIER].gate = asyncio.Event()
            body = {"model": "m", "messages": MESSAGES, "max_tokens": 8}
            asking = [
                asyncio.create_task(
                    stand.post("/v1/chat/completions", body, {"x-ciyuan-app": f"app-{number // 4}"})
                )
                for number in range(16)
            ]
            while stand.suppliers[SUPPLIER].waiting < k or len(stand.door.calls) > k:
                await asyncio.sleep(0)
            gate.set()
            statuses = [status for status, _, _ in await asyncio.gather(*asking)]
            assert sorted(statuses) == [200] * k + [402] * (16 - k)

    asyncio.run(play())


def test_a_request_that_is_tried_again_is_one_request(tmp_path):
    """Case 34: against the limit of requests, in the sums of usage, and on the bill; its attempts are children of its number."""

    async def play():
        async with Stand(tmp_path) as stand:
            await stand.limit("key", parse_limit("3 requests a day"))
            await stand.suppliers[SUPPLIER].stop()
            answers = [await stand.chat() for _ in range(4)]
            assert [status for status, _, _ in answers] == [200, 200, 200, 402]
            assert {headers["x-ciyuan-supplier"] for _, headers, _ in answers[:3]} == {"supplier 3"}
            await stand.settled()
            tried = [attempt.request for attempt in stand.attempts]
            assert (stand.suppliers[OTHER].served["m"], len({request >> 4 for request in tried})) == (3, 3)
            return len(tried), stand.spent

    attempts, spent = asyncio.run(play())
    with (
        Database.open(tmp_path / "registry.sqlite") as database,
        Store.open(tmp_path / "journal", TERMS.digest()) as store,
    ):
        fold, venue, before = UsageFold(UsageTables(database)), Venue(TERMS), 0
        for rows in store.read():
            fold.take(before, rows, venue.apply(rows))
            before += len(rows)
        assert fold.flush(store.sequence)
        with database.view() as sql:
            sums = sql.row("SELECT SUM(requests), SUM(voided), SUM(charged_micro) FROM usage_day")
    assert attempts > 3
    assert sums == (3, attempts - 3, spent)
