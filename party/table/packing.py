"""A file's bytes, out of their gzip; and what a file is that is no CSV, told by how it begins."""

from __future__ import annotations

import gzip
import io
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

from party.process.errors import InputError
from party.process.files import unreadable

BLOCK_BYTES = 1024 * 1024
"""Bytes that are read at a time, and the most that one line may have."""

_GZIP = b"\x1f\x8b"

HEAD_BYTES = 4096
"""Bytes that tell it."""

_AS_IT_IS = "give it whole and as it is: in no gzip, no parts and no settings file"
_DATABASE = "export the table as CSV, or give a settings file with a query: see docs/tables.md"
_SHEET = "save the sheet as CSV in UTF-8 from the program that opens it"
_UNPACK = "unpack it, and give the CSV file in it, plain or packed with gzip"
_WRITE = "write it as CSV; in Python: pandas.{}(…).to_csv(…, index=False)"
_UTF8 = "save the table as CSV in UTF-8"


@dataclass(frozen=True)
class _Form:
    begins: bytes
    name: str
    hint: str


_FORMS = (
    _Form(b"BZh", "a bzip2 file", _UNPACK),
    _Form(b"\xfd7zXZ\0", "an xz file", _UNPACK),
    _Form(b"\x28\xb5\x2f\xfd", "a zstd file", _UNPACK),
    _Form(b"\x04\x22\x4d\x18", "an lz4 file", _UNPACK),
    _Form(b"7z\xbc\xaf\x27\x1c", "a 7z archive", _UNPACK),
    _Form(b"PAR1", "a Parquet file", _AS_IT_IS),
    _Form(b"ARROW1\0\0", "an Arrow file", _AS_IT_IS),
    _Form(b"\x89HDF\r\n\x1a\n", "an HDF5 file", _WRITE.format("read_hdf")),
    _Form(b"\x93NUMPY", "a NumPy array", "write it as CSV; in Python: numpy.savetxt"),
    _Form(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an Excel workbook (.xls)", _SHEET),
    _Form(b"SQLite format 3\0", "an SQLite database", _DATABASE),
    _Form(b"%PDF-", "a PDF file", "give the table as CSV"),
    _Form(b"\xff\xfe\0\0", "text in UTF-32", _UTF8),
    _Form(b"\0\0\xfe\xff", "text in UTF-32", _UTF8),
    _Form(b"\xff\xfe", "text in UTF-16", _UTF8),
    _Form(b"\xfe\xff", "text in UTF-16", _UTF8),
)
_ZIP = (b"PK\x03\x04", b"PK\x05\x06")
_IN_ZIP = (
    (b"[Content_Types].xml", "an Excel workbook (.xlsx)", _SHEET),
    (b"xl/", "an Excel workbook (.xlsx)", _SHEET),
    (b"opendocument.spreadsheet", "an OpenDocument spreadsheet (.ods)", _SHEET),
)


def unpacked(stream: BinaryIO, path: Path, text: bool = True) -> Iterator[bytes]:
    """The bytes of a file in blocks, out of their gzip if they are in one.

    Args:
        stream: the file, from its beginning; it can peek.
        path: its name, for errors.
        text: whether it must be text in UTF-8, as far as its beginning tells.

    Raises InputError for what cannot be read or unpacked, and for another form.
    """
    buffered = cast(io.BufferedReader, stream)
    try:
        if buffered.peek(2).startswith(_GZIP):
            stream = cast(BinaryIO, gzip.GzipFile(fileobj=stream))
        block = stream.read(BLOCK_BYTES)
        if (other := other_form(block[:HEAD_BYTES])) and (text or "UTF" not in other[0]):
            name, hint = other
            raise InputError(f"the table is {name}, not CSV text", str(path), hint)
        while block:
            yield block
            block = stream.read(BLOCK_BYTES)
    except (gzip.BadGzipFile, EOFError, zlib.error):
        hint = "compress it again, or give the plain CSV"
        raise InputError("the gzip file is damaged or cut off", str(path), hint) from None
    except OSError as error:
        raise unreadable(error, "the table", path) from None


def other_form(head: bytes) -> tuple[str, str] | None:
    """What a file that begins with these bytes is, and what to do; None for what may be CSV."""
    if head.startswith(_ZIP):
        for mark, name, hint in _IN_ZIP:
            if mark in head:
                return name, hint
        return "a zip archive", _UNPACK
    for form in _FORMS:
        if head.startswith(form.begins) and _is_binary(form, head):
            return form.name, form.hint
    return None


def _is_binary(form: _Form, head: bytes) -> bool:
    """A name in a header may begin like a form that begins with letters; text has no such bytes."""
    return not form.begins.isascii() or any(byte < 9 or byte >= 127 for byte in head)
