"""Whether the parts of a snapshot that spenders, limits, legs and closed keys are in could be a meter's; asked by `edge`."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from ciyuan.gateway.messages import (
    DEPTH_MAX,
    LIMIT_MAX,
    LIMITS_OF_SPENDER_MAX,
    OFFSET_MAX_NS,
    PIECE_PRICE_MAX,
    PIECES_MAX,
    PRICE_MAX,
    RATE_MAX,
    REQUEST_MAX,
    SPENDER_MAX,
    STEPS_MAX,
    TOKENS_MAX,
    LimitUnit,
    LimitWindow,
    PartyRole,
)
from ciyuan.gateway.usage import LEGS, Leg

Matrix = NDArray[np.int64]
Laws = Mapping[str, object]


def laws_of_spenders(parts: Mapping[str, Matrix]) -> dict[str, Laws]:
    """By part: each law that its rows must keep, and whether they do."""
    spenders, limits, spends = parts["spenders"], parts["limits"], parts["spends"]
    depth = _depths(spenders, parts["parties"])
    unit, window, most, offset = limits[:, 2], limits[:, 3], limits[:, 4], limits[:, 5]
    rate = window <= LimitWindow.HOUR
    calendar = (window >= LimitWindow.DAY) & (window <= LimitWindow.YEAR)
    _, of_one = np.unique(limits[:, 1], return_counts=True)
    place_of = {key: at for at, key in enumerate(parts["requests"][:, 0].tolist())}
    customer_of = {number: customer for number, _, customer in spenders.tolist()}
    whose = [customer_of.get(number) for number in spends[:, 1].tolist()]
    requests = [place_of.get(key, -1) for key in spends[:, 0].tolist()]
    customers = (parts["requests"][requests, 1] >> 32).tolist() if len(parts["requests"]) else []
    return {
        "spenders": {"customers that are enrolled, parents before their children, eight deep at most": depth},
        "limits": {
            "numbers in range, each once": _within(limits[:, 0], 1, LIMIT_MAX) and _once(limits[:, 0]),
            "spenders that are known, at most eight limits each": np.all(
                np.isin(limits[:, 1], spenders[:, 0])
            )
            and np.all(of_one <= LIMITS_OF_SPENDER_MAX),
            "known units and windows": _within(unit, LimitUnit.MONEY, LimitUnit.REQUESTS)
            and _within(window, LimitWindow.MINUTE, LimitWindow.EVER),
            "a most in range": np.all(most >= 0) and np.all(most[rate] <= RATE_MAX),
            "offsets in range": np.all(np.abs(offset) <= np.where(calendar, OFFSET_MAX_NS, 0)),
            "a use of 0 or more": np.all(limits[:, 7] >= 0),
        },
        "spends": {
            "requests that are known, each once, in their order": -1 not in requests
            and requests == sorted(set(requests)),
            "spenders of the request's customer": whose == customers,
            "times of 0 or more": np.all(spends[:, 2] >= 0),
        },
    }


def laws_of_legs(parts: Mapping[str, Matrix]) -> dict[str, Laws]:
    """By part: each law that its rows must keep, and whether they do."""
    requests, counts = parts["requests"], parts["leg_counts"]
    place_of = {key: at for at, key in enumerate(requests[:, 0].tolist())}
    known = [place_of.get(key, -1) for key in counts[:, 0].tolist()]
    closed = parts["closed"]
    first, end = closed[0].tolist() if len(closed) == 1 else (0, 0)
    keys = requests[:, 0]
    return {
        "leg_prices": {
            "legs and steps of known lists, in order": _fit(parts["leg_prices"], len(parts["price_lists"]))
        },
        "leg_counts": {
            "requests that are known, each once": -1 not in known and len(set(known)) == len(known),
            "counts in range": _within(counts[:, 1:], 0, TOKENS_MAX),
        },
        "closed": {
            "one range at most": len(closed) <= 1
            and (len(closed) == 0 or 1 <= first < end <= REQUEST_MAX + 1),
            "no request in it": not np.any((keys >= first) & (keys < end)),
        },
    }


def _within(values: Matrix, least: int, most: int) -> bool:
    return bool(np.all((values >= least) & (values <= most)))


def _once(values: Matrix) -> bool:
    return len(np.unique(values)) == len(values)


def _depths(spenders: Matrix, parties: Matrix) -> bool:
    """Whether each spender's parent came before it, has its customer, and is not too deep."""
    customers = set(parties[parties[:, 0] == PartyRole.CUSTOMER, 1].tolist())
    known: dict[int, tuple[int, int]] = {}
    for number, parent, customer in spenders.tolist():
        owner, depth = known.get(parent, (customer, 0 if parent == 0 else DEPTH_MAX))
        if number in known or not 1 <= number <= SPENDER_MAX or customer not in customers:
            return False
        if owner != customer or depth == DEPTH_MAX:
            return False
        known[number] = customer, depth + 1
    return True


def _fit(rows: Matrix, lists: int) -> bool:
    """Whether what was said of legs could have been."""
    latest: tuple[int, ...] = (0,)
    steps: dict[int, list[int]] = {}
    for number, step, leg, price, bound in rows.tolist():
        piece = leg >= Leg.IMAGES
        if not (
            1 <= number <= lists
            and 0 <= step <= STEPS_MAX
            and 0 <= leg < LEGS
            and latest < (number, step, leg)
        ):
            return False
        if not 0 <= price <= (PIECE_PRICE_MAX if piece else PRICE_MAX):
            return False
        if step == 0:
            if leg in (Leg.INPUT, Leg.CACHE_READ, Leg.OUTPUT) or not 0 <= bound <= (
                PIECES_MAX if piece else 0
            ):
                return False
        else:
            above = steps.setdefault(number, [])
            if step == len(above) + 1 and 0 <= bound <= TOKENS_MAX and (not above or above[-1] < bound):
                above.append(bound)
            if step != len(above) or bound != above[-1]:
                return False
        latest = (number, step, leg)
    return True
