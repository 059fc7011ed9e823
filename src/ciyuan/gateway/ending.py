"""The policy of endings: by how an answer ended, what the supplier says of it and what was delivered, what is charged.

docs/spec/endings.md holds the same table and the reasons; a test reads it from there.

| charge | of the input | of the output |
|---|---|---|
| CLAIMED | the supplier's count | the supplier's count |
| DELIVERED | the supplier's count if it said one above 0, else ours | ours of what was delivered, or the supplier's if less |
| ASKED | the supplier's count if it said one above 0, else ours | 0 |
| VOID | nothing: the hold is released | nothing |

Invariants: an outcome is defined for every ending that can be, and for no other; what was not counted by anybody is never
charged; each leg of what is charged says where its count is from.
"""

from enum import IntEnum
from typing import NamedTuple

from ciyuan.basics.errors import InvariantBroken
from ciyuan.gateway.answer import Ending, EndingKind
from ciyuan.gateway.usage import Claim, Leg, Provenance, Standing, Usage


class Charge(IntEnum):
    """What an answer is charged by."""

    CLAIMED = 1
    DELIVERED = 2
    ASKED = 3
    VOID = 4


class Alarm(IntEnum):
    """What an ending says against the supplier, for its score and for the operator."""

    NONE = 0
    USAGE_MISSING = 1
    USAGE_ZERO = 2
    """Text came, and the supplier says 0."""
    USAGE_IMPOSSIBLE = 3
    TOKENS_WITHOUT_TEXT = 4
    """Tokens are claimed of which nothing was seen: hidden reasoning, or an invention."""
    CLAIM_FOR_NOTHING = 5
    """Tokens are claimed for what failed."""
    SUPPLIER_FAILED = 6
    SUPPLIER_CUT = 7
    ANSWER_UNREADABLE = 8


class Outcome(NamedTuple):
    """What is charged, and what is said about it."""

    charge: Charge
    alarm: Alarm = Alarm.NONE


_Row = tuple[Outcome, Outcome, Outcome, Outcome, Outcome]
_CLAIMED, _DELIVERED, _ASKED, _VOID = (Outcome(charge) for charge in Charge)
_MISSING, _ZERO = Outcome(Charge.DELIVERED, Alarm.USAGE_MISSING), Outcome(Charge.DELIVERED, Alarm.USAGE_ZERO)
_IMPOSSIBLE, _INVENTED = (
    Outcome(Charge.DELIVERED, Alarm.USAGE_IMPOSSIBLE),
    Outcome(Charge.VOID, Alarm.USAGE_IMPOSSIBLE),
)
_UNSEEN = Outcome(Charge.CLAIMED, Alarm.TOKENS_WITHOUT_TEXT)
_FOR_NOTHING = Outcome(Charge.VOID, Alarm.CLAIM_FOR_NOTHING)
_FAILED, _FAILED_LATE = (
    Outcome(Charge.VOID, Alarm.SUPPLIER_FAILED),
    Outcome(Charge.DELIVERED, Alarm.SUPPLIER_FAILED),
)
_CUT, _CUT_LATE = Outcome(Charge.VOID, Alarm.SUPPLIER_CUT), Outcome(Charge.DELIVERED, Alarm.SUPPLIER_CUT)
_SENSELESS, _SENSELESS_LATE = (
    Outcome(Charge.VOID, Alarm.ANSWER_UNREADABLE),
    Outcome(Charge.DELIVERED, Alarm.ANSWER_UNREADABLE),
)
_NOTHING_SAID = Outcome(Charge.VOID, Alarm.USAGE_MISSING)

_TABLE: dict[tuple[EndingKind, bool], _Row] = {
    # (how it ended, whether anything was delivered): usage absent, impossible, zero, partial, full
    (EndingKind.COMPLETE, True): (_MISSING, _IMPOSSIBLE, _ZERO, _MISSING, _CLAIMED),
    (EndingKind.COMPLETE, False): (_NOTHING_SAID, _INVENTED, _CLAIMED, _ASKED, _UNSEEN),
    (EndingKind.LENGTH, True): (_MISSING, _IMPOSSIBLE, _ZERO, _MISSING, _CLAIMED),
    (EndingKind.LENGTH, False): (_NOTHING_SAID, _INVENTED, _CLAIMED, _ASKED, _CLAIMED),
    (EndingKind.CONTENT_REFUSED, True): (_MISSING, _IMPOSSIBLE, _ZERO, _MISSING, _CLAIMED),
    (EndingKind.CONTENT_REFUSED, False): (_VOID, _INVENTED, _CLAIMED, _ASKED, _CLAIMED),
    (EndingKind.REQUEST_REFUSED, False): (_VOID, _VOID, _VOID, _VOID, _FOR_NOTHING),
    (EndingKind.ERROR_BEFORE_TOKEN, False): (_FAILED, _FAILED, _FAILED, _FAILED, _FOR_NOTHING),
    (EndingKind.ERROR_MID_STREAM, True): (_FAILED_LATE,) * 5,
    (EndingKind.CUT_BEFORE_TOKEN, False): (_CUT, _CUT, _CUT, _CUT, _FOR_NOTHING),
    (EndingKind.CUT_MID_STREAM, True): (_CUT_LATE,) * 5,
    (EndingKind.CLIENT_GONE, True): (_DELIVERED, _IMPOSSIBLE, _DELIVERED, _DELIVERED, _CLAIMED),
    (EndingKind.CLIENT_GONE, False): (_ASKED, _ASKED, _ASKED, _ASKED, _CLAIMED),
    (EndingKind.UNREADABLE, True): (_SENSELESS_LATE,) * 5,
    (EndingKind.UNREADABLE, False): (_SENSELESS, _SENSELESS, _SENSELESS, _SENSELESS, _FOR_NOTHING),
}


def outcome_of(kind: EndingKind, standing: Standing, *, delivered: bool) -> Outcome:
    """What is charged for an ending, and the alarm. Raises InvariantBroken for one that cannot be: before and after a token."""
    row = _TABLE.get((kind, delivered))
    if row is None:
        raise InvariantBroken("endings", f"{kind.name} with delivered {delivered} is no ending")
    return row[standing - 1]


def charged_usage(ending: Ending, counted: Usage) -> Usage | None:
    """The usage that is charged for an ending, each leg with its provenance; None where the hold is voided.

    `counted` is what we make of it: input by the request, output by what was delivered, counted with the model's vocabulary or
    estimated, and the pieces. Raises Malformed if that lacks input or output.
    """
    charge = outcome_of(ending.kind, ending.standing, delivered=ending.delivered).charge
    if charge is Charge.VOID:
        return None
    counted.require_whole()
    if charge is Charge.CLAIMED and ending.claim.usage is not None:
        return ending.claim.usage.filled(counted)
    said = _said_of_input(ending.claim)
    if charge is Charge.ASKED:
        counts = list(counted.counts)
        counts[Leg.OUTPUT] = 0
        nothing_out = Usage(
            tuple(counts), counted.without(Leg.OUTPUT).sources | Provenance.COUNTED << 2 * Leg.OUTPUT
        )
        return said.filled(nothing_out.without(Leg.REASONING, Leg.AUDIO_OUT, Leg.IMAGE_OUT))
    return _with_less_output(said, ending, counted).filled(counted)


def _said_of_input(claim: Claim) -> Usage:
    """What a claim says of the input, if that is more than 0, without what it says of the output."""
    if claim.usage is None or claim.usage.input_tokens == 0:
        return Usage()
    return claim.usage.without(Leg.OUTPUT, Leg.REASONING, Leg.AUDIO_OUT, Leg.IMAGE_OUT)


def _with_less_output(said: Usage, ending: Ending, counted: Usage) -> Usage:
    """The supplier's own count of the output in place of ours, if it is final and the lesser one."""
    claim = ending.claim
    if ending.standing is not Standing.FULL or claim.usage is None:
        return said
    if claim.usage.amount(Leg.OUTPUT) >= counted.amount(Leg.OUTPUT):
        return said
    return claim.usage
