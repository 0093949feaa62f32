"""What runs: a party's pod, its clock, and the way to those whom it calls."""

from __future__ import annotations

import time
from collections.abc import Iterator

from deployer.cluster.pod_status import observe
from deployer.cluster.target import Place, Target
from deployer.doctor.check import Check, Outcome
from deployer.doctor.cluster import of_clock
from deployer.doctor.network_probe import CLOSED, OPEN, UNKNOWN, connect
from deployer.manifests.render import Facts
from party.agreement.job import PARTIES
from party.process.errors import KitError


def of_pod_and_peers(place: Place, target: Target) -> Iterator[Check]:
    """What a party's pod does, its clock, and whether it reaches those whom it calls."""
    try:
        seen = observe(place)
    except KitError as failure:
        yield Check(place.party, "pod", Outcome.UNKNOWN, failure.what)
        return
    if seen.phase in ("absent", "pending", "paused"):
        yield Check(place.party, "pod", Outcome.UNKNOWN, seen.says, seen.do)
        return
    if seen.phase in ("broken", "failed"):
        yield Check(place.party, "pod", Outcome.WRONG, seen.says, seen.do)
        if seen.phase == "broken":
            return
    else:
        outcome = Outcome.WARNING if seen.stands else Outcome.OK
        yield Check(place.party, "pod", outcome, f"{seen.phase}: {seen.sentence}", seen.do)
    try:
        begin = time.time()
        ran = place.cluster.execute(place.pod, place.namespace, ["date", "+%s"])
        off = max(0.0, begin - 1 - int(ran.stdout), int(ran.stdout) - time.time())
        yield of_clock(place.party, off, "its pod")
        called = _called(place, Facts(target.values))
        answers = connect(place.cluster, place.pod, place.namespace, list(called))
    except (KitError, ValueError) as error:
        says = error.what if isinstance(error, KitError) else "its pod has no clock"
        yield Check(place.party, "peers", Outcome.UNKNOWN, says)
        return
    for address, peer in called.items():
        yield _reached(place.party, peer, address, answers[address])


def _called(place: Place, facts: Facts) -> dict[str, str]:
    """The addresses that a party connects to: of those before it in the order of the parties."""
    before = PARTIES[: PARTIES.index(place.party)]
    return {placed.address: placed.role for placed in facts.parties if placed.role in before}


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
