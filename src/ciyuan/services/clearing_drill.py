"""`ciyuan clearing drill`: what came of a drill, read off its events: a timeline, who paid what, and whether the laws held.

| layer (§10.3) | paid | there was |
|---|---|---|
| margin | losses and fees since the default, less what was lent for them; at last what is left | its cash then |
| own fund, capital, others' fund, assessments | as the clearing house says, payer by payer | shares, capital, caps before |
| uncovered | what is left | |

A drill whose layers do not sum to the loss, or that touches a survivor's margin, breaks a law of the market.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from ciyuan.basics.calendar import iso_of_day
from ciyuan.basics.errors import require
from ciyuan.basics.money import format_micro
from ciyuan.basics.rows import CODE_MASK
from ciyuan.clearing.margin import BP
from ciyuan.clearing.messages import ClearingEvent, Layer
from ciyuan.exchange.messages import ExchangeEvent
from ciyuan.simulation.drill import CALENDAR, CLEARING, DrillPlayed

Event = list[int]

WORDS = {
    Layer.MARGIN: "the defaulter's margin",
    Layer.OWN_FUND: "its share of the default fund",
    Layer.CAPITAL: "the house's own capital",
    Layer.OTHERS_FUND: "the others' shares of the fund",
    Layer.ASSESSMENT: "assessments",
}
UNCOVERED = "not covered"


@dataclass(frozen=True, slots=True)
class Moment:
    """A line of the timeline: venue time, what happened, under which clause."""

    time: str
    what: str
    rule: str


@dataclass(frozen=True, slots=True)
class Payment:
    """One payer's part of one layer; "house" for the house."""

    payer: str
    amount_micro: int


@dataclass(frozen=True, slots=True)
class LayerUse:
    """A layer: what there was, what was used, by whom."""

    layer: str
    there_micro: int
    used_micro: int
    payments: tuple[Payment, ...]


@dataclass(frozen=True, slots=True)
class Law:
    """What was checked, and what was found."""

    law: str
    found: str


@dataclass(frozen=True, slots=True)
class DrillReport:
    """A drill, micro-dollars. `loss_micro` is since the default; the fund is as it was sized last before it (Cover 2)."""

    members: int
    seed: int
    jump_log: float
    defaulter: str
    defaulted: bool
    lots: dict[str, int]
    loss_micro: int
    layers: tuple[LayerUse, ...]
    uncovered_micro: int
    fund_size_micro: int
    fund_largest: str
    fund_second: str
    fund_used_micro: int
    timeline: tuple[Moment, ...]
    laws: tuple[Law, ...]
    state_hash: str


class Told:
    """The events of a drill by code, and its names."""

    def __init__(self, played: DrillPlayed) -> None:
        self.played = played
        self.rows: list[Event] = played.events.tolist()
        self.names = {member.number: member.name for member in played.members} | {0: "house"}
        self.codes = {contract.number: contract.code for contract in played.contracts}

    def of(self, *codes: int) -> list[Event]:
        """The events of some codes, in order."""
        return [row for row in self.rows if row[0] & CODE_MASK in codes]

    def since_default(self, *codes: int) -> list[Event]:
        """The defaulter's events of some codes from its default on."""
        begun = [row[1] for row in self.of(ClearingEvent.DEFAULTED)]
        who = self.played.defaulter
        return [row for row in self.of(*codes) if begun and row[1] >= begun[0] and row[2] == who]


def report_of(played: DrillPlayed) -> DrillReport:
    """What came of a drill. Raises InvariantBroken if the layers are not the loss, or a survivor's margin was touched."""
    told = Told(played)
    loss = _loss(told)
    layers = _layers(told, loss)
    uncovered = sum(row[4] for row in told.of(ClearingEvent.CLOSED_OUT))
    sized = _sized(told)
    used = sum(
        use.used_micro for use in layers if use.layer in (WORDS[Layer.OWN_FUND], WORDS[Layer.OTHERS_FUND])
    )
    held = next(member.lots for member in played.members if member.number == played.defaulter)
    return DrillReport(
        members=played.terms.members,
        seed=played.terms.seed,
        jump_log=played.terms.jump_log,
        defaulter=told.names[played.defaulter],
        defaulted=played.at_default is not None,
        lots={contract.code: lots for contract, lots in zip(played.contracts, held, strict=True)},
        loss_micro=loss,
        layers=layers,
        uncovered_micro=uncovered,
        fund_size_micro=sized[2],
        fund_largest=told.names[sized[3]],
        fund_second=told.names[sized[5]],
        fund_used_micro=used,
        timeline=tuple(_timeline(told)),
        laws=_laws(told, loss, layers, uncovered),
        state_hash=played.state_hash,
    )


# --- who paid what ---


def _loss(told: Told) -> int:
    """What the defaulter's positions and their closing cost from the default on."""
    varied = sum(row[4] for row in told.since_default(ClearingEvent.VARIATION))
    return sum(row[3] for row in told.since_default(ClearingEvent.FEE)) - varied


def _layers(told: Told, loss: int) -> tuple[LayerUse, ...]:
    played = told.played
    if played.at_default is None:
        return ()
    paid: dict[int, list[Payment]] = defaultdict(list)
    covered = [row for row in told.of(ClearingEvent.LOSS_COVERED) if row[2] == played.defaulter]
    for row in covered:
        paid[row[3]].append(Payment(told.names[row[4]], row[5]))
    lent = sum(row[3] for row in told.since_default(ClearingEvent.LENT))
    own = loss - lent
    if own > 0:
        paid[Layer.MARGIN].insert(0, Payment(told.names[played.defaulter], own))
    others = sum(held.fund_micro for number, held in played.before.items() if number != played.defaulter)
    there = {
        Layer.MARGIN: played.at_default.cash_micro,
        Layer.OWN_FUND: played.before[played.defaulter].fund_micro,
        Layer.CAPITAL: played.capital_micro,
        Layer.OTHERS_FUND: others,
        Layer.ASSESSMENT: others * CLEARING.default.assessment_bp // BP,
    }
    return tuple(
        LayerUse(
            WORDS[layer], there[layer], sum(each.amount_micro for each in paid[layer]), tuple(paid[layer])
        )
        for layer in Layer
    )


def _sized(told: Told) -> Event:
    """The last sizing of the fund before the default (of all, if there was none)."""
    begun = [row[1] for row in told.of(ClearingEvent.DEFAULTED)]
    sized = [row for row in told.of(ClearingEvent.FUND_SIZED) if not begun or row[1] < begun[0]]
    return sized[-1]


def _laws(told: Told, loss: int, layers: Sequence[LayerUse], uncovered: int) -> tuple[Law, ...]:
    played = told.played
    found = [
        Law(
            "every asset sums to zero, nobody is overdrawn; the auditor found the venue's books as its own",
            "held",
        )
    ]
    if not played.before:
        return tuple(found)
    used = sum(use.used_micro for use in layers)
    require(used + uncovered == loss, "the layers sum to the loss", f"{used} and {uncovered} of {loss}")
    found.append(
        Law("the layers sum to the loss", f"{_whole_usd(used)} paid, {_whole_usd(uncovered)} not covered")
    )
    cash = (
        played.at_default.cash_micro - played.before[played.defaulter].cash_micro if played.at_default else 0
    )
    own = sum(use.used_micro for use in layers if use.layer == WORDS[Layer.MARGIN])
    require(own >= cash, "the defaulter's cash is used first", f"{own} of {cash}")
    assessed = 0
    for number, before in played.before.items():
        after = played.after[number]
        if number != played.defaulter:
            floor = min(before.cash_micro, before.requirement_micro)
            require(after.cash_micro >= floor, "a survivor's margin is never touched", told.names[number])
            assessed += before.cash_micro - after.cash_micro
    found.append(
        Law(
            "a survivor's margin is never touched",
            f"assessments took {_whole_usd(assessed)} of what they had over it",
        )
    )
    return tuple(found)


# --- what happened when ---


def _timeline(told: Told) -> list[Moment]:
    """The lines of the timeline in order of time: what concerns the market and the defaulter, and the others' calls together."""
    found = [
        *_prices(told),
        *_calls(told),
        *_defaults(told),
        *_slices(told),
        *_auctions(told),
        *_losses(told),
    ]
    return [moment for _, moment in sorted(found, key=lambda pair: pair[0])]


Timed = tuple[tuple[int, int], Moment]


def _moment(row: Event, place: int, what: str, rule: str) -> Timed:
    day = CALENDAR.day_of(row[1])
    minutes = (row[1] - CALENDAR.start_ns(day)) // (60 * 10**9)
    return (row[1], place), Moment(f"{iso_of_day(day)} {minutes // 60:02d}:{minutes % 60:02d}", what, rule)


def _prices(told: Told) -> list[Timed]:
    """Each day's settlement prices, and what was locked."""
    by_time: dict[int, list[Event]] = defaultdict(list)
    for row in told.of(ExchangeEvent.SETTLEMENT_PRICE):
        by_time[row[1]].append(row)
    locked = {(row[1], row[2]): row for row in told.of(ExchangeEvent.LIMIT_LOCKED)}
    found = []
    for at, rows in by_time.items():
        prices = {row[3] for row in rows}
        text = " / ".join(f"{price / 1000:.3f}" for price in sorted(prices, reverse=True))
        lock = locked.get((at, rows[0][2]))
        more = (
            f"; locked at its limit, day {lock[4]}: next limit {lock[5] / 100:g}%, margin {lock[6] / 100:g}% at least"
            if lock
            else ""
        )
        found.append(_moment(rows[0], 0, f"settled at {text}{more}", "§4.5" if lock else "§4.4"))
    return found


def _calls(told: Told) -> list[Timed]:
    """Calls of the defaulter one by one; of the others as one line a moment, with what they paid by then."""
    found: list[Timed] = []
    others: dict[int, list[Event]] = defaultdict(list)
    for row in told.of(ClearingEvent.MARGIN_CALL):
        if row[2] == told.played.defaulter:
            deadline = _moment([0, row[6]], 0, "", "")[1].time[11:]
            owed = f", {_whole_usd(row[4])} of it lent" if row[4] else ""
            found.append(
                _moment(
                    row,
                    1,
                    f"{told.names[row[2]]} is called for {_whole_usd(row[3])}{owed}, until {deadline}",
                    "§10.1",
                )
            )
        else:
            others[row[1]].append(row)
    for rows in others.values():
        called = _whole_usd(sum(row[3] for row in rows))
        found.append(_moment(rows[0], 2, f"{len(rows)} others are called for {called}, and pay", "§10.1"))
    return found


def _defaults(told: Told) -> list[Timed]:
    return [
        _moment(
            row,
            3,
            f"{told.names[row[2]]} has not paid: in default, short by {_whole_usd(row[3])}; its orders are cancelled",
            "§10.1",
        )
        for row in told.of(ClearingEvent.DEFAULTED)
    ]


def _slices(told: Told) -> list[Timed]:
    """Slices of one moment together; moments in a row in which nobody took anything are one line."""
    slices: dict[int, list[Event]] = defaultdict(list)
    for row in told.since_default(ClearingEvent.SLICED):
        slices[row[1]].append(row)
    taken: dict[int, list[Event]] = defaultdict(list)
    for row in told.since_default(ExchangeEvent.FILLED):
        taken[row[1]].append(row)
    found: list[Timed] = []
    vain: list[list[Event]] = []
    for at, rows in slices.items():
        if not taken[at]:
            vain.append(rows)
            continue
        found += _in_vain(vain)
        vain = []
        lots = sum(row[6] for row in taken[at])
        mean = sum(row[5] * row[6] for row in taken[at]) / lots / 1000
        offered = sum(abs(row[4]) for row in rows)
        found.append(
            _moment(
                rows[0],
                4,
                f"slice {rows[0][7]}: {offered} lots offered, makers take {lots} at {mean:.3f}",
                "§10.1",
            )
        )
    return [*found, *_in_vain(vain)]


def _in_vain(vain: Sequence[Sequence[Event]]) -> list[Timed]:
    if not vain:
        return []
    first, last = vain[0][0], vain[-1][0]
    until = _moment(last, 0, "", "")[1].time[11:]
    many = f"slice {first[7]}" if len(vain) == 1 else f"slices {first[7]} to {last[7]}, until {until}"
    offered = sum(abs(row[4]) for row in vain[0])
    return [
        _moment(first, 4, f"{many}: {offered} lots offered at {first[5] / 1000:.3f}, nobody bids", "§10.1")
    ]


def _auctions(told: Told) -> list[Timed]:
    found = []
    bids: dict[int, int] = defaultdict(int)
    for row in told.of(ClearingEvent.BID_TAKEN):
        bids[row[3]] += row[5]
    for row in told.of(ClearingEvent.AUCTION_OPENED):
        what = f"auction {row[2]}: {abs(row[5])} lots of {told.codes[row[4]]}; bids for {bids[row[2]]} lots"
        found.append(_moment(row, 5, what, "§10.2"))
    moved: dict[int, list[Event]] = defaultdict(list)
    for row in told.of(ClearingEvent.TRANSFERRED):
        moved[row[7]].append(row)
    for row in told.of(ClearingEvent.AUCTION_CLOSED):
        sold, left = row[5], row[6]
        prices = [each[5] / 1000 for each in moved[row[2]]][: row[7]]
        what = (
            f"auction {row[2]}: {sold} lots awarded at {max(prices):.3f} to {min(prices):.3f}"
            if sold
            else f"auction {row[2]}: no award"
        )
        if left:
            torn = moved[row[2]][-1][5] / 1000
            what += f", {left} torn up at {torn:.3f}"
        found.append(_moment(row, 6, what, "§10.2"))
    return found


def _losses(told: Told) -> list[Timed]:
    lent: dict[int, list[Event]] = defaultdict(list)
    for row in told.since_default(ClearingEvent.LENT):
        lent[row[1]].append(row)
    name = told.names[told.played.defaulter]
    return [
        *(
            _moment(
                rows[0],
                7,
                f"losers pay, winners are paid; {name} is lent {_whole_usd(sum(row[3] for row in rows))}",
                "§10.1",
            )
            for rows in lent.values()
        ),
        *(
            _moment(
                row,
                8,
                f"{name} is closed out: it owes {_whole_usd(row[3])}, of which {_whole_usd(row[4])} is not covered",
                "§10.3",
            )
            for row in told.of(ClearingEvent.CLOSED_OUT)
        ),
    ]


def _whole_usd(micro: int) -> str:
    return f"{format_micro(micro, 0)} USD"
