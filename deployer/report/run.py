"""A run as it was left: the documents of its parties, and that they belong together."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from deployer.local.run import JOB
from party.agreement.job import PARTIES, Job, Party, Sizes, load_job
from party.approval import Envelope
from party.approval.receipt import Receipt, Statement
from party.models.evaluation.figures import Evaluation, Figures
from party.process.errors import InputError
from party.reporting.documents import RECEIPT, LinearDocument, PartyReport

_RUN = "name the directory of a run that is done: deployer run --output DIR"


@dataclass(frozen=True)
class Signed:
    """The statements of a receipt that is here: all three parties', or one's."""

    statements: tuple[Statement, ...]


@dataclass(frozen=True)
class Run:
    """What a run left.

    Attributes:
        job: what was run.
        directory: where it is.
        models: of the parties that received one.
        parties: the parties' own reports, as far as they are here.
        signed: its receipt; None where there is none.
    """

    job: Job
    directory: Path
    models: dict[Party, LinearDocument]
    parties: dict[Party, PartyReport]
    signed: Signed | None = None

    @classmethod
    def read(cls, job: Job, directory: Path) -> Run:
        """The run of a job in a directory: with a folder for each party, as ``deployer run`` leaves
        it, or one party's own ``--output``.

        Raises InputError where there is no run that is done, one of another job, or a receipt that
        does not hold.
        """
        folders = {party: directory / party for party in PARTIES if (directory / party).is_dir()}
        if not folders:
            own = PartyReport.read(directory)
            if own is None:
                raise InputError("no run was finished here", str(directory), _RUN)
            folders = {own.party: directory}
        reports = {party: PartyReport.read(folder) for party, folder in folders.items()}
        models = {party: LinearDocument.read(folder) for party, folder in folders.items()}
        run = cls(
            job,
            directory.absolute(),
            {party: one for party, one in models.items() if one is not None},
            {party: one for party, one in reports.items() if one is not None},
            _signed(directory, whole=list(folders.values()) != [directory]),
        )
        if not run.parties:
            raise InputError("no run was finished here", str(directory), _RUN)
        run._check(directory)
        return run

    @classmethod
    def with_its_job(cls, directory: Path) -> Run:
        """The run in a directory that has its job beside it, as ``deployer run`` leaves it."""
        path = directory / JOB
        if not path.is_file():
            hint = f"put the job that was run there, as {JOB}"
            raise InputError("the job of the other run is not there", str(path), hint)
        return cls.read(load_job(path), directory)

    @property
    def first(self) -> PartyReport:
        """The report that says what is the same for all."""
        return next(iter(self.parties.values()))

    @property
    def evaluation(self) -> Evaluation | None:
        """What one of the receivers was told of held-out rows; all of them are told the same."""
        told = (model.evaluation for model in self.models.values())
        return next((one for one in told if one is not None), None)

    @property
    def figures(self) -> Figures | None:
        """Its figures."""
        return None if self.evaluation is None else self.evaluation.figures

    @property
    def sizes(self) -> Sizes | None:
        """Of tables that were aligned."""
        alignment = self.first.alignment
        return None if alignment is None else alignment.sizes

    def _check(self, directory: Path) -> None:
        jobs = {one.job for one in self.parties.values()}
        jobs |= {one.job for one in self.models.values()}
        if jobs != {self.job.digest}:
            hint = "give the job that was run there"
            raise InputError("the run is of another job", str(directory), hint)
        runs = {one.run for one in self.parties.values()}
        if self.signed is not None:
            runs |= {one.run for one in self.signed.statements}
        if len(runs) > 1:
            what = "what lies here is not of one run"
            raise InputError(what, str(directory), "run the job again, into an empty directory")


def _signed(directory: Path, whole: bool) -> Signed | None:
    path = directory / RECEIPT
    if not path.is_file():
        return None
    if whole:
        return Signed(Receipt.read(path).statements)
    return Signed((Statement.of(Envelope.read(path), str(path)),))
