"""Interrupts that wait (services/interrupts.py)."""

import signal
import threading
from contextlib import suppress

import pytest

from ciyuan.services.interrupts import interrupts_held


@pytest.fixture(autouse=True)
def as_python_begins():
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def interrupt() -> None:
    signal.raise_signal(signal.SIGINT)


def work(*steps: str) -> list[str]:
    """What was done of the steps: "interrupt", "heed", "fail", or a word to note down."""
    done = []
    with suppress(KeyboardInterrupt), interrupts_held() as heed:
        for step in steps:
            if step == "interrupt":
                interrupt()
            elif step == "heed":
                heed()
            elif step == "fail":
                raise ValueError("of its own")
            else:
                done.append(step)
        done.append("end")
    return done


def test_an_interrupt_is_raised_where_it_is_heeded():
    assert work("heed", "interrupt", "the same step", "heed", "the next step") == ["the same step"]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def held_to_the_end() -> None:
    with interrupts_held():
        interrupt()


def test_one_that_nobody_heeded_is_raised_at_the_end():
    assert work("interrupt", "all") == ["all", "end"]
    with pytest.raises(KeyboardInterrupt):
        held_to_the_end()


def test_a_second_one_does_not_wait():
    assert work("first", "interrupt", "second", "interrupt", "third") == ["first", "second"]


def test_without_one_nothing_happens():
    with interrupts_held() as heed:
        heed()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_failure_is_not_hidden_by_an_interrupt():
    with pytest.raises(ValueError, match="of its own"):
        work("interrupt", "fail")
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_where_interrupts_are_ignored_they_stay_ignored():
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with interrupts_held() as heed:
        interrupt()
        heed()
    assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN


def test_another_thread_changes_nothing():
    found = []

    def elsewhere() -> None:
        with interrupts_held() as heed:
            heed()
            found.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=elsewhere)
    thread.start()
    thread.join()
    assert found == [signal.default_int_handler]
