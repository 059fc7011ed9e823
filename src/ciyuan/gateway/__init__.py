"""The gateway: tokens delivered, metered once, billed once. This module gives its messages; the machine is
`gateway.machine`.
"""

from ciyuan.gateway.messages import (
    MeterCommand,
    MeterEvent,
    MeterFlag,
    MeterRefusal,
    PartyRole,
    RequestState,
    customer_of,
    deliver_row,
    enrol_row,
    grade_of,
    hold_row,
    parties_word,
    prices_row,
    supplier_of,
    tick_row,
    void_row,
)

__all__ = [
    "MeterCommand",
    "MeterEvent",
    "MeterFlag",
    "MeterRefusal",
    "PartyRole",
    "RequestState",
    "customer_of",
    "deliver_row",
    "enrol_row",
    "grade_of",
    "hold_row",
    "parties_word",
    "prices_row",
    "supplier_of",
    "tick_row",
    "void_row",
]
