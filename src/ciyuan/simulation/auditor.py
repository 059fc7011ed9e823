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
7. the exchange admits orders by the requirement that the clearing house has of the account.

Replay and durability (same journal, same state; what was acknowledged survives) are checked by `ciyuan verify`.
"""

from collections import defaultdict
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from ciyuan.basics.errors import InvariantBroken
from ciyuan.basics.money import PICO_PER_MICRO, div_half_up
from ciyuan.basics.rows import CODE_MASK, FLAG_SHIFT, REASON_SHIFT
from ciyuan.clearing.messages import ClearingEvent, ClearingFlag, ClearingTerms
from ciyuan.exchange.contract import Contract, ContractKind
from ciyuan.exchange.messages import CONTRACT_MASK, ExchangeEvent, FillFlag
from ciyuan.gateway.messages import MeterCommand, MeterEvent, MeterFlag
from ciyuan.ledger.messages import AccountFlag
from ciyuan.simulation.hearing import Sieve
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
)
HEARD = Sieve((*TRADED, *ClearingEvent, *VenueEvent))
"""What the laws are about, beside the meter's events: half of what the exchange says is not."""
SELLS, TAKER, LEG, FORCED = (
    int(flag) << FLAG_SHIFT for flag in (FillFlag.SIDE_SELL, FillFlag.TAKER, FillFlag.LEG, FillFlag.FORCED)
)


def require(holds: object, law: str, detail: str) -> None:
    """Raise InvariantBroken unless `holds`."""
    if not holds:
        raise InvariantBroken(law, detail)


class DeliveryBooks:
    """Law 3: the auditor's own metering and rating."""

    def __init__(self) -> None:
        self.lists: dict[tuple[int, int], list[tuple[int, tuple[int, int, int], int]]] = defaultdict(list)
        self.held: dict[int, tuple[int, tuple[tuple[int, int, int], int]]] = {}
        self.done: set[int] = set()
        self.cost_pico: dict[int, int] = defaultdict(int)
        self.charged: dict[int, int] = defaultdict(int)
        self.earned: dict[int, int] = defaultdict(int)
        self.tokens = [0, 0, 0]

    def hear(self, events: Iterable[list[int]]) -> None:
        """Take in the meter's events, in order."""
        for event in events:
            code = event[0] & CODE_MASK
            if code == MeterEvent.HELD:
                self._on_held(event)
            elif code == MeterEvent.SETTLED:
                self._on_settled(event)
            elif code == MeterEvent.PRICED:
                batch = event[0] >> REASON_SHIFT
                found = self.lists[event[2], event[3]]
                found.append((event[7], (event[4], event[5], event[6]), batch))
                found.sort()
            elif code in (MeterEvent.VOIDED, MeterEvent.EXPIRED):
                del self.held[event[2]]

    def _on_held(self, event: list[int]) -> None:
        _, when, request, parties = event[:4]
        require(
            request not in self.held and request not in self.done,
            "a request is held once",
            f"request {request}",
        )
        supplier, grade = parties >> 16 & 0xFFFF, parties & 0xFFFF
        valid = next((entry for entry in reversed(self.lists[supplier, grade]) if entry[0] <= when), None)
        if valid is None:
            raise InvariantBroken(
                "a delivery is rated by a list in force", f"supplier {supplier}, grade {grade} at {when}"
            )
        self.held[request] = (parties, valid[1:])

    def _on_settled(self, event: list[int]) -> None:
        word, _, request, parties, tokens_in, cached, tokens_out, charge = event
        held = self.held.pop(request, None)
        if held is None:
            raise InvariantBroken(
                "a token is metered once", f"request {request} was settled without a hold, or twice"
            )
        held_for, (prices, batch) = held
        if held_for != parties:
            raise InvariantBroken(
                "a request keeps its parties", f"request {request}: {held_for} then {parties}"
            )
        self.done.add(request)
        if word >> FLAG_SHIFT & MeterFlag.BATCH:
            prices = tuple((2 * price * batch + 100) // 200 for price in prices)  # type: ignore[assignment]
        customer = parties >> 32
        self.cost_pico[customer] += (
            (tokens_in - cached) * prices[0] + cached * prices[1] + tokens_out * prices[2]
        )
        self.charged[customer] += charge
        self.earned[parties >> 16 & 0xFFFF] += charge
        for leg, tokens in enumerate((tokens_in, cached, tokens_out)):
            self.tokens[leg] += tokens

    def check(self) -> None:
        """Every customer was charged the whole micro-units of the exact cost, no more and no less."""
        for customer, cost in self.cost_pico.items():
            charged = self.charged[customer]
            require(charged == cost // PICO_PER_MICRO, "every metered token is billed once",
                    f"customer {customer}: charged {charged}, exact cost {cost} pico")  # fmt: skip


class Standing:
    """An order that may still trade. `half` is the (contract, price, lots) of a spread's one month, until the other is told."""

    __slots__ = ("contract", "half", "left", "limit", "lots", "sells")

    def __init__(self, contract: int, sells: bool, limit: int, lots: int) -> None:
        self.contract = contract
        self.sells = sells
        self.limit = limit
        self.lots = self.left = lots
        self.half: tuple[int, int, int] | None = None


class TradeBooks:
    """Laws 2 and 4: orders, fills and positions."""

    def __init__(self, contracts: dict[int, Contract]) -> None:
        self._contracts = contracts
        self.open: dict[tuple[int, int], Standing] = {}
        self.position: dict[tuple[int, int], int] = defaultdict(int)

    def on_accepted(self, event: list[int]) -> None:
        """An order may trade from now on."""
        sells = event[0] & SELLS != 0
        self.open[event[2], event[3]] = Standing(event[4] & CONTRACT_MASK, sells, event[5], event[6])

    def on_amended(self, event: list[int]) -> None:
        """An order has other lots or another price; what it has filled stays filled."""
        order = self.open.get((event[2], event[3]))
        if order is None or event[7] != event[6] - (order.lots - order.left) or event[7] < 1:
            raise InvariantBroken(
                "what is left of an amended order is what it has not filled",
                f"order {event[3]} of {event[2]}: {event[7]} of {event[6]}",
            )
        order.limit, order.lots, order.left = event[5:8]

    def on_filled(self, event: list[int]) -> None:
        """A fill is of an open order, within its lots, and no worse than its price; but for a forced one, which is of none."""
        word, _, account, order_id, contract, price, lots, _ = event
        sells = word & SELLS != 0
        self.position[account, contract] += -lots if sells else lots
        if word & FORCED:
            return
        order = self.open.get((account, order_id))
        if order is None:
            raise InvariantBroken("only an accepted order trades", f"account {account}, order {order_id}")
        if word & LEG:
            spread = self._leg(order, contract, sells, price, lots)
            if spread is None:
                return
            price = spread
        elif order.contract != contract or order.sells != sells:
            raise InvariantBroken(
                "an order trades its own side and contract", f"order {order_id} of {account}"
            )
        if price < order.limit if order.sells else price > order.limit:
            raise InvariantBroken("no fill is worse than its order's price", f"order {order_id} at {price}")
        order.left -= lots
        if order.left < 0 or lots < 1:
            raise InvariantBroken("no order is filled beyond its lots", f"order {order_id} of {account}")
        if not order.left:
            del self.open[account, order_id]

    def _leg(self, order: Standing, number: int, sells: bool, price: int, lots: int) -> int | None:
        """One month of a spread; the price of the spread, if it is the second one."""
        contract = self._contracts[order.contract]
        own = number in (contract.near, contract.far) and sells == (order.sells == (number == contract.near))
        whole = order.half is None or (order.half[0] != number and order.half[2] == lots)
        require(
            own and whole,
            "an order trades its own side and contract",
            f"a leg of {contract.code} in {number}",
        )
        if order.half is None:
            order.half = (number, price, lots)
            return None
        other, order.half = order.half[1], None
        return price - other if number == contract.near else other - price

    def on_cancelled(self, event: list[int]) -> None:
        """What is taken back is what was left."""
        order = self.open.pop((event[2], event[3]), None)
        if order is None or order.left != event[6]:
            raise InvariantBroken("what is taken back is what was left", f"order {event[3]} of {event[2]}")


class MoneyBooks:
    """Law 5: each purse's money, (participant, purse) -> micro-units, and receipts, (participant, grade), from events alone."""

    def __init__(self) -> None:
        self.purse: dict[tuple[int, int], int] = defaultdict(int)
        self.receipts: dict[tuple[int, int], int] = defaultdict(int)

    def on_venue(self, code: int, event: list[int]) -> None:
        """Money in, out and between purses; receipts issued and lapsed."""
        if code == VenueEvent.DEPOSITED:
            self.purse[event[3], event[4]] += event[5]
        elif code == VenueEvent.WITHDRAWN:
            self.purse[event[3], event[4]] -= event[5]
        elif code == VenueEvent.MOVED:
            self.purse[event[3], event[4]] -= event[5]
            self.purse[event[3], event[6]] += event[5]
        elif code == VenueEvent.ISSUED:
            self.receipts[event[3], event[4]] += event[5]
        elif code == VenueEvent.LAPSED:
            self.receipts[event[4], event[2]] -= event[5]

    def on_clearing(self, code: int, event: list[int], spot: dict[int, Contract]) -> None:
        """Variation, fees, loans, and trades of the `spot` contracts, which are by number."""
        if code == ClearingEvent.VARIATION:
            self.purse[event[2], Purse.CASH] += event[4]
        elif code == ClearingEvent.FEE:
            self.purse[event[2], Purse.CASH] -= event[3]
        elif code == ClearingEvent.LENT:
            self.purse[event[2], Purse.CASH] += event[3]
        elif code == ClearingEvent.REPAID:
            self.purse[event[2], Purse.CASH] -= event[3]
        elif code == ClearingEvent.NOVATED and event[5] in spot:
            _, _, _, buyer, seller, number, price, lots = event
            contract = spot[number]
            paid, delivered = price * lots * contract.tick_value_micro, lots * contract.lot_mtok
            self.purse[buyer, Purse.CASH] -= paid
            self.purse[seller, Purse.CASH] += paid
            self.receipts[buyer, contract.grade] += delivered
            self.receipts[seller, contract.grade] -= delivered


class FuturesBooks:
    """Law 6: what each account's futures are worth, and the fees of its fills, from fills and settlement prices alone.

    `basis` is what a position was entered or last settled at, in tick-lots; `settled` the last settlement price, in ticks.
    """

    def __init__(self, contracts: dict[int, Contract], terms: ClearingTerms) -> None:
        self._contracts = contracts
        self._terms = terms
        self.lots: dict[tuple[int, int], int] = defaultdict(int)
        self.basis: dict[tuple[int, int], int] = defaultdict(int)
        self.settled: dict[int, int] = {}
        self.fees: dict[int, int] = defaultdict(int)

    def on_filled(self, event: list[int]) -> None:
        """A fill changes the position and its basis, and costs its fee, unless it was forced."""
        word, _, account, _, number, price, lots, _ = event
        contract = self._contracts[number]
        if not word & FORCED:
            self._charge(account, contract, word, price * lots * contract.tick_value_micro, lots)
        if contract.kind != ContractKind.SPOT:
            signed = -lots if word & SELLS else lots
            self.lots[account, number] += signed
            self.basis[account, number] += signed * price

    def _charge(self, account: int, contract: Contract, word: int, turnover: int, lots: int) -> None:
        fees = self._terms.spot_fees if contract.kind == ContractKind.SPOT else self._terms.futures_fees
        per_lot, ppm = (
            (fees.taker_lot_micro, fees.taker_turnover_ppm)
            if word & TAKER
            else (fees.maker_lot_micro, fees.maker_turnover_ppm)
        )
        self.fees[account] += max(1, lots * per_lot + div_half_up(turnover * ppm, 10**6))

    def on_variation(self, event: list[int]) -> None:
        """Variation is the position at the settlement price, less its basis; the last one at the mean fixing."""
        word, _, account, number, amount, lots, price, _ = event
        contract, key = self._contracts[number], (account, number)
        require(
            lots == self.lots[key],
            "variation is of the position held",
            f"{account} in {number}: {lots}, {self.lots[key]} filled",
        )
        if word >> FLAG_SHIFT & ClearingFlag.FINAL:
            expected = lots * price * contract.lot_mtok - self.basis[key] * contract.tick_value_micro
            self.lots[key] = self.basis[key] = 0
        else:
            require(
                price == self.settled.get(number),
                "variation is at the settlement price",
                f"contract {number}: {price}",
            )
            expected = (lots * price - self.basis[key]) * contract.tick_value_micro
            self.basis[key] = lots * price
        require(
            amount == expected,
            "variation is what the price moved",
            f"{account} in {number}: {amount}, by fills {expected}",
        )

    def on_statement(self, event: list[int]) -> None:
        """A statement closes a day: its fees are collected, and every position is carried at the settlement price."""
        account = event[2]
        require(
            account not in self.fees,
            "fees are those of the fills",
            f"{account}: {self.fees.get(account)} not collected",
        )
        for (holder, number), lots in self.lots.items():
            if holder == account:
                carried, settled = self.basis[holder, number], lots * self.settled.get(number, 0)
                require(
                    carried == settled,
                    "variation is what the price moved",
                    f"{account} in {number}: not settled",
                )

    def on_fee(self, event: list[int]) -> None:
        """The fees of a day are those of its fills."""
        expected = self.fees.pop(event[2], 0)
        require(
            event[3] == expected,
            "fees are those of the fills",
            f"{event[2]}: {event[3]}, by fills {expected}",
        )


class Auditor:
    """Hears a venue's commands and events; `check` compares its own books with the venue's. `audits` counts the checks."""

    def __init__(self, venue: Venue) -> None:
        self._venue = venue
        self._spot = {
            contract.number: contract
            for contract in venue.terms.contracts
            if contract.kind == ContractKind.SPOT
        }
        self._futures = [
            contract.number for contract in venue.terms.contracts if contract.kind != ContractKind.SPOT
        ]
        self.deliveries = DeliveryBooks()
        contracts = {contract.number: contract for contract in venue.terms.contracts}
        self.trades = TradeBooks(contracts)
        self.money = MoneyBooks()
        self.futures = FuturesBooks(contracts, venue.terms.clearing)
        self.participants: list[int] = []
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
        commands, answers = int(COMMANDS.of(rows).sum()), int(ANSWERS.of(events).sum())
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
        elif code == VenueEvent.PARTICIPANT_ADDED:
            self.participants.append(event[2])
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
        elif code == ClearingEvent.STATEMENT_CLOSING:
            self.futures.on_statement(event)
        self.money.on_clearing(code, event, self._spot)

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
            }
            for purse, amount in expected.items():
                found = ledger.posted(chart.purse(number, purse))
                require(
                    found == amount,
                    "every purse is what its events make it",
                    f"{purse.name} of {number}: {found} there, {amount} by events",
                )
            for grade in chart.grades:
                held, known = ledger.posted(chart.receipts(number, grade)), self.money.receipts[number, grade]
                require(
                    held == known,
                    "receipts are what trades make them",
                    f"{number}: {held} there, {known} by events",
                )

    def _check_requirements(self) -> None:
        clearing, exchange = self._venue.clearing, self._venue.exchange
        for number in clearing.members:
            asked = clearing.requirement_micro(number) + clearing.reserved_micro(number)
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
