"""``deployer certs``: the authority of a job, and the parties' keys and certificates."""

from __future__ import annotations

import json
import secrets
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Literal

import typer
from cryptography.hazmat.primitives.asymmetric import ec

from deployer.certs.authority import (
    APPROVAL_KEY,
    APPROVAL_PUBLIC,
    AUTHORITY_DAYS,
    AUTHORITY_KEY,
    PARTY_DAYS,
    REQUEST,
    approver_digest,
    authority_files,
    issue,
    make_all,
    make_approver,
    make_authority,
    make_request,
    new_directory,
    pem,
    read_authority,
    read_request,
    write_files,
)
from deployer.cluster.secrets import beside_keys, make_checkpoint_key, put_keys
from deployer.cluster.target import ContextOption, NameOption, NamespaceOption, ValuesOption, find
from deployer.commands import new_app
from party.agreement.job import PARTIES, Party, load_job
from party.agreement.pins import Identities, spoken
from party.approval import public_digest, read_private_key
from party.identity import (
    AUTHORITY,
    CERTIFICATE,
    CHECKPOINT_KEY,
    KEY,
    certificate_digest,
    check_certificate,
    identities_in,
    identity,
    key_digest,
    load_keys,
    read_certificates,
    read_checkpoint_key,
)
from party.process.errors import InputError

app = new_app(help="Make, sign, renew and check the parties' keys and certificates.")

JobOption = Annotated[Path, typer.Option("--job", help="The job's YAML file.", show_default=False)]
OutputOption = Annotated[
    Path, typer.Option("--output", help="A new directory for the files.", show_default=False)
]
AuthorityOption = Annotated[
    Path, typer.Option("--authority", help="The authority's directory.", show_default=False)
]
DaysOption = Annotated[
    float, typer.Option("--days", min=0.01, max=825, help="Life of a party's certificate.")
]
AuthorityDaysOption = Annotated[
    float, typer.Option("--authority-days", min=0.01, max=3650, help="Life of the authority.")
]


@app.command()
def new(
    job: JobOption,
    output: OutputOption,
    days: DaysOption = PARTY_DAYS,
    authority_days: AuthorityDaysOption = AUTHORITY_DAYS,
) -> None:
    """Make an authority and the keys of all three parties, for who runs all of them.

    Example: deployer certs new --job job.yaml --output keys
    """
    make_all(load_job(job).domain, output, days, authority_days)
    print(f"made {output}: authority, {', '.join(PARTIES)}")
    print("give each party its own directory, and keep the authority's where no party is")


@app.command()
def authority(
    job: JobOption, output: OutputOption, authority_days: AuthorityDaysOption = AUTHORITY_DAYS
) -> None:
    """Make the job's authority, which signs what the parties request.

    Example: deployer certs authority --job job.yaml --output authority
    """
    made = make_authority(load_job(job).domain, authority_days)
    with new_directory(output) as directory:
        write_files(directory, authority_files(made))
    print(f"made {output}: keep {AUTHORITY_KEY} to yourself, {AUTHORITY} is for everybody")
    _print_digest("authority", certificate_digest(made.certificate))


@app.command()
def request(
    party: Annotated[Party, typer.Argument(help="Whose key to make.", show_default=False)],
    job: JobOption,
    output: OutputOption,
) -> None:
    """Make a party's own key and a request to sign it; the key need never leave this machine.

    Example: deployer certs request bob --job job.yaml --output keys
    """
    _make_request(load_job(job).domain, party, output)


@app.command()
def renew(
    directory: Annotated[
        Path, typer.Argument(help="The party's present key directory.", show_default=False)
    ],
    output: OutputOption,
) -> None:
    """Make a new key, and a request to sign it, for the party of a key directory.

    It is made at the party, and only the request goes to the authority: certs sign.

    Example: deployer certs renew keys/bob --output keys/bob-2
    """
    job_name, party = _named_in(directory)
    # What lies on the party's disk stays readable.
    _make_request(job_name, party, output, read_checkpoint_key(directory))


def _make_request(
    job_name: str, party: Party, output: Path, checkpoint_key: bytes | None = None
) -> None:
    key, asked = make_request(job_name, party)
    with new_directory(output) as directory:
        made = {KEY: pem(key), REQUEST: pem(asked)}
        made[CHECKPOINT_KEY] = checkpoint_key or secrets.token_bytes(32)
        write_files(directory, made)
    print(f"made {output}: send {REQUEST} to the authority, and put the {CERTIFICATE} and")
    print(f"{AUTHORITY} that come back beside {KEY}; then: deployer certs show {output}")
    _print_digest("key", key_digest(asked))
    print("read the groups to the authority's holder, on the telephone, before it signs")


@app.command()
def sign(
    party: Annotated[Party, typer.Argument(help="Whose request it is.", show_default=False)],
    csr: Annotated[Path, typer.Argument(help="The request.", show_default=False)],
    authority: AuthorityOption,
    output: OutputOption,
    days: DaysOption = PARTY_DAYS,
) -> None:
    """Sign a party's request, once sure that it came from that party.

    Example: deployer certs sign bob tls.csr --authority authority --output for-bob
    """
    signer = read_authority(authority)
    asked = read_request(csr, signer.job_name, party)
    public = asked.public_key()
    assert isinstance(public, ec.EllipticCurvePublicKey)
    files = {
        AUTHORITY: pem(signer.certificate),
        CERTIFICATE: pem(issue(signer, party, public, days)),
    }
    with new_directory(output) as directory:
        write_files(directory, files)
    print(f"made {output}: send both files to {party}")
    _print_digest("key", key_digest(asked))
    print(f"these groups must be those that {party} reads to you; if not, delete {output}")


@app.command()
def show(
    directories: Annotated[list[Path], typer.Argument(help="Key directories.", show_default=False)],
    job: Annotated[
        Path | None, typer.Option(help="Check them against its pins.", show_default=False)
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="For machines.")] = False,
) -> None:
    """Check key directories as the parties do, and say whose they are and how long they last.

    With the digests that a job may pin, in groups that two people can compare on the telephone.

    Example: deployer certs show keys/alice keys/bob keys/server
    """
    pins = None if job is None else load_job(job).identities
    found = [_described(directory, pins) for directory in directories]
    if as_json:
        print(json.dumps(found, indent=2))
        return
    for one in found:
        print(f"{one['directory']}: {one['identity']}, until {one['expires']} UTC")
        _print_digest("key", one["key"])
        _print_digest("authority", one["authority"])


@app.command()
def approver(output: OutputOption) -> None:
    """Make a key with which a party's people approve jobs; it stays with them, where no party runs.

    Example: deployer certs approver --output approver
    """
    made = make_approver()
    with new_directory(output) as directory:
        write_files(directory, made)
    print(f"made {output}: keep {APPROVAL_KEY} to yourself, {APPROVAL_PUBLIC} is for everybody")
    _print_digest("approval", public_digest(read_private_key(output / APPROVAL_KEY)))


@app.command()
def pins(
    directories: Annotated[list[Path], typer.Argument(help="Key directories.", show_default=False)],
    by: Annotated[
        Literal["key", "authority", "both"], typer.Option("--by", help="What to pin.")
    ] = "key",
) -> None:
    """Print what a job says to pin parties, for the key directories that are given.

    A party's certificates are enough, without its key. Pinned by its key, a party that renews it
    needs a new job; by an authority of its own, it does not. Where approval.pub lies beside the
    certificates, the key of the party's approvals is pinned, too.

    Example: deployer certs pins for-alice for-bob for-server >> job.yaml
    """
    print("identities:")
    for directory in directories:
        found = _described(directory, None) | _approver_in(directory)
        pinned = [
            f'{name}: "{found[name]}"' for name in ("key", "authority") if by in (name, "both")
        ]
        pinned += [f'approval: "{found["approval"]}"'] if "approval" in found else []
        print(f"  {_named_in(directory)[1]}: {{{', '.join(pinned)}}}")


@app.command()
def put(
    party: Annotated[Party, typer.Argument(help="Whose keys.", show_default=False)],
    directory: Annotated[Path, typer.Argument(help="The key directory.", show_default=False)],
    values: ValuesOption = None,
    name: NameOption = "",
    namespace: NamespaceOption = "",
    context: ContextOption = None,
    force: Annotated[
        bool, typer.Option("--force", help="In place of another key that is there.")
    ] = False,
) -> None:
    """Check a party's key directory and put it into the Secret where its pod looks for it.

    Example: deployer certs put bob keys/bob -f values.yaml --context police
    """
    target = find(values, name, namespace, context, [party])
    place = target.place(party)
    job = target.values.job
    change = put_keys(place, directory, job.domain, force, job.identities)
    print(f"Secret {place.keys_secret} in namespace {place.namespace}, {place.cluster}: {change}")


@app.command()
def checkpoint(
    party: Annotated[Party, typer.Argument(help="Whose checkpoints.", show_default=False)],
    values: ValuesOption = None,
    name: NameOption = "",
    namespace: NamespaceOption = "",
    context: ContextOption = None,
) -> None:
    """Make the key of a party's checkpoints in the cluster, where cert-manager makes its others.

    Where there is one it stays. It is made for the Secret, and is nowhere else.

    Example: deployer certs checkpoint bob -f values.yaml --context police
    """
    target = find(values, name, namespace, context, [party])
    place = target.place(party)
    if not target.values.certificates.cert_manager.issuer_ref.name:
        what = f"{party}'s pod does not look there: cert-manager makes none of its keys"
        hint = f"{beside_keys('DIR')}; then deployer certs put {party} DIR"
        raise InputError(what, f"Secret {place.checkpoint_secret}", hint)
    change = make_checkpoint_key(place)
    where = f"namespace {place.namespace}, {place.cluster}"
    print(f"Secret {place.checkpoint_secret} in {where}: {change}")


def _named_in(directory: Path) -> tuple[str, Party]:
    """The job and the party that a key directory's certificate names."""
    leaf = read_certificates(directory / CERTIFICATE)[0]
    for name in identities_in(leaf):
        job_name = name.removeprefix("spiffe://").partition("/")[0]
        for known in PARTIES:
            if name == identity(job_name, known):
                return job_name, known
    hint = "make keys with: deployer certs new"
    raise InputError("the certificate names no party", str(directory / CERTIFICATE), hint)


def _approver_in(directory: Path) -> dict[str, str]:
    """The digest of the key for approvals in a directory, if there is one."""
    file = directory / APPROVAL_PUBLIC
    return {"approval": approver_digest(file)} if file.exists() else {}


def _print_digest(of: str, digest: str) -> None:
    """As a job pins it, and in groups to be read out."""
    print(f"  {of}: {digest}")
    for line in spoken(digest):
        print(f"    {line}")


def _described(directory: Path, pins: Identities | None) -> dict[str, str]:
    job_name, party = _named_in(directory)
    leaf = read_certificates(directory / CERTIFICATE)[0]
    if (directory / KEY).exists():
        load_keys(directory, job_name, party, pins=pins)
    # The authority's answer to a request has no key in it before it is put beside that.
    signer = check_certificate(
        read_certificates(directory / CERTIFICATE),
        read_certificates(directory / AUTHORITY),
        job_name,
        party,
        datetime.now(UTC),
        directory,
        pins,
    )
    return {
        "directory": str(directory),
        "identity": identity(job_name, party),
        "expires": f"{leaf.not_valid_after_utc:%Y-%m-%d %H:%M}",
        "key": key_digest(leaf),
        "authority": certificate_digest(signer),
    }
