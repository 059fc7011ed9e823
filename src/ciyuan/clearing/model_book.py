"""The scenarios that were said, and those in force. Data only; who takes them in is `model.py`."""

import numpy as np
from numpy.typing import NDArray

from ciyuan.clearing.messages import MOVES_IN_A_ROW, SCENARIOS_MAX
from ciyuan.clearing.scenario_margin import MarginModel

Ints = NDArray[np.int64]
Costs = tuple[int, int, int]
"""Cost of a lot, free lots, cost of a lot over them, in micro-units and lots."""
NO_COSTS: Costs = (0, 0, 0)


class SaidMoves:
    """A contract's moves in ticks as far as they were said: `heard` has a flag for each row of `MOVES_IN_A_ROW`."""

    __slots__ = ("heard", "moves")

    def __init__(self) -> None:
        self.moves: Ints = np.zeros(SCENARIOS_MAX, dtype=np.int64)
        self.heard = np.zeros(SCENARIOS_MAX // MOVES_IN_A_ROW, dtype=np.bool_)

    def take(self, first: int, moves: list[int]) -> None:
        """Keep one row's moves."""
        self.moves[first : first + MOVES_IN_A_ROW] = moves
        self.heard[first // MOVES_IN_A_ROW] = True

    def has(self, scenarios: int) -> bool:
        """Whether so many scenarios were said, from the first."""
        return bool(self.heard[: -(-scenarios // MOVES_IN_A_ROW)].all())


class ModelBook:
    """What was said for the next model, and the one in force: its contracts by column, its trading day. None: the ladder alone.

    `restoring*` are a snapshot's, of the model in force, until the model is made of them.
    """

    __slots__ = ("contracts", "day", "model", "restoring", "restoring_costs", "said_costs", "said_moves")

    def __init__(self) -> None:
        self.said_moves: dict[int, SaidMoves] = {}
        self.said_costs: dict[int, Costs] = {}
        self.model: MarginModel | None = None
        self.contracts: tuple[int, ...] = ()
        self.day = 0
        self.restoring: dict[int, SaidMoves] = {}
        self.restoring_costs: dict[int, Costs] = {}
