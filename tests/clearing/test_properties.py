"""Laws that hold whatever the flow: random orders, fills, cancels, deposits, withdrawals and days, on members rich and poor."""

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ciyuan.basics.rows import reason_of
from ciyuan.clearing.messages import (
    ClearingEvent,
    ClearingTerms,
    Fees,
    PositionLimits,
    Reason,
    collect_row,
    statements,
)
from ciyuan.exchange.messages import Refusal
from tests.clearing.floor import (
    CAPITAL,
    CONTRACTS,
    FEES,
    HOUSE,
    ISSUANCE,
    NOV,
    OCT,
    RECEIVABLES,
    SPOT,
    SPOT_MONEY,
    SPOT_RECEIPTS,
    USD,
    VARIATION,
    WORLD,
    Floor,
)
from tests.clearing.recount import Recount, agrees

TERMS = (
    ClearingTerms(HOUSE),
    ClearingTerms(HOUSE, futures_fees=Fees(3, 7, 0, 0), spot_fees=Fees(0, 0, 0, 333)),
    ClearingTerms(HOUSE, limits=PositionLimits(12, 12, 12), orders_per_second_max=3),
)


class Flow:
    """A floor, and moves on it that a seed chooses."""

    def __init__(self, floor: Floor, seed: int) -> None:
        self.floor = floor
        self.chance = Random(seed)  # noqa: S311 (a flow is drawn, not a secret)
        self.moves = (
            *(self.order,) * 8, *(self.fill,) * 8, self.cancel, self.cancel, self.deposit, self.withdraw, self.next_day,
            self.collect,
        )  # fmt: skip

    def step(self) -> None:
        self.chance.choice(self.moves)()

    def member(self) -> int:
        return self.chance.choice(self.floor.members)

    def order(self) -> None:
        contract = self.chance.choice((SPOT, OCT, NOV))
        price = self.floor.house.settlement_ticks(contract) + self.chance.randint(-9, 9)
        lots = self.chance.choice((-1, 1)) * self.chance.randint(1, 9)
        self.floor.order(self.member(), contract, lots, max(1, price))

    def fill(self) -> None:
        """Trade any two open orders that cross, at a price between their limits; a member may meet itself."""
        orders = self.floor.orders
        pairs = [
            (buy, sell)
            for buy, bid in orders.items()
            for sell, ask in orders.items()
            if bid.contract == ask.contract
            and ask.is_sell > bid.is_sell
            and bid.price_ticks >= ask.price_ticks
        ]
        if pairs:
            buy, sell = self.chance.choice(pairs)
            price = self.chance.randint(orders[sell].price_ticks, orders[buy].price_ticks)
            lots = self.chance.randint(1, min(orders[buy].lots, orders[sell].lots))
            maker, taker = self.chance.sample((buy, sell), 2)
            self.floor.fill(maker, taker, lots, price)

    def cancel(self) -> None:
        if self.floor.orders:
            self.floor.cancel(self.chance.choice(sorted(self.floor.orders)))

    def deposit(self) -> None:
        self.floor.deposit(self.member(), self.chance.randint(1, 2_000 * USD))

    def withdraw(self) -> None:
        """As a venue would allow it: no more than what is neither held nor needed as margin."""
        member = self.member()
        excess = self.floor.house.excess_micro(member)
        if excess > 0:
            self.floor.deposit(member, -self.chance.randint(1, excess))

    def collect(self) -> None:
        self.floor.tell(collect_row(self.floor.tick(), self.member()))

    def next_day(self) -> None:
        """Prices jump far enough to ruin a member."""
        moved = {
            name: max(1, self.floor.house.settlement_ticks(number) + self.chance.randint(-500, 500))
            for name, number in (("OCT", OCT), ("NOV", NOV))
        }
        self.floor.next_day(**moved)


@pytest.mark.parametrize("terms", TERMS)
@given(seed=st.integers(0, 2**32))
@settings(max_examples=15)
def test_whatever_happens_the_books_balance(terms: ClearingTerms, seed: int):
    floor = Floor(cash_usd=(9_000, 3_000, 50_000), receipts=40, capital_usd=500, terms=terms)
    flow = Flow(floor, seed)
    recounts = [Recount(number, floor.cash(number), CONTRACTS, terms) for number in floor.members]
    for _ in range(120):
        flow.step()
        floor.house.check()
        check_money(floor)
        check_snapshot(floor)
    floor.close()
    check_money(floor)
    assert floor.ledger.available(SPOT_MONEY) == floor.ledger.available(SPOT_RECEIPTS) == 0
    assert all(
        floor.ledger.account(account).debits_pending == 0
        for account in range(1, floor.ledger.account_count + 1)
    )
    check_statements(floor, recounts)


def check_money(floor: Floor) -> None:
    """Money and receipts are conserved, and nobody is overdrawn but the world, issuance and the receivables."""
    money = (
        WORLD,
        VARIATION,
        SPOT_MONEY,
        FEES,
        CAPITAL,
        RECEIVABLES,
        *(floor.cash(n) for n in floor.members),
    )
    receipts = (ISSUANCE, SPOT_RECEIPTS, *(floor.purse(n) for n in floor.members))
    assert sum(floor.ledger.posted(account) for account in money) == 0
    assert sum(floor.ledger.posted(account) for account in receipts) == 0
    guarded = set(range(1, floor.ledger.account_count + 1)) - {WORLD, ISSUANCE, RECEIVABLES}
    assert min(floor.ledger.available(account) for account in guarded) >= 0
    assert floor.ledger.posted(VARIATION) == floor.ledger.posted(SPOT_MONEY) == 0
    owed = sum(floor.house.owed_micro(number) for number in floor.members)
    assert owed == 500 * USD - floor.ledger.posted(CAPITAL) - floor.ledger.posted(RECEIVABLES)


def check_snapshot(floor: Floor) -> None:
    """A restored clearing house is the same one, to what it answers."""
    parts, said = floor.house.snapshot(), [asked(floor, number) for number in floor.members]
    floor.house.restore(parts)
    assert {name: part.tolist() for name, part in floor.house.snapshot().items()} == {
        name: part.tolist() for name, part in parts.items()
    }
    assert [asked(floor, number) for number in floor.members] == said


def asked(floor: Floor, number: int) -> tuple[object, ...]:
    house = floor.house
    lots = [
        (house.position(number, contract), house.open_lots(number, contract)) for contract in (SPOT, OCT, NOV)
    ]
    sums = (house.requirement_micro(number), house.reserved_micro(number), house.credit_micro(number))
    return (*sums, house.owed_micro(number), house.receipts_lots(number, SPOT), *lots)


def check_statements(floor: Floor, recounts: list[Recount]) -> None:
    """Variation sums to zero each day, and every statement is what the textbook makes of the day's events."""
    prices: dict[int, dict[int, int]] = {}
    for event in floor.heard:
        if event[0] & 0xFFFF == 358:
            prices.setdefault(event[4], {})[event[2]] = event[3]
    days: dict[int, int] = {}
    for event in floor.events(ClearingEvent.VARIATION):
        days[event[7]] = days.get(event[7], 0) + event[4]
    assert not any(days.values())
    found = list(statements(floor.said))
    assert all(statement.explained_micro == statement.closing_micro for statement in found)
    for recount in recounts:
        mine = [statement for statement in found if statement.participant == recount.member]
        assert [statement.trading_day for statement in mine] == sorted(prices)
        ends = statement_ends(floor)
        for statement, day in zip(mine, sorted(prices), strict=True):
            heard, moves = ends[day]
            lines = recount.day(floor.heard[:heard], floor.ledger.transfers.tolist()[:moves], prices[day])
            assert agrees(lines, statement), (lines, statement)


def statement_ends(floor: Floor) -> dict[int, tuple[int, int]]:
    """By settled day: how many exchange events and ledger rows there were when it was settled."""
    ends = {}
    times = sorted({(event[1], event[3]) for event in floor.events(ClearingEvent.STATEMENT_CLOSING)})
    for time_ns, day in times:
        heard = sum(event[1] <= time_ns for event in floor.heard)
        moves = sum(move[1] <= time_ns for move in floor.ledger.transfers.tolist())
        ends[day] = (heard, moves)
    return ends


@given(seed=st.integers(0, 2**32))
@settings(max_examples=20)
def test_a_reducing_order_is_never_refused_for_margin(seed: int):
    floor = Floor(cash_usd=(9_000, 3_000, 50_000), receipts=40)
    flow = Flow(floor, seed)
    for _ in range(80):
        flow.step()
    for number in floor.members:
        for contract in (OCT, NOV):
            held, (buys, sells) = (
                floor.house.position(number, contract),
                floor.house.open_lots(number, contract),
            )
            room = held - sells if held > 0 else -held - buys
            if room > 0:
                lots = -room if held > 0 else room
                assert not isinstance(floor.order(number, contract, lots, 1500), Refusal)


@given(
    marks=st.lists(st.integers(1, 4000), min_size=1, max_size=12),
    lots=st.integers(1, 50),
    entry=st.integers(1, 4000),
)
@settings(max_examples=40)
def test_any_path_of_marks_telescopes_to_final_less_entry(marks: list[int], lots: int, entry: int):
    floor = Floor(cash_usd=(10**9, 10**9), terms=ClearingTerms(HOUSE))
    floor.trade(1, 2, NOV, lots, entry)
    for mark in marks[:-1]:
        floor.next_day(NOV=mark)
    floor.close(NOV=marks[-1])
    paid = sum(event[4] for event in floor.events(ClearingEvent.VARIATION) if event[2] == 1)
    assert paid == lots * (marks[-1] - entry) * USD
    moved = sum(
        move[5] if move[4] == floor.cash(1) else -move[5]
        for move in floor.ledger.transfers.tolist()
        if reason_of(move[0]) == Reason.VARIATION and floor.cash(1) in (move[3], move[4])
    )
    assert moved == paid
