"""docs/spec/meter.md is as built: its tables are read here, its states are walked, and its example is played."""

import re

import pytest

from ciyuan.basics.rows import KIND, Row, reason_of
from ciyuan.basics.time import NS_PER_SECOND
from ciyuan.gateway import (
    LimitUnit,
    LimitWindow,
    MeterCommand,
    MeterEvent,
    MeterRefusal,
    close_row,
    deliver_row,
    hold_row,
    leg_used_row,
    limit_row,
    machine,
    spender_row,
    tick_row,
    void_row,
)
from ciyuan.gateway.leg_prices import LegPrices, Step
from ciyuan.gateway.messages import (
    DEPTH_MAX,
    LIMIT_MAX,
    LIMITS_OF_SPENDER_MAX,
    OFFSET_MAX_NS,
    PIECES_MAX,
    RATE_MAX,
    STEPS_MAX,
)
from ciyuan.gateway.usage import Leg
from ciyuan.gateway.windows import TICKS
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
    ("name", "codes"),
    [
        ("command", MeterCommand),
        ("event", MeterEvent),
        ("refusal", MeterRefusal),
        ("unit", LimitUnit),
        ("window", LimitWindow),
    ],
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


@pytest.mark.parametrize(("state", "by_leg_used", "by_close"), table(SPEC, "state", "LEG_USED"))
def test_what_is_told_and_closed_of_a_request_is_as_the_page_says(state, by_leg_used, by_close):
    for row, expected in ((leg_used_row(51, 7, 5, 3), by_leg_used), (close_row(51, 7, 8), by_close)):
        twins = a_market()
        twins.say(*(changed(INTO["SETTLED"]) if state == "closed" else changed(INTO[state])))
        if state == "closed":
            twins.say(close_row(51, 7, 8))
        answer = twins.one(row)
        assert (refusal(answer) or code(answer)).name == ("REPEATED" if expected == "repeat" else expected)


def changed(rows: tuple[Row, ...]) -> list[Row]:
    """Without a timeout, but where it is waited for."""
    return [hold_row(1, 7, who(), 9, 9) if row is HOLD and tick_row(51) not in rows else row for row in rows]


def test_the_pages_bounds_are_the_machines():
    assert (DEPTH_MAX, LIMITS_OF_SPENDER_MAX, STEPS_MAX) == (8, 8, 7)
    assert (LIMIT_MAX, RATE_MAX, PIECES_MAX, OFFSET_MAX_NS) == (
        65_535,
        10**11,
        1_000,
        14 * 3_600 * NS_PER_SECOND,
    )
    assert f"{TICKS:,} to a window" in SPEC
    rules = [int(found) for found in re.findall(r"^(\d+)\. ", SPEC, re.MULTILINE)]
    assert rules == list(range(1, 50))


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


def test_the_example_with_limits_is_played():
    twins, (day, minute) = a_market(), (LimitWindow.DAY, LimitWindow.MINUTE)
    twins.say(spender_row(0, 10, 0, 1), spender_row(0, 20, 10, 1))
    twins.say(limit_row(0, 1, 10, LimitUnit.MONEY, day, 5_000, 8 * 3_600 * NS_PER_SECOND))
    twins.say(limit_row(0, 2, 20, LimitUnit.REQUESTS, minute, 2))
    steps = table(SPEC, "time", "command")
    assert len(steps) == 9
    for time, command, answer, *shown in steps:
        hours, minutes, seconds = map(int, time.split(":"))
        moment = (3_600 * hours + 60 * minutes + seconds) * NS_PER_SECOND
        event = twins.one(limited_row(moment, command))
        assert (refusal(event) or code(event)).name == answer, command
        views = [twins.fast.limit(number, moment) for number in (1, 2)]
        used = [view.used for view in views if view is not None]
        assert [number for cell in shown for number in numbers(cell)] == [
            event[7],
            reason_of(event[KIND]),
            *used,
        ]


def limited_row(moment: int, command: str) -> Row:
    verb, key, *counts = command.split(maxsplit=1)[0], *numbers(command)
    if verb == "HOLD":
        return hold_row(moment, key, who(), counts[1], counts[2], 0, counts[0])
    return deliver_row(moment, key, who(), *counts) if verb == "DELIVER" else void_row(moment, key)


def test_the_example_with_cache_writes_is_played():
    twins, grade = a_market(10**12), who(grade=2)
    pico = {Leg.INPUT: "3", Leg.CACHE_READ: "0.3", Leg.OUTPUT: "15", Leg.CACHE_WRITE_SHORT: "3.75"}
    dear = {Leg.INPUT: "6", Leg.CACHE_READ: "0.6", Leg.OUTPUT: "22.5", Leg.CACHE_WRITE_SHORT: "7.5"}
    step = Step(200_000, LegPrices.per_mtok(dear, searches="0.01"))
    prices = LegPrices(LegPrices.per_mtok(pico, searches="0.01").pico, steps=(step,))
    twins.say(*prices.rows(0, 1, 2, 0, {Leg.SEARCHES: 5}))
    steps = table(SPEC, "step", "command")
    assert [int(cells[0]) for cells in steps] == list(range(1, 11))
    for moment, command, answer, *shown in steps:
        (verb, key, *counts), time = (command.split(maxsplit=1)[0], *numbers(command)), int(moment)
        if verb == "HOLD":
            row = hold_row(time, key, grade, *counts)
        elif verb == "DELIVER":
            row = deliver_row(time, key, grade, *counts)
        else:
            row = leg_used_row(time, key, Leg[command.split()[2]], counts[0])
        event = twins.one(row)
        assert (refusal(event) or code(event)).name == answer, command
        assert [number for cell in shown for number in numbers(cell)] == [
            event[7],
            int(twins.fast.parties[0, 3]),
        ]
    assert (
        999 * 3_000_000 + 5_000 * 300_000 + 4_001 * 3_750_000 + 500 * 15_000_000 + 2 * 10**10
        == 47_000_750_000
    )
