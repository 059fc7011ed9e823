"""Plays the scenarios of docs/spec/clearing.md on a floor.

    member ada with 1,000.00 and 0 receipts      before the first day; `capital 500.00` likewise
    day 2026-09-28                               a trading day begins
    > ada buys 10 OCT from bo at 1.500           a trade of two new orders, the seller's first
    > ada buys 10 OCT at 1.500                   an order, then `admitted` or `refused MARGIN`
    > bo fills ada 60 SPOT at 1.600              bo's last order trades with ada's, which stood first
    > settle OCT at 1.520                        the day's end; prices that are not named do not change
    > final OCT at 1.512345
    > deposit bo 6,000.00, > collect bo
    default slices_max 2                         one of `DefaultTerms`, before the first day; `fund 1,000.00`: its least share
    > review, > review after 60 minutes          the exchange then does what the clearing house said
    > ada bids for 3 at 1.720 in auction 1       then `taken` or `refused NOT_PERMITTED`
    > session BREAK                              every contract's session, until the next day

The indented lines that follow a command are what is said. All of it must be there, in order, but margins
and statements, which may be.
"""

import re
from collections.abc import Callable

from ciyuan.basics.calendar import day_from_iso
from ciyuan.basics.money import format_micro, parse_micro
from ciyuan.basics.rows import Row, code_of, reason_of
from ciyuan.clearing.messages import (
    ClearingEvent,
    ClearingTerms,
    DefaultTerms,
    FundTerms,
    Layer,
    Reason,
    Statement,
    collect_row,
    statements,
)
from ciyuan.exchange.messages import Refusal, SessionState
from tests.clearing.floor import CAPITAL, DEC, HOUSE, NOV, OCT, SPOT
from tests.clearing.watch import MINUTE, Watch

CONTRACTS = {"SPOT": SPOT, "OCT": OCT, "NOV": NOV, "DEC": DEC}
NAMES = {number: name for name, number in CONTRACTS.items()}
OPTIONAL = ("margin ", "statement ")


def micro(text: str) -> int:
    return parse_micro(text.replace(",", ""))


def usd(amount: int) -> str:
    """At least two decimals, more only where they are not zero."""
    whole, _, part = format_micro(amount).partition(".")
    return f"{whole}.{part[:2]}{part[2:].rstrip('0')}"


def ticks(text: str) -> int:
    return micro(text) // 1000


Name = Callable[[int], str]
"""A participant's name; "house" for 0."""


def signed(amount: int) -> str:
    return f"{'+' if amount > 0 else ''}{usd(amount)}"


def price(price_ticks: int) -> str:
    return f"{price_ticks // 1000}.{price_ticks % 1000:03}"


def lots_line(lots: int, contract: int, price_ticks: int) -> str:
    return f"{abs(lots)} {NAMES[contract]} at {price(price_ticks)}"


def transferred(name: Name, event: Row) -> str:
    _, _, buyer, seller, contract, at, lots, _ = event
    word = "award" if reason_of(event[0]) == Reason.AUCTION else "tear-up"
    return f"{word} {name(buyer)} buys {lots_line(lots, contract, at)} from {name(seller)}"


def auctioned(name: Name, event: Row) -> str:
    _, time_ns, auction, of, contract, lots, settle, until = event
    side = "long" if lots > 0 else "short"
    left = (until - time_ns) // MINUTE
    return f"auction {auction} of {name(of)}, {side} {lots_line(lots, contract, settle)}, for {left} minutes"


LINES: dict[int, Callable[[Name, Row], str]] = {
    ClearingEvent.VARIATION: lambda name, e: f"variation {name(e[2])} {NAMES[e[3]]} {signed(e[4])}",
    ClearingEvent.LENT: lambda name, e: f"lent {name(e[2])} {usd(e[3])}",
    ClearingEvent.REPAID: lambda name, e: f"repaid {name(e[2])} {usd(e[3])}",
    ClearingEvent.MARGIN: lambda name, e: (
        f"margin {name(e[2])} requirement {usd(e[3])} equity {usd(e[4])} excess {usd(e[5])}"
    ),
    ClearingEvent.FEE: lambda name, e: f"fee {name(e[2])} {usd(e[3])}",
    ClearingEvent.MARGIN_CALL: lambda name, e: f"call {name(e[2])} {usd(e[3])}",
    ClearingEvent.CALL_MET: lambda name, e: f"met {name(e[2])}",
    ClearingEvent.DEFAULTED: lambda name, e: f"default {name(e[2])} short by {usd(e[3])}",
    ClearingEvent.SLICED: lambda name, e: (
        f"slice {e[7]} {name(e[2])} {'buys' if e[4] > 0 else 'sells'} {lots_line(e[4], e[3], e[5])}"
    ),
    ClearingEvent.AUCTION_OPENED: auctioned,
    ClearingEvent.AUCTION_CLOSED: lambda _, e: f"auction {e[2]} took {e[5]}, left {e[6]}",
    ClearingEvent.TRANSFERRED: transferred,
    ClearingEvent.LOSS_COVERED: lambda name, e: (
        f"covered {Layer(e[3]).name} {name(e[4])} {usd(e[5])} left {usd(e[6])}"
    ),
    ClearingEvent.ASSESSED: lambda name, e: f"assessed {name(e[2])} {usd(e[3])} of at most {usd(e[6])}",
    ClearingEvent.CLOSED_OUT: lambda name, e: (
        f"closed out {name(e[2])} loss {usd(e[3])} not covered {usd(e[4])}"
    ),
    ClearingEvent.FUND_SIZED: lambda _, e: f"fund size {usd(e[2])}",
    ClearingEvent.FUND_MOVED: lambda name, e: f"fund {name(e[2])} {signed(e[3])} holds {usd(e[4])}",
}
"""How the page says what is shown of the clearing house's events."""


class Player:
    """Reads a scenario line by line; `finish` checks what was said last. `checked` counts the lines that were compared."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self.cash: list[int] = []
        self.receipts: list[int] = []
        self.capital = self.least = 0
        self.default: dict[str, int] = {}
        self.checked = 0
        self._floor: Watch | None = None
        self._last: dict[int, int] = {}
        self._said: list[str] = []
        self._due: list[str] = []
        self._commands: dict[str, Callable[..., list[str]]] = {
            r"(\w+) buys (\d+) (\w+) from (\w+) at (\S+)": self._trade,
            r"(\w+) (buys|sells) (\d+) (\w+) at (\S+)": self._order,
            r"(\w+) fills (\w+) (\d+) \w+ at (\S+)": self._fill,
            r"settle(?: (\w+) at (\S+))?": self._settle,
            r"final (\w+) at (\S+)": self._final,
            r"deposit (\w+) (\S+)": self._deposit,
            r"collect (\w+)": self._collect,
            r"review(?: after (\d+) minutes?)?": self._review,
            r"(\w+) bids for (\d+) at (\S+) in auction (\d+)": self._bid,
            r"session (\w+)": self._session,
        }

    @property
    def floor(self) -> Watch:
        assert self._floor is not None, "a day begins first"
        return self._floor

    def read(self, line: str) -> None:
        """Take in one line."""
        if line.startswith("  "):
            self._due.append(line.strip())
            return
        self.finish()
        words = line.split()
        if words[0] == "member":
            self.names.append(words[1])
            self.cash.append(micro(words[3]))
            self.receipts.append(int(words[5]))
        elif words[0] == "capital":
            self.capital = micro(words[1])
        elif words[0] == "default":
            self.default[words[1]] = int(words[2].replace(",", ""))
        elif words[0] == "fund":
            self.least = micro(words[1])
        elif words[0] == "day":
            self._begin(day_from_iso(words[1]))
        else:
            self._said = self._command(line.removeprefix("> "))

    def finish(self) -> None:
        """Compare what the page says with what was said."""
        for line in self._due:
            assert line in self._said, f"the page: {line}; said: {self._said}"
        must = [line for line in self._said if not line.startswith(OPTIONAL)]
        assert [line for line in self._due if not line.startswith(OPTIONAL)] == must
        self.checked += len(self._due)
        self._said, self._due = [], []

    def _begin(self, day: int) -> None:
        if self._floor is None:
            terms = ClearingTerms(HOUSE, default=DefaultTerms(**self.default), fund=FundTerms(self.least))
            self._floor = Watch(cash_usd=(0,) * len(self.names), receipts=0, terms=terms)
            self._floor.deposit_to(CAPITAL, self.capital)
            for number, (cash, receipts) in enumerate(zip(self.cash, self.receipts, strict=True), start=1):
                self._floor.deposit(number, cash)
                self._floor.issue(number, receipts)
        self.floor.open(day)

    def _command(self, text: str) -> list[str]:
        for pattern, play in self._commands.items():
            found = re.fullmatch(pattern, text)
            if found:
                return play(*found.groups())
        raise AssertionError(f"the page has a line that means nothing: {text}")

    def _number(self, name: str) -> int:
        return self.names.index(name) + 1

    def _trade(self, buyer: str, lots: str, contract: str, seller: str, price: str) -> list[str]:
        self.floor.trade(
            self._number(buyer), self._number(seller), CONTRACTS[contract], int(lots), ticks(price)
        )
        return []

    def _order(self, name: str, side: str, lots: str, contract: str, price: str) -> list[str]:
        size, number = int(lots) * (1 if side == "buys" else -1), self._number(name)
        answer = self.floor.order(number, CONTRACTS[contract], size, ticks(price))
        if isinstance(answer, Refusal):
            return [f"refused {answer.name}"]
        self._last[number] = answer
        return ["admitted"]

    def _fill(self, taker: str, maker: str, lots: str, price: str) -> list[str]:
        stood, came = self._last[self._number(maker)], self._last[self._number(taker)]
        self.floor.fill(stood, came, int(lots), ticks(price))
        return []

    def _settle(self, contract: str | None, price: str | None) -> list[str]:
        return self._told(self.floor.close(**({contract: ticks(price)} if contract and price else {})))

    def _final(self, contract: str, price: str) -> list[str]:
        return self._told(self.floor.final(CONTRACTS[contract], micro(price)))

    def _deposit(self, name: str, amount: str) -> list[str]:
        self.floor.deposit(self._number(name), micro(amount))
        return []

    def _collect(self, name: str) -> list[str]:
        return self._told(self.floor.tell(collect_row(self.floor.tick(), self._number(name))))

    def _review(self, minutes: str | None) -> list[str]:
        return self._told(self.floor.review(int(minutes or 0)))

    def _bid(self, name: str, lots: str, price: str, auction: str) -> list[str]:
        refusal = self.floor.bid(self._number(name), int(auction), ticks(price), int(lots))
        return [f"refused {refusal.name}" if refusal else "taken"]

    def _session(self, state: str) -> list[str]:
        self.floor.session(SessionState[state])
        return []

    def _told(self, events: list[Row]) -> list[str]:
        lines = [self._line(event) for event in events]
        return [line for line in lines if line] + [self._statement(told) for told in statements(events)]

    def _name(self, number: int) -> str:
        return self.names[number - 1] if number else "house"

    def _line(self, event: Row) -> str:
        """What an event is on the page; nothing for those that are not shown."""
        code = code_of(event[0])
        say = LINES.get(code)
        return say(self._name, event) if say else ""

    def _statement(self, told: Statement) -> str:
        fields = ("opening", "transferred", "variation", "fees", "bought", "sold", "lent", "closing")
        lines = " ".join(f"{field} {usd(getattr(told, f'{field}_micro'))}" for field in fields)
        return f"statement {self.names[told.participant - 1]} {lines}"
