"""A party's table on a volume of its own: brought there by a pod that lives as long as it takes.

The party's own pod only ever reads the volume. The copying pod runs ``party.table.receiving``,
which says what is on the volume already, takes the rest part by part, reads all of it again and
only then puts it in the place of the table before it.
"""

from __future__ import annotations

import json
import posixpath
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from deployer.cluster import short_lived
from deployer.cluster.client import Conversation, Object
from deployer.cluster.target import Place, Target
from deployer.manifests.values import TableRole
from party.process.errors import ErrorDocument, InputError, JobError
from party.table.parts import Packing

_MOUNT = "/table"
_START_S = 300.0
"""A volume may have to be made first."""

_SILENCE_S = 600.0
"""The receiver reads all of a table again before its last answer."""

_LIVES_S = 24 * 3600
_ON_THE_WAY = 2
"""Parts that are sent before the first of them is answered."""

_WAIT = """
import os, time
while True:
    time.sleep(60)
    if sum(name.isdigit() for name in os.listdir("/proc")) < 2:
        break
"""
"""What the pod itself does: it ends when nobody has run a command in it for a minute."""


@dataclass(frozen=True)
class Copied:
    """What a copy did: parts of the table, those that were sent, and their bytes."""

    parts: int
    sent: int
    sent_bytes: int
    sha256: str


def copy_table(
    target: Target,
    place: Place,
    packing: Packing,
    digest: str,
    progress: Callable[[int], None] = lambda sent: None,
) -> Copied:
    """Bring a table onto the volume of a party.

    Args:
        target: the deployment.
        place: where the party is, whose table is on a volume.
        packing: the table.
        digest: SHA-256, in hex, of its text, as it was checked.
        progress: told how many bytes were sent.

    Raises:
        InputError: there is no such claim, it cannot be written to, or something else is there; or
            the table is another one than was checked. The volume's table is the one before.
        JobError: the pod did not run, or the connection broke. What was sent need not be again.
    """
    with _pod(target, place) as pod:
        volume = _role(target, place).table_volume
        path = posixpath.join(_MOUNT, volume.path)
        receiver = ["python", "-m", "party.table.receiving"]
        command = [*receiver, path, target.values.job.domain, place.party, digest]
        with place.cluster.converse(pod, place.namespace, command, _SILENCE_S) as talk:
            return _sent(talk, packing, digest, progress)


def _sent(
    talk: Conversation, packing: Packing, digest: str, progress: Callable[[int], None]
) -> Copied:
    beginning = _answer(talk)
    if beginning["whole"]:
        return Copied(0, 0, 0, digest)
    sent = sent_bytes = 0
    waiting: deque[str] = deque()
    for part, content in packing:
        if beginning["there"].get(part.name) == part.sha256:
            continue
        header = {"part": part.name, "size": part.size, "sha256": part.sha256}
        talk.send(json.dumps(header).encode() + b"\n" + content)
        waiting.append(part.name)
        if len(waiting) > _ON_THE_WAY:
            _took(talk, waiting.popleft())
        sent, sent_bytes = sent + 1, sent_bytes + part.size
        progress(sent_bytes)
    while waiting:
        _took(talk, waiting.popleft())
    manifest = packing.manifest
    if manifest.sha256 != digest:
        hint = "start again when nobody writes to it"
        raise InputError("the table changed while it was read", None, hint)
    text = manifest.to_json()
    talk.send(json.dumps({"manifest": len(text)}).encode() + b"\n" + text)
    if _answer(talk).get("done") != digest:
        raise JobError("the table on the volume is not the one that was sent", hint="start again")
    return Copied(len(manifest.parts), sent, sent_bytes, digest)


def _took(talk: Conversation, name: str) -> None:
    if _answer(talk).get("took") != name:
        raise JobError("the pod answered out of turn", hint="start again")


def _answer(talk: Conversation) -> dict[str, Any]:
    line = talk.line()
    if told := ErrorDocument.in_text(line):
        raise told.error()
    try:
        answer = json.loads(line)
    except ValueError:
        answer = None
    if not isinstance(answer, dict):
        raise JobError("the pod gave no answer", hint="is its image of this version of the kit?")
    return answer


def _role(target: Target, place: Place) -> TableRole:
    role = target.values.role(place.party)
    assert isinstance(role, TableRole)
    return role


@contextmanager
def _pod(target: Target, place: Place) -> Iterator[str]:
    """The pod that has the volume, once it runs; its name. It goes whatever happens."""
    cluster, namespace = place.cluster, place.namespace
    where = f"{place.table_claim}, namespace {namespace}, {cluster}"
    claim = cluster.read("v1", "PersistentVolumeClaim", place.table_claim, namespace)
    if claim is None:
        hint = "install the party first, which waits for its table: deployer apply --no-wait"
        if _role(target, place).table_volume.existing_claim:
            hint = "make it, or name another one: tableVolume.existingClaim"
        raise InputError("there is no such claim of a volume", where, hint)
    wanted = copying_pod(target, place)
    name = wanted["metadata"]["name"]
    left = cluster.read("v1", "Pod", name, namespace)
    if left is not None:
        if left.get("status", {}).get("phase") not in ("Succeeded", "Failed"):
            hint = f"wait a minute; then kubectl delete pod {name} --namespace {namespace}"
            what = "another copy is at work, or was cut off a moment ago"
            raise InputError(what, f"Pod {name}, namespace {namespace}, {cluster}", hint)
        cluster.delete(left, grace_s=0)
    with short_lived.made(cluster, wanted):
        if wrong := short_lived.not_running(cluster, name, namespace, _START_S):
            what = f"the pod that copies does not run: {wrong}"
            raise JobError(what, where, "see to that, and start again")
        yield name


def copying_pod(target: Target, place: Place) -> Object:
    """The pod that has the volume to write to, where the party's own pod runs if it runs."""
    role = _role(target, place)
    labels = target.facts.selector("copy") | {"tfe-kit/table": place.party}
    pod = short_lived.pod(
        f"{place.name}-copy", place.namespace, labels, _WAIT, target.values, _LIVES_S
    )
    spec = pod["spec"]
    container = short_lived.container(pod)
    container["name"] = "copy"
    container["resources"] = {
        "requests": {"cpu": "100m", "memory": "64Mi"},
        "limits": {"cpu": "1", "memory": "256Mi"},
    }
    container["volumeMounts"] = [{"name": "table", "mountPath": _MOUNT}]
    spec["volumes"] = [{"name": "table", "persistentVolumeClaim": {"claimName": place.table_claim}}]
    if user := target.values.security.user:
        spec["securityContext"] |= {"fsGroup": user, "fsGroupChangePolicy": "OnRootMismatch"}
    spec["nodeSelector"] = dict(role.node_selector)
    spec["tolerations"] = list(role.tolerations)
    party = place.cluster.read("v1", "Pod", place.pod, place.namespace) or {}
    if node := party.get("spec", {}).get("nodeName"):
        # Most volumes are on one node at a time.
        field = {"key": "metadata.name", "operator": "In", "values": [node]}
        terms = {"nodeSelectorTerms": [{"matchFields": [field]}]}
        required = {"requiredDuringSchedulingIgnoredDuringExecution": terms}
        spec["affinity"] = {"nodeAffinity": required}
    return pod
