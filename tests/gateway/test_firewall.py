"""The firewall over whole texts: verdicts, masks, digests, records, the company's words, and that it fails closed."""

import dataclasses
import re
import sys
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ciyuan.basics.errors import Malformed
from ciyuan.gateway import firewall_matcher
from ciyuan.gateway.firewall import (
    EXCERPT_CHARACTERS,
    LONG_RUN,
    Firewall,
    Placeholders,
    audit,
    encoded,
    mask,
)
from ciyuan.gateway.firewall_checks import CHECKS
from ciyuan.gateway.firewall_pattern import EDGE, expression
from ciyuan.gateway.firewall_rules import Action, Kind, Refusal, Rule, View, word_rules
from ciyuan.gateway.firewall_stream import FirewallStream
from tests.gateway.firewalls import (
    KEY,
    found,
    hard_texts,
    masked,
    masking,
    rules,
    shipped,
)

EXAMPLES = settings(max_examples=400)
MATCHER = firewall_matcher.Matcher(masking().rules)
BOOK = [
    (
        re.compile(
            f"{EDGE}{expression(made.before) if made.before else ''}({expression(made.value)}){EDGE}".encode()
        ),
        CHECKS[made.rule.check],
    )
    for made in masking().rules
]


@EXAMPLES
@given(hard_texts())
def test_findings_stand_where_they_say(text):
    findings, data = found(masking(), text), encoded(text)
    assert list(findings) == sorted(findings)
    for one in findings:
        assert 0 <= one.start < one.end <= len(text)
        assert (len(data[: one.start_byte].decode()), len(data[: one.end_byte].decode())) == (
            one.start,
            one.end,
        )
        assert re.fullmatch("[0-9a-f]{32}", one.digest)


@EXAMPLES
@given(hard_texts())
def test_masking_what_is_masked_changes_nothing(text):
    once = masked(masking(), text)
    assert [one for one in found(masking(), once) if one.action >= Action.MASK] == []
    assert masked(masking(), once) == once


@EXAMPLES
@given(hard_texts())
def test_the_engine_changes_nothing(text):
    """What the matcher finds is what `re` and the checks alone define (rule 4)."""
    data = b"\n" + encoded(text)
    hits = MATCHER.search(data, 1).hits
    assert [tuple(hit) for hit in hits] == sorted(_by_the_book(data))


def _by_the_book(data: bytes) -> Iterator[tuple[int, int, int, int]]:
    for number, (pattern, check) in enumerate(BOOK):
        place = 1
        while match := pattern.search(data, place):
            good = check(match[1])
            if good:
                yield match.start(1), match.end(), number, match.start()
            place = match.end() if good else match.start() + 1


@settings(max_examples=100)
@given(st.lists(hard_texts(), max_size=5))
def test_many_texts_in_one_pass_are_each_by_itself(texts):
    together = masking().search(texts)
    assert together == tuple(found(masking(), text) for text in texts)


def test_the_strongest_action_prevails():
    judged = shipped().judge(
        [
            "nothing here",
            "mail a@invented.example",
            "rm -rf / now",
            "AKIAQWERTYUIOPASDFGH and a@invented.example",
        ],
        Placeholders(),
    )
    assert [(one.refusal, one.action) for one in judged] == [
        (Refusal.NONE, Action.OFF),
        (Refusal.NONE, Action.MASK),
        (Refusal.NONE, Action.REPORT),
        (Refusal.BLOCKED, Action.BLOCK),
    ]
    assert [one.text for one in judged] == ["nothing here", "mail [EMAIL-1]", "rm -rf / now", ""]


def test_actions_change_by_rule_and_by_kind():
    actions = {"personal": Action.REPORT, "email": Action.BLOCK, "ipv4": Action.MASK, "secret": Action.OFF}
    firewall = Firewall(rules(), KEY, actions=actions)
    judged = firewall.judge(
        ["13812345678 at 10.2.3.4 AKIAQWERTYUIOPASDFGH", "a@invented.example"], Placeholders()
    )
    assert judged[0].text == "13812345678 at [IP-1] AKIAQWERTYUIOPASDFGH"
    assert [one.action for one in judged[0].findings] == [Action.REPORT, Action.MASK]
    assert judged[1].refusal is Refusal.BLOCKED
    with pytest.raises(Malformed, match="telephones"):
        Firewall(rules(), KEY, actions={"telephones": Action.OFF})


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("极光计划与Project Falcon", "[COMPANY-1]与[COMPANY-2]"),
        ("PROJECT\tfalcon, project  Falcon", "[COMPANY-1], [COMPANY-1]"),
        ("ＡＣＭＥ－９ and acme-9", "[COMPANY-1] and [COMPANY-1]"),
        ("NAÏVE ÜBERPLAN", "[COMPANY-1]"),
        ("Project Falconry, ACME-90, 极光的计划", "Project Falconry, ACME-90, 极光的计划"),
        ("极\u200b光计划", "[COMPANY-1]"),
    ],
)
def test_company_words_in_any_case_and_width(text, expected):
    assert masked(masking(), text) == expected


@pytest.mark.parametrize("word", ["", "ab", "x" * 65, "a[b]c", "email", "Phone-1", "\0\0\0"])
def test_words_that_cannot_be_are_refused(word):
    with pytest.raises(Malformed):
        Firewall(rules(), KEY, words=(word,))


def test_too_many_words_are_refused():
    with pytest.raises(Malformed, match="company words"):
        word_rules((f"word {number}" for number in range(1_001)), Action.BLOCK)


@pytest.mark.parametrize(
    "changed",
    [
        {"pattern": "ab"},
        {"pattern": "a{9000}"},
        {"pattern": r"abc\["},
        {"label": "e-mail"},
        {"label": ""},
        {"pattern": "a*b"},
    ],
)
def test_rules_that_cannot_be_are_refused(changed):
    rule = dataclasses.replace(rules()[0], **changed)
    with pytest.raises(Malformed):
        Firewall((rule,), KEY)


@pytest.mark.parametrize("key", [b"", b"short", b"x" * 65])
def test_a_digest_key_that_is_none_is_refused(key):
    with pytest.raises(Malformed, match="digest key"):
        Firewall((), key)


def test_digests_tell_values_apart_under_one_key_only():
    one, two, three = (
        found(shipped(), text)[0].digest for text in ("138-1234-5678", "13812345678", "13812345679")
    )
    assert one == two != three
    other = Firewall(rules(), b"another key of the tests only")
    assert found(other, "13812345678")[0].digest != two


def test_overlapping_findings_are_written_over_together():
    text = "postgres://ann:Abc123@invented.example/x"
    assert {one.rule for one in found(masking(), text)} >= {"url-password"}
    assert masked(masking(), text) == "[URL-PASSWORD-1]/x"
    assert masked(masking(), "QUtJQVFXRVJUWVVJT1BBU0RGR0g= key") == "[AWS-KEY-1] key"


def test_a_record_holds_no_value_and_no_neighbour():
    text = "Ann is 13812345678, bo@invented.example; rm -rf / AKIAQWERTYUIOPASDFGH"
    findings, placeholders = found(shipped(), text), Placeholders()
    records = audit("messages[0].content", text, findings, placeholders)
    assert [one.rule for one in records] == [one.rule for one in findings]
    assert {one.kind for one in records} == {Kind.PERSONAL, Kind.AGENT, Kind.SECRET}
    for record in records:
        said = repr(record)
        assert all(text[one.start : one.end] not in said for one in findings)
        assert record.digest in {one.digest for one in findings}
        assert len(record.excerpt) <= 2 * EXCERPT_CHARACTERS + len("[URL-PASSWORD-1]")
    assert records[0].excerpt == "Ann is [PHONE-1], [EMAIL-1]; [AGENT-1] [AWS-KEY-1]"


def test_findings_do_not_hold_values():
    (one,) = found(shipped(), "AKIAQWERTYUIOPASDFGH")
    assert "QWERTY" not in repr(one)
    assert one.view is View.PLAIN


def test_mask_can_write_over_reported_findings_too():
    text = "rm -rf / and 13812345678"
    findings = found(shipped(), text)
    assert mask(text, findings, Placeholders()) == "rm -rf / and [PHONE-1]"
    assert mask(text, findings, Placeholders(), Action.REPORT) == "[AGENT-1] and [PHONE-1]"


def test_without_the_engine_everything_is_refused(monkeypatch):
    monkeypatch.setitem(sys.modules, "hyperscan", None)
    firewall = Firewall(rules(), KEY)
    assert isinstance(firewall.fault, Malformed)
    assert "hyperscan" in str(firewall.fault)
    (judged,) = firewall.judge(["nothing here"], Placeholders())
    assert (judged.refusal, judged.text) == (Refusal.NO_DATABASE, "")
    stream = FirewallStream(firewall, Placeholders())
    assert stream.feed("nothing here. ").text == ""
    assert stream.finish().refusal is Refusal.NO_DATABASE


def test_an_engine_that_finds_nothing_is_no_engine(monkeypatch):
    monkeypatch.setattr(firewall_matcher, "database_scan", lambda *_: lambda _data, _found: None)
    firewall = Firewall(rules(), KEY)
    assert firewall.fault is not None
    assert firewall.search(["x"]) is Refusal.NO_DATABASE


def test_a_pattern_that_the_engine_refuses_is_said():
    with pytest.raises(Malformed, match="firewall database"):
        firewall_matcher.database_scan(["abc(", "def"], 1)


def test_a_scan_that_raises_is_refused(monkeypatch):
    firewall = Firewall(rules(), KEY)
    assert firewall.sight is not None

    def broken(*_args):
        raise RuntimeError

    monkeypatch.setattr(firewall.sight, "see", broken)
    assert firewall.search(["x"]) is Refusal.SCAN_FAILED
    assert firewall.judge(["x", "y"], Placeholders())[1].refusal is Refusal.SCAN_FAILED


def test_more_than_one_scan_takes_is_refused(monkeypatch):
    monkeypatch.setattr("ciyuan.gateway.firewall.TEXT_BYTES_MAX", 10)
    assert shipped().search(["12345", "123456"]) is Refusal.TOO_LONG


def test_a_firewall_of_no_rules_finds_nothing():
    firewall = Firewall((), KEY)
    assert (found(firewall, "AKIAQWERTYUIOPASDFGH"), firewall.fault) == ((), None)


def test_the_rule_of_long_runs_can_block():
    run = "QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVo" * 200
    (one,) = found(shipped(), f"see {run} end")
    assert (one.rule, one.action, one.start) == (LONG_RUN.name, Action.REPORT, 4)
    strict = Firewall(rules(), KEY, actions={LONG_RUN.name: Action.BLOCK})
    assert strict.judge([run], Placeholders())[0].refusal is Refusal.BLOCKED


def test_a_users_own_rule_is_a_rule():
    own = Rule(
        "ticket", Kind.COMPANY, Action.MASK, "TICKET", "OPS-[0-9]{4,6}", "a ticket", "ours", "2026-11-21"
    )
    assert masked(Firewall((own,), KEY), "see OPS-12345.") == "see [TICKET-1]."
