"""What the clearing house hears and says: one row of eight int64 a message. Words 0 and 1 are the kind word and
time_ns.

It hears these commands, and the exchange's events (`ClearingHouse.on_event`):

| command | 2 | 3 | 4 | 5 | 6 |
|---|---|---|---|---|---|
| MEMBER (`MemberFlag`) | participant | cash account | receipts account of the first spot grade (0: none) | permissions | role |
| SETTLE_DAY | trading day | | | | |
| FINAL | contract | mean fixing, micro per MTok | trading day | rule: 0 or 85 | |
| DELIST | contract | | | | |
| RECEIPTS | participant | grade | receipts account | | |
| COLLECT | participant | | | | |
| REVIEW | | | | | |
| MARGIN_NOTICE | contract, 0 = all futures | least rate, bp; 0 = none | first day | last day | |
| MOVES | contract | number of the first scenario | moves 0, 1 (*) | moves 2, 3 | moves 4, 5 (word 7: 6, 7) |
| LIQUIDITY | contract | cost of a lot, micro | free lots | cost of a lot over them, micro | |
| MODEL | filtered scenarios | stressed scenarios | trading day | | |
| BID | participant | auction | price ticks | lots | |
| PLEDGE | participant | grade | receipts pledged, in all | | |
| TENDER | participant | contract | lots tendered, in all | | |
| DELIVER | contract | trading day | | | |
| RELEASE | grade | | | | |
| PRESENCE | participant | contract | 1 if its quotes meet the obligation, else 0 | | |

(*) each word has two moves of the price in ticks, signed 32-bit numbers, the first in the lower half.

| event | 2 | 3 | 4 | 5 | 6 | 7 |
|---|---|---|---|---|---|---|
| MEMBER_ADDED (`MemberFlag`) | participant | cash account | receipts account | permissions | role | |
| NOVATED | trade id | buyer | seller | contract | price ticks | lots |
| VARIATION | participant | contract | amount, signed | position | price ticks (FINAL flag: micro per MTok) | trading day |
| FEE | participant | amount | lots as maker | lots as taker | fills | trading day |
| MARGIN | participant | requirement | equity | excess, signed | owed to the house | trading day |
| MARGIN_CALL | participant | amount called | owed to the house | requirement | deadline, ns | trading day |
| STATEMENT_MONEY | participant | trading day | opening | deposits less withdrawals | variation | fees |
| STATEMENT_SPOT | participant | trading day | paid for receipts | got for receipts | receipts bought | receipts sold |
| STATEMENT_CLOSING | participant | trading day | lent less repaid | closing | requirement | excess, signed |
| FINAL_SETTLED | contract | micro per MTok | trading day | rule | open interest, lots | |
| REFUSED | as the command | | | | | `ClearingRefusal` |
| REPEATED | as the command | | | | | |
| CONTRACT_STATE | contract | life now | life before | trading day | | |
| LENT, REPAID | participant | amount | owed after it | | | trading day |
| CALL_MET | participant | excess | | | | trading day |
| LARGE_POSITION | participant | contract | lots, signed | limit | | trading day |
| RECEIPTS_NAMED | participant | grade | receipts account | | | |
| STATEMENT_FUND | participant | trading day | to the default fund | penalties paid, less got | ladder margin | scenario margin |
| MARGIN_NOTICED | as the command | | | | | |
| MODEL_TAKEN | filtered scenarios | stressed scenarios | trading day | | | |
| REVIEWED | members with other positions | members called | members in default | | | trading day |
| DEFAULTED | participant | short by | owed to the house | requirement | | trading day |
| SLICED | participant | contract | lots, sells negative | limit ticks | order id | slice: 1, 2 ... |
| AUCTION_OPENED | auction | participant | contract | lots, long positive | settlement ticks | bids until, ns |
| BID_TAKEN | participant | auction | price ticks | lots | | |
| AUCTION_CLOSED | auction | participant | contract | lots taken | lots left | bids |
| TRANSFERRED | buyer | seller | contract | price ticks | lots | auction, or 0 |
| LOSS_COVERED | participant in default | `Layer` | payer, 0 = the house | amount | left of the loss | trading day |
| CLOSED_OUT | participant | loss | not covered | | | trading day |
| FUND_SIZED | size | participant of the largest loss | its loss | of the second | its loss | trading day |
| FUND_MOVED | participant | paid in, negative = returned | held after it | share that is due | | trading day |
| ASSESSED | participant | amount | of the default of | assessed in all | most | trading day |
| PLEDGED | participant | grade | receipts pledged, in all | value after haircut | | trading day |
| TENDERED | participant | contract | lots tendered, in all | | | |
| DELIVERED | buyer | seller | contract | price ticks | lots | trading day |
| REBATED | participant | amount | looks that met | looks | lots as maker | trading day |
| BACKTESTED | contract | days | exceptions, long | exceptions, short | a lot has won since, micro | trading day |
| NOT_DELIVERED | who failed | counterparty | contract | lots | paid to the counterparty | trading day |

Amounts are micro-units of money unless a unit is named; days are venue days (`basics.calendar`). The reason bits of
an event's kind word, and of every ledger row that the clearing house writes, are a `Reason`. The rules are in
docs/spec/clearing.md.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum, IntFlag

from ciyuan.basics.rows import CODE_MASK, Row, kind_word, row
from ciyuan.clearing.terms import CancelTerms as CancelTerms  # noqa: PLC0414 - re-exported
from ciyuan.clearing.terms import ClearingTerms as ClearingTerms  # noqa: PLC0414 - re-exported
from ciyuan.clearing.terms import DefaultTerms as DefaultTerms  # noqa: PLC0414 - re-exported
from ciyuan.clearing.terms import DeliveryTerms as DeliveryTerms  # noqa: PLC0414 - re-exported
from ciyuan.clearing.terms import Fees as Fees  # noqa: PLC0414 - re-exported
from ciyuan.clearing.terms import FundTerms as FundTerms  # noqa: PLC0414 - re-exported
from ciyuan.clearing.terms import HouseAccounts as HouseAccounts  # noqa: PLC0414 - re-exported
from ciyuan.clearing.terms import Ladder as Ladder  # noqa: PLC0414 - re-exported
from ciyuan.clearing.terms import MakerTerms as MakerTerms  # noqa: PLC0414 - re-exported
from ciyuan.clearing.terms import PositionLimits as PositionLimits  # noqa: PLC0414 - re-exported
from ciyuan.clearing.terms import Risk as Risk  # noqa: PLC0414 - re-exported
from ciyuan.clearing.terms import ScenarioTerms as ScenarioTerms  # noqa: PLC0414 - re-exported
from ciyuan.clearing.terms import SpreadCredit as SpreadCredit  # noqa: PLC0414 - re-exported
from ciyuan.exchange.messages import Permission as Permission  # noqa: PLC0414 - re-exported: MEMBER has it

PARTICIPANT = 2
"""Word of the participant in MEMBER, VARIATION, FEE, MARGIN, MARGIN_CALL, LENT, REPAID, CALL_MET and the statements."""
CONTRACT = 2
"""Word of the contract in FINAL, DELIST, FINAL_SETTLED and CONTRACT_STATE."""
REFUSAL = 7
LEDGER_KEY_BASE = 2**62
"""The clearing house's ledger keys are this plus 1, 2, 3 ...: above every meter key (under 2**62) and `content_key`."""
MOVES_IN_A_ROW = 8
MOVE_MASK, MOVE_SIGN = 2**32 - 1, 2**31
SCENARIOS_MAX = 4096
"""Scenarios of one model, filtered and stressed together."""
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
    REVIEW = 407
    MARGIN_NOTICE = 408
    MOVES = 409
    LIQUIDITY = 410
    MODEL = 411
    BID = 412
    PLEDGE = 413
    TENDER = 414
    DELIVER = 415
    PRESENCE = 416
    RELEASE = 417


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
    STATEMENT_FUND = 469
    MARGIN_NOTICED = 470
    MODEL_TAKEN = 471
    REVIEWED = 472
    DEFAULTED = 473
    SLICED = 474
    AUCTION_OPENED = 475
    BID_TAKEN = 476
    AUCTION_CLOSED = 477
    TRANSFERRED = 478
    LOSS_COVERED = 479
    CLOSED_OUT = 480
    FUND_SIZED = 481
    FUND_MOVED = 482
    ASSESSED = 483
    PLEDGED = 484
    TENDERED = 485
    DELIVERED = 486
    NOT_DELIVERED = 487
    REBATED = 488
    BACKTESTED = 489


SELF_TRADE_SHIFT = 2
"""Where the `SelfTrade` is in a member's settings."""


class ClearingFlag(IntFlag):
    """Flags of events. FINAL on a VARIATION: the last one of its contract, at the month's mean fixing or at delivery.

    HEDGE on a VARIATION, SLICED or AUCTION_OPENED: of the hedging position of a gross account, not the speculative one. TODAY on
    a SLICED: it closes lots of today. On a TRANSFERRED HEDGE is the buyer's hedging position, SELLER_HEDGE the seller's.
    """

    FINAL = 1
    HEDGE = 2
    TODAY = 4
    SELLER_HEDGE = 8


class MemberFlag(IntFlag):
    """Settings of a member. GROSS: long and short, hedging and speculation are held apart (§3.4).

    The others are the exchange's affair, and only passed on: CANCEL_ON_DISCONNECT (§3.7), and in the two bits of SELF_TRADE a
    `SelfTrade` (§3.3).
    """

    GROSS = 1
    CANCEL_ON_DISCONNECT = 2
    SELF_TRADE = 12


class MemberRole(IntEnum):
    """What a member trades for: a hedger has its own position limits (§5.2)."""

    HEDGER = 1
    SPECULATOR = 2
    MAKER = 3


class Standing(IntEnum):
    """How a member stands with the house (§10.1); a member in default stays so."""

    GOOD = 0
    CALLED = 1
    """Short of margin, and called with a deadline."""
    DEFAULTED = 2
    """Past the deadline: its positions are being closed."""
    CLOSED_OUT = 3
    """Its positions are closed and its loss is shared."""


class Layer(IntEnum):
    """Who pays a defaulter's loss, in this order (§10.3)."""

    MARGIN = 1
    """The defaulter's own cash and collateral."""
    OWN_FUND = 2
    """The defaulter's share of the default fund."""
    CAPITAL = 3
    """The clearing house's own capital."""
    OTHERS_FUND = 4
    """The other members' shares of the default fund."""
    ASSESSMENT = 5
    """What the other members are assessed, up to a cap."""


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
    PARTICIPANT_OUT_OF_RANGE = 24
    SETTING_UNKNOWN = 25
    MEMBER_HAS_OTHER_SETTINGS = 26
    RATE_OUT_OF_RANGE = 27
    DAYS_OUT_OF_ORDER = 28
    SCENARIO_OUT_OF_RANGE = 29
    COST_OUT_OF_RANGE = 30
    MODEL_INCOMPLETE = 31
    UNKNOWN_AUCTION = 32
    AUCTION_ENDED = 33
    NOT_PERMITTED = 34
    IN_DEFAULT = 35
    LOTS_OUT_OF_RANGE = 36
    NOT_COVERED = 37
    NOT_PHYSICAL = 38
    NOT_SHORT = 39
    NOT_DELIVERING = 40


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
    SCENARIOS = 419
    """§6.2: the scenarios that margin stands on, and what they ask."""
    MARGIN_NOTICE = 420
    """§6.1: margin raised by notice."""
    REVIEW = 421
    """§6.4: margin in the course of the day."""
    DEFAULT = 422
    """§10.1: a member past its deadline is in default; its positions are closed in the market."""
    AUCTION = 423
    """§10.2: what the market did not take is auctioned to members."""
    TEAR_UP = 424
    """§10.2: what was not bid for is torn up pro rata at the settlement price."""
    WATERFALL = 425
    """§10.3: a loss falls on its layers."""
    DEFAULT_FUND = 426
    """§10.4: contributions to the default fund."""
    COLLATERAL = 427
    """§6.5: receipts posted as collateral."""
    DELIVERY = 428
    """§9.2: receipts tendered, assigned and delivered against payment."""
    PENALTY = 429
    """§9.3: who fails to deliver or to take pays for it."""
    REBATE = 430
    """§7.3: a market maker that met its obligation gets back a part of its fees."""

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
    Reason.SCENARIOS: "§6.2",
    Reason.MARGIN_NOTICE: "§6.1",
    Reason.REVIEW: "§6.4",
    Reason.DEFAULT: "§10.1",
    Reason.AUCTION: "§10.2",
    Reason.TEAR_UP: "§10.2",
    Reason.WATERFALL: "§10.3",
    Reason.DEFAULT_FUND: "§10.4",
    Reason.COLLATERAL: "§6.5",
    Reason.DELIVERY: "§9.2",
    Reason.PENALTY: "§9.3",
    Reason.REBATE: "§7.3",
}
"""The clause behind each reason."""


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
    fund_micro: int
    penalties_micro: int
    ladder_micro: int
    scenario_micro: int

    @property
    def explained_micro(self) -> int:
        """The closing balance that the statement's lines add up to."""
        moved = self.transferred_micro + self.variation_micro - self.fees_micro
        traded = self.sold_micro - self.bought_micro
        return self.opening_micro + moved + traded + self.lent_micro - self.fund_micro - self.penalties_micro


def statements(events: Iterable[Sequence[int]]) -> Iterator[Statement]:
    """The statements among `events` (rows in order), each from its four rows."""
    words: list[int] = []
    for event in events:
        code = event[0] & CODE_MASK
        if code == ClearingEvent.STATEMENT_MONEY:
            words = [int(word) for word in event[2:8]]
        elif code in (ClearingEvent.STATEMENT_SPOT, ClearingEvent.STATEMENT_CLOSING):
            words += map(int, event[4:8])
        elif code == ClearingEvent.STATEMENT_FUND:
            yield Statement(*words, *map(int, event[4:8]))


def member_row(
    time_ns: int,
    participant: int,
    cash: int,
    receipts: int,
    permissions: int,
    role: int = MemberRole.SPECULATOR,
    flags: int = 0,
) -> Row:
    """MEMBER: a participant with its trading cash account and its receipts account of the first spot grade (0: none)."""
    words = (participant, cash, receipts, permissions, role)
    return row(kind_word(ClearingCommand.MEMBER, flags), time_ns, words)


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


def review_row(time_ns: int) -> Row:
    """REVIEW: margin of whatever has changed, calls, deadlines, and the next steps of every default (§6.4, §10)."""
    return row(kind_word(ClearingCommand.REVIEW), time_ns, ())


def margin_notice_row(time_ns: int, contract: int, rate_bp: int, first_day: int, last_day: int) -> Row:
    """MARGIN_NOTICE: the least margin rate of a contract (0: of all futures) from one day to another, both included (§6.1)."""
    return row(kind_word(ClearingCommand.MARGIN_NOTICE), time_ns, (contract, rate_bp, first_day, last_day))


def moves_rows(time_ns: int, contract: int, moves_ticks: Sequence[int]) -> list[Row]:
    """MOVES rows that say a contract's moves in every scenario, in ticks, the filtered ones first (§6.2)."""
    rows = []
    for first in range(0, len(moves_ticks), MOVES_IN_A_ROW):
        moves = [*moves_ticks[first : first + MOVES_IN_A_ROW], *(0,) * MOVES_IN_A_ROW][:MOVES_IN_A_ROW]
        words = [(high << 32) + (low & MOVE_MASK) for low, high in zip(moves[::2], moves[1::2], strict=True)]
        rows.append(row(kind_word(ClearingCommand.MOVES), time_ns, (contract, first, *words)))
    return rows


def moves_of(words: Sequence[int]) -> list[int]:
    """The eight moves, in ticks, of the last four words of a MOVES row."""
    return [move for word in words for move in (((word & MOVE_MASK) ^ MOVE_SIGN) - MOVE_SIGN, word >> 32)]


def liquidity_row(time_ns: int, contract: int, lot_micro: int, free_lots: int, over_micro: int) -> Row:
    """LIQUIDITY: what closing a lot costs, and how much more each lot over a number of them (§6.2)."""
    return row(kind_word(ClearingCommand.LIQUIDITY), time_ns, (contract, lot_micro, free_lots, over_micro))


def model_row(time_ns: int, filtered: int, stressed: int, trading_day: int) -> Row:
    """MODEL: from now on margin stands on the MOVES and LIQUIDITY that were said last; none, none: on the ladder alone."""
    return row(kind_word(ClearingCommand.MODEL), time_ns, (filtered, stressed, trading_day))


def bid_row(time_ns: int, participant: int, auction: int, price_ticks: int, lots: int) -> Row:
    """BID in a default auction, in the place of the member's bid before; 0 lots: none (§10.2)."""
    return row(kind_word(ClearingCommand.BID), time_ns, (participant, auction, price_ticks, lots))


def pledge_row(time_ns: int, participant: int, grade: int, receipts: int) -> Row:
    """PLEDGE: so many receipts of a grade in all are a member's collateral; fewer than before gives some back (§6.5)."""
    return row(kind_word(ClearingCommand.PLEDGE), time_ns, (participant, grade, receipts))


def tender_row(time_ns: int, participant: int, contract: int, lots: int) -> Row:
    """TENDER: a short has receipts for so many lots in all of a physical contract (§9.2)."""
    return row(kind_word(ClearingCommand.TENDER), time_ns, (participant, contract, lots))


def deliver_row(time_ns: int, contract: int, trading_day: int) -> Row:
    """DELIVER: a physical contract's longs are assigned, and its receipts delivered against payment (§9.2)."""
    return row(kind_word(ClearingCommand.DELIVER), time_ns, (contract, trading_day))


def presence_row(time_ns: int, participant: int, contract: int, *, met: bool) -> Row:
    """PRESENCE: a look at a market maker's quotes in a contract (§7.3)."""
    return row(kind_word(ClearingCommand.PRESENCE), time_ns, (participant, contract, int(met)))


def release_row(time_ns: int, grade: int) -> Row:
    """RELEASE every pledge and tender of a grade: its receipts lapse (§9.1)."""
    return row(kind_word(ClearingCommand.RELEASE), time_ns, (grade,))
