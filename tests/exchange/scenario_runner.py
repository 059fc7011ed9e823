"""Scenarios in the trader's language: a text of commands and of the events that must answer them.

| line | is |
|---|---|
| `# text` | a remark |
| `contract KIMI26.2610 tick 0.001 start 0.950 limit 10%` | a contract; also `max`, `first`, `last`, `breaker 2%/5` (minutes) |
| `contract KIMI26.2610-2611 near KIMI26.2610 far KIMI26.2611` | a calendar spread of two that are named already |
| `room orders 3` | a small room: `accounts`, `orders`, `ladder_ticks` |
| `account bob gross rate 5` | ACCOUNT (below) without its answer; if it comes before all commands, nobody else is known |
| `day 2026-10-09`, `at 09:00` | the trading day, the time of what follows; `at 09:00:30`, `at 2026-10-08 21:00` of another date |
| `levels on` | LEVEL events are shown from here on; also `activity`, `indicative`, and `limits` in SESSION |
| `> SESSION [contract] continuous`, `> CLOSE [contract]`, `> TICK` | a command; without a contract it is for all |
| `> BUY alice 10 KIMI26.2610 @ 0.950` | or `SELL`, and `@ market`; ids count from 1 by account |
| `... FAK [min 3]`, `FOK`, `post_only`, `iceberg show 3`, `stop at 0.960` | its type |
| `... gtc`, `till 2026-10-12`, `open`, `close`, `close_today`, `hedge`, `id 7` | its lifetime, its effect, its id |
| `> AMEND alice#1 8 KIMI26.2610 @ 0.951`, `> CANCEL alice#1` | |
| `> MASSCANCEL alice [contract]`, `> DISCONNECT alice`, `> KILL alice on` | or `off` |
| `> ACCOUNT alice gross hedger cancel_on_disconnect unchecked` | and `self-trade MODE`, `rate N`, `trades spot|futures|nothing` |
| `> CREDIT alice 1000.00`, `> CREDIT alice 50 KIMI26.SPOT` | money; receipts |
| `> RISK KIMI26.2610 margin 100 fee 0.1 limit 50 hedgers 90 share 10%` | |
| `> QUOTA alice KIMI26.2610 50 [hedge]` | |
| `> POSITION alice KIMI26.2610 long 5 short 0 basis 4.750 [hedge]` | the basis as price x lots |
| `> NOTICE KIMI26.2610 15%`, `> REDUCE KIMI26.2610` | |
| `? BOOK contract`, `? QUEUE contract`, `? LIMITS contract` | a question: levels as shown; orders in line; limits |
| `? POSITION alice contract`, `? CREDIT alice` | lots held; money |
| `< ...`, `= ...` | the events, and the answer to a question |

A scenario is played by writing it out anew with the events that really came; it passes if the two texts are the same. An event of
another time than its command's (the breaker's auction) is told with it.
"""

from collections.abc import Iterator
from difflib import unified_diff

from ciyuan.basics.calendar import day_from_iso
from ciyuan.basics.money import MICRO
from ciyuan.basics.rows import CODE_MASK, Row
from ciyuan.exchange import ExchangeEvent, Side
from ciyuan.exchange.machine import Exchange
from ciyuan.exchange.plain import PlainExchange
from ciyuan.exchange.room import Room
from ciyuan.exchange.state import ACCOUNT_COLUMNS, POSITION_COLUMNS
from tests.exchange.scenario_words import Names, Speaker, Teller, contract_of

ROOM = {"accounts": 32, "orders": 1_024, "ladder_ticks": 4_096}
ON_REQUEST = {
    "levels": ExchangeEvent.LEVEL,
    "activity": ExchangeEvent.ACTIVITY,
    "indicative": ExchangeEvent.INDICATIVE,
}
"""Events that are shown only in a scenario that asks for them."""
ECHOES = {ExchangeEvent.REPEATED, ExchangeEvent.REFUSED, ExchangeEvent.SET}
"""Events that say their command's words again."""
SIDES = {"bid": Side.BUY, "ask": Side.SELL}
MONEY = ACCOUNT_COLUMNS.index("credit_micro")
Machine = Exchange | PlainExchange
MACHINES: dict[str, type[Machine]] = {"kernel": Exchange, "plain": PlainExchange}
"""The exchange and its plain twin: every scenario is played on both."""


class Play:
    """One scenario being played. `lines` is what has been written out so far."""

    def __init__(self, make: type[Machine]) -> None:
        self.lines: list[str] = []
        self.names = Names()
        self.speaker, self.teller = Speaker(self.names), Teller(self.names)
        self.room = dict(ROOM)
        self.hidden = set(ON_REQUEST.values())
        self._make = make
        self._machine: Machine | None = None

    def machine(self, first: str) -> Machine:
        """The exchange; made before the `first` command, which tells whether accounts have to be named."""
        if self._machine is None:
            everyone = first != "ACCOUNT"
            self._machine = self._make(self.names.contracts, Room(**self.room), everyone=everyone)
        return self._machine

    def line(self, text: str) -> None:
        """Take one line of a scenario, and write out what comes of it."""
        if text.startswith(("<", "=")):
            return
        self.lines.append(text)
        if text.startswith("> "):
            self.lines += [f"< {told}" for told in self.answers(text[2:])]
        elif text.startswith("? "):
            self.lines += [f"= {answer}" for answer in self.asked(*text[2:].split())]
        elif text and not text.startswith("#"):
            self.set(*text.split())

    def answers(self, text: str) -> Iterator[str]:
        """What the exchange says to a command."""
        row = self.speaker.row(text)
        events: list[Row] = []
        self.machine(text.split(maxsplit=1)[0]).apply_one(row, events)
        for event in events:
            code = ExchangeEvent(event[0] & CODE_MASK)
            assert code not in ECHOES or event[3:7] == row[3:7], f"{event} does not say {row} again"
            if code not in self.hidden:
                yield self.teller.told(event, self.speaker.now)

    def set(self, word: str, *rest: str) -> None:
        """Take a line that is neither command nor question."""
        match word:
            case "contract":
                self.names.contracts.append(contract_of(self.names.contracts, *rest))
            case "room":
                self.room |= dict(zip(rest[::2], map(int, rest[1::2]), strict=True))
            case "account":
                assert list(self.answers(f"ACCOUNT {' '.join(rest)}")) == ["SET"]
            case "day":
                self.speaker.day = self.speaker.date = day_from_iso(rest[0])
            case "at":
                self.speaker.set_time(rest[0] if rest[1:] else None, rest[-1])
            case "limits":
                self.teller.limits_on = rest == ("on",)
            case _:
                assert word in ON_REQUEST, f"no such line in a scenario: {word}"
                self.hidden.discard(ON_REQUEST[word])

    def asked(self, what: str, *rest: str) -> list[str]:
        """The answer to a question."""
        machine = self.machine(what)
        if what == "CREDIT":
            accounts = machine.snapshot()["accounts"]
            money = next((int(row[MONEY]) for row in accounts if row[0] == self.names.account(rest[0])), 0)
            return [f"{money / MICRO:.3f}"]
        if what == "POSITION":
            return list(held(machine, self.names.account(rest[0]), self.names.number(rest[1]))) or ["flat"]
        number = self.names.number(rest[0])
        if what == "LIMITS":
            return [self.names.limits(number, *machine.limits(number))]
        shown = self.queue if what == "QUEUE" else self.levels
        return [f"{name} {', '.join(shown(machine, number, side)) or 'none'}" for name, side in SIDES.items()]

    def levels(self, machine: Machine, number: int, side: Side) -> Iterator[str]:
        """What a side shows, best price first."""
        return (self.names.level(number, level) for level in machine.book(number).levels(side))

    def queue(self, machine: Machine, number: int, side: Side) -> Iterator[str]:
        """The orders of a side, first in line first; with their hidden lots."""
        for account, order_id, ticks, left in machine.book(number).queue(side):
            yield f"{self.names.name(account)}#{order_id} {left} @ {self.names.price(number, ticks)}"


def held(machine: Machine, account: int, number: int) -> Iterator[str]:
    """What an account holds in a contract, of each kind that it has at all."""
    for values in machine.snapshot()["positions"]:
        row = dict(zip(POSITION_COLUMNS, map(int, values), strict=True))
        if (row["account"], row["contract"]) != (account, number):
            continue
        if row["receipts"]:
            yield f"receipts {row['receipts']}"
        elif row["long"] or row["short"]:
            long, short = (f"{side} {row[side]} (today {row[f'{side}_today']})" for side in ("long", "short"))
            yield f"{long}, {short}" + (" hedge" if row["hedge"] else "")


def played(text: str, make: type[Machine]) -> str:
    """The scenario written out with the events that really come."""
    play = Play(make)
    for line in text.splitlines():
        play.line(line.rstrip())
    return "\n".join(play.lines) + "\n"


def check_scenario(name: str, text: str, make: type[Machine]) -> None:
    """Fail with the difference between what the scenario says and what the exchange says."""
    came = played(text, make)
    said = (f"{name}: as the rule says", "as the exchange says")
    difference = unified_diff(text.splitlines(), came.splitlines(), *said, lineterm="", n=6)
    assert came == text, "\n".join(difference)
