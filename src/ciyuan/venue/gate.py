"""The gate between the exchange and the clearing house: what each must know of the other, told at once.

The exchange admits orders itself, by what the clearing house says of accounts and contracts (docs/spec/exchange.md, 41 to 46):

| row | says | when |
|---|---|---|
| ACCOUNT | role, permissions, orders a second | a member has joined |
| CREDIT | equity and what open spot buys may still cost; for a spot sell the lots of receipts | before each ORDER and AMEND |
| RISK | margin and fee of a lot, position limits | they differ from what was told last |
| POSITION | flat | a contract was finally settled |
| TICK | the time | a breaker's auction ends, before whatever the venue hears next |

The last one so that an auction is held in its place among all that the venue does, not at the exchange's next row. The SET that
answers such a row is nobody else's affair, and is not said. What the exchange says goes to the clearing house event by event.

A row costs a call of the exchange, whose kernel takes a matrix; so the credit goes in one matrix with its order, and with the
cancels before it, which change no credit: unless the order holds what a better price has saved.
"""

from collections.abc import Callable, Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from ciyuan.basics.errors import InvariantBroken
from ciyuan.basics.rows import CODE_MASK, FLAG_SHIFT, INT64_MAX, KIND, REASON_SHIFT, ROW_WORDS, TIME, Row
from ciyuan.clearing.machine import ClearingHouse
from ciyuan.clearing.messages import ClearingEvent, ClearingFlag, MemberRole, Risk
from ciyuan.exchange.contract import Contract, ContractKind
from ciyuan.exchange.machine import Exchange
from ciyuan.exchange.messages import (
    CONTRACT_MASK,
    AccountFlag,
    ExchangeCommand,
    ExchangeEvent,
    OrderFlag,
    Permission,
    account_row,
    position_row,
    risk_row,
    tick_row,
)
from ciyuan.exchange.state import CONTRACT_COLUMNS, EXPOSURE_MAX
from ciyuan.venue.books import Out

ORDER, AMEND, CANCEL, CREDIT = map(
    int, (ExchangeCommand.ORDER, ExchangeCommand.AMEND, ExchangeCommand.CANCEL, ExchangeCommand.CREDIT)
)
ADMITTED = frozenset({ORDER, AMEND})
"""What the exchange admits, or not."""
FILLED, SESSION_CHANGED, SET = map(
    int, (ExchangeEvent.FILLED, ExchangeEvent.SESSION_CHANGED, ExchangeEvent.SET)
)
SELLS = int(OrderFlag.SIDE_SELL) << FLAG_SHIFT
FINAL = int(ClearingFlag.FINAL) << FLAG_SHIFT
TOLD = (ExchangeCommand.ACCOUNT, ExchangeCommand.CREDIT, ExchangeCommand.RISK, ExchangeCommand.POSITION)
"""What the venue says to the exchange, and nobody else."""
RENEWING = frozenset(
    map(
        int,
        (ExchangeCommand.SESSION, ExchangeCommand.CLOSE_DAY, ExchangeCommand.NOTICE, ExchangeCommand.REDUCE),
    )
)
"""After these the clearing house may ask more or less of a lot."""
TOLD_CODES = frozenset(map(int, TOLD))
NO_RISK = Risk()
CREDIT_MAX = 2**62
"""Credit is told from -2**62 to 2**62 micro-units."""
OnTrade = Callable[[Sequence[int], Out], None]


class Gate:
    """Hands rows to an exchange and its events to a clearing house. `on_trade` hears each NOVATED event."""

    def __init__(
        self, contracts: Iterable[Contract], exchange: Exchange, clearing: ClearingHouse, on_trade: OnTrade
    ) -> None:
        self._exchange = exchange
        self._clearing = clearing
        self._on_trade = on_trade
        self._spot = frozenset(
            contract.number for contract in contracts if contract.kind == ContractKind.SPOT
        )
        self._orders_per_second_max = clearing.orders_per_second_max
        self._told: dict[int, Risk] = {}
        self._due: dict[int, int] = {}
        self._rows = np.zeros((16, ROW_WORDS), dtype=np.int64)
        self.next_due_ns = INT64_MAX
        """When the next breaker's auction ends: before the venue does anything at that time or later, `ring` comes."""

    def restore(self, contracts: NDArray[np.int64]) -> None:
        """Go on from the exchange's contracts (`CONTRACT_COLUMNS`): what was told of each, and when its auction is due."""
        number, due, *risk = (
            CONTRACT_COLUMNS.index(name)
            for name in ("number", "due_ns", "margin_lot_micro", "fee_lot_micro", "limit_lots", "hedger_limit_lots", "share_bp")
        )  # fmt: skip
        rows = contracts.tolist()
        self._told = {row[number]: Risk(*(row[column] for column in risk)) for row in rows}
        self._due = {row[number]: row[due] for row in rows if row[due]}
        self.next_due_ns = min(self._due.values(), default=INT64_MAX)

    def apply(self, rows: NDArray[np.int64], out: Out) -> None:
        """Hand over a run of the exchange's commands, in order of time."""
        first = 0
        for place, row in enumerate(rows.tolist()):
            code, credit = row[0] & CODE_MASK, None
            if row[1] >= self.next_due_ns:
                self._pass(rows[first:place], None, out)
                first = place
                self.ring(row[1], out)
            if code in ADMITTED:
                credit = self._credit(code, row)
            elif code == CANCEL and not self._clearing.is_saving(row[2], row[3]):
                continue
            self._pass(rows[first : place + 1], credit, out)
            first = place + 1
            if code in RENEWING:
                self.renew(row[1], out)
        self._pass(rows[first:], None, out)

    def ring(self, until_ns: int, out: Out) -> None:
        """Let the breakers' auctions that end at a time or before be held, each at its end."""
        while self.next_due_ns <= until_ns:
            at = self.next_due_ns
            self._send([tick_row(at)], 0, out, unsaid=ExchangeCommand.TICK)
            if self.next_due_ns <= at:
                raise InvariantBroken("an auction is held when it is due", f"the one of {at} ns was not")

    def hear(self, told: Sequence[Row], time_ns: int, out: Out) -> None:
        """Take in what the clearing house said to a command, and tell the exchange what it must know of it."""
        rows: list[Row] = []
        for event in told:
            code = event[0] & CODE_MASK
            if code == ClearingEvent.MEMBER_ADDED:
                rows.append(self._account(event))
            elif code == ClearingEvent.VARIATION and event[0] & FINAL and event[5]:
                rows.append(position_row(time_ns, event[2], event[3], 0, 0))
        self._send(rows, len(rows), out)
        self.renew(time_ns, out)

    def renew(self, time_ns: int, out: Out) -> None:
        """Tell the exchange what is asked of a lot, of each contract of which that has changed."""
        rows: list[Row] = []
        for number in self._clearing.contracts:
            risk = self._clearing.risk(number)
            if risk != self._told.get(number, NO_RISK):
                self._told[number] = risk
                rows.append(_risk(time_ns, number, risk))
        self._send(rows, len(rows), out)

    # --- what the clearing house says ---

    def _account(self, event: Sequence[int]) -> Row:
        _, time_ns, number, _, _, permissions, role, _ = event
        return account_row(
            time_ns,
            number,
            flags=AccountFlag.HEDGER if role == MemberRole.HEDGER else AccountFlag(0),
            orders_per_second_max=self._orders_per_second_max,
            permissions=Permission(permissions),
        )

    def _credit(self, code: int, row: Sequence[int]) -> tuple[int, int, int] | None:
        """What backs an ORDER or AMEND row's account, as (account, contract, amount) of a CREDIT row; None of who is no member.

        It is its money (contract 0), or for a spot sell its receipts.
        """
        account, clearing = row[2], self._clearing
        if not clearing.is_member(account):
            return None
        if code == ORDER:
            contract, sells = row[4] & CONTRACT_MASK, row[0] & SELLS != 0
        else:
            contract, sells = clearing.spot_order(account, row[3]) or (0, False)
        if sells and contract in self._spot:
            return account, contract, min(clearing.receipts_lots(account, contract), EXPOSURE_MAX)
        return account, 0, max(-CREDIT_MAX, min(clearing.credit_micro(account), CREDIT_MAX))

    # --- what the exchange says ---

    def _pass(self, rows: NDArray[np.int64], credit: tuple[int, int, int] | None, out: Out) -> None:
        """Hand over rows from outside; of the last one's account a CREDIT goes before them."""
        count = len(rows)
        if credit is None:
            if count:
                self._hear(self._exchange.apply(rows).tolist(), 0, out)
            return
        if count >= len(self._rows):
            self._rows = np.zeros((2 * count, ROW_WORDS), dtype=np.int64)
        batch = self._rows[: count + 1]
        batch[1:] = rows
        front = batch[0]
        front[KIND], front[TIME] = CREDIT, rows[0, TIME]
        front[2], front[3], front[4] = credit
        self._hear(self._exchange.apply(batch).tolist(), 1, out)

    def _send(self, rows: Sequence[Row], told: int, out: Out, unsaid: int = 0) -> None:
        """Hand over the venue's own rows, of which `told` are the clearing house's word; the answer to `unsaid` is not said."""
        if rows:
            self._hear(self._exchange.apply(np.array(rows, dtype=np.int64)).tolist(), told, out, unsaid)

    def _hear(self, events: list[Row], told: int, out: Out, unsaid: int = 0) -> None:
        """Let everybody hear what the exchange said but for its answers to what it was told."""
        hearers = self._clearing.hearers
        for event in events:
            code = event[0] & CODE_MASK
            if code == SET:
                of = event[0] >> REASON_SHIFT
                told -= of in TOLD_CODES
                if of in TOLD_CODES or of == unsaid:
                    continue
            out.append(event)
            hearer = hearers.get(code)
            if hearer is not None:
                before = len(out)
                hearer(event, out)
                if code == FILLED and len(out) > before:
                    self._on_trade(out[before], out)
                elif code == SESSION_CHANGED:
                    self._note_due(event)
        if told:
            raise InvariantBroken("the exchange takes what the clearing house says", f"it answered {events}")

    def _note_due(self, event: Sequence[int]) -> None:
        """A contract's breaker has begun an auction that ends at a time, or (0) there is none any more."""
        self._due[event[2]] = event[7] or INT64_MAX
        self.next_due_ns = min(self._due.values())


def _risk(time_ns: int, number: int, risk: Risk) -> Row:
    return risk_row(
        time_ns,
        number,
        margin_lot_micro=risk.margin_lot_micro,
        fee_lot_micro=risk.fee_lot_micro,
        limit_lots=risk.limit_lots,
        hedger_limit_lots=risk.hedger_limit_lots,
        share_bp=risk.share_bp,
    )
