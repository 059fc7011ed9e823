"""The plain exchange: the rules of docs/spec/exchange.md in the plainest Python, and nothing else. It is the reference.

The exchange that runs is a compiled kernel, which is fast because it keeps much: ladders, bitsets, charges, open lots. This
one keeps nothing that could be worked out. A book is the list of a contract's open orders, sorted when it is asked for; what an
account must have is added up from its positions and open orders whenever an order arrives. So each rule stands in one place, in
the words of the specification, and can be checked against it by reading. Both are held against each other: for every command
every word of every event, and then the fingerprint of the whole state, must be the same.

| module | rules |
|---|---|
| `plain_state`, `plain_market`, `plain_floor` | what is kept: orders, accounts, positions; a contract's figures; all together |
| `plain_book` | the order in which orders stand, LEVEL, cancelling (4, 5, 7) |
| `plain_orders`, `plain_cancels` | ORDER and AMEND; CANCEL, MASS_CANCEL and DISCONNECT (8 to 13, 19 to 24) |
| `plain_risk`, `plain_clearing` | positions and admission; what the clearing house says (17, 18, 41 to 46, 50, 51) |
| `plain_match`, `plain_trade` | an order at work: trades, own orders, breaker, stops (7 to 16, 36) |
| `plain_spread` | spread orders and implied prices (47 to 49) |
| `plain_auction`, `plain_day` | auctions; states of the day (25 to 34, 36) |
| `plain_close`, `plain_reduction` | close of the day and limit lock; notices and forced reduction (35, 37 to 40) |
| `plain_snapshot`, `plain_view` | the state as matrices; what is seen of a market (52) |

It lets a few thousand commands a second through small books.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from ciyuan.basics.errors import Malformed
from ciyuan.basics.rows import CODE_MASK, FLAG_MASK, FLAG_SHIFT, REASON_SHIFT, ROW_WORDS, Row
from ciyuan.basics.state import state_hash
from ciyuan.exchange.contract import Contract
from ciyuan.exchange.messages import ExchangeCommand, Refusal
from ciyuan.exchange.plain_answer import refused
from ciyuan.exchange.plain_auction import say_indicative
from ciyuan.exchange.plain_cancels import hear_cancel, hear_disconnect, hear_mass_cancel
from ciyuan.exchange.plain_clearing import (
    hear_account,
    hear_credit,
    hear_kill,
    hear_position,
    hear_quota,
    hear_risk,
    hear_tick,
)
from ciyuan.exchange.plain_close import close_day
from ciyuan.exchange.plain_day import change_session, end_due_breakers, note_sides
from ciyuan.exchange.plain_floor import Floor
from ciyuan.exchange.plain_market import Market
from ciyuan.exchange.plain_match import work_stops
from ciyuan.exchange.plain_orders import hear_amend, hear_order
from ciyuan.exchange.plain_reduction import hear_notice, hear_reduce
from ciyuan.exchange.plain_snapshot import floor_of, parts_of
from ciyuan.exchange.plain_view import PlainView
from ciyuan.exchange.room import Room
from ciyuan.exchange.state import TIME_MAX_NS

Handler = Callable[[Floor, Sequence[int]], Refusal | None]

HANDLERS: Mapping[int, Handler] = {
    ExchangeCommand.SESSION: change_session,
    ExchangeCommand.ORDER: hear_order,
    ExchangeCommand.CANCEL: hear_cancel,
    ExchangeCommand.MASS_CANCEL: hear_mass_cancel,
    ExchangeCommand.CLOSE_DAY: close_day,
    ExchangeCommand.AMEND: hear_amend,
    ExchangeCommand.ACCOUNT: hear_account,
    ExchangeCommand.CREDIT: hear_credit,
    ExchangeCommand.RISK: hear_risk,
    ExchangeCommand.QUOTA: hear_quota,
    ExchangeCommand.POSITION: hear_position,
    ExchangeCommand.KILL: hear_kill,
    ExchangeCommand.DISCONNECT: hear_disconnect,
    ExchangeCommand.NOTICE: hear_notice,
    ExchangeCommand.REDUCE: hear_reduce,
    ExchangeCommand.TICK: hear_tick,
}
"""Who hears which command."""

UNUSED_WORDS: Mapping[int, tuple[int, ...]] = {
    ExchangeCommand.SESSION: (5, 6, 7),
    ExchangeCommand.ORDER: (),
    ExchangeCommand.CANCEL: (4, 5, 6, 7),
    ExchangeCommand.MASS_CANCEL: (4, 5, 6, 7),
    ExchangeCommand.CLOSE_DAY: (3, 5, 6, 7),
    ExchangeCommand.AMEND: (4, 7),
    ExchangeCommand.ACCOUNT: (6, 7),
    ExchangeCommand.CREDIT: (5, 6, 7),
    ExchangeCommand.RISK: (),
    ExchangeCommand.QUOTA: (5, 6, 7),
    ExchangeCommand.POSITION: (7,),
    ExchangeCommand.KILL: (4, 5, 6, 7),
    ExchangeCommand.DISCONNECT: (3, 4, 5, 6, 7),
    ExchangeCommand.NOTICE: (4, 5, 6, 7),
    ExchangeCommand.REDUCE: (3, 4, 5, 6, 7),
    ExchangeCommand.TICK: (2, 3, 4, 5, 6, 7),
}
"""The words that each command does not have."""

FLAGS_MAX = {
    ExchangeCommand.ORDER: FLAG_MASK,
    ExchangeCommand.ACCOUNT: 15,
    ExchangeCommand.QUOTA: 1,
    ExchangeCommand.POSITION: 1,
}
"""All flags of the commands that have any."""
EFFECT_MAX = 7
"""The highest reason of an ORDER, the only command that has one."""


class PlainExchange:
    """The exchange in plain Python: the same messages, the same answers, the same state as `machine.Exchange`.

    `everyone`: every account that there is room for is known without an ACCOUNT, permitted everything and unchecked. Raises
    Malformed for contracts that cannot be listed together.
    """

    def __init__(
        self, contracts: Iterable[Contract], room: Room | None = None, *, everyone: bool = False
    ) -> None:
        self._contracts = tuple(contracts)
        self._floor = Floor(self._contracts, room or Room(), everyone=everyone)

    def apply(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Apply a batch of command rows, (n, 8) int64, in order. Returns its events, (m, 8) int64."""
        if rows.ndim != 2 or rows.shape[1] != ROW_WORDS or rows.dtype != np.int64:
            raise Malformed("batch for the exchange", found=f"{rows.dtype} {rows.shape}", expected="int64 (n, 8)",
                            remedy="Hand over rows of eight 64-bit integers.")  # fmt: skip
        out: list[Row] = []
        for row in rows.tolist():
            self.apply_one(row, out)
        return np.array(out, dtype=np.int64).reshape(-1, ROW_WORDS)

    def apply_one(self, row: Sequence[int], out: list[Row]) -> None:
        """Apply one command row of eight plain ints; its events are appended to `out` in order."""
        floor = self._floor
        floor.out = out
        time_ns = row[1]
        handler = HANDLERS.get(row[0] & CODE_MASK)
        if handler is None or not _is_command(row[0]):
            refused(floor, row, Refusal.UNKNOWN_COMMAND)
            return
        if time_ns < floor.time_ns:
            refused(floor, row, Refusal.TIME_BACKWARDS)
            return
        if time_ns > TIME_MAX_NS:
            refused(floor, row, Refusal.VALUE_OUT_OF_RANGE)
            return
        end_due_breakers(floor, time_ns)
        floor.now = floor.time_ns = time_ns
        if any(row[word] for word in UNUSED_WORDS[row[0] & CODE_MASK]):
            refusal: Refusal | None = Refusal.UNUSED_WORD_NOT_ZERO
        else:
            refusal = handler(floor, row)
        if refusal is not None:
            refused(floor, row, refusal)
        work_stops(floor)
        note_sides(floor)
        say_indicative(floor)

    def best_bid(self, contract: int) -> int:
        """The highest price bid, in ticks; 0 if none. Raises KeyError for a contract that is not listed."""
        return self._view(contract).best_bid

    def best_ask(self, contract: int) -> int:
        """The lowest price offered, in ticks; 0 if none. Raises KeyError for a contract that is not listed."""
        return self._view(contract).best_ask

    def last(self, contract: int) -> int:
        """The last trade's price in ticks; 0 before the first. Raises KeyError for a contract that is not listed."""
        return self._view(contract).last_ticks

    def limits(self, contract: int) -> tuple[int, int]:
        """(lower, upper) price limit in ticks. Raises KeyError for a contract that is not listed."""
        return self._view(contract).limits

    def book(self, contract: int) -> PlainView:
        """A view of one contract's market, which stays true as it changes. Raises Malformed for a contract not listed."""
        if contract not in self._floor.markets:
            raise Malformed("contract", found=contract, expected=f"one of {list(self._floor.markets)}",
                            remedy="Ask for a contract by its number.")  # fmt: skip
        return self._view(contract)

    def snapshot(self) -> dict[str, NDArray[np.int64]]:
        """The whole state as named int64 matrices (their columns: `exchange.state`)."""
        return parts_of(self._floor)

    def restore(self, parts: Mapping[str, NDArray[np.int64]]) -> None:
        """Take on the state of a snapshot. Raises Malformed, and then changes nothing."""
        self._floor = floor_of(self._contracts, self._floor.room, parts, everyone=self._floor.everyone)

    def state_hash(self) -> str:
        """The fingerprint of the whole state, 32 hexadecimal characters."""
        return state_hash(self.snapshot())

    def _view(self, contract: int) -> PlainView:
        def find() -> Market:
            return self._floor.markets[contract]

        return PlainView(find)


def _is_command(kind: int) -> bool:
    """Whether a kind word has only flags and a reason that are its command's."""
    code = kind & CODE_MASK
    flags, reason = kind >> FLAG_SHIFT & FLAG_MASK, kind >> REASON_SHIFT
    most = EFFECT_MAX if code == ExchangeCommand.ORDER else 0
    return flags & ~FLAGS_MAX.get(ExchangeCommand(code), 0) == 0 and 0 <= reason <= most
