"""What one process writes and another reads: each file's form, in one place.

A document has a version. It changes when a reader of the old form would misread the new one; a
field that is only added does not change it, since readers ignore what they do not know.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import AfterValidator, ConfigDict, Field, ValidationError, model_validator

from party.agreement.job import Holder, Job, Party, Sizes
from party.agreement.limits import LIMIT
from party.models.evaluation.figures import Evaluation
from party.models.health import Health
from party.models.parameters import ModelName
from party.models.statistics.figures import Inflation, Statistics
from party.process import files
from party.process.errors import Cause, InputError, printable
from party.process.schema import Frozen
from party.table.findings import Finding

_LARGEST = 64 * 1024 * 1024
"""Bytes of a file that somebody gives."""

MODEL_HINT = "give the model.json of a run, as its receiver has it"

RECEIPT = "receipt.json"
"""What a party signs of its run, and in ``deployer run``'s output what all three have signed: see
``party.approval.receipt``, which is not imported for a name."""

SCORES = "scores.csv"
"""The scores of a job that scores, at who receives them."""

Phase = Literal[
    "starting",
    "table",
    "plan",
    "joining",
    "aligning",
    "running",
    "rejoining",
    "revealing",
    "done",
    "failed",
]
"""``rejoining``: a peer was lost; what the party has is kept while it looks for the peer."""

Seconds = Annotated[float, AfterValidator(lambda value: round(value, 6))]


class Document(Frozen):
    """A file that holds one JSON object.

    Attributes:
        version: of its form. A file without one is of the first.
    """

    model_config = ConfigDict(extra="ignore")

    NAME: ClassVar[str]

    version: Literal[1] = 1

    @classmethod
    def parse(cls, text: str | bytes) -> Self:
        """The document in a text. Raises ValueError for any other text."""
        return cls.model_validate_json(text)

    @classmethod
    def read(cls, directory: Path) -> Self | None:
        """The document in a directory; None where there is none.

        Raises InputError for a file that cannot be read, or that holds something else.
        """
        path = directory / cls.NAME
        try:
            text = path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise files.unreadable(error, "the file", path) from None
        return cls._told(text, path, "the file is damaged", "remove it")

    @classmethod
    def _given(cls, path: Path, name: str, hint: str) -> Self:
        """The document in a file that somebody gives, who calls it by a ``name``.

        Raises InputError for a file that cannot be read, or that holds something else.
        """
        try:
            with path.open("rb") as stream:
                text = stream.read(_LARGEST + 1)
        except OSError as error:
            raise files.unreadable(error, f"the {name}", path) from None
        if len(text) > _LARGEST:
            text = b""
        return cls._told(text, path, f"the file is no {name} of the kit's", hint)

    @classmethod
    def _told(cls, text: bytes, path: Path, what: str, hint: str) -> Self:
        """The document in the text of a file; InputError with what is wrong, and what to do."""
        try:
            return cls.parse(text)
        except ValidationError as error:
            faults = error.errors()
        for one in faults:
            if one["loc"][-1:] == ("version",):
                said = printable(one["input"], 20)
                what = f"the file has another version ({said}): another version of the kit wrote it"
                hint = f"use that version of the kit, or {hint}"
            elif not one["loc"] and one["type"] == "value_error":
                what = str(one["ctx"]["error"])
        raise InputError(what, str(path), hint)

    def write(self, directory: Path, mode: int = 0o600) -> Path:
        """Put it into a directory, whole or not at all, and return the path."""
        path = directory / self.NAME
        files.replace_json(path, self.as_json(), mode)
        return path

    def as_json(self) -> dict[str, Any]:
        """The document as JSON has it."""
        return self.model_dump(mode="json")


def duration(seconds: float) -> str:
    """Seconds for people: ``48 s``, ``3 min``, ``2 h 05 min``."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60:02d} min"


class PublicStatus(Document):
    """What a party's status port tells everybody."""

    NAME = "status"

    phase: Phase
    epoch: int
    epochs: int
    step: int
    steps: int


class Queued(Frozen):
    """A job of several that a party does one after the other.

    Attributes:
        name, job: its name and digest.
        state: how far it is.
        since: the moment at which it came to that; None for one that waits.
    """

    name: str
    job: str
    state: Literal["waiting", "running", "done", "failed"] = "waiting"
    since: str | None = None


class StatusDocument(PublicStatus):
    """``status.json``: what a party is doing. Nothing in it comes from anybody's data.

    Attributes:
        job: the job's digest.
        queue: the jobs of which this is one, in their order, where there are several.
        epoch, step: how far the training is.
        rate: steps a second, by the last few seconds.
        remaining_s: seconds left at this rate.
        settles: whether the training may end before all steps are done, so that it takes them at
            most.
        aside: what the party does that is no step of the training, and how far it is.
        since: the moment at which it entered the phase.
        waiting_for: the parties that have not come yet, or not come back.
        rejoins: how often the run went on after a peer was lost, or after this party was restarted.
        checkpoint: the moment of the newest checkpoint on the disk; None where there is none.
        cause: why it failed; None for whoever has not.
        message, where, hint: what it is doing or what is wrong, as an error has them.
        final: whether it failed in a way that running the same job again cannot help.
        sizes: of the tables that were aligned, as all three know them.
        started, updated: moments in UTC, in the form of ISO 8601.
        stepped: the moment at which the last step was done; None before the first.
        last_cause, last_failed: why and when this party failed before it was started again, if it
            did, with the same job.
        certificate_expires: when the certificate that the next join takes ends.
        disk_full: whether its disk takes no status, so that the one there is an older one.
    """

    NAME = "status.json"

    party: Party
    job: str
    queue: tuple[Queued, ...] = ()
    phase: Phase = "starting"
    epoch: int = 0
    step: int = 0
    rate: float | None = None
    remaining_s: float | None = None
    settles: bool = False
    aside: str = ""
    since: str | None = None
    waiting_for: tuple[Party, ...] = ()
    rejoins: int = 0
    checkpoint: str | None = None
    cause: Cause | None = None
    message: str = ""
    where: str | None = None
    hint: str | None = None
    final: bool = False
    sizes: Sizes | None = None
    started: str
    updated: str
    stepped: str | None = None
    last_cause: Cause | None = None
    last_failed: str | None = None
    certificate_expires: str | None = None
    disk_full: bool = False

    @classmethod
    def first(cls, job: Job, party: Party, now: str, **more: Any) -> StatusDocument:
        """The status of a party that has just been started."""
        return cls(
            party=party,
            job=job.digest,
            epochs=job.epochs,
            steps=job.steps,
            settles=job.descent is not None and job.descent.tolerance > 0,
            started=now,
            updated=now,
            since=now,
            **more,
        )

    @property
    def doing(self) -> str:
        """How far a run is, its pace, and the time that is left, for people."""
        parts = [self.aside or f"step {self.step} of {self.steps}"]
        if self.rate and not self.aside:
            parts.append(f"{self.rate:.0f} a second")
        if self.remaining_s is not None:
            most = "at most " if self.settles and not self.aside else ""
            parts.append(f"{most}{duration(self.remaining_s)} left")
        return ", ".join(parts)

    def public(self) -> PublicStatus:
        """The part that everybody may see."""
        return PublicStatus(
            phase=self.phase,
            epoch=self.epoch,
            epochs=self.epochs,
            step=self.step,
            steps=self.steps,
        )


class Times(Frozen):
    """Seconds that a party took, for each part of its work; None for what it did not do.

    Attributes:
        start_s: from the start of the process until it began with its job.
        table_s: for its keys and table.
        plan_s: for its schedule, from the cache or made.
        import_s, build_s: for importing TensorFlow, and for building the plan.
        connect_s: until all parties were there and agreed.
        train_s, step_s: for all steps, and for one.
        whole_s: from the start of the process to its end.
    """

    model_config = ConfigDict(extra="forbid")

    start_s: Seconds | None = None
    table_s: Seconds | None = None
    plan_s: Seconds | None = None
    import_s: Seconds | None = None
    build_s: Seconds | None = None
    connect_s: Seconds | None = None
    train_s: Seconds
    step_s: Seconds
    whole_s: Seconds | None = None

    def also(self, **more: float) -> Times:
        """The same, and more of them."""
        return Times.model_validate(self.model_dump() | more)


class Figures(Frozen):
    """What a schedule is like.

    Attributes:
        plan_from_cache: whether the schedule was there already.
        rounds, messages_per_step, instructions: of one step.
        arena_bytes: the memory of the run.
        file_bytes: what of it was in a file, by the party's own limit.
    """

    plan_from_cache: bool | None = None
    rounds: int | None = None
    messages_per_step: int | None = None
    instructions: int | None = None
    arena_bytes: int | None = None
    file_bytes: int | None = None


class Traffic(Frozen):
    """What a party sent and received in a run, before TLS."""

    bytes_sent: int
    bytes_received: int
    messages_sent: int
    messages_received: int
    writes: int
    waits: int


class Aligned(Frozen):
    """What an alignment found and took.

    Attributes:
        sizes: rows of both tables, and, but for a left join, those in common; all three parties
            know them.
        align_s: seconds.
        bytes_sent, bytes_received: before TLS.
    """

    sizes: Sizes
    align_s: Seconds
    bytes_sent: int
    bytes_received: int


class Kept(Frozen):
    """A party's part of a model that is kept on shares.

    Attributes:
        name: of the model, by which a later job opens it.
        sha256: of the party's own sealed file.
    """

    name: str
    sha256: str


class PartyReport(Figures, Document):
    """``report.json`` of one party: what a run took.

    Attributes:
        plan, run: digest of the plan, and the number that the three agreed on for this run.
        steps: that were done; None for a runtime that does not count.
        traffic: None for a runtime that does not count.
        peak_bytes: the most memory that the process had.
        table_bytes: the size of its own table in it.
        peer_keys: SHA-256 of the others' public keys, as a job pins them; none for a runtime
            without TLS.
        alignment: None for tables that were not aligned.
    """

    NAME = "report.json"

    party: Party
    job: str
    plan: str
    run: str
    protocol: str
    runtime: str
    versions: dict[str, str]
    times: Times
    steps: int | None = None
    traffic: Traffic | None
    peak_bytes: int
    table_bytes: int
    peer_keys: dict[Party, str] = Field(default_factory=dict)
    alignment: Aligned | None = None
    kept: Kept | None = None


class RunTimes(Frozen):
    """Seconds of a run on one machine: Alice's, those of the one build, and the whole command."""

    connect_s: Seconds | None
    train_s: Seconds
    step_s: Seconds
    import_s: Seconds
    build_s: Seconds
    whole_s: Seconds


class RunReport(Document):
    """``report.json`` of a run on one machine: all parties' reports, and what they add up to."""

    NAME = "report.json"

    job: str
    plan: str
    run: str
    protocol: str
    runtime: str
    versions: dict[str, str]
    steps: int
    times: RunTimes
    bytes: int
    messages: int
    rounds: int | None
    peak_bytes: dict[Party, int]
    parties: dict[Party, PartyReport]


class ModelDocument(Document):
    """``model.json``: what a party was given of a model. The rest is the model's own.

    Attributes:
        health: what its receiver saw of it at home; None in a file of an earlier kit.
        columns: how features that are not plain numbers become the model's columns, by name: the
            job's schema with its ``type``, their ``holder``, the names ``derived``, and what was
            ``fitted`` to the receiver's own; null there for another holder's.
        evaluation: what held-out rows say of it; None where none were held out.
        statistics: how far the weights can be trusted; None where the job does not ask.
    """

    model_config = ConfigDict(extra="allow")

    NAME = "model.json"

    model: str
    job: str
    plan: str
    protocol: str
    versions: dict[str, str]
    health: Health | None = None
    columns: dict[str, dict[str, Any]] = Field(default_factory=dict)
    evaluation: Evaluation | None = None
    statistics: Statistics | None = None


class LinearDocument(ModelDocument):
    """The document of a model that is a function of one weighted sum.

    Attributes:
        model: which one.
        features, holders: names of the columns that the model reads, and whose each is.
        mean, scale: of each of them; None where its holder alone knows them.
        weights: of the standardised columns.
        intercept: None where another party has it.
        unit: of the label, for linear regression.
    """

    model: ModelName
    features: tuple[str, ...] = Field(min_length=1)
    holders: tuple[Holder, ...]
    mean: tuple[float | None, ...]
    scale: tuple[float | None, ...]
    weights: tuple[float, ...]
    intercept: float | None
    unit: float = 1.0

    @model_validator(mode="after")
    def _of_one_length(self) -> Self:
        lists = (self.holders, self.mean, self.scale, self.weights)
        if any(len(one) != len(self.features) for one in lists):
            raise ValueError("the model's lists are not of one length")
        return self

    @classmethod
    def load(cls, path: Path) -> Self:
        """The model in a file. Raises InputError for a file that cannot be read, or is none."""
        return cls._given(path, "model", MODEL_HINT)

    def as_json(self) -> dict[str, Any]:
        """The document as JSON has it, with a unit where the model has one."""
        without = set() if "unit" in self.model_fields_set else {"unit"}
        return self.model_dump(mode="json", exclude=without)

    def with_scales_of(self, other: LinearDocument) -> LinearDocument:
        """The model with what the other one's receiver alone knows of its own columns."""

        def known(mine: tuple[float | None, ...], theirs: tuple[float | None, ...]) -> object:
            return tuple(b if a is None else a for a, b in zip(mine, theirs, strict=True))

        mean, scale = known(self.mean, other.mean), known(self.scale, other.scale)
        return self.model_copy(update={"mean": mean, "scale": scale})


class ColumnsDocument(Document):
    """``columns.json``: how a training has read its holder's own columns, for that party's eyes.
    Rows that it is to score together with another party are read in the same way.

    Attributes:
        features: names of the model's columns that its own became; ``mean`` and ``scale`` are of
            these.
        columns: as in ``ModelDocument``, of its own alone.
    """

    NAME = "columns.json"

    job: str
    party: Holder
    features: tuple[str, ...]
    mean: tuple[float, ...]
    scale: tuple[float, ...]
    columns: dict[str, dict[str, Any]] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _of_one_length(self) -> Self:
        if not len(self.features) == len(self.mean) == len(self.scale):
            raise ValueError("the file's lists are not of one length")
        return self

    @classmethod
    def load(cls, path: Path) -> Self:
        """The document in a file. Raises InputError for a file that cannot be read, or is none."""
        hint = f"give the {cls.NAME} that the training left at this party"
        return cls._given(path, cls.NAME, hint)


class SharesDocument(Document):
    """``shares.json``: a party's shares of a model that nobody gets, each a flat ring matrix."""

    NAME = "shares.json"

    job: str
    plan: str
    shares: dict[str, list[int]]


class TableFault(Frozen):
    """Why a table could not be read, or not be trained on."""

    what: str
    where: str | None
    hint: str | None


class Treatment(Frozen):
    """What training does with a feature that is not a plain number.

    Attributes:
        name, type: as in the job.
        gaps: empty cells.
        other: cells of a category with a value that the job does not name.
        text: all of it for people, and no value.
    """

    name: str
    type: str
    gaps: int
    other: int
    text: str


class TableCheck(Document):
    """What ``deployer data check --json`` prints. There is no value of the table in it.

    Attributes:
        job, party: whose table it should be: the job's name, and the party.
        fits: whether the party will take it.
        rows, features, label: what the job expects; ``features`` counts columns of the model, and
            ``label`` is whether the party holds it. Of a table that is to be aligned, ``rows`` are
            those that it has.
        identifiers: rows that an alignment would take; None without one.
        rows_trained, rows_held_out: what becomes of the rows; None for a table that does not fit,
            and where only an alignment will tell.
        largest: the power of two that no standardised value is beyond, of ``largest_allowed``; None
            without features, or for a table that does not fit.
        sha256: of the CSV text, as far as the job takes it; None for a table that does not fit.
        ignored: the positions, from 1, of columns that the job does not name.
        columns: what training does with features that are not plain numbers.
        inflation: how far each of its columns says what the others do, by variance inflation
            factors.
        warnings: what is allowed and can hardly be meant.
        findings: all that does not fit.
        fault: what else is wrong, for instance that the file cannot be read; then there are no
            findings.
    """

    NAME = "table-check"

    job: str
    party: Party
    fits: bool
    rows: int
    features: int
    label: bool
    identifiers: int | None = None
    rows_trained: int | None = None
    rows_held_out: int | None = None
    largest: int | None = None
    largest_allowed: float = LIMIT
    sha256: str | None = None
    ignored: tuple[int, ...] = ()
    columns: tuple[Treatment, ...] = ()
    inflation: tuple[Inflation, ...] = ()
    warnings: tuple[str, ...] = ()
    findings: tuple[Finding, ...] = ()
    fault: TableFault | None = None


class Flow(Frozen):
    """What one party sends to another in a whole run: messages, and bytes before TLS."""

    sender: Party
    receiver: Party
    messages: int
    bytes: int


class ProgramEstimate(Frozen):
    """A program of the plan: how many times it runs, and the messages that lie one behind the
    other on the longest way through one run."""

    name: str
    runs: int
    rounds: int


class MemoryEstimate(Frozen):
    """Memory of a party's process.

    Attributes:
        arena_bytes: what the instructions work on.
        buffer_bytes: the rings of what comes from peers and the queues of what goes there.
        table_bytes: its own table.
        base_bytes: the process itself: Python, what it imports, the native executor.
        file_bytes: what of the arena a limit on memory can put into a file, at most.
    """

    arena_bytes: int
    buffer_bytes: int
    table_bytes: int
    base_bytes: int
    file_bytes: int

    @property
    def bytes(self) -> int:
        """All of it, without a limit."""
        return self.arena_bytes + self.buffer_bytes + self.table_bytes + self.base_bytes


class PartyEstimate(Frozen):
    """What a party's report will say of its traffic, and what memory it takes."""

    messages_sent: int
    messages_received: int
    bytes_sent: int
    bytes_received: int
    memory: MemoryEstimate


class TimeEstimate(Frozen):
    """How long a job takes on a network.

    Attributes:
        rtt_ms: milliseconds of a round trip between two parties, on top of the machine's own.
        bandwidth_mbit: Mbit/s of each party's line, each way; None for no limit.
        connect_s: seconds from when all are there until they have agreed.
        train_s, step_s: as in ``Times``: seconds for all steps, and for one.
    """

    rtt_ms: float
    bandwidth_mbit: float | None
    connect_s: Seconds
    train_s: Seconds
    step_s: Seconds


class EstimateDocument(Document):
    """What ``deployer estimate --json`` prints: what a job will take, before it runs.

    Attributes:
        rounds, messages, bytes: of the whole run; bytes with their headers, before TLS.
        traffic: the same by sender and receiver.
        plan_s: seconds for a party's schedule, from the cache.
        loopback: all three parties on this machine.
        apart: each on a machine like this one; None where no network was given.
    """

    NAME = "estimate"

    job: str
    plan: str
    protocol: str
    steps: int
    programs: tuple[ProgramEstimate, ...]
    rounds: int
    messages: int
    bytes: int
    traffic: tuple[Flow, ...]
    parties: dict[Party, PartyEstimate]
    plan_s: Seconds
    loopback: TimeEstimate
    apart: TimeEstimate | None = None


_RESULTS = (ModelDocument.NAME, SharesDocument.NAME, ColumnsDocument.NAME, SCORES)
_LEFT = (*_RESULTS, PartyReport.NAME, RECEIPT)


def has_results(directory: Path) -> bool:
    """Whether an earlier run left anything that ``remove_results`` would remove."""
    return any((directory / name).exists() for name in _LEFT)


def remove_results(directory: Path) -> None:
    """Remove what an earlier run left, so that nothing is taken for a later run's.

    Raises InputError where that is not allowed.
    """
    try:
        for name in _LEFT:
            (directory / name).unlink(missing_ok=True)
    except OSError as error:
        what = f"cannot remove what an earlier run left: {error.strerror}"
        hint = "remove it, or name another directory with --output"
        raise InputError(what, str(directory), hint) from None
