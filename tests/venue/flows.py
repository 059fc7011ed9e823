"""Flows of commands for the venue: what may come from outside, good and bad, in order of time, as a function of a seed."""

from collections.abc import Sequence
from typing import TypeVar

import numpy as np
from hypothesis import strategies as st

from ciyuan.basics.rows import Row, row
from ciyuan.clearing.messages import collect_row, settle_day_row
from ciyuan.exchange.messages import (
    OrderFlag,
    SessionState,
    Side,
    amend_row,
    cancel_row,
    disconnect_row,
    kill_row,
    mass_cancel_row,
    order_row,
    quota_row,
    session_row,
)
from ciyuan.exchange.messages import tick_row as exchange_tick_row
from ciyuan.gateway.messages import deliver_row, hold_row, parties_word, prices_row, tick_row, void_row
from ciyuan.index.messages import Leg, correct_row, fix_row, relate_row
from ciyuan.venue.messages import VenueCommand
from tests.venue.market import (
    ADA,
    BO,
    BUSY,
    CY,
    DAY,
    DEE,
    EVE,
    KIMI,
    MONTH,
    NOV,
    OCT,
    SECOND,
    SIS,
    SPOT,
    SPREAD,
    Market,
    own,
)  # fmt: skip

T = TypeVar("T")
PEOPLE = (ADA, BO, CY, DEE, EVE, SIS, 9)
SUPPLIERS, CUSTOMERS = (ADA, BO, CY), (DEE, SIS)
TRADERS = (*(ADA, DEE, EVE, SIS) * 4, BO)
FOREIGN = (0, 101, 102, 201, 401, 403, 405, 501, 699)
"""Codes that are not for those outside to use."""
AMOUNTS = (-5, 0, 1, 5_000_000, 3_000_000_000, 9_000_000_000)
ORDER_KINDS = (
    OrderFlag.LIMIT,
    OrderFlag.LIMIT,
    OrderFlag.LIMIT,
    OrderFlag.FAK,
    OrderFlag.FOK,
    OrderFlag.MARKET,
    OrderFlag.POST_ONLY,
    OrderFlag.ICEBERG,
    OrderFlag.STOP,
    OrderFlag.GTC,
)
GAPS = (0, 0, 1, SECOND, 60 * SECOND, 200 * SECOND)


class Flow:
    """Draws one row after the other; it remembers its requests and orders, so that most deliveries are of something that was held
    and most cancels of something that was sent. Now and then a row is sent again."""

    def __init__(self, seed: int) -> None:
        self._luck = np.random.default_rng(seed)
        self._held: dict[int, int] = {}
        self._order_id = 0
        self._sent = [(ADA, 1)]
        self._last: Row = tick_row(0)

    def pick(self, choices: Sequence[T]) -> T:
        return choices[int(self._luck.integers(len(choices)))]

    def upto(self, most: int) -> int:
        return int(self._luck.integers(0, most + 1))

    def row(self, at: int) -> Row:
        """One command at a moment."""
        kinds = (self._serve, self._serve, self._trade, self._trade, self._money, self._receipts, self._clock)
        chance = self.upto(14)
        if chance == 0:
            return self._other(at)
        if chance > 1:
            self._last = self.pick(kinds)(at)
        kind, _, *words = self._last
        return row(kind, at, words)

    def _serve(self, at: int) -> Row:
        request = 1 + self.upto(9)
        parties = self._held.get(request)
        if parties is None or not self.upto(9):
            parties = self._held[request] = parties_word(self.pick(CUSTOMERS), self.pick(SUPPLIERS), KIMI)
            return hold_row(
                at,
                request,
                parties,
                500 + self.upto(2500),
                500 + self.upto(500),
                self.pick((0, SECOND, 300 * SECOND)),
            )
        kind = self.upto(9)
        if kind == 0:
            return void_row(at, request)
        if kind == 1:
            prices = [self.upto(4_000_000) for _ in range(3)]
            return prices_row(at, self.pick(SUPPLIERS), KIMI, price_in=prices[0], price_cached=prices[1], price_out=prices[2],
                              valid_from_ns=at + 1)  # fmt: skip
        if self.upto(3):
            del self._held[request]
        tokens_in = self.upto(600)
        return deliver_row(
            at, request, parties, tokens_in, self.upto(tokens_in), self.upto(600), batch=not self.upto(5)
        )

    def _trade(self, at: int) -> Row:
        account, order_id = self.pick(self._sent)
        if not self.upto(7):
            return cancel_row(at, account, order_id)
        if not self.upto(5):
            return amend_row(at, account, order_id, 1498 + self.upto(4), 1 + self.upto(6))
        account = self.pick(TRADERS)
        self._order_id += self.upto(8) > 0
        self._sent.append((account, self._order_id))
        kind, contract = self.pick(ORDER_KINDS), self.pick((SPOT, SPOT, OCT, NOV, SPREAD))
        if contract == SPREAD:
            kind = self.pick((OrderFlag.LIMIT, OrderFlag.FAK))
        price = 0 if kind == OrderFlag.MARKET else 1498 + self.upto(4)
        sells = (contract != SPOT and self.upto(1)) or account == ADA
        return order_row(
            at,
            account,
            self._order_id,
            contract,
            Side.SELL if sells else Side.BUY,
            price - 1500 if contract == SPREAD else price,
            1 + self.upto(5),
            kind=kind,
            shown_lots=kind == OrderFlag.ICEBERG,
            trigger_ticks=(1498 + self.upto(4)) * (kind == OrderFlag.STOP),
        )

    def _money(self, at: int) -> Row:
        command = self.pick((VenueCommand.DEPOSIT, VenueCommand.WITHDRAW, VenueCommand.MOVE))
        purse, to = self.pick((0, 0, 0, 1, 2, 3)), self.pick((0, 1, 2, 1, 9))
        return own(command, at, 100 + self.upto(40), self.pick(PEOPLE), purse, self.pick(AMOUNTS), to)

    def _receipts(self, at: int) -> Row:
        count, kind = self.upto(600), self.upto(9)
        if kind < 4:
            return own(VenueCommand.CAPACITY, at, self.pick(PEOPLE), KIMI, MONTH, 1000 + count)
        if kind < 9:
            return own(
                VenueCommand.ISSUE, at, 100 + self.upto(40), self.pick(SUPPLIERS), KIMI, count // 10, MONTH
            )
        return own(VenueCommand.LAPSE, at, KIMI, MONTH)

    def _clock(self, at: int) -> Row:
        day, leg = self.pick((DAY, DAY, DAY + 1)), self.pick(tuple(Leg))
        choices = (
            own(VenueCommand.SAMPLE, at, SPOT),
            own(VenueCommand.FINALISE, at, OCT, day),
            fix_row(at, KIMI, day, leg),
            correct_row(at, KIMI, day, leg, self.pick((0, 0, ADA, BO))),
            settle_day_row(at, day),
            tick_row(at),
        )
        return self.pick(choices)

    def _other(self, at: int) -> Row:
        choices = (
            row(self.pick(FOREIGN), at, (1, 2, 3)),
            relate_row(at, self.pick(PEOPLE), self.pick((0, ADA))),
            collect_row(at, self.pick(PEOPLE)),
            mass_cancel_row(at, self.pick(PEOPLE)),
            kill_row(at, self.pick(PEOPLE), on=not self.upto(2)),
            quota_row(at, self.pick(PEOPLE), OCT, self.upto(9)),
            disconnect_row(at, self.pick(PEOPLE)),
            exchange_tick_row(at),
            session_row(at, OCT, self.pick((SessionState.BREAK, SessionState.CONTINUOUS)), DAY),
            own(VenueCommand.PARTICIPANT, at, self.pick((6, 7, 8)), self.pick((1, 2, 12, 16)), 0, 2),
        )
        return self.pick(choices)


def flow_of(seed: int, count: int) -> list[Row]:
    """`count` rows from 15:15 on, so that most fall into the index's window."""
    flow, at, rows = Flow(seed), Market().at("15:15").now, []
    for _ in range(count):
        at += flow.pick(GAPS)
        rows.append(flow.row(at))
    return rows


SEEDS = st.integers(0, 2**32 - 1)
FLOWS = st.builds(flow_of, SEEDS, st.integers(1, 120))


def prepared() -> Market:
    """The market that flows are sent to: lists, receipts and an open session."""
    return Market(BUSY).join().listed().receipts().open().at("15:10")
