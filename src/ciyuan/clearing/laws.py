"""What must always hold in the clearing house, worked out anew from positions and ledger, not from what was kept."""

from collections import defaultdict

from ciyuan.basics.errors import InvariantBroken
from ciyuan.clearing.books import Books
from ciyuan.clearing.margin import worst_lots
from ciyuan.clearing.positions import Member


def check_books(books: Books) -> None:
    """Raise InvariantBroken with the law's name if a law does not hold."""
    for market in books.markets.values():
        lots = sum(held.lots for held in market.positions)
        basis = sum(held.basis for held in market.positions)
        _require(
            lots == 0 and basis == 0,
            "long and short lots are equal",
            f"{market.contract.code}: {lots}, {basis}",
        )
    for member in books.members.values():
        charged = sum(_charge(member).values())
        required = member.requirement_micro
        _require(
            required == charged >= 0,
            "a requirement is the sum of its charges",
            f"{member.number}: {required}, {charged}",
        )
    _check_orders(books)
    _check_ledger(books)


def _charge(member: Member) -> dict[int, int]:
    return {
        number: worst_lots(held.lots, held.buys, held.sells) * held.market.margin_lot_micro
        + (held.buys + held.sells) * held.market.fee_lot_micro
        for number, held in member.positions.items()
    }


def _check_orders(books: Books) -> None:
    lots: dict[tuple[int, int, bool], int] = defaultdict(int)
    reserved: dict[int, int] = defaultdict(int)
    for (number, _), order in books.orders.items():
        for market, other_side in order.legs:
            lots[number, market.number, order.is_sell != other_side] += order.left // len(order.legs)
        if order.spot and not order.is_sell:
            reserved[number] += order.left * order.price_ticks * order.spot.tick_value_micro
    for member in books.members.values():
        _require(
            member.reserved_micro == reserved[member.number],
            "what is reserved is what open spot buys may cost",
            f"{member.number}: {member.reserved_micro}, {reserved[member.number]}",
        )
        for number, held in member.positions.items():
            found = lots[member.number, number, False], lots[member.number, number, True]
            _require(
                found == (held.buys, held.sells),
                "open lots are those of open orders",
                f"{member.number} in {number}: {(held.buys, held.sells)}, {found}",
            )


def _check_ledger(books: Books) -> None:
    ledger, house = books.teller.ledger, books.terms.house
    passing = (house.variation, house.spot_money, *books.spot_receipts.values())
    for account in passing:
        left = ledger.posted(account)
        _require(left == 0, "what passes through the house passes on", f"account {account}: {left}")
    held = sum(ledger.account(account).credits_pending for account in passing)
    holding = sum(order.spot is not None for order in books.orders.values())
    _require(
        bool(holding) == bool(held), "holds are those of open spot orders", f"{holding} orders, {held} held"
    )
    owed = sum(member.owed_micro for member in books.members.values())
    missing = max(0, -ledger.posted(house.receivables))
    _require(owed >= missing, "what is missing is owed", f"owed {owed}, missing {missing}")


def _require(holds: bool, law: str, detail: str) -> None:
    if not holds:
        raise InvariantBroken(law, detail)
