"""Strict reading of the fact files in `ciyuan/data`: every key is asked for by type, and a key that nobody asked for
is refused.

A fact without a source and a date is no fact, so every top table has both; a file may hold comments besides, but no
other key.
"""

import tomllib
from collections.abc import Container, Iterator, Mapping
from contextlib import contextmanager
from datetime import date
from enum import Enum
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import TypeVar

from ciyuan.basics.errors import Malformed

FACTS: Traversable = files("ciyuan").joinpath("data")
"""The folder of the fact files that ciyuan ships."""

_Fact = TypeVar("_Fact")
_Member = TypeVar("_Member", bound=Enum)
_Kind = TypeVar("_Kind", bool, int, float, str, date, dict[str, object], list[object])
_NAMES: Mapping[type, str] = {bool: "true or false", int: "a whole number", float: "a number", str: "a text in quotes",
                              date: "a date as 2026-10-01", dict: "a table", list: "a list"}  # fmt: skip


class Section:
    """One table of a fact file. `place` names it in errors, as "sites.toml, [texas]"."""

    def __init__(self, place: str, entries: Mapping[str, object]) -> None:
        self.place = place
        self._entries = entries
        self._asked: set[str] = set()

    def __contains__(self, key: str) -> bool:
        return key in self._entries

    def _take(self, key: str, kind: type[_Kind]) -> _Kind:
        self._asked.add(key)
        if key not in self._entries:
            raise Malformed(
                f"{self.place}, {key}", found="no such key", expected=_NAMES[kind], remedy="Add the key."
            )
        value = self._entries[key]
        if kind is float and type(value) is int:
            value = float(value)
        if type(value) is not kind:
            raise Malformed(
                f"{self.place}, {key}", found=value, expected=_NAMES[kind], remedy="Mend the value."
            )
        return value

    def text(self, key: str) -> str:
        """A text, not empty."""
        text = self._take(key, str)
        if not text.strip():
            raise Malformed(
                f"{self.place}, {key}", found=text, expected="a text with words in it", remedy="Fill it in."
            )
        return text

    def whole(self, key: str) -> int:
        """A whole number."""
        return self._take(key, int)

    def number(self, key: str) -> float:
        """A number, as a float."""
        return self._take(key, float)

    def figure(self, key: str) -> float | None:
        """A number that may be absent, as a float; None if it is."""
        return self.number(key) if key in self else None

    def flag(self, key: str) -> bool:
        """True or false."""
        return self._take(key, bool)

    def day(self, key: str) -> str:
        """A date, as ISO text."""
        return self._take(key, date).isoformat()

    def sourced(self) -> tuple[str, str]:
        """The table's `source` and the day of its `observed_on`, which every fact has."""
        return self.text("source"), self.day("observed_on")

    def wholes(self, key: str) -> tuple[int, ...]:
        """A list of whole numbers."""
        return tuple(self._list(key, int))

    def numbers(self, key: str) -> tuple[float, ...]:
        """A list of numbers, as floats."""
        return tuple(self._list(key, float))

    def texts(self, key: str) -> tuple[str, ...]:
        """A list of texts."""
        return tuple(self._list(key, str))

    def _list(self, key: str, kind: type[_Kind]) -> Iterator[_Kind]:
        for index, value in enumerate(self._take(key, list)):
            yield Section(f"{self.place}, {key}", {f"[{index}]": value})._take(f"[{index}]", kind)

    @contextmanager
    def table(self, key: str) -> Iterator["Section"]:
        """A table inside this one; it must be read whole."""
        with reading(f"{self.place}, {key}", self._take(key, dict)) as section:
            yield section

    def tables(self, key: str) -> Iterator["Section"]:
        """The tables of a list, in order; each must be read whole."""
        for index, entries in enumerate(self._list(key, dict)):
            with reading(f"{self.place}, {key}[{index}]", entries) as section:
                yield section

    def close(self) -> None:
        """Refuse the keys that were not asked for."""
        unknown = sorted(self._entries.keys() - self._asked)
        if unknown:
            raise Malformed(f"{self.place}, {unknown[0]}", found=unknown[0],
                            expected=f"one of {', '.join(sorted(self._asked))}",
                            remedy="Mend the key's name or remove it.")  # fmt: skip


@contextmanager
def reading(place: str, entries: Mapping[str, object]) -> Iterator[Section]:
    """Read one table; leaving it refuses the keys that were not asked for."""
    section = Section(place, entries)
    yield section
    section.close()


def top_keys(name: str, folder: Traversable = FACTS) -> tuple[str, ...]:
    """The names of the top tables of the fact file `name`, in order."""
    return tuple(_parsed(name, folder))


def top_tables(
    name: str, folder: Traversable = FACTS, only: Container[str] | None = None
) -> Iterator[tuple[str, Section]]:
    """The top tables of the fact file `name`, each with its name; a list of tables comes as several of one name.

    With `only`, the tables of those names; the others are left unread and unjudged.
    """
    for key, value in _parsed(name, folder).items():
        if only is not None and key not in only:
            continue
        for place, entries in _spread(name, key, value):
            with reading(place, entries) as section:
                yield key, section


@contextmanager
def top_table(name: str, key: str, folder: Traversable = FACTS) -> Iterator[Section]:
    """The one top table of that name."""
    parsed = _parsed(name, folder)
    if key not in parsed:
        raise Malformed(
            f"{name}, [{key}]", found="no such table", expected=f"a table [{key}]", remedy="Add the table."
        )
    for place, entries in _spread(name, key, parsed[key]):
        with reading(place, entries) as section:
            yield section


def _spread(name: str, key: str, value: object) -> Iterator[tuple[str, dict[str, object]]]:
    if isinstance(value, dict):
        yield f"{name}, [{key}]", value
    elif isinstance(value, list) and value and all(isinstance(entry, dict) for entry in value):
        for index, entry in enumerate(value):
            yield f"{name}, [[{key}]] {index + 1}", entry
    else:
        raise Malformed(
            f"{name}, {key}",
            found=value,
            expected="a table",
            remedy="Put the key into a table with its source.",
        )


def _parsed(name: str, folder: Traversable) -> dict[str, object]:
    return parsed(folder.joinpath(name), f"fact file {name}", "Check the folder of facts.")


def parsed(file: Traversable, place: str, remedy: str) -> dict[str, object]:
    """A TOML file's tables. Raises Malformed, naming the place; `remedy` is for a file that cannot be read."""
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise Malformed(
            place, found=error.strerror, expected="a file that can be read", remedy=remedy
        ) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise Malformed(place, found=str(error), expected="TOML in UTF-8", remedy="Mend the line.") from None


def known(facts: Mapping[str, _Fact], name: str, place: str, file: str) -> _Fact:
    """The fact of that name; Malformed, naming the place and what there is, if there is none."""
    if name not in facts:
        raise Malformed(place, found=name, expected=f"one of {file}: {', '.join(facts)}",
                        remedy=f"Mend the name, or add it to {file}.")  # fmt: skip
    return facts[name]


def member(kind: type[_Member], name: str, place: str) -> _Member:
    """The member of an enum by its name in small letters, as facts write it."""
    members = {entry.name.lower(): entry for entry in kind}
    if name not in members:
        raise Malformed(place, found=name, expected=f"one of {', '.join(members)}", remedy="Mend the word.")
    return members[name]
