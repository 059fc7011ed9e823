"""A day's close, compiled: the rows of its ledger chain, and what every member is told of it.

What a step does is `Cashier`'s to say, what a member is told `Settlement`'s; here it is done for all members in one pass each, in
the order of the plain twin. `left` is what every ledger account will have left as the steps are added, `chain` the ledger rows of
the steps, of which kind, accounts and amount are filled in (`Teller.chain_matrix` adds the rest).
"""

from numba import njit

from ciyuan.basics.rows import REASON_SHIFT
from ciyuan.clearing.columns import (
    ACCRUED,
    ADJUSTMENT,
    BOUGHT,
    CALLED_FOR,
    CASH,
    COLLATERAL,
    DEADLINE,
    FEES_PAID,
    FILLS,
    FUND_MOVED,
    KNOWN,
    LADDER,
    LENT_SUM,
    LONG,
    MAKER_LOTS,
    MEMBER_TOP,
    NUMBER,
    OPENING,
    OWED,
    PENALTIES,
    RECEIPTS_BOUGHT,
    RECEIPTS_SOLD,
    ROLE,
    SCENARIO,
    SHORT,
    SOLD,
    STANDING,
    TAKER_LOTS,
    VARIATION_SUM,
    Matrix,
    Tables,
    Words,
    tables_at,
)
from ciyuan.clearing.margin import BP
from ciyuan.clearing.marking import GAINED, HEDGER, LARGE, NET, T_HEDGER_LIMIT, T_LIMIT, gained_micro
from ciyuan.clearing.messages import ClearingEvent, Reason, Standing
from ciyuan.clearing.teller import TRANSFER
from ciyuan.exchange.saying import say
from ciyuan.exchange.tables import table
from ciyuan.ledger.book import CREDITS_POSTED, DEBITS_PENDING, DEBITS_POSTED

GOOD, CALLED, DEFAULTED = int(Standing.GOOD), int(Standing.CALLED), int(Standing.DEFAULTED)
STEPS_OF_A_MEMBER, LENT_OF_A_MEMBER = 4, 3
"""At most so many steps, and events, a member has for its variation and its fees: twice lent, collected; told of its fees."""
ROWS_OF_A_MEMBER = 6
"""Events a member is told at a close, beside its large positions: margin, a call, four lines of its statement."""
FEE = ClearingEvent.FEE | Reason.FEES << REASON_SHIFT
LENT = ClearingEvent.LENT | Reason.SHORTFALL << REASON_SHIFT
REPAID = ClearingEvent.REPAID | Reason.SHORTFALL << REASON_SHIFT
MARGIN = ClearingEvent.MARGIN | Reason.MARGIN << REASON_SHIFT
MARGIN_CALL = ClearingEvent.MARGIN_CALL | Reason.MARGIN_CALL << REASON_SHIFT
CALL_MET = ClearingEvent.CALL_MET | Reason.MARGIN_CALL << REASON_SHIFT
LARGE_POSITION = ClearingEvent.LARGE_POSITION | Reason.LARGE_POSITION << REASON_SHIFT
STATEMENT_MONEY = ClearingEvent.STATEMENT_MONEY | Reason.STATEMENT << REASON_SHIFT
STATEMENT_SPOT = ClearingEvent.STATEMENT_SPOT | Reason.STATEMENT << REASON_SHIFT
STATEMENT_CLOSING = ClearingEvent.STATEMENT_CLOSING | Reason.STATEMENT << REASON_SHIFT
STATEMENT_FUND = ClearingEvent.STATEMENT_FUND | Reason.STATEMENT << REASON_SHIFT
STEP_FEES = TRANSFER | Reason.FEES << REASON_SHIFT
STEP_SHORTFALL = TRANSFER | Reason.SHORTFALL << REASON_SHIFT


@njit(cache=True, forceinline=True)
def _step(chain: Matrix, steps: int, left: Words, kind: int, debit: int, credit: int, amount: int) -> int:
    """Add a step (`Cashier.move`); returns how many there are now."""
    left[debit] -= amount
    left[credit] += amount
    return say(chain, steps, kind, 0, 0, debit, credit, amount, 0, 0)


@njit(cache=True, forceinline=True)
def _equity(members: Matrix, accounts: Matrix, number: int, gained: int) -> int:
    """What stands behind a member's margin: free cash and collateral, less its debts and fees; of what it gained only a loss."""
    cash = members[number, CASH]
    free = accounts[cash, CREDITS_POSTED] - accounts[cash, DEBITS_POSTED] - accounts[cash, DEBITS_PENDING]
    claims = members[number, OWED] + members[number, ACCRUED]
    return free + members[number, COLLATERAL] - claims + min(0, gained)


@njit(cache=True)
def _collect(
    tables: Tables,
    chain: Matrix,
    steps: int,
    left: Words,
    events: Matrix,
    said: int,
    kind: int,
    member: int,
    amount: int,
    account: int,
    receivables: int,
    time: int,
    day: int,
) -> tuple[int, int]:
    """Take `amount` from a member, lending it what it lacks (`Cashier.collect`)."""
    members, cash = tables.members, tables.members[member, CASH]
    short = amount - left[cash]
    if short > 0:
        steps = _step(chain, steps, left, STEP_SHORTFALL, receivables, cash, short)
        members[member, OWED] += short
        members[member, LENT_SUM] += short
        said = say(events, said, LENT, time, member, short, members[member, OWED], 0, 0, day)
    return _step(chain, steps, left, kind, cash, account, amount), said


@njit(cache=True)
def move_nets(
    directory: Matrix,
    given_found: Matrix,
    given_chain: Matrix,
    steps: int,
    given_left: Words,
    given_events: Matrix,
    reason: int,
    variation: int,
    receivables: int,
    time: int,
    day: int,
) -> tuple[int, int]:
    """Collect from the losers, then pay the winners. Returns (steps in all, events)."""
    tables, found, chain = tables_at(directory), table(given_found, 5), table(given_chain, 8)
    left, events, members = table(given_left, 1), table(given_events, 8), tables.members
    kind, said, top = TRANSFER | reason << REASON_SHIFT, 0, tables.scalars[MEMBER_TOP]
    for member in range(1, top + 1):
        net = found[member, NET]
        if net < 0:
            steps, said = _collect(
                tables, chain, steps, left, events, said, kind, member, -net, variation, receivables, time, day
            )  # fmt: skip
    for member in range(1, top + 1):
        net = found[member, NET]
        if net > 0:
            steps = _step(chain, steps, left, kind, variation, members[member, CASH], net)
        members[member, VARIATION_SUM] += net
    return steps, said


@njit(cache=True)
def move_fees(
    directory: Matrix,
    given_chain: Matrix,
    steps: int,
    given_left: Words,
    given_events: Matrix,
    fees: int,
    receivables: int,
    time: int,
    day: int,
) -> tuple[int, int]:
    """Collect every member's unpaid fees (`Settlement._collect_fees`). Returns (steps in all, events)."""
    tables, chain, left = tables_at(directory), table(given_chain, 8), table(given_left, 1)
    events, members, said = table(given_events, 8), tables.members, 0
    for member in range(1, tables.scalars[MEMBER_TOP] + 1):
        due, made, taken, fills = (
            members[member, ACCRUED],
            members[member, MAKER_LOTS],
            members[member, TAKER_LOTS],
            members[member, FILLS],
        )
        members[member, FEES_PAID] += due
        members[member, ACCRUED] = members[member, MAKER_LOTS] = 0
        members[member, TAKER_LOTS] = members[member, FILLS] = 0
        if due != 0:
            steps, said = _collect(
                tables, chain, steps, left, events, said, STEP_FEES, member, due, fees, receivables, time, day
            )  # fmt: skip
            said = say(events, said, FEE, time, member, due, made, taken, fills, day)
    return steps, said


@njit(cache=True)
def take_back(
    directory: Matrix,
    given_chain: Matrix,
    steps: int,
    given_left: Words,
    given_events: Matrix,
    receivables: int,
    time: int,
    day: int,
) -> tuple[int, int]:
    """Let every member repay what it owes, as far as its cash goes (`Cashier.take_back`). Returns (steps in all, events)."""
    tables, chain, left = tables_at(directory), table(given_chain, 8), table(given_left, 1)
    events, members, said = table(given_events, 8), tables.members, 0
    for member in range(1, tables.scalars[MEMBER_TOP] + 1):
        owed, cash = members[member, OWED], members[member, CASH]
        amount = min(owed, max(0, left[cash]))
        if amount > 0:
            steps = _step(chain, steps, left, STEP_SHORTFALL, cash, receivables, amount)
            members[member, OWED] -= amount
            members[member, LENT_SUM] -= amount
            said = say(events, said, REPAID, time, member, amount, owed - amount, 0, 0, day)
    return steps, said


@njit(cache=True)
def count_steps(directory: Matrix, given_found: Matrix) -> tuple[int, int]:
    """At most how many steps the chain of a settlement has, and how many events say so, for variation, fees and debts."""
    tables, found = tables_at(directory), table(given_found, 5)
    members, steps, said = tables.members, 0, 0
    for member in range(1, tables.scalars[MEMBER_TOP] + 1):
        net, fee = found[member, NET], members[member, ACCRUED] != 0
        lent = (net < 0) + fee
        steps += (net != 0) + fee + lent + 1
        said += fee + lent + 1
    return steps, said


@njit(cache=True)
def close_members(
    directory: Matrix,
    places: int,
    given_terms: Matrix,
    report_bp: int,
    given_found: Matrix,
    given_accounts: Matrix,
    given_events: Matrix,
    call_ns: int,
    time: int,
    day: int,
) -> int:
    """Say every member's margin, call it or see its call met, report its large positions, and close its statement; returns
    how many events that are.
    """
    tables, terms, found = tables_at(directory), table(given_terms, 8), table(given_found, 5)
    accounts, events, members = table(given_accounts, 8), table(given_events, 8), tables.members
    said = 0
    for number in range(1, tables.scalars[MEMBER_TOP] + 1):
        if members[number, KNOWN] == 0:
            continue
        cash, owed = members[number, CASH], members[number, OWED]
        closing = accounts[cash, CREDITS_POSTED] - accounts[cash, DEBITS_POSTED]
        requirement = members[number, LADDER] + members[number, ADJUSTMENT]
        equity = _equity(members, accounts, number, found[number, GAINED])
        excess = equity - requirement
        said = say(events, said, MARGIN, time, number, requirement, equity, excess, owed, day)
        if members[number, STANDING] < DEFAULTED:
            said = _call(tables, events, said, time, day, number, requirement, excess, call_ns)
        if found[number, LARGE] > 0:
            said = _report(tables, events, said, time, day, number, places, terms, report_bp)
        said = _state(tables, events, said, time, day, number, closing, requirement, excess)
    return said


@njit(cache=True)
def find_short(
    directory: Matrix, places: int, given_accounts: Matrix, numbers: Words, excesses: Words
) -> int:
    """Members, not in default, that are short of margin at the marks or were called, with their excess; returns how many."""
    tables, accounts = tables_at(directory), table(given_accounts, 8)
    members, found = tables.members, 0
    for number in range(1, tables.scalars[MEMBER_TOP] + 1):
        called, owed = members[number, STANDING] == CALLED, members[number, OWED]
        if members[number, KNOWN] == 0 or members[number, STANDING] >= DEFAULTED:
            continue
        if members[number, LADDER] == 0 and owed == 0 and not called:
            continue
        equity = _equity(members, accounts, number, gained_micro(directory, places, number))
        excess = equity - members[number, LADDER] - members[number, ADJUSTMENT]
        if excess < 0 or called:
            numbers[found], excesses[found] = number, excess
            found += 1
    return found


@njit(cache=True)
def _call(
    tables: Tables,
    events: Matrix,
    said: int,
    time: int,
    day: int,
    number: int,
    requirement: int,
    excess: int,
    call_ns: int,
) -> int:
    """`Settlement.call`."""
    members = tables.members
    if excess < 0:
        if members[number, STANDING] == GOOD:
            members[number, STANDING] = CALLED
            members[number, DEADLINE] = time + call_ns
        owed, deadline = members[number, OWED], members[number, DEADLINE]
        said = say(events, said, MARGIN_CALL, time, number, -excess, owed, requirement, deadline, day)
    elif members[number, STANDING] == CALLED:
        members[number, STANDING], members[number, DEADLINE] = GOOD, 0
        said = say(events, said, CALL_MET, time, number, excess, 0, 0, 0, day)
    members[number, CALLED_FOR] = max(0, -excess)
    return said


@njit(cache=True)
def _report(
    tables: Tables,
    events: Matrix,
    said: int,
    time: int,
    day: int,
    number: int,
    places: int,
    terms: Matrix,
    report_bp: int,
) -> int:
    """`Settlement._report_large`."""
    column = T_HEDGER_LIMIT if tables.members[number, ROLE] == HEDGER else T_LIMIT
    for place in range(places):
        slot = tables.slots[number * places + place]
        if slot != 0:
            long, short = tables.hot[slot, LONG], tables.hot[slot, SHORT]
            limit, size = terms[place >> 1, column], max(long, short)
            if size != 0 and limit != 0 and size * BP >= limit * report_bp:
                contract = tables.markets[place >> 1, NUMBER]
                said = say(events, said, LARGE_POSITION, time, number, contract, long - short, limit, 0, day)
    return said


@njit(cache=True)
def _state(
    tables: Tables,
    events: Matrix,
    said: int,
    time: int,
    day: int,
    number: int,
    closing: int,
    requirement: int,
    excess: int,
) -> int:
    """`Settlement._state`: the member's statement, and a new one begun."""
    member = tables.members[number]
    opening, variation, fees = member[OPENING], member[VARIATION_SUM], member[FEES_PAID]
    bought, sold, lent = member[BOUGHT], member[SOLD], member[LENT_SUM]
    fund, penalties = member[FUND_MOVED], member[PENALTIES]
    known = variation - fees - bought + sold + lent - fund - penalties
    transferred = closing - opening - known
    said = say(events, said, STATEMENT_MONEY, time, number, day, opening, transferred, variation, fees)
    said = say(
        events, said, STATEMENT_SPOT, time, number, day, bought, sold, member[RECEIPTS_BOUGHT], member[RECEIPTS_SOLD]
    )  # fmt: skip
    said = say(events, said, STATEMENT_CLOSING, time, number, day, lent, closing, requirement, excess)
    said = say(
        events, said, STATEMENT_FUND, time, number, day, fund, penalties, member[LADDER], member[SCENARIO]
    )
    member[OPENING] = closing
    member[VARIATION_SUM] = member[FEES_PAID] = member[LENT_SUM] = 0
    member[BOUGHT] = member[SOLD] = member[RECEIPTS_BOUGHT] = member[RECEIPTS_SOLD] = 0
    member[FUND_MOVED] = member[PENALTIES] = 0
    return said
