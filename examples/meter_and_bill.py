"""Meter three requests of one customer and print the bill, exact to the last pico-dollar.

Run it from the project's folder:  .venv/bin/python examples/meter_and_bill.py
Prices are micro-dollars per million tokens, so tokens x price is an exact cost in pico-dollars. A charge is whole
micro-dollars; what is left over is carried to the next charge and never lost (docs/spec/meter.md, rule 15).
"""

import numpy as np

from ciyuan.basics.money import PICO_PER_MICRO, format_micro
from ciyuan.basics.rows import Row, code_of
from ciyuan.basics.time import NS_PER_MINUTE, NS_PER_SECOND, ns_from_iso
from ciyuan.gateway import (
    MeterEvent,
    MeterRefusal,
    PartyRole,
    deliver_row,
    enrol_row,
    hold_row,
    parties_word,
    prices_row,
)
from ciyuan.gateway.machine import Meter
from ciyuan.ledger import AccountFlag, open_row, transfer_row
from ciyuan.ledger.machine import Ledger

USD = 1
WORLD, PREPAID, REVENUE = 1, 2, 3
CUSTOMER, SUPPLIER, GRADE = 1, 1, 1
PRICE_IN, PRICE_CACHED, PRICE_OUT = 950_000, 160_000, 4_000_000  # 0.95, 0.16 and 4.00 USD per million tokens
START = ns_from_iso("2026-10-01T09:00:00+08:00")


def rows(*given: Row) -> np.ndarray:
    return np.array(given, dtype=np.int64)


def open_for_business() -> Meter:
    """A customer who has prepaid 0.01 USD, and a supplier with its price list."""
    ledger = Ledger()
    ledger.apply(rows(
        open_row(START, WORLD, USD),
        open_row(START, PREPAID, USD, AccountFlag.NO_OVERDRAFT),
        open_row(START, REVENUE, USD),
        transfer_row(START, 1, WORLD, PREPAID, 10_000),
    ))  # fmt: skip
    meter = Meter(ledger)
    meter.apply(rows(
        enrol_row(START, PartyRole.CUSTOMER, CUSTOMER, PREPAID),
        enrol_row(START, PartyRole.SUPPLIER, SUPPLIER, REVENUE),
        prices_row(START, SUPPLIER, GRADE, price_in=PRICE_IN, price_cached=PRICE_CACHED, price_out=PRICE_OUT,
                   valid_from_ns=START),
    ))  # fmt: skip
    return meter


def main() -> None:
    meter = open_for_business()
    parties = parties_word(CUSTOMER, SUPPLIER, GRADE)
    asked = [  # request, input, of these cached, output, and the most output that the client allowed
        (1, 1_155, 0, 211, 512),
        (2, 1_155, 800, 97, 512),
        (3, 40_000, 0, 900, 1_024),
    ]
    exact_pico = 0
    print("request    in  cached   out  answer")
    for place, (request, tokens_in, cached, tokens_out, out_max) in enumerate(asked):
        at = START + place * NS_PER_MINUTE
        events = meter.apply(rows(
            hold_row(at, request, parties, tokens_in, out_max, timeout_ns=30 * NS_PER_MINUTE),
            deliver_row(at + 5 * NS_PER_SECOND, request, parties, tokens_in, cached, tokens_out),
        )).tolist()  # fmt: skip
        answers = [(MeterEvent(code_of(event[0])), event[7]) for event in events]
        held, settled = answers[0], answers[-1]
        if held[0] is MeterEvent.REFUSED:
            shown = f"{held[0].name}  {MeterRefusal(held[1]).name}: its worst case is not covered, so it never starts"
        else:
            shown = f"{settled[0].name}  {format_micro(settled[1])} USD (held {format_micro(held[1])})"
            exact_pico += (tokens_in - cached) * PRICE_IN + cached * PRICE_CACHED + tokens_out * PRICE_OUT
        print(f"{request:>7} {tokens_in:>6,} {cached:>6,} {tokens_out:>5,}  {shown}")

    customer = meter.parties[0].tolist()
    carry_pico, charged_micro = customer[3], customer[4]
    billed_pico = charged_micro * PICO_PER_MICRO + carry_pico
    print(f"charged {charged_micro:,} micro-dollars, carried to the next charge {carry_pico:,} pico-dollars")
    verdict = "the same" if billed_pico == exact_pico else "NOT the same"
    print(f"exact cost of what was delivered: {exact_pico:,} pico-dollars: {verdict}")
    print(f"prepaid money left: {format_micro(meter.ledger.available(PREPAID))} USD")


if __name__ == "__main__":
    main()
