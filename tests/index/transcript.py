"""Worked examples as text: `>` lines become commands, events become `<` lines."""

import re
from collections.abc import Iterator, Sequence

from ciyuan.basics.money import format_micro, parse_micro
from ciyuan.basics.rows import Row, code_of, flags_of, reason_of
from ciyuan.index.messages import (
    RULE_CORRECTION,
    FixFlag,
    IndexEvent,
    IndexRefusal,
    Leg,
    Level,
    Source,
    Withheld,
    correct_row,
    relate_row,
)
from tests.index.readings import CENTI_PER_MTOK, DAY, GRADE, at, fix, new_index, seen, told

VERBS = {"trades": Source.TRADE, "delivers": Source.DELIVERY, "quotes": Source.QUOTE, "lists": Source.LIST}
LEVELS = {Level.TRANSACTIONS: "a", Level.QUOTES: "b", Level.LISTS: "c"}
OBSERVED = re.compile(r"seller (\d+) (\w+) (\d+) MTok at (\S+)")


def command(line: str) -> Row:
    """The row of a line such as "15:01 seller 1 delivers 90 MTok at 0.99"."""
    day = DAY + 1 if line.startswith("next day ") else DAY
    clock, _, said = line.removeprefix("next day ").partition(" ")
    moment = at(clock, day)
    if found := OBSERVED.fullmatch(said):
        seller, verb, mtok, price = found.groups()
        return seen(clock, int(seller), parse_micro(price), int(mtok), VERBS[verb], day=day)
    if said == "fix":
        return fix(clock)
    if found := re.fullmatch(r"relate seller (\d+) to (\d+)", said):
        return relate_row(moment, int(found[1]), int(found[2]))
    found = re.fullmatch(r"correct(?: without seller (\d+))?", said)
    assert found, f"no command: {line}"
    return correct_row(moment, GRADE, DAY, Leg.STANDARD, int(found[1] or 0))


def price(micro: int) -> str:
    """As prices are written in the examples: two decimals, or more if there are more."""
    whole, _, part = format_micro(micro).partition(".")
    return f"{whole}.{part.rstrip('0').ljust(2, '0')}"


def shown(event: Sequence[int]) -> str:
    """The line of an event."""
    match IndexEvent(code_of(event[0])):
        case IndexEvent.FIXED:
            raised = ", cap raised" if flags_of(event[0]) & FixFlag.CAP_RAISED else ""
            return f"fixed {price(event[5])}, level {LEVELS[Level(event[6])]}, version {event[7]}{raised}"
        case IndexEvent.FIX_EVIDENCE:
            return f"stands on {event[5]} sellers, {event[6]} observations, {event[7] // CENTI_PER_MTOK} MTok"
        case IndexEvent.SET_ASIDE if reason_of(event[0]) == RULE_CORRECTION:
            return f"struck out: seller {event[4]}"
        case IndexEvent.SET_ASIDE:
            return f"set aside: seller {event[4]} at {price(event[5])}, the others at {price(event[6])}"
        case IndexEvent.WITHHELD:
            return f"withheld: {Withheld(event[5]).name}, version {event[7]}"
        case IndexEvent.REPEATED:
            return f"repeated: version {event[7]}"
        case IndexEvent.REFUSED:
            return f"refused: {IndexRefusal(event[7]).name}"
        case _:
            return "related"


def played(block: str) -> Iterator[str]:
    """The block as the index plays it: its `>` lines, each followed by what is answered."""
    index = new_index()
    for line in block.splitlines():
        if line.startswith("> "):
            yield line
            yield from (f"< {shown(event)}" for event in told(index, command(line[2:])))
