"""What the venue hears beside the commands of its stages, and what it says.

A command row of the gateway, the exchange, the clearing house and the index passes through unchanged, but for those that are the
venue's to give (docs/spec/venue.md has the list). The commands below are the venue's own, because more than one stage takes part.

| command | 2 | 3 | 4 | 5 | 6 |
|---|---|---|---|---|---|
| PARTICIPANT | participant (1, 2, 3 ...) | roles | group (0: itself) | clearing role | settings (clearing's `MemberFlag`) |
| DEPOSIT, WITHDRAW | key | participant | purse | micro-units | |
| MOVE | key | participant | from purse | micro-units | to purse |
| CAPACITY | participant | grade | month | receipts | |
| ISSUE | key | participant | grade | receipts | month |
| LAPSE | grade | month | | | |
| SAMPLE | contract | | | | |
| FINALISE | contract | trading day | | | |
| REDEEM | key | participant | grade | receipts | issuer (word 7: month) |
| SUBSTITUTE | key | failing issuer | grade | receipts | substitute << 32, month (word 7: micro-units a receipt) |
| BOND, UNBOND | key | participant | micro-units | | |

| event | 2 | 3 | 4 | 5 | 6 | 7 |
|---|---|---|---|---|---|---|
| PARTICIPANT_ADDED | participant | roles | group | clearing role | first ledger account | settings |
| DEPOSITED, WITHDRAWN, MOVED | as the command | | | | | |
| CAPACITY_PROVED, ISSUED | as the command | | | | | |
| LAPSED | grade | month | participant | receipts | | |
| SAMPLED | contract | quotes seen | | | | |
| REDEEMED, SUBSTITUTED, BONDED, UNBONDED | as the command | | | | | |
| COMPENSATED | failing issuer | who is paid | grade | from its bond | from its cash | `Reason` |
| TOKENS_LAPSED | grade | month | participant | standard tokens | | |
| SERVED | grade | month | issuer | standard tokens | | |
| REPEATED | as the command | | | | | |
| REFUSED | as the command | | | | | refusal |
"""

from enum import IntEnum, IntFlag


class VenueCommand(IntEnum):
    """Codes of the venue's own commands."""

    PARTICIPANT = 601
    DEPOSIT = 602
    WITHDRAW = 603
    MOVE = 604
    CAPACITY = 605
    ISSUE = 606
    LAPSE = 607
    SAMPLE = 608
    FINALISE = 609
    REDEEM = 610
    SUBSTITUTE = 611
    BOND = 612
    UNBOND = 613


class VenueEvent(IntEnum):
    """Codes of the venue's own events."""

    PARTICIPANT_ADDED = 651
    DEPOSITED = 652
    WITHDRAWN = 653
    MOVED = 654
    CAPACITY_PROVED = 655
    ISSUED = 656
    LAPSED = 657
    SAMPLED = 658
    REPEATED = 659
    REFUSED = 660
    REDEEMED = 661
    SUBSTITUTED = 662
    COMPENSATED = 663
    BONDED = 664
    UNBONDED = 665
    TOKENS_LAPSED = 666
    SERVED = 667


class VenueRefusal(IntEnum):
    """Why the venue refuses; the first that applies, in this order, is given."""

    UNKNOWN_COMMAND = 1
    KEY_USED_OTHERWISE = 2
    PARTICIPANT_NUMBER_TAKEN = 3
    PARTICIPANT_NUMBER_NOT_NEXT = 4
    UNKNOWN_PARTICIPANT = 5
    UNKNOWN_GRADE = 6
    UNKNOWN_CONTRACT = 7
    UNKNOWN_PURSE = 8
    NOT_PERMITTED = 9
    AMOUNT_NOT_POSITIVE = 10
    KEY_OUT_OF_RANGE = 11
    OVER_CAPACITY = 12
    NEEDED_AS_MARGIN = 13
    INSUFFICIENT_BALANCE = 14
    NOTHING_TO_SETTLE_ON = 15
    UNKNOWN_ROLE = 16
    UNKNOWN_MONTH = 17
    AMOUNT_OVERFLOW = 18
    UNKNOWN_SETTING = 19


class Role(IntFlag):
    """What a participant does on the venue."""

    CUSTOMER = 1
    SUPPLIER = 2
    FUTURES = 4
    SPOT = 8


class Purse(IntEnum):
    """A participant's ledger accounts, in the order in which they are opened."""

    CASH = 0
    PREPAID = 1
    REVENUE = 2
    BOND = 3
    """What an issuer has put up for its receipts."""
    RECEIPTS = 4
    """The first grade's receipts; further grades follow in the order of the terms, then the standard tokens of each
    grade, then those that its holder has served as an issuer.
    """


class Reason(IntEnum):
    """Why the venue moved something in the ledger (the reason bits of a transfer); the rulebook's clause in brackets."""

    DEPOSIT = 601
    WITHDRAWAL = 602
    MOVE = 603
    ISSUE = 604
    """Receipts issued against proved capacity (§9.1)."""
    LAPSE = 605
    """Receipts lapsed at the month's end, by transfer (§9.1)."""
    REDEMPTION = 606
    """Receipts redeemed, and the standard tokens that they became (§9.3)."""
    TOKENS_LAPSE = 607
    """Standard tokens that were not asked for by the month's end (§9.1)."""
    BURN = 608
    """Standard tokens served in a month, gone at its end (§9.3)."""
    BOND = 609
    """An issuer's bond, put up or taken back (§9.1)."""
    BUY_IN = 610
    """What a substitute is paid by the issuer that failed (§9.3)."""
    PENALTY = 611
    """What the holders are paid by the issuer that failed (§9.3)."""
