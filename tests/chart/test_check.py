"""``helm test`` passes when every party is at work or done, and says which one is not."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from deployer.commands.check import ask, check, wait
from party.agreement.hosts import Address
from party.process.errors import InputError, JobError


class Party:
    """A party's status port, which says the given bodies in turn, and the last one ever after."""

    def __init__(self, *bodies: bytes) -> None:
        waiting = list(bodies)

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                body = waiting.pop(0) if len(waiting) > 1 else waiting[0]
                self.send_response(200 if self.path == "/status" else 404)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.address = Address("127.0.0.1", self.server.server_port)
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()


def says(phase: str) -> bytes:
    state = {"phase": phase, "epoch": 1, "epochs": 2, "step": 3, "steps": 4}
    return json.dumps(state).encode()


@pytest.fixture
def started(request: pytest.FixtureRequest) -> Iterator[Party]:
    party = Party(*request.param)
    yield party
    party.server.shutdown()
    party.server.server_close()


@pytest.fixture(autouse=True)
def quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("deployer.commands.check._AGAIN_S", 0.01)


def answering(*bodies: bytes) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("started", [bodies], indirect=True, ids=["party"])


@answering(says("starting"), says("joining"), says("done"))
def test_it_waits_until_a_party_is_well(started: Party) -> None:
    answers = wait({"alice": started.address}, 20)
    assert answers["alice"].well
    assert answers["alice"].says == "done, 3 of 4 steps"


@answering(says("failed"))
def test_it_fails_for_a_party_that_has_failed(started: Party) -> None:
    with pytest.raises(JobError, match="not at work within 0 seconds: bob"):
        check([f"bob={started.address}"], timeout=0)


@answering(says("running"))
def test_one_party_that_does_not_answer_is_enough_to_fail(
    started: Party, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(JobError, match="server"):
        check([f"alice={started.address}", "server=127.0.0.1:9"], timeout=0)
    assert "server: does not answer at 127.0.0.1:9" in capsys.readouterr().out


@answering(b"", b"[]", b'{"phase": "done"}', b"\xff", b"<html>")
def test_what_is_no_status_is_not_well(started: Party) -> None:
    for _ in range(5):
        assert not ask(started.address).well


@pytest.mark.parametrize("text", ["alice", "carol=h:1", "alice=h", "=h:1"])
def test_arguments_that_name_no_party_are_refused(text: str) -> None:
    with pytest.raises(InputError):
        check([text], timeout=0)
