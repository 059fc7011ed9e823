"""A linear programme, maximise c x subject to A x = b and 0 <= x <= u, handed to HiGHS: its optimal vertex and its prices."""

from dataclasses import dataclass

import highspy
import numpy as np
from numpy.typing import NDArray

from ciyuan.basics.errors import InvariantBroken

Reals = NDArray[np.float64]
Wholes = NDArray[np.int64]
Flags = NDArray[np.bool_]
TOLERANCE = 1e-10
"""How far HiGHS lets a row, or a price, be off: the least that it takes."""


@dataclass(frozen=True, slots=True)
class Vertex:
    """An optimal vertex: `amounts` (n,) of the columns, `duals` (m,) what one more of each row's right-hand side is worth,
    `objective` the optimum."""

    amounts: Reals
    duals: Reals
    objective: float


def maximise(columns: Reals, gains: Reals, bounds: Reals, barred: Flags) -> Vertex:
    """The best vertex.

    `columns` is A, (m, n); `gains` c, (n,); `bounds` b, (m,). `barred` (n,) marks columns that must stay at 0; the others may
    grow without bound. The programme must have a finite optimum (InvariantBroken if it has none). The same figures give the same
    vertex: the dual simplex method on one thread, without presolve.
    """
    solver = highspy.Highs()
    for option, value in (
        ("output_flag", False),
        ("threads", 1),
        ("solver", "simplex"),
        ("presolve", "off"),
        ("primal_feasibility_tolerance", TOLERANCE),
        ("dual_feasibility_tolerance", TOLERANCE),
    ):
        _expect(solver.setOptionValue(option, value), f"option {option}")
    _expect(solver.passModel(_model(columns, gains, bounds, barred)), "the programme")
    _expect(solver.run(), "the search")
    status = solver.getModelStatus()
    if status != highspy.HighsModelStatus.kOptimal:
        raise InvariantBroken("the programme has a finite optimum", solver.modelStatusToString(status))
    found = solver.getSolution()
    amounts = np.maximum(np.array(found.col_value, dtype=np.float64), 0.0)
    return Vertex(amounts, np.array(found.row_dual, dtype=np.float64), float(gains @ amounts))


def _model(columns: Reals, gains: Reals, bounds: Reals, barred: Flags) -> highspy.HighsLp:
    rows, wide = columns.shape
    places, rows_of = np.nonzero(columns.T)
    model = highspy.HighsLp()
    model.num_row_, model.num_col_ = rows, wide
    model.sense_ = highspy.ObjSense.kMaximize
    model.col_cost_ = gains
    model.col_lower_ = np.zeros(wide)
    model.col_upper_ = np.where(barred, 0.0, highspy.kHighsInf)
    model.row_lower_ = model.row_upper_ = bounds
    model.a_matrix_.format_ = highspy.MatrixFormat.kColwise
    model.a_matrix_.start_ = np.searchsorted(places, np.arange(wide + 1)).astype(np.int32)
    model.a_matrix_.index_ = rows_of.astype(np.int32)
    model.a_matrix_.value_ = columns.T[places, rows_of]
    return model


def _expect(status: highspy.HighsStatus, what: str) -> None:
    """HiGHS answers with a status where others raise."""
    if status != highspy.HighsStatus.kOk:
        raise InvariantBroken("HiGHS takes what it is given", f"{what}: {status}")
