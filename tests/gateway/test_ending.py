"""docs/spec/endings.md is as built: every cell of its table is tried, and each ending there is brought about by an answer."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ciyuan.basics.errors import InvariantBroken, Malformed
from ciyuan.gateway.answer import Closed, Ending, EndingKind
from ciyuan.gateway.answer_anthropic import MessagesFollower
from ciyuan.gateway.answer_openai import ChoicesFollower
from ciyuan.gateway.claims import chat_claim
from ciyuan.gateway.ending import Alarm, Charge, charged_usage, outcome_of
from ciyuan.gateway.usage import NO_CLAIM, Claim, Leg, Provenance, Standing, Usage, UsageFault, usage_from
from tests.gateway.golden_usage import chat
from tests.gateway.recorded import (
    CHAT_STREAM,
    MESSAGE_STREAM,
    OPENAI_ERROR,
    chunk,
    encoded,
    followed,
    named,
    sse,
)
from tests.sources import ROOT, bare, table

PAGE = (ROOT / "docs" / "spec" / "endings.md").read_text(encoding="utf-8")
COUNTED = usage_from(Provenance.COUNTED, {Leg.INPUT: 20, Leg.OUTPUT: 7, Leg.REQUESTS: 1})


ROWS = [bare(row) for row in table(PAGE, "ending", "delivered")]
CELLS = [
    (row[0], row[1], standing.name, cell)
    for row in ROWS
    for standing, cell in zip(Standing, row[2:], strict=True)
]


@pytest.mark.parametrize(("kind", "delivered", "standing", "cell"), CELLS)
def test_the_table_is_as_the_page_says(kind, delivered, standing, cell):
    charge, _, alarm = cell.partition(", ")
    outcome = outcome_of(EndingKind[kind], Standing[standing], delivered=delivered == "yes")
    assert (outcome.charge.name, outcome.alarm.name) == (charge, alarm or "NONE")


def test_what_is_not_on_the_page_cannot_be():
    said = {(row[0], row[1]) for row in ROWS}
    assert len(said) == len(ROWS)
    for kind, delivered in itertools.product(EndingKind, (True, False)):
        if (kind.name, "yes" if delivered else "no") not in said:
            for standing in Standing:
                with pytest.raises(InvariantBroken, match="no ending"):
                    outcome_of(kind, standing, delivered=delivered)


@pytest.mark.parametrize(("heads", "names"), [
    (("ending", "when"), EndingKind), (("standing", "when"), Standing), (("charge", "input"), Charge),
])  # fmt: skip
def test_the_page_explains_every_word(heads, names):
    assert [bare(row)[0] for row in table(PAGE, *heads)] == [name.name for name in names]


def test_every_alarm_is_raised_somewhere():
    assert {cell.partition(", ")[2] for *_, cell in CELLS} - {""} == {alarm.name for alarm in Alarm if alarm}


CLAIMS = {
    Standing.ABSENT: NO_CLAIM,
    Standing.IMPOSSIBLE: Claim(None, UsageFault.OVER_BOUND, "prompt_tokens 675947905"),
    Standing.ZERO: chat_claim(chat(19, 0)),
    Standing.PARTIAL: chat_claim(chat(19, 3), final=False),
    Standing.FULL: chat_claim(chat(19, 5)),
}


def ending(kind: EndingKind, standing: Standing, *, delivered: bool) -> Ending:
    assert CLAIMS[standing].standing is standing
    return Ending(kind, standing, delivered, CLAIMS[standing])


@pytest.mark.parametrize(("kind", "delivered", "standing", "cell"), CELLS)
def test_what_is_charged_for_each_cell(kind, delivered, standing, cell):
    """Input 19 and output 5 are the supplier's, 20 and 7 are ours."""
    found = charged_usage(ending(EndingKind[kind], Standing[standing], delivered=delivered == "yes"), COUNTED)
    said_input = Standing[standing] in {Standing.ZERO, Standing.PARTIAL, Standing.FULL}
    expected: tuple[int, int] | None = {
        "VOID": None,
        "CLAIMED": (19, 0 if standing == "ZERO" else 5),
        "DELIVERED": (19 if said_input else 20, 5 if standing == "FULL" else 7),
        "ASKED": (19 if said_input else 20, 0),
    }[cell.partition(",")[0]]
    assert (found and (found.of(Leg.INPUT), found.of(Leg.OUTPUT))) == expected
    if found and expected:
        supplier = Provenance.SUPPLIER
        assert (found.provenance(Leg.INPUT) is supplier) == (found.of(Leg.INPUT) == 19)
        assert (found.provenance(Leg.OUTPUT) is supplier) == (expected[1] == 5 or cell == "CLAIMED")
        assert found.of(Leg.REQUESTS) == 1
        found.require_whole()


def test_case_17_a_zero_is_charged_as_zero():
    for said in (chat(19, 0), chat(0, 0)):
        claim = chat_claim(said)
        found = charged_usage(Ending(EndingKind.COMPLETE, claim.standing, False, claim), COUNTED)
        assert found is not None
        assert (found.input_tokens, found.of(Leg.OUTPUT)) == (said["prompt_tokens"], 0)


def test_case_23_zero_usage_with_text_is_an_alarm_and_is_counted():
    """Both legs, if both were 0: then nobody had counted."""
    claim = chat_claim(chat(0, 0))
    assert outcome_of(EndingKind.COMPLETE, claim.standing, delivered=True).alarm is Alarm.USAGE_ZERO
    found = charged_usage(Ending(EndingKind.COMPLETE, claim.standing, True, claim), COUNTED)
    assert found is not None
    assert (found.of(Leg.INPUT), found.of(Leg.OUTPUT)) == (20, 7)


def test_an_estimate_says_that_it_is_one():
    ours = usage_from(Provenance.COUNTED, {Leg.INPUT: 20}).filled(
        usage_from(Provenance.ESTIMATED, {Leg.OUTPUT: 9})
    )
    found = charged_usage(ending(EndingKind.CUT_MID_STREAM, Standing.ABSENT, delivered=True), ours)
    assert found is not None
    assert [found.provenance(leg) for leg in (Leg.INPUT, Leg.OUTPUT)] == [
        Provenance.COUNTED,
        Provenance.ESTIMATED,
    ]


def test_what_nobody_counted_is_not_charged():
    with pytest.raises(Malformed, match="a count of input"):
        charged_usage(ending(EndingKind.COMPLETE, Standing.ABSENT, delivered=True), Usage())


WHOLE, NONE = sse(*CHAT_STREAM), b""
NO_USAGE, ZERO = sse(*CHAT_STREAM[:-1]), sse(*CHAT_STREAM[:-1], chunk(usage=chat(19, 0)))
CUT, FAILED = sse(*CHAT_STREAM[:3], done=False), sse(*CHAT_STREAM[:3], OPENAI_ERROR)
HUGE = sse(*CHAT_STREAM[:-1], chunk(usage=chat(675_947_905, 10)))
FILTERED = sse(chunk({}, "content_filter"), chunk(usage=chat(19, 0)))


@pytest.mark.parametrize(
    ("stream", "status", "closed", "charge", "alarm"),
    [
        (WHOLE, 200, Closed.BY_SUPPLIER, Charge.CLAIMED, Alarm.NONE),
        (WHOLE, 200, Closed.BY_CLIENT, Charge.CLAIMED, Alarm.NONE),
        (NO_USAGE, 200, Closed.BY_SUPPLIER, Charge.DELIVERED, Alarm.USAGE_MISSING),
        (ZERO, 200, Closed.BY_SUPPLIER, Charge.DELIVERED, Alarm.USAGE_ZERO),
        (HUGE, 200, Closed.BY_SUPPLIER, Charge.DELIVERED, Alarm.USAGE_IMPOSSIBLE),
        (FILTERED, 200, Closed.BY_SUPPLIER, Charge.CLAIMED, Alarm.NONE),
        (CUT, 200, Closed.BY_SUPPLIER, Charge.DELIVERED, Alarm.SUPPLIER_CUT),
        (CUT, 200, Closed.BY_CLIENT, Charge.DELIVERED, Alarm.NONE),
        (FAILED, 200, Closed.BY_SUPPLIER, Charge.DELIVERED, Alarm.SUPPLIER_FAILED),
        (NONE, 200, Closed.BY_SUPPLIER, Charge.VOID, Alarm.SUPPLIER_CUT),
        (NONE, 200, Closed.BY_CLIENT, Charge.ASKED, Alarm.NONE),
        (encoded(OPENAI_ERROR), 500, Closed.BY_SUPPLIER, Charge.VOID, Alarm.SUPPLIER_FAILED),
        (encoded(OPENAI_ERROR), 400, Closed.BY_SUPPLIER, Charge.VOID, Alarm.NONE),
        (sse(b"<html>"), 200, Closed.BY_SUPPLIER, Charge.VOID, Alarm.ANSWER_UNREADABLE),
    ],
)
def test_answers_end_as_the_table_has_it(stream, status, closed, charge, alarm):
    _, found = followed(ChoicesFollower(streamed=True, status=status), stream, closed=closed)
    assert outcome_of(found.kind, found.standing, delivered=found.delivered) == (charge, alarm)


def test_a_message_that_is_cut_is_charged_for_the_input_it_said_and_the_output_that_came():
    _, found = followed(MessagesFollower(streamed=True), named(*MESSAGE_STREAM[:9]))
    charged = charged_usage(found, COUNTED)
    assert charged is not None
    assert [charged.of(leg) for leg in (Leg.INPUT, Leg.CACHE_READ, Leg.OUTPUT)] == [25, 100, 7]


@given(
    st.integers(0, 200),
    st.integers(0, 3_000),
    st.sampled_from(list(Closed)),
    st.sampled_from([WHOLE, NO_USAGE, FAILED, HUGE]),
)
def test_wherever_an_answer_is_cut_the_table_has_a_row(garbage, place, closed, stream):
    """And never more output is charged than the supplier says or we counted."""
    chunks = [stream[:place], bytes([garbage]) * (garbage % 3)]
    _, found = followed(ChoicesFollower(streamed=True), *chunks, closed=closed)
    charged = charged_usage(found, COUNTED)
    assert charged is None or charged.amount(Leg.OUTPUT) <= 10
