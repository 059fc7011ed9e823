"""The clearing house's own commands: every refusal is reached, the first that applies is given, and a repeat is harmless."""

import ast
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from ciyuan.basics.calendar import day_from_iso
from ciyuan.basics.errors import Malformed
from ciyuan.basics.rows import Row, code_of, kind_word, reason_of, row
from ciyuan.clearing.commands import PARTICIPANT_MAX
from ciyuan.clearing.machine import ClearingHouse
from ciyuan.clearing.messages import (
    ClearingCommand,
    ClearingEvent,
    ClearingRefusal,
    ClearingTerms,
    Reason,
    collect_row,
    delist_row,
    final_row,
    member_row,
    receipts_row,
    settle_day_row,
)
from ciyuan.exchange.messages import ExchangeEvent
from tests.clearing.floor import (
    BOTH,
    CALENDAR,
    CONTRACTS,
    HEDGER,
    HOUSE,
    MONDAY,
    NOV,
    OCT,
    SPECULATOR,
    SPOT,
    SPOT_RECEIPTS,
    Floor,
    receipts_contract,
)

R = ClearingRefusal
LAST = day_from_iso("2026-10-30")
OTHER_GRADE = 8


def a_floor() -> Floor:
    """Members 1 to 3, a position in October on its last day, settled; November open."""
    floor = Floor()
    floor.open(LAST)
    floor.trade(1, 2, OCT, 5, 1500)
    floor.close(OCT=1510)
    return floor


def a_settled_floor() -> Floor:
    floor = a_floor()
    floor.final(OCT, 1_512_345)
    return floor


def an_open_floor() -> Floor:
    """A Monday with a position and no settlement price yet."""
    floor = Floor()
    floor.trade(1, 2, NOV, 5, 1500)
    return floor


def two_grades() -> Floor:
    """A house with an account for a second grade (the receipts account is lent to it)."""
    house = replace(HOUSE, spot_receipts=((7, SPOT_RECEIPTS), (OTHER_GRADE, SPOT_RECEIPTS)))
    floor = Floor(terms=ClearingTerms(house), contracts=(*CONTRACTS, receipts_contract(9, grade=OTHER_GRADE)))
    assert floor.refusal(receipts_row(1, 1, OTHER_GRADE, floor.purse(1))) is None
    return floor


REFUSALS: list[tuple[ClearingRefusal, Callable[[], Floor], Callable[[Floor], Row]]] = [
    (R.UNKNOWN_COMMAND, Floor, lambda f: row(kind_word(499), 1)),
    (R.PARTICIPANT_NOT_POSITIVE, Floor, lambda f: member_row(1, 0, f.cash(1), f.purse(1), BOTH)),
    (R.UNKNOWN_MEMBER, Floor, lambda f: receipts_row(1, 9, OTHER_GRADE, f.purse(1))),
    (R.UNKNOWN_MEMBER, Floor, lambda f: collect_row(1, 9)),
    (R.PERMISSION_UNKNOWN, Floor, lambda f: member_row(1, 9, f.cash(1), f.purse(1), 4)),
    (R.ROLE_UNKNOWN, Floor, lambda f: member_row(1, 9, f.cash(1), f.purse(1), BOTH, 4)),
    (R.UNKNOWN_GRADE, Floor, lambda f: receipts_row(1, 1, 99, f.purse(1))),
    (R.UNKNOWN_GRADE, Floor, lambda f: receipts_row(1, 1, 7, f.purse(1))),
    (R.LEDGER_ACCOUNT_UNKNOWN, Floor, lambda f: member_row(1, 9, 99, f.purse(1), BOTH)),
    (R.LEDGER_ACCOUNT_UNKNOWN, Floor, lambda f: member_row(1, 9, f.cash(1), 99, BOTH)),
    (R.LEDGER_ACCOUNT_UNKNOWN, Floor, lambda f: member_row(1, 9, 0, f.purse(1), BOTH)),
    (R.LEDGER_ACCOUNT_OF_OTHER_ASSET, Floor, lambda f: member_row(1, 9, f.purse(1), f.purse(1), BOTH)),
    (R.LEDGER_ACCOUNT_OF_OTHER_ASSET, Floor, lambda f: member_row(1, 9, f.cash(1), f.cash(1), BOTH)),
    (R.MEMBER_HAS_OTHER_CASH_ACCOUNT, Floor, lambda f: member_row(1, 1, f.cash(2), f.purse(2), 1, HEDGER)),
    (
        R.MEMBER_HAS_OTHER_RECEIPTS_ACCOUNT,
        Floor,
        lambda f: member_row(1, 1, f.cash(1), f.purse(2), 1, HEDGER),
    ),
    (R.MEMBER_HAS_OTHER_RECEIPTS_ACCOUNT, two_grades, lambda f: receipts_row(1, 1, OTHER_GRADE, f.purse(2))),
    (R.MEMBER_HAS_OTHER_PERMISSIONS, Floor, lambda f: member_row(1, 1, f.cash(1), f.purse(1), 1, HEDGER)),
    (R.MEMBER_HAS_OTHER_ROLE, Floor, lambda f: member_row(1, 1, f.cash(1), f.purse(1), BOTH, HEDGER)),
    (R.UNKNOWN_CONTRACT, Floor, lambda f: final_row(1, 77, 0, 0, 1)),
    (R.UNKNOWN_CONTRACT, Floor, lambda f: final_row(1, SPOT, 1, MONDAY)),
    (R.UNKNOWN_CONTRACT, Floor, lambda f: delist_row(1, 77)),
    (R.SETTLED_AT_OTHER_PRICE, a_settled_floor, lambda f: final_row(1, OCT, 1_512_346, LAST - 1, 85)),
    (R.SETTLED_ON_OTHER_DAY, a_settled_floor, lambda f: final_row(1, OCT, 1_512_345, LAST - 1, 85)),
    (R.SETTLED_BY_OTHER_RULE, a_settled_floor, lambda f: final_row(1, OCT, 1_512_345, LAST, 85)),
    (R.NOT_SETTLING, a_floor, lambda f: final_row(1, NOV, 0, 0, 1)),
    (R.NOT_SETTLED, a_floor, lambda f: delist_row(1, OCT)),
    (R.DAY_ALREADY_PAST, a_floor, lambda f: final_row(1, OCT, 0, LAST - 1, 1)),
    (R.DAY_ALREADY_PAST, a_floor, lambda f: settle_day_row(1, LAST - 1)),
    (R.DAY_NOT_OPEN, a_floor, lambda f: final_row(1, OCT, 0, LAST + 90, 1)),
    (R.DAY_NOT_OPEN, a_floor, lambda f: settle_day_row(1, LAST + 90)),
    (R.MISSING_SETTLEMENT_PRICE, an_open_floor, lambda f: settle_day_row(1, MONDAY)),
    (R.PRICE_OUT_OF_RANGE, a_floor, lambda f: final_row(1, OCT, 0, LAST, 1)),
    (R.PRICE_OUT_OF_RANGE, a_floor, lambda f: final_row(1, OCT, 2**63 // 5_000 + 1, LAST)),
    (R.RULE_UNKNOWN, a_floor, lambda f: final_row(1, OCT, 1, LAST, 1)),
    (
        R.PARTICIPANT_OUT_OF_RANGE,
        Floor,
        lambda f: member_row(1, PARTICIPANT_MAX + 1, f.cash(1), f.purse(1), BOTH, flags=16),
    ),
    (R.SETTING_UNKNOWN, Floor, lambda f: member_row(1, 1, f.cash(1), f.purse(1), BOTH, flags=17)),
    (R.MEMBER_HAS_OTHER_SETTINGS, Floor, lambda f: member_row(1, 1, f.cash(1), f.purse(1), BOTH, flags=1)),
]


@pytest.mark.parametrize(("refusal", "floor", "command"), REFUSALS)
def test_a_command_is_refused_for_the_first_fault_and_changes_nothing(
    refusal: ClearingRefusal, floor: Callable[[], Floor], command: Callable[[Floor], Row]
):
    """Each command has this fault and, where it can, every fault that is declared later too."""
    where = floor()
    before = where.house.state_hash()
    told = command(where)
    (event,) = where.tell(told)
    assert (code_of(event[0]), event[7]) == (ClearingEvent.REFUSED, refusal)
    assert event[2:7] == told[2:7]
    assert Reason(reason_of(event[0])).rule.startswith("§")
    assert where.house.state_hash() == before


def test_every_refusal_is_reached():
    """By the commands above, or by the tests of the command's own module."""
    named = set()
    for path in Path(__file__).parent.glob("test_*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
                named |= {node.attr} if node.value.id in ("R", "ClearingRefusal") else set()
    assert {refusal.name for refusal in ClearingRefusal} <= named


REPEATS: list[tuple[Callable[[], Floor], Callable[[Floor], Row]]] = [
    (Floor, lambda f: member_row(2, 1, f.cash(1), f.purse(1), BOTH, SPECULATOR)),
    (two_grades, lambda f: receipts_row(2, 1, OTHER_GRADE, f.purse(1))),
    (a_floor, lambda f: settle_day_row(2, LAST)),
    (a_settled_floor, lambda f: final_row(2, OCT, 1_512_345, LAST)),
]


@pytest.mark.parametrize(("floor", "command"), REPEATS)
def test_a_command_said_twice_is_done_once(floor: Callable[[], Floor], command: Callable[[Floor], Row]):
    where = floor()
    before, money = where.house.state_hash(), where.ledger.transfer_count
    (event,) = where.tell(command(where))
    assert code_of(event[0]) == ClearingEvent.REPEATED
    assert (where.house.state_hash(), where.ledger.transfer_count) == (before, money)


def test_delisting_twice_is_a_repeat():
    floor = a_settled_floor()
    said = [code_of(floor.delist(OCT)[0][0]) for _ in range(2)]
    assert said == [ClearingEvent.CONTRACT_STATE, ClearingEvent.REPEATED]


def test_collecting_from_a_member_that_owes_nothing_says_where_it_stands():
    (event,) = Floor().tell(collect_row(10**18 * 2, 1))
    assert code_of(event[0]) == ClearingEvent.MARGIN
    assert event[3:6] == (0, 100_000 * 10**6, 100_000 * 10**6)


def test_a_settling_contract_needs_no_price_of_later_days():
    """Its last settlement price stands until the final one comes: a fixing may be late."""
    floor = a_floor()
    floor.open(CALENDAR.next_business(LAST))
    floor.price(NOV, 1520)
    floor.tell(settle_day_row(floor.tick(), floor.day))
    assert floor.events(ClearingEvent.MARGIN)[-1][7] == floor.day
    assert floor.house.position(1, OCT) == 5
    assert floor.final(OCT, 1_512_345)[-1][3] == 5


def test_other_rooms_events_are_passed_over():
    floor = Floor()
    before = floor.house.state_hash()
    for code in (
        ExchangeEvent.REPEATED,
        ExchangeEvent.REFUSED,
        ExchangeEvent.AUCTION_PRICED,
        ClearingCommand.MEMBER,
    ):
        floor.hear(row(kind_word(code), floor.time_ns, (1, 1, OCT, 1, 1, 1)))
    assert floor.house.state_hash() == before


def test_two_contracts_of_one_number_are_malformed():
    with pytest.raises(Malformed, match="two with number"):
        ClearingHouse(Floor().ledger, (*CONTRACTS, CONTRACTS[0]), CALENDAR, ClearingTerms(HOUSE))


def test_a_spot_contract_without_a_house_account_is_malformed():
    with pytest.raises(Malformed, match="no house account"):
        ClearingHouse(
            Floor().ledger, (receipts_contract(5, grade=OTHER_GRADE),), CALENDAR, ClearingTerms(HOUSE)
        )
