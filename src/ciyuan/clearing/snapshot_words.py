"""What the words of a snapshot may be: it is trusted as little as any other input, and compiled loops use its words as places."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from ciyuan.clearing.books import Books
from ciyuan.clearing.messages import MemberFlag, MemberRole, Permission, Standing
from ciyuan.clearing.positions import MARKET_WORDS, MEMBER_WORDS, POSITION_WORDS
from ciyuan.clearing.section import not_a_section
from ciyuan.ledger.machine import Ledger

Ints = NDArray[np.int64]
SETTINGS = int(MemberFlag.GROSS | MemberFlag.CANCEL_ON_DISCONNECT | MemberFlag.SELF_TRADE)
PERMISSIONS = int(Permission.FUTURES | Permission.SPOT)
LOTS_MOST = 2**31
COUNTED = (
    "accrued_micro", "maker_lots", "taker_lots", "fills", "owed_micro", "called_micro", "fund_micro", "scenario_micro",
    "collateral_micro", "looks", "looks_met", "receipts_bought", "receipts_sold",
)  # fmt: skip
"""Words of a member that are never below zero."""
HELD = ("long", "short", "long_today", "short_today", "buys", "sells")
PRICES = ("settle_ticks", "mark_ticks", "review_ticks", "upper_ticks")


def check_words(books: Books, parts: Mapping[str, Ints]) -> None:
    """Raise Malformed if a word of the members, receipts, positions or contracts cannot be. Widths are right already."""
    _check_members(books, parts["members"])
    _check_receipts(books, parts["receipts"])
    _check_positions(parts["positions"], parts["members"])
    prices = _words(parts["contracts"], MARKET_WORDS, first=1)
    _expect("contracts", all((prices[name] >= 1).all() for name in PRICES), "prices of 1 tick or more")


def _words(part: Ints, names: tuple[str, ...], first: int) -> dict[str, Ints]:
    return {name: part[:, first + place] for place, name in enumerate(names)}


def _expect(part: str, holds: bool | np.bool_, expected: str) -> None:
    if not holds:
        raise not_a_section(part, "a word that cannot be", expected)


def _check_members(books: Books, part: Ints) -> None:
    words = _words(part, MEMBER_WORDS, first=1)
    _expect("members", (part[1:, 0] > part[:-1, 0]).all(), "participants in order, each once")
    _expect("members", not (words["flags"] & ~SETTINGS).any(), "settings that there are")
    _expect("members", not (words["permissions"] & ~PERMISSIONS).any(), "permissions that there are")
    _expect("members", np.isin(words["role"], list(MemberRole)).all(), "roles that there are")
    _expect("members", np.isin(words["standing"], list(Standing)).all(), "standings that there are")
    _expect("members", all((words[name] >= 0).all() for name in COUNTED), "counts and debts of 0 or more")
    _check_accounts(books, "members", words["cash"], books.terms.house.variation)


def _check_receipts(books: Books, part: Ints) -> None:
    for grade in np.unique(part[:, 1]).tolist():
        house = books.spot_receipts.get(grade)
        _expect("receipts", house is not None, "grades of the house")
        _check_accounts(books, "receipts", part[part[:, 1] == grade, 2], house or 0)


def _check_accounts(books: Books, part: str, accounts: Ints, like: int) -> None:
    """Each must be an open account of the asset that the house's own one has."""
    ledger = books.teller.ledger
    within = (accounts >= 1) & (accounts <= ledger.account_count)
    _expect(part, within.all(), f"ledger accounts from 1 to {ledger.account_count}")
    asset = ledger.account(like).asset
    if isinstance(ledger, Ledger):
        assets = ledger.accounts[accounts, 0]
    else:
        assets = np.array([ledger.account(number).asset for number in accounts.tolist()], dtype=np.int64)
    _expect(part, (assets == asset).all(), f"ledger accounts of asset {asset}")


def _check_positions(part: Ints, members: Ints) -> None:
    words = _words(part, POSITION_WORDS, first=3)
    fits = [((words[name] >= 0) & (words[name] <= LOTS_MOST)).all() for name in HELD]
    fits += [(words[f"{side}_today"] <= words[side]).all() for side in ("long", "short")]
    fits += [(words[f"{side}_cost"] >= 0).all() for side in ("long", "short")]
    _expect("positions", all(fits), "lots of 0 or more, those of today among those held")
    flags = _words(members, MEMBER_WORDS, first=1)["flags"]
    gross = members[(flags & MemberFlag.GROSS) != 0, 0]
    of_net = ~np.isin(part[:, 0], gross)
    both = (words["long"] > 0) & (words["short"] > 0)
    _expect(
        "positions",
        not (of_net & (both | (part[:, 2] != 0))).any(),
        "one side for a net member, and no hedging",
    )
