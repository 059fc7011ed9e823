"""Bodies of every protocol: each text is found by its path, masked ones are written back, nothing slips by."""

import copy
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ciyuan.gateway.firewall import Placeholders
from ciyuan.gateway.firewall_body import DEPTH_MAX, body_texts, judge_body, written
from ciyuan.gateway.firewall_rules import Action, Refusal
from tests.gateway.firewalls import masking, shipped

PHONE = "13812345678"
CHAT = {
    "model": "any-model",
    "messages": [
        {"role": "system", "content": "You help. PLACE"},
        {"role": "user", "content": [{"type": "text", "text": "see PLACE"}, {"type": "image_url",
        "image_url": {"url": "data:image/png;base64,iVBOR"}}]},
        {"role": "assistant", "content": None, "tool_calls": [{"id": "call_1", "type": "function",
        "function": {"name": "dial", "arguments": '{"to": "PLACE"}'}}]},
        {"role": "tool", "tool_call_id": "call_1", "content": "dialled PLACE"},
    ],
    "tools": [{"type": "function", "function": {"name": "dial", "description": "dials PLACE",
        "parameters": {"type": "object"}}}],
    "metadata": {"ticket": "PLACE"},
    "user": "PLACE",
    "seed": 13812345678,
    "stream": True,
}  # fmt: skip
COMPLETIONS = {"model": "any-model", "prompt": ["first PLACE", "second PLACE"], "suffix": "PLACE"}
EMBEDDINGS = {"model": "any-model", "input": ["PLACE", "plain"]}
RESPONSES = {
    "model": "any-model",
    "instructions": "Answer. PLACE",
    "input": [
        {"role": "user", "content": [{"type": "input_text", "text": "PLACE"}, {"type": "input_image",
        "image_url": "data:image/png;base64,iVBOR"}]},
        {"type": "function_call", "call_id": "c1", "name": "dial", "arguments": '{"to":"PLACE"}'},
        {"type": "function_call_output", "call_id": "c1", "output": "PLACE"},
        {"type": "reasoning", "id": "r1", "encrypted_content": "gAAAA", "summary": [{"type": "summary_text", "text": "PLACE"}]},
    ],
}  # fmt: skip
MESSAGES = {
    "model": "any-model",
    "system": [{"type": "text", "text": "PLACE"}],
    "messages": [
        {"role": "user", "content": "PLACE"},
        {"role": "assistant", "content": [{"type": "thinking", "thinking": "PLACE", "signature": "c2ln"}, {"type": "tool_use",
        "id": "t1", "name": "dial", "input": {"to": "PLACE", "deep": [{"x": "PLACE"}]}}]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t1", "content": [{"type": "text",
        "text": "PLACE"}, {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBOR"}}]}]},
    ],
    "max_tokens": 100,
}  # fmt: skip
ANSWER = {
    "id": "x",
    "choices": [
        {
            "index": 0,
            "message": {"role": "assistant", "content": "PLACE", "refusal": None},
            "finish_reason": "stop",
        }
    ],
}
BODIES = [("chat", CHAT, 7), ("completions", COMPLETIONS, 3), ("embeddings", EMBEDDINGS, 1), ("responses", RESPONSES, 5),
    ("messages", MESSAGES, 6), ("answer", ANSWER, 1)]  # fmt: skip


def filled(body: object, value: str) -> object:
    made: object = json.loads(json.dumps(body).replace("PLACE", value))
    return made


@pytest.mark.parametrize(("name", "body", "places"), BODIES, ids=[name for name, *_ in BODIES])
def test_every_text_is_looked_at_and_masked_ones_are_written_back(name, body, places):
    given_body = filled(body, PHONE)
    before = copy.deepcopy(given_body)
    judged = judge_body(masking(), given_body, Placeholders())
    assert judged.refusal is Refusal.NONE
    assert json.dumps(body).count("PLACE") == places
    assert judged.body == filled(body, "[PHONE-1]")
    assert len(judged.findings) == len(judged.audits) == places
    assert given_body == before
    assert PHONE not in json.dumps([repr(one) for one in judged.audits])


@pytest.mark.parametrize(("name", "body", "places"), BODIES, ids=[name for name, *_ in BODIES])
def test_a_secret_in_any_text_blocks(name, body, places):
    for number in range(places):
        texts = json.dumps(body).split("PLACE")
        secret = "AKIAQWERTYUIOPASDFGH".join(
            ["clean".join(texts[: number + 1]), "clean".join(texts[number + 1 :])]
        )
        judged = judge_body(shipped(), json.loads(secret), Placeholders())
        assert (judged.refusal, judged.body) == (Refusal.BLOCKED, None)


@pytest.mark.parametrize(("name", "body", "places"), BODIES, ids=[name for name, *_ in BODIES])
def test_a_clean_body_is_handed_on_as_it_is(name, body, places):
    clean = filled(body, "nothing")
    judged = judge_body(shipped(), clean, Placeholders())
    assert judged.body is clean
    assert judged.action is Action.OFF


def test_paths_are_said_as_logs_write_them():
    judged = judge_body(masking(), filled(CHAT, PHONE), Placeholders())
    assert [path for path, _ in judged.findings] == [
        "messages[0].content", "messages[1].content[0].text", "messages[2].tool_calls[0].function.arguments",
        "messages[3].content",
        "tools[0].function.description", "metadata.ticket", "user",
    ]  # fmt: skip


def test_what_is_opaque_is_listed_and_may_be_refused():
    judged = judge_body(masking(), filled(MESSAGES, "x"), Placeholders())
    assert judged.opaque == (
        ("messages", 1, "content", 0, "signature"),
        ("messages", 2, "content", 0, "content", 1, "source", "data"),
    )
    refused = judge_body(masking(), filled(MESSAGES, "x"), Placeholders(), opaque_allowed=False)
    assert (refused.refusal, refused.body) == (Refusal.UNREADABLE, None)
    assert judge_body(masking(), filled(RESPONSES, "x"), Placeholders()).opaque == (
        ("input", 0, "content", 1, "image_url"),
        ("input", 3, "encrypted_content"),
    )


@pytest.mark.parametrize("tokens", [[1, 2, 3], [[1, 2], [3]], ["text", [1]]])
@pytest.mark.parametrize("field", ["prompt", "input"])
def test_prompts_of_token_numbers_are_refused(tokens, field):
    assert judge_body(shipped(), {"model": "m", field: tokens}, Placeholders()).refusal is Refusal.UNREADABLE


def test_numbers_below_the_top_are_looked_at():
    body = {"messages": [{"content": [{"type": "tool_use", "id": "t", "name": "n", "input": {"to": 13812345678, "n": 5}}]}],
        "seed": 13812345678}  # fmt: skip
    judged = judge_body(masking(), body, Placeholders())
    assert judged.body == written(body, {("messages", 0, "content", 0, "input", "to"): "[PHONE-1]"})


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ('{"to": 13812345678, "x": [1.5, true, null]}', '{"to": "[PHONE-1]", "x": [1.5, true, null]}'),
        ('{"to": "13812345678"}', '{"to": "[PHONE-1]"}'),
        ('{"a": "13812345678", "a": 13812345678}', '{"a": "[PHONE-1]"}'),
        (r'{"to": "\u0031\u00338\u00312345678"}', '{"to": "[PHONE-1]"}'),
        ("no JSON: 13812345678", "no JSON: [PHONE-1]"),
        ('{"cut": "13812345678", "of', '{"cut": "[PHONE-1]", "of'),
        ("13812345678", '"[PHONE-1]"'),
    ],
)
def test_arguments_that_are_json_stay_json(arguments, expected):
    body = {"tool_calls": [{"function": {"name": "n", "arguments": arguments}}]}
    judged = judge_body(masking(), body, Placeholders())
    assert judged.body == {"tool_calls": [{"function": {"name": "n", "arguments": expected}}]}


def test_where_no_placeholder_may_stand_the_body_is_refused():
    for body in (
        {"model": PHONE},
        {"messages": [{"role": "user", "name": "a@invented.example", "content": "x"}]},
        {"metadata": {"a@invented.example": "x"}},
        {"messages": [{"tool_call_id": PHONE}]},
    ):
        judged = judge_body(masking(), body, Placeholders())
        assert (judged.refusal, judged.body) == (Refusal.CANNOT_MASK, None)
    assert (
        judge_body(masking(), {"metadata": {"a@invented.example": 1}}, Placeholders()).findings[0][0]
        == "metadata (key)"
    )


def test_the_first_refusal_in_order_is_said():
    body = {"model": PHONE, "user": "AKIAQWERTYUIOPASDFGH"}
    assert judge_body(shipped(), body, Placeholders()).refusal is Refusal.BLOCKED


def test_too_deep_is_refused():
    body: object = "AKIAQWERTYUIOPASDFGH"
    for _ in range(DEPTH_MAX + 1):
        body = [{"x": body}]
    assert judge_body(shipped(), body, Placeholders()).refusal is Refusal.TOO_DEEP


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8) | st.sampled_from([PHONE, "a@invented.example",
        "AKIAQWERTYUIOPASDFGH"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["a", "text", "arguments", "name", "input",
        PHONE]), inner, max_size=3),
    max_leaves=12,
)  # fmt: skip


@given(JSON)
def test_whatever_the_body_nothing_that_is_masked_is_left_in_it(body):
    judged = judge_body(masking(), body, Placeholders())
    if judged.refusal:
        assert judged.body is None
    else:
        again = judge_body(masking(), judged.body, Placeholders())
        assert again.refusal is Refusal.NONE
        assert again.action < Action.MASK
        assert again.body == judged.body


@given(JSON)
def test_paths_lead_to_their_texts(body):
    for field in body_texts(body).fields:
        place = body
        for step in field.path[: -1 if field.is_key else None]:
            place = place[step]
        assert field.text in place if field.is_key else field.text == str(place)


@given(JSON)
def test_writing_what_is_there_changes_nothing(body):
    fields = [field for field in body_texts(body).fields if not field.is_key and not field.is_number]
    assert written(body, {field.path: field.text for field in fields}) == body
