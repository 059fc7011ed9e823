"""Several statements to a PostgreSQL server in one round trip, each prepared, parameters and results in binary.

This speaks to libpq itself, through psycopg's binding of it: psycopg's own pipeline waits for ever on a connection that was lost
while it was waiting (release 3.3.9), and an exchange must end, in an answer or in an error.
"""

from collections.abc import Sequence
from selectors import EVENT_READ, EVENT_WRITE, DefaultSelector
from time import monotonic
from typing import NamedTuple

import psycopg
from psycopg.errors import error_from_result
from psycopg.pq import ConnStatus, ExecStatus, Format
from psycopg.pq.abc import PGconn, PGresult

ANSWER_WAIT_S = 45
"""How long an answer is waited for: longer than the server works on a statement, so that its own word comes first."""
FAILED = (ExecStatus.FATAL_ERROR, ExecStatus.BAD_RESPONSE)
Table = list[tuple[bytes, ...]]
"""What a statement gave, in PostgreSQL's binary formats. No value of it may be NULL."""


class Command(NamedTuple):
    """A statement and its parameters in binary: the name of a prepared one, or (`is_text`) the statement itself."""

    statement: bytes
    parameters: Sequence[bytes | None] = ()
    is_text: bool = False


BEGIN, COMMIT, ROLLBACK = (Command(word, is_text=True) for word in (b"BEGIN", b"COMMIT", b"ROLLBACK"))


def integer(value: int) -> bytes:
    """A bigint in binary."""
    return value.to_bytes(8, "big", signed=True)


def ask(connection: psycopg.Connection, *commands: Command) -> list[Table]:
    """Send the commands, wait for all answers; one table for each.

    Raises psycopg.Error: what the server refused the first of them with that it refused, or psycopg.OperationalError if the
    connection was lost or no answer came. The connection is of no use then.
    """
    line = connection.pgconn
    line.enter_pipeline_mode()
    for command in commands:
        formats = [Format.BINARY] * len(command.parameters)
        send = line.send_query_params if command.is_text else line.send_query_prepared
        send(command.statement, command.parameters, param_formats=formats, result_format=Format.BINARY)
    line.pipeline_sync()
    tables, refusal = _answers(line, monotonic() + ANSWER_WAIT_S)
    if refusal is not None:
        raise error_from_result(refusal)
    line.exit_pipeline_mode()
    return tables


def _answers(line: PGconn, until_s: float) -> tuple[list[Table], PGresult | None]:
    """The tables of the answers, up to the pipeline's end, and the first refusal among them."""
    tables: list[Table] = []
    refusal: PGresult | None = None
    with DefaultSelector() as selector:
        selector.register(line.socket, EVENT_READ | EVENT_WRITE)
        while True:
            try:
                result = _next(line, selector, until_s)
            except psycopg.OperationalError:
                if refusal is None:
                    raise
                # The server said why before it hung up.
                return tables, refusal
            if result is None:
                continue
            if result.status == ExecStatus.PIPELINE_SYNC:
                return tables, refusal
            if result.status in FAILED:
                refusal = refusal or result
            tables.append(_table(result))


def _next(line: PGconn, selector: DefaultSelector, until_s: float) -> PGresult | None:
    """The next result; None ends one command's. Raises psycopg.OperationalError if the connection was lost."""
    while line.is_busy():
        _communicate(line, selector, until_s)
    result = line.get_result()
    if result is None and line.status != ConnStatus.OK:
        raise psycopg.OperationalError(line.get_error_message())
    return result


def _communicate(line: PGconn, selector: DefaultSelector, until_s: float) -> None:
    """Send what can be sent, and wait for something that can be read."""
    waiting = line.flush()
    selector.modify(line.socket, EVENT_READ | EVENT_WRITE if waiting else EVENT_READ)
    left_s = until_s - monotonic()
    if left_s <= 0:
        raise psycopg.OperationalError(f"no answer in {ANSWER_WAIT_S} s")
    if any(events & EVENT_READ for _, events in selector.select(left_s)):
        line.consume_input()


def _table(result: PGresult) -> Table:
    columns = range(result.nfields)
    return [
        tuple(result.get_value(row, column) or b"" for column in columns) for row in range(result.ntuples)
    ]
