"""The room of an exchange: how much of everything it can hold. Said once, when it is built; beyond it is refused, by name."""

from dataclasses import dataclass

from ciyuan.basics.errors import Malformed

LADDER_TICKS_MAX = 64**3
"""Ticks that the kernel's bitsets of three levels reach."""


@dataclass(frozen=True, slots=True)
class Room:
    """`accounts` are numbered 1 to that, `orders` are those remembered at once, `ladder_ticks` those between a contract's limits.

    Memory is 128 bytes an order, 400 bytes an account and contract, 130 bytes a tick and contract; only what is used is touched.
    """

    accounts: int = 1_024
    orders: int = 1 << 20
    ladder_ticks: int = 1 << 14

    def __post_init__(self) -> None:
        bounds = {"accounts": 2**31 - 1, "orders": 2**30, "ladder_ticks": LADDER_TICKS_MAX}
        for name, most in bounds.items():
            if not 1 <= getattr(self, name) <= most:
                raise Malformed(f"room, {name}", found=getattr(self, name), expected=f"1 to {most:,}",
                                remedy="Give the exchange another room.")  # fmt: skip
