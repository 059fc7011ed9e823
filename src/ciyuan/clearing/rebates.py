"""Market makers' rebates against obligations that are measured (§7.3).

A maker is looked at from time to time: PRESENCE says whether, at that moment and in that contract, its quotes met the
obligation (spread and size, which the venue sees in the book). Who met it in at least `presence_bp` of the day's
looks is given back `rebate_lot_micro` for each lot that it filled as a maker, as far as the day's fees go: its FEE is
the less. Each settlement counts anew.
"""

from collections.abc import Mapping

from ciyuan.clearing.books import Answer, Books, Command, Handler, Out, say
from ciyuan.clearing.margin import BP
from ciyuan.clearing.messages import ClearingCommand, ClearingEvent, ClearingRefusal, MemberRole, Reason
from ciyuan.clearing.positions import Member


class Rebates:
    """The handler of PRESENCE, and the day's rebates."""

    def __init__(self, books: Books) -> None:
        self._books = books
        self.handlers: Mapping[int, Handler] = {ClearingCommand.PRESENCE: self._presence}

    def _presence(self, row: Command, out: Out) -> Answer:
        """PRESENCE: one look at a maker's quotes."""
        member = self._books.members.get(row[2])
        if member is None:
            return ClearingRefusal.UNKNOWN_MEMBER
        if row[3] not in self._books.markets:
            return ClearingRefusal.UNKNOWN_CONTRACT
        if member.role != MemberRole.MAKER:
            return ClearingRefusal.NOT_PERMITTED
        if row[4] not in (0, 1):
            return ClearingRefusal.SETTING_UNKNOWN
        member.looks += 1
        member.looks_met += row[4]
        return None

    def give(self, out: Out, time_ns: int, day: int) -> None:
        """Give every maker that met its obligation its rebate, and begin to count anew."""
        for member in self._books.members_looked_at():
            rebate = self._rebate_micro(member)
            if rebate:
                member.accrued_micro -= rebate
                words = (member.number, rebate, member.looks_met, member.looks, member.maker_lots, day)
                say(out, ClearingEvent.REBATED, Reason.REBATE, time_ns, words)
            member.looks = member.looks_met = 0

    def _rebate_micro(self, member: Member) -> int:
        terms = self._books.terms.maker
        if member.looks_met * BP < terms.presence_bp * member.looks:
            return 0
        return min(terms.rebate_lot_micro * member.maker_lots, member.accrued_micro)
