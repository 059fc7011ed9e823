"""What may enter a meter: batches of the right shape, snapshots that are snapshots. Both twins ask here.

What a *row* says is never malformed: a row that cannot be done is refused, by an event. Only what is not rows
at all is.

| part of a snapshot | columns |
|---|---|
| parties | role, number, ledger account, carry in pico-units, micro-units charged (supplier: earned), tokens in, cached, out |
| price_lists | supplier, grade, prices in, cached, out, valid_from_ns, batch hundredths, time_ns of acceptance; list 1 first |
| books | supplier, grade, time_ns of the last hold rated for them (-1: none) |
| requests | key, parties, tokens in max, out max, timeout_ns, expires_ns (0: never), micro-units held, status word |
| deliveries | one row per request: tokens in, cached, out, micro-units charged; zeros while not settled |
| spenders | number, parent (0: none), customer |
| limits | number, spender, unit, window, most, offset in ns, when the window began, use; of a rate: tick and level |
| spends | of each request with a spender: key, spender, time_ns of the HOLD, the limits that count it (`book`: COUNTED) |
| leg_prices | number of the list, step, leg, price, bound: what LEG_PRICE rows said, in that order |
| leg_counts | of each request of which legs were told: key, and the ten counts that DELIVER does not say |
| closed | the first of the closed request keys and one past the last; no row if none are |
| clock | time_ns of the latest row |

The status word packs a request's `RequestState`, the BATCH flag of its delivery and the number of its price
list as a kind word packs code, flags and reason.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from ciyuan.basics.errors import Malformed
from ciyuan.basics.rows import CODE_MASK, REASON_SHIFT, ROW_WORDS
from ciyuan.gateway.edge_spenders import laws_of_legs, laws_of_spenders
from ciyuan.gateway.messages import CUSTOMER_MAX, REQUEST_MAX, SUPPLIER_MAX, PartyRole, RequestState

PART_WIDTHS = {
    "parties": 8,
    "price_lists": 8,
    "books": 3,
    "requests": 8,
    "deliveries": 4,
    "spenders": 3,
    "limits": 8,
    "spends": 4,
    "leg_prices": 5,
    "leg_counts": 11,
    "closed": 2,
    "clock": 1,
}
NEVER_HELD = -1
"""The time of the last hold in a book that has none."""
Matrix = NDArray[np.int64]


def checked_batch(rows: Matrix) -> Matrix:
    """The batch itself if it is a C-contiguous (n, 8) int64 matrix, else raises Malformed."""
    if rows.dtype != np.int64 or rows.ndim != 2 or rows.shape[1] != ROW_WORDS or not rows.flags.c_contiguous:
        raise Malformed(
            "a meter batch",
            found=f"{rows.dtype} {rows.shape}",
            expected="a C-contiguous (n, 8) int64 matrix",
            remedy="Make it with np.ascontiguousarray(rows, dtype=np.int64).reshape(-1, 8).",
        )
    return rows


def checked_parts(parts: Mapping[str, Matrix]) -> dict[str, Matrix]:
    """The parts of a snapshot, C-contiguous, if a meter could have made them; else raises Malformed."""
    if set(parts) != set(PART_WIDTHS):
        raise _not_a_snapshot("names", sorted(parts), f"{sorted(PART_WIDTHS)}")
    for name, width in PART_WIDTHS.items():
        part = parts[name]
        if part.dtype != np.int64 or part.ndim != 2 or part.shape[1] != width:
            raise _not_a_snapshot(name, f"{part.dtype} {part.shape}", f"an (n, {width}) int64 matrix")
    checked = {name: np.ascontiguousarray(parts[name]) for name in PART_WIDTHS}
    if checked["clock"].shape != (1, 1) or checked["clock"][0, 0] < 0:
        raise _not_a_snapshot("clock", checked["clock"].tolist(), "one time, 0 or later")
    _check_parties(checked["parties"])
    _check_prices(checked["parties"], checked["price_lists"], checked["books"])
    _check_requests(checked)
    for name, laws in (laws_of_spenders(checked) | laws_of_legs(checked)).items():
        _demand(name, laws)
    return checked


def _each_once(*columns: Matrix) -> bool:
    return len(np.unique(np.stack(columns, axis=1), axis=0)) == len(columns[0])


def _check_parties(parties: Matrix) -> None:
    role, number, account, carry = parties.T[:4]
    most = np.where(role == PartyRole.CUSTOMER, CUSTOMER_MAX, SUPPLIER_MAX)
    laws = {
        "known roles": np.all((role == PartyRole.CUSTOMER) | (role == PartyRole.SUPPLIER)),
        "numbers in range, each once": np.all((number >= 1) & (number <= most)) and _each_once(role, number),
        "ledger accounts": np.all(account >= 1),
        "carries below one micro-unit": np.all((carry >= 0) & (carry < 10**6)),
        "totals of 0 or more": np.all(parties[:, 4:] >= 0),
    }
    _demand("parties", laws)


def _check_prices(parties: Matrix, lists: Matrix, books: Matrix) -> None:
    pairs = np.unique(lists[:, :2], axis=0)
    suppliers = parties[parties[:, 0] == PartyRole.SUPPLIER, 1]
    _demand(
        "price_lists",
        {
            "prices of 0 or more": np.all(lists[:, 2:5] >= 0)
            and np.all((lists[:, 6] >= 1) & (lists[:, 6] <= 100)),
            "enrolled suppliers": np.all(np.isin(lists[:, 0], suppliers)),
            "one list of a supplier and grade from a moment": _each_once(
                lists[:, 0], lists[:, 1], lists[:, 5]
            ),
            "at most 65,535 lists": len(lists) <= CODE_MASK,
        },
    )
    one_each = np.array_equal(np.unique(books[:, :2], axis=0), pairs) and len(books) == len(pairs)
    _demand("books", {"one row for each supplier and grade with a list": one_each})


def _check_requests(parts: Mapping[str, Matrix]) -> None:
    requests, deliveries, parties = parts["requests"], parts["deliveries"], parts["parties"]
    keys, who, status = requests[:, 0], requests[:, 1], requests[:, 7]
    state, number = status & CODE_MASK, status >> REASON_SHIFT
    customers = parties[parties[:, 0] == PartyRole.CUSTOMER, 1]
    suppliers = parties[parties[:, 0] == PartyRole.SUPPLIER, 1]
    settled = state == RequestState.SETTLED
    _demand(
        "requests",
        {
            "keys in range, each once": np.all((keys >= 1) & (keys <= REQUEST_MAX))
            and len(np.unique(keys)) == len(keys),
            "enrolled parties": np.all(np.isin(who >> 32, customers))
            and np.all(np.isin(who >> 16 & SUPPLIER_MAX, suppliers)),
            "known states": np.all((state >= RequestState.HELD) & (state <= RequestState.EXPIRED)),
            "lists that exist": np.all((number >= 1) & (number <= len(parts["price_lists"]))),
            "amounts of 0 or more": np.all(requests[:, 2:7] >= 0),
        },
    )
    _demand("deliveries", {"one row for each request": len(deliveries) == len(requests)})
    within = (
        (deliveries[:, 0] <= requests[:, 2])
        & (deliveries[:, 2] <= requests[:, 3])
        & (deliveries[:, 3] <= requests[:, 6])
    )
    fits = np.where(settled, within & np.all(deliveries >= 0, axis=1), np.all(deliveries == 0, axis=1))
    _demand("deliveries", {"what was held at most, and nothing while not settled": np.all(fits)})


def _demand(part: str, laws: Mapping[str, object]) -> None:
    for law, kept in laws.items():
        if not kept:
            raise _not_a_snapshot(part, "rows that break it", law)


def _not_a_snapshot(part: str, found: object, expected: str) -> Malformed:
    return Malformed(
        f"meter snapshot, {part}",
        found=found,
        expected=expected,
        remedy="Take the snapshot again; this one was not made by a meter or has been changed since.",
    )
