"""Who holds the network between the parties can end the job, and neither read nor change it.

Bob, and the third server where it says so, reach Alice through a relay that reads all and changes
what it likes.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.attacks.conftest import Tried
from tests.harness.network import is_tls
from tests.harness.processes import ENDLESS, Processes
from tests.harness.relay import RELAYED, Relay, relayed

pytestmark = [pytest.mark.slow, pytest.mark.drawn]


@pytest.fixture
def relay(processes: Processes) -> Iterator[Relay]:
    """Between Alice and whoever is started with ``config=relayed.json``."""
    with relayed(processes) as made:
        yield made


def through_the_relay(processes: Processes) -> None:
    """Alice as usual; the others reach her through the relay."""
    processes.start("alice")
    for party in ("bob", "server"):
        own = processes.address(party)
        processes.start(party, config=RELAYED, listen=str(own))


def test_who_reads_everything_reads_nothing(
    processes: Processes, relay: Relay, tried: Tried
) -> None:
    """Neither the job's words, nor the parties' names, nor a cell of a table or a weight."""
    through_the_relay(processes)
    processes.completes()
    assert relay.connections >= 2
    seen = bytes(relay.carried[True]), bytes(relay.carried[False])
    model = json.loads((processes.directory / "out/alice/model.json").read_text())
    words = ["spiffe", *(f'"{name}"' for name in ("tiny", "alice", "bob", "server", "hello"))]
    words += [f'"{name}"' for name in ("age", "amount", "fraud")]
    words += [model["plan"], model["job"], *map(str, model["weights"])]
    # what is shorter than five bytes would be found in random ones by chance
    words += [cell for line in _table(processes) for cell in line.split(",") if len(cell) > 4]
    assert len(words) > 20 and min(map(len, words)) > 4
    for carried in seen:
        assert len(carried) > 10_000 and is_tls(carried)
        for word in words:
            assert word.encode() not in carried
    tried(sum(map(len, seen)), "bytes read on the way between the parties")


def _table(processes: Processes) -> list[str]:
    return Path(processes.directory / "alice.csv").read_text().splitlines()


class Once:
    """Changes the record of a number, in one direction, and no other."""

    def __init__(self, number: int, to_alice: bool, what: Callable[[bytes], bytes]) -> None:
        self.number, self.to_alice, self.what = number, to_alice, what
        self.seen, self.done = 0, False

    def __call__(self, record: bytes, to_alice: bool) -> bytes:
        if to_alice != self.to_alice or self.done:
            return record
        self.seen += 1
        if self.seen <= self.number:
            return record
        self.done = True
        return self.what(record)


def older(record: bytes) -> bytes:
    """A ClientHello that no longer says that it can do TLS 1.3."""
    assert b"\x00\x2b" in record
    return record.replace(b"\x00\x2b", b"\xfa\xfa", 1)


def changed(record: bytes) -> bytes:
    return record[:-1] + bytes([record[-1] ^ 1])


def shortened(record: bytes) -> bytes:
    return record[:3] + (len(record) - 6).to_bytes(2, "big") + record[5:-1]


def dropped(record: bytes) -> bytes:
    return b""


def repeated(record: bytes) -> bytes:
    return record + record


def after_a_forged_end(record: bytes) -> bytes:
    """A forged close_notify goes before it."""
    return b"\x15\x03\x03\x00\x02\x01\x00" + record


def after_plain_text(record: bytes) -> bytes:
    """Unencrypted application data goes before it."""
    return b"\x17\x03\x03\x00\x04abcd" + record


HANDSHAKES = [
    (0, True, older),
    (0, True, changed),
    (0, False, changed),
    (2, True, changed),
    (2, False, changed),
    (2, False, dropped),
    (2, True, repeated),
    (1, True, after_plain_text),
]


def test_a_handshake_changed_on_the_way_is_tried_again(
    processes: Processes, relay: Relay, tried: Tried
) -> None:
    """Whatever is done to the handshakes, nobody falls for it; once it ends, the job is done."""
    changes = [Once(*one) for one in HANDSHAKES]
    current = iter(changes)
    present = next(current)

    def change(record: bytes, to_alice: bool) -> bytes:
        nonlocal present
        if present.done and record[0] == 22 and record[5] == 1:  # the next ClientHello
            present = next(current, present)
        return present(record, to_alice)

    relay.change = change
    processes.start("alice")
    processes.start("bob", config=RELAYED, listen=str(processes.address("bob")))
    processes.completes()
    assert all(one.done for one in changes)
    assert relay.connections > len(HANDSHAKES)
    tried(len(HANDSHAKES), "handshakes between two parties changed on the way")


@pytest.mark.parametrize("to_alice", [True, False])
@pytest.mark.parametrize(
    "what", [changed, shortened, dropped, repeated, after_a_forged_end, after_plain_text]
)
def test_a_run_changed_on_the_way_ends_at_both_ends(
    processes: Processes, relay: Relay, tried: Tried, to_alice: bool, what: Callable[[bytes], bytes]
) -> None:
    processes.write_job("job.yaml", **ENDLESS)
    relay.change = Once(500, to_alice, what)
    alice = processes.start("alice")
    bob = processes.start("bob", config=RELAYED, listen=str(processes.address("bob")))
    server = processes.start("server")
    for one in (alice, bob, server):
        code, words = one.ends()
        assert code == 1 and "at step" in words, words
        assert "Traceback" not in words
        assert not (one.output / "model.json").exists()
    tried(1, f"runs with a record on the way {what.__name__.replace('_', ' ')}")
