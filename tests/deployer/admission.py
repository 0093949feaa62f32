"""What an API server's admission looks at when an object is made: quotas, limit ranges and service
accounts, each where a real one looks at it. A StatefulSet is counted, and nothing more."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from kubernetes.utils.quantity import parse_quantity

from deployer.cluster.client import _PLURALS, Object, Refused

Usage = dict[str, Decimal]

_COUNTED = {
    "Pod": ("pods", "count/pods"),
    "PersistentVolumeClaim": ("persistentvolumeclaims", "count/persistentvolumeclaims"),
    "StatefulSet": ("count/statefulsets.apps",),
}
_COMPUTE = ("cpu", "memory")


@dataclass
class Admission:
    """Of one cluster.

    Attributes:
        quotas: what each ResourceQuota allows of what, by namespace; its name is ``small``.
        most: a LimitRange's maximum, by namespace, kind (``Container``, ``PersistentVolumeClaim``)
            and resource.
    """

    quotas: dict[str, Mapping[str, str]] = field(default_factory=dict)
    most: dict[tuple[str, str, str], str] = field(default_factory=dict)

    def check(self, wanted: Object, namespace: str, there: Collection[Object]) -> None:
        """Raises Refused as the API would when it is asked for a new object."""
        kind, name = wanted["kind"], wanted["metadata"]["name"]
        if kind not in _COUNTED:
            return
        thing = f'{_PLURALS[kind]} "{name}" is forbidden: '
        if kind == "Pod":
            account = wanted["spec"].get("serviceAccountName", "default")
            if account != "default" and ("ServiceAccount", account) not in {
                (one["kind"], one["metadata"]["name"]) for one in there
            }:
                what = f"error looking up service account {namespace}/{account}: "
                raise Refused(403, f'{thing}{what}serviceaccount "{account}" not found')
        self._check_limits(wanted, namespace, thing)
        self._check_quota(wanted, namespace, there, thing)

    def _check_limits(self, wanted: Object, namespace: str, thing: str) -> None:
        if wanted["kind"] == "PersistentVolumeClaim":
            asked = {"storage": wanted["spec"]["resources"]["requests"]["storage"]}
            self._check_most(namespace, "PersistentVolumeClaim", "request", asked, thing)
        for container in _containers(wanted):
            limits = container.get("resources", {}).get("limits", {})
            self._check_most(namespace, "Container", "limit", limits, thing)

    def _check_most(
        self, namespace: str, kind: str, word: str, asked: Mapping[str, str], thing: str
    ) -> None:
        for (where, of, resource), most in self.most.items():
            if (where, of) != (namespace, kind) or resource not in asked:
                continue
            if parse_quantity(asked[resource]) > parse_quantity(most):
                what = f"maximum {resource} usage per {kind} is {most}, but {word} is "
                raise Refused(403, f"{thing}{what}{asked[resource]}")

    def _check_quota(
        self, wanted: Object, namespace: str, there: Collection[Object], thing: str
    ) -> None:
        hard = self.quotas.get(namespace, {})
        more = _usage(wanted)
        for container in _containers(wanted):
            lacking = [key for key in hard if _is_compute(key) and not _given(container, key)]
            if lacking:
                what = f"failed quota: small: must specify {','.join(sorted(lacking))} for: "
                raise Refused(403, f"{thing}{what}{container['name']}")
        used: Usage = {}
        for one in there:
            if one["metadata"].get("namespace") == namespace:
                for key, number in _usage(one).items():
                    used[key] = used.get(key, Decimal(0)) + number
        over = [
            key
            for key, most in hard.items()
            if key in more and used.get(key, Decimal(0)) + more[key] > parse_quantity(most)
        ]
        if over:
            told = {
                "requested": (more[key] for key in over),
                "used": (used.get(key, Decimal(0)) for key in over),
                "limited": (hard[key] for key in over),
            }
            lists = (
                f"{word}: " + ",".join(f"{k}={v}" for k, v in zip(over, numbers, strict=True))
                for word, numbers in told.items()
            )
            raise Refused(403, f"{thing}exceeded quota: small, {', '.join(lists)}")


def _containers(one: Object) -> list[Any]:
    found: list[Any] = one.get("spec", {}).get("containers", []) if one["kind"] == "Pod" else []
    return found


def _is_compute(key: str) -> bool:
    return key.rpartition(".")[2] in _COMPUTE


def _given(container: Any, key: str) -> Any:
    part, _, resource = key.rpartition(".")
    return container.get("resources", {}).get(part or "requests", {}).get(resource)


def _usage(one: Object) -> Usage:
    """What an object takes of every key of a quota."""
    kind = one["kind"]
    found = {key: Decimal(1) for key in _COUNTED.get(kind, ())}
    if kind == "Pod" and one.get("status", {}).get("phase") in ("Succeeded", "Failed"):
        return {}
    if kind == "PersistentVolumeClaim" and "resources" in one.get("spec", {}):
        requests = one["spec"]["resources"]["requests"]
        found["requests.storage"] = parse_quantity(requests["storage"])
    for container in _containers(one):
        for part, resources in container.get("resources", {}).items():
            for resource, number in resources.items():
                for key in (f"{part}.{resource}", *([resource] if part == "requests" else [])):
                    found[key] = found.get(key, Decimal(0)) + parse_quantity(number)
    return found
