"""What the audit is told of a finished call: how much text went each way, what of it we counted, and what the supplier
claims.

A *sample* has two sides, what was asked (INPUT) and what was delivered (OUTPUT). What can be said of a side by its claim
alone:

| reasoning | claimed of the visible text | cannot be verified |
|---|---|---|
| SHOWN: its text came, and was counted | all output | nothing |
| NONE: none is expected | all output less what is claimed as reasoning | the tokens claimed as reasoning |
| HIDDEN, and claimed apart | all output less what is claimed as reasoning | the tokens claimed as reasoning |
| HIDDEN, and not claimed apart | unknown | what is claimed beyond the visible text |

Tokens of reasoning that nobody sees are a share that cannot be verified; they are never taken for an over-claim. Tokens of
sound and pictures are left out of both sides: they are no text.
"""

import re
from dataclasses import dataclass
from enum import IntEnum
from typing import NamedTuple

from ciyuan.basics.errors import Malformed
from ciyuan.gateway.usage import Claim, Leg

SCRIPT_CHARS_MAX = 4_096
"""The script of a longer text is told by its beginning."""
_CJK = re.compile("[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff\U00020000-\U000323af]+")
"""Kana, Han with its extensions, Hangul syllables (unicode.org/charts)."""
_CODE_MARKS = b"{}()[];=<>_/\\|&*+#$`\t"
_CODE_SHARE_BP = 500
"""From this share of marks on a text counts as code: of 300 files of Python's standard library three quarters have 5.4% or more,
of 200 C headers 19 in 20 have 6.3% or more; the English of a licence has 0.6%."""
_CJK_SHARE_BP = 5_000
_MIXED_SHARE_BP = 500
_BP = 10_000


class Script(IntEnum):
    """The kind of writing of a text: what its bytes and characters per token depend on most."""

    NONE = 0
    """No text."""
    LATIN = 1
    """Letters of an alphabet: also Cyrillic, Greek, Arabic and the like."""
    CJK = 2
    """Half of it or more is Chinese, Japanese or Korean."""
    MIXED = 3
    """A twentieth or more is."""
    CODE = 4
    """Source code, JSON, tables."""


class Side(IntEnum):
    """Which text."""

    INPUT = 1
    OUTPUT = 2


class Reasoning(IntEnum):
    """What is seen of a model's reasoning."""

    NONE = 0
    SHOWN = 1
    HIDDEN = 2
    """Or a summary in its place."""


@dataclass(frozen=True, slots=True)
class Extent:
    """How much text there is on a side.

    `pieces`: messages asked, answers delivered. `counted`: its tokens by the grade's vocabulary, None if there is no vocabulary.
    `whole`: whether the supplier had nothing to make tokens of but this text and its marks (no tools, pictures, hidden prompts).
    """

    chars: int = 0
    octets: int = 0
    script: Script = Script.NONE
    pieces: int = 1
    counted: int | None = None
    whole: bool = True


@dataclass(frozen=True, slots=True)
class Sample:
    """A finished call. `vocabulary` is the one that `counted` is by, "" for none; prices in micro-units per MTok."""

    key: int
    supplier: int
    grade: int
    vocabulary: str
    asked: Extent
    delivered: Extent
    claim: Claim
    reasoning: Reasoning = Reasoning.NONE
    input_price_micro: int = 0
    output_price_micro: int = 0

    def __post_init__(self) -> None:
        extents = (self.asked, self.delivered)
        if min(
            self.key, self.supplier, self.grade, self.input_price_micro, self.output_price_micro
        ) < 0 or any(
            min(extent.chars, extent.octets, extent.pieces, extent.counted or 0) < 0 for extent in extents
        ):
            raise Malformed("sample of a call", found=self, expected="numbers of 0 or more",
                            remedy="Count again.")  # fmt: skip
        if not self.vocabulary and any(extent.counted is not None for extent in extents):
            raise Malformed("sample of a call", found="counts without the vocabulary they are by", expected="its name",
                            remedy="Name it, or leave the counts out.")  # fmt: skip

    def extent(self, side: Side) -> Extent:
        """The text of a side."""
        return self.asked if side is Side.INPUT else self.delivered

    def price_micro(self, side: Side) -> int:
        """The list price of a side."""
        return self.input_price_micro if side is Side.INPUT else self.output_price_micro


class Said(NamedTuple):
    """What a claim says of a side: tokens of visible text, None if it cannot be told; and tokens that cannot be verified."""

    visible: int | None
    unseen: int = 0
    spoken: bool = True
    """Whether the supplier claimed anything of this side at all."""


NOTHING_SAID = Said(None, spoken=False)


def said_of(sample: Sample, side: Side) -> Said:
    """What a sample's claim says of a side; see the table above. A claim that is impossible says nothing."""
    usage = sample.claim.usage
    if usage is None or sample.claim.fault is not None:
        return NOTHING_SAID
    if side is Side.INPUT:
        if usage.of(Leg.INPUT) is None:
            return NOTHING_SAID
        return Said(max(0, usage.input_tokens - usage.amount(Leg.AUDIO_IN) - usage.amount(Leg.IMAGE_IN)))
    output = usage.of(Leg.OUTPUT)
    if output is None or not sample.claim.final:
        return NOTHING_SAID
    text = max(0, output - usage.amount(Leg.AUDIO_OUT) - usage.amount(Leg.IMAGE_OUT))
    reasoning = usage.of(Leg.REASONING)
    if sample.reasoning is Reasoning.SHOWN:
        return Said(text)
    if reasoning is None and sample.reasoning is Reasoning.HIDDEN:
        return Said(None, max(0, text - (sample.delivered.counted or 0)))
    unseen = min(reasoning or 0, text)
    return Said(text - unseen, unseen)


def script_of(text: str) -> Script:
    """The kind of writing of a text."""
    text = text[:SCRIPT_CHARS_MAX]
    if not text:
        return Script.NONE
    if not text.isascii():
        cjk_bp = sum(map(len, _CJK.findall(text))) * _BP // len(text)
        if cjk_bp >= _CJK_SHARE_BP:
            return Script.CJK
        if cjk_bp >= _MIXED_SHARE_BP:
            return Script.MIXED
    ascii_only = text.encode("ascii", "ignore")
    marks = len(ascii_only) - len(ascii_only.translate(None, _CODE_MARKS))
    marks_bp = marks * _BP // len(text)
    return Script.CODE if marks_bp >= _CODE_SHARE_BP else Script.LATIN
