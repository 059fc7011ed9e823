"""The exchange's kernel and its plain twin, made to hear the same commands and compared after every one."""

from collections.abc import Iterable, Sequence
from functools import cache

import numpy as np

from ciyuan.basics.rows import CODE_MASK, Row
from ciyuan.basics.state import state_hash
from ciyuan.exchange import ExchangeEvent, OrderFlag
from ciyuan.exchange.machine import Exchange
from ciyuan.exchange.plain import PlainExchange
from ciyuan.exchange.state import ORDER_COLUMNS, PART_COLUMNS
from tests.exchange.flows import Move, Parts, Player, facts, moves_of
from tests.exchange.listings import SETTINGS, Setting, opening_rows, setting_of

Machine = Exchange | PlainExchange
MACHINES: tuple[type[Machine], ...] = (Exchange, PlainExchange)
"""The kernel and its twin, for tests that hold of both."""


def different(kernel: Parts, plain: Parts) -> str:
    """The first places in which two snapshots differ."""
    found: list[str] = []
    for name, columns in PART_COLUMNS.items():
        one, other = kernel[name].tolist(), plain[name].tolist()
        if len(one) != len(other):
            odd = [row for row in one if row not in other], [row for row in other if row not in one]
            found.append(
                f"{name}: {len(one)} and {len(other)} rows; only the kernel's {odd[0]}, only the twin's {odd[1]}"
            )
            continue
        for row, (left, right) in enumerate(zip(one, other, strict=True)):
            found += [
                f"{name}[{row}] {dict(zip(columns[:4], left, strict=False))} {column}: {a} and {b}"
                for column, a, b in zip(columns, left, right, strict=True)
                if a != b
            ]
    return "; ".join(found[:8]) or "only the hashes"


class Twins:
    """Both exchanges, what they heard and what they said."""

    def __init__(self, setting: Setting = SETTINGS[0]) -> None:
        self.setting = setting
        self.kernel: Exchange = Exchange(setting.contracts, setting.room, everyone=setting.everyone)
        self.plain: PlainExchange = PlainExchange(setting.contracts, setting.room, everyone=setting.everyone)
        self.player = Player(setting)
        self.rows: list[Row] = []
        self.said: list[list[Row]] = []
        self.parts: Parts = self.plain.snapshot()
        self.hear_all(opening_rows(setting))

    def play(self, moves: Iterable[Move]) -> None:
        """Let both hear the commands of moves."""
        for move in moves:
            self.hear(self.player.row(move, self.parts))

    def hear_all(self, rows: Iterable[Row]) -> None:
        """Let both hear commands."""
        for row in rows:
            self.hear(row)

    def hear(self, row: Row) -> list[Row]:
        """Let both hear a command: they say the same, and hold the same afterwards. Returns what they said."""
        kernel: list[Row] = []
        plain: list[Row] = []
        self.kernel.apply_one(row, kernel)
        self.plain.apply_one(row, plain)
        where = f"command {len(self.rows)}: {row}"
        assert kernel == plain, where
        self.parts = self.plain.snapshot()
        held = self.kernel.snapshot()
        assert state_hash(held) == state_hash(self.parts), f"{where}: {different(held, self.parts)}"
        self.rows.append(row)
        self.said.append(plain)
        return plain

    @property
    def events(self) -> list[Row]:
        """Everything that was said."""
        return [event for said in self.said for event in said]

    def other(self, kind: type[Machine], parts: Parts | None = None) -> Machine:
        """Another machine of the same contracts and room, new or restored."""
        machine: Machine = kind(self.setting.contracts, self.setting.room, everyone=self.setting.everyone)
        if parts is not None:
            machine.restore(parts)
        return machine


def rows_of(events: Sequence[Row], event: ExchangeEvent) -> list[Row]:
    """The events of one kind."""
    return [row for row in events if row[0] & CODE_MASK == event]


def matrix(rows: Sequence[Row]) -> "np.ndarray[tuple[int, int], np.dtype[np.int64]]":
    """Rows as a batch."""
    return np.array(rows, dtype=np.int64).reshape(len(rows), 8)


def is_telling(parts: Parts, demoted: set[tuple[int, int]]) -> bool:
    """Whether an iceberg stands that was put behind the others at its price, and a stop waits."""
    orders = [order for order in facts(parts["orders"], ORDER_COLUMNS) if not order["end"]]
    icebergs = any((order["account"], order["order_id"]) in demoted for order in orders)
    return icebergs and any(order["flags"] & OrderFlag.STOP and not order["triggered"] for order in orders)


class Played:
    """A flow of a seed that was played on both, with snapshots of moments at which a restore is hardest."""

    def __init__(self, seed: int, count: int) -> None:
        self.twins = Twins(setting_of(seed))
        self.moments: dict[int, Parts] = {}
        demoted: set[tuple[int, int]] = set()
        for at, move in enumerate(moves_of(seed, count)):
            said = self.twins.hear(self.twins.player.row(move, self.twins.parts))
            demoted |= {(row[2], row[3]) for row in rows_of(said, ExchangeEvent.RELOADED)}
            if at % 50 == 0 and demoted and len(self.moments) < 6 and is_telling(self.twins.parts, demoted):
                self.moments[len(self.twins.rows)] = self.twins.parts
                demoted.clear()


@cache
def played(seed: int, count: int) -> Played:
    """The flow of a seed, played once in this process."""
    return Played(seed, count)
