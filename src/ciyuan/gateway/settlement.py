"""What an answer that has ended is settled by: its verdict, the counts that are charged, and the meter's rows.

| step | here | from |
|---|---|---|
| how it ended, what the supplier claims | given | `answer.Follower.ending` |
| a claim of more than was held is impossible | `believed` | the hold: bounded by the body, and by the limit that was sent |
| what is charged | `settled` | `ending.charged_usage`: docs/spec/endings.md |
| in the meter's rows | `rows_of` | `messages`: LEG_USED for what has a price of its own, then one DELIVER; or one VOID |

Invariant: no leg that is charged is above what was held for it. What a supplier delivers or claims beyond it is the supplier's
loss, and an alarm: the customer set the limit, and the supplier was told.
"""

from typing import NamedTuple

from ciyuan.basics.rows import Row
from ciyuan.gateway.answer import Ending, EndingKind
from ciyuan.gateway.ending import Alarm, Charge, charged_usage, outcome_of
from ciyuan.gateway.leg_prices import LegPrices, usage_rows
from ciyuan.gateway.messages import deliver_row, void_row
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


class Held(NamedTuple):
    """What was held for a request: the most input and output tokens."""

    tokens_in: int
    tokens_out: int


class Settled(NamedTuple):
    """What an ending comes to: by which rule, the counts that are charged (None: nothing), and the alarm."""

    charge: Charge
    usage: Usage | None
    alarm: Alarm
    ending: Ending


def nothing_came(kind: EndingKind) -> Ending:
    """The verdict on an attempt of which not even the head of an answer came."""
    return Ending(kind, Standing.ABSENT, delivered=False, claim=NO_CLAIM)


def believed(ending: Ending, held: Held) -> Ending:
    """The verdict with a claim that can be: of more than was held it is impossible, since the request could not use that much."""
    usage = ending.claim.usage
    if usage is None or (
        usage.input_tokens <= held.tokens_in and usage.amount(Leg.OUTPUT) <= held.tokens_out
    ):
        return ending
    found = f"{usage.input_tokens} in, {usage.amount(Leg.OUTPUT)} out; at most {held.tokens_in} and {held.tokens_out} can be"
    claim = Claim(fault=UsageFault.OVER_BOUND, found=found, final=ending.claim.final)
    return ending._replace(standing=Standing.IMPOSSIBLE, claim=claim)


def is_plain(ending: Ending) -> bool:
    """Whether the claim is charged as it is, and names both legs: nothing is to be counted for it."""
    usage = ending.claim.usage
    return (
        usage is not None
        and ending.standing is Standing.FULL
        and ending.delivered
        and ending.kind in {EndingKind.COMPLETE, EndingKind.LENGTH}
        and usage.counts[Leg.INPUT] is not None
    )


def settled(ending: Ending, held: Held, counted: Usage) -> Settled:
    """What is charged for an ending. `counted` is what we make of it, both legs; it is not looked at where `is_plain`.

    Raises Malformed where a count is wanted and `counted` lacks it.
    """
    ending = believed(ending, held)
    outcome = outcome_of(ending.kind, ending.standing, delivered=ending.delivered)
    if is_plain(ending):
        return Settled(outcome.charge, ending.claim.usage, outcome.alarm, ending)
    usage = charged_usage(ending, counted)
    return Settled(outcome.charge, None if usage is None else _within(usage, held), outcome.alarm, ending)


def rows_of(request: int, parties: int, usage: Usage | None, *, batch: bool = False) -> list[Row]:
    """The meter's rows that settle a request, their time not yet set: what of the usage has a row of its own, then a DELIVER; or
    a VOID. Raises Malformed for a usage without input or output.
    """
    if usage is None:
        return [void_row(0, request)]
    counts = usage.counts
    if counts[Leg.CACHE_WRITE_SHORT] or counts[Leg.CACHE_WRITE_LONG] or any(counts[Leg.REASONING :]):
        return usage_rows(0, request, parties, usage, batch=batch)
    usage.require_whole()
    amounts = counts[Leg.CACHE_READ] or 0, counts[Leg.OUTPUT] or 0
    return [deliver_row(0, request, parties, usage.input_tokens, *amounts, batch=batch)]


def with_pieces(usage: Usage, images: int, prices: LegPrices) -> Usage:
    """The usage with the pieces that we count ourselves, where they have a price: pictures handed in by address, the call."""
    pico = prices.pico
    if not pico[Leg.IMAGES] and not pico[Leg.REQUESTS]:
        return usage
    pieces: dict[Leg, int | None] = {Leg.IMAGES: images, Leg.REQUESTS: 1}
    return usage.filled(usage_from(Provenance.COUNTED, pieces))


def _within(usage: Usage, held: Held) -> Usage:
    """The usage with no more in it than was held: what we count by estimate may be more."""
    over_in = usage.input_tokens - held.tokens_in
    if over_in <= 0 and usage.amount(Leg.OUTPUT) <= held.tokens_out:
        return usage
    counts = list(usage.counts)
    for leg in (Leg.INPUT, Leg.CACHE_WRITE_LONG, Leg.CACHE_WRITE_SHORT, Leg.CACHE_READ):
        count = counts[leg]
        if over_in > 0 and count is not None:
            counts[leg] = count - min(over_in, count)
            over_in -= min(over_in, count)
    counts[Leg.OUTPUT] = min(counts[Leg.OUTPUT] or 0, held.tokens_out)
    left = {whole: counts[whole] or 0 for whole in PARTS.values()}
    for part, whole in PARTS.items():
        count = counts[part]
        if count is not None:
            counts[part] = min(count, left[whole])
            left[whole] -= min(count, left[whole])
    return Usage(tuple(counts), usage.sources)
