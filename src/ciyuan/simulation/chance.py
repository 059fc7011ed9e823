"""The one door to chance: independent streams of numbers, each a function of the seed and a name.

A stream per purpose means that a change in one part of the world (one more trader, say) leaves every other part's luck as it was.
"""

import numpy as np

from ciyuan.basics.ids import content_key


def stream(seed: int, *names: int | str) -> np.random.Generator:
    """A generator that depends on `seed` and `names` only."""
    return np.random.Generator(np.random.PCG64(content_key(seed, *names)))
