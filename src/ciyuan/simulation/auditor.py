"""The auditor: a second, naive model of the market, which checks what must always hold (the machine's laws, one by
one).

It hears every command and every event, and keeps its own books in plain dictionaries: balances from deposits,
charges, variation and fees; costs from its own reading of the price lists; positions from fills. `check` compares its
books with the venue's and raises InvariantBroken with the law's name and both sides. It never asks a machine how it
came to a number.

Laws (each is a name in an exception):

1. every asset's accounts sum to zero, and no account that may not be overdrawn is;
2. long and short lots of every contract are equal, and are what the clearing house says;
3. every token delivered is metered once, every metered token is billed once, to the micro-unit;
4. no order is filled beyond its lots, at a price worse than its own, or by another account than its owner's;
5. every participant's money is what its deposits, charges, trades, variation and fees make it;
6. variation is what the price moved on the position that was filled, and fees are those of the fills, to the micro-unit;
7. the exchange admits orders by the ladder that the clearing house has of the account.

Replay and durability (same journal, same state; what was acknowledged survives) are checked by `ciyuan verify`.
"""

import numpy as np
from numpy.typing import NDArray

from ciyuan.basics.errors import InvariantBroken, require
from ciyuan.basics.rows import CODE_MASK
from ciyuan.clearing.messages import ClearingEvent, MemberRole
from ciyuan.exchange.contract import ContractKind
from ciyuan.exchange.messages import ExchangeEvent
from ciyuan.gateway.messages import MeterCommand, MeterEvent
from ciyuan.ledger.messages import AccountFlag
from ciyuan.simulation.audit_books import DeliveryBooks, FuturesBooks, MoneyBooks, TradeBooks
from ciyuan.simulation.hearing import Sieve
from ciyuan.venue.accounts import SUPPLIERS_MAX
from ciyuan.venue.machine import Venue
from ciyuan.venue.messages import Purse, VenueEvent

METERED = Sieve(MeterEvent)
COMMANDS = Sieve(code for code in MeterCommand if code != MeterCommand.ENROL)
ANSWERS = Sieve(code for code in MeterEvent if code not in (MeterEvent.ENROLLED, MeterEvent.EXPIRED))
"""The meter's answers to commands: ENROL is the venue's own, and holds expire of themselves."""
TRADED = (
    ExchangeEvent.ACCEPTED,
    ExchangeEvent.FILLED,
    ExchangeEvent.CANCELLED,
    ExchangeEvent.AMENDED,
    ExchangeEvent.SETTLEMENT_PRICE,
    ExchangeEvent.ACTIVITY,
)
HEARD = Sieve((*TRADED, *ClearingEvent, *VenueEvent))
"""What the laws are about, beside the meter's events: half of what the exchange says is not."""


class Auditor:
    """Hears a venue's commands and events; `check` compares its own books with the venue's. `audits` counts the checks."""

    def __init__(self, venue: Venue) -> None:
        self._venue = venue
        self._contracts = {contract.number: contract for contract in venue.terms.contracts}
        self._spot = frozenset(
            number for number, entry in self._contracts.items() if entry.kind == ContractKind.SPOT
        )
        self._futures = [
            contract.number for contract in venue.terms.contracts if contract.kind != ContractKind.SPOT
        ]
        self.deliveries = DeliveryBooks()
        self.trades = TradeBooks(self._contracts)
        self.money = MoneyBooks()
        self.futures = FuturesBooks(self._contracts, venue.terms.clearing)
        self.participants: list[int] = []
        self._makers: set[int] = set()
        self.asked = 0
        self.audits = 0

    def hear(self, rows: NDArray[np.int64], events: NDArray[np.int64]) -> None:
        """Take in a batch of commands and what came of it."""
        self.asked += int(np.count_nonzero((rows[:, 0] & CODE_MASK) == MeterCommand.DELIVER))
        self.deliveries.hear(events[METERED.of(events)].tolist())
        for event in events[HEARD.of(events)].tolist():
            self._hear_one(event[0] & CODE_MASK, event)
        if len(rows):
            self._check_answers(rows, events)

    @staticmethod
    def _check_answers(rows: NDArray[np.int64], events: NDArray[np.int64]) -> None:
        """Every command of the meter is answered once, and what was delivered is what was metered."""
        asked, codes = rows[:, 0] & CODE_MASK, events[:, 0] & CODE_MASK
        own = (codes == MeterEvent.PRICED) & (
            events[:, 2] > SUPPLIERS_MAX
        )  # what tokens cost is the venue's own list
        commands, answers = int(COMMANDS.of(rows).sum()), int((ANSWERS.of(events) & ~own).sum())
        require(
            commands == answers, "every delivery is answered once", f"{commands} commands, {answers} answers"
        )
        delivered = {row[2]: row[4:7] for row in rows[asked == MeterCommand.DELIVER].tolist()}
        for event in events[codes == MeterEvent.SETTLED].tolist():
            told = delivered.get(event[2])
            if told != event[4:7]:
                raise InvariantBroken(
                    "every token delivered is metered once",
                    f"request {event[2]}: {told}, metered {event[4:7]}",
                )

    def _hear_one(self, code: int, event: list[int]) -> None:
        if code == ExchangeEvent.ACCEPTED:
            self.trades.on_accepted(event)
        elif code == ExchangeEvent.FILLED:
            self.trades.on_filled(event)
            self.futures.on_filled(event)
        elif code == ExchangeEvent.CANCELLED:
            self.trades.on_cancelled(event)
        elif code == ExchangeEvent.AMENDED:
            self.trades.on_amended(event)
        elif code == ExchangeEvent.SETTLEMENT_PRICE:
            self.futures.settled[event[2]] = event[3]
        elif code == ExchangeEvent.ACTIVITY:
            self.futures.on_activity(event, self._makers)
        elif code == VenueEvent.PARTICIPANT_ADDED:
            self.participants.append(event[2])
            if event[5] == MemberRole.MAKER:
                self._makers.add(event[2])
        elif code >= VenueEvent.PARTICIPANT_ADDED:
            self.money.on_venue(code, event)
        elif code == ClearingEvent.FINAL_SETTLED:
            for key in [key for key in self.trades.position if key[1] == event[2]]:
                del self.trades.position[key]
        else:
            self._hear_clearing(code, event)

    def _hear_clearing(self, code: int, event: list[int]) -> None:
        if code == ClearingEvent.VARIATION:
            self.futures.on_variation(event)
        elif code == ClearingEvent.FEE:
            self.futures.on_fee(event)
        elif code == ClearingEvent.REBATED:
            self.futures.on_rebate(event)
        elif code == ClearingEvent.TRANSFERRED:
            self.futures.on_transferred(event)
            self.trades.on_transferred(event)
        elif code == ClearingEvent.STATEMENT_CLOSING:
            self.futures.on_statement(event)
        self.money.on_clearing(code, event, self._contracts, self._spot)

    def check(self) -> None:
        """Compare everything. Raises InvariantBroken."""
        self.audits += 1
        check_ledger(self._venue.ledger.accounts[1:])
        self.deliveries.check()
        self._check_positions()
        self._check_money()
        self._check_requirements()

    def _check_positions(self) -> None:
        for contract in self._futures:
            held = {account: lots for (account, of), lots in self.trades.position.items() if of == contract}
            require(
                not sum(held.values()),
                "long and short lots are equal",
                f"contract {contract}: {sum(held.values())} net",
            )
            for account, lots in held.items():
                found = self._venue.clearing.position(account, contract)
                require(
                    found == lots,
                    "the clearing house holds what was filled",
                    f"{account} in {contract}: {found} there, {lots} filled",
                )

    def _check_money(self) -> None:
        ledger, chart, deliveries = self._venue.ledger, self._venue.terms.chart, self.deliveries
        for number in self.participants:
            expected = {
                Purse.CASH: self.money.purse[number, Purse.CASH],
                Purse.PREPAID: self.money.purse[number, Purse.PREPAID] - deliveries.charged[number],
                Purse.REVENUE: self.money.purse[number, Purse.REVENUE] + deliveries.earned[number],
                Purse.BOND: self.money.purse[number, Purse.BOND],
            }
            for purse, amount in expected.items():
                found = ledger.posted(chart.purse(number, purse))
                require(
                    found == amount,
                    "every purse is what its events make it",
                    f"{purse.name} of {number}: {found} there, {amount} by events",
                )
            share = self._venue.clearing.fund_micro(number) if self._venue.clearing.is_member(number) else 0
            require(
                share == self.money.fund[number],
                "shares of the default fund are what events make them",
                f"{number}: {share} there, {self.money.fund[number]} by events",
            )
            for grade in chart.grades:
                charged = deliveries.charged[chart.holder(number, grade)]
                earned = deliveries.earned[chart.issuer(number, grade)] if number <= chart.issuers_max else 0
                for account, known in (
                    (chart.receipts(number, grade), self.money.receipts[number, grade]),
                    (chart.standard_tokens(number, grade), self.money.tokens[number, grade] - charged),
                    (chart.served(number, grade), self.money.served[number, grade] + earned),
                ):
                    held = ledger.posted(account)
                    require(
                        held == known,
                        "receipts are what trades and redemptions make them",
                        f"{number}, account {account}: {held} there, {known} by events",
                    )

    def _check_requirements(self) -> None:
        clearing, exchange = self._venue.clearing, self._venue.exchange
        for number in clearing.members:
            asked = clearing.ladder_micro(number) + clearing.reserved_micro(number)
            require(
                exchange.requirement_micro(number) == asked,
                "the exchange asks what the clearing house asks",
                f"{number}: {exchange.requirement_micro(number)} at the exchange, {asked} at the clearing house",
            )


def check_ledger(accounts: NDArray[np.int64]) -> None:
    """Law 1 on the ledger's account rows (asset, flags, debits pending, debits posted, credits pending, credits posted)."""
    for asset in np.unique(accounts[:, 0]):
        held = accounts[accounts[:, 0] == asset]
        debited, credited = int(held[:, 3].sum()), int(held[:, 5].sum())
        require(
            debited == credited,
            "every asset sums to zero",
            f"asset {asset}: debits {debited}, credits {credited}",
        )
    guarded = (accounts[:, 1] & AccountFlag.NO_OVERDRAFT) != 0
    short = np.flatnonzero(guarded & (accounts[:, 2] + accounts[:, 3] > accounts[:, 5]))
    require(not len(short), "no account is overdrawn", f"ledger rows {short[:5].tolist()}")
