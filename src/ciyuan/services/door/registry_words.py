"""Limits in words: one sentence for the command line, for files and for people, and back.

    50 USD a month          20M tokens a day          500 USD ever          60 requests a minute
    1.5M tokens an hour     2,000.50 USD a year       50 USD a month at +08:00

| part | may be |
|---|---|
| amount | digits, with a point, thousands in commas; of tokens and requests also with k, M, G or T (10^3, 6, 9, 12) |
| unit | USD (kept as micro-USD), tokens (input and output together), requests |
| window | a minute, an hour: a rate; a day, a month, a year, ever: a budget. "per month" says the same |
| at | of a day, a month or a year: whose midnight is its border, as hours from UTC; without it UTC's |

There is no unit left unsaid, so none can be taken for another. What is possible but hardly meant (a budget of 20 tokens a month,
one of 50,000,000 USD a day) is not refused here: `doubt` says what is odd about it, for someone to be asked.
"""

import re
from dataclasses import dataclass
from fractions import Fraction

from ciyuan.basics.errors import Malformed
from ciyuan.basics.money import MICRO, format_micro, parse_micro
from ciyuan.basics.rows import INT64_MAX
from ciyuan.basics.time import NS_PER_DAY, NS_PER_HOUR, NS_PER_MINUTE
from ciyuan.gateway.messages import OFFSET_MAX_NS, RATE_MAX, LimitUnit, LimitWindow

__all__ = [
    "LimitTerms",
    "LimitUnit",
    "LimitWindow",
    "amount_words",
    "count_words",
    "money_words",
    "parse_limit",
    "parse_offset",
    "parse_span",
    "parse_usd",
]

DOUBT_MICRO_MIN, DOUBT_MICRO_MAX = MICRO // 100, 10_000_000 * MICRO
"""A budget of less than a cent pays no request; one of more than ten million USD is most likely micro-USD."""
DOUBT_TOKENS_MIN, DOUBT_TOKENS_MAX = 1_000, 10**15
"""A budget of less than a thousand tokens refuses nearly every request: it is most likely millions."""
DOUBT_REQUESTS_MAX = 10**9
_SENTENCE = re.compile(
    r"(?P<amount>[0-9]+|[0-9]{1,3}(?:,[0-9]{3})+)(?P<part>\.[0-9]+)?(?P<power>[kMGT])? "
    r"(?P<unit>USD|tokens?|requests?) "
    r"(?:(?:an?|per) (?P<window>minute|hour|day|month|year)|(?P<ever>ever))"
    r"(?: at (?P<sign>[+-])(?P<hours>[0-9]{2}):(?P<minutes>[0-9]{2}))?",
    re.ASCII,
)
_USD = re.compile(r"(?P<amount>[0-9]+|[0-9]{1,3}(?:,[0-9]{3})+)(?P<part>\.[0-9]+)?(?: ?USD)?", re.ASCII)
_DURATION = re.compile(r"([1-9][0-9]{0,4}) ?(m|h|d|minutes?|hours?|days?)", re.ASCII)
_POWERS = {None: 0, "k": 3, "M": 6, "G": 9, "T": 12}
_SPANS = {"m": NS_PER_MINUTE, "h": NS_PER_HOUR, "d": NS_PER_DAY}
_EXAMPLES = "50 USD a month, 20M tokens a day, 60 requests a minute"


_CALENDAR = (LimitWindow.DAY, LimitWindow.MONTH, LimitWindow.YEAR)


@dataclass(frozen=True, slots=True)
class LimitTerms:
    """What a limit says: at most so much (micro-USD, tokens or requests) in each window, whose borders are `offset_ns` ahead of
    UTC's.
    """

    unit: LimitUnit
    window: LimitWindow
    most: int
    offset_ns: int = 0

    def __post_init__(self) -> None:
        top = RATE_MAX if self.is_rate else INT64_MAX
        if not 0 <= self.most <= top:
            raise Malformed("limit", found=self.most, expected=f"0 to {top}{' in a minute or hour' if self.is_rate else ''}",
                            remedy="A rate above that is none: leave it out.")  # fmt: skip
        if self.offset_ns and self.window not in _CALENDAR:
            raise Malformed("limit, offset from UTC", found=f"one for {_window_words(self.window)}",
                            expected="one for a day, a month or a year", remedy="Leave out the offset.")  # fmt: skip
        if abs(self.offset_ns) > OFFSET_MAX_NS or self.offset_ns % NS_PER_MINUTE:
            raise Malformed("limit, offset from UTC", found=self.offset_ns, expected="whole minutes from -14:00 to +14:00",
                            remedy="Write it like +08:00.")  # fmt: skip

    @property
    def is_rate(self) -> bool:
        """Whether it is a rate and not a budget."""
        return self.window in {LimitWindow.MINUTE, LimitWindow.HOUR}

    def doubt(self) -> str | None:
        """What is odd about it, so that it was perhaps typed in the wrong unit; None if nothing is. A limit of 0 is meant."""
        if self.most == 0:
            return None
        if self.unit is LimitUnit.MONEY:
            if self.most < DOUBT_MICRO_MIN:
                return "less than a cent pays no request"
            if self.most > DOUBT_MICRO_MAX:
                return "more than ten million USD: are these micro-USD?"
        if self.unit is LimitUnit.TOKENS:
            if self.most < DOUBT_TOKENS_MIN:
                return "fewer than 1,000 tokens refuse nearly every request: are these millions?"
            if self.most > DOUBT_TOKENS_MAX:
                return "more than 10^15 tokens: are these micro-USD?"
        if self.unit is LimitUnit.REQUESTS and self.most > DOUBT_REQUESTS_MAX:
            return "more than 10^9 requests: are these tokens?"
        return None

    def __str__(self) -> str:
        return f"{amount_words(self.unit, self.most)} {_window_words(self.window)}{_offset_words(self.offset_ns)}"


def parse_limit(text: str) -> LimitTerms:
    """The limit that a sentence says. Raises Malformed for one without its unit or window, or whose amount is not whole."""
    found = _SENTENCE.fullmatch(" ".join(text.split()))
    if found is None:
        raise Malformed("limit", found=text, expected=f"amount, unit and window, as: {_EXAMPLES}",
                        remedy="Say the unit and the window in words.")  # fmt: skip
    digits = found["amount"].replace(",", "") + (found["part"] or "")
    if found["unit"] == "USD":
        unit, most = LimitUnit.MONEY, _money(digits, found["power"], text)
    else:
        unit = LimitUnit.TOKENS if found["unit"].startswith("token") else LimitUnit.REQUESTS
        most = _whole(digits, found["power"], text)
    window = LimitWindow.EVER if found["ever"] else LimitWindow[found["window"].upper()]
    return LimitTerms(unit, window, most, _offset(found["sign"], found["hours"], found["minutes"]))


def parse_usd(text: str) -> int:
    """Micro-USD of an amount such as `5000`, `5,000.50` or `12.50 USD`. Raises Malformed."""
    found = _USD.fullmatch(text.strip())
    if found is None:
        raise Malformed("amount of money", found=text, expected="USD in digits, thousands in commas",
                        remedy='Write it like "5,000.50".')  # fmt: skip
    return parse_micro(found["amount"].replace(",", "") + (found["part"] or ""))


def amount_words(unit: LimitUnit, amount: int) -> str:
    """An amount with its unit, as `parse_limit` reads it: `2,000.50 USD`, `20M tokens`, `1,234 requests`."""
    if unit is LimitUnit.MONEY:
        return f"{money_words(amount)} USD"
    return f"{count_words(amount)} {unit.name.lower()}"


def money_words(amount_micro: int) -> str:
    """Whole units of currency with two decimals, or with as many more as are needed to be exact."""
    text = format_micro(amount_micro)
    whole, _, part = text.partition(".")
    return f"{whole}.{part[:2]}{part[2:].rstrip('0')}"


def count_words(count: int) -> str:
    """A count, in thousands or more if it is round: 20M, 500k, 1,234."""
    for letter, power in (("T", 12), ("G", 9), ("M", 6), ("k", 3)):
        if count and count % 10**power == 0:
            return f"{count // 10**power:,}{letter}"
    return f"{count:,}"


def parse_span(text: str) -> int:
    """Nanoseconds of a span such as `90d`, `12h`, `30 minutes`. Raises Malformed."""
    found = _DURATION.fullmatch(text.strip())
    if found is None:
        raise Malformed("span of time", found=text, expected="a number of minutes, hours or days, as 90d",
                        remedy="Write it like 30m, 12h or 90d.")  # fmt: skip
    return int(found[1]) * _SPANS[found[2][0]]


def parse_offset(text: str) -> int:
    """Nanoseconds from UTC of an offset such as `+08:00`. Raises Malformed."""
    found = re.fullmatch(r"([+-])([0-9]{2}):([0-9]{2})", text)
    if found is None:
        raise Malformed("offset from UTC", found=text, expected="hours and minutes, as +08:00",
                        remedy="Write it like +08:00 or -05:30.")  # fmt: skip
    return _offset(found[1], found[2], found[3])


def _offset(sign: str | None, hours: str | None, minutes: str | None) -> int:
    if sign is None or hours is None or minutes is None:
        return 0
    if int(minutes) >= 60:
        raise Malformed("offset from UTC", found=f"{sign}{hours}:{minutes}", expected="minutes under 60",
                        remedy="Write it like +08:00.")  # fmt: skip
    span = int(hours) * NS_PER_HOUR + int(minutes) * NS_PER_MINUTE
    return -span if sign == "-" else span


def _money(digits: str, power: str | None, text: str) -> int:
    if power is not None:
        raise Malformed(
            "limit", found=text, expected="an amount of USD in digits", remedy=f"Write out the {power}."
        )
    return parse_micro(digits)


def _whole(digits: str, power: str | None, text: str) -> int:
    value = Fraction(digits) * 10 ** _POWERS[power]
    if value.denominator != 1 or value > INT64_MAX:
        raise Malformed("limit", found=text, expected="a whole number of tokens or requests, of 64 bits",
                        remedy="Leave out the decimals.")  # fmt: skip
    return int(value)


def _window_words(window: LimitWindow) -> str:
    if window is LimitWindow.EVER:
        return "ever"
    return f"{'an' if window is LimitWindow.HOUR else 'a'} {window.name.lower()}"


def _offset_words(offset_ns: int) -> str:
    if not offset_ns:
        return ""
    hours, minutes = divmod(abs(offset_ns) // NS_PER_MINUTE, 60)
    return f" at {'-' if offset_ns < 0 else '+'}{hours:02}:{minutes:02}"
