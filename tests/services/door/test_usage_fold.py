"""Usage is a fold: the same sums however the journal is cut, flushed and cut short, each request once, each micro-unit once."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ciyuan.basics.errors import InvariantBroken, Malformed
from ciyuan.gateway.messages import (
    LimitUnit,
    LimitWindow,
    MeterCommand,
    MeterEvent,
    close_row,
    deliver_row,
    hold_row,
    leg_price_row,
    leg_used_row,
    limit_row,
    parties_word,
    spender_row,
    void_row,
)
from ciyuan.gateway.usage import Leg
from ciyuan.services.door.registry_database import Database, DatabaseFailed
from ciyuan.services.door.usage_columns import CELL, MEASURES
from ciyuan.services.door.usage_fold import UsageFold
from ciyuan.services.door.usage_tables import Delta, UsageTables
from ciyuan.venue.messages import Purse, VenueEvent
from tests.services.door.usage_market import HOUR_NS, START_NS, Market, Told, counted, matrix, random_told

pytest_plugins = ("tests.services.postgres",)
PARTIES = parties_word(2, 11, 5)
EVERY_ROW = 2**62


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    where = (
        tmp_path / "registry.sqlite" if request.param == "sqlite" else request.getfixturevalue("postgres_url")
    )
    with Database.open(where) as opened:
        yield opened


def table(database: Database, name: str, columns: tuple[str, ...]) -> list[tuple]:
    with database.view() as sql:
        return sql.rows(f"SELECT {', '.join(columns)} FROM {name} ORDER BY {', '.join(columns)}")


def hours(database: Database) -> dict[tuple[int, ...], list[int]]:
    return {
        row[: len(CELL)]: list(row[len(CELL) :]) for row in table(database, "usage_hour", CELL + MEASURES)
    }


def fed(database: Database, told: Told) -> UsageFold:
    fold = UsageFold(UsageTables(database))
    fold.take(0, *told.part(0, len(told.rows)))
    assert fold.flush(EVERY_ROW)
    return fold


def test_each_column_holds_what_it_says(database: Database):
    told = Told()
    told.price(11, 5, (950_000, 160_000, 4_000_000))
    told.hold(1 << 4, 7, PARTIES)
    told.leg(1 << 4, Leg.REASONING, 9)
    told.leg(1 << 4, Leg.IMAGES, 2)
    told.now_ns += HOUR_NS
    told.deliver(1 << 4, (60, 20, 30), 123, batch=True)
    told.hold(2 << 4, 8, PARTIES)
    told.void(2 << 4)
    told.hold(3 << 4, 8, PARTIES)
    told.expire(3 << 4)
    told.refuse(4 << 4, 8, PARTIES, 46)
    fold = fed(database, told)
    hour = START_NS // HOUR_NS + 1
    none = dict.fromkeys(MEASURES, 0)
    used = none | {"requests": 1, "tokens_in": 60, "tokens_cached": 20, "tokens_out": 30, "reasoning": 9, "images": 2,
                   "charged_micro": 123}  # fmt: skip
    lost = none | {"voided": 1, "expired": 1}
    assert hours(database) == {
        (hour, 2, 7, 11, 5, 1, 1): [used[name] for name in MEASURES],
        (hour, 2, 8, 11, 5, 0, 1): [lost[name] for name in MEASURES],
    }
    assert table(database, "usage_refused", ("hour", "customer", "spender", "reason", "refused")) == [
        (hour, 2, 8, 46, 1)
    ]
    assert table(
        database, "usage_price_list", ("number", "supplier", "price_cached", "batch_hundredths", "has_legs")
    ) == [(1, 11, 160_000, 50, 0)]
    assert fold.watermark == len(told.rows)


def test_days_are_the_sums_of_hours(database: Database):
    told = random_told(5, 120)
    fed(database, told)
    by_day: dict[tuple[int, ...], np.ndarray] = {}
    for cell, sums in hours(database).items():
        day = (cell[0] // 24, *cell[1:])
        by_day[day] = by_day.get(day, 0) + np.array(sums)
    stored = {row[:7]: list(row[7:]) for row in table(database, "usage_day", ("day", *CELL[1:], *MEASURES))}
    assert stored == {day: sums.tolist() for day, sums in by_day.items()}


def test_a_random_stream_is_counted_as_one_counts_by_hand(database: Database):
    told = random_told(1, 400)
    fed(database, told)
    assert hours(database) == counted(told)


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    cuts=st.lists(
        st.tuples(st.integers(1, 30), st.sampled_from(("keep", "flush", "kill", "fail"))), max_size=30
    ),
)
def test_killed_anywhere_and_fed_again_from_the_watermark_the_tables_are_the_same(
    tmp_path_factory: pytest.TempPathFactory, seed: int, cuts: list[tuple[int, str]]
):
    told = random_told(seed, 90)
    folder = tmp_path_factory.mktemp("fold")
    with Database.open(folder / "once.sqlite") as once, Database.open(folder / "often.sqlite") as often:
        fed(once, told)
        fold, at = UsageFold(UsageTables(often)), 0
        for rows, then in cuts:
            end = min(at + rows, len(told.rows))
            fold.take(at, *told.part(at, end))
            at = end
            if then == "flush":
                assert fold.flush(EVERY_ROW)
            elif then == "fail":
                with pytest.raises(DatabaseFailed):
                    failing(fold)
            elif then == "kill":
                fold = UsageFold(UsageTables(often))
                at = fold.watermark
        fold.take(at, *told.part(at, len(told.rows)))
        assert fold.flush(EVERY_ROW)
        for name, columns in (
            ("usage_hour", CELL + MEASURES),
            ("usage_day", ("day", *CELL[1:], *MEASURES)),
            ("usage_refused", ("hour", "spender", "reason", "refused")),
            ("usage_money", ("reference", "time_ns", "code", "micro", "to_purse")),
            ("usage_open", ("request", "spender", "reasoning", "images", "cache_write_long")),
            ("usage_watermark", ("sequence", "time_ns")),
        ):
            assert table(once, name, columns) == table(often, name, columns)


def failing(fold: UsageFold) -> None:
    """A flush whose database fails in the middle; it has rows to write, or fails for want of them."""
    tables = fold._tables
    write = tables.write

    def fail(delta: Delta) -> bool:
        with tables.database.change() as sql:
            sql.run("UPDATE usage_watermark SET sequence = ?", delta.watermark)
            sql.run("SELECT nothing FROM nowhere")
        return True

    tables.write = fail  # type: ignore[method-assign]
    try:
        if not fold.pending_rows:
            raise DatabaseFailed("here", "there was nothing to write")
        fold.flush(EVERY_ROW)
    finally:
        tables.write = write  # type: ignore[method-assign]


def test_a_held_request_keeps_its_spender_and_legs_over_a_restart(database: Database):
    told = Told()
    told.hold(1 << 4, 7, PARTIES)
    told.leg(1 << 4, Leg.REASONING, 9)
    fed(database, told)
    seen = len(told.rows)
    told.deliver(1 << 4, (60, 20, 30), 123)
    again = UsageFold(UsageTables(database))
    again.take(seen, *told.part(seen, len(told.rows)))
    assert again.flush(EVERY_ROW)
    assert hours(database) == counted(told)
    assert table(database, "usage_open", ("request",)) == []


def test_legs_told_after_a_flush_are_kept_too(database: Database):
    told = Told()
    told.hold(1 << 4, 7, PARTIES)
    fold = fed(database, told)
    told.leg(1 << 4, Leg.SEARCHES, 3)
    fold.take(1, *told.part(1, 2))
    assert fold.flush(EVERY_ROW)
    assert table(database, "usage_open", ("request", "spender", "searches")) == [(16, 7, 3)]


def test_two_folds_of_one_journal_count_once(database: Database):
    told = random_told(3, 60)
    first, second = UsageFold(UsageTables(database)), UsageFold(UsageTables(database))
    for fold in (first, second):
        fold.take(0, *told.part(0, len(told.rows)))
    assert first.flush(EVERY_ROW)
    assert not second.flush(EVERY_ROW)
    assert hours(database) == counted(told)
    assert UsageFold(UsageTables(database)).watermark == len(told.rows)


def test_what_is_behind_the_watermark_is_left_out_and_a_gap_is_refused(database: Database):
    told = random_told(4, 40)
    fold = fed(database, told)
    fold.take(0, *told.part(0, 10))
    assert fold.pending_rows == 0
    with pytest.raises(Malformed, match="rows from"):
        fold.take(len(told.rows) + 1, *told.part(0, 1))
    with pytest.raises(Malformed, match="rows from"):
        fold.take(len(told.rows) - 1, *told.part(0, 3))


def test_ten_thousand_cells_in_one_flush_are_all_there(database: Database):
    """Case 10 of the gateway's: a flush that keeps the first hundred rows."""
    told = Told()
    for request in range(1, 10_001):
        told.hold(request << 4, request, PARTIES)
        told.deliver(request << 4, (1, 0, 1), request)
    fed(database, told)
    with database.view() as sql:
        found = sql.row(
            "SELECT COUNT(*), CAST(SUM(charged_micro) AS BIGINT), CAST(SUM(requests) AS BIGINT) FROM usage_hour"
        )
    assert found == (10_000, sum(range(1, 10_001)), 10_000)


def test_the_sums_are_never_ahead_of_what_the_journal_would_keep_in_a_power_cut(database: Database):
    told = random_told(6, 60)
    fold, half = UsageFold(UsageTables(database)), 31
    fold.take(0, *told.part(0, half))
    fold.take(half, *told.part(half, len(told.rows)))
    assert fold.flush(half - 1)
    assert (fold.watermark, fold.pending_rows, hours(database)) == (0, len(told.rows), {})
    assert fold.flush(half)
    assert (fold.watermark, fold.pending_rows) == (half, len(told.rows) - half)
    assert fold.flush(len(told.rows))
    assert hours(database) == counted(told)


def test_a_request_that_was_never_held_stops_the_fold(database: Database):
    told = Told()
    told.hold(1 << 4, 7, PARTIES)
    told.deliver(1 << 4, (1, 0, 1), 5)
    fold = UsageFold(UsageTables(database))
    rows, events = told.part(1, 2)
    fold._taken = fold.watermark = 0
    fold.take(0, rows, events)
    with pytest.raises(InvariantBroken, match="never held"):
        fold.flush(EVERY_ROW)
    assert hours(database) == {}


def test_an_answer_too_few_stops_the_fold(database: Database):
    told = Told()
    told.hold(1 << 4, 7, PARTIES)
    fold = UsageFold(UsageTables(database))
    fold.take(0, told.part(0, 1)[0], matrix([]))
    with pytest.raises(InvariantBroken, match="1 commands, 0 answers"):
        fold.flush(EVERY_ROW)


def test_of_a_real_venue_every_micro_unit_is_counted(tmp_path: Path):
    market = Market()
    market.open(prepaid_micro=30_000)
    for request in range(1, 40):
        market.now_ns += 20 * 60 * 10**9
        key = request << 4
        market.tell(hold_row(0, key, parties_word(2, 1, 5), 500, 300, 3600 * 10**9))
        if request % 5 == 0:
            market.tell(void_row(0, key))
        elif request % 7:
            market.tell(
                deliver_row(0, key, parties_word(2, 1, 5), 400, 100, request * 7, batch=request % 2 == 0)
            )
    charged = sum(
        int(event[7]) for _, events in market.batches for event in events if event[0] & 0xFFFF == 254
    )
    with Database.open(tmp_path / "registry.sqlite") as database:
        fold = UsageFold(UsageTables(database))
        market.feed(fold)
        assert fold.flush(EVERY_ROW)
        with database.view() as sql:
            found = sql.row(
                "SELECT SUM(requests), SUM(voided), SUM(expired), SUM(charged_micro) FROM usage_hour"
            )
            refused = sql.value("SELECT SUM(refused) FROM usage_refused")
        money = table(
            database, "usage_money", ("reference", "code", "participant", "purse", "micro", "to_purse")
        )
    balance = market.venue.ledger.posted(market.venue.terms.chart.purse(2, Purse.PREPAID))
    assert found is not None
    assert charged > 0
    assert found[3] == charged == 30_000 - balance
    said = [int(event[0]) & 0xFFFF for _, events in market.batches for event in events]
    ended = [said.count(code) for code in (MeterEvent.SETTLED, MeterEvent.VOIDED, MeterEvent.EXPIRED)]
    assert list(found[:3]) == ended
    assert min(ended) > 0
    assert (refused or 0) == sum(
        event[0] & 0xFFFF == MeterEvent.REFUSED and rows[0, 0] & 0xFFFF == MeterCommand.HOLD
        for rows, events in market.batches
        for event in events
    )
    assert money == [
        (901, VenueEvent.DEPOSITED, 2, Purse.CASH, 30_000, 0),
        (10_901, VenueEvent.MOVED, 2, Purse.CASH, 30_000, Purse.PREPAID),
    ]


def test_spenders_legs_and_limits_of_a_real_venue_are_counted(tmp_path: Path):
    market, parties = Market(), parties_word(2, 1, 5)
    market.open()
    start = market.now_ns
    market.now_ns += 1
    market.tell(
        leg_price_row(0, 1, 5, Leg.CACHE_WRITE_SHORT, 1_250_000, valid_from_ns=start),
        leg_price_row(0, 1, 5, Leg.IMAGES, 7_000 * 10**6, valid_from_ns=start, bound=4),
        spender_row(0, 1, 0, 2),
        spender_row(0, 7, 1, 2),
        limit_row(0, 3, 1, LimitUnit.REQUESTS, LimitWindow.DAY, 2),
    )
    for request in (1, 2, 3):
        market.tell(hold_row(0, request << 4, parties, 900, 900, 0, 7))
    market.tell(leg_used_row(0, 1 << 4, Leg.CACHE_WRITE_SHORT, 100), leg_used_row(0, 1 << 4, Leg.IMAGES, 2))
    market.tell(leg_used_row(0, 1 << 4, Leg.CACHE_WRITE_SHORT, 300))
    events = market.tell(
        deliver_row(0, 1 << 4, parties, 800, 200, 90), void_row(0, 2 << 4), close_row(0, 1 << 4, 3 << 4)
    )
    charged = int(events[0, 7])
    assert charged == (300 * 950_000 + 200 * 160_000 + 300 * 1_250_000 + 90 * 4_000_000) // 10**6 + 2 * 7_000
    with Database.open(tmp_path / "registry.sqlite") as database:
        fold = UsageFold(UsageTables(database))
        market.feed(fold)
        assert fold.flush(EVERY_ROW)
        columns = (
            "spender",
            "requests",
            "voided",
            "tokens_in",
            "cache_write_short",
            "images",
            "charged_micro",
        )
        assert table(database, "usage_hour", columns) == [(7, 1, 1, 800, 300, 2, charged)]
        refused = table(database, "usage_refused", ("spender", "reason", "limit_number", "refused"))
        assert [(row[0], row[2], row[3]) for row in refused] == [(7, 3, 1)]
        assert table(database, "usage_price_list", ("number", "has_legs")) == [(1, 1)]
        assert table(database, "usage_open", ("request",)) == []


def test_sums_that_are_ahead_of_the_journal_stop_the_fold(database: Database):
    told = random_told(6, 30)
    fold = fed(database, told)
    with pytest.raises(InvariantBroken, match="not ahead of its journal"):
        fold.flush(len(told.rows) - 1)
