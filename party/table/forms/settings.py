"""A table's settings: how its holder reads it. The job does not know of them.

For a CSV file in another dialect::

    file: alice.txt      # beside this file
    separator: ";"       # or tab
    decimal: ","
    encoding: cp1252
    gaps: [NA, "-"]      # what stands in an empty cell

For a query::

    database: sqlite     # or postgresql
    connection: {env: ALICE_DATABASE}   # or {file: ...}: where the connection's URI is
    query: SELECT age, income FROM customers ORDER BY id
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    Field,
    ValidationError,
    model_validator,
)

from party.agreement.columns import Cell
from party.agreement.text_file import read_text
from party.agreement.yaml12 import load_yaml, refused
from party.process.errors import InputError, printable
from party.process.files import unreadable
from party.process.schema import Strict
from party.table.forms import Wanted

Database = Literal["sqlite", "postgresql"]


def _text_encoding(name: str) -> str:
    try:
        b"a".decode(name)
    except UnicodeError:
        return name  # of texts that begin otherwise
    except (LookupError, ValueError):
        raise ValueError(f"{name!r} is no encoding; utf-8, cp1252 and latin-1 are") from None
    return name


def _reads(query: str) -> str:
    if not re.match(r"(?i)\s*(select|with)\b", query):
        raise ValueError("a query begins with SELECT or WITH")
    if not re.search(r"(?i)\border\s+by\b", query):
        raise ValueError(
            "without ORDER BY the rows come in any order, and other parties' are in one"
        )
    return query


class Connection(Strict):
    """Where the URI of a database is: never in the settings themselves."""

    env: Annotated[str, Field(min_length=1)] | None = Field(
        default=None, description="the environment variable that holds it"
    )
    file: Annotated[str, Field(min_length=1)] | None = Field(
        default=None, description="the file that holds it"
    )

    @model_validator(mode="after")
    def _one(self) -> Connection:
        if (self.env is None) == (self.file is None):
            raise ValueError("it is in the environment, env, or in a file, file")
        return self


class CsvSettings(Strict):
    """A CSV file in a dialect of its own."""

    file: Annotated[str, Field(min_length=1)]
    separator: Literal[",", ";", "\t", "tab", "|", " "] = ","
    decimal: Literal[".", ","] = "."
    encoding: Annotated[str, AfterValidator(_text_encoding)] = "utf-8"
    gaps: tuple[Cell, ...] = ()

    @model_validator(mode="after")
    def _apart(self) -> CsvSettings:
        if self.separator == self.decimal:
            raise ValueError("separator: cells and decimals are not both told by a comma")
        return self


class QuerySettings(Strict):
    """The rows of a query."""

    database: Database
    connection: Connection
    query: Annotated[str, AfterValidator(_reads)]
    gaps: tuple[Cell, ...] = ()


class Settings:
    """A settings file as it was read, and where it lies."""

    def __init__(self, path: Path, said: CsvSettings | QuerySettings) -> None:
        self.path = path
        self.said = said

    @property
    def has_rows(self) -> bool:
        """Whether the table has rows and no lines."""
        return isinstance(self.said, QuerySettings)

    def text(
        self,
        wanted: Wanted,
        numbers: Callable[[bytes], list[bool]],
        undated: tuple[str, ...] = (),
    ) -> Iterator[bytes]:
        """The table's text; see ``forms.other_text``."""
        if isinstance(self.said, CsvSettings):
            return self._of_file(self.said, numbers)
        return self._of_query(self.said, wanted, undated)

    def _of_file(
        self, said: CsvSettings, numbers: Callable[[bytes], list[bool]]
    ) -> Iterator[bytes]:
        from party.table.forms.dialect import Dialect
        from party.table.packing import unpacked

        path = self.path.parent / said.file
        separator = "\t" if said.separator == "tab" else said.separator
        dialect = Dialect(separator, said.decimal, said.encoding, said.gaps)
        try:
            with path.open("rb") as stream:
                blocks = unpacked(stream, path, text=False)
                yield from dialect.text(blocks, numbers, str(path))
        except OSError as error:
            raise unreadable(error, "the table", path) from None

    def _of_query(
        self, said: QuerySettings, wanted: Wanted, undated: tuple[str, ...]
    ) -> Iterator[bytes]:
        from party.table.forms.query import rows_of

        uri, where = self._uri(said.connection), str(self.path)
        return rows_of(said.database, uri, said.query, wanted, said.gaps, where, undated)

    def _uri(self, connection: Connection) -> str:
        where = str(self.path)
        if connection.file is not None:
            uri = read_text(self.path.parent / connection.file, "the connection's URI").strip()
        else:
            uri = os.environ.get(connection.env or "", "").strip()
            where += f", environment variable {connection.env}"
        if not uri:
            raise InputError("there is no URI of a database", where, "set it")
        return uri


def load_settings(path: Path) -> Settings:
    """The settings in a file. Raises InputError for what is none."""
    document = load_yaml(path, "the table's settings")
    value: Any = document.value
    if not isinstance(value, dict):
        hint = "write file and separator, or database and query, as in docs/tables.md"
        raise InputError("the table's settings are no mapping of keys to values", str(path), hint)
    kind = QuerySettings if {"query", "database"} & value.keys() else CsvSettings
    try:
        return Settings(path, kind.model_validate_json(json.dumps(value)))
    except ValidationError as error:
        wrong = refused(error.errors(include_url=False), document)
        key = printable(".".join(map(str, wrong.path)))
        what = "the table's settings are wrong: " + (f"{key}: " if key else "") + wrong.message
        raise InputError(what, document.place(wrong.path), wrong.hint) from None
