"""A contract's life (§2.6) as a table: what happens in which state, and what follows. What the table does not list cannot happen.

A contract opens with its first session, comes to its last day with that day's first session, and is settling from that day's
settlement price on. A future is settled by FINAL; a spot contract is settled trade by trade, so it goes on at once.
"""

from enum import IntEnum

from ciyuan.basics.errors import InvariantBroken
from ciyuan.clearing.messages import Life


class Turn(IntEnum):
    """What moves a contract on."""

    OPENED = 1
    LAST_DAY_CAME = 2
    LAST_DAY_ENDED = 3
    FINALLY_SETTLED = 4
    TAKEN_OFF = 5


NEXT: dict[tuple[Life, Turn], Life] = {
    (Life.LISTED, Turn.OPENED): Life.TRADING,
    (Life.TRADING, Turn.LAST_DAY_CAME): Life.LAST_DAY,
    (Life.LAST_DAY, Turn.LAST_DAY_ENDED): Life.SETTLING,
    (Life.SETTLING, Turn.FINALLY_SETTLED): Life.SETTLED,
    (Life.SETTLED, Turn.TAKEN_OFF): Life.DELISTED,
}
"""State and turn to the next state."""

TRADABLE = frozenset({Life.LISTED, Life.TRADING, Life.LAST_DAY})
"""States in which a contract may be traded; whether a session is open is the exchange's to say."""


def after(life: Life, turn: Turn) -> Life:
    """The state that follows. Raises InvariantBroken for a turn that the table does not list."""
    if (life, turn) not in NEXT:
        raise InvariantBroken(
            "no state of a contract's life is skipped (§2.6)", f"{turn.name} in {life.name}"
        )
    return NEXT[life, turn]
