"""docs/spec/audit.md is as built: its verdicts, alarms, terms and vocabularies are those of the code."""

from dataclasses import fields

from ciyuan.gateway.audit_judgement import Verdict
from ciyuan.gateway.audit_terms import AuditTerms
from ciyuan.gateway.audit_tests import AlarmKind
from ciyuan.services.vocabularies import KNOWN
from tests.sources import ROOT

PAGE = (ROOT / "docs" / "spec" / "audit.md").read_text(encoding="utf-8")


def table(heading: str) -> list[list[str]]:
    lines = PAGE[PAGE.index(heading) :].split("\n\n", maxsplit=1)[0].splitlines()
    return [[cell.strip() for cell in line.strip().strip("|").split("|")] for line in lines[2:]]


def names(cell: str) -> list[str]:
    return [name.strip(" `") for name in cell.split(",")]


def test_the_verdicts_are_in_their_order():
    assert [names(row[0])[0] for row in table("| verdict | when |")] == [verdict.name for verdict in Verdict]


def test_the_alarms():
    rows = table("| alarm | what was tested |")
    assert [name for row in rows for name in names(row[0])] == [kind.name for kind in AlarmKind]


def test_the_terms_and_their_defaults():
    terms = AuditTerms()
    said = {names(row[0])[0]: int(row[1]) for row in table("| term | default | what it is |")}
    assert said == {
        field.name: getattr(terms, field.name) for field in fields(terms) if field.type in {"int", int}
    }


def test_the_vocabularies_and_their_models():
    rows = {names(row[0])[0]: (row[1], row[2]) for row in table("| name | models | found in |")}
    assert {name: models for name, (models, _) in rows.items()} == {
        name: of.models for name, of in KNOWN.items()
    }
    for name, (_, found_in) in rows.items():
        assert len(names(found_in)) == len(KNOWN[name].sources)
