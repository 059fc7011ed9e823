"""The venue: the market as one machine. The one place where a command can move money or tokens.

Theory of operation. Commands come in one order, as rows. Each is handed to the machine of its stage; what one stage says that
another must know is passed on at once, inside the same command:

- an order is screened by the exchange, admitted by the clearing house, matched, and its fills are novated and (spot) settled
  before the next order is looked at;
- a settled delivery and a spot trade become observations of the index, unless buyer and seller are one group;
- before a fixing the list prices in force are observed, and a finished month's mean fixing goes to the clearing house.

Runs of gateway rows are passed to the meter's compiled kernel as one matrix. The venue holds no clock: rows carry their time.
`ENROL`, `MEMBER`, `FINAL`, `OBSERVE` and the ledger's own commands are the venue's to give: from outside they are refused.

Invariants, beside those of its stages (checked by the simulation's auditor):

- time never runs backwards; a batch in which it does is malformed and nothing of it is applied;
- how commands are cut into batches changes nothing: same rows, same events, same state hash;
- participants are numbered 1, 2, 3 ... and their ledger accounts are a function of that number (`ChartOfAccounts`).
"""

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from ciyuan.basics.errors import Malformed
from ciyuan.basics.rows import CODE_MASK, ROW_WORDS
from ciyuan.basics.state import state_hash
from ciyuan.clearing.machine import ClearingHouse
from ciyuan.clearing.messages import ClearingCommand, ClearingEvent
from ciyuan.exchange.machine import Exchange
from ciyuan.exchange.messages import ExchangeCommand
from ciyuan.gateway.machine import Meter
from ciyuan.gateway.messages import MeterCommand
from ciyuan.index.machine import Index
from ciyuan.index.messages import IndexCommand
from ciyuan.ledger.machine import Ledger
from ciyuan.venue.books import Answer, Books, Out, check_rows, words
from ciyuan.venue.membership import Membership
from ciyuan.venue.messages import VenueCommand, VenueEvent, VenueRefusal
from ciyuan.venue.pricing import Pricing
from ciyuan.venue.receipts import Receipts
from ciyuan.venue.terms import VenueTerms

METERED = (
    int(MeterCommand.PRICES),
    int(MeterCommand.HOLD),
    int(MeterCommand.DELIVER),
    int(MeterCommand.VOID),
    int(MeterCommand.TICK),
)
TRADED = frozenset(map(int, ExchangeCommand))
CLEARED = frozenset(
    {int(ClearingCommand.SETTLE_DAY), int(ClearingCommand.DELIST), int(ClearingCommand.COLLECT)}
)
INDEXED = frozenset({int(IndexCommand.FIX), int(IndexCommand.RELATE), int(IndexCommand.CORRECT)})
Handler = Callable[[Sequence[int], Out], Answer]


class Venue:
    """A venue of the given terms, empty. `ledger`, `meter`, `exchange`, `clearing` and `index` may be asked, never told."""

    def __init__(self, terms: VenueTerms) -> None:
        self.terms = terms
        self.ledger = Ledger()
        self._books = Books(self.ledger, terms.chart)
        self._books.open_house()
        self.meter = Meter(self.ledger)
        self.clearing = ClearingHouse(self.ledger, terms.contracts, terms.calendar, terms.clearing)
        self.exchange = Exchange(terms.contracts, self.clearing)
        self.index = Index(terms.index, terms.calendar)
        self._last_ns = 0
        members = Membership(self._books, self.meter, self.clearing)
        receipts = Receipts(self._books)
        contracts = {contract.number: contract for contract in terms.contracts}
        self._pricing = Pricing(
            self._books, terms.grades, contracts, self.meter, self.exchange, self.clearing, self.index
        )
        self._handlers: Mapping[int, Handler] = {
            VenueCommand.PARTICIPANT: members.add,
            VenueCommand.DEPOSIT: members.deposit,
            VenueCommand.WITHDRAW: members.withdraw,
            VenueCommand.MOVE: members.move,
            VenueCommand.CAPACITY: receipts.prove,
            VenueCommand.ISSUE: receipts.issue,
            VenueCommand.LAPSE: receipts.lapse,
            VenueCommand.SAMPLE: self._pricing.sample,
            VenueCommand.FINALISE: self._pricing.finalise,
        }

    def check(self, rows: NDArray[np.int64]) -> None:
        """Refuse (Malformed) what cannot be applied as a batch: not rows, or not in order of time. Changes nothing."""
        check_rows(rows, self._last_ns)

    def apply(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Apply an (n, 8) int64 batch of commands; returns the (m, 8) events, in order."""
        self.check(rows)
        if not len(rows):
            return np.empty((0, ROW_WORDS), dtype=np.int64)
        metered = np.isin(rows[:, 0] & CODE_MASK, METERED)
        cuts = [0, *(np.flatnonzero(metered[1:] != metered[:-1]) + 1).tolist(), len(rows)]
        events: list[NDArray[np.int64]] = []
        for start, end in pairwise(cuts):
            events.append(self._metered(rows[start:end]) if metered[start] else self._others(rows[start:end]))
        self._last_ns = int(rows[-1, 1])
        return events[0] if len(events) == 1 else np.concatenate(events)

    def _metered(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        events = self.meter.apply(np.ascontiguousarray(rows))
        self._pricing.on_deliveries(events)
        return events

    def _others(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        out: Out = []
        for row in rows.tolist():
            code = row[0] & CODE_MASK
            if code in TRADED:
                self._traded(row, out)
            elif code in CLEARED:
                self.clearing.apply_one(row, out)
            elif code in INDEXED:
                self._indexed(row, code, out)
            else:
                self._own(row, code, out)
        return np.array(out, dtype=np.int64).reshape(-1, ROW_WORDS)

    def _traded(self, row: Sequence[int], out: Out) -> None:
        said: Out = []
        self.exchange.apply_one(row, said)
        for event in said:
            out.append(event)
            before = len(out)
            self.clearing.on_event(event, out)
            for told in out[before:]:
                if told[0] & CODE_MASK == ClearingEvent.NOVATED:
                    self._pricing.on_trade(told, out)

    def _indexed(self, row: Sequence[int], code: int, out: Out) -> None:
        if code == IndexCommand.FIX:
            self._pricing.before_fixing(row, out)
        self.index.apply_one(row, out)

    def _own(self, row: Sequence[int], code: int, out: Out) -> None:
        handler = self._handlers.get(code)
        answer = handler(row, out) if handler else VenueRefusal.UNKNOWN_COMMAND
        if code == VenueCommand.PARTICIPANT and answer is None and row[4] not in (0, row[2]):
            self._pricing.relate(row[1], row[2], row[4], out)
        if isinstance(answer, VenueEvent):
            out.append(words(row, event=answer))
        elif answer is not None:
            out.append(words(row, event=VenueEvent.REFUSED, refusal=answer))

    def _stages(self) -> "dict[str, Ledger | Meter | Exchange | ClearingHouse | Index | Books]":
        return {
            "ledger": self.ledger,
            "meter": self.meter,
            "exchange": self.exchange,
            "clearing": self.clearing,
            "index": self.index,
            "venue": self._books,
        }

    def snapshot(self) -> dict[str, NDArray[np.int64]]:
        """The whole state: every stage's parts under the stage's name, and the clock."""
        parts = {
            f"{stage}.{name}": part
            for stage, machine in self._stages().items()
            for name, part in machine.snapshot().items()
        }
        return parts | {"clock": np.array([[self._last_ns]], dtype=np.int64)}

    def restore(self, parts: Mapping[str, NDArray[np.int64]]) -> None:
        """Inverse of `snapshot`, into a venue of the same terms. Raises Malformed for parts that are not such a snapshot."""
        for stage, machine in self._stages().items():
            mine = {
                name.removeprefix(f"{stage}."): part
                for name, part in parts.items()
                if name.startswith(f"{stage}.")
            }
            machine.restore(mine)
        clock = parts.get("clock")
        if clock is None or clock.shape != (1, 1):
            raise Malformed(
                "venue snapshot, clock",
                found=getattr(clock, "shape", None),
                expected="(1, 1)",
                remedy="Take another snapshot.",
            )
        self._last_ns = int(clock[0, 0])

    def state_hash(self) -> str:
        """The hash of the snapshot."""
        return state_hash(self.snapshot())
