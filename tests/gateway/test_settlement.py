"""Settlement: nothing is charged beyond what was held, parts stay within their wholes, and the rows say the same."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ciyuan.basics.errors import Malformed
from ciyuan.basics.rows import CODE_MASK
from ciyuan.gateway.answer import Ending, EndingKind
from ciyuan.gateway.ending import _TABLE, Alarm, Charge
from ciyuan.gateway.leg_prices import LegPrices, cost_pico
from ciyuan.gateway.messages import MeterCommand, parties_word
from ciyuan.gateway.settlement import Held, believed, is_plain, nothing_came, rows_of, settled
from ciyuan.gateway.usage import (
    NO_CLAIM,
    PARTS,
    Claim,
    Leg,
    Provenance,
    Standing,
    Usage,
    UsageFault,
    usage_from,
)

PARTIES = parties_word(1, 2, 3)
HELD = Held(100, 50)
COUNTED = usage_from(Provenance.COUNTED, {Leg.INPUT: 30, Leg.OUTPUT: 20})
ENDINGS = sorted(_TABLE)
"""How an answer can end, and whether anything was delivered."""


def usage(tokens_in: int, tokens_out: int, **more: int) -> Usage:
    legs: dict[Leg, int | None] = {Leg.INPUT: tokens_in, Leg.OUTPUT: tokens_out}
    return usage_from(Provenance.SUPPLIER, legs | {Leg[name]: count for name, count in more.items()})


def ending(kind: EndingKind, claim: Claim, *, delivered: bool = True) -> Ending:
    return Ending(kind, claim.standing, delivered, claim)


@st.composite
def usages(draw: st.DrawFn, provenance: Provenance = Provenance.SUPPLIER, *, whole: bool = False) -> Usage:
    """Counts as a vendor or we may have them: legs that may be absent, parts within their wholes."""
    count = st.integers(0, 200)
    legs: dict[Leg, int | None] = {leg: draw(count if whole and leg in {Leg.INPUT, Leg.OUTPUT} else st.none() | count)
                                   for leg in Leg if leg not in PARTS}  # fmt: skip
    for part, of in PARTS.items():
        legs[part] = draw(st.none() | st.integers(0, legs[of] or 0))
    for first, second, of in (
        (Leg.AUDIO_IN, Leg.IMAGE_IN, Leg.INPUT),
        (Leg.AUDIO_OUT, Leg.IMAGE_OUT, Leg.OUTPUT),
    ):
        legs[second] = min(legs[second] or 0, (legs[of] or 0) - (legs[first] or 0))
    legs[Leg.REASONING] = min(
        legs[Leg.REASONING] or 0,
        (legs[Leg.OUTPUT] or 0) - (legs[Leg.AUDIO_OUT] or 0) - (legs[Leg.IMAGE_OUT] or 0),
    )
    return usage_from(provenance, legs)


claims = st.one_of(
    st.just(NO_CLAIM),
    st.sampled_from(UsageFault).map(lambda fault: Claim(fault=fault)),
    st.tuples(usages(), st.booleans()).map(lambda drawn: Claim(drawn[0], final=drawn[1])),
    usages(whole=True).map(Claim),
)
ours = st.builds(lambda tokens_in, tokens_out: usage_from(Provenance.COUNTED, {Leg.INPUT: tokens_in, Leg.OUTPUT: tokens_out}),
                 st.integers(0, 400), st.integers(0, 400))  # fmt: skip
"""What the door counts itself: the two legs."""
helds = st.builds(Held, st.integers(0, 300), st.integers(0, 300))


@given(st.sampled_from(ENDINGS), claims, helds, ours)
def test_nothing_is_charged_beyond_the_hold_and_no_part_beyond_its_whole(how, claim, held, counted):
    kind, delivered = how
    found = settled(Ending(kind, claim.standing, delivered, claim), held, counted)
    assert (found.usage is None) == (found.charge is Charge.VOID)
    if found.usage is None:
        return
    charged = found.usage
    assert charged.input_tokens <= held.tokens_in
    assert charged.amount(Leg.OUTPUT) <= held.tokens_out
    assert all(count is None or count >= 0 for count in charged.counts)
    assert all(charged.amount(part) <= charged.amount(whole) for part, whole in PARTS.items())
    charged.require_whole()


@given(st.sampled_from(ENDINGS), claims, helds, ours)
def test_what_is_charged_can_be_priced_and_costs_no_more_than_the_hold(how, claim, held, counted):
    """Each token once: the parts together are no more than their whole, so the price of the whole bounds the cost."""
    kind, delivered = how
    found = settled(Ending(kind, claim.standing, delivered, claim), held, counted)
    if found.usage is not None:
        prices = LegPrices.of({Leg.INPUT: 3_000_000, Leg.OUTPUT: 15_000_000})
        most = held.tokens_in * 3_000_000 + held.tokens_out * 15_000_000
        assert 0 <= cost_pico(found.usage, prices) <= most


@given(st.sampled_from(ENDINGS), claims, helds, ours)
def test_the_rows_are_one_deliver_of_what_is_charged_or_one_void(how, claim, held, counted):
    kind, delivered = how
    found = settled(Ending(kind, claim.standing, delivered, claim), held, counted)
    *_, last = rows_of(77, PARTIES, found.usage)
    if found.usage is None:
        assert last[0] & CODE_MASK == MeterCommand.VOID
        assert last[2] == 77
    else:
        assert last[0] & CODE_MASK == MeterCommand.DELIVER
        read = found.usage.amount(Leg.CACHE_READ)
        assert list(last[2:7]) == [
            77,
            PARTIES,
            found.usage.input_tokens,
            read,
            found.usage.amount(Leg.OUTPUT),
        ]
        assert read <= found.usage.input_tokens


@given(claims, helds)
def test_a_claim_is_believed_as_it_is_or_impossible(claim, held):
    before = ending(EndingKind.COMPLETE, claim)
    after = believed(before, held)
    used = claim.usage
    if used is None or (used.input_tokens <= held.tokens_in and used.amount(Leg.OUTPUT) <= held.tokens_out):
        assert after is before
    else:
        assert (after.standing, after.claim.usage, after.claim.fault) == (
            Standing.IMPOSSIBLE, None, UsageFault.OVER_BOUND,
        )  # fmt: skip
        assert after.claim.final == claim.final
        assert str(held.tokens_in) in after.claim.found


@pytest.mark.parametrize(("tokens_in", "tokens_out", "alarm"), [
    (100, 50, Alarm.NONE), (101, 50, Alarm.USAGE_IMPOSSIBLE), (100, 51, Alarm.USAGE_IMPOSSIBLE),
])  # fmt: skip
def test_a_claim_may_be_all_that_was_held_and_not_a_token_more(tokens_in, tokens_out, alarm):
    found = settled(ending(EndingKind.COMPLETE, Claim(usage(tokens_in, tokens_out))), HELD, COUNTED)
    assert found.alarm is alarm
    assert found.usage is not None
    charged = found.usage.input_tokens, found.usage.amount(Leg.OUTPUT)
    assert charged == ((100, 50) if alarm is Alarm.NONE else (30, 20))


def test_cached_input_counts_towards_the_hold():
    claim = Claim(usage(1, 1, CACHE_READ=60, CACHE_WRITE_SHORT=40))
    assert believed(ending(EndingKind.COMPLETE, claim), HELD).standing is Standing.IMPOSSIBLE


@pytest.mark.parametrize("kind", [EndingKind.COMPLETE, EndingKind.LENGTH])
def test_a_plain_claim_is_charged_as_it_is_and_nothing_is_counted_for_it(kind):
    plain = ending(kind, Claim(usage(7, 8)))
    assert is_plain(plain)
    found = settled(plain, HELD, Usage())
    assert (found.charge, found.usage, found.alarm) == (Charge.CLAIMED, usage(7, 8), Alarm.NONE)


@pytest.mark.parametrize("other", [
    ending(EndingKind.CUT_MID_STREAM, Claim(usage(7, 8))),
    ending(EndingKind.COMPLETE, Claim(usage(7, 8)), delivered=False),
    ending(EndingKind.COMPLETE, Claim(usage(7, 8), final=False)),
    ending(EndingKind.COMPLETE, Claim(usage_from(Provenance.SUPPLIER, {Leg.OUTPUT: 8}))),
    ending(EndingKind.COMPLETE, NO_CLAIM),
])  # fmt: skip
def test_whatever_else_is_not_plain(other):
    assert not is_plain(other)


def test_what_must_be_counted_and_was_not_is_malformed():
    with pytest.raises(Malformed):
        settled(ending(EndingKind.COMPLETE, NO_CLAIM), HELD, Usage())


@pytest.mark.parametrize("kind", [EndingKind.CLIENT_GONE, EndingKind.CUT_BEFORE_TOKEN, EndingKind.UNREADABLE])
def test_of_what_nothing_came_there_is_no_claim_and_nothing_delivered(kind):
    nothing = nothing_came(kind)
    assert (nothing.kind, nothing.standing, nothing.delivered, nothing.claim) == (
        kind, Standing.ABSENT, False, NO_CLAIM,
    )  # fmt: skip
    assert settled(nothing, HELD, COUNTED).charge in {Charge.VOID, Charge.ASKED}


def test_an_estimate_beyond_the_hold_is_cut_down_leg_by_leg():
    """Fresh input goes first: what was read from a cache is cheaper, and stays."""
    counted = usage_from(Provenance.ESTIMATED, {Leg.INPUT: 90, Leg.CACHE_READ: 30, Leg.OUTPUT: 80, Leg.REASONING: 70,
                                                Leg.AUDIO_IN: 90})  # fmt: skip
    charged = settled(ending(EndingKind.COMPLETE, NO_CLAIM), HELD, counted).usage
    assert charged is not None
    legs = (Leg.INPUT, Leg.CACHE_READ, Leg.OUTPUT, Leg.REASONING, Leg.AUDIO_IN)
    assert [charged.of(leg) for leg in legs] == [70, 30, 50, 50, 70]
    assert charged.provenance(Leg.INPUT) is Provenance.ESTIMATED


def test_a_leg_that_nobody_counted_stays_absent_when_the_rest_is_cut_down():
    counted = usage_from(Provenance.COUNTED, {Leg.INPUT: 10, Leg.CACHE_READ: 200, Leg.OUTPUT: 1})
    charged = settled(ending(EndingKind.COMPLETE, NO_CLAIM), HELD, counted).usage
    assert charged is not None
    assert charged.of(Leg.CACHE_WRITE_LONG) is None


def test_parts_that_are_cut_down_are_together_no_more_than_their_whole():
    counted = usage_from(
        Provenance.COUNTED, {Leg.INPUT: 120, Leg.AUDIO_IN: 60, Leg.IMAGE_IN: 60, Leg.OUTPUT: 1}
    )
    charged = settled(ending(EndingKind.COMPLETE, NO_CLAIM), HELD, counted).usage
    assert charged is not None
    assert charged.amount(Leg.AUDIO_IN) + charged.amount(Leg.IMAGE_IN) <= charged.amount(Leg.INPUT)


def test_rows_of_half_a_usage_are_refused():
    with pytest.raises(Malformed):
        rows_of(1, PARTIES, usage_from(Provenance.SUPPLIER, {Leg.INPUT: 5}))


def test_a_batch_is_said_in_the_row():
    plain, batch = (rows_of(1, PARTIES, usage(5, 5), batch=flag)[-1] for flag in (False, True))
    assert plain[0] != batch[0]
    assert plain[1:] == batch[1:]
