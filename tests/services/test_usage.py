"""Usage import: what is read, exactly; and every way in which a file can be wrong, named with file, line, field and remedy."""

import gzip
import random
import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ciyuan.basics.errors import Malformed
from ciyuan.basics.grade import ConversionVector
from ciyuan.basics.tokens import Legs
from ciyuan.gateway import MeterCommand
from ciyuan.gateway.reading import settled_view
from ciyuan.services import usage_parquet, usage_rows
from ciyuan.services.usage import BadRow, Usage, read_usage
from tests.gateway.twins import NORTH, PRICE_IN, PRICE_OUT, a_market, who

HEADER = "timestamp_s,input_tokens,output_tokens"
GOOD = ["1.5,10,2", "1.75,20,4", "1.75,21,4"]
REAL = Path(__file__).parents[3] / "shared" / "data" / "usage"
needs_real = pytest.mark.skipif(
    not REAL.is_dir(), reason="the shared data folder is not beside this checkout"
)


def written(folder: Path, *lines: str, name: str = "usage.csv") -> Path:
    path = folder / name
    path.write_text("\n".join(lines) + "\n")
    return path


def parquet(folder: Path, **columns) -> Path:
    path = folder / "usage.parquet"
    pq.write_table(pa.table(columns), path)
    return path


def refused(path: Path, strict: bool = True) -> Malformed:
    with pytest.raises(Malformed) as caught:
        read_usage(path, strict=strict)
    assert str(path) in caught.value.thing
    assert caught.value.remedy
    return caught.value


# --- what is read ---


def test_rows_are_read_exactly(tmp_path):
    usage = read_usage(written(tmp_path, HEADER, *GOOD))
    assert usage.timestamp_ns.tolist() == [1_500_000_000, 1_750_000_000, 1_750_000_000]
    assert usage.input.tolist() == [10, 20, 21]
    assert usage.output.tolist() == [2, 4, 4]
    assert usage.cached.tolist() == [0, 0, 0]
    assert usage.customer is None
    assert usage.totals == Legs(51, 0, 10)
    assert (len(usage), usage.bad_rows, usage.ignored_columns) == (3, (), ())


def test_columns_stand_in_any_order_with_customers_and_cached(tmp_path):
    path = written(
        tmp_path,
        "customer,output_tokens,cached_tokens,timestamp_s,input_tokens",
        '"Ada, Ltd",2,4,0,10',
        "词元,1,0,7,3",
    )
    usage = read_usage(path)
    assert usage.customer is not None
    assert usage.customer.tolist() == ["Ada, Ltd", "词元"]
    assert (usage.cached.tolist(), usage.input.tolist(), usage.output.tolist()) == ([4, 0], [10, 3], [2, 1])
    assert usage.timestamp_ns.tolist() == [0, 7_000_000_000]


def test_gzip_byte_order_mark_carriage_returns_and_blank_lines_are_read(tmp_path):
    path = tmp_path / "usage.csv.gz"
    path.write_bytes(gzip.compress(("\ufeff" + "\r\n".join([HEADER, GOOD[0], "", GOOD[1], ""])).encode()))
    assert read_usage(path).totals == Legs(30, 0, 6)
    unnamed = tmp_path / "usage.csv"  # the bytes, not the name, say that it is gzip
    unnamed.write_bytes(path.read_bytes())
    assert read_usage(unnamed).totals == Legs(30, 0, 6)


@given(st.integers(0, 2**63 - 1))
def test_a_time_of_nine_decimals_is_exact(ns):
    text = f"{ns // 10**9}.{ns % 10**9:09d}"
    faults: list[usage_rows.Fault] = []
    assert usage_rows.times_of_text([text], faults).tolist() == [ns]
    assert not faults


@pytest.mark.parametrize("size", [1, 2, 7, 65_536])
def test_chunks_change_nothing(tmp_path, monkeypatch, size):
    chance = random.Random(7)  # noqa: S311
    rows = [(chance.randrange(40), chance.randrange(5), chance.randrange(3)) for _ in range(300)]
    rows.sort(key=lambda row: row[0])
    path = written(tmp_path, HEADER, *(f"{a},{b},{c}" for a, b, c in rows))
    firsts = list(dict.fromkeys(rows))
    monkeypatch.setattr("ciyuan.services.usage_csv.CHUNK_ROWS", size)
    usage = read_usage(path, strict=False)
    found = zip(
        (usage.timestamp_ns // 10**9).tolist(), usage.input.tolist(), usage.output.tolist(), strict=True
    )
    assert list(found) == firsts
    assert len(usage.bad_rows) == len(rows) - len(firsts) > 0
    assert {bad.field for bad in usage.bad_rows} == {"the row"}


@needs_real
@pytest.mark.parametrize(
    ("name", "rows", "tokens_in", "tokens_out"),
    [("azure_2023_conv", 19_366, 22_361_870, 4_088_665), ("azure_2023_code", 8_819, 18_059_974, 245_896)],
)
def test_real_traces_read_clean_and_to_the_token(name, rows, tokens_in, tokens_out):
    usage = read_usage(REAL / f"{name}.csv.gz")
    assert (len(usage), usage.totals) == (rows, Legs(tokens_in, 0, tokens_out))


@needs_real
def test_every_token_of_a_real_trace_is_metered_once_and_paid_to_the_pico_unit():
    usage = read_usage(REAL / "azure_2023_code.csv.gz")
    meter = a_market(10**12).fast
    rows = np.zeros((2, len(usage), 8), np.int64)
    rows[0, :, 0], rows[1, :, 0] = MeterCommand.HOLD, MeterCommand.DELIVER
    rows[:, :, 1], rows[:, :, 2], rows[:, :, 3] = usage.timestamp_ns, np.arange(1, len(usage) + 1), who()
    rows[:, :, 4], rows[0, :, 5], rows[1, :, 6] = usage.input, usage.output, usage.output
    events = meter.apply(np.ascontiguousarray(rows.transpose(1, 0, 2)).reshape(-1, 8))
    view = settled_view(events, meter.price_lists, {1: ConversionVector()})
    assert (int(view.tokens_in.sum()), int(view.tokens_out.sum())) == (18_059_974, 245_896)
    cost = 18_059_974 * PRICE_IN + 245_896 * PRICE_OUT
    assert int(view.cost_pico.sum()) == cost
    assert meter.parties[0, 3:].tolist() == [cost % 10**6, cost // 10**6, 18_059_974, 0, 245_896]
    assert int(view.charge_micro.sum()) == meter.ledger.posted(NORTH) == cost // 10**6


# --- bad rows ---

BAD_ROWS = [
    ("2,-5,1", "input_tokens", "-5", usage_rows.NEGATIVE),
    ("2,5,-1", "output_tokens", "-1", usage_rows.NEGATIVE),
    ("2,five,1", "input_tokens", "five", usage_rows.NOT_A_NUMBER),
    ("2,,1", "input_tokens", "", usage_rows.NOT_A_NUMBER),
    ("2,nan,1", "input_tokens", "nan", usage_rows.NOT_A_NUMBER),
    ("2, 5,1", "input_tokens", " 5", usage_rows.NOT_A_NUMBER),
    ("2,1_000,1", "input_tokens", "1_000", usage_rows.NOT_A_NUMBER),
    ("2,٣,1", "input_tokens", "٣", usage_rows.NOT_A_NUMBER),
    ("2,5.5,1", "input_tokens", "5.5", usage_rows.FRACTION),
    ("2,5.0,1", "input_tokens", "5.0", usage_rows.FRACTION),
    ("2,1e3,1", "input_tokens", "1e3", usage_rows.FRACTION),
    ("2,1000000001,1", "input_tokens", "1000000001", usage_rows.TOO_MANY),
    ("2," + "9" * 5000 + ",1", "input_tokens", "9" * 60, usage_rows.TOO_MANY),
    ("2," + "0" * 5000 + "1,1", "input_tokens", "0" * 60, usage_rows.TOO_MANY),
    ("then,5,1", "timestamp_s", "then", usage_rows.NOT_A_TIME),
    ("-2,5,1", "timestamp_s", "-2", usage_rows.NOT_A_TIME),
    ("2.0000000001,5,1", "timestamp_s", "2.0000000001", usage_rows.NOT_A_TIME),
    ("9223372037,5,1", "timestamp_s", "9223372037", usage_rows.NOT_A_TIME),
    ("9" * 5000 + ",5,1", "timestamp_s", "9" * 60, usage_rows.NOT_A_TIME),
    ("1.7,5,1", "timestamp_s", "1.7", "a time no earlier than the row before"),
    (
        "1.750,20,4",
        "the row",
        (1_750_000_000, 20, 0, 4),
        "a row that differs from every earlier row of the same moment",
    ),
    ("2,5", "the row", "2 fields", "3 fields, as in the first line"),
    ("2,5,1,9", "the row", "4 fields", "3 fields, as in the first line"),
]


@pytest.mark.parametrize(
    ("line", "field", "found", "expected"), BAD_ROWS, ids=[line[:20] for line, *_ in BAD_ROWS]
)
def test_a_bad_row_stops_a_strict_import_and_is_listed_by_a_lenient_one(
    tmp_path, line, field, found, expected
):
    path = written(tmp_path, HEADER, *GOOD, line, "9,100,100")
    error = refused(path)
    assert error.thing == f"usage file {path}, line 5, field {field}"
    assert (error.found, error.expected) == (found, expected)
    assert "--lenient" in error.remedy
    usage = read_usage(path, strict=False)
    assert usage.bad_rows == (BadRow(str(path), 5, field, found, expected),)
    assert usage.totals == Legs(151, 0, 110)
    assert str(path) in str(usage.bad_rows[0])
    assert f"line 5, field {field}" in str(usage.bad_rows[0])


def test_more_cached_than_input_is_a_bad_row(tmp_path):
    path = written(tmp_path, HEADER + ",cached_tokens", "1,10,2,10", "2,10,2,11")
    error = refused(path)
    assert error.thing == f"usage file {path}, line 3, field cached_tokens"
    assert error.found == 11
    assert read_usage(path, strict=False).totals == Legs(10, 10, 2)


@pytest.mark.parametrize("name", ["", " Ada", "Ada "])
def test_a_customer_needs_a_name(tmp_path, name):
    path = written(tmp_path, HEADER + ",customer", "1,10,2,Ada", f"2,10,2,{name}", "3,1,1,Bob")
    assert refused(path).thing == f"usage file {path}, line 3, field customer"
    usage = read_usage(path, strict=False)
    assert usage.customer is not None
    assert usage.customer.tolist() == ["Ada", "Bob"]


def test_the_same_row_of_another_customer_or_moment_is_no_repeat(tmp_path):
    usage = read_usage(written(tmp_path, HEADER + ",customer", "1,10,2,Ada", "1,10,2,Bob", "2,10,2,Ada"))
    assert len(usage) == 3


def test_a_bad_row_moves_no_clock_and_the_first_fault_is_the_one_named(tmp_path):
    path = written(tmp_path, HEADER, "1,10,2", "50,x,y", "2,10,2")
    usage = read_usage(path, strict=False)
    assert usage.timestamp_ns.tolist() == [10**9, 2 * 10**9]
    assert [(bad.line, bad.field) for bad in usage.bad_rows] == [(3, "input_tokens")]


def test_lines_are_counted_over_quoted_line_ends(tmp_path):
    path = written(tmp_path, HEADER + ",customer", '1,10,2,"Ada', 'Lovelace"', "2,x,2,Bob")
    assert refused(path).thing.endswith("line 4, field input_tokens")


# --- bad files ---


@pytest.mark.parametrize("missing", usage_rows.REQUIRED)
@pytest.mark.parametrize("strict", [True, False])
def test_a_missing_column_is_named(tmp_path, missing, strict):
    names = [name for name in usage_rows.REQUIRED if name != missing]
    error = refused(written(tmp_path, ",".join(names), "1,2"), strict)
    assert error.thing.endswith(f"line 1, field {missing}")
    assert missing in error.remedy


def test_an_unknown_column_is_named_or_leniently_left_out(tmp_path):
    path = written(tmp_path, HEADER + ",cost_usd", "1,10,2,0.5")
    error = refused(path)
    assert error.thing.endswith("field cost_usd")
    assert "--lenient" in error.remedy
    usage = read_usage(path, strict=False)
    assert (usage.totals, usage.ignored_columns) == (Legs(10, 0, 2), ("cost_usd",))


@pytest.mark.parametrize("strict", [True, False])
def test_a_column_may_not_stand_twice(tmp_path, strict):
    assert (
        refused(written(tmp_path, HEADER + ",input_tokens", "1,1,1,1"), strict).expected == "each column once"
    )


@pytest.mark.parametrize("strict", [True, False])
@pytest.mark.parametrize("kept", [3, 20, -9, -1])
def test_a_truncated_gzip_imports_nothing(tmp_path, kept, strict):
    path = tmp_path / "usage.csv.gz"
    lines = [HEADER, *(f"{at},{at % 7},{at % 5}" for at in range(5000))]
    path.write_bytes(gzip.compress("\n".join(lines).encode(), mtime=0)[:kept])
    error = refused(path, strict)
    assert "gzip" in f"{error.found} {error.expected}"


def test_a_damaged_gzip_is_named(tmp_path):
    data = bytearray(gzip.compress("\n".join([HEADER, *GOOD]).encode(), mtime=0))
    data[-6] ^= 1  # in the checksum
    path = tmp_path / "usage.csv.gz"
    path.write_bytes(bytes(data))
    assert refused(path).expected == "an undamaged gzip file"
    path.write_bytes(b"not gzip at all")
    assert refused(path).found == "no gzip header"


@pytest.mark.parametrize("strict", [True, False])
def test_text_that_is_not_utf8_is_named_with_its_line(tmp_path, strict):
    path = tmp_path / "usage.csv"
    path.write_bytes(f"{HEADER},customer\n1,2,3,Ada\n2,3,4,Jos".encode() + b"\xe9\n")
    error = refused(path, strict)
    assert error.thing.endswith("line 3")
    assert error.expected == "UTF-8 text"


@pytest.mark.parametrize("strict", [True, False])
def test_an_open_quote_is_named(tmp_path, strict):
    error = refused(written(tmp_path, HEADER + ",customer", '1,2,3,"Ada'), strict)
    assert error.expected == "one CSV row"


@pytest.mark.parametrize(
    ("content", "found"), [(b"", "an empty file"), (b"\n\n", "nothing"), (HEADER.encode() + b"\n", "no rows")]
)
def test_an_empty_file_is_no_usage(tmp_path, content, found):
    path = tmp_path / "usage.csv"
    path.write_bytes(content)
    assert refused(path).found == found


def test_a_file_that_cannot_be_read_is_named(tmp_path):
    assert refused(tmp_path / "absent.csv").expected == "a file that can be read"
    assert refused(tmp_path).expected == "a file that can be read"


def test_a_file_of_bad_rows_only_is_no_usage(tmp_path):
    error = refused(written(tmp_path, HEADER, "1,x,2", "2,y,2"), strict=False)
    assert "line 2, field input_tokens" in str(error.found)


def test_a_csv_file_is_read_without_the_library_for_parquet(tmp_path):
    path = written(tmp_path, HEADER, *GOOD)
    read = f"from ciyuan.services.usage import read_usage; read_usage({str(path)!r})"
    code = f"import sys; {read}; sys.exit('pyarrow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


# --- Parquet ---


def test_parquet_gives_what_csv_gives(tmp_path):
    plain = written(
        tmp_path, HEADER + ",cached_tokens,customer", "946.68059,374,44,0,Ada", "950.995169,396,109,396,词元"
    )
    columns = {
        "timestamp_s": [946.68059, 950.995169],
        "customer": pa.array(["Ada", "词元"]).dictionary_encode(),
        "input_tokens": pa.array([374, 396], pa.int32()),
        "output_tokens": pa.array([44.0, 109.0], pa.float64()),
        "cached_tokens": pa.array([0, 396], pa.uint64()),
    }
    usage, expected = read_usage(parquet(tmp_path, **columns)), read_usage(plain)
    assert same(usage, expected)


def same(one: Usage, other: Usage) -> bool:
    pairs = ((one.timestamp_ns, other.timestamp_ns), (one.input, other.input), (one.cached, other.cached))
    named = (
        one.customer is not None
        and other.customer is not None
        and one.customer.tolist() == other.customer.tolist()
    )
    return all(np.array_equal(a, b) for a, b in pairs) and np.array_equal(one.output, other.output) and named


@pytest.mark.parametrize(
    "times",
    [
        pa.array([1, 3]),
        pa.array([Decimal("1.000000000"), Decimal("3.000000000")]),
        pa.array(["1", "3.0"]),
        pa.array([1.0, 3.0]),
    ],
    ids=lambda times: str(times.type),
)
def test_parquet_times_may_be_integers_decimals_text_or_floats(tmp_path, times):
    usage = read_usage(parquet(tmp_path, timestamp_s=times, input_tokens=[1, 2], output_tokens=[3, 4]))
    assert usage.timestamp_ns.tolist() == [10**9, 3 * 10**9]


@given(st.integers(0, 10**12))
def test_a_float_of_up_to_six_decimals_is_the_moment_that_its_text_is(microseconds):
    faults: list[usage_rows.Fault] = []
    seconds = pa.array([microseconds / 10**6])
    assert usage_parquet._times(seconds, faults, pa).tolist() == [microseconds * 1_000]
    assert not faults


NAN = float("nan")


@pytest.mark.parametrize(
    ("field", "column", "expected"),
    [
        ("input_tokens", pa.array([1.0, NAN, 3.0]), usage_rows.NOT_A_NUMBER),
        ("input_tokens", pa.array([1.0, float("inf"), 3.0]), usage_rows.NOT_A_NUMBER),
        ("input_tokens", pa.array([1, None, 3]), usage_rows.NOT_A_NUMBER),
        ("input_tokens", pa.array([1.0, 2.5, 3.0]), usage_rows.FRACTION),
        ("output_tokens", pa.array([1, -2, 3]), usage_rows.NEGATIVE),
        ("output_tokens", pa.array([1, 2**64 - 1, 3], pa.uint64()), usage_rows.TOO_MANY),
        ("output_tokens", pa.array([1, 10**9 + 1, 3]), usage_rows.TOO_MANY),
        ("timestamp_s", pa.array([1.0, NAN, 3.0]), usage_rows.NOT_A_TIME),
        ("timestamp_s", pa.array([1, -2, 3]), usage_rows.NOT_A_TIME),
        ("timestamp_s", pa.array([1, 2**62, 3]), usage_rows.NOT_A_TIME),
        ("timestamp_s", pa.array(["1", None, "3"]), usage_rows.NOT_A_TIME),
        ("timestamp_s", pa.array([1, 0, 3]), "a time no earlier than the row before"),
        ("customer", pa.array(["Ada", None, "Bob"]), usage_rows.NOT_A_NAME),
    ],
)
def test_a_bad_parquet_row_is_named_by_its_number(tmp_path, field, column, expected):
    columns = {"timestamp_s": [1, 2, 3], "input_tokens": [1, 2, 3], "output_tokens": [1, 2, 3]} | {
        field: column
    }
    path = parquet(tmp_path, **columns)
    error = refused(path)
    assert error.thing == f"usage file {path}, row 2, field {field}"
    assert error.expected == expected
    usage = read_usage(path, strict=False)
    assert usage.timestamp_ns.tolist() == [10**9, 3 * 10**9]
    assert [(bad.line, bad.field, bad.expected) for bad in usage.bad_rows] == [(2, field, expected)]


@pytest.mark.parametrize("strict", [True, False])
@pytest.mark.parametrize(
    ("field", "column"),
    [
        ("input_tokens", pa.array(["1"])),
        ("output_tokens", pa.array([True])),
        ("output_tokens", pa.array([b"1"])),
        ("timestamp_s", pa.array([0], pa.timestamp("ns"))),
        ("timestamp_s", pa.array([1.0], pa.float32())),
        ("customer", pa.array([1.5])),
    ],
    ids=lambda value: value if isinstance(value, str) else str(value.type),
)
def test_a_parquet_column_of_the_wrong_type_is_named(tmp_path, field, column, strict):
    error = refused(
        parquet(
            tmp_path, **{"timestamp_s": [1], "input_tokens": [1], "output_tokens": [1]} | {field: column}
        ),
        strict,
    )
    assert error.thing.endswith(f"field {field}")
    assert error.found == str(column.type)


def test_parquet_columns_are_checked_by_name(tmp_path):
    assert refused(parquet(tmp_path, timestamp_s=[1], input_tokens=[1])).thing.endswith("field output_tokens")
    path = parquet(tmp_path, timestamp_s=[1], input_tokens=[1], output_tokens=[1], note=["x"])
    assert refused(path).thing.endswith("field note")
    assert read_usage(path, strict=False).ignored_columns == ("note",)


def test_a_parquet_file_that_is_none_or_torn_is_named(tmp_path):
    path = tmp_path / "usage.parquet"
    path.write_text("not Parquet")
    assert refused(path).expected == "a Parquet file"
    whole = parquet(tmp_path, timestamp_s=[1], input_tokens=[1], output_tokens=[1]).read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    assert refused(path).expected == "a Parquet file"
    assert refused(parquet(tmp_path, timestamp_s=pa.array([], pa.int64()), input_tokens=pa.array([], pa.int64()),
                           output_tokens=pa.array([], pa.int64()))).found == "no rows"  # fmt: skip
