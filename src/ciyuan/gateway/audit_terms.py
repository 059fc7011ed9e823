"""The terms of the audit: how much more than we count a supplier may claim, and how surely an alarm is right.

| term | default | what it is |
|---|---|---|
| `alarm_ppm` | 100 | the chance that a test ever accuses an honest supplier, at most, in millionths |
| `tolerance_bp` | 50 | what may be claimed beyond our count, in the mean: a model does not always cut a text as a reader does |
| `tolerances` | | the same by vocabulary, where one is known only nearly |
| `slack_tokens` | 2 | and so many tokens a call, beyond the template's |
| `floor_tokens` | 8 | a single call is over only beyond so many tokens more than expected and `call_tolerance_bp` |
| `call_tolerance_bp` | 200 | likewise, of what was expected |
| `calibration_calls` | 64 | calls from which the template and the ratios of bytes are learnt, before anything is tested |
| `per_message_max`, `per_call_max` | 8, 64 | the most of a template of input that is believed: what can be hidden there |
| `per_answer_max` | 8 | the same of an answer |
| `ratios` | | tokens per million bytes of a grade's text, by side and script, from history; what an estimate is held against |
| `estimate_tolerance_bp` | 1,000 | what may be claimed beyond such an estimate, in the mean |
| `estimate_call_bp` | 10,000 | a single call is called over from so much beyond an estimate: twice it |
| `drift_tolerance_bp` | 1,500 | how far tokens per byte may move from the supplier's own past, in the mean |
| `ratio_octets_min` | 400 | shorter texts are no sample of a ratio |

Figures of templates: Qwen's and Llama 3's add 5 tokens a message and 3 to 5 a call (their chat templates, huggingface.co),
OpenAI's models 3 and 3 (cookbook.openai.com, "How to count tokens with tiktoken"); a default system prompt of 20 to 40 comes
on top with some. Of answers a gateway found 4 to 7 tokens a stream claimed beyond the text
(github.com/Augustas11/macprovider/issues/255).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache

from ciyuan.basics.errors import Malformed
from ciyuan.gateway.audit_evidence import BP, Bet, Bounds
from ciyuan.gateway.audit_sample import Script, Side
from ciyuan.gateway.audit_template import Template

CLAIM_BOUNDS = Bounds(9_000, 20_000, 1)
"""A claim below nine tenths of the limit makes good for no more than a tenth; one above twice tells no more than twice."""
ROSE_BOUNDS, FELL_BOUNDS = Bounds(0, 20_000, 1), Bounds(0, 20_000, -1)
RATIO_BETS = (Bet(2), Bet(4), Bet(8))
CLAIM_BET_SIZE = 64
"""Eight times the excess: short of the ten at which a claim of nine tenths would lose all."""
EXCESSES_BP = (100, 200, 500, 2_000)
"""The over-claims that the bets are made for."""
NEVER = 2**62
USUAL = {Side.INPUT: Template(5, 3), Side.OUTPUT: Template(0, 1)}
"""What a template usually adds, see above: taken off a claim before it is held against bytes, which know of no template."""
GradeRatios = Mapping[tuple[int, Side, Script], int]
"""Tokens per million bytes, by grade, side and script."""


@dataclass(frozen=True, slots=True)
class AuditTerms:
    """See the table above."""

    alarm_ppm: int = 100
    tolerance_bp: int = 50
    tolerances: Mapping[str, int] = field(default_factory=dict)
    slack_tokens: int = 2
    floor_tokens: int = 8
    call_tolerance_bp: int = 200
    calibration_calls: int = 64
    per_message_max: int = 8
    per_call_max: int = 64
    per_answer_max: int = 8
    ratios: GradeRatios = field(default_factory=dict)
    estimate_tolerance_bp: int = 1_000
    estimate_call_bp: int = 10_000
    drift_tolerance_bp: int = 1_500
    ratio_octets_min: int = 400

    def __post_init__(self) -> None:
        if not 0 < self.alarm_ppm < 10**6 or self.calibration_calls < 16 or self.ratio_octets_min < 1:
            raise Malformed(
                "terms of the audit",
                found=(self.alarm_ppm, self.calibration_calls, self.ratio_octets_min),
                expected="alarm_ppm within 1 to 999,999, 16 calibration calls or more, 1 byte or more",
                remedy="Mend the terms.",
            )
        least = min(
            *self.tolerances.values(), self.tolerance_bp, self.call_tolerance_bp, self.estimate_tolerance_bp,
            self.estimate_call_bp, self.drift_tolerance_bp, self.slack_tokens, self.floor_tokens,
            self.per_message_max, self.per_call_max, self.per_answer_max,
        )  # fmt: skip
        if least < 0 or min(self.ratios.values(), default=1) < 1:
            raise Malformed("terms of the audit", found=least, expected="tolerances of 0 or more, ratios of 1 or more",
                            remedy="Mend the terms.")  # fmt: skip

    def tolerance_of(self, vocabulary: str) -> int:
        """The mean over-claim, in basis points, that is no over-claim by a vocabulary."""
        return self.tolerances.get(vocabulary, self.tolerance_bp)

    def template_max(self, side: Side) -> Template:
        """The most of a template that is believed."""
        if side is Side.INPUT:
            return Template(self.per_message_max, self.per_call_max)
        return Template(self.per_answer_max, 0)

    def claim_bets(self, vocabulary: str) -> tuple[Bet, ...]:
        """The bets against a claim that we counted.

        Each is made for one over-claim, and placed only on calls so long that this over-claim is twice the slack beyond what the
        tolerance allows: on shorter ones the slack would make it a bet for honesty.
        """
        return _claim_bets(self.tolerance_of(vocabulary), self.slack_tokens)


@cache
def _claim_bets(tolerance_bp: int, slack_tokens: int) -> tuple[Bet, ...]:
    return tuple(
        Bet(
            CLAIM_BET_SIZE,
            2 * slack_tokens * BP // (excess - tolerance_bp) if excess > tolerance_bp else NEVER,
        )
        for excess in EXCESSES_BP
    )
