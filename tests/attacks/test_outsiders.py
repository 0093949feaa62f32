"""Whoever is not a party of the job gets nothing but TLS records, and keeps nobody from the job.

In each test Alice, or Bob, is a real process that waits for the others while it is attacked. Then
the others come, and the job is done with the right result.
"""

from __future__ import annotations

import contextlib
import random
import socket
import ssl
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from deployer import authority as certs
from party.identity import identity
from tests.attacks.conftest import Tried
from tests.attacks.siege import (
    HELLO,
    Encounter,
    Meddling,
    Siege,
    converse,
    descriptors,
    is_tls,
    knock,
    resident_bytes,
    speak,
)
from tests.channel.meeting import message, tls, write_keys
from tests.runtime.scene import JOB, party_command

EACH = 5
"""Times that each certificate is tried."""

Maker = Callable[[Siege, Path], Path | None]
"""Makes an attacker's key directory; None for who has no certificate."""


def nothing(siege: Siege, folder: Path) -> None:
    return None


def forged(siege: Siege, folder: Path) -> Path:
    certs.make_all(JOB["name"], folder, days=1, authority_days=1)
    return folder / "bob"


def signed_by_itself(siege: Siege, folder: Path) -> Path:
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


def signed_by_a_party(siege: Siege, folder: Path) -> Path:
    """Bob makes himself an authority: his certificate signs one for the third server."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    from party.identity import read_certificates

    bob = siege.directory / "keys/bob"
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

    def make(siege: Siege, folder: Path) -> Path:
        now = datetime.now(UTC).replace(microsecond=0)
        both = (
            certs.ExtendedKeyUsageOID.CLIENT_AUTH,
            certs.ExtendedKeyUsageOID.SERVER_AUTH,
        )
        other = (certs.ExtendedKeyUsageOID.CODE_SIGNING,)
        return write_keys(
            folder,
            certs.read_authority(siege.directory / "keys/authority"),
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


def test_no_other_certificate_gets_in(siege: Siege, tried: Tried) -> None:
    siege.waits("alice")
    authority = siege.directory / "keys/authority/ca.crt"
    for number, (name, make) in enumerate(CERTIFICATES.items()):
        keys = make(siege, siege.directory / f"attacker{number}")
        for _ in range(EACH):
            met = knock(siege.address("alice"), tls(keys, authority))
            print(f"{name}: {met.ended}")
            met.gave_nothing_away()
    siege.completes()
    tried(EACH * len(CERTIFICATES), "handshakes with 16 kinds of wrong certificate")


def test_who_answers_in_alices_place_hears_nothing(siege: Siege, tried: Tried) -> None:
    """The dialling end checks as much as the listening one."""
    authority = siege.directory / "keys/authority/ca.crt"
    impostors: dict[str, ssl.SSLContext] = {}
    for number, name in enumerate(
        ("of another authority of the same name", "expired", "not yet valid", "of another job")
    ):
        keys = CERTIFICATES[name](siege, siege.directory / f"attacker{number}")
        assert keys is not None
        impostors[name] = _server(keys, authority)
    impostors["of the third server"] = _server(siege.directory / "keys/server", authority)
    old = _server(siege.directory / "keys/alice", authority)
    old.maximum_version = ssl.TLSVersion.TLSv1_2
    impostors["Alice's own, stolen, but TLS 1.2"] = old

    bob = siege.start("bob")
    with socket.create_server(
        (siege.address("alice").host, siege.address("alice").port)
    ) as listener:
        listener.settimeout(30)
        for context in impostors.values():
            raw, _ = listener.accept()
            with raw:
                raw.settimeout(5)
                converse(raw, context, server=True).gave_nothing_away()
        for words in (b"", b"HTTP/1.1 200 OK\r\n\r\n", b"SSH-2.0-x\r\n", random.randbytes(5000)):
            raw, _ = listener.accept()
            with raw:
                raw.sendall(words)
                raw.shutdown(socket.SHUT_WR)
                raw.settimeout(5)
                with contextlib.suppress(ConnectionError):
                    assert is_tls(raw.recv(65536)), "no more than a ClientHello"
    assert bob.process.poll() is None
    siege.completes()
    tried(len(impostors) + 4, "answers to a dialling party by impostors")


def _server(keys: Path, authority: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(keys / "tls.crt", keys / "tls.key")
    context.load_verify_locations(authority)
    context.verify_mode = ssl.CERT_REQUIRED
    return context


def test_not_even_a_partys_own_key_opens_older_tls(siege: Siege, tried: Tried) -> None:
    siege.waits("alice")
    alice = siege.address("alice")
    keys, authority = siege.directory / "keys/bob", siege.directory / "keys/authority/ca.crt"
    for version in OLD:
        context = tls(keys, authority)
        context.set_ciphers("ALL:@SECLEVEL=0")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            context.minimum_version = context.maximum_version = version
        met = knock(alice, context)
        assert met.version is None
        met.gave_nothing_away()
    downgrades = [
        client_hello(version, suites, extensions)
        for version in (0x0002, 0x0300, 0x0301, 0x0302, 0x0303, 0x0304)
        for suites in ((0xC02B, 0x5600), (0x002F,), (0x1301,), (0x1305,), (0x0000,))
        for extensions in (b"", SUPPORTS_1_2, SUPPORTS_1_3_DRAFT)
    ]
    for words in downgrades:
        met = speak(alice, words)
        met.gave_nothing_away()
        assert met.wire[:1] in (b"", b"\x15"), "an alert, and no ServerHello"
    siege.completes()
    tried(len(OLD) + len(downgrades), "handshakes by older versions of TLS and downgrades")


OLD = (ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1, ssl.TLSVersion.TLSv1_2)
SUPPORTS_1_2 = bytes.fromhex("002b0003020303")
SUPPORTS_1_3_DRAFT = bytes.fromhex("002b0003027f1c")


def client_hello(version: int, suites: tuple[int, ...], extensions: bytes) -> bytes:
    """By hand, since no library of today says such things."""
    named = b"".join(suite.to_bytes(2, "big") for suite in suites)
    body = version.to_bytes(2, "big") + random.randbytes(32) + b"\0"
    body += len(named).to_bytes(2, "big") + named + b"\1\0"
    body += len(extensions).to_bytes(2, "big") + extensions
    record = b"\1" + len(body).to_bytes(3, "big") + body
    return b"\x16\3\1" + len(record).to_bytes(2, "big") + record


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


def test_plain_text_and_random_bytes_are_hung_up_on(siege: Siege, tried: Tried) -> None:
    siege.waits("alice")
    chance = random.Random(1)
    words = [*PLAIN]
    for _ in range(RANDOM_WORDS):
        start = chance.choice((b"", b"\x16", HELLO[: chance.randrange(len(HELLO) + 1)]))
        words.append(start + chance.randbytes(chance.randrange(2000)))
    for one in words:
        speak(siege.address("alice"), one).gave_nothing_away()
    siege.completes()
    tried(len(words), "conversations in plain text and random bytes")


MEDDLED = 300


def test_a_handshake_that_is_meddled_with_comes_to_nothing(siege: Siege, tried: Tried) -> None:
    """Bob's own handshake, of which somebody on the way changes, drops or repeats something."""
    siege.waits("alice")
    keys, authority = siege.directory / "keys/bob", siege.directory / "keys/authority/ca.crt"
    context, chance, came = tls(keys, authority), random.Random(2), 0
    for _ in range(MEDDLED):
        met = knock(siege.address("alice"), context, meddle=Meddling(chance))
        met.gave_nothing_away()
        came += met.version is not None
    siege.completes()
    assert came, "some were spoilt only after the client had done its part"
    tried(MEDDLED, "handshakes with Bob's key, meddled with on the way")


def test_connections_held_open_keep_nobody_out(siege: Siege, tried: Tried) -> None:
    (alice,) = siege.waits("alice")
    before = resident_bytes(alice)
    with held(siege, 300, b"") as silent, held(siege, 300, HELLO) as begun:
        assert descriptors(alice) < 300, "the oldest of too many make room"
        siege.completes()
        assert len(silent) + len(begun) == 600
    print(f"memory before: {before / 2**20:.0f} MiB")
    tried(600, "connections held open while the job was done")


@contextlib.contextmanager
def held(siege: Siege, count: int, words: bytes) -> Iterator[list[socket.socket]]:
    """Connections to Alice that say so much, and no more."""
    address = siege.address("alice")
    with contextlib.ExitStack() as stack:
        made = []
        for _ in range(count):
            one = socket.create_connection((address.host, address.port), 5)
            stack.enter_context(one)
            with contextlib.suppress(ConnectionError):
                one.sendall(words)
            made.append(one)
        yield made


FLOOD, SOURCES = 10_000, 250


@pytest.mark.parametrize("sources", [1, SOURCES])
def test_ten_thousand_connections_keep_nobody_out(siege: Siege, tried: Tried, sources: int) -> None:
    """From one address or from many, half of them before the others come, half while they do."""
    (alice,) = siege.waits("alice")
    before = resident_bytes(alice)
    flood = Flood(siege, FLOOD, sources)
    flood.start()
    flood.reaches(FLOOD // 2)
    highest = resident_bytes(alice, "VmHWM")
    siege.completes()
    flood.ended.set()
    flood.join()
    assert flood.opened >= FLOOD // 2
    assert highest - before < 40 * 2**20, "256 handshakes at a time, and no more"
    tried(flood.opened, f"connections from {sources} address(es) until the job was done")


class Flood(threading.Thread):
    """Opens connections, each with the beginning of a handshake, as fast as it can."""

    def __init__(self, siege: Siege, count: int, sources: int) -> None:
        super().__init__(daemon=True)
        self.address, self.count, self.sources = siege.address("alice"), count, sources
        self.opened = 0
        self.ended = threading.Event()

    def run(self) -> None:
        kept: list[socket.socket] = []
        for number in range(self.count):
            if self.ended.is_set():
                break
            source = number % self.sources
            with contextlib.suppress(OSError):
                kept.append(
                    socket.create_connection(
                        (self.address.host, self.address.port), 1, (f"127.0.1.{source + 1}", 0)
                    )
                )
                self.opened += 1
                kept[-1].sendall(HELLO)
            if len(kept) > 300:
                kept.pop(0).close()
        for one in kept:
            one.close()

    def reaches(self, count: int) -> None:
        """Wait until so many were opened."""
        while self.is_alive() and self.opened < count:
            time.sleep(0.01)


def test_slow_bytes_keep_nobody_out(siege: Siege, tried: Tried) -> None:
    """A byte now and then, on many connections, from before the others come until the end."""
    siege.waits("alice")
    ended = threading.Event()
    with held(siege, 200, HELLO) as slow:

        def drip() -> None:
            while not ended.wait(0.1):
                for one in slow:
                    with contextlib.suppress(OSError):
                        one.send(b"\0")

        thread = threading.Thread(target=drip)
        thread.start()
        try:
            siege.completes()
        finally:
            ended.set()
            thread.join()
    tried(200, "connections that drip a byte each tenth of a second")


def test_a_partys_keys_used_twice_make_no_second_party(siege: Siege, tried: Tried) -> None:
    """Bob's own keys on two machines: who comes first is Bob, the other says whom it met."""
    siege.waits("alice", "bob")
    bob = siege.running[-1]
    bob.says("waiting for server")
    keys, authority = siege.directory / "keys/bob", siege.directory / "keys/authority/ca.crt"
    met: list[Encounter] = []
    for _ in range(20):
        met.append(knock(siege.address("alice"), tls(keys, authority)))
    for one in met:
        assert one.plain == message(b'{"type":"taken"}') and one.ended == "closed"
    elsewhere = f"127.0.0.9:{siege.address('bob').port}"
    options = "--job job.yaml --config config.json --keys keys/bob --table bob.csv --wait 2"
    twin = party_command(
        *("bob", *options.split(), "--output", "out/twin", "--listen", elsewhere),
        *("--cache", str(siege.cache)),
        directory=siege.directory,
    )
    assert twin.returncode == 1
    assert "it has a connection from another bob already" in twin.stderr
    siege.completes()
    tried(21, "connections with the keys of a party that is there")
