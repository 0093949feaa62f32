"""A policy: what a party approves without asking anybody."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

from pydantic import ConfigDict, Field, ValidationError

from party.agreement.job import Holder, Job
from party.agreement.pins import Digest
from party.agreement.yaml12 import load_yaml, refused
from party.process.errors import InputError, printable
from party.process.schema import Frozen


class Policy(Frozen):
    """What is left out allows everything, but for receivers, of weights and of scores: these are
    named.

    Attributes:
        receivers: the parties that may receive weights.
        scores: those that may receive the scores of rows that both score together; left out, none.
        rows_per_feature: the least rows for each feature, of all holders, of a job that trains;
            where rows are matched, the job's own least.
        kits: the versions of the kit that may run.
        images: the digests of the images that may run.
        most_runs: how many times a result may be opened by one approval.
        most_epsilon: the weights of a job that trains must be private, with this epsilon at most.
    """

    model_config = ConfigDict(extra="forbid", strict=True)

    receivers: tuple[Holder, ...]
    scores: tuple[Holder, ...] = ()
    rows_per_feature: Annotated[int, Field(ge=0)] = 0
    kits: tuple[str, ...] | None = None
    images: tuple[Digest, ...] | None = None
    most_runs: Annotated[int, Field(ge=1)] = 1
    most_epsilon: Annotated[float, Field(gt=0)] | None = None

    @classmethod
    def load(cls, path: Path) -> Policy:
        """The policy in a YAML file. Raises InputError, naming the key, for any other text."""
        document = load_yaml(path, "the policy")
        try:
            return cls.model_validate_json(json.dumps(document.value))
        except ValidationError as error:
            wrong = refused(error.errors(include_url=False), document)
        key = printable(".".join(map(str, wrong.path)))
        what = "the policy is wrong: " + (f"{key}: " if key else "") + wrong.message
        raise InputError(what, document.place(wrong.path), wrong.hint)

    def objections(self, job: Job, kit: str, image: str | None, runs: int) -> list[str]:
        """Why the policy does not allow a job; none where it does."""
        found = []
        key, what, allowed = "receivers", "weights", self.receivers
        if job.scores is not None:
            key, what, allowed = "scores", "scores of rows", self.scores
        if others := [one for one in job.receivers if one not in allowed]:
            found.append(f"{key}: {' and '.join(others)} would receive {what}")
        rows = job.align.minimum if job.align is not None and job.matched else job.rows
        features = sum(len(job.features_of(holder)) for holder in job.holders)
        if job.scores is None and rows < self.rows_per_feature * features:
            found.append(
                f"rows_per_feature: {rows} rows are less than {self.rows_per_feature} for each "
                f"of {features} features"
            )
        if self.most_epsilon is not None and job.scores is None:
            found += self._exposed(job, self.most_epsilon, runs)
        if self.kits is not None and kit not in self.kits:
            found.append(f"kits: this is version {kit}")
        if self.images is not None and image not in self.images:
            found.append(f"images: the image is {image or 'not named'}")
        if runs > self.most_runs:
            found.append(f"most_runs: {runs} are asked for")
        return found

    @staticmethod
    def _exposed(job: Job, most: float, runs: int) -> list[str]:
        """Why a job's weights say more of single rows than is allowed."""
        private = job.weight_privacy
        if private is None:
            return ["most_epsilon: the weights are not private: agree on privacy.weights"]
        if private.epsilon * runs > most:
            times = "" if runs == 1 else f" in each of {runs} runs"
            return [
                f"most_epsilon: epsilon is {private.epsilon:g}{times}, and {most:g} is the most"
            ]
        return []
