"""A party's own Secrets: its table, in as many as it needs, and its keys.

They are put where the party's pod looks for them and are part of nothing else: no release, no
manifest and no ConfigMap has a copy.
"""

from __future__ import annotations

import base64
import secrets
from collections.abc import Mapping
from pathlib import Path

from deployer.cluster.client import Change, Object
from deployer.cluster.target import Place
from deployer.manifests.values import MOST_TABLE_PARTS
from party.agreement.pins import Identities
from party.identity import CHECKPOINT_KEY, load_keys, read_checkpoint_key
from party.process.errors import InputError, JobError, KitError
from party.table.parts import MANIFEST, Manifest

TABLE_DIGEST = "tfe-kit/table-sha256"
"""Annotation of a table's first Secret: the SHA-256, in hex, that its party commits to when it
approves: of the table's text, or of the rows as the model reads them, where these are scored."""


MOST_FILE_BYTES = 1000 * 1024
"""Of a file in a Secret: an object's 1 MiB, less room for names and labels."""


def table_secrets(
    place: Place, manifest: Manifest, parts: list[bytes], digest: str = ""
) -> list[Object]:
    """The Secrets of a table in parts: the first holds the manifest too, and says the digest that
    approvals are compared with; without one, the text's.

    Raises InputError if there are more than the party's pod looks for.
    """
    if len(parts) > len(place.table_secrets):
        raise InputError(
            f"the table needs {len(parts)} Secrets, and {place.party}'s pod looks for "
            f"{len(place.table_secrets)}",
            hint=_larger(place, len(parts)),
        )
    secrets = [
        secret_of(place, name, "Opaque", {part.name: content})
        for name, part, content in zip(place.table_secrets, manifest.parts, parts, strict=False)
    ]
    secrets[0]["data"][MANIFEST] = _encoded(manifest.to_json())
    secrets[0]["metadata"]["annotations"] = {TABLE_DIGEST: digest or manifest.sha256}
    return secrets


def _larger(place: Place, parts: int) -> str:
    volume = (
        f"give it a volume, {place.party}.tableVolume.size, and copy it there: deployer data copy "
        f"{place.party} TABLE"
    )
    if parts > MOST_TABLE_PARTS:
        return volume
    return f"set {place.party}.tableParts to {parts} in the values, and apply them; or {volume}"


def put_table(
    place: Place, manifest: Manifest, parts: list[bytes], force: bool = False, digest: str = ""
) -> Change:
    """Put a table where a party's pod looks for it, in place of the one that is there.

    As a whole or not at all: the manifest goes last, a pod that reads in between finds digests that
    do not agree and takes neither table, and after a failure the earlier Secrets are put back.

    Args:
        place: where the party is.
        manifest: what the parts are.
        parts: their contents.
        force: take over Secrets that something else than the deployer made.
        digest: see ``table_secrets``.

    Raises:
        InputError: it needs too many Secrets, or the cluster refuses; the earlier table is there.
        JobError: neither the new table could be put nor the earlier one back.
    """
    wanted = table_secrets(place, manifest, parts, digest)
    earlier = _earlier_parts(place)
    changes = set()
    try:
        for secret in reversed(wanted):
            changes.add(place.cluster.apply(secret, force))
        for left_over in reversed(earlier[len(wanted) :]):
            if left_over is not None:
                place.cluster.delete(left_over)
                changes.add(Change.CHANGED)
    except (KitError, KeyboardInterrupt):
        _put_back(place, wanted, earlier)
        raise
    place.cluster.touch(place.pod, place.namespace)
    if changes == {Change.CREATED} and not any(earlier):
        return Change.CREATED
    return Change.UNCHANGED if changes == {Change.UNCHANGED} else Change.CHANGED


def check_size(place: Place, secret: str, name: str, content: bytes) -> None:
    """Raises InputError for a file that no Secret holds."""
    if len(content) > MOST_FILE_BYTES:
        raise InputError(
            f"{name} has {len(content)} bytes, and a Secret holds {MOST_FILE_BYTES}",
            f"Secret {secret}, namespace {place.namespace}",
            "do this job on three machines, which read the file itself: docs/by-hand.md",
        )


def put_file(place: Place, secret: str, name: str, content: bytes, force: bool = False) -> Change:
    """Put one file into a Secret of its own, in place of the one that is there, and have the
    party's pod look. Raises InputError for one that no Secret holds."""
    check_size(place, secret, name, content)
    change = place.cluster.apply(secret_of(place, secret, "Opaque", {name: content}), force)
    place.cluster.touch(place.pod, place.namespace)
    return change


def keys_secret(place: Place, files: Mapping[str, bytes]) -> Object:
    """The Secret of a party's key directory: its certificates, its key, and that of its
    checkpoints, if there is one."""
    return secret_of(place, place.keys_secret, "kubernetes.io/tls", files)


def put_keys(
    place: Place,
    directory: Path,
    job_name: str,
    force: bool = False,
    pins: Identities | None = None,
) -> Change:
    """Put a party's key directory, checked as the party does, into its Secret.

    Raises InputError for keys that are not this party's of this job, and for a Secret that is there
    already with another key, unless ``force``: what exists is never overwritten unasked. Another
    checkpoint.key is refused even so: what it has sealed, a kept model too, would be lost.
    """
    files = load_keys(directory, job_name, place.party, pins=pins).files()
    there = place.cluster.read("v1", "Secret", place.keys_secret, place.namespace)
    where = f"Secret {place.keys_secret}, namespace {place.namespace}, {place.cluster}"
    # What lies on the party's volume stays readable, whatever else is new.
    kept, new = files_of(there or {}).get(CHECKPOINT_KEY), read_checkpoint_key(directory)
    if (key := new or kept) is not None:
        files[CHECKPOINT_KEY] = key
    wanted = keys_secret(place, files)
    replaced = dict((there or {}).get("data") or {}).items() - wanted["data"].items()
    if replaced and not force:
        raise InputError(
            f"there is another key of {place.party} already",
            where,
            "put this one in its place with --force; the party reads it when it starts or waits",
        )
    if None not in (kept, new) and kept != new:
        raise InputError(
            f"there is another {CHECKPOINT_KEY} of {place.party} already, by which alone its "
            "checkpoints and its parts of kept models can be read",
            where,
            f"take {directory / CHECKPOINT_KEY} away, and the one that is there stays; where "
            "nothing that it has sealed is needed, delete that Secret first",
        )
    change = place.cluster.apply(wanted, force)
    place.cluster.touch(place.pod, place.namespace)
    return change


def beside_keys(directory: str) -> str:
    """How a key for checkpoints comes into a key directory that has none."""
    file = f"{directory}/{CHECKPOINT_KEY}"
    return f"head -c 32 /dev/urandom > {file}; chmod 600 {file}"


def make_checkpoint_key(place: Place) -> Change:
    """Make a key for a party's checkpoints in a Secret of its own, unless there is one."""
    name = place.checkpoint_secret
    if place.cluster.read("v1", "Secret", name, place.namespace) is not None:
        return Change.UNCHANGED
    key = {CHECKPOINT_KEY: secrets.token_bytes(32)}
    place.cluster.create(secret_of(place, name, "Opaque", key))
    place.cluster.touch(place.pod, place.namespace)
    return Change.CREATED


def secret_of(place: Place, name: str, kind: str, files: Mapping[str, bytes]) -> Object:
    """A Secret of a party's, with these files."""
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name, "namespace": place.namespace, "labels": place.labels},
        "type": kind,
        "data": {file: _encoded(content) for file, content in files.items()},
    }


def files_of(secret: Object) -> dict[str, bytes]:
    """A Secret's files, as a pod has them."""
    return {name: base64.b64decode(text) for name, text in (secret.get("data") or {}).items()}


def _encoded(content: bytes) -> str:
    return base64.b64encode(content).decode("ascii")


def _earlier_parts(place: Place) -> list[Object | None]:
    """What is there under the names of a table's Secrets, in their order."""
    return [
        place.cluster.read("v1", "Secret", name, place.namespace) for name in place.table_secrets
    ]


def _put_back(place: Place, wanted: list[Object], earlier: list[Object | None]) -> None:
    try:
        for index, was in reversed(list(enumerate(earlier))):
            if was is not None:
                place.cluster.apply(_as_it_was(was), force=True)
            elif index < len(wanted):
                place.cluster.delete(wanted[index])
    except (KitError, KeyboardInterrupt):
        raise JobError(
            "the table was put in part only, and the earlier one could not be put back; "
            f"{place.party} takes neither",
            f"Secrets {place.table_secrets[0]}, …, namespace {place.namespace}, {place.cluster}",
            "put the whole table there again: deployer data put",
        ) from None


def _as_it_was(secret: Object) -> Object:
    meta = secret["metadata"]
    kept = {key: meta[key] for key in ("name", "namespace", "labels", "annotations") if key in meta}
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": kept,
        "type": secret.get("type", "Opaque"),
        "data": secret.get("data", {}),
    }
