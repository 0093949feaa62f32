"""The facts without which a measurement says nothing."""

from __future__ import annotations

import os
import platform
import ssl
import subprocess
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from bench.places import ROOT


def facts() -> dict[str, str | int]:
    """Date, machine and versions, as plain values."""
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)),
        "memory": f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.0f} GiB",
        "load before": f"{os.getloadavg()[0]:.2f}",
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "commit": _commit(),
        "kit on": f"Python {platform.python_version()}, TensorFlow {_tensorflow()}, "
        f"{ssl.OPENSSL_VERSION}",
        "published": "tf-encrypted 0.9.1, Python 3.10, TensorFlow 2.9.1",
        "spu": "SPU 0.9.5, Python 3.11, JAX 0.4.34",
    }


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.machine()


def _tensorflow() -> str:
    for package in ("tensorflow-cpu", "tensorflow"):
        try:
            return version(package)
        except PackageNotFoundError:
            continue
    return "none"


def _commit() -> str:
    """The commit that is measured, and whether files differ from it."""
    asked = ["git", "-C", str(ROOT), "describe", "--always", "--dirty", "--exclude=*"]
    try:
        answer = subprocess.run(asked, capture_output=True, text=True)
    except OSError:
        return "unknown"
    return answer.stdout.strip() or "unknown"
