"""The registry's tables, version by version, and the words that stand in them.

| table | holds | its number is |
|---|---|---|
| participants | who has money at the venue: organisations that pay, suppliers that are paid | the venue's |
| spenders | the tree of who spends: organisation, departments, engineers, keys, apps | the meter's |
| keys | secrets of a spender of kind key: the digest, never the secret; what may be done with it | the registry's |
| limits | budgets and rates; `most` NULL: no longer one | the meter's |
| grades | what is sold: a model at a tier | the meter's |
| price_lists | what a supplier asks for a grade, from when on; the last of each is in force | the registry's |
| payments | money that came in or is to go out, by its outside reference | its key at the venue |
| refusals | what the venue would not take of all this, and why | |
| revenue | what a department earned in a month, for the league table | |

Numbers are given in order and never again. Nothing is deleted: what is over has a moment at which it ended, because old usage
names it. A person signs in by another table that names a spender; none is needed for keys.
"""

from enum import IntEnum, StrEnum

COMPONENT = "registry"


class SpenderKind(StrEnum):
    """What a spender is; `PARENTS` says what may stand above it."""

    ORGANISATION = "organisation"
    DEPARTMENT = "department"
    ENGINEER = "engineer"
    KEY = "key"
    APP = "app"


PARENTS: dict[SpenderKind, tuple[SpenderKind, ...]] = {
    SpenderKind.ORGANISATION: (),
    SpenderKind.DEPARTMENT: (SpenderKind.ORGANISATION, SpenderKind.DEPARTMENT),
    SpenderKind.ENGINEER: (SpenderKind.ORGANISATION, SpenderKind.DEPARTMENT),
    SpenderKind.KEY: (SpenderKind.ORGANISATION, SpenderKind.DEPARTMENT, SpenderKind.ENGINEER),
    SpenderKind.APP: (SpenderKind.KEY,),
}
"""What may stand directly above a spender of each kind."""


class ParticipantKind(StrEnum):
    """What a participant of the venue is to the gateway."""

    CUSTOMER = "customer"
    SUPPLIER = "supplier"


class PaymentKind(StrEnum):
    """Which way money goes."""

    DEPOSIT = "deposit"
    WITHDRAWAL = "withdrawal"


class PaymentState(StrEnum):
    """How far a payment is: asked for, done by the venue, or refused by it, which is final."""

    PENDING = "pending"
    DONE = "done"
    REFUSED = "refused"


class Subject(IntEnum):
    """What of the registry a row to the venue is about."""

    PARTICIPANT = 1
    PRICES = 2
    SPENDER = 3
    LIMIT = 4
    PAYMENT = 5


MIGRATIONS: tuple[tuple[str, ...], ...] = (
    (
        "CREATE TABLE registry_version (version INTEGER NOT NULL) STRICT",
        "INSERT INTO registry_version (version) VALUES (1)",
        """CREATE TABLE participants (
            number INTEGER PRIMARY KEY,
            kind TEXT NOT NULL CHECK (kind IN ('customer', 'supplier')),
            name TEXT NOT NULL,
            created_ns INTEGER NOT NULL,
            UNIQUE (kind, name)
        ) STRICT""",
        """CREATE TABLE spenders (
            number INTEGER PRIMARY KEY,
            kind TEXT NOT NULL CHECK (kind IN ('organisation', 'department', 'engineer', 'key', 'app')),
            name TEXT NOT NULL,
            parent INTEGER NOT NULL,
            participant INTEGER NOT NULL REFERENCES participants (number),
            created_ns INTEGER NOT NULL,
            closed_ns INTEGER,
            UNIQUE (parent, name)
        ) STRICT""",
        """CREATE TABLE keys (
            number INTEGER PRIMARY KEY,
            spender INTEGER NOT NULL REFERENCES spenders (number),
            digest TEXT NOT NULL UNIQUE,
            shown TEXT NOT NULL,
            permissions TEXT NOT NULL,
            created_ns INTEGER NOT NULL,
            expires_ns INTEGER,
            revoked_ns INTEGER,
            rotated_from INTEGER REFERENCES keys (number)
        ) STRICT""",
        "CREATE INDEX keys_by_spender ON keys (spender)",
        """CREATE TABLE limits (
            number INTEGER PRIMARY KEY,
            spender INTEGER NOT NULL REFERENCES spenders (number),
            unit INTEGER NOT NULL CHECK (unit BETWEEN 1 AND 3),
            window_kind INTEGER NOT NULL CHECK (window_kind BETWEEN 1 AND 6),
            offset_ns INTEGER NOT NULL,
            most INTEGER CHECK (most >= 0),
            changed_ns INTEGER NOT NULL,
            UNIQUE (spender, unit, window_kind, offset_ns)
        ) STRICT""",
        """CREATE TABLE grades (
            number INTEGER PRIMARY KEY,
            model TEXT NOT NULL,
            tier TEXT NOT NULL,
            UNIQUE (model, tier)
        ) STRICT""",
        """CREATE TABLE price_lists (
            number INTEGER PRIMARY KEY,
            supplier INTEGER NOT NULL REFERENCES participants (number),
            grade INTEGER NOT NULL REFERENCES grades (number),
            valid_from_ns INTEGER NOT NULL,
            prices TEXT NOT NULL,
            pieces_max INTEGER NOT NULL,
            source TEXT NOT NULL,
            created_ns INTEGER NOT NULL
        ) STRICT""",
        "CREATE INDEX price_lists_by_grade ON price_lists (supplier, grade)",
        """CREATE TABLE payments (
            number INTEGER PRIMARY KEY,
            kind TEXT NOT NULL CHECK (kind IN ('deposit', 'withdrawal')),
            participant INTEGER NOT NULL REFERENCES participants (number),
            amount_micro INTEGER NOT NULL CHECK (amount_micro > 0),
            reference TEXT NOT NULL UNIQUE,
            state TEXT NOT NULL CHECK (state IN ('pending', 'done', 'refused')),
            reason TEXT NOT NULL,
            created_ns INTEGER NOT NULL
        ) STRICT""",
        """CREATE TABLE refusals (
            subject INTEGER NOT NULL,
            number INTEGER NOT NULL,
            content TEXT NOT NULL,
            reason TEXT NOT NULL,
            told_ns INTEGER NOT NULL,
            PRIMARY KEY (subject, number)
        ) STRICT""",
        """CREATE TABLE revenue (
            department INTEGER NOT NULL REFERENCES spenders (number),
            month INTEGER NOT NULL,
            amount_micro INTEGER NOT NULL,
            PRIMARY KEY (department, month)
        ) STRICT""",
    ),
)
"""Each entry leads from its version to the next; entries that were released are never changed."""
