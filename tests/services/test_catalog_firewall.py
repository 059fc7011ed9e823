"""The firewall's rules as shipped are whole and sourced; bad ones are refused with their place."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from ciyuan.basics.errors import Malformed
from ciyuan.gateway.firewall_rules import Action, Kind, ready
from ciyuan.services.catalog_firewall import FILE, firewall_rules
from ciyuan.services.catalog_table import FACTS


@pytest.fixture
def edited(tmp_path: Path) -> Callable[[str, str], Path]:
    """A copy of the rules in which one text is another."""

    def edit(old: str, new: str) -> Path:
        shutil.copy(str(FACTS.joinpath(FILE)), tmp_path / FILE)
        text = (tmp_path / FILE).read_text(encoding="utf-8")
        assert old in text
        (tmp_path / FILE).write_text(text.replace(old, new, 1), encoding="utf-8")
        return tmp_path

    return edit


def test_every_rule_says_what_it_is_and_where_its_form_was_read():
    for rule in firewall_rules():
        assert rule.what
        assert rule.source
        assert rule.observed_on == "2026-11-21"
        assert ready(rule).least >= 3


def test_names_are_rules_and_labels_are_words():
    names = [rule.name for rule in firewall_rules()]
    assert len(names) == len(set(names)) >= 100
    assert not set(names) & {kind.name.lower() for kind in Kind}
    assert all(rule.label == rule.label.upper() for rule in firewall_rules())


def test_known_forms_of_keys_are_blocked_and_persons_masked():
    actions = {rule.name: rule.action for rule in firewall_rules()}
    assert actions["aws-access-key"] is actions["github-token"] is actions["private-key"] is Action.BLOCK
    assert actions["cn-resident-id"] is actions["email"] is actions["card-16"] is Action.MASK
    assert actions["ipv4"] is Action.OFF
    assert all(rule.action is Action.REPORT for rule in firewall_rules() if rule.kind is Kind.AGENT)


@pytest.mark.parametrize(
    ("old", "new", "place"),
    [
        ('kind = "secret"', 'kind = "riddle"', "kind"),
        ('action = "block"', 'action = "burn"', "action"),
        ('check = "aws_key"', 'check = "guess"', "check"),
        ('language = "any"', 'language = "fr"', "language"),
        ("pattern = '(AKIA", "pattern = '*(AKIA", "pattern"),
        ('case = "any"', 'case = "some"', "case"),
        ('label = "AWS-KEY"', 'lable = "AWS-KEY"', "label"),
        ('label = "AWS-KEY"', 'label = "aws"', "aws-access-key"),
        ("observed_on = 2026-11-21", 'observed_on = "lately"', "observed_on"),
        ('check = "aws_key"', 'check = "aws_key"\nweight = 3', "weight"),
    ],
)
def test_bad_rules_are_refused_with_their_place(edited, old, new, place):
    with pytest.raises(Malformed, match=place):
        firewall_rules(edited(old, new))


def test_a_user_may_have_rules_of_their_own(tmp_path):
    (tmp_path / FILE).write_text(
        '[ticket]\nkind = "company"\naction = "mask"\nlabel = "TICKET"\nlanguage = "any"\nbefore = "no[.:]? "\n'
        'pattern = "OPS-[0-9]{4,6}"\ncheck = "none"\nwhat = "a ticket"\nsource = "ours"\nobserved_on = 2026-11-21\n'
    )
    (rule,) = firewall_rules(tmp_path)
    assert (rule.name, rule.kind, rule.before) == ("ticket", Kind.COMPANY, "no[.:]? ")
