"""Plain manifests, one folder a party: ``deployer render`` writes them, ``apply`` applies them.

The templates are those in ``k8s/``. They make the same objects as the chart in ``helm/``, whose
``_facts.tpl`` works out what ``Facts`` and ``Placed`` do here.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import cache, cached_property
from importlib import resources
from typing import Any

import yaml
from jinja2 import Environment, PackageLoader, StrictUndefined

from deployer.manifests.values import Values, queued
from party.agreement.hosts import KEYS, Address
from party.agreement.job import HOLDERS, PARTIES
from party.process.errors import InputError

KINDS = (
    "serviceaccount",
    "events",
    "configmap",
    "service",
    "certificate",
    "tableclaim",
    "statefulset",
    "poddisruptionbudget",
    "networkpolicy",
    "monitoring",
)
"""The templates of a party, in the order in which they are applied."""

_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

_LONGEST_HOST = 253

MODEL, COLUMNS = "model.json", "columns.json"
"""Whole of a model, as its receiver has it; and how a holder's own columns were read for it. Their
documents are ``party.reporting``'s, which who renders need not wait for."""

DEMO = "demo"
"""The folder, and the one template, of what makes the demo's keys and tables."""


@dataclass(frozen=True)
class Placed:
    """A party and where it is; the chart's templates know it as ``$party``."""

    role: str
    """alice, bob or server."""
    name: str
    """Of all of its objects: ``<name>-<role>``."""
    namespace: str
    host: str
    """Of its pod, in the DNS of the cluster."""
    address: str
    """``host:port`` at which the others reach it."""
    origin: list[dict[str, Any]]
    """Where the others see it, as peers of a NetworkPolicy; none: anywhere."""
    selector: dict[str, str]
    """The labels that its objects are found by."""
    labels: dict[str, str]
    pod_labels: dict[str, str]
    keys_secret: str
    table_secrets: list[str]
    """The Secrets that may hold parts of its table; none for the third server, nor where the table
    is on a volume."""
    table_claim: str
    """The claim of the volume with its table; empty where it is in Secrets."""
    checkpoint_secret: str
    """That of the key of its checkpoints, where cert-manager makes the other one."""
    key_is_pinned: bool
    """Whether the job pins its key."""
    settings: Mapping[str, Any]
    """Its own values, plain."""

    @property
    def port(self) -> int:
        """At which the others reach it."""
        return Address.parse(self.address).port


class Facts:
    """What the values come to: names, places and texts. ``managed_by`` becomes a label."""

    def __init__(self, values: Values, managed_by: str = "deployer") -> None:
        self.values = values.document()
        self.managed_by = managed_by
        self.name = values.name or values.job.name
        if not re.fullmatch("[a-z]([-a-z0-9]{0,38}[a-z0-9])?", self.name):
            raise InputError(
                f"the name {self.name!r} is not 1 to 40 of a-z, 0-9 and -, beginning with a letter",
                "the values",
                "set name",
            )
        self.namespace = values.namespace or "default"
        self.image = values.image.reference
        self._check_addresses()

    @cached_property
    def parties(self) -> tuple[Placed, ...]:
        """Alice, Bob and the third server, installed here or not."""
        return tuple(self._placed(role) for role in PARTIES)

    @cached_property
    def enabled(self) -> tuple[Placed, ...]:
        """Those that are installed here."""
        return tuple(party for party in self.parties if party.settings["enabled"])

    @cached_property
    def approvals(self) -> bool:
        """Whether the job asks for approvals, which each pod then looks for in a Secret."""
        pin = self.values["job"].get("identities", {}).get("alice", {})
        return bool(pin.get("approval"))

    @cached_property
    def private_labels(self) -> str:
        """Whose labels the job keeps private: that pod looks for its label key in a Secret."""
        if not any((job.get("privacy") or {}).get("labels") for job in queued(self.values)):
            return ""
        label = self.values["job"]["label"]
        return "alice" if isinstance(label, Mapping) and label.get("alice") else "bob"

    @cached_property
    def starting(self) -> tuple[str, ...]:
        """Who begins from a former model: these pods look for it in a Secret."""
        job = self.values["job"]
        if (job.get("training") or {}).get("start") != "model" or job.get("kept"):
            return ()
        features = job["features"]
        if not isinstance(features, Mapping):
            return ("alice",)
        return tuple(holder for holder, columns in features.items() if columns)

    @cached_property
    def scoring(self) -> dict[str, str]:
        """The file of the model by which rows are scored, for each party that looks for one in a
        Secret."""
        model = self.values["job"].get("model")
        if not isinstance(model, Mapping) or model.get("kind") != "joint-scores":
            return {}
        holder = model["holder"]
        return {one: MODEL if one == holder else COLUMNS for one in HOLDERS}

    @cached_property
    def hosts(self) -> dict[str, str]:
        """The hosts map."""
        return {key: party.address for key, party in zip(KEYS, self.parties, strict=True)}

    @cached_property
    def settled(self) -> dict[str, Any]:
        """The values with name and namespace filled in, from which anybody gets the same facts."""
        settled = self.values | {"name": self.name, "namespace": self.namespace}
        return settled if self.jobs else {key: of for key, of in settled.items() if key != "jobs"}

    @cached_property
    def jobs(self) -> list[str]:
        """The names of the jobs of a queue; none where there is one job."""
        return [job["name"] for job in self.values["jobs"]]

    @cached_property
    def job_files(self) -> dict[str, dict[str, Any]]:
        """The job of each file that the parties are given, in their order."""
        if not self.jobs:
            return {"job.yaml": self.values["job"]}
        return {f"job-{n}.yaml": job for n, job in enumerate(queued(self.values), 1)}

    @cached_property
    def checksum(self) -> str:
        """Of the jobs and the hosts map, as texts."""
        texts = [*self.job_files.values(), self.hosts]
        return _sha256("\n".join(pretty_json(text) for text in texts))

    def selector(self, component: str) -> dict[str, str]:
        """The labels that select a component's objects."""
        return {
            "app.kubernetes.io/name": "tfe-kit",
            "app.kubernetes.io/instance": self.name,
            "app.kubernetes.io/component": component,
        }

    def labels(self, component: str) -> dict[str, str]:
        """The labels of a component's objects."""
        return {"app.kubernetes.io/managed-by": self.managed_by} | self.selector(component)

    def _check_addresses(self) -> None:
        """Refuse what no values file alone can: names that come out too long, and one address of
        two parties. The chart's ``_checks.tpl`` does the same."""
        of: dict[Address, str] = {}
        for party in self.parties:
            if not party.settings["address"] and len(party.host) > _LONGEST_HOST:
                raise InputError(
                    f"the name of {party.role}'s pod in DNS has {len(party.host)} characters, and "
                    f"at most {_LONGEST_HOST} are allowed",
                    "the values",
                    "take a shorter name, namespace or clusterDomain",
                )
            other = of.setdefault(Address.parse(party.address), party.role)
            if other != party.role:
                raise InputError(
                    f"{other} and {party.role} have one address, {party.address}",
                    "the values",
                    "each party has its own",
                )

    def _placed(self, role: str) -> Placed:
        settings = self.values[role]
        name = f"{self.name}-{role}"
        namespace = settings["namespace"] or self.namespace
        host = f"{name}-0.{name}.{namespace}.svc.{self.values['clusterDomain']}"
        selector = self.selector(role)
        if settings["address"]:
            origin = [{"ipBlock": {"cidr": network}} for network in settings["networks"]]
        else:
            in_namespace = {"matchLabels": {"kubernetes.io/metadata.name": namespace}}
            origin = [{"namespaceSelector": in_namespace, "podSelector": {"matchLabels": selector}}]
        table = settings.get("tableSecret") or f"{name}-table"
        volume = settings.get("tableVolume", {})
        claim = volume.get("existingClaim") or (f"{name}-table" if volume.get("size") else "")
        parts = 0 if claim else settings.get("tableParts", 0)
        return Placed(
            role=role,
            name=name,
            namespace=namespace,
            host=host,
            address=settings["address"] or f"{host}:{self.values['ports']['party']}",
            origin=origin,
            selector=selector,
            labels=settings["labels"] | self.labels(role),
            pod_labels=settings["labels"] | selector,
            keys_secret=settings["keysSecret"] or f"{name}-keys",
            checkpoint_secret=f"{name}-checkpoint",
            key_is_pinned=bool(self.values["job"].get("identities", {}).get(role, {}).get("key")),
            table_secrets=[f"{table}-{part}" for part in range(parts)],
            table_claim=claim,
            settings=settings,
        )


def manifests(facts: Facts) -> dict[str, dict[str, str]]:
    """The manifests as texts: folder, file name, text.

    A folder for each party that is enabled and, where it is, one for the demo.
    """
    folders = {
        party.role: {kind: _render(kind, facts, party=party) for kind in KINDS}
        for party in facts.enabled
    }
    if facts.values["demo"]["enabled"]:
        folders[DEMO] = {DEMO: _render(DEMO, facts, labels=facts.labels(DEMO))}
    return {
        folder: {f"{kind}.yaml": text for kind, text in texts.items() if text.strip()}
        for folder, texts in folders.items()
    }


def objects(values: Values, managed_by: str = "deployer") -> dict[str, list[dict[str, Any]]]:
    """The manifests as objects, in the order in which they are applied, for each folder."""
    return {
        folder: [
            document
            for text in files.values()
            for document in yaml.load_all(text, Loader=_Loader)
            if document is not None
        ]
        for folder, files in manifests(Facts(values, managed_by)).items()
    }


def pretty_json(value: Any, indent: str = "") -> str:
    """JSON as ``toPrettyJson`` writes it in a chart: sorted, two spaces, Go's numbers and escapes.

    The job and the hosts map stand in a ConfigMap as texts, with a checksum; so that they are the
    same ones, they are written the same way.
    """
    inner = indent + "  "
    if isinstance(value, Mapping) and value:
        items = (
            f"{inner}{pretty_json(key)}: {pretty_json(value[key], inner)}" for key in sorted(value)
        )
        return "{\n" + ",\n".join(items) + f"\n{indent}}}"
    if isinstance(value, list | tuple) and value:
        items = (f"{inner}{pretty_json(item, inner)}" for item in value)
        return "[\n" + ",\n".join(items) + f"\n{indent}]"
    if isinstance(value, float):
        return _number(value)
    text = json.dumps(value, ensure_ascii=False)
    return re.sub("[<>&\u2028\u2029]", lambda match: f"\\u{ord(match[0]):04x}", text)


def _number(value: float) -> str:
    """A float as Go's encoding/json writes it: plain digits but for the very small and large."""
    if value == 0 or 1e-6 <= abs(value) < 1e21:
        text = format(Decimal(repr(value)), "f")
        return text.removesuffix(".0")
    mantissa, exponent = repr(value).split("e")
    return f"{mantissa}e{exponent[0]}{exponent[1:].lstrip('0')}"


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _block(value: Any, indent: int) -> str:
    """A mapping or list as YAML on lines of its own, indented; empty ones on the same line."""
    if not value:
        return f" {json.dumps(value)}"
    text = yaml.safe_dump(value, sort_keys=False, allow_unicode=True, width=10_000)
    return "".join(f"\n{' ' * indent}{line}" for line in text.splitlines())


_environment = Environment(
    loader=PackageLoader("deployer", "k8s"),
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    keep_trailing_newline=True,
    autoescape=False,  # noqa: S701 - YAML, not HTML
)
_environment.filters |= {
    "yaml": _block,
    "quote": json.dumps,
    "pretty_json": pretty_json,
    "sha256": _sha256,
}


@cache
def _dashboard() -> str:
    return resources.files("deployer").joinpath("k8s/dashboard.json").read_text("utf-8")


def _render(template: str, facts: Facts, **more: Any) -> str:
    return _environment.get_template(f"{template}.yaml.j2").render(
        values=facts.values,
        name=facts.name,
        namespace=facts.namespace,
        image=facts.image,
        parties=facts.parties,
        hosts=facts.hosts,
        settled=facts.settled,
        checksum=facts.checksum,
        approvals=facts.approvals,
        jobs=facts.jobs,
        job_files=facts.job_files,
        private_labels=facts.private_labels,
        starting=facts.starting,
        scoring=facts.scoring,
        selector=facts.selector,
        dashboard=_dashboard(),
        pull_secrets=[{"name": secret} for secret in facts.values["image"]["pullSecrets"]],
        **more,
    )
