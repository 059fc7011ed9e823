"""docs/spec/venue.md is as built: its tables are compared with the messages and the chart of accounts."""

import re
from enum import IntEnum

import pytest

from ciyuan.basics.money import parse_micro
from ciyuan.basics.rows import Row, code_of
from ciyuan.clearing.messages import ClearingCommand
from ciyuan.exchange.messages import ExchangeCommand
from ciyuan.gateway.messages import MeterCommand, MeterEvent, deliver_row, hold_row, parties_word
from ciyuan.index.messages import IndexCommand
from ciyuan.ledger.messages import AccountFlag
from ciyuan.venue import machine
from ciyuan.venue.accounts import CUSTOMERS_MAX, SUPPLIERS_MAX, House
from ciyuan.venue.books import KEY_MAX, LAPSE_KEYS, LEDGER_KEY_BASE
from ciyuan.venue.machine import Venue
from ciyuan.venue.messages import Purse, Reason, Role, VenueCommand, VenueEvent, VenueRefusal
from tests.sources import ROOT, table
from tests.venue.market import ADA, BO, DEE, KIMI, MONTH, SPOT, TERMS, USD, Market

PAGE = (ROOT / "docs" / "spec" / "venue.md").read_text(encoding="utf-8")
RULEBOOK = (ROOT / "docs" / "rulebook.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("head", "codes"),
    [(("value", "command"), VenueCommand), (("value", "event"), VenueEvent), (("value", "refusal"), VenueRefusal),
     (("value", "role"), Role), (("value", "reason"), Reason), (("account", "name"), House), (("purse", "name"), Purse)],
)  # fmt: skip
def test_the_page_lists_every_member(head: tuple[str, str], codes: type[IntEnum]):
    assert [row[:2] for row in table(PAGE, *head)] == [[str(int(code)), f"`{code.name}`"] for code in codes]


def test_refusals_are_in_the_order_of_their_values():
    assert [int(code) for code in VenueRefusal] == list(range(1, len(VenueRefusal) + 1))
    assert all(len(row) == 3 and row[2] for row in table(PAGE, "value", "refusal"))


def test_the_page_says_what_may_come_from_outside():
    allowed = {row[0]: row[1] for row in table(PAGE, "stage", "commands")}
    assert allowed["gateway"].split(", ") == [MeterCommand(code).name for code in machine.METERED]
    own = allowed["clearing"].removeprefix("all but ").split(", ")
    assert {code.name for code in ClearingCommand if code not in machine.CLEARED} == set(own)
    assert set(allowed["index"].split(", ")) == {IndexCommand(code).name for code in machine.INDEXED}
    told = allowed["exchange"].removeprefix("all but ").split(", ")
    assert {code.name for code in ExchangeCommand if code not in machine.TRADED} == set(told)


def test_the_page_says_which_house_accounts_may_be_overdrawn():
    ledger = Venue(TERMS).ledger
    for number, _, overdrawn in table(PAGE, "account", "name"):
        assert (overdrawn == "yes") == (ledger.account(int(number)).flags != AccountFlag.NO_OVERDRAFT)


def test_the_pages_numbers_are_the_machines():
    assert KEY_MAX == 2**60 - 1
    assert LAPSE_KEYS == 2**60
    assert LEDGER_KEY_BASE == 2**62 + 2**61
    assert f"{SUPPLIERS_MAX:,}" in PAGE
    assert f"{CUSTOMERS_MAX:,}" in PAGE
    assert f"{TERMS.chart.issuers_max:,}" in PAGE
    largest = LEDGER_KEY_BASE + LAPSE_KEYS + (999912 * 500 + 499) * 2**31 + 2**31 - 1
    assert largest < 2**63


def test_every_clause_that_the_page_cites_is_in_the_rulebook():
    cited = set(re.findall(r"§(\d+\.\d+)", PAGE))
    assert cited
    assert {clause for clause in cited if f"| {clause} |" not in RULEBOOK} == set()


def test_the_rules_are_numbered_without_a_gap():
    numbers = [int(number) for number in re.findall(r"^(\d+)\. ", PAGE, re.MULTILINE)]
    assert numbers == list(range(1, len(numbers) + 1))


# --- the scenario of redemption ---


class Story(Market):
    """The market that the page tells of."""

    def __init__(self) -> None:
        super().__init__()
        self.join()
        self.ask(VenueCommand.BOND, self.new_key(), ADA, 2_000 * USD)
        self.ask(VenueCommand.CAPACITY, BO, KIMI, MONTH, 500)
        self.receipts(count=8).open()
        self.order(ADA, SPOT, -8, 1500)
        self.order(DEE, SPOT, 8, 1500)

    def play(self, step: str) -> str:
        """The name of what the venue or the meter answers to a step."""
        for pattern, play in (
            (r"dee redeems (\d+) of ada", self._redeem),
            (r"dee (asks|batches) (ada|bo) (\S+) (\S+) (\S+)", self._serve),
            (r"bo replaces ada for (\d+) at (\S+)", self._replace),
            (r"the month lapses", lambda: self.ask(VenueCommand.LAPSE, KIMI, MONTH)),
        ):
            found = re.fullmatch(pattern, step)
            if found:
                return named(play(*found.groups()))
        raise AssertionError(f"the page has a step that means nothing: {step}")

    def _redeem(self, receipts: str) -> list[Row]:
        return self.ask(VenueCommand.REDEEM, self.new_key(), DEE, KIMI, int(receipts), ADA, MONTH)

    def _serve(self, how: str, issuer: str, *counts: str) -> list[Row]:
        tokens_in, cached, tokens_out = (int(count.replace(",", "")) for count in counts)
        chart, number = TERMS.chart, ADA if issuer == "ada" else BO
        parties = parties_word(chart.holder(DEE, KIMI), chart.issuer(number, KIMI), KIMI)
        self.request += 1
        held = hold_row(self.tick(), self.request, parties, tokens_in, tokens_out)
        batch = how == "batches"
        return self.tell(
            held, deliver_row(self.tick(), self.request, parties, tokens_in, cached, tokens_out, batch=batch)
        )

    def _replace(self, receipts: str, price: str) -> list[Row]:
        words = (ADA, KIMI, int(receipts), BO << 32 | MONTH, parse_micro(price))
        return [
            event
            for event in self.ask(VenueCommand.SUBSTITUTE, self.new_key(), *words)
            if code_of(event[0]) != VenueEvent.COMPENSATED
        ]

    def figures(self) -> list[int]:
        """What the page's columns say, in its units."""
        chart, posted = TERMS.chart, self.venue.ledger.posted
        tokens = (chart.standard_tokens(DEE, KIMI), chart.served(ADA, KIMI), chart.served(BO, KIMI))
        money = self.money(ADA, Purse.BOND), self.money(BO, Purse.REVENUE), self.money(DEE)
        return [self.held_receipts(DEE), *map(posted, tokens), *money]


def named(said: list[Row]) -> str:
    """The last answer, by name; a refusal by its own."""
    code, word = code_of(said[-1][0]), said[-1][7]
    if code == VenueEvent.REFUSED:
        return VenueRefusal(word).name
    return VenueEvent(code).name if code >= VenueEvent.PARTICIPANT_ADDED else MeterEvent(code).name


def test_redemption_goes_as_the_page_says():
    story, rows = Story(), table(PAGE, "step", "answer")
    for step, answer, *figures in rows:
        assert story.play(step) == answer
        counts, money = figures[:4], figures[4:]
        expected = [int(count.replace(",", "")) for count in counts]
        expected += [parse_micro(amount.replace(",", "")) for amount in money]
        assert story.figures() == expected, step
    assert len(rows) == 8
