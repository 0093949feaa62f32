"""Pins: by which key, or by whose authority, the parties of a job are known to each other.

Without pins a job has one authority, and who holds its key can be any party. A pin is in the job,
which all three have alike, so that nobody can be another party by a certificate alone.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, model_validator

from party.process.schema import Strict

PREFIX = "sha256:"

Digest = Annotated[str, Field(pattern=f"^{PREFIX}[0-9a-f]{{64}}$")]
"""SHA-256, in hex."""

_GROUP, _IN_A_LINE = 4, 8


class Pin(Strict):
    """What one party is known by: its key, its authority, or both."""

    key: Digest | None = Field(
        default=None, description="of its public key (SubjectPublicKeyInfo in DER, RFC 5280)"
    )
    authority: Digest | None = Field(
        default=None, description="of the certificate of the authority that signed its own"
    )
    approval: Digest | None = Field(
        default=None, description="of the public key that its approvals are signed with"
    )

    @model_validator(mode="after")
    def _something(self) -> Pin:
        if self.key is None and self.authority is None:
            raise ValueError("a pin names a key, an authority or both")
        return self

    def broken_by(self, key: str, authority: str) -> str | None:
        """In what a certificate's digests differ from the pin, with both digests; None where they
        do not."""
        for name, pinned, found in (
            ("key", self.key, key),
            ("authority", self.authority, authority),
        ):
            if pinned is not None and pinned != found:
                return f"its {name} is {found}, and the job pins {pinned}"
        return None


class Identities(Strict):
    """The pins of a job. All parties have one: who has none would be whoever an authority says."""

    alice: Pin
    bob: Pin
    server: Pin

    @model_validator(mode="after")
    def _apart(self) -> Identities:
        seen: dict[str | None, str] = {}
        for party in type(self).model_fields:
            pin = self.of(party)
            other = seen.setdefault(pin.key or pin.authority, party)
            if other != party:
                raise ValueError(f"{other} and {party} have the same pin, and could be each other")
        signers = [self.of(party).approval for party in type(self).model_fields]
        if any(signers) and (None in signers or len(set(signers)) < len(signers)):
            raise ValueError("approval: all three parties have a key for approvals, or none has")
        return self

    @property
    def approvals(self) -> bool:
        """Whether nothing runs without the approvals of all three."""
        return self.alice.approval is not None

    def of(self, party: str) -> Pin:
        """A party's pin."""
        found = getattr(self, party)
        assert isinstance(found, Pin)
        return found


def spoken(digest: str) -> list[str]:
    """A digest in lines of groups, for two people to compare on the telephone."""
    hexed = digest.removeprefix(PREFIX)
    groups = [hexed[at : at + _GROUP] for at in range(0, len(hexed), _GROUP)]
    return [" ".join(groups[at : at + _IN_A_LINE]) for at in range(0, len(groups), _IN_A_LINE)]
