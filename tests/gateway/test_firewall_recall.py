"""Recall and precision: five or more invented values of every rule are found; what is clean is left alone."""

import csv
import gzip
from pathlib import Path

import pytest

from ciyuan.gateway.firewall_rules import Action, Kind
from tests.gateway.firewall_made import examples
from tests.gateway.firewall_recall import FIVE, RECALL
from tests.gateway.firewalls import found, reporting, rules, shipped
from tests.sources import ROOT

AROUND = (("", ""), ("see ", "."), ("「", "」"), ("值是", "。"), ("a\n", "\nb"), ('{"x": "', '"}'))
NO_BAR = {"pipe-to-shell", "destructive-command"}
PARALLEL = ROOT.parent / "shared" / "data" / "prices" / "udhr_parallel.csv.gz"
CLEAN = Path(__file__).with_name("clean_texts.txt")


def test_every_rule_has_its_row():
    assert list(RECALL) == [rule.name for rule in rules()]


@pytest.mark.parametrize("name", RECALL)
def test_values_of_the_rule_are_found(name: str):
    told = list(examples(RECALL[name], name, FIVE))
    assert len(told) >= FIVE
    for example in told:
        stands, bar, value = example.partition("|") if name not in NO_BAR else ("", "", example)
        value = value if bar else example
        stands = stands if bar else ""
        for before, after in AROUND:
            text = f"{before}{stands}{value}{after}"
            start = len(before) + len(stands)
            hits = [one for one in found(reporting(), text) if one.rule == name]
            assert any(one.start <= start and one.end >= start + len(value) for one in hits), (text, hits)
            assert all(one.start >= len(before) for one in hits)


def clean_texts() -> list[tuple[str, str]]:
    """Texts that hold nothing: prose, code, numbers, in English and Chinese; each under its title."""
    parts = CLEAN.read_text(encoding="utf-8").split("\n### ")
    return [(title, text) for title, _, text in (part.partition("\n") for part in parts[1:])]


@pytest.mark.parametrize(("title", "text"), clean_texts(), ids=lambda value: value if len(value) < 40 else "")
def test_clean_texts_have_no_findings(title: str, text: str):
    assert len(text) > 100
    assert [(one.rule, text[one.start : one.end]) for one in found(shipped(), text)] == []


def test_the_projects_own_sources_have_nothing_to_block():
    sources = [
        path
        for folder in ("src", "tests", "docs")
        for suffix in ("py", "md", "toml")
        for path in sorted((ROOT / folder).rglob(f"*.{suffix}"))
        if "firewall" not in path.name
    ]
    assert len(sources) > 300
    for path in sources:
        text = path.read_text(encoding="utf-8")
        blocked = [text[one.start : one.end] for one in found(shipped(), text) if one.action is Action.BLOCK]
        assert blocked == [], path


@pytest.mark.skipif(not PARALLEL.exists(), reason="the shared data folder is not beside this checkout")
def test_human_rights_in_every_language_have_no_findings():
    with gzip.open(PARALLEL, "rt", encoding="utf-8") as stream:
        texts = [(row["key"], row["text"]) for row in csv.DictReader(stream)]
    assert len(texts) > 1_000
    searched = shipped().search([text for _, text in texts])
    assert not isinstance(searched, int)
    assert [
        (key, one.rule) for (key, _), several in zip(texts, searched, strict=True) for one in several
    ] == []


def test_there_are_a_hundred_rules_of_all_kinds():
    counts = {kind: sum(rule.kind is kind for rule in rules()) for kind in Kind}
    assert len(rules()) >= 100
    assert min(counts.values()) >= 3
    assert {rule.action for rule in rules()} == set(Action)
    assert {rule.language for rule in rules()} == {"any", "en", "zh"}
