"""A trace: the requests that a scheduler is asked to serve, as columns; cut, stretched and repeated without chance."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ciyuan.basics.errors import Malformed

Reals = NDArray[np.float64]
Ints = NDArray[np.int64]

BLOCK_TOKENS = 512
"""Tokens of one block of a prompt's hashes, as the Mooncake traces (FAST 2025) write them."""


@dataclass(frozen=True, slots=True, eq=False)
class Trace:
    """`n` requests in order of arrival.

    `arrival_s` (n,) float64 from any zero; `input_tokens`, `output_tokens` (n,) int64, 1 or more; `tier` (n,) int64, 0 is served
    first. A prompt's blocks of `block_tokens` are the same in two requests exactly where its `blocks` are: request i has
    `blocks[block_from[i]:block_from[i + 1]]`, small whole numbers from 0 (`block_count` of them in all); the last block of a
    prompt may be partial. A trace without hashes has empty `blocks`.
    """

    arrival_s: Reals
    input_tokens: Ints
    output_tokens: Ints
    tier: Ints
    block_from: Ints
    blocks: Ints
    block_tokens: int = BLOCK_TOKENS

    def __post_init__(self) -> None:
        n = len(self.arrival_s)
        for name in ("input_tokens", "output_tokens", "tier"):
            if len(getattr(self, name)) != n:
                raise Malformed(f"trace, {name}", found=f"{len(getattr(self, name))} values", expected=f"{n}, one a request",
                                remedy="Give each request one.")  # fmt: skip
        if n == 0:
            raise Malformed("trace", found="no request", expected="1 or more",
                            remedy="Widen the slice of time, or give another file.")  # fmt: skip
        if not np.all(np.isfinite(self.arrival_s)) or np.any(np.diff(self.arrival_s) < 0):
            raise Malformed("trace, arrival_s", found="times that are not finite or go back", expected="times in order",
                            remedy="Sort the requests by their arrival.")  # fmt: skip
        for name, least in (("input_tokens", 1), ("output_tokens", 1), ("tier", 0)):
            found = int(getattr(self, name).min())
            if found < least:
                raise Malformed(f"trace, {name}", found=found, expected=f"{least} or more",
                                remedy="Leave such requests out.")  # fmt: skip
        self._check_blocks(n)

    def _check_blocks(self, n: int) -> None:
        if len(self.block_from) != n + 1 or self.block_from[-1] != len(self.blocks):
            raise Malformed("trace, block_from", found=f"{len(self.block_from)} bounds", expected=f"{n + 1}, the last the count",
                            remedy="Use `trace_of`.")  # fmt: skip
        held = np.diff(self.block_from)
        whole = -(-self.input_tokens // self.block_tokens)
        if np.any((held != 0) & (held != whole)):
            row = int(np.flatnonzero((held != 0) & (held != whole))[0])
            raise Malformed(f"trace, request {row + 1}, blocks", found=f"{held[row]} of {self.input_tokens[row]} tokens",
                            expected=f"{whole[row]} blocks of {self.block_tokens} tokens, or none",
                            remedy="Check the size of a block.")  # fmt: skip
        if len(self.blocks) and int(self.blocks.min()) < 0:
            raise Malformed("trace, blocks", found=int(self.blocks.min()), expected="numbers from 0",
                            remedy="Use `trace_of`, which numbers any hashes.")  # fmt: skip

    @property
    def requests(self) -> int:
        """How many requests there are."""
        return len(self.arrival_s)

    @property
    def tiers(self) -> int:
        """How many tiers there are: the highest number and one."""
        return int(self.tier.max()) + 1

    @property
    def block_count(self) -> int:
        """How many different blocks there are at most."""
        return int(self.blocks.max()) + 1 if len(self.blocks) else 0

    @property
    def span_s(self) -> float:
        """Seconds from the first arrival to the last."""
        return float(self.arrival_s[-1] - self.arrival_s[0])

    @property
    def requests_per_s(self) -> float:
        """Mean rate of arrivals; infinite where all arrive at once."""
        return (self.requests - 1) / self.span_s if self.span_s > 0 else float("inf")

    def between(self, since_s: float, until_s: float) -> "Trace":
        """The requests of a span, since_s included, until_s not, in seconds after the first arrival."""
        after_s = self.arrival_s - self.arrival_s[0]
        first, stop = np.searchsorted(after_s, (since_s, until_s))
        return self._rows(int(first), int(stop))

    def first(self, requests: int) -> "Trace":
        """The first requests."""
        return self._rows(0, min(requests, self.requests))

    def _rows(self, first: int, stop: int) -> "Trace":
        bounds = self.block_from[first : stop + 1]
        low = int(bounds[0]) if len(bounds) else 0
        high = int(bounds[-1]) if len(bounds) else 0
        return Trace(self.arrival_s[first:stop], self.input_tokens[first:stop], self.output_tokens[first:stop],
                     self.tier[first:stop], bounds - low, self.blocks[low:high], self.block_tokens)  # fmt: skip

    def at_rate(self, requests_per_s: float) -> "Trace":
        """The same requests in the same rhythm, faster or slower, so that their mean rate is this."""
        if not 0 < requests_per_s < np.inf:
            raise Malformed("rate of a trace", found=requests_per_s, expected="a finite number above 0",
                            remedy="Give requests a second.")  # fmt: skip
        if self.span_s <= 0:
            raise Malformed("trace", found="all requests at one time", expected="a span of time to stretch",
                            remedy="Take a longer slice.")  # fmt: skip
        factor = self.requests_per_s / requests_per_s
        return replace(self, arrival_s=(self.arrival_s - self.arrival_s[0]) * factor)

    def with_tiers(self, shares: Sequence[float]) -> "Trace":
        """Tiers dealt out evenly in these shares: each request goes to the tier that is furthest behind its share."""
        weights = np.asarray(shares, dtype=np.float64)
        if len(weights) == 0 or np.any(weights < 0) or not np.isclose(weights.sum(), 1.0):
            raise Malformed("shares of tiers", found=list(shares), expected="numbers of 0 or more that sum to 1",
                            remedy="Give one share a tier, the highest tier first.")  # fmt: skip
        dealt = np.zeros(len(weights))
        tier = np.empty(self.requests, dtype=np.int64)
        for row in range(self.requests):
            behind = weights * (row + 1) - dealt
            tier[row] = int(np.argmax(behind))
            dealt[tier[row]] += 1
        return replace(self, tier=tier)

    def repeated(self, times: int) -> "Trace":
        """The trace again and again, each after the one before at the mean gap; the blocks of each round are its own."""
        period_s = self.span_s + (self.span_s / (self.requests - 1) if self.requests > 1 else 1.0)
        held = np.diff(self.block_from)
        return Trace(
            np.concatenate([self.arrival_s + k * period_s for k in range(times)]),
            np.tile(self.input_tokens, times),
            np.tile(self.output_tokens, times),
            np.tile(self.tier, times),
            np.concatenate([[0], np.cumsum(np.tile(held, times))]),
            np.concatenate([self.blocks + k * self.block_count for k in range(times)]),
            self.block_tokens,
        )


def trace_of(
    arrival_s: ArrayLike,
    input_tokens: ArrayLike,
    output_tokens: ArrayLike,
    tier: ArrayLike | None = None,
    hashes: Sequence[Sequence[object]] | None = None,
    block_tokens: int = BLOCK_TOKENS,
) -> Trace:
    """A trace of columns, sorted by arrival (stable); `hashes` are each request's block hashes, of any kind that compares."""
    times = np.asarray(arrival_s, dtype=np.float64)
    prompts, outputs = (np.asarray(column, dtype=np.int64) for column in (input_tokens, output_tokens))
    tiers = np.zeros(len(times), dtype=np.int64) if tier is None else np.asarray(tier, dtype=np.int64)
    counts = {"input_tokens": prompts, "output_tokens": outputs, "tier": tiers, "hashes": hashes}
    for name, column in counts.items():
        if column is not None and len(column) != len(times):
            raise Malformed(f"trace, {name}", found=f"{len(column)} values", expected=f"{len(times)}, one a request",
                            remedy="Give each request one.")  # fmt: skip
    order = np.argsort(times, kind="stable")
    number: dict[object, int] = {}
    block_from, blocks = np.zeros(len(times) + 1, dtype=np.int64), list[int]()
    for place, row in enumerate(order.tolist() if hashes is not None else ()):
        blocks += [number.setdefault(block, len(number)) for block in hashes[row]] if hashes else []
        block_from[place + 1] = len(blocks)
    numbers = np.array(blocks, dtype=np.int64)
    return Trace(
        times[order], prompts[order], outputs[order], tiers[order], block_from, numbers, block_tokens
    )
