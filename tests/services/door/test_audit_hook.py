"""Where the door meets the audit: what of an answer is handed over, and the counting of one whose supplier says nothing."""

import asyncio
from dataclasses import replace

import pytest

from ciyuan.gateway.audit_sample import Reasoning
from ciyuan.gateway.ending import Charge
from ciyuan.gateway.route_offers import Offers
from ciyuan.gateway.usage import Leg, Provenance
from ciyuan.services.door.audit_desk import AuditDesk, FinishedCall
from ciyuan.services.door.audit_hook import AuditHook
from ciyuan.services.vocabularies import Vocabularies
from tests.services.door.mock_supplier import TOKENS_IN, WORDS
from tests.services.door.stand import MESSAGES, Stand
from tests.services.door.till import PRICE_IN, PRICE_OUT, SUPPLIER

NAME = "deepseek-v4"
SAID = "".join(f"{word} " for word in WORDS)
TOOLS = [{"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}]


@pytest.fixture(scope="module")
def vocabularies():
    opened = Vocabularies()
    opened.open(NAME)
    return opened


class Desk(AuditDesk):
    """A desk that keeps what it is offered and counts nothing; it wants every call, or those that `wanted` says."""

    def __init__(self, vocabularies: Vocabularies, *, wanted: bool = True) -> None:
        super().__init__(vocabularies)
        self.offered: list[FinishedCall] = []
        self._wanted = wanted

    def chooses(self, key: int) -> bool:
        return self._wanted

    def offer(self, call: FinishedCall) -> bool:
        self.offered.append(call)
        return True


def heard(tmp_path, vocabularies, scene, *, wanted=True, tokenizer=NAME, **terms):
    """What the audit is offered of a scene, and the stand after it."""

    async def play():
        async with Stand(tmp_path, **terms) as stand:
            stand.router.renew(
                Offers(
                    [
                        replace(offer, tokenizer=tokenizer, image_tokens=100)
                        for offer in stand.router.offers.all
                    ]
                )
            )
            desk = Desk(vocabularies, wanted=wanted)
            hook = AuditHook(desk, vocabularies)
            stand.door.on_attempt.append(hook.ended)
            stand.door.counter, stand.door.keeps_text = hook.count, desk.chooses
            await scene(stand)
            await stand.settled()
            desk.close()
            return desk.offered, stand

    return asyncio.run(play())


@pytest.mark.parametrize("stream", [False, True])
def test_an_answer_that_is_charged_by_its_claim_is_offered_with_its_texts(tmp_path, vocabularies, stream):
    async def scene(stand):
        assert (await stand.chat(stream=stream))[0] == 200

    (call,), stand = heard(tmp_path, vocabularies, scene)
    attempt = stand.attempts[0]
    assert (call.key, call.supplier, call.grade, call.vocabulary) == (
        attempt.request,
        SUPPLIER,
        attempt.offer.grade,
        NAME,
    )
    assert (call.asked, call.delivered, call.reasoning) == ((MESSAGES[0]["content"],), (SAID,), ())
    assert (call.asked_whole, call.delivered_whole, call.reasoning_seen) == (True, True, Reasoning.NONE)
    assert (call.messages, call.answers) == (1, 1)
    assert call.claim.usage is not None
    assert (call.claim.usage.input_tokens, call.claim.usage.amount(Leg.OUTPUT)) == (TOKENS_IN, 8)
    assert (call.input_price_micro, call.output_price_micro) == (PRICE_IN, PRICE_OUT)


def test_what_brings_in_more_than_text_is_said_to_be_a_part(tmp_path, vocabularies):
    picture = [
        {"type": "image_url", "image_url": {"url": "https://x.example/a.png"}},
        {"type": "text", "text": "what is it"},
    ]

    async def scene(stand):
        assert (await stand.chat(tools=TOOLS))[0] == 200
        assert (await stand.chat(messages=[{"role": "user", "content": picture}]))[0] == 200

    (tools, pictured), _ = heard(tmp_path, vocabularies, scene)
    assert not tools.asked_whole
    assert '{"city": "Paris"}' in "".join(tools.delivered)
    assert not pictured.asked_whole
    assert pictured.asked == ("what is it",)


def test_what_was_not_chosen_is_not_kept_nor_offered(tmp_path, vocabularies):
    async def scene(stand):
        assert (await stand.chat(stream=True))[0] == 200

    offered, stand = heard(tmp_path, vocabularies, scene, wanted=False)
    assert offered == []
    assert stand.attempts[0].told == []


@pytest.mark.parametrize("how", ["usage=none", "cut=3", "status=500", "status=400"])
def test_what_is_not_charged_by_a_claim_is_not_offered(tmp_path, vocabularies, how):
    model = f"m:{how}"

    async def scene(stand):
        await stand.chat(model, stream=True)

    offered, stand = heard(tmp_path, vocabularies, scene, models=[model])
    assert offered == []
    assert all(attempt.outcome.charge is not Charge.CLAIMED for attempt in stand.attempts)


@pytest.mark.parametrize("stream", [False, True])
def test_where_a_supplier_says_nothing_its_answer_is_counted_with_its_vocabulary(
    tmp_path, vocabularies, stream
):
    model = "m:usage=none"

    async def scene(stand):
        assert (await stand.chat(model, stream=stream))[0] == 200

    _, stand = heard(tmp_path, vocabularies, scene, models=[model])
    usage = stand.attempts[0].outcome.usage
    assert usage.input_tokens == vocabularies.count(NAME, MESSAGES[0]["content"])
    assert usage.amount(Leg.OUTPUT) == min(vocabularies.count(NAME, SAID), 8)
    assert usage.provenance(Leg.INPUT) is usage.provenance(Leg.OUTPUT) is Provenance.COUNTED
    assert stand.spent == usage.input_tokens * 1 + usage.amount(Leg.OUTPUT) * 4


def test_a_stream_that_breaks_is_counted_as_far_as_it_came(tmp_path, vocabularies):
    model = "m:cut=3"

    async def scene(stand):
        await stand.chat(model, stream=True)

    _, stand = heard(tmp_path, vocabularies, scene, models=[model])
    assert stand.attempts[0].outcome.usage.amount(Leg.OUTPUT) == vocabularies.count(NAME, "one two three ")


def test_more_than_was_held_is_not_counted(tmp_path, vocabularies):
    model = f"m:usage=none,text={'x' * 40}"

    async def scene(stand):
        assert (await stand.chat(model, max_tokens=2))[0] == 200

    _, stand = heard(tmp_path, vocabularies, scene, models=[model])
    assert vocabularies.count(NAME, "x" * 40) > 2
    assert stand.attempts[0].outcome.usage.amount(Leg.OUTPUT) == 2


@pytest.mark.parametrize(("tokenizer", "wanted"), [("", True), (NAME, False), ("one that is not here", True)])
def test_without_vocabulary_or_texts_it_is_estimated(tmp_path, vocabularies, tokenizer, wanted):
    model = "m:usage=none"

    async def scene(stand):
        assert (await stand.chat(model))[0] == 200

    _, stand = heard(tmp_path, vocabularies, scene, models=[model], tokenizer=tokenizer, wanted=wanted)
    assert stand.attempts[0].outcome.usage.provenance(Leg.OUTPUT) is Provenance.ESTIMATED
