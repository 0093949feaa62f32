"""Signed documents: an in-toto statement in a DSSE envelope, in one form of bytes and no other.

DSSE signs the payload's type with its bytes (https://github.com/secure-systems-lab/dsse), so that
no signature is good for anything else, a TLS handshake least of all. The envelope has the signer's
public key beside the signature; whose that is, a job's pins say.
"""

from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_der_public_key,
    load_pem_private_key,
)

from party.agreement.pins import PREFIX
from party.process.errors import InputError
from party.process.files import unreadable

STATEMENT = "https://in-toto.io/Statement/v1"
_TYPE = "application/vnd.in-toto+json"
_LARGEST = 1 << 20
_PSS = padding.PSS(padding.MGF1(hashes.SHA256()), padding.PSS.DIGEST_LENGTH)

PrivateKey = ed25519.Ed25519PrivateKey | ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


@dataclass(frozen=True)
class Envelope:
    """A payload, and who signed it.

    Attributes:
        payload: the statement's bytes.
        key: the signer's public key (SubjectPublicKeyInfo in DER).
        signature: of both the payload and its type.
    """

    payload: bytes
    key: bytes
    signature: bytes

    @classmethod
    def sign(cls, statement: dict[str, Any], key: PrivateKey) -> Envelope:
        """Sign a statement: Ed25519, ECDSA with SHA-256, or RSA-PSS with SHA-256."""
        payload = canonical(statement)
        said = _authenticated(payload)
        if isinstance(key, ed25519.Ed25519PrivateKey):
            signature = key.sign(said)
        elif isinstance(key, rsa.RSAPrivateKey):
            signature = key.sign(said, _PSS, hashes.SHA256())
        else:
            signature = key.sign(said, ec.ECDSA(hashes.SHA256()))
        public = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        return cls(payload, public, signature)

    @classmethod
    def parse(cls, text: bytes, where: str) -> Envelope:
        """The envelope in a text, its signature checked. Raises InputError for any other text, be
        it only another way to write the same."""
        wrong = InputError(
            "it is no signed document, or was changed", where, "get it again from who made it"
        )
        try:
            value = json.loads(text)
            (one,) = value["signatures"]
            found = cls(*(_bytes(part) for part in (value["payload"], one["key"], one["sig"])))
        except (ValueError, KeyError, TypeError, RecursionError):
            raise wrong from None
        if text != found.text() or not found._is_signed():
            raise wrong
        return found

    @classmethod
    def read(cls, path: Path) -> Envelope:
        """The envelope in a file; see ``parse``."""
        return cls.parse(read(path), str(path))

    def value(self) -> dict[str, Any]:
        """As JSON has it."""
        one = {"key": _text(self.key), "keyid": self.keyid, "sig": _text(self.signature)}
        return {"payload": _text(self.payload), "payloadType": _TYPE, "signatures": [one]}

    def text(self) -> bytes:
        """The file's content."""
        return canonical(self.value()) + b"\n"

    @property
    def keyid(self) -> str:
        """The digest of the signer's key, as a job pins it."""
        return PREFIX + hashlib.sha256(self.key).hexdigest()

    @property
    def digest(self) -> str:
        """Of what was signed: the same for every signature of the same statement."""
        return hashlib.sha256(self.payload).hexdigest()

    def statement(self) -> dict[str, Any]:
        """What was signed; an empty one where it is no object."""
        value = json.loads(self.payload)
        return value if isinstance(value, dict) and canonical(value) == self.payload else {}

    def _is_signed(self) -> bool:
        said = _authenticated(self.payload)
        try:
            key = load_der_public_key(self.key)
            if isinstance(key, ed25519.Ed25519PublicKey):
                key.verify(self.signature, said)
            elif isinstance(key, ec.EllipticCurvePublicKey):
                key.verify(self.signature, said, ec.ECDSA(hashes.SHA256()))
            elif isinstance(key, rsa.RSAPublicKey):
                key.verify(self.signature, said, _PSS, hashes.SHA256())
            else:
                return False
            json.loads(self.payload)
        except (InvalidSignature, ValueError, RecursionError):
            return False
        except Exception:  # what a parser of keys raises differs from version to version
            return False
        return True


def canonical(value: Any) -> bytes:
    """A JSON value in its one form: sorted keys, no white space, ASCII."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False).encode("ascii")


def read(path: Path) -> bytes:
    """A document's bytes. Raises InputError where it cannot be read, or is larger than any."""
    try:
        with path.open("rb") as stream:
            text = stream.read(_LARGEST + 1)
    except OSError as error:
        raise unreadable(error, "the document", path) from None
    if len(text) > _LARGEST:
        raise InputError(f"the file is larger than {_LARGEST} bytes", str(path), "give another")
    return text


def public_digest(key: PrivateKey) -> str:
    """The digest of a key's public half, as a job pins it."""
    public = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return PREFIX + hashlib.sha256(public).hexdigest()


def private_key(pem: bytes, where: str) -> PrivateKey:
    """A key that can sign. Raises InputError for any other text."""
    hint = "make one: deployer certs approver --output DIR"
    try:
        key = load_pem_private_key(pem, password=None)
    except TypeError:
        what = "the key is locked with a passphrase"
        raise InputError(what, where, "store it without one, mode 0600") from None
    except Exception:  # what the parser raises differs from version to version
        raise InputError("the key is not a private key in PEM", where, hint) from None
    if not isinstance(key, PrivateKey):
        raise InputError("the key cannot sign", where, hint)
    return key


def read_private_key(path: Path) -> PrivateKey:
    """The signing key in a file; see ``private_key``."""
    try:
        return private_key(path.read_bytes(), str(path))
    except OSError as error:
        raise unreadable(error, "the key", path) from None


def _authenticated(payload: bytes) -> bytes:
    """DSSE's pre-authentication encoding."""
    kind = _TYPE.encode()
    return b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(payload), payload)


def _text(value: bytes) -> str:
    return base64.b64encode(value).decode("ascii")


def _bytes(text: str) -> bytes:
    return base64.b64decode(text, validate=True)
