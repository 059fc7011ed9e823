"""Requests read: what the door knows before it holds money, what it refuses, and what goes on to the supplier."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ciyuan.gateway.ask import CHOICES_MAX, OUTPUT_TOKENS_MAX, Ask, read_ask
from ciyuan.gateway.ask_forward import (
    fingerprint,
    idempotency_digest,
    needs_usage_asked,
    with_fields,
    with_usage_asked,
)
from ciyuan.gateway.door_refusals import PATHS, WORDS, DoorRefusal, Protocol, Refused, error_body, error_event
from tests.gateway.recorded import encoded

CHAT: dict[str, Any] = {
    "model": "kimi-k2.6",
    "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "你好"}],
}
COMPLETION = {"model": "m", "prompt": "Say this is a test"}
EMBEDDINGS = {"model": "m", "input": ["one", "two"]}
RESPONSE = {"model": "m", "instructions": "Be brief.", "input": "Hi"}
MESSAGE = {
    "model": "m",
    "max_tokens": 1_024,
    "system": "Be brief.",
    "messages": [{"role": "user", "content": "Hi"}],
}
PLAIN: dict[Protocol, dict[str, Any]] = {
    Protocol.CHAT: CHAT,
    Protocol.COMPLETIONS: COMPLETION,
    Protocol.EMBEDDINGS: EMBEDDINGS,
    Protocol.RESPONSES: RESPONSE,
    Protocol.MESSAGES: MESSAGE,
}


def ask(protocol: Protocol, **more) -> Ask:
    read = read_ask(protocol, encoded(PLAIN[protocol] | more))
    assert isinstance(read, Ask), read
    return read


def refused(protocol: Protocol, **more) -> tuple[DoorRefusal, str]:
    read = read_ask(protocol, encoded(PLAIN[protocol] | more))
    assert isinstance(read, Refused), read
    return read.refusal, read.param


def said(*parts) -> list[dict]:
    return [{"role": "user", "content": list(parts)}]


def test_a_plain_chat():
    read = ask(Protocol.CHAT)
    assert (read.model, read.stream, read.usage_asked, read.output_max, read.choices, read.messages) == (
        "kimi-k2.6",
        False,
        False,
        None,
        1,
        2,
    )
    assert read.heard.texts == ["Be brief.", "你好"]
    assert (read.text_chars, read.text_bytes) == (11, 15)


@pytest.mark.parametrize(("protocol", "texts"), [
    (Protocol.COMPLETIONS, ["Say this is a test"]), (Protocol.EMBEDDINGS, ["one", "two"]),
    (Protocol.RESPONSES, ["Be brief.", "Hi"]), (Protocol.MESSAGES, ["Be brief.", "Hi"]),
])  # fmt: skip
def test_the_texts_of_every_protocol(protocol, texts):
    assert ask(protocol).heard.texts == texts


@pytest.mark.parametrize(
    ("protocol", "field"),
    [
        (Protocol.CHAT, "max_tokens"),
        (Protocol.CHAT, "max_completion_tokens"),
        (Protocol.COMPLETIONS, "max_tokens"),
        (Protocol.RESPONSES, "max_output_tokens"),
        (Protocol.MESSAGES, "max_tokens"),
    ],
)
def test_every_spelling_of_the_most_output(protocol, field):
    read = ask(protocol, **{field: 256})
    assert (
        read.output_max,
        read.output_max_field,
        read.output_tokens_max(4_096),
        read.output_tokens_max(100),
    ) == (256, field, 256, 100)
    assert refused(protocol, **{field: -1}) == (DoorRefusal.OUTPUT_MAX_OUT_OF_RANGE, field)
    assert refused(protocol, **{field: OUTPUT_TOKENS_MAX + 1}) == (DoorRefusal.OUTPUT_MAX_OUT_OF_RANGE, field)
    for value in ("256", 256.0, True, [256]):
        assert refused(protocol, **{field: value}) == (DoorRefusal.FIELD_OF_WRONG_KIND, field)


def test_without_a_limit_the_model_has_one():
    """Case 6: the hold is of prompt and output, always."""
    assert ask(Protocol.CHAT).output_tokens_max(8_192) == 8_192
    assert ask(Protocol.EMBEDDINGS).output_tokens_max(8_192) == 0


def test_two_limits_must_agree():
    assert ask(Protocol.CHAT, max_tokens=5, max_completion_tokens=5).output_max == 5
    assert refused(Protocol.CHAT, max_tokens=5, max_completion_tokens=6) == (
        DoorRefusal.OUTPUT_MAX_TWICE,
        "max_tokens",
    )


@pytest.mark.parametrize(
    ("more", "choices"),
    [
        ({"n": 3}, 3),
        ({"n": 2, "best_of": 5}, 5),
        ({"best_of": 4}, 4),
        ({"prompt": ["a", "b"], "n": 2}, 4),
        ({"prompt": [1, 2, 3]}, 1),
    ],
)
def test_choices_multiply_the_output(more, choices):
    assert ask(Protocol.COMPLETIONS, max_tokens=10, **more).output_tokens_max(100) == 10 * choices


@pytest.mark.parametrize(
    ("protocol", "more", "expected"),
    [
        (Protocol.CHAT, {"n": 0}, (DoorRefusal.CHOICES_OUT_OF_RANGE, "n")),
        (Protocol.CHAT, {"n": CHOICES_MAX + 1}, (DoorRefusal.CHOICES_OUT_OF_RANGE, "n")),
        (Protocol.COMPLETIONS, {"n": 3, "best_of": 2}, (DoorRefusal.CHOICES_OUT_OF_RANGE, "best_of")),
        (Protocol.COMPLETIONS, {"best_of": 2, "stream": True}, (DoorRefusal.BEST_OF_STREAMED, "best_of")),
        (Protocol.CHAT, {"stream": "yes"}, (DoorRefusal.FIELD_OF_WRONG_KIND, "stream")),
        (
            Protocol.CHAT,
            {"stream_options": {"include_usage": True}},
            (DoorRefusal.STREAM_OPTIONS_WITHOUT_STREAM, "stream_options"),
        ),
        (
            Protocol.CHAT,
            {"stream": True, "stream_options": 1},
            (DoorRefusal.FIELD_OF_WRONG_KIND, "stream_options"),
        ),
        (Protocol.CHAT, {"model": ""}, (DoorRefusal.MODEL_MISSING, "model")),
        (Protocol.CHAT, {"model": None}, (DoorRefusal.MODEL_MISSING, "model")),
        (Protocol.CHAT, {"model": 7}, (DoorRefusal.FIELD_OF_WRONG_KIND, "model")),
        (Protocol.CHAT, {"model": "m" * 300}, (DoorRefusal.FIELD_OF_WRONG_KIND, "model")),
        (Protocol.CHAT, {"messages": []}, (DoorRefusal.INPUT_MISSING, "messages")),
        (Protocol.CHAT, {"messages": "Hi"}, (DoorRefusal.FIELD_OF_WRONG_KIND, "messages")),
        (Protocol.EMBEDDINGS, {"input": ""}, (DoorRefusal.INPUT_MISSING, "input")),
        (Protocol.RESPONSES, {"input": None}, (DoorRefusal.INPUT_MISSING, "input")),
        (Protocol.MESSAGES, {"max_tokens": None}, (DoorRefusal.OUTPUT_MAX_MISSING, "max_tokens")),
        (Protocol.MESSAGES, {"max_tokens": 0}, (DoorRefusal.OUTPUT_MAX_OUT_OF_RANGE, "max_tokens")),
    ],
)
def test_what_is_refused(protocol, more, expected):
    assert refused(protocol, **more) == expected


@pytest.mark.parametrize(
    ("body", "refusal"),
    [
        (b"", DoorRefusal.BODY_NOT_JSON),
        (b"{", DoorRefusal.BODY_NOT_JSON),
        (b'{"model": "\xff"}', DoorRefusal.BODY_NOT_JSON),
        (b"[" * 100_000, DoorRefusal.BODY_NOT_JSON),
        (b"[]", DoorRefusal.BODY_NOT_OBJECT),
        (b"null", DoorRefusal.BODY_NOT_OBJECT),
    ],
)
def test_bodies_that_are_no_requests(body, refusal):
    read = read_ask(Protocol.CHAT, body)
    assert isinstance(read, Refused)
    assert read.refusal is refusal


def test_a_body_that_is_too_large_is_not_even_read():
    read = read_ask(Protocol.CHAT, b"{" * 11, body_bytes_max=10)
    assert isinstance(read, Refused)
    assert read == (DoorRefusal.BODY_TOO_LARGE, "", "The body has 11 bytes; at most 10 are taken.")


def test_a_completion_may_ask_for_no_output():
    assert ask(Protocol.COMPLETIONS, max_tokens=0, echo=True).output_tokens_max(100) == 0


IMAGE = "https://example.com/cat.png"
DATA = "data:image/png;base64,iVBORw0KGgo="


@pytest.mark.parametrize(
    ("protocol", "part", "by_url", "inline"),
    [
        (Protocol.CHAT, {"type": "image_url", "image_url": {"url": IMAGE, "detail": "high"}}, 1, 0),
        (Protocol.CHAT, {"type": "image_url", "image_url": IMAGE}, 1, 0),
        (Protocol.CHAT, {"type": "image_url", "image_url": {"url": DATA}}, 0, 1),
        (Protocol.RESPONSES, {"type": "input_image", "image_url": IMAGE}, 1, 0),
        (Protocol.RESPONSES, {"type": "input_image", "image_url": DATA}, 0, 1),
        (Protocol.MESSAGES, {"type": "image", "source": {"type": "url", "url": IMAGE}}, 1, 0),
        (
            Protocol.MESSAGES,
            {
                "type": "image",
                "source": {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="},
            },
            0,
            1,
        ),
    ],
)
def test_pictures_are_counted_and_are_no_text(protocol, part, by_url, inline):
    field = "input" if protocol is Protocol.RESPONSES else "messages"
    heard = ask(protocol, **{field: said({"type": "text", "text": "What is it?"}, part)}).heard
    assert (heard.images_by_url, heard.images_inline, heard.unseen) == (by_url, inline, [])
    assert heard.addresses == [IMAGE] * by_url
    assert "What is it?" in heard.texts
    assert not any("iVBOR" in text or "example.com" in text for text in heard.texts)


def test_a_picture_is_bounded_by_the_caller():
    part = {"type": "image_url", "image_url": {"url": IMAGE}}
    read = ask(Protocol.CHAT, messages=said(part, part))
    without, bounded = read.input_tokens_max(), read.input_tokens_max(image_tokens=1_500)
    assert without is not None
    assert bounded == without + 3_000


def test_base64_is_not_bounded_as_text():
    part = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * 100_000}}
    bound = ask(Protocol.CHAT, messages=said(part)).input_tokens_max()
    assert bound is not None
    assert bound < 1_000


@pytest.mark.parametrize(
    ("protocol", "more", "unseen"),
    [
        (Protocol.RESPONSES, {"previous_response_id": "resp_1"}, "previous_response_id"),
        (Protocol.RESPONSES, {"conversation": "conv_1"}, "conversation"),
        (Protocol.RESPONSES, {"prompt": {"id": "pmpt_1"}}, "prompt"),
        (Protocol.RESPONSES, {"input": [{"type": "item_reference", "id": "msg_1"}]}, "item_reference"),
        (Protocol.RESPONSES, {"input": said({"type": "input_file", "file_id": "file_1"})}, "file_id"),
        (Protocol.RESPONSES, {"input": said({"type": "input_image", "file_id": "file_1"})}, "file_id"),
        (Protocol.RESPONSES, {"input": said({"type": "input_file", "file_url": IMAGE})}, "file_url"),
        (Protocol.RESPONSES, {"tools": [{"type": "web_search"}]}, "tools: web_search"),
        (Protocol.RESPONSES, {"tools": [{"type": "mcp", "server_url": IMAGE}]}, "tools: mcp"),
        (Protocol.CHAT, {"web_search_options": {"search_context_size": "low"}}, "web_search_options"),
        (
            Protocol.CHAT,
            {"messages": said({"type": "input_audio", "input_audio": {"data": "UklG", "format": "wav"}})},
            "file_data",
        ),
        (
            Protocol.CHAT,
            {"messages": said({"type": "file", "file": {"file_data": "JVBE", "filename": "a.pdf"}})},
            "file_data",
        ),
        (
            Protocol.MESSAGES,
            {"messages": said({"type": "document", "source": {"type": "url", "url": IMAGE}})},
            "file_url",
        ),
        (
            Protocol.MESSAGES,
            {"messages": said({"type": "image", "source": {"type": "file", "file_id": "f"}})},
            "file_id",
        ),
        (
            Protocol.MESSAGES,
            {"messages": said({"type": "document", "source": {"type": "base64", "data": "JVBE"}})},
            "file_data",
        ),
        (
            Protocol.MESSAGES,
            {"tools": [{"type": "web_search_20250305", "name": "web_search"}]},
            "tools: web_search_20250305",
        ),
        (Protocol.MESSAGES, {"mcp_servers": [{"type": "url", "url": IMAGE}]}, "mcp_servers"),
    ],
)
def test_input_that_the_body_does_not_show_has_no_bound(protocol, more, unseen):
    read = ask(protocol, **more)
    assert unseen in read.heard.unseen
    assert read.input_tokens_max() is None


def test_tools_their_names_and_what_the_client_shapes():
    """An address or a key named data inside what the client shapes is a text like any other: it cannot hide there."""
    tool = {
        "type": "function",
        "function": {
            "name": "get_weather",
            "description": "Weather of a city",
            "parameters": {"type": "object"},
        },
    }
    call = {"role": "assistant", "content": None, "tool_calls": [
        {"id": "c", "type": "function", "function": {"name": "get_weather", "arguments": '{"data":"secret"}'}}]}  # fmt: skip
    heard = ask(Protocol.CHAT, tools=[tool], messages=[*CHAT["messages"], call]).heard
    assert heard.tools == ["get_weather"]
    assert {"Weather of a city", '{"data":"secret"}', "get_weather"} <= set(heard.texts)
    use = {
        "type": "tool_use",
        "id": "t",
        "name": "fetch",
        "input": {"data": "secret", "url": IMAGE, "type": "base64"},
    }
    result = {"type": "tool_result", "tool_use_id": "t", "content": [{"type": "text", "text": "found"}]}
    heard = ask(
        Protocol.MESSAGES,
        messages=said(use, result),
        tools=[{"name": "fetch", "input_schema": {}}, {"type": "bash_20250124", "name": "bash"}],
    ).heard
    assert {"secret", IMAGE, "base64", "found"} <= set(heard.texts)
    assert (heard.tools, heard.addresses, heard.unseen, heard.inline_bytes) == (["fetch", "bash"], [], [], 0)


def test_a_part_that_is_not_what_its_type_says_is_heard_as_text():
    for part in (
        {"type": "image", "source": "secret"},
        {"type": "image_url", "image_url": [{"x": "secret"}]},
        {"type": "file", "file": "secret"},
    ):
        assert "secret" in ask(Protocol.CHAT, messages=said(part)).heard.texts


def test_no_text_of_any_field_goes_unheard():
    """Fields that we do not know leave the house as well."""
    more = {
        "metadata": {"customer": "secret"},
        "guided_json": {"properties": ["hidden"]},
        "documents": [{"body": "buried"}],
        "user": "u-1",
    }
    heard = ask(Protocol.CHAT, **more).heard
    assert heard.texts == ["Be brief.", "你好"]
    assert {"customer", "secret", "hidden", "body", "buried", "u-1"} <= set(heard.asides)


def test_tokens_sent_as_numbers_are_counted():
    assert ask(Protocol.EMBEDDINGS, input=[[1, 2, 3], [4]]).heard.token_ids == 4


def test_tier_and_stream():
    read = ask(Protocol.CHAT, stream=True, service_tier="flex", stream_options={"include_usage": True})
    assert (read.stream, read.service_tier, read.usage_asked) == (True, "flex", True)


@pytest.mark.parametrize(
    ("protocol", "more", "needed"),
    [
        (Protocol.CHAT, {}, False),
        (Protocol.CHAT, {"stream": True}, True),
        (Protocol.COMPLETIONS, {"stream": True, "stream_options": {"include_usage": False}}, True),
        (Protocol.CHAT, {"stream": True, "stream_options": {"include_usage": True}}, False),
        (Protocol.RESPONSES, {"stream": True}, False),
        (Protocol.MESSAGES, {"stream": True}, False),
    ],
)
def test_when_usage_must_be_asked_for(protocol, more, needed):
    assert needs_usage_asked(ask(protocol, **more)) == needed


def test_asking_for_usage_changes_nothing_else():
    body = (
        b'{"model": "m" ,"messages":[{"role":"user", "content":"\\u4f60 1.0e0"}],"stream":true, "seed":1.50}'
    )
    asked = with_usage_asked(body)
    assert json.loads(asked) == json.loads(body) | {"stream_options": {"include_usage": True}}
    assert b'[{"role":"user", "content":"\\u4f60 1.0e0"}]' in asked
    assert b"1.50" in asked
    kept = with_usage_asked(
        encoded(
            CHAT | {"stream": True, "stream_options": {"include_usage": False, "include_obfuscation": False}}
        )
    )
    assert json.loads(kept)["stream_options"] == {"include_usage": True, "include_obfuscation": False}


def test_a_key_that_comes_twice_goes_on_once_as_the_door_read_it():
    body = b'{"model":"cheap","max_tokens":1,"messages":[{"role":"user","content":"Hi"}],"model":"dear"}'
    read = read_ask(Protocol.CHAT, body)
    assert isinstance(read, Ask)
    assert read.model == "dear"
    assert with_fields(body, {}).count(b'"model"') == 1
    assert (
        json.loads(with_fields(body, {"model": b'"its-own-name"', "max_tokens": b"7"}))["model"]
        == "its-own-name"
    )


TEXT = st.text(max_size=40)


@given(st.lists(TEXT, min_size=1, max_size=5), st.booleans())
def test_the_bound_holds_for_one_token_a_byte(texts, escaped):
    """The most tokens that a vocabulary over bytes can make of the texts is their bytes."""
    body = json.dumps(
        {"model": "m", "messages": [{"role": "user", "content": text} for text in texts]},
        ensure_ascii=escaped,
    )
    try:
        read = read_ask(Protocol.CHAT, body.encode())
    except UnicodeEncodeError:  # half a surrogate pair: no body has one
        return
    assert isinstance(read, Ask)
    bound = read.input_tokens_max()
    assert bound is not None
    assert bound >= sum(len(text.encode()) for text in texts) + 5 * len(texts)
    assert read.text_bytes == sum(len(text.encode()) for text in texts)


JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-9, 9), TEXT),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(
            st.sampled_from(
                ["type", "text", "source", "url", "data", "image_url", "file", "content", "input", "role"]
            ),
            inner,
            max_size=4,
        ),
    ),
    max_leaves=12,
)


@given(
    st.sampled_from(list(Protocol)),
    st.dictionaries(
        st.sampled_from(
            [
                "model",
                "messages",
                "input",
                "prompt",
                "system",
                "tools",
                "n",
                "stream",
                "max_tokens",
                "stream_options",
                "metadata",
            ]
        ),
        JSON,
    ),
)
def test_whatever_comes_is_read_or_refused(protocol, fields):
    read = read_ask(protocol, encoded(fields))
    assert isinstance(read, Ask | Refused)


def test_idempotency():
    one = idempotency_digest(7, "order-1")
    assert isinstance(one, bytes)
    assert (len(one), one) == (16, idempotency_digest(7, "order-1"))
    assert one != idempotency_digest(8, "order-1")
    for bad in ("", "x" * 256, "a\nb", "é"):
        assert idempotency_digest(7, bad) == Refused(DoorRefusal.IDEMPOTENCY_KEY_MALFORMED, "Idempotency-Key")
    body = encoded(CHAT)
    assert fingerprint(Protocol.CHAT, body) == fingerprint(Protocol.CHAT, bytes(body))
    assert (
        len(
            {
                fingerprint(Protocol.CHAT, body),
                fingerprint(Protocol.MESSAGES, body),
                fingerprint(Protocol.CHAT, body + b" "),
            }
        )
        == 3
    )


@pytest.mark.parametrize("refusal", DoorRefusal)
def test_each_refusal_in_the_words_of_both_vendors(refusal):
    words = WORDS[refusal]
    told = Refused(refusal, "max_tokens", "say this")
    openai = json.loads(error_body(told, Protocol.CHAT))
    assert openai == {
        "error": {
            "message": "say this",
            "type": words.openai_type,
            "param": "max_tokens",
            "code": words.openai_code,
        }
    }
    anthropic = json.loads(error_body(told, Protocol.MESSAGES, "req_1"))
    assert anthropic == {
        "type": "error",
        "error": {"type": words.anthropic_type, "message": "say this"},
        "request_id": "req_1",
    }
    assert json.loads(error_body(Refused(refusal), Protocol.EMBEDDINGS))["error"]["message"] == words.message
    assert 400 <= words.status < 600


ANTHROPIC_TYPES = {
    400: "invalid_request_error", 401: "authentication_error", 402: "billing_error", 403: "permission_error",
    404: "not_found_error", 413: "request_too_large", 429: "rate_limit_error", 500: "api_error", 504: "timeout_error",
}  # fmt: skip
"""docs.claude.com/en/api/errors; 529 overloaded_error is 503 with us, which is in the standard."""


def test_anthropics_types_are_those_of_the_status():
    for refusal, words in WORDS.items():
        assert words.anthropic_type == ANTHROPIC_TYPES.get(words.status, words.anthropic_type), refusal.name


def test_money_that_is_spent_is_not_asked_for_again():
    """Both SDKs retry 408, 409, 429 and 5xx by themselves: 402 is not among them."""
    assert set(WORDS) == set(DoorRefusal)
    for refusal in (
        DoorRefusal.BALANCE_SPENT,
        DoorRefusal.BUDGET_SPENT,
        DoorRefusal.IDEMPOTENCY_KEY_REUSED,
        DoorRefusal.CONTENT_BLOCKED,
    ):
        assert WORDS[refusal].status not in {408, 409, 429}
        assert WORDS[refusal].status < 500
        assert not WORDS[refusal].retry


def test_an_error_in_a_stream_that_has_begun():
    told = Refused(DoorRefusal.SUPPLIER_FAILED)
    assert error_event(told, Protocol.CHAT).startswith(b'data: {"error":')
    assert error_event(told, Protocol.MESSAGES).startswith(b'event: error\ndata: {"type":"error"')
    assert error_event(told, Protocol.RESPONSES).startswith(
        b'event: error\ndata: {"type":"error","code":"supplier_failed"'
    )
    assert all(error_event(told, protocol).endswith(b"\n\n") for protocol in Protocol)


def test_every_protocol_has_a_path():
    assert sorted(PATHS.values()) == sorted(Protocol)
