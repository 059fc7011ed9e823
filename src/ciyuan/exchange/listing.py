"""Which contract months are listed on a day, and the contracts made of them (§2.2 to §2.5).

| kind | months | code |
|---|---|---|
| CASH_FUTURE | the 12 nearest, then quarters to 24 | KIMI26.2611 |
| PHYSICAL_FUTURE | the same | KIMI26P.2611 |
| HOUR_FUTURE | the 36 nearest | H100.2611 |
| SPREAD | each listed month and the next one that is listed | KIMI26.2611-2612 |

The nearest month is the first whose last business day, the last trading day, is not over. Quarters are March, June,
September and December, as far as they are among the 24 nearest months. What is listed stays until its last day (a spread: that of
its near month), also when a month comes in between.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise

from ciyuan.basics.calendar import Calendar, month_of, next_month
from ciyuan.basics.errors import Malformed
from ciyuan.exchange.contract import Contract, ContractKind

QUARTER_MONTHS = 3
_CYCLES = {
    ContractKind.CASH_FUTURE: (12, 24),
    ContractKind.PHYSICAL_FUTURE: (12, 24),
    ContractKind.HOUR_FUTURE: (36, 36),
}
"""Of each kind that has months: how many of the nearest are listed, and among how many the quarters are."""


@dataclass(frozen=True, slots=True)
class Product:
    """What the months of a product have in common. `root` is what codes begin with, the grade's or the chip's name.

    Units and meaning are those of `Contract`; `spreads` says whether neighbouring months are listed as spreads. Raises Malformed
    for a kind that has no months.
    """

    root: str
    kind: ContractKind
    grade: int
    tick_micro: int
    lot_mtok: int
    limit_rate_bp: int
    initial_price_ticks: int
    max_lots_per_order: int
    breaker_bp: int = 0
    breaker_minutes: int = 0
    spreads: bool = True

    def __post_init__(self) -> None:
        if self.kind not in _CYCLES:
            raise Malformed(f"product {self.root}, kind", found=self.kind.name.lower(), expected="a kind of future",
                            remedy="List spot as a contract of its own; spreads follow from the months.")  # fmt: skip

    def code(self, month: int, far_month: int = 0) -> str:
        """The code of a month (yyyymm), or of the spread from it to `far_month`."""
        mark = "P" if self.kind == ContractKind.PHYSICAL_FUTURE else ""
        far = f"-{far_month % 10_000:04d}" if far_month else ""
        return f"{self.root}{mark}.{month % 10_000:04d}{far}"


def nearest_month(calendar: Calendar, day: int) -> int:
    """The first month (yyyymm) whose last trading day is `day` or later."""
    month = month_of(day)
    return month if calendar.last_business_of_month(month) >= day else next_month(month)


def listed_months(kind: ContractKind, calendar: Calendar, day: int) -> tuple[int, ...]:
    """The months (yyyymm) in which a kind of future is listed on a day, nearest first; none of spot and of spreads."""
    nearest, quarters_to = _CYCLES.get(kind, (0, 0))
    first = nearest_month(calendar, day)
    months = [next_month(first, ahead) for ahead in range(quarters_to)]
    return tuple(
        month for ahead, month in enumerate(months) if ahead < nearest or month % 100 % QUARTER_MONTHS == 0
    )


def new_listings(
    product: Product,
    calendar: Calendar,
    day: int,
    first_number: int,
    listed: Iterable[Contract] = (),
    prices: Mapping[int, int] | None = None,
) -> tuple[Contract, ...]:
    """The contracts of a product that begin to trade on a day, or the next business day: those due that are not `listed`.

    Numbers go from `first_number` on, months first, then spreads, each nearest first. `prices` (month -> ticks) are initial
    prices of months that start elsewhere than at the product's.
    """
    day = day if calendar.is_business(day) else calendar.next_business(day)
    months = listed_months(product.kind, calendar, day)
    known = {contract.code: contract for contract in listed}
    new: list[Contract] = []
    legs = []
    for month in months:
        leg = known.get(product.code(month))
        if leg is None:
            price = (prices or {}).get(month, product.initial_price_ticks)
            leg = _outright(product, calendar, first_number + len(new), month, day, price)
            new.append(leg)
        legs.append(leg)
    for near, far in pairwise(legs if product.spreads else ()):
        if product.code(near.month, far.month) not in known:
            new.append(_spread(product, first_number + len(new), near, far, day))
    return tuple(new)


def _outright(
    product: Product, calendar: Calendar, number: int, month: int, day: int, price: int
) -> Contract:
    return Contract(
        number=number,
        code=product.code(month),
        kind=product.kind,
        grade=product.grade,
        tick_micro=product.tick_micro,
        lot_mtok=product.lot_mtok,
        first_day=day,
        last_day=calendar.last_business_of_month(month),
        month=month,
        limit_rate_bp=product.limit_rate_bp,
        initial_price_ticks=price,
        max_lots_per_order=product.max_lots_per_order,
        breaker_bp=product.breaker_bp,
        breaker_minutes=product.breaker_minutes,
    )


def _spread(product: Product, number: int, near: Contract, far: Contract, day: int) -> Contract:
    return Contract(
        number=number,
        code=product.code(near.month, far.month),
        kind=ContractKind.SPREAD,
        grade=product.grade,
        tick_micro=product.tick_micro,
        lot_mtok=product.lot_mtok,
        first_day=day,
        last_day=near.last_day,
        month=near.month,
        limit_rate_bp=product.limit_rate_bp,
        initial_price_ticks=product.initial_price_ticks,
        max_lots_per_order=product.max_lots_per_order,
        near=near.number,
        far=far.number,
    )
