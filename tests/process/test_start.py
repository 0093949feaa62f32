"""A party is there soon after it is started: whoever restarts a pod waits for it."""

from __future__ import annotations

import json
import subprocess
import sys

STARTED = """
import json, sys
import party.cli
from pydantic import BaseModel

def below(base):
    for one in base.__subclasses__():
        yield one
        yield from below(one)

own = [one for one in below(BaseModel) if one.__module__.startswith("party.")]
built = [one.__name__ for one in own if one.__pydantic_complete__]
print(json.dumps({"defined": len(own), "built": built, "modules": list(sys.modules)}))
"""

OF_ONE_COMMAND = {
    "http.server",
    "kubernetes",
    "onnx",
    "pandas",
    "party.alignment",
    "party.audit",
    "party.compiler",
    "party.plan",
    "party.reporting.probes",
    "party.runtime.sealed",
    "party.schedule",
    "party.scoring",
    "party.table.reader",
    "pyarrow",
    "rich",
    "sklearn",
    "skops",
    "tensorflow",
}
"""What some jobs or commands need, and the others do not import."""


def test_a_party_starts_with_what_every_party_needs_alone() -> None:
    command = [sys.executable, "-c", STARTED]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    started = json.loads(done.stdout)
    assert not OF_ONE_COMMAND & set(started["modules"])
    assert started["defined"] > 50
    # A schema is built when it is used. The defaults of a job have this one.
    assert started["built"] == ["Descent"]
