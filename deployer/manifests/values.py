"""The values: what an operator may set about a deployment, their defaults and their meaning.

This is the one typed source. The chart's ``values.yaml``, its ``values.schema.json`` and the table
in its README are generated from it (``python -m deployer.manifests.reference``); ``deployer`` reads
the same files that ``helm`` does, layered over the defaults in the same way, so that both make the
same objects out of them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    JsonValue,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic.alias_generators import to_camel
from pydantic_core import core_schema

from party.agreement.hosts import Address
from party.agreement.job import HOLDERS, PARTIES, Descent, Job, Training
from party.agreement.queue import withheld
from party.agreement.yaml12 import Document, load_yaml, refused
from party.process.errors import InputError, printable
from party.process.schema import Strict

VERSION = "0.1.0"
"""Of the kit, its image and its chart."""

_LABEL = r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?"

Prefix = Annotated[str, Field(pattern=r"^([a-z]([-a-z0-9]{0,38}[a-z0-9])?)?$")]
Namespace = Annotated[str, Field(pattern=rf"^({_LABEL})?$")]
_OBJECT = rf"^({_LABEL}(\.{_LABEL})*)?$"
ObjectName = Annotated[str, Field(max_length=253, pattern=_OBJECT)]
NumberedName = Annotated[str, Field(max_length=249, pattern=_OBJECT)]
"""With ``-0`` to ``-511`` after it, a name."""

Domain = Annotated[str, Field(max_length=253, pattern=rf"^{_LABEL}(\.{_LABEL})*$")]
Port = Annotated[int, Field(ge=1, le=65535)]
_PORT = "([1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5])"
_BYTE = "(25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])"
_IPV4 = rf"{_BYTE}(\.{_BYTE}){{3}}"
_HEX = "[0-9A-Fa-f]{1,4}"
_IPV6 = (
    f"(({_HEX}:){{7}}{_HEX}|({_HEX}:){{1,7}}:"
    + "".join(f"|({_HEX}:){{1,{7 - after}}}(:{_HEX}){{1,{after}}}" for after in range(1, 7))
    + f"|:(:{_HEX}){{1,7}}|::)"
)
_HOST_LABEL = "[A-Za-z0-9_]([-A-Za-z0-9_]{0,61}[A-Za-z0-9_])?"
_HOST = rf"({_HOST_LABEL}(\.{_HOST_LABEL})*\.?|\[{_IPV6}\])"


@dataclass(frozen=True)
class _Form:
    """A text that matches: whoever writes another is told in words. The schema knows no words, and
    has the pattern, in the grammar of Go's and Rust's engines, which do not look ahead."""

    pattern: str
    says: str
    more: Mapping[str, Any] = field(default_factory=dict)

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> Any:
        return core_schema.no_info_after_validator_function(self._check, handler(source))

    def __get_pydantic_json_schema__(self, schema: Any, handler: GetJsonSchemaHandler) -> Any:
        return handler(schema) | {"pattern": f"^({self.pattern})$", **self.more}

    def _check(self, text: str) -> str:
        if not re.fullmatch(self.pattern, text):
            raise ValueError(self.says)
        return text


HostAndPort = Annotated[
    str,
    Field(max_length=255),
    _Form(
        f"({_HOST}:{_PORT})?",
        "is not host:port, 1.2.3.4:port or [v6]:port, with a port from 1 to 65535",
        # Digits and dots alone are an IPv4 address.
        {"anyOf": [{"pattern": f"^({_IPV4}:.*)?$"}, {"pattern": "[^0-9.].*:"}]},
    ),
]
Network = Annotated[
    str,
    _Form(
        f"{_IPV4}/([12]?[0-9]|3[0-2])|{_IPV6}/([1-9]?[0-9]|1[01][0-9]|12[0-8])",
        "is not a network such as 192.0.2.0/24 or 2001:db8::/32",
    ),
]
_PATH_PART = r"[a-z0-9]+((\.|__?|-+)[a-z0-9]+)*"
_REGISTRY = rf"([A-Za-z0-9]([-A-Za-z0-9.]*[A-Za-z0-9])?|\[{_IPV6}\])(:[0-9]+)?"
Repository = Annotated[
    str,
    _Form(
        f"({_REGISTRY}/)?{_PATH_PART}(/{_PATH_PART})*",
        "is not an image without its tag, such as registry.example:5000/tfe-kit",
    ),
]
Tag = Annotated[str, _Form("[A-Za-z0-9_][-A-Za-z0-9_.]{0,127}", "is not the tag of an image")]
_QUANTITY = r"[0-9]+(\.[0-9]+)?(m|k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei)?"
Quantity = Annotated[str, Field(pattern=f"^{_QUANTITY}$")]
Quantities = dict[str, Quantity | Annotated[int, Field(ge=0)]]
_NAME_PART = "[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?"
Key = Annotated[str, Field(pattern=rf"^({_LABEL}(\.{_LABEL})*/)?{_NAME_PART}$")]
"""Of a label or annotation."""

_FILE_NAME = "[A-Za-z0-9_][-A-Za-z0-9_.]*"
VolumePath = Annotated[
    str,
    Field(max_length=255),
    _Form(
        f"{_FILE_NAME}(/{_FILE_NAME})*",
        "is not a path below the volume's root, such as exports/alice",
    ),
]

Labels = dict[Key, Annotated[str, Field(pattern=rf"^({_NAME_PART})?$")]]
Annotations = dict[Key, str]
Object = dict[str, JsonValue]


class _Strict(Strict):
    model_config = ConfigDict(
        alias_generator=to_camel,
        validate_by_name=True,
        validate_by_alias=True,
    )


class Image(_Strict):
    """The one image that all roles run."""

    repository: Repository = Field(
        default="tfe-kit", description="Where the image is, without a tag."
    )
    tag: Tag = Field(default=VERSION, description="Its tag.")
    digest: str = Field(
        default="",
        pattern=r"^(sha256:[0-9a-f]{64})?$",
        description="Its digest, `sha256:…`; set, it is used in place of the tag.",
    )
    pull_policy: Literal["Always", "IfNotPresent", "Never"] = Field(
        default="IfNotPresent", description="When nodes pull it."
    )
    pull_secrets: tuple[ObjectName, ...] = Field(
        default=(), description="Names of Secrets to pull it with, in each party's namespace."
    )

    @property
    def reference(self) -> str:
        """What a pod's ``image`` says."""
        return (
            f"{self.repository}@{self.digest}" if self.digest else f"{self.repository}:{self.tag}"
        )


class Ports(_Strict):
    """The ports that pods listen on."""

    party: Port = Field(default=7000, description="Mutual TLS between the parties.")
    status: Port = Field(
        default=8080, description="`/healthz`, `/readyz`, `/metrics` and `/status`."
    )


class Security(_Strict):
    """As whom the pods run."""

    user: int = Field(
        default=10001,
        ge=0,
        le=2**31 - 1,
        description="User and group of the pods, and group of their volumes; never root. 0: whom "
        "the cluster gives out, as OpenShift does.",
    )


class Storage(_Strict):
    """Each party's own volume: its checkpoints, the ledger of what it opened, its status, cached
    schedules and, where it gets one, the model."""

    enabled: bool = Field(
        default=True,
        description="Whether parties have volumes. If not, all of this goes with the pod: a party "
        "that is moved starts its run again, or, if that was done, has no result and no ledger.",
    )
    class_name: ObjectName = Field(
        default="", description="Storage class. Empty: the cluster's default."
    )
    size: Quantity = Field(default="1Gi", description="Size of each volume. Fixed once it is made.")
    keep: bool = Field(
        default=True,
        description="Whether volumes outlive the release. Those of the demo never do.",
    )


class State(_Strict):
    """Its own volume, where it is to be another than `storage` says."""

    size: Annotated[str, Field(pattern=f"^({_QUANTITY})?$")] = Field(
        default="", description="Its size. Empty: `storage.size`."
    )
    storage_class: ObjectName = Field(
        default="", description="Its storage class. Empty: `storage.className`."
    )
    existing_claim: ObjectName = Field(
        default="",
        description="A claim that is there already, and is kept whatever happens to the release. "
        "Empty: one of its own, if `storage.enabled`.",
    )


class NetworkPolicy(_Strict):
    """What may reach the parties' pods, and what those may reach."""

    enabled: bool = Field(
        default=True,
        description="Let through the parties' own connections, DNS and the status port as "
        "`statusFrom` says; refuse all else. Needs a network plugin that enforces policies.",
    )
    status_from: tuple[Object, ...] = Field(
        default=(),
        description="Who may reach the status port, beside the node's own probes and `helm test`: "
        "a list of NetworkPolicy peers, for instance the namespace of Prometheus.",
    )
    dns_to: tuple[Object, ...] = Field(
        default=(
            {
                "namespaceSelector": {
                    "matchLabels": {"kubernetes.io/metadata.name": "kube-system"},
                },
                "podSelector": {"matchLabels": {"k8s-app": "kube-dns"}},
            },
        ),
        description="Where DNS is: a list of NetworkPolicy peers. Empty: `dnsPort` of any address, "
        "which a cache on the nodes needs.",
    )
    dns_port: Port = Field(
        default=53, description="The port that DNS pods listen on: 5353 on OpenShift."
    )


class Events(_Strict):
    """Events on the parties' own pods, which `kubectl describe pod` shows."""

    api_server: tuple[Network, ...] = Field(
        default=(),
        description="Where the API server is, as policies see it: the addresses of `kubectl get "
        "endpointslices --namespace default`, each as a network such as `192.0.2.1/32`. Each pod "
        "then gets a token that may create events in its namespace and nothing else, and a way "
        "there. Empty: no events, no token, no way.",
    )
    port: Port = Field(default=6443, description="The port that it listens on there.")


class Service(_Strict):
    """A way in from outside the cluster, for parties that are elsewhere."""

    type: Literal["ClusterIP", "LoadBalancer", "NodePort"] = Field(
        default="ClusterIP",
        description="LoadBalancer or NodePort: a second Service, `<name>-<party>-external`, with "
        "the party port. ClusterIP: none.",
    )
    node_port: int = Field(
        default=0, ge=0, le=65535, description="The NodePort's number. 0: the cluster chooses."
    )
    external_traffic_policy: Literal["Cluster", "Local"] = Field(
        default="Cluster",
        description="Local keeps the sender's address, which `networks` are compared with.",
    )
    annotations: Annotations = Field(
        default={}, description="Its annotations, for instance for a cloud."
    )


class Resources(_Strict):
    """A container's requests and limits."""

    requests: Quantities = Field(
        default={}, description='What is set aside for it; fractions in quotes: `"1.5"`.'
    )
    limits: Quantities = Field(default={}, description="What it may use at most.")


class PodDisruptionBudget(_Strict):
    """Evictions, for instance by the drain of a node."""

    enabled: bool = Field(
        default=True,
        description="Whether a party that is not done refuses eviction, so that a drain of its "
        "node waits; one that is done lets it go. `deployer pause` lets a node go before.",
    )


class Metrics(_Strict):
    """Prometheus."""

    annotations: bool = Field(
        default=False, description="Whether pods carry the `prometheus.io/…` annotations."
    )
    service_monitor: bool = Field(
        default=False,
        description="Whether each party has a ServiceMonitor, for the Prometheus operator.",
    )
    alerts: bool = Field(
        default=False,
        description="Whether each party has a PrometheusRule: it failed, it stands still, nothing "
        "is heard of it, its certificate ends within a day.",
    )
    dashboard: bool = Field(
        default=False,
        description="Whether each party has a ConfigMap with a dashboard, for Grafana's sidecar.",
    )


Duration = Annotated[str, Field(pattern=r"^([1-9][0-9]*(h|m|s))+$")]
"""As cert-manager reads it."""


class IssuerRef(_Strict):
    """Who issues."""

    name: ObjectName = Field(
        default="",
        description="Name of the issuer, which all three parties' trust or pins lead to. Empty: "
        "cert-manager is not asked, and `deployer certs` or somebody else makes the keys' Secrets.",
    )
    kind: Literal["Issuer", "ClusterIssuer"] = Field(
        default="Issuer", description="Whether it is one of the namespace or of the cluster."
    )
    group: Domain = Field(default="cert-manager.io", description="Its API group.")


class CertManager(_Strict):
    """Certificates from cert-manager, one `Certificate` for each party."""

    issuer_ref: IssuerRef = IssuerRef()
    duration: Duration = Field(default="720h", description="Life of a certificate.")
    renew_before: Duration = Field(
        default="240h", description="How long before its end it is renewed."
    )


class Certificates(_Strict):
    """Where the parties' certificates come from."""

    cert_manager: CertManager = CertManager()


class Test(_Strict):
    """The pod of `helm test`."""

    resources: Resources = Field(
        default=Resources(
            requests={"cpu": "100m", "memory": "64Mi"}, limits={"cpu": "1", "memory": "256Mi"}
        ),
        description="Requests and limits of its container.",
    )


class Demo(_Strict):
    """A show of the whole on one cluster."""

    enabled: bool = Field(
        default=True,
        description="Make keys and example tables in the cluster, where there are none yet. Who "
        "installs it sees everything: switch it off for any data that is private.",
    )
    resources: Resources = Field(
        default=Resources(
            requests={"cpu": "100m", "memory": "128Mi"}, limits={"cpu": "1", "memory": "512Mi"}
        ),
        description="Requests and limits of the Job that makes them.",
    )


_RESOURCES = Resources(requests={"cpu": "100m", "memory": "256Mi"}, limits={"memory": "2Gi"})


class Role(_Strict):
    """One of the three parties."""

    enabled: bool = Field(
        default=True, description="Whether this party is installed here. Each installs its own."
    )
    namespace: Namespace = Field(
        default="", description="Its namespace, which must exist. Empty: that of `namespace`."
    )
    address: HostAndPort = Field(
        default="",
        description="`host:port` at which the others reach it, if it is in another cluster. "
        "Empty: its name in this cluster's DNS.",
    )
    networks: tuple[Network, ...] = Field(
        default=(),
        description="Where it is, if it has an `address`: networks such as `192.0.2.0/24` that the "
        "others' policies let in and out. Empty: any.",
    )
    keys_secret: ObjectName = Field(
        default="",
        description="Secret with its `ca.crt`, `tls.crt` and `tls.key`. Empty: "
        "`<name>-<party>-keys`.",
    )
    state: State = State()
    service: Service = Service()
    resources: Resources = Field(
        default=_RESOURCES, description="Requests and limits of its container."
    )
    memory_limit_mib: int = Field(
        default=0,
        ge=0,
        le=1 << 24,
        description="MiB that the party itself keeps to: shares of tables beyond it lie, "
        "encrypted, in a file on its state volume. 0: no limit.",
    )
    node_selector: Labels = Field(default={}, description="Labels of the nodes that it may run on.")
    tolerations: tuple[Object, ...] = Field(default=(), description="Taints that it tolerates.")
    affinity: Object = Field(
        default={}, description="Its affinity. Empty: rather not on the node of another party."
    )
    topology_spread_constraints: tuple[Object, ...] = Field(
        default=(), description="How it is spread over the cluster."
    )
    priority_class_name: ObjectName = Field(default="", description="Its pod's priority class.")
    labels: Labels = Field(default={}, description="More labels for its objects and its pod.")
    annotations: Annotations = Field(
        default={}, description="More annotations for its objects and its pod."
    )

    @field_validator("address")
    @classmethod
    def _address(cls, text: str) -> str:
        if text:
            Address.parse(text)
        return text


TABLE_PARTS = 8
"""Secrets that are looked for, where the values do not say how many."""

MOST_TABLE_PARTS = 512
"""Secrets that a pod may be told to look for: what they hold is in memory at its node."""


class TableVolume(_Strict):
    """A volume with a party's table, of any size, in place of Secrets."""

    existing_claim: ObjectName = Field(
        default="",
        description="A claim in the party's namespace that is somebody's own, with the table on it "
        "or room for it.",
    )
    size: Annotated[str, Field(pattern=f"^({_QUANTITY})?$")] = Field(
        default="",
        description="Or the size of a claim `<name>-<party>-table` that is made here, which "
        "`deployer data copy` fills: twice what the table takes when it is packed.",
    )
    storage_class: ObjectName = Field(
        default="", description="Storage class of that claim. Empty: the cluster's default."
    )
    path: VolumePath = Field(
        default="table",
        description="Where on the volume the table is: a directory of parts (`deployer data "
        "split`), or a file.",
    )

    @property
    def used(self) -> bool:
        """Whether the table is on a volume."""
        return bool(self.existing_claim or self.size)


class TableRole(Role):
    """A party with a table of its own."""

    table_secret: NumberedName = Field(
        default="",
        description="Its table's Secrets are this with `-0`, `-1` and so on after it. Empty: "
        "`<name>-<party>-table`.",
    )
    table_parts: int = Field(
        default=TABLE_PARTS,
        ge=1,
        le=MOST_TABLE_PARTS,
        description="How many such Secrets are looked for, each of at most 1 MiB. There may be "
        "fewer, so that a table can be replaced by a longer one without an upgrade.",
    )
    table_volume: TableVolume = Field(
        default=TableVolume(), description="A volume with its table, in place of Secrets."
    )


DEMO_JOB = Job.model_validate(
    {
        "name": "fraud",
        "protocol": "pond",
        "rows": 7000,
        "features": tuple(f"feature_{number}" for number in range(1, 17)),
        "label": "fraud",
        "columns": {},
        "model": "logistic-regression",
        "training": {"epochs": 10, "batch_size": 128, "learning_rate": 0.375, "order_seed": 18},
        "result": "alice",
    }
)
"""The example's job, as in ``examples/fraud/job.yaml``."""


QUEUED = (
    "name",
    "protocol",
    "features",
    "columns",
    "model",
    "training",
    "result",
    "kept",
    "evaluation",
    "tls",
    "statistics",
    "privacy",
    "align",
)
"""The keys of ``job`` that a job of a queue may have otherwise. What it has in common with the
others is the table: rows, label, identifier; and whose keys are shown. ``align`` is for jobs that
score: these may take all rows of a table (``join: left``)."""

_OF_TRAININGS = ("label", "training", "evaluation", "statistics", "privacy")
"""Keys of ``job`` that a job which scores does not take over."""


class Values(_Strict):
    """All values of a deployment."""

    name: Prefix = Field(
        default="",
        description="What the names of all objects begin with; the same at all parties. Empty: the "
        "release's name with `helm`, the job's name with `deployer`.",
    )
    namespace: Namespace = Field(
        default="",
        description="Namespace of the parties that have none of their own. Empty: the release's "
        "with `helm`, the context's with `deployer`.",
    )
    cluster_domain: Domain = Field(default="cluster.local", description="The cluster's DNS domain.")
    image: Image = Image()
    job: Job = Field(
        default=DEMO_JOB,
        description="What is trained, the same at all parties: the job file, key by key.",
    )
    jobs: tuple[Object, ...] = Field(
        default=(),
        description="Several jobs, done one after the other: each is `job` with a `name` and other "
        "keys of its own. `job` then says what they have in common, the columns of the tables and "
        "the name in certificates, and is not itself done. Empty: `job` alone.",
    )
    demo: Demo = Demo()
    test: Test = Test()
    ports: Ports = Ports()
    security: Security = Security()
    wait_seconds: int = Field(
        default=3600,
        ge=1,
        le=31_536_000,
        description="How long a party waits for the others before it starts over.",
    )
    rejoin_limit_seconds: int = Field(
        default=900,
        ge=0,
        le=31_536_000,
        description="How long a party that lost another keeps its run and looks for it, before it "
        "fails and starts over from its checkpoint. 0: it fails at once.",
    )
    time_limit_seconds: int = Field(
        default=0, ge=0, le=31_536_000, description="How long the job may run. 0: no limit."
    )
    termination_grace_period_seconds: int = Field(
        default=30, ge=0, le=3600, description="How long a party that is told to end has for it."
    )
    storage: Storage = Storage()
    certificates: Certificates = Certificates()
    network_policy: NetworkPolicy = NetworkPolicy()
    events: Events = Events()
    pod_disruption_budget: PodDisruptionBudget = PodDisruptionBudget()
    metrics: Metrics = Metrics()
    alice: TableRole = Field(
        default=TableRole(), description="Alice, who has the features and receives the model."
    )
    bob: TableRole = Field(default=TableRole(), description="Bob, who has the labels.")
    server: Role = Field(default=Role(), description="The third server, which has no table.")

    @model_validator(mode="after")
    def _consistent(self) -> Values:
        for job in {self.job, *self.queue}:
            if job.scores is not None and self.demo.enabled:
                raise ValueError(
                    "demo.enabled: the demo has no model to score by; set demo.enabled to false"
                )
            batches = job.batches_of
            if batches is not None and batches.order_seed >= 2**53:
                # helm reads every number as a 64-bit float and would round it without a word
                raise ValueError("job.training.order_seed: must be less than 2**53")
            if self.jobs and job.starts:
                raise ValueError(
                    "jobs: a job that begins from a former model (training.start) is not done in a "
                    "queue; put it alone under job"
                )
        if any(job.result == "kept" or job.part is not None for job in self.queue):
            self._check_parts_stay()
        if self.ports.party == self.ports.status:
            raise ValueError("ports: party and status are the same")
        if self.demo.enabled and self.certificates.cert_manager.issuer_ref.name:
            raise ValueError(
                "certificates.certManager: the demo makes its keys itself; "
                "set demo.enabled to false"
            )
        if self.demo.enabled:
            for party in PARTIES:
                role = self.role(party)
                if not role.enabled or role.address:
                    raise ValueError(
                        f"demo.enabled: the demo has all three parties here, but {party} is not; "
                        "set demo.enabled to false"
                    )
        self._check_volumes()
        return self

    def _check_parts_stay(self) -> None:
        """That parties have volumes for their parts of a model, and that these stay."""
        for party in PARTIES:
            role = self.role(party)
            if not role.enabled or role.state.existing_claim:
                continue
            if not self.storage.enabled:
                raise ValueError(
                    f"job.result: {party}'s part of a kept model is on its volume, and it has "
                    f"none; set storage.enabled to true, or {party}.state.existingClaim"
                )
            if self.demo.enabled or not self.storage.keep:
                raise ValueError(
                    "job.result: a kept model would go with the release; set storage.keep to true, "
                    "and demo.enabled to false"
                )

    def _check_volumes(self) -> None:
        for party, role in (("alice", self.alice), ("bob", self.bob)):
            volume = role.table_volume
            if volume.existing_claim and volume.size:
                raise ValueError(f"{party}.tableVolume: either existingClaim or size")
            if volume.storage_class and not volume.size:
                raise ValueError(f"{party}.tableVolume: storageClass goes with size")
            if volume.used and (role.table_secret or role.table_parts != TABLE_PARTS):
                raise ValueError(
                    f"{party}.tableVolume: the table is on a volume or in Secrets; leave out "
                    "tableSecret and tableParts, or tableVolume"
                )
            if volume.used and self.demo.enabled:
                raise ValueError(
                    f"demo.enabled: the demo's tables are in Secrets, but {party}'s is on a "
                    "volume; set demo.enabled to false"
                )

    @cached_property
    def queue(self) -> tuple[Job, ...]:
        """What is done, in order: ``job``, or ``jobs``. Raises ValueError for wrong ones."""
        if not self.jobs:
            return (self.job,)
        found: list[Job] = []
        for n, written in enumerate(queued(self.document())):
            for key in self.jobs[n].keys() - set(QUEUED):
                says = f"is no key of a job of several; there are {', '.join(QUEUED)}"
                raise ValueError(f"jobs.{n}.{key}: {says}")
            if "name" not in self.jobs[n]:
                raise ValueError(f"jobs.{n}.name: is missing")
            if "align" in self.jobs[n] and not _scores(written):
                raise ValueError(
                    f"jobs.{n}.align: the rows of a list's trainings are matched alike; say it in "
                    "job"
                )
            try:
                job = Job.model_validate_json(json.dumps(written))
            except ValidationError as error:
                first = error.errors(include_url=False)[0]
                path = ".".join(map(str, ("jobs", n, *first["loc"])))
                raise ValueError(f"{path}: {first['msg'].removeprefix('Value error, ')}") from None
            if job.name in [one.name for one in found]:
                raise ValueError(f"jobs: two have the name {job.name!r}")
            for holder in HOLDERS:
                for column in set(job.features_of(holder)) - set(self.job.features_of(holder)):
                    raise ValueError(
                        f"jobs.{n}.features: {column!r} is not among the columns that job says "
                        f"{holder}'s table has; name it in job.features too"
                    )
            if job.scores is not None:
                self._see_to_identifiers(n, job)
                _see_to_model(n, job, found)
            found.append(job)
        return tuple(found)

    def _see_to_identifiers(self, n: int, job: Job) -> None:
        common = self.job.align
        for holder in HOLDERS if job.align is not None else ():
            assert job.align is not None
            if common is None or common.of(holder) != job.align.of(holder):
                raise ValueError(
                    f"jobs.{n}.align.key: the tables of a list have the identifiers that job "
                    "names; say the same in job.align"
                )

    def role(self, party: str) -> Role:
        """The values of one party."""
        role = getattr(self, party)
        assert isinstance(role, Role)
        return role

    def document(self) -> dict[str, Any]:
        """The values as in a values file: plain, every key present."""
        document = self.model_dump(mode="json", by_alias=True)
        # As it was written, since helm writes it so: of a key's long form only what is there.
        job = self.job.model_dump(mode="json", exclude_unset=True, exclude_none=True)
        return document | {"job": job}


def queued(document: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The jobs of values, as they are written into job files: of ``job`` what a job does not have
    otherwise, as the chart's ``kit.queue`` has it."""
    job = document["job"]
    domain = {"trust_domain": job.get("trust_domain") or job["name"]}
    return [{**_in_common(job, one), **one, **domain} for one in document["jobs"]] or [job]


def _in_common(job: Mapping[str, Any], one: Mapping[str, Any]) -> dict[str, Any]:
    """What a job of several takes over."""
    if not _scores(one):
        return dict(job)
    label = job.get("label")
    labels = label.values() if isinstance(label, Mapping) else [label]
    columns = {name: of for name, of in (job.get("columns") or {}).items() if name not in labels}
    less = {*_OF_TRAININGS, *(["rows"] if "align" in one else [])}
    return {key: of for key, of in job.items() if key not in less} | {"columns": columns}


def _see_to_model(n: int, job: Job, before: Sequence[Job]) -> None:
    """That one of the jobs before trains the model that a job of several scores by, and gives it to
    whose it is to be. Raises ValueError."""
    assert job.scores is not None
    trained = next((one for one in before if one.digest == job.scores.trained_by), None)
    if trained is None:
        there = [f"{one.name!r} has {one.digest}" for one in before if one.scores is None]
        raise ValueError(
            f"jobs.{n}.model.trained_by: a job of a list scores by a model that one before it "
            f"trains: {', '.join(there) or 'there is none'}; or put it alone under job, in a "
            "release of its own"
        )
    if words := withheld(job, trained):
        raise ValueError(f"jobs.{n}.model: {words}")


def load_values(paths: Sequence[Path] = (), overrides: Mapping[str, Any] | None = None) -> Values:
    """The values in files, later ones over earlier ones over the defaults, as ``helm -f`` has it.

    Mappings are merged key by key; anything else, a list too, replaces what was there.
    ``overrides`` is one more layer, on top. Raises InputError for a file that cannot be read, is
    not YAML, has a key that is unknown, or a value that is wrong.
    """
    document = Values().document()
    files = [_read(path) for path in paths]
    for file in files:
        document = _layered(document, file.value or {})
    where = ", ".join(file.name for file in files) or "the values"
    return parse_values(_layered(document, overrides or {}), where, files)


def parse_values(
    document: Mapping[str, Any], where: str = "the values", files: Sequence[Document] = ()
) -> Values:
    """The values in a plain mapping, as a YAML file holds it. Raises InputError, naming the key.

    ``files`` are those that it was read from, later ones over earlier ones: they know the line.
    """
    try:
        # JSON mode: lists stand for tuples, while numbers and texts stay strictly apart.
        return Values.model_validate_json(json.dumps(_one_job(document), default=str))
    except ValidationError as error:
        errors = error.errors(include_url=False)
    wrong = refused(errors, Document(document, where))
    key = printable(".".join(str(part) for part in wrong.path))
    hint = wrong.hint
    if wrong.message == "unknown key":
        hint = _nearest_key(wrong.path) or hint
    says = max(reversed(files), key=lambda file: len(file.path(wrong.path)), default=None)
    if says is not None and says.path(wrong.path):
        where = says.place(wrong.path)
    raise InputError(f"{key}: {wrong.message}" if key else wrong.message, where, hint)


def _one_job(document: Mapping[str, Any]) -> Mapping[str, Any]:
    """Whoever names keys of the descent does not mean the mini-batches of the defaults, who aligns
    tables not their rows, and who scores rows neither the label nor a training, as the chart's
    ``kit.job`` has it."""
    job = document.get("job")
    if not isinstance(job, Mapping):
        return document
    align = job.get("align")
    if isinstance(align, Mapping) and align.get("order") != "same":
        job = {key: value for key, value in job.items() if key != "rows"}
    training = job.get("training")
    scores = _scores(job)
    if scores and job.get("label") == DEMO_JOB.label:
        job = {key: value for key, value in job.items() if key != "label"}
    named = isinstance(training, Mapping) and training.keys() & Descent.model_fields.keys()
    if isinstance(training, Mapping) and (scores or named):
        chosen = {key: value for key, value in training.items() if key not in Training.model_fields}
        job = {**job, "training": chosen}
    return {**document, "job": job}


def _scores(job: Mapping[str, Any]) -> bool:
    """Whether a job, as it is written, scores rows."""
    model = job.get("model")
    return isinstance(model, Mapping) and model.get("kind") == "joint-scores"


def _read(path: Path) -> Document:
    document = load_yaml(path, "the values", also_helm=True)
    if not isinstance(document.value, dict | None):
        hint = "write keys and values; deployer values prints all of them"
        raise InputError("the values are not a mapping of keys to values", str(path), hint)
    return document


def _layered(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    layered = dict(below)
    for key, value in above.items():
        under = layered.get(key)
        if isinstance(under, Mapping) and isinstance(value, Mapping):
            value = _layered(under, value)
        layered[key] = value
    return layered


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    """The models that a type is, or of which it is one."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in get_args(annotation):
        yield from _models_in(part)


def _nearest_key(location: Sequence[str | int]) -> str | None:
    models: list[type[BaseModel]] = [Values]
    for part in location[:-1]:
        annotations = [
            field.annotation
            for model in models
            for name, field in model.model_fields.items()
            if (field.alias or name) == str(part)
        ]
        models = [model for annotation in annotations for model in _models_in(annotation)]
        if not models:
            return None
    names = [field.alias or name for model in models for name, field in model.model_fields.items()]
    near = get_close_matches(str(location[-1])[:80], names, n=1)
    return f"did you mean {near[0]!r}?" if near else f"there are {', '.join(sorted(names))}"
