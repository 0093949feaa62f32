"""Which deployment a command is about: the values, and for each party its cluster and names.

Every command that speaks to a cluster takes the same options for it::

    deployer status -f values.yaml --context alice=bank --context bob=police --party alice
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import typer

from deployer.cluster.client import Cluster, Object
from deployer.manifests.render import DEMO, Facts, Placed, objects
from deployer.manifests.values import Values, load_values
from party.agreement.job import PARTIES, Job, Party
from party.process.errors import InputError

OUTPUT = "/state/output"
"""Where a party's pod keeps its status and results (``--output`` in the manifests)."""

ValuesOption = Annotated[
    list[Path] | None,
    typer.Option(
        "--values",
        "-f",
        metavar="FILE",
        help="Values files, later ones over earlier ones; without any, the demo's. Commands that "
        "look at a release find it by its name and namespace, and need none.",
        show_default=False,
    ),
]
NameOption = Annotated[
    str,
    typer.Option(
        "--name",
        metavar="NAME",
        help="What the objects' names begin with, in place of the values' (a helm release's name).",
        show_default=False,
    ),
]
NamespaceOption = Annotated[
    str,
    typer.Option(
        "--namespace",
        "-n",
        metavar="NAMESPACE",
        help="Namespace of the parties that have none of their own, in place of the values' or "
        "the context's.",
        show_default=False,
    ),
]
ContextOption = Annotated[
    list[str] | None,
    typer.Option(
        "--context",
        metavar="[PARTY=]CONTEXT",
        help="Context of the kubeconfig, for all parties or for one; several times.",
        show_default=False,
    ),
]
PartyOption = Annotated[
    list[str] | None,
    typer.Option(
        "--party",
        metavar="PARTY",
        help="Only this party; several times.",
        show_default=False,
    ),
]
JobNameOption = Annotated[
    str,
    typer.Option(
        "--job", metavar="JOB", help="Which job, where there are several.", show_default=False
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="For machines.")]


@dataclass(frozen=True, eq=False)
class Place:
    """Where one party is installed, and the names of what belongs to it.

    Attributes:
        party: alice, bob or server.
        cluster: its cluster.
        namespace: its namespace.
        name: of its StatefulSet, Service and so on.
        keys_secret: the Secret with its keys.
        table_secrets: the Secrets in which its pod looks for parts of its table, in order; none
            for the third server, nor where the table is on a volume.
        table_claim: the claim of the volume with its table; empty where it is in Secrets.
        labels: of all of its objects.
        job: the digest of the job that it is to run, of several all with blanks between them;
            empty where that is not known.
        queue: of several jobs the names, in their order.
        of_values: whether that job is the values' own, rather than the one that is installed.
    """

    party: Party
    cluster: Cluster
    namespace: str
    name: str
    job: str
    keys_secret: str
    table_secrets: tuple[str, ...]
    table_claim: str = ""
    labels: dict[str, str] = field(default_factory=dict)
    of_values: bool = True
    queue: tuple[str, ...] = ()

    @property
    def pod(self) -> str:
        """Its one pod."""
        return f"{self.name}-0"

    @property
    def approvals_secrets(self) -> tuple[str, ...]:
        """The Secrets in which its pod looks for approvals: one, or one for each of several jobs,
        in their order."""
        usual = f"{self.name}-approvals"
        return tuple(f"{usual}-{job}" for job in self.queue) or (usual,)

    @property
    def checkpoint_secret(self) -> str:
        """The Secret with the key of its checkpoints, where cert-manager makes its keys."""
        return f"{self.name}-checkpoint"

    @property
    def model_secret(self) -> str:
        """The Secret with its part of the model by which rows are scored."""
        return f"{self.name}-model"

    @property
    def start_secret(self) -> str:
        """The Secret with the model that its training begins from."""
        return f"{self.name}-start"

    @property
    def claim(self) -> str:
        """The claim of its volume, by the name that its StatefulSet gives it."""
        return f"state-{self.pod}"


@dataclass(frozen=True)
class Release:
    """The parties that a command is about, by whatever they were found.

    Attributes:
        name: what the names of its objects begin with.
        namespace: that of the parties that have none of their own, and of the demo.
        places: its parties that are installed, or to be, in clusters of the operator's.
        elsewhere: the other parties, and the addresses at which these reach them.
        jobs: what they train, one after the other; none if that cannot be known.
        found: False if it was looked for in its clusters and nothing of it is there.
    """

    name: str
    namespace: str
    places: tuple[Place, ...]
    elsewhere: dict[str, str]
    jobs: tuple[Job, ...]
    found: bool

    def job(self, name: str = "") -> Job:
        """The job of a name; the only one without. Raises InputError if there is none, or where
        there are several and none is named."""
        if not self.jobs:
            raise InputError("the job that is installed cannot be read", hint="name the --values")
        names = ", ".join(job.name for job in self.jobs)
        if not name and len(self.jobs) > 1:
            raise InputError("there are several jobs", "--job", f"name one of {names}")
        for job in self.jobs:
            if job.name == (name or self.jobs[0].name):
                return job
        raise InputError(f"there is no job {name!r}", "--job", f"there are {names}")

    def place(self, party: str) -> Place:
        """Where a party is. Raises InputError if it is not installed here."""
        for place in self.places:
            if place.party == party:
                return place
        at = self.elsewhere.get(party)
        hint = f"it is at {at}; ask who runs it" if at else f"there are {', '.join(PARTIES)}"
        raise InputError(f"{party} is not installed here", None, hint)


@dataclass(frozen=True)
class Target(Release):
    """A deployment that is made from values, or the part of one that a command is about.

    Attributes:
        values: what it is made from.
    """

    values: Values

    @property
    def facts(self) -> Facts:
        """Names and places as the manifests have them."""
        return Facts(self.values)

    def objects(self) -> Iterator[tuple[str, Cluster, list[Object]]]:
        """Whose objects are to be in which cluster: of each party, and of the demo if it is on."""
        folders = objects(self.values)
        for place in self.places:
            yield place.party, place.cluster, folders.pop(place.party)
        if DEMO in folders and len(self.places) == len(PARTIES):
            yield DEMO, self.places[0].cluster, folders.pop(DEMO)


def find(
    files: Sequence[Path] | None,
    name: str = "",
    namespace: str = "",
    contexts: Sequence[str] | None = None,
    only: Sequence[str] | None = None,
) -> Target:
    """The deployment that a command's options name.

    Raises InputError for wrong values, an unknown party or context, or a party whose context is
    not said while another's is.
    """
    overrides = {key: text for key, text in (("name", name), ("namespace", namespace)) if text}
    values = load_values(files or (), overrides)
    facts = Facts(values)
    wanted = _parties(facts, only)
    clusters = clusters_of(wanted, contexts)
    if not values.namespace:
        overrides["namespace"] = namespace_of(clusters.values())
        values = load_values(files or (), overrides)
        facts = Facts(values)
    places = tuple(
        place_of(placed, clusters[placed.role], values.queue, bool(values.jobs))
        for placed in facts.enabled
        if placed.role in wanted
    )
    elsewhere = {
        placed.role: placed.address for placed in facts.parties if not placed.settings["enabled"]
    }
    return Target(facts.name, facts.namespace, places, elsewhere, values.queue, True, values)


def place_of(
    placed: Placed, cluster: Cluster, jobs: Sequence[Job] = (), queued: bool = False
) -> Place:
    """A party's names in a cluster, of one job or of a queue of them."""
    return Place(
        party=placed.role,  # type: ignore[arg-type]
        cluster=cluster,
        namespace=placed.namespace,
        name=placed.name,
        job=" ".join(job.digest for job in jobs),
        keys_secret=placed.keys_secret,
        table_secrets=tuple(placed.table_secrets),
        table_claim=placed.table_claim,
        labels=placed.labels,
        queue=tuple(job.name for job in jobs) if queued else (),
    )


def clusters_of(parties: Sequence[str], contexts: Sequence[str] | None) -> dict[str, Cluster]:
    """The cluster of each party, by the ``--context`` options; one client for each context."""
    wanted = _contexts(parties, contexts or ())
    made = {context: Cluster(context) for context in dict.fromkeys(wanted.values())}
    return {party: made[context] for party, context in wanted.items()}


def namespace_of(clusters: Iterable[Cluster]) -> str:
    """The namespace of contexts, where neither an option nor a value says one.

    Raises InputError where they have different ones.
    """
    found = sorted({cluster.namespace for cluster in clusters})
    if len(found) > 1:
        raise InputError(
            f"the contexts have different namespaces: {', '.join(found)}",
            "--context",
            "say which one with --namespace, or give each party its own in the values",
        )
    return found[0]


def check_parties(only: Sequence[str] | None) -> None:
    """Raises InputError for a ``--party`` that is none."""
    for party in only or ():
        if party not in PARTIES:
            raise InputError(
                f"there is no party {party!r}", "--party", f"there are {', '.join(PARTIES)}"
            )


def _parties(facts: Facts, only: Sequence[str] | None) -> list[str]:
    enabled = [placed.role for placed in facts.enabled]
    check_parties(only)
    for party in only or ():
        if party not in enabled:
            hint = f"name another party, or set {party}.enabled to true in the values"
            raise InputError(f"the values do not enable {party}", "--party", hint)
    wanted = [party for party in enabled if not only or party in only]
    if not wanted:
        raise InputError(
            "the values enable no party", "the values", "set enabled to true for your own"
        )
    return wanted


def _contexts(wanted: Sequence[str], given: Sequence[str]) -> dict[str, str | None]:
    default: str | None = None
    of_party: dict[str, str] = {}
    for text in given:
        party, equals, context = text.partition("=")
        if equals and party in PARTIES:
            of_party[party] = context
        else:
            default = text
    for party in wanted:
        if of_party and default is None and party not in of_party:
            raise InputError(
                f"there is no context for {party}, while others have one",
                "--context",
                f"add --context {party}=CONTEXT, or leave {party} out: "
                + " ".join(f"--party {one}" for one in of_party if one in wanted),
            )
    return {party: of_party.get(party, default) for party in wanted}
