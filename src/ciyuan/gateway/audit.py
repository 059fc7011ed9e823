"""The audit of suppliers' counts: a machine that hears finished calls and says which claims can be believed.

Theory of operation. A supplier alone counts what it is paid for. So each call that is audited is counted again, outside this
machine, with the grade's own vocabulary where there is one, and its bytes and characters are kept beside its tokens. The
audit gives each side of the call a verdict by itself (`audit_judgement`), and puts it to two tests over the supplier's whole
history (`audit_tests`): its claims against our counts, and its tokens per byte against its own past. A verdict finds a gross
lie at once and is no proof of a small one; a test finds a small lie that is kept up, and accuses an honest supplier with a
stated probability at most, ever (`audit_evidence` has the proof). What the supplier's chat template adds is learnt
(`audit_template`) and is no over-claim, and reasoning that nobody sees is counted apart and is none either. Where there is
no vocabulary, bytes are what is left: with a ratio of the grade, known from history, over-claims are tested with a wider
tolerance; without one, only change is.

Nothing here is owed: what a report calls money at stake is what could be disputed, in integers, at the list price of each
call.

Invariants: calls in the same order give the same state, judgements and alarms; how the state is kept and restored in between
changes nothing; each call has exactly one verdict a side; a test gives one alarm at most until it is acknowledged; no claim
of unseen reasoning raises any sum of over-claims.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple, Self

from ciyuan.basics.errors import Malformed
from ciyuan.gateway.audit_evidence import Evidence
from ciyuan.gateway.audit_judgement import Judgement, Verdicts, judged
from ciyuan.gateway.audit_sample import Sample, Script, Side
from ciyuan.gateway.audit_template import Bare
from ciyuan.gateway.audit_terms import USUAL, AuditTerms
from ciyuan.gateway.audit_tests import RATIO_ALARMS, AlarmKind, ClaimTest, RatioTest, grade_ratio

KEPT_FORM = 1
"""The form of a snapshot."""
Kept = Mapping[str, Sequence[Sequence[int | str]]]
"""A snapshot: rows of plain integers, and names of vocabularies, by section; what JSON can hold as it is."""
ClaimKey = tuple[int, int, Side, str]
"""Supplier, grade, side, vocabulary."""
RatioKey = tuple[int, int, Side, Script]
"""Supplier, grade, side, script."""


ROW_MIN = 4
SIDES, SCRIPTS = tuple(map(int, Side)), tuple(map(int, Script))


class Alarm(NamedTuple):
    """A test's alarm: against whom, the call that tipped it, and how many calls it had looked at by then."""

    kind: AlarmKind
    supplier: int
    grade: int
    side: Side
    key: int
    calls: int
    odds: int
    """The chance that an honest supplier's claims look like this, ever, is at most one in so many."""


class Heard(NamedTuple):
    """What the audit says of a call: a judgement on each side, and the alarms that it tipped."""

    judgements: tuple[Judgement, ...]
    alarms: tuple[Alarm, ...]


class Audit:
    """The machine; see above. `terms` may be others than before a restart: what is tested from then on is tested by them."""

    def __init__(self, terms: AuditTerms | None = None) -> None:
        self.terms = terms or AuditTerms()
        self.verdicts: dict[tuple[int, int, Side], Verdicts] = {}
        self.claims: dict[ClaimKey, ClaimTest] = {}
        self.ratios: dict[RatioKey, RatioTest] = {}

    def apply(self, sample: Sample) -> Heard:
        """Hear a finished call."""
        judgements: list[Judgement] = []
        alarms: list[Alarm] = []
        for side in Side:
            judgement = self._judge(sample, side)
            judgements.append(judgement)
            alarms += self._test(sample, side, judgement.claimed)
        return Heard(tuple(judgements), tuple(alarms))

    def _judge(self, sample: Sample, side: Side) -> Judgement:
        extent = sample.extent(side)
        seller = (sample.supplier, sample.grade, side)
        claim_test = self.claims.get((*seller, sample.vocabulary))
        ratio = grade_ratio(self.terms, sample.grade, side, extent.script)
        if not ratio and (own := self.ratios.get((*seller, extent.script))):
            ratio = own.ratio
        judgement = judged(sample, side, self.terms, claim_test or ClaimTest(), ratio)
        if seller not in self.verdicts:
            self.verdicts[seller] = Verdicts.none()
        self.verdicts[seller].add(judgement)
        return judgement

    def _test(self, sample: Sample, side: Side, claimed: int | None) -> Iterator[Alarm]:
        """Put a call to the tests of its side: a text that is all there is, and a claim above 0 of it."""
        extent = sample.extent(side)
        seller = (sample.supplier, sample.grade, side)
        if not claimed or not extent.whole:
            return
        if extent.counted is not None:
            test = self.claims.setdefault((*seller, sample.vocabulary), ClaimTest())
            test.sums.add(extent, claimed, sample.price_micro(side))
            bare = Bare(extent.pieces, extent.counted, claimed)
            for kind in test.look(sample.key, bare, side, sample.vocabulary, self.terms):
                yield _alarm(kind, seller, test.evidence)
        if extent.octets >= self.terms.ratio_octets_min:
            ratio_test = self.ratios.setdefault((*seller, extent.script), RatioTest())
            ratio_test.sums.add(extent, claimed, sample.price_micro(side))
            of_grade = grade_ratio(self.terms, sample.grade, side, extent.script)
            of_text = max(claimed - USUAL[side].tokens(extent.pieces), 0)
            for kind in ratio_test.look(sample.key, of_text, extent.octets, of_grade, self.terms):
                yield _alarm(kind, seller, ratio_test.evidence_of(kind))

    def alarms(self) -> Iterator[Alarm]:
        """Every alarm that was given and not acknowledged, by supplier, grade and side."""
        for (*seller, _), claim_test in sorted(self.claims.items()):
            if claim_test.evidence.tipped:
                yield _alarm(AlarmKind.OVER_CLAIM, seller, claim_test.evidence)
        for (*seller, _), ratio_test in sorted(self.ratios.items()):
            for kind in RATIO_ALARMS:
                if (evidence := ratio_test.evidence_of(kind)).tipped:
                    yield _alarm(kind, seller, evidence)

    def acknowledge(self, supplier: int, grade: int) -> int:
        """Start the tests of a supplier's grade anew, as after a change that it announced; how many alarms that takes back.

        Its sums and verdicts stay. Each test may from now on err once more, with the same probability.
        """
        taken_back = sum(alarm.supplier == supplier and alarm.grade == grade for alarm in self.alarms())
        for tests in (self.claims, self.ratios):
            for key, test in tests.items():
                if key[:2] == (supplier, grade):
                    test.restart()
        return taken_back

    def learnt_ratios(self) -> dict[tuple[int, Side, Script], int]:
        """Tokens per million bytes that the suppliers of each grade show, the lower median of theirs: for the next terms."""
        shown: dict[tuple[int, Side, Script], list[int]] = {}
        for (_, grade, side, script), test in self.ratios.items():
            if test.ratio:
                shown.setdefault((grade, side, script), []).append(test.ratio)
        return {key: sorted(ratios)[(len(ratios) - 1) // 2] for key, ratios in sorted(shown.items())}

    def snapshot(self) -> Kept:
        """The whole state."""
        return {
            "form": [[KEPT_FORM]],
            "verdicts": [[*map(int, key), *kept.words()] for key, kept in sorted(self.verdicts.items())],
            "claims": [
                [*key[:2], int(key[2]), key[3], *test.words()] for key, test in sorted(self.claims.items())
            ],
            "ratios": [[*map(int, key), *test.words()] for key, test in sorted(self.ratios.items())],
        }

    @classmethod
    def restore(cls, kept: Kept, terms: AuditTerms | None = None) -> Self:
        """The inverse of `snapshot`; Malformed for what is none."""
        if [list(row) for row in kept.get("form", [])] != [[KEPT_FORM]]:
            raise _malformed(kept.get("form"), f"form {KEPT_FORM}")
        audit = cls(terms)
        for row in _rows(kept, "verdicts"):
            supplier, grade, side, *words = _integers(row)
            audit.verdicts[supplier, grade, Side(side)] = Verdicts.of_words(words)
        for row in _rows(kept, "claims"):
            (supplier, grade, side), name = _integers(row[:3]), row[3]
            if not isinstance(name, str):
                raise _malformed(name, "the name of a vocabulary")
            audit.claims[supplier, grade, Side(side), name] = ClaimTest.of_words(_integers(row[4:]))
        for row in _rows(kept, "ratios"):
            supplier, grade, side, script, *words = _integers(row)
            if script not in SCRIPTS:
                raise _malformed(script, "a script")
            audit.ratios[supplier, grade, Side(side), Script(script)] = RatioTest.of_words(words)
        return audit


def _alarm(kind: AlarmKind, seller: Sequence[int | Side | str], evidence: Evidence) -> Alarm:
    supplier, grade, side = seller
    return Alarm(
        kind, int(supplier), int(grade), Side(int(side)), evidence.tipped_key, evidence.calls, evidence.odds
    )


def _rows(kept: Kept, section: str) -> Sequence[Sequence[int | str]]:
    rows = kept.get(section)
    if rows is None or any(len(row) < ROW_MIN or row[2] not in SIDES for row in rows):
        raise _malformed(rows, f"rows of {section}, each of a supplier, a grade and a side")
    return rows


def _integers(row: Sequence[int | str]) -> list[int]:
    words = [word for word in row if isinstance(word, int)]
    if len(words) != len(row):
        raise _malformed(row, "integers")
    return words


def _malformed(found: object, expected: str) -> Malformed:
    return Malformed("kept audit", found=found, expected=expected,
                     remedy="Restore the file from a copy, or begin a new one.")  # fmt: skip
