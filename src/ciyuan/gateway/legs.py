"""Prices by leg in the kernel: what completes a price list, what was told of a request, and what both come to.

A list's legs stand in a *block* of eight rows, worked out whenever one is said: row 0 is the list as it begins, row s its step
s. A leg that nobody has said costs at the beginning what PRICES says (input, cached input, output; pieces nothing), and in a step
what it costs at the beginning. What a hold needs, the dearest price of input and of output and the cost of all pieces up to a
step, stands beside them, so that a HOLD looks at one row.
"""

from numba import njit

from ciyuan.basics.rows import CODE_MASK, KIND
from ciyuan.gateway.book import (
    ABOVE,
    BLOCK,
    BLOCK_COUNT,
    BOOK_BITS,
    BOOK_KEY,
    DEAREST_IN,
    DEAREST_OUT,
    HUNDREDTHS,
    LAST_HOLD_NS,
    LEG_PRICES,
    LEGS_COUNT,
    LEGS_REQUEST,
    LEGS_ROW,
    LEGS_TOLD,
    PIECES_MOST,
    PIECES_PICO,
    PRICE_CACHED,
    PRICE_IN,
    PRICE_OUT,
    REQUEST,
    REQUEST_BITS,
    SAID,
    STATUS,
    STEPS,
    STEPS_OF_BLOCK,
    VALID_FROM,
    Matrix,
    MeterBook,
    Words,
)
from ciyuan.gateway.edge import NEVER_HELD
from ciyuan.gateway.judges import fault_of_leg_price, fault_of_leg_used
from ciyuan.gateway.lookup import is_closed, list_at, seek
from ciyuan.gateway.messages import AMOUNT, STEP_SHIFT, MeterEvent, MeterRefusal, RequestState
from ciyuan.gateway.usage import LEGS, Leg

FIRST_PIECE = int(Leg.IMAGES)
LEG_MASK = (1 << STEP_SHIFT) - 1


@njit(cache=True)
def price_leg(book: MeterBook, row: Words, event: Words) -> int:
    """Take a LEG_PRICE row in, unless it is refused."""
    supplier, grade, price, bound, valid_from = row[2], row[3], row[5], row[6], row[7]
    leg, step = row[4] & LEG_MASK, row[4] >> STEP_SHIFT
    fault = fault_of_leg_price(supplier, grade, leg, step, price, bound)
    if fault != 0:
        return fault
    lists, steps = book.price_lists, book.leg_steps
    _, owner = seek(book.books, BOOK_KEY, book.book_slots, book.scalars[BOOK_BITS], supplier << 16 | grade)
    _, at = list_at(book, owner, valid_from)
    if at < 0 or lists[at, VALID_FROM] != valid_from:
        return MeterRefusal.NO_PRICE_LIST
    event[AMOUNT] = valid_from
    first = STEPS_OF_BLOCK * (lists[at, BLOCK] - 1)
    count = steps[first, STEPS] if first >= 0 else 0
    if first >= 0 and step <= count:
        said = steps[first + step, SAID] >> leg & 1
        fault = _fault_of_leg_again(steps, first, leg, step, price, bound, said)
        if fault != 0 or said:
            event[KIND] = MeterEvent.REPEATED
            return fault
    if book.books[owner, LAST_HOLD_NS] != NEVER_HELD and valid_from <= book.books[owner, LAST_HOLD_NS]:
        return MeterRefusal.PRICES_BACKDATED
    if step > count + 1 or (step == count + 1 and count > 0 and bound <= steps[first + count, ABOVE]):
        return MeterRefusal.STEP_NOT_NEXT
    if first < 0:
        first = _new_block(book, at)
    if step > count:
        steps[first, STEPS], steps[first + step, SAID], steps[first + step, ABOVE] = step, 0, bound
    elif step == 0 and leg >= FIRST_PIECE:
        steps[first, PIECES_MOST + leg - FIRST_PIECE] = bound
    steps[first + step, SAID] |= 1 << leg
    steps[first + step, LEG_PRICES + leg] = price
    _work_out(steps, first)
    event[KIND] = MeterEvent.LEG_PRICED
    return 0


@njit(cache=True)
def _fault_of_leg_again(
    steps: Matrix, first: int, leg: int, step: int, price: int, bound: int, said: int
) -> int:
    """What differs between a LEG_PRICE and what is known of its leg, or of its step alone."""
    if said and steps[first + step, LEG_PRICES + leg] != price:
        return MeterRefusal.EXISTS_WITH_DIFFERENT_PRICE
    if step > 0:
        return MeterRefusal.EXISTS_WITH_DIFFERENT_STEP if steps[first + step, ABOVE] != bound else 0
    if said and leg >= FIRST_PIECE and steps[first, PIECES_MOST + leg - FIRST_PIECE] != bound:
        return MeterRefusal.EXISTS_WITH_DIFFERENT_PIECES
    return 0


@njit(cache=True)
def _new_block(book: MeterBook, at: int) -> int:
    """A block for the list in row `at`, as if each leg cost what PRICES says; returns its first row."""
    block = book.scalars[BLOCK_COUNT]
    book.scalars[BLOCK_COUNT] = block + 1
    book.price_lists[at, BLOCK] = block + 1
    first = STEPS_OF_BLOCK * block
    book.leg_steps[first : first + STEPS_OF_BLOCK, :] = 0
    return int(first + fill_base(book.leg_steps, first, book.price_lists, at))


@njit(cache=True)
def fill_base(steps: Matrix, first: int, lists: Matrix, at: int) -> int:
    """Write what PRICES says of each leg into a block's first row; returns 0."""
    for leg in range(LEGS):
        price = lists[at, PRICE_IN]
        if leg == Leg.CACHE_READ:
            price = lists[at, PRICE_CACHED]
        elif leg == Leg.OUTPUT or leg == Leg.REASONING or leg == Leg.AUDIO_OUT or leg == Leg.IMAGE_OUT:
            price = lists[at, PRICE_OUT]
        elif leg >= FIRST_PIECE:
            price = 0
        steps[first, LEG_PRICES + leg] = price
    return 0


@njit(cache=True)
def _work_out(steps: Matrix, first: int) -> None:
    """The prices that no step says, and what holds are made by, up to each step."""
    dearest_in = dearest_out = 0
    for step in range(steps[first, STEPS] + 1):
        at = first + step
        pieces = 0
        for leg in range(LEGS):
            if step > 0 and not steps[at, SAID] >> leg & 1:
                steps[at, LEG_PRICES + leg] = steps[first, LEG_PRICES + leg]
            price = steps[at, LEG_PRICES + leg]
            if leg >= FIRST_PIECE:
                pieces += steps[first, PIECES_MOST + leg - FIRST_PIECE] * _dearest_piece(
                    steps, first, step, leg
                )
            elif leg == Leg.OUTPUT or leg == Leg.REASONING or leg == Leg.AUDIO_OUT or leg == Leg.IMAGE_OUT:
                dearest_out = max(dearest_out, price)
            else:
                dearest_in = max(dearest_in, price)
        steps[at, DEAREST_IN], steps[at, DEAREST_OUT], steps[at, PIECES_PICO] = (
            dearest_in,
            dearest_out,
            pieces,
        )


@njit(cache=True)
def work_out_all(steps: Matrix, blocks: int) -> None:
    """Work out the first `blocks` blocks, in which stands what was said."""
    for block in range(blocks):
        _work_out(steps, STEPS_OF_BLOCK * block)


@njit(cache=True)
def _dearest_piece(steps: Matrix, first: int, until: int, leg: int) -> int:
    """The highest price of a piece up to a step."""
    dearest = 0
    for step in range(until + 1):
        dearest = max(dearest, steps[first + step, LEG_PRICES + leg])
    return dearest


# --- what a hold and a delivery come to ---


@njit(cache=True)
def worst_prices(book: MeterBook, at: int, tokens_in: int) -> tuple[int, int, int]:
    """The dearest price of input and of output of the list in row `at`, which has legs, and the cost of all pieces, if so much
    input is held.
    """
    lists, steps = book.price_lists, book.leg_steps
    first = STEPS_OF_BLOCK * (lists[at, BLOCK] - 1)
    reached = first + _step_of(steps, first, tokens_in)
    return steps[reached, DEAREST_IN], steps[reached, DEAREST_OUT], steps[reached, PIECES_PICO]


@njit(cache=True)
def _step_of(steps: Matrix, first: int, tokens_in: int) -> int:
    """The last step of a block that so much input reaches."""
    step = steps[first, STEPS]
    while step > 0 and tokens_in <= steps[first + step, ABOVE]:
        step -= 1
    return int(step)


@njit(cache=True)
def excess_of_legs(
    book: MeterBook, place: int, at: int, tokens_in: int, cached: int, out: int
) -> tuple[bool, bool]:
    """Whether what was told of the request in row `place`, of which something was, has more pieces than its list (row `at`) lets
    it, and whether its legs are more than the whole that they are a part of.
    """
    told = book.deliveries[place, LEGS_ROW] - 1
    counts, steps = book.leg_counts, book.leg_steps
    first, pieces = STEPS_OF_BLOCK * (book.price_lists[at, BLOCK] - 1), False
    if first >= 0:
        for leg in range(FIRST_PIECE, LEGS):
            many = counts[told, place_of_leg(leg)] > steps[first, PIECES_MOST + leg - FIRST_PIECE]
            pieces |= many and _dearest_piece(steps, first, steps[first, STEPS], leg) > 0
    uncached = tokens_in - cached
    for leg in (Leg.CACHE_WRITE_SHORT, Leg.CACHE_WRITE_LONG, Leg.AUDIO_IN, Leg.IMAGE_IN):
        uncached -= counts[told, place_of_leg(leg)]
    for leg in (Leg.REASONING, Leg.AUDIO_OUT, Leg.IMAGE_OUT):
        out -= counts[told, place_of_leg(leg)]
    return pieces, uncached < 0 or out < 0


@njit(cache=True)
def cost_by_legs(
    book: MeterBook, place: int, at: int, batch: int, tokens_in: int, cached: int, out: int
) -> int:
    """The pico-units that the request in row `place` costs by its list (row `at`), with what was told of its legs: each part is
    taken out of its whole, then every leg has its price; a batch price is the price x hundredths / 100, a half rounded up."""
    told, steps = book.deliveries[place, LEGS_ROW] - 1, book.leg_steps
    first, cost = STEPS_OF_BLOCK * (book.price_lists[at, BLOCK] - 1), 0
    row, hundredths = first, book.price_lists[at, HUNDREDTHS]
    if first >= 0:
        row += _step_of(steps, first, tokens_in)
    rest_in, rest_out = tokens_in - cached, out
    for leg in range(LEGS):
        if leg == Leg.INPUT or leg == Leg.OUTPUT:
            continue
        count = cached
        if leg != Leg.CACHE_READ:
            count = book.leg_counts[told, place_of_leg(leg)] if told >= 0 else 0
            if leg == Leg.REASONING or leg == Leg.AUDIO_OUT or leg == Leg.IMAGE_OUT:
                rest_out -= count
            elif leg < FIRST_PIECE:
                rest_in -= count
        if count > 0:
            cost += count * _price_of(book, at, row, leg, batch, hundredths)
    cost += rest_in * _price_of(book, at, row, Leg.INPUT, batch, hundredths)
    return int(cost + rest_out * _price_of(book, at, row, Leg.OUTPUT, batch, hundredths))


@njit(cache=True)
def _price_of(book: MeterBook, at: int, row: int, leg: int, batch: int, hundredths: int) -> int:
    """What one of a leg costs by the list in row `at`, whose step is in `row` (negative: it has no legs of its own)."""
    if row >= 0:
        price = book.leg_steps[row, LEG_PRICES + leg]
    elif leg >= FIRST_PIECE:
        price = 0
    elif leg == Leg.CACHE_READ:
        price = book.price_lists[at, PRICE_CACHED]
    elif leg == Leg.OUTPUT or leg == Leg.REASONING or leg == Leg.AUDIO_OUT or leg == Leg.IMAGE_OUT:
        price = book.price_lists[at, PRICE_OUT]
    else:
        price = book.price_lists[at, PRICE_IN]
    return int((2 * price * hundredths + 100) // 200 if batch else price)


# --- what is told of a request ---


@njit(cache=True)
def place_of_leg(leg: int) -> int:
    """The column of a leg in the leg counts, which leave out those of a DELIVER."""
    return LEGS_TOLD + leg - (2 if leg < Leg.OUTPUT else 3)


@njit(cache=True)
def tell_leg(book: MeterBook, row: Words, event: Words) -> int:
    """Take a LEG_USED row in, unless it is refused."""
    key, leg, count = row[2], row[3], row[4]
    fault = fault_of_leg_used(leg, count)
    if fault != 0:
        return fault
    if is_closed(book.scalars, key):
        return MeterRefusal.REQUEST_CLOSED
    _, place = seek(book.requests, REQUEST, book.request_slots, book.scalars[REQUEST_BITS], key)
    if place < 0:
        return MeterRefusal.REQUEST_UNKNOWN
    state, told = book.requests[place, STATUS] & CODE_MASK, book.deliveries[place, LEGS_ROW] - 1
    known = book.leg_counts[told, place_of_leg(leg)] if told >= 0 else 0
    if state == RequestState.SETTLED and known != count:
        return MeterRefusal.EXISTS_WITH_DIFFERENT_COUNT
    if state == RequestState.VOIDED:
        return MeterRefusal.HOLD_VOIDED
    if state == RequestState.EXPIRED:
        return MeterRefusal.HOLD_EXPIRED
    event[KIND] = MeterEvent.REPEATED
    if known != count:
        if told < 0:
            told = book.scalars[LEGS_COUNT]
            book.scalars[LEGS_COUNT] = told + 1
            book.leg_counts[told, :] = 0
            book.leg_counts[told, LEGS_REQUEST] = key
            book.deliveries[place, LEGS_ROW] = told + 1
        book.leg_counts[told, place_of_leg(leg)] = count
        event[KIND] = MeterEvent.LEG_TOLD
    return 0
