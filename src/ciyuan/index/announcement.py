"""How an outcome is announced: a fixing with its evidence, or why there is none, and who was set aside by which rule (§11.1)."""

from collections.abc import Iterable

from ciyuan.basics.rows import Row, kind_word
from ciyuan.index.messages import RULE_WITHHOLD, FixFlag, Fixing, IndexEvent


def outcome_rows(fixing: Fixing) -> list[Row]:
    """FIXED and FIX_EVIDENCE, or WITHHELD."""
    time_ns, grade, day, leg = fixing.known_from_ns, fixing.grade, fixing.day, fixing.leg
    if fixing.value_micro is None:
        word = kind_word(IndexEvent.WITHHELD, reason=RULE_WITHHOLD)
        return [(word, time_ns, grade, day, leg, int(fixing.withheld), 0, fixing.version)]
    word = kind_word(IndexEvent.FIXED, int(FixFlag.CAP_RAISED) if fixing.cap_raised else 0)
    evidence = (fixing.sellers, fixing.observations, fixing.volume_centitokens)
    return [
        (word, time_ns, grade, day, leg, fixing.value_micro, int(fixing.level), fixing.version),
        (kind_word(IndexEvent.FIX_EVIDENCE), time_ns, grade, day, leg, *evidence),
    ]


def aside_rows(
    fixing: Fixing, sellers: Iterable[int], price_micro: int, others_micro: int, rule: int
) -> list[Row]:
    """SET_ASIDE, for each of the sellers."""
    word = kind_word(IndexEvent.SET_ASIDE, reason=rule)
    return [
        (
            word,
            fixing.known_from_ns,
            fixing.grade,
            fixing.day,
            seller,
            price_micro,
            others_micro,
            int(fixing.leg),
        )
        for seller in sellers
    ]
