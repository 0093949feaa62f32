"""A connection is made between two parties of the same job, and with nobody else."""

from __future__ import annotations

import base64
import contextlib
import datetime
import os
import select
import socket
import ssl
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from deployer.certs import authority as certs
from party.identity import load_keys
from party.native import AuthorityError, ChannelError, Connection, Context, Want
from party.process.errors import InputError
from tests.harness.keys import context, contexts, write_keys
from tests.harness.links import LIMIT_S, shake

Ends = tuple[socket.socket, socket.socket]
NOW = datetime.datetime.now(datetime.UTC)
DAY = datetime.timedelta(days=1)


@pytest.fixture
def ends() -> Iterator[Ends]:
    """Two connected sockets that never block."""
    one, other = socket.socketpair()
    for each in (one, other):
        each.setblocking(False)
    yield one, other
    one.close()
    other.close()


def said(work: Callable[[], object], times: int = 20) -> str:
    """The error of something that is tried again until it has one."""
    try:
        for _ in range(times):
            work()
    except ChannelError as error:
        return str(error)
    raise AssertionError("nothing is wrong")


def stranger(ends: Ends, server: Context, client: Context) -> tuple[str, str]:
    """How both ends of a connection that is not to be see its end."""
    one, other = (
        Connection(server, ends[0].fileno(), True),
        Connection(client, ends[1].fileno(), False),
    )
    with contextlib.suppress(ChannelError):
        for _ in range(4):
            other.handshake()
            one.handshake()

    def listen() -> None:
        if other.handshake() is Want.DONE:
            other.read(1)

    return said(one.handshake), said(listen)


def test_two_parties_of_a_job_know_each_other(tls: list[Context], ends: Ends) -> None:
    one, other = (
        Connection(tls[0], ends[0].fileno(), True),
        Connection(tls[1], ends[1].fileno(), False),
    )
    shake(one, other)
    assert one.peer_identity() == "spiffe://exchange/bob"
    assert other.peer_identity() == "spiffe://exchange/alice"
    assert one.read(10) is Want.READ
    assert other.write(b"hello") == 5
    assert one.read(3) == b"hel"
    assert one.read(10) == b"lo"
    ends[1].shutdown(socket.SHUT_WR)
    assert said(lambda: one.read(1)) == "the peer has closed the connection"


MEMORY = """
import ctypes, select, socket, sys
from party.native import Connection, Context, Want
from party.native.library import library
folder, number = sys.argv[1:]
names = ("ca.crt", "tls.crt", "tls.key")
context = Context(*(open(f"{folder}/{name}", "rb").read() for name in names))
end = socket.socket(fileno=int(number))
connection = Connection(context, end.fileno(), True)
while connection.handshake() is not Want.DONE:
    select.select([end], [], [], 1)
held, got = ctypes.create_string_buffer(9000), 0
while got < 9000:
    taken = library().kit_connection_read(connection.handle, ctypes.byref(held, got), 9000 - got)
    got += max(taken, 0)
    select.select([] if taken > 0 else [end], [], [], 1)
print("read", flush=True)
sys.stdin.readline()
ctypes.memset(held, 0, 9000)
print("wiped", flush=True)
sys.stdin.readline()
"""
"""Reads a message into a buffer, then wipes that."""


@pytest.mark.slow
@pytest.mark.skipif(os.geteuid() != 0, reason="only root looks into another process's memory")
@pytest.mark.skipif(
    "libasan" in os.environ.get("LD_PRELOAD", ""), reason="a sanitizer keeps what was freed"
)
def test_openssl_keeps_nothing_of_what_it_handed_on(tmp_path: Path) -> None:
    """What a peer sends are shares."""
    made = contexts(tmp_path)
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    theirs.setblocking(False)
    command = [sys.executable, "-c", MEMORY, str(tmp_path / "alice"), str(theirs.fileno())]
    reader = subprocess.Popen(
        command, pass_fds=[theirs.fileno()], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert reader.stdin is not None and reader.stdout is not None
    with ours, theirs, reader:
        connection = Connection(made[1], ours.fileno(), False)
        while connection.handshake() is not Want.DONE:
            assert reader.poll() is None
            select.select([ours], [], [], 1)
        message = os.urandom(9000)
        assert connection.write(message) == 9000
        assert reader.stdout.readline() == b"read\n"
        assert in_memory(reader.pid, message) == 9, "this is how it is looked for"
        reader.stdin.write(b"\n")
        reader.stdin.flush()
        assert reader.stdout.readline() == b"wiped\n"
        # A vector register with the last bytes moved may have been saved on the stack meanwhile.
        assert in_memory(reader.pid, message) <= 1
        reader.kill()


def in_memory(pid: int, message: bytes) -> int:
    """How many of nine pieces of a message a process holds somewhere."""
    found = set()
    with Path(f"/proc/{pid}/mem").open("rb", 0) as memory:
        for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
            place, rights, *_ = line.split()
            if "rw" not in rights or "[v" in line:
                continue
            begin, end = (int(word, 16) for word in place.split("-"))
            memory.seek(begin)
            with contextlib.suppress(OSError):
                held = memory.read(end - begin)
                found |= {at for at in range(0, 9000, 1000) if message[at : at + 16] in held}
    return len(found)


def test_a_write_that_is_held_up_goes_on_later(tls: list[Context], ends: Ends) -> None:
    one, other = (
        Connection(tls[0], ends[0].fileno(), True),
        Connection(tls[1], ends[1].fileno(), False),
    )
    shake(one, other)
    data = bytes(range(256)) * 20_000
    left, got, held_up = data, b"", False
    while len(got) < len(data):
        if left:
            taken = one.write(left)
            if isinstance(taken, Want):
                held_up = True
                assert taken is Want.WRITE
            else:
                left = left[taken:]
        elif one.flush() is Want.WRITE:
            held_up = True
        if not left or held_up:
            piece = other.read(100_000)
            got += b"" if isinstance(piece, Want) else piece
    assert held_up
    assert got == data


def test_a_peer_of_another_authority_is_refused(
    tls: list[Context], ends: Ends, tmp_path: Path
) -> None:
    other = write_keys(
        tmp_path / "other", certs.make_authority("exchange"), ["spiffe://exchange/bob"]
    )
    (theirs, ours) = (context(other), tls[0])
    at_server, at_client = stranger(ends, ours, theirs)
    assert at_client == "the peer's certificate is from an unknown authority"
    assert at_server == "the peer says that our certificate is from an unknown authority"


def test_whom_a_certificate_of_another_authority_names_is_known_and_not_believed(
    tls: list[Context], ends: Ends, tmp_path: Path
) -> None:
    other = write_keys(
        tmp_path / "other", certs.make_authority("exchange"), ["spiffe://exchange/bob"]
    )
    one = Connection(tls[0], ends[0].fileno(), True)
    settings = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    settings.load_cert_chain(other / "tls.crt", other / "tls.key")
    client = python_client(ends, settings)
    with contextlib.suppress(ssl.SSLWantReadError):
        client.do_handshake()
    one.handshake()
    client.do_handshake()
    with pytest.raises(AuthorityError) as caught:
        one.handshake()
    assert not caught.value.ours_is_refused
    assert caught.value.claim == "spiffe://exchange/bob"
    assert said(one.peer_identity) == "the peer's certificate is not verified"
    client.detach()


@pytest.mark.parametrize("at_fault", ["server", "client"])
@pytest.mark.parametrize(
    ("begins", "ends_", "seen", "told"),
    [
        (-2, -1, "the peer's certificate has expired", "that our certificate has expired"),
        (1, 2, "the peer's certificate is not valid yet", "refuses our certificate"),
    ],
)
def test_a_certificate_out_of_its_time_is_refused(
    authority: certs.Authority,
    ends: Ends,
    tmp_path: Path,
    at_fault: str,
    begins: int,
    ends_: int,
    seen: str,
    told: str,
) -> None:
    good = context(write_keys(tmp_path / "good", authority, ["spiffe://exchange/alice"]))
    bad = context(
        write_keys(
            tmp_path / "bad",
            authority,
            ["spiffe://exchange/bob"],
            NOW + begins * DAY,
            NOW + ends_ * DAY,
        )
    )
    at_server, at_client = stranger(ends, *((bad, good) if at_fault == "server" else (good, bad)))
    judge, judged = (at_client, at_server) if at_fault == "server" else (at_server, at_client)
    assert seen in judge
    assert told in judged


def test_a_certificate_for_another_use_is_refused(
    authority: certs.Authority, ends: Ends, tmp_path: Path
) -> None:
    from cryptography.x509.oid import ExtendedKeyUsageOID

    good = context(write_keys(tmp_path / "good", authority, ["spiffe://exchange/alice"]))
    only_server = write_keys(
        tmp_path / "bad",
        authority,
        ["spiffe://exchange/bob"],
        usages=[ExtendedKeyUsageOID.SERVER_AUTH],
    )
    at_server, _ = stranger(ends, good, context(only_server))
    assert at_server == "the peer's certificate is not meant for this use"


@pytest.mark.parametrize("uris", [[], ["spiffe://exchange/bob", "spiffe://exchange/alice"]])
def test_a_certificate_names_exactly_one_identity(
    authority: certs.Authority, ends: Ends, tmp_path: Path, uris: list[str]
) -> None:
    contexts = [
        context(write_keys(tmp_path / "alice", authority, ["spiffe://exchange/alice"])),
        context(write_keys(tmp_path / "bob", authority, uris)),
    ]
    one, other = (
        Connection(contexts[0], ends[0].fileno(), True),
        Connection(contexts[1], ends[1].fileno(), False),
    )
    shake(one, other)
    assert "exactly one identity" in said(one.peer_identity)
    assert other.peer_identity() == "spiffe://exchange/alice"


def test_a_peer_that_refuses_us_is_quoted_though_it_has_hung_up(
    authority: certs.Authority, ends: Ends, tmp_path: Path
) -> None:
    ours = write_keys(tmp_path / "ours", authority, ["spiffe://exchange/alice"])
    theirs = write_keys(
        tmp_path / "theirs", certs.make_authority("exchange"), ["spiffe://exchange/bob"]
    )
    (theirs / "ca.crt").unlink()
    (theirs / "ca.crt").write_bytes((ours / "ca.crt").read_bytes())
    one = Connection(context(ours), ends[0].fileno(), True)
    client = Connection(context(theirs), ends[1].fileno(), False)
    client.handshake()
    one.handshake()
    assert client.handshake() is Want.DONE
    said(one.handshake)
    ends[0].close()
    told = said(lambda: client.write(b"hello"))
    assert told == "the peer refuses our certificate"


def test_nobody_is_known_before_the_handshake_is_done(tls: list[Context], ends: Ends) -> None:
    one = Connection(tls[0], ends[0].fileno(), True)
    assert said(one.peer_identity) == "the peer's certificate is not verified"


def python_client(ends: Ends, settings: ssl.SSLContext) -> ssl.SSLSocket:
    """Python's own TLS at the other end."""
    settings.check_hostname = False
    settings.verify_mode = ssl.CERT_NONE
    return settings.wrap_socket(ends[1], do_handshake_on_connect=False)


def talk(client: ssl.SSLSocket, work: Callable[[], object]) -> str:
    for _ in range(20):
        with contextlib.suppress(ssl.SSLError, OSError):
            client.do_handshake()
        try:
            work()
        except ChannelError as error:
            return str(error)
    raise AssertionError("nothing is wrong")


@pytest.fixture
def curves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[ec.EllipticCurve, ec.EllipticCurve], Path]:
    """A key directory of Bob's by the curves of his authority's key and of his own; Alice's, whose
    keys are on P-256, trusts that authority, and Bob hers."""
    alice = certs.make_authority("exchange")
    folder = write_keys(tmp_path / "alice", alice, ["spiffe://exchange/alice"])

    def make(above: ec.EllipticCurve, own: ec.EllipticCurve) -> Path:
        keys = [ec.generate_private_key(curve) for curve in (own, above)]
        with monkeypatch.context() as patched:
            patched.setattr(ec, "generate_private_key", lambda _: keys.pop())
            made = certs.make_authority("exchange")
            bob = write_keys(tmp_path / "bob", made, ["spiffe://exchange/bob"])
        (folder / "ca.crt").write_bytes(certs.pem(made.certificate))
        (bob / "ca.crt").write_bytes(certs.pem(alice.certificate))
        return bob

    return make


P256, P384 = ec.SECP256R1(), ec.SECP384R1()
OFF_CURVE = "the peer's key, or its authority's, is not on P-256, and the job says tls: fips"


def test_with_fips_keys_on_p256_alone_are_taken(
    curves: Callable[..., Path], ends: Ends, tmp_path: Path
) -> None:
    own = curves(P256, P256)
    one = Connection(context(tmp_path / "alice", fips=True), ends[0].fileno(), True)
    shake(one, Connection(context(own, fips=True), ends[1].fileno(), False))


@pytest.mark.parametrize("above", [P256, P384])
def test_with_fips_another_curve_is_refused_at_both_ends(
    above: ec.EllipticCurve, curves: Callable[..., Path], ends: Ends, tmp_path: Path
) -> None:
    bob = curves(above, P384 if above is P256 else P256)
    alice = context(tmp_path / "alice", fips=True)
    seen, _ = stranger(ends, alice, context(bob))
    # A key that can make no signature that is asked for is not shown at all.
    assert seen == (OFF_CURVE if above is P384 else "the peer presents no certificate")
    if above is P256:
        with pytest.raises(ChannelError, match="is not on P-256, and the job says tls: fips"):
            context(bob, fips=True)


SHARE_NOTHING = "the two ends share no cipher, curve or signature (tls: fips in the job?)"
CLIENT = """
import contextlib, socket, ssl, sys
context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
end = socket.socket(fileno=int(sys.argv[1]))
end.setblocking(True)
with contextlib.suppress(OSError):
    context.wrap_socket(end)
"""


@pytest.mark.parametrize("fips", [True, False])
@pytest.mark.parametrize("only", ["Ciphersuites = TLS_CHACHA20_POLY1305_SHA256", "Groups = X25519"])
def test_with_fips_no_other_cipher_and_no_other_curve_will_do(
    only: str, fips: bool, keys: Path, ends: Ends
) -> None:
    (keys / "only.cnf").write_text(
        "openssl_conf = a\n[a]\nssl_conf = b\n[b]\nsystem_default = c\n[c]\n" + only + "\n"
    )
    one = Connection(context(keys, fips=fips), ends[0].fileno(), True)
    client = subprocess.Popen(
        [sys.executable, "-c", CLIENT, str(ends[1].fileno())],
        pass_fds=[ends[1].fileno()],
        env=os.environ | {"OPENSSL_CONF": str(keys / "only.cnf")},
    )
    ends[1].close()

    def shake_on() -> None:
        select.select([ends[0]], [], [], 10)
        one.handshake()

    seen = said(shake_on)
    client.wait(LIMIT_S)
    assert seen == (SHARE_NOTHING if fips else "the peer presents no certificate")


def test_older_tls_is_refused(tls: list[Context], ends: Ends) -> None:
    settings = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    settings.maximum_version = ssl.TLSVersion.TLSv1_2
    one = Connection(tls[0], ends[0].fileno(), True)
    client = python_client(ends, settings)
    assert talk(client, one.handshake) == "the peer does not speak TLS 1.3"
    client.detach()


def test_a_peer_without_a_certificate_is_refused(tls: list[Context], ends: Ends) -> None:
    one = Connection(tls[0], ends[0].fileno(), True)
    client = python_client(ends, ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT))
    assert talk(client, one.handshake) == "the peer presents no certificate"
    client.detach()


def test_no_session_can_be_resumed(tls: list[Context], keys: Path, ends: Ends) -> None:
    made = certs.make_authority("other")
    folder = write_keys(keys / "session", made, ["spiffe://other/bob"])
    settings = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    settings.load_cert_chain(folder / "tls.crt", folder / "tls.key")
    one = Connection(context(folder), ends[0].fileno(), True)
    client = python_client(ends, settings)
    with contextlib.suppress(ssl.SSLWantReadError):
        client.do_handshake()
    one.handshake()
    client.do_handshake()
    assert one.handshake() is Want.DONE
    assert client.version() == "TLSv1.3"
    cipher = client.cipher()
    assert cipher is not None
    assert cipher[0] == "TLS_AES_128_GCM_SHA256" or "GCM" in cipher[0]
    assert client.compression() is None
    one.write(b"x")
    assert client.recv(1) == b"x"
    assert client.session is None or not client.session.has_ticket
    client.detach()


@pytest.mark.parametrize(
    "noise", [b"GET / HTTP/1.1\r\n\r\n", b"\0" * 64, b"\x16\x03\x01\xff\xff" * 9]
)
def test_noise_is_no_handshake(tls: list[Context], ends: Ends, noise: bytes) -> None:
    one = Connection(tls[0], ends[0].fileno(), True)
    ends[1].send(noise)
    ends[1].shutdown(socket.SHUT_WR)
    assert said(one.handshake) == "the peer does not speak TLS"
    assert said(one.handshake) == "the peer does not speak TLS", "the first reason stays"


def test_a_peer_that_hangs_up_in_the_handshake(tls: list[Context], ends: Ends) -> None:
    one = Connection(tls[0], ends[0].fileno(), True)
    assert one.handshake() is Want.READ
    ends[1].close()
    assert said(one.handshake) == "the peer has closed the connection"


# Keys that cannot be used.


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("ca.crt", "the authority's certificate cannot be read"),
        ("tls.crt", "the certificate cannot be read"),
        ("tls.key", "the private key cannot be read"),
    ],
)
@pytest.mark.parametrize("content", [b"", b"nothing of the kind", b"-----BEGIN CERTIFICATE-----\n"])
def test_a_key_file_that_is_missing_or_broken_is_named(
    keys: Path, name: str, words: str, content: bytes
) -> None:
    (keys / name).chmod(0o600)
    (keys / name).write_bytes(content)
    assert words in said(lambda: context(keys))
    (keys / name).unlink()
    with pytest.raises(InputError, match=f"no {name}"):
        load_keys(keys, "exchange", "alice")


def block(label: str, der: bytes) -> bytes:
    """A PEM block of any name."""
    lines = textwrap.wrap(base64.b64encode(der).decode(), 64)
    return "\n".join([f"-----BEGIN {label}-----", *lines, f"-----END {label}-----", ""]).encode()


@pytest.mark.parametrize("label", ["TRUSTED CERTIFICATE", "X509 CERTIFICATE"])
@pytest.mark.parametrize("first", [True, False], ids=["before", "after"])
def test_an_authority_in_another_block_is_not_taken(keys: Path, label: str, first: bool) -> None:
    rogue = certs.make_authority("exchange").certificate
    hidden = block(label, rogue.public_bytes(serialization.Encoding.DER))
    own = (keys / "ca.crt").read_bytes()
    (keys / "ca.crt").write_bytes(hidden + own if first else own + hidden)
    openssl = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    openssl.load_verify_locations(keys / "ca.crt")
    assert len(openssl.get_ca_certs()) == 2, "OpenSSL itself takes it, unasked"
    assert "the authority's certificate cannot be read" in said(lambda: context(keys))


def test_keys_that_are_replaced_after_the_check_are_not_used(
    authority: certs.Authority, ends: Ends, tmp_path: Path
) -> None:
    folder = tmp_path / "alice"
    certs.write_files(folder, certs.make_party(authority, "alice"))
    checked = load_keys(folder, "exchange", "alice")
    rogue = certs.make_authority("exchange")
    for name, content in certs.make_party(rogue, "alice").items():
        (folder / name).write_bytes(content)

    ours = Context(checked.authority, checked.certificate, checked.key)
    honest = context(write_keys(tmp_path / "bob", authority, ["spiffe://exchange/bob"]))
    one = Connection(ours, ends[0].fileno(), True)
    other = Connection(honest, ends[1].fileno(), False)
    shake(one, other)
    assert other.peer_identity() == "spiffe://exchange/alice"

    theirs = context(write_keys(tmp_path / "rogue", rogue, ["spiffe://exchange/bob"]))
    pair = socket.socketpair()
    for end in pair:
        end.setblocking(False)
    with pair[0], pair[1]:
        assert "unknown authority" in " ".join(stranger(pair, ours, theirs))


def test_a_key_that_is_not_the_certificates_is_refused(
    keys: Path, authority: certs.Authority
) -> None:
    other = certs.make_party(authority, "alice")["tls.key"]
    (keys / "tls.key").chmod(0o600)
    (keys / "tls.key").write_bytes(other)
    assert "the private key is not the certificate's" in said(lambda: context(keys))


def test_a_key_behind_a_passphrase_is_refused_without_asking(keys: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    locked = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(b"guess"),
    )
    (keys / "tls.key").chmod(0o600)
    (keys / "tls.key").write_bytes(locked)
    assert "the private key cannot be read" in said(lambda: context(keys))


def test_a_closed_connection_says_so(tls: list[Context], ends: Ends) -> None:
    one = Connection(tls[0], ends[0].fileno(), True)
    one.close()
    one.close()
    assert said(lambda: one.read(1)) == "the connection is closed"
    assert ends[0].fileno() >= 0, "the socket stays open"
