"""A drill of a default: a small venue from a seed, a few calm days, a fall, and a member that does not pay.

Everything goes through the venue as rows, and what is told of it comes from its events. Nothing here is a rule of the market: who
trades what, how deep makers quote under stress and who bids in an auction are this drill's choices.

| day | happens |
|---|---|
| calm, `CALM_DAYS` | speculators buy three months from hedgers, makers quote; each evening a model and a default fund |
| the last calm evening | the largest member takes out what it does not need |
| stress, until it is over | the value of all months has jumped; prices follow as far as each day's limits let them (§4.3, §4.5) |

Under stress the largest member that is long, by requirement, pays no more calls; all others pay theirs within the hour.
Reviews ring every five minutes of a trading day (§6.4), and drive what the clearing house does: call, deadline, default, slices
into what makers bid, auction, tear-up, waterfall (§10.1 to §10.3).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import count

import numpy as np
from numpy.typing import NDArray

from ciyuan.basics.calendar import Calendar, day_from_iso
from ciyuan.basics.errors import Malformed
from ciyuan.basics.grade import ConversionVector, Grade, GradeKind, Service
from ciyuan.basics.money import MICRO
from ciyuan.basics.rows import CODE_MASK, ROW_WORDS, Row
from ciyuan.basics.time import NS_PER_HOUR, NS_PER_MINUTE
from ciyuan.clearing.messages import (
    ClearingEvent,
    ClearingTerms,
    DefaultTerms,
    Fees,
    FundTerms,
    MemberRole,
    Standing,
    bid_row,
    liquidity_row,
    model_row,
    moves_rows,
    review_row,
    settle_day_row,
)
from ciyuan.clearing.scenarios import FilterTerms, scenario_set
from ciyuan.exchange.contract import Contract, ContractKind
from ciyuan.exchange.messages import (
    OrderFlag,
    SessionState,
    Side,
    close_day_row,
    mass_cancel_row,
    order_row,
    session_row,
)
from ciyuan.exchange.room import Room
from ciyuan.index.messages import IndexTerms
from ciyuan.simulation.auditor import Auditor, check_ledger
from ciyuan.simulation.chance import stream
from ciyuan.simulation.price_paths import PathTerms, month_paths
from ciyuan.simulation.treasury import deposit_row
from ciyuan.venue.accounts import House
from ciyuan.venue.machine import Venue
from ciyuan.venue.membership import HOUSE
from ciyuan.venue.messages import Purse, Role, VenueCommand
from ciyuan.venue.terms import VenueTerms, house_accounts

MEMBERS = (6, 40)
JUMPS = (-0.38, -0.01)
"""A deeper fall takes more than three days locked at their limits, and then trading is suspended (§4.5)."""
MAKERS = 2
MONTHS = (202612, 202701, 202702)
LOTS = (600, 360, 240)
"""Lots that speculators buy of each month, together."""
START_TICKS, TICK_MICRO, LOT_MTOK = 950, 1_000, 1_000
LIMIT_BP = 1_000
PAST_DAYS, CALM_DAYS, DAYS_MAX = 500, 4, 14
FIRST_DAY = day_from_iso("2026-10-05")
FILTER = FilterTerms(filtered=500, stressed=120)
HALF_SPREAD_TICKS, LEVELS, CALM_LOTS, STRESS_LOTS = 2, 3, 40, 4
"""A maker's nearest quote from its middle, its quotes a side, and the lots of each: fewer when the market falls."""
IMPACT_TICKS = 2
"""How much lower makers quote after each slice that they took."""
CUSHION = 102
"""What the largest member keeps, in percent of its requirement."""
BIDS_PERCENT = ((1, 97), (2, 96), (3, 95), (4, 93))
"""Who bids in an auction (by place among the survivors) and at how many percent of the value: each for a fifth of the lots."""
GRADE = Grade(
    1, "KIMI26", "KIMI26", GradeKind.PINNED, "medium", ConversionVector(), Service(40, 5_000, 256_000, 9_950), "KIMI26", 0
)  # fmt: skip
CAPITAL_MICRO = 5_000 * MICRO
"""The house's own capital: what it puts at stake before the other members (§10.3)."""
CLEARING = ClearingTerms(
    house_accounts((GRADE,)),
    futures_fees=Fees(taker_lot_micro=2 * MICRO),
    default=DefaultTerms(
        call_ns=NS_PER_HOUR, slice_ns=30 * NS_PER_MINUTE, slices_max=16, auction_ns=30 * NS_PER_MINUTE
    ),
    fund=FundTerms(least_micro=1_000 * MICRO),
)
CALENDAR = Calendar(8 * NS_PER_HOUR)
LIVING = (Standing.GOOD, Standing.CALLED)


@dataclass(frozen=True, slots=True)
class DrillTerms:
    """How many members, the seed, and the logarithm of the fall. Raises Malformed for what cannot be played."""

    members: int = 10
    seed: int = 7
    jump_log: float = -0.22

    def __post_init__(self) -> None:
        for name, found, (least, most) in (
            ("members", self.members, MEMBERS),
            ("jump", self.jump_log, JUMPS),
        ):
            if not least <= found <= most:
                raise Malformed(f"drill, {name}", found=found, expected=f"{least} to {most}",
                                remedy="A drill is of a few members and of a fall that trading can follow.")  # fmt: skip


@dataclass(frozen=True, slots=True)
class DrillMember:
    """A member: its number, name, role, and the lots of each month that it goes into the stress with."""

    number: int
    name: str
    role: MemberRole
    lots: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Holding:
    """What a member has at some moment: cash, requirement, excess, share of the default fund."""

    cash_micro: int
    requirement_micro: int
    excess_micro: int
    fund_micro: int


@dataclass(frozen=True, slots=True, eq=False)
class DrillPlayed:
    """What was played: all events in order, (n, 8), and what was asked of the venue at the moments that matter.

    `defaulter` is the largest member that is long, `at_default` what it had when its default began (None: it did not).
    `before` and `after` are the members' money around the waterfall, `capital_micro` the house's own before it; empty and 0 if
    no loss was shared. `values` are (day, value in ticks) as the drill has it.
    """

    terms: DrillTerms
    contracts: tuple[Contract, ...]
    members: tuple[DrillMember, ...]
    defaulter: int
    events: NDArray[np.int64]
    values: tuple[tuple[int, int], ...]
    at_default: Holding | None
    before: dict[int, Holding]
    after: dict[int, Holding]
    capital_micro: int
    state_hash: str


def play_drill(terms: DrillTerms) -> DrillPlayed:
    """Play it. Raises InvariantBroken if the venue's books break a law."""
    return Drill(terms).play()


class Drill:
    """A drill in play: the venue, its clock, and what the members want."""

    def __init__(self, terms: DrillTerms) -> None:
        self._terms = terms
        self._contracts = tuple(_contract(place + 1, month) for place, month in enumerate(MONTHS))
        room = Room(accounts=64, orders=1 << 14, ladder_ticks=1 << 12)
        self._venue = Venue(VenueTerms(CALENDAR, (GRADE,), self._contracts, CLEARING, IndexTerms(), room))
        self._auditor = Auditor(self._venue)
        self._luck = stream(terms.seed, "drill")
        self._past = _past(terms.seed)
        self._roles = _roles(terms.members)
        self._keys, self._orders = count(1), count(1)
        self._heard: list[NDArray[np.int64]] = []
        self._called: dict[int, int] = {}
        self._now, self._day = CALENDAR.ns_at(FIRST_DAY, "08:00"), FIRST_DAY
        self._value, self._depth, self._impact, self._defaulter = float(START_TICKS), CALM_LOTS, 0, 0
        self._values: list[tuple[int, int]] = []
        self._before: dict[int, Holding] = {}
        self._after: dict[int, Holding] = {}
        self._at_default: Holding | None = None
        self._capital = 0

    def play(self) -> DrillPlayed:
        """Play the calm days and then the stress, until the loss is shared or it is clear that there is none."""
        self._join()
        for number in range(CALM_DAYS):
            self._calm_day(build=number == 0)
        self._defaulter = self._largest()
        self._take_out()
        members = self._members()
        self._value *= float(np.exp(self._terms.jump_log))
        self._depth = STRESS_LOTS
        for number in range(DAYS_MAX):
            self._stress_day()
            if self._venue.clearing.standing(self._defaulter) == Standing.CLOSED_OUT or (
                number > 2 and self._venue.clearing.standing(self._defaulter) == Standing.GOOD
            ):
                break
        check_ledger(self._venue.ledger.accounts)
        self._venue.clearing.check()
        return DrillPlayed(
            self._terms,
            self._contracts,
            members,
            self._defaulter,
            np.concatenate(self._heard),
            tuple(self._values),
            self._at_default,
            self._before,
            self._after,
            self._capital,
            self._venue.state_hash(),
        )

    # --- telling and hearing ---

    def _tell(self, rows: Iterable[Row]) -> NDArray[np.int64]:
        """Rows at the present moment, as one batch; what was said of them."""
        batch = np.array(list(rows), dtype=np.int64).reshape(-1, ROW_WORDS)
        events = self._venue.apply(batch)
        self._auditor.hear(batch, events)
        self._heard.append(events)
        for event in events[events[:, 0] & CODE_MASK == ClearingEvent.MARGIN_CALL].tolist():
            self._called[event[2]] = event[3]
        return events

    def _at(self, clock: str) -> int:
        """Let the clock go to a time of the day, never back; returns it."""
        self._now = max(self._now, CALENDAR.ns_at(self._day, clock))
        return self._now

    def _order(
        self, account: int, contract: int, lots: int, price_ticks: int, kind: OrderFlag = OrderFlag.LIMIT
    ) -> Row:
        side = Side.SELL if lots < 0 else Side.BUY
        return order_row(
            self._now, account, next(self._orders), contract, side, price_ticks, abs(lots), kind=kind
        )

    # --- members ---

    def _join(self) -> None:
        """The house's own capital, the members and their first money."""
        self._tell([deposit_row(self._now, next(self._keys), HOUSE, Purse.CASH, CAPITAL_MICRO)])
        for number, (_, role) in enumerate(self._roles, start=1):
            add = (int(VenueCommand.PARTICIPANT), self._now, number, int(Role.FUTURES), 0, int(role), 0, 0)
            self._tell([add, deposit_row(self._now, next(self._keys), number, Purse.CASH, 1_000_000 * MICRO)])

    def _of_role(self, role: MemberRole) -> list[int]:
        return [number for number, (_, has) in enumerate(self._roles, start=1) if has == role]

    def _members(self) -> tuple[DrillMember, ...]:
        held = self._venue.clearing.position
        return tuple(
            DrillMember(number, name, role, tuple(held(number, entry.number) for entry in self._contracts))
            for number, (name, role) in enumerate(self._roles, start=1)
        )

    def _largest(self) -> int:
        """The member with the largest requirement of those who are long, and so lose when prices fall."""
        clearing = self._venue.clearing
        long = (number for number in clearing.members if clearing.position(number, 1) > 0)
        return max(long, key=lambda number: (clearing.requirement_micro(number), -number))

    def _take_out(self) -> None:
        """The largest member keeps little more than its requirement."""
        clearing, number = self._venue.clearing, self._defaulter
        amount = clearing.excess_micro(number) - clearing.requirement_micro(number) * (CUSHION - 100) // 100
        row = (int(VenueCommand.WITHDRAW), self._now, next(self._keys), number, int(Purse.CASH), amount, 0, 0)
        self._tell([row] if amount > 0 else [])

    def _pay_calls(self) -> None:
        """Everybody pays what it was called for, but the largest member under stress."""
        called, self._called = self._called, {}
        clearing = self._venue.clearing
        self._tell(
            deposit_row(self._now, next(self._keys), number, Purse.CASH, amount)
            for number, amount in sorted(called.items())
            if number != self._defaulter and clearing.standing(number) in LIVING
        )

    # --- days ---

    def _calm_day(self, *, build: bool) -> None:
        self._open()
        self._quote()
        if build:
            self._build()
        self._trade_a_little()
        self._value *= float(np.exp(self._luck.normal(0.0, 0.01)))
        self._quote()
        self._trade_a_little()
        self._close()

    def _stress_day(self) -> None:
        """A day of the fall: what trades follows the value as far as the limits let it, and reviews ring all day."""
        self._open()
        self._impact = 0
        self._quote()
        self._trade_a_little()
        for minute in range(15, 355, 5):
            self._at(f"{9 + minute // 60:02d}:{minute % 60:02d}")
            self._review()
            self._quote()
        self._close()

    def _open(self) -> None:
        self._at("09:00")
        self._values.append((self._day, round(self._value)))
        self._tell([session_row(self._now, 0, SessionState.CONTINUOUS, self._day)])

    def _close(self) -> None:
        """Close, settle, pay calls, say the evening's model, and review until the deadlines of the evening are past."""
        self._at("15:00")
        states = (SessionState.CLOSING, SessionState.SETTLEMENT)
        self._tell(session_row(self._now, 0, state, self._day) for state in states)
        self._tell(
            [
                close_day_row(self._now, 0, self._day),
                session_row(self._now, 0, SessionState.CLOSED, self._day),
            ]
        )
        self._at("16:10")
        self._tell([settle_day_row(self._now, self._day)])
        self._pay_calls()
        self._say_model()
        self._at("16:30")
        self._review()
        self._at("18:00")
        self._review()
        self._auditor.check()
        self._day = CALENDAR.next_business(self._day)

    def _review(self) -> None:
        """A review; then bids for what it offers, and money for what it calls."""
        before, capital = self._money(), self._venue.ledger.posted(House.CAPITAL)
        events = self._tell([review_row(self._now)])
        codes = events[:, 0] & CODE_MASK
        if (codes == ClearingEvent.DEFAULTED).any():
            self._at_default = before[self._defaulter]
        if (codes == ClearingEvent.CLOSED_OUT).any():
            self._before, self._after, self._capital = before, self._money(), capital
        self._impact += IMPACT_TICKS * int((codes == ClearingEvent.SLICED).any())
        for event in events[codes == ClearingEvent.AUCTION_OPENED].tolist():
            self._bid(*event[2:6])
        self._pay_calls()

    def _money(self) -> dict[int, Holding]:
        clearing, ledger, chart = self._venue.clearing, self._venue.ledger, self._venue.terms.chart
        return {
            number: Holding(
                ledger.posted(chart.purse(number, Purse.CASH)),
                clearing.requirement_micro(number),
                clearing.excess_micro(number),
                clearing.fund_micro(number),
            )
            for number in clearing.members
        }

    # --- what members do ---

    def _build(self) -> None:
        """Speculators buy from hedgers at the value, in one trade each way: who buys how much is drawn."""
        hedgers, buyers = self._of_role(MemberRole.HEDGER), self._of_role(MemberRole.SPECULATOR)
        weights = 1 / np.arange(1, len(buyers) + 1) ** 0.8 * self._luck.uniform(0.95, 1.05, len(buyers))
        price = round(self._value)
        for entry, total in zip(self._contracts, LOTS, strict=True):
            bought = np.maximum(1, (total * weights / weights.sum()).astype(np.int64)).tolist()
            sold = _split(sum(bought), len(hedgers))
            rows = [
                self._order(who, entry.number, -lots, price) for who, lots in zip(hedgers, sold, strict=True)
            ]
            rows += [
                self._order(who, entry.number, lots, price) for who, lots in zip(buyers, bought, strict=True)
            ]
            self._tell(rows)

    def _quote(self) -> None:
        """Makers renew their quotes around the value; what is outside the day's limits is offered at them, or not bid."""
        rows: list[Row] = []
        middle = round(self._value) - self._impact
        for maker in self._of_role(MemberRole.MAKER):
            rows.append(mass_cancel_row(self._now, maker))
            for entry in self._contracts:
                lower, upper = self._venue.exchange.limits(entry.number)
                for level in range(LEVELS):
                    away = HALF_SPREAD_TICKS * (1 + level)
                    if middle - away >= lower:
                        rows.append(self._order(maker, entry.number, self._depth, min(upper, middle - away)))
                    if middle + away <= upper:
                        rows.append(self._order(maker, entry.number, -self._depth, max(lower, middle + away)))
        self._tell(rows)

    def _trade_a_little(self) -> None:
        """The last speculator buys a little from who offers, and sells it to who bids: there is a price every day."""
        trader = self._of_role(MemberRole.SPECULATOR)[-1]
        rows = []
        for entry in self._contracts:
            lower, upper = self._venue.exchange.limits(entry.number)
            rows.append(self._order(trader, entry.number, 2, upper, OrderFlag.FAK))
            rows.append(self._order(trader, entry.number, -2, lower, OrderFlag.FAK))
        self._tell(rows)

    def _bid(self, auction: int, defaulter: int, _contract: int, lots: int) -> None:
        """Survivors bid for what a long defaulter leaves, each for a fifth of it, below the value."""
        survivors = [number for number in self._venue.clearing.members if number != defaulter]
        size = max(1, abs(lots) // 5)
        self._tell(
            bid_row(
                self._now,
                survivors[place % len(survivors)],
                auction,
                round(self._value) * percent // 100,
                size,
            )
            for place, percent in BIDS_PERCENT
        )

    # --- the evening's model ---

    def _say_model(self) -> None:
        """MOVES, LIQUIDITY and MODEL of the evening (§6.2): the past, and the settlement prices since."""
        clearing = self._venue.clearing
        present = np.array(
            [clearing.settlement_ticks(entry.number) for entry in self._contracts], dtype=np.int64
        )
        self._past = np.concatenate([self._past, present[None].astype(np.float64)])
        moves = scenario_set(self._past, present, FILTER)
        rows: list[Row] = []
        for place, entry in enumerate(self._contracts):
            said = [*moves.filtered[:, place].tolist(), *moves.stressed[:, place].tolist()]
            rows += moves_rows(self._now, entry.number, said)
            cost = HALF_SPREAD_TICKS * entry.tick_value_micro
            rows.append(liquidity_row(self._now, entry.number, cost, 100, 2 * cost))
        rows.append(model_row(self._now, len(moves.filtered), len(moves.stressed), self._day))
        self._tell(rows)


def _contract(number: int, month: int) -> Contract:
    code, last = f"KIMI26.{month % 10_000}", CALENDAR.last_business_of_month(month)
    return Contract(number, code, ContractKind.CASH_FUTURE, GRADE.number, TICK_MICRO, LOT_MTOK, FIRST_DAY - 30, last, month,
                    LIMIT_BP, START_TICKS, 500)  # fmt: skip


def _past(seed: int) -> NDArray[np.float64]:
    """Prices of the months before the drill, in ticks, that end at the listing's."""
    paths = month_paths(seed, PAST_DAYS, len(MONTHS), PathTerms())
    past: NDArray[np.float64] = paths * (START_TICKS / paths[-1])
    return past


def _roles(members: int) -> list[tuple[str, MemberRole]]:
    """Makers first, then hedgers, and as many speculators, or one fewer."""
    hedgers = (members - MAKERS + 1) // 2
    groups: Sequence[tuple[str, MemberRole, int]] = (
        ("maker", MemberRole.MAKER, MAKERS),
        ("hedger", MemberRole.HEDGER, hedgers),
        ("speculator", MemberRole.SPECULATOR, members - MAKERS - hedgers),
    )
    return [(f"{name} {number}", role) for name, role, many in groups for number in range(1, many + 1)]


def _split(total: int, parts: int) -> list[int]:
    """A whole number in parts that differ by one at most."""
    return [total // parts + (place < total % parts) for place in range(parts)]
