"""What an API server answers becomes an object, or an error that says what to do about it."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any, NamedTuple

import pytest
import yaml
from websocket import ABNF

from deployer.cluster.admission import fits_instead
from deployer.cluster.client import Change, Cluster, plural
from deployer.manifests.render import objects
from deployer.manifests.values import load_values
from party.process.errors import InputError, JobError, KitError

SECRET = {
    "apiVersion": "v1",
    "kind": "Secret",
    "metadata": {"name": "keys", "namespace": "bank"},
    "data": {"tls.key": "cGxhbnRlZA=="},
}


class Api(HTTPServer):
    """An API server that gives the answers it was told to, in order, and keeps the requests."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answers: list[tuple[int, dict[str, Any]]] = []
        self.requests: list[tuple[str, str, str]] = []


class _Handler(BaseHTTPRequestHandler):
    server: Api

    def _answer(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length).decode()
        self.server.requests.append((self.command, self.path, body))
        code, answer = self.server.answers.pop(0)
        text = json.dumps(answer).encode()
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    do_GET = do_POST = do_PATCH = do_DELETE = _answer

    def log_message(self, format: str, *arguments: object) -> None:
        """Not on the tests' screen."""


@pytest.fixture
def api() -> Iterator[Api]:
    server = Api()
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


Connect = Callable[[dict[str, Any], dict[str, Any]], Cluster]


@pytest.fixture
def connect(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Connect:
    """Writes a kubeconfig with this cluster and this user, and takes it."""

    def taken(where: dict[str, Any], user: dict[str, Any]) -> Cluster:
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "bank",
            "clusters": [{"name": "c", "cluster": where}],
            "users": [{"name": "u", "user": user}],
            "contexts": [
                {"name": "bank", "context": {"cluster": "c", "user": "u", "namespace": "team"}}
            ],
        }
        file = tmp_path / "kubeconfig"
        file.write_text(yaml.safe_dump(config))
        monkeypatch.setenv("KUBECONFIG", str(file))
        monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
        return Cluster()

    return taken


@pytest.fixture
def cluster(api: Api, connect: Connect) -> Cluster:
    """A cluster of which the API server is all there is."""
    return connect({"server": f"http://127.0.0.1:{api.server_port}"}, {"token": "t"})


def found(version: str) -> tuple[int, dict[str, Any]]:
    return 200, {"metadata": {"name": "keys", "resourceVersion": version}}


def status(code: int, message: str) -> tuple[int, dict[str, Any]]:
    return code, {"kind": "Status", "message": message, "code": code}


@pytest.mark.parametrize(
    ("answers", "change"),
    [
        ([status(404, "not found"), found("1")], Change.CREATED),
        ([found("1"), found("2")], Change.CHANGED),
        ([found("2"), found("2")], Change.UNCHANGED),
    ],
)
def test_applying_says_what_it_changed(
    api: Api, cluster: Cluster, answers: list[tuple[int, dict[str, Any]]], change: Change
) -> None:
    api.answers = answers
    assert cluster.apply(SECRET) is change
    method, path, body = api.requests[-1]
    assert (method, path.partition("?")[0]) == ("PATCH", "/api/v1/namespaces/bank/secrets/keys")
    assert "fieldManager=tfe-kit-deployer" in path and "force=false" in path
    assert json.loads(body) == SECRET


USER = 'secrets "keys" is forbidden: User "eve" cannot patch resource "secrets"'
QUOTA = 'pods "x" is forbidden: exceeded quota: small'


@pytest.mark.parametrize(
    ("answer", "kind", "what", "do"),
    [
        (status(401, "Unauthorized"), InputError, "does not know who asks", "log in again"),
        (status(403, USER), InputError, "not allowed to apply", "operator-role.yaml"),
        (status(403, QUOTA), InputError, "exceeded quota", ""),
        (
            status(404, 'namespaces "bank" not found'),
            InputError,
            "no namespace 'bank'",
            "kubectl create namespace bank",
        ),
        (status(409, "Apply failed with 1 conflict"), InputError, "another manager", "--force"),
        (status(422, "spec: field is immutable"), InputError, "cannot be", "delete and apply"),
        (status(422, "metadata.name: Invalid value"), InputError, "Invalid value", ""),
        (status(500, "etcd is unhappy"), JobError, "etcd is unhappy", ""),
    ],
)
def test_a_refusal_says_what_where_and_what_to_do_and_nothing_private(
    api: Api,
    cluster: Cluster,
    answer: tuple[int, dict[str, Any]],
    kind: type[KitError],
    what: str,
    do: str,
) -> None:
    api.answers = [status(404, "not found"), answer]
    with pytest.raises(kind) as raised:
        cluster.apply(SECRET)
    error = raised.value
    assert what in error.what
    assert error.where == "Secret keys, namespace bank, context bank"
    assert do in (error.hint or "")
    assert "cGxhbnRlZA" not in str(error) and "planted" not in str(error)


def test_a_rehearsal_asks_the_server_to_change_nothing(api: Api, cluster: Cluster) -> None:
    api.answers = [found("1"), found("1")]
    before, after = cluster.rehearse(SECRET)
    assert before == after
    method, path, _ = api.requests[-1]
    assert method == "PATCH" and "dryRun=All" in path


def test_a_rehearsal_that_a_webhook_cannot_do_is_none(api: Api, cluster: Cluster) -> None:
    says = 'admission webhook "w" does not support dry run'
    api.answers = [status(404, "not found"), status(400, says)]
    assert cluster.rehearse(SECRET) == (None, SECRET)


POD = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "x", "namespace": "bank"}}


@pytest.mark.parametrize(
    "answer",
    [
        (201, POD),
        status(409, 'pods "x" already exists'),
        status(400, 'admission webhook "w" does not support dry run'),
    ],
)
def test_a_creation_is_rehearsed_too_and_one_of_the_name_may_be_there(
    api: Api, cluster: Cluster, answer: tuple[int, dict[str, Any]]
) -> None:
    api.answers = [answer]
    cluster.rehearse_creation(POD, lambda message: False)
    method, path, body = api.requests[-1]
    assert (method, path.partition("?")[0]) == ("POST", "/api/v1/namespaces/bank/pods")
    assert "dryRun=All" in path and json.loads(body) == POD


def test_a_creation_that_is_refused_for_what_goes_first_is_none(api: Api, cluster: Cluster) -> None:
    api.answers = [status(403, QUOTA)] * 2
    cluster.rehearse_creation(POD, lambda message: message == QUOTA)
    with pytest.raises(InputError, match="exceeded quota"):
        cluster.rehearse_creation(POD, lambda message: False)


LEFT = "exceeded quota: small, requested: limits.cpu=1500m,pods=1, used: limits.cpu=2,pods=3, "


@pytest.mark.parametrize(
    ("message", "phase", "fits"),
    [
        (LEFT + "limited: limits.cpu=2500m,pods=3", "Running", True),
        (LEFT + "limited: limits.cpu=2499m,pods=3", "Running", False),
        (LEFT + "limited: limits.cpu=2500m,pods=2", "Running", False),
        (LEFT + "limited: limits.cpu=2500m,pods=3", "Failed", False),
        ("failed quota: small: must specify limits.cpu for: party", "Running", False),
        (LEFT + "limited: limits.cpu=nonsense,pods=3", "Running", False),
    ],
)
def test_a_pod_that_goes_leaves_its_part_of_a_quota(message: str, phase: str, fits: bool) -> None:
    containers = [{"resources": {"limits": {"cpu": "500m"}}}] * 2
    pod = {"spec": {"containers": containers}, "status": {"phase": phase}}
    assert fits_instead(message, pod) is fits


def test_what_is_not_there_is_none_and_goes_without_complaint(api: Api, cluster: Cluster) -> None:
    api.answers = [status(404, "not found")] * 3
    assert cluster.read("v1", "Secret", "keys", "bank") is None
    assert cluster.delete(SECRET) is False
    assert cluster.select("apps/v1", "StatefulSet", "bank") == []
    assert api.requests[-1][1] == "/apis/apps/v1/namespaces/bank/statefulsets"


def test_a_cluster_that_cannot_be_reached_is_named(api: Api, cluster: Cluster) -> None:
    api.shutdown()
    api.server_close()
    with pytest.raises(InputError, match=r"cannot reach the cluster: connection refused"):
        cluster.version()


def test_its_namespace_is_the_contexts(cluster: Cluster) -> None:
    assert cluster.namespace == "team"


def test_an_unknown_context_is_refused_with_those_that_there_are(cluster: Cluster) -> None:
    with pytest.raises(InputError, match=r"no context 'police'") as raised:
        Cluster("police")
    assert raised.value.hint == "there are bank"


TOKEN = {"token": "t"}
PLUGIN = {"apiVersion": "client.authentication.k8s.io/v1", "interactiveMode": "Never"}


@pytest.mark.parametrize(
    ("where", "user", "says"),
    [
        ({"certificate-authority-data": "%%%"}, TOKEN, "certificate-authority is no certificate"),
        ({"certificate-authority-data": "YQ="}, TOKEN, "is no base64"),
        ({"certificate-authority-data": "aGVsbG8="}, TOKEN, "is no certificate"),
        ({"certificate-authority": "/no/such"}, TOKEN, "/no/such"),
        (
            {},
            {"client-certificate-data": "aGVsbG8=", "client-key-data": "aGVsbG8="},
            "client-key are no certificate",
        ),
        ({}, {"exec": PLUGIN | {"command": "no-such-plugin"}}, "'no-such-plugin'"),
        ({}, {"exec": PLUGIN | {"command": "false"}}, "returned 1"),
        ({}, {"auth-provider": {"name": "gcp"}}, "it is damaged"),
    ],
)
def test_a_kubeconfig_that_cannot_be_used_is_wrong_input_with_its_cause(
    connect: Connect,
    where: dict[str, Any],
    user: dict[str, Any],
    says: str,
    capfd: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(InputError, match="context 'bank'") as raised:
        connect({"server": "https://127.0.0.1:1"} | where, user)
    assert says in raised.value.what
    assert capfd.readouterr() == ("", ""), "nothing is logged beside the error"


def test_every_kind_in_the_manifests_has_a_place_in_the_api() -> None:
    for folder in objects(load_values()).values():
        for each in folder:
            assert plural(each["kind"])


class _Frames:
    """A websocket on which a pod has said all that it will: a frame each."""

    def __init__(self, frames: list[bytes]) -> None:
        self.connected = True
        self.sock, self._other = socket.socketpair()
        self._other.send(b"1")  # so that there is something to read
        self._frames = [(ABNF.OPCODE_BINARY, Frame(one)) for one in frames]
        self._frames.append((ABNF.OPCODE_CLOSE, Frame(b"")))

    def getheaders(self) -> dict[str, str]:
        return {}

    def recv_data_frame(self, _: bool) -> tuple[int, Frame]:
        return self._frames.pop(0)

    def close(self) -> None:
        self.sock.close()
        self._other.close()


class Frame(NamedTuple):
    data: bytes


def test_a_letter_that_lies_in_two_frames_is_whole(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = "Größe,é\n".encode()
    said = [bytes([1]) + text[i : i + 1] for i in range(len(text))]
    said.append(bytes([3]) + json.dumps({"status": "Success"}).encode())
    opened = "kubernetes.stream.ws_client.create_websocket"
    monkeypatch.setattr(opened, lambda *_: _Frames(said))
    ran = cluster.execute("pod", "bank", ["cat", "columns.json"])
    assert ran.exit_code == 0 and ran.stdout == "Größe,é\n" and ran.stderr == ""
