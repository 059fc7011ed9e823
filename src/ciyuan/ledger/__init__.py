"""The ledger: who owns what, in whole units, exactly once. This module gives its messages; the machine is `ledger.machine`."""

from ciyuan.ledger.messages import (
    AccountFlag,
    AccountView,
    Command,
    Event,
    Flag,
    HoldStatus,
    Refusal,
    close_row,
    hold_row,
    open_row,
    post_row,
    tick_row,
    transfer_row,
    void_row,
)

__all__ = [
    "AccountFlag",
    "AccountView",
    "Command",
    "Event",
    "Flag",
    "HoldStatus",
    "Refusal",
    "close_row",
    "hold_row",
    "open_row",
    "post_row",
    "tick_row",
    "transfer_row",
    "void_row",
]
