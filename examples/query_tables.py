"""Ask a run's Parquet tables: who sold how much of what, at what price, and what the month's mean fixing was.

Play a month first, then run it from the project's folder:

    ciyuan run --scenario examples/scenario_small.toml --out runs/small
    .venv/bin/python examples/query_tables.py runs/small

With DuckDB installed the questions are SQL; without it the same answers come from PyArrow. The columns of all tables, and more
questions, are in docs/guide/analyst.md.
"""

import sys
from importlib.util import find_spec
from pathlib import Path

import pyarrow.compute as pc
import pyarrow.parquet as pq

MICRO = 10**6
Answer = list[tuple[object, ...]]


def by_supplier_sql(tables: Path) -> Answer:
    import duckdb

    question = """
        SELECT supplier, count(*) AS requests, sum(input_tokens) AS tokens_in, sum(output_tokens) AS tokens_out,
               sum(charge_micro) AS charged_micro
        FROM read_parquet(?) GROUP BY supplier ORDER BY supplier
    """
    return duckdb.execute(question, [str(tables / "deliveries.parquet")]).fetchall()


def by_supplier_arrow(tables: Path) -> Answer:
    read = pq.read_table(tables / "deliveries.parquet")
    wanted = [
        ("request", "count"),
        ("input_tokens", "sum"),
        ("output_tokens", "sum"),
        ("charge_micro", "sum"),
    ]
    grouped = read.group_by("supplier").aggregate(wanted).sort_by("supplier")
    names = ["supplier", *(f"{name}_{what}" for name, what in wanted)]
    return list(zip(*(grouped.column(name).to_pylist() for name in names), strict=True))


def month_mean_sql(tables: Path) -> Answer:
    import duckdb

    question = """
        SELECT leg, count(*) AS days, avg(value_micro) AS mean_micro
        FROM read_parquet(?) GROUP BY leg ORDER BY leg
    """
    return duckdb.execute(question, [str(tables / "fixings.parquet")]).fetchall()


def month_mean_arrow(tables: Path) -> Answer:
    read = pq.read_table(tables / "fixings.parquet", columns=["leg", "value_micro"])
    grouped = (
        read.group_by("leg").aggregate([("value_micro", "count"), ("value_micro", "mean")]).sort_by("leg")
    )
    names = ("leg", "value_micro_count", "value_micro_mean")
    return list(zip(*(grouped.column(name).to_pylist() for name in names), strict=True))


def main() -> None:
    run = Path(sys.argv[1] if len(sys.argv) > 1 else "runs/small")
    tables = run / "tables"
    if not tables.is_dir():
        sys.exit(f"{run} holds no run: play one first with  ciyuan run --out {run}")
    with_sql = find_spec("duckdb") is not None
    print(f"asked with {'DuckDB' if with_sql else 'PyArrow'}")
    print(f"{'supplier':>8} {'requests':>9} {'tokens in':>16} {'tokens out':>15} {'charged USD':>14}")
    for supplier, requests, tokens_in, tokens_out, charged in (
        by_supplier_sql if with_sql else by_supplier_arrow
    )(tables):
        print(f"{supplier:>8} {requests:>9,} {tokens_in:>16,} {tokens_out:>15,} {charged / MICRO:>14,.2f}")
    for leg, days, mean in (month_mean_sql if with_sql else month_mean_arrow)(tables):
        print(f"mean fixing of the {leg} leg over {days} days: {mean / MICRO:.6f} USD per MTok")
    longest = pc.max(pq.read_table(tables / "deliveries.parquet", columns=["output_tokens"])["output_tokens"])
    print(f"the longest answer: {longest.as_py():,} tokens")


if __name__ == "__main__":
    main()
