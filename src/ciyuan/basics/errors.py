"""The error tree. Three kinds of failure, never mixed.

    CiyuanError
    ├── Malformed          input at an edge that cannot be read as what it claims to be; nothing was changed (also a ValueError)
    ├── JournalCorrupt     a stored byte is not the byte that was written; names the place
    └── InvariantBroken    a law that must always hold does not: the machine stops (also an AssertionError)

A *refusal* (no margin, budget spent, price outside the limit) is not an exception: it is an event with an enum.
"""


class CiyuanError(Exception):
    """Every exception that ciyuan raises on purpose."""


class Malformed(CiyuanError, ValueError):
    """Input that is not what it claims to be.

    `thing` says where (file, line, field), `found` and `expected` are the two sides, `remedy` is what to do about it.
    """

    def __init__(self, thing: str, *, found: object, expected: str, remedy: str) -> None:
        self.thing = thing
        self.found = found
        self.expected = expected
        self.remedy = remedy
        super().__init__(f"{thing}: found {found!r}, expected {expected}. {remedy}")


class JournalCorrupt(CiyuanError):
    """A checksum in a journal does not match its bytes.

    `segment` is the segment's name, `offset` the byte offset in it at which the damaged frame starts, `expected` and `found`
    the two checksums (or the two values) that differ, in hexadecimal.
    """

    def __init__(
        self, segment: str, offset: int, *, expected: str, found: str, what: str = "checksum"
    ) -> None:
        self.segment = segment
        self.offset = offset
        self.expected = expected
        self.found = found
        self.what = what
        super().__init__(
            f"journal segment {segment} is damaged at byte {offset}: {what} expected {expected}, found {found}. "
            "Restore the segment from a copy; nothing after this byte was applied."
        )


class InvariantBroken(CiyuanError, AssertionError):
    """A law that must always hold does not. `law` names it, `detail` gives both sides."""

    def __init__(self, law: str, detail: str) -> None:
        self.law = law
        self.detail = detail
        super().__init__(f"{law}: {detail}")


def require(holds: object, law: str, detail: str) -> None:
    """Raise InvariantBroken unless `holds`."""
    if not holds:
        raise InvariantBroken(law, detail)
