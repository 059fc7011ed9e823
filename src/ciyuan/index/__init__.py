"""The index: one price a day for each grade and leg. Messages only; the machine is `ciyuan.index.machine`."""

from ciyuan.index.messages import (
    FixFlag,
    Fixing,
    IndexCommand,
    IndexEvent,
    IndexRefusal,
    IndexTerms,
    Leg,
    Level,
    MonthMean,
    Source,
    Withheld,
    correct_row,
    fix_row,
    observe_row,
    relate_row,
)

__all__ = [
    "FixFlag",
    "Fixing",
    "IndexCommand",
    "IndexEvent",
    "IndexRefusal",
    "IndexTerms",
    "Leg",
    "Level",
    "MonthMean",
    "Source",
    "Withheld",
    "correct_row",
    "fix_row",
    "observe_row",
    "relate_row",
]
