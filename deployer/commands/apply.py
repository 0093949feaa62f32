"""``deployer apply``: puts the enabled parties onto their clusters, and waits for the job."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import typer

from deployer import console
from deployer.cluster.admission import BY_A_POLICY, rehearse_made
from deployer.cluster.approvals import approvals_secrets, put
from deployer.cluster.client import RBAC, Change, NotAllowedError, Object
from deployer.cluster.installed import is_of
from deployer.cluster.keeping import (
    JOB,
    at_work,
    changed_parts,
    checkpoint_age,
    goes_on,
    lost_with_pod,
)
from deployer.cluster.pod_status import Observation, is_paused
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
from deployer.commands import new_app
from deployer.commands.status import observe_all, watch
from party.agreement.job import PARTIES
from party.process.errors import InputError, JobError, KitError

app = new_app()


@dataclass(frozen=True)
class Restart:
    """A party whose pod starts again.

    Attributes:
        place: where it is.
        owner: its StatefulSet as it is now.
        why: what changes of its pod.
    """

    place: Place
    owner: Object
    why: list[str]

    def keeps(self, seen: Observation) -> bool:
        """Whether the party's run is still one that it is to do: the job is the same, or, of
        several, stays in the list."""
        jobs = self.place.job.split()
        at_hand = seen.own is not None and len(jobs) > 1 and seen.own.job in jobs
        return JOB not in self.why or at_hand


@dataclass(frozen=True)
class Rehearsal:
    """What the clusters say beforehand.

    Attributes:
        restarted: the parties whose pods would start again.
        unasked: what could not be asked, a sentence each.
    """

    restarted: list[Restart]
    unasked: list[str]


def rehearse(target: Target, force: bool = False) -> Rehearsal:
    """Let the clusters check every object before one is changed, and the pods and claims that
    follow from them: namespaces, rights, quotas, limits, policies, conflicts, fields that cannot be
    changed. (Each is checked for itself: that two together are too much, no dry run knows.)

    Raises InputError with all that would be refused, or for a release that is paused, JobError
    where a cluster fails.
    """
    found = Rehearsal([], [])
    refused: dict[str, KitError] = {}
    places: dict[str, Place] = {place.party: place for place in target.places}
    for who, cluster, made in target.objects():
        accounts: set[str] = set()
        owners: list[Object] = []
        for one in made:
            try:
                before, after = cluster.rehearse(one, force)
            except KitError as error:
                refused.setdefault(error.what, error)
                continue
            if one["kind"] == "ServiceAccount" and before is not None:
                accounts.add(one["metadata"]["name"])
            if one["kind"] not in _MAKE_PODS:
                continue
            if before is None:
                owners.append(one)
            elif is_paused(before):
                what, hint = f"{who} is paused", "deployer resume, then apply again"
                refused[what] = InputError(what, str(places[who].cluster), hint)
            elif one["kind"] == "StatefulSet" and (why := changed_parts(before, after)):
                found.restarted.append(Restart(places[who], before, why))
                owners.append(one)
        for owner in owners:
            for thing, why_not in rehearse_made(cluster, owner, accounts):
                if isinstance(why_not, NotAllowedError):
                    found.unasked.append(_unasked(who, thing))
                elif BY_A_POLICY in why_not.what:
                    found.unasked.append(_unsure(who, thing, why_not))
                else:
                    refused.setdefault(why_not.what, why_not)
    if refused:
        errors = list(refused.values())
        where = "; ".join(f"{error.what} ({error.where})" for error in errors)
        hints = dict.fromkeys(error.hint for error in errors if error.hint)
        what = "nothing was changed: the cluster would not take all of it"
        kind = JobError if any(isinstance(error, JobError) for error in errors) else InputError
        raise kind(what, where, "; ".join(hints) or None)
    return found


_MAKE_PODS = ("StatefulSet", "Job")


def _unsure(who: str, thing: Object, why_not: KitError) -> str:
    what = "pod" if thing["kind"] == "Pod" else "claim"
    return (
        f"notice: of {who}'s {what}, if a person made it: {why_not.what}; whether the one that "
        "its controller makes is refused as well is not known"
    )


def _unasked(who: str, thing: Object) -> str:
    what = "pod" if thing["kind"] == "Pod" else "claim"
    return (
        f"notice: what quotas and policies say of {who}'s {what} is not known before it is made: "
        f"no right to read and create a {thing['kind']}"
    )


def foretold(restarted: Sequence[Restart], places: Sequence[Place]) -> tuple[list[str], list[str]]:
    """What is to be said before pods start again: which do and why, and what is lost by it.

    A run is one of all three: where the job changes, or one party has no checkpoint, it ends at
    each of them.
    """
    if not restarted:
        return [], []
    seen = {one.party: one for one in observe_all([replace(place, job="") for place in places])}
    told, lost = [], []
    for restart in restarted:
        one = seen[restart.place.party]
        says = f"{one.party} starts again, for other {', '.join(restart.why)}"
        if restart.keeps(one) and not (gone := lost_with_pod(restart.owner, one)):
            age = checkpoint_age(one) if at_work(one) else ""
            says += f"; its run goes on from a checkpoint of {age} ago" if age else ""
        elif restart.keeps(one):
            lost.append(f"{one.party}: {gone}")
        told.append(says)
    if any(not restart.keeps(seen[restart.place.party]) for restart in restarted):
        lost += [_ended(one) for one in seen.values() if at_work(one)]
    return told, lost


def _ended(seen: Observation) -> str:
    says = f"the run at work ends at {seen.party}: {seen.sentence}"
    return f"{says}, with a checkpoint of {checkpoint_age(seen)} ago" if goes_on(seen) else says


def apply_all(target: Target, force: bool = False) -> Iterator[tuple[str, Counter[Change]]]:
    """Server-side apply of every object; says for each party how many changed, and in what way.

    A right that the values do not ask for any more is taken away."""
    for who, cluster, made in target.objects():
        changes = Counter(cluster.apply(one, force) for one in made)
        if who in PARTIES and not any(one["kind"] == "Role" for one in made):
            changes[Change.REMOVED] += _take_away(target.name, target.place(who))
        yield who, +changes


def _take_away(release: str, place: Place) -> int:
    """Remove a party's right to make events; how many objects that was. Who may not look for it
    has not given it."""
    removed = 0
    for kind in ("RoleBinding", "Role"):
        try:
            one = place.cluster.read(RBAC, kind, place.name, place.namespace)
        except NotAllowedError:
            continue
        if one is not None and is_of(release, one):
            place.cluster.delete(one)
            removed += 1
    return removed


@app.command()
def apply(
    values: ValuesOption = None,
    name: NameOption = "",
    namespace: NamespaceOption = "",
    context: ContextOption = None,
    party: PartyOption = None,
    wait: Annotated[
        bool, typer.Option(help="Wait until the job is done, and show what each party does.")
    ] = True,
    timeout: Annotated[
        float | None, typer.Option(min=0, help="Seconds to wait at most.", show_default=False)
    ] = None,
    approvals: Annotated[
        Path | None,
        typer.Option(
            help="Directory: the three approvals, and the salt of the own one, to put there too.",
            show_default=False,
        ),
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Take over what helm or kubectl installed.")
    ] = False,
    yes: Annotated[
        bool, typer.Option("--yes", "-y", help="Do not ask before a run at work is lost.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Install the enabled parties, or bring them up to date, and wait for the job.

    The same job applied again does nothing; a changed one starts a new run. Everything is checked
    by the clusters before anything is changed. It says whose pod starts again and why, and asks
    before a run at work, or a result, is lost by it. Ctrl-C ends the waiting, not the job.
    Approvals are checked as the pod checks them, and put into the Secret that it waits for; new
    ones in place of those that are used up need nothing else.

    Examples:

        deployer apply -f values.yaml

        deployer apply -f values.yaml --party bob --context police --no-wait

        deployer apply -f values.yaml --party bob --approvals approvals
    """
    target = find(values, name, namespace, context, party)
    brought = None if approvals is None else approvals_secrets(target, approvals)
    rehearsal = rehearse(target, force)
    told, lost = foretold(rehearsal.restarted, target.places)
    for line in (*rehearsal.unasked, *told):
        print(line, file=sys.stderr, flush=True)
    if lost:
        _ask(lost, yes)
    document: dict[str, Any] = {"changes": {}}
    for place, secret in brought or ():
        job = secret["metadata"]["name"].removeprefix(f"{place.name}-approvals").lstrip("-")
        whose = f"{place.party}/{job}" if job else place.party
        document.setdefault("approvals", {})[whose] = change = put(place, secret, force)
        if not as_json:
            of = f"of {job} " if job else ""
            print(f"{place.party:<7} approvals {of}{change}", flush=True)
    for who, changes in apply_all(target, force):
        document["changes"][who] = dict(changes)
        if not as_json:
            said = ", ".join(f"{count} {change}" for change, count in sorted(changes.items()))
            print(f"{who:<7} {said}", flush=True)
    try:
        if wait:
            found = watch(target, timeout, quiet=as_json)
            document["parties"] = [one.document() for one in found]
    except KeyboardInterrupt:
        print("\nnot waiting any more; the job goes on: deployer status --watch", file=sys.stderr)
    if as_json:
        console.print_json(document)


def _ask(lost: Sequence[str], yes: bool) -> None:
    print(f"this loses something: {'; '.join(lost)}", file=sys.stderr, flush=True)
    if not yes:
        console.see_to_somebody("say --yes to lose it")
        typer.confirm("apply all the same?", abort=True, err=True)
