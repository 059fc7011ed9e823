"""Positions: what each member holds and has open in each contract, with the sums that its requirement needs kept as
it changes.

| name | is | changes with |
|---|---|---|
| `Market` | a contract as the clearing house keeps it: prices, life, margin and fees of a lot | a settlement, a trade (mark) |
| `Position` | one member's lots in one market; `charge_micro` is what it needs | an order, a fill, a cancel |
| `Member` | one participant; `ladder_micro` is the sum of its positions' charges | the same |

The classes here say what a fill, a price, an order does; where their words are kept is their subclasses' affair: in
plain objects (`plain.py`), or in rows of the register's matrices (`register.py`), which the compiled kernel writes to
as well.

A position is carried at `basis`, in tick-lots: net lots at the last settlement x that settlement price, plus what was
bought since, less what was sold. So `lots x price - basis` is the variation to any price, in ticks, and no trade need
be remembered. Over all members both net lots and basis sum to zero, hence variation does at any price.

Profit by entry price is kept beside it. `long_cost` and `short_cost` are what the lots held were entered at, in
tick-lots; lots that are closed take their part of it, rounded down, and `realised` is what all of them won. So at any
price, exactly:

realised + (long x price - long_cost) + (short_cost - short x price)  =  all variation since the position began
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence

from ciyuan.basics.errors import InvariantBroken
from ciyuan.clearing.margin import (
    BP,
    OVER_LIMIT_BP,
    Stage,
    fee_kept_micro,
    limit_lots,
    margin_lot_micro,
    rate_bp,
)
from ciyuan.clearing.messages import (
    ClearingTerms,
    Fees,
    Life,
    MemberFlag,
    MemberRole,
    PositionLimits,
    Risk,
    Standing,
)
from ciyuan.exchange.contract import Contract, ContractKind
from ciyuan.exchange.messages import HEDGE_FLAG, Effect
from ciyuan.exchange.settlement import FIRST_DAY_LIMITS, daily_limits
from ciyuan.exchange.state import EXPOSURE_MAX

HEDGER = int(MemberRole.HEDGER)
HEDGE = int(HEDGE_FLAG)
OPEN, CLOSE, CLOSE_TODAY = int(Effect.OPEN), int(Effect.CLOSE), int(Effect.CLOSE_TODAY)
DIRECTION = 3
"""The bits of an `Effect` that say what it does to the position."""
CLOSING = (CLOSE, CLOSE_TODAY)

MARKET_WORDS = (
    "life",
    "state",
    "settle_ticks",
    "mark_ticks",
    "review_ticks",
    "lower_ticks",
    "upper_ticks",
    "priced_ticks",
    "priced_lower_ticks",
    "priced_upper_ticks",
    "priced_day",
    "final_micro",
    "final_day",
    "final_rule",
    "lock_rate_bp",
    "notice_rate_bp",
    "delivered_day",
    "margin_lot_micro",
    "fee_lot_micro",
    "limit",
    "hedger_limit",
)
"""What is kept of a market. Margin, fee and limits are kept too: they are those of the moment at which the terms were taken."""
MEMBER_WORDS = (
    "cash", "permissions", "role", "flags", "accrued_micro", "maker_lots", "taker_lots", "fills", "owed_micro", "called_micro",
    "deadline_ns", "standing", "opening_micro", "variation_micro", "fees_micro", "bought_micro", "sold_micro", "receipts_bought",
    "receipts_sold", "lent_micro", "fund_micro", "fund_moved_micro", "penalties_micro", "scenario_micro", "adjustment_micro",
    "collateral_micro", "changed",
    "looks", "looks_met",
)  # fmt: skip
"""What is kept of a member, beside what follows from it."""
POSITION_WORDS = (
    "long", "short", "long_today", "short_today", "buys", "sells", "basis", "long_cost", "short_cost", "realised", "since_day",
)  # fmt: skip
"""What is kept of a position, beside its charge."""


class Market:
    """One contract. Prices are in ticks, `*_micro` in micro-units; `settle_ticks` is what margin and variation stand
    on.

    `priced_*` hold the settlement price of `priced_day`, and the limits after it, from its event until the day is
    settled. `final_*` are 0 until the contract is finally settled, `delivered_day` until its receipts are delivered.
    `lock_rate_bp` is the least margin rate after a day that ended locked at its limit, `notice_rate_bp` that of a
    limit set by notice (§4.5); 0 when there is none. `review_ticks` is the mark at the last review, `state` the
    exchange's `SessionState`.
    """

    contract: Contract
    number: int
    fees: Fees
    is_spot: bool
    tick_value_micro: int
    life: int
    state: int
    settle_ticks: int
    mark_ticks: int
    review_ticks: int
    lower_ticks: int
    upper_ticks: int
    priced_ticks: int
    priced_lower_ticks: int
    priced_upper_ticks: int
    priced_day: int
    final_micro: int
    final_day: int
    final_rule: int
    lock_rate_bp: int
    notice_rate_bp: int
    delivered_day: int
    margin_lot_micro: int
    fee_lot_micro: int
    limit: int
    hedger_limit: int
    share_bp: int

    def take_listing(self, contract: Contract, fees: Fees, share_bp: int) -> None:
        """Be the market of a contract: what is not kept because it never changes. Spot has no limits, so no share of one."""
        self.contract = contract
        self.number = contract.number
        self.fees = fees
        self.is_spot = contract.kind == ContractKind.SPOT
        self.tick_value_micro = contract.tick_value_micro
        self.share_bp = 0 if self.is_spot else share_bp

    def begin(self) -> None:
        """Take the listing's figures as the first ones."""
        self.life = Life.LISTED
        self.settle_ticks = self.mark_ticks = self.review_ticks = self.contract.initial_price_ticks
        widest = FIRST_DAY_LIMITS * self.contract.limit_rate_bp
        self.lower_ticks, self.upper_ticks = daily_limits(self.contract.initial_price_ticks, widest)
        self.fee_lot_micro = fee_kept_micro(self.upper_ticks, self.tick_value_micro, self.fees)

    @property
    def is_physical(self) -> bool:
        """Whether it ends in receipts (§2.3)."""
        return self.contract.kind == ContractKind.PHYSICAL_FUTURE

    def rate_bp(self, stage: Stage, terms: ClearingTerms, open_interest: int, notice_bp: int) -> int:
        """The margin rate of a stage, in basis points: the largest that any rule, or a notice, asks (§6.1, §4.5)."""
        steps = [rate for lots, rate in terms.ladder.open_interest_steps if open_interest >= lots]
        return max(rate_bp(stage, terms.ladder), self.lock_rate_bp, self.notice_rate_bp, notice_bp, *steps)

    def set_terms(self, rate: int, limits: PositionLimits, hedgers: PositionLimits, stage: Stage) -> None:
        """Margin, fees and limits at a rate and the present prices; charges are reckoned by who keeps them. Spot has
        no margin.
        """
        self.fee_lot_micro = fee_kept_micro(self.upper_ticks, self.tick_value_micro, self.fees)
        if not self.is_spot:
            self.margin_lot_micro = margin_lot_micro(rate, self.settle_ticks, self.tick_value_micro)
            self.limit = limit_lots(stage, limits)
            self.hedger_limit = limit_lots(stage, hedgers)

    def take_price(self) -> None:
        """Make the priced day's settlement price the one that margin and variation stand on."""
        self.settle_ticks = self.mark_ticks = self.priced_ticks
        self.lower_ticks, self.upper_ticks = self.priced_lower_ticks, self.priced_upper_ticks

    def take_limits(self, lower_ticks: int, upper_ticks: int, limit_rate_bp: int) -> None:
        """Take daily limits that hold from now on, by notice or forced reduction: no lock's rate is in force then (§4.5)."""
        self.lower_ticks = self.priced_lower_ticks = lower_ticks
        self.upper_ticks = self.priced_upper_ticks = upper_ticks
        self.lock_rate_bp = 0
        wider = limit_rate_bp > self.contract.limit_rate_bp
        self.notice_rate_bp = limit_rate_bp + OVER_LIMIT_BP if wider else 0

    @property
    def risk(self) -> Risk:
        """What the exchange admits orders by."""
        limits = min(self.limit, EXPOSURE_MAX), min(self.hedger_limit, EXPOSURE_MAX)
        return Risk(self.margin_lot_micro, self.fee_lot_micro, *limits, self.share_bp)

    def limit_of(self, hedges: bool, open_interest: int) -> int:
        """The position limit, a hedger's or any other's, in lots (§5.2); 0 for none."""
        limit = self.hedger_limit if hedges else self.limit
        return max(limit, open_interest * self.share_bp // BP) if self.share_bp else limit


class Member(ABC):
    """A participant with its ledger accounts and the sums of its day. All sums are in micro-units or counts.

    `ladder_micro` is the sum of its charges (§6.1), `adjustment_micro` what scenario margin adds to it or takes off
    (§6.2), `scenario_micro` what it asked at the last review. `reserved_micro` is what its open spot buys may still
    cost: lots left at their limits. `collateral_micro` is the value of its pledged receipts after the haircut,
    `fund_micro` its share of the default fund. `changed` is 1 from a fill until the next review.
    """

    number: int
    receipts: dict[int, int]
    pledged: dict[int, tuple[int, int]]
    """By grade: receipts that are its collateral, and the key of their hold."""
    cash: int
    permissions: int
    role: int
    flags: int
    accrued_micro: int
    maker_lots: int
    taker_lots: int
    fills: int
    owed_micro: int
    called_micro: int
    deadline_ns: int
    standing: int
    opening_micro: int
    variation_micro: int
    fees_micro: int
    bought_micro: int
    sold_micro: int
    receipts_bought: int
    receipts_sold: int
    lent_micro: int
    fund_micro: int
    fund_moved_micro: int
    penalties_micro: int
    scenario_micro: int
    adjustment_micro: int
    collateral_micro: int
    changed: int
    looks: int
    looks_met: int
    ladder_micro: int
    reserved_micro: int

    @property
    def is_gross(self) -> bool:
        """Whether it holds long and short, hedging and speculation, apart (§3.4)."""
        return self.flags & MemberFlag.GROSS != 0

    @property
    def is_in_default(self) -> bool:
        """Whether its positions are being, or have been, closed (§10.1)."""
        return self.standing >= Standing.DEFAULTED

    @property
    def requirement_micro(self) -> int:
        """What it must have: the ladder's charges, as scenario margin adjusts them (§6.2)."""
        return self.ladder_micro + self.adjustment_micro

    def start_statement(self, opening_micro: int) -> None:
        """Begin a new statement at this cash balance."""
        self.opening_micro = opening_micro
        self.variation_micro = self.fees_micro = self.lent_micro = 0
        self.bought_micro = self.sold_micro = self.receipts_bought = self.receipts_sold = 0
        self.fund_moved_micro = self.penalties_micro = 0

    def pay_fees(self) -> tuple[int, int, int, int]:
        """Take the unpaid fees as paid: what they were, lots as maker, lots as taker, fills."""
        paid = (self.accrued_micro, self.maker_lots, self.taker_lots, self.fills)
        self.fees_micro += self.accrued_micro
        self.accrued_micro = self.maker_lots = self.taker_lots = self.fills = 0
        return paid

    @abstractmethod
    def position(self, market: Market, hedge: int = 0) -> "Position":
        """The member's position in a market (`hedge` 1: of a gross member, the hedging one); a flat one is begun if
        there is none.
        """

    @abstractmethod
    def held(self) -> Sequence["Position"]:
        """Its positions in futures that are not flat, by contract and hedge."""

    @abstractmethod
    def find(self, contract: int, hedge: int = 0) -> "Position | None":
        """The member's position in a contract, if one was begun."""


class Position:
    """A member's lots in a market.

    `long` and `short` are the lots held, `*_today` those of them that were entered today; a net member has only one
    side. `buys` and `sells` are open in orders, but for those that close lots of a gross member. `basis`, `*_cost`
    and `realised` are tick-lots; `since_day` is the trading day on which the present position began (§9.2).
    """

    member: Member
    market: Market
    hedge: int
    long: int
    short: int
    long_today: int
    short_today: int
    buys: int
    sells: int
    basis: int
    long_cost: int
    short_cost: int
    realised: int
    since_day: int
    charge_micro: int

    @property
    def lots(self) -> int:
        """Long less short lots."""
        return self.long - self.short

    @property
    def is_flat(self) -> bool:
        """Whether nothing is held."""
        return not self.long and not self.short

    @property
    def is_empty(self) -> bool:
        """Whether nothing is held, and nothing open."""
        return self.is_flat and not self.buys and not self.sells

    def worst_lots(self) -> int:
        """The most lots that margin is asked for, over all fills of what is open (§5.1); of a gross member each side
        by itself.
        """
        if self.member.is_gross:
            return max(self.long + self.buys, self.short + self.sells)
        return max(self.lots + self.buys, self.sells - self.lots)

    def held_charge_micro(self) -> int:
        """What the ladder asks for the lots held alone, without open orders (§6.1), in micro-units."""
        lots = max(self.long, self.short) if self.member.is_gross else abs(self.lots)
        return lots * self.market.margin_lot_micro

    def reckon(self) -> None:
        """Work out the charge anew (§5.1: worst case x margin, plus fees of what is open) and pass the change to the member."""
        market = self.market
        charge = self.worst_lots() * market.margin_lot_micro + (self.buys + self.sells) * market.fee_lot_micro
        self.member.ladder_micro += charge - self.charge_micro
        self.charge_micro = charge

    def open_order(self, is_sell: bool, lots: int) -> None:
        """`lots` more are open (negative: no longer). Raises InvariantBroken for more closed than were open."""
        if is_sell:
            self.sells += lots
        else:
            self.buys += lots
        if self.sells < 0 or self.buys < 0:
            raise not_open(self.member.number, self.market.number)
        self.reckon()

    def trade(self, direction: int, is_sell: bool, lots: int, price_ticks: int, day: int) -> None:
        """Hold lots that were bought or sold at a price: `direction` opens, closes, closes those of today, or (0)
        closes what there is, of earlier days first, and opens the rest. The charge is not reckoned. Raises
        InvariantBroken for more closed than held.
        """
        before, was_flat = self.lots, self.is_flat
        closed = self._close(direction, is_sell, lots, price_ticks)
        opened = lots - closed
        if is_sell:
            self.short += opened
            self.short_today += opened
            self.short_cost += opened * price_ticks
            self.basis -= lots * price_ticks
        else:
            self.long += opened
            self.long_today += opened
            self.long_cost += opened * price_ticks
            self.basis += lots * price_ticks
        if self.is_flat:
            self.since_day = 0
        elif was_flat or (direction == 0 and before * self.lots < 0):
            self.since_day = day
        self._note_change(closed > 0)

    def _note_change(self, reduced: bool) -> None:
        """A fill changed the portfolio; what scenario margin took off is off the table once any of it is smaller (§6.2)."""
        self.member.changed = 1
        if reduced and self.member.adjustment_micro < 0:
            self.member.adjustment_micro = 0

    def _close(self, direction: int, is_sell: bool, lots: int, price_ticks: int) -> int:
        """Close lots of the other side, with their part of its cost; returns how many."""
        held, today, cost = (
            (self.long, self.long_today, self.long_cost)
            if is_sell
            else (self.short, self.short_today, self.short_cost)
        )
        closed = 0 if direction == OPEN else lots if direction in CLOSING else min(lots, held)
        if not closed:
            return 0
        of_today = min(closed, today) if direction == CLOSE_TODAY else max(closed - (held - today), 0)
        if closed > held:
            raise InvariantBroken(
                "only what is held is closed", f"member {self.member.number}, contract {self.market.number}"
            )
        part = cost * closed // held
        if is_sell:
            self.long, self.long_today, self.long_cost = held - closed, today - of_today, cost - part
            self.realised += closed * price_ticks - part
        else:
            self.short, self.short_today, self.short_cost = held - closed, today - of_today, cost - part
            self.realised += part - closed * price_ticks
        return closed

    def clear(self) -> None:
        """Hold nothing any more: it was finally settled or delivered."""
        if not self.is_flat:
            self._note_change(reduced=True)
        self.long = self.short = self.long_today = self.short_today = 0
        self.basis = self.long_cost = self.short_cost = self.realised = self.since_day = 0
        self.reckon()

    def variation_micro(self, price_ticks: int) -> int:
        """What the position has gained to a price since the last settlement, in micro-units (§7.2)."""
        return (self.lots * price_ticks - self.basis) * self.market.tick_value_micro

    def unrealised_micro(self, price_ticks: int) -> int:
        """What the lots held have won since they were entered, at a price, in micro-units."""
        won = self.lots * price_ticks - self.long_cost + self.short_cost
        return won * self.market.tick_value_micro


def not_open(participant: int, contract: int) -> InvariantBroken:
    """The exception for lots that are no longer open, and never were."""
    return InvariantBroken("orders that end were open", f"member {participant}, contract {contract}")
