"""The plain exchange's answers that repeat the command's words: REFUSED, REPEATED, SET."""

from collections.abc import Sequence

from ciyuan.basics.rows import code_of, flags_of, reason_of
from ciyuan.exchange.messages import ExchangeEvent, Refusal
from ciyuan.exchange.plain_floor import Floor


def refused(floor: Floor, row: Sequence[int], refusal: Refusal) -> None:
    """REFUSED: the command's words, and why."""
    kind, time_ns, *words = row
    floor.now = time_ns
    words[-1] = int(refusal)
    floor.say(ExchangeEvent.REFUSED, *words, flags=flags_of(kind), reason=reason_of(kind))


def repeated(floor: Floor, row: Sequence[int]) -> None:
    """REPEATED: the command's words."""
    floor.say(ExchangeEvent.REPEATED, *row[2:], flags=flags_of(row[0]), reason=reason_of(row[0]))


def is_set(floor: Floor, row: Sequence[int]) -> None:
    """SET: the command's words, and its code as the reason."""
    floor.say(ExchangeEvent.SET, *row[2:], flags=flags_of(row[0]), reason=code_of(row[0]))
