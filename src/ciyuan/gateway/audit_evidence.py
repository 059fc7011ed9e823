"""Evidence against a supplier, gathered call by call: a betting martingale in integers, false alarms bounded for life.

Theory of operation. Of each call a *limit* is known before the claim is looked at: the most tokens that an honest supplier
claims of such a call on average. With `ratio` = claim / limit, clipped to [low, high], a bet of size `b` turns one unit of
wealth into

    factor = 1 + b (clip(ratio) - 1)            upward tests: was more claimed than can be?
    factor = 1 + b (1 - clip(ratio))            downward tests: was less claimed than it used to be?

An *honest* supplier is one for whom, given all calls before and the text of this one, the mean of the clipped ratio is at
most 1 (downward: at least 1). Nothing else is asked of its claims: no distribution, no independence. For it the mean of each
factor is at most 1. A new stake is put in before each bet, in shares that sum to 1 over all time, so that a supplier who was
honest for a year has not used up what would show its first lie:

    wealth <- (wealth + share of this bet) x factor

False alarms. wealth + (the shares not yet put in) is 1 at first, never negative, and falls or stays in the mean: a
supermartingale. By Ville's inequality the chance that it *ever* reaches 1/a is at most a. The test alarms when wealth
reaches 1/a: an honest supplier is accused with probability at most a, over the whole life of the test and whenever anyone
looks. All roundings are downward, so the integers hold the same bound. Several bets at once are the mean of such wealths,
and that is one again.

(J. Ville, Etude critique de la notion de collectif, 1939; I. Waudby-Smith and A. Ramdas, Estimating means of bounded random
variables by betting, JRSS-B 86, 2024, for the bets; J. Shin, A. Ramdas and A. Rinaldo, E-detectors, NEJSDS 2023,
doi.org/10.51387/23-nejsds51, for new stakes as time goes on. There the stakes are all 1 and the mean time between false
alarms is bounded; here their sum is.)

Invariants: wealth >= 0; wealth <= `WEALTH_MAX`; an alarm, once given, stays with the call that gave it until `restart`; the
same calls give the same state, on any machine: there is no float here.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Self

from ciyuan.basics.errors import InvariantBroken, Malformed
from ciyuan.basics.money import div_ceil

BP = 10_000
"""Basis points in 1."""
PPM = 10**6
UNIT = 2**64
"""A wealth of 1, as an integer."""
WEALTH_MAX = UNIT << 64
"""Wealth is cut to this: to have less is never to accuse more."""
NO_CALL = -1


class Bet(NamedTuple):
    """A bet: its size as a fraction `size` / 8, and the least expected tokens of a call that it is placed on."""

    size: int
    tokens_min: int = 0


BET_SIZE = 8
"""A bet of this size is 1."""


class Bounds(NamedTuple):
    """The clip of the ratio, in basis points, and the direction: 1 upward, -1 downward."""

    low_bp: int
    high_bp: int
    direction: int


def share(bet_number: int) -> int:
    """The stake put in before the n-th bet, n from 1, in units of `UNIT`: the n in [2^j, 2^(j+1)) share 1/((j+1)(j+2)) evenly.

    These sum to 1 over all n, and the n-th is about 1/(n log2(n)^2): what a late start costs is the logarithm of that.
    """
    j = bet_number.bit_length() - 1
    return UNIT // ((j + 1) * (j + 2) << j)


@dataclass(slots=True)
class Evidence:
    """The wealth of some bets against one supplier, and the call that tipped it. `wealths` and `placed` are by bet."""

    wealths: list[int]
    placed: list[int]
    """How often each bet was placed."""
    calls: int = 0
    """Calls that were looked at, up to the alarm."""
    tipped_key: int = NO_CALL
    """The request whose claim gave the alarm."""
    peak: int = 0
    """The most that the mean wealth has been, in units of `UNIT`."""

    @classmethod
    def fresh(cls, bets: int) -> Self:
        """No evidence yet."""
        return cls([0] * bets, [0] * bets)

    @property
    def tipped(self) -> bool:
        """Whether the alarm was given."""
        return self.tipped_key != NO_CALL

    @property
    def odds(self) -> int:
        """The most that the wealth has been, whole: at odds of n the chance of it under honesty is at most 1/n."""
        return self.peak // UNIT

    def look(
        self,
        key: int,
        claimed: int,
        limit_bp: int,
        *,
        expected: int,
        bets: Sequence[Bet],
        bounds: Bounds,
        alarm_ppm: int,
    ) -> bool:
        """Bet on one call; whether this one gave the alarm. After the alarm nothing changes.

        `claimed` in tokens, `limit_bp` the limit in ten-thousandths of a token (above 0), `expected` tokens of the call, known
        before its claim. `alarm_ppm`: the bound on a false alarm, in millionths.
        """
        if self.tipped:
            return False
        if limit_bp <= 0:
            raise InvariantBroken("audit evidence", f"a limit of {limit_bp} for a call is no limit")
        self.calls += 1
        gain = _gain(claimed * BP, limit_bp, bounds)
        whole = limit_bp * BET_SIZE
        for place, bet in enumerate(bets):
            if expected >= bet.tokens_min:
                self.placed[place] += 1
                stake = self.wealths[place] + share(self.placed[place])
                kept = max(whole + bet.size * gain, 0)
                self.wealths[place] = min(stake * kept // whole, WEALTH_MAX)
        mean = sum(self.wealths) // len(bets)
        self.peak = max(self.peak, mean)
        if mean * alarm_ppm >= UNIT * PPM:
            self.tipped_key = key
            return True
        return False

    def restart(self) -> None:
        """Forget the evidence and the alarm: from now on the supplier is as unknown as on its first day."""
        self.wealths[:] = [0] * len(self.wealths)
        self.placed[:] = [0] * len(self.placed)
        self.calls, self.tipped_key, self.peak = 0, NO_CALL, 0

    def words(self) -> list[int]:
        """The whole state, as integers: calls, tipped_key, peak, then the wealths, then how often each bet was placed."""
        return [self.calls, self.tipped_key, self.peak, *self.wealths, *self.placed]

    @classmethod
    def of_words(cls, words: Sequence[int], bets: int) -> Self:
        """The inverse of `words`. Raises Malformed for what is no state of that many bets."""
        if len(words) != words_of(bets) or min(words[2:]) < 0 or words[0] < 0 or words[1] < NO_CALL:
            raise Malformed("kept evidence", found=list(words), expected=f"{words_of(bets)} integers of 0 or more",
                            remedy="Restore the file from a copy, or begin a new one.")  # fmt: skip
        return cls(
            list(words[3 : 3 + bets]),
            list(words[3 + bets :]),
            calls=words[0],
            tipped_key=words[1],
            peak=words[2],
        )


def _gain(claimed_bp: int, limit_bp: int, bounds: Bounds) -> int:
    """The direction times clip(ratio) - 1, times the limit; the clip is rounded against an alarm."""
    if bounds.direction > 0:
        low, high = limit_bp * bounds.low_bp // BP, limit_bp * bounds.high_bp // BP
    else:
        low, high = div_ceil(limit_bp * bounds.low_bp, BP), div_ceil(limit_bp * bounds.high_bp, BP)
    return bounds.direction * (min(max(claimed_bp, low), high) - limit_bp)


def words_of(bets: int) -> int:
    """How many integers an evidence of so many bets is kept as."""
    return 3 + 2 * bets


def check_bets(bets: Sequence[Bet], bounds: Bounds) -> None:
    """Raise InvariantBroken if a bet could lose more than all: then wealth could be negative, and the bound would not hold."""
    worst = BP - bounds.low_bp if bounds.direction > 0 else bounds.high_bp - BP
    if not (0 <= bounds.low_bp <= BP <= bounds.high_bp) or bounds.direction not in {1, -1}:
        raise InvariantBroken("audit evidence", f"{bounds} does not hold 1")
    for bet in bets:
        if bet.size <= 0 or bet.size * worst > BET_SIZE * BP:
            raise InvariantBroken("audit evidence", f"{bet} can lose more than all within {bounds}")
