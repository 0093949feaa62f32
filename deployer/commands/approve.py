"""``deployer approve``: what a job will do, in plain words, and a party's signature under it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated

import typer

from deployer import console
from deployer.commands import new_app
from deployer.commands.audit import SAYS, WHEN
from deployer.joining.terms import computed, told_of_matching
from party.agreement.job import PARTIES, AlignedJob, Job, Party, Sizes, load_job
from party.agreement.pins import Identities
from party.approval import Approval, moment, public_digest, read_private_key, write_approval
from party.approval.envelope import PrivateKey
from party.approval.policy import Policy
from party.process import files
from party.process.errors import InputError
from party.reporting.documents import EstimateDocument
from party.runtime import BUILDING, default_cache

app = new_app()

_DAYS = 7.0


@app.command()
def approve(
    job: Annotated[Path, typer.Argument(metavar="JOB", help="The job's YAML file.")],
    party: Annotated[
        Party | None,
        typer.Argument(metavar="PARTY", help="Who approves. None: only show.", show_default=False),
    ] = None,
    key: Annotated[
        Path | None, typer.Option(help="Of its approvals: certs approver.", show_default=False)
    ] = None,
    table: Annotated[
        Path | None, typer.Option(help="Its table, which it commits to.", show_default=False)
    ] = None,
    model: Annotated[
        Path | None,
        typer.Option(help="Of a job that scores: as for the party.", show_default=False),
    ] = None,
    output: Annotated[Path, typer.Option(help="Directory for the approval.")] = Path("approvals"),
    days: Annotated[
        float, typer.Option(min=0.001, max=365, help="Until when the result may be opened.")
    ] = _DAYS,
    runs: Annotated[
        int, typer.Option(min=1, max=1_000_000, help="How many times it may be opened.")
    ] = 1,
    image: Annotated[
        str | None,
        typer.Option(metavar="DIGEST", help="Of the one image that may run.", show_default=False),
    ] = None,
    policy: Annotated[
        Path | None,
        typer.Option(help="Approve what this file allows, unasked.", show_default=False),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Approve without being asked.")] = False,
    cache: Annotated[
        Path | None, typer.Option(help="Where plans are kept.", show_default="~/.cache/tfe-kit")
    ] = None,
) -> None:
    """Show what a job computes, reveals and costs, and approve it for a party.

    The plan is the one that the parties would run: audited, and read from the cache or built first.

    Example: deployer approve job.yaml bob --key approver/approval.key --table bob.csv
    """
    from deployer.estimate import estimate
    from party.channel import versions

    agreed, place = load_job(job), cache or default_cache()
    kit = versions()["kit"]
    if party is not None:
        signer = _signer(agreed, job, party, key)
        digest = _table_digest(agreed, party, table, model)
        if policy is not None:
            _check_policy(policy, agreed, kit, image, runs)
    cost = None if agreed.matches else estimate(agreed, place, None)
    print("\n".join(described(agreed, cost, place)))
    if party is None:
        return
    approval = Approval(
        party=party,
        job=agreed.digest,
        plan=None if cost is None else cost.plan,
        kit=kit,
        image=image,
        expires=moment(datetime.now(UTC) + timedelta(days=days)),
        runs=runs,
    )
    times = "once" if runs == 1 else f"{runs} times"
    print(f"{party} approves that the result is opened {times}, until {approval.expires}")
    if policy is None and not yes:
        _ask(party)
    made = write_approval(output, approval, digest, signer)
    print(f"approved: {output / party}.json, for all three parties")
    if made.table is not None:
        print(f"keep to yourself: {output / party}.salt, which the party needs when it runs")


def described(job: Job, cost: EstimateDocument | None, cache: Path) -> list[str]:
    """What a job does, in plain words: by the schedules that would run, and the job.

    Without a cost the job matches rows, and shown is what it does with as few as it may."""
    plan = "follows from the job and the numbers of rows, and is made when these are known"
    lines = [
        f"The job {job.name!r}, {job.digest}",
        f"  its plan {plan if cost is None else f'is {cost.plan}'}",
        "Computed:",
        *(f"  {line}" for line in computed(job)),
    ]
    lines += ["Revealed:", *(f"  {line}" for line in _revealed(job, cache))]
    lines += [f"  {line}" for line in job.told_of_privacy] + ["Taking part:"]
    for party in PARTIES:
        known = "whoever has a certificate of the one authority"
        if job.identities is not None:
            pin = job.identities.of(party)
            named = {"key": pin.key, "authority": pin.authority, "approvals": pin.approval}
            known = ", ".join(f"{name} {value}" for name, value in named.items() if value)
        lines.append(f"  {party}: {known}")
    if cost is None:
        return [*lines, "Costs:", "  they depend on the numbers of rows"]
    seconds = cost.plan_s + cost.loopback.connect_s + cost.loopback.train_s
    memory = max(one.memory.bytes for one in cost.parties.values()) / 2**20
    return [
        *lines,
        "Costs:",
        f"  {cost.messages:,} messages and {cost.bytes / 1e6:.1f} MB between the parties",
        f"  {memory:.0f} MiB of memory at one party, {seconds:.1f} s on one machine like this",
    ]


def _revealed(job: Job, cache: Path) -> list[str]:
    """What the schedules open to each party, and when."""
    from party.compiler import build_schedules, is_cached, prepared

    found: dict[tuple[str, str], list[str]] = {}
    shown = AlignedJob.of(job, _fewest(job)) if job.matches else job
    if not is_cached(shown, cache):
        with files.locked(cache / BUILDING):
            build_schedules(shown, cache, range(len(PARTIES)))
    for index, party in enumerate(PARTIES):
        for code in prepared(shown, index, cache).schedule.programs:
            for name in code.opened:
                found.setdefault((code.name, name), []).append(party)
    says = {name: f": {words}" for name, words in SAYS.items()}
    lines = [
        f"{name}{says.get(name, '')}, to {' and '.join(parties)} ({WHEN[program]})"
        for (program, name), parties in found.items()
    ]
    if job.matches:
        lines.insert(0, told_of_matching(job))
    return [*lines, "and nothing else" if lines else "nothing: each party keeps its shares"]


def _fewest(job: Job) -> Sizes:
    """The fewest rows that a job may match. What is opened to whom is the same for any number."""
    least = 1 if job.align is None else job.align.minimum
    return Sizes(alice=least, bob=least, common=least)


def _signer(job: Job, file: Path, party: Party, path: Path | None) -> PrivateKey:
    """The key of a party's approvals, which must be the one that the job pins."""
    pins: Identities | None = job.identities
    if pins is None or not pins.approvals:
        raise InputError(
            "the job names no keys of approvals, so that nobody would look for this one",
            str(file),
            "make them (deployer certs approver), and pin them: deployer certs pins",
        )
    if path is None:
        raise InputError("an approval is signed", "--key", "make a key: deployer certs approver")
    key = read_private_key(path)
    found, pin = public_digest(key), pins.of(party).approval
    if found != pin:
        what = f"the key is {found}, and the job pins {pin} for {party}'s approvals"
        raise InputError(what, str(path), "take the pinned one, or agree on a job that pins this")
    return key


def _table_digest(job: Job, party: Party, path: Path | None, model: Path | None) -> str | None:
    if party not in job.holders or job.kept is not None:
        if path is not None:
            raise InputError(f"{party} holds no table in this job", "--table", "leave it out")
        return None
    if path is None:
        raise InputError(f"{party} commits to its table", "--table", f"give {party}'s CSV file")
    from party.scoring.joint import digest_of_rows

    return digest_of_rows(path, model, job, party)


def _check_policy(path: Path, job: Job, kit: str, image: str | None, runs: int) -> None:
    if objections := Policy.load(path).objections(job, kit, image, runs):
        raise InputError(
            f"the policy does not allow it: {'; '.join(objections)}",
            str(path),
            "change the job, or let somebody read it and approve without --policy",
        )


def _ask(party: Party) -> None:
    hint = "read the above, then say --yes; or give a --policy"
    console.see_to_somebody(hint, f"to say that {party} approves")
    if not typer.confirm(f"Approve for {party}?"):
        raise InputError("not approved", hint="nothing was written")
