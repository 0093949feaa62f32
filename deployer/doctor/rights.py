"""Rights: whether who asks may install and look after a party."""

from __future__ import annotations

from collections.abc import Iterator

from deployer.cluster.target import Place, Target
from deployer.doctor.check import Check, Outcome
from party.process.errors import KitError


def of_rights(place: Place, target: Target) -> Iterator[Check]:
    """Whether who asks may install and look after a party."""
    kinds = {
        (one["apiVersion"], one["kind"])
        for whose, _, made in target.objects()
        if whose == place.party
        for one in made
    }
    needs = {(verb, *kind) for kind in kinds for verb in ("get", "create", "patch", "delete")}
    needs |= {("get", "v1", "Pod"), ("get", "v1", "Pod/exec"), ("get", "v1", "Pod/log")}
    needs |= {("list", "v1", "Event"), ("delete", "v1", "PersistentVolumeClaim")}
    needs |= {(verb, "v1", "Secret") for verb in ("get", "create", "patch", "delete")}
    if any(kind == "Role" for _, kind in kinds):
        needs.add(("create", "v1", "Event"))  # nobody gives a right that they have not
    try:
        missing = [need for need in sorted(needs) if not _allowed(place, need)]
    except KitError as error:
        yield Check.of_error(place.party, "rights", error)
        return
    if not missing:
        says = f"all that is needed in namespace {place.namespace}"
        yield Check(place.party, "rights", Outcome.OK, says)
        return
    said = ", ".join(f"{verb} {kind}" for verb, _, kind in missing)
    yield Check(
        place.party,
        "rights",
        Outcome.WRONG,
        f"not allowed in namespace {place.namespace}: {said}",
        "ask its administrator for them: examples/kubernetes/operator-role.yaml has them all",
    )


def _allowed(place: Place, need: tuple[str, str, str]) -> bool:
    verb, api_version, kind = need
    return place.cluster.allows(verb, api_version, kind, place.namespace)
