"""The index: what a standard token, an input token and an output token of a grade cost today.

Theory of operation. Sellers' prices are observed: trades and metered deliveries, quotes, list prices. They are kept as they
came. FIX works a day's fixing out from what was observed in its window (`fixing.determine`), publishes it with its evidence and
the sellers that were set aside, or says why it publishes nothing. A published fixing settles futures, so the method is written
against someone who wants to move it: `fixing` says what it resists, and what not.

Being wrong is allowed, being silent about it is not. Within a day of the first version CORRECT works the fixing out anew, from
what is known by then (observations that came late, sellers that turned out to be related) and without the sellers that it strikes
out. The result is a new version, even if it is that nothing should have been published. Every version stays on record with the
moment from which it was known, and the record can be asked as of any moment. Once a day can no longer be corrected its
observations are dropped: they are in the journal.

OBSERVE has no key, for two like deliveries are two; that each is observed once is the venue's affair, who hears of each once.

Invariants:

- a version is never changed and never goes; versions of a day run 1, 2, 3 ...;
- a fixing stands on at least `sellers_min` sellers in every partition that counts, and on `observations_min` observations;
- no seller, related ones as one, weighs more in a partition than the cap or an equal part;
- how commands are cut into batches changes nothing.
"""

from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from ciyuan.basics.calendar import Calendar
from ciyuan.basics.errors import Malformed
from ciyuan.basics.rows import CODE_MASK, KIND, ROW_WORDS, TIME, Row, kind_word
from ciyuan.basics.state import state_hash
from ciyuan.index.announcement import aside_rows, outcome_rows
from ciyuan.index.evidence import SELLER_AT, layers_of
from ciyuan.index.fixing import Outcome, determine
from ciyuan.index.messages import (
    RULE_CORRECTION,
    RULE_SCREEN,
    TIME_MAX,
    VERSION,
    Fixing,
    IndexCommand,
    IndexEvent,
    IndexRefusal,
    IndexTerms,
    Leg,
    MonthMean,
)
from ciyuan.index.observations import Observations
from ciyuan.index.record import Record
from ciyuan.index.snapshot import check_parts
from ciyuan.index.window import Window

_OBSERVE = int(IndexCommand.OBSERVE)
FEW = 16
"""Up to so many observations in a row are looked at one at a time, which is faster for them."""
_UNUSED_FROM = {IndexCommand.FIX: 5, IndexCommand.RELATE: 4, IndexCommand.CORRECT: 6}
"""The first word that each kind does not use."""


class Index:
    """The index of all grades of a venue, by its terms and calendar."""

    def __init__(self, terms: IndexTerms, calendar: Calendar) -> None:
        self.terms = terms
        self._calendar = calendar
        self._window = Window(terms, calendar)
        self._clear()

    def _clear(self) -> None:
        self._clock_ns = 0
        self._observations = Observations(self._window, self.terms.partitions)
        self._record = Record(self._calendar)
        self._groups: dict[int, int] = {}
        self._struck: set[tuple[int, int, int, int]] = set()

    # --- what is told ---

    def apply(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Apply (n, 8) int64 commands in order; returns the (m, 8) events. Raises Malformed for anything but such a matrix."""
        if rows.dtype != np.int64 or rows.ndim != 2 or rows.shape[1] != ROW_WORDS:
            raise Malformed("index batch", found=f"{rows.dtype} {rows.shape}", expected="an (n, 8) int64 matrix",
                            remedy="Hand over rows as they are journaled.")  # fmt: skip
        if not len(rows):
            return np.empty((0, ROW_WORDS), dtype=np.int64)
        observing = rows[:, KIND] == _OBSERVE
        cuts = (np.flatnonzero(observing[1:] != observing[:-1]) + 1).tolist() if len(rows) > 1 else []
        out: list[NDArray[np.int64]] = []
        for start, end in pairwise([0, *cuts, len(rows)]):
            many = observing[start] and end - start > FEW
            out.append(self._observe(rows[start:end]) if many else self._one_by_one(rows[start:end]))
        return out[0] if len(out) == 1 else np.concatenate(out)

    def _observe(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        faults, self._clock_ns = self._observations.admit_many(rows, self._clock_ns)
        self._forget()
        refused = rows[faults > 0].copy()
        refused[:, KIND], refused[:, VERSION] = int(IndexEvent.REFUSED), faults[faults > 0]
        return refused

    def _one_by_one(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        out: list[Row] = []
        for row in rows.tolist():
            self.apply_one(row, out)
        return np.array(out, dtype=np.int64).reshape(-1, ROW_WORDS)

    def apply_one(self, row: Sequence[int], out: list[Row]) -> None:
        """Apply one command, eight plain integers, and append its events to `out`."""
        if row[KIND] == _OBSERVE:
            fault: int | None = self._observations.admit_one(row, self._clock_ns)
            if fault != IndexRefusal.TIME_OUT_OF_RANGE:
                self._clock_ns = max(self._clock_ns, row[TIME])
        else:
            fault = self._command_fault(row)
            if fault is None:
                self._clock_ns = row[TIME]
                fault = self._handle(row, out)
        if fault:
            out.append(_answer(row, IndexEvent.REFUSED, fault))
        self._forget()

    def _command_fault(self, row: Sequence[int]) -> IndexRefusal | None:
        code = row[KIND] & CODE_MASK
        if code != _OBSERVE and code not in _UNUSED_FROM:
            return IndexRefusal.UNKNOWN_COMMAND
        if row[KIND] != code:
            return IndexRefusal.FLAG_NOT_ALLOWED
        if any(row[_UNUSED_FROM[IndexCommand(code)] :]):
            return IndexRefusal.UNUSED_WORD_NOT_ZERO
        if not 0 <= row[TIME] <= TIME_MAX:
            return IndexRefusal.TIME_OUT_OF_RANGE
        return IndexRefusal.TIME_BACKWARDS if row[TIME] < self._clock_ns else None

    def _handle(self, row: Sequence[int], out: list[Row]) -> IndexRefusal | None:
        code = row[KIND]
        if code == IndexCommand.RELATE:
            return self._relate(row, out)
        _, _, grade, day, leg, struck, *_ = row
        if grade < 1:
            return IndexRefusal.GRADE_NOT_POSITIVE
        if struck < 0:
            return IndexRefusal.SELLER_NOT_POSITIVE
        if leg not in frozenset(Leg):
            return IndexRefusal.LEG_UNKNOWN
        if not self._calendar.is_business(day):
            return IndexRefusal.NOT_A_BUSINESS_DAY
        return self._fix(row, out) if code == IndexCommand.FIX else self._correct(row, out)

    def _relate(self, row: Sequence[int], out: list[Row]) -> IndexRefusal | None:
        _, _, seller, group, *_ = row
        if seller < 1:
            return IndexRefusal.SELLER_NOT_POSITIVE
        if group < 0:
            return IndexRefusal.GROUP_NEGATIVE
        same = self._groups.get(seller, 0) == group
        self._groups.pop(seller, None)
        if group:
            self._groups[seller] = group
        out.append(_answer(row, IndexEvent.REPEATED if same else IndexEvent.RELATED, 0))
        return None

    def _fix(self, row: Sequence[int], out: list[Row]) -> IndexRefusal | None:
        _, time_ns, grade, day, leg, *_ = row
        if time_ns < self._window.close_ns(day):
            return IndexRefusal.WINDOW_NOT_ENDED
        known = self._record.latest(grade, day, leg)
        if known is not None:
            out.append(_answer(row, IndexEvent.REPEATED, known.version))
            return None
        if time_ns > self._window.fix_until_ns(day):
            return IndexRefusal.FIXING_TOO_LATE
        self._publish(row, 1, self._work_out(grade, day, leg), out)
        return None

    def _correct(self, row: Sequence[int], out: list[Row]) -> IndexRefusal | None:
        _, time_ns, grade, day, leg, struck, *_ = row
        versions = self._record.versions(grade, day, leg)
        if not versions:
            return IndexRefusal.NOT_FIXED
        if time_ns > versions[0].known_from_ns + self.terms.correct_within_ns:
            return IndexRefusal.CORRECTION_TOO_LATE
        if struck and not self._observations.has(day, grade, leg, struck):
            return IndexRefusal.SELLER_NOT_OBSERVED
        if struck:
            self._struck.add((day, grade, leg, struck))
        outcome = self._work_out(grade, day, leg)
        if _is_same(versions[-1], outcome):
            out.append(_answer(row, IndexEvent.REPEATED, versions[-1].version))
        else:
            self._publish(row, len(versions) + 1, outcome, out)
        return None

    def _work_out(self, grade: int, day: int, leg: int) -> Outcome:
        rows = self._observations.of(day, grade, leg)
        rows = rows[~np.isin(rows[:, SELLER_AT], self._struck_from(grade, day, leg))]
        return determine(layers_of(rows, self._group_of, self._window, self.terms.partitions), self.terms)

    def _publish(self, row: Sequence[int], version: int, outcome: Outcome, out: list[Row]) -> None:
        _, time_ns, grade, day, leg, *_ = row
        fixing = Fixing(grade, day, leg, version, outcome.value_micro, outcome.level, outcome.sellers, outcome.observations,
                        outcome.volume, outcome.cap_raised, outcome.withheld, time_ns)  # fmt: skip
        self._record.add(fixing)
        out.extend(outcome_rows(fixing))
        observed = np.unique(self._observations.of(day, grade, leg)[:, SELLER_AT]).tolist()
        struck = self._struck_from(grade, day, leg)
        for aside in outcome.aside:
            members = [
                seller
                for seller in observed
                if self._group_of(seller) == aside.group and seller not in struck
            ]
            out.extend(aside_rows(fixing, members, aside.price_micro, aside.others_micro, RULE_SCREEN))
        out.extend(aside_rows(fixing, struck, 0, 0, RULE_CORRECTION))

    def _struck_from(self, grade: int, day: int, leg: int) -> list[int]:
        return sorted(seller for *key, seller in self._struck if key == [day, grade, leg])

    def _group_of(self, seller: int) -> int:
        return self._groups.get(seller, seller)

    def _forget(self) -> None:
        """Drop the observations of days that can no longer be corrected."""
        self._observations.drop(self._is_closed)
        self._struck = {key for key in self._struck if not self._is_closed(key[0])}

    def _is_closed(self, day: int) -> bool:
        return self._window.closed_ns(day) < self._clock_ns

    # --- what can be asked ---

    @property
    def clock_ns(self) -> int:
        """The latest moment seen."""
        return self._clock_ns

    def wants(self, times: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Which moments lie in the window of a business day, (n,): but for list prices, others need not be observed."""
        inside = self._window.inside(times)
        if inside.any():
            inside &= self._window.business(self._window.days(times))
        return inside

    def wants_one(self, time_ns: int) -> bool:
        """Whether one moment does: `wants`, without the cost of an array."""
        return self._window.wants_one(time_ns)

    def group_of(self, seller: int) -> int:
        """The group that a seller counts with; its own number if it is related to nobody."""
        return self._group_of(seller)

    def fixing(self, grade: int, day: int, leg: int, as_known_at_ns: int | None = None) -> Fixing | None:
        """The fixing of a day as it was known at a moment (None: now); None if none was published, or it was withdrawn."""
        found = self._record.latest(grade, day, leg, as_known_at_ns)
        return found if found is not None and found.value_micro is not None else None

    def versions(self, grade: int, day: int, leg: int) -> tuple[Fixing, ...]:
        """Every version of a day's fixing, published or withheld, the oldest first."""
        return self._record.versions(grade, day, leg)

    def month_mean(
        self, grade: int, month: int, leg: int, as_known_at_ns: int | None = None
    ) -> MonthMean | None:
        """A month's (yyyymm) mean fixing over its business days (§2.2, §8.5); None if there is nothing to take a mean of."""
        return self._record.month_mean(grade, month, leg, as_known_at_ns)

    # --- snapshot ---

    def snapshot(self) -> dict[str, NDArray[np.int64]]:
        """The whole state, as `ciyuan.index.snapshot` lays it out."""
        return {
            "clock": np.array([[self._clock_ns]], dtype=np.int64),
            "relations": np.array(sorted(self._groups.items()), dtype=np.int64).reshape(-1, 2),
            "struck": np.array(sorted(self._struck), dtype=np.int64).reshape(-1, 4),
            "observations": self._observations.matrix(),
            "fixings": self._record.matrix(),
        }

    def restore(self, parts: Mapping[str, NDArray[np.int64]]) -> None:
        """Take the state of a snapshot. Raises Malformed, and changes nothing, if `parts` are not one."""
        check_parts(parts)
        self._clear()
        self._clock_ns = int(parts["clock"][0, 0])
        self._groups = dict(parts["relations"].tolist())
        self._struck = {(day, grade, leg, seller) for day, grade, leg, seller in parts["struck"].tolist()}
        self._observations.refill(parts["observations"])
        self._record.refill(parts["fixings"])

    def state_hash(self) -> str:
        """The fingerprint of the snapshot."""
        return state_hash(self.snapshot())


def _answer(row: Sequence[int], event: IndexEvent, last: int) -> Row:
    """An event with the command's words, its last one apart."""
    _, time_ns, a, b, c, d, e, _ = row
    return (kind_word(event), time_ns, a, b, c, d, e, int(last))


def _is_same(fixing: Fixing, outcome: Outcome) -> bool:
    """Whether an outcome says what a version says already."""
    said = (fixing.value_micro, fixing.level, fixing.sellers, fixing.observations, fixing.volume_centitokens,
            fixing.cap_raised, fixing.withheld)  # fmt: skip
    return said == (outcome.value_micro, outcome.level, outcome.sellers, outcome.observations, outcome.volume,
                    outcome.cap_raised, outcome.withheld)  # fmt: skip
