"""Money: integers of micro-units of a currency.

| expression | gives | raises |
|---|---|---|
| `Money + Money`, `Money - Money` | Money of that currency | ValueError if the currencies differ |
| `-Money` | Money | |
| `Money * int` | Money | TypeError for anything but an int |
| `Money < Money` (and <=, >, >=) | bool | ValueError if the currencies differ |
| `Money / x`, `Money * Money`, `Money + int` | | TypeError |

Beside the value, the exact arithmetic of charges. A price is pico-units per token, so a cost is an exact integer of
pico-units; a charge is whole micro-units, and the remainder is carried to the account's next charge (`carry_charge`).
Every division says how it rounds. `micro_half_up` is the one bridge from physics' floats to money.
"""

from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from fractions import Fraction

from ciyuan.basics.errors import Malformed
from ciyuan.basics.rows import INT64_MAX

MICRO = 10**6
"""Micro-units in one unit of currency."""
PICO_PER_MICRO = 10**6
"""Pico-units in one micro-unit."""


def div_floor(a: int, b: int) -> int:
    """a / b rounded toward minus infinity. `b` > 0."""
    return a // b


def div_ceil(a: int, b: int) -> int:
    """a / b rounded toward plus infinity. `b` > 0."""
    return -(-a // b)


def div_half_up(a: int, b: int) -> int:
    """a / b rounded to the nearest integer, a half toward plus infinity. `b` > 0."""
    return (2 * a + b) // (2 * b)


def carry_charge(cost_pico: int, carry_pico: int) -> tuple[int, int]:
    """The whole micro-units of `cost_pico + carry_pico`, and the remainder to carry, 0 <= carry < 10**6.

    Over any number of charges, sum(charges) = floor(sum(costs) / 10**6): it never drifts by one micro-unit.
    """
    return divmod(cost_pico + carry_pico, PICO_PER_MICRO)


def micro_half_up(units: float) -> int:
    """Bridge from a float of whole units (a modelled price, a simulated value) to micro-units, a half rounded up.

    Exact in the float's own binary value. Raises Malformed for what is not finite or does not fit in 64 bits.
    """
    if not -INT64_MAX < units * MICRO < INT64_MAX:  # also false for nan
        raise Malformed("amount of money", found=units, expected="a finite number of units that fits in 64 bits of micro-units",
                        remedy="Check the model that produced it.")  # fmt: skip
    exact = Fraction(units) * MICRO
    return div_half_up(exact.numerator, exact.denominator)


def parse_micro(text: str) -> int:
    """Micro-units of a decimal text such as "1.25" or "-0.000001". Exact: more than six decimals are refused (Malformed)."""
    try:
        value = Decimal(text)
        kept = value.quantize(Decimal("0.000001")) if abs(value) <= INT64_MAX else Decimal(0)
        whole = int(kept.scaleb(6))
    except (InvalidOperation, OverflowError, ValueError):
        raise Malformed(
            "amount of money", found=text, expected="a decimal number", remedy='Write it like "12.50".'
        ) from None
    if kept != value or abs(whole) > INT64_MAX:
        raise Malformed("amount of money", found=text, expected="at most six decimals and 64 bits of micro-units",
                        remedy="Round it yourself, so that the rounding is yours.")  # fmt: skip
    return whole


def format_micro(amount_micro: int, decimals: int = 6) -> str:
    """Decimal text of micro-units with thousands separators; fewer than six `decimals` round half up."""
    shown = div_half_up(amount_micro, 10 ** (6 - decimals))
    sign, shown = ("-", -shown) if shown < 0 else ("", shown)
    whole, part = divmod(shown, 10**decimals)
    return f"{sign}{whole:,}.{part:0{decimals}d}" if decimals else f"{sign}{whole:,}"


@dataclass(frozen=True, slots=True)
class Money:
    """An amount of one currency (ISO 4217 code), in micro-units."""

    amount_micro: int
    currency: str = "USD"

    def _same(self, other: "Money") -> int:
        if self.currency != other.currency:
            raise ValueError(
                f"{self} and {other}: two currencies do not add or compare; convert one at a stated rate first"
            )
        return other.amount_micro

    def __add__(self, other: "Money") -> "Money":
        if not isinstance(other, Money):
            return NotImplemented
        return Money(self.amount_micro + self._same(other), self.currency)

    def __sub__(self, other: "Money") -> "Money":
        if not isinstance(other, Money):
            return NotImplemented
        return Money(self.amount_micro - self._same(other), self.currency)

    def __neg__(self) -> "Money":
        return Money(-self.amount_micro, self.currency)

    def __mul__(self, times: int) -> "Money":
        if not isinstance(times, int):
            return NotImplemented
        return Money(self.amount_micro * times, self.currency)

    def __lt__(self, other: "Money") -> bool:
        return self.amount_micro < self._same(other)

    def __le__(self, other: "Money") -> bool:
        return self.amount_micro <= self._same(other)

    def __gt__(self, other: "Money") -> bool:
        return self.amount_micro > self._same(other)

    def __ge__(self, other: "Money") -> bool:
        return self.amount_micro >= self._same(other)

    def __str__(self) -> str:
        return f"{format_micro(self.amount_micro)} {self.currency}"
