"""A Kubernetes cluster, as far as the deployer needs one, reached through a kubeconfig's context.

Objects are plain mappings here, as they are rendered and as the API gives them. Whatever the API
refuses becomes an error that says what was tried, where, and what to do about it; what it answers
never does, where it could hold a Secret.
"""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol, cast
from urllib.parse import quote

from deployer.cluster.kubeconfig import connect
from party.process.errors import InputError, JobError

Object = dict[str, Any]
"""A Kubernetes object: ``apiVersion``, ``kind``, ``metadata`` and the rest."""

FIELD_MANAGER = "tfe-kit-deployer"
"""Who applied an object's fields, as the API keeps it."""

_CONNECT_S, _ANSWER_S = 5, 30
_FRAME_BYTES = 32 * 1024
"""Bytes that are sent at a time, as kubectl does."""

_STDIN, _STDOUT = 0, 1
_OUTCOME = 3
"""The channel of an executed command on which the kubelet says how it ended."""

_PLURALS = {
    "Certificate": "certificates",
    "ClusterRole": "clusterroles",
    "ConfigMap": "configmaps",
    "CronJob": "cronjobs",
    "Event": "events",
    "Job": "jobs",
    "Namespace": "namespaces",
    "NetworkPolicy": "networkpolicies",
    "Node": "nodes",
    "PersistentVolumeClaim": "persistentvolumeclaims",
    "Pod": "pods",
    "PodDisruptionBudget": "poddisruptionbudgets",
    "PrometheusRule": "prometheusrules",
    "Role": "roles",
    "RoleBinding": "rolebindings",
    "Secret": "secrets",
    "SelfSubjectAccessReview": "selfsubjectaccessreviews",
    "Service": "services",
    "ServiceAccount": "serviceaccounts",
    "ServiceMonitor": "servicemonitors",
    "StatefulSet": "statefulsets",
    "StorageClass": "storageclasses",
}
RBAC = "rbac.authorization.k8s.io/v1"
"""Of roles and their bindings."""

_NOT_NAMESPACED = {"ClusterRole", "Namespace", "Node", "SelfSubjectAccessReview", "StorageClass"}


class Change(StrEnum):
    """What applying an object did, or that there is to be none."""

    CREATED = "created"
    CHANGED = "changed"
    UNCHANGED = "unchanged"
    REMOVED = "removed"


@dataclass(frozen=True)
class Execution:
    """A command that ran in a container."""

    exit_code: int
    stdout: str
    stderr: str


class Conversation(Protocol):
    """A command that runs in a container and takes input."""

    def send(self, content: bytes) -> None:
        """Give it bytes. Raises JobError where it does not take them."""

    def line(self) -> str:
        """Its next line. Raises JobError where none comes."""


class Refused(Exception):
    """The API said no. ``status`` is HTTP's; ``message`` is the API's own sentence."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


class NotAllowedError(InputError):
    """Who asks has not the right to."""


def plural(kind: str) -> str:
    """The resource of a kind, as paths and access rules name it."""
    return _PLURALS[kind]


def group_of(api_version: str) -> str:
    """The API group of an ``apiVersion``; empty for the core one."""
    return api_version.rpartition("/")[0]


class Cluster:
    """One context of a kubeconfig, or the cluster that this runs in.

    Attributes:
        namespace: the one that is meant where none is said.

    Args:
        context: the context's name, or None for the current one. Where there is no kubeconfig, a
            process in a pod uses the pod's service account.

    Raises:
        InputError: no such context, or no configuration at all.
    """

    def __init__(self, context: str | None = None) -> None:
        from kubernetes.dynamic import DynamicClient

        self._client, self.name, self.namespace = connect(context)
        # Paths are made here: without discovery there is nothing to ask for, nor to cache in /tmp.
        self._raw = DynamicClient(self._client, discoverer=lambda *_: None)

    def __str__(self) -> str:
        return self.name

    # --- objects ------------------------------------------------------------------------------

    def read(self, api_version: str, kind: str, name: str, namespace: str) -> Object | None:
        """An object, or None where there is none (or no such kind)."""
        try:
            return self._ask("GET", self._path(api_version, kind, namespace, name))
        except Refused as refused:
            if refused.status == 404:
                return None
            raise self._error(refused, "read", kind, name, namespace) from None

    def select(
        self, api_version: str, kind: str, namespace: str, labels: str = "", fields: str = ""
    ) -> list[Object]:
        """The objects of a kind in a namespace that have these labels, ``key=value,…``."""
        query = [("labelSelector", labels)] if labels else []
        query += [("fieldSelector", fields)] if fields else []
        try:
            answer = self._ask("GET", self._path(api_version, kind, namespace), query)
        except Refused as refused:
            if refused.status == 404:
                return []
            raise self._error(refused, "list", kind, "", namespace) from None
        # Items of a list come without their kind.
        return [{"apiVersion": api_version, "kind": kind} | item for item in answer["items"]]

    def apply(self, wanted: Object, force: bool = False) -> Change:
        """Server-side apply of an object.

        Args:
            wanted: the object, with its namespace.
            force: take over fields that another field manager holds.
        """
        kind, name, namespace = _place(wanted)
        before = self.read(wanted["apiVersion"], kind, name, namespace)
        try:
            after = self._apply(wanted, force)
        except Refused as refused:
            raise self._error(refused, "apply", kind, name, namespace) from None
        if before is None:
            return Change.CREATED
        same = before["metadata"]["resourceVersion"] == after["metadata"]["resourceVersion"]
        return Change.UNCHANGED if same else Change.CHANGED

    def rehearse(self, wanted: Object, force: bool = False) -> tuple[Object | None, Object]:
        """What ``apply`` would do, by the API's own word: the object as it is and as it would be.

        Raises what ``apply`` would raise; nothing is changed.
        """
        kind, name, namespace = _place(wanted)
        before = self.read(wanted["apiVersion"], kind, name, namespace)
        try:
            return before, self._apply(wanted, force, [("dryRun", "All")])
        except Refused as refused:
            if refused.status == 400 and "dry run" in refused.message:
                # A webhook of the cluster's cannot rehearse: it will say what it thinks in earnest.
                return before, before or wanted
            role = wanted.get("roleRef", {}).get("name")
            if refused.status == 404 and role and f'"{role}" not found' in refused.message:
                # Whoever may bind only what they may do themselves is asked for the rights of the
                # role, as the last thing; and it is made before its binding.
                return before, wanted
            raise self._error(refused, "apply", kind, name, namespace) from None

    def rehearse_creation(self, wanted: Object, passes: Callable[[str], bool]) -> None:
        """Ask the API whether it would take a new object, by a dry run.

        Args:
            wanted: the object; one of its name may be there.
            passes: whether a refusal, by the API's own sentence, is none by the time it is made.

        Raises what ``create`` would raise; nothing is changed.
        """
        kind, name, namespace = _place(wanted)
        query = [("fieldManager", FIELD_MANAGER), ("dryRun", "All")]
        try:
            self._ask("POST", self._path(wanted["apiVersion"], kind, namespace), query, wanted)
        except Refused as refused:
            # What is there already is the last thing that is looked at.
            taken = refused.status == 409 and "already exists" in refused.message
            cannot = refused.status == 400 and "dry run" in refused.message
            if not (taken or cannot or passes(refused.message)):
                raise self._error(refused, "create", kind, name, namespace) from None

    def _apply(self, wanted: Object, force: bool, more: Sequence[tuple[str, str]] = ()) -> Object:
        kind, name, namespace = _place(wanted)
        query = [("fieldManager", FIELD_MANAGER), ("force", str(force).lower()), *more]
        path = self._path(wanted["apiVersion"], kind, namespace, name)
        return self._ask("PATCH", path, query, wanted, "application/apply-patch+yaml")

    def create(self, wanted: Object) -> Object:
        """Make an object that must not be there yet; returns it as the API has it."""
        kind, name, namespace = _place(wanted)
        query = [("fieldManager", FIELD_MANAGER)]
        try:
            path = self._path(wanted["apiVersion"], kind, namespace)
            return self._ask("POST", path, query, wanted)
        except Refused as refused:
            raise self._error(refused, "create", kind, name, namespace) from None

    def delete(self, unwanted: Object, grace_s: int | None = None) -> bool:
        """Remove an object and, in the background, what it owns. False if there was none."""
        kind, name, namespace = _place(unwanted)
        query = [("propagationPolicy", "Background")]
        if grace_s is not None:
            query.append(("gracePeriodSeconds", str(grace_s)))
        try:
            self._ask("DELETE", self._path(unwanted["apiVersion"], kind, namespace, name), query)
        except Refused as refused:
            if refused.status == 404:
                return False
            raise self._error(refused, "delete", kind, name, namespace) from None
        return True

    def scale(self, owner: str, namespace: str, replicas: int) -> None:
        """Set how many pods a StatefulSet has. Raises InputError where that is not allowed."""
        wanted = {"spec": {"replicas": replicas}}
        path = self._path("apps/v1", "StatefulSet", namespace, owner)
        try:
            self._ask("PATCH", path, (), wanted, "application/merge-patch+json")
        except Refused as refused:
            raise self._error(refused, "scale", "StatefulSet", owner, namespace) from None

    def touch(self, pod: str, namespace: str) -> None:
        """Let a pod's node look at once for Secrets that have changed, rather than within a minute
        or two; nothing happens where there is no such pod or no right to do so."""
        now = {"metadata": {"annotations": {"tfe-kit/touched": str(int(time.time()))}}}
        path = self._path("v1", "Pod", namespace, pod)
        with contextlib.suppress(Refused):
            self._ask("PATCH", path, (), now, "application/merge-patch+json")

    def events(self, about: Object) -> list[Object]:
        """What the cluster has to say of an object, oldest first: of this one, and not of an
        earlier one of the same name."""
        kind, name, namespace = _place(about)
        fields = f"involvedObject.kind={kind},involvedObject.name={name}"
        fields += f",involvedObject.uid={about['metadata']['uid']}"
        events = self.select("v1", "Event", namespace, fields=fields)
        return sorted(events, key=_event_time)

    # --- pods ---------------------------------------------------------------------------------

    def execute(
        self, pod: str, namespace: str, command: Sequence[str], timeout_s: float = 30
    ) -> Execution:
        """Run a command in a pod's first container, without input.

        Raises InputError where that is not allowed, JobError where it did not come to an end.
        """
        where = self._where("Pod", pod, namespace)
        with self._channel(pod, namespace, command) as channel:
            channel.run_forever(timeout=timeout_s)
            if channel.is_open():
                what = f"{command[0]} did not answer within {timeout_s:.0f} seconds"
                raise JobError(what, where)
            code = _exit_code(_text(channel.read_channel(_OUTCOME)))
            if code is None:
                raise JobError(f"{command[0]} cannot be run in the pod", where)
            return Execution(code, _text(channel.read_stdout()), _text(channel.read_stderr()))

    @contextlib.contextmanager
    def converse(
        self, pod: str, namespace: str, command: Sequence[str], silence_s: float
    ) -> Iterator[Conversation]:
        """Run a command in a pod's first container and speak with it, until the block is left.

        Args:
            pod: the pod.
            namespace: where it is.
            command: its words.
            silence_s: how long it may take to answer, or to take what is sent.

        Raises as ``execute``.
        """
        with self._channel(pod, namespace, command, stdin=True) as channel:
            channel.sock.settimeout(silence_s)
            yield _Conversation(channel, self._where("Pod", pod, namespace), silence_s)

    @contextlib.contextmanager
    def _channel(
        self, pod: str, namespace: str, command: Sequence[str], stdin: bool = False
    ) -> Iterator[Any]:
        # Not by the generated CoreV1Api, whose hundreds of models take a second to import.
        from kubernetes.stream.ws_client import WSClient, get_websocket_url
        from websocket import WebSocketBadStatusException, WebSocketException

        configuration = self._client.configuration
        query = [("stdout", "true"), ("stderr", "true"), ("command", list(command))]
        query += [("stdin", "true")] if stdin else []
        url = configuration.host + self._path("v1", "Pod", namespace, pod) + "/exec"
        authorization = {one["key"]: one["value"] for one in configuration.auth_settings().values()}
        try:
            # Bytes, since texts are decoded frame by frame, and a letter may lie in two of them.
            url = get_websocket_url(url, query)
            channel = WSClient(configuration, url, authorization, capture_all=False, binary=True)
            try:
                yield channel
            finally:
                channel.close()
        except WebSocketBadStatusException as error:
            refused = Refused(error.status_code, _message_in(error.resp_body, "no reason given"))
            raise self._error(refused, "run a command in", "Pod", pod, namespace) from None
        except (WebSocketException, OSError):
            raise JobError(
                "the connection to the pod broke", self._where("Pod", pod, namespace)
            ) from None

    def logs(
        self,
        pod: str,
        namespace: str,
        follow: bool = False,
        previous: bool = False,
        tail: int | None = None,
    ) -> Iterator[str]:
        """The lines that a pod's first container wrote."""
        query = [("follow", str(follow).lower()), ("previous", str(previous).lower())]
        if tail is not None:
            query.append(("tailLines", str(tail)))
        path = self._path("v1", "Pod", namespace, pod) + "/log"
        try:
            answer = self._request("GET", path, query, stream=follow)
        except Refused as refused:
            raise self._error(refused, "read the log of", "Pod", pod, namespace) from None
        rest = b""
        for chunk in answer.stream(4096, decode_content=True):
            *lines, rest = (rest + chunk).split(b"\n")
            yield from (line.decode(errors="replace") for line in lines)
        if rest:
            yield rest.decode(errors="replace")

    # --- the cluster itself -------------------------------------------------------------------

    def version(self) -> tuple[int, int]:
        """Major and minor version of its API server."""
        try:
            answer = self._ask("GET", "/version")
        except Refused as refused:
            raise self._error(refused, "read", "the version", "", "") from None
        return int(answer["major"]), int(answer["minor"].rstrip("+"))

    def clock(self) -> float:
        """What its API server's clock says, in seconds since 1970, to a second."""
        from email.utils import parsedate_to_datetime

        answer = self._request("GET", "/version")
        return parsedate_to_datetime(answer.headers["Date"]).timestamp()

    def allows(self, verb: str, api_version: str, kind: str, namespace: str) -> bool:
        """Whether who asks may do this. ``kind`` may name a subresource: ``Pod/exec``."""
        kind, _, subresource = kind.partition("/")
        attributes = {
            "namespace": namespace,
            "verb": verb,
            "group": group_of(api_version),
            "resource": plural(kind),
            "subresource": subresource,
        }
        review = {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectAccessReview",
            "metadata": {},
            "spec": {"resourceAttributes": attributes},
        }
        path = self._path(review["apiVersion"], review["kind"], "")  # type: ignore[arg-type]
        try:
            return bool(self._ask("POST", path, body=review)["status"]["allowed"])
        except Refused as refused:
            raise self._error(refused, "ask for", "access", "", namespace) from None

    # --- requests -----------------------------------------------------------------------------

    @staticmethod
    def _path(api_version: str, kind: str, namespace: str, name: str = "") -> str:
        path = f"/apis/{api_version}" if "/" in api_version else f"/api/{api_version}"
        if kind not in _NOT_NAMESPACED:
            path += f"/namespaces/{quote(namespace)}"
        path += f"/{plural(kind)}"
        return f"{path}/{quote(name)}" if name else path

    def _ask(
        self,
        method: str,
        path: str,
        query: Sequence[tuple[str, str]] = (),
        body: Mapping[str, Any] | None = None,
        content_type: str = "application/json",
    ) -> Object:
        answer = self._request(method, path, query, body, content_type)
        return cast(Object, json.loads(answer.data))

    def _request(
        self,
        method: str,
        path: str,
        query: Sequence[tuple[str, str]] = (),
        body: Mapping[str, Any] | None = None,
        content_type: str = "application/json",
        stream: bool = False,
    ) -> Any:
        from kubernetes.client.exceptions import ApiException
        from urllib3.exceptions import HTTPError

        try:
            return self._raw.request(
                method,
                path,
                body=body,
                query_params=list(query),
                content_type=content_type,
                serialize=False,
                _request_timeout=(_CONNECT_S, None if stream else _ANSWER_S),
            )
        except ApiException as error:
            reason = str(error.reason or "no reason given")
            if not error.status:  # it never came to an answer: TLS failed, by what is configured
                raise self._unreachable(reason) from None
            raise Refused(error.status or 0, _message_in(error.body, reason)) from None
        except (HTTPError, OSError) as error:
            raise self._unreachable(_reason(error)) from None

    def _unreachable(self, reason: str) -> InputError:
        return InputError(
            f"cannot reach the cluster: {reason}",
            f"{self} at {self._client.configuration.host}",
            "check that the cluster runs and that this context is the right one",
        )

    def _where(self, kind: str, name: str, namespace: str) -> str:
        thing = f"{kind} {name}".strip()
        place = f"namespace {namespace}, {self}" if namespace else str(self)
        return f"{thing}, {place}"

    def _error(
        self, refused: Refused, verb: str, kind: str, name: str, namespace: str
    ) -> InputError | JobError:
        where = self._where(kind, name, namespace)
        status, message = refused.status, refused.message
        if status == 401:
            hint = "log in again, or choose another context with --context"
            return InputError("the cluster does not know who asks", where, hint)
        if status == 403 and "is forbidden: User " in message:
            hint = (
                "ask for it: examples/kubernetes/operator-role.yaml has all rights that are needed"
            )
            return NotAllowedError(f"not allowed to {verb} the object", where, hint)
        if status == 403:  # an admission check: quota, Pod Security, a namespace that ends
            hint = "change what it names, or ask who sets quotas and policies in the cluster"
            return InputError(f"the cluster refuses to {verb} the object: {message}", where, hint)
        if status == 404 and "namespaces" in message:
            hint = f"make it: kubectl create namespace {namespace}"
            return InputError(f"there is no namespace {namespace!r}", where, hint)
        if status == 404:
            hint = "see what is there: deployer status"
            return InputError(f"there is nothing to {verb}", where, hint)
        if status == 409 and verb == "apply":
            hint = "go on with what installed it (helm, kubectl), or take it over with --force"
            return InputError("another manager holds fields of the object", where, hint)
        if status == 422 and ("is immutable" in message or "updates to statefulset" in message):
            hint = "delete and apply again; volumes and Secrets are kept: deployer delete"
            return InputError("a field was changed that cannot be", where, hint)
        if status in (400, 409, 413, 422):
            hint = "change the values that the cluster names"
            return InputError(f"the cluster refuses to {verb} the object: {message}", where, hint)
        return JobError(f"the cluster failed to {verb} the object: {message}", where)


class _Conversation:
    """Over the websocket of an executed command."""

    def __init__(self, channel: Any, where: str, silence_s: float) -> None:
        self._channel, self._where, self._silence_s = channel, where, silence_s

    def send(self, content: bytes) -> None:
        for at in range(0, len(content), _FRAME_BYTES):
            self._channel.write_channel(_STDIN, content[at : at + _FRAME_BYTES])

    def line(self) -> str:
        said = _text(self._channel.readline_channel(_STDOUT, timeout=self._silence_s))
        if said:
            return said
        what = "the command in the pod ended before its work was done"
        if self._channel.is_open():
            what = f"the pod did not answer within {self._silence_s:.0f} seconds"
        raise JobError(what, self._where, "start again")


def _place(one: Object) -> tuple[str, str, str]:
    return one["kind"], one["metadata"]["name"], one["metadata"].get("namespace", "")


def _text(said: bytes) -> str:
    """What a command said, whole."""
    return said.decode("utf-8", "replace")


def _message_in(body: str | bytes | None, otherwise: str) -> str:
    """The API's sentence about a request that it refused. (It does not repeat a Secret's data.)"""
    try:
        return str(json.loads(body or "")["message"])
    except (TypeError, ValueError, KeyError):
        return otherwise.strip().splitlines()[0][:300]


def _exit_code(outcome: str) -> int | None:
    """The exit code in the kubelet's last words; None if the command did not run to its end."""
    try:
        status = json.loads(outcome)
        if status["status"] == "Success":
            return 0
        causes = status["details"]["causes"]
        return next(int(one["message"]) for one in causes if one.get("reason") == "ExitCode")
    except (ValueError, KeyError, TypeError, StopIteration):
        return None


def _reason(error: Exception) -> str:
    cause = getattr(error, "reason", None) or error
    text = str(cause)
    for words in ("Connection refused", "Name or service not known", "timed out", "CERTIFICATE"):
        if words.lower() in text.lower():
            return "its certificate is not trusted" if words == "CERTIFICATE" else words.lower()
    return type(cause).__name__


def _event_time(event: Object) -> str:
    return str(event.get("lastTimestamp") or event.get("eventTime") or "")
