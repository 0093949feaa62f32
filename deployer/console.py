"""What commands show: tables and a line that changes on terminals, plain lines elsewhere."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from deployer.cluster.pod_status import ABSENT, BROKEN, DONE, FAILED, PAUSED, Observation
from party.process import streams
from party.process.errors import InputError

_COLOURS = {ABSENT: "dim", PAUSED: "dim", BROKEN: "red", FAILED: "red", DONE: "green"}


def on_terminal() -> bool:
    """Whether a person looks at standard output."""
    return sys.stdout.isatty()


def see_to_somebody(otherwise: str, to: str = "to ask") -> None:
    """Raises InputError, with what to do ``otherwise``, where nobody can answer a question."""
    if not sys.stdin.isatty():
        what = f"nobody is there {to}: standard input is no terminal"
        raise InputError(what, hint=otherwise)


@contextmanager
def transfer(what: str) -> Iterator[Callable[[int], None]]:
    """Shows on a terminal how many bytes were sent."""
    if not on_terminal():
        yield lambda sent: None
        return
    from rich.console import Console

    with Console().status(what) as status:
        yield lambda sent: status.update(f"{what}: {sent / 2**20:.0f} MiB sent")


def print_json(value: Any) -> None:
    """A value for machines."""
    escaped = not streams.takes_unicode(sys.stdout)
    print(json.dumps(value, indent=2, ensure_ascii=escaped))


def lines(observations: Sequence[Observation], elsewhere: dict[str, str]) -> list[str]:
    """One line a party, and one below it for what to do."""
    shown = []
    for one in observations:
        restarts = f" ({one.restarted})" if one.restarts else ""
        shown.append(f"{one.party:<7} {one.phase:<10} {one.sentence}{restarts}")
        shown += [f"{'':<18} {one.jobs}"] if one.jobs else []
        shown += [f"{'':<18} do: {what}" for what in (one.do, one.expiring) if what]
    shown += [f"{party:<7} {'elsewhere':<10} at {at}" for party, at in elsewhere.items()]
    return shown


def table(observations: Sequence[Observation], elsewhere: dict[str, str]) -> Any:
    """The same as a table for ``rich``."""
    from rich.progress_bar import ProgressBar
    from rich.table import Table
    from rich.text import Text

    grid = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("party", "phase", "steps", ""):
        grid.add_column(heading)
    for one in observations:
        done = one.progress
        bar = ProgressBar(total=1.0, completed=done, width=20) if done is not None else ""
        says = Text(one.sentence)
        if one.restarts:
            says.append(f" ({one.restarted})", style="dim")
        if one.jobs:
            says.append(f"\n{one.jobs}", style="dim")
        for what in filter(None, (one.do, one.expiring)):
            says.append(f"\ndo: {what}", style="italic")
        grid.add_row(one.party, Text(one.phase, style=_COLOURS.get(one.phase, "cyan")), bar, says)
    for party, at in elsewhere.items():
        grid.add_row(party, Text("elsewhere", style="dim"), "", at)
    return grid


class Watch:
    """A view of all parties that is brought up to date: in place on a terminal, elsewhere a line
    whenever a party's phase or sentence changes, and each tenth of a run; nothing at all if it is
    to be quiet. Use as a context manager."""

    def __init__(self, elsewhere: dict[str, str], quiet: bool = False) -> None:
        self._elsewhere = elsewhere
        self._quiet = quiet
        self._shown: dict[str, str] = {}
        self._live: Any = None

    def __enter__(self) -> Watch:
        if on_terminal() and not self._quiet:
            from rich.live import Live

            self._live = Live(refresh_per_second=4)
            self._live.__enter__()
        return self

    def __exit__(self, *reason: object) -> None:
        if self._live is not None:
            self._live.__exit__(*reason)

    def show(self, observations: Sequence[Observation]) -> None:
        """What was found by now."""
        if self._live is not None:
            self._live.update(table(observations, self._elsewhere))
            return
        for one in () if self._quiet else observations:
            # The sentence of a run changes with every step: each tenth is enough, until it stalls.
            tenth = f"{one.stands} {int(10 * (one.progress or 0.0))}"
            states = [job.state for job in one.own.queue] if one.own else []
            line = f"{one.phase}: {tenth if one.phase == 'running' else one.says} {states}"
            if self._shown.get(one.party) != line:
                self._shown[one.party] = line
                print("\n".join(lines([one], {})), flush=True)
