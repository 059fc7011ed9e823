"""Claims read: each vendor's way of counting, and what cannot be."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ciyuan.basics.errors import Malformed
from ciyuan.gateway.claims import chat_claim, embeddings_claim, merged_usage, messages_claim, responses_claim
from ciyuan.gateway.usage import (
    NO_CLAIM,
    Leg,
    Provenance,
    Standing,
    Usage,
    UsageFault,
    estimated_tokens,
    usage_from,
)
from tests.gateway.golden_usage import apart, chat, deepseek, left_out, message, response

NOTHING_SAID: tuple[object, ...] = (None, {}, {"prompt_tokens": None, "completion_tokens": None})


def legs(usage: Usage | None) -> dict[str, int]:
    assert usage is not None
    return {leg.name: count for leg in Leg if (count := usage.of(leg)) is not None}


def test_the_cache_is_inside_the_prompt_at_openai():
    assert legs(chat_claim(chat(2_006, 300, cached=1_920)).usage) == {
        "INPUT": 86, "CACHE_READ": 1_920, "OUTPUT": 300, "REASONING": 0, "AUDIO_IN": 0, "AUDIO_OUT": 0,
    }  # fmt: skip


def test_the_cache_is_beside_the_input_at_anthropic():
    assert legs(messages_claim(message(10, 5, read=1_000, short=200, lasting=30)).usage) == {
        "INPUT": 10, "CACHE_READ": 1_000, "CACHE_WRITE_SHORT": 200, "CACHE_WRITE_LONG": 30, "OUTPUT": 5,
    }  # fmt: skip


def test_writes_without_lifetimes_are_of_the_short_one():
    usage = messages_claim({"input_tokens": 1, "cache_creation_input_tokens": 9, "output_tokens": 1}).usage
    assert legs(usage)["CACHE_WRITE_SHORT"] == 9
    some = {"cache_creation": {"ephemeral_1h_input_tokens": 4}}
    usage = messages_claim(
        {"input_tokens": 1, "cache_creation_input_tokens": 9, "output_tokens": 1} | some
    ).usage
    assert (legs(usage)["CACHE_WRITE_SHORT"], legs(usage)["CACHE_WRITE_LONG"]) == (5, 4)


def test_openai_says_writes_by_lifetime_too():
    said = response(100, 1, cached=10, written=60)
    said["input_tokens_details"]["cache_write_tokens_details"] = {"ttl_30m_tokens": 45, "ttl_12h_tokens": 15}
    usage = responses_claim(said).usage
    assert [legs(usage)[leg] for leg in ("INPUT", "CACHE_READ", "CACHE_WRITE_SHORT", "CACHE_WRITE_LONG")] == [
        30,
        10,
        45,
        15,
    ]


def test_hits_and_misses_are_deepseeks_cache():
    said = {
        "prompt_tokens": 100,
        "completion_tokens": 1,
        "total_tokens": 101,
        "prompt_cache_hit_tokens": 64,
        "prompt_cache_miss_tokens": 36,
    }
    assert legs(chat_claim(said).usage) == {"INPUT": 36, "CACHE_READ": 64, "OUTPUT": 1}
    assert legs(chat_claim(deepseek(64, 36, 1)).usage)["CACHE_READ"] == 64


@pytest.mark.parametrize(
    ("said", "output", "reasoning"),
    [
        (chat(21, 60, reasoning=60), 60, 60),
        (apart(21, 0, 60), 60, 60),
        (left_out(21, 0, 81), 60, 60),
        (left_out(20, 424, 1_016), 996, 572),
        (apart(32, 9, 94), 103, 94),
    ],
    ids=["inside", "beside", "left out", "left out of some", "beside some"],
)
def test_output_includes_reasoning_however_it_was_counted(said, output, reasoning):
    """Case 22: neither left out nor counted twice."""
    claim = chat_claim(said)
    assert (legs(claim.usage)["OUTPUT"], legs(claim.usage)["REASONING"]) == (output, reasoning)
    assert claim.apart == (said["completion_tokens"] != output)


def test_a_zero_is_a_count_and_an_absence_is_none():
    """Case 17."""
    usage = chat_claim({"prompt_tokens": 5, "completion_tokens": 0, "total_tokens": 5}).usage
    assert usage is not None
    assert (usage.of(Leg.OUTPUT), usage.provenance(Leg.OUTPUT)) == (0, Provenance.SUPPLIER)
    assert (usage.of(Leg.CACHE_READ), usage.provenance(Leg.CACHE_READ)) == (None, None)
    assert usage.amount(Leg.CACHE_READ) == 0
    filled = usage.filled(usage_from(Provenance.ESTIMATED, {Leg.OUTPUT: 99, Leg.CACHE_READ: 3}))
    assert (filled.of(Leg.OUTPUT), filled.of(Leg.CACHE_READ)) == (0, 3)
    assert filled.provenance(Leg.CACHE_READ) is Provenance.ESTIMATED


@pytest.mark.parametrize("read", [chat_claim, responses_claim, messages_claim, embeddings_claim])
@pytest.mark.parametrize("said", NOTHING_SAID)
def test_nothing_said_is_no_claim(read, said):
    claim = read(said)
    assert claim is NO_CLAIM
    assert claim.standing is Standing.ABSENT


@pytest.mark.parametrize(
    ("read", "said", "fault"),
    [
        (chat_claim, "12", UsageFault.NOT_AN_OBJECT),
        (chat_claim, chat(1, 1) | {"prompt_tokens_details": [1]}, UsageFault.NOT_AN_OBJECT),
        (chat_claim, chat(1, 1) | {"prompt_tokens": "1"}, UsageFault.NOT_AN_INTEGER),
        (chat_claim, chat(1, 1) | {"prompt_tokens": 1.0}, UsageFault.NOT_AN_INTEGER),
        (chat_claim, chat(1, 1) | {"prompt_tokens": True}, UsageFault.NOT_AN_INTEGER),
        (chat_claim, chat(-1, 2), UsageFault.NEGATIVE),
        (chat_claim, chat(675_947_905, 2), UsageFault.OVER_BOUND),
        (chat_claim, chat(10, 2, cached=11), UsageFault.CACHE_EXCEEDS_INPUT),
        (chat_claim, chat(10, 2, cached=6, prompt_details={"cache_write_tokens": 5}), UsageFault.CACHE_EXCEEDS_INPUT),
        (chat_claim, chat(10, 2, cached=6) | {"cached_tokens": 5}, UsageFault.SPELLINGS_DISAGREE),
        (chat_claim, deepseek(6, 4, 1) | {"prompt_cache_miss_tokens": 5}, UsageFault.SPELLINGS_DISAGREE),
        (chat_claim, chat(10, 2) | {"total_tokens": 11}, UsageFault.TOTAL_DISAGREES),
        (chat_claim, chat(10, 2, reasoning=1) | {"total_tokens": 2_012}, UsageFault.TOTAL_DISAGREES),
        (chat_claim, chat(10, 2, reasoning=3), UsageFault.PART_EXCEEDS_WHOLE),
        (chat_claim, chat(10, 2, reasoning=1, completion_details={"audio_tokens": 2}), UsageFault.PART_EXCEEDS_WHOLE),
        (chat_claim, chat(10, 2, prompt_details={"audio_tokens": 11}), UsageFault.PART_EXCEEDS_WHOLE),
        (responses_claim, response(10, 2, cached=11), UsageFault.CACHE_EXCEEDS_INPUT),
        (messages_claim, message(1, 1) | {"input_tokens": None, "output_tokens": "x"}, UsageFault.NOT_AN_INTEGER),
        (messages_claim, message(1, 1) | {"cache_creation": {"ephemeral_5m_input_tokens": 3}}, UsageFault.WRITES_DISAGREE),
        (messages_claim, message(1, 1) | {"output_tokens_details": {"thinking_tokens": 2}}, UsageFault.PART_EXCEEDS_WHOLE),
        (messages_claim, {"went_back": "output_tokens from 9 to 5"}, UsageFault.WENT_BACK),
        (embeddings_claim, {"prompt_tokens": 8, "total_tokens": 9}, UsageFault.SPELLINGS_DISAGREE),
    ],
)  # fmt: skip
def test_what_cannot_be_is_a_fault_and_no_number(read, said, fault):
    claim = read(said)
    assert (claim.fault, claim.usage, claim.standing) == (fault, None, Standing.IMPOSSIBLE)
    assert claim.found


def test_every_fault_is_met_by_a_test():
    marks = test_what_cannot_be_is_a_fault_and_no_number.pytestmark
    assert {row[2] for row in marks[0].args[1]} == set(UsageFault)


def test_the_bound_may_be_the_models_own():
    assert chat_claim(chat(9_000, 1), tokens_max=8_192).fault is UsageFault.OVER_BOUND


def test_embeddings_have_no_output_and_that_is_counted():
    usage = embeddings_claim({"prompt_tokens": 8, "total_tokens": 8}).usage
    assert usage is not None
    assert (usage.of(Leg.INPUT), usage.of(Leg.OUTPUT)) == (8, 0)
    assert (usage.provenance(Leg.INPUT), usage.provenance(Leg.OUTPUT)) == (
        Provenance.SUPPLIER,
        Provenance.COUNTED,
    )
    assert embeddings_claim({"prompt_tokens": 8, "total_tokens": 8}).standing is Standing.FULL
    assert embeddings_claim({"prompt_tokens": 0, "total_tokens": 0}).standing is Standing.ZERO


@pytest.mark.parametrize(
    ("claim", "standing"),
    [
        (chat_claim(chat(5, 1)), Standing.FULL),
        (chat_claim(chat(5, 0)), Standing.ZERO),
        (chat_claim(chat(5, 1), final=False), Standing.PARTIAL),
        (chat_claim({"prompt_tokens": 5}), Standing.PARTIAL),
        (messages_claim({"input_tokens": 5, "output_tokens": 1}, final=False), Standing.PARTIAL),
    ],
)
def test_how_a_claim_stands(claim, standing):
    assert claim.standing is standing


def test_a_streams_counts_are_cumulative():
    """docs.claude.com/en/docs/build-with-claude/streaming: the counts of message_delta are cumulative."""
    start = merged_usage({}, message(25, 1, read=7, short=3))
    told = merged_usage(start, {"output_tokens": 15, "input_tokens": None})
    assert legs(messages_claim(told).usage) == {
        "INPUT": 25, "CACHE_READ": 7, "CACHE_WRITE_SHORT": 3, "CACHE_WRITE_LONG": 0, "OUTPUT": 15,
    }  # fmt: skip
    assert merged_usage(told, {"input_tokens": 0}) == told
    assert merged_usage(told, "nonsense") == told
    assert messages_claim(merged_usage(told, {"output_tokens": 14})).fault is UsageFault.WENT_BACK


def test_sound_and_pictures_are_parts_of_what_was_not_cached():
    usage = chat_claim(
        chat(1_000, 1, cached=900, prompt_details={"audio_tokens": 300, "image_tokens": 50})
    ).usage
    assert [legs(usage)[leg] for leg in ("INPUT", "CACHE_READ", "AUDIO_IN", "IMAGE_IN")] == [100, 900, 100, 0]


def test_usage_of_our_own_making_is_checked():
    with pytest.raises(Malformed, match="REASONING as a part of OUTPUT"):
        usage_from(Provenance.COUNTED, {Leg.OUTPUT: 1, Leg.REASONING: 2})
    with pytest.raises(Malformed, match="counts of 0 or more"):
        usage_from(Provenance.COUNTED, {Leg.INPUT: -1})
    with pytest.raises(Malformed, match="a count of input"):
        usage_from(Provenance.COUNTED, {Leg.OUTPUT: 1}).meter_legs()


def test_an_estimate_is_rounded_up():
    assert [estimated_tokens(octets, 375) for octets in (0, 1, 375, 376)] == [0, 1, 100, 101]


VALUE = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-5, 50),
    st.integers(),
    st.floats(),
    st.text(max_size=3),
    st.lists(st.none()),
)
DETAILS = st.dictionaries(
    st.sampled_from(
        [
            "cached_tokens",
            "reasoning_tokens",
            "audio_tokens",
            "cache_write_tokens",
            "image_tokens",
            "thinking_tokens",
        ]
    ),
    VALUE,
)
FIELDS = st.dictionaries(
    st.sampled_from(
        [
            "prompt_tokens",
            "completion_tokens",
            "total_tokens",
            "input_tokens",
            "output_tokens",
            "prompt_cache_hit_tokens",
            "cached_tokens",
            "cache_read_input_tokens",
            "cache_creation_input_tokens",
            "prompt_tokens_details",
            "completion_tokens_details",
            "cache_creation",
        ]
    ),
    st.one_of(VALUE, DETAILS),
)


@given(
    st.sampled_from([chat_claim, responses_claim, messages_claim, embeddings_claim]), st.one_of(VALUE, FIELDS)
)
def test_whatever_is_said_is_read_flagged_or_nothing(read, said):
    """No exception, no negative leg, no part above its whole, and a source for each leg that is there."""
    claim = read(said)
    assert (claim.usage is None) or (claim.fault is None)
    if claim.usage is not None:
        usage = claim.usage
        assert all(count is None or count >= 0 for count in usage.counts)
        assert all((usage.provenance(leg) is None) == (usage.of(leg) is None) for leg in Leg)
        assert usage.amount(Leg.REASONING) + usage.amount(Leg.AUDIO_OUT) + usage.amount(
            Leg.IMAGE_OUT
        ) <= usage.amount(Leg.OUTPUT)
        assert usage.amount(Leg.AUDIO_IN) + usage.amount(Leg.IMAGE_IN) <= usage.amount(Leg.INPUT)


@given(st.integers(0, 10**6), st.integers(0, 10**6), st.data())
def test_no_token_is_lost_or_made_in_the_reading(prompt, completion, data):
    cached = data.draw(st.integers(0, prompt))
    usage = chat_claim(
        chat(prompt, completion, cached=cached, reasoning=data.draw(st.integers(0, completion)))
    ).usage
    assert usage is not None
    assert (usage.input_tokens, usage.of(Leg.OUTPUT)) == (prompt, completion)
