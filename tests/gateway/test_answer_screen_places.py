"""Texts in pieces: ranges, edits, pauses; and calls that are gathered."""

import json
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ciyuan.gateway import answer_screen_places
from ciyuan.gateway.answer_screen_places import CallPlace, Ranges, TextPlace
from ciyuan.gateway.answer_screen_terms import ScreenMode, Stopped
from ciyuan.gateway.door_refusals import Protocol
from ciyuan.gateway.firewall_agent import AgentPolicy
from ciyuan.gateway.firewall_rules import Action
from tests.gateway.firewalls import cut, found, hard_texts, masked, masking, plain, shipped
from tests.gateway.screens import PHONE, SECRET, screening

EXAMPLES = settings(max_examples=200, deadline=None)


def place_of(firewall=None, mode=ScreenMode.RULES):
    made, records = screening(Protocol.CHAT, mode, firewall)
    assert made.firewall is not None
    return TextPlace(made, made.firewall, "here"), records


@EXAMPLES
@given(hard_texts(), st.lists(st.integers(0, 400), max_size=10))
def test_ranges_joined_are_the_masked_text_wherever_their_borders_are(text, places):
    whole = plain(text)
    place, _ = place_of(masking())
    ranges = [place.add(piece) for piece in cut(whole, places) if piece]
    settled = [place.settled]
    place.pause()
    assert place.settled == place.fed == len(whole.encode()) >= settled[0]
    assert "".join(place.text(*one) for one in ranges) == masked(masking(), whole)
    touched = [place.touched(*one) for one in ranges]
    assert any(touched) is any(one.action >= Action.MASK for one in found(masking(), whole))
    for one, changed in zip(ranges, touched, strict=True):
        if not changed:
            assert place.text(*one) == whole.encode()[one[0] : one[1]].decode()


@EXAMPLES
@given(hard_texts(), st.lists(st.integers(0, 400), max_size=10))
def test_a_pause_anywhere_lets_no_whole_value_out(text, places):
    whole = plain(text)
    place, _ = place_of(masking())
    shown = []
    with suppress(Stopped):
        for piece in filter(None, cut(whole, places)):
            start, end = place.add(piece)
            place.pause()
            shown.append(place.text(start, end))
            place.leave(end)
    out = "".join(shown)
    for one in found(masking(), whole):
        value = whole[one.start : one.end]
        if one.action >= Action.MASK and whole.count(value) == 1 and len(value) > 8:
            assert value not in out


def test_what_goes_on_after_a_pause_is_found_and_refused_if_a_part_is_out():
    place, records = place_of()
    place.add("ring 1381234")
    place.pause()
    assert place.settled == place.fed
    with pytest.raises(Stopped):
        place.add("5678 ")
    assert place.settled == len("ring 1381234")
    assert [record.rule for record in records] == ["cn-mobile"]
    assert "1381234" not in records[0].excerpt


def test_a_pause_without_anything_held_is_none():
    place, _ = place_of()
    place.add("fine. ")
    place.pause()
    place.add(f"{PHONE} ")
    assert place.text(6, place.fed) == "[PHONE-1] "


def test_a_refusal_settles_what_stands_before_the_finding():
    place, records = place_of()
    with pytest.raises(Stopped) as stopped:
        place.add(f"so the key is {SECRET} or {PHONE} ok")
    assert place.settled == len("so the key is ")
    assert "aws-access-key in here" in stopped.value.refused.message
    assert not any(value in record.excerpt for record in records for value in (SECRET, PHONE))


def test_halves_of_a_character_are_joined():
    place, _ = place_of()
    first, second = place.add("a \ud83d"), place.add("\ude00 b ")
    assert (first, second) == ((0, 2), (2, 9))
    assert place.text(*second) == "😀 b "
    place.add("\ud83d")
    place.pause()
    assert place.text(9, place.fed) == "\ufffd"


def test_what_has_gone_on_is_forgotten():
    place, _ = place_of(masking())
    for _ in range(3_000):
        _, end = place.add(f"{PHONE} word ")
        if place.settled >= end:
            place.leave(end)
    assert len(place._kept) < 10_000
    assert len(place._edits) < 10


def test_edits_go_to_whoever_holds_their_first_byte():
    ranges = Ranges()
    ranges._append(b"abcdefgh")
    ranges._edits.append((2, 6, b"--"))
    assert [ranges.text(*one) for one in ((0, 2), (2, 4), (4, 7), (7, 8))] == ["ab", "--", "g", "h"]
    assert ranges.text(0, 8) == "ab--gh"
    assert ranges.text(3, 3) == ""
    assert [ranges.touched(*one) for one in ((0, 2), (2, 4), (6, 8))] == [False, True, False]


# --- calls ---


def call_of(policy=None, mode=ScreenMode.RULES):
    made, records = screening(Protocol.CHAT, mode, policy=policy)
    return CallPlace(made, "choices[0].tool_calls[0]"), records


def test_a_call_is_open_until_it_is_judged():
    call, _ = call_of()
    assert call.add("", "dial", "", written=False) == (0, 0)
    assert call.open
    assert call.add('{"a":', "", "", written=True) == (0, 5)
    call.judge()
    assert not call.open
    assert call.settled == 5
    call.add("1}", "", "", written=True)
    assert call.open


def test_a_name_in_pieces_is_put_together_and_a_repeated_one_is_not():
    for names in (["get_", "weather"], ["get_weather", "get_weather"]):
        call, _ = call_of(AgentPolicy(tools_allowed=("get_weather",)))
        for name in names:
            call.add("{}", name, "", written=True)
        call.judge()
        assert not call.open


def test_what_is_not_written_is_judged_by_the_policy():
    call, records = call_of(AgentPolicy(hosts_denied=("bad.example",)))
    call.add('{"host":"bad.example"}', "connect", "", written=False)
    call.add('{"x":1}', "", "", written=True)
    with pytest.raises(Stopped):
        call.judge()
    assert [record.rule for record in records] == ["agent-destination"]


def test_a_call_without_a_name_is_judged_by_its_hosts():
    call, _ = call_of(AgentPolicy(tools_allowed=("x",), hosts_denied=("bad.example",)))
    call.add('{"a":1}', "", "", written=True)
    call.judge()
    call.add('{"host":"https://bad.example"}', "", "", written=True)
    with pytest.raises(Stopped):
        call.judge()


def test_masked_arguments_are_json_and_are_written_once():
    call, records = call_of()
    ranges = [call.add(piece, "", "", written=True) for piece in ('{"n":138', "12345678", "}")]
    call.judge()
    written = [call.text(*one) for one in ranges]
    assert json.loads(written[0]) == {"n": "[PHONE-1]"}
    assert written[1:] == ["", ""]
    assert [record.path for record in records] == ["choices[0].tool_calls[0]"]


def test_a_call_that_never_ends_ending_is_refused():
    call, _ = call_of()
    for _ in range(answer_screen_places.JUDGED_MAX):
        call.add("1", "", "", written=True)
        call.judge()
    call.add("1", "", "", written=True)
    with pytest.raises(Stopped):
        call.judge()


def test_a_call_too_long_is_refused(monkeypatch):
    monkeypatch.setattr(answer_screen_places, "CALL_BYTES_MAX", 10)
    call, _ = call_of()
    with pytest.raises(Stopped):
        call.add("x" * 11, "", "", written=True)


def test_reported_arguments_stay_as_they_are():
    call, records = call_of(mode=ScreenMode.REPORT)
    placed = call.add(json.dumps({"to": PHONE, "key": SECRET}), "", "", written=True)
    call.judge()
    assert not call.touched(*placed)
    assert {record.action for record in records} == {Action.REPORT}
    assert len(found(shipped(), json.dumps({"to": PHONE, "key": SECRET}))) == len(records)
