"""Scenarios in the trader's language: a text of commands and of the events that must answer them.

| line | is |
|---|---|
| `# text` | a remark |
| `contract KIMI26.2610 tick 0.001 start 0.950 limit 10%` | a contract, before the first command; also `max`, `first`, `last` |
| `day 2026-10-09`, `at 09:00` | the trading day and the time of what follows; `at 2026-10-08 21:00` of another date |
| `admission bob MARGIN` | from here on the admission answers this to bob (`ok`: lets him pass) |
| `> SESSION [contract] continuous` | a command; without a contract it is for all |
| `> BUY alice 10 KIMI26.2610 @ 0.950 [FAK [min 3]] [FOK] [id 7]` | or `SELL`, and `@ market`; ids count from 1 by account |
| `> CANCEL alice#1`, `> MASSCANCEL alice [contract]`, `> CLOSE [contract]` | |
| `? BOOK contract`, `? LIMITS contract` | a question |
| `< ...`, `= ...` | the events, and the answer to a question |

A scenario is played by writing it out anew with the events that really came; it passes if the two texts are the same.
"""

from collections import defaultdict
from difflib import unified_diff

from ciyuan.basics.calendar import day_from_iso, iso_of_day, month_days
from ciyuan.basics.money import MICRO, parse_micro
from ciyuan.basics.rows import CODE_MASK, FLAG_MASK, FLAG_SHIFT, Row
from ciyuan.basics.time import NS_PER_DAY, NS_PER_MINUTE
from ciyuan.exchange import (
    CancelCause,
    Contract,
    ContractKind,
    ExchangeEvent,
    FillFlag,
    Level,
    OrderFlag,
    Refusal,
    SessionState,
    SettlementMethod,
    Side,
    cancel_row,
    close_day_row,
    mass_cancel_row,
    order_row,
    session_row,
)
from ciyuan.exchange.machine import Exchange

KINDS = {"FAK": OrderFlag.FAK, "FOK": OrderFlag.FOK}


class ScriptedAdmission:
    """Answers what the scenario says: NOT_PERMITTED and UNKNOWN_ACCOUNT before all else, the others last."""

    def __init__(self) -> None:
        self.answers: dict[int, Refusal] = {}

    def permitted(self, account: int, contract_number: int) -> Refusal | None:
        answer = self.answers.get(account)
        return answer if answer in {Refusal.UNKNOWN_ACCOUNT, Refusal.NOT_PERMITTED} else None

    def admit(
        self, time_ns: int, account: int, contract_number: int, is_sell: bool, price_ticks: int, lots: int
    ) -> Refusal | None:
        return self.answers.get(account)


class Play:
    """One scenario being played. `lines` is what has been written out so far."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.admission = ScriptedAdmission()
        self.contracts: list[Contract] = []
        self.accounts: dict[str, int] = {}
        self.next_id: dict[str, int] = defaultdict(lambda: 1)
        self.day = self.date = day_from_iso("2026-10-09")
        self.time_of_day_ns = 9 * 60 * NS_PER_MINUTE
        self._exchange: Exchange | None = None

    @property
    def exchange(self) -> Exchange:
        if self._exchange is None:
            self._exchange = Exchange(self.contracts, self.admission)
        return self._exchange

    def line(self, text: str) -> None:
        """Take one line of a scenario, and write out what comes of it."""
        if text.startswith(("<", "=")):
            return
        self.lines.append(text)
        if text.startswith("> "):
            events: list[Row] = []
            self.exchange.apply_one(self.row(text[2:].split()), events)
            self.lines += [f"< {self.told(event)}" for event in events]
        elif text.startswith("? "):
            self.lines += [f"= {answer}" for answer in self.answered(*text[2:].split())]
        elif text and not text.startswith("#"):
            self.set(*text.split())

    def set(self, word: str, *rest: str) -> None:
        if word == "contract":
            self.contracts.append(contract_of(len(self.contracts) + 1, *rest))
        elif word == "day":
            self.day = self.date = day_from_iso(rest[0])
        elif word == "at":
            self.date = day_from_iso(rest[0]) if rest[1:] else self.date
            hour, minute = rest[-1].split(":")
            self.time_of_day_ns = (int(hour) * 60 + int(minute)) * NS_PER_MINUTE
        elif word == "admission":
            account = self.account(rest[0])
            self.admission.answers.pop(account, None)
            if rest[1] != "ok":
                self.admission.answers[account] = Refusal[rest[1]]
        else:
            raise AssertionError(f"no such line in a scenario: {word}")

    def row(self, words: list[str]) -> Row:
        """The command row of a `>` line."""
        now = self.date * NS_PER_DAY + self.time_of_day_ns
        verb, *rest = words
        if verb in {"BUY", "SELL"}:
            return self.order(now, Side[verb], rest)
        if verb == "CANCEL":
            name, order_id = rest[0].split("#")
            return cancel_row(now, self.account(name), int(order_id))
        if verb == "MASSCANCEL":
            return mass_cancel_row(now, self.account(rest[0]), self.number(rest[1]) if rest[1:] else 0)
        if verb == "CLOSE":
            return close_day_row(now, self.number(rest[0]) if rest else 0, self.day)
        assert verb == "SESSION", f"no such command in a scenario: {verb}"
        number = self.number(rest[0]) if rest[1:] else 0
        return session_row(now, number, SessionState[rest[-1].upper()], self.day)

    def order(self, now: int, side: Side, words: list[str]) -> Row:
        name, lots, code, _, price, *more = words
        order_id = self.next_id[name]
        if "id" in more:
            order_id = int(more[more.index("id") + 1])
        self.next_id[name] = max(self.next_id[name], order_id + 1)
        number = self.number(code)
        kind = next((KINDS[word] for word in more if word in KINDS), OrderFlag.LIMIT)
        least = int(more[more.index("min") + 1]) if "min" in more else 0
        if price == "market":
            return order_row(
                now, self.account(name), order_id, number, side, 0, int(lots), kind=OrderFlag.MARKET
            )
        listed = next((contract for contract in self.contracts if contract.number == number), None)
        ticks = parse_micro(price) // (listed.tick_micro if listed else MICRO)
        return order_row(
            now, self.account(name), order_id, number, side, ticks, int(lots), kind=kind, min_lots=least
        )

    def told(self, event: Row) -> str:
        """An event in words."""
        kind, _, a, b, c, d, e, f = event
        code, flags = ExchangeEvent(kind & CODE_MASK), kind >> FLAG_SHIFT & FLAG_MASK
        side = Side(flags & 1).name
        match code:
            case ExchangeEvent.SESSION_CHANGED:
                return f"SESSION {self.code(a)} {SessionState(b).name.lower()} {iso_of_day(c)}"
            case ExchangeEvent.ACCEPTED:
                return f"ACCEPTED {self.name(a)}#{b} {side} {e} {self.code(c)} @ {self.price(c, d)}"
            case ExchangeEvent.REPEATED:
                return "REPEATED"
            case ExchangeEvent.REFUSED:
                return f"REFUSED {Refusal(f).name}"
            case ExchangeEvent.FILLED:
                more = "".join(
                    f" {flag.name.lower()}" for flag in FillFlag if flag != 1 and flags & flag and flag.name
                )
                return (
                    f"FILL {self.name(a)}#{b} {side} {e} {self.code(c)} @ {self.price(c, d)} trade {f}{more}"
                )
            case ExchangeEvent.CANCELLED:
                return f"CANCELLED {self.name(a)}#{b} {side} {e} {self.code(c)} {CancelCause(d).name}"
            case ExchangeEvent.AUCTION_PRICED:
                return (
                    f"AUCTION {self.code(a)} {c} @ {self.price(a, b)} surplus {d:+d}"
                    if b
                    else f"AUCTION {self.code(a)} none"
                )
            case ExchangeEvent.SETTLEMENT_PRICE:
                limits = f"next {self.price(a, f)} to {self.price(a, e)}"
                return (
                    f"SETTLEMENT {self.code(a)} @ {self.price(a, b)} by {SettlementMethod(d).name}, {limits}"
                )
        return f"MASS_CANCELLED {self.name(a)} {c}, left {d}"

    def answered(self, what: str, code: str) -> list[str]:
        number = self.number(code)
        view = self.exchange.book(number)
        if what == "LIMITS":
            return [" to ".join(self.price(number, limit) for limit in view.limits)]
        sides = {"bid": view.levels(Side.BUY), "ask": view.levels(Side.SELL)}
        return [f"{name} {self.shown(number, levels)}" for name, levels in sides.items()]

    def shown(self, number: int, levels: list[Level]) -> str:
        texts = [
            f"{level.lots} @ {self.price(number, level.price_ticks)} ({level.orders})" for level in levels
        ]
        return ", ".join(texts) or "none"

    def account(self, name: str) -> int:
        return self.accounts.setdefault(name, len(self.accounts) + 1)

    def name(self, account: int) -> str:
        return next(name for name, number in self.accounts.items() if number == account)

    def number(self, code: str) -> int:
        return next((contract.number for contract in self.contracts if contract.code == code), 99)

    def code(self, number: int) -> str:
        return self.contracts[number - 1].code

    def price(self, number: int, ticks: int) -> str:
        tick_micro = self.contracts[number - 1].tick_micro
        decimals = 3 if tick_micro < MICRO else 0
        return f"{ticks * tick_micro / MICRO:.{decimals}f}"


def contract_of(number: int, code: str, *words: str) -> Contract:
    """A contract of a `contract` line; one whose code ends in .SPOT is spot, else the ending is its month as YYMM."""
    given = dict(zip(words[::2], words[1::2], strict=True))
    month = 0 if code.endswith(".SPOT") else 200_000 + int(code.rpartition(".")[2])
    tick_micro = parse_micro(given["tick"])
    first, last = (
        day_from_iso(given.get(name, other))
        for name, other in (("first", "2026-10-09"), ("last", "2027-12-31"))
    )
    return Contract(
        number=number,
        code=code,
        kind=ContractKind.CASH_FUTURE if month else ContractKind.SPOT,
        grade=1,
        tick_micro=tick_micro,
        lot_mtok=1000 if month else 1,
        first_day=first,
        last_day=min(last, month_days(month)[1]) if month else last,
        month=month,
        limit_rate_bp=int(given["limit"].removesuffix("%")) * 100,
        initial_price_ticks=parse_micro(given["start"]) // tick_micro,
        max_lots_per_order=int(given.get("max", "500")),
    )


def played(text: str) -> str:
    """The scenario written out with the events that really come."""
    play = Play()
    for line in text.splitlines():
        play.line(line.rstrip())
    return "\n".join(play.lines) + "\n"


def check_scenario(name: str, text: str) -> None:
    """Fail with the difference between what the scenario says and what the exchange says."""
    came = played(text)
    said = (f"{name}: as the rule says", "as the exchange says")
    difference = unified_diff(text.splitlines(), came.splitlines(), *said, lineterm="", n=6)
    assert came == text, "\n".join(difference)
