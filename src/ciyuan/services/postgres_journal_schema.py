"""The tables of shared journals in a PostgreSQL database: the schema `ciyuan_journal`, its version, and the statements over it.

| table | a row is |
|---|---|
| version | the version of this schema; one row |
| journal | a journal: its name, its genesis, and where its kept frames begin |
| frame | one exchange's rows; `sequence` is that of its last row, `checksum` its seal |
| snapshot, snapshot_piece | a machine's state after a row; its bytes in pieces |

The function `exchange` is the one way in which a frame gets in. It takes the journal's lock, which is held to the end of the
transaction, and only then looks (a function that is VOLATILE sees, at READ COMMITTED, what was committed before each of its
statements): either the journal's last frame is the one that the caller knows as the last, then the caller's frame is put behind
it and nothing is returned; or others have written since, then nothing is put in and theirs are returned.
"""

from collections.abc import Sequence
from typing import NamedTuple

import psycopg

from ciyuan.basics.errors import Malformed
from ciyuan.journal.frame import genesis_position
from ciyuan.journal.messages import Position
from ciyuan.services.postgres_journal_frames import Stored, position_before
from ciyuan.services.postgres_journal_link import connected, telling
from ciyuan.services.postgres_journal_pipeline import Command, Table, ask, integer

SCHEMA_VERSION = 1
LOCK_CLASS = 0x6369_7975
"""The first half of the key of the advisory locks; the second is the journal's number, or 0: whoever makes the tables."""
FRAMES_MAX = 64
"""Most frames that one statement returns."""
PIECE_BYTES = 2**24
"""A snapshot is kept in pieces of this size: a value of PostgreSQL's may have 2^30 bytes."""
AHEAD_S_MAX = 10
"""How far before the server's clock a caller's may be, in seconds."""
REWOUND, CLOCK_AHEAD = "CY001", "CY002"
"""What `exchange` raises (SQLSTATE): the journal does not have what the caller read; the caller's clock is wrong."""

DEFINITION = f"""
CREATE SCHEMA ciyuan_journal;

CREATE TABLE ciyuan_journal.version (number integer NOT NULL);
INSERT INTO ciyuan_journal.version VALUES ({SCHEMA_VERSION});

CREATE TABLE ciyuan_journal.journal (
    number integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text NOT NULL UNIQUE,
    genesis bytea NOT NULL,
    first_batches bigint NOT NULL,
    first_sequence bigint NOT NULL,
    first_checksum bytea NOT NULL
);

-- Frames of up to 120 rows stay in the table's own pages; bytes of integers are not worth compressing while others wait.
CREATE TABLE ciyuan_journal.frame (
    journal integer NOT NULL,
    sequence bigint NOT NULL,
    checksum bytea NOT NULL,
    writer bytea NOT NULL,
    turn bigint NOT NULL,
    data bytea NOT NULL,
    PRIMARY KEY (journal, sequence)
) WITH (toast_tuple_target = 8160);
ALTER TABLE ciyuan_journal.frame ALTER COLUMN data SET STORAGE EXTERNAL;

CREATE TABLE ciyuan_journal.snapshot (
    journal integer NOT NULL,
    sequence bigint NOT NULL,
    state_hash text NOT NULL,
    PRIMARY KEY (journal, sequence)
);
CREATE TABLE ciyuan_journal.snapshot_piece (
    journal integer NOT NULL,
    sequence bigint NOT NULL,
    piece integer NOT NULL,
    data bytea NOT NULL,
    PRIMARY KEY (journal, sequence, piece),
    FOREIGN KEY (journal, sequence) REFERENCES ciyuan_journal.snapshot ON DELETE CASCADE
);
ALTER TABLE ciyuan_journal.snapshot_piece ALTER COLUMN data SET STORAGE EXTERNAL;

CREATE FUNCTION ciyuan_journal.exchange(
    at_journal integer, known_sequence bigint, known_checksum bytea,
    new_sequence bigint, new_checksum bytea, new_writer bytea, new_turn bigint, new_data bytea, new_time_ns bigint
) RETURNS SETOF ciyuan_journal.frame LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    last_sequence bigint;
    last_checksum bytea;
BEGIN
    PERFORM pg_advisory_xact_lock({LOCK_CLASS}, at_journal);
    SELECT f.sequence, f.checksum INTO last_sequence, last_checksum FROM ciyuan_journal.frame f
        WHERE f.journal = at_journal ORDER BY f.sequence DESC LIMIT 1;
    IF NOT FOUND THEN
        SELECT j.first_sequence, j.first_checksum INTO last_sequence, last_checksum FROM ciyuan_journal.journal j
            WHERE j.number = at_journal;
    END IF;
    IF last_sequence IS DISTINCT FROM known_sequence THEN
        IF last_sequence > known_sequence THEN
            RETURN QUERY SELECT * FROM ciyuan_journal.frame f
                WHERE f.journal = at_journal AND f.sequence > known_sequence ORDER BY f.sequence LIMIT {FRAMES_MAX};
            RETURN;
        END IF;
        RAISE EXCEPTION 'row %', last_sequence USING ERRCODE = '{REWOUND}';
    END IF;
    IF last_checksum IS DISTINCT FROM known_checksum THEN
        RAISE EXCEPTION 'another row %', last_sequence USING ERRCODE = '{REWOUND}';
    END IF;
    IF new_data IS NOT NULL THEN
        IF new_time_ns > 1000000000 * ({AHEAD_S_MAX} + extract(epoch FROM clock_timestamp())) THEN
            RAISE EXCEPTION '%', clock_timestamp() USING ERRCODE = '{CLOCK_AHEAD}';
        END IF;
        INSERT INTO ciyuan_journal.frame VALUES
            (at_journal, new_sequence, new_checksum, new_writer, new_turn, new_data);
        PERFORM pg_notify('ciyuan_journal_' || at_journal, new_sequence::text);
    END IF;
END $$;
"""  # noqa: S608 what is put in are the constants above

EXCHANGE, FRAMES_AFTER = b"ciyuan_exchange", b"ciyuan_frames_after"
"""The names of the prepared statements."""
PREPARE = """
    PREPARE ciyuan_exchange (bigint, bigint, bytea, bigint, bytea, bytea, bigint, bytea, bigint) AS
        SELECT sequence, writer, turn, data
        FROM ciyuan_journal.exchange($1::integer, $2, $3, $4, $5, $6, $7, $8, $9);
    PREPARE ciyuan_frames_after (bigint, bigint, bigint) AS
        SELECT sequence, writer, turn, data
        FROM ciyuan_journal.frame WHERE journal = $1::integer AND sequence > $2 ORDER BY sequence LIMIT $3
"""
LAST_FRAME = "SELECT data FROM ciyuan_journal.frame WHERE journal = %s ORDER BY sequence DESC LIMIT 1"
FRAME_BEFORE = (
    "SELECT data, sequence, checksum FROM ciyuan_journal.frame"
    " WHERE journal = %s AND sequence <= %s ORDER BY sequence DESC LIMIT 1"
)
JOURNAL = "SELECT number, genesis, first_batches, first_sequence, first_checksum FROM ciyuan_journal.journal WHERE name = %s"
ENTER = (
    "INSERT INTO ciyuan_journal.journal (name, genesis, first_batches, first_sequence, first_checksum)"
    " VALUES (%s, %s, %s, %s, %s) ON CONFLICT DO NOTHING RETURNING number"
)
LOCK = f"SELECT pg_advisory_xact_lock({LOCK_CLASS}, %s)"


class Entry(NamedTuple):
    """A journal's row, with what it is called in messages; its kept frames begin behind `first`."""

    number: int
    name: str
    place: str
    genesis: bytes
    first: Position


def channel(journal: int) -> str:
    """The channel on which `exchange` tells that rows were written; the payload is the last row's sequence."""
    return f"ciyuan_journal_{journal}"


def enter(url: str, place: str, name: str, genesis: bytes) -> bool:
    """Make the tables and the journal's row where they are not there; whether the row was not."""
    with telling(place), connected(url, place) as connection, connection.transaction():
        # Two that begin at once do this after each other.
        connection.execute(LOCK, (0,))
        if not _is_defined(connection):
            connection.execute(DEFINITION)
        _check_version(connection, place)
        first = genesis_position(genesis)
        return connection.execute(ENTER, (name, genesis, *_words(first))).fetchone() is not None


def entry_of(connection: psycopg.Connection, place: str, name: str, genesis: bytes | None) -> Entry:
    """The row of a journal. Raises Malformed if there is none, or its genesis is not the given one."""
    found = None
    if _is_defined(connection):
        _check_version(connection, place)
        found = connection.execute(JOURNAL, (name,), binary=True).fetchone()
    if found is None:
        raise Malformed(place, found="no journal of this name", expected="one",
                        remedy="Check the url and the name, or create the journal there.")  # fmt: skip
    number, kept, *first = found
    if genesis is not None and genesis != kept:
        raise Malformed(f"{place}, genesis", found=kept.hex(), expected=genesis.hex(),
                        remedy="Open it with the terms that it was created with.")  # fmt: skip
    return Entry(number, name, place, kept, Position(*first))


def last_frame(connection: psycopg.Connection, journal: int) -> bytes | None:
    """The journal's last frame; None if it has none."""
    found = connection.execute(LAST_FRAME, (journal,), binary=True).fetchone()
    return None if found is None else bytes(found[0])


def position_before_row(connection: psycopg.Connection, journal: int, sequence: int) -> Position | None:
    """The position behind the last frame that ends at or before row `sequence`; None if there is none."""
    found = connection.execute(FRAME_BEFORE, (journal, sequence), binary=True).fetchone()
    return None if found is None else Position(position_before(found[0]).batches + 1, found[1], found[2])


def prepare(connection: psycopg.Connection) -> None:
    """Prepare the statements of an exchange on a connection."""
    connection.execute(PREPARE)


def exchange_command(journal: int, known: Position, new: Sequence[bytes | None] = (None,) * 6) -> Command:
    """`exchange` of a caller that knows this position as the journal's end; without a new frame it takes the lock and reads."""
    return Command(EXCHANGE, (integer(journal), integer(known.sequence), known.checksum, *new))


def frames_after(connection: psycopg.Connection, journal: int, sequence: int) -> list[Stored]:
    """The frames that end behind row `sequence`, in order, at most FRAMES_MAX. The connection has to be prepared."""
    command = Command(FRAMES_AFTER, (integer(journal), integer(sequence), integer(FRAMES_MAX)))
    return stored_frames(*ask(connection, command))


def stored_frames(table: Table) -> list[Stored]:
    """The frames that a statement gave."""
    return [
        Stored(int.from_bytes(sequence, "big"), writer, int.from_bytes(turn, "big"), data)
        for sequence, writer, turn, data in table
    ]


def _is_defined(connection: psycopg.Connection) -> bool:
    """Whether the database has the tables, of whatever version."""
    found = connection.execute("SELECT to_regclass('ciyuan_journal.version') IS NOT NULL").fetchone()
    return found == (True,)


def _check_version(connection: psycopg.Connection, place: str) -> None:
    version = connection.execute("SELECT number FROM ciyuan_journal.version").fetchone()
    if version != (SCHEMA_VERSION,):
        raise Malformed(f"{place}, version of the schema ciyuan_journal", found=version and version[0],
                        expected=str(SCHEMA_VERSION),
                        remedy="Open it with the version of ciyuan that made it, or use another database.")  # fmt: skip


def _words(position: Position) -> tuple[int, int, bytes]:
    return position.batches, position.sequence, position.checksum
