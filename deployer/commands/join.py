"""``deployer join``: take part in a job that another organisation has invited to."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from deployer import console
from deployer.commands import new_app
from deployer.commands.invite import (
    AddressOption,
    FolderOption,
    NamespaceOption,
    asked,
    nowhere,
    place_of,
    print_digest,
)
from deployer.joining import Folder, Introduced
from deployer.joining.agreed import same_address
from party.agreement.job import Party
from party.process.errors import InputError

app = new_app()


@app.command()
def join(
    files: Annotated[
        list[Path],
        typer.Argument(metavar="FILE...", help="What the others sent.", show_default=False),
    ],
    folder: FolderOption,
    party: Annotated[
        Party | None, typer.Option(help="Which party to be, at first.", show_default=False)
    ] = None,
    address: AddressOption = "",
    namespace: NamespaceOption = "",
    yes: Annotated[bool, typer.Option("--yes", help="Take part without being asked.")] = False,
) -> None:
    """Take part in a job, and, once all three files are there, write down what was agreed on.

    With an invitation and a new folder: show what is asked, make this party's keys, and a small
    signed reply for the two others. With what these send: the job with everybody's pins, the hosts
    map and this party's own values for Kubernetes. The same again changes nothing.

    Examples:

        deployer join alice.invite --party bob --address bob.example:7000 --folder police

        deployer join server.reply --folder police
    """
    came, place = [Introduced.read(file) for file in files], place_of(address, namespace)
    if Folder.is_begun(folder):
        found = Folder.open(folder)
        found.check_own(party, place)
    else:
        found = _begin(folder, came, party, place, yes)
    for one in came:
        found.add(one)
    if found.missing:
        waits = " and ".join(found.missing)
        print(f"send {found.file} to the other two parties; nothing in it is secret")
        print(f"then, with the file of {waits}: deployer join FILE --folder {folder}")
        print_digest(f"{found.own.party}'s file", found.own.digest)
        return
    made = found.agree()
    print(f"made {folder / 'agreed'}: {', '.join(made.files)}; and {folder / 'keys'} for it")
    print_digest("job", made.job.digest)
    print("these groups must be the same at all three: read them to each other on the telephone")


def _begin(
    folder: Path, came: list[Introduced], party: Party | None, place: dict[str, str], yes: bool
) -> Folder:
    """A new folder, by the invitation among what came."""
    invitations = [one for one in came if one.invites]
    if len(invitations) != 1:
        what = f"there are {len(invitations)} invitations among the files, for a new folder"
        raise InputError(what, str(folder), "join by one; or name the folder that you have made")
    (invitation,) = invitations
    invitation.check_time()
    if party is None or party == invitation.party:
        hint = f"say --party, one that is not {invitation.party}"
        raise InputError("who joins is another party than who has invited", "--party", hint)
    if not place:
        raise nowhere(party)
    address = place.get("address")
    if address is not None and address == invitation.introduction.address:
        raise same_address(invitation.party, party, address, "--address")
    job = invitation.job()
    print("\n".join(asked(invitation, job)))
    print_digest(f"{invitation.party}'s file", invitation.digest)
    if not yes:
        console.see_to_somebody("read the above, then say --yes", f"to say that {party} takes part")
        if not typer.confirm(f"Take part as {party}?"):
            raise InputError("not joined", hint="nothing was written")
    return Folder.make(folder, job, party, place, invitation=invitation)
