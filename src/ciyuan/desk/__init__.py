"""The desk, a client of the market: a buyer's exposure, hedge and bill. Messages only; functions are imported by module."""

from ciyuan.desk.messages import (
    NO_FUTURES,
    Basis,
    CurvePoint,
    DayBills,
    Decomposition,
    Exposure,
    Finding,
    FuturesResult,
    FuturesTrade,
    HedgePlan,
    HedgeRatio,
    HedgeReport,
    Use,
)

__all__ = [
    "NO_FUTURES",
    "Basis",
    "CurvePoint",
    "DayBills",
    "Decomposition",
    "Exposure",
    "Finding",
    "FuturesResult",
    "FuturesTrade",
    "HedgePlan",
    "HedgeRatio",
    "HedgeReport",
    "Use",
]
