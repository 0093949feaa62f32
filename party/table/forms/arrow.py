"""Columns in Arrow's memory -> lines of CSV."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from party.process.errors import InputError

_CELLS = 1 << 16
"""Cells that become text at a time."""

_DAMAGED = (pa.ArrowException, OSError, UnicodeError)
"""What the library raises of a file that is not whole; the last of names of columns in no UTF-8."""

_KINDS = (
    pa.types.is_integer,
    pa.types.is_floating,
    pa.types.is_decimal,
    pa.types.is_boolean,
    pa.types.is_date,
    pa.types.is_timestamp,
    pa.types.is_string,
    pa.types.is_large_string,
    pa.types.is_string_view,
    pa.types.is_null,
)


@dataclass(frozen=True)
class Batches:
    """A table in Arrow's memory, a part of its rows at a time.

    Attributes:
        names: of all its columns.
        parts: record batches, with the columns that are wanted at least.
    """

    names: list[str]
    parts: Iterator[Any]


def parquet_batches(path: Path, wanted: tuple[str, ...] | None) -> Batches:
    """The rows of a Parquet file. Raises InputError for one that cannot be read."""
    try:
        from pyarrow import parquet
    except ImportError:
        what = "this installation's pyarrow cannot read Parquet"
        raise InputError(
            what, str(path), "install pyarrow whole, or write the table as CSV"
        ) from None
    try:
        file = parquet.ParquetFile(path, memory_map=True)
        names = list(file.schema_arrow.names)
    except _DAMAGED:
        raise _damaged("Parquet", path) from None
    columns = [name for name in names if wanted is None or name in wanted]
    rows = max(1, _CELLS // max(1, len(columns)))

    def parts() -> Iterator[Any]:
        try:
            yield from file.iter_batches(batch_size=rows, columns=columns, use_threads=False)
        except _DAMAGED:
            raise _damaged("Parquet", path) from None
        finally:
            file.close()

    return Batches(names, parts())


def arrow_batches(path: Path, wanted: tuple[str, ...] | None) -> Batches:
    """The rows of an Arrow file (Feather, version 2). Raises InputError as ``parquet_batches``."""
    try:
        file = pa.ipc.open_file(pa.memory_map(str(path)))
        names = list(file.schema.names)
    except _DAMAGED:
        raise _damaged("Arrow", path) from None

    def parts() -> Iterator[Any]:
        try:
            for i in range(file.num_record_batches):
                batch = file.get_batch(i)
                batch.validate(full=True)  # what stands there is taken as it is otherwise
                yield batch
        except _DAMAGED:
            raise _damaged("Arrow", path) from None

    return Batches(names, parts())


def _damaged(form: str, path: Path) -> InputError:
    return InputError(f"the {form} file is damaged or cut off", str(path), "write it again")


def text_of(
    batches: Batches,
    wanted: tuple[str, ...] | None,
    where: str,
    changed: Callable[[Any, str], Any] = lambda column, name: column,
    undated: tuple[str, ...] = (),
) -> Iterator[bytes]:
    """A header, and a line for each row.

    An empty cell stands for null and for NaN; a line's end or a NUL inside of a text is a space.

    Args:
        batches: the rows.
        wanted: the columns whose cells are needed; those of others are left empty. None: all.
        where: the table, for errors.
        changed: what becomes of a column's texts, by its name.
        undated: the columns that may not be of dates.

    Raises InputError for a column that is wanted and has no text, or dates where it may not.
    """
    names = batches.names
    yield joined([pa.array([name]) for name in names])
    for part in batches.parts:
        of = {name: i for i, name in reversed(list(enumerate(part.schema.names)))}
        rows = max(1, _CELLS // max(1, len(names)))
        for first in range(0, len(part), rows):
            some = part.slice(first, rows)
            nothing = pa.repeat(pa.scalar(""), len(some))
            yield joined(
                [
                    changed(_texts(some.column(of[name]), name, where, name in undated), name)
                    if name in of and (wanted is None or name in wanted)
                    else nothing
                    for name in names
                ]
            )


def joined(columns: list[Any]) -> bytes:
    """Lines of cells, given by columns of texts, in quotes where they need them."""
    cells = [_quoted(column, alone=len(columns) == 1) for column in columns]
    lines = pc.binary_join_element_wise(*cells, ",")
    ended = pc.binary_join_element_wise(lines, "", "\n")
    return ended.buffers()[2].to_pybytes() if len(ended) else b""


def _texts(column: Any, name: str, where: str, undated: bool) -> Any:
    kind = column.type
    if pa.types.is_dictionary(kind):
        column, kind = column.cast(kind.value_type), kind.value_type
    if isinstance(kind, pa.BaseExtensionType) and pa.types.is_string(kind.storage_type):
        # What a database writes of a type of its own: PostgreSQL's numeric, for one.
        column, kind = column.storage, kind.storage_type
    if not any(is_kind(kind) for is_kind in _KINDS):
        hint = "write it as numbers, texts, booleans or dates"
        raise InputError(f"the column {name!r} is of type {kind}", where, hint)
    if undated and (pa.types.is_date(kind) or pa.types.is_timestamp(kind)):
        what = f"the column {name!r} of align.key is of type {kind}, and the job takes it for text"
        hint = f"agree on {{column: {name}, type: date}}, so that a day is the same in any form"
        raise InputError(what, where, hint)
    try:
        if pa.types.is_floating(kind):
            column = pc.if_else(pc.is_nan(column), None, column)
        texts = pc.fill_null(pc.cast(column, pa.string()), "")
    except pa.ArrowException:
        hint = "write it as numbers, texts, booleans or dates"
        raise InputError(f"the column {name!r} has cells without a text", where, hint) from None
    if pa.types.is_floating(kind) or pa.types.is_integer(kind):
        return texts
    return pc.replace_substring_regex(texts, r"\r\n|[\r\n\x00]", " ")


def _quoted(column: Any, alone: bool) -> Any:
    need = pc.or_(pc.match_substring(column, '"'), pc.match_substring(column, ","))
    if alone:  # an empty line is no row
        need = pc.or_(need, pc.equal(column, ""))
    if not pc.any(need).as_py():
        return column
    inner = pc.replace_substring(column, '"', '""')
    return pc.if_else(need, pc.binary_join_element_wise('"', inner, '"', ""), column)
