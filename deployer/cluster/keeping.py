"""What outlives a party's pod, and what goes with it."""

from __future__ import annotations

from typing import Any

from deployer.cluster.client import Object
from deployer.cluster.pod_status import DONE, FAILED, STARTING, Observation, since_s
from party.reporting.documents import duration

_RUNS = ("aligning", "running", "rejoining", "revealing")
_COMES_BACK = (STARTING, "table", "plan", "joining", FAILED)
"""The phases of a party that was started again, or will be: with a checkpoint its run goes on."""


def at_work(seen: Observation) -> bool:
    """Whether a party's run has begun and is not over."""
    return seen.phase in _RUNS or goes_on(seen)


def goes_on(seen: Observation) -> bool:
    """Whether a party is on its way back into a run, of which it has a checkpoint."""
    own = seen.own
    back = own is not None and own.checkpoint is not None and not own.final
    return back and seen.phase in _COMES_BACK


def has_volume(owner: Object) -> bool:
    """Whether a StatefulSet's party keeps its state on a volume, and not with its pod."""
    spec = owner.get("spec", {})
    mounted = spec.get("template", {}).get("spec", {}).get("volumes", [])
    return bool(spec.get("volumeClaimTemplates")) or any(
        one["name"] == "state" and "persistentVolumeClaim" in one for one in mounted
    )


def lost_with_pod(owner: Object, seen: Observation) -> str:
    """What is lost if the pod of a party that was seen like this ends now; empty if nothing is."""
    if at_work(seen) and not (has_volume(owner) and checkpoint_age(seen)):
        return f"the run at work ({seen.sentence}) starts again at all parties"
    done = [] if seen.own is None else [one for one in seen.own.queue if one.state == "done"]
    if (seen.phase == DONE or done) and not has_volume(owner):
        return "its result and its ledger go, since it has no volume"
    return ""


def checkpoint_age(seen: Observation) -> str:
    """How old a party's newest checkpoint on the disk is, in words; empty if there is none."""
    own = seen.own
    if own is None or own.checkpoint is None:
        return ""
    return duration(since_s(own, own.checkpoint, seen.age_s))


def changed_parts(before: Object, after: Object) -> list[str]:
    """What differs between two StatefulSets' pods, in the words of the values."""
    was, comes = _parts(before), _parts(after)
    return [name for name in was if was[name] != comes[name]]


JOB = "job or hosts map"
"""The part whose change is a new run."""


def _parts(owner: Object) -> dict[str, Any]:
    template = owner["spec"]["template"]
    metadata, spec = template.get("metadata", {}), dict(template["spec"])
    annotations = dict(metadata.get("annotations") or {})
    (container,) = spec.pop("containers")
    container = dict(container)
    return {
        JOB: annotations.pop("checksum/job", None),
        "image": container.pop("image", None),
        "resources": container.pop("resources", None),
        "options of the party": (container.pop("command", None), container.pop("args", None)),
        "labels": metadata.get("labels"),
        "annotations": annotations,
        "volumes": (spec.pop("volumes", None), container.pop("volumeMounts", None)),
        "the rest of its pod": (spec, container),
    }
