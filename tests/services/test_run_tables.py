"""A run's tables, asked with DuckDB as an analyst would: they say what the summary says, and they balance."""

import json
from datetime import date

import numpy as np
import pytest

from ciyuan.basics.rows import kind_word
from ciyuan.clearing.messages import ClearingEvent
from ciyuan.exchange.contract import ContractKind
from ciyuan.exchange.messages import ExchangeEvent, FillFlag
from ciyuan.gateway.messages import MeterEvent, MeterFlag, parties_word
from ciyuan.index.messages import IndexEvent
from ciyuan.services.catalog_venue import contracts
from ciyuan.services.run_tables import LEGS, LEVELS, run_specs
from ciyuan.services.tables import Tables
from tests.services.runs import asked, rows_of

TABLES = ("deliveries", "fills", "fixings", "settlements", "positions", "margin", "statements", "coverage")


@pytest.fixture
def told(small_run):
    """A function of a question about the small run's tables, which are named in braces."""

    def tell(question):
        names = {name: f"read_parquet('{small_run}/tables/{name}.parquet')" for name in TABLES}
        return asked(question.format(**names))

    return tell


@pytest.fixture
def summary(small_said):
    return json.loads(small_said.out)


def test_every_table_is_there_and_has_rows(told):
    for name in TABLES:
        ((count,),) = told(f"SELECT count(*) FROM {{{name}}}")
        assert count > 0, name


def test_deliveries_sum_to_the_summary(told, summary):
    ((count, requests, into, cached, out, charged),) = told(
        "SELECT count(*), count(DISTINCT request), sum(input_tokens), sum(cached_tokens), sum(output_tokens), "
        "sum(charge_micro) FROM {deliveries}"
    )
    assert count == requests == summary["requests_metered"]
    assert (into, cached, out) == (summary["tokens_in"], summary["tokens_cached"], summary["tokens_out"])
    assert charged == summary["charged_micro"]


def test_each_side_of_a_trade_has_its_fill(told, summary):
    unbalanced = told(
        "SELECT contract FROM {fills} GROUP BY contract HAVING sum(CASE WHEN sell THEN -lots ELSE lots END) <> 0"
    )
    assert unbalanced == []
    lame = told(
        "SELECT trade, contract FROM {fills} GROUP BY ALL HAVING count(*) <> 2 OR sum(sell::INT) <> 1 "
        "OR min(price_micro) <> max(price_micro) OR min(lots) <> max(lots)"
    )
    assert lame == []
    assert told("SELECT count(*) / 2 FROM {fills}") == [(summary["trades"],)]


def test_the_fixings_mean_is_what_the_future_was_settled_at(told, summary):
    ((count,),) = told("SELECT count(*) FROM {fixings}")
    assert count == summary["fixings"]
    ((mean,),) = told(
        "SELECT (2 * sum(value_micro) + count(*)) // (2 * count(*)) FROM {fixings} "
        "WHERE leg = 'standard' AND day BETWEEN '2026-10-01' AND '2026-10-31'"
    )
    assert mean == summary["final_micro"]


def test_variation_sums_to_zero_every_day(told):
    assert (
        told(
            "SELECT day, contract FROM {positions} GROUP BY ALL HAVING sum(variation_micro) <> 0 OR sum(lots) <> 0"
        )
        == []
    )


def test_every_statement_reconciles(told):
    wrong = told(
        "SELECT participant, day FROM {statements} WHERE opening_micro + transferred_micro + variation_micro "
        "- fees_micro - bought_micro + sold_micro + lent_micro - fund_micro - penalties_micro <> closing_micro"
    )
    assert wrong == []


def test_a_days_closing_is_the_next_days_opening(told):
    broken = told(
        "SELECT participant, day FROM (SELECT participant, day, opening_micro, lag(closing_micro) OVER "
        "(PARTITION BY participant ORDER BY place) AS before FROM "
        "(SELECT *, row_number() OVER () AS place FROM {statements})) WHERE opening_micro <> before"
    )
    assert broken == []


def test_the_scenarios_and_the_ladder_make_the_requirement(told):
    wrong = told(
        "SELECT count(*) FROM {statements} WHERE requirement_micro < ladder_micro // 8 OR scenario_micro < 0"
    )
    assert wrong == [(0,)]
    ((asked,),) = told(
        "SELECT count(*) FROM {statements} WHERE scenario_micro > 0 AND requirement_micro < ladder_micro"
    )
    assert asked > 0


def test_what_was_held_and_won_is_the_variation_since(small_run):
    holdings = f"read_parquet('{small_run}/tables/holdings.parquet')"
    positions = f"read_parquet('{small_run}/tables/positions.parquet')"
    paid = f"SELECT participant, contract, sum(variation_micro) AS paid FROM {positions} GROUP BY ALL"
    won = f"SELECT participant, contract, sum(realised_micro + unrealised_micro) AS won FROM {holdings} GROUP BY ALL"
    apart = asked(f"SELECT * FROM ({won}) JOIN ({paid}) USING (participant, contract) WHERE won <> paid")
    assert apart == []
    ((rows,),) = asked(f"SELECT count(*) FROM {holdings}")
    assert rows > 0


def test_the_margin_model_has_every_scenario_of_the_living_futures(small_run):
    model = f"read_parquet('{small_run}/tables/margin_model.parquet')"
    counts = asked(
        f"SELECT kind, count(DISTINCT scenario), count(*) FROM {model} GROUP BY kind ORDER BY kind"
    )
    futures = {"filtered": 400, "stressed": 100}
    assert [(kind, of) for kind, of, _ in counts] == sorted(futures.items())
    assert all(rows % futures[kind] == 0 for kind, _, rows in counts)


def test_margin_is_stated_with_each_statement(told):
    apart = told(
        "SELECT count(*) FROM {margin} m POSITIONAL JOIN {statements} s WHERE m.participant <> s.participant "
        "OR m.day <> s.day OR m.requirement_micro <> s.requirement_micro OR m.excess_micro <> s.excess_micro"
    )
    assert apart == [(0,)]
    assert told("SELECT count(*) FROM {margin} WHERE excess_micro <> equity_micro - requirement_micro") == [
        (0,)
    ]
    assert told("SELECT min(requirement_micro) >= 0 FROM {margin}") == [(True,)]


def test_each_contract_has_a_settlement_price_on_each_business_day(told):
    rows = told("SELECT contract, count(DISTINCT day), min(settlement_micro) FROM {settlements} GROUP BY ALL")
    assert {name for name, _, _ in rows} >= {"KIMI26.SPOT", "KIMI26.2610"}
    assert all(lowest > 0 for _, _, lowest in rows)
    assert len({days for name, days, _ in rows}) == 1


def test_days_are_the_venues_and_times_are_utc(told):
    """The venue is eight hours ahead: what is fixed at 16:00 there is fixed at 08:00 in UTC."""
    hours = told(
        "SELECT DISTINCT epoch_us(time::TIMESTAMPTZ) / 3600e6 - 24 * (day - DATE '1970-01-01') FROM {fixings}"
    )
    assert hours == [(8.0,)]


# --- one row of each kind, word by word ---

SPOT = next(contract for contract in contracts() if contract.kind == ContractKind.SPOT)
DAY, AT = 20_727, 1_790_812_800_000_000_000
EVENTS = {
    "deliveries": [
        kind_word(MeterEvent.SETTLED, MeterFlag.BATCH),
        AT,
        5,
        parties_word(12, 3, 1),
        100,
        40,
        7,
        9,
    ],
    "fills": [
        *(
            kind_word(ExchangeEvent.FILLED, FillFlag.SIDE_SELL | FillFlag.TAKER),
            AT,
            2,
            8,
            SPOT.number,
            90,
            4,
            77,
        )
    ],
    "fixings": [kind_word(IndexEvent.FIXED), AT, 1, DAY, 2, 950_000, 3, 1],
    "settlements": [kind_word(ExchangeEvent.SETTLEMENT_PRICE), AT, SPOT.number, 90, DAY, 2, 99, 81],
    "positions": [kind_word(ClearingEvent.VARIATION), AT, 2, SPOT.number, -5, 6, 90, DAY],
    "margin": [kind_word(ClearingEvent.MARGIN), AT, 2, 10, 30, 20, 0, DAY],
    "money": [kind_word(ClearingEvent.STATEMENT_MONEY), AT, 2, DAY, 1, 2, 3, 4],
    "spot": [kind_word(ClearingEvent.STATEMENT_SPOT), AT, 2, DAY, 5, 6, 7, 8],
    "closing": [kind_word(ClearingEvent.STATEMENT_CLOSING), AT, 2, DAY, 9, 10, 11, 12],
    "backtested": [kind_word(ClearingEvent.BACKTESTED), AT, 1, 3, 1, 2, -7, DAY],
    "fund": [kind_word(ClearingEvent.STATEMENT_FUND), AT, 2, DAY, 13, 14, 15, 16],
}
ON = {"day": date(2026, 10, 1), "participant": "Ada"}
ROWS = {
    "deliveries": {
        "request": 5,
        "customer": 12,
        "supplier": 3,
        "input_tokens": 100,
        "cached_tokens": 40,
        "output_tokens": 7,
        "batch": True,
        "charge_micro": 9,
    },
    "fills": {
        "trade": 77,
        "contract": SPOT.code,
        "participant": "Ada",
        "order_id": 8,
        "sell": True,
        "taker": True,
        "auction": False,
        "price_micro": 90 * SPOT.tick_micro,
        "lots": 4,
    },
    "fixings": {
        "grade": 1,
        "day": ON["day"],
        "leg": LEGS[2],
        "value_micro": 950_000,
        "level": LEVELS[3],
        "version": 1,
    },
    "settlements": {
        "contract": SPOT.code,
        "day": ON["day"],
        "settlement_micro": 90 * SPOT.tick_micro,
        "method": 2,
    },
    "positions": ON | {"contract": SPOT.code, "lots": 6, "variation_micro": -5, "final": False},
    "coverage": {
        "day": ON["day"], "contract": SPOT.code, "days": 3, "long_exceptions": 1, "short_exceptions": 2, "won_micro": -7,
    },
    "margin": ON | {"requirement_micro": 10, "equity_micro": 30, "excess_micro": 20},
    "statements": ON
    | {"opening_micro": 1, "transferred_micro": 2, "variation_micro": 3, "fees_micro": 4}
    | {"bought_micro": 5, "sold_micro": 6, "receipts_bought": 7, "receipts_sold": 8}
    | {"lent_micro": 9, "closing_micro": 10, "requirement_micro": 11, "excess_micro": 12}
    | {"fund_micro": 13, "penalties_micro": 14, "ladder_micro": 15, "scenario_micro": 16},
}  # fmt: skip


@pytest.mark.parametrize("name", TABLES)
def test_an_event_is_read_word_by_word(tmp_path, name):
    with Tables(tmp_path / "tables", run_specs(contracts(), {2: "Ada"})) as tables:
        tables.take(np.array([*EVENTS.values()], dtype=np.int64))
    (row,) = rows_of(tmp_path, name)
    assert row.pop("time").isoformat() == "2026-10-01T00:00:00+00:00"  # type: ignore[attr-defined]
    assert row == ROWS[name]


def test_the_specifications_are_these_tables():
    assert sorted(spec.name for spec in run_specs(contracts(), {})) == sorted(TABLES)
