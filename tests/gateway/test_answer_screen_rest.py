"""What an event is beside its pieces of text: looked at once, written byte for byte but for what must change."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ciyuan.gateway.answer_screen_rest import (
    REMEMBERED_MAX,
    Rest,
    differing,
    json_of,
    numbered,
    read_json,
    rewritten,
    spelt_out,
    written_anew,
)
from ciyuan.gateway.answer_screen_terms import ScreenMode, Stopped
from ciyuan.gateway.door_refusals import DoorRefusal, Protocol
from ciyuan.gateway.firewall import Firewall
from ciyuan.gateway.firewall_agent import AgentPolicy
from ciyuan.gateway.firewall_body import written
from tests.gateway.firewalls import KEY, rules, shipped
from tests.gateway.screens import PHONE, SECRET, screening

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=12,
)


class Counting:
    """A firewall that counts how many texts it was asked to search."""

    def __init__(self, firewall):
        self._firewall, self.searched = firewall, []

    def search(self, texts):
        self.searched += texts
        return self._firewall.search(texts)

    def __getattr__(self, name):
        return getattr(self._firewall, name)


def rest_of(firewall=None, policy=None, mode=ScreenMode.RULES):
    made, records = screening(Protocol.CHAT, mode, firewall, policy)
    return Rest(made), records


def looked(rest, data, *pieces, opaque=()):
    return rest.look(data, json.loads(data), pieces, opaque)


def paths(value, path=()):
    yield path
    if isinstance(value, dict | list):
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            yield from paths(item, (*path, key))


@settings(max_examples=200, deadline=None)
@given(JSON, JSON, st.integers(0, 100))
def test_what_is_rewritten_is_what_is_written(body, value, number):
    listed = list(paths(body))
    path = listed[number % len(listed)]
    data = json.dumps(body).encode()
    assert json.loads(rewritten(data, {path: value})) == written(body, {path: value})


@settings(max_examples=200, deadline=None)
@given(JSON, st.integers(0, 100))
def test_masked_bodies_are_told_apart_by_their_texts(body, number):
    texts = [path for path in paths(body) if isinstance(at(body, path), str)]
    changes = {path: at(body, path) + "!" for place, path in enumerate(texts) if place % 3 != number % 3}
    assert differing(body, written(body, changes) if changes else body) == changes


def at(value, path):
    """What stands at a path."""
    for step in path:
        value = value[step]
    return value


def test_other_fields_stay_byte_for_byte():
    data = rb'{"a": 1.50, "t":"x", "u":"\u4e2d\/", "n":123456789012345678901234567890, "l":[1e3, {"t":"y"}]}'
    out = rewritten(data, {("t",): 'new "one"', ("l", 1, "t"): "z"})
    assert (
        out
        == rb'{"a":1.50,"t":"new \"one\"","u":"\u4e2d\/","n":123456789012345678901234567890,"l":[1e3,{"t":"z"}]}'
    )


def test_json_is_read_as_leniently_as_clients_do():
    assert read_json(b'{"a":1}') == ({"a": 1}, b'{"a":1}')
    assert read_json(rb'{"a":"\ud83d"}') == ({"a": "\ud83d"}, '{"a":"\ufffd"}'.encode())
    assert read_json(b'{"a":"\xc3"}')[1] == '{"a":"\ufffd"}'.encode()
    assert written_anew(b'{"a":1,"a":2}') == ({"a": 2}, b'{"a":2}')
    assert json_of(b"[1]") == [1]
    for broken in (b"", b"{", b"heartbeat", b"[" * 100_000):
        with pytest.raises(ValueError):  # noqa: PT011 any says that there is no JSON
            read_json(broken)


def test_a_clean_event_is_looked_at_once():
    counting = Counting(shipped())
    rest, _ = rest_of(counting)
    for at in range(50):
        data = b'{"id":"chat-1","created":1741570283,"choices":[{"delta":{"content":"word%d"}}]}' % at
        changes, same = looked(rest, data, (("choices", 0, "delta", "content"), f"word{at}"))
        assert (changes, same) == ({}, data)
    assert sorted(counting.searched) == sorted(
        ["id", "chat-1", "created", "1741570283", "choices", "delta", "content"]
    )


def test_a_text_that_stands_elsewhere_too_is_looked_at_there():
    rest, _ = rest_of()
    data = b'{"a":"' + PHONE.encode() + b'","b":"' + PHONE.encode() + b'"}'
    changes, _ = looked(rest, data, (("a",), PHONE))
    assert changes == {("b",): "[PHONE-1]"}


def test_keys_and_numbers_are_looked_at():
    rest, _ = rest_of()
    changes, _ = looked(rest, b'{"a":{"b":{"c":13812345678}}}')
    assert changes == {("a", "b", "c"): "[PHONE-1]"}
    with pytest.raises(Stopped):
        looked(rest, b'{"a":{"' + PHONE.encode() + b'":1}}')
    data = b'{"created":13812345678}'
    assert looked(rest, data) == ({}, data)


def test_a_key_twice_is_written_once_where_something_is_found():
    rest, _ = rest_of()
    data = b'{"a":"' + SECRET.encode() + b'","a":"fine"}'
    assert looked(rest, data) == ({}, b'{"a":"fine"}')


def test_what_is_opaque_is_not_looked_at():
    noise = "QUtJQVFX" + "RVJUWVVJT1BBU0RGR0g="
    rest, records = rest_of()
    data = b'{"audio":{"data":"' + noise.encode() + b'"}}'
    assert looked(rest, data, opaque=[("audio", "data")]) == ({}, data)
    assert records == []
    rest, _ = rest_of()
    with pytest.raises(Stopped):
        looked(rest, data)


def test_escapes_do_not_hide_a_value():
    rest, _ = rest_of()
    changes, _ = looked(rest, rb'{"a":{"b":"\u0031\u0033812345678"}}')
    assert changes == {("a", "b"): "[PHONE-1]"}


def test_calls_are_judged_unless_that_is_done_elsewhere():
    rest, records = rest_of(policy=AgentPolicy(tools_denied=("dial",)), mode=ScreenMode.OFF)
    data = b'{"item":{"type":"function_call","name":"dial","arguments":"{}"}}'
    assert rest.look(data, json.loads(data), (), judges_calls=False) == ({}, data)
    for _ in range(2):
        with pytest.raises(Stopped) as stopped:
            looked(rest, data)
        assert stopped.value.refused.refusal is DoorRefusal.NOT_PERMITTED
    assert len(records) == 2


def test_texts_by_themselves():
    rest, records = rest_of()
    assert rest.text_clean(b": fine")
    assert not rest.text_clean(b": " + PHONE.encode())
    assert len(records) == 1
    broken = Firewall(rules(), KEY)
    broken.sight = None
    rest, _ = rest_of(broken)
    with pytest.raises(Stopped):
        rest.text_clean(b": fine")
    with pytest.raises(Stopped):
        looked(rest, b'{"a":"b"}')
    rest, _ = rest_of(mode=ScreenMode.OFF)
    assert rest.text_clean(SECRET.encode())


def test_what_is_remembered_is_bounded():
    rest, _ = rest_of()
    for at in range(3 * REMEMBERED_MAX):
        looked(rest, b'{"k":"v%d"}' % at)
    assert len(rest._clean_tokens) <= REMEMBERED_MAX
    assert len(rest._clean_rests) <= REMEMBERED_MAX
    looked(rest, b'{"k":"' + b"long " * 2_000 + b'"}')
    assert all(len(token) < 5_000 for token in rest._clean_tokens)


def test_a_suppliers_own_numbers_are_no_cards():
    number = "4111111111111111"
    body = {"id": number, "a": [{"item_id": number, "id": 4111111111111111, "x": number}], "ids": number}
    assert numbered(body) == [("id",), ("a", 0, "item_id"), ("a", 0, "id")]
    counting = Counting(shipped())
    rest, records = rest_of(counting)
    data = b'{"id":"' + number.encode() + b'","model":"m"}'
    for _ in range(3):
        assert looked(rest, data) == ({}, data)
    assert counting.searched.count(number) == 1
    assert records == []
    with pytest.raises(Stopped):
        looked(rest, b'{"id":"' + SECRET.encode() + b'"}')


def test_log_probabilities_are_found_wherever_they_are():
    body: dict[str, object] = {
        "logprobs": None,
        "a": [{"logprobs": [1], "b": {"logprobs": {"content": []}}}],
        "c": {"logprobs": []},
    }
    assert spelt_out(body) == {("a", 0, "logprobs"): [], ("a", 0, "b", "logprobs"): None}
