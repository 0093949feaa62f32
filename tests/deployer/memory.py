"""A cluster in memory: what the deployer asks of one, and failures on demand."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

from deployer.cluster.client import Change, Object
from party.process.errors import InputError


class MemoryCluster:
    """Objects by kind, namespace and name. ``fail_after`` changes, the next ones are refused."""

    def __init__(self) -> None:
        self.objects: dict[tuple[str, str, str], Object] = {}
        self.fail_after: int | None = None
        self.heal_after: int | None = None
        self.changes = 0

    def __str__(self) -> str:
        return "memory"

    def read(self, api_version: str, kind: str, name: str, namespace: str) -> Object | None:
        return deepcopy(self.objects.get((kind, namespace, name)))

    def apply(self, wanted: Object, force: bool = False) -> Change:
        key = _key(wanted)
        before = self.objects.get(key)
        self._change()
        self.objects[key] = deepcopy(wanted)
        if before is None:
            return Change.CREATED
        return Change.UNCHANGED if before == wanted else Change.CHANGED

    def delete(self, unwanted: Object, grace_s: int | None = None) -> bool:
        self._change()
        return self.objects.pop(_key(unwanted), None) is not None

    def touch(self, pod: str, namespace: str) -> None:
        """Nothing runs here."""

    def secrets(self) -> dict[str, dict[str, Any]]:
        """The data of every Secret, by name."""
        return {
            name: one["data"] for (kind, _, name), one in self.objects.items() if kind == "Secret"
        }

    def _change(self) -> None:
        self.changes += 1
        if self.fail_after is not None and self.changes > self.fail_after:
            if self.heal_after is not None and self.changes > self.fail_after + self.heal_after:
                return
            raise InputError("the cluster refuses")


def _key(one: Object) -> tuple[str, str, str]:
    return one["kind"], one["metadata"].get("namespace", ""), one["metadata"]["name"]
