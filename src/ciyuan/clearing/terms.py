"""The clearing house's terms: what it is built with. Rates are basis points, money micro-units, times nanoseconds."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class HouseAccounts:
    """Ledger account numbers of the clearing house. All but `receivables` should be opened NO_OVERDRAFT.

    `receivables` may be overdrawn: a winner is paid the same day (§7.2) even if a loser cannot pay, and what members
    owe, and what no layer has covered, stands there, in the open, as a negative balance. `default_fund` holds the
    members' contributions (§10.4). `spot_receipts` pairs a grade's number with the house's receipts account of that
    grade.
    """

    variation: int
    spot_money: int
    fees: int
    capital: int
    receivables: int
    default_fund: int
    spot_receipts: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True, slots=True)
class Ladder:
    """Margin rates in basis points by stage (§6.1); the last stage begins `last_days` business days before the last day.

    `open_interest_steps` are pairs (long lots, bp): from so much open interest on, the rate is at least that; in rising order.
    """

    listing_bp: int = 1200
    month_before_bp: int = 1500
    delivery_month_bp: int = 2000
    last_days_bp: int = 2500
    last_days: int = 2
    open_interest_steps: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True, slots=True)
class Fees:
    """Fees of one kind of contract (§7.3): per lot, and per turnover in millionths. A fill costs at least one
    micro-unit.

    `today_lot_micro` and `today_turnover_ppm` are those of a fill that closes lots of today in a gross account
    (`CLOSE_TODAY`), maker and taker alike; -1: as any other fill.
    """

    maker_lot_micro: int = 0
    taker_lot_micro: int = 0
    maker_turnover_ppm: int = 50
    taker_turnover_ppm: int = 100
    today_lot_micro: int = -1
    today_turnover_ppm: int = -1


@dataclass(frozen=True, slots=True)
class PositionLimits:
    """Most lots of one contract that a member may be long or short, by stage (§5.2)."""

    ordinary: int = 20_000
    month_before: int = 10_000
    delivery_month: int = 5_000


@dataclass(frozen=True, slots=True)
class SpreadCredit:
    """A row of the ladder's table of credits (§6.3): `rate_bp` of the margins of opposite lots in two months of a
    grade, or in the same month of two grades.
    """

    grade: int
    other_grade: int
    rate_bp: int


@dataclass(frozen=True, slots=True)
class ScenarioTerms:
    """Scenario margin (§6.2). `floor_bp` is the share of the ladder's margin that a requirement is at least,
    `stress_weight_bp` the weight of the stressed scenarios, `review_move_bp` the move of a price since the last
    review at which the next one is due at once (0: never). Without a MODEL in force the requirement is the ladder's.
    """

    floor_bp: int = 5000
    stress_weight_bp: int = 2500
    review_move_bp: int = 0


@dataclass(frozen=True, slots=True)
class DefaultTerms:
    """What is done with a member that is called and does not pay (§10.1, §10.2, §10.3).

    `call_ns` is the time that a call leaves. A position is closed in slices of `slice_bp` of its size at the default,
    at least one lot, each at least `slice_ns` after the one before, at most `slices_max` of them; a slice's limit is
    `slip_bp` from the last price, within the day's limits. What is left is auctioned for `auction_ns`.
    `assessment_bp` caps what a member may be assessed for one default, as a share of its contribution to the fund.
    """

    call_ns: int = 3_600_000_000_000
    slice_bp: int = 2500
    slice_ns: int = 60_000_000_000
    slices_max: int = 8
    slip_bp: int = 300
    auction_ns: int = 1_800_000_000_000
    assessment_bp: int = 10_000


@dataclass(frozen=True, slots=True)
class FundTerms:
    """The default fund (§10.4): each member that has a requirement holds at least `least_micro` in it; 0 and no
    model: no fund.

    The fund covers the two largest stressed losses over margin, shared by requirement; a share is moved when it
    differs from what is held by more than `slack_bp` of it.
    """

    least_micro: int = 0
    slack_bp: int = 500


@dataclass(frozen=True, slots=True)
class DeliveryTerms:
    """Delivery and collateral. `penalty_bp` of the value is paid to the counterparty by who fails (§9.3),
    `haircut_bp` is taken off the value of receipts that are pledged (§6.5).
    """

    penalty_bp: int = 500
    haircut_bp: int = 3000


@dataclass(frozen=True, slots=True)
class MakerTerms:
    """A market maker's obligation and its reward (§7.3): both sides quoted, at most `spread_bp` of their middle
    apart, `size_lots` or more at each best price, in at least `presence_bp` of the day's looks; then
    `rebate_lot_micro` a lot filled as a maker. 0: no rebate.
    """

    spread_bp: int = 200
    size_lots: int = 1
    presence_bp: int = 8000
    rebate_lot_micro: int = 0


@dataclass(frozen=True, slots=True)
class CancelTerms:
    """Fees of cancels (§5.3): of a day's cancels in one contract those over `free` cost `fee_micro` each; market
    makers pay none.
    """

    free: int = 0
    fee_micro: int = 0


@dataclass(frozen=True, slots=True)
class ClearingTerms:
    """The clearing house's parameters. `orders_per_second_max` and a position limit of 0 set no limit.

    `credits` is the ladder's table of credits. `limit_share_bp` is the share of a contract's open interest that a
    position limit is at least, in basis points; `report_bp` §5.2's share of a limit at which positions are reported.
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
    scenario: ScenarioTerms = field(default_factory=ScenarioTerms)
    default: DefaultTerms = field(default_factory=DefaultTerms)
    fund: FundTerms = field(default_factory=FundTerms)
    delivery: DeliveryTerms = field(default_factory=DeliveryTerms)
    maker: MakerTerms = field(default_factory=MakerTerms)
    cancels: CancelTerms = field(default_factory=CancelTerms)
    credits: tuple[SpreadCredit, ...] = ()


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
