"""The door's counts: every ending under its own labels, histograms that add up, and a page that a scraper reads."""

import asyncio
import math

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from ciyuan.services.door.counters import BUCKETS_MS, Counters, Spread
from tests.services.door.mock_supplier import TOKENS_IN
from tests.services.door.stand import Stand
from tests.services.door.till import SUPPLIER

MS = 10**6


def samples(page: bytes) -> dict[tuple[str, ...], float]:
    """By name and the labels' values, in the order of the labels' names."""
    return {(sample.name, *(value for _, value in sorted(sample.labels.items()))): sample.value
            for family in text_string_to_metric_families(page.decode()) for sample in family.samples}  # fmt: skip


def counted(tmp_path, scene, **terms):
    async def play():
        async with Stand(tmp_path, **terms) as stand:
            counters = Counters(stand.door)
            await scene(stand)
            await stand.settled()
            return samples(counters.page()), stand

    return asyncio.run(play())


@given(st.lists(st.integers(0, 400_000 * MS), max_size=50))
def test_a_spread_counts_each_duration_under_its_border(took):
    spread = Spread()
    for each in took:
        spread.add(each)
    for (shown, count), border in zip(spread.buckets(), (*BUCKETS_MS, math.inf), strict=True):
        assert count == sum(each <= border * MS for each in took)
        assert shown == ("+Inf" if border == math.inf else f"{border / 1000:g}")
    assert spread.total_ns == sum(took)
    assert len(spread.counts) == len(BUCKETS_MS) + 1


def test_a_duration_of_just_a_border_is_below_it():
    for border in BUCKETS_MS:
        for took, over in ((border * MS, 0.0), (border * MS + 1, 1.0)):
            spread = Spread()
            spread.add(took)
            counts = dict(spread.buckets())
            assert counts["+Inf"] - counts[f"{border / 1000:g}"] == over


def test_an_answer_is_counted_with_its_tokens_and_its_money(tmp_path):
    async def scene(stand):
        assert (await stand.chat())[0] == 200
        assert (await stand.chat(stream=True))[0] == 200

    page, stand = counted(tmp_path, scene)
    assert page["ciyuan_calls_total", "answered", "chat", "no"] == 1
    assert page["ciyuan_calls_total", "answered", "chat", "yes"] == 1
    assert page["ciyuan_attempts_total", "COMPLETE", "m", "supplier 2"] == 2
    assert page["ciyuan_tokens_total", "input", "m", "supplier 2"] == 2 * TOKENS_IN
    assert page["ciyuan_tokens_total", "output", "m", "supplier 2"] == 16
    assert page["ciyuan_tokens_total", "reasoning", "m", "supplier 2"] == 0
    assert page["ciyuan_charged_usd_total", "m", "supplier 2"] == stand.spent / 1e6
    assert page["ciyuan_ttft_seconds_count", "m", "supplier 2"] == 1, "only a stream has a first token"
    assert page["ciyuan_attempt_seconds_count", "m", "supplier 2"] == 2
    took_ns = sum(attempt.ended_ns - attempt.sent_ns for attempt in stand.attempts)
    assert page["ciyuan_attempt_seconds_sum", "m", "supplier 2"] == took_ns / 1e9
    assert page["ciyuan_calls_in_flight",] == 0
    assert page["ciyuan_journal_rows_total",] == stand.host.applied
    assert page["ciyuan_journal_rows_waiting",] == 0
    assert page["ciyuan_unsettled_total",] == 0


def test_refusals_are_counted_before_a_call_and_in_one(tmp_path):
    async def scene(stand):
        await stand.post("/v1/chat/completions", b"{", None, stand.secret[::-1])
        await stand.post("/v1/chat/completions", b"{")
        await stand.chat("nothing")
        await stand.chat(max_tokens=1000)

    page, _ = counted(tmp_path, scene, balance_micro=1_000)
    for refusal in ("KEY_UNKNOWN", "BODY_NOT_JSON", "MODEL_UNKNOWN", "BALANCE_SPENT"):
        assert page["ciyuan_refusals_total", refusal] == 1
    assert page["ciyuan_calls_total", "MODEL_UNKNOWN", "chat", "no"] == 1
    assert page["ciyuan_calls_total", "BALANCE_SPENT", "chat", "no"] == 1
    assert not [key for key in page if key[0] == "ciyuan_attempts_total"]


def test_what_suppliers_do_wrong_is_counted_against_them(tmp_path):
    models = ["m:status=500", "m:usage=huge", "m:status=400"]

    async def scene(stand):
        for model in models:
            await stand.chat(model)

    page, _ = counted(tmp_path, scene, models=models)
    for supplier in ("supplier 2", "supplier 3"):
        assert page["ciyuan_attempts_total", "ERROR_BEFORE_TOKEN", "m:status=500", supplier] == 1
        assert page["ciyuan_alarms_total", "SUPPLIER_FAILED", "m:status=500", supplier] == 1
    assert page["ciyuan_alarms_total", "USAGE_IMPOSSIBLE", "m:usage=huge", "supplier 2"] == 1
    assert page["ciyuan_calls_total", "failed", "chat", "no"] == 1, (
        "the supplier's own word on the request is no answer"
    )
    assert not [key for key in page if key[0] == "ciyuan_charged_usd_total" and "m:status=500" in key]


def test_a_client_that_left_is_no_answer(tmp_path):
    model = "m:wait=30"

    async def scene(stand):
        task = asyncio.create_task(stand.chat(model))
        while not stand.suppliers[SUPPLIER].begun:
            await asyncio.sleep(0.001)
        task.cancel()

    page, stand = counted(tmp_path, scene, models=[model])
    assert page["ciyuan_calls_total", "left", "chat", "no"] == 1
    assert page["ciyuan_charged_usd_total", model, "supplier 2"] == stand.spent / 1e6 > 0


def test_a_settlement_that_is_not_taken_is_counted(tmp_path):
    async def scene(stand):
        assert (await stand.chat())[0] == 200
        for observe in stand.door.on_unsettled:
            observe(stand.attempts[0], None)

    page, _ = counted(tmp_path, scene)
    assert page["ciyuan_unsettled_total",] == 1


def test_no_key_and_no_person_is_on_the_page(tmp_path):
    async def scene(stand):
        assert (await stand.chat(user="zoe"))[0] == 200
        await stand.chat("a text of zoe")

    page, stand = counted(tmp_path, scene)
    words = " ".join(part for key in page for part in key)
    assert "supplier 2" in words
    for text in (stand.secret, "acme", "research", "ada", "laptop", "zoe"):
        assert text not in words
