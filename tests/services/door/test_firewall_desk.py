"""The desk of the firewall: what of a request may go on, and what its answer is screened by."""

import json
from types import SimpleNamespace

import pytest

from ciyuan.gateway.answer_screen import AnswerScreen
from ciyuan.gateway.answer_screen_terms import ScreenMode
from ciyuan.gateway.answer_screen_whole import screen_whole
from ciyuan.gateway.ask import Ask, read_ask
from ciyuan.gateway.door_refusals import DoorRefusal, Protocol, Refused
from ciyuan.gateway.firewall import Placeholders
from ciyuan.gateway.firewall_agent import AgentPolicy
from ciyuan.gateway.firewall_rules import Action
from ciyuan.services.door.firewall_desk import ALL_ALLOWED, SCREEN_MODES, FirewallDesk
from ciyuan.services.door.registry_keys import FirewallMode
from tests.gateway.firewalls import shipped
from tests.gateway.recorded import CHAT_WHOLE, encoded
from tests.gateway.screens import PHONE, SECRET, SPOKEN, answer, text_of

OTHER = "13987654321"


class Desk:
    """A desk, and what it records."""

    def __init__(self, **terms):
        self.found: list = []
        self.desk = FirewallDesk(shipped(), lambda *one: self.found.append(one), **terms)

    def sides(self):
        return [side for _, side, _ in self.found]


def key_of(mode=FirewallMode.RULES, policy=ALL_ALLOWED):
    return SimpleNamespace(firewall=mode, policy=policy)


def request(text, **more):
    return encoded({"model": "m", "messages": [{"role": "user", "content": text}], "max_tokens": 9} | more)


def asked(body):
    ask = read_ask(Protocol.CHAT, body)
    assert isinstance(ask, Ask)
    return ask


def screened(desk, key, body, placeholders=None):
    return desk.desk.screen(key, asked(body), body, placeholders)


# --- requests ---


def test_a_clean_request_goes_on_as_it_came():
    for mode in FirewallMode:
        desk, body = Desk(), request("hello")
        assert screened(desk, key_of(mode), body) is body
        assert desk.found == []


def test_modes_of_requests():
    secret, phone = request(f"key {SECRET}"), request(f"ring {PHONE}")
    desk = Desk()
    refused = screened(desk, key_of(), secret)
    assert isinstance(refused, Refused)
    assert refused.refusal is DoorRefusal.CONTENT_BLOCKED
    assert SECRET not in refused.message
    masked = screened(desk, key_of(), phone)
    assert json.loads(masked)["messages"][0]["content"] == "ring [PHONE-1]"
    assert isinstance(screened(desk, key_of(FirewallMode.BLOCK), phone), Refused)
    assert desk.sides() == ["request"] * 3
    assert screened(desk, key_of(FirewallMode.REPORT), secret) is secret
    assert len(desk.found) == 4
    assert screened(desk, key_of(FirewallMode.OFF), secret) is secret
    assert len(desk.found) == 4


def test_a_request_beyond_the_keys_policy_is_refused():
    tools = [{"type": "function", "function": {"name": "dial"}}]
    policy = AgentPolicy(tools_denied=("dial",))
    refused = screened(Desk(), key_of(FirewallMode.OFF, policy), request("hello", tools=tools))
    assert isinstance(refused, Refused)
    assert refused.refusal is DoorRefusal.NOT_PERMITTED


def test_pictures_are_refused_where_nothing_opaque_is_allowed():
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}}
    body = request([picture])
    assert screened(Desk(), key_of(), body) is body
    assert isinstance(screened(Desk(opaque_allowed=False), key_of(), body), Refused)


# --- answers ---


@pytest.mark.parametrize("mode", list(FirewallMode))
def test_an_answer_is_screened_as_the_key_says(mode):
    desk = Desk()
    screening = desk.desk.screening(key_of(mode), Protocol.CHAT, Placeholders(), "req_1")
    if mode is FirewallMode.OFF:
        assert screening is None
        return
    assert screening is not None
    assert (screening.mode.name, screening.policy, screening.name) == (mode.name, None, "req_1")
    shown = screen_whole(screening, encoded({"choices": [{"message": {"content": f"ring {PHONE}"}}]}))
    assert (shown.refused is not None) is (mode is FirewallMode.BLOCK)
    assert (PHONE.encode() in shown.passing) is (mode is FirewallMode.REPORT)
    (one,) = desk.found
    assert one[1] == "answer"
    action = {
        FirewallMode.RULES: Action.MASK,
        FirewallMode.REPORT: Action.REPORT,
        FirewallMode.BLOCK: Action.BLOCK,
    }
    assert one[2].action is action[mode]


def test_every_mode_of_a_key_is_a_mode_of_a_screen():
    assert set(SCREEN_MODES) == set(FirewallMode)
    assert sorted(SCREEN_MODES.values()) == sorted(ScreenMode)
    assert all(mode.name == SCREEN_MODES[mode].name for mode in FirewallMode)


def test_embeddings_are_not_looked_at():
    policy = AgentPolicy(tools_denied=("x",))
    assert Desk().desk.screening(key_of(policy=policy), Protocol.EMBEDDINGS, Placeholders(), "") is None


def test_a_policy_is_kept_though_the_firewall_is_off():
    desk = Desk()
    policy = AgentPolicy(tools_denied=("get_*",))
    screening = desk.desk.screening(key_of(FirewallMode.OFF, policy), Protocol.CHAT, Placeholders(), "")
    assert screening is not None
    assert screening.firewall is None
    assert screen_whole(screening, encoded(CHAT_WHOLE)).passing == encoded(CHAT_WHOLE)
    called = {"choices": [{"message": {"tool_calls": [{"function": {"name": "get_it", "arguments": "{}"}}]}}]}
    assert screen_whole(screening, encoded(called)).refused is not None
    assert desk.sides() == ["answer"]


@pytest.mark.parametrize("protocol", SPOKEN)
def test_a_request_and_its_answer_share_their_placeholders(protocol):
    desk, placeholders = Desk(), Placeholders()
    masked = screened(desk, key_of(), request(f"{OTHER} or {PHONE}?"), placeholders)
    assert json.loads(masked)["messages"][0]["content"] == "[PHONE-1] or [PHONE-2]?"
    screening = desk.desk.screening(key_of(), protocol, placeholders, "req_1")
    assert screening is not None
    screen = AnswerScreen(screening)
    passing = screen.feed(answer(protocol, [PHONE[:5], PHONE[5:]])).passing + screen.finish().passing
    assert text_of(protocol, passing) == "[PHONE-2]"
    assert sorted(desk.sides()) == ["answer"] * desk.sides().count("answer") + ["request"] * 2
