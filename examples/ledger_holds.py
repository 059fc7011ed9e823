"""A request that may cost at most 0.30 and does cost 0.12: hold the worst case, post the cost, free the rest.

Run it from the project's folder:  .venv/bin/python examples/ledger_holds.py
The rules it shows are numbered in docs/spec/ledger.md.
"""

import numpy as np

from ciyuan.basics.money import format_micro
from ciyuan.basics.rows import Row, code_of
from ciyuan.basics.time import NS_PER_SECOND
from ciyuan.ledger import AccountFlag, Event, Refusal, hold_row, open_row, post_row, transfer_row, void_row
from ciyuan.ledger.machine import Ledger

USD = 1  # an asset is a number; amounts are micro-units of it
WORLD, CUSTOMER, SUPPLIER = 1, 2, 3
HOLD_KEY, POST_KEY = 40, 41


def say(ledger: Ledger, what: str, row: Row) -> None:
    """Have the ledger apply one row, and print its answer and where the customer stands after it."""
    event = ledger.apply(np.array([row], dtype=np.int64))[-1].tolist()
    answer = Event(code_of(event[0]))
    why = f" {Refusal(event[7]).name}" if answer is Event.REFUSED else ""
    customer = ledger.account(CUSTOMER)
    balance, available = (format_micro(amount, 2) for amount in (customer.posted, customer.available))
    print(f"{what:<40} {answer.name + why:<38} balance {balance}, available {available}")


def main() -> None:
    ledger = Ledger()
    accounts = [
        open_row(0, WORLD, USD),  # may go below zero: the mirror of all money that came in
        open_row(0, CUSTOMER, USD, AccountFlag.NO_OVERDRAFT),
        open_row(0, SUPPLIER, USD),
    ]
    ledger.apply(np.array(accounts, dtype=np.int64))

    second = NS_PER_SECOND
    hold = hold_row(2 * second, HOLD_KEY, CUSTOMER, SUPPLIER, 300_000, timeout_ns=60 * second)
    post = post_row(3 * second, POST_KEY, HOLD_KEY, 120_000)
    say(ledger, "the customer pays in 1.00", transfer_row(1 * second, 1, WORLD, CUSTOMER, 1_000_000))
    say(ledger, "hold 0.30 for a request", hold)
    say(ledger, "spend 0.75 elsewhere meanwhile", transfer_row(2 * second, 2, CUSTOMER, SUPPLIER, 750_000))
    say(ledger, "the request cost 0.12: post it", post)
    say(ledger, "the same message arrives twice", post)
    say(ledger, "the same key with another amount", post_row(3 * second, POST_KEY, HOLD_KEY, 130_000))
    say(ledger, "void the hold after all", void_row(4 * second, 42, HOLD_KEY))

    ledger.check()
    print("every asset sums to zero, and nobody is overdrawn")


if __name__ == "__main__":
    main()
