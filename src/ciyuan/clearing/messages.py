"""What the clearing house hears and says: one row of eight int64 a message. Words 0 and 1 are the kind word and time_ns.

It hears these commands, and the exchange's events (`ClearingHouse.on_event`):

| command | 2 | 3 | 4 | 5 | 6 |
|---|---|---|---|---|---|
| MEMBER | participant | cash account | receipts account of the first spot grade (0: none) | permissions | role |
| SETTLE_DAY | trading day | | | | |
| FINAL | contract | mean fixing, micro per MTok | trading day | rule: 0 or 85 | |
| DELIST | contract | | | | |
| RECEIPTS | participant | grade | receipts account | | |
| COLLECT | participant | | | | |

| event | 2 | 3 | 4 | 5 | 6 | 7 |
|---|---|---|---|---|---|---|
| MEMBER_ADDED | participant | cash account | receipts account | permissions | role | |
| NOVATED | trade id | buyer | seller | contract | price ticks | lots |
| VARIATION | participant | contract | amount, signed | position | price ticks (FINAL flag: micro per MTok) | trading day |
| FEE | participant | amount | lots as maker | lots as taker | fills | trading day |
| MARGIN | participant | requirement | equity | excess, signed | owed to the house | trading day |
| MARGIN_CALL | participant | amount called | owed to the house | requirement | | trading day |
| STATEMENT_MONEY | participant | trading day | opening | deposits less withdrawals | variation | fees |
| STATEMENT_SPOT | participant | trading day | paid for receipts | got for receipts | receipts bought | receipts sold |
| STATEMENT_CLOSING | participant | trading day | lent less repaid | closing | requirement | excess, signed |
| FINAL_SETTLED | contract | micro per MTok | trading day | rule | open interest, lots | |
| REFUSED | as the command | | | | | `ClearingRefusal` |
| REPEATED | as the command | | | | | |
| CONTRACT_STATE | contract | life now | life before | trading day | | |
| LENT, REPAID | participant | amount | owed after it | moved from or to capital | | trading day |
| CALL_MET | participant | excess | | | | trading day |
| LARGE_POSITION | participant | contract | lots, signed | limit | | trading day |
| RECEIPTS_NAMED | participant | grade | receipts account | | | |

Amounts are micro-units of money unless a unit is named; days are venue days (`basics.calendar`). The reason bits of an event's
kind word, and of every ledger row that the clearing house writes, are a `Reason`. The rules are in docs/spec/clearing.md.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import IntEnum, IntFlag

from ciyuan.basics.rows import CODE_MASK, Row, kind_word, row
from ciyuan.exchange.messages import Permission as Permission  # noqa: PLC0414 (re-exported: MEMBER has it)

PARTICIPANT = 2
"""Word of the participant in MEMBER, VARIATION, FEE, MARGIN, MARGIN_CALL, LENT, REPAID, CALL_MET and the statements."""
CONTRACT = 2
"""Word of the contract in FINAL, DELIST, FINAL_SETTLED and CONTRACT_STATE."""
REFUSAL = 7
LEDGER_KEY_BASE = 2**62
"""The clearing house's ledger keys are this plus 1, 2, 3 ...: above every meter key (under 2**62) and `content_key`."""
RULE_MISSING_FIXING = 85
"""Word 5 of FINAL for a price that was determined by rule §8.5."""


class ClearingCommand(IntEnum):
    """Codes of what the clearing house hears."""

    MEMBER = 401
    SETTLE_DAY = 402
    FINAL = 403
    DELIST = 404
    RECEIPTS = 405
    COLLECT = 406


class ClearingEvent(IntEnum):
    """Codes of what the clearing house says."""

    MEMBER_ADDED = 451
    NOVATED = 452
    VARIATION = 453
    FEE = 454
    MARGIN = 455
    MARGIN_CALL = 456
    STATEMENT_MONEY = 457
    FINAL_SETTLED = 458
    REFUSED = 459
    REPEATED = 460
    STATEMENT_SPOT = 461
    STATEMENT_CLOSING = 462
    CONTRACT_STATE = 463
    LENT = 464
    REPAID = 465
    CALL_MET = 466
    LARGE_POSITION = 467
    RECEIPTS_NAMED = 468


class ClearingFlag(IntFlag):
    """Flags of events. FINAL on a VARIATION: the last one of its contract, at the month's mean fixing."""

    FINAL = 1


class MemberRole(IntEnum):
    """What a member trades for: a hedger has its own position limits (§5.2)."""

    HEDGER = 1
    SPECULATOR = 2
    MAKER = 3


class Life(IntEnum):
    """A contract's life (§2.6), in the order in which it is lived; no state is skipped."""

    LISTED = 1
    TRADING = 2
    LAST_DAY = 3
    SETTLING = 4
    SETTLED = 5
    DELISTED = 6


class ClearingRefusal(IntEnum):
    """Why a command is refused; the first that applies, in this order, is given.

    An order is not refused here but by the exchange, with its own enum: see `ciyuan.exchange.messages.Refusal`.
    """

    UNKNOWN_COMMAND = 1
    PARTICIPANT_NOT_POSITIVE = 2
    UNKNOWN_MEMBER = 3
    PERMISSION_UNKNOWN = 4
    ROLE_UNKNOWN = 5
    UNKNOWN_GRADE = 6
    LEDGER_ACCOUNT_UNKNOWN = 7
    LEDGER_ACCOUNT_OF_OTHER_ASSET = 8
    MEMBER_HAS_OTHER_CASH_ACCOUNT = 9
    MEMBER_HAS_OTHER_RECEIPTS_ACCOUNT = 10
    MEMBER_HAS_OTHER_PERMISSIONS = 11
    MEMBER_HAS_OTHER_ROLE = 12
    UNKNOWN_CONTRACT = 13
    SETTLED_AT_OTHER_PRICE = 14
    SETTLED_ON_OTHER_DAY = 15
    SETTLED_BY_OTHER_RULE = 16
    NOT_SETTLING = 17
    NOT_SETTLED = 18
    DAY_ALREADY_PAST = 19
    DAY_NOT_OPEN = 20
    MISSING_SETTLEMENT_PRICE = 21
    PRICE_OUT_OF_RANGE = 22
    RULE_UNKNOWN = 23


class Reason(IntEnum):
    """Why money or receipts move, or a rule speaks: the reason bits of ledger rows and events. `rule` is the clause."""

    SPOT_MONEY_HELD = 401
    """§5.1: money held for a spot buy order, at its limit price."""
    SPOT_RECEIPTS_HELD = 402
    """§5.1: receipts held for a spot sell order."""
    SPOT_PAYMENT = 403
    """§2.1: money of a spot trade, buyer to house and house to seller."""
    SPOT_DELIVERY = 404
    """§2.1: receipts of a spot trade, seller to house and house to buyer."""
    SPOT_RELEASED = 405
    """§2.1: what an ended spot order still held."""
    VARIATION = 406
    """§7.2: daily settlement to the settlement price."""
    FINAL_SETTLEMENT = 407
    """§7.4: settlement to the mean of the month's fixings (§2.2)."""
    FINAL_BY_RULE = 408
    """§8.5: final settlement at a price determined by the rule for missing fixings."""
    FEES = 409
    """§7.3: fees of the day's fills."""
    SHORTFALL = 410
    """§10.1: lent to a member that could not pay, and paid back."""
    NOVATION = 411
    """§7.1: the house between buyer and seller."""
    MARGIN = 412
    """§6.1: requirement by the ladder."""
    MARGIN_CALL = 413
    """§10.1: a member short of margin is called, or has met its call."""
    LARGE_POSITION = 414
    """§5.2: a position of four fifths of its limit or more."""
    LIFE = 415
    """§2.6: a contract's life goes on."""
    STATEMENT = 416
    """§11.2: what concerns one member."""
    MEMBERSHIP = 417
    """§3.5: who is known, and permitted what."""
    RECORD = 418
    """§11.1: a command that nobody knows was refused."""

    @property
    def rule(self) -> str:
        """The clause of the rulebook, as "§7.2"."""
        return RULES[self]


RULES: dict[Reason, str] = {
    Reason.SPOT_MONEY_HELD: "§5.1",
    Reason.SPOT_RECEIPTS_HELD: "§5.1",
    Reason.SPOT_PAYMENT: "§2.1",
    Reason.SPOT_DELIVERY: "§2.1",
    Reason.SPOT_RELEASED: "§2.1",
    Reason.VARIATION: "§7.2",
    Reason.FINAL_SETTLEMENT: "§7.4",
    Reason.FINAL_BY_RULE: "§8.5",
    Reason.FEES: "§7.3",
    Reason.SHORTFALL: "§10.1",
    Reason.NOVATION: "§7.1",
    Reason.MARGIN: "§6.1",
    Reason.MARGIN_CALL: "§10.1",
    Reason.LARGE_POSITION: "§5.2",
    Reason.LIFE: "§2.6",
    Reason.STATEMENT: "§11.2",
    Reason.MEMBERSHIP: "§3.5",
    Reason.RECORD: "§11.1",
}
"""The clause behind each reason."""


@dataclass(frozen=True, slots=True)
class HouseAccounts:
    """Ledger account numbers of the clearing house. All but `receivables` should be opened NO_OVERDRAFT.

    `receivables` may be overdrawn: a winner is paid the same day (§7.2) even if a loser cannot pay and the house's own capital is
    spent, and what is then missing stands there, in the open, as a negative balance. `spot_receipts` pairs a grade's number with
    the house's receipts account of that grade.
    """

    variation: int
    spot_money: int
    fees: int
    capital: int
    receivables: int
    spot_receipts: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True, slots=True)
class Ladder:
    """Margin rates in basis points by stage (§6.1); the last stage begins `last_days` business days before the last day."""

    listing_bp: int = 1200
    month_before_bp: int = 1500
    delivery_month_bp: int = 2000
    last_days_bp: int = 2500
    last_days: int = 2


@dataclass(frozen=True, slots=True)
class Fees:
    """Fees of one kind of contract (§7.3): per lot, and per turnover in millionths. A fill costs at least one micro-unit."""

    maker_lot_micro: int = 0
    taker_lot_micro: int = 0
    maker_turnover_ppm: int = 50
    taker_turnover_ppm: int = 100


@dataclass(frozen=True, slots=True)
class PositionLimits:
    """Most lots of one contract that a member may be long or short, by stage (§5.2)."""

    ordinary: int = 20_000
    month_before: int = 10_000
    delivery_month: int = 5_000


@dataclass(frozen=True, slots=True)
class ClearingTerms:
    """The clearing house's parameters. `orders_per_second_max` and a position limit of 0 set no limit.

    `limit_share_bp` is the share of a contract's open interest that a position limit is at least, in basis points; `report_bp`
    §5.2's share of a limit at which positions are reported.
    """

    house: HouseAccounts
    ladder: Ladder = field(default_factory=Ladder)
    futures_fees: Fees = field(default_factory=Fees)
    spot_fees: Fees = field(default_factory=Fees)
    limits: PositionLimits = field(default_factory=PositionLimits)
    hedger_limits: PositionLimits = field(default_factory=lambda: PositionLimits(100_000, 50_000, 25_000))
    orders_per_second_max: int = 0
    report_bp: int = 8000
    limit_share_bp: int = 0


@dataclass(frozen=True, slots=True)
class Risk:
    """What a lot of a contract asks of an account and how many it may hold: what the exchange admits orders by (§5).

    `margin_lot_micro` and `fee_lot_micro` are micro-units a lot, the limits lots (0: none), `share_bp` the share of the open
    interest that a limit is at least, in basis points.
    """

    margin_lot_micro: int = 0
    fee_lot_micro: int = 0
    limit_lots: int = 0
    hedger_limit_lots: int = 0
    share_bp: int = 0


@dataclass(frozen=True, slots=True)
class Statement:
    """A member's day, in micro-units and receipts (§11.2). A final settlement closes a second statement on its day."""

    participant: int
    trading_day: int
    opening_micro: int
    transferred_micro: int
    variation_micro: int
    fees_micro: int
    bought_micro: int
    sold_micro: int
    receipts_bought: int
    receipts_sold: int
    lent_micro: int
    closing_micro: int
    requirement_micro: int
    excess_micro: int

    @property
    def explained_micro(self) -> int:
        """The closing balance that the statement's lines add up to."""
        moved = self.transferred_micro + self.variation_micro - self.fees_micro
        return self.opening_micro + moved - self.bought_micro + self.sold_micro + self.lent_micro


def statements(events: Iterable[Sequence[int]]) -> Iterator[Statement]:
    """The statements among `events` (rows in order), each from its three rows."""
    money: Sequence[int] = ()
    spot: Sequence[int] = ()
    for event in events:
        code = event[0] & CODE_MASK
        if code == ClearingEvent.STATEMENT_MONEY:
            money = event
        elif code == ClearingEvent.STATEMENT_SPOT:
            spot = event
        elif code == ClearingEvent.STATEMENT_CLOSING:
            participant, trading_day = int(event[2]), int(event[3])
            yield Statement(participant, trading_day, *map(int, (*money[4:8], *spot[4:8], *event[4:8])))


def member_row(
    time_ns: int,
    participant: int,
    cash: int,
    receipts: int,
    permissions: int,
    role: int = MemberRole.SPECULATOR,
) -> Row:
    """MEMBER: a participant with its trading cash account and its receipts account of the first spot grade (0: none)."""
    return row(kind_word(ClearingCommand.MEMBER), time_ns, (participant, cash, receipts, permissions, role))


def receipts_row(time_ns: int, participant: int, grade: int, account: int) -> Row:
    """RECEIPTS: a member's receipts account of a further grade (MEMBER names that of the first)."""
    return row(kind_word(ClearingCommand.RECEIPTS), time_ns, (participant, grade, account))


def settle_day_row(time_ns: int, trading_day: int) -> Row:
    """SETTLE_DAY: mark all futures to the day's settlement prices, collect, pay, collect fees, margin, statements."""
    return row(kind_word(ClearingCommand.SETTLE_DAY), time_ns, (trading_day,))


def final_row(time_ns: int, contract: int, mean_micro: int, trading_day: int, rule: int = 0) -> Row:
    """FINAL: settle a contract at its month's mean fixing, in micro-units per MTok; `rule` 85 if rule §8.5 determined it."""
    return row(kind_word(ClearingCommand.FINAL), time_ns, (contract, mean_micro, trading_day, rule))


def delist_row(time_ns: int, contract: int) -> Row:
    """DELIST a settled contract."""
    return row(kind_word(ClearingCommand.DELIST), time_ns, (contract,))


def collect_row(time_ns: int, participant: int) -> Row:
    """COLLECT what a member owes from the cash that is there now, and see whether its margin call is met."""
    return row(kind_word(ClearingCommand.COLLECT), time_ns, (participant,))
