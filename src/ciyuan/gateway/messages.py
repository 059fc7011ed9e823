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

Batch hundredths: the batch price in hundredths of the price, 1 to 100; 0 means 50.

| event | 2-6 | 7 | flags, reason |
|---|---|---|---|
| ENROLLED, TICKED | as the command | 0 | |
| PRICED | as the command | valid_from_ns | reason: batch hundredths, a 0 filled in |
| HELD | as the HOLD | micro-units held | reason: number of the price list |
| SETTLED | as the DELIVER | micro-units charged | BATCH as delivered; reason: number of the price list |
| VOIDED, EXPIRED | as the HOLD | micro-units released | reason: number of the price list |
| REPEATED | as the command | the word 7 of the first answer | as the command |
| REFUSED | as the command | the `MeterRefusal` | as the command |

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


class MeterCommand(IntEnum):
    """Codes of what the meter hears."""

    ENROL = 201
    PRICES = 202
    HOLD = 203
    DELIVER = 204
    VOID = 205
    TICK = 206


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


class MeterRefusal(IntEnum):
    """Why a command was refused. Of several faults at once the one declared first is named."""

    TIME_BACKWARDS = 1
    KIND_UNKNOWN = 2
    FLAG_NOT_ALLOWED = 3
    REASON_NOT_ALLOWED = 4
    UNUSED_WORD_NOT_ZERO = 5
    REQUEST_OUT_OF_RANGE = 6
    ROLE_UNKNOWN = 7
    PARTY_OUT_OF_RANGE = 8
    TOKENS_NEGATIVE = 9
    TOKENS_OVER_LIMIT = 10
    CACHED_EXCEEDS_INPUT = 11
    PRICE_NEGATIVE = 12
    PRICE_OVER_LIMIT = 13
    TIMEOUT_NEGATIVE = 14
    EXISTS_WITH_DIFFERENT_ACCOUNT = 15
    EXISTS_WITH_DIFFERENT_PARTIES = 16
    EXISTS_WITH_DIFFERENT_TOKENS_IN = 17
    EXISTS_WITH_DIFFERENT_TOKENS_CACHED = 18
    EXISTS_WITH_DIFFERENT_TOKENS_OUT = 19
    EXISTS_WITH_DIFFERENT_BATCH = 20
    EXISTS_WITH_DIFFERENT_TIMEOUT = 21
    EXISTS_WITH_DIFFERENT_PRICE_IN = 22
    EXISTS_WITH_DIFFERENT_PRICE_CACHED = 23
    EXISTS_WITH_DIFFERENT_PRICE_OUT = 24
    EXISTS_WITH_DIFFERENT_DISCOUNT = 25
    REQUEST_UNKNOWN = 26
    HOLD_HAS_DIFFERENT_PARTIES = 27
    HOLD_SETTLED = 28
    HOLD_VOIDED = 29
    HOLD_EXPIRED = 30
    EXCEEDS_HOLD = 31
    CUSTOMER_UNKNOWN = 32
    SUPPLIER_UNKNOWN = 33
    GRADE_UNKNOWN = 34
    NO_PRICE_LIST = 35
    PRICES_BACKDATED = 36
    PRICE_LISTS_FULL = 37
    ACCOUNT_UNKNOWN = 38
    ACCOUNT_MAY_BE_OVERDRAWN = 39
    ACCOUNTS_SAME = 40
    ASSETS_DIFFER = 41
    TIMEOUT_OVERFLOW = 42
    AMOUNT_OVERFLOW = 43
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
    time_ns: int, request: int, parties: int, tokens_in_max: int, tokens_out_max: int, timeout_ns: int = 0
) -> Row:
    """HOLD what a request may cost at most, until it is delivered, voided or `timeout_ns` has passed (0:
    never).
    """
    return row(
        kind_word(MeterCommand.HOLD), time_ns, (request, parties, tokens_in_max, tokens_out_max, timeout_ns)
    )


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
