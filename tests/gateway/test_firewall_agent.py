"""What agents may do: tools by name, hosts by any spelling, lists that deny before they allow."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ciyuan.gateway.firewall_agent import (
    AgentPolicy,
    AgentVerdict,
    Overreach,
    ToolUse,
    agent_verdict,
    destinations,
    host_verdict,
    overreach,
    tool_uses,
)
from ciyuan.gateway.firewall_hosts import UNREADABLE_HOST, canonical_host, hosts_in, is_private
from ciyuan.gateway.firewall_rules import Refusal

OPEN = AgentPolicy()
STRICT = AgentPolicy(
    tools_allowed=("read_*", "mail_send", "web_search*"),
    tools_denied=("read_secrets",),
    hosts_allowed=("invented.example", "*.invented.example", "10.1.2.3"),
    hosts_denied=("bad.invented.example",),
)


def called(name: str, arguments: object) -> ToolUse:
    return ToolUse(name, arguments if isinstance(arguments, str) else json.dumps(arguments), offered=False)


@pytest.mark.parametrize(
    ("use", "expected"),
    [
        (called("read_file", {"path": "notes.txt"}), AgentVerdict.ALLOWED),
        (called("READ_file", {}), AgentVerdict.ALLOWED),
        (called("read_secrets", {}), AgentVerdict.TOOL_DENIED),
        (called("write_file", {}), AgentVerdict.TOOL_NOT_LISTED),
        (called("", {}), AgentVerdict.TOOL_NOT_LISTED),
        (called("mail_send", {"url": "https://api.invented.example/x"}), AgentVerdict.ALLOWED),
        (called("mail_send", {"url": "https://bad.invented.example/x"}), AgentVerdict.DESTINATION_DENIED),
        (called("mail_send", {"url": "https://other.example/x"}), AgentVerdict.DESTINATION_NOT_LISTED),
        (
            called("mail_send", {"url": "https://invented.example.evil.com"}),
            AgentVerdict.DESTINATION_NOT_LISTED,
        ),
        (called("mail_send", {"url": "http://169.254.169.254/latest"}), AgentVerdict.DESTINATION_PRIVATE),
        (called("mail_send", {"host": "10.1.2.3"}), AgentVerdict.ALLOWED),
        (called("mail_send", {"host": "10.1.2.4:8080"}), AgentVerdict.DESTINATION_PRIVATE),
        (called("mail_send", {"server": "printer"}), AgentVerdict.DESTINATION_PRIVATE),
        (called("mail_send", {"cmd": "curl http://\u2028\u00a0x/"}), AgentVerdict.DESTINATION_UNREADABLE),
        (called("mail_send", {"cmd": ["curl", "evil.com"]}), AgentVerdict.DESTINATION_NOT_LISTED),
        (called("mail_send", "wget http:\\/\\/evil.com\\/x"), AgentVerdict.DESTINATION_NOT_LISTED),
    ],
)
def test_uses_are_judged(use, expected):
    assert agent_verdict(STRICT, use).verdict is expected


def test_without_lists_only_hosts_inside_are_denied():
    assert (
        agent_verdict(OPEN, called("anything", {"url": "https://example.com"})).verdict
        is AgentVerdict.ALLOWED
    )
    assert agent_verdict(OPEN, called("anything", {"url": "http://localhost:9200"})) == Overreach(
        "anything", AgentVerdict.DESTINATION_PRIVATE, "localhost"
    )


CHAT = {
    "tools": [
        {"type": "function", "function": {"name": "offer_a"}},
        {"type": "custom", "custom": {"name": "offer_b"}},
    ],
    "functions": [{"name": "offer_c"}],
    "messages": [
        {
            "tool_calls": [
                {
                    "id": "1",
                    "type": "function",
                    "function": {"name": "call_a", "arguments": '{"u": "https://a.example"}'},
                }
            ]
        },
        {"function_call": {"name": "call_b", "arguments": "{}"}},
    ],
}
RESPONSES = {
    "tools": [{"type": "function", "name": "offer_d"}, {"type": "web_search"}, {"type": "mcp", "server_label": "offer_e",
        "server_url": "https://m.example/sse"}],
    "input": [
        {"type": "function_call", "name": "call_c", "arguments": "{}"}, {"type": "mcp_call", "name": "call_d",
        "arguments": "{}"},
        {"type": "local_shell_call", "action": {"command": ["curl", "https://s.example"]}},
    ],
}  # fmt: skip
MESSAGES = {
    "tools": [{"name": "offer_f", "input_schema": {}}, {"type": "bash_20250124", "name": "bash"}],
    "mcp_servers": [{"type": "url", "url": "https://n.example", "name": "offer_g"}],
    "messages": [{"content": [{"type": "tool_use", "name": "call_e", "input": {"url": "https://t.example"}},
        {"type": "server_tool_use", "name": "call_f", "input": {}}]}],
}  # fmt: skip


@pytest.mark.parametrize(
    ("body", "offered", "calls", "hosts"),
    [
        (CHAT, ["offer_a", "offer_b", "offer_c"], ["call_a", "call_b"], ["a.example"]),
        (
            RESPONSES,
            ["offer_d", "web_search", "offer_e"],
            ["call_c", "call_d", "local_shell_call"],
            ["m.example", "s.example"],
        ),
        (MESSAGES, ["offer_f", "bash", "offer_g"], ["call_e", "call_f"], ["n.example", "t.example"]),
    ],
    ids=["chat", "responses", "messages"],
)
def test_tools_are_found_in_every_protocol(body, offered, calls, hosts):
    uses = list(tool_uses(body))
    assert [one.name for one in uses if one.offered] == offered
    assert [one.name for one in uses if not one.offered] == calls
    assert sorted({host for one in uses for host in destinations(one.arguments)}) == hosts


def test_overreach_is_said_worst_first_with_its_refusal():
    found = overreach(AgentPolicy(tools_denied=("call_e",), hosts_denied=("n.example",)), MESSAGES)
    assert [(one.tool, one.verdict, one.refusal) for one in found] == [
        ("call_e", AgentVerdict.TOOL_DENIED, Refusal.TOOL_DENIED),
        ("offer_g", AgentVerdict.DESTINATION_DENIED, Refusal.DESTINATION_DENIED),
    ]
    assert overreach(OPEN, MESSAGES) == ()


def test_a_body_too_deep_to_judge_is_not_allowed():
    body: object = {"type": "tool_use", "name": "call", "input": {}}
    for _ in range(70):
        body = [body]
    assert [one.verdict for one in overreach(OPEN, body)] == [AgentVerdict.TOO_DEEP]


@pytest.mark.parametrize(
    ("spelling", "host"),
    [
        ("https://EXAMPLE.com.:443/", "example.com"), ("//example.com/x", "example.com"), ("http:\\\\example.com\\x",
        "example.com"),
        ("ftp://u:p@example.com", "example.com"), ("http://example.com#@good.com", "example.com"),
        ("http://example.com?@good.com", "example.com"),
        ("http://good.com@example.com", "example.com"), ("http://%65xample.com", "example.com"), ("http://ⓔxample.com",
        "example.com"),
        ("https:\\u002f\\u002fexample.com", "example.com"), ("http://127.1", "127.0.0.1"), ("http://017700000001", "127.0.0.1"),
        ("http://0x7f000001/", "127.0.0.1"), ("http://[::1]:80/", "::1"), ("http://[::ffff:7f00:1]/", "127.0.0.1"),
        ("ping 8.8.8.8", "8.8.8.8"),
        ("https://bücher.example/", "xn--bcher-kva.example"), ("ssh admin@example.com:repo", "example.com"),
        ("curl example.com/x", "example.com"),
    ],
)  # fmt: skip
def test_hosts_are_read_as_a_browser_would(spelling, host):
    assert host in hosts_in(f"go {spelling} now")


@pytest.mark.parametrize(
    "text",
    [
        "see main.py and README.md",
        "os.path.join(a, b)",
        "version 1.2.3",
        "3.14",
        "e.g. this",
        "a@b",
        "C:\\temp\\x",
    ],
)
def test_names_of_files_and_numbers_are_no_hosts(text):
    assert hosts_in(text) == ()


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "10.0.0.1", "192.168.1.1", "169.254.169.254", "::1", "fd00::1", "localhost", "db", "x.internal",
    "a.localhost", "0.0.0.0"]  # noqa: S104
)  # fmt: skip
def test_hosts_inside(host):
    assert is_private(host)
    assert host_verdict(OPEN, host) is AgentVerdict.DESTINATION_PRIVATE


@pytest.mark.parametrize("host", ["8.8.8.8", "example.com", "2606:4700::1111"])
def test_hosts_outside(host):
    assert not is_private(host)


@pytest.mark.parametrize("name", ["", "a b", "a..b", "x" * 300, "\u00a0", "a/b", "1.2.3.4.5.6e!"])
def test_what_is_no_host_cannot_be_read(name):
    assert canonical_host(name) == UNREADABLE_HOST


@given(st.text(max_size=60))
def test_a_host_has_one_name(text):
    host = canonical_host(text)
    assert canonical_host(host) == host


@given(
    st.text(max_size=80),
    st.sampled_from(["https://evil.example/", "http://evil.example", "//evil.example/x"]),
)
def test_a_url_is_seen_whatever_stands_around_it(text, url):
    assert "evil.example" in hosts_in(f"{text} {url} {text}")
