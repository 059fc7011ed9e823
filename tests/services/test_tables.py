"""Tables: which events go where, how a word becomes a value, and groups that are written as they fill."""

from datetime import UTC, date, datetime

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ciyuan.basics.rows import kind_word
from ciyuan.services import tables
from ciyuan.services.tables import (
    Column,
    Tables,
    TableSpec,
    day_column,
    flag,
    named,
    time_column,
    word,
    write_table,
)
from tests.services.runs import asked

AT = 1_790_000_000_123_456_789
SPEC = TableSpec(
    "seen",
    (7, 9),
    (
        time_column(),
        day_column("day", 3),
        named("who", 2, {1: "Ada", 2: "词元"}),
        flag("sell", 2),
        word("amount_micro", 4),
        word("small", 5, pa.int32()),
        Column("twice", pa.int64(), lambda rows: 2 * rows[:, 4]),
    ),
)
ALL = TableSpec("nines", (9,), (word("amount_micro", 4),))


def event(code, who=1, amount=5, flags=0):
    return [kind_word(code, flags), AT, who, 20_000, amount, 3, 0, 0]


def taken(folder, *batches, specs=(SPEC, ALL)):
    with Tables(folder, specs) as written:
        for batch in batches:
            written.take(np.array(batch, dtype=np.int64).reshape(-1, 8))
    return written


def test_a_table_takes_the_events_of_its_codes_in_order(tmp_path):
    written = taken(
        tmp_path, [event(7, amount=1), event(8, amount=2), event(9, amount=3)], [event(7, amount=4)]
    )
    assert pq.read_table(tmp_path / "seen.parquet").column("amount_micro").to_pylist() == [1, 3, 4]
    assert pq.read_table(tmp_path / "nines.parquet").column("amount_micro").to_pylist() == [3]
    assert written.rows == {"seen": 3, "nines": 1}


def test_words_become_values(tmp_path):
    taken(tmp_path, [event(7, who=2, amount=-(2**62), flags=2), event(7, who=3)])
    found = pq.read_table(tmp_path / "seen.parquet")
    assert found.column("time").cast(pa.int64()).to_pylist() == [AT, AT]
    first, second = found.drop_columns(["time"]).to_pylist()
    assert first["day"] == date(2024, 10, 4)
    assert (first["who"], first["sell"], first["amount_micro"], first["small"]) == ("词元", True, -(2**62), 3)
    assert first["twice"] == -(2**63)
    assert (second["who"], second["sell"]) == ("3", False)


def test_an_empty_table_has_its_columns(tmp_path):
    taken(tmp_path)
    found = pq.read_table(tmp_path / "seen.parquet")
    assert found.num_rows == 0
    assert found.schema.field("time").type == pa.timestamp("ns", tz="UTC")
    assert [str(kind) for kind in found.schema.types[1:4]] == ["date32[day]", "string", "bool"]


@pytest.mark.parametrize("size", [1, 2, 5, 100])
def test_groups_are_written_as_they_fill(tmp_path, monkeypatch, size):
    monkeypatch.setattr(tables, "ROWS_PER_GROUP", size)
    batches = [[event(7, amount=number), event(8)] for number in range(11)]
    taken(tmp_path, *batches)
    found = pq.ParquetFile(tmp_path / "seen.parquet")
    assert found.read().column("amount_micro").to_pylist() == list(range(11))
    assert found.num_row_groups == -(-11 // size)


def test_what_was_taken_is_there_even_if_the_run_fails(tmp_path):
    def fail():
        with Tables(tmp_path, (SPEC,)) as written:
            written.take(np.array([event(7)], dtype=np.int64))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert pq.read_table(tmp_path / "seen.parquet").num_rows == 1


def test_the_events_are_not_kept_alive_by_their_batch(tmp_path):
    batch = np.array([event(7)], dtype=np.int64)
    with Tables(tmp_path, (SPEC,)) as written:
        written.take(batch)
        batch[:] = 0
    assert pq.read_table(tmp_path / "seen.parquet").column("amount_micro").to_pylist() == [5]


def test_duckdb_opens_a_table_as_it_is(tmp_path):
    taken(tmp_path, [event(7, who=2, flags=2)])
    kinds = asked(f"DESCRIBE SELECT * FROM '{tmp_path}/seen.parquet'")
    assert {name: kind for name, kind, *_ in kinds} | {"time": ""} == {
        "time": "",
        "day": "DATE",
        "who": "VARCHAR",
        "sell": "BOOLEAN",
        "amount_micro": "BIGINT",
        "small": "INTEGER",
        "twice": "BIGINT",
    }
    ((at,),) = asked(f"SELECT epoch_us(time::TIMESTAMPTZ) FROM '{tmp_path}/seen.parquet'")
    assert (
        datetime.fromtimestamp(at / 10**6, UTC).isoformat(timespec="seconds") == "2026-09-21T14:13:20+00:00"
    )


def test_a_small_table_is_written_whole(tmp_path):
    day = np.array([20_000], dtype=np.int64).astype("datetime64[D]")
    write_table(tmp_path / "small.parquet", {"day": day, "name": np.array(["a"], dtype=object)})
    assert pq.read_table(tmp_path / "small.parquet").to_pylist() == [{"day": date(2024, 10, 4), "name": "a"}]


def test_a_joined_record_is_one_event_of_each_code(tmp_path):
    spec = TableSpec("pairs", (7, 9), (word("first", 4), word("second", 8 + 4)), joined=True)
    taken(
        tmp_path,
        [event(7, amount=1), event(9, amount=2), event(7, amount=3), event(9, amount=4)],
        specs=(spec,),
    )
    assert pq.read_table(tmp_path / "pairs.parquet").to_pylist() == [
        {"first": 1, "second": 2},
        {"first": 3, "second": 4},
    ]
