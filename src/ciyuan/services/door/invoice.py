"""An invoice: what one customer used in a month, what it was charged, and what became of its money.

An invoice is a *statement* (numbers only: what is owed) and *labels* (the names of its numbers on the day it was issued). What is
printed is a function of the two, so an invoice that was issued is printed the same for ever.

| sum | is |
|---|---|
| detail | one local day, spender, supplier, grade, batch or not, price list |
| line | the details of one department, grade, supplier, batch or not, price list |
| charged | sum of all details = sum of SETTLED of the customer in the span |
| exact cost | tokens x price, in pico-units, where a list has prices of input, cached input and output only |
| carry | charged less exact cost: under one micro-unit in all, because the remainder of each charge is carried to the next |
| closing | opening + paid in - paid out - charged |
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date

from ciyuan.basics.money import PICO_PER_MICRO, div_half_up
from ciyuan.services.door.usage_columns import Sums
from ciyuan.services.door.usage_span import Span

INVOICE, CREDIT_NOTE, DRAFT = "invoice", "credit note", "draft"
CURRENCY = "USD"


@dataclass(frozen=True, slots=True)
class PriceList:
    """A price list of the meter: micro-units per MTok, which is pico-units per token. `has_legs`: other legs have prices too."""

    number: int
    supplier: int
    grade: int
    price_in: int
    price_cached: int
    price_out: int
    valid_from_ns: int
    batch_hundredths: int
    has_legs: bool

    def prices(self, batch: int) -> tuple[int, int, int]:
        """Input, cached input, output; at batch prices if so served, each rounded half up as the meter does."""
        listed = self.price_in, self.price_cached, self.price_out
        if not batch:
            return listed
        price_in, price_cached, price_out = (
            div_half_up(price * self.batch_hundredths, 100) for price in listed
        )
        return price_in, price_cached, price_out


@dataclass(frozen=True, slots=True)
class Detail:
    """What one spender used of one price list on one day (ISO date), and what was charged for it."""

    day: str
    spender: int
    supplier: int
    grade: int
    batch: int
    price_list: int
    sums: Sums

    @property
    def tokens(self) -> tuple[int, int, int]:
        """Tokens by what is priced apart: uncached input, cached input, output."""
        return self.sums.tokens_in - self.sums.tokens_cached, self.sums.tokens_cached, self.sums.tokens_out


@dataclass(frozen=True, slots=True)
class Movement:
    """Money that came in (> 0) or went out (< 0): when, under which key of the venue, and which outside reference, if any."""

    time_ns: int
    key: int
    kind: str
    micro: int
    reference: str


@dataclass(frozen=True, slots=True)
class Statement:
    """What is owed, in numbers. `charged_micro` is of the span; opening and closing are all of the customer's money."""

    customer: int
    first: str
    end: str
    offset_hours: int
    opening_micro: int
    movements: tuple[Movement, ...]
    charged_micro: int
    closing_micro: int
    price_lists: tuple[PriceList, ...]
    details: tuple[Detail, ...]

    @property
    def span(self) -> Span:
        """The span that it is of."""
        return Span(date.fromisoformat(self.first), date.fromisoformat(self.end), self.offset_hours)

    @property
    def paid_in_micro(self) -> int:
        """All that came in."""
        return sum(each.micro for each in self.movements if each.micro > 0)

    @property
    def paid_out_micro(self) -> int:
        """All that went out, other than charges."""
        return -sum(each.micro for each in self.movements if each.micro < 0)

    @property
    def lists(self) -> dict[int, PriceList]:
        """Price lists by number."""
        return {each.number: each for each in self.price_lists}

    def exact_pico(self, detail: Detail) -> int | None:
        """What a detail costs exactly; None if its list prices further legs, which sums cannot be priced by."""
        prices = self.lists.get(detail.price_list)
        if prices is None or prices.has_legs:
            return None
        return sum(
            tokens * price for tokens, price in zip(detail.tokens, prices.prices(detail.batch), strict=True)
        )

    @property
    def carry_pico(self) -> int | None:
        """Charged less exact cost of all details; None if one of them has no exact cost."""
        costs = [self.exact_pico(detail) for detail in self.details]
        exact = [cost for cost in costs if cost is not None]
        return self.charged_micro * PICO_PER_MICRO - sum(exact) if len(exact) == len(costs) else None


@dataclass(frozen=True, slots=True)
class Who:
    """Whose a spender is, in labels of the day of issue."""

    department_number: int
    department: str
    engineer: str
    key: str
    app: str


@dataclass(frozen=True, slots=True)
class Labels:
    """The names of a statement's numbers."""

    organisation: str
    issuer: str
    spenders: dict[int, Who] = field(default_factory=dict)
    suppliers: dict[int, str] = field(default_factory=dict)
    grades: dict[int, tuple[str, str]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Invoice:
    """An invoice, credit note or draft. `total_micro` is what was charged, or (below 0) what is credited."""

    number: str
    kind: str
    issued_ns: int
    journal_row: int
    total_micro: int
    statement: Statement
    labels: Labels
    corrects: str = ""
    reason: str = ""

    @property
    def lines(self) -> "list[InvoiceLine]":
        """The lines, by department, then what cost most."""
        return invoice_lines(self.statement, self.labels)


@dataclass(frozen=True, slots=True)
class InvoiceLine:
    """What a department used of one grade of one supplier by one price list. `exact_pico` None: priced by further legs too."""

    department: str
    model: str
    tier: str
    supplier: str
    batch: bool
    price_list: int
    prices: tuple[int, int, int]
    tokens: tuple[int, int, int]
    sums: Sums
    exact_pico: int | None


def invoice_lines(statement: Statement, labels: Labels) -> list[InvoiceLine]:
    """A statement's details as lines."""
    groups: dict[tuple[str, int, int, int, int], list[Detail]] = defaultdict(list)
    for detail in statement.details:
        department = labels.spenders[detail.spender].department
        groups[department, detail.grade, detail.supplier, detail.batch, detail.price_list].append(detail)
    lines = [_line(statement, labels, key, details) for key, details in groups.items()]
    cost: dict[str, int] = defaultdict(int)
    for line in lines:
        cost[line.department] += line.sums.charged_micro
    return sorted(
        lines, key=lambda line: (-cost[line.department], line.department, -line.sums.charged_micro, line.model, line.price_list)
    )  # fmt: skip


def _line(
    statement: Statement, labels: Labels, key: tuple[str, int, int, int, int], details: Sequence[Detail]
) -> InvoiceLine:
    department, grade, supplier, batch, number = key
    prices = statement.lists.get(number)
    costs = [statement.exact_pico(detail) for detail in details]
    exact = [cost for cost in costs if cost is not None]
    uncached, cached, out = (sum(leg) for leg in zip(*(detail.tokens for detail in details), strict=True))
    model, tier = labels.grades[grade]
    return InvoiceLine(
        department,
        model,
        tier,
        labels.suppliers[supplier],
        bool(batch),
        number,
        (0, 0, 0) if prices is None else prices.prices(batch),
        (uncached, cached, out),
        sum((detail.sums for detail in details), Sums()),
        sum(exact) if len(exact) == len(costs) else None,
    )
