"""Files of orders for the tests of the replay: written from rows of text, and the command line that replays them."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from ciyuan.exchange.contract import Contract, ContractKind
from tests.services.runs import said

DAY = 20_734
"""2026-10-08."""

HEAD = "time,type,account,order_id,side,price,lots,kind"
CLOCK = "2026-10-08T01:00:{:02d}Z"
MARKET = (
    "order,1,1,sell,0.955,10,",
    "order,1,2,buy,0.950,10,",
    "order,2,1,buy,0.955,4,fak",
    "order,2,2,sell,,14,market",
    "cancel,1,7,,,,",
    "order,3,1,buy,0.948,31,",
    "amend,3,1,,0.948,20,",
    "cancel,1,1,,,,",
    "order,1,5,sell,0.952,3,",
)
"""A row for each thing that happens every day: orders of three kinds, two trades, an amendment, a cancel, a refusal."""


def contract(**given: object) -> Contract:
    """A future of tick 0.001, code K."""
    listing = {
        "number": 1, "code": "K", "kind": ContractKind.CASH_FUTURE, "grade": 1, "tick_micro": 1_000, "lot_mtok": 1_000,
        "first_day": DAY, "last_day": DAY + 50, "month": 202611, "limit_rate_bp": 1_000, "initial_price_ticks": 950,
        "max_lots_per_order": 500,
    }  # fmt: skip
    return Contract(**(listing | given))  # type: ignore[arg-type]


def orders_file(
    folder: Path, rows: Iterable[str] = MARKET, head: str = HEAD, name: str = "orders.csv"
) -> Path:
    """A CSV file of orders, a second apart; `rows` are without their times."""
    lines = [head, *(f"{CLOCK.format(second)},{row}" for second, row in enumerate(rows))]
    path = folder / name
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def replayed(file: Path, *words: object, out: Path | None = None) -> dict[str, Any]:
    """The summary of a replay that must end well; it is written beside the file, or to `out`."""
    answer = said(
        "exchange",
        "replay",
        file,
        "--out",
        out or file.parent / "out",
        "--progress",
        "none",
        "--json",
        *words,
    )
    assert answer.status == 0, answer.err
    found: dict[str, Any] = json.loads(answer.out)
    return found


def refused(file: Path, *words: object) -> str:
    """What is said of a file that cannot be replayed; nothing may have been written."""
    answer = said("exchange", "replay", file, "--out", file.parent / "never", "--progress", "none", *words)
    assert (answer.status, answer.out) == (2, "")
    assert not (file.parent / "never").exists()
    return answer.err


def table(folder: Path, name: str) -> list[dict[str, Any]]:
    """A table of a replay, row by row; times in nanoseconds."""
    columns = pq.read_table(folder / f"{name}.parquet")
    for place, field in enumerate(columns.schema):
        if pa.types.is_timestamp(field.type):
            columns = columns.set_column(place, field.name, columns[field.name].cast(pa.int64()))
    found: list[dict[str, Any]] = columns.to_pylist()
    return found
