"""What a process holds stays in it: out of core dumps, other processes' sight, and swap."""

from __future__ import annotations

import contextlib
import ctypes
import resource
from pathlib import Path

_SET_DUMPABLE = 4
_CURRENT, _FUTURE, _ON_FAULT = 1, 2, 4  # mlockall(2)
_CAP_IPC_LOCK = 14  # capabilities(7)
_STATUS = Path("/proc/self/status")
_SWAPS = Path("/proc/swaps")
_CGROUP = Path("/proc/self/cgroup")
_CGROUPS = Path("/sys/fs/cgroup")


def harden_process() -> bool:
    """No core dumps, and no other process of the same user may look into this one's memory.

    Its memory is locked against being swapped where that is allowed: for root (CAP_IPC_LOCK),
    and where the limit on locked memory (RLIMIT_MEMLOCK) is lifted. A limit of some MiB is no use,
    since allocations beyond it would fail.

    Returns:
        Whether nothing of this process can get into swap: its memory is locked, or there is none
        that it may use.
    """
    libc = ctypes.CDLL(None)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    libc.prctl(_SET_DUMPABLE, 0, 0, 0, 0)
    return _locked(libc) or not swap_is_open()


def _locked(libc: ctypes.CDLL) -> bool:
    if not _may_lock():
        return False
    # Pages are locked as they are first used: what is only mapped takes no memory.
    return bool(libc.mlockall(_CURRENT | _FUTURE | _ON_FAULT) == 0)


def _may_lock() -> bool:
    """Whether this process may lock all that it ever allocates."""
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_MEMLOCK, 2 * (resource.RLIM_INFINITY,))
        return True
    with contextlib.suppress(ValueError, OSError):
        (able,) = [x for x in _STATUS.read_text().splitlines() if x.startswith("CapEff:")]
        return bool(int(able.split()[1], 16) >> _CAP_IPC_LOCK & 1)
    return False


def swap_is_open(swaps: Path = _SWAPS, cgroup: Path = _CGROUP, cgroups: Path = _CGROUPS) -> bool:
    """Whether this machine swaps, and this process's control group (v2) may use that.

    Where nothing can be learnt of either it is taken to be so.
    """
    try:
        if len(swaps.read_text().splitlines()) < 2:  # its first line is a heading
            return False
        (own,) = [line[4:] for line in cgroup.read_text().splitlines() if line.startswith("0::/")]
        # A group is bound by those above it, too.
        groups = [cgroups / own, *(cgroups / own).parents]
        limits = [group / "memory.swap.max" for group in groups if group.is_relative_to(cgroups)]
        return not any(limit.exists() and limit.read_text().strip() == "0" for limit in limits)
    except (OSError, ValueError):
        return True
