"""A release in a cluster in memory, and what its parties say: the words of the tests."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from deployer.cluster.client import Execution, Object
from deployer.cluster.target import OUTPUT, Place, place_of
from deployer.manifests.render import Facts, objects
from deployer.manifests.values import load_values
from party.agreement.job import PARTIES
from party.reporting.documents import StatusDocument
from tests.deployer.memory import MemoryCluster, says

RUNNING: Object = {"image": "tfe-kit:0.1.0", "restartCount": 0, "state": {"running": {}}}


@dataclass(frozen=True)
class Ran:
    """How a command ended, and what it said."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        """What it said to a machine."""
        return json.loads(self.out)


class Release:
    """What values come to, put into a cluster as helm would put it.

    Args:
        cluster: where to.
        document: the values.
        name: of the release, if it is not the job's.
        managed_by: who put it there.
    """

    def __init__(
        self,
        cluster: MemoryCluster,
        document: Object | None = None,
        name: str = "",
        managed_by: str = "Helm",
    ) -> None:
        self.cluster = cluster
        self.values = load_values((), (document or {}) | ({"name": name} if name else {}))
        self.facts = Facts(self.values, managed_by)
        for folder in objects(self.values, managed_by).values():
            cluster.put(*folder)
        if managed_by == "Helm":
            cluster.put(self.test_policy())

    def test_policy(self) -> Object:
        """What helm puts there beside what the deployer does: a policy for its test's pod."""
        labels = self.facts.labels("test")
        meta = {"name": f"{self.facts.name}-test", "namespace": self.facts.namespace}
        return {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "NetworkPolicy",
            "metadata": meta | {"labels": labels},
        }

    def place(self, party: str) -> Place:
        """Where a party is."""
        placed = self.facts.parties[PARTIES.index(party)]
        return place_of(placed, self.cluster)

    def pod(self, party: str, *, uid: str = "", **status: Any) -> Object:
        """A party's pod, whose one container has this status; it runs if nothing is said."""
        place = self.place(party)
        meta = {"name": place.pod, "namespace": place.namespace, "labels": place.labels}
        one = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": meta | ({"uid": uid} if uid else {}),
            "status": {"containerStatuses": [RUNNING | status]},
        }
        self.cluster.put(one)
        return one

    def says(
        self, party: str, phase: str, ago_s: float = 0, room_kib: int = 1 << 20, **more: Any
    ) -> None:
        """A party's pod runs, and its program wrote this status so many seconds ago; so much room
        is on its volume."""
        self.pod(party)
        now = datetime.now(UTC)
        told = {
            "party": party,
            "job": self.values.job.digest,
            "phase": phase,
            "epochs": 10,
            "steps": 540,
            "started": (now - timedelta(hours=1)).isoformat(timespec="milliseconds"),
            "updated": (now - timedelta(seconds=ago_s)).isoformat(timespec="milliseconds"),
        }
        text = json.dumps(StatusDocument.model_validate(told | more).as_json())
        disk = f"/dev/sdb 5242880 9 {room_kib} 1% /state"
        self.program(party, "sh", f"{now.timestamp():.0f}\n{text}\n{disk}\n")

    def all_say(self, phase: str, **more: Any) -> None:
        """All of them."""
        for party in PARTIES:
            self.says(party, phase, **more)

    def program(self, party: str, name: str, text: str, exit_code: int = 0) -> None:
        """What a command in a party's pod writes, and how it ends."""
        place = self.place(party)
        self.cluster.programs[place.namespace, place.pod, name] = says(text, exit_code)

    def results(self, party: str, model: Object) -> list[Sequence[str]]:
        """A party has a model; returns the commands that asked for it, as they come."""
        place, asked = self.place(party), list[Sequence[str]]()

        def give(command: Sequence[str]) -> Execution:
            asked.append(command)
            return Execution(0, json.dumps(model), "")

        self.cluster.programs[place.namespace, place.pod, "env"] = give
        return asked


def moment(ago_s: float) -> str:
    """So many seconds ago, as a document tells it."""
    return (datetime.now(UTC) - timedelta(seconds=ago_s)).isoformat(timespec="milliseconds")


MODEL: Object = {
    "version": 1,
    "model": "logistic-regression",
    "job": "0" * 64,
    "plan": "1" * 64,
    "protocol": "pond",
    "versions": {},
    "health": None,
    "columns": {},
    "evaluation": None,
    "statistics": None,
    "features": ["age", "sum"],
    "holders": ["alice", "alice"],
    "mean": [40.0, 2.0],
    "scale": [10.0, 1.0],
    "weights": [0.5, -1.25],
    "intercept": -0.75,
    "metadata": {"output": OUTPUT},
}
