"""``deployer doctor``: checks before and after a deployment, each with what to do about it."""

from __future__ import annotations

import base64
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from enum import StrEnum
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from deployer import console as screen
from deployer.cli import new_app
from deployer.cluster.client import Cluster, Object
from deployer.cluster.pod_status import observe
from deployer.cluster.target import (
    ContextOption,
    JsonOption,
    NameOption,
    NamespaceOption,
    PartyOption,
    Place,
    Target,
    ValuesOption,
    find,
)
from deployer.commands.apply import wanted
from deployer.doctor.network_probe import CLOSED, OPEN, UNKNOWN, attempt, connect
from deployer.manifests.render import Plan
from party.agreement.job import PARTIES, parse_job
from party.identity import AUTHORITY, CERTIFICATE, KEY, check_keys
from party.process.errors import InputError, KitError
from party.table.parts import MANIFEST, Manifest

if TYPE_CHECKING:
    pass

app = new_app()

OLDEST = (1, 27)
"""The first Kubernetes whose StatefulSets say what becomes of their volumes."""

_SKEW_S = 30
_SOON_DAYS = 2


class Outcome(StrEnum):
    """How a check went. Only ``wrong`` makes the command fail."""

    OK = "ok"
    WARNING = "warning"
    WRONG = "wrong"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Check:
    """One line of the doctor's.

    Attributes:
        about: a party, or a cluster.
        what: what was checked.
        outcome: how it went.
        says: what was found.
        do: what to do about it; empty where nothing is to be done.
    """

    about: str
    what: str
    outcome: Outcome
    says: str
    do: str = ""


def examine(target: Target, trials: bool = True) -> Iterator[Check]:
    """All checks, one by one, as they are made."""
    clusters = {id(place.cluster): place for place in target.places}
    for place in clusters.values():
        yield from of_cluster(place.cluster, target)
    for place in target.places:
        yield from of_rights(place, target)
        yield from of_keys(place, target.values.job.name)
        yield from of_table(place, target.values.job.name)
        yield from of_job(place)
    if trials:
        for place in clusters.values():
            yield from of_trial(place, target)
    for place in target.places:
        yield from of_pod_and_peers(place, target)


# --- before: what a deployment needs ------------------------------------------------------------


def of_cluster(cluster: Cluster, target: Target) -> Iterator[Check]:
    """Version, clock and storage of a cluster."""
    name = str(cluster)
    try:
        version = cluster.version()
    except KitError as error:
        yield _wrong(name, "cluster", error)
        return
    text = "Kubernetes {}.{}".format(*version)
    if version < OLDEST:
        oldest = "{}.{}".format(*OLDEST)
        yield Check(name, "version", Outcome.WRONG, text, f"use a cluster of {oldest} or newer")
    else:
        yield Check(name, "version", Outcome.OK, text)
    off = abs(cluster.clock() - time.time())
    # Its answer says whole seconds, and took a moment.
    yield _clock(name, max(0.0, off - 1), "the API server")
    yield _storage(cluster, target.values.storage.class_name)


def _clock(about: str, off_s: float, whose: str) -> Check:
    if off_s <= _SKEW_S:
        return Check(about, "clock", Outcome.OK, f"{whose} and this machine agree")
    return Check(
        about,
        "clock",
        Outcome.WRONG,
        f"{whose} and this machine are {off_s:.0f} s apart",
        "set the clocks right (NTP): certificates that just began or end are refused otherwise",
    )


def _storage(cluster: Cluster, name: str) -> Check:
    about, what = str(cluster), "storage"
    try:
        classes = cluster.select("storage.k8s.io/v1", "StorageClass", "")
    except KitError:
        return Check(about, what, Outcome.UNKNOWN, "no right to see the storage classes")
    names = sorted(one["metadata"]["name"] for one in classes)
    have = f"one of: {', '.join(names)}" if names else "the cluster has none: install one"
    if name:
        if name in names:
            return Check(about, what, Outcome.OK, f"storage class {name}")
        says = f"there is no storage class {name!r}"
        return Check(about, what, Outcome.WRONG, says, f"set storage.className to {have}")
    default = "storageclass.kubernetes.io/is-default-class"
    for one in classes:
        if one["metadata"].get("annotations", {}).get(default) == "true":
            says = f"storage class {one['metadata']['name']}, the default"
            return Check(about, what, Outcome.OK, says)
    says = "the cluster has no default storage class"
    return Check(about, what, Outcome.WRONG, says, f"set storage.className to {have}")


def of_rights(place: Place, target: Target) -> Iterator[Check]:
    """Whether who asks may install and look after a party."""
    kinds = {
        (one["apiVersion"], one["kind"])
        for whose, _, made in wanted(target)
        if whose == place.party
        for one in made
    }
    needs = {(verb, *kind) for kind in kinds for verb in ("get", "create", "patch", "delete")}
    needs |= {("get", "v1", "Pod"), ("get", "v1", "Pod/exec"), ("get", "v1", "Pod/log")}
    needs |= {("list", "v1", "Event"), ("delete", "v1", "PersistentVolumeClaim")}
    needs |= {(verb, "v1", "Secret") for verb in ("get", "create", "patch", "delete")}
    try:
        missing = [need for need in sorted(needs) if not _allowed(place, need)]
    except KitError as error:
        yield _wrong(place.party, "rights", error)
        return
    if not missing:
        says = f"all that is needed in namespace {place.namespace}"
        yield Check(place.party, "rights", Outcome.OK, says)
        return
    said = ", ".join(f"{verb} {kind}" for verb, _, kind in missing)
    yield Check(
        place.party,
        "rights",
        Outcome.WRONG,
        f"not allowed in namespace {place.namespace}: {said}",
        "ask its administrator for them: examples/kubernetes/operator-role.yaml has them all",
    )


def _allowed(place: Place, need: tuple[str, str, str]) -> bool:
    verb, api_version, kind = need
    return place.cluster.allows(verb, api_version, kind, place.namespace)


def of_keys(place: Place, job_name: str) -> Iterator[Check]:
    """The Secret with a party's keys: there, readable, matching, its own, and for how long."""
    put = f"deployer certs put {place.party} DIR"
    try:
        secret = place.cluster.read("v1", "Secret", place.keys_secret, place.namespace)
    except KitError as error:
        yield Check(place.party, "keys", Outcome.UNKNOWN, error.what)
        return
    if secret is None:
        says = f"there is no Secret {place.keys_secret} in namespace {place.namespace}"
        yield Check(place.party, "keys", Outcome.WRONG, says, put)
        return
    try:
        expires = _checked_keys(place, secret, job_name)
    except InputError as error:
        yield _wrong(place.party, "keys", error, put)
        return
    left = (expires - datetime.now(UTC)).total_seconds() / 86400
    says = f"valid until {expires:%Y-%m-%d %H:%M} UTC"
    if left < _SOON_DAYS:
        yield Check(
            place.party,
            "keys",
            Outcome.WARNING,
            says,
            f"deployer certs renew, certs sign, then {put}",
        )
    else:
        yield Check(place.party, "keys", Outcome.OK, says)


def _checked_keys(place: Place, secret: Object, job_name: str) -> datetime:
    """When a party's certificate expires. Raises InputError for what the party would refuse."""
    where = Path(f"Secret {place.keys_secret}")
    files = _data(secret)
    for name in (AUTHORITY, CERTIFICATE, KEY):
        if name not in files:
            raise InputError(f"there is no {name} in it", str(where))
    return check_keys(files, where, job_name, place.party).expires


def of_table(place: Place, job_name: str) -> Iterator[Check]:
    """The Secrets with a party's table: all there, whole, and this party's for this job."""
    if not place.table_secrets:
        return
    put = f"deployer data put {place.party} CSV"
    try:
        found = [
            place.cluster.read("v1", "Secret", name, place.namespace)
            for name in place.table_secrets
        ]
        secrets = [secret for secret in found if secret is not None]
    except KitError as error:
        yield Check(place.party, "table", Outcome.UNKNOWN, error.what)
        return
    if not secrets:
        says = f"there is no Secret {place.table_secrets[0]} in namespace {place.namespace}"
        yield Check(place.party, "table", Outcome.WRONG, says, put)
        return
    try:
        manifest = _checked_table(place, secrets, job_name)
    except InputError as error:
        yield _wrong(place.party, "table", error, put)
        return
    says = f"{len(secrets)} Secrets, sha256 {manifest.sha256[:16]}…"
    yield Check(place.party, "table", Outcome.OK, says)


def _checked_table(place: Place, secrets: Sequence[Object], job_name: str) -> Manifest:
    """A table's manifest. Raises InputError for what the party would refuse to put together."""
    files: dict[str, bytes] = {}
    for secret in secrets:
        files |= _data(secret)
    where = f"Secrets {place.table_secrets[0]}, …"
    if MANIFEST not in files:
        raise InputError(f"there is no {MANIFEST} in them", where)
    try:
        manifest = Manifest.from_json(files.pop(MANIFEST))
    except ValueError:
        raise InputError("its manifest is damaged", where) from None
    if (manifest.job, manifest.party) != (job_name, place.party):
        raise InputError(
            f"it is {manifest.party}'s table for the job {manifest.job!r}, "
            f"not {place.party}'s for {job_name!r}",
            where,
        )
    digests = {name: sha256(content).hexdigest() for name, content in files.items()}
    if digests != {part.name: part.sha256 for part in manifest.parts}:
        raise InputError("a part is missing, damaged or too many", where)
    return manifest


def of_job(place: Place) -> Iterator[Check]:
    """Whether the job that is installed is the one that the values have."""
    try:
        config = place.cluster.read("v1", "ConfigMap", place.name, place.namespace)
    except KitError as error:
        yield Check(place.party, "job", Outcome.UNKNOWN, error.what)
        return
    if config is None:
        do = "install it: deployer apply, or helm install"
        yield Check(place.party, "job", Outcome.UNKNOWN, "not installed yet", do)
        return
    try:
        digest = parse_job(config["data"]["job.yaml"], f"ConfigMap {place.name}").digest
    except (InputError, KeyError, TypeError):
        digest = ""
    if digest != place.job:
        says = "the job that is installed is not the one in the values"
        do = "install the same job at all parties: deployer apply, or helm upgrade"
        yield Check(place.party, "job", Outcome.WRONG, says, do)
    else:
        yield Check(place.party, "job", Outcome.OK, f"digest {digest[:16]}…")


# --- by trying ----------------------------------------------------------------------------------


def of_trial(place: Place, target: Target) -> Iterator[Check]:
    """Whether a cluster starts the image, finds names and enforces policies."""
    name, values = str(place.cluster), target.values
    try:
        found = attempt(place.cluster, place.namespace, values)
    except InputError as error:
        yield Check(name, "trial", Outcome.UNKNOWN, error.what, error.hint or "")
        return
    except KitError as error:
        yield _wrong(name, "trial", error)
        return
    image = values.image.reference
    if found.image:
        do = "push it there, or (kind) kind load docker-image; image.pullSecrets if it is private"
        yield Check(name, "image", Outcome.WRONG, found.image, do)
        return
    yield Check(name, "image", Outcome.OK, f"{image} starts")
    yield _said(name, "names", found.names, "set clusterDomain to the cluster's DNS domain")
    yield _said(name, "pod to pod", found.network, "ask the cluster's administrator")
    if not found.network:
        do = "use a network plugin that enforces policies, such as Calico or Cilium"
        if not values.network_policy.enabled:
            yield Check(name, "policies", Outcome.WARNING, "switched off in the values")
        else:
            yield _said(name, "policies", found.policies, do)


# --- after: what runs ---------------------------------------------------------------------------


def of_pod_and_peers(place: Place, target: Target) -> Iterator[Check]:
    """What a party's pod does, its clock, and whether it reaches those whom it calls."""
    try:
        seen = observe(place)
    except KitError as failure:
        yield Check(place.party, "pod", Outcome.UNKNOWN, failure.what)
        return
    if seen.phase in ("absent", "pending"):
        yield Check(place.party, "pod", Outcome.UNKNOWN, seen.says, seen.do)
        return
    if seen.phase in ("broken", "failed"):
        yield Check(place.party, "pod", Outcome.WRONG, seen.says, seen.do or "see deployer logs")
        if seen.phase == "broken":
            return
    else:
        yield Check(place.party, "pod", Outcome.OK, f"{seen.phase}: {seen.says}", seen.do)
    try:
        begin = time.time()
        ran = place.cluster.execute(place.pod, place.namespace, ["date", "+%s"])
        off = max(0.0, begin - 1 - int(ran.stdout), int(ran.stdout) - time.time())
        yield _clock(place.party, off, "its pod")
        called = _called(place, Plan(target.values))
        answers = connect(place.cluster, place.pod, place.namespace, list(called))
    except (KitError, ValueError) as error:
        says = error.what if isinstance(error, KitError) else "its pod has no clock"
        yield Check(place.party, "peers", Outcome.UNKNOWN, says)
        return
    for address, peer in called.items():
        yield _reached(place.party, peer, address, answers[address])


def _called(place: Place, plan: Plan) -> dict[str, str]:
    """The addresses that a party connects to: of those before it in the order of the parties."""
    before = PARTIES[: PARTIES.index(place.party)]
    return {placed.address: placed.role for placed in plan.parties if placed.role in before}


def _reached(party: str, peer: str, address: str, answer: str) -> Check:
    what = f"way to {peer}"
    if answer == OPEN:
        return Check(party, what, Outcome.OK, f"{address} takes connections")
    if answer == CLOSED:
        # As it is before the others come, and once the job is done.
        return Check(party, what, Outcome.OK, f"{address} can be reached; nobody listens now")
    if answer == UNKNOWN:
        says = f"the name in {address} is not known"
        do = f"check that {peer} is installed, its namespace, name and clusterDomain or address"
        return Check(party, what, Outcome.WRONG, says, do)
    says = f"{address} cannot be reached"
    do = f"check the NetworkPolicies and firewalls between {party} and {peer}, and {peer}'s pod"
    return Check(party, what, Outcome.WRONG, says, do)


# --- the command --------------------------------------------------------------------------------


@app.command()
def doctor(
    values: ValuesOption = None,
    name: NameOption = "",
    namespace: NamespaceOption = "",
    context: ContextOption = None,
    party: PartyOption = None,
    trials: Annotated[
        bool,
        typer.Option(help="Start two pods in each cluster for a minute, to try image and network."),
    ] = True,
    as_json: JsonOption = False,
) -> None:
    """Check clusters, rights, Secrets and network, before the installation and after it.

    Exits with 1 if something is wrong, and says what to do about it.

    Examples:

        deployer doctor

        deployer doctor -f values.yaml --party bob --context police --no-trials
    """
    target = find(values, name, namespace, context, party)
    width = max(len(name) for place in target.places for name in (place.party, str(place.cluster)))
    checks = []
    for check in examine(target, trials):
        checks.append(check)
        if not as_json:
            _show(check, width)
    if as_json:
        screen.print_json([asdict(check) for check in checks])
    if any(check.outcome is Outcome.WRONG for check in checks):
        raise typer.Exit(1)


def _show(check: Check, width: int) -> None:
    line = f"{check.about:<{width}} {check.what:<13} {check.says}"
    if screen.on_terminal():
        from rich.console import Console
        from rich.text import Text

        colours = {Outcome.OK: "green", Outcome.WARNING: "yellow", Outcome.WRONG: "red"}
        mark = Text(f"{check.outcome:<8}", style=colours.get(check.outcome, "dim"))
        Console().print(mark.append(line, style="default"))
    else:
        print(f"{check.outcome:<8}{line}", flush=True)
    if check.do and check.outcome is not Outcome.OK:
        print(f"{'':<8}do: {check.do}", flush=True)


def _said(about: str, what: str, wrong: str, do: str) -> Check:
    if wrong:
        return Check(about, what, Outcome.WRONG, wrong, do)
    return Check(about, what, Outcome.OK, "works")


def _wrong(about: str, what: str, error: KitError, do: str = "") -> Check:
    says = f"{error.what} ({error.where})" if error.where else error.what
    return Check(about, what, Outcome.WRONG, says, do or error.hint or "")


def _data(secret: Object) -> dict[str, bytes]:
    return {name: base64.b64decode(text) for name, text in (secret.get("data") or {}).items()}
