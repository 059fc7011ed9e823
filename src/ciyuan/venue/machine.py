"""The venue: the market as one machine. The one place where a command can move money or tokens.

Theory of operation. Commands come in one order, as rows. Each is handed to the machine of its stage; what one stage says that
another must know is passed on at once, inside the same command:

- the clearing house's word on an account goes to the exchange before each of its orders; the order is screened, admitted and
  matched, and its fills are novated and (spot) settled before the next order is looked at (`venue.gate`);
- a settled delivery and a spot trade become observations of the index, unless buyer and seller are one group;
- before a fixing the list prices in force are observed, and a finished month's mean fixing goes to the clearing house.

Runs of gateway rows are passed to the meter's compiled kernel as one matrix. A batch of nothing but deliveries, with no auction
due before its end, has a lane of its own: a door that answers requests one by one hands in few rows at a time, and looking at a
batch from all sides would cost it several times what the rows do. The venue holds no clock: rows carry their time.
`ENROL`, `ACCOUNT`, `CREDIT`, `RISK`, `POSITION`, `MEMBER`, `FINAL`, `OBSERVE` and the ledger's own commands are the venue's to
give: from outside they are refused.

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
from ciyuan.basics.rows import CODE_MASK, KIND, ROW_WORDS, TIME, kind_word
from ciyuan.basics.state import state_hash
from ciyuan.clearing.machine import ClearingHouse
from ciyuan.clearing.messages import ClearingCommand
from ciyuan.exchange.contract import ContractKind
from ciyuan.exchange.machine import Exchange
from ciyuan.exchange.messages import ExchangeCommand
from ciyuan.exchange.state import TIME_MAX_NS
from ciyuan.gateway.machine import Meter
from ciyuan.gateway.messages import MeterCommand, MeterFlag
from ciyuan.index.machine import Index
from ciyuan.index.messages import IndexCommand
from ciyuan.ledger.machine import Ledger
from ciyuan.venue.accounts import SUPPLIERS_MAX
from ciyuan.venue.bonds import Bonds
from ciyuan.venue.books import Answer, Books, Out, check_rows, words
from ciyuan.venue.gate import TOLD, Gate
from ciyuan.venue.membership import Membership
from ciyuan.venue.messages import VenueCommand, VenueEvent, VenueRefusal
from ciyuan.venue.obligations import Obligations
from ciyuan.venue.pricing import Pricing
from ciyuan.venue.receipts import Receipts
from ciyuan.venue.redemption import Redemption
from ciyuan.venue.terms import VenueTerms

METERED = (
    int(MeterCommand.PRICES),
    int(MeterCommand.HOLD),
    int(MeterCommand.DELIVER),
    int(MeterCommand.VOID),
    int(MeterCommand.TICK),
    int(MeterCommand.SPENDER),
    int(MeterCommand.LIMIT),
    int(MeterCommand.LEG_PRICE),
    int(MeterCommand.LEG_USED),
    int(MeterCommand.CLOSE),
)
DELIVERING = frozenset(
    {
        int(MeterCommand.HOLD),
        int(MeterCommand.DELIVER),
        kind_word(MeterCommand.DELIVER, MeterFlag.BATCH),
        int(MeterCommand.VOID),
        int(MeterCommand.TICK),
        int(MeterCommand.LEG_USED),
    }
)
"""Kind words of the rows that deliveries consist of: whatever they say, they are the meter's alone."""
PRICING = (int(MeterCommand.PRICES), int(MeterCommand.LEG_PRICE))
CLOSE_MAX = 2**59
"""Requests from here on cannot be closed: the venue's own ledger rows, which go round closed keys, need some beyond."""
TRADED = frozenset(map(int, ExchangeCommand)) - frozenset(map(int, TOLD))
OWN = (
    ClearingCommand.MEMBER,
    ClearingCommand.RECEIPTS,
    ClearingCommand.FINAL,
    ClearingCommand.PRESENCE,
    ClearingCommand.RELEASE,
)
"""Of the clearing house's commands, what the venue alone gives."""
CLEARED = frozenset(map(int, ClearingCommand)) - frozenset(map(int, OWN))
INDEXED = frozenset({int(IndexCommand.FIX), int(IndexCommand.RELATE), int(IndexCommand.CORRECT)})
GATED = CLEARED | {int(VenueCommand.PARTICIPANT), int(VenueCommand.FINALISE)}
"""What the clearing house says to these, the exchange must know."""
HOUSE_ORDER_IDS = 2**62
"""Order ids from here on are the venue's own, for slices of a defaulter's positions."""
NOT_FUTURES = (ContractKind.SPOT, ContractKind.SPREAD)
METER, EXCHANGE = 1, 2
STAGE_OF = np.zeros(CODE_MASK + 1, dtype=np.int8)
"""By code: METER or EXCHANGE for what goes there in runs, 0 for what is taken row by row."""
STAGE_OF[list(METERED)], STAGE_OF[list(TRADED)] = METER, EXCHANGE
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
        self.exchange = Exchange(terms.contracts, terms.room)
        self.index = Index(terms.index, terms.calendar)
        self._last_ns = 0
        contracts = {contract.number: contract for contract in terms.contracts}
        bonds = Bonds(self._books, contracts, terms.calendar, self.index, terms.bond_bp)
        members = Membership(self._books, bonds, self.meter, self.clearing, terms.room)
        receipts = Receipts(self._books, bonds, self.clearing)
        penalty_bp = terms.clearing.delivery.penalty_bp
        redemption = Redemption(
            self._books, bonds, terms.grades, terms.calendar, self.meter, self.clearing, penalty_bp
        )
        self._pricing = Pricing(
            self._books, terms.grades, contracts, self.meter, self.exchange, self.clearing, self.index
        )
        self._futures = {contract.number for contract in terms.contracts if contract.kind not in NOT_FUTURES}
        self._obligations = Obligations(self._books, self.exchange, self.clearing, terms.clearing.maker)
        self._gate = Gate(terms.contracts, self.exchange, self.clearing, self._pricing.on_trade)
        self._handlers: Mapping[int, Handler] = {
            VenueCommand.PARTICIPANT: members.add,
            VenueCommand.DEPOSIT: members.deposit,
            VenueCommand.WITHDRAW: members.withdraw,
            VenueCommand.MOVE: members.move,
            VenueCommand.CAPACITY: receipts.prove,
            VenueCommand.ISSUE: receipts.issue,
            VenueCommand.LAPSE: receipts.lapse,
            VenueCommand.REDEEM: redemption.redeem,
            VenueCommand.SUBSTITUTE: redemption.substitute,
            VenueCommand.BOND: members.bond,
            VenueCommand.UNBOND: members.unbond,
            VenueCommand.SAMPLE: self._sample,
            VenueCommand.FINALISE: self._pricing.finalise,
        }

    def _sample(self, row: Sequence[int], out: Out) -> Answer:
        """SAMPLE: of a spot contract the index takes quotes, of a future the makers' obligations are looked at."""
        if row[2] in self._futures:
            self._obligations.sample(row, out)
            return None
        return self._pricing.sample(row, out)

    def _are_deliveries(self, rows: NDArray[np.int64]) -> bool:
        """Whether a batch can be handed to the meter as it is: rows of deliveries only, in order of time, nothing else due."""
        shaped = rows.ndim == 2 and rows.shape[1] == ROW_WORDS and rows.dtype == np.int64
        if not shaped or not rows.flags.c_contiguous:
            return False
        if not DELIVERING.issuperset(rows[:, KIND].tolist()):
            return False
        times: list[int] = rows[:, TIME].tolist()
        if not times or times[0] < self._last_ns or (len(times) > 1 and times != sorted(times)):
            return False
        return times[-1] < self._gate.next_due_ns and times[-1] <= TIME_MAX_NS

    def check(self, rows: NDArray[np.int64]) -> None:
        """Refuse (Malformed) what cannot be applied as a batch: not rows, or not in order of time. Changes nothing."""
        check_rows(rows, self._last_ns)

    def apply(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Apply an (n, 8) int64 batch of commands; returns the (m, 8) events, in order."""
        if self._are_deliveries(rows):
            said = self.meter.apply(rows)
            self._pricing.on_deliveries(said)
            self._last_ns = int(rows[-1, TIME])
            return said
        self.check(rows)
        if not len(rows):
            return np.empty((0, ROW_WORDS), dtype=np.int64)
        codes = rows[:, 0] & CODE_MASK
        kinds = STAGE_OF[codes]
        kinds[(codes == ExchangeCommand.ORDER) & (rows[:, 3] >= HOUSE_ORDER_IDS)] = (
            0  # the venue's, for slices (§10.1)
        )
        # What tokens cost, and keys that the venue needs, are the venue's to say.
        kinds[np.isin(codes, PRICING) & (rows[:, 2] > SUPPLIERS_MAX)] = 0
        kinds[(codes == MeterCommand.CLOSE) & (rows[:, 3] > CLOSE_MAX)] = 0
        cuts = [0, *(np.flatnonzero(kinds[1:] != kinds[:-1]) + 1).tolist(), len(rows)]
        events: list[NDArray[np.int64]] = []
        for start, end in pairwise(cuts):
            if kinds[start] == METER:
                events += self._metered(rows[start:end])
            else:
                events.append(self._others(rows[start:end], kinds[start] == EXCHANGE))
        self._last_ns = int(rows[-1, 1])
        return events[0] if len(events) == 1 else np.concatenate(events)

    def _metered(self, rows: NDArray[np.int64]) -> list[NDArray[np.int64]]:
        """Rows of the meter; where an auction of the exchange falls due among them, it is held in its place."""
        events: list[NDArray[np.int64]] = []
        while len(rows):
            before = int(np.searchsorted(rows[:, 1], self._gate.next_due_ns))
            if before:
                events.append(self.meter.apply(np.ascontiguousarray(rows[:before])))
                self._pricing.on_deliveries(events[-1])
                self._books.go_round(self.meter.closed[1])
                rows = rows[before:]
            else:
                out: Out = []
                self._gate.ring(int(rows[0, 1]), out)
                events.append(_matrix(out))
        return events

    def _others(self, rows: NDArray[np.int64], traded: bool) -> NDArray[np.int64]:
        out: Out = []
        if traded:
            self._gate.apply(rows, out)
        else:
            for row in rows.tolist():
                self._gate.ring(row[1], out)
                self._other(row, out)
        return _matrix(out)

    def _other(self, row: Sequence[int], out: Out) -> None:
        code, before = row[0] & CODE_MASK, len(out)
        if code in CLEARED:
            self.clearing.apply_one(row, out)
        elif code in INDEXED:
            self._indexed(row, code, out)
        else:
            self._own(row, code, out)
        if code in GATED:
            self._gate.hear(out[before:], row[1], out)

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
        self._gate.restore(parts["exchange.contracts"])

    def state_hash(self) -> str:
        """The hash of the snapshot."""
        return state_hash(self.snapshot())


def _matrix(out: Out) -> NDArray[np.int64]:
    return np.array(out, dtype=np.int64).reshape(-1, ROW_WORDS)
