"""Trace files are read whole or refused with the line; the real ones say what their sources say."""

import gzip
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ciyuan.basics.errors import Malformed
from ciyuan.factory.scheduler import simulate
from ciyuan.factory.scheduler_terms import Cluster
from ciyuan.services.trace_file import read_trace, shares_of
from tests.factory.scheduler_worlds import engine

USAGE = Path(__file__).parents[3] / "shared" / "data" / "usage"
MOONCAKE = USAGE / "mooncake_synthetic.csv.gz"


def written(folder: Path, text: str, name: str = "trace.csv") -> Path:
    path = folder / name
    if name.endswith(".gz"):
        path.write_bytes(gzip.compress(text.encode()))
    else:
        path.write_text(text)
    return path


@pytest.mark.parametrize("name", ["trace.csv", "trace.csv.gz"])
def test_a_file_is_read_by_the_names_of_its_columns(tmp_path: Path, name: str):
    text = "note,output_tokens,timestamp_s,tier,input_tokens,hash_ids\nx,5,2.5,1,600,a b\ny,6,1.5,0,513,a c\n"
    trace = read_trace(written(tmp_path, text, name))
    assert trace.arrival_s.tolist() == [1.5, 2.5]
    assert trace.input_tokens.tolist() == [513, 600]
    assert trace.output_tokens.tolist() == [6, 5]
    assert trace.tier.tolist() == [0, 1]
    assert trace.blocks.tolist() == [0, 1, 0, 2]


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("", "line 1"),
        ("timestamp_s,input_tokens\n1,2\n", "output_tokens"),
        ("timestamp_s,input_tokens,output_tokens\n", "no request"),
        ("timestamp_s,input_tokens,output_tokens\n1,2\n", "line 2: found '2 fields'"),
        ("timestamp_s,input_tokens,output_tokens\nnan,2,3\n", "line 2, timestamp_s"),
        ("timestamp_s,input_tokens,output_tokens\n1,2,3\n1,0,3\n", "line 3, input_tokens"),
        ("timestamp_s,input_tokens,output_tokens\n1,2,3.5\n", "line 2, output_tokens"),
        ("timestamp_s,input_tokens,output_tokens,tier\n1,2,3,-1\n", "line 2, tier"),
    ],
)
def test_a_fault_is_named_with_its_line(tmp_path: Path, text: str, what: str):
    with pytest.raises(Malformed, match=what):
        read_trace(written(tmp_path, text))


def test_a_torn_or_missing_file_is_refused(tmp_path: Path):
    whole = written(tmp_path, "timestamp_s,input_tokens,output_tokens\n" + "1,2,3\n" * 5000, "trace.csv.gz")
    whole.write_bytes(whole.read_bytes()[:40])
    with pytest.raises(Malformed, match="undamaged"):
        read_trace(whole)
    with pytest.raises(Malformed, match="Check its path"):
        read_trace(tmp_path / "none.csv")


def test_shares_are_numbers_with_commas():
    assert shares_of("0.2,0.8") == [0.2, 0.8]
    with pytest.raises(Malformed, match="shares of tiers"):
        shares_of("a,b")


@pytest.mark.skipif(not MOONCAKE.is_file(), reason="the shared data folder is not beside this checkout")
def test_a_cache_without_limit_finds_what_the_file_says_it_would():
    """One request at a time, so that each finds all that came before; its column `cacheable_tokens_inf` is 65.1% of the input."""
    import csv

    with gzip.open(MOONCAKE, "rt") as file:
        told = [int(row["cacheable_tokens_inf"]) for row in csv.DictReader(file)]
    trace = read_trace(MOONCAKE)
    outcome = simulate(trace, Cluster(engine(context_tokens_max=10**9, sequences_max=1)))
    np.testing.assert_array_equal(outcome.cached_tokens, told)
    assert outcome.cached_tokens.sum() / trace.input_tokens.sum() == pytest.approx(0.651, abs=0.01)


@pytest.mark.skipif(not MOONCAKE.is_file(), reason="the shared data folder is not beside this checkout")
def test_less_memory_finds_less():
    trace = read_trace(MOONCAKE)
    found = [
        simulate(trace, Cluster(engine(context_tokens_max=tokens, sequences_max=4))).cached_tokens.sum()
        for tokens in (200_000, 1_000_000, 10**8)
    ]
    none = simulate(trace, Cluster(replace(engine(), prefix_cache=False)))
    assert 0 == none.cached_tokens.sum() < found[0] < found[1] < found[2]
