"""Messages followed: Anthropic's events, whole messages, and what its imitators do."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ciyuan.gateway.answer import EndingKind, Finish, Told
from ciyuan.gateway.answer_anthropic import FINISHES, MessagesFollower
from ciyuan.gateway.usage import Leg, Standing, UsageFault
from tests.gateway.recorded import (
    ANTHROPIC_ERROR,
    MESSAGE_STREAM,
    MESSAGE_WHOLE,
    encoded,
    followed,
    joined,
    marks,
    named,
    pieces,
)

START, STOP = MESSAGE_STREAM[0], MESSAGE_STREAM[-1]
TEXT = MESSAGE_STREAM[7]


def streamed(**more) -> MessagesFollower:
    return MessagesFollower(streamed=True, **more)


def whole(**more) -> MessagesFollower:
    return MessagesFollower(streamed=False, **more)


def test_a_streamed_message():
    follower = streamed()
    told, ending = followed(follower, named(*MESSAGE_STREAM))
    assert joined(told) == {
        ("REASONING", 0): "Let me see.",
        ("TEXT", 1): "Hello!",
        ("TOOL_CALL", 2): 'get_weather{"location": "Paris"}',
    }
    assert marks(told) == ["USAGE", "FIRST", "FINISH", "USAGE", "END"]
    assert (ending.kind, ending.standing, follower.finish) == (
        EndingKind.COMPLETE,
        Standing.FULL,
        Finish.TOOL_CALLS,
    )
    assert ending.claim.usage is not None
    assert [ending.claim.usage.of(leg) for leg in (Leg.INPUT, Leg.CACHE_READ, Leg.OUTPUT)] == [25, 100, 89]
    assert follower.tally.octets_all == len('Let me see.Hello!get_weather{"location": "Paris"}')
    assert follower.chunks == len(MESSAGE_STREAM)


@given(st.integers(1, 80))
def test_any_cut_tells_the_same(size):
    assert followed(streamed(), *pieces(named(*MESSAGE_STREAM), size)) == followed(
        streamed(), named(*MESSAGE_STREAM)
    )


def test_a_whole_message():
    follower = whole()
    told, ending = followed(follower, encoded(MESSAGE_WHOLE))
    assert joined(told) == {
        ("REASONING", 0): "Let me see.",
        ("TEXT", 1): "Hi!",
        ("TOOL_CALL", 2): 'get_weather{"location":"Paris"}',
    }
    assert (ending.kind, ending.standing) == (EndingKind.COMPLETE, Standing.FULL)
    assert follower.tally.chars[Told.TEXT] == 3


def test_before_the_end_the_claim_is_of_the_input_only():
    _, ending = followed(streamed(), named(START, TEXT))
    assert (ending.kind, ending.standing) == (EndingKind.CUT_MID_STREAM, Standing.PARTIAL)
    assert ending.claim.usage is not None
    assert ending.claim.usage.of(Leg.INPUT) == 25


@pytest.mark.parametrize(("word", "finish"), FINISHES.items())
def test_stop_reasons(word, finish):
    last = {"type": "message_delta", "delta": {"stop_reason": word}, "usage": {"output_tokens": 3}}
    _, ending = followed(streamed(), named(START, TEXT, last, STOP))
    kinds = {Finish.LENGTH: EndingKind.LENGTH, Finish.REFUSED: EndingKind.CONTENT_REFUSED}
    assert ending.kind is kinds.get(finish, EndingKind.COMPLETE)


@pytest.mark.parametrize("before", [(START,), (START, TEXT)])
def test_an_error_in_a_stream(before):
    follower = streamed()
    _, ending = followed(follower, named(*before, ANTHROPIC_ERROR, TEXT))
    assert ending.kind is (EndingKind.ERROR_MID_STREAM if TEXT in before else EndingKind.ERROR_BEFORE_TOKEN)
    assert follower.error == "Overloaded"
    assert follower.tally.chars[Told.TEXT] == (5 if TEXT in before else 0)


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (529, encoded(ANTHROPIC_ERROR), EndingKind.ERROR_BEFORE_TOKEN),
        (400, encoded(ANTHROPIC_ERROR), EndingKind.REQUEST_REFUSED),
        (200, encoded(ANTHROPIC_ERROR), EndingKind.ERROR_BEFORE_TOKEN),
        (200, b"{}", EndingKind.UNREADABLE),
        (200, b"<html>", EndingKind.UNREADABLE),
    ],
)
def test_whole_bodies_that_are_no_answers(status, body, kind):
    assert followed(whole(status=status), body)[1].kind is kind


def test_input_that_is_only_said_at_the_end():
    """Imitators start with zeros and say all counts in message_delta, or the other way round."""
    start = {
        "type": "message_start",
        "message": {"type": "message", "content": [], "usage": {"input_tokens": 0, "output_tokens": 0}},
    }
    last = {
        "type": "message_delta",
        "delta": {"stop_reason": "end_turn"},
        "usage": {"input_tokens": 40, "output_tokens": 5},
    }
    _, ending = followed(streamed(), named(start, TEXT, last, STOP))
    assert ending.claim.usage is not None
    assert ending.claim.usage.of(Leg.INPUT) == 40
    last["usage"] = {"input_tokens": 0, "output_tokens": 5}
    _, ending = followed(streamed(), named(START, TEXT, last, STOP))
    assert ending.claim.usage is not None
    assert ending.claim.usage.of(Leg.INPUT) == 25


def test_counts_that_go_back_are_a_fault():
    first = {"type": "message_delta", "delta": {}, "usage": {"output_tokens": 9}}
    second = {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 4}}
    _, ending = followed(streamed(), named(START, TEXT, first, second, STOP))
    assert ending.claim.fault is UsageFault.WENT_BACK


def test_usage_that_is_no_object_is_a_fault():
    assert (
        followed(whole(), encoded(MESSAGE_WHOLE | {"usage": "many"}))[1].claim.fault
        is UsageFault.NOT_AN_OBJECT
    )


def test_results_of_the_suppliers_own_tools_are_no_output():
    block = {
        "type": "web_search_tool_result",
        "tool_use_id": "s",
        "content": [{"type": "web_search_result", "title": "long"}],
    }
    start = {"type": "content_block_start", "index": 3, "content_block": block}
    assert joined(followed(streamed(), named(START, start))[0]) == {}


def test_what_is_new_is_passed_over():
    follower = streamed()
    _, ending = followed(
        follower, named(START, {"type": "brand_new", "x": 1}, TEXT, MESSAGE_STREAM[-2], STOP)
    )
    assert (ending.kind, follower.unreadable) == (EndingKind.COMPLETE, 0)
