"""``deployer check``: asks parties how they are, over HTTP, until all are at work or done.

This is what ``helm test`` runs in a pod beside the parties: it needs no rights in the cluster, only
that the network lets it through to their status ports.
"""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from http.client import HTTPException
from typing import Annotated
from urllib.error import URLError
from urllib.request import ProxyHandler, build_opener

import typer

from deployer.commands import new_app
from party.agreement.hosts import Address
from party.agreement.job import PARTIES
from party.process.errors import InputError, JobError
from party.reporting.documents import PublicStatus

WELL = ("running", "revealing", "done")
"""The phases of a party that has met the others."""

_ANSWER_S, _AGAIN_S = 5.0, 2.0
_LARGEST = 4096

# A proxy outside has no way to a pod.
_opener = build_opener(ProxyHandler({}))


@dataclass(frozen=True)
class Answer:
    """What a party said of itself; ``phase`` is empty where it said nothing."""

    phase: str
    says: str

    @property
    def well(self) -> bool:
        """Whether it is at work or done."""
        return self.phase in WELL


def ask(address: Address) -> Answer:
    """A party's answer from its status port."""
    try:
        with _opener.open(f"http://{address}/{PublicStatus.NAME}", timeout=_ANSWER_S) as response:
            status = PublicStatus.parse(response.read(_LARGEST))
    except URLError as error:
        return Answer("", f"does not answer at {address} ({_reason(error.reason)})")
    except (OSError, HTTPException) as error:
        return Answer("", f"does not answer at {address} ({_reason(error)})")
    except ValueError:
        return Answer("", f"answers at {address}, but not as a party does")
    return Answer(status.phase, f"{status.phase}, {status.step} of {status.steps} steps")


def wait(parties: dict[str, Address], timeout_s: float) -> dict[str, Answer]:
    """The parties' answers once all of them are well, or the last ones when the time is up."""
    end = time.monotonic() + timeout_s
    with ThreadPoolExecutor(len(parties)) as askers:
        while True:
            answers = dict(zip(parties, askers.map(ask, parties.values()), strict=True))
            if all(answer.well for answer in answers.values()) or time.monotonic() > end:
                return answers
            time.sleep(_AGAIN_S)


app = new_app()


@app.command()
def check(
    parties: Annotated[
        list[str], typer.Argument(metavar="PARTY=HOST:PORT...", help="Status ports of parties.")
    ],
    timeout: Annotated[float, typer.Option(min=0, help="Seconds to wait for them.")] = 240,
) -> None:
    """Ask parties how they are until all are at work or done.

    Example: deployer check alice=fraud-alice-0.fraud-alice.bank.svc.cluster.local:8080
    """
    answers = wait(dict(_parsed(text) for text in parties), timeout)
    for party, answer in answers.items():
        print(f"{party}: {answer.says}", flush=True)
    unwell = [party for party, answer in answers.items() if not answer.well]
    if unwell:
        raise JobError(
            f"not at work within {timeout:.0f} seconds: {', '.join(unwell)}",
            hint="their logs, or deployer status, say what they wait for",
        )


def _parsed(text: str) -> tuple[str, Address]:
    party, equals, address = text.partition("=")
    if not equals or party not in PARTIES:
        hint = "write alice=host:port, bob=host:port or server=host:port"
        raise InputError(f"{text[:80]!r} is not a party and its status port", hint=hint)
    try:
        return party, Address.parse(address)
    except ValueError as error:
        hint = f"write {party}=host:port"
        raise InputError(f"the address of {party} {error}", hint=hint) from None


def _reason(error: object) -> str:
    return getattr(error, "strerror", None) or type(error).__name__
