"""The waterfall (§10.3): who pays what a member in default owes, once all its positions are closed and settled.

| layer | has | its members share |
|---|---|---|
| MARGIN | the defaulter's cash, and what its collateral brings | |
| OWN_FUND | the defaulter's share of the default fund | |
| CAPITAL | the clearing house's own money | |
| OTHERS_FUND | the shares of the members not in default | pro rata to them |
| ASSESSMENT | `assessment_bp` of each such share, as it was before the loss | pro rata to these caps |

A layer is touched when those before it are spent. Parts are whole micro-dollars and sum exactly (`shares.py`). What no
layer pays is nobody's debt any more: it stays in the receivables account, and is counted as not covered.

Each use is a row of the ledger, into receivables, out of which the defaulter's losses were lent. An assessment takes a
member's cash only as far as that is more than its requirement, so that no survivor's margin is touched; the rest
of it is lent, owed, and called for like any other debt.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ciyuan.clearing.books import Books, Out, say
from ciyuan.clearing.cashier import Cashier
from ciyuan.clearing.margin import BP
from ciyuan.clearing.messages import ClearingEvent, Layer, Reason, Standing
from ciyuan.clearing.positions import Member
from ciyuan.clearing.shares import pro_rata

Realise = Callable[[Member, int, Out], None]
"""Turns a defaulter's collateral into cash of its account, at a time: `collateral.py` knows how."""


@dataclass(frozen=True, slots=True)
class Covered:
    """What one payer of a layer pays of a loss, in micro-units; payer 0 is the house."""

    layer: Layer
    payer: int
    amount_micro: int


def layers(
    loss: int,
    margin: int,
    own_fund: int,
    capital: int,
    others: Sequence[tuple[int, int]],
    cap_bp: int,
    defaulter: int = 0,
) -> tuple[list[Covered], int]:
    """Share a loss out over the layers, in order; returns what each payer pays, and what nobody does. All in micro-units.

    `others` are the other members' numbers, rising, and shares of the fund before the loss; `cap_bp` caps an assessment as
    a part of the share. Payments of zero are left out. `defaulter` is the payer of the first two layers.
    """
    plan: tuple[tuple[Layer, Sequence[tuple[int, int]]], ...] = (
        (Layer.MARGIN, ((defaulter, margin),)),
        (Layer.OWN_FUND, ((defaulter, own_fund),)),
        (Layer.CAPITAL, ((0, capital),)),
        (Layer.OTHERS_FUND, others),
        (Layer.ASSESSMENT, [(number, share * cap_bp // BP) for number, share in others]),
    )
    paid: list[Covered] = []
    for layer, holders in plan:
        held = [amount for _, amount in holders]
        parts = pro_rata(min(loss, sum(held)), held)
        paid += [
            Covered(layer, number, part) for (number, _), part in zip(holders, parts, strict=True) if part
        ]
        loss -= sum(parts)
    return paid, loss


class Waterfall:
    """Covers a defaulter's loss, and closes its default."""

    def __init__(self, books: Books, realise: Realise) -> None:
        self._books, self._realise = books, realise

    def fall(self, out: Out, time_ns: int, member: Member) -> list[Member]:
        """Share out what a defaulter owes, in one chain; returns the members that were assessed."""
        self._realise(member, time_ns, out)
        books, day = self._books, self._books.margin_day
        loss, others = member.owed_micro, self._others()
        cashier = Cashier(books, time_ns, day, out)
        margin = min(loss, max(0, cashier.available(member.cash)))
        capital = max(0, cashier.available(books.terms.house.capital))
        shares = [(other.number, other.fund_micro) for other in others]
        cap_bp = books.terms.default.assessment_bp
        paid, uncovered = layers(loss, margin, member.fund_micro, capital, shares, cap_bp, member.number)
        assessed = sum(each.amount_micro for each in paid if each.layer == Layer.ASSESSMENT)
        most = {number: share * cap_bp // BP for number, share in shares}
        left = loss
        for each in paid:
            left -= each.amount_micro
            self._pay(cashier, member, each)
            if each.layer == Layer.ASSESSMENT:
                words = (each.payer, each.amount_micro, member.number, assessed, most[each.payer], day)
                say(out, ClearingEvent.ASSESSED, Reason.WATERFALL, time_ns, words)
            words = (member.number, each.layer, each.payer, each.amount_micro, left, day)
            say(out, ClearingEvent.LOSS_COVERED, Reason.WATERFALL, time_ns, words)
        self._return_share(cashier, member, out, time_ns)
        cashier.settle()
        self._end(out, time_ns, member, loss, uncovered)
        return [books.members[each.payer] for each in paid if each.layer == Layer.ASSESSMENT]

    def _others(self) -> list[Member]:
        """The members that are not in default and have a share of the fund."""
        members = self._books.members_in_order()
        return [member for member in members if member.fund_micro and not member.is_in_default]

    def _pay(self, cashier: Cashier, defaulter: Member, each: Covered) -> None:
        """Add the step that brings one payment into receivables, and lower the defaulter's debt by it."""
        house, amount = self._books.terms.house, each.amount_micro
        if each.layer == Layer.MARGIN:
            cashier.take_back(defaulter)
            return
        if each.layer == Layer.CAPITAL:
            cashier.move(Reason.WATERFALL, house.capital, house.receivables, amount)
        elif each.layer == Layer.ASSESSMENT:
            payer = self._books.members[each.payer]
            cashier.assess(payer, amount, self._books.excess_micro(payer))
        else:
            self._books.members[each.payer].fund_micro -= amount
            cashier.move(Reason.WATERFALL, house.default_fund, house.receivables, amount)
        defaulter.owed_micro -= amount

    def _return_share(self, cashier: Cashier, member: Member, out: Out, time_ns: int) -> None:
        """Pay back what is left of the defaulter's share of the fund."""
        share = member.fund_micro
        if share:
            cashier.move(Reason.WATERFALL, self._books.terms.house.default_fund, member.cash, share)
            member.fund_moved_micro -= share
            member.fund_micro = 0
            words = (member.number, -share, 0, 0, 0, self._books.margin_day)
            say(out, ClearingEvent.FUND_MOVED, Reason.WATERFALL, time_ns, words)

    def _end(self, out: Out, time_ns: int, member: Member, loss: int, uncovered: int) -> None:
        """The default is over: nobody owes what nobody covered."""
        self._books.uncovered_micro += uncovered
        member.owed_micro -= uncovered
        member.called_micro = member.deadline_ns = 0
        member.standing = Standing.CLOSED_OUT
        words = (member.number, loss, uncovered, 0, 0, self._books.margin_day)
        say(out, ClearingEvent.CLOSED_OUT, Reason.WATERFALL, time_ns, words)
