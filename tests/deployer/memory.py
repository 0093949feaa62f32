"""A cluster in memory: the deployer's own client, with an API server that is a dictionary."""

from __future__ import annotations

import contextlib
import json
import os
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import deepcopy
from email.utils import formatdate
from pathlib import Path
from queue import SimpleQueue
from threading import Thread
from typing import Any
from urllib.parse import unquote

from deployer.cluster.client import _PLURALS, Cluster, Conversation, Execution, Object, Refused
from party.process.errors import JobError
from party.table.receiving import run as run_receiver
from tests.deployer.admission import Admission

_PATH = re.compile(
    r"/(?:api/(?P<core>v1)|apis/(?P<group>[^/]+/[^/]+))(?:/namespaces/(?P<namespace>[^/]+))?"
    r"/(?P<plural>[a-z]+)(?:/(?P<name>[^/]+))?(?P<log>/log)?"
)
_KINDS = {plural: kind for kind, plural in _PLURALS.items()}
_VERBS = {"POST": "create", "PATCH": "patch", "DELETE": "delete"}

Key = tuple[str, str, str]
"""Kind, namespace and name."""

Program = Callable[[Sequence[str]], Execution]
"""What a command does in a pod: its words, and how it ends."""


class _Answer:
    def __init__(self, text: str) -> None:
        self.data = text.encode()
        self.headers = {"Date": formatdate(usegmt=True)}

    def stream(self, *_: object, **__: object) -> Iterator[bytes]:
        yield self.data


class MemoryCluster(Cluster):
    """Everything above the requests is the product's.

    Attributes:
        objects: what is there.
        programs: what runs in a pod, by namespace, pod and the command's first word.
        logs_of: what a pod wrote, by namespace and pod.
        no_namespaces: namespaces that do not exist.
        forbidden: verb, resource and namespace of what may not be done; ``*`` is any.
        refused: what the API says no to, by kind and name: HTTP's status and the API's sentence.
        fail_after: so many changes are made, and the next ones refused; ``heal_after`` so many
            refusals they are made again.
        changes: how many there were.
        volumes: what is on the volume of a claim, by namespace and name; where there are some, pods
            run that are made.
        admission: what it looks at when an object is made.
        cut_after: so many bytes are taken by commands that take input, and then the line is cut.
    """

    def __init__(self, name: str = "memory", namespace: str = "default") -> None:
        self.name, self.namespace = name, namespace
        self.objects: dict[Key, Object] = {}
        self.programs: dict[tuple[str, str, str], Program] = {}
        self.logs_of: dict[tuple[str, str], str] = {}
        self.no_namespaces: set[str] = set()
        self.forbidden: set[tuple[str, str, str]] = set()
        self.refused: dict[tuple[str, str], tuple[int, str]] = {}
        self.fail_after: int | None = None
        self.heal_after: int | None = None
        self.changes = 0
        self.volumes: dict[tuple[str, str], Path] = {}
        self.admission = Admission()
        self.cut_after: int | None = None

    def put(self, *objects: Object) -> None:
        """Objects that are there from the first, unasked."""
        for one in objects:
            self._store(deepcopy(one))

    def secrets(self) -> dict[str, dict[str, Any]]:
        """The data of every Secret, by name."""
        return {
            name: one["data"] for (kind, _, name), one in self.objects.items() if kind == "Secret"
        }

    def names(self) -> set[str]:
        """``Kind name`` of everything that is there."""
        return {f"{kind} {name}" for kind, _, name in self.objects}

    # --- in place of the network --------------------------------------------------------------

    def execute(
        self, pod: str, namespace: str, command: Sequence[str], timeout_s: float = 30
    ) -> Execution:
        try:
            self._check_right("create", "pods/exec", namespace)
            if ("Pod", namespace, pod) not in self.objects:
                raise Refused(404, f'pods "{pod}" not found')
        except Refused as refused:
            raise self._error(refused, "run a command in", "Pod", pod, namespace) from None
        program = self.programs.get((namespace, pod, command[0]))
        return Execution(127, "", "not found") if program is None else program(command)

    @contextmanager
    def converse(
        self, pod: str, namespace: str, command: Sequence[str], silence_s: float
    ) -> Iterator[Conversation]:
        """The command that receives tables, on the volume that the pod mounts."""
        there = self.objects["Pod", namespace, pod]
        [volume] = there["spec"]["volumes"]
        root = self.volumes[namespace, volume["persistentVolumeClaim"]["claimName"]]
        assert command[:3] == ["python", "-m", "party.table.receiving"]
        path, *more = command[3:]
        place = root / Path(path).relative_to("/table")
        line = _Line(self.cut_after)
        worker = Thread(target=line.receives, args=(place, more))
        worker.start()
        try:
            yield line
        finally:
            line.cut()
            worker.join()

    def _request(
        self,
        method: str,
        path: str,
        query: Sequence[tuple[str, str]] = (),
        body: Mapping[str, Any] | None = None,
        content_type: str = "application/json",
        stream: bool = False,
    ) -> Any:
        if path == "/version":
            return _Answer(json.dumps({"major": "1", "minor": "33"}))
        found = _PATH.fullmatch(unquote(path))
        assert found is not None, path
        kind, namespace, name = _KINDS[found["plural"]], found["namespace"] or "", found["name"]
        if kind == "SelfSubjectAccessReview":
            return _Answer(json.dumps({"status": {"allowed": self._allowed(body or {})}}))
        asked = dict(query)
        verb = _VERBS.get(method) or ("get" if name else "list")
        self._check_right(verb, found["plural"] + (found["log"] or ""), namespace)
        if found["log"]:
            return _Answer(self.logs_of.get((namespace, name), ""))
        if method == "GET":
            return _Answer(json.dumps(self._got(kind, namespace, name, asked)))
        return _Answer(json.dumps(self._changed(method, kind, namespace, name, asked, body)))

    # --- the API server -----------------------------------------------------------------------

    def _got(self, kind: str, namespace: str, name: str | None, asked: dict[str, str]) -> Object:
        if kind == "Namespace" and name is not None:
            if name in self.no_namespaces:
                raise Refused(404, f'namespaces "{name}" not found')
            return {"metadata": {"name": name}, "status": {"phase": "Active"}}
        if name is not None:
            return self._there((kind, namespace, name))
        items = [
            one
            for (its, where, _), one in self.objects.items()
            if its == kind and where == namespace and _selected(one, asked)
        ]
        return {"items": items}

    def _there(self, key: Key) -> Object:
        if key not in self.objects:
            raise Refused(404, f'{_PLURALS[key[0]]} "{key[2]}" not found')
        return self.objects[key]

    def _changed(
        self,
        method: str,
        kind: str,
        namespace: str,
        name: str | None,
        asked: dict[str, str],
        body: Mapping[str, Any] | None,
    ) -> Object:
        if namespace in self.no_namespaces:
            raise Refused(404, f'namespaces "{namespace}" not found')
        wanted: Object = deepcopy(dict(body or {}))
        key = kind, namespace, name or wanted["metadata"]["name"]
        status, says = self.refused.get((kind, key[2]), (0, ""))
        if status and not (status == 409 and asked.get("force") == "true"):
            raise Refused(status, says)
        merged = asked.get("fieldManager") is None
        if method == "DELETE" or (method == "PATCH" and merged):
            self._there(key)
        if method != "DELETE" and (method == "POST" or key not in self.objects):
            self.admission.check(wanted, namespace, self.objects.values())
        if method == "POST" and key in self.objects:  # as the last thing, where it is stored
            raise Refused(409, f'{_PLURALS[kind]} "{key[2]}" already exists')
        if asked.get("dryRun") == "All":
            return self._as_stored(key, wanted)
        self._count()
        if method == "PATCH" and merged:
            return self._store(_merged(self.objects[key], wanted))
        if method == "POST" and kind == "Pod" and self.volumes:
            wanted["status"] = {"containerStatuses": [{"state": {"running": {}}}]}
        if method == "DELETE":
            return self.objects.pop(key)
        return self._store(wanted)

    def _store(self, wanted: Object) -> Object:
        key = wanted["kind"], wanted["metadata"].get("namespace", ""), wanted["metadata"]["name"]
        self.objects[key] = self._as_stored(key, wanted)
        return self.objects[key]

    def _as_stored(self, key: Key, wanted: Object) -> Object:
        """An object with what the server adds; its version is another one if it changed."""
        before = self.objects.get(key, {"metadata": {}})
        kept = {name: before["metadata"].get(name) for name in ("uid", "resourceVersion")}
        kept["uid"] = kept["uid"] or f"uid-of-{'-'.join(key)}"
        stored = wanted | {"metadata": kept | wanted["metadata"]}
        if stored != before:
            stored["metadata"]["resourceVersion"] = str(int(kept["resourceVersion"] or 0) + 1)
        return stored

    def _count(self) -> None:
        self.changes += 1
        if self.fail_after is not None and self.changes > self.fail_after:
            if self.heal_after is not None and self.changes > self.fail_after + self.heal_after:
                return
            raise Refused(422, "as a test")

    def _check_right(self, verb: str, resource: str, namespace: str) -> None:
        for no_verb, no_resource, no_namespace in self.forbidden:
            if (
                no_verb in (verb, "*")
                and no_resource in (resource, "*")
                and no_namespace in (namespace, "*")
            ):
                raise Refused(403, f'{resource} is forbidden: User "eve" cannot {verb} it')

    def _allowed(self, review: Mapping[str, Any]) -> bool:
        asked = review["spec"]["resourceAttributes"]
        resource = "/".join(filter(None, (asked["resource"], asked["subresource"])))
        try:
            self._check_right(asked["verb"], resource, asked["namespace"])
        except Refused:
            return False
        return True


class _Line:
    """Between a command and the receiver of a table in a thread of its own."""

    def __init__(self, cut_after: int | None) -> None:
        self._left = cut_after
        reading, writing = os.pipe()
        self._source, self._input = os.fdopen(reading, "rb"), os.fdopen(writing, "wb", buffering=0)
        self._said = SimpleQueue[str]()

    def receives(self, place: Path, more: Sequence[str]) -> None:
        job, party, digest = more
        with self._source:
            run_receiver(place, job, party, digest, self._source, self._said.put)
        self._said.put("")

    def send(self, content: bytes) -> None:
        whole = content
        if self._left is not None:
            content = content[: self._left]
            self._left -= len(content)
        with contextlib.suppress(BrokenPipeError):
            while content:
                content = content[self._input.write(content) :]
        if self._left == 0 and whole:
            raise JobError("the connection to the pod broke")

    def line(self) -> str:
        if said := self._said.get(timeout=60):
            return said
        raise JobError("the command in the pod ended before its work was done")

    def cut(self) -> None:
        self._input.close()


def says(text: str, exit_code: int = 0) -> Program:
    """A program that writes a text: to standard error if it fails."""
    if exit_code:
        return lambda _: Execution(exit_code, "", text)
    return lambda _: Execution(0, text, "")


def event(about: Object, reason: str, message: str) -> Object:
    """What the cluster has to say of an object, a moment ago."""
    meta = about["metadata"]
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": f"{meta['name']}.{reason}", "namespace": meta["namespace"]},
        "involvedObject": {
            "kind": about["kind"],
            "name": meta["name"],
            "uid": meta.get("uid"),
        },
        "reason": reason,
        "message": message,
        "lastTimestamp": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }


def _merged(one: Object, patch: Mapping[str, Any]) -> Object:
    """As RFC 7396 has it, but for null."""
    return one | {
        name: _merged(one.get(name, {}), value) if isinstance(value, dict) else value
        for name, value in patch.items()
    }


def _selected(one: Object, asked: dict[str, str]) -> bool:
    labels = one["metadata"].get("labels", {})
    for term in filter(None, asked.get("labelSelector", "").split(",")):
        name, _, value = term.partition("=")
        if labels.get(name) != value:
            return False
    for term in filter(None, asked.get("fieldSelector", "").split(",")):
        path, _, value = term.partition("=")
        found: Any = one
        for part in path.split("."):
            found = found.get(part) or {}
        if found != value:
            return False
    return True
