"""The rows of a query, through ADBC: read alone, and without a word of the database in a message.

A database's own errors may hold values, and its URI holds a password: none is passed on.
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from typing import Any
from urllib.parse import quote

import pyarrow as pa
import pyarrow.compute as pc

from party.process.errors import InputError
from party.table.forms import Wanted
from party.table.forms.arrow import Batches, text_of

_OPTION = "default_transaction_read_only=on"


def rows_of(
    database: str,
    uri: str,
    query: str,
    wanted: Wanted,
    gaps: tuple[str, ...],
    where: str,
    undated: tuple[str, ...] = (),
) -> Iterator[bytes]:
    """The text of a query's rows.

    Args:
        database: sqlite or postgresql.
        uri: of the database; it is opened for reading alone.
        query: in its SQL.
        wanted: the columns whose cells are needed.
        gaps: what stands in a cell that is empty, beside null.
        where: what to call it, for errors.
        undated: the columns that may not be of dates.

    Raises, while it is iterated, InputError where no row or not every one can be had.
    """
    name = f"adbc_driver_{database}"
    try:
        driver, error = import_module(f"{name}.dbapi"), import_module("adbc_driver_manager").Error
    except ImportError:
        hint = f"install {name.replace('_', '-')}: pip install 'tfe-kit[tables]'"
        raise InputError("the driver of the database is not installed", where, hint) from None
    known = pa.array(gaps, pa.string())

    def emptied(texts: Any, name: str) -> Any:
        gap = pc.is_in(pc.utf8_trim(texts, " \t"), known)
        return pc.if_else(gap, "", texts) if gaps else texts

    doing, hint = "open the database", "see that the URI is right, and that it may be read"
    try:
        with driver.connect(_read_only(database, uri)) as connection, connection.cursor() as cursor:
            doing, hint = "run the query", "try it with the database's own client"
            cursor.execute(query)
            reader = cursor.fetch_record_batch()
            hint += "; cast columns of mixed types to text"
            batches = Batches(list(reader.schema.names), reader)
            yield from text_of(batches, wanted, where, emptied, undated)
    except (error, pa.ArrowException, OSError):
        raise InputError(f"cannot {doing}", where, hint) from None


def _read_only(database: str, uri: str) -> str:
    if database == "sqlite":
        # SQLite's own way to say it; without, a file that is not there would be made.
        path = uri if uri.startswith("file:") else "file:" + quote(uri)
        base, _, options = path.partition("?")
        kept = [one for one in options.split("&") if one and not one.startswith("mode=")]
        return base + "?" + "&".join([*kept, "mode=ro"])
    sign = "&" if "?" in uri else "?"
    return f"{uri}{sign}options={quote('-c ' + _OPTION)}"
