"""What the meter hears and says: one row of eight int64 a message.

A *request* is one call to a supplier for tokens of a grade, paid by a customer from prepaid money. Its key is
the caller's, and is the key of everything that is done about it. `parties` packs who takes part: customer <<
32 | supplier << 16 | grade.

| command | 2 | 3 | 4 | 5 | 6 | 7 | flags, reason |
|---|---|---|---|---|---|---|---|
| ENROL | party number | ledger account | role | | | | |
| PRICES | supplier | grade | input price | cached price | output price | valid_from_ns | reason: batch hundredths |
| HOLD | request key | parties | tokens in at most | tokens out at most | timeout_ns (0: never) | | |
| DELIVER | request key | parties | tokens in | of these cached | tokens out | | BATCH |
| VOID | request key | | | | | | |
| TICK | | | | | | | |
| SPENDER | number | parent (0: none) | customer | | | | |
| LIMIT | number | spender | unit, window << 8 | most in a window | offset of days from UTC, ns | | |
| LEG_PRICE | supplier | grade | leg, step << 8 | price | step's tokens, or pieces at most | valid_from_ns | |
| LEG_USED | request key | leg | count | | | | |
| CLOSE | first request key | one past the last | | | | | |

Word 7 of a HOLD is its spender (0: none). Batch hundredths: the batch price in hundredths of the price, 1 to 100; 0 means 50.

| event | 2-6 | 7 | flags, reason |
|---|---|---|---|
| ENROLLED, TICKED | as the command | 0 | |
| PRICED | as the command | valid_from_ns | reason: batch hundredths, a 0 filled in |
| HELD | as the HOLD | micro-units held | reason: number of the price list |
| SETTLED | as the DELIVER | micro-units charged | BATCH as delivered; reason: number of the price list |
| VOIDED, EXPIRED | as the HOLD | micro-units released | reason: number of the price list |
| REPEATED | as the command | the word 7 of the first answer | as the command |
| SPENDER_ADDED, LIMIT_SET, LEG_TOLD, CLOSED | as the command | 0 | |
| LEG_PRICED | as the command | valid_from_ns | |
| REFUSED | as the command | the `MeterRefusal` | as the command; by a limit: its number as reason |

One event answers each command, in order; EXPIRED comes of itself, before the answer, and its time is the
nanosecond at which the hold ended. Prices are micro-units per MTok, which is pico-units per token. The rules
are in docs/spec/meter.md.
"""

from enum import IntEnum

from ciyuan.basics.rows import Row, kind_word, row

KEY = 2
PARTIES = 3
PARTY, ACCOUNT, ROLE = 2, 3, 4
SUPPLIER, GRADE, PRICE_IN, PRICE_CACHED, PRICE_OUT, VALID_FROM = 2, 3, 4, 5, 6, 7
TOKENS_IN_MAX, TOKENS_OUT_MAX, TIMEOUT = 4, 5, 6
TOKENS_IN, TOKENS_CACHED, TOKENS_OUT = 4, 5, 6
AMOUNT = 7
REFUSAL = 7
SPENDER_OF_HOLD = 7
SPENDER, PARENT, CUSTOMER = 2, 3, 4
LIMIT, LIMITED, MEASURE, MOST, OFFSET = 2, 3, 4, 5, 6
"""Words of a LIMIT: its number, the spender that it is on, unit | window << 8, the most, the offset of the window's borders."""
LEG_AND_STEP, LEG_PRICE, LEG_BOUND = 4, 5, 6
"""Words of a LEG_PRICE. LEG_BOUND: above how many tokens its step begins; of a piece without a step: how many at most."""
LEG, COUNT = 3, 4
FIRST, END = 2, 3
STEP_SHIFT = WINDOW_SHIFT = 8

CUSTOMER_MAX = 2**31 - 1
SUPPLIER_MAX = 2**16 - 1
GRADE_MAX = 2**16 - 1
REQUEST_MAX = 2**60 - 1
"""A request's ledger keys are 4 x its key (hold), + 1 (post) and + 2 (void); they must fit in 62 bits."""
TOKENS_MAX = 2**31 - 1
"""The most tokens of one leg in one request."""
PRICE_MAX = 10**12
"""The highest price: one unit of currency per token. What is higher was typed per the wrong number of tokens.
"""
PRICE_LISTS_MAX = 2**16 - 1
"""How many price lists one meter holds: the number of a list travels in an event's 16 bits of reason."""
BATCH_HUNDREDTHS = 50
"""The batch price in hundredths of the price, unless a list says otherwise."""
SPENDER_MAX = 2**31 - 1
DEPTH_MAX = 8
"""Spenders from a root down to the deepest, both counted."""
LIMIT_MAX = 2**16 - 1
"""The highest number of a limit: it travels in the 16 bits of reason of a refusal."""
LIMITS_OF_SPENDER_MAX = 8
RATE_MAX = 10**11
"""The most that a rate lets through at once."""
OFFSET_MAX_NS = 14 * 3_600 * 10**9
"""No place on earth is further from UTC than 14 hours."""
STEPS_MAX = 7
"""Steps of one price list beside its beginning."""
PIECE_PRICE_MAX = 10**15
"""The highest price of a piece in pico-units: 1,000 units of currency."""
PIECES_MAX = 1_000
"""The most pieces of one kind that a list lets one request use."""


class MeterCommand(IntEnum):
    """Codes of what the meter hears."""

    ENROL = 201
    PRICES = 202
    HOLD = 203
    DELIVER = 204
    VOID = 205
    TICK = 206
    SPENDER = 207
    LIMIT = 208
    LEG_PRICE = 209
    LEG_USED = 210
    CLOSE = 211


class MeterEvent(IntEnum):
    """Codes of what the meter says."""

    ENROLLED = 251
    PRICED = 252
    HELD = 253
    SETTLED = 254
    VOIDED = 255
    EXPIRED = 256
    REPEATED = 257
    TICKED = 258
    REFUSED = 259
    SPENDER_ADDED = 260
    LIMIT_SET = 261
    LEG_PRICED = 262
    LEG_TOLD = 263
    CLOSED = 264


class MeterFlag(IntEnum):
    """Flags of a DELIVER. BATCH: the request was served under the batch discount."""

    BATCH = 1


class PartyRole(IntEnum):
    """What a party is to the meter. Customers and suppliers are numbered apart."""

    CUSTOMER = 1
    """Pays from a prepaid account, which must be one that the ledger never lets be overdrawn."""
    SUPPLIER = 2
    """Is paid into a revenue account."""


class RequestState(IntEnum):
    """Where a request stands. There is no way back, and the last three are final."""

    HELD = 1
    SETTLED = 2
    VOIDED = 3
    EXPIRED = 4


class LimitUnit(IntEnum):
    """What a limit counts."""

    MONEY = 1
    """Micro-units."""
    TOKENS = 2
    """Tokens in and tokens out, together."""
    REQUESTS = 3


class LimitWindow(IntEnum):
    """In what time a limit counts. The first two are rates, which let through as much as time allows; the others are budgets
    of a calendar's days, months and years."""

    MINUTE = 1
    HOUR = 2
    DAY = 3
    MONTH = 4
    YEAR = 5
    EVER = 6


class MeterRefusal(IntEnum):
    """Why a command was refused. Of several faults at once the one declared first is named; the numbers are in the order in
    which the refusals came to be."""

    TIME_BACKWARDS = 1
    KIND_UNKNOWN = 2
    FLAG_NOT_ALLOWED = 3
    REASON_NOT_ALLOWED = 4
    UNUSED_WORD_NOT_ZERO = 5
    REQUEST_OUT_OF_RANGE = 6
    RANGE_EMPTY = 47
    ROLE_UNKNOWN = 7
    PARTY_OUT_OF_RANGE = 8
    SPENDER_OUT_OF_RANGE = 48
    LIMIT_OUT_OF_RANGE = 49
    UNIT_UNKNOWN = 50
    WINDOW_UNKNOWN = 51
    MOST_OUT_OF_RANGE = 52
    OFFSET_OUT_OF_RANGE = 53
    LEG_OUT_OF_RANGE = 54
    STEP_OUT_OF_RANGE = 55
    PIECES_OUT_OF_RANGE = 56
    TOKENS_NEGATIVE = 9
    TOKENS_OVER_LIMIT = 10
    CACHED_EXCEEDS_INPUT = 11
    PRICE_NEGATIVE = 12
    PRICE_OVER_LIMIT = 13
    TIMEOUT_NEGATIVE = 14
    REQUEST_CLOSED = 57
    EXISTS_WITH_DIFFERENT_ACCOUNT = 15
    EXISTS_WITH_DIFFERENT_PARENT = 58
    EXISTS_WITH_DIFFERENT_CUSTOMER = 59
    EXISTS_WITH_DIFFERENT_PARTIES = 16
    EXISTS_WITH_DIFFERENT_TOKENS_IN = 17
    EXISTS_WITH_DIFFERENT_TOKENS_CACHED = 18
    EXISTS_WITH_DIFFERENT_TOKENS_OUT = 19
    EXISTS_WITH_DIFFERENT_BATCH = 20
    EXISTS_WITH_DIFFERENT_TIMEOUT = 21
    EXISTS_WITH_DIFFERENT_SPENDER = 60
    EXISTS_WITH_DIFFERENT_UNIT = 61
    EXISTS_WITH_DIFFERENT_WINDOW = 62
    EXISTS_WITH_DIFFERENT_OFFSET = 63
    EXISTS_WITH_DIFFERENT_PRICE_IN = 22
    EXISTS_WITH_DIFFERENT_PRICE_CACHED = 23
    EXISTS_WITH_DIFFERENT_PRICE_OUT = 24
    EXISTS_WITH_DIFFERENT_DISCOUNT = 25
    EXISTS_WITH_DIFFERENT_PRICE = 64
    EXISTS_WITH_DIFFERENT_PIECES = 65
    EXISTS_WITH_DIFFERENT_STEP = 66
    EXISTS_WITH_DIFFERENT_COUNT = 67
    REQUEST_UNKNOWN = 26
    HOLD_HAS_DIFFERENT_PARTIES = 27
    HOLD_SETTLED = 28
    HOLD_VOIDED = 29
    HOLD_EXPIRED = 30
    EXCEEDS_HOLD = 31
    LEGS_EXCEED_WHOLE = 68
    CUSTOMER_UNKNOWN = 32
    SUPPLIER_UNKNOWN = 33
    GRADE_UNKNOWN = 34
    NO_PRICE_LIST = 35
    PRICES_BACKDATED = 36
    PRICE_LISTS_FULL = 37
    STEP_NOT_NEXT = 69
    ACCOUNT_UNKNOWN = 38
    ACCOUNT_MAY_BE_OVERDRAWN = 39
    ACCOUNTS_SAME = 40
    ASSETS_DIFFER = 41
    SPENDER_UNKNOWN = 70
    SPENDER_OF_ANOTHER_CUSTOMER = 71
    SPENDER_TOO_DEEP = 72
    LIMITS_FULL = 73
    CLOSE_NOT_NEXT = 74
    REQUEST_HELD = 75
    TIMEOUT_OVERFLOW = 42
    AMOUNT_OVERFLOW = 43
    RATE_LIMITED = 76
    BUDGET_SPENT = 77
    LEDGER_REFUSED = 44
    BALANCE_OVERFLOW = 45
    INSUFFICIENT_BALANCE = 46


def parties_word(customer: int, supplier: int, grade: int) -> int:
    """Pack who takes part in a request. Raises ValueError for a number that does not fit."""
    if not (0 <= customer <= CUSTOMER_MAX and 0 <= supplier <= SUPPLIER_MAX and 0 <= grade <= GRADE_MAX):
        raise ValueError(
            f"customer {customer}, supplier {supplier}, grade {grade}: one does not fit in 31, 16 and 16 bits"
        )
    return customer << 32 | supplier << 16 | grade


def customer_of(parties: int) -> int:
    """The customer's number in a parties word."""
    return parties >> 32


def supplier_of(parties: int) -> int:
    """The supplier's number in a parties word."""
    return parties >> 16 & SUPPLIER_MAX


def grade_of(parties: int) -> int:
    """The grade's number in a parties word."""
    return parties & GRADE_MAX


def enrol_row(time_ns: int, role: PartyRole, number: int, account: int) -> Row:
    """ENROL party `number` (from 1, customers and suppliers apart) with its ledger account."""
    return row(kind_word(MeterCommand.ENROL), time_ns, (number, account, role))


def prices_row(
    time_ns: int,
    supplier: int,
    grade: int,
    *,
    price_in: int,
    price_cached: int,
    price_out: int,
    valid_from_ns: int,
    batch_hundredths: int = BATCH_HUNDREDTHS,
) -> Row:
    """PRICES of a supplier for a grade from a moment on, in micro-units per MTok."""
    kind = kind_word(MeterCommand.PRICES, 0, batch_hundredths)
    return row(kind, time_ns, (supplier, grade, price_in, price_cached, price_out, valid_from_ns))


def hold_row(
    time_ns: int,
    request: int,
    parties: int,
    tokens_in_max: int,
    tokens_out_max: int,
    timeout_ns: int = 0,
    spender: int = 0,
) -> Row:
    """HOLD what a request may cost at most, until it is delivered, voided or `timeout_ns` has passed (0:
    never). It counts in every limit of its `spender` (0: none) and of those above it.
    """
    most = (tokens_in_max, tokens_out_max)
    return row(kind_word(MeterCommand.HOLD), time_ns, (request, parties, *most, timeout_ns, spender))


def deliver_row(
    time_ns: int,
    request: int,
    parties: int,
    tokens_in: int,
    tokens_cached: int,
    tokens_out: int,
    *,
    batch: bool = False,
) -> Row:
    """DELIVER: what a request used. `tokens_cached` is a part of `tokens_in`. The rest of the hold is
    released.
    """
    kind = kind_word(MeterCommand.DELIVER, MeterFlag.BATCH if batch else 0)
    return row(kind, time_ns, (request, parties, tokens_in, tokens_cached, tokens_out))


def void_row(time_ns: int, request: int) -> Row:
    """VOID a request: all that it holds is released."""
    return row(kind_word(MeterCommand.VOID), time_ns, (request,))


def tick_row(time_ns: int) -> Row:
    """TICK: move the clock, so that holds that are due expire."""
    return row(kind_word(MeterCommand.TICK), time_ns)


def spender_row(time_ns: int, spender: int, parent: int, customer: int) -> Row:
    """SPENDER: someone of a customer's who spends; below `parent` (0: below nobody)."""
    return row(kind_word(MeterCommand.SPENDER), time_ns, (spender, parent, customer))


def limit_row(
    time_ns: int,
    limit: int,
    spender: int,
    unit: LimitUnit,
    window: LimitWindow,
    most: int,
    offset_ns: int = 0,
) -> Row:
    """LIMIT: the `most` that a spender and all below it may use in a window. Days, months and years begin at midnight of a
    clock that is `offset_ns` ahead of UTC.
    """
    measure = unit | window << WINDOW_SHIFT
    return row(kind_word(MeterCommand.LIMIT), time_ns, (limit, spender, measure, most, offset_ns))


def leg_price_row(
    time_ns: int,
    supplier: int,
    grade: int,
    leg: int,
    price: int,
    *,
    valid_from_ns: int,
    step: int = 0,
    bound: int = 0,
) -> Row:
    """LEG_PRICE: completes the list that begins at `valid_from_ns` by the price of a `usage.Leg`, in pico-units a token or piece.

    `bound` is above how many tokens of input a `step` (1, 2, ...) begins; without a step, how many pieces a request may use.
    """
    kind = kind_word(MeterCommand.LEG_PRICE)
    return row(kind, time_ns, (supplier, grade, leg | step << STEP_SHIFT, price, bound, valid_from_ns))


def leg_used_row(time_ns: int, request: int, leg: int, count: int) -> Row:
    """LEG_USED: how many tokens or pieces of a `usage.Leg` a held request used; said again before its DELIVER, it replaces."""
    return row(kind_word(MeterCommand.LEG_USED), time_ns, (request, leg, count))


def close_row(time_ns: int, first: int, end: int) -> Row:
    """CLOSE: forget the requests with keys from `first` to before `end`, which have all ended."""
    return row(kind_word(MeterCommand.CLOSE), time_ns, (first, end))
