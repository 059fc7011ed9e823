"""The terms of a screen: modes, the firewalls that they ask for, and refusals in words that tell no value."""

import pytest

from ciyuan.gateway.answer_screen_terms import OneAction, ScreenMode, Stopped, blocked, tempered, withheld
from ciyuan.gateway.door_refusals import WORDS, DoorRefusal
from ciyuan.gateway.firewall import Placeholders, audit
from ciyuan.gateway.firewall_agent import AgentVerdict, Overreach
from ciyuan.gateway.firewall_rules import Action, Kind, Refusal
from tests.gateway.firewalls import found, shipped
from tests.gateway.screens import PHONE, SECRET

TEXT = f"key {SECRET}, ring {PHONE}, at curl http://169.254.169.254/ now"


def test_each_mode_has_its_firewall():
    assert tempered(shipped(), ScreenMode.OFF) is None
    assert tempered(shipped(), ScreenMode.RULES) is shipped()
    actions = {found_one.action for found_one in found(shipped(), TEXT)}
    assert actions == {Action.REPORT, Action.MASK, Action.BLOCK}
    for mode, action in ((ScreenMode.REPORT, Action.REPORT), (ScreenMode.BLOCK, Action.BLOCK)):
        firewall = tempered(shipped(), mode)
        assert firewall is not None
        assert {one.action for one in found(firewall, TEXT)} == {action}


def test_another_action_changes_nothing_else_and_not_the_firewall_it_is_of():
    before = found(shipped(), TEXT)
    masked = found(OneAction(shipped(), Action.MASK), TEXT)
    assert [one._replace(action=Action.MASK) for one in before] == list(masked)
    assert found(shipped(), TEXT) == before


def test_a_refusal_names_the_rule_and_the_place_once_and_no_value():
    records = audit("content[0].text", TEXT, found(shipped(), TEXT), Placeholders())
    refused = blocked(Refusal.BLOCKED, (*records, *records))
    assert refused.refusal is DoorRefusal.CONTENT_BLOCKED
    assert refused.message.count("aws-access-key in content[0].text") == 1
    assert SECRET not in refused.message
    assert PHONE not in refused.message
    assert blocked(Refusal.NO_DATABASE).message == "The firewall refuses the answer: no database."
    assert WORDS[refused.refusal].status == 400
    assert not WORDS[refused.refusal].retry


@pytest.mark.parametrize(
    ("verdict", "host", "rule"),
    [
        (AgentVerdict.TOOL_DENIED, "", "agent-tool"), (AgentVerdict.TOO_DEEP, "", "agent-tool"),
        (AgentVerdict.DESTINATION_DENIED, "bad.example", "agent-destination"),
        (AgentVerdict.DESTINATION_NOT_LISTED, "bad.example", "agent-destination"),
    ],
)  # fmt: skip
def test_a_call_withheld_says_which_and_why(verdict, host, rule):
    refused, record = withheld(Overreach("fetch", verdict, host))
    assert refused.refusal is DoorRefusal.NOT_PERMITTED
    assert "fetch" in refused.message
    assert verdict.name.lower().replace("_", " ") in refused.message
    assert host in refused.message
    assert (record.rule, record.kind, record.action, record.path) == (rule, Kind.AGENT, Action.BLOCK, "fetch")


def test_a_stop_carries_its_refusal():
    refused = blocked(Refusal.TOO_LONG)
    assert Stopped(refused).refused is refused
