"""Answers screened: what is planted is never shown however it is cut, and what is clean passes byte for byte."""

import json
import re
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ciyuan.gateway import answer_screen
from ciyuan.gateway.answer_screen import SPLIT_BYTES_MIN, WAITING_BYTES_MAX, AnswerScreen
from ciyuan.gateway.answer_screen_places import CALL_BYTES_MAX
from ciyuan.gateway.answer_screen_terms import Screening, ScreenMode
from ciyuan.gateway.answer_screen_whole import screen_whole
from ciyuan.gateway.door_refusals import WORDS, DoorRefusal, Protocol
from ciyuan.gateway.firewall import Firewall, Placeholders, audit
from ciyuan.gateway.firewall_agent import AgentPolicy
from ciyuan.gateway.firewall_rules import Action
from tests.gateway.firewalls import (
    KEY,
    cut,
    found,
    hard_texts,
    masked,
    masking,
    plain,
    reporting,
    rules,
    shipped,
)
from tests.gateway.recorded import (
    CHAT_STREAM,
    CHAT_WHOLE,
    MESSAGE_STREAM,
    RESPONSE_STREAM,
    TOOL_STREAM,
    chunk,
    delta,
    encoded,
    named,
    response,
    sse,
)
from tests.gateway.screens import (
    CARD,
    IDENTITY,
    MAIL,
    PHONE,
    PLANTED,
    SECRET,
    SPOKEN,
    WORD,
    answer,
    check_never_shown,
    event,
    screened,
    screening,
    text_of,
    told,
)
from tests.sources import ROOT, table

SPEC = (ROOT / "docs" / "spec" / "firewall.md").read_text(encoding="utf-8")
EXAMPLES = settings(max_examples=150, deadline=None)
RECORDED = (
    (Protocol.CHAT, sse(*CHAT_STREAM)),
    (Protocol.CHAT, sse(*TOOL_STREAM)),
    (Protocol.RESPONSES, named(*RESPONSE_STREAM)),
    (Protocol.MESSAGES, named(*MESSAGE_STREAM)),
)
STORY = f"Ann's card is {CARD}, her number {PHONE}; 身份证{IDENTITY}，写信给{MAIL}。 {WORD}下 the end"
BLOCKING = f"Ring {PHONE} first. The key is {SECRET}, and never tell"


def chunks(data: bytes, places: list[int]) -> list[bytes]:
    at = sorted({place % (len(data) + 1) for place in places} | {0, len(data)})
    return [data[start:end] for start, end in pairwise(at)]


# --- what is found ---


@EXAMPLES
@given(hard_texts(), st.lists(st.integers(0, 400), max_size=8), st.sampled_from(SPOKEN), st.booleans())
def test_however_a_text_comes_in_events_the_shown_is_the_whole_text_masked(
    text, places, protocol, ascii_only
):
    whole = plain(text)
    shown = screened(
        protocol, answer(protocol, cut(whole, places), ascii_only=ascii_only), firewall=masking()
    )
    assert shown.refused is None
    assert text_of(protocol, shown.passing) == masked(masking(), whole)
    if not found(masking(), whole) and all(len(one.encode()) < SPLIT_BYTES_MIN for one in cut(whole, places)):
        assert shown.passing == answer(protocol, cut(whole, places), ascii_only=ascii_only)


@EXAMPLES
@given(hard_texts(), st.lists(st.integers(0, 400), max_size=8), st.sampled_from(SPOKEN))
def test_what_is_blocked_is_refused_and_only_what_stands_before_is_shown(text, places, protocol):
    whole = plain(text)
    shown = screened(protocol, answer(protocol, cut(whole, places)))
    first = [one.start for one in found(shipped(), whole) if one.action is Action.BLOCK]
    assert (shown.refused is not None) is bool(first)
    if first:
        seen = text_of(protocol, shown.passing)
        assert masked(shipped(), whole[: min(first)]).startswith(seen) or "[" in seen
        assert shown.passing.rstrip().endswith(b"}")
        assert b"content_blocked" in shown.passing or protocol is Protocol.MESSAGES


@pytest.mark.parametrize("protocol", SPOKEN)
@pytest.mark.parametrize("text", [STORY, BLOCKING])
@pytest.mark.parametrize("step", [1, 3, 11, 400])
def test_a_stream_cut_at_every_byte_shows_the_same(protocol, text, step):
    stream = answer(protocol, [text[at : at + step] for at in range(0, len(text), step)])
    whole = screened(protocol, stream)
    check_never_shown(whole.passing, *PLANTED)
    assert whole.refused is not None
    every = range(0, len(stream), 1 if step == 400 else 37)
    for place in every:
        assert screened(protocol, stream[:place], stream[place:]) == whole


@EXAMPLES
@given(st.lists(st.integers(0, 10**5), max_size=60), st.integers(1, 30), st.sampled_from(SPOKEN))
def test_a_stream_in_random_chunks_shows_the_same(places, step, protocol):
    stream = answer(protocol, [STORY[at : at + step] for at in range(0, len(STORY), step)])
    shown = screened(protocol, *chunks(stream, places), firewall=masking())
    assert shown == screened(protocol, stream, firewall=masking())
    check_never_shown(shown.passing, *PLANTED)
    assert text_of(protocol, shown.passing) == masked(masking(), STORY)


@pytest.mark.parametrize("protocol", SPOKEN)
def test_letter_by_letter_in_single_bytes(protocol):
    stream = answer(protocol, list(STORY))
    shown = screened(protocol, *(stream[at : at + 1] for at in range(len(stream))), firewall=masking())
    assert text_of(protocol, shown.passing) == masked(masking(), STORY)
    check_never_shown(shown.passing, *PLANTED)


@pytest.mark.parametrize("protocol", SPOKEN)
def test_any_finding_blocks_in_block_mode(protocol):
    shown = screened(protocol, answer(protocol, list(f"hello there {PHONE} bye")), mode=ScreenMode.BLOCK)
    assert shown.refused is not None
    assert shown.refused.refusal is DoorRefusal.CONTENT_BLOCKED
    assert text_of(protocol, shown.passing) == "hello there "
    assert {record.action for record in shown.records} == {Action.BLOCK}


@EXAMPLES
@given(hard_texts(), st.lists(st.integers(0, 400), max_size=8), st.sampled_from(SPOKEN))
def test_a_report_passes_every_byte_at_once_and_records_what_is_found(text, places, protocol):
    whole = plain(text)
    stream = answer(protocol, cut(whole, places))
    made, records = screening(protocol, ScreenMode.REPORT)
    screen = AnswerScreen(made)
    for part in chunks(stream, places):
        assert screen.feed(part).passing == part
    assert screen.finish().passing == b""
    digests = {one.digest for one in found(shipped(), whole)}
    assert {record.digest for record in records} == digests
    assert {record.action for record in records} <= {Action.REPORT}


def test_records_hold_no_value_and_show_where_it_stood():
    (record,) = screened(Protocol.CHAT, answer(Protocol.CHAT, ["so ring ", PHONE, " or not"])).records
    assert (record.path, record.rule, record.action) == ("choices[0].content", "cn-mobile", Action.MASK)
    assert record.excerpt.startswith("so ring [PHONE-1]")


@EXAMPLES
@given(
    st.lists(st.sampled_from([*PLANTED, "word ", "x", "，", "\n", "13", "8"]), max_size=12), st.integers(1, 9)
)
def test_no_excerpt_of_a_record_holds_a_value(words, step):
    text = " ".join(words)
    for mode in (ScreenMode.REPORT, ScreenMode.RULES, ScreenMode.BLOCK):
        shown = screened(
            Protocol.CHAT,
            answer(Protocol.CHAT, [text[a : a + step] for a in range(0, len(text), step)]),
            mode=mode,
        )
        for record in shown.records:
            assert not any(value in record.excerpt for value in PLANTED if found(shipped(), value))


def test_a_value_has_the_placeholder_that_it_had_in_the_request():
    made, _ = screening(Protocol.CHAT)
    first = shipped().judge([f"ring 13987654321 and {PHONE}"], made.placeholders)
    assert first[0].text == "ring [PHONE-1] and [PHONE-2]"
    screen = AnswerScreen(made)
    shown = screen.feed(answer(Protocol.CHAT, [f"{PHONE} it is"])).passing
    assert text_of(Protocol.CHAT, shown) == "[PHONE-2] it is"


# --- what is clean ---


@pytest.mark.parametrize(("protocol", "stream"), RECORDED)
@pytest.mark.parametrize("mode", list(ScreenMode))
def test_recorded_streams_pass_byte_for_byte(protocol, stream, mode):
    for policy in (None, AgentPolicy(tools_allowed=("get_*",))):
        for step in (1, 7, len(stream)):
            parts = [stream[at : at + step] for at in range(0, len(stream), step)]
            shown = screened(protocol, *parts, mode=mode, policy=policy)
            assert shown == (stream, None, [])


@pytest.mark.parametrize("newline", [b"\r\n", b"\r"])
def test_any_line_ends_pass(newline):
    stream = sse(*CHAT_STREAM).replace(b"\n", newline)
    for step in (1, 5, len(stream)):
        parts = [stream[at : at + step] for at in range(0, len(stream), step)]
        assert screened(Protocol.CHAT, *parts).passing == stream


def test_a_word_waits_for_its_end_and_no_longer():
    made, _ = screening(Protocol.CHAT)
    screen = AnswerScreen(made)
    events = [event(chunk({"content": piece})) for piece in ("Hello", " there", ", 世界", "。")]
    assert screen.feed(events[0]).passing == b""
    assert screen.feed(events[1]).passing == events[0]
    assert screen.feed(events[2]).passing == events[1] + events[2]
    assert screen.feed(events[3]).passing == events[3]


def test_a_long_event_does_not_wait_for_its_last_word():
    made, _ = screening(Protocol.CHAT)
    screen = AnswerScreen(made)
    first = screen.feed(event(chunk({"content": "One long sentence that a supplier sends at on"}))).passing
    assert text_of(Protocol.CHAT, first) == "One long sentence that a supplier sends at "
    second = screen.feed(event(chunk({"content": "ce, and more "}))).passing
    assert text_of(Protocol.CHAT, second) == "once, and more "


def test_keep_alives_do_not_wait():
    made, _ = screening(Protocol.MESSAGES)
    screen = AnswerScreen(made)
    held = event({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "wor"}})
    ping, comment = b'event: ping\ndata: {"type":"ping"}\n\n', b": still here\n\n"
    assert screen.feed(held).passing == b""
    assert screen.feed(ping).passing == ping
    assert screen.feed(comment).passing == comment
    assert screen.finish().passing == held


def test_choices_side_by_side_are_screened_each():
    bodies = [
        chunk({"content": piece}, index=index)
        for piece in ("ring ", "138", "1234", "5678", " ok ")
        for index in (0, 1)
    ]
    stream = sse(*bodies, chunk({}, "stop", index=0), chunk({}, "stop", index=1))
    shown = screened(Protocol.CHAT, stream)
    assert told(Protocol.CHAT, shown.passing) == {
        ("TEXT", 0): "ring [PHONE-1] ok ",
        ("TEXT", 1): "ring [PHONE-1] ok ",
    }


def test_thoughts_that_end_without_a_word_do_not_hold_the_answer():
    made, _ = screening(Protocol.CHAT)
    screen = AnswerScreen(made)
    thought, text = event(chunk({"reasoning_content": "so"})), event(chunk({"content": "Yes "}))
    assert screen.feed(thought).passing == b""
    assert screen.feed(text).passing == thought + text


def test_a_value_that_is_broken_by_another_text_is_not_completed():
    bodies = [
        chunk({"reasoning_content": "ring 1381234"}), chunk({"content": "Well "}),
        chunk({"reasoning_content": "5678 now"}), chunk({"content": "done "}),
    ]  # fmt: skip
    shown = screened(Protocol.CHAT, sse(*bodies))
    assert shown.refused is not None
    assert "5678" not in text_of(Protocol.CHAT, shown.passing)
    clean = [
        chunk({"reasoning_content": "fine"}),
        chunk({"content": "Well "}),
        chunk({"reasoning_content": "ly"}),
    ]
    stream = sse(*clean, chunk({}, "stop"))
    assert screened(Protocol.CHAT, stream).passing == stream


# --- the rest of an event ---


@pytest.mark.parametrize(
    "extra",
    [
        {"citations": [{"title": f"ring {PHONE}"}]}, {"note": PHONE}, {"deep": [[{"number": 13812345678}]]},
        {"reasoning_details": [{"type": "reasoning.text", "text": f"ring {PHONE} now"}]}, {"audio": {"transcript": PHONE}},
    ],
)  # fmt: skip
def test_fields_that_nobody_has_heard_of_are_screened(extra):
    stream = sse(chunk({"content": "ok "} | extra), chunk({}, "stop"))
    shown = screened(Protocol.CHAT, stream)
    assert PHONE.encode() not in shown.passing
    assert b"[PHONE-1]" in shown.passing
    assert text_of(Protocol.CHAT, shown.passing).startswith("ok ")


def test_a_key_that_stands_twice_hides_nothing():
    data = (
        b'data: {"choices":[{"index":0,"delta":{"content":"' + PHONE.encode() + b'","content":"ok "}}]}\n\n'
    )
    shown = screened(Protocol.CHAT, data)
    assert PHONE.encode() not in shown.passing
    assert text_of(Protocol.CHAT, shown.passing) == "ok "


def test_what_must_not_be_masked_is_refused():
    shown = screened(Protocol.CHAT, sse(chunk({"content": "ok "}, id=f"ring {PHONE}")))
    assert shown.refused is not None
    check_never_shown(shown.passing, PHONE)


def test_log_probabilities_do_not_spell_what_is_masked():
    def spelt(piece):
        body = chunk({"content": piece})
        body["choices"][0]["logprobs"] = {
            "content": [{"token": piece, "logprob": -0.1, "bytes": list(piece.encode())}]
        }
        return body

    stream = sse(*map(spelt, ["Ring ", "138", "1234", "5678", " now", " or", " not "]))
    shown = screened(Protocol.CHAT, stream).passing
    bodies = [json.loads(line[6:]) for line in shown.split(b"\n\n") if line.startswith(b"data: {")]
    assert [body["choices"][0]["delta"]["content"] for body in bodies] == [
        "Ring ",
        "[PHONE-1] ",
        "",
        "",
        "now",
        " or",
        " not ",
    ]
    kept = [body["choices"][0]["logprobs"] is not None for body in bodies]
    assert kept == [True, False, False, False, False, True, True]


def test_sound_and_signatures_pass_unread():
    noise = "QUtJQVFX" + "RVJUWVVJT1BBU0RGR0g="  # a key, in base64
    bodies = [
        {"type": "content_block_delta", "index": 0, "delta": {"type": "signature_delta", "signature": noise}},
        {
            "type": "content_block_start",
            "index": 1,
            "content_block": {"type": "redacted_thinking", "data": noise},
        },
    ]
    stream = named(*bodies)
    assert screened(Protocol.MESSAGES, stream) == (stream, None, [])
    audio = sse(chunk({"audio": {"id": "a", "data": noise}}), chunk({}, "stop"))
    assert screened(Protocol.CHAT, audio) == (audio, None, [])


def test_frames_are_looked_at():
    body = event(chunk({"content": "ok "}))
    shown = screened(Protocol.CHAT, b"id: " + PHONE.encode() + b"\n: " + SECRET.encode() + b"\n" + body)
    assert shown.passing == body
    assert screened(Protocol.CHAT, b": " + SECRET.encode() + b"\n\n" + b": fine\n\n").passing == b""
    assert screened(Protocol.CHAT, b": fine\n\n").passing == b": fine\n\n"
    assert screened(Protocol.CHAT, b"event: " + SECRET.encode() + b"\n" + body).refused is not None


def test_json_over_several_lines_is_screened():
    text = json.dumps(chunk({"content": f"ring {PHONE} "}), indent=1)
    stream = b"".join(b"data: " + line.encode() + b"\n" for line in text.splitlines()) + b"\n"
    assert text_of(Protocol.CHAT, screened(Protocol.CHAT, stream).passing) == "ring [PHONE-1] "


def test_what_is_no_json_passes_if_nothing_is_found_in_it():
    assert screened(Protocol.CHAT, b"data: heartbeat\n\n").passing == b"data: heartbeat\n\n"
    shown = screened(Protocol.CHAT, b"data: call " + PHONE.encode() + b"\n\n")
    assert shown.refused is not None
    assert PHONE.encode() not in shown.passing


def test_an_event_cut_off_never_was_one_and_one_without_its_blank_line_was():
    whole = event(chunk({"content": f"ring {PHONE}"}))
    assert screened(Protocol.CHAT, whole[:-10]) == (b"", None, [])
    shown = screened(Protocol.CHAT, whole[:-2])
    assert json.loads(shown.passing[6:])["choices"][0]["delta"]["content"] == "ring [PHONE-1]"


def test_half_characters_are_joined_before_they_are_searched():
    firewall = Firewall(rules(), KEY, words=["计划😀极光"], word_action=Action.MASK)
    first, second = b'data: {"choices":[{"index":0,"delta":{"content":"', b'"}}]}\n\n'
    stream = first + "计划".encode() + rb"\ud83d" + second + first + rb"\ude00" + "极光 下".encode() + second
    shown = screened(Protocol.CHAT, stream, firewall=firewall)
    assert "极光" not in text_of(Protocol.CHAT, shown.passing)
    plain_one = first + rb"a\ud83d" + second + first + rb"\ude00 b " + second
    assert screened(Protocol.CHAT, plain_one, firewall=firewall).passing == plain_one


def test_bytes_that_are_no_utf8_pass_where_nothing_is_found():
    first, second = b'data: {"choices":[{"index":0,"delta":{"content":"', b'"}}]}\n\n'
    stream = first + b"a " + second + first + b"caf\xc3 " + second
    assert screened(Protocol.CHAT, stream).passing == stream


def test_an_error_of_the_supplier_is_screened():
    body = {"type": "error", "error": {"type": "api_error", "message": f"no such key, ring {PHONE}"}}
    shown = screened(Protocol.MESSAGES, named(body))
    assert b"ring [PHONE-1]" in shown.passing


# --- the page ---


@pytest.mark.parametrize("row", table(SPEC, "events add", "shown"))
def test_streams_are_shown_as_the_page_says(row):
    pieces, expected = (re.findall(r"`([^`]*)`", cell) for cell in row[:2])
    shown = screened(Protocol.CHAT, sse(*(chunk({"content": piece}) for piece in pieces), done=False))
    bodies = [json.loads(line[6:]) for line in shown.passing.splitlines() if line]
    contents = [body["choices"][0]["delta"]["content"] for body in bodies if "choices" in body]
    assert contents == expected
    assert (shown.refused is not None) is row[1].endswith("refused")


def test_the_pages_limits_are_the_codes():
    said = " ".join(SPEC[SPEC.index("## Answers") :].split())
    for limit in (
        f"{SPLIT_BYTES_MIN} bytes or more", f"{WAITING_BYTES_MAX >> 20} MiB of events", f"more than {CALL_BYTES_MAX >> 20} MiB,",
        f"{WORDS[DoorRefusal.CONTENT_BLOCKED].status}, and is not to be retried",
    ):  # fmt: skip
        assert limit in said, limit
    assert [row[0].strip("`") for row in table(SPEC, "mode", "a text")] == [
        mode.name.lower() for mode in ScreenMode
    ]


# --- what is bounded, and what fails ---


def test_what_waits_is_bounded(monkeypatch):
    monkeypatch.setattr(answer_screen, "WAITING_BYTES_MAX", 5_000)
    pieces = ["abcdefgh"] * 200
    shown = screened(Protocol.CHAT, answer(Protocol.CHAT, pieces))
    assert shown.refused is not None
    assert "too long" in shown.refused.message


def test_places_are_bounded(monkeypatch):
    monkeypatch.setattr(answer_screen, "PLACES_MAX", 10)
    shown = screened(Protocol.CHAT, sse(*(chunk({f"k{at}": "word "}) for at in range(20))))
    assert shown.refused is not None


def test_a_long_answer_keeps_little():
    made, _ = screening(Protocol.CHAT)
    screen = AnswerScreen(made)
    for _ in range(3_000):
        screen.feed(event(chunk({"content": " word"})))
    assert screen.waiting_bytes < 500
    place = next(iter(screen._places.values()))
    assert len(place._kept) < 10_000
    assert not place._edits


def test_an_event_without_an_end_is_refused():
    shown = screened(Protocol.CHAT, b"data: " + b"x" * (5 * 2**20))
    assert shown.refused is not None


def test_a_firewall_without_its_engine_shows_nothing():
    broken = Firewall(rules(), KEY)
    broken.sight = None
    for mode in (ScreenMode.REPORT, ScreenMode.RULES, ScreenMode.BLOCK):
        shown = screened(Protocol.CHAT, answer(Protocol.CHAT, ["hello "]), mode=mode, firewall=broken)
        assert shown.refused is not None
        assert text_of(Protocol.CHAT, shown.passing) == ""
        made, _ = screening(Protocol.CHAT, mode, broken)
        assert screen_whole(made, encoded(CHAT_WHOLE)).refused is not None


def test_a_screening_that_raises_shows_nothing(monkeypatch):
    def raises(*_):
        raise ZeroDivisionError

    monkeypatch.setattr(answer_screen, "read_parts", raises)
    shown = screened(Protocol.CHAT, answer(Protocol.CHAT, ["hello "]))
    assert shown.refused is not None
    assert "scan failed" in shown.refused.message
    assert text_of(Protocol.CHAT, shown.passing) == ""


def test_what_is_found_at_the_very_end_is_refused_there():
    made, _ = screening(Protocol.CHAT)
    screen = AnswerScreen(made)
    assert screen.feed(event(chunk({"content": SECRET}))).passing == b""
    shown = screen.finish()
    assert shown.refused is not None
    check_never_shown(shown.passing, SECRET)


def test_a_screen_that_raises_while_it_ends_shows_nothing(monkeypatch):
    def raises(*_):
        raise ZeroDivisionError

    made, _ = screening(Protocol.CHAT)
    screen = AnswerScreen(made)
    screen.feed(event(chunk({"content": "hello"})))
    monkeypatch.setattr(screen, "_emit", raises)
    shown = screen.finish()
    assert shown.refused is not None
    assert b"hello" not in shown.passing
    screen = AnswerScreen(made)
    screen.feed(event(chunk({"content": "hello"})))
    monkeypatch.setattr(screen, "_emit", raises)
    shown = screen.feed(event(chunk({"content": f" key {SECRET} "})))
    assert shown.refused is not None
    assert "scan failed" in shown.refused.message
    assert b"hello" not in shown.passing


def test_nothing_passes_after_a_refusal():
    made, _ = screening(Protocol.CHAT)
    screen = AnswerScreen(made)
    assert screen.feed(answer(Protocol.CHAT, [f"key {SECRET} "])).refused is not None
    assert screen.feed(answer(Protocol.CHAT, ["more "])).passing == b""
    assert screen.finish().passing == b""


def test_items_that_are_done_say_what_their_deltas_said():
    shown = screened(Protocol.RESPONSES, answer(Protocol.RESPONSES, ["ring 138", "12345678", " now"]))
    assert shown.passing.count(b"ring [PHONE-1] now") == 2
    check_never_shown(shown.passing, PHONE)


def test_a_report_hears_every_rule_of_the_house():
    """Beside a finding that the rules would block, later ones are heard too."""
    text = f"{SECRET} then {PHONE} then {SECRET}"
    shown = screened(Protocol.CHAT, answer(Protocol.CHAT, list(text)), mode=ScreenMode.REPORT)
    assert len(shown.records) == len(found(reporting(), text)) >= 3
    assert audit("x", text, found(reporting(), text), Placeholders())
    assert isinstance(shown.records[0].excerpt, str)


def test_other_deltas_of_responses_are_texts_too():
    stream = named(delta("reasoning_summary_text", f"ring {PHONE} "), delta("brand_new_text", f"ring {PHONE} "),
                   {"type": "response.completed", "response": response()})  # fmt: skip
    check_never_shown(screened(Protocol.RESPONSES, stream).passing, PHONE)


def test_screening_knows_whether_it_changes():
    changing = [screening(Protocol.CHAT, mode)[0].changes for mode in ScreenMode]
    assert changing == [False, False, True, True]
    assert isinstance(screening(Protocol.CHAT)[0], Screening)
