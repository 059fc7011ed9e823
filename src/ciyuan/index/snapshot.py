"""The index's state as integer matrices: what a snapshot must look like.

| part | a row |
|---|---|
| clock | the one row: the latest moment seen |
| relations | seller, group; by seller |
| struck | day, grade, leg, seller; in order |
| observations | time, grade, seller, price, volume, leg, source; by day, then as they came |
| fixings | the fields of `Fixing`, 0 for a value of None; by grade, leg, day, version |
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from ciyuan.basics.errors import Malformed
from ciyuan.index import observations, record
from ciyuan.index.messages import TIME_MAX

WIDTHS = {
    "clock": 1,
    "relations": 2,
    "struck": 4,
    "observations": observations.WIDTH,
    "fixings": record.WIDTH,
}
REMEDY = "Take the snapshot again, from an index with the same terms and calendar."
_VERSION_AT, _VALUE_AT, _WITHHELD_AT = 3, 4, 10


def check_parts(parts: Mapping[str, NDArray[np.int64]]) -> None:
    """Raise Malformed if `parts` are not a snapshot of an index."""
    if set(parts) != set(WIDTHS):
        raise _wrong("names", sorted(parts), str(sorted(WIDTHS)))
    for name, width in WIDTHS.items():
        part = parts[name]
        if part.dtype != np.int64 or part.ndim != 2 or part.shape[1] != width:
            raise _wrong(name, f"{part.dtype} {part.shape}", f"an (n, {width}) int64 matrix")
    clock, times = parts["clock"], parts["observations"][:, 0]
    if clock.shape != (1, 1) or not 0 <= clock[0, 0] <= TIME_MAX:
        raise _wrong("clock", clock.tolist(), "one moment")
    if len(times) and not (times.min() >= 0 and times.max() <= clock[0, 0]):
        raise _wrong("observations", [int(times.min()), int(times.max())], "moments up to the clock")
    if np.any(parts["observations"][:, 1:5] < 1):
        raise _wrong(
            "observations",
            int(parts["observations"][:, 1:5].min()),
            "grades, sellers, prices and volumes of 1 or more",
        )
    _check_versions(parts["fixings"])


def _check_versions(fixings: NDArray[np.int64]) -> None:
    """Versions of a key run 1, 2, 3 ...; each has a value or says why not."""
    last: tuple[list[int], int] = ([], 0)
    for words in fixings.tolist():
        key, version = words[:3], words[_VERSION_AT]
        expected = last[1] + 1 if key == last[0] else 1
        if version != expected:
            raise _wrong("fixings", f"version {version} of {key}", f"version {expected}")
        if (words[_VALUE_AT] > 0) == (words[_WITHHELD_AT] > 0):
            raise _wrong("fixings", f"{key} with value {words[_VALUE_AT]}", "a value, or why it is withheld")
        last = (key, version)


def _wrong(part: str, found: object, expected: str) -> Malformed:
    return Malformed(f"index snapshot, {part}", found=found, expected=expected, remedy=REMEDY)
