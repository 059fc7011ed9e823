"""Measures in whole numbers: a quantile of late, a moving mean, and a test of a share.

`Recent` holds the last samples and reads a quantile off them by rank; what it read holds until some more have come, so that a
sample costs next to nothing and a question little.

`more_often(count, of, share_bp, sigmas)` tells whether something happened more often than a share of the time, beyond what
chance explains: count > n p + s sqrt(n p (1 - p)), the normal bound of a binomial, in whole numbers. So a handful of samples
condemns nobody, and many samples need little excess.
"""

from collections import deque
from math import isqrt

ALL_BP = 10_000
SAMPLES_KEPT = 256
SAMPLES_STALE = 8
"""A quantile that was read holds until so many more samples have come."""
MEAN_SHIFT = 3
"""A moving mean takes an eighth of each sample, as RFC 6298 does for round trips."""


def more_often(count: int, of: int, share_bp: int, sigmas: int) -> bool:
    """Whether `count` of `of` is more than the share, in hundredths of a percent, by over `sigmas` standard deviations."""
    return count * ALL_BP > of * share_bp + sigmas * isqrt(of * share_bp * (ALL_BP - share_bp))


class Recent:
    """The last samples, and one quantile of them: at most `tail_bp` (hundredths of a percent) of them lie above it.

    Invariants: `count` is how many came, of which the last SAMPLES_KEPT are kept; a quantile told is of the samples that were
    kept when fewer than SAMPLES_STALE fewer had come.
    """

    __slots__ = ("_read", "_read_at", "_samples", "count", "mean", "tail_bp")

    def __init__(self, tail_bp: int) -> None:
        self.tail_bp = tail_bp
        self.count = 0
        self.mean = 0
        """The moving mean; 0 without samples."""
        self._samples: deque[int] = deque(maxlen=SAMPLES_KEPT)
        self._read: int | None = None
        self._read_at = 0

    def add(self, sample: int) -> None:
        """Take a sample, more than 0."""
        self._samples.append(sample)
        self.count += 1
        mean = self.mean
        self.mean = mean + (sample - mean >> MEAN_SHIFT) if mean else sample

    def quantile(self) -> int | None:
        """The least sample that at most the tail's share lies above; None without samples."""
        if self._read is None or self.count - self._read_at >= SAMPLES_STALE:
            samples = sorted(self._samples)
            above = len(samples) * self.tail_bp // ALL_BP
            self._read = samples[-1 - above] if samples else None
            self._read_at = self.count
        return self._read
