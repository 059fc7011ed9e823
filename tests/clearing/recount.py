"""The day's statements by the textbook, from what the exchange said and what moved in the ledger: a naive second opinion.

It remembers every trade of the day and works everything out at the day's end; the clearing house is never asked.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction

from ciyuan.basics.rows import Row, code_of, flags_of, reason_of
from ciyuan.clearing.messages import ClearingTerms, Fees, Reason, Statement
from ciyuan.exchange.contract import Contract, ContractKind
from ciyuan.exchange.messages import ExchangeEvent, FillFlag
from ciyuan.ledger.messages import Command

LOANS = {Reason.SHORTFALL}
OURS = set(Reason)


def fee_micro(fees: Fees, taker: bool, lots: int, turnover_micro: int) -> int:
    """Per lot and per turnover, to the nearest micro-unit, a half upward, one at least."""
    lot, ppm = (
        (fees.taker_lot_micro, fees.taker_turnover_ppm)
        if taker
        else (fees.maker_lot_micro, fees.maker_turnover_ppm)
    )
    exact = Fraction(turnover_micro * ppm, 10**6)
    rounded = int(exact) + (1 if exact - int(exact) >= Fraction(1, 2) else 0)
    return max(1, lots * lot + rounded)


class Recount:
    """One member's books."""

    def __init__(self, member: int, cash: int, contracts: Iterable[Contract], terms: ClearingTerms) -> None:
        self.member, self.cash, self.terms = member, cash, terms
        self.contracts = {contract.number: contract for contract in contracts}
        self.position: dict[int, int] = defaultdict(int)
        self.previous: dict[int, int] = {}
        self.balance = 0
        self._events_seen = self._moves_seen = 0

    def day(
        self,
        heard: Sequence[Row],
        moves: Sequence[Sequence[int]],
        settled: Mapping[int, int],
        finals: Mapping[int, int] = {},
    ) -> dict[str, int]:
        """The statement's lines since the last call. `settled` is ticks by contract, `finals` micro-units per MTok."""
        fills = [event for event in heard[self._events_seen :] if self._is_my_fill(event)]
        mine = [move for move in moves[self._moves_seen :] if self.cash in (move[3], move[4])]
        self._events_seen, self._moves_seen = len(heard), len(moves)
        lines = self._trades(fills)
        lines["variation_micro"] = self._variation(fills, settled, finals)
        posted = [move for move in mine if code_of(move[0]) in (Command.TRANSFER, Command.POST)]
        signed = [(reason_of(move[0]), move[5] if move[4] == self.cash else -move[5]) for move in posted]
        lines["transferred_micro"] = sum(amount for reason, amount in signed if reason not in OURS)
        lines["lent_micro"] = sum(amount for reason, amount in signed if reason in LOANS)
        lines["opening_micro"] = self.balance
        self.balance += lines["transferred_micro"] + lines["lent_micro"] + lines["variation_micro"]
        self.balance += lines["sold_micro"] - lines["bought_micro"] - lines["fees_micro"]
        lines["closing_micro"] = self.balance
        return lines

    def _is_my_fill(self, event: Row) -> bool:
        return code_of(event[0]) == ExchangeEvent.FILLED and event[2] == self.member

    def _trades(self, fills: Sequence[Row]) -> dict[str, int]:
        lines = dict.fromkeys(
            ("fees_micro", "bought_micro", "sold_micro", "receipts_bought", "receipts_sold"), 0
        )
        for event in fills:
            contract = self.contracts[event[4]]
            turnover = event[5] * contract.tick_micro * event[6] * contract.lot_mtok
            spot = contract.kind == ContractKind.SPOT
            fees = self.terms.spot_fees if spot else self.terms.futures_fees
            lines["fees_micro"] += fee_micro(
                fees, bool(flags_of(event[0]) & FillFlag.TAKER), event[6], turnover
            )
            if spot:
                side = "sold" if flags_of(event[0]) & FillFlag.SIDE_SELL else "bought"
                lines[f"{side}_micro"] += turnover
                lines[f"receipts_{side}"] += event[6] * contract.lot_mtok
        return lines

    def _variation(self, fills: Sequence[Row], settled: Mapping[int, int], finals: Mapping[int, int]) -> int:
        """position at the end x settlement - position at the start x previous settlement - value traded, over the contracts."""
        total = 0
        for number, contract in self.contracts.items():
            if contract.kind == ContractKind.SPOT:
                continue
            lots = [
                (-event[6] if flags_of(event[0]) & FillFlag.SIDE_SELL else event[6], event[5])
                for event in fills
                if event[4] == number
            ]
            start, traded = self.position[number], sum(size * price for size, price in lots)
            end = start + sum(size for size, _ in lots)
            before = self.previous.get(number, 0)
            if number in finals:
                total += end * finals[number] * contract.lot_mtok
                total -= (start * before + traded) * contract.tick_value_micro
                self.position[number] = 0
            elif number in settled:
                total += (end * settled[number] - start * before - traded) * contract.tick_value_micro
                self.position[number], self.previous[number] = end, settled[number]
            else:
                assert not lots
        return total


def agrees(lines: Mapping[str, int], statement: Statement) -> bool:
    """Whether every line is the statement's."""
    return all(getattr(statement, name) == value for name, value in lines.items())
