"""The gate between the exchange and the clearing house: what each must know of the other, told at once.

The exchange admits orders itself, by what the clearing house says of accounts and contracts (docs/spec/exchange.md, 41 to 46):

| row | says | when |
|---|---|---|
| ACCOUNT | role, permissions, orders a second | a member has joined; none, when it is in default, but around its slices |
| CREDIT | equity and what open spot buys may still cost; for a spot sell the lots of receipts | before each ORDER and AMEND |
| RISK | margin and fee of a lot, position limits | they differ from what was told last |
| POSITION | what is held now | a contract was settled or delivered; a position passed from a defaulter to another (§10.2) |
| KILL, MASS_CANCEL | no new risk, no orders | a member is in default (§10.1) |
| MASS_CANCEL | no orders | at each session, of a member in default: a state may have taken no cancels; not said if nothing ends |
| ORDER | a slice of a defaulter's position, fill and kill | the clearing house says SLICED (§10.1) |
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
from ciyuan.basics.rows import (
    CODE_MASK,
    FLAG_SHIFT,
    INT64_MAX,
    KIND,
    REASON_SHIFT,
    ROW_WORDS,
    TIME,
    Row,
)
from ciyuan.clearing.machine import ClearingHouse
from ciyuan.clearing.messages import (
    SELF_TRADE_SHIFT,
    ClearingEvent,
    ClearingFlag,
    MemberFlag,
    MemberRole,
    Risk,
    review_row,
)
from ciyuan.exchange.contract import Contract, ContractKind
from ciyuan.exchange.machine import Exchange
from ciyuan.exchange.messages import (
    CONTRACT_MASK,
    AccountFlag,
    Effect,
    ExchangeCommand,
    ExchangeEvent,
    OrderFlag,
    Permission,
    SelfTrade,
    Side,
    account_row,
    kill_row,
    mass_cancel_row,
    order_row,
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
SESSION = int(ExchangeCommand.SESSION)
FILLED, SESSION_CHANGED, SET = map(
    int, (ExchangeEvent.FILLED, ExchangeEvent.SESSION_CHANGED, ExchangeEvent.SET)
)
SELLS = int(OrderFlag.SIDE_SELL) << FLAG_SHIFT
FINAL, OF_HEDGE, SELLER_OF_HEDGE, TODAY = (
    int(flag) << FLAG_SHIFT
    for flag in (ClearingFlag.FINAL, ClearingFlag.HEDGE, ClearingFlag.SELLER_HEDGE, ClearingFlag.TODAY)
)
TOLD = (ExchangeCommand.ACCOUNT, ExchangeCommand.CREDIT, ExchangeCommand.RISK, ExchangeCommand.POSITION)
"""What the venue says to the exchange, and nobody else."""
RENEWING = frozenset(
    map(
        int,
        (ExchangeCommand.SESSION, ExchangeCommand.CLOSE_DAY, ExchangeCommand.NOTICE, ExchangeCommand.REDUCE),
    )
)
"""After these the clearing house may ask more or less of a lot."""
NOTHING_CANCELLED, CANCELLED_ORDERS = int(ExchangeEvent.MASS_CANCELLED), 4
"""As `unsaid`: a mass cancel by which no order ended; and the word that says how many did."""
TOLD_CODES = frozenset(map(int, TOLD))
TELLING = np.array(sorted(TOLD_CODES), dtype=np.int64)
FEW = 24
"""So few events are heard one by one: a call of the clearing house's loop costs more."""
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
        listed = tuple(contracts)
        self._spot = frozenset(contract.number for contract in listed if contract.kind == ContractKind.SPOT)
        self._orders_in = {
            contract.number: [of.number for of in listed if contract.number in (of.number, of.near, of.far)]
            for contract in listed
        }
        """The contracts whose orders trade in a contract: itself, and its spreads."""
        self._orders_per_second_max = clearing.orders_per_second_max
        self._told: dict[int, Risk] = {}
        self._due: dict[int, int] = {}
        self._rows = np.zeros((16, ROW_WORDS), dtype=np.int64)
        self._traded = False
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
            if code == SESSION:
                self._clear_defaulters(row[1], out)
            self._review(row[1], out)
        self._pass(rows[first:], None, out)

    def ring(self, until_ns: int, out: Out) -> None:
        """Let the breakers' auctions that end at a time or before be held, each at its end."""
        while self.next_due_ns <= until_ns:
            at = self.next_due_ns
            self._send([tick_row(at)], 0, out, unsaid=ExchangeCommand.TICK)
            self._review(at, out)
            if self.next_due_ns <= at:
                raise InvariantBroken("an auction is held when it is due", f"the one of {at} ns was not")

    def _review(self, time_ns: int, out: Out) -> None:
        """Where a trade has moved a price far enough, margin is worked out anew at once (§6.4); a slice's trade is one too."""
        while self._traded and self._clearing.is_review_due:
            before, self._traded = len(out), False
            self._clearing.apply_one(review_row(time_ns), out)
            self._take_in(out[before:], time_ns, out)
        self._traded = False

    def hear(self, told: Sequence[Row], time_ns: int, out: Out) -> None:
        """Take in what the clearing house said to a command, and tell the exchange what it must know of it."""
        self._take_in(told, time_ns, out)
        self._review(time_ns, out)

    def _take_in(self, told: Sequence[Row], time_ns: int, out: Out) -> None:
        for event in told:
            code = event[0] & CODE_MASK
            if code == ClearingEvent.MEMBER_ADDED:
                self._send([self._account(time_ns, event[2])], 1, out)
            elif code == ClearingEvent.VARIATION and event[0] & FINAL:
                self._place(time_ns, event[2], event[3], int(event[0] & OF_HEDGE != 0), out)
            elif code == ClearingEvent.TRANSFERRED:
                for account, flag in zip(event[2:4], (OF_HEDGE, SELLER_OF_HEDGE), strict=True):
                    self._place(time_ns, account, event[4], int(event[0] & flag != 0), out)
            elif code == ClearingEvent.DEFAULTED:
                off, cancel = (
                    self._account(time_ns, event[2], trades=False),
                    mass_cancel_row(time_ns, event[2]),
                )
                self._send([kill_row(time_ns, event[2], on=True), off, cancel], 1, out)
            elif code == ClearingEvent.SLICED:
                on, off = (self._account(time_ns, event[2], trades=trades) for trades in (True, False))
                self._send([on, self._slice(time_ns, event), off], 2, out)
        self.renew(time_ns, out)

    def _place(self, time_ns: int, account: int, contract: int, hedge: int, out: Out) -> None:
        """Tell what an account holds of a contract now, hedging or not; what it was to close in it is another matter, and ends.

        Nothing of it depends on whether the clearing house keeps a position that is empty: a snapshot does not. The account's
        other position is not told: the exchange would take its lots of today for lots of earlier days.
        """
        if self._clearing.is_gross(account):
            self._send([mass_cancel_row(time_ns, account, of) for of in self._orders_in[contract]], 0, out)
        held = {at.hedge: at for at in self._clearing.positions(account, contract)}
        at = held.get(hedge)
        lots = (at.long, at.short, at.long_cost - at.short_cost) if at else (0, 0, 0)
        self._send([position_row(time_ns, account, contract, *lots, hedge=hedge != 0)], 1, out)

    def _clear_defaulters(self, time_ns: int, out: Out) -> None:
        """Cancel what a member in default has left standing, because the state at its default took no cancels (§10.1)."""
        rows = [mass_cancel_row(time_ns, number) for number in self._clearing.in_default]
        self._send(rows, 0, out, unsaid=NOTHING_CANCELLED)

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

    def _slice(self, time_ns: int, event: Sequence[int]) -> Row:
        """The order that closes a slice of a defaulter's position (§10.1): as far as it fills at once."""
        _, _, account, contract, lots, limit_ticks, order_id, _ = event
        effect = Effect.NET
        if self._clearing.is_gross(account):
            effect = Effect.CLOSE_TODAY if event[0] & TODAY else Effect.CLOSE
            effect |= Effect.HEDGE if event[0] & OF_HEDGE else Effect.NET
        side = Side.SELL if lots < 0 else Side.BUY
        return order_row(
            time_ns,
            account,
            order_id,
            contract,
            side,
            limit_ticks,
            abs(lots),
            kind=OrderFlag.FAK,
            effect=effect,
        )

    def _account(self, time_ns: int, number: int, *, trades: bool = True) -> Row:
        """What the exchange must know of a member. One in default `trades` nothing but slices of its positions, at any rate."""
        settings, permissions, role = self._clearing.membership(number)
        return account_row(
            time_ns,
            number,
            flags=account_flags(settings, role),
            self_trade=SelfTrade((settings & MemberFlag.SELF_TRADE) >> SELF_TRADE_SHIFT),
            orders_per_second_max=0 if self._clearing.is_in_default(number) else self._orders_per_second_max,
            permissions=Permission(permissions if trades else 0),
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
        buys_receipts = contract in self._spot
        credit = clearing.spot_credit_micro(account) if buys_receipts else clearing.credit_micro(account)
        return account, 0, max(-CREDIT_MAX, min(credit, CREDIT_MAX))

    # --- what the exchange says ---

    def _pass(self, rows: NDArray[np.int64], credit: tuple[int, int, int] | None, out: Out) -> None:
        """Hand over rows from outside; of the last one's account a CREDIT goes before them."""
        count = len(rows)
        if credit is None:
            if count:
                self._hear(self._exchange.apply(rows), 0, out)
            return
        if count >= len(self._rows):
            self._rows = np.zeros((2 * count, ROW_WORDS), dtype=np.int64)
        batch = self._rows[: count + 1]
        batch[1:] = rows
        front = batch[0]
        front[KIND], front[TIME] = CREDIT, rows[0, TIME]
        front[2], front[3], front[4] = credit
        self._hear(self._exchange.apply(batch), 1, out)

    def _send(self, rows: Sequence[Row], told: int, out: Out, unsaid: int = 0) -> None:
        """Hand over the venue's own rows, of which `told` are the clearing house's word; the answer to `unsaid` is not said."""
        if rows:
            self._hear(self._exchange.apply(np.array(rows, dtype=np.int64)), told, out, unsaid)

    def _hear(self, events: NDArray[np.int64], told: int, out: Out, unsaid: int = 0) -> None:
        """Let everybody hear what the exchange said but for its answers to what it was told."""
        if len(events) > FEW:
            self._hear_many(events, told, out, unsaid)
            return
        hearers = self._clearing.hearers
        for event in events.tolist():
            code = event[0] & CODE_MASK
            if code == SET:
                of = event[0] >> REASON_SHIFT
                told -= of in TOLD_CODES
                if of in TOLD_CODES or of == unsaid:
                    continue
            elif code == unsaid and not event[CANCELLED_ORDERS]:
                continue
            out.append(event)
            hearer = hearers.get(code)
            if hearer is not None:
                before = len(out)
                hearer(event, out)
                if code == FILLED and len(out) > before:
                    self._traded = True
                    self._on_trade(out[before], out)
                elif code == SESSION_CHANGED:
                    self._note_due(event)
        _see_told(told)

    def _hear_many(self, events: NDArray[np.int64], told: int, out: Out, unsaid: int) -> None:
        """The same, of many events at once: the clearing house's loop takes them in, and its words go where it said them."""
        codes, of = events[:, KIND] & CODE_MASK, events[:, KIND] >> REASON_SHIFT
        answers = (codes == SET) & np.isin(of, TELLING)
        nothing = (codes == unsaid) & (events[:, CANCELLED_ORDERS] == 0)
        heard = events[~(answers | ((codes == SET) & (of == unsaid)) | nothing)]
        said, after = self._clearing.hear(heard)
        place, novated, places = 0, said.tolist(), after.tolist()
        for row, event in enumerate(heard.tolist(), start=1):
            out.append(event)
            if event[0] & CODE_MASK == SESSION_CHANGED:
                self._note_due(event)
            while place < len(places) and places[place] == row:
                out.append(novated[place])
                if event[0] & CODE_MASK == FILLED:
                    self._traded = True
                    self._on_trade(novated[place], out)
                place += 1
        _see_told(told - int(answers.sum()))

    def _note_due(self, event: Sequence[int]) -> None:
        """A contract's breaker has begun an auction that ends at a time, or (0) there is none any more."""
        self._due[event[2]] = event[7] or INT64_MAX
        self.next_due_ns = min(self._due.values())


def _see_told(told: int) -> None:
    """Raise InvariantBroken if the exchange has not taken all that it was told."""
    if told:
        raise InvariantBroken(
            "the exchange takes what the clearing house says", f"it did not take {told} rows"
        )


def account_flags(settings: int, role: int) -> AccountFlag:
    """What the exchange must know of a member's settings and role, beside its self-trade prevention."""
    pairs = (
        (AccountFlag.GROSS, settings & MemberFlag.GROSS),
        (AccountFlag.CANCEL_ON_DISCONNECT, settings & MemberFlag.CANCEL_ON_DISCONNECT),
        (AccountFlag.HEDGER, role == MemberRole.HEDGER),
    )
    return AccountFlag(sum(flag for flag, holds in pairs if holds))


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
