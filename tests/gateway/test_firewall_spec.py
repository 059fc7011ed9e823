"""docs/spec/firewall.md is as built: its tables are read here and played."""

import re

import pytest

from ciyuan.gateway.firewall import TEXT_BYTES_MAX, Placeholders
from ciyuan.gateway.firewall_agent import AgentVerdict
from ciyuan.gateway.firewall_body import DEPTH_MAX
from ciyuan.gateway.firewall_checks import SECRET_MILLIBITS_MIN, VARIED_MIN, VARIED_TAIL_BYTES
from ciyuan.gateway.firewall_hosts import hosts_in
from ciyuan.gateway.firewall_rules import MATCH_BYTES_MAX, WORDS_MAX, Kind, Refusal
from ciyuan.gateway.firewall_stream import HELD_BYTES_MAX, LONG_HELD_BYTES, FirewallStream
from ciyuan.gateway.firewall_views import OUTSIDE, RUN_BYTES_MAX, fold
from tests.gateway.firewalls import found, masking, shipped
from tests.sources import ROOT, table

SPEC = (ROOT / "docs" / "spec" / "firewall.md").read_text(encoding="utf-8")


def code(cell: str) -> str:
    quoted = re.search(r"`([^`]*)`", cell)
    return quoted[1] if quoted else ""


def test_rules_are_numbered_without_a_gap():
    numbers = [int(number) for number in re.findall(r"^(\d+)\. ", SPEC, re.MULTILINE)]
    assert numbers == list(range(1, len(numbers) + 1))


def test_kinds_and_refusals_are_those_of_the_code():
    assert [code(row[0]) for row in table(SPEC, "kind", "what")] == [kind.name for kind in Kind]
    assert [(int(row[0]), code(row[1])) for row in table(SPEC, "value", "refusal")] == [
        (int(refusal), refusal.name) for refusal in Refusal if refusal
    ]
    said = SPEC[SPEC.index("21. What is judged") :]
    assert re.findall(r"`([A-Z_]+)`", said) == [one.name for one in AgentVerdict if one]


@pytest.mark.parametrize(("written", "read"), [row[:2] for row in table(SPEC, "written", "read as")])
def test_disguises_are_undone(written, read):
    undone = fold(b"\n" + code(written).encode(), OUTSIDE).data[1:].decode()
    assert undone == code(read)


@pytest.mark.parametrize(("text", "handed_on"), [row[:2] for row in table(SPEC, "text", "handed on")])
def test_texts_are_handed_on_as_the_page_says(text, handed_on):
    (judged,) = shipped().judge([code(text)], Placeholders())
    if handed_on.startswith("refused"):
        assert (judged.text, judged.refusal.name) == ("", code(handed_on))
    else:
        assert (judged.text, judged.refusal) == (code(handed_on), Refusal.NONE)


@pytest.mark.parametrize(("fed", "let_out", "held"), table(SPEC, "fed", "let out"))
def test_streams_let_out_what_the_page_says(fed, let_out, held):
    stream = FirewallStream(shipped(), Placeholders())
    assert stream.feed(code(fed)).text == code(let_out)
    assert stream.held_bytes == len(code(held).encode())


@pytest.mark.parametrize(("arguments", "hosts"), [row[:2] for row in table(SPEC, "arguments", "hosts")])
def test_hosts_are_read_as_the_page_says(arguments, hosts):
    assert code(hosts) in hosts_in(code(arguments)) if code(hosts) else hosts_in(code(arguments)) == ()


def test_the_pages_limits_are_the_codes():
    for shown in (
        f"{MATCH_BYTES_MAX:,} bytes", f"{RUN_BYTES_MAX:,} letters", f"{TEXT_BYTES_MAX >> 20} MiB", f"{HELD_BYTES_MAX:,} bytes",
        f"more than {DEPTH_MAX} deep",
        f"beyond {LONG_HELD_BYTES} bytes", f"up to {WORDS_MAX:,}", f"{SECRET_MILLIBITS_MIN // 1000} bits",
    ):  # fmt: skip
        assert shown in SPEC.replace("\n", " "), shown
    assert (VARIED_MIN, VARIED_TAIL_BYTES) == (7, 20)


def test_a_word_is_not_cut():
    assert found(masking(), "x13812345678 13812345678x") == ()
