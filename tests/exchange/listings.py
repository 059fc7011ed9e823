"""The contracts and accounts of the exchange's tests: few, and of every kind."""

from dataclasses import dataclass, replace

from ciyuan.basics.rows import Row
from ciyuan.basics.time import NS_PER_DAY
from ciyuan.exchange import (
    AccountFlag,
    Contract,
    ContractKind,
    Permission,
    SelfTrade,
    account_row,
    credit_row,
    quota_row,
    risk_row,
)
from ciyuan.exchange.room import Room

FIRST_DAY = 20_000
START_NS = FIRST_DAY * NS_PER_DAY
ROOM = Room(accounts=12, orders=4_096, ladder_ticks=256)
LONG = 400
"""Days for which most contracts are listed."""
STRANGER, OUT_OF_ROOM = 12, 13
TRADERS = range(1, 12)
GROSS = frozenset({2, 4, 10})
RICH = 7
"""Unchecked, without limits, and its own orders give way: it sweeps a side of a book when a lock is wanted."""


def contract(number: int, kind: ContractKind = ContractKind.PHYSICAL_FUTURE, **given: int) -> Contract:
    """A future of tick 1, start 100, limit 10%, and what is given otherwise."""
    listing = {
        "grade": 1, "tick_micro": 1_000, "lot_mtok": 10, "first_day": FIRST_DAY, "last_day": FIRST_DAY + LONG,
        "month": 0 if kind == ContractKind.SPOT else 202610 + number % 3, "limit_rate_bp": 1_000, "initial_price_ticks": 100,
        "max_lots_per_order": 12,
    } | given  # fmt: skip
    return Contract(number=number, code=f"C{number}", kind=kind, **listing)


def _spread(number: int, near: int, far: int, last_day: int) -> Contract:
    return contract(number, ContractKind.SPREAD, near=near, far=far, last_day=FIRST_DAY + last_day)


USUAL = (
    contract(1, ContractKind.SPOT, initial_price_ticks=50),
    contract(2, month=202611, limit_rate_bp=400, last_day=FIRST_DAY + 14),
    contract(3, month=202612, limit_rate_bp=500, initial_price_ticks=102, breaker_bp=200,
             breaker_minutes=2),
    contract(4, month=202701, limit_rate_bp=300, initial_price_ticks=101),
    _spread(5, 2, 3, 14),
    _spread(6, 3, 4, LONG),
    contract(7, ContractKind.HOUR_FUTURE, month=202611, grade=2, initial_price_ticks=20, first_day=FIRST_DAY + 2,
             max_lots_per_order=30),
    _spread(8, 2, 4, 14),
)  # fmt: skip
STEEP = (
    _spread(3, 20, 5, LONG),
    contract(5, ContractKind.CASH_FUTURE, month=202703, limit_rate_bp=200, initial_price_ticks=30, breaker_bp=350,
             breaker_minutes=16),
    contract(7, ContractKind.SPOT, initial_price_ticks=9, limit_rate_bp=2_500, breaker_bp=1_500, breaker_minutes=1),
    contract(9, ContractKind.CASH_FUTURE, month=202701, limit_rate_bp=300, initial_price_ticks=200, last_day=FIRST_DAY + 9),
    contract(20, ContractKind.CASH_FUTURE, month=202702, limit_rate_bp=400, initial_price_ticks=33),
    _spread(21, 9, 20, 9),
)  # fmt: skip
LARGE = 1 << 20
"""Lots in a lot of a flow of large numbers: its exposures, charges and reserves come to the ends of what they may be."""
VAST = tuple(
    replace(listed, tick_micro=1 << 20, lot_mtok=16, max_lots_per_order=12 * LARGE) for listed in USUAL
)


@dataclass(frozen=True, slots=True)
class Setting:
    """What a flow is played on, and in which numbers: `stride` lies between order ids, `lots` are in a lot of the flow, and
    `margin` times as much is asked for each."""

    contracts: tuple[Contract, ...] = USUAL
    room: Room = ROOM
    everyone: bool = False
    stride: int = 1
    lots: int = 1
    margin: int = 1


SETTINGS = (
    Setting(),
    Setting(STEEP),
    Setting(stride=ROOM.orders),
    Setting(room=Room(accounts=12, orders=60, ladder_ticks=24)),
    Setting(everyone=True),
    Setting(VAST, lots=LARGE, margin=1 << 16),
    Setting(STEEP, stride=1 << 40, everyone=True),
    Setting(),
)
"""What flows are played on, by seed: two listings, order ids that meet in the index, want of room, an exchange that stands alone,
and large numbers."""


def setting_of(seed: int) -> Setting:
    """What the flow of a seed is played on."""
    return SETTINGS[seed % len(SETTINGS)]


def opening_rows(setting: Setting) -> list[Row]:
    """What the clearing house says first: accounts of all settings, what backs them, and the risk of each contract."""
    if setting.everyone:
        return []
    contracts, large = setting.contracts, setting.lots * setting.margin
    settings = AccountFlag
    rows = [
        account_row(START_NS, 1),
        account_row(START_NS, 2, flags=settings.GROSS | settings.CANCEL_ON_DISCONNECT, self_trade=SelfTrade.CANCEL_OLDEST),
        account_row(START_NS, 3, flags=settings.HEDGER, self_trade=SelfTrade.CANCEL_BOTH),
        account_row(START_NS, 4, flags=settings.GROSS | settings.HEDGER, self_trade=SelfTrade.DECREMENT),
        account_row(START_NS, 5, self_trade=SelfTrade.DECREMENT, orders_per_second_max=3),
        account_row(START_NS, 6, flags=settings.CANCEL_ON_DISCONNECT),
        account_row(START_NS, RICH, flags=settings.UNCHECKED, self_trade=SelfTrade.CANCEL_OLDEST),
        account_row(START_NS, 8, permissions=Permission.FUTURES, self_trade=SelfTrade.CANCEL_OLDEST),
        account_row(START_NS, 9, flags=settings.UNCHECKED, self_trade=SelfTrade.DECREMENT, permissions=Permission.SPOT),
        account_row(START_NS, 10, flags=settings.GROSS | settings.UNCHECKED, self_trade=SelfTrade.CANCEL_BOTH),
        account_row(START_NS, 11, flags=settings.UNCHECKED),
    ]  # fmt: skip
    rows += [
        credit_row(START_NS, account, large * (200_000 if account == 6 else 40_000_000))
        for account in (1, 2, 3, 4, 5, 6, 8)
    ]
    for listed in contracts:
        if listed.kind == ContractKind.SPOT:
            rows += [
                credit_row(START_NS, account, 6 * account * setting.lots, listed.number)
                for account in (1, 2, 3, 4, 5)
            ]
        if not listed.is_spread:
            rows.append(risk_row(START_NS, listed.number, margin_lot_micro=10_000 * setting.margin,
                                 fee_lot_micro=10 * setting.margin, limit_lots=25 * setting.lots,
                                 hedger_limit_lots=31 * setting.lots, share_bp=2_000))  # fmt: skip
    rows += [
        quota_row(START_NS, RICH, listed.number, 2**25)
        for listed in contracts
        if listed.month and not listed.is_spread
    ]
    return rows
