"""The two tests: what they learn from, what they test, what they give, how they are kept."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ciyuan.basics.errors import Malformed
from ciyuan.gateway.audit_sample import Script, Side
from ciyuan.gateway.audit_template import Bare, Template
from ciyuan.gateway.audit_terms import AuditTerms
from ciyuan.gateway.audit_tests import (
    RATIO_ALARMS,
    AlarmKind,
    ClaimTest,
    RatioTest,
    grade_ratio,
    learnt_ratio,
)
from tests.gateway.audited import text_of

TERMS = AuditTerms(calibration_calls=16)
OCTETS, RATIO = 4_000, 250_000


def trained_claims(terms=TERMS):
    test = ClaimTest()
    for key in range(16):
        assert not test.look(key, Bare(1, 1_000 + key, 1_003 + key), Side.INPUT, "v", terms)
    return test


def trained_ratio(terms=TERMS):
    test = RatioTest()
    for key in range(16):
        assert test.look(key, 1_000, OCTETS, 0, terms) == ()
    return test


def test_the_first_calls_are_learnt_from_and_not_tested():
    test = ClaimTest()
    for key in range(15):
        test.look(key, Bare(1, 1_000, 9_000), Side.INPUT, "v", TERMS)
    assert test.words()[:2] == [-1, -1]
    assert len(test.learning) == 15
    assert test.evidence.calls == 0
    test.look(15, Bare(1, 1_000, 9_000), Side.INPUT, "v", TERMS)
    assert test.template == Template(8, 64)
    assert test.learning == []
    assert test.evidence.calls == 0
    test.look(16, Bare(1, 1_000, 9_000), Side.INPUT, "v", TERMS)
    assert test.evidence.calls == 1


def test_an_over_claim_tips_once_and_names_its_call():
    test = trained_claims()
    assert test.template == Template(3, 0)
    tipped = [key for key in range(16, 400) if test.look(key, Bare(1, 1_000, 1_053), Side.INPUT, "v", TERMS)]
    assert len(tipped) == 1
    assert test.evidence.tipped_key == tipped[0]
    assert test.evidence.calls == tipped[0] - 15


@pytest.mark.parametrize(("tolerance", "found"), [(0, True), (400, True), (600, False)])
def test_the_tolerance_is_the_vocabularys(tolerance, found):
    terms = AuditTerms(calibration_calls=16, tolerances={"nearly": tolerance})
    test = trained_claims(terms)
    tipped = any(
        test.look(key, Bare(1, 2_000, 2_103), Side.INPUT, "nearly", terms) for key in range(16, 1_500)
    )
    assert tipped is found


def test_a_constant_within_the_slack_is_no_over_claim():
    test = trained_claims()
    assert not any(test.look(key, Bare(1, 300, 305), Side.INPUT, "v", TERMS) for key in range(16, 2_000))


def test_an_empty_text_without_slack_is_not_tested():
    terms = AuditTerms(calibration_calls=16, slack_tokens=0, per_message_max=0, per_call_max=0)
    test = trained_claims(terms)
    assert test.look(99, Bare(1, 0, 5), Side.INPUT, "v", terms) == ()
    assert test.evidence.calls == 0


@pytest.mark.parametrize(
    ("claimed", "alarm"),
    [(1_400, AlarmKind.RATIO_ROSE), (700, AlarmKind.RATIO_FELL), (1_100, None), (900, None)],
)
def test_tokens_per_byte_against_the_suppliers_own_past(claimed, alarm):
    test = trained_ratio()
    assert test.ratio == RATIO
    given_alarms = [kind for key in range(16, 400) for kind in test.look(key, claimed, OCTETS, 0, TERMS)]
    assert given_alarms == ([alarm] if alarm else [])
    assert [kind for kind in RATIO_ALARMS if test.evidence_of(kind).tipped] == given_alarms


def test_the_grades_ratio_is_tested_from_the_first_call():
    test = RatioTest()
    given_alarms = [kind for key in range(200) for kind in test.look(key, 1_250, OCTETS, RATIO, TERMS)]
    assert given_alarms == [AlarmKind.OVER_ESTIMATE]
    assert test.above.calls < 150
    assert test.ratio == 312_500


def test_a_learnt_ratio_bears_wild_calls():
    assert learnt_ratio([250_000] * 15 + [10**9]) == (15 * 250_000 + 500_000) // 16
    assert learnt_ratio([250_000] * 15 + [0]) == (15 * 250_000 + 125_000) // 16
    assert learnt_ratio([0]) == 1


def test_a_grades_ratio_is_by_side_and_script():
    terms = AuditTerms(ratios={(3, Side.OUTPUT, Script.CJK): 400_000})
    assert grade_ratio(terms, 3, Side.OUTPUT, Script.CJK) == 400_000
    assert grade_ratio(terms, 3, Side.INPUT, Script.CJK) == 0


@given(
    claims=st.lists(st.tuples(st.integers(1, 3), st.integers(0, 2_000), st.integers(1, 9_000)), max_size=40),
    cut=st.integers(0, 40),
)
def test_kept_tests_go_on_as_if_they_had_not_stopped(claims, cut):
    claim_test, ratio_test = ClaimTest(), RatioTest()
    other_claim, other_ratio = ClaimTest(), RatioTest()
    for key, (pieces, counted, claimed) in enumerate(claims):
        if key == cut:
            other_claim, other_ratio = (
                ClaimTest.of_words(claim_test.words()),
                RatioTest.of_words(ratio_test.words()),
            )
        for one, another in ((claim_test, other_claim), (ratio_test, other_ratio)):
            one.sums.add(text_of(counted), claimed, 5)
            another.sums.add(text_of(counted), claimed, 5)
        bare = Bare(pieces, counted, claimed)
        assert claim_test.look(key, bare, Side.INPUT, "v", TERMS) == other_claim.look(
            key, bare, Side.INPUT, "v", TERMS
        )
        assert ratio_test.look(key, claimed, counted + 1, RATIO, TERMS) == other_ratio.look(
            key, claimed, counted + 1, RATIO, TERMS
        )
    assert (claim_test, ratio_test) == (other_claim, other_ratio)


def test_restart_learns_anew():
    claim_test, ratio_test = trained_claims(), trained_ratio()
    for key in range(16, 100):
        claim_test.look(key, Bare(1, 1_000, 1_500), Side.INPUT, "v", TERMS)
        ratio_test.look(key, 2_000, OCTETS, 0, TERMS)
    assert claim_test.evidence.tipped
    assert ratio_test.rose.tipped
    claim_test.restart()
    ratio_test.restart()
    assert (claim_test, ratio_test) == (ClaimTest(), RatioTest())


def test_words_that_are_no_state_are_malformed():
    claims, ratios = trained_claims().words(), trained_ratio().words()
    for words in (claims[:-1], claims[:5], [*claims, 1], [-7, *claims[1:]]):
        with pytest.raises(Malformed, match="kept"):
            ClaimTest.of_words(words)
    for words in (ratios[:-1], [-1, *ratios[1:]], [*ratios, -4]):
        with pytest.raises(Malformed, match="kept"):
            RatioTest.of_words(words)
