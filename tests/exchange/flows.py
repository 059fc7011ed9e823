"""Command flows for the exchange's tests: few accounts, prices and lots, so that everything that can meet does.

A move is up to `MOVE_BYTES` bytes, which a `Player` makes a command of. What is likely depends on where the market stands, as a
snapshot says. Bytes that a move does not have are 0, and 0 is the plainest choice, so that shrunk flows read well.
"""

from collections.abc import Iterator, Sequence
from enum import Enum
from typing import TypeVar

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

from ciyuan.basics.rows import CODE_MASK, FLAG_SHIFT, REASON_SHIFT, Row, kind_word
from ciyuan.basics.rows import row as row_of
from ciyuan.basics.time import NS_PER_DAY, NS_PER_MINUTE, NS_PER_MS, NS_PER_SECOND
from ciyuan.exchange import (
    AccountFlag,
    Effect,
    ExchangeCommand,
    OrderFlag,
    SessionState,
    amend_row,
    cancel_row,
    close_day_row,
    credit_row,
    disconnect_row,
    kill_row,
    mass_cancel_row,
    notice_row,
    position_row,
    quota_row,
    reduce_row,
    session_row,
    tick_row,
)
from ciyuan.exchange.state import CONTRACT_COLUMNS, ORDER_COLUMNS, POSITION_COLUMNS
from tests.exchange.listings import GROSS, OUT_OF_ROOM, RICH, START_NS, STRANGER, TRADERS, Setting

T = TypeVar("T")
Parts = dict[str, NDArray[np.int64]]
Facts = dict[str, int]
Move = bytes

MOVE_BYTES = 24
LOCK_DAYS = 6
"""Days for which one contract is driven to a limit at most: three to its suspension, that, and what comes after."""

moves = st.binary(max_size=MOVE_BYTES)


def moves_of(seed: int, count: int) -> list[Move]:
    """`count` moves of a seed."""
    drawn = np.random.default_rng(seed).integers(0, 256, count * MOVE_BYTES, dtype=np.uint8).tobytes()
    return [drawn[at : at + MOVE_BYTES] for at in range(0, len(drawn), MOVE_BYTES)]


class Draw:
    """The bytes of one move, taken one after the other."""

    def __init__(self, move: Move) -> None:
        self._bytes: Iterator[int] = iter(move)

    def below(self, count: int) -> int:
        """0 to count - 1 (count at most 256); 0 when the move has no bytes left."""
        return next(self._bytes, 0) * count >> 8

    def chance(self, of_256: int) -> bool:
        """True so often in 256; False when the move has no bytes left."""
        return next(self._bytes, 0) >= 256 - of_256

    def pick(self, among: Sequence[T]) -> T:
        """One of a sequence, the first when the move has no bytes left."""
        return among[self.below(min(len(among), 256))]


class Mood(Enum):
    """What a day is like: as it comes; one side only at the limit of one contract; or quotes that do not meet."""

    FREE = 0
    LOCK = 1
    QUIET = 2


S = SessionState
USUAL_NEXT = {
    S.CLOSED: (S.AUCTION_ENTRY, S.CONTINUOUS),
    S.AUCTION_ENTRY: (S.AUCTION_FREEZE, S.AUCTION_MATCH),
    S.AUCTION_FREEZE: (S.AUCTION_MATCH,),
    S.AUCTION_MATCH: (S.CONTINUOUS, S.CONTINUOUS, S.BREAK, S.CLOSING),
    S.CONTINUOUS: (S.CLOSING, S.BREAK, S.CLOSING, S.AUCTION_ENTRY),
    S.BREAK: (S.CONTINUOUS, S.AUCTION_ENTRY, S.CONTINUOUS, S.CLOSING),
    S.CLOSING: (S.SETTLEMENT,),
    S.SETTLEMENT: (S.CLOSED,),
    S.SUSPENDED: (S.CLOSED,),
}
BELLS = {S.CLOSED: 150, S.AUCTION_ENTRY: 12, S.AUCTION_FREEZE: 50, S.AUCTION_MATCH: 150, S.CONTINUOUS: 6, S.BREAK: 80,
         S.CLOSING: 150, S.SETTLEMENT: 190, S.SUSPENDED: 60}  # fmt: skip
"""How often (in 256) a bell or CLOSE_DAY is next, by the state of the contract that is furthest behind."""
TAKING = frozenset({S.AUCTION_ENTRY, S.AUCTION_FREEZE, S.CONTINUOUS})
F = OrderFlag
TYPES = (*[F.LIMIT] * 9, *[F.MARKET] * 2, *[F.FAK] * 2, F.FOK, *[F.POST_ONLY] * 2, *[F.ICEBERG] * 3, *[F.STOP] * 2,
         F.STOP | F.MARKET)  # fmt: skip
AUCTION_TYPES = (*[F.LIMIT] * 7, *[F.ICEBERG] * 4, F.FAK)
LASTING = frozenset({F.LIMIT, F.POST_ONLY, F.ICEBERG, F.STOP})
PAUSES = (0, 0, 0, 0, 0, 1, NS_PER_MS, 300 * NS_PER_MS, NS_PER_SECOND, 20 * NS_PER_SECOND)
LEAPS = (NS_PER_MINUTE, 2 * NS_PER_MINUTE, 2 * NS_PER_MINUTE - 1, 5 * NS_PER_MINUTE, 5 * NS_PER_MINUTE - 1)
STRANGE = (0, 1, -1, 2, 5, 13, 2**16, 2**25, 2**25 + 1, 2**31, 2**32 + 2, 2**36, 2**36 + 1, 2**56, 2**62, -(2**62), 2**63 - 1,
           -(2**63))  # fmt: skip
"""Words that belong nowhere, or at the end of what may be."""


def facts(part: NDArray[np.int64], columns: Sequence[str]) -> list[Facts]:
    """The rows of a part of a snapshot by name of column."""
    return [dict(zip(columns, row, strict=True)) for row in part.tolist()]


class Player:
    """Makes commands of moves, with an eye on the exchange that hears them. `parts` is its snapshot before the command."""

    def __init__(self, setting: Setting) -> None:
        self.setting, self.lot = setting, setting.lots
        self.contracts = {listed.number: listed for listed in setting.contracts}
        self.outrights = [listed.number for listed in setting.contracts if not listed.is_spread]
        self.now = START_NS
        self.fresh = 0
        self.sent: list[Row] = []
        self.mood, self.mood_day, self.mood_days = Mood.FREE, 0, 0
        self.target, self.upward = self.outrights[0], True

    def row(self, move: Move, parts: Parts) -> Row:
        """The command of a move."""
        draw = Draw(move)
        self.parts = parts
        self.markets = {market["number"]: market for market in facts(parts["contracts"], CONTRACT_COLUMNS)}
        self.now = max(self.now, int(parts["clock"][0, 0]))
        self.gross = {
            account for account, flags, *_ in parts["accounts"].tolist() if flags & AccountFlag.GROSS
        }
        self._feel(draw)
        spoil, row = draw.chance(6), self._choose(draw)
        if spoil:
            row = self._spoil(draw, row)
        elif (row[0] & CODE_MASK) in {ExchangeCommand.ORDER, ExchangeCommand.AMEND}:
            self.sent = [*self.sent[-60:], row]
        return tuple(map(int, row))  # type: ignore[return-value]

    # --- what to do ---

    def _feel(self, draw: Draw) -> None:
        """A new day may bring a new mood; a lock goes on for days."""
        kind = draw.below(256)
        self.now += draw.pick(LEAPS if draw.chance(3) else PAUSES)
        day = max(market["day"] for market in self.markets.values())
        if day == self.mood_day:
            return
        self.mood_day = day
        self.mood_days += 1
        if self.mood == Mood.LOCK and kind < 240 and self.mood_days < LOCK_DAYS:
            return
        self.mood_days = 0
        self.mood = Mood.LOCK if kind % 6 == 1 else Mood.QUIET if kind % 9 == 2 else Mood.FREE
        futures = [number for number in self.outrights if self._listed(number, day)] or self.outrights
        self.target, self.upward = draw.pick(futures), draw.below(2) == 0

    def _listed(self, number: int, day: int) -> bool:
        listed = self.contracts[number]
        return listed.first_day <= day <= listed.last_day

    def _choose(self, draw: Draw) -> Row:
        behind = self._behind()
        if self.mood == Mood.LOCK and draw.chance(120):
            return self._lock(draw)
        if draw.chance(BELLS[S(behind["state"])]):
            return self._bell(draw, behind)
        what = draw.below(256)
        taking = [market for market in self.markets.values() if self._takes(market)]
        if taking and what < 160:
            return self._order(draw, draw.pick(taking))
        if what < 190:
            return self._amend(draw)
        if what < 212:
            return self._cancel(draw)
        if what < 216:
            return mass_cancel_row(self.now, self._account(draw), draw.pick((0, *self.markets)))
        if what < 219:
            return disconnect_row(self.now, self._account(draw))
        if what < 232:
            return self._clearing(draw)
        if what < 236:
            self.now += draw.pick(LEAPS)
            return tick_row(self.now)
        if what < 246:
            return self._again(draw)
        if what < 251:
            return self._order(draw, draw.pick(list(self.markets.values())))
        return self._odd_bell(draw)

    def _takes(self, market: Facts) -> bool:
        """Whether a contract takes orders; of a spread also whether its legs trade."""
        listed = self.contracts[market["number"]]
        if listed.is_spread:
            return all(
                self.markets[number]["state"] == S.CONTINUOUS
                for number in (listed.number, listed.near, listed.far)
            )
        return market["state"] in TAKING

    def _account(self, draw: Draw, market: Facts | None = None) -> int:
        """Mostly one that there is, and that may trade the contract."""
        account = (STRANGER, OUT_OF_ROOM, 0, -1)[draw.below(4)] if draw.chance(3) else draw.pick(TRADERS)
        if market is not None and not draw.chance(20):
            is_spot = not self.contracts[market["number"]].month
            account = {(8, True): 1, (9, False): 11}.get((account, is_spot), account)
        return account

    # --- bells ---

    def _behind(self) -> Facts:
        """The contract that is furthest behind the others, of those that have days left."""
        alive = [
            market
            for number, market in self.markets.items()
            if market["day"] < self.contracts[number].last_day
            and market["upper_ticks"] - market["lower_ticks"] < self.setting.room.ladder_ticks
        ]
        alive = alive or list(self.markets.values())
        return min(alive, key=lambda market: (max(market["day"], self.contracts[market["number"]].first_day - 1),
                                              market["state"] if market["state"] != S.CLOSED else 10))  # fmt: skip

    def _bell(self, draw: Draw, market: Facts) -> Row:
        """Mostly the usual next state, of all contracts."""
        number = market["number"]
        if draw.chance(50):
            market = draw.pick(list(self.markets.values()))
            number = market["number"]
        state, day = S(market["state"]), market["day"]
        who = number if draw.chance(70) else 0
        if state in {S.SETTLEMENT, S.SUSPENDED} and (market["settled_day"] != day or draw.chance(20)):
            return close_day_row(self.now, who, day)
        if state == S.CLOSED:
            day = max(day + 1, self.contracts[number].first_day)
        follows = (
            USUAL_NEXT[state]
            if not market["due_ns"]
            else (S.AUCTION_FREEZE, S.AUCTION_MATCH, S.BREAK, S.CLOSING)
        )
        return session_row(self.now, who, draw.pick(follows), day)

    def _odd_bell(self, draw: Draw) -> Row:
        number = draw.pick((0, *self.markets, 99))
        day = self.markets.get(number, self.markets[self.target])["day"] + draw.pick((0, 0, 1, -1, 2))
        if draw.chance(80):
            return close_day_row(self.now, number, day)
        words = (number, draw.below(11), day)
        return row_of(kind_word(ExchangeCommand.SESSION), self.now, words)

    # --- a day that ends locked ---

    def _lock(self, draw: Draw) -> Row:
        """The next step to a close with one side only, at the limit, for five minutes; or what a suspended contract takes."""
        market = self.markets[self.target]
        state = market["state"]
        if state == S.SUSPENDED:
            return self._suspended(draw, market)
        if state != S.CONTINUOUS:
            follows = S.CONTINUOUS if state in {S.CLOSED, S.AUCTION_MATCH, S.BREAK} else None
            if follows is None or draw.chance(40):
                return self._bell(draw, market)
            day = (
                max(market["day"] + 1, self.contracts[self.target].first_day)
                if state == S.CLOSED
                else market["day"]
            )
            return session_row(self.now, 0 if draw.chance(150) else self.target, follows, day)
        if draw.chance(20):
            return self._position(draw, self._account(draw), self.target)
        against = self._standing(self.target, sell=self.upward)
        if against:
            if draw.chance(100):
                first = draw.pick(against)
                return cancel_row(self.now, first["account"], first["order_id"])
            return self._at_limit(draw, market, RICH, 12)
        sided = self._standing(self.target, sell=not self.upward)
        limit = market["upper_ticks"] if self.upward else market["lower_ticks"]
        if not any(order["limit_ticks"] == limit for order in sided) or draw.chance(120):
            return self._at_limit(draw, market, self._loser(draw), 1 + draw.below(6))
        if market["lock_since_ns"] == 0 or self.now < market["lock_since_ns"] + 5 * NS_PER_MINUTE:
            self.now += 5 * NS_PER_MINUTE
            return tick_row(self.now)
        return session_row(self.now, self.target if draw.chance(60) else 0, S.CLOSING, market["day"])

    def _at_limit(self, draw: Draw, market: Facts, account: int, lots: int) -> Row:
        """An order at the limit at which the contract is to be locked, sometimes to last."""
        limit = market["upper_ticks"] if self.upward else market["lower_ticks"]
        effect = Effect.NET
        if account in self.gross:
            effect = draw.pick((Effect.CLOSE, Effect.OPEN)) | (
                Effect.HEDGE if draw.chance(50) else Effect.NET
            )
        flags = (F.LIMIT if self.upward else F.SIDE_SELL) | (F.GTC if draw.chance(60) else F.LIMIT)
        self.fresh += 1
        words = (account, self._id(0), market["number"], limit, lots * self.lot, 0)
        return row_of(kind_word(ExchangeCommand.ORDER, flags, effect), self.now, words)

    def _loser(self, draw: Draw) -> int:
        """Mostly an account that the lock holds in its position."""
        held = "short" if self.upward else "long"
        losers = [found["account"] for found in facts(self.parts["positions"], POSITION_COLUMNS)
                  if found["contract"] == self.target and found[held] > 0]  # fmt: skip
        return draw.pick(losers) if losers and not draw.chance(60) else draw.pick(TRADERS)

    def _suspended(self, draw: Draw, market: Facts) -> Row:
        what, number = draw.below(10), market["number"]
        if what < 3:
            return reduce_row(self.now, number)
        if what < 5:
            return notice_row(self.now, number, draw.pick((0, 300, 700, 1_200, 2_000, 2_001)))
        if what < 6:
            return self._cancel(draw)
        if market["settled_day"] != market["day"]:
            return close_day_row(self.now, number if draw.chance(100) else 0, market["day"])
        return session_row(self.now, number, S.CLOSED, market["day"])

    # --- orders ---

    def _orders(self) -> list[Facts]:
        return facts(self.parts["orders"], ORDER_COLUMNS)

    def _standing(self, number: int, *, sell: bool) -> list[Facts]:
        """Open orders of one side of a contract, without stops that wait."""
        return [
            order
            for order in self._orders()
            if order["contract"] == number
            and not order["end"]
            and bool(order["flags"] & F.SIDE_SELL) == sell
            and (not order["flags"] & F.STOP or order["triggered"])
        ]

    def _price(self, draw: Draw, market: Facts, *, sell: bool) -> int:
        """Around the reference, the last trade or the best price; at a limit; or beyond one."""
        number, how = market["number"], draw.below(256)
        lower, upper = market["lower_ticks"], market["upper_ticks"]
        if self.contracts[number].is_spread:
            near, far = self.contracts[number].near, self.contracts[number].far
            middle = self.markets[near]["reference_ticks"] - self.markets[far]["reference_ticks"]
        else:
            middle = market["last_ticks"] if how % 2 and market["last_ticks"] else market["reference_ticks"]
        if self.mood == Mood.QUIET and number != self.target:
            return middle + (1 + draw.below(3)) * (1 if sell else -1)
        if how < 150:
            wanted = middle + draw.below(7) - 3
        elif how < 205:
            best = [order["limit_ticks"] for order in self._standing(number, sell=draw.chance(128))]
            wanted = (max(best) if how % 2 else min(best)) + draw.below(3) - 1 if best else middle
        elif how < 246:
            wanted = draw.pick((upper, lower, upper - 1, lower + 1))
        else:
            return int(draw.pick((upper + 1, lower - 1, middle, 0, -3)))
        return max(lower, min(upper, wanted))

    def _type(self, draw: Draw, market: Facts) -> OrderFlag:
        if self.contracts[market["number"]].is_spread and not draw.chance(6):
            return draw.pick((F.LIMIT, F.LIMIT, F.FAK))
        if market["state"] != S.CONTINUOUS and not draw.chance(10):
            return draw.pick(AUCTION_TYPES)
        return draw.pick(TYPES)

    def _effect(self, draw: Draw, account: int, market: Facts, *, sell: bool) -> Effect:
        """What a gross account can do with the lots that it holds, mostly."""
        if draw.chance(3):
            return Effect(draw.below(8))
        if account not in self.gross:
            return Effect.NET
        if not self.contracts[market["number"]].month and not draw.chance(8):
            return Effect.OPEN
        hedge = draw.chance(70)
        held, ways = "short" if not sell else "long", [Effect.OPEN]
        for found in facts(self.parts["positions"], POSITION_COLUMNS):
            if (found["account"], found["contract"], found["hedge"]) == (
                account,
                market["number"],
                int(hedge),
            ):
                ways += [Effect.CLOSE_TODAY] * 2 if found[f"{held}_today"] else []
                ways += [Effect.CLOSE] * 2 if found[held] > found[f"{held}_today"] else []
        way = draw.pick(ways) if not draw.chance(8) else draw.pick((Effect.CLOSE, Effect.CLOSE_TODAY))
        return way | (Effect.HEDGE if hedge else Effect.NET)

    def _order(self, draw: Draw, market: Facts) -> Row:
        number, is_spread = market["number"], self.contracts[market["number"]].is_spread
        account, sell, kind = self._account(draw, market), draw.chance(128), self._type(draw, market)
        price = 0 if kind & F.MARKET else self._price(draw, market, sell=sell)
        lots = (
            1 + draw.below(5)
            if not draw.chance(50)
            else draw.pick((9, 12, 11, 10, *range(6, 13), 8, 9, 13, 0, -1))
        )
        second = 0
        if kind == F.ICEBERG:
            second = 1 + draw.below(max(1, lots)) if not draw.chance(4) else draw.pick((0, lots + 1))
        elif kind == F.FAK:
            second = draw.pick((0, 1, max(0, lots), 0, 2, lots + 1)) if draw.chance(128) else 0
        elif kind & F.STOP:
            second = self._price(draw, market, sell=sell)
        lasts, last_day = F.LIMIT, 0
        if draw.chance(60 if kind in LASTING and not is_spread else 2):
            lasts = draw.pick((F.GTC, F.LIMIT))
            last_day = 0 if lasts else market["day"] + draw.pick((1, 0, 2, 5, 1, 0, 3, -1))
        if kind in {F.ICEBERG, F.FAK} and second > 0:
            second *= self.lot
        effect = self._effect(draw, account, market, sell=sell)
        flags = int(kind) | int(lasts) | (int(F.SIDE_SELL) if sell else 0)
        self.fresh += 1
        order_id = self._id(0 if not draw.chance(6) else 2 * draw.below(256))
        words = (account, order_id, number | max(0, last_day) << 32, price, lots * self.lot, second)
        return row_of(kind_word(ExchangeCommand.ORDER, flags, effect), self.now, words)

    def _id(self, earlier: int) -> int:
        """The order id of so many orders ago."""
        return max(1, self.fresh - earlier) * self.setting.stride

    def _some_order(self, draw: Draw) -> Facts | None:
        """Mostly one that is open."""
        orders = self._orders()
        if not draw.chance(30):
            orders = [order for order in orders if not order["end"]] or orders
        return draw.pick(orders[-250:]) if orders else None

    def _amend(self, draw: Draw) -> Row:
        order = self._some_order(draw)
        if order is None or draw.chance(5):
            return amend_row(self.now, self._account(draw), self._id(draw.below(30)), 100, self.lot)
        market = self.markets[order["contract"]]
        price, lots = order["limit_ticks"], order["lots"]
        if order["flags"] & F.MARKET:
            price = 0 if not draw.chance(30) else price
        elif draw.chance(128):
            price = self._price(draw, market, sell=bool(order["flags"] & F.SIDE_SELL))
        if draw.chance(170):
            lots += draw.pick((-1, 1, -2, 2, 5, -3, -4, -12)) * self.lot
        return amend_row(self.now, order["account"], order["order_id"], price, lots)

    def _cancel(self, draw: Draw) -> Row:
        order = self._some_order(draw)
        if order is None or draw.chance(10):
            return cancel_row(self.now, self._account(draw), self._id(draw.below(200)))
        return cancel_row(self.now, order["account"], order["order_id"])

    def _again(self, draw: Draw) -> Row:
        """An order or amendment that was sent lately, as it was or with one word changed."""
        if not self.sent:
            return tick_row(self.now)
        row = list(draw.pick(self.sent))
        row[1] = self.now
        if draw.chance(150):
            word = draw.pick((5, 6, 7, 4, 0, 5))
            row[word] += (
                draw.pick((1, -1))
                if word
                else 1 << draw.pick((FLAG_SHIFT, FLAG_SHIFT + 7, REASON_SHIFT, FLAG_SHIFT + 2))
            )
        return tuple(row)  # type: ignore[return-value]

    # --- the clearing house ---

    def _clearing(self, draw: Draw) -> Row:
        what, account = draw.below(10), self._account(draw)
        number = draw.pick(list(self.markets))
        some = (*range(12), *STRANGE)
        match what:
            case 0:
                account = 8 if draw.chance(128) else account
                return kill_row(self.now, account, on=not draw.chance(128 if account == 8 else 220))
            case 1:
                amount = 200_000 * draw.below(3) if account == 6 else 40_000_000 + draw.below(9)
                amount *= self.lot * self.setting.margin
                return credit_row(self.now, account, draw.pick(some) if draw.chance(10) else amount)
            case 2:
                spot = next((n for n in self.outrights if not self.contracts[n].month), 0)
                return credit_row(
                    self.now,
                    account,
                    draw.below(40) * self.lot if not draw.chance(10) else draw.pick(some),
                    spot,
                )
            case 3 | 4:
                return self._risk(draw, number)
            case 5:
                lots = draw.pick((0, 5, 20, 32, 31)) * self.lot if not draw.chance(10) else draw.pick(some)
                return quota_row(
                    self.now, account, number, lots, hedge=account in self.gross and draw.chance(128)
                )
            case 6 | 7:
                return self._position(draw, account, number)
            case 8:
                return self._settings(draw, account)
            case _:
                return notice_row(self.now, number, draw.pick((300, 0, 100, 700, 1_500, 2_000, 2_001, -1)))

    def _risk(self, draw: Draw, number: int) -> Row:
        margin = draw.pick((10_000, 0, 20_000, 500_000)) * self.setting.margin
        fee = draw.pick((10, 0, 1_000)) * self.setting.margin
        limit, hedgers, share = (
            draw.pick((25, 0, 20, 5, 32)) * self.lot,
            draw.pick((31, 0, 10)) * self.lot,
            draw.pick((2_000, 0, 10_000)),
        )
        words = [margin, fee, limit, hedgers, share]
        if draw.chance(10):
            words[draw.below(5)] = draw.pick(STRANGE)
        return row_of(kind_word(ExchangeCommand.RISK), self.now, (number, *words))

    def _position(self, draw: Draw, account: int, number: int) -> Row:
        long, short = draw.pick((0, 3, 10, 20, 1)), 0
        if account in self.gross and draw.chance(128):
            short = draw.pick((4, 0, 11))
        elif draw.chance(128):
            long, short = 0, long
        price = self.markets[number]["settlement_ticks"] + draw.below(9) - 4
        long, short = long * self.lot, short * self.lot
        words = [long, short, (long - short) * price]
        if draw.chance(10):
            words[draw.below(3)] = draw.pick(STRANGE)
        return position_row(
            self.now, account, number, *words, hedge=account in self.gross and draw.chance(100)
        )

    def _settings(self, draw: Draw, account: int) -> Row:
        """Other settings, gross ones mostly left alone."""
        flags = draw.pick((0, 4, 8, 2, 12)) | (account in GROSS) ^ draw.chance(30)
        rate, permissions = draw.pick((0, 0, 3, 1)), draw.pick((*[3] * 30, 1, 2, 0, 4))
        words = (account, draw.below(4) if not draw.chance(8) else 4, rate, permissions)
        return row_of(kind_word(ExchangeCommand.ACCOUNT, flags), self.now, words)

    # --- what is wrong ---

    def _spoil(self, draw: Draw, row: Row) -> Row:
        """Another code, other flags or reason, a word that should not be there, or a time of the past."""
        how, spoiled = draw.below(6), list(row)
        if how == 0:
            spoiled[0] = draw.pick((299, 300, 317, 351, 0, -1, 2**62, 1 << 40)) | (row[0] & ~CODE_MASK)
        elif how == 1:
            spoiled[0] ^= 1 << FLAG_SHIFT + draw.below(8)
        elif how == 2:
            spoiled[0] ^= 1 << REASON_SHIFT + draw.below(16)
        elif how == 3:
            spoiled[1] = draw.pick((self.now - 1, 0, -1, self.now - NS_PER_DAY, -(2**63)))
        else:
            spoiled[2 + draw.below(6)] = draw.pick(STRANGE)
        return tuple(spoiled)  # type: ignore[return-value]
