"""What a chat template adds, learnt from claims: whole tokens a message and whole tokens a call.

A supplier wraps each message in its role and marks and each request in a beginning and an invitation to answer; it ends an
answer with a mark. These tokens are claimed rightly and are not in the text. They are learnt as two small integers from the
first calls: the pair for which

    claimed  =  (1 + excess) x counted + per_message x messages + per_call

holds best with some excess, best being the least sum of absolute errors (the median regression of P. S. Laplace; R. Koenker and
G. Bassett, Regression Quantiles, Econometrica 46, 1978): nearly half of the calls may be strange and it moves by little. The
excess is what an over-claim grows with, and a template does not; it is fitted so that it cannot pass for a template, and then
dropped: whether there is one is for the tests to say. Only the shorter half of the calls is learnt from, where a template
is most of what is added. Of several that hold equally well the least excess is taken, then the most a message: what the calls
cannot tell apart (all had as many messages, or as many tokens) is taken in the supplier's favour.

Both integers are bounded; the bounds are all that a supplier can hide in a template, and what it does claim there is shown.
"""

from collections.abc import Sequence
from typing import NamedTuple

from ciyuan.basics.money import div_half_up

EXCESSES_TRIED_BP = (*range(0, 500, 50), *range(500, 3_000, 100), *range(3_000, 10_001, 500))
"""The over-claims that are fitted beside a template: to 5% by halves, to 30% by ones, to 100% by fives."""
BP = 10_000


class Bare(NamedTuple):
    """What is learnt from: a call's messages, our count, the claim."""

    pieces: int
    counted: int
    claimed: int


class Template(NamedTuple):
    """Tokens that a supplier adds to a message and to a call."""

    per_message: int
    per_call: int

    def tokens(self, pieces: int) -> int:
        """What it adds to a call of so many messages."""
        return self.per_message * pieces + self.per_call


def learnt_template(calls: Sequence[Bare], most: Template) -> Template:
    """The template that the shorter half of `calls` (one or more) shows, at most `most` a message and a call."""
    shorter = sorted(calls, key=lambda call: (call.counted, call.claimed, call.pieces))[
        : (len(calls) + 1) // 2
    ]
    best, least = Template(0, 0), -1
    for excess_bp in EXCESSES_TRIED_BP:
        beyond = [call.claimed - div_half_up(call.counted * (BP + excess_bp), BP) for call in shorter]
        for per_message in range(most.per_message, -1, -1):
            rests = sorted(
                rest - per_message * call.pieces for rest, call in zip(beyond, shorter, strict=True)
            )
            per_call = min(max(rests[len(rests) // 2], 0), most.per_call)
            loss = sum(abs(rest - per_call) for rest in rests)
            if least < 0 or loss < least:
                best, least = Template(per_message, per_call), loss
    return best
