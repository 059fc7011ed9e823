"""The clearing house's own commands: members, the end of a day, the end of a contract. Refusals in declared order."""

from collections.abc import Callable, Iterator, Sequence

from ciyuan.basics.rows import CODE_MASK, INT64_MAX
from ciyuan.clearing.books import Books, Out, say
from ciyuan.clearing.life import TRADABLE, Turn
from ciyuan.clearing.messages import (
    RULE_MISSING_FIXING,
    ClearingCommand,
    ClearingEvent,
    ClearingRefusal,
    Life,
    MemberRole,
    Permission,
    Reason,
)
from ciyuan.clearing.positions import Market, Member
from ciyuan.clearing.settlement import Settlement, final_reason

ROLES = frozenset(MemberRole)
PERMISSIONS = int(Permission.FUTURES | Permission.SPOT)  # an IntFlag's own ~ knows no other bits
REASON_OF = {
    ClearingCommand.MEMBER: Reason.MEMBERSHIP,
    ClearingCommand.SETTLE_DAY: Reason.VARIATION,
    ClearingCommand.FINAL: Reason.FINAL_SETTLEMENT,
    ClearingCommand.DELIST: Reason.LIFE,
    ClearingCommand.RECEIPTS: Reason.MEMBERSHIP,
    ClearingCommand.COLLECT: Reason.SHORTFALL,
}
"""The rule under which a command is refused or found repeated."""

Command = Sequence[int]
Answer = ClearingRefusal | ClearingEvent | None
"""A refusal, REPEATED, or None: to be done."""


class Commands:
    """Judges commands and has them done."""

    def __init__(self, books: Books) -> None:
        self._books = books
        self._settlement = Settlement(books)
        self._handlers: dict[int, Callable[[Command, Out], Answer]] = {
            ClearingCommand.MEMBER: self._member,
            ClearingCommand.SETTLE_DAY: self._settle_day,
            ClearingCommand.FINAL: self._final,
            ClearingCommand.DELIST: self._delist,
            ClearingCommand.RECEIPTS: self._receipts,
            ClearingCommand.COLLECT: self._collect,
        }

    def apply(self, row: Command, out: Out) -> None:
        """Do one command, or say why not."""
        code = row[0] & CODE_MASK
        handler = self._handlers.get(code)
        answer = handler(row, out) if handler else ClearingRefusal.UNKNOWN_COMMAND
        if answer is None:
            return
        reason = REASON_OF[ClearingCommand(code)] if handler else Reason.RECORD
        if isinstance(answer, ClearingRefusal):
            say(out, ClearingEvent.REFUSED, reason, row[1], (*row[2:7], answer))
        else:
            say(out, answer, reason, row[1], row[2:8])

    # --- members ---

    def _member(self, row: Command, out: Out) -> Answer:
        _, time_ns, number, cash, receipts, permissions, role, _ = row
        refusal = self._refusal_of_member(number, cash, receipts, permissions, role)
        if refusal:
            return refusal
        if number in self._books.members:
            return ClearingEvent.REPEATED
        member = Member(number, cash, permissions, role)
        if receipts:
            member.receipts[self._books.first_grade] = receipts
        member.start_statement(self._books.teller.ledger.posted(cash))
        self._books.members[number] = member
        say(
            out,
            ClearingEvent.MEMBER_ADDED,
            Reason.MEMBERSHIP,
            time_ns,
            (number, cash, receipts, permissions, role),
        )
        return None

    def _refusal_of_member(
        self, number: int, cash: int, receipts: int, permissions: int, role: int
    ) -> Answer:
        if number < 1:
            return ClearingRefusal.PARTICIPANT_NOT_POSITIVE
        if permissions & ~PERMISSIONS:
            return ClearingRefusal.PERMISSION_UNKNOWN
        if role not in ROLES:
            return ClearingRefusal.ROLE_UNKNOWN
        grade = self._books.first_grade
        if receipts and grade not in self._books.spot_receipts:
            return ClearingRefusal.UNKNOWN_GRADE
        refusal = self._refusal_of_account(cash, self._books.terms.house.variation)
        if refusal is None and receipts:
            refusal = self._refusal_of_account(receipts, self._books.spot_receipts[grade])
        known = self._books.members.get(number)
        if refusal or known is None:
            return refusal
        pairs = (
            (cash, known.cash, ClearingRefusal.MEMBER_HAS_OTHER_CASH_ACCOUNT),
            (receipts, known.receipts.get(grade, 0), ClearingRefusal.MEMBER_HAS_OTHER_RECEIPTS_ACCOUNT),
            (permissions, known.permissions, ClearingRefusal.MEMBER_HAS_OTHER_PERMISSIONS),
            (role, known.role, ClearingRefusal.MEMBER_HAS_OTHER_ROLE),
        )
        return next((other for new, old, other in pairs if new != old), None)

    def _receipts(self, row: Command, out: Out) -> Answer:
        _, time_ns, number, grade, account, *_ = row
        member = self._books.members.get(number)
        if member is None:
            return ClearingRefusal.UNKNOWN_MEMBER
        if grade not in self._books.spot_receipts or grade == self._books.first_grade:
            return ClearingRefusal.UNKNOWN_GRADE
        refusal = self._refusal_of_account(account, self._books.spot_receipts[grade])
        if refusal:
            return refusal
        known = member.receipts.get(grade)
        if known:
            return (
                ClearingEvent.REPEATED
                if known == account
                else ClearingRefusal.MEMBER_HAS_OTHER_RECEIPTS_ACCOUNT
            )
        member.receipts[grade] = account
        say(out, ClearingEvent.RECEIPTS_NAMED, Reason.MEMBERSHIP, time_ns, (number, grade, account))
        return None

    def _refusal_of_account(self, account: int, like: int) -> ClearingRefusal | None:
        """A ledger account must be open and of the same asset as the house's."""
        ledger = self._books.teller.ledger
        if not 1 <= account <= ledger.account_count:
            return ClearingRefusal.LEDGER_ACCOUNT_UNKNOWN
        same = ledger.account(account).asset == ledger.account(like).asset
        return None if same else ClearingRefusal.LEDGER_ACCOUNT_OF_OTHER_ASSET

    def _collect(self, row: Command, out: Out) -> Answer:
        member = self._books.members.get(row[2])
        if member is None:
            return ClearingRefusal.UNKNOWN_MEMBER
        self._settlement.collect(out, row[1], member)
        return None

    # --- days and contracts ---

    def _settle_day(self, row: Command, out: Out) -> Answer:
        time_ns, day, books = row[1], row[2], self._books
        if day == books.settled_day:
            return ClearingEvent.REPEATED
        if day < books.settled_day:
            return ClearingRefusal.DAY_ALREADY_PAST
        if day > books.margin_day:
            return ClearingRefusal.DAY_NOT_OPEN
        markets = list(self._markets_in_order())
        for market in markets:
            held = market.life in TRADABLE and any(position.lots for position in market.positions)
            if held and market.priced_day != day:
                return ClearingRefusal.MISSING_SETTLEMENT_PRICE
        for market in markets:
            if market.priced_day == day:
                market.take_price()
        self._settlement.settle_day(out, time_ns, day)
        books.settled_day = day
        for market in markets:
            books.end_trading(out, time_ns, market, day)
        return None

    def _final(self, row: Command, out: Out) -> Answer:
        _, time_ns, number, mean_micro, day, rule, *_ = row
        market = self._books.markets.get(number)
        if market is None or market.is_spot:
            return ClearingRefusal.UNKNOWN_CONTRACT
        long_lots = sum(held.lots for held in market.positions if held.lots > 0)
        answer = self._answer_to_final(market, mean_micro, day, rule, long_lots)
        if answer is not None:
            return answer
        market.final_micro, market.final_day, market.final_rule = mean_micro, day, rule
        self._settlement.settle_final(out, time_ns, day, market)
        say(
            out,
            ClearingEvent.FINAL_SETTLED,
            final_reason(market),
            time_ns,
            (number, mean_micro, day, rule, long_lots),
        )
        self._books.turn(out, time_ns, market, Turn.FINALLY_SETTLED, day)
        return None

    def _answer_to_final(
        self, market: Market, mean_micro: int, day: int, rule: int, long_lots: int
    ) -> Answer:
        if market.life in (Life.SETTLED, Life.DELISTED):
            return _repeat_of_final(market, mean_micro, day, rule)
        if market.life != Life.SETTLING:
            return ClearingRefusal.NOT_SETTLING
        if day < self._books.settled_day:
            return ClearingRefusal.DAY_ALREADY_PAST
        if day > self._books.margin_day:
            return ClearingRefusal.DAY_NOT_OPEN
        if not mean_micro > 0 or mean_micro * market.contract.lot_mtok * max(1, long_lots) > INT64_MAX:
            return ClearingRefusal.PRICE_OUT_OF_RANGE
        return None if rule in (0, RULE_MISSING_FIXING) else ClearingRefusal.RULE_UNKNOWN

    def _delist(self, row: Command, out: Out) -> Answer:
        market = self._books.markets.get(row[2])
        if market is None:
            return ClearingRefusal.UNKNOWN_CONTRACT
        if market.life == Life.DELISTED:
            return ClearingEvent.REPEATED
        if market.life != Life.SETTLED:
            return ClearingRefusal.NOT_SETTLED
        self._books.turn(out, row[1], market, Turn.TAKEN_OFF, self._books.margin_day)
        return None

    def _markets_in_order(self) -> Iterator[Market]:
        return (self._books.markets[number] for number in sorted(self._books.markets))


def _repeat_of_final(market: Market, mean_micro: int, day: int, rule: int) -> Answer:
    if mean_micro != market.final_micro:
        return ClearingRefusal.SETTLED_AT_OTHER_PRICE
    if day != market.final_day:
        return ClearingRefusal.SETTLED_ON_OTHER_DAY
    return ClearingRefusal.SETTLED_BY_OTHER_RULE if rule != market.final_rule else ClearingEvent.REPEATED
