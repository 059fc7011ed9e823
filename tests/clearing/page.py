"""Plays the scenarios of docs/spec/clearing.md on a floor.

    member ada with 1,000.00 and 0 receipts      before the first day; `capital 500.00` likewise
    day 2026-09-28                               a trading day begins
    > ada buys 10 OCT from bo at 1.500           a trade of two new orders, the seller's first
    > ada buys 10 OCT at 1.500                   an order, then `admitted` or `refused MARGIN`
    > bo fills ada 60 SPOT at 1.600              bo's last order trades with ada's, which stood first
    > settle OCT at 1.520                        the day's end; prices that are not named do not change
    > final OCT at 1.512345
    > deposit bo 6,000.00, > collect bo

The indented lines that follow a command are what is said. All variation, fees, loans, repayments, calls and calls met must be
there, in order; margins and statements may be.
"""

import re
from collections.abc import Callable

from ciyuan.basics.calendar import day_from_iso
from ciyuan.basics.money import format_micro, parse_micro
from ciyuan.basics.rows import Row, code_of
from ciyuan.clearing.messages import ClearingEvent, Statement, collect_row, statements
from ciyuan.exchange.messages import Refusal
from tests.clearing.floor import DEC, NOV, OCT, SPOT, Floor

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


class Player:
    """Reads a scenario line by line; `finish` checks what was said last. `checked` counts the lines that were compared."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self.cash: list[int] = []
        self.receipts: list[int] = []
        self.capital = 0
        self.checked = 0
        self._floor: Floor | None = None
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
        }

    @property
    def floor(self) -> Floor:
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
            self._floor = Floor(cash_usd=(0,) * len(self.names), receipts=0)
            self._floor.deposit_to(6, self.capital)
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

    def _told(self, events: list[Row]) -> list[str]:
        lines = [self._line(event) for event in events]
        return [line for line in lines if line] + [self._statement(told) for told in statements(events)]

    def _line(self, event: Row) -> str:
        code, name = code_of(event[0]), self.names[event[2] - 1] if event[2] <= len(self.names) else ""
        if code == ClearingEvent.VARIATION:
            return f"variation {name} {NAMES[event[3]]} {'+' if event[4] > 0 else ''}{usd(event[4])}"
        if code in (ClearingEvent.LENT, ClearingEvent.REPAID):
            return (
                f"{ClearingEvent(code).name.lower()} {name} {usd(event[3])} of which capital {usd(event[5])}"
            )
        if code == ClearingEvent.MARGIN:
            return f"margin {name} requirement {usd(event[3])} equity {usd(event[4])} excess {usd(event[5])}"
        if code == ClearingEvent.FEE:
            return f"fee {name} {usd(event[3])}"
        if code == ClearingEvent.MARGIN_CALL:
            return f"call {name} {usd(event[3])}"
        return f"met {name}" if code == ClearingEvent.CALL_MET else ""

    def _statement(self, told: Statement) -> str:
        fields = ("opening", "transferred", "variation", "fees", "bought", "sold", "lent", "closing")
        lines = " ".join(f"{field} {usd(getattr(told, f'{field}_micro'))}" for field in fields)
        return f"statement {self.names[told.participant - 1]} {lines}"
