"""The job that is installed, compared with the values'."""

from __future__ import annotations

from collections.abc import Iterator

from deployer.cluster.installed import jobs_in
from deployer.cluster.target import Place, Target
from deployer.doctor.check import Check, Outcome
from party.process.errors import KitError


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
    digests = [job.digest for job in jobs_in(config)]
    if digests != [job.digest for job in target.jobs]:
        says = "the job that is installed is not the one in the values"
        do = "install the same job at all parties: deployer apply, or helm upgrade"
        yield Check(place.party, "job", Outcome.WRONG, says, do)
    else:
        yield Check(
            place.party,
            "job",
            Outcome.OK,
            ", ".join(f"digest {digest[:16]}…" for digest in digests),
        )
