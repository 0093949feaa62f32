"""A model that stays on shares when its training is over: each party's part of it, on its own disk.

A part is sealed as checkpoints are (``sealing``), with the same key, and is about its party and the
model's name. The name is a digest over the job, the plan and the run, which all three know alike; a
party whose part is of another run, or was changed, has no part of that name. What a holder knows of
its own columns, their means and scales, is in its part, since the weights mean nothing without.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from party.agreement.job import (
    HOLDERS,
    AlignedJob,
    Job,
    Party,
    Sizes,
    digest_of,
    job_from_json,
)
from party.checkpoints.sealing import DamagedError, seal, unseal
from party.process import files
from party.process.errors import InputError
from party.table.columns.deriving import Fitted
from party.table.table import Table

if TYPE_CHECKING:
    from collections.abc import Mapping

DIRECTORY = "kept"
"""In a party's output."""

_NO_KEY = (
    "put a checkpoint.key among the party's keys, and keep it as long as the model: "
    "head -c 32 /dev/urandom > checkpoint.key; chmod 600 checkpoint.key"
)
_FREE = ("name", "result", "kept", "identities", "tls", "trust_domain")
"""What a job that opens a model may say otherwise than the one that trained it."""


def opens(job: Job, trained: Job) -> bool:
    """Whether a job opens a model that another has kept, as far as both jobs say."""
    sides = (one.model_dump(mode="json") for one in (trained, job))
    return job.kept is not None and not _differing(*sides)


def _differing(trained: dict[str, Any], job: dict[str, Any]) -> list[str]:
    """The keys in which two jobs differ that open the same model if they do not."""
    if "sizes" in trained:  # what an alignment has found is no part of what was agreed upon
        trained = {**trained, "rows": 0, "sizes": None}
    keys = (trained.keys() | job.keys()) - set(_FREE)
    return sorted(key for key in keys if trained.get(key) != job.get(key))


def _shape(job: Job) -> dict[str, Any]:
    """By key of a job, what its shares of a model are of."""
    columns = {holder: job.features_of(holder) for holder in HOLDERS}
    return {
        "protocol": job.protocol,
        "model": job.parameters.kind,
        "features": columns,
        "columns": [job.schema_of(name) for own in columns.values() for name in own],
    }


@dataclass(frozen=True, eq=False)
class KeptModel:
    """One party's part.

    Attributes:
        job: the one that trained it, as plain data, with what an alignment has found; and
            ``digest``, its own.
        plan, run: the digest of the plan, and the name of the run.
        steps, settled: of the training; see ``Outcome``.
        shares: the party's own shares of the weights, by value and position; flat.
        mean, scale, fitted: of the party's own columns; see ``Table``.
    """

    job: dict[str, Any]
    digest: str
    plan: str
    run: str
    steps: int
    settled: bool | None
    shares: dict[str, NDArray[np.int64]] = field(repr=False)
    mean: list[float] | None = field(repr=False, default=None)
    scale: list[float] | None = field(repr=False, default=None)
    fitted: list[dict[str, float | None]] = field(repr=False, default_factory=list)

    @classmethod
    def of(
        cls,
        job: Job,
        plan: str,
        run: str,
        steps: int,
        settled: bool | None,
        shares: Mapping[str, NDArray[np.int64]],
        table: Table | None,
    ) -> KeptModel:
        """The part of a party that has a table, or none, when a job is done."""
        own: dict[str, Any] = {}
        if table is not None and table.mean is not None and table.scale is not None:
            own = {"mean": table.mean.tolist(), "scale": table.scale.tolist()}
            own["fitted"] = [asdict(one) for one in table.fitted]
        plain = job.model_dump(mode="json")
        return cls(plain, job.digest, plan, run, steps, settled, dict(shares), **own)

    @property
    def name(self) -> str:
        """What all three parties call the model."""
        return digest_of({"job": self.digest, "plan": self.plan, "run": self.run})

    def text(self) -> bytes:
        """It as bytes."""
        shares = {name: share.tolist() for name, share in self.shares.items()}
        return json.dumps(vars(self) | {"shares": shares}).encode()

    @classmethod
    def parse(cls, text: bytes | bytearray) -> KeptModel:
        """It from these bytes, which ``text`` has given."""
        found = json.loads(text)
        shares = {name: np.array(share, np.int64) for name, share in found["shares"].items()}
        return cls(**found | {"shares": shares})

    def see_to_fit(self, job: Job, party: Party) -> None:
        """That a job opens this model: it says what trained it but for who receives it.

        Raises InputError with what differs."""
        # Not as it was written: a later kit may have keys more, which this job has left out.
        trained = self.trained.model_dump(mode="json")
        differing = _differing(trained, job.model_dump(mode="json"))
        if differing:
            raise InputError(
                f"{party}'s part of the kept model is of a job that differs in: "
                + ", ".join(differing),
                "the job",
                "repeat the job that trained it, with kept and another result",
            )

    def see_to_start(self, job: Job, party: Party) -> None:
        """That a training can begin from this model: it is of the same kind, and of the same
        columns, read in the same way, and shared by the same protocol.

        Raises InputError with what differs."""
        before, now = _shape(self.trained), _shape(job)
        if differing := sorted(key for key in now if before[key] != now[key]):
            raise InputError(
                f"{party}'s part of the kept model, which the training begins from, is of a job "
                "that differs in: " + ", ".join(differing),
                "the job",
                "repeat these of the job that kept it, features in their order; or take "
                "training.start out",
            )

    @property
    def trained(self) -> Job:
        """The job that trained it."""
        return job_from_json(self.job)

    @property
    def sizes(self) -> Sizes | None:
        """Of the tables that it was trained on, where rows were matched."""
        return self.trained.sizes if isinstance(self.trained, AlignedJob) else None

    def table(self) -> Table:
        """A table of no rows, of columns as they were trained on."""
        mean, scale = (None if one is None else np.array(one) for one in (self.mean, self.scale))
        columns = 0 if self.mean is None else len(self.mean)
        return Table(
            matrix=np.zeros((0, columns), np.float32),
            mean=mean,
            scale=scale,
            digest="",
            fitted=tuple(Fitted(**one) for one in self.fitted),
        )


class KeptModels:
    """A party's directory of its parts."""

    def __init__(self, directory: Path, key: bytes | None, party: Party) -> None:
        """Raises InputError where there is no key."""
        if key is None:
            what = f"{party}'s keys have none by which a kept model is sealed"
            raise InputError(what, "--keys", _NO_KEY)
        self._directory, self._key, self._party = directory, key, party

    def keep(self, model: KeptModel) -> str:
        """Write a part; on return it is on the disk. The SHA-256 of its file, in hex: of the sealed
        one, which says nothing of what is in it."""
        sealed = b"".join(seal(self._key, self._about(model.name), [model.text()]))
        try:
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise files.unwritable(error, "cannot keep the model", self._directory) from None
        files.replace(self._file(model.name), sealed, called="the kept model")
        return hashlib.sha256(sealed).hexdigest()

    def take(self, name: str) -> KeptModel:
        """The part of that name. Raises InputError where the party has none, or not as it was."""
        file = self._file(name)
        try:
            with file.open("rb") as stream:
                found = KeptModel.parse(unseal(self._key, self._about(name), stream))
        except FileNotFoundError:
            raise InputError(
                f"{self._party} has no part of the kept model {name[:16]}",
                str(file),
                "start it with the --output of the run that kept the model; if the file is lost, "
                "bring it back from a copy: the others' parts are nothing without it",
            ) from None
        except DamagedError:
            raise InputError(
                f"{self._party}'s part of the kept model {name[:16]} is damaged, or was sealed by "
                "another key, or is of another party or model",
                str(file),
                "bring the file and the checkpoint.key back from a copy",
            ) from None
        except OSError as error:
            raise files.unreadable(error, "the kept model", file) from None
        return found

    def _file(self, name: str) -> Path:
        return self._directory / f"{name}.sealed"

    def _about(self, name: str) -> bytes:
        return f"tfe-kit kept model|{self._party}|{name}".encode()
