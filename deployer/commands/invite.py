"""``deployer invite``: one organisation writes a job, and asks two others to take part."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated

import typer

from deployer.commands import new_app
from deployer.joining import Folder, Introduced, computed, revealed
from party.agreement.hosts import Address
from party.agreement.job import PARTIES, Job, Party, load_job
from party.agreement.pins import spoken
from party.approval import moment
from party.process.errors import InputError

app = new_app()

_DAYS = 14.0

FolderOption = Annotated[
    Path, typer.Option("--folder", help="The party's own folder.", show_default=False)
]
AddressOption = Annotated[
    str,
    typer.Option(metavar="HOST:PORT", help="At which the others reach it.", show_default=False),
]
NamespaceOption = Annotated[
    str,
    typer.Option(help="In place of an address, in a cluster of all three.", show_default=False),
]


@app.command()
def invite(
    job: Annotated[Path, typer.Argument(metavar="JOB", help="The job, without identities.")],
    party: Annotated[Party, typer.Option(help="Which party this is.", show_default=False)],
    folder: FolderOption,
    address: AddressOption = "",
    namespace: NamespaceOption = "",
    days: Annotated[
        float, typer.Option(min=0.001, max=365, help="Until when it can be joined.")
    ] = _DAYS,
) -> None:
    """Make this party's keys, and a small signed file that asks two others to take part in a job.

    The same again changes nothing.

    Example: deployer invite job.yaml --party alice --address alice.example:7000 --folder bank
    """
    agreed, place = load_job(job), place_of(address, namespace)
    if agreed.identities is not None:
        hint = "take them out: the parties pin each other when they join"
        raise InputError("the job has pins already", f"{job}, key identities", hint)
    if not place:
        raise nowhere(party)
    if Folder.is_begun(folder):
        found = Folder.open(folder)
        found.check_own(party, place)
        if found.invitation is not found.own or found.own.introduction.job != agreed.digest:
            what = "the folder is of another job, or of another invitation"
            raise InputError(what, str(folder), "name a new folder")
    else:
        expires = moment(datetime.now(UTC) + timedelta(days=days))
        found = Folder.make(folder, agreed, party, place, expires)
    print("\n".join(asked(found.own, agreed)))
    print(f"send {found.file} to the other two parties; nothing in it is secret")
    print(f"then, with what they send: deployer join FILE FILE --folder {folder}")
    print_digest(f"{party}'s file", found.own.digest)


def asked(invitation: Introduced, job: Job) -> list[str]:
    """What an invitation asks, in plain words."""
    lines = [f"{invitation.party} invites to the job {job.name!r}", "Computed:"]
    lines += [f"  {line}" for line in computed(job)]
    lines += ["Revealed:", *(f"  {line}" for line in revealed(job)), "  and nothing else"]
    lines.append("Taking part:")
    for party in PARTIES:
        gives = "a table, which stays with it" if party in job.holders else "no table"
        lines.append(f"  {party}, with {gives}")
    lines.append(f"Until {invitation.introduction.expires} it can be joined.")
    return lines


def place_of(address: str, namespace: str) -> dict[str, str]:
    """Where a party is, by the options: an address, a namespace, or nothing that was said."""
    if address and namespace:
        hint = "in a cluster of all three a namespace is enough; elsewhere an address"
        raise InputError("a party has an address or a namespace", "--address", hint)
    if not address:
        return {"namespace": namespace} if namespace else {}
    try:
        return {"address": str(Address.parse(address))}
    except ValueError as error:
        raise InputError(
            f"{address[:80]!r} {error}", "--address", "write it as host:port"
        ) from None


def nowhere(party: Party) -> InputError:
    """For a party that does not say where it is."""
    hint = "say --address HOST:PORT; or --namespace, in a cluster that all three share"
    return InputError(f"the others must know where to find {party}", "--address", hint)


def print_digest(of: str, digest: str) -> None:
    """In groups to be read out."""
    print(f"  {of}: {digest}")
    for line in spoken(digest):
        print(f"    {line}")
