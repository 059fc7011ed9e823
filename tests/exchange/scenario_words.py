"""The words of a scenario: what a trader writes as a command's row, and what the exchange says in a trader's words."""

from collections import defaultdict
from collections.abc import Iterator, Sequence

from ciyuan.basics.calendar import day_from_iso, iso_of_day, month_days
from ciyuan.basics.money import MICRO, parse_micro
from ciyuan.basics.rows import CODE_MASK, FLAG_MASK, FLAG_SHIFT, REASON_MASK, REASON_SHIFT, Row
from ciyuan.basics.time import NS_PER_DAY, NS_PER_MINUTE, NS_PER_SECOND
from ciyuan.exchange import (
    AccountFlag,
    AmendFlag,
    CancelCause,
    Contract,
    ContractKind,
    Effect,
    ExchangeEvent,
    FillFlag,
    Level,
    OrderFlag,
    Permission,
    Refusal,
    SelfTrade,
    SessionState,
    SettlementMethod,
    Side,
    account_row,
    amend_row,
    cancel_row,
    close_day_row,
    credit_row,
    disconnect_row,
    kill_row,
    mass_cancel_row,
    notice_row,
    order_row,
    position_row,
    quota_row,
    reduce_row,
    risk_row,
    session_row,
    tick_row,
)
from ciyuan.exchange.messages import CONTRACT_MASK, HEDGE_FLAG, LAST_DAY_SHIFT

UNLISTED = 99
"""The number of a contract that the scenario does not list."""
TYPE_WORDS = {
    "FAK": OrderFlag.FAK,
    "FOK": OrderFlag.FOK,
    "post_only": OrderFlag.POST_ONLY,
    "iceberg": OrderFlag.ICEBERG,
    "stop": OrderFlag.STOP,
    "gtc": OrderFlag.GTC,
}
EFFECT_WORDS = {
    "open": Effect.OPEN,
    "close": Effect.CLOSE,
    "close_today": Effect.CLOSE_TODAY,
    "hedge": Effect.HEDGE,
}
ACCOUNT_WORDS = {flag.name.lower(): flag for flag in AccountFlag if flag.name}
SECOND_WORDS = {OrderFlag.FAK: "min", OrderFlag.ICEBERG: "show", OrderFlag.STOP: "at"}
"""What stands before an order's second quantity."""


class Names:
    """The contracts and accounts of a scenario, by name and by number."""

    def __init__(self) -> None:
        self.contracts: list[Contract] = []
        self.accounts: dict[str, int] = {}

    def account(self, name: str) -> int:
        """The number of an account: 1, 2, 3 ... as they are named first."""
        return self.accounts.setdefault(name, len(self.accounts) + 1)

    def name(self, account: int) -> str:
        """The name of an account."""
        return next(name for name, number in self.accounts.items() if number == account)

    def number(self, code: str) -> int:
        """The number of a contract, UNLISTED if the scenario does not list it."""
        return next((contract.number for contract in self.contracts if contract.code == code), UNLISTED)

    def code(self, number: int) -> str:
        """The code of a contract."""
        return self.contracts[number - 1].code

    def ticks(self, number: int, price: str) -> int:
        """Ticks of a price as it is written."""
        return parse_micro(price) // (self.contracts[number - 1].tick_micro if number != UNLISTED else MICRO)

    def price(self, number: int, ticks: int) -> str:
        """A price as it is written; a spread's may be negative."""
        tick_micro = self.contracts[number - 1].tick_micro
        decimals = 3 if tick_micro < MICRO else 0
        return f"{ticks * tick_micro / MICRO:.{decimals}f}"

    def limits(self, number: int, lower: int, upper: int) -> str:
        """Two limits, the lower first."""
        return f"{self.price(number, lower)} to {self.price(number, upper)}"

    def level(self, number: int, level: Level) -> str:
        """A price of a book: lots, price, and in how many orders."""
        return f"{level.lots} @ {self.price(number, level.price_ticks)} ({level.orders})"


class Speaker:
    """Makes a command's row of what stands after `> `. `day` is the trading day, `now` the time in nanoseconds."""

    def __init__(self, names: Names) -> None:
        self.names = names
        self.next_id: dict[str, int] = defaultdict(lambda: 1)
        self.day = self.date = day_from_iso("2026-10-09")
        self.time_of_day_ns = 9 * 60 * NS_PER_MINUTE

    @property
    def now(self) -> int:
        """The time of the next command, in nanoseconds."""
        return self.date * NS_PER_DAY + self.time_of_day_ns

    def set_time(self, date: str | None, clock: str) -> None:
        """Take a time such as 09:00 or 09:00:30, of another date if one is given."""
        self.date = day_from_iso(date) if date else self.date
        hour, minute, second = (*map(int, clock.split(":")), 0)[:3]
        self.time_of_day_ns = (hour * 60 + minute) * NS_PER_MINUTE + second * NS_PER_SECOND

    def row(self, text: str) -> Row:
        """The row of a command."""
        verb, *rest = text.split()
        words = iter(rest)
        match verb:
            case "BUY" | "SELL":
                return self.order(Side[verb], words)
            case "SESSION":
                number = self.names.number(next(words)) if rest[1:] else 0
                return session_row(self.now, number, SessionState[next(words).upper()], self.day)
            case "CLOSE":
                return close_day_row(self.now, self.of_contract(words), self.day)
            case "TICK":
                return tick_row(self.now)
            case "NOTICE":
                return notice_row(self.now, self.of_contract(words), basis_points(next(words)))
            case "REDUCE":
                return reduce_row(self.now, self.of_contract(words))
            case "RISK":
                return self.risk(words)
        return self.of_account(verb, words)

    def of_account(self, verb: str, words: Iterator[str]) -> Row:
        """A command that names an account or one of its orders."""
        name, _, order_id = next(words).partition("#")
        account = self.names.account(name)
        match verb:
            case "CANCEL":
                return cancel_row(self.now, account, int(order_id))
            case "AMEND":
                return self.amend(account, int(order_id), words)
            case "MASSCANCEL":
                return mass_cancel_row(self.now, account, self.of_contract(words))
            case "DISCONNECT":
                return disconnect_row(self.now, account)
            case "ACCOUNT":
                return self.settings(account, words)
            case "CREDIT":
                amount, number = next(words), self.of_contract(words)
                return credit_row(self.now, account, int(amount) if number else parse_micro(amount), number)
            case "QUOTA":
                number, lots = self.of_contract(words), int(next(words))
                return quota_row(self.now, account, number, lots, hedge="hedge" in words)
            case "POSITION":
                return self.position(account, words)
        assert verb == "KILL", f"no such command in a scenario: {verb}"
        return kill_row(self.now, account, on=next(words) == "on")

    def of_contract(self, words: Iterator[str]) -> int:
        """The number of the contract that comes next, 0 (all of them) if none does."""
        code = next(words, None)
        return self.names.number(code) if code else 0

    def order(self, side: Side, words: Iterator[str]) -> Row:
        """ORDER of `alice 10 KIMI26.2610 @ 0.950` and what else its type and its account have."""
        name, lots, number = next(words), int(next(words)), self.of_contract(words)
        assert next(words) == "@"
        price = next(words)
        kind, effect = OrderFlag.MARKET if price == "market" else OrderFlag.LIMIT, Effect.NET
        second = last_day = 0
        order_id = self.next_id[name]
        for word in words:
            kind |= TYPE_WORDS.get(word, OrderFlag.LIMIT)
            effect |= EFFECT_WORDS.get(word, Effect.NET)
            if word == "id":
                order_id = int(next(words))
            elif word == "till":
                last_day = day_from_iso(next(words))
            elif word in {"min", "show"}:
                second = int(next(words))
            elif word == "at":
                second = self.names.ticks(number, next(words))
            else:
                assert word in TYPE_WORDS or word in EFFECT_WORDS, f"no such word in an order: {word}"
        self.next_id[name] = max(self.next_id[name], order_id + 1)
        ticks = 0 if price == "market" else self.names.ticks(number, price)
        return order_row(
            self.now, self.names.account(name), order_id, number, side, ticks, lots,
            kind=kind, trigger_ticks=second, last_day=last_day, effect=effect,
        )  # fmt: skip

    def amend(self, account: int, order_id: int, words: Iterator[str]) -> Row:
        """AMEND of `alice#1 8 KIMI26.2610 @ 0.951`: the contract is there for its tick only."""
        lots, number = int(next(words)), self.of_contract(words)
        assert next(words) == "@"
        price = next(words)
        return amend_row(
            self.now, account, order_id, 0 if price == "market" else self.names.ticks(number, price), lots
        )

    def settings(self, account: int, words: Iterator[str]) -> Row:
        """ACCOUNT of `gross`, `hedger` and so on, `self-trade MODE`, `rate N`, `trades futures|spot|nothing`."""
        flags, mode, rate = AccountFlag(0), SelfTrade.CANCEL_NEWEST, 0
        permissions = Permission.FUTURES | Permission.SPOT
        for word in words:
            if word == "self-trade":
                mode = SelfTrade[next(words).upper()]
            elif word == "rate":
                rate = int(next(words))
            elif word == "trades":
                only = next(words)
                permissions = Permission(0) if only == "nothing" else Permission[only.upper()]
            else:
                flags |= ACCOUNT_WORDS[word]
        return account_row(
            self.now,
            account,
            flags=flags,
            self_trade=mode,
            orders_per_second_max=rate,
            permissions=permissions,
        )

    def risk(self, words: Iterator[str]) -> Row:
        """RISK of a contract's `margin`, `fee`, `limit`, `hedgers` and `share`."""
        number = self.of_contract(words)
        given = dict(zip(words, words, strict=True))
        return risk_row(
            self.now, number,
            margin_lot_micro=parse_micro(given.get("margin", "0")), fee_lot_micro=parse_micro(given.get("fee", "0")),
            limit_lots=int(given.get("limit", 0)), hedger_limit_lots=int(given.get("hedgers", 0)),
            share_bp=basis_points(given.get("share", "0%")),
        )  # fmt: skip

    def position(self, account: int, words: Iterator[str]) -> Row:
        """POSITION of `KIMI26.2610 long 5 short 0 [basis 4.750] [hedge]`."""
        number, *rest = self.of_contract(words), *words
        hedge = "hedge" in rest
        given = dict(zip(*[iter([word for word in rest if word != "hedge"])] * 2, strict=True))
        basis = self.names.ticks(number, given.get("basis", "0"))
        lots = int(given.get("long", 0)), int(given.get("short", 0))
        return position_row(self.now, account, number, *lots, basis, hedge=hedge)


class Teller:
    """Tells the exchange's events in a trader's words."""

    def __init__(self, names: Names) -> None:
        self.names = names
        self.limits_on = False

    def told(self, event: Row, now: int) -> str:
        """One event; with its time where that is not the command's, `now`."""
        code = ExchangeEvent(event[0] & CODE_MASK)
        flags, reason = event[0] >> FLAG_SHIFT & FLAG_MASK, event[0] >> REASON_SHIFT & REASON_MASK
        text = self.of_order(code, flags, event) or self.of_market(code, flags, event)
        effect = code not in {ExchangeEvent.REPEATED, ExchangeEvent.REFUSED, ExchangeEvent.SET} and reason
        at = "" if event[1] == now else f" at {clock(event[1])}"
        return text + (effect_words(effect) if effect else "") + at

    def of_order(self, code: ExchangeEvent, flags: int, event: Row) -> str | None:
        """An event of one order."""
        _, _, a, b, number, d, e, f = event
        number &= CONTRACT_MASK
        side = Side(flags & 1).name
        match code:
            case ExchangeEvent.ACCEPTED:
                more = self.order_words(flags, number, event[4] >> LAST_DAY_SHIFT, f)
                return f"ACCEPTED {self.names.name(a)}#{b} {side} {self.lots(number, e, d)}{more}"
            case ExchangeEvent.FILLED:
                more = flag_words(FillFlag, flags)
                return f"FILL {self.names.name(a)}#{b} {side} {self.lots(number, e, d)} trade {f}{more}"
            case ExchangeEvent.CANCELLED:
                cause = CancelCause(d).name
                return f"CANCELLED {self.names.name(a)}#{b} {side} {e} {self.names.code(number)} {cause}"
            case ExchangeEvent.AMENDED:
                more = flag_words(AmendFlag, flags)
                return f"AMENDED {self.names.name(a)}#{b} {side} {self.lots(number, e, d)}, left {f}{more}"
            case ExchangeEvent.TRIGGERED:
                last, limit = self.names.price(number, d), self.names.price(number, e)
                code_ = self.names.code(number)
                return f"TRIGGERED {self.names.name(a)}#{b} {side} {code_} last {last}, limit {limit}"
            case ExchangeEvent.RELOADED:
                return f"RELOADED {self.names.name(a)}#{b} {side} {self.lots(number, e, d)}, left {f}"
        return None

    def of_market(self, code: ExchangeEvent, flags: int, event: Row) -> str:
        """An event of a contract."""
        _, _, a, b, c, d, e, f = event
        names = self.names
        match code:
            case ExchangeEvent.SESSION_CHANGED:
                limits = f" {names.limits(a, d, e)}" if self.limits_on else ""
                until = f" until {clock(f)}" if f else ""
                return (
                    f"SESSION {names.code(a)} {SessionState(b).name.lower()} {iso_of_day(c)}{limits}{until}"
                )
            case ExchangeEvent.AUCTION_PRICED | ExchangeEvent.INDICATIVE:
                word = "AUCTION" if code == ExchangeEvent.AUCTION_PRICED else "INDICATIVE"
                return f"{word} {names.code(a)} " + (
                    f"{c} @ {names.price(a, b)} surplus {d:+d}" if b else "none"
                )
            case ExchangeEvent.LEVEL:
                side = "ask" if flags & 1 else "bid"
                return f"LEVEL {e} {names.code(a)} {side} {names.level(a, Level(b, c, d))}"
            case ExchangeEvent.SETTLEMENT_PRICE:
                price, method = names.price(a, b), SettlementMethod(d).name
                return f"SETTLEMENT {names.code(a)} @ {price} by {method}, next {names.limits(a, f, e)}"
            case ExchangeEvent.LIMIT_LOCKED:
                side, rates = "upper" if b > 0 else "lower", f"next limit {per_cent(d)}, margin {per_cent(e)}"
                return f"LIMIT_LOCKED {names.code(a)} {side}, day {c}: {rates}"
            case ExchangeEvent.LIMITS:
                return f"LIMITS {names.code(a)} {names.limits(a, b, c)}, {per_cent(d)}"
            case ExchangeEvent.SPREAD_TRADED:
                return f"SPREAD {Side(flags & 1).name} {self.lots(a, c, b)} trades {d} {e}"
            case ExchangeEvent.REDUCED:
                return f"REDUCED {self.lots(a, c, b)}, {d} at a loss, {e} at a profit"
        return self.of_account_or_answer(code, flags, event)

    def of_account_or_answer(self, code: ExchangeEvent, flags: int, event: Row) -> str:
        """An event of an account, or the plain answer to a command."""
        _, _, a, b, c, d, e, f = event
        hedge = " hedge" if flags & HEDGE_FLAG else ""
        match code:
            case ExchangeEvent.REFUSED:
                return f"REFUSED {Refusal(f).name}"
            case ExchangeEvent.REPORTED:
                return (
                    f"REPORTED {self.names.name(a)} {self.names.code(b)} long {c} short {d}, limit {e}{hedge}"
                )
            case ExchangeEvent.ACTIVITY:
                figures = f"messages {c}, cancels {d}, fills {e}"
                return f"ACTIVITY {self.names.name(a)} {self.names.code(b)} {figures}{hedge}"
            case ExchangeEvent.MASS_CANCELLED:
                where = self.names.code(b) if b else "all"
                cause = CancelCause(e).name
                return f"MASS_CANCELLED {self.names.name(a)} {where} {c}, left {d}, {cause}"
        return code.name

    def lots(self, number: int, lots: int, ticks: int) -> str:
        """Lots of a contract at a price."""
        return f"{lots} {self.names.code(number)} @ {self.names.price(number, ticks)}"

    def order_words(self, flags: int, number: int, last_day: int, second: int) -> str:
        """Type and lifetime of an order, as they are written in the order."""
        words = ["market"] if flags & OrderFlag.MARKET else []
        for word, flag in TYPE_WORDS.items():
            if flags & flag:
                words.append(word)
            if flags & flag and second and flag in SECOND_WORDS:
                words += [
                    SECOND_WORDS[flag],
                    self.names.price(number, second) if word == "stop" else str(second),
                ]
        words += ["till", iso_of_day(last_day)] if last_day else []
        return "".join(f" {word}" for word in words)


def flag_words(flags_of: type[FillFlag] | type[AmendFlag], flags: int) -> str:
    """The names of the flags that are set, but the side's."""
    return "".join(f" {flag.name.lower()}" for flag in flags_of if flag != 1 and flags & flag and flag.name)


def effect_words(effect: int) -> str:
    """A gross account's effect, as it is written in the order."""
    return f" {Effect(effect & 3).name.lower()}" + (" hedge" if effect & Effect.HEDGE else "")  # type: ignore[union-attr]


def basis_points(rate: str) -> int:
    """Basis points of a rate such as 12.5%."""
    return parse_micro(rate.removesuffix("%")) * 100 // MICRO


def per_cent(rate_bp: int) -> str:
    """A rate such as 12.5%."""
    return f"{rate_bp / 100:g}%"


def clock(time_ns: int) -> str:
    """The time of day as hour, minute and second."""
    seconds = time_ns % NS_PER_DAY // NS_PER_SECOND
    return f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}"


def contract_of(listed: Sequence[Contract], code: str, *words: str) -> Contract:
    """A contract of a `contract` line: a spread if it has legs, spot if its code ends in .SPOT, else of the month YYMM."""
    given = dict(zip(words[::2], words[1::2], strict=True))
    near, far = (
        next((leg for leg in listed if leg.code == given.get(word)), None) for word in ("near", "far")
    )
    month = 0 if code.endswith(".SPOT") else near.month if near else 200_000 + int(code.rpartition(".")[2])
    kind = ContractKind.SPREAD if near else ContractKind.CASH_FUTURE if month else ContractKind.SPOT
    tick_micro = near.tick_micro if near else parse_micro(given["tick"])
    first, last = (
        day_from_iso(given.get(name, other))
        for name, other in (("first", "2026-10-09"), ("last", "2027-12-31"))
    )
    breaker, _, minutes = given.get("breaker", "0%/0").partition("/")
    return Contract(
        number=len(listed) + 1,
        code=code,
        kind=kind,
        grade=1,
        tick_micro=tick_micro,
        lot_mtok=1000 if month else 1,
        first_day=first,
        last_day=min(last, month_days(month)[1]) if month else last,
        month=month,
        limit_rate_bp=basis_points(given.get("limit", "1%")),
        initial_price_ticks=1 if near else parse_micro(given["start"]) // tick_micro,
        max_lots_per_order=int(given.get("max", "500")),
        near=near.number if near else 0,
        far=far.number if far else 0,
        breaker_bp=basis_points(breaker),
        breaker_minutes=int(minutes),
    )
