"""Generated requests have the rates and the lengths that they were generated from, and the same seed gives the same."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ciyuan.basics.errors import Malformed
from ciyuan.services.trace_servegen import LENGTHS, RATES, Slice, generated

USAGE = Path(__file__).parents[3] / "shared" / "data" / "usage"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two clients of one model: a steady one and a bursty one, whose lengths are not published."""
    windows = [0, 600, 1200]
    rates = {
        "model": ["m"] * 6, "client": [0] * 3 + [1] * 3, "timestamp_s": windows * 2, "rate_rps": [2.0] * 3 + [1.0] * 3,
        "pattern": ["Gamma"] * 3 + ["Weibull"] * 3, "p1": [1.0] * 3 + [0.5] * 3,
    }  # fmt: skip
    lengths = {
        "model": ["m"], "client": [0], "timestamp_s": [0], "input_tokens_mean": [900.0], "input_tokens_p50": [500.0],
        "output_tokens_mean": [100.0], "output_tokens_p50": [150.0],
    }  # fmt: skip
    pq.write_table(pa.table(rates), tmp_path / RATES)
    pq.write_table(pa.table(lengths), tmp_path / LENGTHS)
    return tmp_path


def test_rates_and_lengths_are_those_of_the_files(folder: Path):
    trace = generated(folder, Slice("m", 0, 1800, 4.0), seed=1)
    assert trace.requests == pytest.approx(4 * 3 * 1800, rel=0.05)
    assert trace.input_tokens.mean() == pytest.approx(900, rel=0.05)
    assert np.median(trace.input_tokens) == pytest.approx(500, rel=0.05)
    assert set(trace.output_tokens.tolist()) == {100}
    assert 0 <= trace.arrival_s.min() < trace.arrival_s.max() < 1800


def test_a_slice_is_of_its_time_and_a_seed_is_its_trace(folder: Path):
    one, other = (generated(folder, Slice("m", 700, 200), seed=3) for _ in range(2))
    np.testing.assert_array_equal(one.arrival_s, other.arrival_s)
    assert one.arrival_s.min() >= 700
    assert one.arrival_s.max() < 900
    assert generated(folder, Slice("m", 700, 200), seed=4).requests != 0


@pytest.mark.parametrize(
    ("wanted", "what"),
    [
        (Slice("n", 0, 100), "model of ServeGen"),
        (Slice("m", 9999, 100), "slice of ServeGen"),
        (Slice("m", 0, 0), "slice of ServeGen"),
        (Slice("m", 0, 100, 1e-9), "no request"),
    ],
)
def test_what_is_not_there_is_refused(folder: Path, wanted: Slice, what: str):
    with pytest.raises(Malformed, match=what):
        generated(folder, wanted, seed=1)


def test_a_folder_without_the_files_is_refused(tmp_path: Path):
    with pytest.raises(Malformed, match="ServeGen file"):
        generated(tmp_path, Slice("m", 0, 100), seed=1)


@pytest.mark.skipif(
    not (USAGE / RATES).is_file(), reason="the shared data folder is not beside this checkout"
)
def test_the_published_clients_make_the_published_rate():
    table = pq.read_table(
        USAGE / RATES, filters=[("model", "=", "deepseek-r1"), ("timestamp_s", "=", 43_200)]
    )
    published = sum(table["rate_rps"].to_pylist())
    trace = generated(USAGE, Slice("deepseek-r1", 43_200, 600), seed=1)
    assert trace.requests / 600 == pytest.approx(published, rel=0.1)
