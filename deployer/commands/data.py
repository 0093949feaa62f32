"""``deployer data``: a party's table, on its way to the cluster.

Every command reads the table as the party will, so that what is accepted here is accepted there.
"""

from __future__ import annotations

import hashlib
import json
import math
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from tempfile import mkdtemp
from typing import TYPE_CHECKING, Annotated, Any

import typer

from deployer import console
from deployer.cluster import secrets
from deployer.cluster.target import (
    ContextOption,
    NameOption,
    NamespaceOption,
    Place,
    Target,
    ValuesOption,
    find,
)
from deployer.cluster.volume import copy_table
from deployer.commands import new_app
from deployer.manifests.render import MODEL
from deployer.manifests.values import Values
from party.agreement.columns import CategoryColumn, ColumnSchema
from party.agreement.job import Job, load_job, load_training
from party.agreement.limits import LIMIT
from party.agreement.yaml12 import write_yaml
from party.process.errors import InputError, printable
from party.process.files import replace, see_to_place, unreadable, unwritable
from party.process.streams import takes_unicode
from party.reporting.documents import TableCheck, TableFault, Treatment
from party.reporting.result import collinearity, doubts
from party.table.expected import Expected
from party.table.findings import UnfitTableError
from party.table.parts import MANIFEST, Manifest, Packing, packed
from party.table.text import Text

if TYPE_CHECKING:  # arrays are imported by those who read a table
    from party.alignment import Identifiers
    from party.models.statistics.figures import Inflation
    from party.table import Table
    from party.table.describing import Description

_SHOWN = 12
"""Values of a category that are shown."""

app = new_app(help="Check a party's table, and bring it to its Secrets or its volume.")


class Owner(StrEnum):
    """The parties that have a table."""

    alice = "alice"
    bob = "bob"


JobFile = Annotated[Path, typer.Argument(metavar="JOB", help="The job, a YAML file.")]
Whose = Annotated[Owner, typer.Argument(metavar="PARTY", help="Whose table it is: alice or bob.")]
TableFile = Annotated[
    Path,
    typer.Argument(
        metavar="TABLE",
        help="The table: CSV, plain or gzip; Parquet or Arrow; its settings, a YAML file; or a "
        "directory of parts.",
    ),
]


ModelOption = Annotated[
    Path | None,
    typer.Option(
        "--model",
        metavar="FILE",
        help="Of a job that scores: model.json at the model's holder, columns.json at the other.",
        show_default=False,
    ),
]


@app.command("describe")
def describe_command(
    table_file: TableFile,
    job_out: Annotated[
        Path | None,
        typer.Option("--job-out", metavar="FILE", help="Write what a job may say of it, as YAML."),
    ] = None,
    yes: Annotated[
        bool, typer.Option("--yes", help="Do not ask before names and categories are written.")
    ] = False,
) -> None:
    """Show what a table holds, to its holder alone: kinds, gaps, ranges.

    With --job-out, the public part of a job: the rows, the columns' names, how to read them, and
    the categories that stand in ten rows or more. What is written is for all parties to see.

    Example: deployer data describe examples/voyage/alice.csv --job-out columns.yaml
    """
    from party.table.describing import describe

    described = describe(table_file)
    for line in _description(described):
        print(line)
    if job_out is not None:
        _write_public(described.public_part(), job_out, yes)


@app.command("check")
def check_command(
    job_file: JobFile,
    party: Whose,
    table_file: TableFile,
    model: ModelOption = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print what was found as a JSON document.")
    ] = False,
) -> None:
    """Say whether a table fits a job, as the party itself will; if not, all that does not fit.

    Nothing is sent, and no value is shown.

    Example: deployer data check examples/fraud/job.yaml alice examples/fraud/alice.csv
    """
    job = load_job(job_file)
    _see_to_model(job, model)
    if as_json:
        found = checked(table_file, job, party, model)
        print(json.dumps(found.as_json(), indent=2, ensure_ascii=not takes_unicode(sys.stdout)))
        if not found.fits:
            raise typer.Exit(InputError.exit_code)
        return
    if job.scores is not None:
        _show_rows(table_file, model, job, party)
        return
    table, identifiers, warnings = _to_train(table_file, job, party)
    if identifiers is not None:
        warnings = (*warnings, *identifiers.doubts)
    _show(table, identifiers, warnings, job, party, table_file)


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
    manifest, parts = split(table_file, load_training(job_file), party, _notice)
    write(output, manifest, parts)
    print(f"{output}: {MANIFEST} and {len(parts)} part{'s' * (len(parts) != 1)} of {party}'s table")


@app.command("label-key")
def label_key_command(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A new file for the key.")],
) -> None:
    """Make the secret key by which the label's holder turns labels round, in a job with privacy.

    Make one for a table and keep it as long as the table is used, in backups too: with another key
    other labels are turned round, and two jobs together tell more than each of them.

    Example: deployer data label-key label.key
    """
    if file.exists():
        hint = "keep it, since another key would turn other labels round; or give a new file"
        raise InputError("the file is there already", str(file), hint)
    see_to_place(file, "the label key")
    from party.table import LabelKey

    replace(file, LabelKey.drawn().text().encode(), called="the label key")
    print(f"{file}: the label key. Keep it to yourself, and as long as the table is used")


StartOption = Annotated[
    Path | None,
    typer.Option(
        "--start",
        metavar="FILE",
        help="The former model.json of the party, where the job has training.start.",
        show_default=False,
    ),
]


@dataclass(frozen=True)
class Former:
    """What a party takes from a former training, beside its table; a job takes one of them, if any.

    Attributes:
        model: by which rows are scored: all of the model, or how the own columns were read.
        start: the model that a training begins from.
    """

    model: Path | None = None
    start: Path | None = None

    def read(self, place: Place, target: Target) -> list[ModelFile]:
        """It as it will be put where the party's pod looks for it. Raises InputError for a file
        that cannot be read, or that no Secret holds."""
        files = []
        if self.model is not None:
            name = target.facts.scoring[place.party]
            files.append(ModelFile.read(place, place.model_secret, name, self.model))
        if self.start is not None:
            files.append(ModelFile.read(place, place.start_secret, MODEL, self.start))
        return files


_NOTHING = Former()


@dataclass(frozen=True)
class ModelFile:
    """A file of a former training, and the Secret that it goes to."""

    place: Place
    secret: str
    name: str
    content: bytes = field(repr=False)

    @classmethod
    def read(cls, place: Place, secret: str, name: str, path: Path) -> ModelFile:
        """It from the disk. Raises InputError as ``Former.read``."""
        try:
            content = path.read_bytes()
        except OSError as error:
            raise unreadable(error, f"the {name}", path) from None
        secrets.check_size(place, secret, name, content)
        return cls(place, secret, name, content)

    def put(self, force: bool = False) -> str:
        """Put it there, and say so."""
        change = secrets.put_file(self.place, self.secret, self.name, self.content, force)
        return (
            f"Secret {self.secret} in namespace {self.place.namespace}, {self.place.cluster}: "
            f"{change}"
        )


@app.command("put")
def put_command(
    party: Whose,
    table_file: TableFile,
    values: ValuesOption = None,
    name: NameOption = "",
    namespace: NamespaceOption = "",
    context: ContextOption = None,
    model: ModelOption = None,
    start: StartOption = None,
    force: Annotated[
        bool, typer.Option("--force", help="Take over Secrets that something else made.")
    ] = False,
) -> None:
    """Check a table, compress it and put it into Secrets, where the party's pod looks for it.

    The table that is there is replaced as a whole or not at all. What the party takes from a former
    training, to score its rows or to begin from, goes into a Secret of its own.

    Examples:

        deployer data put alice examples/fraud/alice.csv -f values.yaml --context bank

        deployer data put bob rows.csv --model columns.json -f scores.yaml --context police
    """
    target = find(values, name, namespace, context, [party.value])
    place = target.place(party.value)
    if place.table_claim:
        hint = f"copy it there: deployer data copy {party} TABLE"
        what = f"{party}'s table is on a volume, claim {place.table_claim}"
        raise InputError(what, "the values", hint)
    job, former = target.values.job, Former(model, start)
    table = _fit(table_file, job, party, _notice, former)
    _fit_all(table_file, target.values, party)
    files = former.read(place, target)
    manifest, parts = _packed(table_file, job, party, table)
    change = secrets.put_table(place, manifest, parts, force, table.digest)
    names = f"Secret{'s' * (len(parts) != 1)} {', '.join(place.table_secrets[: len(parts)])}"
    print(f"{names} in namespace {place.namespace}, {place.cluster}: {change}")
    print(f"  sha256  {manifest.sha256} (of the CSV text)")
    # Behind the table, so that no other rows are taken with it.
    for file in files:
        print(file.put(force))


@app.command("copy")
def copy_command(
    party: Whose,
    table_file: TableFile,
    values: ValuesOption = None,
    name: NameOption = "",
    namespace: NamespaceOption = "",
    context: ContextOption = None,
    model: ModelOption = None,
    start: StartOption = None,
) -> None:
    """Check a table of any size and copy it to the party's volume (tableVolume in the values).

    A pod with the volume lives as long as the copy takes. The table that is there is replaced as a
    whole or not at all; what a copy that was cut off has brought is not sent again. What the party
    takes from a former training goes into a Secret, as with data put.

    Example: deployer data copy alice examples/fraud/alice.csv -f values.yaml --context bank
    """
    target = find(values, name, namespace, context, [party.value])
    place = target.place(party.value)
    if not place.table_claim:
        hint = (
            f"set {party}.tableVolume.size in the values and apply them, or put the table into "
            "Secrets: deployer data put"
        )
        raise InputError(f"{party}'s table is not on a volume", "the values", hint)
    job, former = target.values.job, Former(model, start)
    table = _fit(table_file, job, party, _notice, former)
    _fit_all(table_file, target.values, party)
    files = former.read(place, target)
    digest = table.digest if job.scores is None else _text_digest(table_file, job, party)
    packing = Packing(_taken(table_file, job, party), job.domain, party.value)
    with console.transfer(f"{party}'s table") as progress:
        copied = copy_table(target, place, packing, digest, progress)
    what = "unchanged"
    if copied.parts:
        what = (
            f"copied, {copied.sent} of {copied.parts} parts ({copied.sent_bytes / 2**20:.1f} MiB)"
        )
    print(f"claim {place.table_claim} in namespace {place.namespace}, {place.cluster}: {what}")
    print(f"  sha256  {copied.sha256} (of the CSV text)")
    for file in files:
        print(file.put())


def checked(path: Path, job: Job, party: Owner, model: Path | None = None) -> TableCheck:
    """What comes of reading a table, whether it fits the job or not.

    ``model``: of a job that scores, the party's part of the training."""
    check = TableCheck(
        job=job.name,
        party=party.value,
        fits=False,
        rows=job.rows,
        features=len(job.derived_of(party.value)),
        label=job.label_of(party.value) is not None,
    )
    if job.scores is not None:
        return _checked_rows(path, model, job, party, check)
    try:
        table, identifiers, warnings = _to_train(path, job, party)
        alike = collinearity(job, party.value, table)
    except UnfitTableError as error:
        return check.model_copy(update={"findings": error.findings})
    except InputError as error:
        fault = TableFault(what=error.what, where=error.where, hint=error.hint)
        return check.model_copy(update={"fault": fault})
    if identifiers is not None:
        warnings = (*warnings, *identifiers.doubts)
        sizes = {"rows": identifiers.table_rows, "identifiers": len(identifiers)}
        check = check.model_copy(update=sizes)
    if not job.matches:
        sizes = {"rows_trained": job.training_rows, "rows_held_out": job.held_out_rows}
        check = check.model_copy(update=sizes)
    found = {
        "largest": _largest(job, party, table),
        "sha256": table.digest,
        "ignored": table.ignored,
        "columns": tuple(_treatments(job, party, table)),
        "inflation": alike.factors,
        "warnings": (*warnings, *alike.warnings),
    }
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
    return _packed(path, job, party, _fit(path, job, party, notice))


def _packed(path: Path, job: Job, party: Owner, table: Table) -> tuple[Manifest, list[bytes]]:
    """A table that was checked, in parts."""
    manifest, parts = packed(_taken(path, job, party), job.domain, party.value)
    # The digest of rows to score is of what the model makes of them, which the party checks again.
    if job.scores is None and manifest.sha256 != table.digest:
        raise _changed(path)
    return manifest, parts


def _fit(
    path: Path,
    job: Job,
    party: Owner,
    notice: Callable[[str], None],
    former: Former = _NOTHING,
) -> Table:
    """The table, which fits the job, as does what is taken from a former training; raises what the
    party would."""
    from party.scoring.former import start_of
    from party.scoring.joint import load_identified as load_rows

    if job.kept is not None:
        what = "the job opens a kept model, and reads no table"
        raise InputError(what, "the values", f"apply it as it is: {party}'s part is on its volume")
    if job.scores is not None:
        if former.start is not None:
            raise InputError("the job trains no model", "--start", "give the file with --model")
        table, _ = load_rows(path, former.model, job, party.value)
        return table
    _see_to_model(job, former.model)
    table, _, _ = _to_train(path, job, party)
    if former.start is not None:
        start_of(former.start, job, party.value, table)
    if table.notice is not None:
        notice(table.notice)
    return table


def _to_train(
    path: Path, job: Job, party: Owner
) -> tuple[Table, Identifiers | None, tuple[str, ...]]:
    """A table as the training's rows standardise it, with what can hardly be meant; raises what the
    party would."""
    from party.alignment import load_for
    from party.table import by_training_rows

    table, identifiers = load_for(path, job, party.value)
    table = by_training_rows(table, job, party.value)
    return table, identifiers, doubts(job, party.value, table)


def _see_to_model(job: Job, model: Path | None) -> None:
    if job.scores is None and model is not None:
        what = "the job trains a model, and takes none"
        raise InputError(what, "--model", "leave it out, or give a job of the model joint-scores")


def _fit_all(path: Path, values: Values, party: Owner) -> None:
    """Of several jobs, that the table fits each that reads it before any has been done."""
    from party.scoring.joint import see_to_rows

    for job in values.queue if values.jobs else ():
        try:
            if job.scores is not None:  # by the model of a job before it, which is not there yet
                see_to_rows(path, job, party.value)
            elif job.kept is None:
                _fit(path, job, party, lambda text: None)
        except InputError as error:
            what = f"for {job.name!r}, a job of the list: {error.what}"
            raise InputError(what, error.where, error.hint) from None


def _taken(path: Path, job: Job, party: Owner) -> Iterator[bytes]:
    """The text of what the job takes of a table that fitted it a moment ago."""
    from party.table.numbers import UnreadableLinesError  # here, since it brings the CSV library
    from party.table.taken import Taken

    try:
        yield from Taken(path, Expected.of(job, party.value)).pieces()
    except UnreadableLinesError:
        if job.scores is not None:  # it has another reader, which takes more
            what = "the job's columns cannot be told from the others"
            hint = "write a table of just these columns, with a row of their names before it"
            raise InputError(what, str(path), hint) from None
        raise _changed(path) from None


def _text_digest(path: Path, job: Job, party: Owner) -> str:
    """SHA-256, in hex, of what the job takes of a table."""
    digest = hashlib.sha256()
    for piece in _taken(path, job, party):
        digest.update(piece)
    return digest.hexdigest()


def _changed(path: Path) -> InputError:
    hint = "start again when nobody writes to it"
    return InputError("the table changed while it was read", str(path), hint)


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
    table: Table,
    identifiers: Identifiers | None,
    warnings: Sequence[str],
    job: Job,
    party: Owner,
    path: Path,
) -> None:
    features, label = job.features_of(party.value), job.label_of(party.value)
    derived = len(job.derived_of(party.value))
    parts = [f"{len(features)} features"] if features else []
    if derived != len(features):
        parts[0] += f" ({derived} columns of the model)"
    columns = " and ".join([*parts, *(["labels"] if label is not None else [])])
    print(f"{path}: fits {party} in the job {job.name!r}")
    print(f"  rows    {len(table.matrix)}, {columns}")
    if identifiers is not None:
        _show_key(identifiers, job, party)
    print(f"  used    {_used(job)}")
    if (largest := _largest(job, party, table)) is not None:
        print(f"  values  within {largest} standard deviations of their mean; {LIMIT:.0f} may be")
    print(f"  sha256  {table.digest} (of the CSV text)")
    treatments = list(_treatments(job, party, table))
    width = max((len(one.name) for one in treatments), default=0)
    for one in treatments:
        print(f"  {printable(one.name):<{width}}  {one.text}")
    alike = collinearity(job, party.value, table)
    if alike.factors:
        print(f"  vif     {_inflation(alike.factors)}")
    if table.notice is not None:
        _notice(table.notice)
    for warning in (*warnings, *alike.warnings):
        print(f"  warning: {printable(warning, 2000)}")


def _show_key(identifiers: Identifiers, job: Job, party: Owner) -> None:
    assert job.align is not None
    dates = {one.column for one in job.align.dates_of(party.value) if one is not None}
    key = ", ".join(f"{one} (a date)" if one in dates else one for one in job.align.of(party.value))
    again = identifiers.table_rows - len(identifiers)
    left_out = f"; {again} rows repeat one and are left out" if again else ""
    print(f"  key     {key}: {len(identifiers)} identifiers, none missing{left_out}")
    print("          compared without case, white space around them, and compatibility forms")
    if dates:
        print("          and dates as days of the calendar, however they are written")


def _checked_rows(
    path: Path, model: Path | None, job: Job, party: Owner, check: TableCheck
) -> TableCheck:
    """What comes of reading rows to score."""
    from party.scoring.joint import load_identified, rows_of

    try:
        table, identifiers = load_identified(path, model, job, party.value)
    except UnfitTableError as error:
        return check.model_copy(update={"findings": error.findings})
    except InputError as error:
        fault = TableFault(what=error.what, where=error.where, hint=error.hint)
        return check.model_copy(update={"fault": fault})
    found: dict[str, Any] = {"rows": rows_of(table, job, party.value), "sha256": table.digest}
    if identifiers is not None:
        found |= {"identifiers": len(identifiers), "warnings": identifiers.doubts}
    return check.model_copy(update={"fits": True} | found)


def _show_rows(path: Path, model: Path | None, job: Job, party: Owner) -> None:
    """What will become of rows to score, which fit."""
    from party.scoring.joint import load_identified, read_as_gaps, rows_of

    table, identifiers = load_identified(path, model, job, party.value)
    features = len(job.features_of(party.value))
    print(f"{path}: fits {party} in the job {job.name!r}")
    print(f"  rows    {rows_of(table, job, party.value)}, {features} features")
    if identifiers is not None:
        _show_key(identifiers, job, party)
        for warning in identifiers.doubts:
            print(f"  warning: {printable(warning, 2000)}")
    if job.left is None:
        print("  used    all rows are scored; the other's are the same in the same order")
    elif job.left == party.value:
        print("  used    all rows are scored, whether the other has them or not")
    else:
        assert job.align is not None
        print(
            f"  used    joined to {job.left}'s rows, if {job.align.minimum} or more are in common"
        )
        gaps = read_as_gaps(job, party.value)
        means = [name for name in job.features_of(party.value) if name not in gaps]
        kinds = {"the middle, as the training has it, of": means, "a gap in": gaps}
        said = [f"{kind} {', '.join(map(printable, of))}" for kind, of in kinds.items() if of]
        print(f"  absent  in a row that {job.left} alone has stands {', and '.join(said)}")
    print(f"  sha256  {table.digest} (of the rows as the model reads them)")


def _inflation(factors: Sequence[Inflation]) -> str:
    """Variance inflation factors, the largest first."""
    most = sorted(factors, key=lambda one: -(math.inf if one.factor is None else one.factor))
    shown = [
        f"{printable(one.feature)} {'none' if one.factor is None else format(one.factor, '.3g')}"
        for one in most[:_SHOWN]
    ]
    more = len(most) - len(shown)
    return ", ".join(shown) + f", and {more} smaller" * (more > 0)


def _used(job: Job) -> str:
    """What becomes of the rows."""
    if job.matches:
        assert job.align is not None
        rows = f"the rows in common, if they are {job.align.minimum} or more"
        if job.folds:
            rows += f"; each of these is held out in one of {job.folds} folds"
        elif job.evaluation is not None and job.evaluation.held_out is not None:
            rows += f"; of these {job.evaluation.held_out:.0%} are held out, nobody knows which"
        return rows
    if job.folds:
        return f"all rows, each held out in one of {job.folds} folds"
    if job.evaluation is not None:
        return f"{job.training_rows} rows to train on, {job.held_out_rows} held out"
    if job.rows_never_used:
        return f"all rows but {job.rows_never_used}, which no batch takes"
    return "all rows"


def _largest(job: Job, party: Owner, table: Table) -> int | None:
    """The power of two that no standardised value is beyond: it tells none."""
    count = len(job.derived_of(party.value))
    if not count:
        return None
    largest = max(1.0, float(abs(table.matrix[:, :count]).max()))
    return 1 << math.ceil(math.log2(largest))


def _treatments(job: Job, party: Owner, table: Table) -> Iterator[Treatment]:
    """What training will do with each of the party's features that is not a plain number."""
    for i, name in enumerate(job.features_of(party.value)):
        if (schema := job.schema_of(name)) is not None:
            counts = table.counts[i]
            yield Treatment(
                name=name,
                type=schema.type,
                gaps=counts.gaps,
                other=counts.other,
                text=_treatment(schema, counts.gaps, counts.other),
            )


def _treatment(schema: ColumnSchema, gaps: int, other: int) -> str:
    said: list[str] = [schema.type]
    match schema:
        case CategoryColumn():
            said[0] += f" of {len(schema.values)} values"
            if other:
                becomes = "a column" if schema.other == "column" else "the baseline"
                said.append(f"{other} cells of other values, {becomes}")
            stands = "a column" if schema.missing == "column" else "as another value"
        case _:
            own = schema.missing
            stands = "filled with " + (f"{own:g}" if isinstance(own, float) else f"the {own}")
            if own not in ("mean", "median") and not isinstance(own, float):
                stands = f"taken for {own}"
    if gaps:
        said.append(f"{gaps} gaps, {stands}")
    if getattr(schema, "indicator", False):
        said.append("an indicator of gaps")
    if getattr(schema, "log1p", False):
        said.append("log1p")
    if (clip := getattr(schema, "clip", None)) is not None:
        said.append(f"clipped at its quantiles {clip[0]:g} and {clip[1]:g}")
    if getattr(schema, "scale", None) == "robust":
        said.append("scaled by median and interquartile range")
    return "; ".join(said)


def _description(described: Description) -> Iterator[str]:
    width = max(len(column.name) for column in described.columns)
    count = len(described.columns)
    yield f"{described.rows} rows, {count} column{'s' * (count != 1)}"
    for column in described.columns:
        distinct = f"{column.distinct} values" if column.distinct is not None else "many values"
        parts = [f"{column.kind:<8}", f"{column.gaps:>8} gaps", f"{distinct:>12}"]
        if column.low is not None and column.kind in ("number", "date"):
            parts.append(f"{column.low} … {column.high}")
        elif column.values:
            shown = [repr(printable(value)) for value in column.values[:_SHOWN]]
            parts.append(", ".join(shown) + ", …" * (len(column.values) > _SHOWN))
        yield f"  {printable(column.name):<{width}}  " + "  ".join(parts)


def _write_public(public: dict[str, Any], path: Path, yes: bool) -> None:
    if path.exists():
        raise InputError("the file is there already", str(path), "give a new one")
    see_to_place(path, "what a job may say")
    if not public["features"]:
        raise InputError("no column of the table can be a feature", hint="see what it holds above")
    columns = public.get("columns", {}).items()
    categories = [name for name, one in columns if isinstance(one, dict) and "values" in one]
    print("for all parties to see:", file=sys.stderr)
    for what, names in (("names", public["features"]), ("the categories of", categories)):
        if names:
            print(f"  {what} {', '.join(map(printable, names))}", file=sys.stderr, flush=True)
    if not yes:
        console.see_to_somebody("say --yes to write them")
        typer.confirm(f"write this to {path}?", abort=True, err=True)
    lines = [
        "# The public part of a job, of one holder's table. Take out what others need not know,",
        "# and the label, which is no feature; add the job's name and its label: docs/jobs.md.",
        *(f"{key}: {write_yaml(public[key])}" for key in ("rows", "features")),
    ]
    if columns:
        lines.append("columns:")
        lines += [f"  {write_yaml(name)}: {write_yaml(one)}" for name, one in columns]
    replace(path, "\n".join([*lines, ""]).encode())
    print(f"{path}: {len(public['features'])} features")


def _notice(text: str) -> None:
    print(f"  notice: {text}")
