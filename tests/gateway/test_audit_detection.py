"""What docs/spec/audit.md promises: the honest are not accused, liars are found within so many calls."""

import pytest

from ciyuan.gateway.audit import Audit
from ciyuan.gateway.audit_sample import Side
from ciyuan.gateway.audit_terms import AuditTerms
from ciyuan.gateway.audit_tests import AlarmKind
from tests.gateway.audited import Supplier, first_alarms
from tests.sources import ROOT

PAGE = (ROOT / "docs" / "spec" / "audit.md").read_text(encoding="utf-8")


def table(heading: str) -> list[list[str]]:
    lines = PAGE[PAGE.index(heading) :].split("\n\n", maxsplit=1)[0].splitlines()
    return [[cell.strip() for cell in line.strip().strip("|").split("|")] for line in lines[2:]]


DELAYS = table("| adds | from its first call | after 1,000 honest calls |")


def found_sides(supplier: Supplier, calls: int, kind: AlarmKind) -> set[Side]:
    """The sides whose alarm came within so many calls of the first lie, and not before it."""
    alarms = first_alarms(supplier, supplier.lies_from + calls, Audit())
    return {alarm.side for alarm in alarms if alarm.kind is kind and alarm.key >= supplier.lies_from}


@pytest.mark.parametrize("noise", [0.0, 0.01, 0.03])
def test_the_honest_are_not_accused(noise):
    """20 suppliers, 600 calls each, six tests that may each err with one in 20: none does."""
    terms = AuditTerms(alarm_ppm=50_000)
    for seed in range(20):
        supplier = Supplier(seed, noise=noise, ratio_noise=0.2)
        assert first_alarms(supplier, 600, Audit(terms)) == []


@pytest.mark.parametrize("row", DELAYS, ids=[row[0] for row in DELAYS])
@pytest.mark.parametrize("lies_from", [0, 1_000])
def test_who_adds_to_his_counts_is_found_within_the_stated_calls(row, lies_from):
    over_bp = int(row[0].rstrip("%")) * 100
    promised = int(row[2 if lies_from else 1])
    for seed in range(8):
        supplier = Supplier(seed, over_bp=over_bp, lies_from=lies_from, noise=seed % 2 / 100)
        assert found_sides(supplier, promised, AlarmKind.OVER_CLAIM) == set(Side), seed


def test_a_lie_within_the_tolerance_is_no_alarm():
    for seed in range(10):
        assert first_alarms(Supplier(seed, over_bp=50), 600, Audit()) == []


@pytest.mark.parametrize("tokenizer", [0.7, 1.4])
def test_another_tokenizer_is_found_where_there_is_no_vocabulary(tokenizer):
    kind = AlarmKind.RATIO_ROSE if tokenizer > 1 else AlarmKind.RATIO_FELL
    for seed in range(10):
        supplier = Supplier(seed, counted=False, ratio_noise=0.25, tokenizer=tokenizer, lies_from=500)
        alarms = first_alarms(supplier, 1_000, Audit())
        assert {(alarm.kind, alarm.side) for alarm in alarms} == {(kind, side) for side in Side}
        assert all(alarm.key >= 500 for alarm in alarms)


def test_without_a_vocabulary_an_over_claim_from_the_first_call_is_found_by_the_grades_ratio():
    honest = Audit()
    for seed in range(3):
        for call in Supplier(seed, counted=False, ratio_noise=0.25).calls(200):
            honest.apply(call)
    terms = AuditTerms(ratios=honest.learnt_ratios())
    for seed in range(10):
        found = first_alarms(
            Supplier(seed, over_bp=2_500, counted=False, ratio_noise=0.25), 400, Audit(terms)
        )
        assert {(alarm.kind, alarm.side) for alarm in found} == {
            (AlarmKind.OVER_ESTIMATE, side) for side in Side
        }
        assert first_alarms(Supplier(seed, counted=False, ratio_noise=0.25), 400, Audit(terms)) == []
