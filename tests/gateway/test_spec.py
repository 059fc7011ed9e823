"""docs/spec/meter.md is as built: its tables are read here, its states are walked, and its example is played."""

import re

import pytest

from ciyuan.basics.rows import KIND, Row
from ciyuan.basics.time import NS_PER_SECOND
from ciyuan.gateway import (
    MeterCommand,
    MeterEvent,
    MeterRefusal,
    deliver_row,
    hold_row,
    machine,
    tick_row,
    void_row,
)
from ciyuan.ledger.messages import transfer_row
from tests.gateway.twins import ADA, NORTH, WORLD, Twins, a_market, code, refusal, who
from tests.sources import ROOT

SPEC = (ROOT / "docs" / "spec" / "meter.md").read_text(encoding="utf-8")


def table(text: str, first_column: str, second_column: str) -> list[list[str]]:
    """The cells of the table whose head begins so, row by row without the head."""
    lines = (
        text[text.index(f"| {first_column} | {second_column} |") :].split("\n\n", maxsplit=1)[0].splitlines()
    )
    return [[cell.strip() for cell in line.strip().strip("|").split("|")] for line in lines[2:]]


@pytest.mark.parametrize(
    ("name", "codes"), [("command", MeterCommand), ("event", MeterEvent), ("refusal", MeterRefusal)]
)
def test_the_page_lists_every_code(name, codes):
    assert [row[:2] for row in table(SPEC, "value", name)] == [
        [str(int(code)), f"`{code.name}`"] for code in codes
    ]


def test_each_refusal_says_what_is_wrong_with_the_row():
    assert all(len(row) == 3 and row[2] for row in table(SPEC, "value", "refusal"))


def test_the_machine_opens_with_the_pages_states():
    assert table(machine.__doc__ or "", "state", "HOLD") == table(SPEC, "state", "HOLD")


HOLD, DELIVER, VOID = hold_row(1, 7, who(), 9, 9, 50), deliver_row(2, 7, who(), 5, 0, 5), void_row(2, 7)
INTO: dict[str, tuple[Row, ...]] = {
    "none": (),
    "HELD": (HOLD,),
    "SETTLED": (HOLD, DELIVER),
    "VOIDED": (HOLD, VOID),
    "EXPIRED": (HOLD, tick_row(51)),
}


@pytest.mark.parametrize(
    ("state", "by_hold", "by_deliver", "by_void", "by_time"), table(SPEC, "state", "HOLD")
)
def test_requests_go_from_state_to_state_as_the_page_says(state, by_hold, by_deliver, by_void, by_time):
    for row, expected in ((HOLD, by_hold), (DELIVER, by_deliver), (VOID, by_void), (tick_row(51), by_time)):
        twins = a_market()
        twins.say(*INTO[state])
        events = twins.say(
            (row[KIND], 51 if state == "EXPIRED" or row[KIND] == MeterCommand.TICK else 3, *row[2:])
        )
        answers = [(refusal(event) or code(event)).name for event in events]
        if row[KIND] == MeterCommand.TICK:
            assert answers == ([expected] if expected else []) + ["TICKED"]
        else:
            assert answers == ["REPEATED" if expected == "repeat" else expected]


def numbers(text: str) -> list[int]:
    return [int(found.replace(",", "")) for found in re.findall(r"[\d,]*\d", text)]


def row_of(second: str, command: str) -> Row:
    verb, key, *counts = command.split(maxsplit=1)[0], *numbers(command)
    moment = int(second) * NS_PER_SECOND
    if verb == "HOLD":
        return hold_row(
            moment, key, who(), counts[0], counts[1], counts[2] * NS_PER_SECOND if len(counts) > 2 else 0
        )
    return deliver_row(moment, key, who(), counts[0], counts[1], counts[2], batch=command.endswith("batch"))


def test_the_example_is_played():
    twins = a_market(balance_micro=0)
    twins.ledger(transfer_row(0, 2**61, WORLD, ADA, 5_000))
    steps = table(SPEC, "second", "command")
    assert len(steps) == 12
    for second, command, answer, *shown in steps:
        event = twins.one(row_of(second, command))
        assert (refusal(event) or code(event)).name == answer, command
        assert [number for cell in shown for number in numbers(cell)] == [event[7], *standing(twins)], command


def standing(twins: Twins) -> list[int]:
    """The customer's balance, available money and carry, and the supplier's balance."""
    return [twins.posted(ADA), twins.available(ADA), int(twins.fast.parties[0, 3]), twins.posted(NORTH)]


def test_the_sum_below_the_example_is_right():
    costs = 377 * 950_000 + 400 * 160_000 + 333 * 4_000_000, 100 * 475_000 + 99 * 2_000_000, 950_000
    assert costs == (1_754_150_000, 245_500_000, 950_000)
    assert sum(costs) == 2_000 * 10**6 + 600_000
    for shown in (
        "1,754 + 245 + 1 = 2,000",
        "600,000 pico-units",
        "2,000.6 micro-units",
        "(1,754.15, 245.5 and 0.95)",
    ):
        assert shown in SPEC.replace("\n", " ")
