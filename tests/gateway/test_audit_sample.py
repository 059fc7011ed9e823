"""What a claim says of the text that is seen, and what kind of writing a text is."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ciyuan.basics.errors import Malformed
from ciyuan.gateway.audit_sample import (
    SCRIPT_CHARS_MAX,
    Extent,
    Reasoning,
    Said,
    Script,
    Side,
    said_of,
    script_of,
)
from ciyuan.gateway.claims import chat_claim, messages_claim
from ciyuan.gateway.usage import NO_CLAIM, Claim, Leg, Provenance, UsageFault, usage_from
from tests.gateway.audited import claim_of, sample, text_of
from tests.sources import ROOT

NOTHING = Said(None, 0, spoken=False)


@pytest.mark.parametrize(
    ("reasoning", "claim", "said"),
    [
        (Reasoning.SHOWN, claim_of(9, 70, 20), Said(70)),
        (Reasoning.SHOWN, claim_of(9, 70), Said(70)),
        (Reasoning.NONE, claim_of(9, 70), Said(70)),
        (Reasoning.NONE, claim_of(9, 70, 20), Said(50, 20)),
        (Reasoning.HIDDEN, claim_of(9, 70, 20), Said(50, 20)),
        (Reasoning.HIDDEN, claim_of(9, 70, 0), Said(70)),
        (Reasoning.HIDDEN, claim_of(9, 70), Said(None, 20)),
        (Reasoning.HIDDEN, claim_of(9, 40), Said(None, 0)),
    ],
)
def test_what_is_claimed_of_the_output(reasoning, claim, said):
    call = sample(delivered=text_of(50), claim=claim, reasoning=reasoning)
    assert said_of(call, Side.OUTPUT) == said


@pytest.mark.parametrize(
    "claim",
    [
        NO_CLAIM,
        Claim(None, UsageFault.NEGATIVE, "-1"),
        Claim(usage_from(Provenance.SUPPLIER, {Leg.SEARCHES: 1})),
    ],
)
def test_a_claim_that_says_nothing(claim):
    assert {said_of(sample(claim=claim), side) for side in Side} == {NOTHING}


def test_a_streams_unfinished_count_says_nothing_of_the_output():
    partial = Claim(usage_from(Provenance.SUPPLIER, {Leg.INPUT: 9, Leg.OUTPUT: 2}), final=False)
    assert said_of(sample(claim=partial), Side.OUTPUT) == NOTHING
    assert said_of(sample(claim=partial), Side.INPUT) == Said(9)


def test_all_input_is_claimed_however_it_was_had_and_sound_and_pictures_are_no_text():
    openai = chat_claim({"prompt_tokens": 100, "completion_tokens": 30,
                         "prompt_tokens_details": {"cached_tokens": 60, "audio_tokens": 10},
                         "completion_tokens_details": {"audio_tokens": 12}})  # fmt: skip
    assert said_of(sample(claim=openai), Side.INPUT) == Said(90)
    assert said_of(sample(claim=openai), Side.OUTPUT) == Said(18)
    anthropic = messages_claim({"input_tokens": 40, "cache_read_input_tokens": 60, "output_tokens": 5})
    assert said_of(sample(claim=anthropic), Side.INPUT) == Said(100)


@pytest.mark.parametrize(
    "wrong",
    [
        {"asked": Extent(-1)},
        {"delivered": Extent(counted=-1), "claim": NO_CLAIM},
        {"supplier": -1},
        {"asked": text_of(1), "vocabulary": ""},
    ],
)
def test_a_sample_that_cannot_be_is_malformed(wrong):
    with pytest.raises(Malformed, match="sample of a call"):
        sample(**wrong)


@pytest.mark.parametrize(
    ("text", "script"),
    [
        ("", Script.NONE),
        ("The market prices a token of intelligence by the million.", Script.LATIN),
        ("Рынок оценивает каждый токен, и счёт сходится до копейки.", Script.LATIN),
        ("市场按百万词元计价，账目分毫不差。", Script.CJK),
        ("トークンの市場は百万単位で値を付けます。", Script.CJK),
        ("토큰 시장은 백만 단위로 가격을 매깁니다.", Script.CJK),
        ("The word 词元 is the official Chinese name of the token.", Script.LATIN),
        ("The word 词元 names the token; 市场 names the market.", Script.MIXED),
        ('{"model": "m", "messages": [{"role": "user", "content": "hi"}]}', Script.CODE),
        ("def f(x):\n\treturn {k: v[0] for k, v in x.items() if v}\n", Script.CODE),
    ],
)
def test_the_script_of_a_text(text, script):
    assert script_of(text) is script


def test_the_projects_own_files_are_told_apart():
    assert script_of((ROOT / "benchmarks" / "reference" / "ladder.cpp").read_text()) is Script.CODE
    assert script_of((ROOT / "LICENSE").read_text()) is Script.LATIN


@given(text=st.text(max_size=200))
def test_every_text_has_a_script_and_only_its_beginning_matters(text):
    assert (script_of(text) is Script.NONE) == (not text)
    long = text.ljust(SCRIPT_CHARS_MAX, "a")[:SCRIPT_CHARS_MAX]
    assert script_of(long + "{" * 10_000) is script_of(long)
