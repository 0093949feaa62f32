"""What a party may do, by the approvals of all three: looked at before it joins, spent when it
opens."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from party.agreement.job import PARTIES, Job, Party
from party.approval.approval import Approval, approval_file, commitment, read_salt, salt_file
from party.approval.envelope import Envelope, read
from party.approval.ledger import NAME, Ledger
from party.process.errors import InputError, JobError

_NEW = "have a new one made: deployer approve"
_SPENT = "agree on a job with approvals for more runs: deployer approve --runs"


@dataclass
class Permit:
    """A party's permission to run one job.

    Attributes:
        approvals: of all three, as they were checked; none where the job asks for none.
        digests: of these approvals.
        ledger: the party's own.
        resumes: the run that the party may go on with from the point before its opening. What it
            opens then is what it has opened, if it has: that is no other opening.
        lacks: what is wrong with the approvals, where the party has its result already: it may end
            well by what it holds, and open nothing.
    """

    job: Job
    ledger: Ledger
    approvals: dict[Party, Approval] = field(default_factory=dict)
    digests: dict[Party, str] = field(default_factory=dict)
    resumes: str | None = None
    lacks: InputError | None = None

    def check(self, plan: str | None) -> None:
        """That this plan may run now; None where it is made after rows are matched. Raises
        InputError, before anything is sent, where it may not: it is another plan than approved, an
        approval has expired, or none is left."""
        for party, approval in self.approvals.items():
            if approval.plan != plan:
                raise InputError(
                    f"{party} has approved another plan: {approval.plan}, and this one is {plan}",
                    hint="install the approved versions, or have this plan approved",
                )
        if self.lacks is None and (problem := self._problem()):
            raise InputError(problem, hint=self._hint)

    def open(self, plan: str | None, run: str) -> None:
        """Write down, durably, that this party opens the result of a run; only then may its share
        of it leave. Raises JobError where that may not be, or cannot be written."""
        if problem := self._problem():
            raise JobError(f"nothing was opened: {problem}", hint=self._hint, cause="refused")
        self.ledger.append(
            "opening", job=self.job.digest, plan=plan, run=run, approvals=self.digests
        )

    def goes_on(self, run: str | None) -> None:
        """The parties go on with a run at or behind the point before its opening; None where they
        begin one, or go back to before that point: what they open then is another result.

        Raises JobError where no approval is left for another."""
        self.resumes = run
        if problem := self._problem():
            raise JobError(problem, hint=self._hint, cause="refused")

    @property
    def _hint(self) -> str | None:
        if self.lacks is not None:
            return self.lacks.hint
        return _NEW if self.approvals else _SPENT

    def _problem(self) -> str | None:
        if self.lacks is not None:
            return self.lacks.what
        if expired := _expired(self.approvals):
            return expired
        for party, approval in self.approvals.items():
            used = self.ledger.openings(self.digests[party], beside=self.resumes)
            if used >= approval.runs:
                times = "once" if used == 1 else f"{used} times"
                allowed = "one run" if approval.runs == 1 else f"{approval.runs} runs"
                return (
                    f"{party}'s approval is used up: it is for {allowed}, and this party has "
                    f"opened {times} by it ({self.ledger.path})"
                )
        if self.approvals or self.job.weight_privacy is None:
            return None
        # Each opening has noise of its own, and their mean has less.
        if self.ledger.runs_opened(self.job.digest, beside=self.resumes):
            return (
                "private weights are opened once, and this party has opened those of this job: "
                f"each further opening spends its epsilon again ({self.ledger.path})"
            )
        return None


def see_to_rest(
    job: Job, output: Path, approvals: Path | None, kit: str, image: str | None
) -> None:
    """That a start takes away no result of this very job which it may not bring back: it was opened
    before, and none is left to open. To be asked where a result is there, and no checkpoint.

    Raises InputError where that is so, with what is wrong with the approvals."""
    ledger = Ledger(output / NAME)
    if not ledger.runs_opened(job.digest):
        return
    here = "the result is here, and was left as it is"
    try:
        permit = _permit(job, ledger, approvals, kit, image)
    except InputError as error:
        raise InputError(error.what, error.where, f"{error.hint}; {here}") from None
    if problem := permit._problem():
        hint = f"{here}: the job is done"
        if not permit.approvals:
            hint += "; to spend its epsilon again, agree on a job of another name"
        raise InputError(problem, str(output), hint)


def permitted(
    job: Job,
    party: Party,
    output: Path,
    approvals: Path | None,
    table_digest: str | None,
    kit: str,
    image: str | None,
    resumes: str | None = None,
    has_all: bool = False,
) -> Permit:
    """A party's permit: the three approvals in a directory, checked, and its ledger; ``resumes``
    is the run of its checkpoints, if it has any from the point before an opening on, and
    ``has_all`` whether it has the result of that: then it needs no approvals any more.

    Raises InputError for the first that is missing, not signed by the key that the job names, for
    another party, job, table, software or image, expired or used up.
    """
    ledger = Ledger(output / NAME)
    try:
        permit = _permit(job, ledger, approvals, kit, image, resumes)
        if approvals is not None:
            salt = None if table_digest is None else read_salt(salt_file(approvals, party))
            check_table(permit.approvals[party], approvals, salt, table_digest)
        if problem := permit._problem():
            raise InputError(problem, str(approvals or ledger.path), permit._hint)
    except InputError as error:
        opening = ledger.opening(resumes) if has_all and resumes is not None else None
        if opening is None:
            raise
        return Permit(job, ledger, digests=opening.approvals, resumes=resumes, lacks=error)
    return permit


def _permit(
    job: Job,
    ledger: Ledger,
    approvals: Path | None,
    kit: str,
    image: str | None,
    resumes: str | None = None,
) -> Permit:
    """The permit that the approvals in a directory give, if the job asks for any. Raises InputError
    for the first that does not hold, whatever table it is for, and whether it is used up or not.
    """
    permit = Permit(job, ledger, resumes=resumes)
    pins = job.identities
    if pins is None or not pins.approvals:
        if approvals is not None:
            raise InputError(
                "the job names no keys of approvals, so that nobody knows whose they must be",
                "--approvals",
                "agree on a job with identities.<party>.approval, or leave --approvals out",
            )
        return permit
    if approvals is None:
        raise InputError(
            "the job asks for the approvals of all three parties, and none are given",
            "--approvals",
            "name the directory that holds them: alice.json, bob.json and server.json",
        )
    found = {each: file for each in PARTIES if (file := approval_file(approvals, each)).exists()}
    texts = {file.name: read(file) for file in found.values()}
    permit.approvals, permit.digests = checked_approvals(job, texts, approvals, kit, image)
    return permit


def checked_approvals(
    job: Job, files: Mapping[str, bytes], directory: Path, kit: str, image: str | None
) -> tuple[dict[Party, Approval], dict[Party, str]]:
    """The approvals of all three, and their digests, out of a directory's files, by their names.

    Raises InputError for the first that is missing, not signed by the key that the job names, or
    for another party, job, software or image.
    """
    approvals: dict[Party, Approval] = {}
    digests: dict[Party, str] = {}
    pins = job.identities
    assert pins is not None
    for each in PARTIES:
        file = approval_file(directory, each)
        if file.name not in files:
            hint = f"get it from {each}, who makes it with: deployer approve JOB {each}"
            raise InputError(f"{each} has not approved", str(file), hint)
        envelope = Envelope.parse(files[file.name], str(file))
        approval = Approval.of(envelope, str(file))
        pin = pins.of(each).approval
        mismatches = [
            (f"it is {approval.party}'s approval, not {each}'s", approval.party != each),
            (
                f"its signer's key is {envelope.keyid}, and the job pins {pin}",
                envelope.keyid != pin,
            ),
            (
                f"it is for another job: {approval.job}, and this one is {job.digest}",
                approval.job != job.digest,
            ),
            (
                "it names a plan, and there is none before the rows are matched"
                if job.matches
                else "it names no plan",
                (approval.plan is None) != job.matches,
            ),
            (f"it is for version {approval.kit} of the kit, not {kit}", approval.kit != kit),
            (
                f"it is for the image {approval.image}, not {image or 'one that nobody names'}",
                approval.image not in (None, image),
            ),
        ]
        for what, wrong in mismatches:
            if wrong:
                raise InputError(f"{each}'s approval does not hold: {what}", str(file), _NEW)
        approvals[each], digests[each] = approval, envelope.digest
    return approvals, digests


def check_table(
    approval: Approval, directory: Path, salt: bytes | None, table_digest: str | None
) -> None:
    """That a party's table is the one that it has approved. Raises InputError."""
    found = None
    if table_digest is not None and salt is not None:
        found = commitment(salt, table_digest)
    if approval.table != found:
        raise InputError(
            f"{approval.party}'s approval does not hold: it is for another table",
            str(approval_file(directory, approval.party)),
            "give the table that was approved, or have this one approved",
        )


def check_expiry(approvals: Mapping[Party, Approval]) -> None:
    """That none of them has expired. Raises InputError."""
    if problem := _expired(approvals):
        raise InputError(problem, hint=_NEW)


def _expired(approvals: Mapping[Party, Approval]) -> str | None:
    now = datetime.now(UTC)
    for party, approval in approvals.items():
        if now > approval.expiry:
            return f"{party}'s approval expired at {approval.expires}"
    return None
