"""Scores of single rows over HTTPS, for the systems of the model's own holder.

Callers have certificates as the parties have them: signed by the job's authority, for the identity
of the party whose service it is. Nothing of a request is logged or kept.

=================  =============================================================================
``GET /healthz``   ``ok``
``GET /model``     the model's kind, the names of its columns, and the job's digest
``POST /score``    ``{"rows": [{"name": value, ...}, ...]}`` gives ``{"scores": [number, ...]}``,
                   or 400 with ``{"error": "..."}``: which row and column is wrong, and how
=================  =============================================================================
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import ssl
import threading
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler, HTTPServer
from math import isfinite
from typing import Any

import numpy as np

from party.agreement.columns import ColumnSchema
from party.identity import Keys
from party.process.errors import printable
from party.scoring.scorer import Matrix, Scorer
from party.table.columns.decoding import WrongCellError, decoder

MOST_ROWS = 10_000
"""Of one request."""

_LARGEST = 16 * 1024 * 1024
_CONNECTIONS = 64
_IDLE_S = 60.0
_HANDSHAKE_S = 10.0


class WrongRequestError(ValueError):
    """A request that cannot be answered; the text says why, and holds no value of it."""


def rows_in(body: bytes, schemas: Mapping[str, ColumnSchema | None]) -> Matrix:
    """The codes of the rows of a request's body, [rows, columns].

    Raises WrongRequestError.
    """
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        raise WrongRequestError("the body is no JSON") from None
    rows = value.get("rows") if isinstance(value, dict) else None
    if not isinstance(rows, list) or not rows:
        raise WrongRequestError('the body is not {"rows": [{...}, ...]} with one row at least')
    if len(rows) > MOST_ROWS:
        raise WrongRequestError(f"there are {len(rows)} rows, and at most {MOST_ROWS} are allowed")
    decoders = {
        name: None if schema is None else decoder(schema) for name, schema in schemas.items()
    }
    codes = np.empty((len(rows), len(schemas)))
    for i, row in enumerate(rows):
        if not isinstance(row, dict):
            raise WrongRequestError(f"row {i + 1} is not an object of names and numbers")
        for j, (name, decode) in enumerate(decoders.items()):
            if name not in row:
                raise WrongRequestError(f"row {i + 1} has no {printable(name)!r}")
            try:
                codes[i, j] = _number(row[name]) if decode is None else decode(_text(row[name]))
            except WrongCellError as error:
                raise WrongRequestError(f"row {i + 1}, {printable(name)!r}: {error.what}") from None
    return codes


def _number(cell: Any) -> float:
    if type(cell) in (int, float):
        with contextlib.suppress(OverflowError):
            number = float(cell)
            if isfinite(number):
                return number
    raise WrongCellError("not-a-number", "it is no finite number", "")


def _text(cell: Any) -> str:
    """What would stand in a CSV file; ``null`` is a gap."""
    match cell:
        case str():
            return cell
        case None:
            return ""
        case bool():
            return str(cell).lower()
        case int() | float():
            return repr(cell)
    raise WrongCellError("not-a-value", "it is a list or an object", "")


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version, sys_version = "tfe-kit", ""
    server: Service
    timeout = _IDLE_S

    def do_GET(self) -> None:
        if self.path == "/healthz":
            self._answer(200, b"ok\n", "text/plain")
        elif self.path == "/model":
            scorer = self.server.scorer
            self._tell(
                200, {"model": scorer.kind, "columns": list(scorer.schemas), "job": scorer.job}
            )
        else:
            self._tell(404, {"error": "there are /healthz, /model and /score"})

    def do_POST(self) -> None:
        length = self.headers.get("Content-Length", "")
        if not length.isascii() or not length.isdigit() or int(length) > _LARGEST:
            self.close_connection = True  # what follows was not read
            self._tell(413, {"error": f"say a Content-Length, of {_LARGEST} bytes at most"})
            return
        body = self.rfile.read(int(length))
        if self.path != "/score":
            self._tell(404, {"error": "there are /healthz, /model and /score"})
            return
        try:
            codes = rows_in(body, self.server.scorer.schemas)
        except WrongRequestError as wrong:
            self._tell(400, {"error": str(wrong)})
            return
        self._tell(200, {"scores": self.server.scorer.predict(codes).tolist()})

    def _tell(self, code: int, value: dict[str, Any]) -> None:
        self._answer(code, json.dumps(value).encode() + b"\n", "application/json")

    def _answer(self, code: int, body: bytes, kind: str) -> None:
        self.send_response(code)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: a request may hold a customer's numbers."""


class Service(HTTPServer):
    """The service, on a socket that listens already. ``serve_forever`` runs it.

    A connection is a thread, of which there are so many at most: further ones wait.
    """

    request_queue_size = 128

    def __init__(self, listener: socket.socket, scorer: Scorer, keys: Keys) -> None:
        super().__init__(listener.getsockname()[:2], _Handler, bind_and_activate=False)
        self.socket.close()
        self.socket = listener
        self.scorer = scorer
        self._identity = keys.identity
        self._context = context_of(keys)
        self._free = threading.Semaphore(_CONNECTIONS)

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self.socket.getsockname()[1])

    def process_request(self, request: Any, client_address: Any) -> None:
        self._free.acquire()
        threading.Thread(target=self._serve, args=(request, client_address), daemon=True).start()

    def _serve(self, request: socket.socket, client_address: Any) -> None:
        try:
            request.settimeout(_HANDSHAKE_S)
            # A refused or broken connection is its caller's matter.
            with contextlib.suppress(OSError), self._admitted(request) as connection:
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self.finish_request(connection, client_address)
        finally:
            request.close()
            self._free.release()

    @contextlib.contextmanager
    def _admitted(self, request: socket.socket) -> Iterator[ssl.SSLSocket]:
        with self._context.wrap_socket(request, server_side=True) as connection:
            names: Any = (connection.getpeercert() or {}).get("subjectAltName", ())
            if [name for kind, name in names if kind == "URI"] != [self._identity]:
                raise ConnectionRefusedError
            yield connection


def context_of(keys: Keys) -> ssl.SSLContext:
    """Mutual TLS 1.3 with a party's keys, as they were checked: Python's ssl takes files alone, so
    they are given as one in memory."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(cadata=keys.authority.decode())
    number = os.memfd_create("keys", os.MFD_CLOEXEC)
    try:
        os.write(number, keys.certificate + keys.key)
        context.load_cert_chain(f"/proc/self/fd/{number}")
    finally:
        os.close(number)
    return context
