"""Replay: a file of orders through an exchange, in batches, and what came of it into a folder.

The file is read twice. The first time it is surveyed: every cell is read, so a fault anywhere stops the replay before anything
is written, and the market is made to fit. The second time its commands are applied, batch by batch, and the tables are written
as it goes. Memory is the exchange's (128 bytes an order that is remembered) and one batch.

A file without session rows is traded in one go: every contract that is listed on the day enters CONTINUOUS at the first row's
time.
"""

import resource
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ciyuan.basics.calendar import day_from_iso
from ciyuan.basics.errors import Malformed
from ciyuan.basics.money import parse_micro
from ciyuan.basics.rows import CODE_MASK
from ciyuan.basics.time import iso_from_ns
from ciyuan.exchange.contract import Contract
from ciyuan.exchange.messages import ExchangeEvent, Refusal, SessionState, session_row
from ciyuan.services.exchange_bars import interval_ns
from ciyuan.services.exchange_contracts import Terms, check_day, contracts_for, room_for
from ciyuan.services.exchange_files import Form, Ints, OrderFile, open_orders
from ciyuan.services.exchange_lobster import LobsterOrders, ticker_and_day
from ciyuan.services.exchange_orders import NamedOrders
from ciyuan.services.exchange_record import BARS, BOOK, FILLS, REFUSALS, Count, Record
from ciyuan.services.exchange_source import OrderSource, Show, Survey
from ciyuan.services.exchange_summary import SUMMARY, ReplaySummary, state_of
from ciyuan.services.manifest import write_json
from ciyuan.services.progress import shown_work

if TYPE_CHECKING:
    from ciyuan.exchange.machine import Exchange

APPLY_ROWS = 8_192
"""Commands that the exchange is given at once: their events stay in the processor's cache until they are written."""
Take = Callable[[Ints, Ints], None]
"""Called with events, and the FILLED rows among them."""
_KIB = 1_024
"""The unit in which Linux gives a process's peak memory."""
_REFUSED = int(ExchangeEvent.REFUSED)


@dataclass(frozen=True, slots=True)
class OrderInput:
    """A file of orders and what is to be known of it beyond its rows: see `ciyuan exchange replay --help`."""

    file: Path
    form: Form | None = None
    contracts: Path | None = None
    day: str | None = None
    tick: str | None = None


@dataclass(frozen=True, slots=True)
class Output:
    """Where a replay is written, and what: the interval of its bars; the book, to a depth, after `every` so many messages."""

    folder: Path
    bars: str = "1m"
    every: int = 0
    depth: int = 10
    replace: bool = False


@dataclass(slots=True)
class Replay:
    """A file of orders and the exchange that it goes through. `messages` counts the commands given so far."""

    source: OrderSource
    survey: Survey
    contracts: tuple[Contract, ...]
    exchange: "Exchange"
    messages: int = 0
    now_ns: int = 0
    exchange_cpu_ns: int = 0
    count: Count = field(default_factory=Count)

    def run(self, take: Take, every: int = 0) -> None:
        """Apply the file's commands, some at a time and cut after each `every` of them; `take` is given what came of them.

        Nobody may keep the events: the exchange writes the next ones where they were.
        """
        for rows in self.source.commands(self.contracts):
            start = 0
            while start < len(rows):
                end = min(start + APPLY_ROWS, len(rows))
                if every:
                    end = min(end, start + every - self.messages % every)
                self._apply(rows[start:end], take)
                start = end

    def _apply(self, rows: Ints, take: Take) -> None:
        began = time.process_time_ns()
        events = self.exchange.apply(rows)
        self.exchange_cpu_ns += time.process_time_ns() - began
        self.messages += len(rows)
        self.now_ns = max(self.now_ns, int(rows[-1, 1]))
        fills = self.count.take(events)
        self.source.hear(fills)
        take(events, fills)

    def open_all(self, day: int) -> None:
        """Have every contract that is listed on the day enter CONTINUOUS."""
        check_day(self.contracts, day)
        row = session_row(self.survey.first_ns, 0, SessionState.CONTINUOUS, day)
        events = self.exchange.apply(np.array([row], dtype=np.int64))
        refused = events[events[:, 0] & CODE_MASK == _REFUSED]
        if len(refused):
            raise Malformed(f"contract {refused[0, 2]}", found=Refusal(int(refused[0, 7])).name, expected="a contract that opens",
                            remedy="Give the contracts narrower limits, or the day with --day.")  # fmt: skip


def open_replay(given: OrderInput, progress: str) -> Replay:
    """Survey a file and build an opened exchange for it. Raises Malformed for whatever is wrong with file or contracts."""
    from ciyuan.exchange.machine import Exchange

    file = open_orders(given.file, given.form)
    terms, source = _source(file, given)
    with shown_work(progress, f"reading {given.file.name}", file.size_bytes) as show:
        survey = source.survey(show)
    if not survey.rows:
        raise Malformed(
            f"orders file {given.file}",
            found="no rows",
            expected="at least one row",
            remedy="Export it again.",
        )
    contracts = contracts_for(terms, survey)
    source.check(contracts, survey)
    replay = Replay(
        source, survey, contracts, Exchange(contracts, room_for(contracts, survey), everyone=True)
    )
    if not survey.has_sessions:
        replay.open_all(survey.first_day if terms.day is None else terms.day)
    return replay


def _source(file: OrderFile, given: OrderInput) -> tuple[Terms, OrderSource]:
    day = day_from_iso(given.day) if given.day else None
    tick_micro = parse_micro(given.tick) if given.tick else 0
    if given.tick and tick_micro < 1:
        raise Malformed(
            "tick", found=given.tick, expected="an amount of money over 0", remedy="Give it like 0.01."
        )
    if file.form is Form.NAMED:
        return Terms(given.contracts, day, tick_micro, file.path.name.partition(".")[0]), NamedOrders(file)
    ticker, named_day = ticker_and_day(file)
    day = day or named_day or 1
    lobster = LobsterOrders(file, day, tick_micro)
    return Terms(
        given.contracts, day, lobster.tick_micro, ticker or file.path.name.partition(".")[0]
    ), lobster


def replay_orders(given: OrderInput, output: Output, progress: str) -> ReplaySummary:
    """Replay a file into a folder. Raises Malformed before anything is written if file, contracts or folder will not do."""
    interval = interval_ns(output.bars)
    _check_folder(output)
    replay = open_replay(given, progress)
    _clear(output.folder)
    began = time.perf_counter()
    with Record(output.folder, replay.contracts, interval) as record:
        with shown_work(progress, "replaying", replay.survey.rows) as show:
            _play(replay, record, output, show)
        for contract in replay.contracts:
            record.book(replay.messages, replay.now_ns, contract.code, replay.exchange.book(contract.number))
    summary = summary_of(replay, time.perf_counter() - began)
    write_json(output.folder / SUMMARY, asdict(summary))
    return summary


def _play(replay: Replay, record: Record, output: Output, show: Show) -> None:
    """Apply all commands, and write what comes of them."""

    def take(events: Ints, fills: Ints) -> None:
        record.take(events, fills)
        done = replay.messages + sum(replay.source.left_out.values())
        if output.every and replay.messages % output.every == 0 and done < replay.survey.rows:
            for contract in replay.contracts:
                book = replay.exchange.book(contract.number)
                record.book(replay.messages, replay.now_ns, contract.code, book, output.depth)
        show(done, replay.messages)

    replay.run(take, output.every)


def summary_of(replay: Replay, seconds: float) -> ReplaySummary:
    """What a replay came to."""
    count, fidelity, messages = replay.count, replay.source.fidelity(), replay.messages
    return ReplaySummary(
        file=str(replay.source.file.path),
        form=replay.source.file.form.value,
        messages=messages,
        left_out=dict(replay.source.left_out),
        orders_accepted=count.of(ExchangeEvent.ACCEPTED),
        amended=count.of(ExchangeEvent.AMENDED) - count.self_trade_amended,
        cancelled=count.by_request,
        repeated=count.of(ExchangeEvent.REPEATED),
        refused=dict(count.refused),
        trades=count.of(ExchangeEvent.FILLED) // 2,
        lots=count.lots,
        recorded_lots=fidelity.recorded_lots if fidelity else None,
        as_recorded_lots=fidelity.as_recorded_lots if fidelity else None,
        fills_digest=count.digest,
        first_time=iso_from_ns(replay.survey.first_ns),
        last_time=iso_from_ns(replay.now_ns),
        seconds=round(seconds, 3),
        messages_per_second=round(messages / seconds) if seconds else 0,
        exchange_ns_per_message=replay.exchange_cpu_ns // messages if messages else 0,
        peak_memory_mb=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _KIB // 10**6,
        contracts=tuple(state_of(replay.exchange.book(contract.number)) for contract in replay.contracts),
    )


def _parts(folder: Path) -> list[Path]:
    return [folder / SUMMARY, *(folder / f"{table}.parquet" for table in (FILLS, REFUSALS, BARS, BOOK))]


def _check_folder(output: Output) -> None:
    there = [path for path in _parts(output.folder) if path.exists()]
    if there and not output.replace:
        raise Malformed(f"folder {output.folder}", found=f"{there[0].name} of an earlier replay", expected="no replay there yet",
                        remedy="Add --replace, or name another folder with --out.")  # fmt: skip


def _clear(folder: Path) -> None:
    """Take away the parts of an earlier replay, the summary first: a folder with a summary is complete."""
    for path in _parts(folder):
        path.unlink(missing_ok=True)
