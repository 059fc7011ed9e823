"""CANCEL, MASS_CANCEL and DISCONNECT in the plain exchange (§3.7)."""

from collections.abc import Sequence

from ciyuan.exchange.messages import AccountFlag, CancelCause, ExchangeEvent, Refusal
from ciyuan.exchange.plain_answer import repeated
from ciyuan.exchange.plain_book import all_in_line, cancel_all
from ciyuan.exchange.plain_floor import Floor
from ciyuan.exchange.plain_state import OPEN
from ciyuan.exchange.session import CANCELLING


def hear_cancel(floor: Floor, row: Sequence[int]) -> Refusal | None:
    """CANCEL."""
    account, order_id = row[2:4]
    if not floor.knows(account):
        return Refusal.UNKNOWN_ACCOUNT
    order = floor.orders.get((account, order_id))
    if order is None:
        return Refusal.UNKNOWN_ORDER
    if order.end == CancelCause.REQUEST:
        repeated(floor, row)
        return None
    if floor.markets[order.contract].state not in CANCELLING:
        return Refusal.WRONG_STATE
    if order.end != OPEN:
        return Refusal.ORDER_NOT_OPEN
    position = floor.position(account, order.contract, order.hedge)
    position.messages += 1
    position.cancels += 1
    cancel_all(floor, [(order, CancelCause.REQUEST)])
    return None


def hear_mass_cancel(floor: Floor, row: Sequence[int]) -> Refusal | None:
    """MASS_CANCEL, of one contract or (0) of all."""
    account, contract = row[2:4]
    if not floor.knows(account):
        return Refusal.UNKNOWN_ACCOUNT
    if contract and contract not in floor.markets:
        return Refusal.UNKNOWN_CONTRACT
    if contract and floor.markets[contract].state not in CANCELLING:
        return Refusal.WRONG_STATE
    _cancel_of(floor, account, contract, CancelCause.MASS_CANCEL)
    return None


def hear_disconnect(floor: Floor, row: Sequence[int]) -> Refusal | None:
    """DISCONNECT."""
    account = row[2]
    if not floor.knows(account):
        return Refusal.UNKNOWN_ACCOUNT
    if floor.account(account).flags & AccountFlag.CANCEL_ON_DISCONNECT:
        _cancel_of(floor, account, 0, CancelCause.DISCONNECT)
    else:
        floor.say(ExchangeEvent.MASS_CANCELLED, account, 0, 0, 0, int(CancelCause.DISCONNECT))
    return None


def _cancel_of(floor: Floor, account: int, contract: int, cause: CancelCause) -> None:
    """Cancel an account's open orders where the state takes cancels; count those and the others."""
    cancelled = left = 0
    for market in floor.markets.values():
        if contract in {0, market.number}:
            own = [order for order in all_in_line(market) if order.account == account]
            if market.state in CANCELLING:
                cancel_all(floor, [(order, cause) for order in own])
                cancelled += len(own)
            else:
                left += len(own)
    floor.say(ExchangeEvent.MASS_CANCELLED, account, contract, cancelled, left, int(cause))
