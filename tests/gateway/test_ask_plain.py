"""A plain chat completion read in one pass says what the reader of all requests says of it."""

import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ciyuan.gateway.ask import Ask, read_ask
from ciyuan.gateway.ask_plain import plain_ask
from ciyuan.gateway.door_refusals import Protocol

MESSAGES = [{"role": "user", "content": "你好"}]
PLAIN = {"model": "m", "messages": MESSAGES}
ODD = st.sampled_from(
    [None, True, False, 0, 1, 5, -1, 2**31, 2**70, 1.0, 8.0, 0.5, "", "x", "8", [], {}, [1], {"a": "b"}]
)
TEXTS = st.text(max_size=6)
TURNS = st.lists(
    st.one_of(
        st.fixed_dictionaries({"role": st.sampled_from(["user", "system", ""]), "content": TEXTS}),
        st.fixed_dictionaries({"role": TEXTS, "content": ODD}, optional={"name": TEXTS}),
    ),
    max_size=3,
)
NAMES = (
    "max_tokens",
    "max_completion_tokens",
    "stream",
    "n",
    "temperature",
    "seed",
    "user",
    "service_tier",
    "tools",
    "stop",
)
FIELDS = dict.fromkeys(NAMES, ODD)
BODIES = st.fixed_dictionaries(
    {"model": st.one_of(TEXTS, st.just("m"), ODD), "messages": st.one_of(TURNS, ODD)},
    optional={**FIELDS, "stream_options": st.one_of(ODD, st.fixed_dictionaries({"include_usage": ODD}))},
)


@given(BODIES)
@example({**PLAIN, "stream": True, "stream_options": {"include_usage": True}, "max_tokens": 8, "user": "ada"})
@example({**PLAIN, "max_tokens": 8, "max_completion_tokens": 8, "n": 2, "service_tier": "flex"})
@example({**PLAIN, "messages": [*MESSAGES, {"role": "assistant", "content": ""}]})
def test_what_is_plain_is_read_alike(body):
    data = json.dumps(body).encode()
    found = plain_ask(data)
    assert found is None or found == read_ask(Protocol.CHAT, data)


@pytest.mark.parametrize(
    "more", [{}, {"max_tokens": 8}, {"stream": True}, {"temperature": 1, "top_p": 0.5, "seed": 7}]
)
def test_the_usual_is_plain(more):
    found = plain_ask(json.dumps({**PLAIN, **more}).encode())
    assert isinstance(found, Ask)
    assert found.text_chars == 2


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b"\xff", b'{"model":"m"}', b"[" * 100_000])
def test_what_is_no_request_is_not_plain(data):
    assert plain_ask(data) is None
