"""What the journal says: where it stands, what a crash left at its end, and the snapshots beside it.

A row's *sequence* is its count from 1 in the whole journal; sequence 0 is before the first row. Everything that takes or gives a
sequence means the same number: what an append returns, what a snapshot is of, what reading starts after.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Position:
    """Where a journal stands: how much is before it, and the checksum (16 bytes) that the next header must carry on."""

    batches: int
    sequence: int
    checksum: bytes


@dataclass(frozen=True, slots=True)
class TornTail:
    """What an interrupted write left behind the last whole batch. It was never acknowledged.

    `segment` is the file's name, `offset` the byte at which the torn frame starts, `bytes_cut` all that follows, `why` in words.
    """

    segment: str
    offset: int
    bytes_cut: int
    why: str


@dataclass(frozen=True, slots=True)
class DamagedSnapshot:
    """A snapshot that cannot be used, and why. The journal is the truth: nothing is lost with it but time."""

    name: str
    why: str


@dataclass(frozen=True, slots=True)
class Recovery:
    """What was found when a journal was opened: counts of what is whole, and what is not.

    `torn` None: it ends with a whole batch. `cut`: whether the torn tail was cut off (opened for writing) or only seen.
    """

    segments: int
    batches: int
    rows: int
    torn: TornTail | None = None
    cut: bool = False
    damaged_snapshots: tuple[DamagedSnapshot, ...] = ()

    def __str__(self) -> str:
        """One sentence for each thing that was found."""
        segments = f"{self.segments} segment{'s' * (self.segments != 1)}"
        said = [f"journal: {self.rows} rows in {self.batches} batches and {segments}, all whole."]
        if self.torn is not None:
            torn, fate = self.torn, "cut off" if self.cut else "left in place"
            said.append(
                f"A batch that was never acknowledged follows in {torn.segment} at byte {torn.offset} "
                f"({torn.bytes_cut} bytes, {torn.why}): {fate}."
            )
        said += [f"Snapshot {damaged.name} is not used: {damaged.why}." for damaged in self.damaged_snapshots]
        return " ".join(said)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A machine's whole state after row `sequence`.

    `state_hash`: the machine's; `genesis`: the journal's; both 32 hexadecimal characters. `parts`: int64 matrices by name.
    """

    sequence: int
    state_hash: str
    genesis: str
    parts: "Mapping[str, NDArray[np.int64]]"
