"""Runs tests of tf-encrypted's wheel, in a process that has TensorFlow: the names of tests as
arguments, for each one line of JSON on standard output when it has been run.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import unittest
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from unittest.mock import patch

from party.compiler import compat


@dataclass(frozen=True)
class Outcome:
    """How a test ended: ``passed``, ``failed`` or ``skipped``, and what it had to say."""

    name: str
    result: str
    text: str = ""


def run(name: str) -> Outcome:
    """Runs a test, named ``module.Class.test`` from within the package tf_encrypted."""
    import tf_encrypted as tfe

    module, case, method = name.rsplit(".", 2)
    tests = importlib.import_module(f"tf_encrypted.{module}")
    test = getattr(tests, case)(method)
    config, protocol = tfe.get_config(), tfe.get_protocol()
    result = unittest.TestResult()
    with ExitStack() as stack:
        if name == "protocol.aby3.aby3_test.TestABY3.test_error":
            # It runs 100,000 times to print a rate of errors, and asserts nothing.
            stack.enter_context(patch.object(tests, "range", lambda _: range(100), create=True))
        test.run(result)
    tfe.set_config(config)
    tfe.set_protocol(protocol)
    for _, text in (*result.errors, *result.failures):
        return Outcome(name, "failed", text)
    for _, reason in result.skipped:
        return Outcome(name, "skipped", reason)
    return Outcome(name, "passed")


def main() -> None:
    compat.load()
    # What TensorFlow and the tests themselves print is no part of the answer.
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    for name in sys.argv[1:]:
        print(json.dumps(asdict(run(name))), file=answers)


if __name__ == "__main__":
    main()
