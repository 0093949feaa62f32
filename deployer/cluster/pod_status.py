"""What a party's pod is doing, in words: its own, or else what the cluster says of it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any

from deployer.cluster.client import Object
from deployer.cluster.target import OUTPUT, Place
from party.process.errors import InputError, JobError
from party.reporting.documents import StatusDocument, duration

ABSENT, PENDING, BROKEN, STARTING = "absent", "pending", "broken", "starting"
"""Phases of a pod whose party does not speak for itself: there is none; it waits for the cluster;
it cannot go on until somebody mends something; its program is about to speak."""

PAUSED = "paused"
"""There is no pod because somebody paused the party."""

DONE, FAILED = "done", "failed"

STALE_S = 15.0
"""A party writes its status at least every second while it trains or waits: one of before that
says nothing about now."""

EXPIRES_SOON_S = 24 * 3600.0

_WAITS_S = 20.0


@dataclass(frozen=True)
class Observation:
    """One party as it was found.

    Attributes:
        party: alice, bob or server.
        where: namespace and context.
        pod: the pod's name.
        phase: one of the above, or one that the party itself says: table, plan, joining, running,
            revealing, done, failed.
        says: what it is doing or what is wrong, one sentence.
        do: what to do about it, if anything.
        restarts: how often its container was started again.
        own: the party's own status, as it wrote it; None if it wrote none.
        age_s: how long ago that was, by the pod's own clock.
        cause: why it failed, or failed the last time: one of ``party.process.errors.Cause``, or
            empty.
        ended: what its container said when it ended the last time.
    """

    party: str
    where: str
    pod: str
    phase: str
    says: str
    do: str = ""
    restarts: int = 0
    own: StatusDocument | None = None
    age_s: float | None = None
    cause: str = ""
    ended: str = ""

    @property
    def restarted(self) -> str:
        """How often it was started again, and after what; empty for never."""
        if not self.restarts:
            return ""
        times = f"{self.restarts} restart{'s' if self.restarts > 1 else ''}"
        said = self.ended if self.ended and self.ended != self.says else ""
        return f"{times}, the last after: {said}" if said else times

    @property
    def expiring(self) -> str:
        """What to do about a certificate that ends within a day; empty where nothing is."""
        if self.own is None or self.own.certificate_expires is None or self.phase == DONE:
            return ""
        left_s = -since_s(self.own, self.own.certificate_expires, self.age_s)
        if left_s > EXPIRES_SOON_S:
            return ""
        ends = f"ends in {duration(left_s)}" if left_s > 0 else "has ended"
        return f"its certificate {ends}: deployer certs renew, then deployer certs put --force"

    @property
    def stale(self) -> bool:
        """Whether it says nothing new, though it should."""
        return self.phase in _TELLING and self.age_s is not None and self.age_s > STALE_S

    @property
    def stands(self) -> bool:
        """Whether it trains, or should, and no step was done for a while."""
        return self.stale or (
            self.own is not None and self.phase == "running" and _still_s(self.own, self.age_s) > 0
        )

    @property
    def sentence(self) -> str:
        """What it is doing, and of when that is if it is old."""
        if self.stale and self.age_s is not None:
            return f"{self.says}, last heard of {duration(self.age_s)} ago"
        if self.own is not None and self.phase in _LASTING and self.lasts_s > STALE_S:
            return f"{self.says}, for {duration(self.lasts_s)}"
        return self.says

    @property
    def lasts_s(self) -> float:
        """For how long it has been in its phase, by its own clock; 0 where it does not say."""
        if self.own is None:
            return 0.0
        return since_s(self.own, self.own.since or self.own.updated, self.age_s)

    @property
    def jobs(self) -> str:
        """How far each of several jobs is, and for how long; empty where there is one."""
        own = self.own
        if own is None or not own.queue:
            return ""
        said = []
        for one in own.queue:
            words = f"{one.name} {one.state}"
            if one.since is not None:
                age = duration(max(0.0, since_s(own, one.since, self.age_s)))
                words += f" for {age}" if one.state == "running" else f" {age} ago"
            said.append(words)
        return f"jobs: {', '.join(said)}"

    @property
    def progress(self) -> float | None:
        """Steps done, of all, between 0 and 1."""
        if self.own is None or self.own.steps < 1:
            return None
        return min(1.0, self.own.step / self.own.steps)

    def document(self) -> dict[str, Any]:
        """For ``--json``."""
        return asdict(self) | {"own": {} if self.own is None else self.own.as_json()}


def observe(place: Place) -> Observation:
    """Look at a party. Raises InputError where the cluster cannot be asked."""
    cluster = place.cluster
    pod = cluster.read("v1", "Pod", place.pod, place.namespace)
    if pod is None:
        owner = cluster.read("apps/v1", "StatefulSet", place.name, place.namespace)
        events = cluster.events(owner) if owner else []
        return _found(place, *without_pod(place.party, owner, events))
    explained = of_pod(pod, cluster.events(pod))
    if explained and explained[0] == PENDING and _waits_for_volume(pod):
        claim = cluster.read("v1", "PersistentVolumeClaim", _claim_of(pod), place.namespace)
        explained = of_claim(cluster.events(claim) if claim else [])
    restarts = sum(status.get("restartCount", 0) for status in _statuses(pod))
    cause, ended = _last_end(pod)
    last = {"restarts": restarts, "cause": cause, "ended": ended}
    if explained:
        return _found(place, *explained, **last)
    found = _found(place, *_own_words(place, _has_model(pod)), **last)
    known = None if found.own is None else found.own.cause or found.own.last_cause
    return replace(found, cause=known or cause)


def without_pod(party: str, owner: Object | None, events: Sequence[Object]) -> tuple[str, str, str]:
    """Phase, sentence and remedy where there is no pod."""
    if owner is None:
        do = f"install its part: deployer apply --party {party}, or ask who runs it"
        return ABSENT, "is not installed here", do
    if is_paused(owner):
        return PAUSED, "is paused", f"deployer resume --party {party}"
    for event in reversed(events):
        if event.get("reason") == "FailedCreate":
            return BROKEN, f"its pod is refused: {_sentence(event['message'])}", ""
    return PENDING, "its pod is about to be made", ""


def is_paused(owner: Object) -> bool:
    """Whether a party's StatefulSet is to have no pod."""
    return bool(owner.get("spec", {}).get("replicas") == 0)


def of_pod(pod: Object, events: Sequence[Object]) -> tuple[str, str, str] | None:
    """Phase, sentence and remedy of a pod whose program does not run; None for one that runs."""
    if pod["metadata"].get("deletionTimestamp"):
        return PENDING, "its pod is ending", ""
    for condition in pod.get("status", {}).get("conditions", ()):
        if condition["type"] == "PodScheduled" and condition["status"] == "False":
            if condition.get("reason") == "SchedulerError":  # it tries again at once
                break
            return PENDING, f"no node takes its pod: {_sentence(condition.get('message', ''))}", ""
    for status in _statuses(pod):
        waiting = status.get("state", {}).get("waiting")
        if waiting is not None:
            return _waiting(waiting, status, events)
        ended = status.get("state", {}).get("terminated")
        if ended is not None:
            return _ended(ended)
    return None if _statuses(pod) else (PENDING, "its pod is about to start", "")


def of_claim(events: Sequence[Object]) -> tuple[str, str, str]:
    """Phase, sentence and remedy of a pod that no node takes for want of its volume."""
    for event in reversed(events):
        if event.get("reason") in ("ProvisioningFailed", "FailedBinding"):
            return (
                BROKEN,
                f"its volume cannot be made: {_sentence(event['message'])}",
                "set storage.className to a class of the cluster: kubectl get storageclass",
            )
    return PENDING, "its volume is about to be made", ""


def left_behind(found: Sequence[Observation]) -> list[Observation]:
    """The same observations; of a party that waits for others which are done, or have failed for
    good, that it waits in vain: they have ended, and it has lost what it would have ended with."""
    done = {one.party for one in found if one.phase == DONE}
    failed = {
        one.party for one in found if one.phase == FAILED and one.own is not None and one.own.final
    }
    return [
        _in_vain(one, one.own.waiting_for, failed)
        if one.phase == "joining"  # who looks for others again ends by itself
        and one.own is not None
        and one.own.waiting_for
        and (done | failed).issuperset(one.own.waiting_for)
        and one.lasts_s > _ENDS_WITHIN_S
        else one
        for one in found
    ]


def _in_vain(one: Observation, others: Sequence[str], failed: set[str]) -> Observation:
    over = "is done there"
    do = "no result is opened twice; to train again: deployer delete --volumes, then deployer apply"
    if where := " and ".join(other for other in others if other in failed):
        over, do = f"failed for good at {where}", f"change the job as {where} says: deployer apply"
    says = f"waits for {' and '.join(others)} in vain: the job {over}, and this party has not its "
    return replace(one, phase=BROKEN, says=f"{says}result, as after a lost volume", do=do)


_ENDS_WITHIN_S = 60.0
"""Of parties that work together none is that much later done than the first: those that are still
look for one that may lack something."""


def own_words(
    status: StatusDocument, age_s: float = 0.0, on_volume: bool = False, scores: bool = False
) -> tuple[str, str, str]:
    """Phase, sentence and remedy by a party's own status, of so many seconds ago; its table is in
    Secrets, or on a volume, and is trained on, or scored."""
    phase = status.phase
    if phase == "running":
        if age_s > STALE_S:
            says = status.aside or f"step {status.step} of {status.steps}"
            return phase, says, "look whether it or another party is stopped: deployer doctor"
        if (still_s := _still_s(status, age_s)) > 0 and status.stepped is None:
            return phase, f"no step yet, for {duration(still_s)}: the tables are being shared", ""
        if still_s > 0:
            says = status.aside or f"step {status.step} of {status.steps}"
            do = "another party, or the way to it, is slow or stands: look at all three"
            return phase, f"stalled for {duration(still_s)} at {says}", do
        return phase, status.doing, ""
    if status.waiting_for:
        return (phase, *_waiting_words(status))
    where, hint = status.where or "", status.hint or ""
    says = status.message or _DOING.get(phase, phase)
    remedy = _remedy(status, where, on_volume, scores) or hint
    return phase, f"{says} ({where})" if where else says, remedy


def _waiting_words(status: StatusDocument) -> tuple[str, str]:
    """Whom a party waits for, what it knows of them beyond that, and a remedy."""
    says = f"waits for {' and '.join(status.waiting_for)}"
    known = status.message
    if known.startswith("waiting for"):
        known = known.partition("; ")[2]
    do = _ONE_AUTHORITY if "of another authority" in known else ""
    return (f"{says}; {known}" if known else says), do


_ONE_AUTHORITY = "give all three parties keys of one authority: deployer certs put"

_TELLING = {"joining", "running"}
"""The phases of a party that writes its status every second or more often."""

_LASTING = {"starting", "table", "plan", "joining", "aligning", "rejoining", "revealing"}
"""Those of which one wants to know how long they last by now."""

_DOING = {
    "starting": "starts",
    "table": "reads its table",
    "plan": "builds its part of the plan",
    "joining": "meets the others",
    "aligning": "aligns the tables",
    "revealing": "reveals the model",
    DONE: "is done",
    FAILED: "failed",
}


def _own_words(
    place: Place, scores: bool
) -> tuple[str, str, str, StatusDocument | None, float | None]:
    try:
        # Not `party status`: a Python that starts every other second takes time from the training.
        # The moment is of the pod's clock, as those in the status are.
        # And the room on the disk: a party whose disk is full cannot write that it is.
        script = f"date +%s && cat {OUTPUT}/{StatusDocument.NAME} && df -Pk {OUTPUT} | tail -n 1"
        ran = place.cluster.execute(place.pod, place.namespace, ["sh", "-c", script], _WAITS_S)
        moment, _, told = ran.stdout.partition("\n")
        text, end, disk = told.rpartition("}")
        text += end
        status = StatusDocument.parse(text) if ran.exit_code == 0 else None
        age_s = 0.0 if status is None else max(0.0, int(moment) - _seconds(status.updated))
    except InputError as error:
        return STARTING, f"its pod runs ({error.what})", error.hint or "", None, None
    except (JobError, ValueError):
        return STARTING, "its pod runs and does not say anything yet", "", None, None
    if status is None:
        return STARTING, "its pod runs and has not begun with the job", "", None, None
    running = " ".join(one.job for one in status.queue) or status.job
    if place.job and running != place.job:
        says, do = "its pod has not begun with the job that is installed", ""
        if place.of_values:
            says = "its pod runs another job than the values have"
            do = "install this one: deployer apply, or helm upgrade"
        return STARTING, says, do, status, None
    phase, says, do = own_words(status, age_s, bool(place.table_claim), scores)
    if age_s > STALE_S and phase != DONE and _is_full(disk):
        says, do = f"{says}; its volume is full, and what is new is in memory alone", _MAKE_ROOM
    return phase, says, do, status, age_s


_MAKE_ROOM = "make room on the volume of its state, or a larger one: storage.size"
_LEAST_KIB = 64
"""With less room left, files of a few kilobytes may not be replaced."""


def _is_full(disk: str) -> bool:
    """Whether a disk is full, by the last line of ``df -Pk``."""
    words = disk.split()
    return len(words) > 3 and words[3].isdigit() and int(words[3]) < _LEAST_KIB


def since_s(status: StatusDocument, moment: str, age_s: float | None) -> float:
    """Seconds since a moment of a status that is so old, by the clock of its pod."""
    try:
        return _seconds(status.updated) - _seconds(moment) + (age_s or 0.0)
    except ValueError:  # no moment: of another kit
        return 0.0


def _still_s(status: StatusDocument, age_s: float | None) -> float:
    """Seconds without a step of a party that trains; 0 for what is nothing out of the ordinary."""
    begun = status.stepped or status.since
    still_s = 0.0 if begun is None else since_s(status, begun, age_s)
    return still_s if still_s > STALE_S else 0.0


def _seconds(moment: str) -> float:
    return datetime.fromisoformat(moment).timestamp()


def _remedy(status: StatusDocument, where: str, on_volume: bool, scores: bool) -> str:
    """What to do in a cluster about a file that a party's pod was given, or was not."""
    table = "data copy {} TABLE" if on_volume else "data put {} CSV"
    files = (
        ("/table", table + " --model FILE" * scores),  # rows are read by what the model knows
        ("/keys", "certs put {} DIR"),
        ("/model", table + " --model FILE"),
        ("/start", table + " --start FILE"),
    )
    for path, command in files:
        if where == path or where.startswith(f"{path}/"):
            return f"put it there: deployer {command.format(status.party)}"
    return ""


def _found(
    place: Place,
    phase: str,
    says: str,
    do: str,
    own: StatusDocument | None = None,
    age_s: float | None = None,
    *,
    restarts: int = 0,
    cause: str = "",
    ended: str = "",
) -> Observation:
    where = f"{place.namespace}, {place.cluster}"
    return Observation(
        place.party, where, place.pod, phase, says, do, restarts, own, age_s, cause, ended
    )


def _statuses(pod: Object) -> list[Object]:
    status = pod.get("status", {})
    return [*status.get("initContainerStatuses", ()), *status.get("containerStatuses", ())]


def _waiting(
    waiting: Object, status: Object, events: Iterable[Object]
) -> tuple[str, str, str] | None:
    reason, message = waiting.get("reason", ""), waiting.get("message", "")
    if reason in ("ErrImagePull", "ImagePullBackOff", "ErrImageNeverPull", "InvalidImageName"):
        image = status.get("image", "")
        hint = "check image.repository, image.tag and image.pullSecrets in the values"
        return BROKEN, f"its image {image} cannot be had: {_sentence(message)}", hint
    if reason == "CrashLoopBackOff":
        ended = status.get("lastState", {}).get("terminated", {})
        _, says, do = _ended(ended)
        return BROKEN, says, do
    if reason in ("CreateContainerConfigError", "CreateContainerError", "RunContainerError"):
        return BROKEN, f"its container cannot be made: {_sentence(message)}", _mend(message)
    for event in reversed(list(events)):
        if event.get("reason") == "FailedMount":
            text = event["message"]
            return BROKEN, f"cannot be given its files: {_sentence(text)}", _mend(text)
        if event.get("reason") in ("Pulling", "Pulled"):
            break
    return PENDING, "its container is about to start", ""


def _mend(message: str) -> str:
    missing = re.search(r'secret "([^"]+)" not found', message)
    if not missing:
        return ""
    return "make it: deployer data put for a table, deployer certs put for keys"


def _last_end(pod: Object) -> tuple[str, str]:
    """Why a pod's container ended the last time, in a word and in a sentence, if it ever did."""
    for status in _statuses(pod):
        for state in (status.get("state", {}), status.get("lastState", {})):
            if (ended := state.get("terminated")) is not None:
                lines = str(ended.get("message", "")).splitlines()
                told = (line.strip() for line in lines if line.strip().startswith("cause: "))
                cause = next(told, "").removeprefix("cause: ")
                if ended.get("reason") == "OOMKilled":
                    cause = "out-of-memory"
                return cause, _ended(ended)[1]
    return "", ""


def _ended(ended: Object) -> tuple[str, str, str]:
    reason, code = ended.get("reason", ""), ended.get("exitCode")
    if reason == "OOMKilled":
        return BROKEN, "needs more memory than it may use", "raise its resources.limits.memory"
    # The container's last lines, if the pod keeps them: the party's error, what and what to do.
    lines = [line.strip() for line in str(ended.get("message", "")).splitlines()]
    says = next((line for line in lines if line.startswith("error: ")), "")
    do = next((line for line in lines if line.startswith("do: ")), "")
    where = next((line for line in lines if line.startswith("where: ")), "")
    if not says:
        return BROKEN, *_unsaid(code)
    what = says.removeprefix("error: ")
    if where:
        what += f" ({where.removeprefix('where: ')})"
    return BROKEN, what, do.removeprefix("do: ")


_SIGNALS = {
    4: ("an instruction that its processor does not have", "run it on another node: nodeSelector"),
    7: ("a broken memory page (SIGBUS)", "look at its node's memory and disk"),
    9: ("SIGKILL", "look at its node: it lacks memory, or somebody killed it"),
    11: ("a fault of its own (SIGSEGV)", "report it with the versions in use"),
    15: ("SIGTERM", ""),
}
"""What ends a process from outside, by number, and what to do about it."""


def _unsaid(code: object) -> tuple[str, str]:
    """Why a program ended that said nothing of it, by its exit code, and what to do."""
    signal = _SIGNALS.get(code - 128) if isinstance(code, int) else None
    if signal is not None:
        return f"its program was ended by {signal[0]}", signal[1]
    if code == 0:
        return "its program ended, and all was well", "it is started again at once"
    return f"its program ended with exit code {code} and without a word", "see deployer logs"


def _claim_of(pod: Object) -> str:
    """The claim of a pod's own volume."""
    for volume in pod.get("spec", {}).get("volumes", ()):
        if volume["name"] == "state" and "persistentVolumeClaim" in volume:
            return str(volume["persistentVolumeClaim"]["claimName"])
    return f"state-{pod['metadata']['name']}"


def _has_model(pod: Object) -> bool:
    """Whether a pod is given a model, by which it scores rows."""
    return any(volume["name"] == "model" for volume in pod.get("spec", {}).get("volumes", ()))


def _waits_for_volume(pod: Object) -> bool:
    return any(
        "PersistentVolumeClaim" in condition.get("message", "")
        for condition in pod.get("status", {}).get("conditions", ())
    )


def _sentence(message: str) -> str:
    """The first line of what the cluster says, of bearable length."""
    line = message.strip().splitlines()[0] if message.strip() else "no reason given"
    return line if len(line) <= 300 else line[:297] + "..."
