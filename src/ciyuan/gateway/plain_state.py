"""What the plain meter remembers, and how it is written down: parties, price lists, requests."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Self

import numpy as np
from numpy.typing import NDArray

from ciyuan.basics.price import PriceList
from ciyuan.basics.rows import Row, code_of, flags_of, kind_word, reason_of
from ciyuan.basics.tokens import Legs
from ciyuan.gateway.edge import PART_WIDTHS
from ciyuan.gateway.messages import MeterFlag, RequestState
from ciyuan.gateway.plain_legs import TOLD, SaidLegs
from ciyuan.gateway.plain_spenders import Limit, Spender, Tree
from ciyuan.gateway.rating import list_in_force


@dataclass(slots=True)
class Party:
    """A customer or a supplier, with what it was charged or earned."""

    role: int
    number: int
    account: int
    carry_pico: int = 0
    charged_micro: int = 0
    tokens_in: int = 0
    tokens_cached: int = 0
    tokens_out: int = 0

    def row(self) -> Row:
        """The party's row of the snapshot."""
        used = (self.tokens_in, self.tokens_cached, self.tokens_out)
        return (self.role, self.number, self.account, self.carry_pico, self.charged_micro, *used)

    def add(self, legs: Legs, charge_micro: int) -> None:
        """Count a settled request."""
        self.charged_micro += charge_micro
        self.tokens_in += legs.input
        self.tokens_cached += legs.cached
        self.tokens_out += legs.output


@dataclass(slots=True)
class Request:
    """One request. `used` is None until it is settled; `expires_ns` is 0 if it never does; `spender` is 0 if it has none; `told`
    are the counts of legs that LEG_USED rows told, None if none did.
    """

    key: int
    parties: int
    tokens_in_max: int
    tokens_out_max: int
    timeout_ns: int
    expires_ns: int
    held_micro: int
    list_number: int
    state: RequestState = RequestState.HELD
    used: Legs | None = None
    charge_micro: int = 0
    spender: int = 0
    held_ns: int = 0
    counted: int = 0
    told: dict[int, int] | None = None

    def row(self) -> Row:
        """The request's row of the snapshot."""
        flags = MeterFlag.BATCH if self.used is not None and self.used.batch else 0
        times = (self.timeout_ns, self.expires_ns)
        status = kind_word(self.state, flags, self.list_number)
        return (
            self.key,
            self.parties,
            self.tokens_in_max,
            self.tokens_out_max,
            *times,
            self.held_micro,
            status,
        )

    @property
    def tokens_max(self) -> int:
        """Tokens in and out at most."""
        return self.tokens_in_max + self.tokens_out_max

    def delivery(self) -> tuple[int, int, int, int]:
        """The request's row of the snapshot's deliveries."""
        return (
            (self.used.input, self.used.cached, self.used.output, self.charge_micro)
            if self.used
            else (0, 0, 0, 0)
        )

    def words(self) -> tuple[int, ...]:
        """Words 2 to 7 of its HELD, VOIDED and EXPIRED events."""
        return (
            self.key,
            self.parties,
            self.tokens_in_max,
            self.tokens_out_max,
            self.timeout_ns,
            self.held_micro,
        )


@dataclass(slots=True)
class State:
    """The whole state. Lists are numbered from 1 in the order of acceptance and kept with the time of it; `books`
    gives the time of the last hold of a supplier's grade, `legs` what was said of the legs of a list by its number, `told` the
    requests of whose legs was told, in that order.
    """

    clock_ns: int = 0
    parties: dict[tuple[int, int], Party] = field(default_factory=dict)
    lists: list[tuple[PriceList, int]] = field(default_factory=list)
    books: dict[tuple[int, int], int] = field(default_factory=dict)
    requests: dict[int, Request] = field(default_factory=dict)
    tree: Tree = field(default_factory=Tree)
    legs: dict[int, SaidLegs] = field(default_factory=dict)
    told: list[int] = field(default_factory=list)
    closed: tuple[int, int] | None = None

    def is_closed(self, key: int) -> bool:
        """Whether a request's key is closed."""
        return self.closed is not None and self.closed[0] <= key < self.closed[1]

    def lists_of(self, supplier: int, grade: int) -> list[PriceList]:
        """All lists of a supplier's grade."""
        return [known for known, _ in self.lists if (known.supplier, known.grade) == (supplier, grade)]

    def list_from(self, supplier: int, grade: int, valid_from_ns: int) -> PriceList | None:
        """The list of a supplier's grade that begins at exactly that moment."""
        return next(
            (known for known in self.lists_of(supplier, grade) if known.valid_from_ns == valid_from_ns), None
        )

    def list_in_force(self, supplier: int, grade: int, moment_ns: int) -> PriceList | None:
        """The list of a supplier's grade that is in force at a moment."""
        return list_in_force(self.lists_of(supplier, grade), moment_ns)

    def number_of(self, prices: PriceList) -> int:
        """The number of a list."""
        return 1 + [known for known, _ in self.lists].index(prices)

    def parts(self) -> dict[str, NDArray[np.int64]]:
        """The state as the matrices of a snapshot."""
        rows: dict[str, Sequence[Sequence[int]]] = {
            "parties": [party.row() for party in self.parties.values()],
            "price_lists": [_list_row(known, time_ns) for known, time_ns in self.lists],
            "books": [(*pair, last_hold_ns) for pair, last_hold_ns in self.books.items()],
            "requests": [request.row() for request in self.requests.values()],
            "deliveries": [request.delivery() for request in self.requests.values()],
            "spenders": [(who.number, who.parent, who.customer) for who in self.tree.spenders.values()],
            "limits": [limit.row() for limit in self.tree.limits.values()],
            "spends": [
                (request.key, request.spender, request.held_ns, _as_word(request.counted))
                for request in self.requests.values()
                if request.spender
            ],
            "leg_prices": [
                (number, step, leg, price, said.bound(step, leg))
                for number, said in sorted(self.legs.items())
                for (step, leg), price in sorted(said.prices.items())
            ],
            "leg_counts": [self._told_row(key) for key in self.told],
            "closed": [self.closed] if self.closed else [],
            "clock": [(self.clock_ns,)],
        }
        return {
            name: np.array(part, dtype=np.int64).reshape(-1, PART_WIDTHS[name]) for name, part in rows.items()
        }

    def _told_row(self, key: int) -> tuple[int, ...]:
        told = self.requests[key].told or {}
        return (key, *(told.get(leg, 0) for leg in TOLD))

    @classmethod
    def of(cls, parts: Mapping[str, NDArray[np.int64]]) -> Self:
        """The state of a snapshot that has been checked."""
        rows = {name: part.tolist() for name, part in parts.items()}
        state = cls(clock_ns=rows["clock"][0][0])
        state.parties = {(row[0], row[1]): Party(*row) for row in rows["parties"]}
        state.lists = [(_list_of(row), row[7]) for row in rows["price_lists"]]
        state.books = {(supplier, grade): last_hold_ns for supplier, grade, last_hold_ns in rows["books"]}
        for row, delivery in zip(rows["requests"], rows["deliveries"], strict=True):
            state.requests[row[0]] = _request_of(row, delivery)
        state._take_spenders_and_legs(rows)
        return state

    def _take_spenders_and_legs(self, rows: Mapping[str, list[list[int]]]) -> None:
        for number, parent, customer in rows["spenders"]:
            self.tree.spenders[number] = Spender(number, parent, customer)
        for row in rows["limits"]:
            self.tree.put(Limit(*row))
        for key, spender, held_ns, counted in rows["spends"]:
            request = self.requests[key]
            request.spender, request.held_ns, request.counted = spender, held_ns, counted
        for number, step, leg, price, bound in rows["leg_prices"]:
            self.legs.setdefault(number, SaidLegs()).say(step, leg, price, bound)
        for key, *counts in rows["leg_counts"]:
            self.told.append(key)
            self.requests[key].told = dict(zip(TOLD, counts, strict=True))
        self.closed = (rows["closed"][0][0], rows["closed"][0][1]) if rows["closed"] else None


def _list_row(known: PriceList, time_ns: int) -> Row:
    prices = (known.input, known.cached, known.output)
    return (known.supplier, known.grade, *prices, known.valid_from_ns, known.batch_hundredths, time_ns)


def _list_of(row: list[int]) -> PriceList:
    supplier, grade, price_in, price_cached, price_out, valid_from_ns, hundredths, _ = row
    return PriceList(supplier, grade, valid_from_ns, price_in, price_cached, price_out, hundredths)


def _request_of(row: list[int], delivery: list[int]) -> Request:
    key, parties, tokens_in, tokens_out, timeout_ns, expires_ns, held_micro, status = row
    state = RequestState(code_of(status))
    request = Request(
        key, parties, tokens_in, tokens_out, timeout_ns, expires_ns, held_micro, reason_of(status), state
    )
    if state == RequestState.SETTLED:
        request.used = Legs(delivery[0], delivery[1], delivery[2], batch=flags_of(status) == MeterFlag.BATCH)
        request.charge_micro = delivery[3]
    return request


def _as_word(bits: int) -> int:
    """64 bits as a signed word."""
    return bits - (bits >> 63 << 64) if bits >= 0 else bits
