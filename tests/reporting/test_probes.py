"""The probes answer kubelets, tell strangers nothing, and cannot be worn down."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from party.reporting import probes as limits
from party.reporting.documents import StatusDocument
from party.reporting.probes import Probes


class Answering:
    """Probes over a state that a test may change."""

    def __init__(self) -> None:
        self.state = StatusDocument(
            party="alice",
            job="0" * 64,
            phase="running",
            epoch=2,
            epochs=3,
            step=7,
            steps=9,
            rate=1.5,
            message="a secret",
            waiting_for=("bob",),
            started="then",
            updated="now",
        )
        listener = socket.create_server(("127.0.0.1", 0))
        self.probes = Probes(listener, lambda: self.state, lambda: {"bytes_sent": 12})

    def dial(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.probes.port), 30)

    def ask(self, path: str, method: str = "GET") -> tuple[int, dict[str, str], str]:
        with self.dial() as one:
            one.sendall(f"{method} {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            got = b""
            while piece := one.recv(65536):
                got += piece
        head, _, body = got.decode().partition("\r\n\r\n")
        first, *lines = head.split("\r\n")
        fields = dict(line.split(": ", 1) for line in lines)
        assert int(fields["Content-Length"]) == len(body.encode())
        return int(first.split()[1]), fields, body


@pytest.fixture
def answering(monkeypatch: pytest.MonkeyPatch) -> Iterator[Answering]:
    """Whoever asks may be held up for longer than the product gives it."""
    monkeypatch.setattr(limits, "_DEADLINE_S", 600.0)
    made = Answering()
    yield made
    made.probes.close()


def test_metrics_say_why_it_failed_before_and_when_what_it_needs_ends(
    answering: Answering,
) -> None:
    told = {"last_cause": "disk-full", "last_failed": "2026-01-01T00:00:00+00:00"}
    told |= {"certificate_expires": "2026-01-01T00:00:01+00:00"}
    assert "party_last_failure" not in answering.ask("/metrics")[2]
    answering.state = answering.state.model_copy(update=told)
    metrics = answering.ask("/metrics")[2]
    assert 'party_last_failure_timestamp_seconds{cause="disk-full"} 1.7672256e+09' in metrics
    assert "party_certificate_expiry_timestamp_seconds 1.767225601e+09" in metrics
    assert "party_checkpoint_timestamp" not in metrics


def test_metrics_say_whether_the_disk_is_full(answering: Answering) -> None:
    assert "party_disk_full 0.0" in answering.ask("/metrics")[2]
    answering.state = answering.state.model_copy(update={"disk_full": True})
    assert "party_disk_full 1.0" in answering.ask("/metrics")[2]


@pytest.mark.parametrize(
    ("phase", "code"),
    [
        ("starting", 503),
        ("table", 503),
        ("plan", 503),
        ("joining", 503),
        ("running", 503),
        ("revealing", 503),
        ("done", 200),
        ("failed", 503),
    ],
)
def test_a_party_is_ready_when_it_is_done(answering: Answering, phase: str, code: int) -> None:
    answering.state = answering.state.model_copy(update={"phase": phase})
    assert answering.ask("/readyz")[0] == code
    assert answering.ask("/healthz")[::2] == (200, "ok\n")


def test_the_status_tells_a_stranger_phase_and_counts_and_no_more(answering: Answering) -> None:
    code, fields, body = answering.ask("/status")
    assert (code, fields["Content-Type"]) == (200, "application/json")
    expected = {"phase": "running", "epoch": 2, "epochs": 3, "step": 7, "steps": 9, "version": 1}
    assert json.loads(body) == expected
    for path in ("/metrics", "/readyz", "/healthz", "/"):
        assert "secret" not in answering.ask(path)[2]
        assert "0000" not in answering.ask(path)[2]


def test_prometheus_can_read_the_metrics(answering: Answering) -> None:
    from prometheus_client.parser import text_string_to_metric_families

    _, fields, body = answering.ask("/metrics")
    assert fields["Content-Type"].startswith("text/plain; version=0.0.4")
    values = {
        sample.name: sample.value
        for family in text_string_to_metric_families(body)
        for sample in family.samples
    }
    assert values["party_step"] == 7 and values["party_steps_per_second"] == 1.5
    assert values["party_bytes_sent_total"] == 12


@pytest.mark.parametrize(
    ("path", "method", "code"),
    [
        ("/model.json", "GET", 404),
        ("/../etc/passwd", "GET", 404),
        ("/status", "POST", 405),
        ("/status", "PUT", 405),
        ("/healthz?x=y", "GET", 200),
    ],
)
def test_there_is_nothing_else(answering: Answering, path: str, method: str, code: int) -> None:
    assert answering.ask(path, method)[0] == code


@settings(max_examples=40, suppress_health_check=list(HealthCheck))
@given(junk=st.binary(min_size=1, max_size=6000))
def test_junk_harms_nobody(answering: Answering, junk: bytes) -> None:
    with answering.dial() as one, contextlib.suppress(OSError):
        one.sendall(junk)
        one.shutdown(socket.SHUT_WR)
        while one.recv(1000):
            pass
    assert answering.ask("/healthz")[0] == 200


def test_connections_held_open_keep_no_kubelet_out(answering: Answering) -> None:
    before = threading.active_count()
    with contextlib.ExitStack() as held:
        first = held.enter_context(answering.dial())
        for _ in range(300):
            held.enter_context(answering.dial()).sendall(b"GET /healthz HTT")
        assert answering.ask("/healthz")[0] == 200
        assert first.recv(1) == b"", "it made room"
        assert threading.active_count() == before


def test_slow_bytes_are_cut_off(answering: Answering, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "_DEADLINE_S", 0.2)
    with answering.dial() as one:
        one.sendall(b"G")
        assert one.recv(1) == b""
