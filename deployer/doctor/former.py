"""The Secrets with what parties take from a former training: to score rows, or to begin from."""

from __future__ import annotations

from collections.abc import Iterator

from deployer.cluster.secrets import files_of
from deployer.cluster.target import Place, Target
from deployer.doctor.check import Check, Outcome
from deployer.manifests.render import MODEL
from party.process.errors import KitError
from party.reporting.documents import ColumnsDocument, LinearDocument


def of_former(place: Place, target: Target) -> Iterator[Check]:
    """Whether they are there, with the file that the party looks for, of the right training."""
    facts, job = target.facts, target.values.job
    table = f"deployer data put {place.party} TABLE"
    if place.party in facts.starting:
        yield _of_secret(place, "start", place.start_secret, MODEL, f"{table} --start {MODEL}")
    if (name := facts.scoring.get(place.party)) is not None and job.scores is not None:
        put, by = f"{table} --model {name}", job.scores.trained_by
        yield _of_secret(place, "model", place.model_secret, name, put, by)


def _of_secret(place: Place, what: str, secret: str, name: str, do: str, by: str = "") -> Check:
    try:
        found = place.cluster.read("v1", "Secret", secret, place.namespace)
    except KitError as error:
        return Check(place.party, what, Outcome.UNKNOWN, error.what)
    if found is None:
        says = f"there is no Secret {secret} in namespace {place.namespace}"
        return Check(place.party, what, Outcome.WRONG, says, do)
    kind: type[LinearDocument | ColumnsDocument]
    kind = LinearDocument if name == MODEL else ColumnsDocument
    try:
        job = kind.parse(files_of(found)[name]).job
    except (KeyError, ValueError):
        says = f"the Secret {secret} holds no {name} of the kit's"
        return Check(place.party, what, Outcome.WRONG, says, do)
    if by and job != by:
        says = f"the {name} in the Secret {secret} is of another training than the job names"
        return Check(place.party, what, Outcome.WRONG, says, do)
    return Check(place.party, what, Outcome.OK, f"{name} of the training {job[:16]}…")
