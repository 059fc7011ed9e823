"""The price book: what each supplier asks for each grade, from which moment on; every list that there ever was.

A list that is taken in anew is compared with the one in force: the same prices are the same list, whoever reads the file and
however often. Other prices are another list, which begins `LEAD_NS` later, so that every process has told the meter of it before
the first request is held by it. What is in force is the last list of its supplier and grade; the meter has them all, and prices
each request by the one that held when it was held.
"""

from dataclasses import dataclass

import msgspec

from ciyuan.gateway.leg_prices import LegPrices
from ciyuan.services.door.registry_database import Row, Sql
from ciyuan.services.door.registry_parties import next_number

LEAD_NS = 5 * 10**9
"""How long before it begins a list that replaces another is made known."""
PIECES_MAX = 8
"""How many pieces of a kind (pictures, searches) one request is held for, where a list does not say."""
_COLUMNS = "number, supplier, grade, valid_from_ns, prices, pieces_max, source, created_ns"


@dataclass(frozen=True, slots=True)
class Listing:
    """One price list. `source` says where the prices were read."""

    number: int
    supplier: int
    grade: int
    valid_from_ns: int
    prices: LegPrices
    pieces_max: int
    source: str
    created_ns: int


class PriceBook:
    """Price lists inside a change."""

    def __init__(self, sql: Sql, now_ns: int) -> None:
        self._sql, self._now_ns = sql, now_ns

    def post(
        self, supplier: int, grade: int, prices: LegPrices, *, pieces_max: int = PIECES_MAX, source: str = ""
    ) -> Listing:
        """The list of these prices: the one in force, if they are its; else a new one, which begins now if it is the first."""
        now_ns, before = self._now_ns, self._last(supplier, grade)
        if before is not None and (before.prices, before.pieces_max) == (prices, pieces_max):
            return before
        number = next_number(self._sql, "price_lists")
        valid_from_ns = now_ns if before is None else max(now_ns, before.valid_from_ns) + LEAD_NS
        self._sql.run(
            f"INSERT INTO price_lists ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",  # noqa: S608 the names are ours
            *(number, supplier, grade, valid_from_ns, _text_of(prices), pieces_max, source, now_ns),
        )
        return Listing(number, supplier, grade, valid_from_ns, prices, pieces_max, source, now_ns)

    def put_off(self, number: int) -> None:
        """A list came too late for the moment at which it was to begin: it begins later."""
        self._sql.run(
            "UPDATE price_lists SET valid_from_ns = ? WHERE number = ?", self._now_ns + LEAD_NS, number
        )

    def _last(self, supplier: int, grade: int) -> Listing | None:
        row = self._sql.row(
            f"SELECT {_COLUMNS} FROM price_lists WHERE supplier = ? AND grade = ? "  # noqa: S608 the names are ours
            "ORDER BY number DESC LIMIT 1",
            *(supplier, grade),
        )
        return None if row is None else _listing_of(row)


def listings_in(sql: Sql) -> list[Listing]:
    """All price lists by number."""
    return [
        _listing_of(row)
        for row in sql.rows(f"SELECT {_COLUMNS} FROM price_lists ORDER BY number")  # noqa: S608
    ]


def _text_of(prices: LegPrices) -> str:
    return msgspec.json.encode(prices).decode()


def _listing_of(row: Row) -> Listing:
    number, supplier, grade, valid_from_ns, prices, *rest = row
    return Listing(number, supplier, grade, valid_from_ns, msgspec.json.decode(prices, type=LegPrices), *rest)
