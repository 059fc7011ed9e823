"""What must always hold in the clearing house, worked out anew from positions and ledger, not from what was kept."""

from collections import defaultdict

from ciyuan.basics.errors import require
from ciyuan.clearing.books import Books
from ciyuan.clearing.margin import worst_lots
from ciyuan.clearing.positions import Position


def check_books(books: Books) -> None:
    """Raise InvariantBroken with the law's name if a law does not hold."""
    for market in books.markets.values():
        held = books.positions_of(market)
        lots, basis = sum(at.lots for at in held), sum(at.basis for at in held)
        require(
            lots == 0 and basis == 0,
            "long and short lots are equal",
            f"{market.contract.code}: {lots}, {basis}",
        )
    charged: dict[int, int] = defaultdict(int)
    for position in books.all_positions():
        charged[position.member.number] += _charge(position)
        require(
            min(position.long, position.short, position.buys, position.sells) >= 0
            and (position.member.is_gross or not position.long or not position.short),
            "a net member is long or short",
            f"{position.member.number} in {position.market.number}: {position.long}, {position.short}",
        )
    for number, member in books.members.items():
        require(
            member.ladder_micro == charged[number] >= 0 <= member.requirement_micro,
            "a requirement is the sum of its charges",
            f"{number}: {member.ladder_micro}, {charged[number]}, adjusted by {member.adjustment_micro}",
        )
    _check_orders(books)
    _check_ledger(books)


def _charge(held: Position) -> int:
    margin, fee = held.market.margin_lot_micro, held.market.fee_lot_micro
    worst = worst_lots(held.lots, held.buys, held.sells)
    if held.member.is_gross:
        worst = max(held.long + held.buys, held.short + held.sells)
    return worst * margin + (held.buys + held.sells) * fee


def _check_orders(books: Books) -> None:
    reserved: dict[int, int] = defaultdict(int)
    for (number, _), order in books.orders.items():
        if not order.is_sell:
            reserved[number] += order.left * order.price_ticks * order.market.tick_value_micro
    for member in books.members.values():
        require(
            member.reserved_micro == reserved[member.number],
            "what is reserved is what open spot buys may cost",
            f"{member.number}: {member.reserved_micro}, {reserved[member.number]}",
        )


def _check_ledger(books: Books) -> None:
    ledger, house = books.teller.ledger, books.terms.house
    passing = (house.variation, house.spot_money, *books.spot_receipts.values())
    for account in passing:
        left = ledger.posted(account)
        require(left == 0, "what passes through the house passes on", f"account {account}: {left}")
    reserved = sum(member.reserved_micro for member in books.members.values())
    held = ledger.account(house.spot_money).credits_pending
    require(
        held >= reserved and bool(held) == bool(reserved),
        "holds are those of open spot orders",
        f"{reserved} reserved, {held} held",
    )
    for grade, account in books.spot_receipts.items():
        receipts, held = _receipts_held(books, grade), ledger.account(account).credits_pending
        require(
            receipts == held,
            "receipts are held for open spot orders, pledges and tenders",
            f"grade {grade}: {receipts} for them, {held} held",
        )
    owed = sum(member.owed_micro for member in books.members.values())
    missing = -ledger.posted(house.receivables)
    require(
        owed + books.uncovered_micro == missing,
        "what is missing is owed, or covered by nobody",
        f"owed {owed}, not covered {books.uncovered_micro}, missing {missing}",
    )
    shares, fund = (
        sum(member.fund_micro for member in books.members.values()),
        ledger.posted(house.default_fund),
    )
    require(shares == fund, "the default fund is its members' shares", f"shares {shares}, account {fund}")


def _receipts_held(books: Books, grade: int) -> int:
    """Receipts of a grade that open sell orders, tenders and pledges are for."""
    orders = sum(
        order.left * order.market.contract.lot_mtok
        for order in books.orders.values()
        if order.is_sell and order.market.contract.grade == grade
    )
    tenders = sum(
        tender.lots * books.markets[contract].contract.lot_mtok
        for (contract, _), tender in books.tenders.items()
        if books.markets[contract].contract.grade == grade
    )
    pledges = sum(member.pledged.get(grade, (0, 0))[0] for member in books.members.values())
    return orders + tenders + pledges
