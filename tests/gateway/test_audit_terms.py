"""The terms: what they refuse, what the bets are made for, how much of a template is believed."""

import pytest

from ciyuan.basics.errors import Malformed
from ciyuan.gateway.audit_sample import Script, Side
from ciyuan.gateway.audit_template import Template
from ciyuan.gateway.audit_terms import CLAIM_BET_SIZE, EXCESSES_BP, NEVER, USUAL, AuditTerms


def test_a_bet_is_for_calls_on_which_its_over_claim_is_twice_the_slack_beyond_the_tolerance():
    bets = AuditTerms().claim_bets("any")
    assert [bet.tokens_min for bet in bets] == [800, 266, 88, 20]
    assert {bet.size for bet in bets} == {CLAIM_BET_SIZE}
    lenient = AuditTerms(tolerances={"nearly": 200}).claim_bets("nearly")
    assert [bet.tokens_min for bet in lenient] == [NEVER, NEVER, 133, 22]
    assert len(lenient) == len(EXCESSES_BP)


def test_the_tolerance_of_a_vocabulary_is_its_own_or_the_common_one():
    terms = AuditTerms(tolerances={"nearly": 200})
    assert (terms.tolerance_of("nearly"), terms.tolerance_of("exactly")) == (200, 50)


def test_an_answer_has_less_of_a_template_than_a_request():
    assert AuditTerms().template_max(Side.INPUT) == Template(8, 64)
    assert AuditTerms().template_max(Side.OUTPUT) == Template(8, 0)
    for side in Side:
        usual, most = USUAL[side], AuditTerms().template_max(side)
        assert usual.tokens(1) <= most.tokens(1)


@pytest.mark.parametrize(
    "wrong",
    [
        {"alarm_ppm": 0},
        {"alarm_ppm": 10**6},
        {"calibration_calls": 15},
        {"ratio_octets_min": 0},
        {"slack_tokens": -1},
        {"tolerances": {"v": -1}},
        {"ratios": {(1, Side.INPUT, Script.LATIN): 0}},
    ],
)
def test_terms_that_cannot_be_are_malformed(wrong):
    with pytest.raises(Malformed, match="terms of the audit"):
        AuditTerms(**wrong)
