"""An approval: what one party agrees to, signed by its people before anything runs.

It names the job, the plan that was built from it (but where rows are matched: their number makes
the plan, and nobody knows it yet), the software, and a salted commitment to the party's table, and
says until when and how many times the result may be opened. The commitment is SHA-256 over 32
random bytes and the table's SHA-256: it says nothing of the table to the others, and whoever has
salt and table can show later which one it was.
"""

from __future__ import annotations

import hashlib
import secrets
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, ValidationError

from party.agreement.job import Party
from party.agreement.pins import Digest
from party.approval.envelope import STATEMENT, Envelope, PrivateKey
from party.process.errors import InputError
from party.process.files import replace, unreadable, unwritable
from party.process.schema import Strict

PREDICATE = "urn:tfe-kit:approval:v1"

Hex = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]

_SALT_BYTES = 32
_MOMENT = "%Y-%m-%dT%H:%M:%SZ"


class Approval(Strict):
    """What a party agrees to.

    Attributes:
        job, plan: their digests; no plan where the job matches rows.
        kit: version of the software.
        image: digest of the image that all run; None where there is none.
        table: commitment to the party's table; None for a party that has none.
        expires: until when the result may be opened, UTC in the form of ISO 8601.
        runs: how many times it may be opened.
        nonce: tells this approval from a second one that says the same.
    """

    party: Party
    job: Hex
    plan: Hex | None = None
    kit: Annotated[str, Field(min_length=1, max_length=100)]
    image: Digest | None = None
    table: Hex | None = None
    expires: Annotated[str, Field(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$")]
    runs: Annotated[int, Field(ge=1, le=1_000_000)]
    nonce: Annotated[str, Field(pattern="^[0-9a-f]{32}$")] = Field(
        default_factory=lambda: secrets.token_hex(16)
    )

    def statement(self) -> dict[str, Any]:
        """As an in-toto statement about the job, and the plan if there is one."""
        about = {"job": self.job} | ({} if self.plan is None else {"plan": self.plan})
        subjects = [{"name": name, "digest": {"sha256": value}} for name, value in about.items()]
        return {
            "_type": STATEMENT,
            "subject": subjects,
            "predicateType": PREDICATE,
            "predicate": self.model_dump(mode="json", exclude={"job", "plan"}),
        }

    @classmethod
    def of(cls, envelope: Envelope, where: str) -> Approval:
        """The approval in an envelope. Raises InputError where it holds another document."""
        try:
            said = envelope.statement()
            subjects = {one["name"]: one["digest"]["sha256"] for one in said["subject"]}
            found = cls.model_validate(said["predicate"] | subjects)
        except (KeyError, TypeError, ValidationError):
            found = None
        if found is None or found.statement() != said:
            raise InputError("it is no approval", where, "make one: deployer approve")
        return found

    @property
    def expiry(self) -> datetime:
        """Until when."""
        try:
            return datetime.strptime(self.expires, _MOMENT).replace(tzinfo=UTC)
        except ValueError:  # the thirtieth of February
            return datetime.min.replace(tzinfo=UTC)


def moment(of: datetime) -> str:
    """A moment as an approval has it."""
    return of.astimezone(UTC).strftime(_MOMENT)


def write_approval(
    directory: Path, approval: Approval, table_digest: str | None, key: PrivateKey
) -> Approval:
    """Sign an approval and put it into a directory, with the salt of its commitment to a table;
    returns it with the commitment. Raises InputError where there is one already."""
    file, salt = approval_file(directory, approval.party), secrets.token_bytes(_SALT_BYTES)
    if file.exists():
        hint = "name another directory with --output, or remove the former one"
        raise InputError(f"{approval.party} has approved already", str(file), hint)
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise unwritable(error, "cannot make the directory", directory) from None
    if table_digest is not None:
        approval = approval.model_copy(update={"table": commitment(salt, table_digest)})
        replace(salt_file(directory, approval.party), salt.hex().encode() + b"\n")
    replace(file, Envelope.sign(approval.statement(), key).text(), mode=0o644)
    return approval


def commitment(salt: bytes, table_digest: str) -> str:
    """SHA-256, in hex, over a salt of 32 bytes and a table's SHA-256."""
    return hashlib.sha256(salt + bytes.fromhex(table_digest)).hexdigest()


def approval_file(directory: Path, party: str) -> Path:
    """Where a party's approval is."""
    return directory / f"{party}.json"


def salt_file(directory: Path, party: str) -> Path:
    """Where a party keeps the salt of its commitment, to itself."""
    return directory / f"{party}.salt"


def read_salt(path: Path) -> bytes:
    """The salt in a file. Raises InputError where there is none."""
    try:
        return salt_in(path.read_bytes(), path)
    except OSError as error:
        raise unreadable(error, "the salt of the table's commitment", path) from None


def salt_in(text: bytes, path: Path) -> bytes:
    """The salt in a file's text. Raises InputError where it is none."""
    try:
        salt = bytes.fromhex(text.decode("ascii").strip())
    except ValueError:
        salt = b""
    if len(salt) != _SALT_BYTES:
        hint = "put the file that deployer approve made beside the approval"
        raise InputError("it is no salt of a commitment", str(path), hint)
    return salt
