"""Usage as a fold over the journal: what the venue was told and what it answered become sums by hour.

    fold = UsageFold(tables)                # continues after tables.watermark()
    host = GroupHost(..., observers=(fold.take,))
    fold.flush(host.durable)                # now and then: one transaction for the sums and the watermark

Theory of operation. `take` keeps a batch of rows and events and does nothing else, so it may stand on the hot path. `flush` folds
what was kept, in vectors, and writes sums, requests still held, money, price lists and the watermark (the sequence of the last
row that is in the sums) in one transaction. Whatever is lost in a crash is behind the watermark, and comes again when the journal
is replayed from there. A watermark that somebody else has moved is not written over: that flush changes nothing and says so.

What an answer is an answer to is known by its place: the meter says one event a command, in order, and EXPIRED beside them.

| event | becomes |
|---|---|
| HELD | a held request with its spender (word 7 of the HOLD) |
| answer to LEG_USED | a count of a leg, kept with the held request |
| SETTLED | 1 request, its tokens, its legs and its charge, in the hour of the event |
| VOIDED, EXPIRED | 1 attempt that cost nothing, in the hour of the event |
| REFUSED to a HOLD | 1 refusal by reason, in the hour of the row |
| PRICED | a price list; the meter numbers them 1, 2, 3 ... |
| DEPOSITED, WITHDRAWN, MOVED | a movement of a participant's money |

Invariants: sum of `charged_micro` = sum of word 7 of SETTLED, up to the watermark; a request is counted once, in one cell; no
request ends that was not held; the sums do not depend on how the journal is cut into batches, flushes and crashes.
"""

from collections import deque
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ciyuan.basics.errors import InvariantBroken, Malformed
from ciyuan.basics.rows import CODE_MASK, FLAG_MASK, FLAG_SHIFT, REASON_MASK, REASON_SHIFT, ROW_WORDS
from ciyuan.gateway.messages import MeterCommand, MeterEvent, MeterFlag
from ciyuan.gateway.usage import Leg
from ciyuan.services.door.usage_columns import CELL_WORDS, LEG_COLUMNS, MEASURES, Cells, grouped
from ciyuan.services.door.usage_tables import Delta, OpenRequests, UsageTables
from ciyuan.venue.accounts import SUPPLIERS_MAX
from ciyuan.venue.messages import VenueEvent

Rows = NDArray[np.int64]
METER_COMMANDS = range(MeterCommand.PRICES, 250)
METER_EVENTS = range(MeterEvent.PRICED, 300)
NS_PER_HOUR = 3_600 * 10**9
_NOT_TAKEN = (MeterEvent.REFUSED, MeterEvent.REPEATED)
_ENDS = (MeterEvent.SETTLED, MeterEvent.VOIDED, MeterEvent.EXPIRED)
_MONEY = (VenueEvent.DEPOSITED, VenueEvent.WITHDRAWN, VenueEvent.MOVED)
_LEG_PLACE = np.full(max(Leg) + 1, -1)
"""By leg: its place among `LEG_COLUMNS`, -1 for what DELIVER says itself."""
for _place, _name in enumerate(LEG_COLUMNS):
    _LEG_PLACE[Leg[_name.upper()]] = _place


@dataclass(frozen=True, slots=True)
class _Batch:
    """One batch as it was applied: the sequence before its first row, its rows (n, 8), its events (m, 8)."""

    before: int
    rows: Rows
    events: Rows

    @property
    def after(self) -> int:
        """The sequence of its last row."""
        return self.before + len(self.rows)


class UsageFold:
    """The fold of one journal into one set of tables. `take` may be called by one thread, `flush` by one other.

    `watermark` is the sequence of the last row that is in the tables: the machine's snapshot must not be ahead of it, or the
    events in between can never be had again.
    """

    def __init__(self, tables: UsageTables) -> None:
        self._tables = tables
        self._batches: deque[_Batch] = deque()
        self.watermark = tables.watermark()
        self._taken = self.watermark
        self._open = tables.open_requests()
        self._lists = tables.price_list_count()

    @property
    def pending_rows(self) -> int:
        """Rows that were taken and are not in the tables yet."""
        return self._taken - self.watermark

    def take(self, before: int, rows: Rows, events: Rows) -> None:
        """Keep an applied batch: the sequence before its first row, its rows, its events. Arrays are copied.

        A batch wholly behind the watermark is known and left out. Raises Malformed for one that leaves a gap or lies across
        what was taken: replay is cut at the watermark.
        """
        after = before + len(rows)
        if not len(rows):
            return
        if after <= self._taken and after <= self.watermark:
            return
        if before != self._taken:
            raise Malformed("usage fold", found=f"rows {before + 1} to {after}", expected=f"rows from {self._taken + 1} on",
                            remedy="Feed the journal's rows in order, from the row after the watermark.")  # fmt: skip
        self._batches.append(_Batch(before, rows.copy(), events.copy()))
        self._taken = after

    def flush(self, durable: int) -> bool:
        """Write what was taken, up to row `durable` of the journal, and the watermark, at once. True if the tables have it.

        What the journal could still lose in a power cut is left for the next flush: the sums are never ahead of their journal.

        Raises InvariantBroken if the journal ends before the watermark: it is an older copy, or another one.

        False: another fold has moved the watermark, and nothing was written; make a new fold and feed it from there. If the
        database fails nothing was written either, and the next flush tries the same rows again.
        """
        if durable < self.watermark:
            raise InvariantBroken(
                "usage is not ahead of its journal",
                f"sums up to row {self.watermark}, the journal has {durable}",
            )
        kept: list[_Batch] = []
        while self._batches and self._batches[0].after <= durable:
            kept.append(self._batches.popleft())
        if not kept:
            return True
        try:
            delta, still_open, lists = self._folded(kept)
            written = self._tables.write(delta)
        except BaseException:
            self._batches.extendleft(reversed(kept))
            raise
        if written:
            self.watermark, self._open, self._lists = delta.watermark, still_open, lists
        return written

    def _folded(self, kept: list[_Batch]) -> tuple[Delta, OpenRequests, int]:
        rows = np.concatenate([batch.rows for batch in kept]).reshape(-1, ROW_WORDS)
        events = np.concatenate([batch.events for batch in kept]).reshape(-1, ROW_WORDS)
        codes = events[:, 0] & CODE_MASK
        asked, answers = _paired(rows, events, codes)
        known = _with_holds(self._open, asked, answers)
        _note_legs(known, asked, answers)
        ends = events[np.isin(codes, _ENDS)]
        places = known.places_of(ends[:, 2], "ended")
        priced = events[codes == MeterEvent.PRICED]
        still_open = known.without(places)
        delta = Delta(
            before=self.watermark,
            watermark=kept[-1].after,
            time_ns=int(rows[-1, 1]),
            cells=_cells(ends, known.spenders[places], known.legs[places]),
            refused=_refusals(asked, answers),
            opened=still_open.beyond(self._open),
            closed=ends[:, 2][self._open.has(ends[:, 2])],
            money=_money(events[np.isin(codes, _MONEY)]),
            price_lists=_price_lists(priced, self._lists),
            legs_priced=_legs_priced(asked, answers),
        )
        return delta, still_open, self._lists + len(priced)


def _paired(rows: Rows, events: Rows, codes: NDArray[np.int64]) -> tuple[Rows, Rows]:
    """The meter's commands among the rows, and the answer to each: two matrices of one length."""
    told = rows[:, 0] & CODE_MASK
    venues = (told == MeterCommand.PRICES) & (rows[:, 2] > SUPPLIERS_MAX)  # the venue answers these itself
    asked = rows[(told >= METER_COMMANDS.start) & (told < METER_COMMANDS.stop) & ~venues]
    answers = events[
        (codes >= METER_EVENTS.start) & (codes < METER_EVENTS.stop) & (codes != MeterEvent.EXPIRED)
    ]
    if len(asked) != len(answers):
        raise InvariantBroken(
            "each command of the meter has one answer", f"{len(asked)} commands, {len(answers)} answers"
        )
    return asked, answers


def _with_holds(known: OpenRequests, asked: Rows, answers: Rows) -> OpenRequests:
    held = (answers[:, 0] & CODE_MASK) == MeterEvent.HELD
    return known.joined(answers[held, 2], asked[held, 7])


def _note_legs(known: OpenRequests, asked: Rows, answers: Rows) -> None:
    told = ((asked[:, 0] & CODE_MASK) == MeterCommand.LEG_USED) & ~np.isin(
        answers[:, 0] & CODE_MASK, _NOT_TAKEN
    )
    said = asked[told]
    places, columns = known.places_of(said[:, 2], "used a leg"), _LEG_PLACE[said[:, 3]]
    noted = columns >= 0
    known.legs[places[noted], columns[noted]] = said[noted, 4]


def _cells(ends: Rows, spenders: NDArray[np.int64], legs: NDArray[np.int64]) -> Cells:
    """The sums of what ended: a row of `CELL_WORDS` and a row of `MEASURES` for each cell."""
    codes, parties = ends[:, 0] & CODE_MASK, ends[:, 3]
    settled = codes == MeterEvent.SETTLED
    batch = (ends[:, 0] >> FLAG_SHIFT & FLAG_MASK & MeterFlag.BATCH) * settled
    price_list = ends[:, 0] >> REASON_SHIFT & REASON_MASK
    keys = np.stack(
        [ends[:, 1] // NS_PER_HOUR, parties >> 32, spenders, parties >> 16 & 0xFFFF, parties & 0xFFFF, batch, price_list],
        axis=1,
    )  # fmt: skip
    measures = np.zeros((len(ends), len(MEASURES)), dtype=np.int64)
    measures[:, 0], measures[:, 1], measures[:, 2] = (
        settled,
        codes == MeterEvent.VOIDED,
        codes == MeterEvent.EXPIRED,
    )
    measures[:, 3:6] = ends[:, 4:7] * settled[:, None]
    measures[:, 6:-1] = legs * settled[:, None]
    measures[:, -1] = ends[:, 7] * settled
    return grouped(keys.reshape(-1, CELL_WORDS), measures)


def _refusals(asked: Rows, answers: Rows) -> Cells:
    """HOLDs that were refused: a row of `REFUSED_CELL` for each cell, and how many."""
    refused = ((answers[:, 0] & CODE_MASK) == MeterEvent.REFUSED) & (
        (asked[:, 0] & CODE_MASK) == MeterCommand.HOLD
    )
    rows, reasons = asked[refused], answers[refused, 7]
    limits = answers[refused, 0] >> REASON_SHIFT & REASON_MASK
    parties = rows[:, 3]
    keys = np.stack(
        [rows[:, 1] // NS_PER_HOUR, parties >> 32, rows[:, 7], parties >> 16 & 0xFFFF, parties & 0xFFFF, reasons, limits],
        axis=1,
    )  # fmt: skip
    return grouped(keys, np.ones((len(rows), 1), dtype=np.int64))


def _money(events: Rows) -> Rows:
    """Movements of money: key, time, code, participant, purse, micro-units, to purse."""
    return np.stack([events[:, 2], events[:, 1], events[:, 0] & CODE_MASK, *events[:, 3:7].T], axis=1)


def _price_lists(priced: Rows, count: int) -> Rows:
    """Price lists as they were numbered: number, supplier, grade, three prices, valid from, batch hundredths."""
    numbers = count + 1 + np.arange(len(priced))
    return np.stack([numbers, *priced[:, 2:8].T, priced[:, 0] >> REASON_SHIFT & REASON_MASK], axis=1)


def _legs_priced(asked: Rows, answers: Rows) -> Rows:
    """Price lists that have prices of further legs now: supplier, grade, valid from."""
    told = ((asked[:, 0] & CODE_MASK) == MeterCommand.LEG_PRICE) & ~np.isin(
        answers[:, 0] & CODE_MASK, _NOT_TAKEN
    )
    lists: Rows = asked[told][:, (2, 3, 7)]
    return lists
