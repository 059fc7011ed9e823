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
from ciyuan.exchange.contract import Contract, ContractKind

Out = list[Row]
"""Where events are appended."""


def say(
    out: Out, event: ClearingEvent, reason: Reason, time_ns: int, words: Sequence[int], flags: int = 0
) -> None:
    """Append an event of up to six words."""
    a, b, c, d, e, f = (*words, *(0,) * (6 - len(words)))
    out.append((event | flags << 16 | reason << REASON_SHIFT, time_ns, a, b, c, d, e, f))


Legs = tuple[tuple[Market, bool], ...]
"""The markets that an order is open in, each with whether it is on the other side there."""


class OpenOrder:
    """An order that may still trade, at its limit. `left` are the lots left, those of a spread once in each leg.

    `spot` is its market, if that is a spot one; `key` its hold in the ledger then, else 0, and `saved` whether that may hold more
    than the order may still cost, because some of it was bought at a better price.
    """

    __slots__ = ("contract", "is_sell", "key", "left", "legs", "price_ticks", "saved", "spot")

    def __init__(self, contract: int, legs: Legs, is_sell: bool, price_ticks: int) -> None:
        self.contract = contract
        self.legs = legs
        self.is_sell = is_sell
        self.price_ticks = price_ticks
        self.left = self.key = 0
        self.saved = False
        market = legs[0][0]
        self.spot = market if market.is_spot else None

    def leave(self, member: Member, lots: int) -> None:
        """Let `lots` be what is left of it, in each leg."""
        if len(self.legs) == 1:
            more, self.left = lots - self.left, lots
            member.position(self.legs[0][0]).open_order(self.is_sell, more)
            return
        more = lots - self.left // len(self.legs)
        self.left += more * len(self.legs)
        for market, other_side in self.legs:
            member.position(market).open_order(self.is_sell != other_side, more)


class Books:
    """State that the parts of the clearing house share.

    `margin_day` is the trading day that margins and limits are for: the day that trades, or after its settlement the next
    business day. `settled_day` is the last day that was settled. Both are 0 before the first. `first_grade` is the first of the
    terms' spot grades (0: none), the one whose receipts account a MEMBER command names. `legs` are those of an order of each
    contract: an outright has itself, a spread its two months. `orders` are the open ones by (participant, order id).
    """

    def __init__(
        self, ledger: LedgerBooks, contracts: Iterable[Contract], calendar: Calendar, terms: ClearingTerms
    ) -> None:
        self.teller = Teller(ledger)
        self.calendar = calendar
        self.terms = terms
        self.members: dict[int, Member] = {}
        self.markets: dict[int, Market] = {}
        self.legs: dict[int, Legs] = {}
        self.orders: dict[tuple[int, int], OpenOrder] = {}
        self.margin_day = self.settled_day = 0
        self.spot_receipts = dict(terms.house.spot_receipts)
        listed = tuple(contracts)
        for contract in listed:
            if not contract.is_spread:
                self._list(contract)
        self.legs = {number: ((market, False),) for number, market in self.markets.items()}
        for contract in listed:
            if contract.is_spread:
                self._list_spread(contract)
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

    def _list_spread(self, contract: Contract) -> None:
        """A spread is bought by buying its near and selling its far month (§2.5)."""
        near, far = self.markets.get(contract.near), self.markets.get(contract.far)
        if contract.number in self.legs or near is None or far is None or near.is_spot or far.is_spot:
            raise Malformed("contracts", found=f"spread {contract.code} of {contract.near} and {contract.far}",
                            expected="its own number, and two listed futures", remedy="Correct its listing.")  # fmt: skip
        self.legs[contract.number] = ((near, False), (far, True))

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
            self.renew_terms(market)

    def renew_terms(self, market: Market) -> None:
        """Take a market's margin, fees and limits anew, for the same day."""
        if self.margin_day:
            stage = stage_of(market.contract, self.margin_day, self.terms.ladder, self.calendar)
            market.set_terms(stage, self.terms)

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
