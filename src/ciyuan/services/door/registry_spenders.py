"""Who spends: the tree of organisation, departments, engineers, keys and apps, by number and by path.

A spender's path is the names from the organisation down, `acme/research/ada/laptop`. Names are unique among siblings, whatever
their kind, so a path means one spender. Its number is the meter's: a hold carries it, a limit hangs on it, usage is summed by it.
A spender stays where it was put, because what was spent was spent there; it can be closed, and with it all that is below.

An organisation is also a customer of the venue, with a balance of its own, and pays for all that is below it.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from unicodedata import normalize

from ciyuan.basics.errors import Malformed
from ciyuan.gateway.messages import DEPTH_MAX, SPENDER_MAX
from ciyuan.services.door.registry_database import Row, Sql
from ciyuan.services.door.registry_parties import Parties, next_number
from ciyuan.services.door.registry_schema import PARENTS, ParticipantKind, SpenderKind

NAME_MAX = 64
APPS_MAX = 64
"""How many apps one key may name: a client's header must not fill the meter with spenders."""
ROOT = 0
"""The parent of an organisation."""
LISTED_MAX = 12
"""How many names an error lists."""
_COLUMNS = "number, kind, name, parent, participant, created_ns, closed_ns"


@dataclass(frozen=True, slots=True)
class Spender:
    """One spender. `participant` is the customer that pays; `closed_ns` is None while it may spend."""

    number: int
    kind: SpenderKind
    name: str
    parent: int
    participant: int
    created_ns: int
    closed_ns: int | None = None


class Tree:
    """All spenders: by number, by parent, by path."""

    def __init__(self, spenders: Iterable[Spender]) -> None:
        self.by_number: dict[int, Spender] = {}
        self._children: dict[int, dict[str, int]] = {}
        for spender in spenders:
            self.put(spender)

    def put(self, spender: Spender) -> None:
        """Take a spender in, or its new state."""
        self.by_number[spender.number] = spender
        self._children.setdefault(spender.parent, {})[spender.name] = spender.number

    def children(self, number: int) -> Iterator[Spender]:
        """Those directly below a spender (ROOT: the organisations), by name."""
        for _, child in sorted(self._children.get(number, {}).items()):
            yield self.by_number[child]

    def child(self, number: int, name: str) -> Spender | None:
        """The spender of that name directly below."""
        found = self._children.get(number, {}).get(name)
        return None if found is None else self.by_number[found]

    def line(self, number: int) -> tuple[Spender, ...]:
        """A spender and all above it, from the organisation down."""
        line = []
        while number != ROOT:
            line.append(self.by_number[number])
            number = line[-1].parent
        return tuple(reversed(line))

    def path(self, number: int) -> str:
        """A spender's path."""
        return "/".join(spender.name for spender in self.line(number))

    def find(self, path: str) -> Spender:
        """The spender at a path. Raises Malformed, naming what is there instead."""
        number, at = ROOT, ""
        for name in path.split("/"):
            child = self.child(number, normalize("NFC", name))
            if child is None:
                raise Malformed(f"spender {path}", found=name, expected=self._names_below(number, at),
                                remedy="Mend the path, or make it first (`ciyuan key create --new`).")  # fmt: skip
            number, at = child.number, f"{at}{child.name}/"
        return self.by_number[number]

    def below(self, number: int) -> Iterator[Spender]:
        """A spender and all below it, each before what is below it (ROOT: all)."""
        if number != ROOT:
            yield self.by_number[number]
        for child in self.children(number):
            yield from self.below(child.number)

    def closed_ns(self, number: int) -> int | None:
        """When a spender could no longer spend, by its own end or that of one above it; None: it can."""
        ends = [spender.closed_ns for spender in self.line(number) if spender.closed_ns is not None]
        return min(ends, default=None)

    def _names_below(self, number: int, at: str) -> str:
        names = [child.name for child in self.children(number)]
        if not names:
            return f"nothing, there is nothing below {at or 'the registry'}"
        more = f" and {len(names) - LISTED_MAX} more" if len(names) > LISTED_MAX else ""
        return f"one of {', '.join(names[:LISTED_MAX])}{more}, in {at or 'the registry'}"


class Spenders:
    """Spenders inside a change; `tree` shows them as the change leaves them."""

    def __init__(self, sql: Sql, tree: Tree, now_ns: int) -> None:
        self.tree = tree
        self._sql, self._now_ns = sql, now_ns

    def add(self, kind: SpenderKind, name: str, parent: int = ROOT) -> Spender:
        """A new spender. Raises Malformed for a name that is taken or cannot be, or a parent that it cannot have."""
        name = checked_name(name, kind)
        self._check_place(kind, name, parent)
        number = next_number(self._sql, "spenders")
        if number > SPENDER_MAX:
            raise Malformed(f"{kind} {name}", found=number, expected=f"at most {SPENDER_MAX} spenders",
                            remedy="Use those that are there.")  # fmt: skip
        payer = (
            Parties(self._sql, self._now_ns).participant(ParticipantKind.CUSTOMER, name)
            if parent == ROOT
            else self.tree.by_number[parent].participant
        )
        spender = Spender(number, kind, name, parent, payer, self._now_ns)
        self._sql.run(
            f"INSERT INTO spenders ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, NULL)",  # noqa: S608 the names are ours
            *(number, kind, name, parent, payer, self._now_ns),
        )
        self.tree.put(spender)
        return spender

    def close(self, number: int) -> Spender:
        """It can spend no longer, nor can any below it."""
        return self._set_closed(number, self._now_ns)

    def reopen(self, number: int) -> Spender:
        """It can spend again, unless one above it cannot."""
        return self._set_closed(number, None)

    def _set_closed(self, number: int, closed_ns: int | None) -> Spender:
        spender = self.tree.by_number[number]
        if (spender.closed_ns is None) is (closed_ns is None):
            return spender
        self._sql.run("UPDATE spenders SET closed_ns = ? WHERE number = ?", closed_ns, number)
        self.tree.put(replace(spender, closed_ns=closed_ns))
        return self.tree.by_number[number]

    def _check_place(self, kind: SpenderKind, name: str, parent: int) -> None:
        above = None if parent == ROOT else self.tree.by_number.get(parent)
        allowed = PARENTS[kind]
        if above is None and allowed:
            raise Malformed(f"{kind} {name}", found=f"nothing above it (spender {parent})",
                            expected=f"below one of {', '.join(allowed)}", remedy="Say what it belongs to.")  # fmt: skip
        if above is not None and above.kind not in allowed:
            raise Malformed(f"{kind} {name}", found=f"below {above.kind} {above.name}",
                            expected=f"below one of {', '.join(allowed)}" if allowed else "above all others",
                            remedy="Put it where it can be.")  # fmt: skip
        if self.tree.child(parent, name) is not None:
            raise Malformed(f"{kind} {name}", found="a name that is taken there", expected="a new name",
                            remedy="Use the one that is there, or choose another name.")  # fmt: skip
        if parent != ROOT and len(self.tree.line(parent)) >= DEPTH_MAX:
            raise Malformed(f"{kind} {name}", found=f"{DEPTH_MAX} above it", expected=f"at most {DEPTH_MAX} in a line",
                            remedy="Use fewer departments in departments.")  # fmt: skip


def tree_in(sql: Sql) -> Tree:
    """All spenders of the registry."""
    rows = sql.rows(f"SELECT {_COLUMNS} FROM spenders ORDER BY number")  # noqa: S608 the names are ours
    return Tree(map(_spender_of, rows))


def _spender_of(row: Row) -> Spender:
    number, kind, *rest = row
    return Spender(number, SpenderKind(kind), *rest)


def is_name(text: str) -> bool:
    """Whether a spender may have this name: 1 to 64 printable characters of composed Unicode, no `/`, not digits alone."""
    return (
        0 < len(text) <= NAME_MAX
        and text.isprintable()
        and text == text.strip()
        and "/" not in text
        and not text.isdecimal()
        and not text.startswith("sk-")
    )


def checked_name(text: str, kind: SpenderKind) -> str:
    """A name in composed form, so that what looks alike is alike. Raises Malformed."""
    name = normalize("NFC", text)
    if not is_name(name):
        raise Malformed(f"name of {kind}", found=text,
                        expected=f"1 to {NAME_MAX} printable characters, without /, not digits alone, not beginning with sk-",
                        remedy="Choose another name.")  # fmt: skip
    return name
