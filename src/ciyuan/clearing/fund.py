"""The default fund (§10.4): sized to the two largest stressed losses over margin, shared by requirement, moved at
each settlement.

| quantity | is |
|---|---|
| size | of all stressed scenarios the worst sum of the two largest losses beyond the members' requirements; 0 without a model |
| share due | max(`least_micro`, size x requirement / requirements of all, rounded up); 0 without a requirement |
| moved | share due - share held, if that is more than `slack_bp` of the share due; nothing back while a default is being closed |

A member in default keeps its share until its loss is known; the others share the size among themselves. A share that a
member cannot pay is lent to it like any other shortfall. Requirements are those before the day's new prices: the chain
that moves the shares is the one that settles the day.
"""

from collections.abc import Sequence

import numpy as np

from ciyuan.basics.money import div_ceil
from ciyuan.clearing.books import Books, Out, say
from ciyuan.clearing.cashier import Cashier
from ciyuan.clearing.margin import BP
from ciyuan.clearing.messages import ClearingEvent, Reason
from ciyuan.clearing.positions import Member
from ciyuan.clearing.scenario_margin import two_largest

Sized = tuple[int, int, int, int, int]
"""Size, the member of the largest loss beyond its requirement, that loss, the member of the second, its loss."""


class Fund:
    """Sizes the fund and moves the members' shares."""

    def __init__(self, books: Books) -> None:
        self._books = books

    @property
    def is_on(self) -> bool:
        """Whether there is anything to size or to move: a least share, a model, or shares that are held."""
        books = self._books
        on = books.terms.fund.least_micro > 0 or books.model is not None
        return on or books.teller.ledger.posted(books.terms.house.default_fund) != 0

    def move(self, cashier: Cashier, out: Out, time_ns: int, day: int) -> None:
        """Size the fund and add the steps that bring each member's share to what is due."""
        if not self.is_on:
            return
        members = self._books.members_in_order()
        sized = self._size(members)
        due = self._due(sized[0], members)
        if sized[0] or any(due) or any(member.fund_micro for member in members):
            say(out, ClearingEvent.FUND_SIZED, Reason.DEFAULT_FUND, time_ns, (*sized, day))
        for member, share in zip(members, due, strict=True):
            change = share - member.fund_micro
            if change < 0 and self._books.closeouts:
                continue
            if abs(change) * BP > self._books.terms.fund.slack_bp * share:
                self._move_share(cashier, member, change)
                words = (member.number, change, member.fund_micro, share, 0, day)
                say(out, ClearingEvent.FUND_MOVED, Reason.DEFAULT_FUND, time_ns, words)

    def _move_share(self, cashier: Cashier, member: Member, change: int) -> None:
        account = self._books.terms.house.default_fund
        if change > 0:
            cashier.collect(Reason.DEFAULT_FUND, member, change, account)
        else:
            cashier.move(Reason.DEFAULT_FUND, account, member.cash, -change)
        member.fund_micro += change
        member.fund_moved_micro += change

    def _due(self, size: int, members: Sequence[Member]) -> list[int]:
        """Each member's share: by requirement, the least one at least; who is in default keeps what it has."""
        asked = [0 if member.is_in_default else member.requirement_micro for member in members]
        due = shares_due(size, asked, self._books.terms.fund.least_micro)
        return [
            member.fund_micro if member.is_in_default else share
            for member, share in zip(members, due, strict=True)
        ]

    def _size(self, members: Sequence[Member]) -> Sized:
        """Cover 2: the two largest stressed losses beyond requirements, and whose they are."""
        model = self._books.model
        if model is None or not members:
            return 0, 0, 0, 0, 0
        lots = self._books.net_lots(members, self._books.model_contracts)
        covered = [member.requirement_micro for member in members]
        worst = two_largest(lots, model, np.array(covered, dtype=np.int64))
        moves, values = model.stressed_ticks[worst.scenario].tolist(), model.tick_value_micro.tolist()

        def beyond(place: int) -> tuple[int, int]:
            """A member's number and its loss beyond its requirement in the scenario; none, none for no member."""
            if place < 0:
                return 0, 0
            lost = -sum(
                x * move * value for x, move, value in zip(lots[place].tolist(), moves, values, strict=True)
            )
            return members[place].number, lost - covered[place]

        first, second = beyond(worst.first), beyond(worst.second)
        return first[1] + second[1], *first, *second


def shares_due(size_micro: int, requirements_micro: Sequence[int], least_micro: int) -> list[int]:
    """The shares of a fund of this size, in micro-units: by requirement, rounded up, the least one at least; none without one."""
    of_all = sum(requirements_micro)
    return [
        max(least_micro, div_ceil(size_micro * asked, of_all)) if asked else 0 for asked in requirements_micro
    ]
