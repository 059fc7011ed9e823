"""Which rows a listener hears: a table by code, so that a batch is sifted in one look-up."""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from ciyuan.basics.rows import CODE_MASK, KIND


class Sieve:
    """The rows of some codes."""

    def __init__(self, codes: Iterable[int]) -> None:
        self._passes = np.zeros(CODE_MASK + 1, dtype=np.bool_)
        self._passes[[int(code) for code in codes]] = True

    def of(self, rows: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Which of the (n, 8) rows have one of the codes, (n,)."""
        passed: NDArray[np.bool_] = self._passes[rows[:, KIND] & CODE_MASK]
        return passed
