"""A section of the clearing house's snapshot: one matrix, made of the books and put back into them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ciyuan.basics.errors import Malformed
from ciyuan.clearing.books import Books


@dataclass(frozen=True, slots=True)
class Section:
    """The rows of one part, in order of their first words. `restore` raises Malformed (`not_a_section`) for rows that
    cannot be.
    """

    name: str
    width: int
    rows: Callable[[Books], Sequence[Sequence[int]]]
    restore: Callable[[Books, Sequence[Sequence[int]]], None]


def not_a_section(part: str, found: object, expected: str) -> Malformed:
    """The exception for a snapshot's part that cannot be one."""
    return Malformed(f"clearing snapshot, {part}", found=found, expected=expected,
                     remedy="Take the snapshot again, from a clearing house with the same contracts and terms.")  # fmt: skip
