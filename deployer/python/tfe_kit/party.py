"""One of the three parties of a job, run from Python as the command ``party`` runs it."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Self

from party.agreement.job import Party as Seat
from party.process import children, files
from party.process.errors import AS_JSON, ErrorDocument, InputError, JobError
from party.reporting.documents import LinearDocument, PartyReport
from tfe_kit.estimator import JointLogisticRegression

_GRACE_S = 10.0


class Party:
    """A party at its place: it trains with the two others, wherever they are.

    Args:
        party: alice, bob or server.
        job: the job's YAML file, the same bytes for all.
        config: the hosts map, ``config.json``.
        keys: a directory with ``ca.crt``, ``tls.crt`` and ``tls.key``.
        output: a directory for status, log and results.
        cache: where plans are kept; None for ``~/.cache/tfe-kit``.
        approvals: a directory with the three approvals, where the job asks for them.
        wait_s: seconds to wait for the others.
        time_limit_s: seconds of the training; None for no limit.

    Attributes:
        model_: what the party was given, as ``model.json`` has it; None where it receives nothing.
        report_: what the run took.
    """

    def __init__(
        self,
        party: Seat,
        *,
        job: str | Path,
        config: str | Path,
        keys: str | Path,
        output: str | Path,
        cache: str | Path | None = None,
        approvals: str | Path | None = None,
        wait_s: float = 600.0,
        time_limit_s: float | None = None,
    ) -> None:
        self.party = party
        self.job, self.config, self.keys, self.output = map(Path, (job, config, keys, output))
        self.cache, self.approvals = cache, approvals
        self.wait_s, self.time_limit_s = wait_s, time_limit_s

    def fit(self, table: str | Path | None = None) -> Self:
        """Train with the others on this party's own table, which the third server has not.

        The party is a process of its own, which ends with this one; it says what it does in
        ``status.json`` and ``log.jsonl`` of its output.

        Raises InputError or JobError as the party did.
        """
        self.model_, self.report_ = None, None
        try:
            self.output.mkdir(mode=0o700, parents=True, exist_ok=True)
            log = (self.output / "log.jsonl").open("wb")
        except OSError as error:
            raise files.unwritable(error, "cannot write the output", self.output) from None
        with log:
            process = subprocess.Popen(
                self._command(table),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.PIPE,
                env=children.environment(**{AS_JSON: "1"}),
                process_group=0,  # a Ctrl-C is for us, who then end it in order
            )
            try:
                _, words = process.communicate()
            except BaseException:
                process.terminate()
                try:
                    process.wait(_GRACE_S)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()
                raise
        if process.returncode:
            told = ErrorDocument.in_text(words.decode(errors="replace"))
            if told is None:
                raise JobError(
                    f"{self.party} ended with exit code {process.returncode}", str(self.output)
                )
            raise told.error()
        self.model_ = LinearDocument.read(self.output)
        self.report_ = PartyReport.read(self.output)
        return self

    def estimator(self) -> JointLogisticRegression:
        """The model as an estimator that predicts.

        Raises InputError where the party received none, or not all of it.
        """
        if getattr(self, "model_", None) is None:
            what, hint = f"{self.party} has received no model", "fit it, at a party that receives"
            raise InputError(what, str(self.output), hint)
        return JointLogisticRegression.from_model(self.output / LinearDocument.NAME)

    def _command(self, table: str | Path | None) -> list[str]:
        given = {
            "job": self.job,
            "config": self.config,
            "keys": self.keys,
            "output": self.output,
            "table": table,
            "cache": self.cache,
            "approvals": self.approvals,
            "wait": self.wait_s,
            "time-limit": self.time_limit_s,
        }
        words = [f"--{key}={value}" for key, value in given.items() if value is not None]
        return [*children.command("party"), self.party, *words]
