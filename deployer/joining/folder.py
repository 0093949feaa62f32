"""A party's own folder: its keys, the introductions that have come, and what was agreed on.

Private keys are made in it and never leave it. It appears whole or not at all, and so does what
was agreed on; what is in it is never overwritten by anything else.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from deployer.certs.authority import (
    APPROVAL_KEY,
    APPROVAL_PUBLIC,
    PARTY_DAYS,
    approver_digest,
    authority_files,
    make_approver,
    make_authority,
    make_party,
    new_directory,
    pem,
    write_files,
)
from deployer.joining.agreed import Agreement, agreement, check_apart
from deployer.joining.introduction import Introduced, Introduction
from party.agreement.job import PARTIES, Job, Party
from party.approval.envelope import private_key, read
from party.identity import AUTHORITY, CERTIFICATE
from party.process import files
from party.process.errors import InputError

AGREED, APPROVER, KEYS = "agreed", "approver", "keys"


@dataclass
class Folder:
    """The folder of a party that has made its keys.

    Attributes:
        own: the party's introduction.
        introduced: all that have come, its own among them.
    """

    path: Path
    own: Introduced
    introduced: dict[Party, Introduced] = field(default_factory=dict)

    @classmethod
    def make(
        cls,
        path: Path,
        job: Job,
        party: Party,
        place: dict[str, str],
        expires: str | None = None,
        invitation: Introduced | None = None,
    ) -> Folder:
        """A new one: an authority, a key for approvals, a key by that authority, and the
        introduction. ``place`` is an address or a namespace. Without an invitation, it is one."""
        authority, approver = make_authority(job.domain), make_approver()
        keys = make_party(authority, party, PARTY_DAYS)
        terms = job.model_dump(mode="json", exclude_none=True)
        introduction = Introduction(
            party=party,
            job=job.digest,
            terms=terms if invitation is None else None,
            expires=expires,
            answers=None if invitation is None else invitation.digest,
            authority=pem(authority.certificate).decode("ascii"),
            certificate=keys[CERTIFICATE].decode("ascii"),
            **place,
        )
        text = introduction.signed(private_key(approver[APPROVAL_KEY], APPROVAL_KEY)).text()
        came = [Introduced.parse(text, str(path)), *([invitation] if invitation else [])]
        check_apart({one.party: one for one in came})
        with new_directory(path) as made:
            write_files(made / "authority", authority_files(authority))
            write_files(made / APPROVER, approver)
            write_files(made / KEYS, keys)
            write_files(made, {_name(one): one.envelope.text() for one in came})
        return cls.open(path)

    @staticmethod
    def is_begun(path: Path) -> bool:
        """Whether there is something in it. Raises InputError where it cannot be looked into."""
        try:
            return path.exists() and any(path.iterdir())
        except OSError as error:
            raise files.unreadable(error, "the folder", path) from None

    @classmethod
    def open(cls, path: Path) -> Folder:
        """The one that was made. Raises InputError where it is none, or was changed."""
        what = "the folder was not made by deployer invite or deployer join, or was changed"
        wrong = InputError(what, str(path), "name another folder, and begin there")
        if not (path / APPROVER / APPROVAL_PUBLIC).is_file():
            raise wrong
        signer = approver_digest(path / APPROVER / APPROVAL_PUBLIC)
        found: dict[Party, Introduced] = {}
        for party in PARTIES:
            for file in (path / f"{party}.invite", path / f"{party}.reply"):
                if not file.exists():
                    continue
                one = Introduced.parse(read(file), str(file))
                if one.party in found or _name(one) != file.name:
                    hint = "take out what you have put there; what came is given to deployer join"
                    raise InputError(f"it is not {party}'s, or not the only one", str(file), hint)
                found[one.party] = one
        own = [one for one in found.values() if one.envelope.keyid == signer]
        if len(own) != 1 or not any(one.invites for one in found.values()):
            raise wrong
        return cls(path, own[0], found)

    @property
    def invitation(self) -> Introduced:
        """By which all of them join."""
        return next(one for one in self.introduced.values() if one.invites)

    @property
    def file(self) -> Path:
        """The party's own introduction, for the others."""
        return self.path / _name(self.own)

    @property
    def missing(self) -> list[Party]:
        """The parties that have not come yet."""
        return [party for party in PARTIES if party not in self.introduced]

    def check_own(self, party: Party | None, place: dict[str, str]) -> None:
        """That it is of the party, and at the place, that were said. Raises InputError."""
        one = self.own.introduction
        same = party in (None, one.party)
        if not same or any(getattr(one, key) != value for key, value in place.items()):
            at = one.namespace or one.address
            what = f"the folder is {one.party}'s, at {at}, and the others may have its file already"
            raise InputError(what, str(self.path), "say the same again, or name a new folder")

    def add(self, came: Introduced) -> None:
        """Keep an introduction, if it fits those that are there. Raises InputError."""
        before = self.introduced.get(came.party)
        if before is not None:
            if before.envelope.text() != came.envelope.text():
                raise InputError(
                    f"there are two different files of {came.party}: {before.digest} and "
                    f"{came.digest}",
                    f"{came.where} and {before.where}",
                    f"ask {came.party} on the telephone which one it made; remove the other",
                )
            return
        if came.invites:
            hint = "join by one invitation, with a folder of its own for each"
            raise InputError("it is another invitation than this folder's", came.where, hint)
        came.check_answers(self.invitation)
        check_apart(self.introduced | {came.party: came})
        file = self.path / _name(came)
        files.replace(file, came.envelope.text(), mode=0o644)
        self.introduced[came.party] = Introduced.parse(came.envelope.text(), str(file))

    def agree(self) -> Agreement:
        """Put down what all three agree on, once all of them have come: as a whole, and the same
        whenever it is done again. Raises InputError where another agreement is there."""
        made = agreement(self.own.party, self.introduced)
        agreed = self.path / AGREED
        if agreed.exists():
            for name, text in made.files.items():
                if read(agreed / name) != text:
                    hint = f"remove {agreed}, and join again"
                    raise InputError("it was changed since it was made", str(agreed / name), hint)
        # A party trusts the others' authorities before anything says that it may run with them.
        files.replace(self.path / KEYS / AUTHORITY, made.authorities, mode=0o644)
        if not agreed.exists():
            with new_directory(agreed) as directory:
                write_files(directory, dict(made.files))
        return made


def _name(of: Introduced) -> str:
    return f"{of.party}.{'invite' if of.invites else 'reply'}"
