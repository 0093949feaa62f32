"""``/healthz``, ``/readyz``, ``/metrics`` and ``/status`` over HTTP, for kubelets and Prometheus.

A stranger who gets through to it learns the phase and how many steps are done, and can neither
change anything nor wear the party down: one thread answers short GET requests, each within two
seconds or not at all, and the oldest of too many connections makes room for the newest.
"""

from __future__ import annotations

import contextlib
import json
import select
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

from party.reporting.documents import PublicStatus, StatusDocument

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry
    from prometheus_client.core import Metric

Snapshot = Callable[[], StatusDocument]

_CONNECTIONS = 64
_DEADLINE_S = 2.0
_REQUEST_BYTES = 4096
_STATUS = f"/{PublicStatus.NAME}".encode()
_READY = ("done",)
"""Kubernetes calls a party ready that has done its job: ``kubectl wait``, ``helm --wait`` and Argo
CD wait for that, and a PodDisruptionBudget tells by it who is still needed."""


@dataclass(eq=False)
class _Exchange:
    socket: socket.socket
    deadline: float
    request: bytes = b""
    answer: bytes = field(default=b"")


class Probes:
    """Serves until ``close``, in a thread of its own.

    ``snapshot`` gives the party's state, ``traffic`` its counters so far.
    """

    def __init__(
        self, listener: socket.socket, snapshot: Snapshot, traffic: Callable[[], dict[str, int]]
    ) -> None:
        self._listener = listener
        self._listener.setblocking(False)
        self._snapshot = snapshot
        self._traffic = traffic
        self._registry: CollectorRegistry | None = None
        self._exchanges: dict[int, _Exchange] = {}
        self._ended, self._end = socket.socketpair()
        self._thread = threading.Thread(target=self._serve, name="probes", daemon=True)
        self._thread.start()

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self._listener.getsockname()[1])

    def close(self) -> None:
        """End the thread and every connection."""
        self._end.send(b"\0")
        self._thread.join()
        for exchange in list(self._exchanges.values()):
            self._drop(exchange)
        for one in (self._listener, self._ended, self._end):
            one.close()

    def _serve(self) -> None:
        while True:
            poll = select.poll()
            poll.register(self._ended, select.POLLIN)
            poll.register(self._listener, select.POLLIN)
            for number, exchange in self._exchanges.items():
                poll.register(number, select.POLLOUT if exchange.answer else select.POLLIN)
            events = dict(poll.poll(1000 if self._exchanges else None))
            if self._ended.fileno() in events:
                return
            for number in events:
                if number in self._exchanges:
                    exchange = self._exchanges[number]
                    try:
                        self._go_on(exchange)
                    except OSError:
                        self._drop(exchange)
            now = time.monotonic()
            for exchange in [one for one in self._exchanges.values() if now > one.deadline]:
                self._drop(exchange)
            if self._listener.fileno() in events:
                self._accept(now)

    def _accept(self, now: float) -> None:
        with contextlib.suppress(OSError):
            one, _ = self._listener.accept()
            one.setblocking(False)
            if len(self._exchanges) >= _CONNECTIONS:
                self._drop(next(iter(self._exchanges.values())))
            self._exchanges[one.fileno()] = _Exchange(one, now + _DEADLINE_S)

    def _go_on(self, exchange: _Exchange) -> None:
        if not exchange.answer:
            piece = exchange.socket.recv(_REQUEST_BYTES - len(exchange.request))
            exchange.request += piece
            if not piece or len(exchange.request) >= _REQUEST_BYTES:
                self._drop(exchange)
                return
            if b"\r\n\r\n" not in exchange.request and b"\n\n" not in exchange.request:
                return
            exchange.answer = self._answer(exchange.request)
        sent = exchange.socket.send(exchange.answer)
        exchange.answer = exchange.answer[sent:]
        if not exchange.answer:
            with contextlib.suppress(OSError):
                exchange.socket.shutdown(socket.SHUT_WR)
            self._drop(exchange)

    def _drop(self, exchange: _Exchange) -> None:
        self._exchanges.pop(exchange.socket.fileno(), None)
        exchange.socket.close()

    def _answer(self, request: bytes) -> bytes:
        words = request.split(b"\r\n", 1)[0].split(b" ")
        if len(words) != 3 or words[0] not in (b"GET", b"HEAD"):
            return _response(405, "text/plain", b"only GET\n")
        path = words[1].split(b"?", 1)[0]
        kind, body, code = "text/plain", b"", 200
        if path == b"/healthz":
            body = b"ok\n"
        elif path == b"/readyz":
            phase = self._snapshot().phase
            code, body = 200 if phase in _READY else 503, f"{phase}\n".encode()
        elif path == _STATUS:
            kind = "application/json"
            body = json.dumps(self._snapshot().public().as_json()).encode() + b"\n"
        elif path == b"/metrics":
            kind, body = "text/plain; version=0.0.4; charset=utf-8", self._metrics()
        else:
            code, body = 404, b"nothing here\n"
        return _response(code, kind, body if words[0] == b"GET" else b"")

    def _metrics(self) -> bytes:
        # Imported when first asked for: most parties of a small job are never asked.
        from prometheus_client import CollectorRegistry, generate_latest

        if self._registry is None:
            self._registry = CollectorRegistry(auto_describe=False)
            self._registry.register(_Collector(self._snapshot, self._traffic))
        return generate_latest(self._registry)


class _Collector:
    def __init__(self, snapshot: Snapshot, traffic: Callable[[], dict[str, int]]) -> None:
        self._snapshot, self._traffic = snapshot, traffic

    def collect(self) -> Iterator[Metric]:
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

        state = self._snapshot()
        phase = GaugeMetricFamily("party_phase", "1 for the present phase.", labels=["phase"])
        phase.add_metric([state.phase], 1)
        yield phase
        if state.cause is not None:
            failed = GaugeMetricFamily("party_failed", "1 for why it failed.", labels=["cause"])
            failed.add_metric([state.cause], 1)
            yield failed
        rejoins = "How often the run went on after a fault."
        yield CounterMetricFamily("party_rejoins", rejoins, value=state.rejoins)
        for name, words, value in (
            ("epoch", "The epoch at hand, from 1.", state.epoch),
            ("epochs", "Epochs of the job.", state.epochs),
            ("step", "Steps done.", state.step),
            ("steps", "Steps of the job.", state.steps),
            ("disk_full", "1 while its disk takes nothing.", int(state.disk_full)),
        ):
            yield GaugeMetricFamily(f"party_{name}", words, value=value)
        yield GaugeMetricFamily("party_steps_per_second", "Pace.", value=state.rate or 0)
        for name, words, moment, labels in (
            (
                "certificate_expiry_timestamp_seconds",
                "When the certificate that the next join takes ends.",
                state.certificate_expires,
                {},
            ),
            (
                "checkpoint_timestamp_seconds",
                "When the newest checkpoint on the disk was written.",
                state.checkpoint,
                {},
            ),
            (
                "last_failure_timestamp_seconds",
                "When the party failed before it was started again, and why.",
                state.last_failed,
                {"cause": state.last_cause or "internal"},
            ),
        ):
            if moment is not None:
                made = GaugeMetricFamily(f"party_{name}", words, labels=list(labels))
                made.add_metric(list(labels.values()), datetime.fromisoformat(moment).timestamp())
                yield made
        for name, count in self._traffic().items():
            yield CounterMetricFamily(f"party_{name}", "Since the start of the run.", value=count)


def _response(code: int, kind: str, body: bytes) -> bytes:
    words = {200: "OK", 404: "Not Found", 405: "Method Not Allowed", 503: "Service Unavailable"}
    head = (
        f"HTTP/1.1 {code} {words[code]}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n"
        "Cache-Control: no-store\r\nConnection: close\r\n\r\n"
    )
    return head.encode() + body
