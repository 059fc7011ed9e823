"""The audit as a machine: determinism, keeping, conservation, what it hears and what it does not."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ciyuan.basics.errors import Malformed
from ciyuan.gateway.audit import Audit
from ciyuan.gateway.audit_judgement import Verdict
from ciyuan.gateway.audit_sample import Extent, Reasoning, Sample, Script, Side
from ciyuan.gateway.audit_terms import AuditTerms
from ciyuan.gateway.audit_tests import AlarmKind, RatioTest
from ciyuan.gateway.usage import NO_CLAIM, Claim, UsageFault
from tests.gateway.audited import VOCABULARY, Supplier, claim_of, first_alarms, sample, text_of

TERMS = AuditTerms(calibration_calls=16, alarm_ppm=10_000)

extents = st.builds(
    Extent,
    chars=st.integers(0, 9_000),
    octets=st.integers(0, 9_000),
    script=st.sampled_from(Script),
    pieces=st.integers(1, 4),
    counted=st.none() | st.integers(0, 3_000),
    whole=st.booleans() | st.just(value=True),
)
claims = st.one_of(
    st.just(NO_CLAIM),
    st.just(Claim(None, UsageFault.NEGATIVE, "-3")),
    st.builds(claim_of, st.integers(0, 9_000), st.integers(500, 9_000), st.none() | st.integers(0, 500)),
)
samples = st.builds(
    Sample,
    key=st.integers(0, 10**6),
    supplier=st.integers(0, 2),
    grade=st.integers(0, 1),
    vocabulary=st.sampled_from(("one", "another")),
    asked=extents,
    delivered=extents,
    claim=claims,
    reasoning=st.sampled_from(Reasoning),
    input_price_micro=st.integers(0, 10**7),
    output_price_micro=st.integers(0, 10**7),
)


@given(calls=st.lists(samples, max_size=50), cut=st.integers(0, 50))
def test_kept_and_restored_in_between_changes_nothing(calls, cut):
    whole, parts = Audit(TERMS), Audit(TERMS)
    for place, call in enumerate(calls):
        if place == cut:
            parts = Audit.restore(json.loads(json.dumps(parts.snapshot())), TERMS)
        assert whole.apply(call) == parts.apply(call)
    assert whole.snapshot() == parts.snapshot()
    assert list(whole.alarms()) == list(parts.alarms())


@given(calls=st.lists(samples, max_size=50))
def test_each_call_has_one_verdict_a_side_and_the_sums_are_of_what_was_heard(calls):
    audit = Audit(TERMS)
    heard = [audit.apply(call) for call in calls]
    for side in Side:
        judged = [judgement for one in heard for judgement in one.judgements if judgement.side is side]
        assert len(judged) == len(calls)
        for verdict in Verdict:
            kept = sum(of.of(verdict) for key, of in audit.verdicts.items() if key[2] is side)
            assert kept == sum(judgement.verdict is verdict for judgement in judged)
        tested = [
            (call.extent(side), judgement.claimed, call.price_micro(side))
            for call, judgement in zip(calls, judged, strict=True)
            if judgement.claimed and call.extent(side).whole and call.extent(side).counted is not None
        ]
        sums = [test.sums for key, test in audit.claims.items() if key[2] is side]
        assert sum(of.calls for of in sums) == len(tested)
        assert sum(of.priced_claimed for of in sums) == sum(claimed * price for _, claimed, price in tested)
        assert sum(of.priced_pieces for of in sums) == sum(
            extent.pieces * price for extent, _, price in tested
        )


@given(calls=st.lists(samples, max_size=30), unseen=st.integers(0, 10**6))
def test_reasoning_that_nobody_saw_raises_no_sum_of_over_claims(calls, unseen):
    """The same calls with any amount of it claimed apart leave the tests as they are."""
    plain, thinking = Audit(TERMS), Audit(TERMS)
    for call in calls:
        asked, delivered = call.asked, call.delivered
        plain.apply(
            sample(call.key, asked=asked, delivered=delivered, vocabulary="v", claim=claim_of(90, 70, 0))
        )
        thinking.apply(
            sample(call.key, asked=asked, delivered=delivered, vocabulary="v",
                   claim=claim_of(90, 70 + unseen, unseen), reasoning=Reasoning.HIDDEN)
        )  # fmt: skip
    assert plain.snapshot()["claims"] == thinking.snapshot()["claims"]
    assert plain.snapshot()["ratios"] == thinking.snapshot()["ratios"]
    assert sum(kept.unseen for kept in thinking.verdicts.values()) == unseen * len(calls)


def test_what_is_not_whole_or_not_claimed_is_not_tested():
    audit = Audit(TERMS)
    part = Extent(4_000, 4_000, Script.LATIN, 1, 1_000, whole=False)
    audit.apply(sample(asked=part, delivered=part, claim=claim_of(50_000, 50_000)))
    audit.apply(sample(claim=NO_CLAIM))
    audit.apply(sample(claim=claim_of(0, 0)))
    assert (audit.claims, audit.ratios) == ({}, {})
    assert {key[:2] for key in audit.verdicts} == {(7, 3)}


def test_suppliers_grades_sides_vocabularies_and_scripts_are_apart():
    audit = Audit(TERMS)
    for key, (supplier, grade, vocabulary, script) in enumerate(
        [
            (1, 1, "a", Script.LATIN),
            (1, 1, "b", Script.CJK),
            (1, 2, "a", Script.LATIN),
            (2, 1, "a", Script.LATIN),
        ]
    ):
        text = text_of(1_000, script=script)
        audit.apply(
            sample(key, asked=text, delivered=text, supplier=supplier, grade=grade, vocabulary=vocabulary)
        )
    assert len(audit.claims) == len(audit.ratios) == 8
    assert all(test.sums.calls == 1 for test in audit.claims.values())


def test_an_alarm_stands_until_it_is_acknowledged_and_then_the_test_begins_anew():
    audit = Audit(TERMS)
    liar = Supplier(1, over_bp=2_000)
    found = [alarm for alarm in first_alarms(liar, 300, audit) if alarm.kind is AlarmKind.OVER_CLAIM]
    assert [alarm.side for alarm in sorted(found, key=lambda alarm: alarm.side)] == list(Side)
    assert sorted(audit.alarms()) == sorted(found)
    sums = {key: test.sums.words() for key, test in audit.claims.items()}
    assert audit.acknowledge(2, 1) == 0
    assert audit.acknowledge(1, 1) == 2
    assert list(audit.alarms()) == []
    assert {key: test.sums.words() for key, test in audit.claims.items()} == sums
    assert all(test.template is None for test in audit.claims.values())
    assert len([alarm for alarm in first_alarms(liar, 300, audit) if alarm.kind is AlarmKind.OVER_CLAIM]) == 2


def test_the_alarm_names_the_call_that_tipped_it():
    audit = Audit(TERMS)
    for call in Supplier(5, over_bp=2_000, lies_from=200).calls(400):
        for alarm in audit.apply(call).alarms:
            assert alarm.key == call.key >= 200
            assert alarm.odds >= 100
            assert alarm.calls == call.key - 15


def test_learnt_ratios_are_the_lower_median_of_the_suppliers():
    audit = Audit(TERMS)
    for supplier, tokens in ((1, 900), (2, 1_000), (3, 2_000)):
        for key in range(16):
            text = Extent(4_000, 4_000, Script.CODE)
            claim = claim_of(tokens + 8, tokens + 1)
            audit.apply(sample(key, asked=text, delivered=text, claim=claim, supplier=supplier))
    assert audit.learnt_ratios() == {(3, side, Script.CODE): 250_000 for side in Side}


def test_other_terms_apply_from_the_restart_on():
    audit = Audit(TERMS)
    assert first_alarms(Supplier(1, over_bp=300), 20, audit) == []
    lenient = Audit.restore(audit.snapshot(), AuditTerms(tolerances={VOCABULARY: 1_000}))
    assert lenient.snapshot() == audit.snapshot()
    strict = first_alarms(Supplier(1, over_bp=300), 900, audit)
    assert {alarm.kind for alarm in strict} == {AlarmKind.OVER_CLAIM}
    assert first_alarms(Supplier(1, over_bp=300), 900, lenient) == []


@pytest.mark.parametrize(
    "kept",
    [
        {},
        {"form": [[99]], "verdicts": [], "claims": [], "ratios": []},
        {"form": [[1]], "verdicts": [], "claims": []},
        {"form": [[1]], "verdicts": [[1, 1, 9, 0]], "claims": [], "ratios": []},
        {"form": [[1]], "verdicts": [[1, 1]], "claims": [], "ratios": []},
        {"form": [[1]], "verdicts": [[1, 1, 1, "x"]], "claims": [], "ratios": []},
        {"form": [[1]], "verdicts": [], "claims": [[1, 1, 1, 5, 0]], "ratios": []},
        {"form": [[1]], "verdicts": [], "claims": [[1, 1, 1, "v", 0]], "ratios": []},
        {"form": [[1]], "verdicts": [], "claims": [], "ratios": [[1, 1, 1, 1, 0]]},
        {"form": [[1]], "verdicts": [], "claims": [], "ratios": [[1, 1, 1, 99, *RatioTest().words()]]},
    ],
)
def test_what_is_no_snapshot_is_malformed(kept):
    with pytest.raises(Malformed, match="kept"):
        Audit.restore(kept)
