"""What the index hears and says: one row of eight int64 a message. Words 0 and 1 are the kind word and time_ns.

| command | 2 | 3 | 4 | 5 | 6 | 7 |
|---|---|---|---|---|---|---|
| OBSERVE | grade | seller | price, micro per MTok | volume, centitokens | `Leg` | `Source` |
| FIX | grade | day | `Leg` | | | |
| RELATE | seller | group, 0: none | | | | |
| CORRECT | grade | day | `Leg` | seller to strike out, 0: none | | |

| event | 2 | 3 | 4 | 5 | 6 | 7 |
|---|---|---|---|---|---|---|
| FIXED (`FixFlag`) | grade | day | `Leg` | value, micro per MTok | `Level` | version |
| FIX_EVIDENCE | grade | day | `Leg` | sellers | observations | volume, centitokens |
| SET_ASIDE (reason: rule) | grade | day | seller | its price | the others' median | `Leg` |
| WITHHELD (reason: rule) | grade | day | `Leg` | `Withheld` | | version |
| RELATED | as the command | | | | | |
| REPEATED | as the command | | | | | version (FIX, CORRECT) |
| REFUSED | as the command, but for | | | | | `IndexRefusal` |

An OBSERVE that is taken is not answered: it comes in batches of thousands. Words not named are 0. A day is a venue day
(`basics.calendar`). The rules are in docs/spec/index.md.
"""

from dataclasses import dataclass
from enum import IntEnum, IntFlag
from typing import NamedTuple

from ciyuan.basics.errors import Malformed
from ciyuan.basics.rows import Row, kind_word, row
from ciyuan.basics.time import NS_PER_DAY

GRADE = 2
SELLER = 3
PRICE = 4
VOLUME = 5
LEG = 6
SOURCE = 7
"""Words of OBSERVE."""
DAY = 3
FIX_LEG = 4
STRUCK = 5
"""Words of FIX and CORRECT, beside GRADE."""
VALUE = 5
LEVEL = 6
VERSION = 7
"""Words of FIXED, beside those of FIX."""
REFUSAL = 7

BASIS_POINTS = 10_000
TIME_MAX = 2**62
"""The latest moment that is taken, in nanoseconds; the earliest is 0."""
RULE_SCREEN = 84
RULE_WITHHOLD = 85
RULE_CORRECTION = 86
"""The rulebook's clause as an event's reason: §8.4, §8.5, §8.6."""


class IndexCommand(IntEnum):
    """Codes of what the index hears."""

    OBSERVE = 501
    FIX = 502
    RELATE = 503
    CORRECT = 504


class IndexEvent(IntEnum):
    """Codes of what the index says."""

    FIXED = 551
    FIX_EVIDENCE = 552
    SET_ASIDE = 553
    WITHHELD = 554
    RELATED = 555
    REPEATED = 558
    REFUSED = 559


class Leg(IntEnum):
    """What a price is for: a standard token, an uncached input token, an output token (§8.1)."""

    STANDARD = 0
    INPUT = 1
    OUTPUT = 2


class Source(IntEnum):
    """Where an observation comes from."""

    TRADE = 1
    DELIVERY = 2
    QUOTE = 3
    LIST = 4


class Level(IntEnum):
    """The data hierarchy of §8.2: (a) trades and deliveries, (b) executable quotes, (c) list prices."""

    TRANSACTIONS = 1
    QUOTES = 2
    LISTS = 3


LEVEL_OF = {
    Source.TRADE: Level.TRANSACTIONS,
    Source.DELIVERY: Level.TRANSACTIONS,
    Source.QUOTE: Level.QUOTES,
    Source.LIST: Level.LISTS,
}


class FixFlag(IntFlag):
    """Flags of FIXED. CAP_RAISED: so few sellers that the cap on one of them was an equal part, which is more than the cap."""

    CAP_RAISED = 1


class Withheld(IntEnum):
    """Why nothing is published (§8.5). Of several reasons the one declared first is given."""

    NO_OBSERVATIONS = 1
    TOO_FEW_SELLERS = 2
    TOO_FEW_OBSERVATIONS = 3
    SET_ASIDE_LEFT_TOO_FEW = 4


class IndexRefusal(IntEnum):
    """Why a command was refused. Of several faults at once the one declared first is named."""

    UNKNOWN_COMMAND = 1
    FLAG_NOT_ALLOWED = 2
    UNUSED_WORD_NOT_ZERO = 3
    TIME_OUT_OF_RANGE = 4
    TIME_BACKWARDS = 5
    GRADE_NOT_POSITIVE = 6
    SELLER_NOT_POSITIVE = 7
    GROUP_NEGATIVE = 8
    LEG_UNKNOWN = 9
    SOURCE_UNKNOWN = 10
    PRICE_NOT_POSITIVE = 11
    VOLUME_NOT_POSITIVE = 12
    NOT_A_BUSINESS_DAY = 13
    OUTSIDE_WINDOW = 14
    DAY_CLOSED = 15
    DAY_FULL = 16
    WINDOW_NOT_ENDED = 17
    FIXING_TOO_LATE = 18
    NOT_FIXED = 19
    CORRECTION_TOO_LATE = 20
    SELLER_NOT_OBSERVED = 21


@dataclass(frozen=True, slots=True)
class IndexTerms:
    """The parameters of §8. Times of day are venue time; spans are nanoseconds; `_bp` are basis points of one.

    `cap_bp` is the most that one seller weighs; `deviations_max` the robust deviations beyond which a seller is set aside;
    `scale_floor_bp` the least robust deviation, as a share of the others' median. Raises Malformed for what cannot be.
    """

    window_from: str = "15:00"
    window_to: str = "16:00"
    partitions: int = 12
    sellers_min: int = 3
    observations_min: int = 5
    cap_bp: int = 3_000
    deviations_max: int = 3
    scale_floor_bp: int = 500
    fix_within_ns: int = NS_PER_DAY
    correct_within_ns: int = NS_PER_DAY

    def __post_init__(self) -> None:
        least = {"partitions": 1, "sellers_min": 3, "observations_min": 1, "cap_bp": 1, "deviations_max": 1}
        least |= {"scale_floor_bp": 0, "fix_within_ns": 0, "correct_within_ns": 0}
        for name, least_value in least.items():
            if getattr(self, name) < least_value:
                raise Malformed(f"index terms, {name}", found=getattr(self, name), expected=f"{least_value} or more",
                                remedy="Of fewer than three sellers one could set the price alone.")  # fmt: skip
        if 2 * self.cap_bp >= BASIS_POINTS:
            raise Malformed("index terms, cap_bp", found=self.cap_bp, expected="less than 5,000",
                            remedy="Who weighs half of the volume sets the price alone; 30% is 3,000.")  # fmt: skip


@dataclass(frozen=True, slots=True)
class Fixing:
    """One version of one day's fixing. `value_micro` is micro-units of money per MTok of the leg; None: withheld, for `withheld`.

    `sellers` (related ones as one), `observations` and `volume_centitokens` are what it stands on; a list price counts as one
    observation in each partition in which it stands. `known_from_ns` is when it became known; it stays so for ever (§8.6).
    """

    grade: int
    day: int
    leg: int
    version: int
    value_micro: int | None
    level: int
    sellers: int
    observations: int
    volume_centitokens: int
    cap_raised: bool
    withheld: int
    known_from_ns: int


class MonthMean(NamedTuple):
    """A month's mean fixing: micro-units per MTok, half up; `rule` is 85 if §8.5 determined it, else 0.

    `days` business days of the month were fixed, `missing` were not.
    """

    mean_micro: int
    rule: int
    days: int
    missing: int


def observe_row(
    time_ns: int, grade: int, seller: int, price_micro: int, volume_centitokens: int, leg: Leg, source: Source
) -> Row:
    """OBSERVE: `seller` sold, quoted or lists at `price_micro` per MTok of the leg."""
    words = (grade, seller, price_micro, volume_centitokens, leg, source)
    return row(kind_word(IndexCommand.OBSERVE), time_ns, words)


def fix_row(time_ns: int, grade: int, day: int, leg: Leg) -> Row:
    """FIX a day."""
    return row(kind_word(IndexCommand.FIX), time_ns, (grade, day, leg))


def relate_row(time_ns: int, seller: int, group: int) -> Row:
    """RELATE: `seller` counts as one with all of its group; 0 ends that."""
    return row(kind_word(IndexCommand.RELATE), time_ns, (seller, group))


def correct_row(time_ns: int, grade: int, day: int, leg: Leg, struck: int = 0) -> Row:
    """CORRECT a day by what is known now, without the observations of `struck` (0: of nobody) from now on."""
    return row(kind_word(IndexCommand.CORRECT), time_ns, (grade, day, leg, struck))
