"""Whoever is not a party of the job gets nothing but TLS records, and keeps nobody from the job.

In each test Alice, or Bob, is a real process that waits for the others while it is attacked. Then
the others come, and the job is done with the right result.
"""

from __future__ import annotations

import contextlib
import random
import re
import socket
import ssl
import threading
import time
import warnings
from collections import deque
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.x509.oid import ExtendedKeyUsageOID

from deployer.certs import authority as certs
from party.agreement.hosts import Address
from party.identity import identity
from tests.attacks.conftest import Tried
from tests.harness.keys import write_keys
from tests.harness.links import message, tls
from tests.harness.network import (
    HANGS_UP_WITHIN_S,
    HELLO,
    Encounter,
    Meddling,
    alive,
    converse,
    is_tls,
    knock,
    speak,
)
from tests.harness.processes import JOB, Processes, limit_files, party_command, resident_bytes

pytestmark = pytest.mark.slow

EACH = 5
"""Times that each certificate is tried."""

Maker = Callable[[Processes, Path], Path | None]
"""Makes an attacker's key directory; None for who has no certificate."""


def nothing(processes: Processes, folder: Path) -> None:
    return None


def forged(processes: Processes, folder: Path) -> Path:
    certs.make_all(JOB["name"], folder, days=1, authority_days=1)
    return folder / "bob"


def signed_by_itself(processes: Processes, folder: Path) -> Path:
    authority = certs.make_authority(JOB["name"])
    certs.write_files(
        folder,
        {
            "ca.crt": certs.pem(authority.certificate),
            "tls.crt": certs.pem(authority.certificate),
            "tls.key": certs.pem(authority.key),
        },
    )
    return folder


def signed_by_a_party(processes: Processes, folder: Path) -> Path:
    """Bob makes himself an authority: his certificate signs one for the third server."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    from party.identity import read_certificates

    bob = processes.directory / "keys/bob"
    key = serialization.load_pem_private_key((bob / "tls.key").read_bytes(), None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    own = certs.Authority(read_certificates(bob / "tls.crt")[0], key)
    made = write_keys(folder, own, [identity(JOB["name"], "server")])
    chain = (made / "tls.crt").read_bytes() + (bob / "tls.crt").read_bytes()
    (made / "tls.crt").write_bytes(chain)
    return made


def issued(
    *uris: str, begins: timedelta | None = None, ends: timedelta | None = None, usages: int = 2
) -> Maker:
    """By the job's own authority, which was fooled."""

    def make(processes: Processes, folder: Path) -> Path:
        now = datetime.now(UTC).replace(microsecond=0)
        both = (
            ExtendedKeyUsageOID.CLIENT_AUTH,
            ExtendedKeyUsageOID.SERVER_AUTH,
        )
        other = (ExtendedKeyUsageOID.CODE_SIGNING,)
        return write_keys(
            folder,
            certs.read_authority(processes.directory / "keys/authority"),
            uris,
            None if begins is None else now + begins,
            None if ends is None else now + ends,
            both if usages else other,
        )

    return make


BOB = identity(JOB["name"], "bob")
DAY = timedelta(days=1)

CERTIFICATES: dict[str, Maker] = {
    "none": nothing,
    "of another authority of the same name": forged,
    "of its own making": signed_by_itself,
    "signed by a party": signed_by_a_party,
    "expired": issued(BOB, begins=-2 * DAY, ends=-DAY),
    "not yet valid": issued(BOB, begins=DAY, ends=2 * DAY),
    "for another use": issued(BOB, usages=0),
    "of the listening party itself": issued(identity(JOB["name"], "alice")),
    "of a stranger to the job": issued(identity(JOB["name"], "eve")),
    "of another job": issued(identity("other", "bob")),
    "of a job whose name begins alike": issued(identity(JOB["name"] + "-2", "bob")),
    "of a longer name": issued(BOB + "/x"),
    "of a name in capitals": issued(identity(JOB["name"], "BOB")),
    "of a name with a host and a port": issued(BOB.replace("tiny", "tiny:443")),
    "of two parties at once": issued(BOB, identity(JOB["name"], "server")),
    "of nobody": issued(),
}


def test_no_other_certificate_gets_in(processes: Processes, tried: Tried) -> None:
    processes.waits("alice")
    authority = processes.directory / "keys/authority/ca.crt"
    for number, (name, make) in enumerate(CERTIFICATES.items()):
        keys = make(processes, processes.directory / f"attacker{number}")
        for _ in range(EACH):
            met = knock(processes.address("alice"), tls(keys, authority))
            print(f"{name}: {met.ended}")
            met.gave_nothing_away()
    processes.completes()
    tried(EACH * len(CERTIFICATES), "handshakes with 16 kinds of wrong certificate")


def test_who_answers_in_alices_place_hears_nothing(processes: Processes, tried: Tried) -> None:
    """The dialling end checks as much as the listening one."""
    authority = processes.directory / "keys/authority/ca.crt"
    impostors: dict[str, ssl.SSLContext] = {}
    for number, name in enumerate(
        ("of another authority of the same name", "expired", "not yet valid", "of another job")
    ):
        keys = CERTIFICATES[name](processes, processes.directory / f"attacker{number}")
        assert keys is not None
        impostors[name] = _server(keys, authority)
    impostors["of the third server"] = _server(processes.directory / "keys/server", authority)
    old = _server(processes.directory / "keys/alice", authority)
    old.maximum_version = ssl.TLSVersion.TLSv1_2
    impostors["Alice's own, stolen, but TLS 1.2"] = old

    bob = processes.start("bob")
    with socket.create_server(
        (processes.address("alice").host, processes.address("alice").port)
    ) as listener:
        listener.settimeout(HANGS_UP_WITHIN_S)
        for context in impostors.values():
            raw, _ = listener.accept()
            with raw:
                raw.settimeout(HANGS_UP_WITHIN_S)
                converse(raw, context, server=True).gave_nothing_away()
        for words in (b"", b"HTTP/1.1 200 OK\r\n\r\n", b"SSH-2.0-x\r\n", random.randbytes(5000)):
            raw, _ = listener.accept()
            with raw:
                raw.sendall(words)
                raw.shutdown(socket.SHUT_WR)
                raw.settimeout(HANGS_UP_WITHIN_S)
                with contextlib.suppress(ConnectionError):
                    assert is_tls(raw.recv(65536)), "no more than a ClientHello"
    assert bob.process.poll() is None
    processes.completes()
    tried(len(impostors) + 4, "answers to a dialling party by impostors")


def _server(keys: Path, authority: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(keys / "tls.crt", keys / "tls.key")
    context.load_verify_locations(authority)
    context.verify_mode = ssl.CERT_REQUIRED
    return context


OLD = (ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1, ssl.TLSVersion.TLSv1_2)


def test_not_even_a_partys_own_key_opens_older_tls(processes: Processes, tried: Tried) -> None:
    processes.waits("alice")
    keys, authority = (
        processes.directory / "keys/bob",
        processes.directory / "keys/authority/ca.crt",
    )
    with lenient(processes.directory / "keys/alice", authority) as control:
        for version in OLD:
            context = tls(keys, authority)
            _allow(context, version, version)
            assert knock(control, context).version == version.name.replace("_", ".")
            met = knock(processes.address("alice"), context)
            assert met.version is None
            met.gave_nothing_away()
    processes.completes()
    tried(len(OLD), "handshakes with Bob's key by TLS 1.0, 1.1 and 1.2")


ALERT_OF_ITS_VERSION = re.compile(rb"\x15\x03.\x00\x02\x02\x46", re.DOTALL)
"""What a server says to who speaks no version that it does, and nothing else: a record of two
bytes, of which the second is 70, protocol_version."""


def test_a_hello_of_older_tls_gets_an_alert_where_a_lenient_server_goes_on(
    processes: Processes, tried: Tried
) -> None:
    """The very same bytes are said to Alice and to a server with her certificate that takes any
    version: what that one refuses too says nothing of Alice, and is not counted as a downgrade."""
    processes.waits("alice")
    taken = refused = 0
    keys, authority = (
        processes.directory / "keys/alice",
        processes.directory / "keys/authority/ca.crt",
    )
    with lenient(keys, authority) as control:
        for words in hellos():
            met = speak(processes.address("alice"), words)
            met.gave_nothing_away()
            if is_server_hello(speak(control, words).wire):
                taken += 1
                assert ALERT_OF_ITS_VERSION.fullmatch(met.wire), met
            else:
                refused += 1
                assert met.wire[:1] in (b"", b"\x15"), "an alert, and no ServerHello"
    processes.completes()
    assert taken >= len(VERSIONS) * len(SUITES_OF_ALL) * len(TAKEN), "hellos that are good ones"
    tried(taken, "hellos of TLS 1.0 to 1.2 that a lenient server takes up")
    tried(refused, "other hellos, which the lenient server refuses too")


VERSIONS = (0x0301, 0x0302, 0x0303)
SUITES_OF_ALL = ((0xC009,), (0xC00A,), (0xC00A, 0xC009, 0x00FF))
"""Of every version since TLS 1.0, and of a certificate with an ECDSA key."""
SUITES_OF_1_2 = ((0xC02B,), (0xC02C,), (0xC023,), (0xCCA9,), (0xC02B, 0xC009, 0x1301))
SUITES_OF_NONE = ((0xC02B, 0x5600), (0x002F,), (0x1301,), (0x1305,), (0x0000,))

KINDS = bytes.fromhex("000a00060004001d0017 000d00080006040308040203")  # groups and signatures
EXTENDED = bytes.fromhex("00170000")  # master secret
SUPPORTS_1_2 = bytes.fromhex("002b00050403030302")
SUPPORTS_1_0 = bytes.fromhex("002b0003020301")
SUPPORTS_1_3_DRAFT = bytes.fromhex("002b0003027f1c")
TAKEN = (KINDS, KINDS + EXTENDED, bytes.fromhex("ff01000100") + KINDS)


def hellos() -> Iterator[bytes]:
    """In which TLS 1.2 or older is all that is offered: good ones, and such as are not."""
    for version in (0x0002, 0x0300, *VERSIONS, 0x0304):
        for suites in SUITES_OF_ALL + SUITES_OF_1_2 + SUITES_OF_NONE:
            for extensions in (*TAKEN, KINDS + SUPPORTS_1_2, KINDS + SUPPORTS_1_0):
                yield client_hello(version, suites, extensions)
            yield client_hello(version, suites, KINDS + SUPPORTS_1_3_DRAFT)
            yield client_hello(version, suites, b"")


def client_hello(version: int, suites: tuple[int, ...], extensions: bytes) -> bytes:
    """By hand, since no library of today says such things."""
    named = b"".join(suite.to_bytes(2, "big") for suite in suites)
    body = version.to_bytes(2, "big") + random.randbytes(32) + b"\0"
    body += len(named).to_bytes(2, "big") + named + b"\1\0"
    body += len(extensions).to_bytes(2, "big") + extensions
    record = b"\1" + len(body).to_bytes(3, "big") + body
    return b"\x16\3\1" + len(record).to_bytes(2, "big") + record


def is_server_hello(wire: bytes) -> bool:
    """Whether a handshake goes on: its record is one of the handshake, and its message the 2nd."""
    return wire[:1] == b"\x16" and wire[5:6] == b"\2"


@contextlib.contextmanager
def lenient(keys: Path, authority: Path) -> Iterator[Address]:
    """A server that speaks any TLS there is, one connection at a time."""
    context = _server(keys, authority)
    _allow(context, ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_3)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=_serve, args=(listener, context))
        thread.start()
        try:
            yield Address(*listener.getsockname())
        finally:
            listener.shutdown(socket.SHUT_RDWR)  # and the thread comes back from waiting
            thread.join()


def _serve(listener: socket.socket, context: ssl.SSLContext) -> None:
    while True:
        try:
            raw, _ = listener.accept()
        except OSError:
            return
        with raw, contextlib.suppress(OSError):
            raw.settimeout(HANGS_UP_WITHIN_S)
            context.wrap_socket(raw, server_side=True).close()  # it has shaken hands


def _allow(context: ssl.SSLContext, lowest: ssl.TLSVersion, highest: ssl.TLSVersion) -> None:
    """Versions and suites that are in use no more."""
    context.set_ciphers("ALL:@SECLEVEL=0")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version, context.maximum_version = lowest, highest


PLAIN = [
    b"GET / HTTP/1.1\r\nHost: alice\r\n\r\n",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(9),  # as gRPC, and so TensorFlow, begins
    b"SSH-2.0-x\r\n",
    b"\x00\x00\x00\x02{}",
    b"\x02\x00\x00\x00{}",
    b"*1\r\n$4\r\nINFO\r\n",
    b"\x16\x03\x01\xff\xff",
    b"\x16\x03\x01\x00\x00" * 100,
    b"\x14\x03\x03\x00\x01\x01" * 100,
    b"\x15\x03\x03\x00\x02\x01\x00" * 100,
    b"\x17\x03\x03\x40\x00" + bytes(0x4000),
    b"\x80\x2e\x01\x00\x02" + bytes(41),
    HELLO,
    bytes(100_000),
]
RANDOM_WORDS = 500


def test_plain_text_and_random_bytes_are_hung_up_on(processes: Processes, tried: Tried) -> None:
    processes.waits("alice")
    chance = random.Random(1)
    words = [*PLAIN]
    for _ in range(RANDOM_WORDS):
        start = chance.choice((b"", b"\x16", HELLO[: chance.randrange(len(HELLO) + 1)]))
        words.append(start + chance.randbytes(chance.randrange(2000)))
    for one in words:
        speak(processes.address("alice"), one).gave_nothing_away()
    processes.completes()
    tried(len(words), "conversations in plain text and random bytes")


MEDDLED = 300


def test_a_handshake_that_is_meddled_with_comes_to_nothing(
    processes: Processes, tried: Tried
) -> None:
    """Bob's own handshake, of which somebody on the way changes, drops or repeats something."""
    processes.waits("alice")
    keys, authority = (
        processes.directory / "keys/bob",
        processes.directory / "keys/authority/ca.crt",
    )
    context, chance, came = tls(keys, authority), random.Random(2), 0
    for _ in range(MEDDLED):
        met = knock(processes.address("alice"), context, meddle=Meddling(chance))
        met.gave_nothing_away()
        came += met.version is not None
    processes.completes()
    assert came, "some were spoilt only after the client had done its part"
    tried(MEDDLED, "handshakes with Bob's key, meddled with on the way")


STRANGERS, HANDSHAKES = 256, 64
"""Connections without a certificate that a party bears, and those of them that have begun to shake
hands, as docs/security.md has it."""

STAGE_S = 10.0
"""So long it bears each of them."""


def test_connections_held_open_keep_nobody_out(processes: Processes, tried: Tried) -> None:
    """Of more than a party bears as many as it does are held when the others come."""
    (alice,) = processes.waits("alice")
    limit_files(alice)
    for _ in range(5):
        since = time.monotonic()
        with held(processes, 300, b"") as silent, held(processes, 300, HELLO) as begun:
            all_are_served(processes)
            assert len(alive(begun)) <= HANDSHAKES
            count = len(alive(silent + begun))
            assert count <= STRANGERS, "the oldest of too many make room"
            if time.monotonic() - since > STAGE_S:
                continue  # a busy machine: the first of them were hung up on as it is due
            assert count > HANDSHAKES, "and no others"
            processes.completes()
            break
    else:
        pytest.fail("not once were all of them opened while a party bears the first")
    tried(600, "connections opened to be held, of which the oldest made room")
    tried(count, "connections held open when the others came")


@contextlib.contextmanager
def held(processes: Processes, count: int, words: bytes) -> Iterator[list[socket.socket]]:
    """Connections to Alice that say so much, and no more."""
    address = processes.address("alice")
    with contextlib.ExitStack() as stack:
        made = []
        for _ in range(count):
            one = socket.create_connection((address.host, address.port), HANGS_UP_WITHIN_S)
            stack.enter_context(one)
            with contextlib.suppress(ConnectionError):
                one.sendall(words)
            made.append(one)
        yield made


def all_are_served(processes: Processes) -> None:
    """Whoever came before has had its turn: Alice takes one after the other."""
    authority = processes.directory / "keys/authority/ca.crt"
    knock(processes.address("alice"), tls(None, authority)).gave_nothing_away()


FLOOD, SOURCES = 10_000, 250


@pytest.mark.parametrize("sources", [1, SOURCES])
def test_ten_thousand_connections_keep_nobody_out(
    processes: Processes, tried: Tried, sources: int
) -> None:
    """From one address or from many, before the others come and until they are there."""
    (alice,) = processes.waits("alice")
    limit_files(alice)
    before = resident_bytes(alice)
    with Flood(processes, sources) as flood:
        flood.reaches(FLOOD)
        taken = resident_bytes(alice, "VmHWM") - before
        came = flood.knocked
        processes.completes()
    assert flood.knocked > came, "it went on while the others came"
    print(f"memory: {taken / 2**20:.1f} MiB")
    assert taken < 20 * 2**20, f"{HANDSHAKES} handshakes at a time, and no more"
    tried(flood.opened, f"connections from {sources} address(es) until the others were there")


class Flood(threading.Thread):
    """Opens connections, each with the beginning of a handshake, as fast as it can, until it is
    ended or Alice listens no more, because the others are there."""

    def __init__(self, processes: Processes, sources: int) -> None:
        super().__init__(daemon=True)
        self.address, self.sources = processes.address("alice"), sources
        self.knocked = self.opened = 0
        self.ended = threading.Event()

    def __enter__(self) -> Flood:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.ended.set()
        self.join()

    def run(self) -> None:
        kept: deque[socket.socket] = deque()
        while not self.ended.is_set():
            try:
                self.knocked += 1
                kept.append(self._open())
                self.opened += 1
                kept[-1].sendall(HELLO)
            except ConnectionRefusedError:
                break
            except OSError:  # hung up on
                pass
            if len(kept) > 300:
                kept.popleft().close()
        for one in kept:
            one.close()

    def _open(self) -> socket.socket:
        source = f"127.0.1.{self.opened % self.sources + 1}"
        place = self.address.host, self.address.port
        return socket.create_connection(place, 0.1, (source, 0))  # or its queue is full

    def reaches(self, count: int) -> None:
        """Wait until so many were opened."""
        while self.opened < count:
            assert self.is_alive()
            time.sleep(0.01)


def test_slow_bytes_keep_nobody_out(processes: Processes, tried: Tried) -> None:
    """A byte now and then, on as many connections as may shake hands, from before the others come
    until the end."""
    processes.waits("alice")
    ended, dripped = threading.Event(), 0
    with held(processes, 200, HELLO) as slow:
        all_are_served(processes)
        count = len(alive(slow))
        assert 0 < count <= HANDSHAKES

        def drip() -> None:
            nonlocal dripped
            while not ended.wait(0.1):
                for one in slow:
                    with contextlib.suppress(OSError):
                        dripped += one.send(b"\0")

        thread = threading.Thread(target=drip)
        thread.start()
        try:
            processes.completes()
        finally:
            ended.set()
            thread.join()
    assert dripped > count
    tried(count, "connections that drip a byte each tenth of a second when the others come")


def test_a_partys_keys_used_twice_make_no_second_party(processes: Processes, tried: Tried) -> None:
    """Bob's own keys on two machines: who comes first is Bob, the other says whom it met."""
    processes.waits("alice", "bob")
    bob = processes.running[-1]
    bob.says("waiting for server")
    keys, authority = (
        processes.directory / "keys/bob",
        processes.directory / "keys/authority/ca.crt",
    )
    met: list[Encounter] = []
    for _ in range(20):
        met.append(knock(processes.address("alice"), tls(keys, authority)))
    for one in met:
        assert one.plain == message(b'{"type":"taken"}') and one.ended == "closed"
    elsewhere = f"127.0.0.9:{processes.address('bob').port}"
    options = "--job job.yaml --config config.json --keys keys/bob --table bob.csv --wait 6"
    twin = party_command(
        *("bob", *options.split(), "--output", "out/reference", "--listen", elsewhere),
        *("--cache", str(processes.cache)),
        directory=processes.directory,
    )
    assert twin.returncode == 1
    assert "it has a connection from another bob already" in twin.stderr
    processes.completes()
    tried(21, "connections with the keys of a party that is there")
