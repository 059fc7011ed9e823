"""The register: rows that grow and hold, views that see them, parts that are taken back or refused."""

from random import Random

import numpy as np
import pytest

from ciyuan.basics.errors import InvariantBroken, Malformed
from ciyuan.basics.rows import FLAG_SHIFT, kind_word, row
from ciyuan.clearing.columns import (
    COLD_COLUMNS,
    HOT_COLUMNS,
    HOT_WIDTH,
    LINE_BYTES,
    LONG_LOTS,
    MARKET_COLUMNS,
    MEMBER_COLUMNS,
    lines,
)
from ciyuan.clearing.margin import fill_fee_micro
from ciyuan.clearing.messages import ClearingTerms, Fees
from ciyuan.clearing.pages import Pages, PagesOver
from ciyuan.clearing.positions import MARKET_WORDS, MEMBER_WORDS, POSITION_WORDS
from ciyuan.clearing.register import Register, RegisterBooks
from ciyuan.exchange.messages import ExchangeEvent, FillFlag
from tests.clearing.floor import CALENDAR, CONTRACTS, HOUSE, NOV, OCT, Floor
from tests.clearing.flow import Flow
from tests.clearing.twins import listed


def a_floor(members: int = 3) -> Floor:
    return Floor(cash_usd=(100_000,) * members)


def books_of(floor: Floor) -> RegisterBooks:
    return floor.house._books


def test_every_word_has_its_column():
    assert set(MEMBER_WORDS) <= set(MEMBER_COLUMNS)
    assert set(MARKET_WORDS) <= set(MARKET_COLUMNS)
    assert set(POSITION_WORDS) | {"member", "place", "charge_micro"} == set(HOT_COLUMNS) | set(COLD_COLUMNS)
    for columns in (MEMBER_COLUMNS, MARKET_COLUMNS, (*HOT_COLUMNS, *COLD_COLUMNS)):
        assert len(set(columns)) == len(columns)
    assert HOT_WIDTH * 8 == LINE_BYTES


def test_rows_begin_at_cache_lines():
    for rows in (1, 3, 64, 1000):
        matrix = lines(rows, HOT_WIDTH)
        assert matrix.ctypes.data % LINE_BYTES == 0
        assert matrix.shape == (rows, HOT_WIDTH)
        assert not matrix.any()


def test_places_are_in_order_of_contract_and_hedge():
    register = Register(listed())
    assert list(register.rows) == sorted(register.rows)
    assert register.places == 2 * len(register.rows)


@pytest.mark.parametrize("number", [1, 63, 64, 1000, 70_000])
def test_a_view_holds_when_its_register_grows(number: int):
    books = RegisterBooks(a_floor().ledger, CONTRACTS, CALENDAR, ClearingTerms(HOUSE))
    first = books.new_member(number)
    first.cash, first.owed_micro = 7, -9
    position = first.position(books.markets[OCT])
    position.long, position.long_cost = 5, 7500
    for other in range(2, 200):
        books.new_member(number + other).position(books.markets[OCT], other & 1).short = 1
    assert (first.cash, first.owed_micro, position.long, position.long_cost) == (7, -9, 5, 7500)
    assert books.members[number] == first
    assert first.find(OCT) == position
    assert books.open_interest(books.markets[OCT]) == 5
    assert [member.number for member in books.members_in_order()] == [
        number,
        *range(number + 2, number + 200),
    ]
    assert len(books.positions_of(books.markets[OCT])) == 199


def test_who_is_no_member_is_not_there():
    books = books_of(a_floor())
    assert all(number not in books.members for number in (0, -1, 4, 63, 10**9, "1"))
    assert books.members.get(4) is None
    with pytest.raises(KeyError):
        books.members[4]
    assert (list(books.members), len(books.members)) == ([1, 2, 3], 3)


def test_a_word_that_does_not_fit_is_refused():
    member = books_of(a_floor()).members[1]
    with pytest.raises(ValueError, match="invalid value"):
        member.owed_micro = 2**63


# --- the loop's arithmetic where products leave 64 bits ---


@pytest.mark.parametrize("seed", range(20))
def test_fees_and_costs_are_exact_however_large(seed: int):
    chance = Random(seed)  # noqa: S311 (a price is drawn, not a secret)
    ppm = chance.randint(1, 5000)
    floor = Floor(cash_usd=(10**9,) * 3, terms=ClearingTerms(HOUSE, futures_fees=Fees(3, 5, ppm, ppm)))
    lots, price = chance.randint(1, 10**5), chance.randint(1, 10**7)
    floor.house.on_event(accepted(floor, 1, 1, NOV, lots), [])
    floor.house.on_event(accepted(floor, 2, 2, NOV, lots, sells=True), [])
    for each in filled(floor, 1, 2, NOV, lots, price):
        floor.house.on_event(each, [])
    turnover = price * 10**6 * lots
    for number, of_lot in ((1, 3), (2, 5)):
        assert books_of(floor).members[number].accrued_micro == fill_fee_micro(turnover, lots, of_lot, ppm)
    closed, new = chance.randint(1, lots), chance.randint(1, 10**7)
    floor.house.on_event(accepted(floor, 1, 3, NOV, closed, sells=True), [])
    floor.house.on_event(accepted(floor, 3, 4, NOV, closed), [])
    for each in filled(floor, 3, 1, NOV, closed, new):
        floor.house.on_event(each, [])
    (held,) = floor.house.positions(1, NOV)
    part = lots * price * closed // lots
    assert (held.long, held.long_cost, held.realised) == (
        lots - closed,
        lots * price - part,
        closed * new - part,
    )


def accepted(floor: Floor, number: int, order_id: int, contract: int, lots: int, *, sells: bool = False):
    words = (number, order_id, contract, 1500, lots)
    return row(kind_word(ExchangeEvent.ACCEPTED, int(sells)), floor.tick(), words)


def filled(floor: Floor, buyer: int, seller: int, contract: int, lots: int, price: int):
    time_ns = floor.tick()
    for number, flags in ((buyer, 0), (seller, FillFlag.TAKER | FillFlag.SIDE_SELL)):
        yield row(
            kind_word(ExchangeEvent.FILLED, int(flags)), time_ns, (number, number, contract, price, lots, 1)
        )


# --- batches ---


def test_a_batch_is_heard_as_its_rows_are():
    """Half a trade at a batch's end is kept for the next one; rows that are nobody's are passed over."""
    one, other = a_floor(), a_floor()
    rows = [
        accepted(one, 1, 1, NOV, 5),
        row(kind_word(ExchangeEvent.LEVEL), one.tick(), (NOV, 1500, 5, 1, 1)),
        accepted(one, 2, 2, NOV, 5, sells=True),
        *filled(one, 1, 2, NOV, 5, 1501),
    ]
    said: list[tuple[int, ...]] = []
    for each in rows:
        one.house.on_event(each, said)  # type: ignore[arg-type]
    for cut in range(len(rows) + 1):
        other = a_floor()
        events, after = [], []
        for start, part in ((0, rows[:cut]), (cut, rows[cut:])):
            heard, places = other.house.hear(np.array(part, dtype=np.int64).reshape(-1, 8))
            events += [tuple(event) for event in heard.tolist()]
            after += [start + place for place in places.tolist()]
        assert (events, after) == (said, [len(rows)])
        assert other.house.state_hash() == one.house.state_hash()


@pytest.mark.parametrize(
    ("flags", "buyer", "lots", "law"),
    [
        (0, 1, 6, "orders that end were open"),
        (FillFlag.SIDE_SELL, 1, 5, "a trade has two sides"),
    ],
)
def test_what_breaks_an_invariant_stops_the_machine(flags: int, buyer: int, lots: int, law: str):
    floor = a_floor()
    floor.house.on_event(accepted(floor, 1, 1, NOV, 5), [])
    floor.house.on_event(accepted(floor, 2, 2, NOV, 5, sells=True), [])
    pair = [list(each) for each in filled(floor, buyer, 2, NOV, lots, 1500)]
    pair[0][0] |= int(flags) << FLAG_SHIFT
    with pytest.raises(InvariantBroken, match=law):
        floor.house.hear(np.array(pair, dtype=np.int64))


def test_more_cancelled_than_open_stops_the_machine():
    floor = a_floor()
    cancel = row(kind_word(ExchangeEvent.CANCELLED), floor.tick(), (1, 1, NOV, 1, 5))
    with pytest.raises(InvariantBroken, match="were open"):
        floor.house.hear(np.array([cancel], dtype=np.int64))


def test_a_position_in_two_rows_is_found_out():
    floor = a_floor()
    floor.trade(1, 2, NOV, 5, 1500)
    register = books_of(floor).register
    floor.house.check()
    register.tables.markets[register.rows[NOV], LONG_LOTS] += 1
    with pytest.raises(InvariantBroken, match="open interest"):
        floor.house.check()


# --- snapshots ---


@pytest.mark.parametrize(
    ("part", "place", "word"),
    [
        ("members", (0, 0), 0),
        ("members", (0, 0), 2**40),
        ("members", (1, 0), 1),
        ("positions", (0, 0), 99),
        ("positions", (0, 0), -1),
        ("positions", (0, 1), 99),
        ("positions", (0, 2), 2),
        ("positions", (0, 3), 10**6),
        ("positions", (1, 0), 1),
    ],
)
def test_parts_that_cannot_be_are_refused(part: str, place: tuple[int, int], word: int):
    floor = a_floor()
    floor.trade(1, 2, NOV, 5, 1500)
    before, parts = floor.house.state_hash(), floor.house.snapshot()
    parts[part] = parts[part].copy()
    parts[part][place] = word
    with pytest.raises(Malformed):
        floor.house.restore(parts)
    assert floor.house.state_hash() == before


def test_a_register_is_its_own_snapshot():
    flow = Flow(2)
    for _ in range(150):
        flow.step()
    house = flow.twins.house
    parts, before = house.snapshot(), house.state_hash()
    house.restore(parts)
    assert house.state_hash() == before
    house.check()


# --- pages ---


def test_pages_keep_the_order_of_what_is_said():
    pages = Pages()
    pages.append((1, *(0,) * 7))
    claimed = pages.claim(2)
    claimed[0, 0], claimed[1, 0] = 2, 3
    pages.keep(2)
    pages.append((4, *(0,) * 7))
    assert pages.matrix()[:, 0].tolist() == [1, 2, 3, 4]
    out: list[tuple[int, ...]] = []
    with PagesOver(out) as over:  # type: ignore[arg-type]
        over.append((5, *(0,) * 7))
        over.claim(1)[0, 0] = 6
        over.keep(1)
    assert [event[0] for event in out] == [5, 6]
