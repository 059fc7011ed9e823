"""How far attention looks: what a layer keeps of a context, what a token attends to, and the same summed over a prompt.

| layer | keeps of S tokens | a new token attends to |
|---|---|---|
| full | S | S |
| window w | min(S, w) | min(S, w) |
| stride s, local l | S / s + min(S, l) | S / s + min(S, l) |
| stride s, local l, chosen c | S / s + min(S, l) | min(S / s, c) + min(S, l) |

Sums over a prompt are integrals of these: within one token or stride of the sum over its tokens.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ciyuan.basics.errors import Malformed

Reals = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Span:
    """Attention layers that look equally far. A 0 says: no such limit.

    `layers` of them see the last `window` tokens, or all. With `stride` above 1 a cache entry stands for so many tokens, and
    the last `local` tokens are kept one by one besides. With `chosen`, a token attends to that many entries at most, which
    an indexer picks by scoring every entry. A chunked layer (Llama 4) is taken as a window of a whole chunk: an upper bound.
    """

    layers: int
    window: int = 0
    stride: int = 1
    local: int = 0
    chosen: int = 0

    def __post_init__(self) -> None:
        least = min(self.layers - 1, self.window, self.stride - 1, self.local, self.chosen)
        if least < 0 or (self.window and (self.stride > 1 or self.local or self.chosen)):
            raise Malformed("span of attention layers", found=self,
                            expected="1 layer or more, and a window or a stride, local and chosen entries, none below 0",
                            remedy="Mend the model's entry.")  # fmt: skip

    def entries(self, context: Reals) -> Reals:
        """Entries that one layer keeps of `context` tokens."""
        far = np.minimum(context, self.window) if self.window else context / self.stride
        return far + np.minimum(context, self.local)

    def attended(self, context: Reals) -> Reals:
        """Entries that one new token attends to in one layer."""
        if not self.chosen:
            return self.entries(context)
        return np.minimum(context / self.stride, self.chosen) + np.minimum(context, self.local)

    def attended_sum(self, prompt: Reals) -> Reals:
        """The same over a whole prompt: the sum over its tokens of the entries that each attends to."""
        if self.window:
            return _sum_min(prompt, self.window)
        far = (
            _sum_min(prompt / self.stride, self.chosen) * self.stride
            if self.chosen
            else _sum_min(prompt) / self.stride
        )
        return far + (_sum_min(prompt, self.local) if self.local else 0.0)

    def indexed(self, context: Reals) -> Reals:
        """Entries whose key an indexer keeps, and scores for each new token, in one layer."""
        return context / self.stride if self.chosen else np.zeros_like(context)

    def indexed_sum(self, prompt: Reals) -> Reals:
        """The same over a whole prompt."""
        return _sum_min(prompt) / self.stride if self.chosen else np.zeros_like(prompt)


def _sum_min(tokens: Reals, most: float = np.inf) -> Reals:
    """The sum over n from 0 to `tokens` of min(n, most), as an integral."""
    inside = np.minimum(tokens, most)
    return np.asarray(inside * inside / 2.0 + (tokens - inside) * np.where(tokens > inside, most, 0.0))
