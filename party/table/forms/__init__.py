"""Tables that are no plain CSV, as the text that they would be: Parquet, Arrow, other dialects of
CSV, the rows of a query.

Each becomes CSV as ``party.table`` describes it, block by block, and everything behind that knows
no other form: the checks and their messages, the digest, what is packed into Secrets. In place of a
table's file, a settings file (``forms.settings``, a name that ends in .yaml) says how to read one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

SETTINGS = (".yaml", ".yml")
"""How the names of settings files end; no table's does."""

Wanted = tuple[str, ...] | None
"""The columns whose cells are needed, while those of others are left empty; None for all."""

_PARQUET, _ARROW = b"PAR1", b"ARROW1\0\0"


def other_text(
    path: Path,
    wanted: Wanted,
    numbers: Callable[[bytes], list[bool]],
    undated: tuple[str, ...] = (),
) -> Iterator[bytes] | None:
    """The text of a table that is no plain CSV; None for what may be one.

    Args:
        path: a file.
        wanted: the columns whose cells are needed.
        numbers: which columns are of numbers, by the first line of the text.
        undated: the columns that may not be of dates.

    Raises, when it is called or iterated, InputError for what cannot be read.
    """
    if path.suffix in SETTINGS:
        from party.table.forms.settings import load_settings

        return load_settings(path).text(wanted, numbers, undated)
    form = _begins(path)
    if form is None:
        return None
    from party.table.forms.arrow import arrow_batches, parquet_batches, text_of

    batches = parquet_batches if form == _PARQUET else arrow_batches
    return text_of(batches(path, wanted), wanted, str(path), undated=undated)


def has_rows(path: Path) -> bool:
    """Whether places in a table are rows, counted from 1, and not lines of a text."""
    if path.suffix in SETTINGS:
        from party.table.forms.settings import load_settings

        return load_settings(path).has_rows
    return path.is_file() and _begins(path) is not None


def _begins(path: Path) -> bytes | None:
    with path.open("rb") as file:
        head = file.read(len(_ARROW))
        if head.startswith(_ARROW):
            return _ARROW
        # A column's name may begin with these letters; Parquet ends with them, too.
        if head.startswith(_PARQUET):
            file.seek(-len(_PARQUET), 2)
            if file.read() == _PARQUET:
                return _PARQUET
    return None
