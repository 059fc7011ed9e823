"""What the audit found, for the operator: by supplier, grade and side, and in one line a supplier.

| column | holds |
|---|---|
| `calls` | calls audited |
| `counted`, `claimed` | tokens of the calls that both we and the supplier counted: by our vocabulary, by its claim |
| `template` | what the supplier adds a message and a call, as learnt; not an over-claim |
| `ratio_ppm` | claimed, the template apart, by counted, in millionths; None before the template is learnt |
| `octets_per_mtok`, `chars_per_mtok` | bytes and characters per million claimed tokens, of calls whose text was all there |
| `at_stake_micro` | what was claimed beyond count and template at each call's list price; without vocabulary beyond the ratio |
| `unseen` | claimed tokens of reasoning that nobody saw, and `unseen_ppm` their share of all claimed output |
| `alarms` | those given, each with the call that tipped it |
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from ciyuan.basics.money import div_half_up, format_micro
from ciyuan.gateway.audit import Alarm, Audit
from ciyuan.gateway.audit_evidence import PPM
from ciyuan.gateway.audit_judgement import Verdict
from ciyuan.gateway.audit_sample import Side
from ciyuan.gateway.audit_template import Template
from ciyuan.gateway.audit_terms import USUAL
from ciyuan.gateway.audit_tests import ClaimTest, grade_ratio

HEADINGS = (
    "supplier", "grade", "side", "calls", "counted", "claimed", "ratio", "bytes/token", "chars/token", "unverified",
    "at stake", "over", "zero", "impossible", "alarms",
)  # fmt: skip
NOTHING = "-"


@dataclass(frozen=True, slots=True)
class SideReport:
    """See the table above."""

    supplier: int
    grade: int
    side: Side
    calls: int
    verdicts: Mapping[Verdict, int]
    counted: int
    claimed: int
    templates: Mapping[str, Template | None]
    """By vocabulary; None while it is being learnt."""
    ratio_ppm: int | None
    octets_per_mtok: int | None
    chars_per_mtok: int | None
    unseen: int
    unseen_ppm: int
    at_stake_micro: int
    alarms: tuple[Alarm, ...]


@dataclass(frozen=True, slots=True)
class SupplierReport:
    """One supplier: all its sides, and what they come to."""

    supplier: int
    sides: tuple[SideReport, ...]

    @property
    def calls(self) -> int:
        """Calls audited."""
        return sum(side.calls for side in self.sides if side.side is Side.INPUT)

    @property
    def at_stake_micro(self) -> int:
        """Money at stake, in micro-units."""
        return sum(side.at_stake_micro for side in self.sides)

    @property
    def alarms(self) -> tuple[Alarm, ...]:
        """All alarms given."""
        return tuple(alarm for side in self.sides for alarm in side.alarms)


def supplier_reports(audit: Audit) -> tuple[SupplierReport, ...]:
    """What an audit found, by supplier."""
    by_supplier: dict[int, list[SideReport]] = {}
    for supplier, grade, side in sorted(audit.verdicts):
        by_supplier.setdefault(supplier, []).append(side_report(audit, supplier, grade, side))
    return tuple(SupplierReport(supplier, tuple(sides)) for supplier, sides in by_supplier.items())


def side_report(audit: Audit, supplier: int, grade: int, side: Side) -> SideReport:
    """What an audit found of one side of a supplier's grade, of which it has heard calls."""
    seller = (supplier, grade, side)
    verdicts = audit.verdicts[seller]
    tests = {key[3]: test for key, test in sorted(audit.claims.items()) if key[:3] == seller}
    whole = [test.sums for key, test in sorted(audit.ratios.items()) if key[:3] == seller]
    tokens = sum(sums.claimed for sums in whole)
    spoken = verdicts.claimed + verdicts.unseen
    return SideReport(
        supplier,
        grade,
        side,
        calls=sum(verdicts.counts),
        verdicts={verdict: verdicts.of(verdict) for verdict in Verdict},
        counted=sum(test.sums.counted for test in tests.values()),
        claimed=sum(test.sums.claimed for test in tests.values()),
        templates={name: test.template for name, test in tests.items()},
        ratio_ppm=_ratio_ppm(tests.values()),
        octets_per_mtok=_part(sum(sums.octets for sums in whole), tokens),
        chars_per_mtok=_part(sum(sums.chars for sums in whole), tokens),
        unseen=verdicts.unseen,
        unseen_ppm=_part(verdicts.unseen, spoken) or 0,
        at_stake_micro=_at_stake_micro(audit, seller, tests),
        alarms=tuple(
            alarm for alarm in audit.alarms() if (alarm.supplier, alarm.grade, alarm.side) == seller
        ),
    )


def report_rows(
    reports: Sequence[SupplierReport],
    names: Mapping[int, str] | None = None,
    grades: Mapping[int, str] | None = None,
) -> Iterator[tuple[str, ...]]:
    """The table as texts, a row a side, under `HEADINGS`. Numbers stand where `names` and `grades` have no name."""
    for report in reports:
        for side in report.sides:
            yield (
                (names or {}).get(side.supplier, str(side.supplier)),
                (grades or {}).get(side.grade, str(side.grade)),
                side.side.name.lower(),
                f"{side.calls:,}",
                f"{side.counted:,}",
                f"{side.claimed:,}",
                _decimal(side.ratio_ppm, 4),
                _decimal(side.octets_per_mtok, 2),
                _decimal(side.chars_per_mtok, 2),
                f"{_decimal(side.unseen_ppm * 100, 1)}%",
                format_micro(side.at_stake_micro, 2),
                *(f"{side.verdicts[v]:,}" for v in (Verdict.OVER, Verdict.ZERO, Verdict.IMPOSSIBLE)),
                "; ".join(f"{alarm.kind.name} at call {alarm.key}" for alarm in side.alarms) or NOTHING,
            )


def report_lines(
    reports: Sequence[SupplierReport],
    names: Mapping[int, str] | None = None,
    grades: Mapping[int, str] | None = None,
) -> list[str]:
    """The table as lines of even width; figures to the right, words to the left."""
    rows = [HEADINGS, *report_rows(reports, names, grades)]
    widths = [max(len(row[place]) for row in rows) for place in range(len(HEADINGS))]
    words = {0, 1, 2, len(HEADINGS) - 1}
    return [
        "  ".join(
            cell.ljust(width) if place in words else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]


def _ratio_ppm(tests: Iterable[ClaimTest]) -> int | None:
    """Claimed, the template apart, by counted; of the vocabularies whose template is learnt."""
    claimed = counted = 0
    for test in tests:
        if test.template is not None:
            sums, template = test.sums, test.template
            claimed += sums.claimed - template.per_message * sums.pieces - template.per_call * sums.calls
            counted += sums.counted
    return _part(max(claimed, 0), counted)


def _at_stake_micro(audit: Audit, seller: tuple[int, int, Side], tests: Mapping[str, ClaimTest]) -> int:
    """By our counts where there are any, else by the grade's ratios, else 0: nothing to hold it against."""
    terms = audit.terms
    if tests:
        return sum(test.sums.over_counted_micro(test.believed(seller[2], terms)) for test in tests.values())
    ratios = (
        (test.sums, grade_ratio(terms, seller[1], seller[2], key[3]))
        for key, test in audit.ratios.items()
        if key[:3] == seller
    )
    return sum(sums.over_ratio_micro(ratio, USUAL[seller[2]]) for sums, ratio in ratios if ratio)


def _part(amount: int, whole: int) -> int | None:
    """`amount` per million of `whole`; None of nothing."""
    return div_half_up(amount * PPM, whole) if whole else None


def _decimal(ppm: int | None, decimals: int) -> str:
    return NOTHING if ppm is None else format_micro(ppm, decimals)
