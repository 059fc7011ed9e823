"""The connection is cut at every message of an exchange, before and after it arrives: rows are written once, none forgotten."""

from contextlib import contextmanager

import numpy as np
import pytest

from ciyuan.basics.rows import TIME
from ciyuan.services import postgres_journal_link
from ciyuan.services.postgres_journal import PostgresJournal
from ciyuan.services.postgres_journal_link import JournalUnavailable
from tests.services.exchanged import NOW, WRITER, check_whole, journaled, rows_of
from tests.services.numbered import GENESIS
from tests.services.relay import Fault, Relay

pytest_plugins = ("tests.services.postgres",)
MINE, THEIRS = 1, 2
MESSAGES_MAX, MESSAGES_AGAIN_MAX = 12, 30
"""More than an exchange sends, and connecting again with it: the loops below end when the fault comes too late to happen."""


@pytest.fixture
def relay(postgres_server, monkeypatch):
    """The relay; a connection that it leaves hanging with the lock is thrown out sooner than in life."""
    monkeypatch.setattr(
        postgres_journal_link, "SETTINGS", postgres_journal_link.SETTINGS.replace("'5000'", "'1000'")
    )
    with Relay(postgres_server.socket) as relay:
        yield relay


class Pair:
    """Two processes of one journal; the first behind the relay. `busy`: the second writes before each exchange of the first."""

    def __init__(self, database, postgres_server, relay, name, busy):
        self.direct = PostgresJournal.create(database, GENESIS, name=name)
        self.relayed = PostgresJournal.open(
            database.replace(str(postgres_server.folder), str(relay.folder)), name=name
        )
        self.busy, self.written = busy, {MINE: 0, THEIRS: 0}
        self.heard = [self.exchange() for _ in range(4)]  # twice and more: the statements are prepared by now

    def other_writes(self):
        self.direct.exchange(rows_of(THEIRS, self.written[THEIRS], 1), NOW)
        self.written[THEIRS] += 1

    def next_rows(self, count=3):
        return rows_of(MINE, self.written[MINE], count)

    def exchange(self, rows=None):
        """What the first one heard, as one matrix."""
        if self.busy:
            self.other_writes()
        rows = self.next_rows() if rows is None else rows
        exchanged = self.relayed.exchange(rows, NOW)
        check_same_but_times(exchanged.mine, rows)
        self.written[MINE] += len(rows)
        return np.concatenate(exchanged)

    def close(self):
        self.relayed.close()
        self.direct.close()


def check_same_but_times(found, rows):
    assert (found[:, TIME] > 0).all()
    assert np.array_equal(np.delete(found, TIME, axis=1), np.delete(rows, TIME, axis=1))


def check_agreed(pair):
    """The journal holds each row once, and what the first one was told is the journal from its first row to its last."""
    pair.heard.append(np.concatenate(pair.relayed.exchange(rows_of(MINE, 0, 0), NOW)))
    pair.direct.exchange(rows_of(THEIRS, 0, 0), NOW)
    whole = journaled(pair.direct.read())
    assert check_whole(whole) == {writer: count for writer, count in pair.written.items() if count}
    assert np.array_equal(np.concatenate(pair.heard), whole)


@contextmanager
def every_cut(postgres_server, relay, busy):
    """Pairs that have exchanged, and the message of the next exchange to be lost, until none is."""
    pairs, database = [], postgres_server.create_database()

    def cuts(fault, **arming):
        for message in range(MESSAGES_MAX):
            relay.disarm()
            pair = Pair(database, postgres_server, relay, f"cut at {message}", busy)
            pairs.append(pair)
            if busy:
                pair.other_writes()
            relay.arm(message, fault, **arming)
            yield pair
            pair.close()
            if not relay.tripped:
                return
        pytest.fail(f"an exchange sends more than {MESSAGES_MAX} messages")

    yield cuts
    for pair in pairs:
        pair.close()


BUSY = pytest.mark.parametrize("busy", [False, True], ids=["alone", "in turn"])


@BUSY
@pytest.mark.parametrize("fault", list(Fault))
def test_a_connection_cut_anywhere_is_made_again_and_the_rows_are_written_once(
    postgres_server, relay, busy, fault
):
    with every_cut(postgres_server, relay, busy) as cuts:
        for cut, pair in enumerate(cuts(fault)):
            pair.heard.append(pair.exchange())
            relay.disarm()
            assert not relay.deliver(), f"message {cut} was done after the exchange that sent it was over"
            check_agreed(pair)
        assert cut >= 1 + busy


def attempt(pair, rows):
    """Exchange, which may fail; what it failed with."""
    try:
        pair.heard.append(pair.exchange(rows))
    except JournalUnavailable as error:
        return error
    return None


@BUSY
@pytest.mark.parametrize("fault", list(Fault))
def test_rows_in_doubt_that_are_exchanged_again_are_written_once(postgres_server, relay, busy, fault):
    with every_cut(postgres_server, relay, busy) as cuts:
        doubts = []
        for pair in cuts(fault, refuse_then=True):
            rows = pair.next_rows()
            failed = attempt(pair, rows)
            if failed is not None:
                still = attempt(pair, rows)
                assert still is not None
                assert still.in_doubt == failed.in_doubt
                doubts.append(failed.in_doubt)
                relay.disarm()
                assert attempt(pair, rows) is None
            relay.disarm()
            assert not relay.deliver()
            check_agreed(pair)
        assert any(doubts)


@BUSY
@pytest.mark.parametrize("fault", [Fault.REQUEST, Fault.ANSWER])
def test_rows_are_written_once_if_the_way_back_is_cut_too(postgres_server, relay, busy, fault):
    twice = 0
    for again in range(MESSAGES_AGAIN_MAX):
        with every_cut(postgres_server, relay, busy) as cuts:
            happened = False
            for pair in cuts(fault, again=again):
                rows = pair.next_rows()
                while attempt(pair, rows) is not None:
                    pair.busy = False
                happened = happened or relay.tripped_again
                relay.disarm()
                check_agreed(pair)
        if not happened:
            break
        twice += 1
    assert 3 < twice < MESSAGES_AGAIN_MAX


@BUSY
@pytest.mark.parametrize("fault", list(Fault))
@pytest.mark.parametrize("count", [0, 2])
def test_rows_in_doubt_that_are_given_up_are_among_the_others_or_not_there(
    postgres_server, relay, busy, fault, count
):
    with every_cut(postgres_server, relay, busy) as cuts:
        fates = set()
        for pair in cuts(fault, refuse_then=True):
            rows = pair.next_rows()
            failed = attempt(pair, rows)
            if failed is not None:
                relay.disarm()
                exchanged = pair.relayed.exchange(rows_of(3, 0, count), NOW)
                pair.heard.append(np.concatenate(exchanged))
                arrived = int((exchanged.others[:, WRITER] == MINE).sum())
                pair.written[MINE] += arrived
                pair.written[3] = len(exchanged.mine)
                fates.add((arrived, failed.in_doubt))
            relay.disarm()
            assert not relay.deliver()
            check_agreed(pair)
        assert fates <= {(3, True), (0, True), (0, False)}
        assert ((3, True) in fates) == (fault is Fault.ANSWER)
        assert ((0, True) in fates) == (fault is not Fault.ANSWER)


def test_a_process_goes_on_when_the_server_is_back(postgres_url, relay, postgres_server):
    relayed = postgres_url.replace(str(postgres_server.folder), str(relay.folder))
    with PostgresJournal.create(relayed, GENESIS) as journal:
        journal.exchange(rows_of(MINE, 0, 2), NOW)
        relay.arm(0, Fault.REQUEST, refuse_then=True)
        for _ in range(2):
            with pytest.raises(
                JournalUnavailable, match=r"journal gateway at postgresql://.* is unavailable"
            ):
                journal.exchange(rows_of(MINE, 2, 1), NOW)
            assert journal.sequence == 2
        for call in (
            lambda: list(journal.read()),
            journal.latest_snapshot,
            journal.prune,
            lambda: journal.wait(0),
        ):
            with pytest.raises(JournalUnavailable):
                call()
        relay.disarm()
        assert len(journal.exchange(rows_of(MINE, 2, 1), NOW).mine) == 1
        assert check_whole(journaled(journal.read())) == {MINE: 3}
