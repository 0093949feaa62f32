"""Which identifiers two tables have in common, by OpenMined's PSI.

Started as ``intersect.py SETTINGS`` in its own environment. Both ends are in this one process, and
their messages go no way at all: what it takes on a network comes on top. Identifiers are hashed to
a curve and multiplied by both ends' keys (ECDH), so that the client compares, and learns who is in
common. Points are sent whole (``RAW``): the package's compressed sets save bytes and may find
somebody who is not there.

SETTINGS is a JSON file: ``server`` and ``client`` (files of identifiers, one a line) and
``result`` (a file).
"""

# Annotations stay unevaluated: this runs outside the kit's own environment.
from __future__ import annotations

import json
import resource
import sys
import time
from pathlib import Path

import private_set_intersection.python as psi

NO_MISTAKES = 1e-12  # what RAW does not ask about


def main() -> None:
    settings = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    theirs, ours = (
        Path(settings[end]).read_text(encoding="utf-8").splitlines() for end in ("server", "client")
    )
    began, cpu = time.monotonic(), time.process_time()
    server, client = psi.server.CreateWithNewKey(True), psi.client.CreateWithNewKey(True)
    setup = server.CreateSetupMessage(NO_MISTAKES, len(ours), theirs, psi.DataStructure.RAW)
    request = client.CreateRequest(ours)
    response = server.ProcessRequest(request)
    common = client.GetIntersection(setup, response)
    measured = {
        "seconds": time.monotonic() - began,
        "cpu_s": time.process_time() - cpu,
        "common": len(common),
        "bytes": {
            "server": setup.ByteSize() + response.ByteSize(),
            "client": request.ByteSize(),
        },
        "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }
    Path(settings["result"]).write_text(json.dumps(measured), encoding="utf-8")


main()
