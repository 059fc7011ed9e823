"""The registry: names, keys, limits, money asked for. What ought to be; the venue's machine holds what is owed.

    registry = Registry.open(folder / "registry.sqlite")        # or Registry.open("postgresql://user@host/name")
    with registry.change(now_ns) as change:                     # all of it or nothing, durable when the block has ended
        acme = change.spenders.add(SpenderKind.ORGANISATION, "acme")
        new = change.keys.create(acme.number, "laptop", Permissions())
        change.limits.set(acme.number, parse_limit("50 USD a month"))
        change.payments.ask(PaymentKind.DEPOSIT, acme.participant, 100 * MICRO, "invoice 2026-118")
    registry.version()                                          # has anything changed? cheap enough for every second
    registry.directory()                                        # all that the door looks up, frozen

Theory of operation. The command line and the door of every process write here; the venue's machine decides. So nothing here
is a balance or a use: it is what people want to be so. `enrolment` compares it with what the machine has, tells the machine what
is missing, and brings back what it refused. A row that is told twice does nothing, so no word need be kept of what was told.

Invariants:

- every change that changes a row raises `version` by one, in the same transaction; a directory is of exactly one version;
- a number, once given, means the same for ever; nothing is deleted;
- no secret is here, only digests: who reads the database cannot use a key;
- a spender's customer is its organisation's, so whoever spends, one balance pays;
- one outside reference is one payment.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from enum import IntEnum
from functools import cached_property
from pathlib import Path
from typing import Self
from unicodedata import normalize

from ciyuan.services.door.registry_database import Database, Sql
from ciyuan.services.door.registry_directory import Directory, Key, Refused, directory_in, version_in
from ciyuan.services.door.registry_keys import Keys
from ciyuan.services.door.registry_limits import Limits
from ciyuan.services.door.registry_parties import Parties
from ciyuan.services.door.registry_payments import Payment, Payments, payments_in
from ciyuan.services.door.registry_prices import Listing, PriceBook, listings_in
from ciyuan.services.door.registry_schema import COMPONENT, MIGRATIONS, SpenderKind, Subject
from ciyuan.services.door.registry_spenders import APPS_MAX, Spenders, is_name, tree_in

__all__ = ["AppRefusal", "Directory", "Key", "Refused", "Registry", "RegistryChange"]


class AppRefusal(IntEnum):
    """Why an app's name is not taken."""

    NAME_MALFORMED = 1
    TOO_MANY = 2


class RegistryChange:
    """One change under way: what it may do, by noun."""

    def __init__(self, sql: Sql, now_ns: int) -> None:
        self.sql, self.now_ns = sql, now_ns
        self.parties = Parties(sql, now_ns)
        self.payments = Payments(sql, now_ns)
        self.prices = PriceBook(sql, now_ns)

    @cached_property
    def spenders(self) -> Spenders:
        """The tree of spenders, which is read when it is first asked for."""
        return Spenders(self.sql, tree_in(self.sql), self.now_ns)

    @cached_property
    def keys(self) -> Keys:
        """Keys and their secrets."""
        return Keys(self.sql, self.spenders, self.now_ns)

    @cached_property
    def limits(self) -> Limits:
        """Budgets and rates."""
        return Limits(self.sql, self.spenders.tree, self.now_ns)

    def directory(self) -> Directory:
        """The directory as this change leaves it so far, with the version before it."""
        return directory_in(self.sql)

    def refuse(self, subject: Subject, number: int, content: str, reason: str) -> None:
        """Note that the venue would not take something."""
        self.sql.run(
            "INSERT INTO refusals (subject, number, content, reason, told_ns) VALUES (?, ?, ?, ?, ?) "
            "ON CONFLICT (subject, number) DO UPDATE SET content = excluded.content, reason = excluded.reason, "
            "told_ns = excluded.told_ns",
            *(int(subject), number, content, reason, self.now_ns),
        )

    def accept(self, subject: Subject, number: int) -> None:
        """Note that the venue has taken it, so that a refusal before is over."""
        self.sql.run("DELETE FROM refusals WHERE subject = ? AND number = ?", int(subject), number)

    def set_revenue(self, department: int, month: int, amount_micro: int) -> None:
        """What a department earned in a month (yyyymm), for the league table; a later word replaces an earlier one."""
        self.sql.run(
            "INSERT INTO revenue (department, month, amount_micro) VALUES (?, ?, ?) "
            "ON CONFLICT (department, month) DO UPDATE SET amount_micro = excluded.amount_micro",
            *(department, month, amount_micro),
        )


class Registry:
    """An open registry. Made by `open`; a context manager that closes itself. `database` is for tables that stand beside it.

    Every method raises DatabaseFailed when the database cannot be reached, read or written.
    """

    def __init__(self, database: Database) -> None:
        self.database = database
        database.migrate(COMPONENT, MIGRATIONS)

    @classmethod
    def open(cls, where: Path | str) -> Self:
        """The registry in a SQLite file, which is made if it is not there, or in the PostgreSQL database at a url."""
        database = Database.open(where)
        try:
            return cls(database)
        except BaseException:
            database.close()
            raise

    @contextmanager
    def change(self, now_ns: int) -> Iterator[RegistryChange]:
        """A change at a moment: all that the block does, or nothing if it raises."""
        with self.database.change() as sql:
            yield RegistryChange(sql, now_ns)
            if sql.changed:
                sql.run("UPDATE registry_version SET version = version + 1")

    def version(self) -> int:
        """Raised by every change."""
        with self.database.view() as sql:
            return version_in(sql)

    def directory(self) -> Directory:
        """All that the door looks up, as of one moment."""
        with self.database.view() as sql:
            return directory_in(sql)

    def payments(self) -> list[Payment]:
        """All payments by number."""
        with self.database.view() as sql:
            return payments_in(sql)

    def price_lists(self) -> list[Listing]:
        """Every price list that there was, by number; of a supplier's grade the last is in force."""
        with self.database.view() as sql:
            return listings_in(sql)

    def revenue(self, month: int) -> dict[int, int]:
        """Micro-USD that departments earned in a month (yyyymm), by department's spender number."""
        with self.database.view() as sql:
            rows = sql.rows("SELECT department, amount_micro FROM revenue WHERE month = ? ORDER BY 1", month)
        return {int(department): int(amount) for department, amount in rows}

    def supplier(self, name: str, now_ns: int) -> int:
        """The number of a supplier by its name, which is given one if it is new."""
        with self.change(now_ns) as change:
            return change.parties.supplier(name)

    def grade(self, model: str, tier: str, now_ns: int) -> int:
        """The number of a model at a tier, which is given one if it is new."""
        with self.change(now_ns) as change:
            return change.parties.grade(model, tier)

    def app(self, key: int, name: str, now_ns: int) -> int | AppRefusal:
        """The spender of an app of a key's spender, made if it is new. The venue must hear of it before it is held for."""
        name = normalize("NFC", name)
        if not is_name(name):
            return AppRefusal.NAME_MALFORMED
        with self.change(now_ns) as change:
            tree = change.spenders.tree
            known = tree.child(key, name)
            if known is not None:
                return known.number
            if sum(1 for _ in tree.children(key)) >= APPS_MAX:
                return AppRefusal.TOO_MANY
            return change.spenders.add(SpenderKind.APP, name, key).number

    def make_apps(self, asked: Iterable[tuple[int, str]], now_ns: int) -> dict[tuple[int, str], AppRefusal]:
        """Make the apps that clients have named (`Directory.asked`) spenders; those that cannot be, and why."""
        answers = {(key, name): self.app(key, name, now_ns) for key, name in sorted(asked)}
        return {each: answer for each, answer in answers.items() if isinstance(answer, AppRefusal)}

    def close(self) -> None:
        """End the connection."""
        self.database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
