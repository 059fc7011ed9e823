"""The flow of the exchange's benchmark: which orders come, made from a seed, the same on every machine.

Adds below and above the market, cancels of a uniformly random live order, reprices, and orders that trade at once. Which orders
are live is known because the flow is matched as it is made, in a plain way; those trades are what every engine must come to.

A bare row is (kind, order, tick, lots), int32, orders numbered 1, 2, 3 ...: BUY and SELL carry a tick and lots, CANCEL names an
order, AMEND gives one another tick, where it keeps what it has left but not its place. `Flow.rows` has the exchange's own rows.
"""

from dataclasses import dataclass
from functools import cache
from typing import NamedTuple, TypeAlias

import numpy as np
from numba import njit
from numpy.typing import NDArray

from ciyuan.basics.rows import kind_word
from ciyuan.exchange.messages import ExchangeCommand

Words: TypeAlias = NDArray[np.int64]
Bare: TypeAlias = NDArray[np.int32]

SEED = 20261121
MESSAGES = 1_000_000
TICKS = 4_096
ACCOUNTS = 200
BUY, SELL, CANCEL, AMEND = range(4)
KIND, ORDER, TICK, LOTS = range(4)
PREFILL = 1.25
"""Passive adds before the flow, as a part of the orders that are to be live."""
ADD_PART, CANCEL_PART, AMEND_PART, SWEEP_PART = 0.47, 0.38, 0.10, 0.03
"""Parts of the messages; the rest of them trades at once, and of that SWEEP_PART takes the book's top off."""
SWEEPS_FROM = 1 - SWEEP_PART * (1 - ADD_PART - CANCEL_PART - AMEND_PART)
PULL = 0.2
"""How far the parts of adds and cancels give way, for each part by which the live orders are off their number."""
DEPTH_SHAPE, DEPTH_TICKS = 2.0, 32.0
"""Gamma distribution of how far from the middle passive orders stand."""
DEPTH_MAX = 1_200
LOTS_MAX, TAKEN_LOTS_MAX, SWEPT_LOTS_MAX = 10, 16, 320
REACH, SWEEP_REACH = 5, 60
"""Ticks beyond the best price that an order which trades at once, or one that sweeps, will pay."""
DRIFT_PART = 0.001
"""Of the messages, those after which a contract's middle moves a tick."""
MIDDLE, MIDDLE_RANGE = TICKS // 2, 500
STEP_NS = 1_000


class Dice(NamedTuple):
    """What chance says, for each message: all drawn before the first is made."""

    kind: NDArray[np.float64]
    pick: NDArray[np.float64]
    side: Words
    book: Words
    depth: Words
    lots: Words
    taken: Words
    sweep: Words
    drift: Words


class Market(NamedTuple):
    """The books while the flow is made. A level is (book x 2 + side) x TICKS + tick; order 0 is none."""

    heads: Words
    tails: Words
    after: Words
    before: Words
    level: Words
    left: Words
    best: Words
    middle: Words
    live: Words
    seat: Words
    counts: Words
    account: Words
    is_hit: Words
    trades: Words


LIVE, ORDERS, TRADES = range(3)
"""Places in `Market.counts`."""


@dataclass(frozen=True, slots=True)
class Flow:
    """`bare` rows, the first `prefill` of them before the clock starts; `contract`, `account`, `order_id`, `lots` of each order.

    `trades` are (maker, taker, tick, lots); `live` orders, and `occupied` ticks that have any, are those at the end.
    """

    bare: Bare
    prefill: int
    contracts: int
    contract: Words
    account: Words
    order_id: Words
    lots: Words
    trades: Words
    live: int
    occupied: int

    @property
    def volume(self) -> int:
        """Lots traded."""
        return int(self.trades[:, LOTS].sum())

    def mix(self) -> str:
        """What the flow is, in words and figures."""
        count = len(self.bare) - self.prefill
        kinds = np.bincount(self.bare[self.prefill :, KIND], minlength=4) / count
        takers = len(np.unique(self.trades[:, 1])) / count
        return (
            f"{count:,} messages after {self.prefill:,} adds: {kinds[BUY] + kinds[SELL] - takers:.1%} passive add, "
            f"{kinds[CANCEL]:.1%} cancel, {kinds[AMEND]:.1%} reprice, {takers:.1%} marketable; {len(self.trades):,} trades, "
            f"{self.live:,} live orders on {self.occupied:,} ticks at the end, seed {SEED}"
        )

    def rows(self, base_tick: int, start_ns: int) -> Words:
        """The flow as (n, 8) rows of the exchange: tick 0 is the price `base_tick`, and a message comes every microsecond."""
        kind, order = self.bare[:, KIND], self.bare[:, ORDER]
        words = np.array(
            [
                kind_word(ExchangeCommand.ORDER),
                kind_word(ExchangeCommand.ORDER, SELL),
                kind_word(ExchangeCommand.CANCEL),
                kind_word(ExchangeCommand.AMEND),
            ]
        )
        adds, amends = kind <= SELL, kind == AMEND
        made = np.zeros((len(self.bare), 8), dtype=np.int64)
        made[:, 0] = words[kind]
        made[:, 1] = start_ns + STEP_NS * np.arange(len(made))
        made[:, 2], made[:, 3] = self.account[order], self.order_id[order]
        made[:, 4] = np.where(adds, self.contract[order], 0)
        made[:, 5] = np.where(adds | amends, self.bare[:, TICK] + base_tick, 0)
        made[:, 6] = np.where(adds | amends, self.lots[order], 0)
        return made


@cache
def made_flow(live: int = 4_000, contracts: int = 1, messages: int = MESSAGES) -> Flow:
    """A flow over `contracts` that keeps about `live` orders in all, the same whenever it is asked for."""
    prefill = int(live * PREFILL)
    dice, market = _dice(prefill + messages, contracts), _market(prefill + messages, contracts)
    bare = np.zeros((prefill + messages, 4), dtype=np.int32)
    _make(dice, market, bare, prefill, live)
    orders = int(market.counts[ORDERS])
    adds = bare[bare[:, KIND] <= SELL]
    lots = np.concatenate([[0], adds[:, LOTS]]).astype(np.int64)
    account = market.account[: orders + 1].copy()
    contract = market.level[: orders + 1] // (2 * TICKS) + 1
    return Flow(
        bare,
        prefill,
        contracts,
        contract,
        account,
        _counted(account),
        lots,
        market.trades[: market.counts[TRADES]].copy(),
        int(market.counts[LIVE]),
        int(np.count_nonzero(market.heads)),
    )


def _dice(count: int, contracts: int) -> Dice:
    """Everything that chance decides, from the seed."""
    dice = np.random.default_rng(SEED)
    return Dice(
        kind=dice.random(count),
        pick=dice.random(count),
        side=dice.integers(0, 2, count),
        book=dice.integers(0, contracts, count),
        depth=np.minimum(dice.gamma(DEPTH_SHAPE, DEPTH_TICKS, count), DEPTH_MAX).astype(np.int64),
        lots=dice.integers(1, LOTS_MAX + 1, count),
        taken=dice.integers(1, TAKEN_LOTS_MAX + 1, count),
        sweep=dice.integers(TAKEN_LOTS_MAX, SWEPT_LOTS_MAX + 1, count),
        drift=np.where(dice.random(count) < DRIFT_PART, dice.choice(np.array([-1, 1]), count), 0),
    )


def _market(count: int, contracts: int) -> Market:
    """Empty books."""
    orders = np.zeros((9, count + 1), dtype=np.int64)
    best = np.empty(contracts * 2, dtype=np.int64)
    best[0::2], best[1::2] = -1, TICKS
    return Market(
        heads=np.zeros(contracts * 2 * TICKS, dtype=np.int64),
        tails=np.zeros(contracts * 2 * TICKS, dtype=np.int64),
        after=orders[0],
        before=orders[1],
        level=orders[2],
        left=orders[3],
        best=best,
        middle=np.full(contracts, MIDDLE, dtype=np.int64),
        live=orders[4],
        seat=orders[5],
        counts=np.zeros(3, dtype=np.int64),
        account=orders[6],
        is_hit=np.zeros(ACCOUNTS + 1, dtype=np.int64),
        trades=np.zeros((count, 4), dtype=np.int64),
    )


def _counted(account: Words) -> Words:
    """Order ids: 1, 2, 3 ... in each account."""
    order = np.argsort(account, kind="stable")
    first = np.searchsorted(account[order], account[order])
    ids = np.empty(len(account), dtype=np.int64)
    ids[order] = np.arange(len(account)) - first + 1
    return ids


# --- the loop ---


@njit(cache=True)
def _make(dice: Dice, market: Market, bare: Bare, prefill: int, wanted: int) -> None:
    """Make every row, and match it."""
    counts = market.counts
    for at in range(len(bare)):
        book = dice.book[at]
        middle = market.middle[book] + dice.drift[at]
        market.middle[book] = min(max(middle, MIDDLE - MIDDLE_RANGE), MIDDLE + MIDDLE_RANGE)
        give = PULL * (wanted - counts[LIVE]) / wanted
        chance = dice.kind[at]
        some = int(dice.pick[at] * counts[LIVE])
        if at < prefill or chance < ADD_PART + give or counts[LIVE] == 0:
            _add(dice, market, bare[at], at)
        elif chance < ADD_PART + CANCEL_PART:
            bare[at, KIND], bare[at, ORDER] = CANCEL, market.live[some]
            _unseat(market, market.live[some], True)
        elif chance < ADD_PART + CANCEL_PART + AMEND_PART:
            _reprice(dice, market, bare[at], at, market.live[some])
        else:
            _trade_at_once(dice, market, bare[at], at, chance > SWEEPS_FROM)


@njit(cache=True)
def _passive_tick(market: Market, book: int, side: int, depth: int) -> int:
    """A tick at which an order rests: so far from the middle, and not across the best price of the other side."""
    if side == BUY:
        tick: int = max(min(market.middle[book] - 1 - depth, market.best[book * 2 + 1] - 1), 0)
    else:
        tick = min(max(market.middle[book] + 1 + depth, market.best[book * 2] + 1), TICKS - 1)
    return tick


@njit(cache=True)
def _new_order(market: Market, row: Bare, book: int, side: int, tick: int, lots: int, account: int) -> int:
    """Number an order, and write its row."""
    market.counts[ORDERS] += 1
    order: int = market.counts[ORDERS]
    market.account[order], market.left[order] = account, lots
    market.level[order] = (book * 2 + side) * TICKS + tick
    row[KIND], row[ORDER], row[TICK], row[LOTS] = side, order, tick, lots
    return order


@njit(cache=True)
def _add(dice: Dice, market: Market, row: Bare, at: int) -> None:
    """A passive order."""
    book, side = dice.book[at], dice.side[at]
    tick = _passive_tick(market, book, side, dice.depth[at])
    account = 1 + int(dice.pick[at] * ACCOUNTS)
    _seat(market, _new_order(market, row, book, side, tick, dice.lots[at], account), True)


@njit(cache=True)
def _reprice(dice: Dice, market: Market, row: Bare, at: int, order: int) -> None:
    """Another tick for a live order; never the one that it has."""
    level = market.level[order]
    book, side = level // TICKS // 2, level // TICKS % 2
    tick = _passive_tick(market, book, side, dice.depth[at])
    if tick == level % TICKS:
        tick += 1 if side == SELL or tick == 0 else -1
    _unseat(market, order, False)
    market.level[order] = level - level % TICKS + tick
    _seat(market, order, False)
    row[KIND], row[ORDER], row[TICK] = AMEND, order, tick


@njit(cache=True)
def _trade_at_once(dice: Dice, market: Market, row: Bare, at: int, sweeps: bool) -> None:
    """An order beyond the best price, of an account that has none of the orders it meets; what is left of it rests."""
    book, side = dice.book[at], dice.side[at]
    other = book * 2 + 1 - side
    best = market.best[other]
    if best < 0 or best >= TICKS:
        _add(dice, market, row, at)
        return
    reach = SWEEP_REACH if sweeps else REACH
    tick = min(best + reach, TICKS - 1) if side == BUY else max(best - reach, 0)
    lots = dice.sweep[at] if sweeps else dice.taken[at]
    account, lots = _stranger(market, other, side, tick, lots, 1 + int(dice.pick[at] * ACCOUNTS))
    order = _new_order(market, row, book, side, tick, lots, account)
    while market.left[order] > 0 and _crosses(side, tick, market.best[other]):
        maker = market.heads[other * TICKS + market.best[other]]
        traded = min(market.left[maker], market.left[order])
        trade = market.trades[market.counts[TRADES]]
        trade[0], trade[1], trade[2], trade[3] = maker, order, market.best[other], traded
        market.counts[TRADES] += 1
        market.left[order] -= traded
        market.left[maker] -= traded
        if market.left[maker] == 0:
            _unseat(market, maker, True)
    if market.left[order] > 0:
        _seat(market, order, True)


@njit(cache=True)
def _crosses(side: int, tick: int, best: int) -> bool:
    """Whether an order trades at the other side's best tick; there is none at -1 and TICKS."""
    return 0 <= best < TICKS and (best <= tick if side == BUY else best >= tick)


@njit(cache=True)
def _stranger(market: Market, other: int, side: int, tick: int, lots: int, account: int) -> tuple[int, int]:
    """An account with none of the orders that so many lots would meet, from `account` up; fewer lots where all have some."""
    market.is_hit[:] = 0
    at, accounts, met = market.best[other], 0, 0
    while met < lots and _crosses(side, tick, at):
        order = market.heads[other * TICKS + at]
        while order != 0 and met < lots:
            if market.is_hit[market.account[order]] == 0:
                if accounts == ACCOUNTS - 1:
                    lots = met
                    break
                market.is_hit[market.account[order]] = 1
                accounts += 1
            met += market.left[order]
            order = market.after[order]
        at += 1 if side == BUY else -1
    while market.is_hit[account] != 0:
        account = account % ACCOUNTS + 1
    return account, lots


@njit(cache=True)
def _seat(market: Market, order: int, is_new: bool) -> None:
    """Put an order last at its level; a new one among the live ones."""
    level = market.level[order]
    ladder, tick = level // TICKS, level % TICKS
    market.before[order], market.after[order] = market.tails[level], 0
    if market.tails[level] == 0:
        market.heads[level] = order
    else:
        market.after[market.tails[level]] = order
    market.tails[level] = order
    if ladder % 2 == BUY:
        market.best[ladder] = max(market.best[ladder], tick)
    else:
        market.best[ladder] = min(market.best[ladder], tick)
    if is_new:
        market.live[market.counts[LIVE]], market.seat[order] = order, market.counts[LIVE]
        market.counts[LIVE] += 1


@njit(cache=True)
def _unseat(market: Market, order: int, is_over: bool) -> None:
    """Take an order out of its level; one that is over out of the live ones too."""
    level = market.level[order]
    after, before = market.after[order], market.before[order]
    if before == 0:
        market.heads[level] = after
    else:
        market.after[before] = after
    if after == 0:
        market.tails[level] = before
    else:
        market.before[after] = before
    ladder, step = level // TICKS, -1 if level // TICKS % 2 == BUY else 1
    while 0 <= market.best[ladder] < TICKS and market.heads[ladder * TICKS + market.best[ladder]] == 0:
        market.best[ladder] += step
    if is_over:
        market.counts[LIVE] -= 1
        last = market.live[market.counts[LIVE]]
        market.live[market.seat[order]], market.seat[last] = last, market.seat[order]


@njit(cache=True)
def digest(trades: Words) -> np.uint64:
    """One number of maker, taker and lots of all trades, in their order: `digest x 2654435761 + word`, modulo 2^64."""
    found = np.uint64(0)
    for at in range(len(trades)):
        for column in (0, 1, 3):
            found = found * np.uint64(2654435761) + np.uint64(trades[at, column])
    return found
