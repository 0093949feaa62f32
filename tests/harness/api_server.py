"""An API server that takes events, with certificates as clusters have them, and a pod's files."""

from __future__ import annotations

import ipaddress
import json
import queue
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

Event = dict[str, Any]
HERE = "127.0.0.1"
PATIENCE_S = 60.0


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def make_certificates(directory: Path) -> None:
    """``ca.crt``, and ``server.pem`` with a certificate for this machine's address and its key. As
    many a cluster's they lack the identifiers of keys."""
    directory.mkdir(exist_ok=True)
    keys = [ec.generate_private_key(ec.SECP256R1()) for _ in range(2)]
    now = datetime.now(UTC)
    made = []
    for name, key in zip(("kubernetes", "kube-apiserver"), keys, strict=True):
        is_authority = name == "kubernetes"
        address = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(HERE))])
        builder = (
            x509.CertificateBuilder()
            .subject_name(_named(name))
            .issuer_name(_named("kubernetes"))
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(hours=1))
            .not_valid_after(now + timedelta(hours=1))
            .add_extension(x509.BasicConstraints(is_authority, None), critical=True)
        )
        if not is_authority:
            builder = builder.add_extension(address, critical=False)
        made.append(builder.sign(keys[0], hashes.SHA256()))
    authority, own = (one.public_bytes(serialization.Encoding.PEM) for one in made)
    (directory / "ca.crt").write_bytes(authority)
    form = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    key_text = keys[1].private_bytes(serialization.Encoding.PEM, *form)
    (directory / "server.pem").write_bytes(own + key_text)


class ApiServer:
    """Takes events, in order; says no while it is told to.

    Attributes:
        answer: HTTP's status of what it answers.
        token: the only one that it takes.
        asked: the paths of all requests, whatever was answered.
    """

    def __init__(self, certificates: Path) -> None:
        self.answer, self.token = 201, "first"
        self.asked: list[str] = []
        self._taken: queue.Queue[Event] = queue.Queue()
        api = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                right = self.headers["Authorization"] == f"Bearer {api.token}"
                status = api.answer if right else 401
                api.asked.append(self.path)
                if status == 201:
                    api._taken.put(body)
                self.send_response(status)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        class Server(ThreadingHTTPServer):
            def handle_error(self, *_: object) -> None:
                pass  # whoever hangs up, for instance in the handshake

        self._server = Server((HERE, 0), Handler)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificates / "server.pem")
        self._server.socket = context.wrap_socket(
            self._server.socket, server_side=True, do_handshake_on_connect=False
        )
        self.port = int(self._server.server_address[1])
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def takes(self, count: int = 1) -> list[Event]:
        """The next events, once they are there."""
        return [self._taken.get(timeout=PATIENCE_S) for _ in range(count)]

    def has_more(self) -> bool:
        """Whether there are any that nobody has looked at."""
        return not self._taken.empty()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@contextmanager
def api_server(certificates: Path) -> Iterator[ApiServer]:
    """One that runs for a while."""
    made = ApiServer(certificates)
    try:
        yield made
    finally:
        made.close()


def pod_files(directory: Path, authority: Path) -> Path:
    """What a pod is given for its events."""
    directory.mkdir()
    own = {"token": "first\n", "name": "fraud-bob-0", "namespace": "police", "uid": "1-2-3"}
    for name, text in own.items():
        (directory / name).write_text(text)
    (directory / "ca.crt").write_bytes(authority.read_bytes())
    return directory
