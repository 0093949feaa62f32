"""When a party's certificate ends: the one that lies in its key directory now, which is the one
that the next join takes, whatever it began with."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from party.identity import CERTIFICATE, read_certificates
from party.process.errors import InputError


class Expiry:
    """The end of the first certificate to end in a key directory. The file is read when it is
    another than before."""

    def __init__(self, keys: Path) -> None:
        self._file = keys / CERTIFICATE
        self._seen: tuple[int, int] | None = None
        self._expires: datetime | None = None

    def __call__(self) -> datetime | None:
        """The moment; None where there is no certificate."""
        try:
            found = self._file.stat()
            seen = found.st_ino, found.st_mtime_ns
            if seen != self._seen:
                chain = read_certificates(self._file)
                self._expires = min(one.not_valid_after_utc for one in chain)
                self._seen = seen
        except (OSError, InputError):  # the party itself says what is wrong with its keys
            self._seen = self._expires = None
        return self._expires
