"""What outlives a party's pod, and what goes with it."""

from __future__ import annotations

from typing import Any

from deployer.cluster.client import Object
from deployer.cluster.pod_status import DONE, Observation, since_s
from party.reporting.documents import duration

AT_WORK = ("aligning", "running", "rejoining", "revealing")
"""The phases of a party whose run has begun and is not over."""


def has_volume(owner: Object) -> bool:
    """Whether a StatefulSet's party keeps its state on a volume, and not with its pod."""
    spec = owner.get("spec", {})
    mounted = spec.get("template", {}).get("spec", {}).get("volumes", [])
    return bool(spec.get("volumeClaimTemplates")) or any(
        one["name"] == "state" and "persistentVolumeClaim" in one for one in mounted
    )


def lost_with_pod(owner: Object, seen: Observation) -> str:
    """What is lost if the pod of a party that was seen like this ends now; empty if nothing is."""
    if seen.phase in AT_WORK and not (has_volume(owner) and checkpoint_age(seen)):
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
