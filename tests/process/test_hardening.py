"""What a process holds stays in it, or its user is told."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from party.process.hardening import swap_is_open
from tests.harness.processes import Processes

LOOK = (
    "import ctypes, resource;"
    "print(ctypes.CDLL(None).prctl(3, 0, 0, 0, 0), resource.getrlimit(resource.RLIMIT_CORE)[0]);"
)
SEALED = "0 0"


def after(program: str, words: str = "") -> list[str]:
    """The lines that a Python program prints."""
    done = subprocess.run(
        [sys.executable, "-c", program], input=words, capture_output=True, text=True, check=True
    )
    return done.stdout.splitlines()


def test_a_party_leaves_no_core_and_lets_nobody_look_into_its_memory() -> None:
    assert after(
        f"from party.process.hardening import harden_process; harden_process(); {LOOK}"
    ) == [SEALED]


def test_the_process_that_reads_a_table_is_sealed_before_it_reads() -> None:
    answer, sealed = after(f"from party.table.loading import child; child(); {LOOK}", words="{}")
    assert "the table cannot be read" in json.loads(answer)["error"]["what"]
    assert sealed == SEALED


@pytest.mark.slow
@pytest.mark.parametrize("command", ["certs", "data", "run"])
def test_the_deployer_holds_keys_and_tables_and_is_sealed(command: str) -> None:
    program = (
        f"import sys; sys.argv = ['deployer', {command!r}, '--help']; from deployer.cli import main"
        f"\ntry:\n main()\nexcept SystemExit:\n {LOOK}"
    )
    assert after(program)[-1] == SEALED


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may lock all that it likes")
def test_memory_is_locked_where_that_is_allowed_and_costs_nothing() -> None:
    """All that is used is locked, whatever is used later too; what is only mapped takes none."""
    program = """
import resource
from pathlib import Path
from party.process.hardening import harden_process
def status(name):
    (line,) = [x for x in Path("/proc/self/status").read_text().splitlines() if x.startswith(name)]
    return int(line.split()[1])
before = status("VmRSS")
print(harden_process(), status("VmRSS") - before < 8192)
held = bytearray(b"x") * (64 << 20)
print(status("VmLck") >= status("VmRSS") * 0.9, status("VmLck") > 64 << 10)
"""
    assert after(program) == ["True True", "True True"]


def test_who_may_not_lock_is_told_whether_there_is_swap() -> None:
    program = """
import os, resource
from party.process.hardening import harden_process, swap_is_open
resource.setrlimit(resource.RLIMIT_MEMLOCK, (65536, 65536))
os.geteuid() or os.setuid(65534)
print(harden_process() is not swap_is_open())
held = bytearray(b"x") * (64 << 20)
"""
    assert after(program) == ["True"]


NO_SWAP = "Filename\tType\tSize\tUsed\tPriority\n"
SWAP = NO_SWAP + "/dev/sda2\tpartition\t1048572\t0\t-2\n"


@pytest.mark.parametrize(
    ("swaps", "cgroup", "limits", "is_open"),
    [
        (NO_SWAP, "0::/", {}, False),
        (SWAP, "0::/", {}, True),
        (SWAP, "0::/kubepods/pod", {"kubepods/pod": "0"}, False),
        (SWAP, "0::/kubepods/pod", {"kubepods": "0", "kubepods/pod": "max"}, False),
        (SWAP, "0::/kubepods/pod", {"kubepods": "max", "kubepods/pod": "4096"}, True),
        (
            SWAP,
            "0::/",
            {"": "0"},
            False,
        ),  # in a container, whose own group is the root that it sees
        (SWAP, "1:memory:/pod", {"pod": "0"}, True),  # version 1 of control groups
        (None, "0::/", {"": "0"}, True),
        (SWAP, None, {"": "0"}, True),
    ],
)
def test_there_is_swap_unless_the_machine_has_none_or_the_group_may_not_use_it(
    tmp_path: Path, swaps: str | None, cgroup: str | None, limits: dict[str, str], is_open: bool
) -> None:
    for name, content in (("swaps", swaps), ("cgroup", cgroup)):
        if content is not None:
            (tmp_path / name).write_text(content)
    for group, limit in limits.items():
        folder = tmp_path / "groups" / group
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "memory.swap.max").write_text(limit + "\n")
    found = swap_is_open(tmp_path / "swaps", tmp_path / "cgroup", tmp_path / "groups")
    assert found is is_open


@pytest.mark.slow
def test_a_party_says_that_its_machine_swaps(processes: Processes) -> None:
    program = (
        "import party.cli, party.life.jobs;"
        "party.life.jobs.harden_process = lambda: False; party.cli.main()"
    )
    command = [sys.executable, "-c", program, "server", "--job", "job.yaml"]
    command += ["--config", "config.json", "--keys", "nowhere", "--output", "out"]
    done = subprocess.run(command, cwd=processes.directory, capture_output=True, text=True)
    assert done.returncode == 2
    assert "this machine swaps" in done.stdout and "ulimit -l unlimited" in done.stdout
