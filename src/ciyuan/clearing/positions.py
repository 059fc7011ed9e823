"""Positions: what each member holds and has open in each contract, with the sums that its requirement needs kept as it changes.

| name | is | changes with |
|---|---|---|
| `Market` | a contract as the clearing house keeps it: prices, life, margin and fees of a lot | a settlement, a trade (mark) |
| `Position` | one member's lots in one market; `charge_micro` is what it needs | an order, a fill, a cancel |
| `Member` | one participant; `requirement_micro` is the sum of its positions' charges | the same |

A position is carried at `basis`, in tick-lots: position at the last settlement x that settlement price, plus what was bought
since, less what was sold. So `lots x price - basis` is the variation to any price, in ticks, and no trade need be remembered.
Over all members both lots and basis sum to zero, hence variation does at any price.
"""

from ciyuan.basics.errors import InvariantBroken
from ciyuan.clearing.margin import (
    BP,
    OVER_LIMIT_BP,
    Stage,
    fee_kept_micro,
    first_upper_ticks,
    limit_lots,
    margin_lot_micro,
    rate_bp,
)
from ciyuan.clearing.messages import ClearingTerms, Fees, Life, MemberRole, Risk
from ciyuan.exchange.contract import Contract, ContractKind
from ciyuan.exchange.state import EXPOSURE_MAX

HEDGER = int(MemberRole.HEDGER)
NO_LIMIT = 0
"""Position limit of what has none: receipts are property, not positions."""


class Market:
    """One contract. Prices are in ticks, `*_micro` in micro-units; `settle_ticks` is what margin and variation stand on.

    `priced_*` hold the settlement price of `priced_day` from its event until the day is settled. `final_*` are 0 until the
    contract is finally settled. `lock_rate_bp` is the least margin rate after a day that ended locked at its limit,
    `notice_rate_bp` that of a limit set by notice (§4.5); 0 when there is none.
    """

    __slots__ = (
        "contract", "fee_lot_micro", "fees", "final_day", "final_micro", "final_rule", "hedger_limit", "is_spot", "life",
        "limit", "lock_rate_bp", "margin_lot_micro", "mark_ticks", "notice_rate_bp", "number", "positions", "priced_day",
        "priced_ticks", "priced_upper_ticks", "settle_ticks", "share_bp", "tick_value_micro", "upper_ticks",
    )  # fmt: skip

    def __init__(self, contract: Contract, fees: Fees) -> None:
        self.contract = contract
        self.number = contract.number
        self.fees = fees
        self.is_spot = contract.kind == ContractKind.SPOT
        self.tick_value_micro = contract.tick_value_micro
        self.life = Life.LISTED
        self.settle_ticks = self.mark_ticks = contract.initial_price_ticks
        self.upper_ticks = first_upper_ticks(contract)
        self.priced_ticks = self.priced_upper_ticks = self.priced_day = 0
        self.final_micro = self.final_day = self.final_rule = 0
        self.lock_rate_bp = self.notice_rate_bp = 0
        self.limit = self.hedger_limit = NO_LIMIT
        self.share_bp = 0
        self.margin_lot_micro = 0
        self.fee_lot_micro = fee_kept_micro(self.upper_ticks, self.tick_value_micro, fees)
        self.positions: list[Position] = []

    def set_terms(self, stage: Stage, terms: ClearingTerms) -> None:
        """Margin, fees and limits of a stage at the present prices, and every position's charge anew. Spot has no margin."""
        self.fee_lot_micro = fee_kept_micro(self.upper_ticks, self.tick_value_micro, self.fees)
        if not self.is_spot:
            rate = max(rate_bp(stage, terms.ladder), self.lock_rate_bp, self.notice_rate_bp)
            self.margin_lot_micro = margin_lot_micro(rate, self.settle_ticks, self.tick_value_micro)
            self.limit = limit_lots(stage, terms.limits)
            self.hedger_limit = limit_lots(stage, terms.hedger_limits)
            self.share_bp = terms.limit_share_bp
        for position in self.positions:
            position.reckon()

    def take_price(self) -> None:
        """Make the priced day's settlement price the one that margin and variation stand on."""
        self.settle_ticks = self.mark_ticks = self.priced_ticks
        self.upper_ticks = self.priced_upper_ticks

    def take_limits(self, upper_ticks: int, limit_rate_bp: int) -> None:
        """Take daily limits that hold from now on, by notice or forced reduction: no lock's rate is in force then (§4.5)."""
        self.upper_ticks = self.priced_upper_ticks = upper_ticks
        self.lock_rate_bp = 0
        self.notice_rate_bp = (
            limit_rate_bp + OVER_LIMIT_BP if limit_rate_bp > self.contract.limit_rate_bp else 0
        )

    @property
    def open_interest(self) -> int:
        """Long lots, which are also the short ones."""
        return sum(position.lots for position in self.positions if position.lots > 0)

    @property
    def risk(self) -> Risk:
        """What the exchange admits orders by."""
        limits = min(self.limit, EXPOSURE_MAX), min(self.hedger_limit, EXPOSURE_MAX)
        return Risk(self.margin_lot_micro, self.fee_lot_micro, *limits, self.share_bp)

    def limit_of(self, role: int) -> int:
        """The position limit of a member of this role, in lots (§5.2); 0 for none."""
        limit = self.hedger_limit if role == HEDGER else self.limit
        return max(limit, self.open_interest * self.share_bp // BP) if self.share_bp else limit


class Position:
    """A member's lots in a market: `lots` held (negative: short), `buys` and `sells` open in orders, `basis` in tick-lots."""

    __slots__ = ("basis", "buys", "charge_micro", "lots", "market", "member", "sells")

    def __init__(self, member: "Member", market: Market) -> None:
        self.member = member
        self.market = market
        self.lots = self.buys = self.sells = self.basis = 0
        self.charge_micro = 0

    def reckon(self) -> None:
        """Work out the charge anew (§5.1: worst case x margin, plus fees of what is open) and pass the change to the member."""
        buys, sells, lots, market = self.buys, self.sells, self.lots, self.market
        longest, shortest = lots + buys, sells - lots
        worst = max(shortest, longest)  # `max` is a call, and this runs on every event
        charge = worst * market.margin_lot_micro + (buys + sells) * market.fee_lot_micro
        self.member.requirement_micro += charge - self.charge_micro
        self.charge_micro = charge

    def open_order(self, is_sell: bool, lots: int) -> None:
        """`lots` more are open (negative: no longer). Raises InvariantBroken for more closed than were open."""
        if is_sell:
            self.sells += lots
        else:
            self.buys += lots
        if self.sells < 0 or self.buys < 0:
            raise InvariantBroken(
                "orders that end were open", f"member {self.member.number}, contract {self.market.number}"
            )
        self.reckon()

    def variation_micro(self, price_ticks: int) -> int:
        """What the position has gained to a price since the last settlement, in micro-units (§7.2)."""
        return (self.lots * price_ticks - self.basis) * self.market.tick_value_micro


class Member:
    """A participant with its ledger accounts, positions, and the sums of its day. All sums are in micro-units or counts.

    `reserved_micro` is what its open spot buys may still cost: lots left at their limits.
    """

    __slots__ = (
        "accrued_micro", "bought_micro", "called_micro", "cash", "fees_micro", "fills", "lent_micro", "maker_lots", "number",
        "opening_micro", "owed_micro", "permissions", "positions", "receipts", "receipts_bought", "receipts_sold",
        "requirement_micro", "reserved_micro", "role", "sold_micro", "taker_lots", "variation_micro",
    )  # fmt: skip

    def __init__(self, number: int, cash: int, permissions: int, role: int) -> None:
        self.number = number
        self.cash = cash
        self.permissions = permissions
        self.role = role
        self.receipts: dict[int, int] = {}
        self.positions: dict[int, Position] = {}
        self.requirement_micro = self.reserved_micro = 0
        self.owed_micro = self.called_micro = 0
        self.accrued_micro = self.maker_lots = self.taker_lots = self.fills = 0
        self.start_statement(0)

    def start_statement(self, opening_micro: int) -> None:
        """Begin a new statement at this cash balance."""
        self.opening_micro = opening_micro
        self.variation_micro = self.fees_micro = self.lent_micro = 0
        self.bought_micro = self.sold_micro = self.receipts_bought = self.receipts_sold = 0

    def pay_fees(self) -> tuple[int, int, int, int]:
        """Take the unpaid fees as paid: what they were, lots as maker, lots as taker, fills."""
        paid = (self.accrued_micro, self.maker_lots, self.taker_lots, self.fills)
        self.fees_micro += self.accrued_micro
        self.accrued_micro = self.maker_lots = self.taker_lots = self.fills = 0
        return paid

    def position(self, market: Market) -> Position:
        """The member's position in a market; a flat one is begun if there is none."""
        found = self.positions.get(market.number)
        if found is None:
            found = self.positions[market.number] = Position(self, market)
            market.positions.append(found)
        return found

    def running_loss_micro(self) -> int:
        """min(0, variation since the last settlement, marked at the last trades), in micro-units: a claim on the cash (§5.1)."""
        variation = 0
        for position in self.positions.values():
            lots, market = position.lots, position.market
            variation += (lots * market.mark_ticks - position.basis) * market.tick_value_micro
        return min(0, variation)
