"""The clearing house's own commands: members, the end of a day, the end of a contract. Refusals in declared order."""

from ciyuan.basics.rows import CODE_MASK, INT64_MAX, flags_of
from ciyuan.clearing.books import Answer, Books, Command, Handler, Out, say
from ciyuan.clearing.collateral import revalue
from ciyuan.clearing.coverage import Coverage
from ciyuan.clearing.delivery import Deliveries
from ciyuan.clearing.life import TRADABLE, Turn
from ciyuan.clearing.messages import (
    RULE_MISSING_FIXING,
    ClearingCommand,
    ClearingEvent,
    ClearingRefusal,
    Life,
    MemberFlag,
    MemberRole,
    Permission,
    Reason,
)
from ciyuan.clearing.model import ModelDesk
from ciyuan.clearing.positions import Market
from ciyuan.clearing.rebates import Rebates
from ciyuan.clearing.review import Reviews
from ciyuan.clearing.settlement import Settlement, final_reason

ROLES = frozenset(MemberRole)
SETTINGS = int(MemberFlag.GROSS | MemberFlag.CANCEL_ON_DISCONNECT | MemberFlag.SELF_TRADE)
PARTICIPANT_MAX = 2**22
"""The largest participant's number: the register has a row for each number up to the largest."""
PERMISSIONS = int(Permission.FUTURES | Permission.SPOT)  # an IntFlag's own ~ knows no other bits
REASON_OF = {
    ClearingCommand.MEMBER: Reason.MEMBERSHIP,
    ClearingCommand.SETTLE_DAY: Reason.VARIATION,
    ClearingCommand.FINAL: Reason.FINAL_SETTLEMENT,
    ClearingCommand.DELIST: Reason.LIFE,
    ClearingCommand.RECEIPTS: Reason.MEMBERSHIP,
    ClearingCommand.COLLECT: Reason.SHORTFALL,
    ClearingCommand.REVIEW: Reason.REVIEW,
    ClearingCommand.MARGIN_NOTICE: Reason.MARGIN_NOTICE,
    ClearingCommand.MOVES: Reason.SCENARIOS,
    ClearingCommand.LIQUIDITY: Reason.SCENARIOS,
    ClearingCommand.MODEL: Reason.SCENARIOS,
    ClearingCommand.BID: Reason.AUCTION,
    ClearingCommand.PLEDGE: Reason.COLLATERAL,
    ClearingCommand.TENDER: Reason.DELIVERY,
    ClearingCommand.DELIVER: Reason.DELIVERY,
    ClearingCommand.PRESENCE: Reason.REBATE,
    ClearingCommand.RELEASE: Reason.COLLATERAL,
}
"""The rule under which a command is refused or found repeated."""


class Commands:
    """Judges commands and has them done."""

    def __init__(self, books: Books, settlement: Settlement) -> None:
        self._books = books
        self._settlement = settlement
        self._rebates = Rebates(books)
        self._coverage = Coverage(books)
        self._handlers: dict[int, Handler] = {
            ClearingCommand.MEMBER: self._member,
            ClearingCommand.SETTLE_DAY: self._settle_day,
            ClearingCommand.FINAL: self._final,
            ClearingCommand.DELIST: self._delist,
            ClearingCommand.RECEIPTS: self._receipts,
            ClearingCommand.COLLECT: self._collect,
            **Reviews(books, settlement).handlers,
            **Deliveries(books, settlement).handlers,
            **ModelDesk(books).handlers,
            **self._rebates.handlers,
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
        kind, time_ns, number, cash, receipts, permissions, role, _ = row
        flags = flags_of(kind)
        refusal = self._refusal_of_member(number, cash, receipts, permissions, role, flags)
        if refusal:
            return refusal
        if number in self._books.members:
            return ClearingEvent.REPEATED
        member = self._books.new_member(number)
        member.cash, member.permissions, member.role, member.flags = cash, permissions, role, flags
        if receipts:
            member.receipts[self._books.first_grade] = receipts
        member.start_statement(self._books.teller.ledger.posted(cash))
        words = (number, cash, receipts, permissions, role)
        say(out, ClearingEvent.MEMBER_ADDED, Reason.MEMBERSHIP, time_ns, words, flags)
        return None

    def _refusal_of_member(
        self, number: int, cash: int, receipts: int, permissions: int, role: int, flags: int
    ) -> Answer:
        refusal = self._refusal_of_entry(number, cash, receipts, permissions, role)
        if refusal:
            return refusal
        if number > PARTICIPANT_MAX:
            return ClearingRefusal.PARTICIPANT_OUT_OF_RANGE
        if flags & ~SETTINGS:
            return ClearingRefusal.SETTING_UNKNOWN
        known = self._books.members.get(number)
        other = known is not None and known.flags != flags
        return ClearingRefusal.MEMBER_HAS_OTHER_SETTINGS if other else None

    def _refusal_of_entry(self, number: int, cash: int, receipts: int, permissions: int, role: int) -> Answer:
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
        markets = books.markets_in_order()
        for market in markets:
            held = market.life in TRADABLE and not market.is_spot and books.open_interest(market) > 0
            if held and market.priced_day != day:
                return ClearingRefusal.MISSING_SETTLEMENT_PRICE
        for market in markets:
            if market.priced_day == day:
                market.take_price()
        revalue(books)
        self._rebates.give(out, time_ns, day)
        self._coverage.count(out, time_ns, day)
        self._settlement.settle_day(out, time_ns, day)
        books.settled_day = day
        for market in markets:
            books.end_trading(out, time_ns, market, day)
        return None

    def _final(self, row: Command, out: Out) -> Answer:
        _, time_ns, number, mean_micro, day, rule, *_ = row
        market = self._books.markets.get(number)
        if market is None or market.is_spot or market.is_physical:
            return ClearingRefusal.UNKNOWN_CONTRACT
        long_lots = self._books.open_interest(market)
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


def _repeat_of_final(market: Market, mean_micro: int, day: int, rule: int) -> Answer:
    if mean_micro != market.final_micro:
        return ClearingRefusal.SETTLED_AT_OTHER_PRICE
    if day != market.final_day:
        return ClearingRefusal.SETTLED_ON_OTHER_DAY
    return ClearingRefusal.SETTLED_BY_OTHER_RULE if rule != market.final_rule else ClearingEvent.REPEATED
