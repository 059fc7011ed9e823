"""Tables: a matrix's memory as compiled code sees it, without counting references to it.

Numba counts the references to an array that one compiled function hands to another, on the way in and on the way out;
inlining does not take that away where the code branches, and at a few nanoseconds each the counts cost several times
the work of an order. A table is the bare address and the number of rows, of as many columns as is said where it is
made:

| expression | is |
|---|---|
| `t[row, column]` | a word; of a table of one column also `t[row]` |
| `t[row]` | the row, as a table of one column |
| `t[row, :] = word` | every word of a row set |
| `t[row] = other[row]` | a row copied |
| `len(t)` | its rows |

A *record* is several tables under names, as one address: `book.orders` is a table. It is what compiled functions hand
on, one word instead of two for each table.

Neither bounds nor negative places are looked at: what is used as a place is checked where it comes in
(`placing.py`, `commands.py`, `snapshot.py`). Who makes tables keeps the matrices alive until they are done with (`machine.py`).
"""

import operator
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.imputils import lower_builtin, lower_getattr_generic
from numba.core.typing.templates import (
    AbstractTemplate,
    AttributeTemplate,
    infer_getattr,
    infer_global,
    signature,
)
from numba.extending import intrinsic, models, overload, register_model

WORD, BYTE_POINTER = ir.IntType(64), ir.IntType(8).as_pointer()


class TableType(types.Type):  # type: ignore[misc]
    """Numba's type of a table: rows of `columns` words of `dtype`."""

    def __init__(self, dtype: Any, columns: int) -> None:
        self.dtype, self.columns = dtype, columns
        super().__init__(name=f"Table({dtype}, {columns})")


@register_model(TableType)
class TableModel(models.StructModel):  # type: ignore[misc]
    """A table in memory: its address and its rows."""

    def __init__(self, manager: Any, kind: TableType) -> None:
        super().__init__(manager, kind, [("data", types.CPointer(kind.dtype)), ("rows", types.int64)])


def _made(context: Any, builder: Any, kind: TableType, data: Any, rows: Any) -> Any:
    made = cgutils.create_struct_proxy(kind)(context, builder)
    made.data, made.rows = data, rows
    return made._getvalue()


@intrinsic
def table(typing_context: Any, array: Any, columns: Any) -> Any:
    """The table of a C-contiguous matrix's memory, with a constant number of columns."""
    if not isinstance(columns, types.IntegerLiteral):
        return None
    kind = TableType(array.dtype, columns.literal_value)

    def generate(context: Any, builder: Any, sig: Any, values: Any) -> Any:
        given = context.make_array(sig.args[0])(context, builder, values[0])
        rows = cgutils.unpack_tuple(builder, given.shape)[0]
        return _made(context, builder, kind, given.data, rows)

    return kind(array, columns), generate


class RecordType(types.Type):  # type: ignore[misc]
    """Numba's type of a record: a name and the type of each of its tables, in the order in which a directory has them."""

    def __init__(self, name: str, tables: tuple[tuple[str, TableType], ...]) -> None:
        self.tables = dict(tables)
        self.places = {table_name: place for place, (table_name, _) in enumerate(tables)}
        super().__init__(name=f"{name}{[(table_name, kind.name) for table_name, kind in tables]}")


@register_model(RecordType)
class RecordModel(models.PrimitiveModel):  # type: ignore[misc]
    """A record in memory: the address of its directory, which has (address, rows) of each table."""

    def __init__(self, manager: Any, kind: RecordType) -> None:
        super().__init__(manager, kind, WORD.as_pointer())


@infer_getattr
class RecordAttributes(AttributeTemplate):
    """The type of `record.name`."""

    key = RecordType

    def generic_resolve(self, kind: RecordType, name: str) -> Any:  # type: ignore[override]
        """Numba's question: the type of an attribute, None if it is not ours."""
        return kind.tables.get(name)


@lower_getattr_generic(RecordType)
def _table_of(context: Any, builder: Any, kind: RecordType, record: Any, name: str) -> Any:
    made, place = kind.tables[name], 2 * kind.places[name]
    address, rows = (builder.load(builder.gep(record, [WORD(place + part)])) for part in range(2))
    data = builder.inttoptr(address, context.get_value_type(types.CPointer(made.dtype)))
    return _made(context, builder, made, data, rows)


def record_of(kind: RecordType) -> Any:
    """The compiled function that makes a record of a directory, an (n, 2) int64 matrix of (address, rows)."""

    @intrinsic
    def record_at(typing_context: Any, directory: Any) -> Any:
        def generate(context: Any, builder: Any, sig: Any, values: Any) -> Any:
            return context.make_array(sig.args[0])(context, builder, values[0]).data

        return kind(directory), generate

    return record_at


@intrinsic
def fetch(typing_context: Any, base: Any, row: Any, column: Any) -> Any:
    """Ask the processor to have a word at hand soon. The place need not exist: nothing is read."""

    def generate(context: Any, builder: Any, sig: Any, values: Any) -> Any:
        data = builder.extract_value(values[0], 0)
        place = builder.add(builder.mul(values[1], WORD(sig.args[0].columns)), values[2])
        address = builder.bitcast(builder.gep(data, [place]), BYTE_POINTER)
        number = ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [BYTE_POINTER, number, number, number])
        asked = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0")
        builder.call(asked, [address, number(0), number(3), number(1)])
        return context.get_dummy_value()

    return types.void(base, types.int64, types.int64), generate


# --- len(t), t[...], t[...] = ... ---


@intrinsic
def _rows_of(typing_context: Any, base: Any) -> Any:
    def generate(context: Any, builder: Any, sig: Any, values: Any) -> Any:
        return builder.extract_value(values[0], 1)

    return types.int64(base), generate


@overload(len)
def _len(base):  # type: ignore[no-untyped-def]
    if isinstance(base, TableType):
        return lambda base: _rows_of(base)  # noqa: PLW0108 - the overload is read for its parameters
    return None


def _form(index: Any) -> str:
    """Which of the forms in the table above an index has: row, word, or all words of a row."""
    if isinstance(index, types.Integer):
        return "row"
    if isinstance(index, types.BaseTuple) and len(index) == 2 and isinstance(index[0], types.Integer):
        if isinstance(index[1], types.Integer):
            return "word"
        if isinstance(index[1], types.SliceType):
            return "all"
    return ""


@infer_global(operator.getitem)
class GetFromTable(AbstractTemplate):
    """The type of what is read from a table."""

    def generic(self, args: Any, kws: Any) -> Any:
        """Numba's question: the signature for these argument types, None if it is not ours."""
        base, index = args
        if isinstance(base, TableType):
            if _form(index) == "word":
                return signature(base.dtype, base, index)
            if _form(index) == "row":
                return signature(base.dtype if base.columns == 1 else TableType(base.dtype, 1), base, index)
        return None


@infer_global(operator.setitem)
class SetInTable(AbstractTemplate):
    """The type of what is written to a table."""

    def generic(self, args: Any, kws: Any) -> Any:
        """Numba's question, as above."""
        base, index, word = args
        if isinstance(base, TableType) and _form(index):
            if _form(index) == "row" and base.columns > 1:
                return signature(types.none, base, index, word) if isinstance(word, TableType) else None
            return signature(types.none, base, index, base.dtype)
        return None


def _address(context: Any, builder: Any, base: TableType, index: Any, values: Any) -> Any:
    data, column = builder.extract_value(values[0], 0), None
    row, of_row = values[1], index
    if isinstance(index, types.BaseTuple):
        row, given = cgutils.unpack_tuple(builder, values[1])
        of_row = index[0]
        if isinstance(index[1], types.Integer):
            column = context.cast(builder, given, index[1], types.int64)
    row = context.cast(builder, row, of_row, types.int64)
    place = builder.mul(row, WORD(base.columns), flags=["nsw"])
    if column is not None:
        place = builder.add(place, column, flags=["nsw"])
    return builder.gep(data, [place], inbounds=True)


@lower_builtin(operator.getitem, TableType, types.BaseTuple)
@lower_builtin(operator.getitem, TableType, types.Integer)
def _get(context: Any, builder: Any, sig: Any, values: Any) -> Any:
    address = _address(context, builder, sig.args[0], sig.args[1], values)
    if isinstance(sig.return_type, TableType):
        return _made(context, builder, sig.return_type, address, WORD(sig.args[0].columns))
    return builder.load(address)


@lower_builtin(operator.setitem, TableType, types.BaseTuple, types.Any)
@lower_builtin(operator.setitem, TableType, types.Integer, types.Any)
def _set(context: Any, builder: Any, sig: Any, values: Any) -> Any:
    base, index, kind = sig.args
    address = _address(context, builder, base, index, values)
    if _form(index) == "row" and base.columns > 1:
        other = builder.extract_value(values[2], 0)
        for column in range(base.columns):
            word = builder.load(builder.gep(other, [WORD(column)]))
            builder.store(word, builder.gep(address, [WORD(column)]))
    elif _form(index) == "all":
        for column in range(base.columns):
            word = context.cast(builder, values[2], kind, base.dtype)
            builder.store(word, builder.gep(address, [WORD(column)]))
    else:
        builder.store(context.cast(builder, values[2], kind, base.dtype), address)
    return context.get_dummy_value()
