"""Answers with choices followed: chat completions, completions, embeddings; as documented, and as others speak them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ciyuan.gateway.answer import Closed, EndingKind, Finish, Told
from ciyuan.gateway.answer_openai import FAILURES, FINISHES, ChoicesFollower, EmbeddingsFollower
from ciyuan.gateway.usage import Leg, Standing, UsageFault
from tests.gateway.recorded import (
    CHAT_STREAM,
    CHAT_WHOLE,
    COMPLETION_WHOLE,
    EMBEDDINGS_WHOLE,
    OPENAI_ERROR,
    TOOL_STREAM,
    USAGE,
    chunk,
    encoded,
    followed,
    joined,
    marks,
    pieces,
    sse,
)

HELLO = {("TEXT", 0): "Hello, 世界!"}


def streamed(**more) -> ChoicesFollower:
    return ChoicesFollower(streamed=True, **more)


def whole(**more) -> ChoicesFollower:
    return ChoicesFollower(streamed=False, **more)


def test_a_streamed_chat():
    follower = streamed()
    told, ending = followed(follower, sse(*CHAT_STREAM))
    assert joined(told) == HELLO
    assert marks(told) == ["FIRST", "FINISH", "USAGE", "END"]
    assert (ending.kind, ending.standing, ending.delivered) == (EndingKind.COMPLETE, Standing.FULL, True)
    assert (follower.tally.chars[Told.TEXT], follower.tally.octets[Told.TEXT]) == (10, 14)
    assert (follower.chunks, follower.unreadable, follower.finish) == (7, 0, Finish.STOP)
    assert ending.claim.usage is not None
    assert (ending.claim.usage.of(Leg.INPUT), ending.claim.usage.of(Leg.OUTPUT)) == (19, 10)


def test_a_whole_chat_is_read_at_its_end_and_tells_the_same():
    follower = whole()
    assert follower.feed(encoded(CHAT_WHOLE)) == []
    told = follower.end()
    assert joined(told) == HELLO
    assert marks(told) == ["FIRST", "FINISH", "USAGE", "END"]
    assert follower.ending().kind is EndingKind.COMPLETE


@given(st.integers(1, 60), st.sampled_from([CHAT_STREAM, TOOL_STREAM]), st.booleans())
def test_any_cut_tells_the_same(size, events, with_returns):
    stream = sse(*events)
    stream = stream.replace(b"\n", b"\r\n") if with_returns else stream
    told, ending = followed(streamed(), *pieces(stream, size))
    expected, ended = followed(streamed(), sse(*events))
    assert (told, ending) == (expected, ended)


def test_calls_of_tools():
    told, ending = followed(streamed(), sse(*TOOL_STREAM))
    assert joined(told) == {("TOOL_CALL", 0): 'get_weather{"city":"Paris"}'}
    assert (ending.kind, ending.delivered) == (EndingKind.COMPLETE, True)
    message = {"role": "assistant", "content": None, "tool_calls": [{"id": "1", "type": "function",
               "function": {"name": "f", "arguments": {"a": 1}}}], "function_call": {"name": "g", "arguments": "{}"}}  # fmt: skip
    answer = CHAT_WHOLE | {"choices": [{"index": 0, "message": message, "finish_reason": "tool_calls"}]}
    assert joined(followed(whole(), encoded(answer))[0]) == {("TOOL_CALL", 0): 'f{"a":1}g{}'}


def test_a_completion():
    told, ending = followed(whole(), encoded(COMPLETION_WHOLE))
    assert joined(told) == {("TEXT", 0): "\n\nThis is a test"}
    assert ending.kind is EndingKind.LENGTH
    part = {
        "id": "cmpl-1",
        "object": "text_completion",
        "choices": [{"text": "Hi", "index": 1, "finish_reason": None}],
    }
    assert joined(followed(streamed(), sse(part, part))[0]) == {("TEXT", 1): "HiHi"}


def test_embeddings():
    follower = EmbeddingsFollower(streamed=False)
    told, ending = followed(follower, *pieces(encoded(EMBEDDINGS_WHOLE), 10))
    assert marks(told) == ["FIRST", "USAGE", "FINISH", "END"]
    assert (ending.kind, ending.standing, ending.delivered, follower.tally.vectors) == (
        EndingKind.COMPLETE,
        Standing.FULL,
        True,
        1,
    )
    assert followed(EmbeddingsFollower(streamed=False), b"{}")[1].kind is EndingKind.UNREADABLE
    assert (
        followed(EmbeddingsFollower(streamed=False), encoded(OPENAI_ERROR))[1].kind
        is EndingKind.ERROR_BEFORE_TOKEN
    )
    missing = EMBEDDINGS_WHOLE | {"usage": None}
    assert followed(EmbeddingsFollower(streamed=False), encoded(missing))[1].standing is Standing.ABSENT


def test_several_choices_and_the_graver_finish():
    events = (
        chunk({"content": "a"}),
        chunk({"content": "b"}, index=1),
        chunk({}, "length", index=1),
        chunk({}, "stop"),
    )
    told, ending = followed(streamed(), sse(*events))
    assert joined(told) == {("TEXT", 0): "a", ("TEXT", 1): "b"}
    assert ending.kind is EndingKind.LENGTH


@pytest.mark.parametrize(
    ("delta", "expected"),
    [
        ({"reasoning_content": "Hm."}, {("REASONING", 0): "Hm."}),
        ({"reasoning": "Hm."}, {("REASONING", 0): "Hm."}),
        ({"content": "Hi", "reasoning_content": None, "refusal": None}, {("TEXT", 0): "Hi"}),
        ({"refusal": "I can't."}, {("REFUSAL", 0): "I can't."}),
        ({"audio": {"id": "a", "data": "UklG", "transcript": "Hi"}}, {("TEXT", 0): "Hi", ("AUDIO", 0): "UklG"}),
        ({"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "Hm."}]}, {"type": "text", "text": "Hi"}]},
         {("REASONING", 0): "Hm.", ("TEXT", 0): "Hi"}),
        ({"role": "assistant", "content": ""}, {}),
    ],
    ids=["DeepSeek", "OpenRouter and vLLM", "nulls", "refusal", "audio", "Mistral", "role only"],
)  # fmt: skip
def test_what_else_a_delta_holds(delta, expected):
    told, _ = followed(streamed(), sse(chunk(delta)))
    assert joined(told) == expected
    assert ("FIRST" in marks(told)) == bool(expected)


@pytest.mark.parametrize(
    "last",
    [
        chunk({}, "stop", usage=USAGE),
        chunk(None, usage=USAGE),
        {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop", "usage": USAGE}]},
        {
            "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}],
            "x_groq": {"id": "r", "usage": USAGE},
        },
    ],
    ids=["with the finish", "alone", "Moonshot", "Groq"],
)
def test_where_the_usage_of_a_stream_is(last):
    _, ending = followed(streamed(), sse(chunk({"content": "Hi"}), last))
    assert (ending.kind, ending.standing) == (EndingKind.COMPLETE, Standing.FULL)


def test_usage_in_every_chunk_is_partial_until_the_finish():
    """docs.vllm.ai, continuous_usage_stats."""
    so_far = chunk({"content": "Hi"}, usage={"prompt_tokens": 5, "completion_tokens": 1, "total_tokens": 6})
    _, cut = followed(streamed(), sse(so_far, so_far, done=False))
    assert (cut.kind, cut.standing) == (EndingKind.CUT_MID_STREAM, Standing.PARTIAL)
    _, complete = followed(streamed(), sse(so_far, chunk({}, "stop", usage=USAGE)))
    assert complete.standing is Standing.FULL


@pytest.mark.parametrize(("word", "finish"), FINISHES.items())
def test_finish_reasons(word, finish):
    _, ending = followed(streamed(), sse(chunk({"content": "Hi"}), chunk({}, word)))
    kinds = {Finish.LENGTH: EndingKind.LENGTH, Finish.REFUSED: EndingKind.CONTENT_REFUSED}
    assert ending.kind is kinds.get(finish, EndingKind.COMPLETE)


def test_an_empty_finish_reason_is_none():
    """ollama#4357, sglang#3912: "" with every chunk."""
    stream = sse(chunk({"content": "Hi"}, ""), chunk({"content": "!"}, ""), done=False)
    assert followed(streamed(), stream)[1].kind is EndingKind.CUT_MID_STREAM


def test_a_stream_without_finish_or_without_its_mark_is_whole_by_the_other():
    """LightLLM#130 sends no finish reason; others no mark."""
    assert followed(streamed(), sse(chunk({"content": "Hi"})))[1].kind is EndingKind.COMPLETE
    assert (
        followed(streamed(), sse(chunk({"content": "Hi"}), chunk({}, "stop"), done=False))[1].kind
        is EndingKind.COMPLETE
    )


@pytest.mark.parametrize(
    "error",
    [
        encoded(OPENAI_ERROR),
        b'{"object":"error","message":"out of memory","code":500}',
        b'{"error":"overloaded"}',
        *(encoded(chunk({}, word)) for word in sorted(FAILURES)),
    ],
)
@pytest.mark.parametrize("before", [(), (chunk({"content": "Hi"}),)], ids=["before a token", "after one"])
def test_errors_in_a_stream(error, before):
    follower = streamed()
    told, ending = followed(
        follower, sse(*before, error, chunk({"content": "the error's own words"}), chunk(usage=USAGE))
    )
    assert ending.kind is (EndingKind.ERROR_MID_STREAM if before else EndingKind.ERROR_BEFORE_TOKEN)
    assert joined(told) == ({("TEXT", 0): "Hi"} if before else {})
    assert follower.error
    assert ending.standing is Standing.ABSENT


def test_an_event_named_error_is_one():
    follower = streamed()
    _, ending = followed(follower, b'event: error\ndata: {"message":"gone"}\n\n')
    assert (ending.kind, follower.error) == (EndingKind.ERROR_BEFORE_TOKEN, "gone")


@pytest.mark.parametrize(
    ("status", "body", "kind", "message"),
    [
        (400, encoded(OPENAI_ERROR), EndingKind.REQUEST_REFUSED, "The server had an error."),
        (404, b"<html>not found</html>", EndingKind.REQUEST_REFUSED, "<html>not found</html>"),
        (422, b'{"detail":"bad"}', EndingKind.REQUEST_REFUSED, "bad"),
        (401, b"", EndingKind.ERROR_BEFORE_TOKEN, ""),
        (429, encoded(OPENAI_ERROR), EndingKind.ERROR_BEFORE_TOKEN, "The server had an error."),
        (500, b'{"error":{"code":"x"}}', EndingKind.ERROR_BEFORE_TOKEN, "x"),
        (503, b"\xff", EndingKind.ERROR_BEFORE_TOKEN, "\ufffd"),
    ],
)
def test_a_status_that_is_no_answer(status, body, kind, message):
    follower = streamed(status=status)
    told, ending = followed(follower, body)
    assert (ending.kind, ending.delivered, follower.error) == (kind, False, message)
    assert marks(told) == ["ERROR"]


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"<html>", b"{}", b"null", b"\xff", b"[" * 5_000])
def test_what_is_no_answer_is_unreadable(body):
    assert followed(whole(), body)[1].kind is EndingKind.UNREADABLE
    assert followed(whole(), body, closed=Closed.BY_CLIENT)[1].kind is EndingKind.CLIENT_GONE
    assert followed(streamed(), sse(body))[1].delivered is False


def test_a_bad_chunk_among_good_ones_is_counted_and_passed_over():
    follower = streamed()
    told, ending = followed(
        follower,
        sse(
            chunk({"content": "a"}), b"{broken", b'{"choices":7}', chunk({"content": "b"}), chunk({}, "stop")
        ),
    )
    assert joined(told) == {("TEXT", 0): "ab"}
    assert (follower.unreadable, ending.kind) == (2, EndingKind.COMPLETE)


@pytest.mark.parametrize(
    ("text", "chars", "octets"),
    [(rb"\ud83d", 1, 3), (b"\xf0\x9f", 1, 3), ("😀".encode(), 1, 4), (rb"\u00e9", 1, 2), (rb"a\n", 2, 2)],
    ids=["half a pair", "half a character", "a whole one", "an escape", "a line end"],
)
def test_a_text_cut_within_a_character_is_still_counted(text, chars, octets):
    follower = streamed()
    followed(follower, b'data: {"choices":[{"index":0,"delta":{"content":"' + text + b'"}}]}\n\n')
    assert (follower.tally.chars[Told.TEXT], follower.tally.octets[Told.TEXT], follower.unreadable) == (
        chars,
        octets,
        0,
    )


def test_the_last_event_counts_without_its_blank_line():
    stream = (
        sse(chunk({"content": "Hi"}), chunk({}, "stop"), done=False) + b"data: " + encoded(chunk(usage=USAGE))
    )
    assert followed(streamed(), stream)[1].standing is Standing.FULL


def test_an_event_without_end_is_lost_and_the_stream_unreadable():
    follower = streamed()
    follower._reader.event_bytes_max = 200
    follower.feed(sse(chunk({"content": "Hi"}), done=False))
    follower.feed(b"data: " + b"x" * 300)
    assert follower.passing == b"data: " + b"x" * 300
    assert follower.feed(sse(chunk({}, "stop"))) == []
    follower.end()
    assert (follower.ending().kind, follower.ending().delivered) == (EndingKind.UNREADABLE, True)


@pytest.mark.parametrize(
    ("closed", "before", "kind"),
    [
        (Closed.BY_SUPPLIER, True, EndingKind.CUT_MID_STREAM),
        (Closed.BY_SUPPLIER, False, EndingKind.CUT_BEFORE_TOKEN),
        (Closed.BY_DEADLINE, True, EndingKind.CUT_MID_STREAM),
        (Closed.BY_CLIENT, True, EndingKind.CLIENT_GONE),
        (Closed.BY_CLIENT, False, EndingKind.CLIENT_GONE),
    ],
)
def test_cut_and_left(closed, before, kind):
    events = [chunk({"role": "assistant", "content": ""}), *([chunk({"content": "Hi"})] if before else [])]
    _, ending = followed(streamed(), sse(*events, done=False), closed=closed)
    assert (ending.kind, ending.delivered) == (kind, before)


@given(st.integers(0, 7))
def test_case_16_the_client_leaves_after_chunk_n(count):
    """What was delivered until then is known, for each n; after a drain to the supplier's end the ending is the supplier's."""
    stream = [sse(event, done=False) for event in CHAT_STREAM] + [b"data: [DONE]\n\n"]
    follower = streamed()
    told, ending = followed(follower, *stream[:count], closed=Closed.BY_CLIENT)
    text = joined(told).get(("TEXT", 0), "")
    assert "Hello, 世界!".startswith(text)
    assert follower.tally.chars[Told.TEXT] == len(text)
    assert ending.kind is (EndingKind.CLIENT_GONE if count < 5 else EndingKind.COMPLETE)


def test_impossible_usage_is_a_fault_of_the_claim():
    _, ending = followed(
        streamed(),
        sse(chunk({"content": "Hi"}), chunk({}, "stop"), chunk(usage=USAGE | {"prompt_tokens": 675_947_905})),
    )
    assert (ending.standing, ending.claim.fault) == (Standing.IMPOSSIBLE, UsageFault.OVER_BOUND)


WITHHELD = sse(*CHAT_STREAM[:-1])


@given(st.integers(1, 700))
def test_usage_that_the_client_did_not_ask_for_stays_behind(size):
    """All other bytes pass as they came, in order, and none waits before the answer has finished."""
    follower = streamed(withhold_usage=True)
    passed = b""
    for piece in pieces(sse(*CHAT_STREAM), size):
        follower.feed(piece)
        passed += follower.passing
        assert follower.finish is not None or follower.passing == piece
    follower.end()
    assert passed + follower.passing == WITHHELD
    assert follower.ending().standing is Standing.FULL


def test_what_is_not_usage_alone_is_never_withheld():
    for events in (
        (chunk({"content": "Hi"}), chunk({}, "stop", usage=USAGE)),
        (chunk({"content": "Hi"}), chunk({}, "stop"), OPENAI_ERROR),
    ):
        for size in (1, 7, 10_000):
            follower = streamed(withhold_usage=True)
            passed = b""
            for piece in pieces(sse(*events), size):
                follower.feed(piece)
                passed += follower.passing
            follower.end()
            assert passed + follower.passing == sse(*events)


def test_the_unfinished_usage_event_stays_behind_too():
    follower = streamed(withhold_usage=True)
    follower.feed(sse(*CHAT_STREAM[:-1], done=False) + b"data: " + encoded(CHAT_STREAM[-1]))
    assert follower.passing == sse(*CHAT_STREAM[:-1], done=False)
    follower.end()
    assert follower.passing == b""
    assert follower.ending().standing is Standing.FULL


def test_without_withholding_each_chunk_passes_as_it_is():
    follower = streamed()
    for piece in pieces(sse(*CHAT_STREAM), 33):
        follower.feed(piece)
        assert follower.passing is piece
