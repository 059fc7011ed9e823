"""A contract as listed: what is traded, in which lots and ticks, between which days and limits (rulebook §2)."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import IntEnum, IntFlag
from itertools import pairwise

from ciyuan.basics.errors import Malformed

BASIS_POINTS = 10_000
"""Parts of one in which the daily limit rate is given."""
BREAKER_MINUTES_MAX = 16
"""The longest window of the circuit breaker."""
LOTS_MAX = 2**31 - 1
"""The most lots of one order: they go into the upper half of a word, above the number of a contract (AMENDED)."""
BOUNDS = {
    "number": 2**20,
    "tick_value_micro": 2**52,
    "initial_price_ticks": 2**40,
    "max_lots_per_order": LOTS_MAX,
    "breaker_bp": 2**16,
}
"""What a listing's numbers are at most, so that nothing worked out of them overflows."""
CONTRACTS_MAX = 256
"""Contracts that one exchange lists at most."""
LIMIT_RATE_NOTICE_MAX_BP = 2_000
"""The widest daily limit that a notice may set (§4.5)."""


class Permission(IntFlag):
    """What an account may trade."""

    FUTURES = 1
    SPOT = 2


class ContractKind(IntEnum):
    """What a contract is for: receipts at once (§2.1), a month's mean fixing in money (§2.2), receipts in a month
    (§2.3), a month's mean rent of GPU-hours (§2.4), or two months of one product as one order (§2.5).
    """

    SPOT = 1
    CASH_FUTURE = 2
    PHYSICAL_FUTURE = 3
    HOUR_FUTURE = 4
    SPREAD = 5


@dataclass(frozen=True, slots=True)
class Contract:
    """A contract as listed. Units are in the names; `month` is yyyymm, 0 for spot; days are venue days, both ends
    traded.

    `tick_micro` is micro-units of money per MTok (HOUR_FUTURE: per GPU-hour), `lot_mtok` MTok (or GPU-hours) in a
    lot, `limit_rate_bp` the daily limit r in basis points, `initial_price_ticks` what stands for the settlement price
    before the first day. A SPREAD names its legs `near` and `far` by number and has their tick and lot; its limits
    follow from theirs, so its own rate and initial price are not looked at. `breaker_bp` and `breaker_minutes` are b
    and m of the circuit breaker (§4.6), 0 for none. Raises Malformed for a number that cannot be.
    """

    number: int
    code: str
    kind: ContractKind
    grade: int
    tick_micro: int
    lot_mtok: int
    first_day: int
    last_day: int
    month: int
    limit_rate_bp: int
    initial_price_ticks: int
    max_lots_per_order: int
    near: int = 0
    far: int = 0
    breaker_bp: int = 0
    breaker_minutes: int = 0

    def __post_init__(self) -> None:
        for name in ("number", "tick_micro", "lot_mtok", "initial_price_ticks", "max_lots_per_order"):
            if getattr(self, name) < 1:
                raise Malformed(f"contract {self.code}, {name}", found=getattr(self, name), expected="1 or more",
                                remedy="Correct the contract's listing.")  # fmt: skip
        for name, most in BOUNDS.items():
            if getattr(self, name) > most:
                raise Malformed(f"contract {self.code}, {name}", found=getattr(self, name), expected=f"at most {most:,}",
                                remedy="Correct the contract's listing.")  # fmt: skip
        if not 0 < self.limit_rate_bp <= BASIS_POINTS:
            raise Malformed(f"contract {self.code}, limit_rate_bp", found=self.limit_rate_bp, expected="1 to 10,000",
                            remedy="Give the daily limit in basis points: 5% is 500.")  # fmt: skip
        if self.last_day < self.first_day:
            raise Malformed(f"contract {self.code}, last_day", found=self.last_day, expected=f"{self.first_day} or later",
                            remedy="A contract's last day is not before its first.")  # fmt: skip
        if (
            self.is_spread != (self.near > 0)
            or self.is_spread != (self.far > 0)
            or (self.is_spread and self.near == self.far)
        ):
            raise Malformed(
                f"contract {self.code}, near and far",
                found=(self.near, self.far),
                expected="two legs of a spread, else 0",
                remedy="Name the two contracts of a spread, and of nothing else.",
            )
        if (self.breaker_bp > 0) != (
            self.breaker_minutes > 0
        ) or not 0 <= self.breaker_minutes <= BREAKER_MINUTES_MAX:
            raise Malformed(f"contract {self.code}, breaker", found=(self.breaker_bp, self.breaker_minutes),
                            expected=f"basis points and 1 to {BREAKER_MINUTES_MAX} minutes, or neither",
                            remedy="Give both or none.")  # fmt: skip

    @property
    def is_spread(self) -> bool:
        """Whether it is two months as one order."""
        return self.kind == ContractKind.SPREAD

    @property
    def permission(self) -> Permission:
        """What an account must be permitted to trade it."""
        return Permission.SPOT if self.kind == ContractKind.SPOT else Permission.FUTURES

    @property
    def tick_value_micro(self) -> int:
        """Micro-units of money that one tick is worth on one lot."""
        return self.tick_micro * self.lot_mtok


def checked_contracts(contracts: Iterable[Contract]) -> tuple[Contract, ...]:
    """The contracts of one exchange in order of number. Raises Malformed if two have one number, or a spread's legs are not two
    futures that are listed, alike in grade, tick and lot, the near month earlier."""
    listed = tuple(sorted(contracts, key=lambda contract: contract.number))
    if len(listed) > CONTRACTS_MAX:
        raise Malformed("contracts", found=len(listed), expected=f"at most {CONTRACTS_MAX}",
                        remedy="Give the others an exchange of their own.")  # fmt: skip
    by_number = {contract.number: contract for contract in listed}
    for earlier, later in pairwise(listed):
        if earlier.number == later.number:
            raise Malformed("contracts", found=f"two with number {later.number}", expected="a number for each",
                            remedy="Renumber one of them.")  # fmt: skip
    for spread in listed:
        if spread.is_spread:
            _check_legs(spread, by_number)
    return listed


def _check_legs(spread: Contract, by_number: Mapping[int, Contract]) -> None:
    thing, remedy = f"contract {spread.code}", "Correct the spread's listing."
    near, far = by_number.get(spread.near), by_number.get(spread.far)
    outside = (ContractKind.SPOT, ContractKind.SPREAD)
    if near is None or far is None or near.kind in outside or far.kind in outside:
        raise Malformed(f"{thing}, near and far", found=(spread.near, spread.far), expected="two futures that are listed",
                        remedy=remedy)  # fmt: skip
    for name in ("grade", "tick_micro", "lot_mtok"):
        found = {getattr(contract, name) for contract in (spread, near, far)}
        if len(found) > 1:
            raise Malformed(
                f"{thing}, {name}", found=sorted(found), expected="that of both its legs", remedy=remedy
            )
    if near.kind != far.kind or near.month >= far.month:
        raise Malformed(f"{thing}, legs", found=(near.code, far.code), expected="two months of one product, the near one earlier",
                        remedy=remedy)  # fmt: skip
