"""What the daily back-test keeps of a contract. Data only; what is done with it is in `coverage.py`."""

from dataclasses import dataclass, field


@dataclass(slots=True)
class Noted:
    """The margin of a lot, long and short, in micro-units, at a settlement price; `age` counts the settlements since."""

    age: int
    settle_ticks: int
    long_micro: int
    short_micro: int


@dataclass(slots=True)
class Record:
    """Days on which a margin was held against a loss, the exceptions among them, and what is to be held yet."""

    days: int = 0
    long_exceptions: int = 0
    short_exceptions: int = 0
    noted: list[Noted] = field(default_factory=list)
