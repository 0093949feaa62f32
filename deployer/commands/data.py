"""``deployer data``: a party's table, on its way to the cluster.

Every command reads the table as the party will, so that what is accepted here is accepted there.
"""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from tempfile import mkdtemp
from typing import Annotated

import typer

from deployer.cli import new_app
from deployer.cluster import secrets
from deployer.cluster.target import ContextOption, NameOption, NamespaceOption, ValuesOption, find
from party.agreement.job import Job, load_job
from party.alignment import Identifiers, load_for
from party.process.errors import InputError
from party.process.files import unwritable
from party.process.streams import takes_unicode
from party.reporting.documents import TableCheck, TableFault
from party.reporting.result import doubts
from party.table import Table
from party.table.expected import Expected
from party.table.findings import UnfitTableError
from party.table.parts import MANIFEST, Manifest, cut
from party.table.text import Text

app = new_app(help="Check a party's table and make it ready for its Secrets.")


class Owner(StrEnum):
    """The parties that have a table."""

    alice = "alice"
    bob = "bob"


JobFile = Annotated[Path, typer.Argument(metavar="JOB", help="The job, a YAML file.")]
Whose = Annotated[Owner, typer.Argument(metavar="PARTY", help="Whose table it is: alice or bob.")]
TableFile = Annotated[
    Path, typer.Argument(metavar="CSV", help="The table: plain CSV, gzip, or a directory of parts.")
]


@app.command("check")
def check_command(
    job_file: JobFile,
    party: Whose,
    table_file: TableFile,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print what was found as a JSON document.")
    ] = False,
) -> None:
    """Say whether a table fits a job, as the party itself will; if not, all that does not fit.

    Nothing is sent, and no value is shown.

    Example: deployer data check examples/fraud/job.yaml alice examples/fraud/alice.csv
    """
    job = load_job(job_file)
    if as_json:
        found = checked(table_file, job, party)
        print(json.dumps(found.as_json(), indent=2, ensure_ascii=not takes_unicode(sys.stdout)))
        if not found.fits:
            raise typer.Exit(InputError.exit_code)
        return
    table, identifiers = load_for(table_file, job, party.value)
    _show(table, identifiers, job, party, table_file)


@app.command("split")
def split_command(
    job_file: JobFile,
    party: Whose,
    table_file: TableFile,
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="DIR", help="A new directory for the parts.")
    ],
) -> None:
    """Check a table, compress it and cut it into parts of less than 1 MiB.

    For a secret manager of your own: the party reads a directory that holds all of these files,
    however they got there. (deployer data put does it for Kubernetes Secrets.)

    Example: deployer data split examples/fraud/job.yaml alice examples/fraud/alice.csv -o parts
    """
    manifest, parts = split(table_file, load_job(job_file), party, _notice)
    write(output, manifest, parts)
    print(f"{output}: {MANIFEST} and {len(parts)} part{'s' * (len(parts) != 1)} of {party}'s table")


@app.command("put")
def put_command(
    party: Whose,
    table_file: TableFile,
    values: ValuesOption = None,
    name: NameOption = "",
    namespace: NamespaceOption = "",
    context: ContextOption = None,
    force: Annotated[
        bool, typer.Option("--force", help="Take over Secrets that something else made.")
    ] = False,
) -> None:
    """Check a table, compress it and put it into Secrets, where the party's pod looks for it.

    The table that is there is replaced as a whole or not at all.

    Example: deployer data put alice examples/fraud/alice.csv -f values.yaml --context bank
    """
    target = find(values, name, namespace, context, [party.value])
    place = target.place(party.value)
    manifest, parts = split(table_file, target.values.job, party, _notice)
    change = secrets.put_table(place, manifest, parts, force)
    names = f"Secret{'s' * (len(parts) != 1)} {', '.join(place.table_secrets[: len(parts)])}"
    print(f"{names} in namespace {place.namespace}, {place.cluster}: {change}")
    print(f"  sha256  {manifest.sha256} (of the CSV text)")


def checked(path: Path, job: Job, party: Owner) -> TableCheck:
    """What comes of reading a table, whether it fits the job or not."""
    check = TableCheck(
        job=job.name,
        party=party.value,
        fits=False,
        rows=job.rows,
        features=len(job.features_of(party.value)),
        label=job.label_of(party.value) is not None,
    )
    try:
        table, identifiers = load_for(path, job, party.value)
        warnings = doubts(job, party.value, table)
    except UnfitTableError as error:
        return check.model_copy(update={"findings": error.findings})
    except InputError as error:
        fault = TableFault(what=error.what, where=error.where, hint=error.hint)
        return check.model_copy(update={"fault": fault})
    if identifiers is not None:
        sizes = {"rows": identifiers.table_rows, "identifiers": len(identifiers)}
        check = check.model_copy(update=sizes)
    found = {"sha256": table.digest, "ignored": table.ignored, "warnings": warnings}
    return check.model_copy(update={"fits": True} | found)


def split(
    path: Path, job: Job, party: Owner, notice: Callable[[str], None] = lambda text: None
) -> tuple[Manifest, list[bytes]]:
    """A table, checked, compressed and cut into parts that fit into a Secret each.

    Args:
        path: a CSV file, plain or gzip, or a directory of parts.
        job: what the table must fit.
        party: whose table it is.
        notice: told which columns are left out, if any are.

    Returns:
        The manifest, and its parts' contents in order. The same table gives the same bytes. They
        hold what the job takes of it (``party.table.taken``), and nothing of other columns.

    Raises:
        InputError: the table does not fit the job.
    """
    from party.table.numbers import UnreadableLinesError  # here, since it brings the CSV library
    from party.table.taken import Taken

    table, _ = load_for(path, job, party.value)
    if table.notice is not None:
        notice(table.notice)
    try:
        taken = Taken(path, Expected.of(job, party.value)).pieces()
        manifest, parts = cut(taken, job.name, party.value)
        changed = manifest.sha256 != table.digest
    except UnreadableLinesError:
        changed = True
    if changed:
        hint = "start again when nobody writes to it"
        raise InputError("the table changed while it was read", str(path), hint)
    return manifest, parts


def join(directory: Path, job: Job, party: Owner) -> bytes:
    """The CSV text in a directory of parts, verified: the text that was split.

    Raises:
        InputError: a part is missing, damaged or too many, or the table is another's.
    """
    return b"".join(block.text for block in Text(directory, Expected.of(job, party.value)))


def write(directory: Path, manifest: Manifest, parts: list[bytes]) -> None:
    """Writes parts into a new directory, all or nothing, readable by their owner alone."""
    try:
        if directory.exists():
            hint = "give a new directory, so that parts of two tables cannot get mixed"
            raise InputError("the directory is there already", str(directory), hint)
        unfinished = Path(mkdtemp(prefix=f".{directory.name}-", dir=directory.parent))
    except OSError as error:
        raise unwritable(error, "cannot write the parts", directory) from None
    try:
        for name, content in files(manifest, parts).items():
            path = unfinished / name
            path.touch(mode=0o600)
            path.write_bytes(content)
        unfinished.rename(directory)
    except OSError as error:
        raise unwritable(error, "cannot write the parts", directory) from None
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def files(manifest: Manifest, parts: list[bytes]) -> dict[str, bytes]:
    """The files that make up a table in parts, by name, as a party expects them in a directory."""
    contents = {part.name: content for part, content in zip(manifest.parts, parts, strict=True)}
    return {MANIFEST: manifest.to_json()} | contents


def _show(
    table: Table, identifiers: Identifiers | None, job: Job, party: Owner, path: Path
) -> None:
    features, label = job.features_of(party.value), job.label_of(party.value)
    parts = [f"{len(features)} features"] if features else []
    columns = " and ".join([*parts, *(["labels"] if label is not None else [])])
    print(f"{path}: fits {party} in the job {job.name!r}")
    print(f"  rows    {len(table.matrix)}, {columns}")
    if identifiers is not None and job.align is not None:
        key = ", ".join(job.align.of(party.value))
        again = identifiers.table_rows - len(identifiers)
        left_out = f"; {again} rows repeat one and are left out" if again else ""
        print(f"  key     {key}: {len(identifiers)} identifiers, none missing{left_out}")
    print(f"  sha256  {table.digest} (of the CSV text)")
    if table.notice is not None:
        _notice(table.notice)
    for doubt in doubts(job, party.value, table):
        print(f"  warning: {doubt}")


def _notice(text: str) -> None:
    print(f"  notice: {text}")
