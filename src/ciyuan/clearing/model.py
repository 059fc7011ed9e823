"""The model that scenario margin stands on (§6.2): heard move by move, taken at once, applied to whole portfolios.

A MODEL takes effect on the moves and costs that were said since the one before; until the first, and after one of no scenarios,
the requirement is the ladder's. The moves come as data, made outside by filtered historical simulation (`scenarios.py`): what a
machine of integers does with them is the same on every computer.

What scenario margin makes of a requirement is one signed number, its *adjustment* of the ladder's:

    adjustment = max(scenario margin, floor share x (ladder of the positions - credits)) - ladder of the positions

and without a model - credits alone (§6.3), so that orders, which are charged by the ladder, need no scenarios. A fill that closes
lots takes an adjustment below zero away until the next review: the offset was of a portfolio that is no more. So does a change of
the ladder's rates in the course of a day.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from ciyuan.basics.errors import Malformed
from ciyuan.basics.money import div_ceil
from ciyuan.clearing.books import Answer, Books, Command, Handler, Out, say
from ciyuan.clearing.coverage import Coverage
from ciyuan.clearing.margin import BP
from ciyuan.clearing.messages import (
    MOVES_IN_A_ROW,
    SCENARIOS_MAX,
    ClearingCommand,
    ClearingEvent,
    ClearingRefusal,
    Life,
    Reason,
    moves_of,
)
from ciyuan.clearing.model_book import NO_COSTS, Costs, Ints, ModelBook, SaidMoves
from ciyuan.clearing.positions import Market, Member
from ciyuan.clearing.scenario_margin import COST_MAX, FITS, MOVE_MAX, MarginModel
from ciyuan.clearing.section import Section, not_a_section

SETTLED = (Life.SETTLED, Life.DELISTED)
IN_FORCE, SAID = 0, 1


class Margins:
    """Works out scenario margin and adjusts requirements by it."""

    def __init__(self, books: Books) -> None:
        self._books = books

    def adjust(self, members: Sequence[Member]) -> None:
        """Work out the scenario margin and the credits of these members anew."""
        margins = [0] * len(members)
        if self._books.model is not None:
            margins = self._books.scenario_margins(members)
        floor_bp = self._books.terms.scenario.floor_bp
        given = self._books.credits(members).tolist()
        for member, scenario, credit in zip(members, margins, given, strict=True):
            ladder = sum(held.held_charge_micro() for held in member.held())
            asked = ladder - credit
            if self._books.model is not None:
                asked = max(scenario, div_ceil(asked * floor_bp, BP))
            member.scenario_micro = scenario
            member.adjustment_micro = asked - ladder
            member.changed = 0


class ModelDesk:
    """The handlers of MOVES, LIQUIDITY, MODEL and MARGIN_NOTICE."""

    def __init__(self, books: Books) -> None:
        self._books = books
        self._margins = Margins(books)
        self._coverage = Coverage(books)
        self.handlers: Mapping[int, Handler] = {
            ClearingCommand.MOVES: self._moves,
            ClearingCommand.LIQUIDITY: self._liquidity,
            ClearingCommand.MODEL: self._model,
            ClearingCommand.MARGIN_NOTICE: self._notice,
        }

    def _future(self, number: int) -> Market | None:
        market = self._books.markets.get(number)
        return None if market is None or market.is_spot else market

    def _moves(self, row: Command, out: Out) -> Answer:
        """MOVES: eight moves of a contract, kept for the next MODEL."""
        number, first = row[2], row[3]
        if self._future(number) is None:
            return ClearingRefusal.UNKNOWN_CONTRACT
        moves = moves_of(row[4:8])
        if first % MOVES_IN_A_ROW or not 0 <= first < SCENARIOS_MAX or min(moves) < -MOVE_MAX:
            return ClearingRefusal.SCENARIO_OUT_OF_RANGE
        self._books.scenarios.said_moves.setdefault(number, SaidMoves()).take(first, moves)
        return None

    def _liquidity(self, row: Command, out: Out) -> Answer:
        """LIQUIDITY: what closing a contract costs, kept for the next MODEL."""
        number, lot, free, over = row[2:6]
        if self._future(number) is None:
            return ClearingRefusal.UNKNOWN_CONTRACT
        if not (0 <= lot <= COST_MAX and 0 <= free <= FITS and 0 <= over <= COST_MAX):
            return ClearingRefusal.COST_OUT_OF_RANGE
        self._books.scenarios.said_costs[number] = (lot, free, over)
        return None

    def _model(self, row: Command, out: Out) -> Answer:
        """MODEL: what was said is in force, and every requirement is adjusted by it."""
        _, time_ns, filtered, stressed, day, *_ = row
        book = self._books.scenarios
        if (
            min(filtered, stressed) < 0
            or filtered + stressed > SCENARIOS_MAX
            or (filtered > 0) != (stressed > 0)
        ):
            return ClearingRefusal.SCENARIO_OUT_OF_RANGE
        if filtered:
            answer = self._take(book, filtered, stressed)
            if answer is not None:
                return answer
        else:
            book.model, book.contracts = None, ()
        book.day = day
        book.said_moves, book.said_costs = {}, {}
        self._margins.adjust(self._books.members_in_order())
        self._coverage.note()
        say(out, ClearingEvent.MODEL_TAKEN, Reason.SCENARIOS, time_ns, (filtered, stressed, day))
        return None

    def _take(self, book: ModelBook, filtered: int, stressed: int) -> Answer:
        markets = [
            market
            for market in self._books.markets_in_order()
            if not market.is_spot and market.life not in SETTLED
        ]
        said = [book.said_moves.get(market.number) for market in markets]
        if not markets or any(moves is None or not moves.has(filtered + stressed) for moves in said):
            return ClearingRefusal.MODEL_INCOMPLETE
        moves = np.column_stack([found.moves[: filtered + stressed] for found in said if found is not None])
        costs = [book.said_costs.get(market.number, NO_COSTS) for market in markets]
        try:
            model = model_of(self._books, markets, moves, filtered, costs)
        except Malformed:
            return ClearingRefusal.SCENARIO_OUT_OF_RANGE
        book.model, book.contracts = model, tuple(market.number for market in markets)
        return None

    def _notice(self, row: Command, out: Out) -> Answer:
        """MARGIN_NOTICE: the least margin rate of a contract, or of all futures, for some days; 0 takes back that of
        these days.
        """
        _, time_ns, number, rate, first, last, *_ = row
        market = self._future(number)
        if number and market is None:
            return ClearingRefusal.UNKNOWN_CONTRACT
        if not 0 <= rate <= BP:
            return ClearingRefusal.RATE_OUT_OF_RANGE
        if last < first:
            return ClearingRefusal.DAYS_OUT_OF_ORDER
        notices, days = self._books.notices, (number, first, last)
        if notices.get(days, 0) == rate:
            return ClearingEvent.REPEATED
        notices[days] = rate
        if not rate:
            del notices[days]
        futures = [each for each in self._books.markets_in_order() if not each.is_spot]
        for each in [market] if market else futures:
            self._books.renew_terms(each)
            self._books.suspend_offsets(each)
        say(out, ClearingEvent.MARGIN_NOTICED, Reason.MARGIN_NOTICE, time_ns, (number, rate, first, last))
        return None


def model_of(
    books: Books, markets: Sequence[Market], moves: Ints, filtered: int, costs: Sequence[Costs]
) -> MarginModel:
    """The margin model of (scenarios, contracts) moves, the filtered ones first. Raises Malformed if it would not be exact."""
    lot, free, over = (np.array(column, dtype=np.int64) for column in zip(*costs, strict=True))
    values = np.array([market.tick_value_micro for market in markets], dtype=np.int64)
    weight = books.terms.scenario.stress_weight_bp
    return MarginModel(moves[:filtered], moves[filtered:], values, lot, free, over, weight)


# --- snapshot ---


def _moves_rows(books: Books) -> list[tuple[int, ...]]:
    book, rows = books.scenarios, []
    if book.model is not None:
        moves = np.concatenate((book.model.filtered_ticks, book.model.stressed_ticks)).T.tolist()
        for contract, of in zip(book.contracts, moves, strict=True):
            for first in range(0, len(of), MOVES_IN_A_ROW):
                eight = [*of[first : first + MOVES_IN_A_ROW], *(0,) * MOVES_IN_A_ROW][:MOVES_IN_A_ROW]
                rows.append((IN_FORCE, contract, first, *eight))
    for contract, said in sorted(book.said_moves.items()):
        for place in np.flatnonzero(said.heard).tolist():
            first = place * MOVES_IN_A_ROW
            rows.append((SAID, contract, first, *said.moves[first : first + MOVES_IN_A_ROW].tolist()))
    return rows


def _restore_moves(books: Books, rows: Sequence[Sequence[int]]) -> None:
    for which, contract, first, *moves in rows:
        if contract not in books.markets or first % MOVES_IN_A_ROW or not 0 <= first < SCENARIOS_MAX:
            raise not_a_section(
                "moves", (contract, first), "a listed contract, and a scenario that begins a row"
            )
        if max(map(abs, moves)) > MOVE_MAX or which not in (IN_FORCE, SAID):
            raise not_a_section("moves", moves, f"moves within {MOVE_MAX}")
        into = books.scenarios.said_moves if which == SAID else books.scenarios.restoring
        into.setdefault(contract, SaidMoves()).take(first, moves)


def _costs_rows(books: Books) -> list[tuple[int, ...]]:
    book, rows = books.scenarios, []
    if (model := book.model) is not None:
        columns = (model.lot_cost_micro, model.free_lots, model.over_cost_micro)
        costs = zip(*(column.tolist() for column in columns), strict=True)
        rows = [(IN_FORCE, contract, *of) for contract, of in zip(book.contracts, costs, strict=True)]
    return rows + [(SAID, contract, *of) for contract, of in sorted(book.said_costs.items())]


def _restore_costs(books: Books, rows: Sequence[Sequence[int]]) -> None:
    book = books.scenarios
    in_force: dict[int, Costs] = {}
    for which, contract, lot, free, over in rows:
        (in_force if which == IN_FORCE else book.said_costs)[contract] = (lot, free, over)
    book.restoring_costs = in_force


def _model_rows(books: Books) -> list[tuple[int, ...]]:
    book = books.scenarios
    if book.model is None:
        return [(0, 0, book.day)] if book.day else []
    return [(len(book.model.filtered_ticks), len(book.model.stressed_ticks), book.day)]


def _restore_model(books: Books, rows: Sequence[Sequence[int]]) -> None:
    book = books.scenarios
    for filtered, stressed, day in rows:
        book.day = day
        if filtered:
            contracts = tuple(sorted(book.restoring))
            if set(contracts) != set(book.restoring_costs) or not contracts:
                raise not_a_section("model", contracts, "moves and costs of the same contracts")
            moves = np.column_stack(
                [book.restoring[number].moves[: filtered + stressed] for number in contracts]
            )
            markets, costs = _of(books, contracts)
            book.model, book.contracts = model_of(books, markets, moves, filtered, costs), contracts
    book.restoring, book.restoring_costs = {}, {}


def _of(books: Books, contracts: Sequence[int]) -> tuple[list[Market], list[Costs]]:
    return (
        [books.markets[number] for number in contracts],
        [books.scenarios.restoring_costs[number] for number in contracts],
    )


def _notice_rows(books: Books) -> list[tuple[int, ...]]:
    return [(*days, rate) for days, rate in sorted(books.notices.items())]


def _restore_notices(books: Books, rows: Sequence[Sequence[int]]) -> None:
    for number, first, last, rate in rows:
        if (number and number not in books.markets) or not 0 < rate <= BP or last < first:
            raise not_a_section(
                "notices", (number, first, last, rate), "a listed contract or 0, days in order, a rate"
            )
        books.notices[number, first, last] = rate


SECTIONS = (
    Section("notices", 4, _notice_rows, _restore_notices),
    Section("moves", 3 + MOVES_IN_A_ROW, _moves_rows, _restore_moves),
    Section("costs", 5, _costs_rows, _restore_costs),
    Section("model", 3, _model_rows, _restore_model),
)
