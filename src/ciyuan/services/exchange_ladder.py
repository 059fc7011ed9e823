"""The ladder: a contract's book in the terminal, best prices in the middle, buyers' lots left of the price and sellers' right
of it.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ciyuan.basics.errors import Malformed
from ciyuan.basics.time import iso_from_ns
from ciyuan.exchange.messages import Level, Side
from ciyuan.services.exchange_record import BOOK
from ciyuan.services.exchange_replay import OrderInput, open_replay
from ciyuan.services.exchange_summary import ContractState, price_text, read_replay, short_time, state_of
from ciyuan.services.progress import shown_work

WIDTH = 100
BAR_CELLS = 20
_COLUMNS = ("side", "level", "price_ticks", "lots", "orders")
_EIGHTHS = " ▏▎▍▌▋▊▉"
_FULL = "█"
_STYLES = {Side.BUY: "green", Side.SELL: "red"}


@dataclass(frozen=True, slots=True)
class Ladder:
    """A contract's levels, best first, after so many messages, at a moment."""

    contract: ContractState
    messages: int
    time: str
    bids: tuple[Level, ...]
    asks: tuple[Level, ...]

    def cut(self, depth: int) -> "Ladder":
        """The first `depth` levels of each side; 0 is all."""
        return Ladder(
            self.contract, self.messages, self.time, self.bids[: depth or None], self.asks[: depth or None]
        )


def ladder_of_folder(folder: Path, wanted: str) -> Ladder:
    """The final book of a contract (code or number) in a replay's folder. Raises Malformed if there is none."""
    summary = read_replay(folder)
    contract = _chosen(summary.contracts, wanted)
    try:
        wanted_rows = [("contract", "==", contract.code), ("message", "==", summary.messages)]
        table = pq.read_table(folder / f"{BOOK}.parquet", columns=list(_COLUMNS), filters=wanted_rows)
    except (OSError, pa.ArrowException) as error:
        raise Malformed(f"replay folder {folder}", found=str(error), expected=f"a readable {BOOK}.parquet",
                        remedy="Write the replay again.") from None  # fmt: skip
    bids, asks = (tuple(_levels(table.filter(pc.field("side") == side.name.lower()))) for side in Side)
    return Ladder(contract, summary.messages, summary.last_time, bids, asks)


def _levels(table: pa.Table) -> Iterator[Level]:
    for entry in table.sort_by("level").to_pylist():
        yield Level(entry["price_ticks"], entry["lots"], entry["orders"])


def ladder_of_file(given: OrderInput, wanted: str, progress: str) -> Ladder:
    """The book of a contract once a file of orders went through it; nothing is written."""
    replay = open_replay(given, progress)
    states = tuple(state_of(replay.exchange.book(contract.number)) for contract in replay.contracts)
    number = _chosen(states, wanted).number
    with shown_work(progress, "replaying", replay.survey.rows) as show:
        replay.run(lambda events, fills: show(replay.messages, replay.messages))
    book = replay.exchange.book(number)
    bids, asks = (tuple(book.levels(side)) for side in Side)
    return Ladder(state_of(book), replay.messages, iso_from_ns(replay.now_ns), bids, asks)


def _chosen(contracts: tuple[ContractState, ...], wanted: str) -> ContractState:
    for contract in contracts:
        if wanted in {contract.code, str(contract.number)}:
            return contract
    raise Malformed("contract", found=wanted, expected=f"one of {', '.join(known.code for known in contracts)}, or its number",
                    remedy="Name a contract of the replay.")  # fmt: skip


def ladder_json(ladder: Ladder) -> dict[str, object]:
    """A ladder as one JSON object. Prices in ticks and as decimal text."""
    contract = ladder.contract

    def side(levels: tuple[Level, ...]) -> list[dict[str, object]]:
        return [
            {
                "price_ticks": level.price_ticks,
                "price": price_text(level.price_ticks, contract.tick_micro),
                "lots": level.lots,
                "orders": level.orders,
            }
            for level in levels
        ]

    return {
        "contract": contract.code,
        "number": contract.number,
        "state": contract.state,
        "trading_day": contract.trading_day,
        "messages": ladder.messages,
        "time": ladder.time,
        "tick_micro": contract.tick_micro,
        "last_ticks": contract.last_ticks,
        "lower_limit": contract.lower_limit,
        "upper_limit": contract.upper_limit,
        "volume": contract.volume,
        "trades": contract.trades,
        "bids": side(ladder.bids),
        "asks": side(ladder.asks),
    }


def print_ladder(ladder: Ladder) -> None:
    """Print a ladder: dearest offer first, lowest bid last."""
    console, contract = Console(width=WIDTH), ladder.contract
    for line in _heading(ladder):
        console.print(line, highlight=False, markup=False)
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for head in ("orders", "bid", ""):
        table.add_column(head, justify="right")
    table.add_column("price", justify="center")
    for head in ("", "ask", "orders"):
        table.add_column(head)
    widest = max((level.lots for level in (*ladder.bids, *ladder.asks)), default=1)
    for level in reversed(ladder.asks):
        bar = Text(bar_text(level.lots, widest), _STYLES[Side.SELL])
        table.add_row(
            "", "", "", _price(level.price_ticks, contract), bar, f"{level.lots:,}", f"{level.orders:,}"
        )
    table.add_row("", "", "", Text(_between(ladder), "dim"), "", "", "")
    for level in ladder.bids:
        bar = Text(bar_text(level.lots, widest, from_right=True), _STYLES[Side.BUY])
        table.add_row(
            f"{level.orders:,}", f"{level.lots:,}", bar, _price(level.price_ticks, contract), "", "", ""
        )
    console.print(table)


def bar_text(lots: int, most: int, *, from_right: bool = False) -> str:
    """A bar as long as `lots` is of `most`; to eighths of a cell, and from the right to whole cells; something for any lot."""
    eighths = max(-(-lots * BAR_CELLS * 8 // most), 1)
    if from_right:
        return _FULL * max(round(eighths / 8), 1)
    return _FULL * (eighths // 8) + _EIGHTHS[eighths % 8].strip()


def _price(ticks: int, contract: ContractState) -> Text:
    """A price; the one of the last trade stands out."""
    text = price_text(ticks, contract.tick_micro)
    return Text(f"› {text} ‹", "bold") if ticks == contract.last_ticks else Text(text)


def _between(ladder: Ladder) -> str:
    if not (ladder.bids and ladder.asks):
        return (
            "no bids" if not ladder.bids and ladder.asks else "no offers" if ladder.bids else "an empty book"
        )
    ticks = ladder.asks[0].price_ticks - ladder.bids[0].price_ticks
    return f"{ticks:,} tick{'' if ticks == 1 else 's'}"


def _heading(ladder: Ladder) -> Iterator[str]:
    contract = ladder.contract
    prices = (contract.last_ticks, contract.open_ticks, contract.low_ticks, contract.high_ticks)
    last, first, low, high = (price_text(ticks, contract.tick_micro) for ticks in prices)
    lower, upper = (
        price_text(ticks, contract.tick_micro) for ticks in (contract.lower_limit, contract.upper_limit)
    )
    yield f"{contract.code}   {contract.state}, trading day {contract.trading_day}"
    yield f"{short_time(ladder.time)}, after {ladder.messages:,} messages"
    yield f"last {last}   open {first}   low {low}   high {high}   limits {lower} to {upper}"
    yield f"volume {contract.volume:,} lots in {contract.trades:,} trades"
