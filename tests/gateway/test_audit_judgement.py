"""One call by itself: every verdict of the table, in its order, and what hidden reasoning does not do."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ciyuan.basics.errors import Malformed
from ciyuan.gateway.audit_judgement import Basis, Verdict, Verdicts, judged
from ciyuan.gateway.audit_sample import Extent, Reasoning, Script, Side
from ciyuan.gateway.audit_template import Template
from ciyuan.gateway.audit_terms import AuditTerms
from ciyuan.gateway.audit_tests import ClaimTest
from ciyuan.gateway.usage import NO_CLAIM, Claim, UsageFault
from tests.gateway.audited import claim_of, sample, text_of

TERMS = AuditTerms()
KNOWN = ClaimTest(Template(0, 1))
RATIO = 250_000
"""Tokens per million bytes: four bytes a token."""
UNCOUNTED = Extent(4_000, 4_000, Script.LATIN)


def verdict(claimed, delivered=None, *, test=KNOWN, ratio=0, reasoning=Reasoning.NONE, thought=None):
    call = sample(delivered=delivered, claim=claim_of(0, claimed, thought), reasoning=reasoning)
    judgement = judged(call, Side.OUTPUT, TERMS, test, ratio)
    return judgement.verdict, judgement.basis


COUNTED, ESTIMATED, NONE = Basis.COUNTED, Basis.ESTIMATED, Basis.NONE


@pytest.mark.parametrize(
    ("claimed", "delivered", "expected"),
    [
        (1_001, text_of(1_000), (Verdict.CONFIRMED, COUNTED)),
        (1_029, text_of(1_000), (Verdict.CONFIRMED, COUNTED)),  # 1,001 + 8 + 2%
        (1_030, text_of(1_000), (Verdict.OVER, COUNTED)),
        (974, text_of(1_000), (Verdict.CONFIRMED, COUNTED)),  # 974 + 8 + 2% is 1,001
        (973, text_of(1_000), (Verdict.UNDER, COUNTED)),
        (4_000 + 16, text_of(1_000), (Verdict.OVER, COUNTED)),
        (4_000 + 17, text_of(1_000), (Verdict.IMPOSSIBLE, NONE)),  # more tokens than bytes and marks
        (0, text_of(1_000), (Verdict.ZERO, NONE)),
        (0, Extent(), (Verdict.NOTHING, NONE)),
        (2_000_000, Extent(), (Verdict.IMPOSSIBLE, NONE)),
        (50, Extent(40, 40, Script.LATIN, whole=False), (Verdict.UNCHECKED, NONE)),
        (50_000, Extent(40, 40, Script.LATIN, whole=False), (Verdict.UNCHECKED, NONE)),
        (0, Extent(40, 40, Script.LATIN, whole=False), (Verdict.ZERO, NONE)),
        (1_000, UNCOUNTED, (Verdict.UNCHECKED, NONE)),
    ],
)
def test_a_counted_call(claimed, delivered, expected):
    assert verdict(claimed, delivered) == expected


@pytest.mark.parametrize(
    ("claimed", "expected"),
    [
        (1_000, Verdict.CONFIRMED),
        (2_010, Verdict.CONFIRMED),
        (2_011, Verdict.OVER),
        (497, Verdict.CONFIRMED),
        (496, Verdict.UNDER),
    ],
)
def test_an_estimate_is_held_against_a_wider_tolerance(claimed, expected):
    assert verdict(claimed, UNCOUNTED, ratio=RATIO) == (expected, ESTIMATED)


def test_a_short_text_is_no_sample_of_a_ratio():
    assert verdict(100, Extent(399, 399, Script.LATIN), ratio=RATIO) == (Verdict.UNCHECKED, NONE)


def test_until_the_template_is_learnt_any_that_would_be_believed_is_confirmed():
    unlearnt = ClaimTest()
    assert verdict(1_000, text_of(1_000), test=unlearnt) == (Verdict.CONFIRMED, COUNTED)
    assert verdict(1_000 + 8, text_of(1_000), test=unlearnt) == (Verdict.CONFIRMED, COUNTED)
    assert verdict(1_000 + 8 + 8 + 20, text_of(1_000), test=unlearnt) == (Verdict.CONFIRMED, COUNTED)
    assert verdict(1_000 + 8 + 8 + 21, text_of(1_000), test=unlearnt) == (Verdict.OVER, COUNTED)


def test_what_the_supplier_did_not_say():
    for side in Side:
        assert judged(sample(claim=NO_CLAIM), side, TERMS, KNOWN, 0).verdict is Verdict.UNCLAIMED
        impossible = Claim(None, UsageFault.OVER_BOUND, "675947905")
        assert judged(sample(claim=impossible), side, TERMS, KNOWN, 0).verdict is Verdict.IMPOSSIBLE


def test_hidden_reasoning_is_never_an_over_claim():
    assert verdict(9_051, text_of(50), thought=9_000) == (Verdict.CONFIRMED, COUNTED)
    assert verdict(9_051, text_of(50), reasoning=Reasoning.HIDDEN) == (Verdict.UNVERIFIABLE, NONE)
    call = sample(delivered=text_of(50), claim=claim_of(0, 9_051), reasoning=Reasoning.HIDDEN)
    assert judged(call, Side.OUTPUT, TERMS, KNOWN, 0).unseen == 9_001
    assert verdict(9_051, text_of(9_050), thought=9_000, reasoning=Reasoning.SHOWN) == (
        Verdict.CONFIRMED,
        COUNTED,
    )


@given(
    counted=st.integers(0, 5_000),
    claimed=st.integers(0, 25_000),
    thought=st.none() | st.integers(0, 25_000),
    reasoning=st.sampled_from(Reasoning),
    whole=st.booleans(),
)
def test_every_call_has_a_verdict_and_more_is_never_better(counted, claimed, thought, reasoning, whole):
    delivered = Extent(4 * counted, 4 * counted, Script.LATIN, 1, counted, whole)
    thought = None if thought is None else min(thought, claimed)
    call = sample(delivered=delivered, claim=claim_of(0, claimed, thought), reasoning=reasoning)
    judgement = judged(call, Side.OUTPUT, TERMS, KNOWN, 0)
    assert judgement.unseen >= 0
    assert (judgement.basis is Basis.NONE) == (
        judgement.verdict not in {Verdict.OVER, Verdict.UNDER, Verdict.CONFIRMED}
    )
    if judgement.verdict is Verdict.OVER:
        worse = sample(delivered=delivered, claim=claim_of(0, claimed + 1, thought), reasoning=reasoning)
        assert judged(worse, Side.OUTPUT, TERMS, KNOWN, 0).verdict in {Verdict.OVER, Verdict.IMPOSSIBLE}


def test_verdicts_are_counted_and_kept():
    verdicts = Verdicts.none()
    for claimed, thought in ((51, None), (99, 40), (0, None)):
        call = sample(delivered=text_of(50), claim=claim_of(0, claimed, thought))
        verdicts.add(judged(call, Side.OUTPUT, TERMS, KNOWN, 0))
    assert (verdicts.of(Verdict.CONFIRMED), verdicts.of(Verdict.OVER), verdicts.of(Verdict.ZERO)) == (2, 0, 1)
    assert (verdicts.claimed, verdicts.unseen) == (51 + 59, 40)
    assert Verdicts.of_words(verdicts.words()) == verdicts
    for words in (verdicts.words()[1:], [-1] * 11):
        with pytest.raises(Malformed, match="kept sums"):
            Verdicts.of_words(words)
