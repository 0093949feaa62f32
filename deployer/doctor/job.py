"""The job that is installed, compared with the values'."""

from __future__ import annotations

from collections.abc import Iterator

from deployer.cluster.target import Place, Target
from deployer.doctor.check import Check, Outcome
from party.agreement.job import parse_job
from party.process.errors import InputError, KitError


def of_job(place: Place, target: Target) -> Iterator[Check]:
    """Whether the job that is installed is the one that the values have."""
    try:
        config = place.cluster.read("v1", "ConfigMap", place.name, place.namespace)
    except KitError as error:
        yield Check(place.party, "job", Outcome.UNKNOWN, error.what)
        return
    if config is None:
        do = "install it: deployer apply, or helm install"
        yield Check(place.party, "job", Outcome.UNKNOWN, "not installed yet", do)
        return
    try:
        digest = parse_job(config["data"]["job.yaml"], f"ConfigMap {place.name}").digest
    except (InputError, KeyError, TypeError):
        digest = ""
    if digest != target.values.job.digest:
        says = "the job that is installed is not the one in the values"
        do = "install the same job at all parties: deployer apply, or helm upgrade"
        yield Check(place.party, "job", Outcome.WRONG, says, do)
    else:
        yield Check(place.party, "job", Outcome.OK, f"digest {digest[:16]}…")
