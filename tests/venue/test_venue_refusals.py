"""Every refusal of the venue, and that of several at once the one declared first is given."""

from itertools import combinations

import pytest

from ciyuan.venue.messages import Purse, VenueCommand, VenueEvent, VenueRefusal
from tests.venue.market import ADA, DAY, DEE, EVE, KIMI, MONTH, OCT, SPOT, USD, Market

C, R = VenueCommand, VenueRefusal
NOBODY, NO_GRADE, NO_PURSE, NO_KEY, NO_MONTH = 99, 99, 9, 0, 202613
USED = 7
"""A key that the market's first deposits have used."""
LARGE = 2**62

SINGLE: list[tuple[VenueRefusal, VenueCommand, tuple[int, ...]]] = [
    (R.KEY_USED_OTHERWISE, C.DEPOSIT, (USED, EVE, Purse.CASH, 12)),
    (R.KEY_USED_OTHERWISE, C.WITHDRAW, (USED, EVE, Purse.CASH, 12)),
    (R.KEY_USED_OTHERWISE, C.MOVE, (USED, EVE, Purse.CASH, 12, Purse.PREPAID)),
    (R.KEY_USED_OTHERWISE, C.ISSUE, (USED, ADA, KIMI, 12, MONTH)),
    (R.PARTICIPANT_NUMBER_TAKEN, C.PARTICIPANT, (EVE, 1, 0, 1)),
    (R.PARTICIPANT_NUMBER_NOT_NEXT, C.PARTICIPANT, (9, 1, 0, 1)),
    (R.UNKNOWN_PARTICIPANT, C.DEPOSIT, (900, NOBODY, Purse.CASH, 1)),
    (R.UNKNOWN_PARTICIPANT, C.WITHDRAW, (900, NOBODY, Purse.CASH, 1)),
    (R.UNKNOWN_PARTICIPANT, C.MOVE, (900, NOBODY, Purse.CASH, 1, Purse.PREPAID)),
    (R.UNKNOWN_PARTICIPANT, C.CAPACITY, (NOBODY, KIMI, MONTH, 1)),
    (R.UNKNOWN_PARTICIPANT, C.ISSUE, (900, NOBODY, KIMI, 1, MONTH)),
    (R.UNKNOWN_GRADE, C.CAPACITY, (ADA, NO_GRADE, MONTH, 1)),
    (R.UNKNOWN_GRADE, C.ISSUE, (900, ADA, NO_GRADE, 1, MONTH)),
    (R.UNKNOWN_GRADE, C.LAPSE, (NO_GRADE, MONTH)),
    (R.UNKNOWN_CONTRACT, C.SAMPLE, (99,)),
    (R.UNKNOWN_CONTRACT, C.FINALISE, (SPOT, DAY)),
    (R.UNKNOWN_PURSE, C.DEPOSIT, (900, EVE, NO_PURSE, 1)),
    (R.UNKNOWN_PURSE, C.WITHDRAW, (900, EVE, Purse.RECEIPTS, 1)),
    (R.UNKNOWN_PURSE, C.MOVE, (900, EVE, Purse.CASH, 1, NO_PURSE)),
    (R.UNKNOWN_PURSE, C.MOVE, (900, EVE, Purse.CASH, 1, Purse.CASH)),
    (R.NOT_PERMITTED, C.CAPACITY, (EVE, KIMI, MONTH, 1)),
    (R.NOT_PERMITTED, C.ISSUE, (900, EVE, KIMI, 1, MONTH)),
    (R.AMOUNT_NOT_POSITIVE, C.DEPOSIT, (900, EVE, Purse.CASH, 0)),
    (R.AMOUNT_NOT_POSITIVE, C.WITHDRAW, (900, EVE, Purse.CASH, -1)),
    (R.AMOUNT_NOT_POSITIVE, C.MOVE, (900, EVE, Purse.CASH, -(2**63), Purse.PREPAID)),
    (R.AMOUNT_NOT_POSITIVE, C.CAPACITY, (ADA, KIMI, MONTH, -1)),
    (R.AMOUNT_NOT_POSITIVE, C.ISSUE, (900, ADA, KIMI, 0, MONTH)),
    (R.KEY_OUT_OF_RANGE, C.DEPOSIT, (NO_KEY, EVE, Purse.CASH, 1)),
    (R.KEY_OUT_OF_RANGE, C.WITHDRAW, (2**60, EVE, Purse.CASH, 1)),
    (R.KEY_OUT_OF_RANGE, C.MOVE, (-1, EVE, Purse.CASH, 1, Purse.PREPAID)),
    (R.KEY_OUT_OF_RANGE, C.ISSUE, (2**63 - 1, ADA, KIMI, 1, MONTH)),
    (R.OVER_CAPACITY, C.CAPACITY, (ADA, KIMI, MONTH, 999)),
    (R.OVER_CAPACITY, C.ISSUE, (900, ADA, KIMI, 1, MONTH)),
    (R.NEEDED_AS_MARGIN, C.WITHDRAW, (900, DEE, Purse.CASH, 10_000 * USD)),
    (R.NEEDED_AS_MARGIN, C.MOVE, (900, DEE, Purse.CASH, 10_000 * USD, Purse.REVENUE)),
    (R.INSUFFICIENT_BALANCE, C.WITHDRAW, (900, DEE, Purse.PREPAID, 101 * USD)),
    (R.INSUFFICIENT_BALANCE, C.MOVE, (900, DEE, Purse.PREPAID, 101 * USD, Purse.CASH)),
    (R.NOTHING_TO_SETTLE_ON, C.FINALISE, (OCT, DAY)),
    (R.UNKNOWN_ROLE, C.PARTICIPANT, (7, 16, 0, 1)),
    (R.UNKNOWN_ROLE, C.PARTICIPANT, (7, 4, 0, 0)),
    (R.UNKNOWN_MONTH, C.CAPACITY, (ADA, KIMI, NO_MONTH, 1)),
    (R.UNKNOWN_MONTH, C.LAPSE, (KIMI, NO_MONTH)),
    (R.AMOUNT_OVERFLOW, C.DEPOSIT, (900, EVE, Purse.REVENUE, LARGE)),
    (R.UNKNOWN_SETTING, C.PARTICIPANT, (7, 4, 0, 1, 16)),
    (R.UNKNOWN_SETTING, C.PARTICIPANT, (7, 1, 0, 0, 1)),
]
"""Each refusal, and a command that has that one fault."""

FAULTS: dict[VenueCommand, dict[VenueRefusal, dict[int, int]]] = {
    C.DEPOSIT: {
        R.KEY_USED_OTHERWISE: {0: USED},
        R.UNKNOWN_PARTICIPANT: {1: NOBODY},
        R.UNKNOWN_PURSE: {2: NO_PURSE},
        R.AMOUNT_NOT_POSITIVE: {3: 0},
        R.KEY_OUT_OF_RANGE: {0: NO_KEY},
        R.AMOUNT_OVERFLOW: {3: LARGE},
    },
    C.WITHDRAW: {
        R.KEY_USED_OTHERWISE: {0: USED},
        R.UNKNOWN_PARTICIPANT: {1: NOBODY},
        R.UNKNOWN_PURSE: {2: NO_PURSE},
        R.AMOUNT_NOT_POSITIVE: {3: 0},
        R.KEY_OUT_OF_RANGE: {0: NO_KEY},
        R.NEEDED_AS_MARGIN: {3: 20_000 * USD},
    },
    C.MOVE: {
        R.KEY_USED_OTHERWISE: {0: USED},
        R.UNKNOWN_PARTICIPANT: {1: NOBODY},
        R.UNKNOWN_PURSE: {4: NO_PURSE},
        R.AMOUNT_NOT_POSITIVE: {3: 0},
        R.KEY_OUT_OF_RANGE: {0: NO_KEY},
        R.NEEDED_AS_MARGIN: {3: 20_000 * USD},
    },
    C.CAPACITY: {
        R.UNKNOWN_PARTICIPANT: {0: NOBODY},
        R.UNKNOWN_GRADE: {1: NO_GRADE},
        R.NOT_PERMITTED: {0: EVE},
        R.AMOUNT_NOT_POSITIVE: {3: -1},
        R.UNKNOWN_MONTH: {2: NO_MONTH},
    },
    C.ISSUE: {
        R.KEY_USED_OTHERWISE: {0: USED},
        R.UNKNOWN_PARTICIPANT: {1: NOBODY},
        R.UNKNOWN_GRADE: {2: NO_GRADE},
        R.NOT_PERMITTED: {1: EVE},
        R.AMOUNT_NOT_POSITIVE: {3: 0},
        R.KEY_OUT_OF_RANGE: {0: NO_KEY},
        R.OVER_CAPACITY: {3: 5000},
    },
    C.LAPSE: {R.UNKNOWN_GRADE: {0: NO_GRADE}, R.UNKNOWN_MONTH: {1: NO_MONTH}},
}
"""For each command, what to change in a good one to give it a fault: place -> word."""
GOOD: dict[VenueCommand, tuple[int, ...]] = {
    C.DEPOSIT: (900, EVE, Purse.REVENUE, 1),
    C.WITHDRAW: (900, DEE, Purse.CASH, 1),
    C.MOVE: (900, DEE, Purse.CASH, 1, Purse.REVENUE),
    C.CAPACITY: (ADA, KIMI, MONTH, 1000),
    C.ISSUE: (900, ADA, KIMI, 1, MONTH + 1),
    C.LAPSE: (KIMI, MONTH),
}
DONE = {
    C.DEPOSIT: VenueEvent.DEPOSITED,
    C.WITHDRAW: VenueEvent.WITHDRAWN,
    C.MOVE: VenueEvent.MOVED,
    C.CAPACITY: VenueEvent.CAPACITY_PROVED,
    C.ISSUE: VenueEvent.ISSUED,
    C.LAPSE: VenueEvent.LAPSED,
}
PAIRS = [
    (command, first, second)
    for command, faults in FAULTS.items()
    for first, second in combinations(sorted(faults), 2)
    if not faults[first].keys() & faults[second].keys()
]


def busy() -> Market:
    """A market in which dee and eve hold three lots against each other, ada has issued all that she proved for October and may
    issue 1,000 for November, and eve's revenue purse is nearly full."""
    market = Market().join().receipts().open()
    market.ask(C.CAPACITY, ADA, KIMI, MONTH + 1, 1000)
    market.ask(C.DEPOSIT, 800, EVE, Purse.REVENUE, LARGE)
    market.order(EVE, OCT, -3, 1500)
    market.order(DEE, OCT, 3, 1500)
    assert not market.of(VenueEvent.REFUSED)
    return market


@pytest.mark.parametrize(("refusal", "command", "words"), SINGLE)
def test_a_refusal_is_given_for_its_fault_and_changes_nothing(refusal, command, words):
    market = busy()
    before = market.venue.snapshot()
    said = market.ask(command, *words)
    assert [event[0] for event in said] == [VenueEvent.REFUSED]
    assert said[0][7] == refusal
    assert said[0][2:7] == (*words, 0, 0, 0, 0)[:5]
    after = market.venue.snapshot()
    changed = {name for name in before if before[name].tolist() != after[name].tolist()}
    assert changed <= {"clock", "ledger.clock"}


def test_every_refusal_is_reached():
    reached = {refusal for refusal, _, _ in SINGLE} | {R.UNKNOWN_COMMAND}
    assert reached == set(VenueRefusal)


@pytest.mark.parametrize("command", list(GOOD))
def test_what_the_faults_are_put_into_is_good(command):
    assert busy().answer(command, *GOOD[command]) == DONE[command]


@pytest.mark.parametrize(("command", "first", "second"), PAIRS)
def test_of_two_faults_the_one_declared_first_is_named(command, first, second):
    changes = FAULTS[command][first] | FAULTS[command][second]
    words = [changes.get(place, word) for place, word in enumerate(GOOD[command])]
    assert busy().answer(command, *words) == first


def test_there_are_pairs_of_every_command():
    assert {command for command, _, _ in PAIRS} == set(FAULTS)
    assert len(PAIRS) > 40


@pytest.mark.parametrize("number", [9, NOBODY])
def test_a_number_out_of_order_comes_before_a_role(number):
    assert busy().answer(C.PARTICIPANT, number, 16, 0, 9) == R.PARTICIPANT_NUMBER_NOT_NEXT
    assert busy().answer(C.PARTICIPANT, EVE, 16, 0, 9) == R.PARTICIPANT_NUMBER_TAKEN
