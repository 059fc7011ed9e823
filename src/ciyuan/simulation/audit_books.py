"""The auditor's own books: a naive model of deliveries, trades, money and futures, in plain dictionaries, from events alone.

They never ask a machine how it came to a number. What they are compared with, and the laws, are in `auditor.py`.
"""

from collections import defaultdict
from collections.abc import Iterable

from ciyuan.basics.errors import InvariantBroken, require
from ciyuan.basics.money import PICO_PER_MICRO, div_half_up
from ciyuan.basics.price import PriceList
from ciyuan.basics.rows import CODE_MASK, FLAG_SHIFT, REASON_SHIFT
from ciyuan.basics.tokens import MTOK
from ciyuan.clearing.messages import ClearingEvent, ClearingFlag, ClearingTerms, Layer
from ciyuan.exchange.contract import Contract, ContractKind
from ciyuan.exchange.messages import CONTRACT_MASK, Effect, FillFlag
from ciyuan.gateway.leg_prices import cost_pico
from ciyuan.gateway.messages import STEP_SHIFT, MeterEvent, MeterFlag
from ciyuan.gateway.plain_legs import SaidLegs, exceed_whole, leg_prices_of, usage_of
from ciyuan.venue.messages import Purse, Reason, VenueEvent

SELLS, TAKER, LEG, FORCED = (
    int(flag) << FLAG_SHIFT for flag in (FillFlag.SIDE_SELL, FillFlag.TAKER, FillFlag.LEG, FillFlag.FORCED)
)
HEDGES = int(Effect.HEDGE) << REASON_SHIFT
CLOSE_TODAY = int(Effect.CLOSE_TODAY)
OF_HEDGE, SELLER_OF_HEDGE = (
    int(flag) << FLAG_SHIFT for flag in (ClearingFlag.HEDGE, ClearingFlag.SELLER_HEDGE)
)


class DeliveryBooks:
    """Law 3: the auditor's own metering and rating. Whose spending a request is, and what limits it, moves no money."""

    def __init__(self) -> None:
        self.lists: dict[tuple[int, int], list[tuple[int, tuple[int, int, int], int]]] = defaultdict(list)
        self.legs: dict[tuple[int, int, int], SaidLegs] = defaultdict(SaidLegs)
        self.told: dict[int, dict[int, int]] = defaultdict(dict)
        self.held: dict[int, tuple[int, tuple[int, tuple[int, int, int], int]]] = {}
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
                self.told.pop(event[2], None)
            elif code == MeterEvent.LEG_PRICED:
                supplier, grade, leg, price, bound, begins = event[2:8]
                self.legs[supplier, grade, begins].say(
                    leg >> STEP_SHIFT, leg % (1 << STEP_SHIFT), price, bound
                )
            elif code == MeterEvent.LEG_TOLD:
                self.told[event[2]][event[3]] = event[4]

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
        self.held[request] = (parties, valid)

    def _on_settled(self, event: list[int]) -> None:
        word, _, request, parties, tokens_in, cached, tokens_out, charge = event
        held = self.held.pop(request, None)
        if held is None:
            raise InvariantBroken(
                "a token is metered once", f"request {request} was settled without a hold, or twice"
            )
        held_for, prices = held
        if held_for != parties:
            raise InvariantBroken(
                "a request keeps its parties", f"request {request}: {held_for} then {parties}"
            )
        self.done.add(request)
        customer = parties >> 32
        batch = bool(word >> FLAG_SHIFT & MeterFlag.BATCH)
        self.cost_pico[customer] += self._cost(request, parties, prices, event[4:7], batch)
        self.charged[customer] += charge
        self.earned[parties >> 16 & 0xFFFF] += charge
        for leg, tokens in enumerate((tokens_in, cached, tokens_out)):
            self.tokens[leg] += tokens

    def _cost(
        self,
        request: int,
        parties: int,
        prices: tuple[int, tuple[int, int, int], int],
        counts: list[int],
        batch: bool,
    ) -> int:
        """The exact cost of a delivery by the list that it was held by; with its legs, where any were priced or told."""
        begins, (price_in, price_cached, price_out), hundredths = prices
        supplier, grade = parties >> 16 & 0xFFFF, parties & 0xFFFF
        said, told = self.legs.get((supplier, grade, begins)), self.told.pop(request, None)
        if said is not None or told is not None:
            known = PriceList(supplier, grade, begins, price_in, price_cached, price_out, hundredths)
            tokens_in, cached, tokens_out = counts
            usage = usage_of(tokens_in, cached, tokens_out, told or {})
            require(
                not exceed_whole(usage),
                "a part is no more than its whole",
                f"request {request}: {usage.counts}",
            )
            return cost_pico(usage, leg_prices_of(known, said or SaidLegs()), batch=batch)
        asked = (price_in, price_cached, price_out)
        if batch:
            asked = tuple((2 * price * hundredths + 100) // 200 for price in asked)  # type: ignore[assignment]
        return (counts[0] - counts[1]) * asked[0] + counts[1] * asked[1] + counts[2] * asked[2]

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

    def on_transferred(self, event: list[int]) -> None:
        """A position passed from one to the other without a trade (§10.2)."""
        _, _, buyer, seller, contract, _, lots, _ = event
        self.position[buyer, contract] += lots
        self.position[seller, contract] -= lots

    def on_cancelled(self, event: list[int]) -> None:
        """What is taken back is what was left."""
        order = self.open.pop((event[2], event[3]), None)
        if order is None or order.left != event[6]:
            raise InvariantBroken("what is taken back is what was left", f"order {event[3]} of {event[2]}")


class MoneyBooks:
    """Law 5: each purse's money, (participant, purse) -> micro-units, and receipts, (participant, grade), from events alone.

    `tokens` and `served`, (participant, grade), are standard tokens but for what the meter has moved.
    """

    def __init__(self) -> None:
        self.purse: dict[tuple[int, int], int] = defaultdict(int)
        self.receipts: dict[tuple[int, int], int] = defaultdict(int)
        self.fund: dict[int, int] = defaultdict(int)
        self.tokens: dict[tuple[int, int], int] = defaultdict(int)
        self.served: dict[tuple[int, int], int] = defaultdict(int)

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
        elif code in (VenueEvent.BONDED, VenueEvent.UNBONDED):
            amount = event[4] if code == VenueEvent.BONDED else -event[4]
            self.purse[event[3], Purse.CASH] -= amount
            self.purse[event[3], Purse.BOND] += amount
        elif code == VenueEvent.COMPENSATED:
            _, _, failing, paid, _, of_bond, of_cash, reason = event
            self.purse[failing, Purse.BOND] -= of_bond
            self.purse[failing, Purse.CASH] -= of_cash
            self.purse[paid, Purse.REVENUE if reason == Reason.BUY_IN else Purse.CASH] += of_bond + of_cash
        else:
            self._on_tokens(code, event)

    def _on_tokens(self, code: int, event: list[int]) -> None:
        """Receipts redeemed; standard tokens that waited or were served, and are no more."""
        if code == VenueEvent.REDEEMED:
            self.receipts[event[3], event[4]] -= event[5]
            self.tokens[event[3], event[4]] += event[5] * MTOK
        elif code == VenueEvent.TOKENS_LAPSED:
            self.tokens[event[4], event[2]] -= event[5]
        elif code == VenueEvent.SERVED:
            self.served[event[4], event[2]] -= event[5]

    def on_clearing(
        self, code: int, event: list[int], contracts: dict[int, Contract], spot: frozenset[int]
    ) -> None:
        """Variation, fees, loans, the default fund, deliveries. `contracts` are by number, those in `spot` of receipts."""
        if code == ClearingEvent.VARIATION:
            self.purse[event[2], Purse.CASH] += event[4]
        elif code == ClearingEvent.FEE:
            self.purse[event[2], Purse.CASH] -= event[3]
        elif code == ClearingEvent.LENT:
            self.purse[event[2], Purse.CASH] += event[3]
        elif code == ClearingEvent.REPAID:
            self.purse[event[2], Purse.CASH] -= event[3]
        elif code == ClearingEvent.FUND_MOVED:
            self.purse[event[2], Purse.CASH] -= event[3]
            self.fund[event[2]] += event[3]
        elif code == ClearingEvent.ASSESSED:
            self.purse[event[2], Purse.CASH] -= event[3]
        elif code == ClearingEvent.LOSS_COVERED and event[3] in (Layer.OWN_FUND, Layer.OTHERS_FUND):
            self.fund[event[4]] -= event[5]
        elif code == ClearingEvent.NOT_DELIVERED:
            self.purse[event[2], Purse.CASH] -= event[6]
            self.purse[event[3], Purse.CASH] += event[6]
        elif code == ClearingEvent.NOVATED and event[5] in spot:
            self._deliver(contracts[event[5]], *event[3:5], *event[6:8])
        elif code == ClearingEvent.DELIVERED:
            self._deliver(contracts[event[4]], *event[2:4], *event[5:7])

    def _deliver(self, contract: Contract, buyer: int, seller: int, price: int, lots: int) -> None:
        paid, delivered = price * lots * contract.tick_value_micro, lots * contract.lot_mtok
        self.purse[buyer, Purse.CASH] -= paid
        self.purse[seller, Purse.CASH] += paid
        self.receipts[buyer, contract.grade] += delivered
        self.receipts[seller, contract.grade] -= delivered


class FuturesBooks:
    """Law 6: what each account's futures are worth, and the fees of its fills, from fills and settlement prices alone.

    `lots` and `basis` are by (account, contract, 1 if hedging): net lots, and what they were entered or last settled at, in
    tick-lots; `settled` is the last settlement price, in ticks.
    """

    def __init__(self, contracts: dict[int, Contract], terms: ClearingTerms) -> None:
        self._contracts = contracts
        self._terms = terms
        self.lots: dict[tuple[int, int, int], int] = defaultdict(int)
        self.basis: dict[tuple[int, int, int], int] = defaultdict(int)
        self.settled: dict[int, int] = {}
        self.fees: dict[int, int] = defaultdict(int)

    def on_filled(self, event: list[int]) -> None:
        """A fill changes the position and its basis, and costs its fee, unless it was forced."""
        word, _, account, _, number, price, lots, _ = event
        contract = self._contracts[number]
        if not word & FORCED:
            self._charge(account, contract, word, price * lots * contract.tick_value_micro, lots)
        if contract.kind != ContractKind.SPOT:
            self._hold((account, number, int(word & HEDGES != 0)), -lots if word & SELLS else lots, price)

    def on_transferred(self, event: list[int]) -> None:
        """A position passed from a defaulter to another member, or was torn up (§10.2)."""
        word, _, buyer, seller, number, price, lots, _ = event
        self._hold((buyer, number, int(word & OF_HEDGE != 0)), lots, price)
        self._hold((seller, number, int(word & SELLER_OF_HEDGE != 0)), -lots, price)

    def _hold(self, key: tuple[int, int, int], lots: int, price: int) -> None:
        self.lots[key] += lots
        self.basis[key] += lots * price

    def _charge(self, account: int, contract: Contract, word: int, turnover: int, lots: int) -> None:
        fees = self._terms.spot_fees if contract.kind == ContractKind.SPOT else self._terms.futures_fees
        per_lot, ppm = (
            (fees.taker_lot_micro, fees.taker_turnover_ppm)
            if word & TAKER
            else (fees.maker_lot_micro, fees.maker_turnover_ppm)
        )
        if word >> REASON_SHIFT & CLOSE_TODAY == CLOSE_TODAY:
            per_lot = fees.today_lot_micro if fees.today_lot_micro >= 0 else per_lot
            ppm = fees.today_turnover_ppm if fees.today_turnover_ppm >= 0 else ppm
        self.fees[account] += max(1, lots * per_lot + div_half_up(turnover * ppm, 10**6))

    def on_variation(self, event: list[int]) -> None:
        """Variation is the position at the settlement price, less its basis; the last one at the mean fixing."""
        word, _, account, number, amount, lots, price, _ = event
        contract, key = self._contracts[number], (account, number, int(word & OF_HEDGE != 0))
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
            not self.fees.get(account),
            "fees are those of the fills",
            f"{account}: {self.fees.get(account)} not collected",
        )
        for (holder, number, hedge), lots in self.lots.items():
            if holder == account:
                carried, settled = self.basis[holder, number, hedge], lots * self.settled.get(number, 0)
                require(
                    carried == settled,
                    "variation is what the price moved",
                    f"{account} in {number}: not settled",
                )

    def on_activity(self, event: list[int], makers: set[int]) -> None:
        """Cancels over the free ones cost a fee, but not the market `makers` (§5.3)."""
        terms = self._terms.cancels
        over = max(0, event[5] - terms.free) * terms.fee_micro
        if over and event[2] not in makers:
            self.fees[event[2]] += over

    def on_rebate(self, event: list[int]) -> None:
        """A market maker's rebate makes its day's fees the less (§7.3)."""
        self.fees[event[2]] -= event[3]

    def on_fee(self, event: list[int]) -> None:
        """The fees of a day are those of its fills."""
        expected = self.fees.pop(event[2], 0)
        require(
            event[3] == expected,
            "fees are those of the fills",
            f"{event[2]}: {event[3]}, by fills {expected}",
        )
