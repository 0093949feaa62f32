"""The model, for the party that the job names, and each party's own report."""

from __future__ import annotations

import resource
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from party.agreement.job import Job
from party.process import files
from party.process.errors import JobError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from party.table import Table

MODEL = "model.json"
REPORT = "report.json"


def write_model(
    output: Path,
    job: Job,
    weights: npt.NDArray[np.float64],
    table: Table,
    plan_digest: str,
    versions: dict[str, str],
) -> Path:
    """Write ``model.json``, for its owner's eyes only.

    ``weights`` [features + 1] are those of the standardised features, the intercept last: for
    features x the model says ``sigmoid(weights . (x - mean) / scale + intercept)``.
    """
    assert table.mean is not None and table.scale is not None, "features are standardised"
    path = output / MODEL
    files.replace_json(
        path,
        {
            "model": job.model,
            "features": list(job.features),
            "mean": table.mean.tolist(),
            "scale": table.scale.tolist(),
            "weights": weights[:-1].tolist(),
            "intercept": float(weights[-1]),
            "job": job.digest,
            "plan": plan_digest,
            "protocol": job.protocol,
            "versions": versions,
        },
    )
    return path


def read_model(output: Path) -> dict[str, Any]:
    """The model of the run that ``status.json`` says is done; JobError while there is none."""
    status = files.read_json(output / "status.json")
    if status is None:
        raise JobError("no job was run here", str(output), "look into a party's --output")
    model = files.read_json(output / MODEL)
    if status["phase"] != "done":
        raise JobError(f"there is no model yet: the job is {status['phase']}", str(output))
    if model is None or model["job"] != status["job"]:
        raise JobError(f"{status['party']} does not get the model of this job", str(output))
    return model


def weights_table(model: dict[str, Any]) -> str:
    """The weights by feature name, as text."""
    rows = [
        *zip(model["features"], model["weights"], strict=True),
        ("intercept", model["intercept"]),
    ]
    width = max(len(name) for name, _ in rows)
    return "\n".join(f"{name:<{width}}  {weight:+.6f}" for name, weight in rows)


def peak_bytes() -> int:
    """Most memory that this process has had resident so far (``VmHWM``)."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def process_age_s() -> float:
    """Seconds since this process was started, imports included."""
    ticks = int(Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19])
    boot = time.clock_gettime(time.CLOCK_BOOTTIME)
    import os

    return boot - ticks / os.sysconf("SC_CLK_TCK")
