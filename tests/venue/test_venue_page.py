"""docs/spec/venue.md is as built: its tables are compared with the messages and the chart of accounts."""

import re
from enum import IntEnum

import pytest

from ciyuan.clearing.messages import ClearingCommand
from ciyuan.exchange.messages import ExchangeCommand
from ciyuan.gateway.messages import SUPPLIER_MAX, MeterCommand
from ciyuan.index.messages import IndexCommand
from ciyuan.ledger.messages import AccountFlag
from ciyuan.venue import machine
from ciyuan.venue.accounts import House
from ciyuan.venue.books import KEY_MAX, LAPSE_KEYS, LEDGER_KEY_BASE
from ciyuan.venue.machine import Venue
from ciyuan.venue.messages import Purse, Reason, Role, VenueCommand, VenueEvent, VenueRefusal
from tests.sources import ROOT
from tests.venue.market import TERMS

PAGE = (ROOT / "docs" / "spec" / "venue.md").read_text(encoding="utf-8")
RULEBOOK = (ROOT / "docs" / "rulebook.md").read_text(encoding="utf-8")


def table(head: str) -> list[list[str]]:
    """The cells of the table whose head begins so, row by row without the head."""
    text = PAGE[PAGE.index(f"| {head} |") :].split("\n\n", maxsplit=1)[0]
    return [[cell.strip() for cell in line.strip().strip("|").split("|")] for line in text.splitlines()[2:]]


@pytest.mark.parametrize(
    ("head", "codes"),
    [("value | command", VenueCommand), ("value | event", VenueEvent), ("value | refusal", VenueRefusal),
     ("value | role", Role), ("value | reason", Reason), ("account | name", House), ("purse | name", Purse)],
)  # fmt: skip
def test_the_page_lists_every_member(head: str, codes: type[IntEnum]):
    assert [row[:2] for row in table(head)] == [[str(int(code)), f"`{code.name}`"] for code in codes]


def test_refusals_are_in_the_order_of_their_values():
    assert [int(code) for code in VenueRefusal] == list(range(1, len(VenueRefusal) + 1))
    assert all(len(row) == 3 and row[2] for row in table("value | refusal"))


def test_the_page_says_what_may_come_from_outside():
    allowed = {row[0]: row[1] for row in table("stage | commands")}
    assert allowed["gateway"].split(", ") == [MeterCommand(code).name for code in machine.METERED]
    assert set(allowed["clearing"].split(", ")) == {ClearingCommand(code).name for code in machine.CLEARED}
    assert set(allowed["index"].split(", ")) == {IndexCommand(code).name for code in machine.INDEXED}
    told = allowed["exchange"].removeprefix("all but ").split(", ")
    assert {code.name for code in ExchangeCommand if code not in machine.TRADED} == set(told)


def test_the_page_says_which_house_accounts_may_be_overdrawn():
    ledger = Venue(TERMS).ledger
    for number, _, overdrawn in table("account | name"):
        assert (overdrawn == "yes") == (ledger.account(int(number)).flags != AccountFlag.NO_OVERDRAFT)


def test_the_pages_numbers_are_the_machines():
    assert KEY_MAX == 2**60 - 1
    assert LAPSE_KEYS == 2**60
    assert LEDGER_KEY_BASE == 2**62 + 2**61
    assert f"{SUPPLIER_MAX:,}" in PAGE
    largest = LEDGER_KEY_BASE + LAPSE_KEYS + (999912 * 500 + 499) * 2**31 + 2**31 - 1
    assert largest < 2**63


def test_every_clause_that_the_page_cites_is_in_the_rulebook():
    cited = set(re.findall(r"§(\d+\.\d+)", PAGE))
    assert cited
    assert {clause for clause in cited if f"| {clause} |" not in RULEBOOK} == set()


def test_the_rules_are_numbered_without_a_gap():
    numbers = [int(number) for number in re.findall(r"^(\d+)\. ", PAGE, re.MULTILINE)]
    assert numbers == list(range(1, len(numbers) + 1))
