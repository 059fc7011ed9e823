"""A replay's summary: what `summary.json` holds and the terminal shows."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from ciyuan.basics.calendar import iso_of_day
from ciyuan.basics.errors import Malformed
from ciyuan.basics.money import format_micro
from ciyuan.exchange.contract import Contract
from ciyuan.exchange.messages import Level, SessionState, Side

SUMMARY = "summary.json"
WIDTH = 110
_MICRO_DIGITS = 6
_HEADS = ("contract", "state", "bid", "ask", "last", "low", "high", "lots", "trades")


@dataclass(frozen=True, slots=True)
class ContractState:
    """A contract as a replay left it. Prices are ticks of `tick_micro` micro-units of money, None where there is none.

    `volume` (lots), `turnover` (tick-lots) and `trades` are of the trading day.
    """

    number: int
    code: str
    tick_micro: int
    state: str
    trading_day: str
    best_bid: int | None
    best_ask: int | None
    last_ticks: int | None
    open_ticks: int | None
    low_ticks: int | None
    high_ticks: int | None
    lower_limit: int
    upper_limit: int
    volume: int
    turnover: int
    trades: int


@dataclass(frozen=True, slots=True)
class ReplaySummary:
    """A replay. `messages` are the commands given; `refused` and `left_out` count by name.

    `seconds` are of the wall clock, from the first command to the last table; `exchange_ns_per_message` is CPU time inside the
    exchange alone; `peak_memory_mb` (10^6 bytes) is of the process. `recorded_lots` are those of recorded executions,
    `as_recorded_lots` of these the ones that met the order which the record names; None if the file
    records none. `fills_digest` is the same for the same trades.
    """

    file: str
    form: str
    messages: int
    left_out: dict[str, int]
    orders_accepted: int
    amended: int
    cancelled: int
    repeated: int
    refused: dict[str, int]
    trades: int
    lots: int
    recorded_lots: int | None
    as_recorded_lots: int | None
    fills_digest: str
    first_time: str
    last_time: str
    seconds: float
    messages_per_second: int
    exchange_ns_per_message: int
    peak_memory_mb: int
    contracts: tuple[ContractState, ...]


class Book(Protocol):
    """What a summary asks of a contract's book."""

    @property
    def contract(self) -> Contract: ...  # noqa: D102
    @property
    def state(self) -> SessionState: ...  # noqa: D102
    @property
    def trading_day(self) -> int: ...  # noqa: D102
    @property
    def last_ticks(self) -> int: ...  # noqa: D102
    @property
    def limits(self) -> tuple[int, int]: ...  # noqa: D102
    @property
    def range_ticks(self) -> tuple[int, int, int]: ...  # noqa: D102
    @property
    def volume(self) -> int: ...  # noqa: D102
    @property
    def turnover(self) -> int: ...  # noqa: D102
    @property
    def trades(self) -> int: ...  # noqa: D102
    def levels(self, side: Side, depth: int = 0) -> list[Level]: ...  # noqa: D102


def state_of(book: Book) -> ContractState:
    """A contract as it is now."""
    bids, asks = (book.levels(side, 1) for side in Side)
    first, low, high = book.range_ticks if book.trades else (None, None, None)
    lower, upper = book.limits
    return ContractState(
        number=book.contract.number,
        code=book.contract.code,
        tick_micro=book.contract.tick_micro,
        state=book.state.name.lower(),
        trading_day=iso_of_day(book.trading_day),
        best_bid=bids[0].price_ticks if bids else None,
        best_ask=asks[0].price_ticks if asks else None,
        last_ticks=book.last_ticks or None,
        open_ticks=first,
        low_ticks=low,
        high_ticks=high,
        lower_limit=lower,
        upper_limit=upper,
        volume=book.volume,
        turnover=book.turnover,
        trades=book.trades,
    )


def price_text(ticks: int | None, tick_micro: int) -> str:
    """A price as money, with the decimals of its tick; a dash for none."""
    if ticks is None:
        return "-"
    zeros = len(str(tick_micro)) - len(str(tick_micro).rstrip("0"))
    return format_micro(ticks * tick_micro, max(_MICRO_DIGITS - zeros, 0))


def short_time(iso: str) -> str:
    """A time without the zeros at its end."""
    whole, dot, fraction = iso.removesuffix("Z").partition(".")
    return f"{whole}{dot}{fraction.rstrip('0')}Z"


def read_replay(folder: Path) -> ReplaySummary:
    """The summary of the replay in a folder. Raises Malformed if there is none that can be read."""
    try:
        table: Mapping[str, Any] = json.loads((folder / SUMMARY).read_text(encoding="utf-8"))
        contracts = tuple(ContractState(**contract) for contract in table["contracts"])
        return ReplaySummary(**{**table, "contracts": contracts})
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise Malformed(f"replay folder {folder}", found=f"{type(error).__name__}: {error}", expected=f"a readable {SUMMARY}",
                        remedy="Name the folder that `ciyuan exchange replay --out` wrote.") from None  # fmt: skip


def print_replay(summary: ReplaySummary) -> None:
    """Print a replay for people: its counts, then its contracts."""
    console = Console(width=WIDTH)
    figures = Table(title=summary.file, box=SIMPLE_HEAD, show_header=False, title_justify="left")
    for name, value in figures_of(summary):
        figures.add_row(name, value)
    console.print(figures)
    markets = Table(box=SIMPLE_HEAD)
    for head in _HEADS:
        markets.add_column(head, justify="left" if head in {"contract", "state"} else "right")
    for contract in summary.contracts:
        prices = (
            contract.best_bid,
            contract.best_ask,
            contract.last_ticks,
            contract.low_ticks,
            contract.high_ticks,
        )
        cells = (price_text(ticks, contract.tick_micro) for ticks in prices)
        markets.add_row(contract.code, contract.state, *cells, f"{contract.volume:,}", f"{contract.trades:,}")
    console.print(markets)


def figures_of(summary: ReplaySummary) -> list[tuple[str, str]]:
    """(name, value) of the figures of a replay, as people read them."""
    figures = [
        (
            "messages",
            f"{summary.messages:,} ({summary.form}), {short_time(summary.first_time)} to {short_time(summary.last_time)}",
        ),
        (
            "orders accepted, amended, cancelled",
            f"{summary.orders_accepted:,}, {summary.amended:,}, {summary.cancelled:,}",
        ),
        ("refused", _counts(summary.refused)),
        ("repeated", f"{summary.repeated:,}"),
        ("left out of the replay", _counts(summary.left_out)),
        ("trades, lots", f"{summary.trades:,}, {summary.lots:,}"),
    ]
    if summary.recorded_lots is not None and summary.as_recorded_lots is not None:
        share = summary.as_recorded_lots * 100 / summary.recorded_lots if summary.recorded_lots else 0.0
        figures.append(
            (
                "recorded lots that met the order named",
                f"{summary.as_recorded_lots:,} of {summary.recorded_lots:,} ({share:.1f}%)",
            )
        )
    speed = f"{summary.messages_per_second:,} messages/s; {summary.exchange_ns_per_message:,} ns each in the exchange"
    figures.append(("digest of the fills", summary.fills_digest))
    figures.append(("time", f"{summary.seconds:.2f} s, {speed}"))
    return [*figures, ("memory", f"{summary.peak_memory_mb:,} MB at its peak")]


def _counts(named: Mapping[str, int]) -> str:
    if not named:
        return "0"
    return f"{sum(named.values()):,}: " + ", ".join(f"{name} {count:,}" for name, count in named.items())
