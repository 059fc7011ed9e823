"""The report: sums against a naive recount, money at stake to the micro-unit, and the table."""

from fractions import Fraction

from ciyuan.gateway.audit import Audit
from ciyuan.gateway.audit_judgement import Verdict
from ciyuan.gateway.audit_report import HEADINGS, report_lines, report_rows, side_report, supplier_reports
from ciyuan.gateway.audit_sample import Extent, Sample, Script, Side
from ciyuan.gateway.audit_template import Template
from ciyuan.gateway.audit_terms import AuditTerms
from ciyuan.gateway.audit_tests import AlarmKind
from ciyuan.gateway.usage import Leg
from tests.gateway.audited import VOCABULARY, Supplier, claim_of, first_alarms, sample, text_of


def output_of(call: Sample) -> int:
    usage = call.claim.usage
    assert usage is not None
    return usage.amount(Leg.OUTPUT)


def test_a_liars_report_is_its_calls_recounted():
    audit = Audit()
    calls = list(Supplier(3, over_bp=500, lies_from=100).calls(600))
    for call in calls:
        audit.apply(call)
    report = side_report(audit, 1, 1, Side.OUTPUT)
    counted = sum(call.delivered.counted or 0 for call in calls)
    claimed = sum(output_of(call) for call in calls)
    assert (report.calls, report.counted, report.claimed) == (600, counted, claimed)
    assert report.templates == {VOCABULARY: Template(1, 0)}
    assert report.ratio_ppm == round(Fraction((claimed - 600) * 10**6, counted))
    assert report.at_stake_micro == (claimed - counted - 600) * 4_000_000 // 10**6
    assert [alarm.kind for alarm in report.alarms] == [AlarmKind.OVER_CLAIM]
    long = [call for call in calls if call.delivered.octets >= 400]
    octets = sum(call.delivered.octets for call in long)
    assert report.octets_per_mtok == report.chars_per_mtok
    assert report.octets_per_mtok == round(Fraction(octets * 10**6, sum(output_of(call) for call in long)))


def test_the_money_at_stake_is_the_same_whenever_the_template_was_learnt():
    """The first calls count too, though the template was not known then."""
    early, late = Audit(AuditTerms(calibration_calls=16)), Audit(AuditTerms(calibration_calls=300))
    for call in Supplier(8, over_bp=300).calls(300):
        early.apply(call)
        late.apply(call)
    one, other = (side_report(audit, 1, 1, Side.OUTPUT) for audit in (early, late))
    assert one.templates == other.templates == {VOCABULARY: Template(1, 0)}
    assert one.at_stake_micro == other.at_stake_micro == (one.claimed - one.counted - 300) * 4


def test_the_honest_have_next_to_nothing_at_stake():
    audit = Audit()
    first_alarms(Supplier(2), 300, audit)
    (report,) = supplier_reports(audit)
    assert (report.supplier, report.calls, report.at_stake_micro, report.alarms) == (1, 300, 0, ())
    assert [side.ratio_ppm for side in report.sides] == [10**6, 10**6]
    assert report.sides[0].templates == {VOCABULARY: Template(5, 3)}


def test_without_a_vocabulary_the_grades_ratio_says_what_is_at_stake():
    text = Extent(4_000, 4_000, Script.LATIN)
    ratios = {(3, Side.OUTPUT, Script.LATIN): 250_000}
    for terms, at_stake in ((AuditTerms(ratios=ratios), 10 * 200 * 4), (AuditTerms(), 0)):
        audit = Audit(terms)
        for key in range(10):
            audit.apply(sample(key, asked=text, delivered=text, claim=claim_of(1_008, 1_201)))
        report = side_report(audit, 7, 3, Side.OUTPUT)
        assert report.at_stake_micro == at_stake
        assert (report.ratio_ppm, report.templates, report.counted) == (None, {}, 0)
        assert report.octets_per_mtok == round(Fraction(4_000 * 10**6, 1_201))


def test_unseen_reasoning_is_a_share_of_what_was_claimed():
    audit = Audit()
    audit.apply(sample(delivered=text_of(50), claim=claim_of(100, 200, 150)))
    report = side_report(audit, 7, 3, Side.OUTPUT)
    assert (report.unseen, report.unseen_ppm) == (150, 750_000)
    assert report.at_stake_micro == 0


def test_the_table():
    audit = Audit()
    first_alarms(Supplier(1, over_bp=2_000), 200, audit)
    audit.apply(sample(delivered=text_of(50), claim=claim_of(100, 0)))
    reports = supplier_reports(audit)
    rows = list(report_rows(reports, {1: "north"}, {1: "chat-large"}))
    assert [row[:4] for row in rows] == [
        ("north", "chat-large", "input", "200"),
        ("north", "chat-large", "output", "200"),
        ("7", "3", "input", "1"),
        ("7", "3", "output", "1"),
    ]
    assert all(len(row) == len(HEADINGS) for row in rows)
    assert rows[1][HEADINGS.index("ratio")] == "1.2000"
    assert rows[1][-1].startswith("OVER_CLAIM at call ")
    assert rows[3][HEADINGS.index("zero")] == "1"
    assert rows[2][-1] == "-"
    lines = report_lines(reports, {1: "north"}, {1: "chat-large"})
    assert len(lines) == 5
    end = lines[0].index("at stake") + len("at stake")
    for line, row in zip(lines[1:], rows, strict=True):
        assert line[:end].endswith(row[HEADINGS.index("at stake")])


def test_verdicts_are_in_the_report():
    audit = Audit()
    audit.apply(sample(delivered=text_of(50), claim=claim_of(100, 10_000)))
    assert side_report(audit, 7, 3, Side.OUTPUT).verdicts[Verdict.IMPOSSIBLE] == 1
    assert side_report(audit, 7, 3, Side.INPUT).verdicts[Verdict.CONFIRMED] == 1
