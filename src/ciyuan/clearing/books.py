"""The clearing house's books: its terms, contracts and members, and the day that margin is for. Its parts all work on these."""

from collections.abc import Iterable, Sequence

from ciyuan.basics.calendar import Calendar
from ciyuan.basics.errors import Malformed
from ciyuan.basics.rows import REASON_SHIFT, Row
from ciyuan.clearing.life import TRADABLE, Turn, after
from ciyuan.clearing.margin import stage_of
from ciyuan.clearing.messages import ClearingEvent, ClearingTerms, Life, Reason
from ciyuan.clearing.positions import Market, Member
from ciyuan.clearing.teller import LedgerBooks, Teller
from ciyuan.exchange.messages import Contract, ContractKind

Out = list[Row]
"""Where events are appended."""


def say(
    out: Out, event: ClearingEvent, reason: Reason, time_ns: int, words: Sequence[int], flags: int = 0
) -> None:
    """Append an event of up to six words."""
    a, b, c, d, e, f = (*words, *(0,) * (6 - len(words)))
    out.append((event | flags << 16 | reason << REASON_SHIFT, time_ns, a, b, c, d, e, f))


class Books:
    """State that the parts of the clearing house share.

    `margin_day` is the trading day that margins and limits are for: the day that trades, or after its settlement the next
    business day. `settled_day` is the last day that was settled. Both are 0 before the first. `first_grade` is the first of the
    terms' spot grades (0: none), the one whose receipts account a MEMBER command names.
    """

    def __init__(
        self, ledger: LedgerBooks, contracts: Iterable[Contract], calendar: Calendar, terms: ClearingTerms
    ) -> None:
        self.teller = Teller(ledger)
        self.calendar = calendar
        self.terms = terms
        self.members: dict[int, Member] = {}
        self.markets: dict[int, Market] = {}
        self.margin_day = self.settled_day = 0
        self.spot_receipts = dict(terms.house.spot_receipts)
        for contract in contracts:
            self._list(contract)
        self.first_grade = next(iter(self.spot_receipts), 0)

    def _list(self, contract: Contract) -> None:
        if contract.number in self.markets:
            raise Malformed("contracts", found=f"two with number {contract.number}", expected="a number for each",
                            remedy="Renumber one of them.")  # fmt: skip
        is_spot = contract.kind == ContractKind.SPOT
        if is_spot and contract.grade not in self.spot_receipts:
            raise Malformed("terms", found=f"no house account for receipts of grade {contract.grade}",
                            expected=f"one, for {contract.code}", remedy="Add it to HouseAccounts.spot_receipts.")  # fmt: skip
        self.markets[contract.number] = Market(
            contract, self.terms.spot_fees if is_spot else self.terms.futures_fees
        )

    def members_in_order(self) -> list[Member]:
        """All members by number."""
        return [self.members[number] for number in sorted(self.members)]

    def equity_micro(self, member: Member) -> int:
        """What stands behind a member's requirement (§5.1): cash that is not held, less debt, unpaid fees and running loss."""
        claims = member.owed_micro + member.accrued_micro
        return self.teller.ledger.available(member.cash) - claims + member.running_loss_micro()

    def set_margin_day(self, day: int) -> None:
        """Take the ladder's step, the limits and the present prices as the terms of `day`, in every market."""
        self.margin_day = day
        for market in self.markets.values():
            market.set_terms(stage_of(market.contract, day, self.terms.ladder, self.calendar), self.terms)

    def end_trading(self, out: Out, time_ns: int, market: Market, day: int) -> None:
        """After its last day: on to SETTLING, through the states that no session has turned. Spot is settled trade by trade."""
        if market.life not in TRADABLE or day < market.contract.last_day:
            return
        if market.life == Life.LISTED:
            self.turn(out, time_ns, market, Turn.OPENED, day)
        if market.life == Life.TRADING:
            self.turn(out, time_ns, market, Turn.LAST_DAY_CAME, day)
        self.turn(out, time_ns, market, Turn.LAST_DAY_ENDED, day)
        if market.is_spot:
            self.turn(out, time_ns, market, Turn.FINALLY_SETTLED, day)

    def turn(self, out: Out, time_ns: int, market: Market, turn: Turn, day: int) -> None:
        """Move a contract on in its life (§2.6), and say so."""
        before = market.life
        market.life = after(before, turn)
        say(
            out, ClearingEvent.CONTRACT_STATE, Reason.LIFE, time_ns, (market.number, market.life, before, day)
        )
