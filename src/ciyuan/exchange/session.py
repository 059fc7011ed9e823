"""The trading day as tables (§4.1): what may follow which state, and which orders and cancels each state takes.

| state | may be followed by | orders | cancels |
|---|---|---|---|
| CLOSED | AUCTION_ENTRY, CONTINUOUS | | yes |
| AUCTION_ENTRY | AUCTION_FREEZE, AUCTION_MATCH | limit, iceberg | yes |
| AUCTION_FREEZE | AUCTION_MATCH | limit, iceberg | |
| AUCTION_MATCH | CONTINUOUS, BREAK, CLOSING | | |
| CONTINUOUS | BREAK, CLOSING, AUCTION_ENTRY | all | yes |
| BREAK | CONTINUOUS, AUCTION_ENTRY, CLOSING | | yes |
| CLOSING | SETTLEMENT | | |
| SETTLEMENT | CLOSED | | |
| SUSPENDED | CLOSED | | yes |

The auction itself happens on entering AUCTION_MATCH. From CLOSING on the book stands as it was at the close, because the
settlement price may be read off it (§4.4); so there is no cancel there. The day is closed in SETTLEMENT, once, and CLOSED may
only follow when it is.
"""

from collections.abc import Mapping

from ciyuan.exchange.messages import OrderFlag, SessionState

TYPE_BITS = (
    OrderFlag.MARKET
    | OrderFlag.FAK
    | OrderFlag.FOK
    | OrderFlag.POST_ONLY
    | OrderFlag.ICEBERG
    | OrderFlag.STOP
)
"""The flags of an order that name its type."""

LIMIT, MARKET, FAK, FOK = map(int, (OrderFlag.LIMIT, OrderFlag.MARKET, OrderFlag.FAK, OrderFlag.FOK))
POST_ONLY, ICEBERG, STOP = map(int, (OrderFlag.POST_ONLY, OrderFlag.ICEBERG, OrderFlag.STOP))
MARKET_STOP = MARKET | STOP
ORDER_TYPES = frozenset({LIMIT, MARKET, FAK, FOK, POST_ONLY, ICEBERG, STOP, MARKET_STOP})
AUCTION_TYPES = frozenset({LIMIT, ICEBERG})
SPREAD_TYPES = frozenset({LIMIT, FAK})
LASTING_TYPES = frozenset({LIMIT, POST_ONLY, ICEBERG, STOP})
"""The types that may outlive the day."""

FOLLOWS: Mapping[SessionState, frozenset[SessionState]] = {
    SessionState.CLOSED: frozenset({SessionState.AUCTION_ENTRY, SessionState.CONTINUOUS}),
    SessionState.AUCTION_ENTRY: frozenset({SessionState.AUCTION_FREEZE, SessionState.AUCTION_MATCH}),
    SessionState.AUCTION_FREEZE: frozenset({SessionState.AUCTION_MATCH}),
    SessionState.AUCTION_MATCH: frozenset(
        {SessionState.CONTINUOUS, SessionState.BREAK, SessionState.CLOSING}
    ),
    SessionState.CONTINUOUS: frozenset(
        {SessionState.BREAK, SessionState.CLOSING, SessionState.AUCTION_ENTRY}
    ),
    SessionState.BREAK: frozenset(
        {SessionState.CONTINUOUS, SessionState.AUCTION_ENTRY, SessionState.CLOSING}
    ),
    SessionState.CLOSING: frozenset({SessionState.SETTLEMENT}),
    SessionState.SETTLEMENT: frozenset({SessionState.CLOSED}),
    SessionState.SUSPENDED: frozenset({SessionState.CLOSED}),
}
"""What may follow each state."""

TAKES: Mapping[SessionState, frozenset[int]] = {state: frozenset() for state in SessionState} | {
    SessionState.AUCTION_ENTRY: AUCTION_TYPES,
    SessionState.AUCTION_FREEZE: AUCTION_TYPES,
    SessionState.CONTINUOUS: ORDER_TYPES,
}
"""The order types that each state takes, as the type bits of their flags."""

CANCELLING = frozenset(
    {
        SessionState.CLOSED,
        SessionState.AUCTION_ENTRY,
        SessionState.CONTINUOUS,
        SessionState.BREAK,
        SessionState.SUSPENDED,
    }
)
"""The states in which orders may be cancelled by their account."""

ENDED = frozenset(
    {SessionState.CLOSING, SessionState.SETTLEMENT, SessionState.CLOSED, SessionState.SUSPENDED}
)
"""The states in which no more trades can come on the day."""
