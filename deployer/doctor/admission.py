"""Quotas, limits and policies: whether the cluster would take a party's pod and claims."""

from __future__ import annotations

from collections.abc import Iterator

from deployer.cluster.admission import BY_A_POLICY, rehearse_made
from deployer.cluster.client import NotAllowedError, Object
from deployer.cluster.target import Place, Target
from deployer.doctor.check import Check, Outcome
from deployer.manifests.render import objects
from party.process.errors import KitError


def of_admission(place: Place, target: Target) -> Iterator[Check]:
    """What ``deployer apply`` asks before it changes anything. Each object is asked about for
    itself: that two together are too much, no dry run knows."""
    made = objects(target.values)[place.party]
    (owner,) = (one for one in made if one["kind"] == "StatefulSet")
    try:
        refusals = list(_refused(place, owner))
    except KitError as error:
        refusals = [error]
    wrong = [error for error in refusals if not _is_unsure(error)]
    if wrong:
        says = "; ".join(error.what for error in wrong)
        hints = dict.fromkeys(error.hint for error in wrong if error.hint)
        yield Check(place.party, "quotas", Outcome.WRONG, says, "; ".join(hints))
    elif refusals:
        says = "; ".join(error.what for error in refusals)
        says = f"what they say of the pod and its claims is not known: {says}"
        yield Check(place.party, "quotas", Outcome.UNKNOWN, says)
    else:
        says = f"namespace {place.namespace} would take the pod and its claims"
        yield Check(place.party, "quotas", Outcome.OK, says)


def _refused(place: Place, owner: Object) -> Iterator[KitError]:
    cluster, name = place.cluster, owner["metadata"]["name"]
    if cluster.read(owner["apiVersion"], owner["kind"], name, place.namespace) is None:
        try:
            cluster.rehearse(owner)
        except KitError as error:
            yield error
    account = owner["spec"]["template"]["spec"].get("serviceAccountName", "")
    there = account and cluster.read("v1", "ServiceAccount", account, place.namespace)
    for _, why_not in rehearse_made(cluster, owner, {account} if there else set()):
        yield why_not


def _is_unsure(error: KitError) -> bool:
    return isinstance(error, NotAllowedError) or BY_A_POLICY in error.what
