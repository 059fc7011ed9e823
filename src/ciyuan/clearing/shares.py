"""A whole number shared out in proportion, exactly: the parts are whole and add up to it.

Each part is weight x amount / all weights, rounded down; what is left over goes by ones to the largest remainders, ties
to the first. So if the amount is not more than all weights together, no part is more than its weight.
"""

from collections.abc import Sequence


def pro_rata(amount: int, weights: Sequence[int]) -> list[int]:
    """The part of each weight in `amount`. Weights and amount are not negative; nothing is shared among weights of 0."""
    total = sum(weights)
    if total == 0:
        return [0] * len(weights)
    parts = [amount * weight // total for weight in weights]
    remainders = [amount * weight % total for weight in weights]
    order = sorted(range(len(weights)), key=lambda place: (-remainders[place], place))
    for place in order[: amount - sum(parts)]:
        parts[place] += 1
    return parts
