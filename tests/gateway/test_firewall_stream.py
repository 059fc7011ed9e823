"""The stream machine: how a text is cut changes nothing, nothing masked is ever let out, and little is held back."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ciyuan.gateway.firewall import Firewall, Placeholders
from ciyuan.gateway.firewall_rules import MATCH_BYTES_MAX, Refusal
from ciyuan.gateway.firewall_stream import HELD_BYTES_MAX, FirewallStream
from tests.gateway.firewalls import (
    KEY,
    cut,
    found,
    hard_texts,
    masked,
    masking,
    plain,
    rules,
    shipped,
    streamed,
)

ENGLISH = "The quick brown fox jumps over the lazy dog, and then it rests for a while in the sun. "
CHINESE = "人人生而自由，在尊严和权利上一律平等。他们赋有理性和良心。"
EXAMPLES = settings(max_examples=400)


@EXAMPLES
@given(hard_texts(), st.lists(st.integers(0, 400), max_size=12))
def test_any_cut_gives_the_findings_and_the_text_of_the_whole(text, places):
    out, findings, refusal = streamed(masking(), cut(text, places))
    assert findings == found(masking(), text)
    assert out == plain(masked(masking(), text))
    assert refusal is Refusal.NONE


@EXAMPLES
@given(hard_texts())
def test_letter_by_letter_too(text):
    out, findings, _ = streamed(masking(), list(text))
    assert findings == found(masking(), text)
    assert out == plain(masked(masking(), text))


@EXAMPLES
@given(hard_texts(), st.lists(st.integers(0, 400), max_size=12))
def test_what_is_blocked_ends_the_stream_at_the_same_place(text, places):
    whole, cut_up = streamed(shipped(), [text]), streamed(shipped(), cut(text, places))
    assert cut_up == whole
    blocked = any(one.action.name == "BLOCK" for one in found(shipped(), text))
    assert whole[2] is (Refusal.BLOCKED if blocked else Refusal.NONE)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("call 13812345678 now", "13812345678"),
        ("mail ann.li@invented.example now", "ann.li@invented.example"),
        ("card 4111 1111 1111 1111 now", "4111 1111 1111 1111"),
        ("密码：abc123xyz。", "abc123xyz"),
        ("the Project  Falcon papers", "Project  Falcon"),
        (r"say \u0031\u00338\u00312345678 now", r"\u0031\u00338\u00312345678"),
    ],
)
def test_no_part_of_a_value_comes_out_wherever_it_is_cut(text, value):
    start = text.index(value)
    for place in range(start, start + len(value) + 1):
        stream = FirewallStream(masking(), Placeholders())
        first = stream.feed(text[:place]).text
        assert text[:start].startswith(first) or "[" in first
        assert value[:2] not in first + stream.feed(text[place:]).text + stream.finish().text


def test_prose_is_held_back_by_the_word():
    stream = FirewallStream(shipped(), Placeholders())
    for start in range(0, len(ENGLISH * 5), 7):
        stream.feed((ENGLISH * 5)[start : start + 7])
        assert stream.held_bytes <= len("while in")
        assert b" " not in stream._held


def test_chinese_prose_is_held_back_by_a_letter_that_begins_a_name_at_most():
    stream = FirewallStream(shipped(), Placeholders())
    for letter in CHINESE * 3:
        stream.feed(letter)
        assert stream.held_bytes in {0, len("生".encode())}  # 生日, a birthday, may follow


@pytest.mark.parametrize(
    ("text", "held"),
    [
        ("hello ", ""), ("hello", "hello"), ("you pass", "pass"), ("my password is", "is"), ("the password: ", "password: "),
        ("13812345678", "13812345678"), ("4111 1111", "4111 1111"), ("99 bottles ", ""), ("极光", "极光"),
        ("极光下", ""), ("a\\u00", "a\\u00"), ("a b\\", "b\\"), ("Project", "Project"), ("Project ", "Project "),
        ("Project X", "X"),
        ("-----BEGIN PRIVATE KEY-----\nMIIE", "-----BEGIN PRIVATE KEY-----\nMIIE"), ("x" * 200 + "! ", ""),
    ],
)  # fmt: skip
def test_what_is_held_may_still_become_a_hit_and_the_rest_may_not(text, held):
    stream = FirewallStream(shipped(), Placeholders())
    assert stream.feed(text).text + held == text
    assert stream.held_bytes == len(held.encode())


@settings(max_examples=150)
@given(hard_texts(), st.integers(1, 40))
def test_what_is_held_is_bounded(text, step):
    stream = FirewallStream(masking(), Placeholders())
    for start in range(0, len(text), step):
        stream.feed(text[start : start + step])
        assert stream.held_bytes <= 2 * MATCH_BYTES_MAX


def test_a_long_run_of_base64_flows_again_once_it_is_too_long_to_look_into():
    text = "QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVo" * 400
    stream = FirewallStream(shipped(), Placeholders())
    out = "".join(stream.feed(text[start : start + 50]).text for start in range(0, len(text), 50))
    assert stream.held_bytes < 5_000
    findings = found(shipped(), text)
    assert [one.rule for one in findings] == ["base64-long"]
    assert out + stream.finish().text == text


def test_a_stream_that_holds_too_much_is_refused():
    row = "4111 1112 " * (HELD_BYTES_MAX // 5)
    out, _, refusal = streamed(masking(), [row[start : start + 4000] for start in range(0, len(row), 4000)])
    assert refusal in {Refusal.NONE, Refusal.TOO_LONG}
    assert len(out) <= len(row)
    header = "-----BEGIN PRIVATE KEY-----\n"
    endless = FirewallStream(masking(), Placeholders())
    for _ in range(2 * HELD_BYTES_MAX // 4000):
        endless.feed(header + "A1 " * 1300)
    assert endless.held_bytes <= HELD_BYTES_MAX


def test_after_a_refusal_nothing_comes_out():
    stream = FirewallStream(shipped(), Placeholders())
    ended = stream.feed("the key is AKIAQWERTYUIOPASDFGH and more. ")
    assert (ended.text, ended.refusal) == ("the key is ", Refusal.BLOCKED)
    assert [one.rule for one in ended.findings] == ["aws-access-key"]
    assert stream.feed("harmless words").text == stream.finish().text == ""
    assert stream.feed("x").refusal is Refusal.BLOCKED
    assert stream.held_bytes == 0


def test_the_answer_has_the_requests_placeholders():
    placeholders = Placeholders()
    (asked,) = shipped().judge(["write to bo@invented.example and ann@invented.example"], placeholders)
    assert asked.text == "write to [EMAIL-1] and [EMAIL-2]"
    stream = FirewallStream(shipped(), placeholders)
    out = (
        stream.feed("Done: Ann@invented.example, cy@invented").text
        + stream.feed(".example.").text
        + stream.finish().text
    )
    assert out == "Done: [EMAIL-2], [EMAIL-3]."


def test_a_scan_that_fails_refuses_the_stream(monkeypatch):
    firewall = Firewall(rules(), KEY)
    stream = FirewallStream(firewall, Placeholders())
    assert stream.feed("all is well. ").text == "all is well. "
    assert firewall.sight is not None

    def broken(*_args):
        raise MemoryError

    monkeypatch.setattr(firewall.sight, "see", broken)
    assert stream.feed("then it fails. ") == stream.feed("and stays so. ")
    assert stream.refusal is Refusal.SCAN_FAILED


def test_a_surrogate_without_its_half_goes_out_as_the_replacement_character():
    assert streamed(shipped(), ["a \ud83d", "\ude00 b. "])[0] == "a \ufffd\ufffd b. "


@pytest.mark.parametrize(
    "text",
    [
        "0086-1776822 9133",
        "a.b-c@example.comQUtJQVFXRVJUWVVJT1BBU0RGR0g=\u200b==",
        "13812345678+86 138-1234-5678\\u0031\\u003338\\u003123456781381234567813812345678",
        "1381234567813812345678\\u0031\\u003338\\u00312345678token: 9f8e7d6c5b4a39281706token: 9f8e7d6c5b4a39281706",
        "０password = hunter2Xpassword = hunter2X",
        "１３８１２３４５６７８YN487647(9)",
    ],
)
def test_texts_that_once_came_out_otherwise_letter_by_letter(text):
    out, findings, _ = streamed(masking(), list(text))
    assert findings == found(masking(), text)
    assert out == plain(masked(masking(), text))
